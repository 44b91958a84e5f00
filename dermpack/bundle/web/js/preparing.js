// @ts-check
/** Turn a decoded picture into the square that the model sees: the same bytes as in training. */
import { ClassifierError } from './errors.js';
import { resize } from './resizing.js';

/**
 * A picture as it is stored, not turned upright.
 * @typedef {object} Raster
 * @property {Uint8Array|Uint8ClampedArray} rgba four bytes for each pixel, row by row
 * @property {number} width
 * @property {number} height
 * @property {boolean} hasAlpha
 */

const MARGIN = 2; // a reduced JPEG stays at least twice as large as the target, so that our filter does the work
const REDUCTIONS = [8, 4, 2];
const MIRRORED_ACROSS = [2, 3, 7, 8];
const MIRRORED_DOWN = [3, 4, 6, 7];

/**
 * Return how many times smaller Python decodes a JPEG: 1, 2, 4 or 8.
 * @param {number} width @param {number} height @param {number} size
 */
export function reductionOf(width, height, size) {
  const fits = Math.floor(Math.min(width, height) / (MARGIN * size));
  return REDUCTIONS.find((reduction) => fits >= reduction) ?? 1;
}

/**
 * Return the prepared square, RGB, row by row.
 * @param {Raster} raster @param {number} orientation 1 to 8 @param {number} size @param {string} policy
 */
export function prepare(raster, orientation, size, policy) {
  const isCut = policy === 'centre-square-1';
  if (!isCut && policy !== 'whole-1') {
    throw new ClassifierError('unsupported-contract', `model.json: the policy ${policy} is unknown`);
  }
  const isTurned = orientation >= 5;
  const width = isTurned ? raster.height : raster.width;
  const height = isTurned ? raster.width : raster.height;
  const side = Math.min(width, height);
  const part = { width: isCut ? side : width, height: isCut ? side : height };
  const left = (width - part.width) >> 1;
  const top = (height - part.height) >> 1;
  const origin = 4 * storedIndex(raster, orientation, left, top);
  const step = 4 * storedIndex(raster, orientation, left + 1, top) - origin;
  const stride = 4 * storedIndex(raster, orientation, left, top + 1) - origin;
  return resize({ rgba: raster.rgba, hasAlpha: raster.hasAlpha, origin, step, stride, ...part }, size);
}

/**
 * Return where a pixel of the upright picture is stored.
 * @param {Raster} raster @param {number} orientation @param {number} x @param {number} y
 */
function storedIndex({ width, height }, orientation, x, y) {
  const isTurned = orientation >= 5;
  const across = isTurned ? y : x;
  const down = isTurned ? x : y;
  const column = MIRRORED_ACROSS.includes(orientation) ? width - 1 - across : across;
  const row = MIRRORED_DOWN.includes(orientation) ? height - 1 - down : down;
  return row * width + column;
}

/**
 * Return the picture with each block of n × n pixels averaged: nearly what a JPEG decoder does that decodes at 1/n.
 * @param {Raster} raster without alpha @param {number} n @returns {Raster}
 */
export function averageBlocks(raster, n) {
  if (n === 1) return raster;
  const width = Math.ceil(raster.width / n);
  const height = Math.ceil(raster.height / n);
  const rgba = new Uint8Array(4 * width * height);
  const sums = new Int32Array(3 * width);
  for (let y = 0, to = 0; y < height; y++) {
    const rows = Math.min(n, raster.height - y * n);
    sums.fill(0);
    for (let j = 0; j < rows; j++) addRow(raster, y * n + j, n, sums);
    for (let x = 0; x < width; x++) {
      const count = rows * Math.min(n, raster.width - x * n);
      for (let channel = 0; channel < 3; channel++) rgba[to++] = (sums[3 * x + channel] + (count >> 1)) / count;
      rgba[to++] = 255;
    }
  }
  return { rgba, width, height, hasAlpha: false };
}

/**
 * Add the pixels of a row to the sums of their blocks.
 * @param {Raster} raster @param {number} y @param {number} n @param {Int32Array} sums
 */
function addRow({ rgba, width }, y, n, sums) {
  for (let left = 0, from = 4 * y * width, to = 0; left < width; left += n, to += 3) {
    const right = Math.min(left + n, width);
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let x = left; x < right; x++, from += 4) {
      red += rgba[from];
      green += rgba[from + 1];
      blue += rgba[from + 2];
    }
    sums[to] += red;
    sums[to + 1] += green;
    sums[to + 2] += blue;
  }
}
