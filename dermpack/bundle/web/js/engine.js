// @ts-check
/** Run the model by LiteRT.js on the CPU, from files of this bundle alone. */
import { ClassifierError } from './errors.js';

/** @typedef {import('./contract.js').Contract} Contract */
/** @typedef {import('./tensors.js').Numbers} Numbers */

const RUNTIME = 'vendor/litert/';
// A module that uses one instruction of SIMD: it is valid where the runtime can run.
const USES_SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** @type {Promise<string>|null} the runtime is loaded once for a page; its name is that of the build */
let loading = null;

/**
 * Let LiteRT.js add its script, and the page its worker, where Trusted Types are enforced: scripts of this bundle pass,
 * and no others. A page with a default policy of its own must let them pass. Without Trusted Types, this does nothing.
 * @param {URL} base
 */
export function trustOwnScripts(base) {
  const factory = /** @type {any} */ (globalThis).trustedTypes;
  if (!factory || factory.defaultPolicy) return;
  factory.createPolicy('default', {
    createScriptURL: (/** @type {string} */ url) => {
      const { href } = new URL(url, document.baseURI);
      if (!href.startsWith(base.href)) throw new TypeError(`${href}: is not a script of this bundle`);
      return href;
    },
  });
}

/**
 * Load the runtime and the model.
 * @param {import('./bundle_files.js').BundleFiles} files @param {Contract} contract
 */
export async function openEngine(files, contract) {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(USES_SIMD)) {
    throw new ClassifierError('unsupported-browser', 'this browser has no WebAssembly with SIMD: update it');
  }
  const litert = await import('../vendor/litert/litert.js');
  loading ??= loadRuntime(files, litert).catch((error) => {
    loading = null;
    throw error;
  });
  const build = await loading;
  const model = await files.read('model/model.tflite', contract.sha256);
  // "wasm" is the CPU; without it, a GPU would be used where there is one, and round differently.
  const compiled = await litert.loadAndCompile(model, { accelerator: 'wasm' });
  return new Engine(litert, compiled, contract, build);
}

/** @param {import('./bundle_files.js').BundleFiles} files @param {any} litert @returns {Promise<string>} */
async function loadRuntime(files, litert) {
  const build = (await litert.supportsFeature('relaxedSimd')) ? 'litert_wasm_internal' : 'litert_wasm_compat_internal';
  const unpacked = await files.readJson(`${RUNTIME}unpacked.json`);
  const wasmBinary = await files.readUnpacked(`${RUNTIME}${build}.wasm`, unpacked[`${build}.wasm`]);
  // The loader takes this object over: so the bytes that were compared are those that run, and it prints nothing.
  Object.assign(globalThis, { Module: { wasmBinary, print() {}, printErr() {} } });
  await litert.loadLiteRt(new URL(`${RUNTIME}${build}.js`, files.base).href);
  return build;
}

/** A loaded model, whose tensors are found by their names. */
export class Engine {
  /** @param {any} litert @param {any} model @param {Contract} contract @param {string} build */
  constructor(litert, model, contract, build) {
    this.litert = litert;
    this.model = model;
    this.contract = contract;
    this.build = build;
  }

  /**
   * Return the numbers of all outputs, by name.
   * @param {Record<string, Numbers>} inputs by name @returns {Promise<Record<string, Numbers>>}
   */
  async run(inputs) {
    const { signature, picture, probabilities } = this.contract;
    /** @type {Record<string, any>} */
    const tensors = {};
    /** @type {Record<string, any>} */
    let outputs = {};
    try {
      for (const { name, shape } of this.contract.inputs) tensors[name] = new this.litert.Tensor(inputs[name], shape);
      if (signature === null) [outputs[probabilities.name]] = await this.model.run(tensors[picture.name]);
      else outputs = await this.model.run(signature, tensors);
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.toTypedArray().slice()]));
    } finally {
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) tensor.delete();
    }
  }

  /** Free the model. */
  close() {
    this.model.delete();
  }
}
