// @ts-check
/**
 * Decode the bytes of a picture to its pixels as they are stored: not turned, without colour management, alpha not
 * multiplied in. Nothing here depends on the name of a browser: what a browser does is found by trying it.
 */
import { ClassifierError } from './errors.js';
import { withoutOrientation } from './exif.js';
import { isJpeg, isPng, requirePicture, sizeOf } from './formats.js';
import { decodePng, isCommonPng } from './png.js';
import { averageBlocks, reductionOf } from './preparing.js';

/** @typedef {import('./preparing.js').Raster} Raster */

/**
 * How a large JPEG is decoded at a part of its size, as Python does it:
 * - `decoder`: by WebCodecs' ImageDecoder, which may reduce inside of the JPEG decoder, as Python's does
 * - `blocks`: whole, then each block of pixels is averaged
 * @typedef {'decoder'|'blocks'} Reduction
 */

/** @type {ImageBitmapOptions} */
const AS_STORED = { imageOrientation: 'none', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
const PROBE_SIDE = 16;

/**
 * Decode a JPEG, PNG or WebP file for a model with inputs of size × size pixels.
 * @param {Uint8Array} file @param {number} size @param {{reduction: Reduction, isCanvasFalsified: boolean}} browser
 * @returns {Promise<Raster>}
 */
export async function decode(file, size, { reduction, isCanvasFalsified }) {
  requirePicture(file);
  const upright = withoutOrientation(file);
  if (isPng(upright) && isCommonPng(upright)) return decodePng(upright);
  if (isCanvasFalsified) {
    const what = 'this browser falsifies the pixels of pictures: allow it to read canvases, or choose a PNG file';
    throw new ClassifierError('falsified-canvas', what);
  }
  if (!isJpeg(upright)) return decodeByCanvas(upright);
  const [width, height] = sizeOf(upright);
  const n = reductionOf(width, height, size);
  const reduced = n > 1 && reduction === 'decoder' ? await decodeReduced(upright, n) : null;
  return reduced ?? averageBlocks(await decodeByCanvas(upright), n);
}

/** Whether this browser offers a way to decode a JPEG at a part of its size. */
export const hasImageDecoder = () => typeof ImageDecoder === 'function';

/**
 * Decode by createImageBitmap and a 2D canvas, which every browser has.
 * @param {Uint8Array} file @returns {Promise<Raster>}
 */
async function decodeByCanvas(file) {
  if (typeof createImageBitmap !== 'function' || typeof OffscreenCanvas !== 'function') {
    throw new ClassifierError('unsupported-browser', 'this browser has no OffscreenCanvas: update it');
  }
  const bitmap = await createImageBitmap(new Blob([/** @type {BlobPart} */ (file)]), AS_STORED).catch((error) => {
    throw new ClassifierError('picture-damaged', `the picture is damaged (${error})`);
  });
  const { width, height } = bitmap;
  const context = newContext(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { rgba: context.getImageData(0, 0, width, height).data, width, height, hasAlpha: !isJpeg(file) };
}

/** @param {number} width @param {number} height */
function newContext(width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  if (!context) throw new ClassifierError('unsupported-browser', 'no 2D canvas');
  return context;
}

/**
 * Decode a JPEG at 1/n, or return null if the browser ignores the wish.
 * @param {Uint8Array} file @param {number} n @returns {Promise<Raster|null>}
 */
async function decodeReduced(file, n) {
  const [width, height] = sizeOf(file).map((side) => Math.ceil(side / n));
  const wish = { desiredWidth: width, desiredHeight: height };
  const options = { data: file, type: 'image/jpeg', colorSpaceConversion: 'none', preferAnimation: false, ...wish };
  const decoder = new ImageDecoder(/** @type {ImageDecoderInit} */ (options));
  try {
    const { image } = await decoder.decode();
    try {
      if (image.codedWidth !== width || image.codedHeight !== height) return null;
      const rgba = new Uint8Array(image.allocationSize({ format: 'RGBA' }));
      await image.copyTo(rgba, { format: 'RGBA' });
      return { rgba, width, height, hasAlpha: false };
    } finally {
      image.close();
    }
  } catch (error) {
    return null; // decoded whole, which reports a damaged picture
  } finally {
    decoder.close();
  }
}

/** Whether the browser changes pixels that are read back from a canvas, as some do against fingerprinting. */
export function findFalsifiedCanvas() {
  if (typeof OffscreenCanvas !== 'function') return false; // reported when a picture needs one
  const known = new Uint8ClampedArray(4 * PROBE_SIDE * PROBE_SIDE);
  for (let i = 0; i < known.length; i++) known[i] = i % 4 === 3 ? 255 : (i * 31) % 256;
  const context = newContext(PROBE_SIDE, PROBE_SIDE);
  context.putImageData(new ImageData(known, PROBE_SIDE, PROBE_SIDE), 0, 0);
  const found = context.getImageData(0, 0, PROBE_SIDE, PROBE_SIDE).data;
  return found.some((level, i) => level !== known[i]);
}
