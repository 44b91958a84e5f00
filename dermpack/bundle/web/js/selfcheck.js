// @ts-check
/** Run the golden vectors: check that this browser prepares the pixels and gives the answers of Python. */
import { sha256Of } from './bundle_files.js';
import { ClassifierError } from './errors.js';
import { probabilitiesOf } from './scoring.js';
import { realValues } from './tensors.js';

/** @typedef {import('./classifier.js').Check} Check */
/** @typedef {import('./tensors.js').Numbers} Numbers */

/**
 * What the self-check needs of a classifier.
 * @typedef {object} Checked
 * @property {import('./contract.js').Contract} contract
 * @property {import('./bundle_files.js').BundleFiles} files
 * @property {(file: Uint8Array) => Promise<Uint8Array>} prepare
 * @property {(pixels: Uint8Array, metadata: Record<string, string>) => Promise<{inputs: Record<string, Numbers>,
 *   outputs: Record<string, Numbers>}>} run
 */

const FOLDER = 'model/golden/';
export const GOLDEN_FILE = `${FOLDER}golden.json`;

/** Yield all checks, passed and failed. @param {Checked} classifier @returns {AsyncGenerator<Check>} */
export async function* runSelfCheck(classifier) {
  const { files } = classifier;
  if (!files.has(GOLDEN_FILE)) {
    const hint = 'package it with --golden-in main';
    throw new ClassifierError('no-golden-vectors', `this bundle contains no golden vectors: ${hint}`);
  }
  const golden = await files.readJson(GOLDEN_FILE);
  for (const vector of golden.vectors) {
    yield await checkPixels(classifier, golden, vector);
    yield* checkAnswer(classifier, golden, vector);
  }
}

/**
 * Return the mean difference of two lists of levels.
 * @param {Uint8Array} wanted @param {Uint8Array} found
 */
export function levelsApart(wanted, found) {
  if (wanted.length !== found.length) return 255;
  let sum = 0;
  for (let i = 0; i < wanted.length; i++) sum += Math.abs(wanted[i] - found[i]);
  return sum / wanted.length;
}

/**
 * Check that the file is prepared to the pixels of Python.
 * @param {Checked} classifier @param {any} golden @param {any} vector @returns {Promise<Check>}
 */
async function checkPixels({ contract, files, prepare, run }, golden, vector) {
  const name = `${vector.picture}: pixels`;
  const wanted = await files.read(FOLDER + vector.pixels, vector.pixels_sha256);
  const picture = await files.read(FOLDER + vector.picture, vector.picture_sha256);
  let found;
  try {
    found = await prepare(picture);
  } catch (error) {
    if (!(error instanceof ClassifierError)) throw error;
    return { name, isPassed: false, detail: `cannot be decoded: ${error.message}` };
  }
  const apart = levelsApart(wanted, found);
  let isPassed = apart === 0;
  if (!vector.is_exact && apart > 0 && apart <= golden.most_levels_apart) {
    // The pixels of another decoder must get the label of Python.
    const { outputs } = await run(found, vector.metadata ?? {});
    isPassed = isLabel(vector.expected[contract.recipe], answered(contract, outputs).label);
  }
  return { name, isPassed, detail: apart === 0 ? 'same bytes' : `${apart.toFixed(2)} levels apart` };
}

/** @param {any} expected @param {string} label */
const isLabel = (expected, label) => label === expected.label || expected.is_close;

/** @param {import('./contract.js').Contract} contract @param {Record<string, Numbers>} outputs */
function answered(contract, outputs) {
  const { name } = contract.probabilities;
  const probabilities = probabilitiesOf(contract, realValues(contract.probabilities, outputs[name]));
  return { probabilities, label: contract.labels[probabilities.indexOf(Math.max(...probabilities))] };
}

/**
 * Check that the pixels of Python give the outputs of Python.
 * @param {Checked} classifier @param {any} golden @param {any} vector @returns {AsyncGenerator<Check>}
 */
async function* checkAnswer({ contract, files, run }, golden, vector) {
  const expected = vector.expected[contract.recipe];
  const name = `${vector.picture}: answer`;
  const pixels = await files.read(FOLDER + vector.pixels, vector.pixels_sha256);
  const output = await files.read(FOLDER + expected.output, expected.output_sha256);
  const { inputs, outputs } = await run(pixels, vector.metadata ?? {});
  const fedMetadata = contract.metadata ? await sha256Of(bytesOf(inputs[contract.metadata.name])) : '';
  const fed = await sha256Of(bytesOf(inputs[contract.picture.name]));
  if (fed !== expected.fed_sha256 || fedMetadata !== (expected.fed_metadata_sha256 ?? '')) {
    yield { name, isPassed: false, detail: 'the bytes of an input differ from those of Python' };
  } else {
    const { probabilities, label } = answered(contract, outputs);
    const apart = mostApart(expected.probabilities, probabilities);
    const isSame = isEqual(bytesOf(outputs[contract.probabilities.name]), output);
    const isRight = isLabel(expected, label);
    const detail = isSame ? 'same bytes' : `${apart.toFixed(4)} apart${isRight ? '' : ', another label'}`;
    const isPassed = isRight && apart <= golden.variants[contract.recipe].most_apart;
    yield { name, isPassed, detail: `${label}, ${detail}` };
  }
  for (const [other, wanted] of Object.entries(expected.more ?? {})) {
    const data = await files.read(FOLDER + wanted.output, wanted.output_sha256);
    yield checkOutput(contract, `${vector.picture}: ${other}`, other, outputs[other], data, wanted.most_mean_apart);
  }
}

/**
 * Check another output than the probabilities: equal to Python's, or close on other kernels.
 * @param {import('./contract.js').Contract} contract
 * @param {string} name @param {string} output @param {Numbers} numbers
 * @param {Uint8Array<ArrayBuffer>} wanted @param {number} most @returns {Check}
 */
function checkOutput(contract, name, output, numbers, wanted, most) {
  if (isEqual(bytesOf(numbers), wanted)) return { name, isPassed: true, detail: 'same bytes' };
  const tensor = contract.outputs.find((one) => one.name === output);
  if (!tensor) return { name, isPassed: false, detail: 'the contract has no such output' };
  const floats = () => /** @type {Float32Array<ArrayBuffer>} */ (new Float32Array(wanted.buffer));
  const wantedNumbers = tensor.dtype === 'float32' ? floats() : wanted;
  const real = realValues(tensor, numbers);
  const sum = realValues(tensor, wantedNumbers).reduce((total, value, i) => total + Math.abs(value - real[i]), 0);
  const apart = sum / real.length;
  return { name, isPassed: apart <= most, detail: `${apart.toFixed(4)} apart` };
}

/** @param {number[]} wanted @param {number[]} found */
function mostApart(wanted, found) {
  return wanted.length === found.length ? Math.max(...wanted.map((value, i) => Math.abs(value - found[i]))) : 1;
}

/** @param {Numbers} numbers */
const bytesOf = (numbers) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/** @param {Uint8Array} one @param {Uint8Array} other */
const isEqual = (one, other) => one.length === other.length && one.every((value, i) => value === other[i]);
