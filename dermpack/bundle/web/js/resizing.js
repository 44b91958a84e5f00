// @ts-check
/**
 * Resize by the one exact integer algorithm of training (dermpack/imaging/preprocessing.py): antialiased, bilinear,
 * along the rows first and down the columns second, each pass rounding to whole levels.
 *
 * Every bit counts: fractions are doubles, computed in the order written; weights have 22 bits.
 */

const BITS = 22;
const HALF = 1 << (BITS - 1);

/**
 * Return the inputs that each output is made of, and their weights.
 * @param {number} from @param {number} to
 */
export function buildFilter(from, to) {
  const first = new Int32Array(to);
  const weights = [];
  const scale = from / to;
  const reach = Math.max(scale, 1);
  const slope = 1 / reach;
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    first[i] = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), from);
    const shares = new Float64Array(last - first[i]);
    let total = 0;
    for (let x = first[i]; x < last; x++) {
      const share = Math.max(1 - Math.abs((x - centre + 0.5) * slope), 0);
      shares[x - first[i]] = share;
      total += share;
    }
    weights.push(Int32Array.from(shares, (share) => Math.trunc(0.5 + (share / total) * (1 << BITS))));
  }
  return { first, weights };
}

/**
 * A part of a picture with four bytes for each pixel. `step` and `stride` are the bytes to the right neighbour and to
 * the pixel below in the upright picture, so that a turned or mirrored picture is read without a copy.
 * @typedef {object} Part
 * @property {Uint8Array|Uint8ClampedArray} rgba
 * @property {boolean} hasAlpha
 * @property {number} origin the index of the first byte of the top left pixel
 * @property {number} step
 * @property {number} stride
 * @property {number} width
 * @property {number} height
 */

/**
 * Return the part as size × size RGB, over white where it is transparent.
 * @param {Part} part @param {number} size @returns {Uint8Array<ArrayBuffer>}
 */
export function resize(part, size) {
  const { width, height } = part;
  const across = buildFilter(width, size);
  const row = new Uint8Array(3 * width);
  const narrow = new Uint8Array(3 * size * height);
  for (let y = 0, to = 0; y < height; y++) {
    readRow(part, y, row);
    if (width === size) {
      narrow.set(row, to);
      to += row.length;
      continue;
    }
    for (let i = 0; i < size; i++) {
      const weights = across.weights[i];
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let j = 0, from = 3 * across.first[i]; j < weights.length; j++, from += 3) {
        const weight = weights[j];
        red = (red + row[from] * weight) | 0;
        green = (green + row[from + 1] * weight) | 0;
        blue = (blue + row[from + 2] * weight) | 0;
      }
      narrow[to++] = clip(red >> BITS);
      narrow[to++] = clip(green >> BITS);
      narrow[to++] = clip(blue >> BITS);
    }
  }
  return height === size ? narrow : resizeColumns(narrow, height, size);
}

/** @param {Uint8Array} pixels size columns wide @param {number} height @param {number} size */
function resizeColumns(pixels, height, size) {
  const { first, weights } = buildFilter(height, size);
  const out = new Uint8Array(3 * size * size);
  const sums = new Int32Array(3 * size);
  for (let i = 0, to = 0; i < size; i++) {
    sums.fill(HALF);
    let from = 3 * size * first[i];
    for (const weight of weights[i]) {
      for (let column = 0; column < sums.length; column++) sums[column] += pixels[from++] * weight;
    }
    for (const sum of sums) out[to++] = clip(sum >> BITS);
  }
  return out;
}

/** Write one row of the upright part as RGB. @param {Part} part @param {number} y @param {Uint8Array} row */
function readRow({ rgba, hasAlpha, origin, step, stride, width }, y, row) {
  for (let x = 0, from = origin + y * stride, to = 0; x < width; x++, from += step, to += 3) {
    const alpha = hasAlpha ? rgba[from + 3] : 255;
    for (let channel = 0; channel < 3; channel++) {
      const level = rgba[from + channel];
      row[to + channel] = alpha === 255 ? level : overWhite(level, alpha);
    }
  }
}

/** Return round((alpha * level + (255 - alpha) * 255) / 255). @param {number} level @param {number} alpha */
function overWhite(level, alpha) {
  const sum = alpha * level + (255 - alpha) * 255 + 128;
  return ((sum >> 8) + sum) >> 8;
}

/** @param {number} value */
const clip = (value) => (value > 255 ? 255 : value);
