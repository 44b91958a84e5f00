// @ts-check
/** The one kind of error of this bundle: a code for a page that has its own words, and a message in English. */

/**
 * What an error is about:
 * - `insecure-context`: neither https nor localhost
 * - `unsupported-browser`: a part of the browser is missing, such as WebAssembly with SIMD
 * - `file-missing`, `file-changed`: a file of the bundle cannot be loaded, or has other bytes
 * - `unsupported-contract`: model.json is of another version of the program
 * - `not-a-picture`, `picture-unsupported` (HEIC, TIFF, GIF, BMP, animations), `picture-too-large`, `picture-damaged`
 * - `falsified-canvas`: the browser changes pixels that are read back, so that only PNG files can be used
 * - `invalid-metadata`: an unknown column or category, a number that is not one or is out of range
 * - `no-golden-vectors`: the bundle was packaged without
 * - `closed`: the classifier was closed
 * @typedef {'insecure-context'|'unsupported-browser'|'file-missing'|'file-changed'|'unsupported-contract'|
 *   'not-a-picture'|'picture-unsupported'|'picture-too-large'|'picture-damaged'|'falsified-canvas'|
 *   'invalid-metadata'|'no-golden-vectors'|'closed'} ErrorCode
 */

/** An error with a code. */
export class ClassifierError extends Error {
  /** @param {ErrorCode} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = 'ClassifierError';
    this.code = code;
  }
}
