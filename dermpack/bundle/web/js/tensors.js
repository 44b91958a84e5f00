// @ts-check
/** Turn pixels and metadata into the numbers of an input, and the numbers of an output into real values. */
import { ClassifierError } from './errors.js';

/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./contract.js').TensorRecord} TensorRecord */
/** @typedef {Uint8Array<ArrayBuffer>|Float32Array<ArrayBuffer>} Numbers */

const CHANNELS = 3;
const RANGE_ERROR = 0.02; // a zero point of 127 or 128 stands for 127.5
const LEVELS = 256;
// As in Python, stricter than Number(): no infinities, no hexadecimal digits.
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?$/;

/**
 * Return the numbers of the input for a prepared square, RGB, row by row: (pixel - mean) / std of its channel, then
 * quantized. The channels are in the order of the input.
 * @param {Contract} contract @param {Uint8Array} pixels @returns {Numbers}
 */
export function feedPicture(contract, pixels) {
  const { picture, mean, std, isBgr, isChannelsFirst } = contract;
  const tables = mean.map((_, channel) => numbersOfLevels(picture, mean[channel], std[channel]));
  const numbers = picture.dtype === 'float32' ? new Float32Array(pixels.length) : new Uint8Array(pixels.length);
  const places = pixels.length / CHANNELS;
  for (let place = 0; place < places; place++) {
    for (let channel = 0; channel < CHANNELS; channel++) {
      const level = pixels[place * CHANNELS + (isBgr ? CHANNELS - 1 - channel : channel)];
      numbers[isChannelsFirst ? channel * places + place : place * CHANNELS + channel] = tables[channel][level];
    }
  }
  return numbers;
}

/**
 * Return the number of the input for each level of a pixel.
 * @param {TensorRecord} input @param {number} mean @param {number} std
 */
function numbersOfLevels(input, mean, std) {
  const isOwnRange = input.scale === 0 || isPixels(input, -mean / std, (LEVELS - 1 - mean) / std);
  const isRaw = input.dtype === 'uint8' && isOwnRange;
  return Array.from({ length: LEVELS }, (_, level) => (isRaw ? level : quantized(input, (level - mean) / std)));
}

/**
 * Whether the numbers of an input stand for these real values of the levels 0 and 255.
 * @param {TensorRecord} input @param {number} low @param {number} high
 */
function isPixels({ scale, zeroPoint }, low, high) {
  const apart = [-zeroPoint * scale - low, (LEVELS - 1 - zeroPoint) * scale - high];
  return Math.max(...apart.map(Math.abs)) <= RANGE_ERROR * (high - low);
}

/** @param {TensorRecord} tensor @param {number} value */
function quantized(tensor, value) {
  if (tensor.dtype === 'float32' || tensor.scale === 0) return value;
  return Math.min(Math.max(roundedToEven(value / tensor.scale) + tensor.zeroPoint, 0), LEVELS - 1);
}

/** Round to the nearest whole number, ties to even, as Python and Java do. @param {number} value */
function roundedToEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Return the numbers of the input for the metadata. A number has two slots, (value - mean) / std and 0, or for a
 * blank 0 and 1; a category has one slot for each category and one for a blank.
 * @param {Contract} contract @param {Record<string, string>} cells @returns {Numbers|null} null if the model takes none
 */
export function feedMetadata(contract, cells) {
  const { columns, metadata } = contract;
  const names = columns.map(({ name }) => name);
  for (const name of Object.keys(cells)) {
    if (!names.includes(name)) throw invalid(`the model has no metadata column ${name}`);
  }
  if (!metadata) return null;
  const slots = columns.flatMap((column) => {
    const cell = String((Object.hasOwn(cells, column.name) && cells[column.name]) || '').trim();
    if (column.isNumeric) return cell ? [(parseNumber(column, cell) - column.mean) / column.std, 0] : [0, 1];
    if (cell && !column.categories.includes(cell)) {
      throw invalid(`${column.name}=${cell} is not one of ${column.categories.join(', ')}; leave the field blank`);
    }
    return [...column.categories.map((category) => Number(cell === category)), Number(cell === '')];
  });
  const row = Float32Array.from(slots); // each double is rounded to the nearest float32 first, as in Python
  return metadata.dtype === 'float32' ? row : Uint8Array.from(row, (value) => quantized(metadata, value));
}

/** @param {import('./contract.js').MetadataColumn} column @param {string} cell */
function parseNumber({ name, minimum, maximum }, cell) {
  if (!NUMBER.test(cell)) throw invalid(`${name}=${cell} is not a number`);
  const value = Number(cell);
  if (minimum <= value && value <= maximum) return value;
  const trained = `${minimum} to ${maximum}, the values that the model was trained on`;
  throw invalid(`${name}=${cell} is outside of ${trained}; leave the field blank`);
}

/** @param {string} message */
const invalid = (message) => new ClassifierError('invalid-metadata', message);

/**
 * Return the real values of an output: 128 at scale 1/256 and zero point 0 is 0.5.
 * @param {TensorRecord} tensor @param {Numbers} numbers
 */
export function realValues({ scale, zeroPoint }, numbers) {
  return Float64Array.from(numbers, (number) => (scale === 0 ? number : (number - zeroPoint) * scale));
}
