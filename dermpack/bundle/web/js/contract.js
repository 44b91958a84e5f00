// @ts-check
/** Read model.json: what to feed to the model, what its outputs mean, and what was measured. */
import { ClassifierError } from './errors.js';

const SCHEMA = 2;
const FIRST_SCHEMA = 1; // one input and one output, which had no names

/**
 * An input or an output.
 * @typedef {object} TensorRecord
 * @property {string} name in the signature of the file
 * @property {string} role picture, metadata, probabilities, evidence, metadata_evidence or familiarity
 * @property {'uint8'|'float32'} dtype
 * @property {number[]} shape
 * @property {number} scale 0 for numbers that are not quantized
 * @property {number} zeroPoint
 */

/**
 * A field of what may be known about a patient: a number of a range, or one of several categories.
 * @typedef {object} MetadataColumn
 * @property {string} name
 * @property {boolean} isNumeric
 * @property {number} minimum the least number that the model was trained on; 0 for a category
 * @property {number} maximum the greatest number that the model was trained on; 0 for a category
 * @property {string[]} categories empty for a number
 * @property {number} mean of the training pictures
 * @property {number} std
 */

/** @typedef {{leastSharpness: number, leastBrightness: number, mostWhitePercent: number}} QualityGates */

/** @typedef {ReturnType<typeof parseContract>} Contract */

/** Return the contract in the JSON of model.json. @param {any} json */
export function parseContract(json) {
  if (json.schema !== SCHEMA && json.schema !== FIRST_SCHEMA) {
    throw new ClassifierError('unsupported-contract', `model.json: schema is ${json.schema}, not ${SCHEMA}`);
  }
  const isFirst = json.schema === FIRST_SCHEMA;
  const inputs = isFirst ? { picture: upgradedInput(json.input) } : json.inputs;
  const outputs = isFirst ? { probabilities: upgradedOutput(json) } : json.outputs;
  const tensors = [...Object.entries(inputs), ...Object.entries(outputs)].map(([name, record]) => tensor(name, record));
  const find = (/** @type {string} */ role) => tensors.find((one) => one.role === role) ?? null;
  const recordOf = (/** @type {TensorRecord|null} */ one) => (one ? (inputs[one.name] ?? outputs[one.name]) : null);
  const picture = required(find('picture'), 'picture');
  const probabilities = required(find('probabilities'), 'probabilities');
  const metadata = find('metadata');
  const familiarity = find('familiarity');
  const [input, output] = [recordOf(picture), recordOf(probabilities)];
  const quality = json.quality ?? null;
  return {
    name: /** @type {string} */ (json.name),
    version: /** @type {string} */ (json.version),
    /** How the file was quantized: int8, float16 … */
    recipe: /** @type {string} */ (json.recipe.name),
    license: /** @type {string} */ (json.license),
    intendedUse: /** @type {string} */ (json.intended_use),
    /** SHA-256 of model.tflite */
    sha256: /** @type {string} */ (json.sha256),
    labels: /** @type {string[]} */ (json.labels),
    /** Label → what it means, in words for people. */
    meanings: /** @type {Map<string, string>} */ (new Map(Object.entries(json.meanings ?? {}))),
    /** Label that must not be missed → the probability from which on it is called. */
    thresholds: new Map(json.thresholds.map((/** @type {any} */ point) => [point.label, point.threshold])),
    /** Pixels of a side of the square that the model sees. */
    size: /** @type {number} */ (input.width),
    policy: /** @type {string} */ (input.policy),
    mean: /** @type {number[]} */ (input.mean),
    std: /** @type {number[]} */ (input.std),
    isBgr: input.color === 'BGR',
    isChannelsFirst: input.layout === 'NCHW',
    /** The key of the signature whose names the tensors have; null for a file with one input and one output. */
    signature: /** @type {string|null} */ (json.signature ?? null),
    inputs: tensors.filter((one) => Object.hasOwn(inputs, one.name) && one === find(one.role)),
    outputs: tensors.filter((one) => Object.hasOwn(outputs, one.name) && one === find(one.role)),
    picture,
    probabilities,
    metadata,
    evidence: find('evidence'),
    metadataEvidence: find('metadata_evidence'),
    familiarity,
    isSigmoid: output.activation === 'sigmoid',
    /** Whether the file contains the activation; if not, its outputs are logits. */
    isApplied: /** @type {boolean} */ (output.applied ?? true),
    temperature: /** @type {number} */ (output.temperature?.value ?? 1),
    floor: /** @type {number} */ (output.temperature?.floor ?? 0),
    /** Below this confidence the answer is "not sure". */
    abstainBelow: /** @type {number} */ (json.abstention?.threshold ?? 0),
    columns: /** @type {MetadataColumn[]} */ ((recordOf(metadata)?.columns ?? []).map(column)),
    /** A picture with a greater distance is unlike the training pictures; null if no distance is measured. */
    unlikeAbove: /** @type {number|null} */ (recordOf(familiarity)?.threshold ?? null),
    gates: /** @type {QualityGates|null} */ (
      quality && {
        leastSharpness: quality.least_sharpness,
        leastBrightness: quality.least_brightness,
        mostWhitePercent: quality.most_white_percent,
      }
    ),
  };
}

/** @param {any} input of schema 1 */
function upgradedInput(input) {
  const each = (/** @type {string} */ key) => Array(3).fill(input[key]);
  return { role: 'picture', ...input, shape: [1, input.height, input.width, 3], mean: each('mean'), std: each('std') };
}

/** @param {any} json of schema 1 */
function upgradedOutput(json) {
  const numbers = json.output.activation === 'sigmoid' ? 1 : json.labels.length;
  return { role: 'probabilities', ...json.output, shape: [1, numbers] };
}

/** @param {string} name @param {any} record @returns {TensorRecord} */
function tensor(name, record) {
  if (record.dtype !== 'uint8' && record.dtype !== 'float32') {
    const what = `model.json: ${name} is ${record.dtype}, which LiteRT.js cannot use`;
    throw new ClassifierError('unsupported-contract', what);
  }
  const { role, dtype, shape } = record;
  return { name, role, dtype, shape, scale: record.scale ?? 0, zeroPoint: record.zero_point ?? 0 };
}

/** @param {TensorRecord|null} found @param {string} role */
function required(found, role) {
  if (!found) throw new ClassifierError('unsupported-contract', `model.json: no tensor has the role ${role}`);
  return found;
}

/** @param {any} record @returns {MetadataColumn} */
function column(record) {
  const isNumeric = record.kind === 'numeric';
  const { name, minimum = 0, maximum = 0, mean = 0, std = 1, categories = [] } = record;
  return { name, isNumeric, minimum, maximum, categories, mean, std };
}
