// @ts-check
/**
 * The model of this bundle in a browser: pictures in, answers out. Nothing is sent anywhere.
 *
 *     import { open } from './js/classifier.js';
 *     const classifier = await open(new URL('./', import.meta.url));
 *     const answer = await classifier.classify(file, { metadata: { age: '34' } });
 *
 * The answers are those of a model, not a diagnosis.
 */

/**
 * A label of the model.
 * @typedef {object} Label
 * @property {string} name for programs
 * @property {string} meaning in words for people; the name if the contract does not describe it
 * @property {boolean} mustNotBeMissed whether the label has a threshold of its own
 */

/**
 * A field of what may be known about a patient: a number of a range, or one of several categories.
 * @typedef {object} MetadataColumn
 * @property {string} name
 * @property {boolean} isNumeric
 * @property {number} minimum the least number that the model was trained on; 0 for a category
 * @property {number} maximum the greatest number that the model was trained on; 0 for a category
 * @property {string[]} categories empty for a number
 */

/**
 * @typedef {object} Score
 * @property {string} label
 * @property {string} meaning
 * @property {number} probability calibrated, between 0 and 1
 * @property {boolean} called whether the label must not be missed, and its probability reaches its threshold
 */

/**
 * Where the answer comes from: the evidence for a label (above 0) or against it in each cell of a coarse grid over
 * the square. It does not show where a disease is.
 * @typedef {object} EvidenceMap
 * @property {number} width columns
 * @property {number} height rows
 * @property {Float64Array} values row by row
 */

/**
 * @typedef {object} Timing
 * @property {number} decodeMs
 * @property {number} resizeMs
 * @property {number} invokeMs of the model alone
 */

/**
 * The answer for one picture.
 * @typedef {object} Answer
 * @property {Score[]} scores all labels, the most probable first
 * @property {string|null} label the most probable label; null if there is a refusal: show the refusal instead
 * @property {boolean} isSure false if the model abstains
 * @property {boolean|null} unlikeTraining whether the picture is unlike the training pictures; null if not measured
 * @property {number|null} distance to the training pictures, whose mean is 1; null if not measured
 * @property {'too dark'|'overexposed'|'too blurred'|null} fault of the picture, which can be taken again
 * @property {string|null} refusal why no label should be shown: the fault, "unlike the pictures this model was
 *   trained on", "not sure"; or null
 * @property {(label: string) => EvidenceMap|null} evidence null if the model does not return it
 * @property {(label: string) => number|null} metadataEvidence the share of the metadata in the label's logit; null if
 *   the model does not return it
 * @property {ImageData} square the pixels that the model saw
 * @property {Timing} timing
 */

/**
 * One thing that the self-check checked.
 * @typedef {object} Check
 * @property {string} name
 * @property {boolean} isPassed
 * @property {string} detail
 */

/**
 * What an error is about, for a page that has its own words:
 * - `insecure-context`: neither https nor localhost
 * - `unsupported-browser`: a part of the browser is missing, such as WebAssembly with SIMD
 * - `file-missing`, `file-changed`: a file of the bundle cannot be loaded, or has other bytes
 * - `unsupported-contract`: model.json is of another version of the program
 * - `not-a-picture`, `picture-unsupported` (HEIC, TIFF, GIF, BMP), `picture-too-large`, `picture-damaged`
 * - `falsified-canvas`: the browser changes pixels that are read back, so that only PNG files can be used
 * - `invalid-metadata`: an unknown column or category, a number that is not one or is out of range
 * - `no-golden-vectors`: the bundle was packaged without
 * - `closed`: the classifier was closed
 * @typedef {'insecure-context'|'unsupported-browser'|'file-missing'|'file-changed'|'unsupported-contract'|
 *   'not-a-picture'|'picture-unsupported'|'picture-too-large'|'picture-damaged'|'falsified-canvas'|
 *   'invalid-metadata'|'no-golden-vectors'|'closed'} ErrorCode
 */

/** An error of this code; its message is in English. */
export class ClassifierError extends Error {
  /** @param {ErrorCode} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = 'ClassifierError';
    this.code = code;
  }
}

/** A model with its contract. One picture at a time; further calls wait. */
export class Classifier {
  /** @type {import('./contract.js').Contract} the content of model.json: name, version, recipe, license, intendedUse, size … */
  contract;
  /** @type {Label[]} in the order of the outputs */
  labels;
  /** @type {MetadataColumn[]} in the order of the input; empty if the model takes no metadata */
  metadataColumns;
  /** Whether the model returns evidence maps. */
  hasEvidence = false;
  /** Whether the browser changes pixels that are read back: then only PNG files can be classified. */
  isCanvasFalsified = false;
  /** The build of the runtime in use. */
  build = '';

  /**
   * Classify a JPEG, PNG or WebP file; its orientation is applied.
   * @param {Blob} blob
   * @param {{metadata?: Record<string, string>}} [options] metadata by the names of the columns, as texts; a column
   *   that is left out or empty is blank
   * @returns {Promise<Answer>}
   */
  async classify(blob, options = {}) {
    throw new Error('not written yet');
  }

  /**
   * Run the golden vectors: check that this browser prepares the pixels and gives the answers of Python.
   * @returns {AsyncGenerator<Check>}
   */
  async *selfCheck() {
    throw new Error('not written yet');
  }

  /** Free the model; a second call does nothing. */
  close() {}
}

/**
 * Open the bundle in a folder; the files are compared with files.json and model.json. A page can open one bundle.
 * @param {URL|string} base the folder, with a slash at its end
 * @returns {Promise<Classifier>}
 */
export async function open(base) {
  throw new Error('not written yet');
}
