// @ts-check
/**
 * Decode a PNG in plain JavaScript; the browser only inflates. The pixels are exact in every browser, also in one that
 * changes what is read back from a canvas.
 */
import { ClassifierError } from './errors.js';
import { hasText, sizeOf, viewOf } from './formats.js';

const SAMPLES = new Map([[0, 1], [2, 3], [3, 1], [4, 2], [6, 4]]); // by the kind of colour
const [RGB, PALETTE, GREY_ALPHA, RGB_ALPHA] = [2, 3, 4, 6]; // 0 is grey
const [DEPTH_AT, KIND_AT, INTERLACED_AT] = [24, 25, 28];

/** Whether `decodePng` decodes the file: 8 bits for each sample, not interlaced. @param {Uint8Array} file */
export function isCommonPng(file) {
  return file[DEPTH_AT] === 8 && file[INTERLACED_AT] === 0 && SAMPLES.has(file[KIND_AT]);
}

/** @param {Uint8Array} file for which `isCommonPng` holds @returns {Promise<import('./preparing.js').Raster>} */
export async function decodePng(file) {
  const [width, height] = sizeOf(file);
  const kind = file[KIND_AT];
  const samples = SAMPLES.get(kind) ?? 1;
  const { data, palette, transparency } = readChunks(file);
  const row = width * samples;
  const filtered = await inflate(data, (row + 1) * height);
  const lines = new Uint8Array(row * height);
  for (let y = 0; y < height; y++) unfilterRow(filtered, y * (row + 1), lines, y * row, row, samples);
  const rgba = new Uint8Array(4 * width * height);
  for (let from = 0, to = 0; to < rgba.length; from += samples, to += 4) {
    const first = lines[from];
    if (kind === RGB || kind === RGB_ALPHA) {
      rgba[to] = first;
      rgba[to + 1] = lines[from + 1];
      rgba[to + 2] = lines[from + 2];
      const isClear = transparency !== null && [0, 1, 2].every((i) => transparency[2 * i + 1] === lines[from + i]);
      rgba[to + 3] = kind === RGB_ALPHA ? lines[from + 3] : isClear ? 0 : 255;
    } else if (kind === PALETTE) {
      rgba[to] = palette[3 * first];
      rgba[to + 1] = palette[3 * first + 1];
      rgba[to + 2] = palette[3 * first + 2];
      rgba[to + 3] = transparency?.[first] ?? 255;
    } else {
      rgba[to] = rgba[to + 1] = rgba[to + 2] = first;
      rgba[to + 3] = kind === GREY_ALPHA ? lines[from + 1] : transparency?.[1] === first ? 0 : 255;
    }
  }
  return { rgba, width, height, hasAlpha: kind === GREY_ALPHA || kind === RGB_ALPHA || transparency !== null };
}

/** @param {Uint8Array} file */
function readChunks(file) {
  const view = viewOf(file);
  /** @type {Uint8Array[]} */
  const data = [];
  let palette = new Uint8Array();
  /** @type {Uint8Array|null} */
  let transparency = null;
  for (let at = 8; at + 12 <= file.length && !hasText(file, at + 4, 'IEND'); ) {
    const length = view.getUint32(at);
    const content = file.slice(at + 8, at + 8 + length);
    if (hasText(file, at + 4, 'IDAT')) data.push(content);
    if (hasText(file, at + 4, 'PLTE')) palette = content;
    if (hasText(file, at + 4, 'tRNS')) transparency = content;
    at += 12 + length;
  }
  return { data, palette, transparency };
}

/** Return exactly so many bytes; a file can inflate to any size. @param {Uint8Array[]} parts @param {number} length */
async function inflate(parts, length) {
  const blob = new Blob(/** @type {BlobPart[]} */ (parts));
  const reader = blob.stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  const out = new Uint8Array(length);
  let to = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      out.set(part.value, to); // a RangeError: more than the size of the picture
      to += part.value.length;
    }
    if (to === length) return out;
  } catch (error) {
    await reader.cancel().catch(() => {}); // it failed already
  }
  throw new ClassifierError('picture-damaged', 'the picture is damaged: it has other pixels than its size');
}

/**
 * Undo the filter of a row, whose first byte names it.
 * @param {Uint8Array} filtered @param {number} from
 * @param {Uint8Array} out @param {number} to
 * @param {number} row bytes @param {number} samples of a pixel
 */
function unfilterRow(filtered, from, out, to, row, samples) {
  const filter = filtered[from];
  if (filter > 4) throw new ClassifierError('picture-damaged', `the picture is damaged: it has a filter ${filter}`);
  for (let i = 0; i < row; i++) {
    const left = i >= samples ? out[to + i - samples] : 0;
    const above = to ? out[to + i - row] : 0;
    const corner = to && i >= samples ? out[to + i - row - samples] : 0;
    let predicted = 0;
    if (filter === 1) predicted = left;
    else if (filter === 2) predicted = above;
    else if (filter === 3) predicted = (left + above) >> 1;
    else if (filter === 4) predicted = nearest(left, above, corner);
    out[to + i] = filtered[from + 1 + i] + predicted;
  }
}

/**
 * The Paeth predictor: whichever of the three is nearest to left + above - corner.
 * @param {number} left @param {number} above @param {number} corner
 */
function nearest(left, above, corner) {
  const estimate = left + above - corner;
  const toLeft = Math.abs(estimate - left);
  const toAbove = Math.abs(estimate - above);
  const toCorner = Math.abs(estimate - corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
