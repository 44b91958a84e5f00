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
import { BundleFiles } from './bundle_files.js';
import { parseContract } from './contract.js';
import { decode, findFalsifiedCanvas, hasImageDecoder } from './decoding.js';
import { openEngine, trustOwnScripts } from './engine.js';
import { ClassifierError } from './errors.js';
import { orientationOf } from './exif.js';
import { isJpeg, sizeOf } from './formats.js';
import { prepare, reductionOf } from './preparing.js';
import { decide, probabilitiesOf } from './scoring.js';
import { GOLDEN_FILE, levelsApart, runSelfCheck } from './selfcheck.js';
import { feedMetadata, feedPicture, realValues } from './tensors.js';

export { ClassifierError };

/**
 * A label of the model.
 * @typedef {object} Label
 * @property {string} name for programs
 * @property {string} meaning in words for people; the name if the contract does not describe it
 * @property {boolean} mustNotBeMissed whether the label has a threshold of its own
 */

/** @typedef {import('./contract.js').MetadataColumn} MetadataColumn a field of what may be known about a patient */

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

/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./tensors.js').Numbers} Numbers */

/** A model with its contract. One picture is classified at a time; further calls wait. */
export class Classifier {
  #engine;
  /** @type {Promise<unknown>} the end of the last run of the model */
  #lastRun = Promise.resolve();
  /** @type {Promise<import('./decoding.js').Reduction>|null} found with the first large JPEG */
  #reduction = null;
  #isClosed = false;

  /**
   * Use `open` instead.
   * @param {BundleFiles} files @param {Contract} contract @param {import('./engine.js').Engine} engine
   */
  constructor(files, contract, engine) {
    this.#engine = engine;
    this.files = files;
    /** The content of model.json: name, version, recipe, license, intendedUse, size … */
    this.contract = contract;
    /** @type {Label[]} in the order of the outputs */
    this.labels = contract.labels.map((name) => {
      return { name, meaning: contract.meanings.get(name) ?? name, mustNotBeMissed: contract.thresholds.has(name) };
    });
    /** @type {MetadataColumn[]} in the order of the input; empty if the model takes no metadata */
    this.metadataColumns = contract.columns;
    /** Whether the model returns evidence maps. */
    this.hasEvidence = contract.evidence !== null;
    /** Whether the browser changes pixels that are read back: then only PNG files can be classified. */
    this.isCanvasFalsified = findFalsifiedCanvas();
    /** The build of the runtime in use. */
    this.build = engine.build;
  }

  /**
   * Classify a JPEG, PNG or WebP file; its orientation is applied.
   * @param {Blob} blob
   * @param {{metadata?: Record<string, string>}} [options] metadata by the names of the columns, as texts; a column
   *   that is left out or empty is blank
   * @returns {Promise<Answer>}
   */
  async classify(blob, { metadata = {} } = {}) {
    const { contract } = this;
    this.#requireOpen();
    feedMetadata(contract, metadata); // a wrong value is reported before any work
    const start = performance.now();
    const file = new Uint8Array(await blob.arrayBuffer());
    const raster = await this.#decode(file);
    const decoded = performance.now();
    const pixels = prepare(raster, orientationOf(file), contract.size, contract.policy);
    const prepared = performance.now();
    const { outputs, invokeMs } = await this.#run(pixels, metadata);
    return this.#answer(pixels, outputs, { decodeMs: decoded - start, resizeMs: prepared - decoded, invokeMs });
  }

