// @ts-check
/** Recognise the format of a picture by its first bytes, read its size, and refuse what is not decoded. */
import { ClassifierError } from './errors.js';

const MOST_BYTES = 64 * 1024 * 1024; // as in Python
const MOST_PIXELS = 64 * 1024 * 1024;
const MOST_SIDE = 1 << 15;
const LAST_START_OF_FRAME = 0xcf;
const NOT_START_OF_FRAME = [0xc4, 0xc8, 0xcc]; // tables, among the markers of frames
const ANIMATION_FLAG = 2; // of a WebP
// What people are likely to choose, to name it in a message.
const OTHERS = /** @type {[string, number, string][]} */ ([
  ['HEIC', 4, 'ftyphei'],
  ['HEIC', 4, 'ftyphev'],
  ['HEIC', 4, 'ftypmif1'],
  ['AVIF', 4, 'ftypavi'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['GIF', 0, 'GIF8'],
  ['BMP', 0, 'BM'],
]);

/** @param {Uint8Array} data @param {number} at @param {string} text of characters up to U+00FF */
export function hasText(data, at, text) {
  if (at < 0 || at + text.length > data.length) return false;
  for (let i = 0; i < text.length; i++) if (data[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** @param {Uint8Array} data */
export const viewOf = (data) => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** @param {Uint8Array} file */
export const isJpeg = (file) => hasText(file, 0, '\xff\xd8\xff');
/** @param {Uint8Array} file */
export const isPng = (file) => hasText(file, 0, '\x89PNG');
/** @param {Uint8Array} file */
export const isWebp = (file) => hasText(file, 0, 'RIFF') && hasText(file, 8, 'WEBP');

/** Check that a file is a picture that is decoded here. @param {Uint8Array} file */
export function requirePicture(file) {
  if (file.length > MOST_BYTES) throw new ClassifierError('picture-too-large', 'more than 64 MiB');
  if (!isJpeg(file) && !isPng(file) && !isWebp(file)) {
    const other = OTHERS.find(([, at, text]) => hasText(file, at, text));
    if (!other) throw new ClassifierError('not-a-picture', 'not a picture: choose a JPEG, PNG or WebP file');
    throw new ClassifierError('picture-unsupported', `${other[0]} is not supported: choose a JPEG, PNG or WebP file`);
  }
  if (isAnimated(file)) throw new ClassifierError('picture-unsupported', 'an animation: save a single frame of it');
  const [width, height] = sizeOf(file);
  if (width * height > MOST_PIXELS || Math.max(width, height) > MOST_SIDE) {
    throw new ClassifierError('picture-too-large', `${width} × ${height} pixels`);
  }
}

/** @param {Uint8Array} file */
function isAnimated(file) {
  if (isWebp(file)) return hasText(file, 12, 'VP8X') && (file[20] & ANIMATION_FLAG) !== 0;
  return isPng(file) && findChunk(file, 'acTL') !== null;
}

/** Return the content of a chunk of a PNG before its pixels. @param {Uint8Array} file @param {string} name */
function findChunk(file, name) {
  const view = viewOf(file);
  for (let at = 8; at + 12 <= file.length && !hasText(file, at + 4, 'IDAT'); ) {
    const length = view.getUint32(at);
    if (hasText(file, at + 4, name)) return file.subarray(at + 8, at + 8 + length);
    at += 12 + length;
  }
  return null;
}

/** Return width and height as they are stored. @param {Uint8Array} file @returns {[number, number]} */
export function sizeOf(file) {
  try {
    const [width, height] = isPng(file) ? sizeOfPng(file) : isJpeg(file) ? sizeOfJpeg(file) : sizeOfWebp(file);
    if (width > 0 && height > 0) return [width, height];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a RangeError: the file ends too early
  }
  throw new ClassifierError('picture-damaged', 'the picture is damaged: it has no size');
}

/** @param {Uint8Array} file @returns {[number, number]} */
function sizeOfPng(file) {
  const view = viewOf(file);
  return [view.getUint32(16), view.getUint32(20)];
}

/** @param {Uint8Array} file @returns {[number, number]} */
function sizeOfJpeg(file) {
  const view = viewOf(file);
  for (let at = 2; ; ) {
    while (hasText(file, at, '\xff\xff')) at++;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= LAST_START_OF_FRAME && !NOT_START_OF_FRAME.includes(marker);
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += 2 + Math.max(view.getUint16(at + 2), 2);
  }
}

/** @param {Uint8Array} file @returns {[number, number]} */
function sizeOfWebp(file) {
  const view = viewOf(file);
  const at24 = (/** @type {number} */ at) => (view.getUint8(at + 2) << 16) | view.getUint16(at, true);
  if (hasText(file, 12, 'VP8X')) return [at24(24) + 1, at24(27) + 1];
  if (hasText(file, 12, 'VP8L')) {
    const bits = view.getUint32(21, true); // 14 bits each, minus 1
    return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
  }
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
}
