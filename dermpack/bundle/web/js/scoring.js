// @ts-check
/** Turn the outputs of the model into an answer: calibrated probabilities, called labels, reasons to show no label. */

/** @typedef {import('./contract.js').Contract} Contract */

export const UNLIKE = 'unlike the pictures this model was trained on';
export const NOT_SURE = 'not sure';
const BRIGHT_PERCENT = 95;
const WHITE_LUMA = 250;

/**
 * Return the probabilities in the order of the labels.
 * @param {Contract} contract @param {Float64Array} real @returns {number[]}
 */
export function probabilitiesOf(contract, real) {
  const shares = contract.isApplied ? Array.from(real) : activated(contract, real);
  const all = contract.isSigmoid ? [1 - shares[0], shares[0]] : shares;
  const { temperature, floor } = contract;
  if (temperature === 1 && floor === 0) return all;
  return softmax(all.map((share) => Math.log(Math.max(share, floor)) / temperature));
}

/**
 * The activation of logits, where the file does not contain it.
 * @param {Contract} contract @param {Float64Array} logits
 */
function activated(contract, logits) {
  return contract.isSigmoid ? [1 / (1 + Math.exp(-logits[0]))] : softmax(Array.from(logits));
}

/** @param {number[]} logits */
function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * Return the decisions that follow from probabilities, distance and pixels.
 * @param {Contract} contract @param {number[]} probabilities @param {number|null} distance @param {Uint8Array} pixels
 */
export function decide(contract, probabilities, distance, pixels) {
  const scores = contract.labels.map((label, index) => {
    const threshold = contract.thresholds.get(label);
    const probability = probabilities[index];
    const called = threshold !== undefined && probability >= threshold;
    return { label, meaning: contract.meanings.get(label) ?? label, probability, called };
  });
  scores.sort((one, other) => other.probability - one.probability); // stable: of equals, the first label
  const isSure = scores[0].probability >= contract.abstainBelow;
  const { unlikeAbove } = contract;
  const unlikeTraining = distance === null || unlikeAbove === null ? null : !(distance <= unlikeAbove); // true for NaN
  const fault = contract.gates ? findFault(measureQuality(pixels, contract.size), contract.gates) : null;
  const refusal = fault ?? (unlikeTraining ? UNLIKE : isSure ? null : NOT_SURE);
  return { scores, label: refusal === null ? scores[0].label : null, isSure, unlikeTraining, distance, fault, refusal };
}

/**
 * Measure a prepared square, RGB, row by row, in the whole numbers that Python computes: the mean squared Laplacian
 * (low where a picture is blurred), the luma that 95 % of the pixels do not exceed, and the percentage of white ones.
 * @param {Uint8Array} pixels @param {number} size
 */
export function measureQuality(pixels, size) {
  const luma = new Uint8Array(size * size);
  const counts = new Int32Array(256);
  for (let i = 0; i < luma.length; i++) {
    luma[i] = (77 * pixels[3 * i] + 150 * pixels[3 * i + 1] + 29 * pixels[3 * i + 2]) >> 8;
    counts[luma[i]]++;
  }
  let squares = 0;
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      const i = y * size + x;
      const edge = 4 * luma[i] - luma[i - 1] - luma[i + 1] - luma[i - size] - luma[i + size];
      squares += edge * edge; // exact: below 2 ** 53 for every size that a contract allows
    }
  }
  let brightness = 0;
  for (let below = counts[0]; brightness < 255 && 100 * below < BRIGHT_PERCENT * luma.length; ) {
    brightness++;
    below += counts[brightness];
  }
  const white = counts.subarray(WHITE_LUMA).reduce((sum, count) => sum + count, 0);
  return {
    sharpness: Math.floor(squares / (size - 2) ** 2),
    brightness,
    whitePercent: Math.floor((100 * white) / luma.length),
  };
}

/**
 * Return the first fault; a dark or a white picture has few edges, so blur comes last.
 * @param {ReturnType<typeof measureQuality>} quality @param {import('./contract.js').QualityGates} gates
 * @returns {'too dark'|'overexposed'|'too blurred'|null}
 */
function findFault(quality, gates) {
  if (quality.brightness < gates.leastBrightness) return 'too dark';
  if (quality.whitePercent > gates.mostWhitePercent) return 'overexposed';
  return quality.sharpness < gates.leastSharpness ? 'too blurred' : null;
}