  /**
   * Run the golden vectors: check that this browser prepares the pixels and gives the answers of Python.
   * @returns {AsyncGenerator<Check>}
   */
  async *selfCheck() {
    this.#requireOpen();
    yield* runSelfCheck({
      contract: this.contract,
      files: this.files,
      prepare: async (file) => {
        return prepare(await this.#decode(file), orientationOf(file), this.contract.size, this.contract.policy);
      },
      run: (pixels, metadata) => this.#run(pixels, metadata),
    });
  }

  /** Free the model; a second call does nothing. */
  close() {
    if (!this.#isClosed) this.#engine.close();
    this.#isClosed = true;
  }

  /** @param {Uint8Array} file */
  async #decode(file) {
    const { files, contract, isCanvasFalsified } = this;
    const isLarge = isJpeg(file) && reductionOf(...sizeOf(file), contract.size) > 1;
    if (isLarge) this.#reduction ??= chooseReduction(files, contract, isCanvasFalsified);
    return decode(file, contract.size, { reduction: (await this.#reduction) ?? 'blocks', isCanvasFalsified });
  }

  /**
   * Run the model on prepared pixels; one call at a time, because the runtime has one set of tensors.
   * @param {Uint8Array} pixels @param {Record<string, string>} metadata
   */
  async #run(pixels, metadata) {
    const { contract } = this;
    const row = feedMetadata(contract, metadata);
    /** @type {Record<string, Numbers>} */
    const inputs = { [contract.picture.name]: feedPicture(contract, pixels) };
    if (contract.metadata && row) inputs[contract.metadata.name] = row;
    const run = this.#lastRun.then(async () => {
      this.#requireOpen();
      const start = performance.now();
      const outputs = await this.#engine.run(inputs);
      return { inputs, outputs, invokeMs: performance.now() - start };
    });
    this.#lastRun = run.catch(() => {}); // an error is reported by this call alone
    return run;
  }

  /** @param {Uint8Array} pixels @param {Record<string, Numbers>} outputs @param {Timing} timing @returns {Answer} */
  #answer(pixels, outputs, timing) {
    const { contract } = this;
    /** @param {import('./contract.js').TensorRecord|null} tensor */
    const real = (tensor) => (tensor ? realValues(tensor, outputs[tensor.name]) : null);
    const answered = outputs[contract.probabilities.name];
    const probabilities = probabilitiesOf(contract, realValues(contract.probabilities, answered));
    const [map, share] = [real(contract.evidence), real(contract.metadataEvidence)];
    return {
      ...decide(contract, probabilities, real(contract.familiarity)?.[0] ?? null, pixels),
      evidence: (label) => {
        const index = this.#indexOf(label);
        if (!map || !contract.evidence) return null;
        const [, height, width, labels] = contract.evidence.shape;
        return { width, height, values: map.filter((_, i) => i % labels === index) };
      },
      metadataEvidence: (label) => share?.[this.#indexOf(label)] ?? null,
      square: toImageData(pixels, contract.size),
      timing,
    };
  }

  /** @param {string} label */
  #indexOf(label) {
    const index = this.contract.labels.indexOf(label);
    if (index < 0) throw new RangeError(`${label}: is not a label of this model`);
    return index;
  }

  #requireOpen() {
    if (this.#isClosed) throw new ClassifierError('closed', 'this classifier is closed: open another one');
  }
}

/** @param {Uint8Array} pixels RGB @param {number} size */
function toImageData(pixels, size) {
  const image = new ImageData(size, size);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    image.data.set(pixels.subarray(from, from + 3), to);
    image.data[to + 3] = 255;
  }
  return image;
}

/**
 * Choose how large JPEGs are decoded in this browser: as gives the pixels that are nearer to those of Python for a
 * golden picture. Both ways are tried, because browsers differ in what their ImageDecoder does.
 * @param {BundleFiles} files @param {Contract} contract @param {boolean} isCanvasFalsified
 * @returns {Promise<import('./decoding.js').Reduction>}
 */
async function chooseReduction(files, contract, isCanvasFalsified) {
  if (!hasImageDecoder() || isCanvasFalsified || !files.has(GOLDEN_FILE)) return 'blocks';
  const { vectors } = await files.readJson(GOLDEN_FILE);
  for (const vector of vectors) {
    const picture = await files.read(`model/golden/${vector.picture}`, vector.picture_sha256);
    if (!isJpeg(picture) || reductionOf(...sizeOf(picture), contract.size) === 1) continue;
    const wanted = await files.read(`model/golden/${vector.pixels}`, vector.pixels_sha256);
    /** @param {import('./decoding.js').Reduction} reduction */
    const apart = async (reduction) => {
      const raster = await decode(picture, contract.size, { reduction, isCanvasFalsified });
      return levelsApart(wanted, prepare(raster, orientationOf(picture), contract.size, contract.policy));
    };
    return (await apart('decoder')) < (await apart('blocks')) ? 'decoder' : 'blocks';
  }
  return 'blocks';
}

/**
 * Open the bundle in a folder; its files are compared with files.json and model.json. A page can open one bundle.
 *
 * A page that enforces Trusted Types must allow a policy named `default`, which lets scripts of this folder pass.
 * @param {URL|string} base the folder, with a slash at its end
 * @returns {Promise<Classifier>}
 */
export async function open(base) {
  const folder = new URL(base);
  trustOwnScripts(folder);
  const files = await BundleFiles.open(folder);
  const contract = parseContract(await files.readJson('model/model.json'));
  return new Classifier(files, contract, await openEngine(files, contract));
}
