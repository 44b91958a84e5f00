// @ts-check
/** Find the orientation in the bytes of a JPEG, PNG or WebP, and read nothing else of its EXIF. */
import { hasText, isJpeg, isPng, isWebp, viewOf } from './formats.js';

const ORIENTATION_TAG = 0x0112;
const SHORT = 3; // the type of a 16-bit number
const ENTRY_BYTES = 12;
const MAX_PARTS = 1 << 16; // segments or chunks before we give up
const EXIF_NAME = 'Exif\0\0';
const UPRIGHT = 1;
const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const APP1 = 0xe1;

/** Return 1 to 8; a file without EXIF, or with broken EXIF, is upright. @param {Uint8Array} file */
export function orientationOf(file) {
  try {
    const exif = findExif(file);
    const at = exif && findValue(exif);
    const number = exif && at ? viewOf(exif).getUint16(at, isLittle(exif)) : UPRIGHT;
    return number >= 1 && number <= 8 ? number : UPRIGHT;
  } catch (error) {
    if (error instanceof RangeError) return UPRIGHT; // EXIF that ends too early
    throw error;
  }
}

/**
 * Return the file without an orientation, so that every decoder gives the pixels as they are stored: what
 * `imageOrientation: 'none'` does differs between browsers and their versions.
 * @param {Uint8Array} file
 */
export function withoutOrientation(file) {
  if (orientationOf(file) === UPRIGHT) return file;
  if (isPng(file)) return withoutExifChunks(file); // a changed chunk would need another checksum
  const copy = file.slice();
  const exif = findExif(copy); // a view into the copy
  const at = exif && findValue(exif);
  if (exif && at) viewOf(exif).setUint16(at, UPRIGHT, isLittle(exif));
  return copy;
}

/** Return the TIFF structure with the EXIF, or null. @param {Uint8Array} file */
function findExif(file) {
  if (isJpeg(file)) return inJpeg(file);
  if (isPng(file)) return inPng(file);
  return isWebp(file) ? inWebp(file) : null;
}

/** @param {Uint8Array} file */
function inJpeg(file) {
  const view = viewOf(file);
  for (let at = 2, part = 0; part < MAX_PARTS; part++) {
    while (hasText(file, at, '\xff\xff')) at++;
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (file[at] !== 0xff || marker === START_OF_SCAN || marker === END_OF_IMAGE || length < 2) return null;
    if (marker === APP1 && length > 8 && hasText(file, at + 4, EXIF_NAME)) {
      return file.subarray(at + 4 + EXIF_NAME.length, at + 2 + length);
    }
    at += 2 + length;
  }
  return null;
}

/** @param {Uint8Array} file */
function inPng(file) {
  const view = viewOf(file);
  let last = null;
  for (let at = 8, part = 0; part < MAX_PARTS && at + 12 <= file.length; part++) {
    const length = view.getUint32(at);
    if (at + 12 + length > file.length || hasText(file, at + 4, 'IEND')) return last;
    if (hasText(file, at + 4, 'eXIf')) last = file.subarray(at + 8, at + 8 + length);
    at += 12 + length;
  }
  return last;
}

/** @param {Uint8Array} file */
function inWebp(file) {
  const view = viewOf(file);
  for (let at = 12, part = 0; part < MAX_PARTS && at + 8 <= file.length; part++) {
    const length = view.getUint32(at + 4, true);
    if (hasText(file, at, 'EXIF')) {
      const start = hasText(file, at + 8, EXIF_NAME) ? 8 + EXIF_NAME.length : 8;
      return file.subarray(at + start, Math.min(file.length, at + 8 + length));
    }
    at += 8 + length + (length % 2);
  }
  return null;
}

/** @param {Uint8Array} tiff */
const isLittle = (tiff) => hasText(tiff, 0, 'II*\0');

/** Return where the number of the orientation is in the first directory, or null. @param {Uint8Array} tiff */
function findValue(tiff) {
  const little = isLittle(tiff);
  if (!little && !hasText(tiff, 0, 'MM\0*')) return null;
  const view = viewOf(tiff);
  const start = view.getUint32(4, little);
  const count = view.getUint16(start, little);
  for (let entry = 0, at = start + 2; entry < count; entry++, at += ENTRY_BYTES) {
    if (view.getUint16(at, little) === ORIENTATION_TAG) {
      return view.getUint16(at + 2, little) === SHORT ? at + 8 : null;
    }
  }
  return null;
}

/** @param {Uint8Array} png */
function withoutExifChunks(png) {
  const view = viewOf(png);
  const out = new Uint8Array(png.length);
  out.set(png.subarray(0, 8));
  let to = 8;
  for (let at = 8; at + 12 <= png.length; ) {
    const end = at + 12 + view.getUint32(at);
    if (!hasText(png, at + 4, 'eXIf')) {
      out.set(png.subarray(at, end), to);
      to += Math.min(end, png.length) - at;
    }
    at = end;
  }
  return out.slice(0, to);
}
