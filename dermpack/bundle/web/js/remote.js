// @ts-check
/** The interface of classifier.js for a server that computes the answers: each picture is sent to it. */
import { decode, findFalsifiedCanvas } from './decoding.js';
import { ClassifierError } from './errors.js';
import { orientationOf } from './exif.js';
import { prepare } from './preparing.js';
import { NOT_SURE, UNLIKE } from './scoring.js';

/** @typedef {import('./classifier.js').Answer} Answer */

const MODEL = 'api/v1/model';
const PREDICTIONS = 'api/v1/predictions';
const BUSY = [429, 503];
// What a server says about a picture, in the words of this page; any other code that starts with "picture-" is damage.
/** @type {Record<string, import('./errors.js').ErrorCode>} */
const PICTURE_CODES = {
  'picture-not-a-picture': 'not-a-picture',
  'picture-empty': 'not-a-picture',
  'picture-animated': 'picture-unsupported',
  'picture-missing-extra': 'picture-unsupported',
  'picture-too-heavy': 'picture-too-large',
  'picture-too-large': 'picture-too-large',
  'picture-decompression-bomb': 'picture-too-large',
};

/** An error of the server, or of the way to it. */
export class ServerError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = 'ServerError';
    this.code = code;
  }
}

/** The model of a server. */
export class RemoteClassifier {
  /** @param {URL} base @param {any} json the contract: model.json of the server */
  constructor(base, json) {
    this.base = base;
    const { picture, metadata } = inputsOf(json);
    const { name, version, license, intended_use: intendedUse } = json;
    this.contract = { name, version, license, intendedUse, recipe: json.recipe.name, size: picture.width };
    this.policy = picture.policy;
    const meanings = new Map(Object.entries(json.meanings ?? {}));
    const thresholds = new Set(json.thresholds.map((/** @type {any} */ point) => point.label));
    /** @type {import('./classifier.js').Label[]} */
    this.labels = json.labels.map((/** @type {string} */ label) => {
      return { name: label, meaning: meanings.get(label) ?? label, mustNotBeMissed: thresholds.has(label) };
    });
    this.metadataColumns = (metadata?.columns ?? []).map((/** @type {any} */ column) => {
      const { minimum = 0, maximum = 0, categories = [] } = column;
      return { name: column.name, isNumeric: column.kind === 'numeric', minimum, maximum, categories };
    });
    this.hasEvidence = false;
    this.isCanvasFalsified = false; // the server decodes the picture
    this.build = 'server';
  }

  /**
   * Send a picture, and return the answer of the server.
   * @param {Blob} blob
   * @param {{metadata?: Record<string, string>}} [options]
   * @returns {Promise<Omit<Answer, 'square'|'timing'> & {square: ImageData|null, timing: {totalMs: number}}>}
   */
  async classify(blob, { metadata = {} } = {}) {
    const url = new URL(PREDICTIONS, this.base);
    url.search = new URLSearchParams(Object.entries(metadata).filter(([, value]) => value !== '')).toString();
    const start = performance.now();
    const type = blob.type.startsWith('image/') ? blob.type : 'application/octet-stream';
    const response = await ask(url, { method: 'POST', body: blob, headers: { 'Content-Type': type } });
    const [picture] = (await response.json()).pictures;
    const totalMs = performance.now() - start;
    const called = picture.operating_points.filter((/** @type {any} */ point) => point.reached);
    const calledLabels = new Set(called.map((/** @type {any} */ point) => point.label));
    const scores = picture.top.map((/** @type {any} */ { label, probability, output }) => {
      const meaning = this.labels.find((known) => known.name === label)?.meaning ?? label;
      return { label, meaning, probability: probability ?? output, called: calledLabels.has(label) };
    });
    const unlikeTraining = picture.familiar === null ? null : !picture.familiar;
    const isSure = picture.sure !== false; // null: the model has no threshold
    const refusal = picture.fault ?? (unlikeTraining ? UNLIKE : isSure ? null : NOT_SURE);
    return {
      scores,
      label: picture.label,
      isSure,
      unlikeTraining,
      distance: picture.distance,
      fault: picture.fault,
      refusal,
      evidence: () => null,
      metadataEvidence: () => null,
      square: await this.#square(blob),
      timing: { totalMs },
    };
  }

  /** The square as the server prepares it; null for a file that only the server can decode. @param {Blob} blob */
  async #square(blob) {
    const { size } = this.contract;
    try {
      const file = new Uint8Array(await blob.arrayBuffer());
      const isCanvasFalsified = findFalsifiedCanvas();
      const raster = await decode(file, size, { reduction: 'blocks', isCanvasFalsified });
      const pixels = prepare(raster, orientationOf(file), size, this.policy);
      const image = new ImageData(size, size);
      for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
        image.data.set([...pixels.subarray(from, from + 3), 255], to);
      }
      return image;
    } catch (error) {
      if (error instanceof ClassifierError) return null;
      throw error;
    }
  }

  /** A server checks itself. @returns {AsyncGenerator<import('./classifier.js').Check>} */
  async *selfCheck() {
    throw new ClassifierError('no-golden-vectors', 'the server computes the answers');
  }

  close() {}
}

/** The records of the inputs, of both versions of the contract. @param {any} json */
function inputsOf(json) {
  /** @type {any[]} */
  const inputs = Object.values(json.inputs ?? {});
  const find = (/** @type {string} */ role) => inputs.find((input) => input.role === role);
  return { picture: json.input ?? find('picture'), metadata: find('metadata') };
}

/** @param {URL} url @param {RequestInit} [request] */
async function ask(url, request) {
  const response = await fetch(url, request).catch((error) => {
    throw new ServerError('server-failed', String(error));
  });
  if (response.ok) return response;
  if (BUSY.includes(response.status)) throw new ServerError('server-busy', 'the server is busy');
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ? `${problem.detail}. ${problem.hint ?? ''}`.trim() : `status ${response.status}`;
  const code = problem.code ?? '';
  if (code.startsWith('picture-')) throw new ServerError(PICTURE_CODES[code] ?? 'picture-damaged', detail);
  throw new ServerError('server-failed', detail);
}

/**
 * Ask the server of a folder for its model.
 * @param {URL|string} base the folder, with a slash at its end
 */
export async function open(base) {
  const folder = new URL(base);
  const response = await ask(new URL(MODEL, folder));
  return new RemoteClassifier(folder, await response.json());
}
