// @ts-check
/** Load files of the bundle, each compared with its SHA-256. */
import { ClassifierError } from './errors.js';

/** The files of a bundle, which files.json lists with their hashes. */
export class BundleFiles {
  /** @param {URL} base @param {Record<string, string>} hashes */
  constructor(base, hashes) {
    this.base = base;
    this.hashes = hashes;
  }

  /** Read files.json. @param {URL} base */
  static async open(base) {
    if (!globalThis.crypto?.subtle) {
      throw new ClassifierError('insecure-context', 'open this page by https, or on this device as localhost');
    }
    const listed = await load(new URL('files.json', base), 'files.json');
    return new BundleFiles(base, JSON.parse(new TextDecoder().decode(listed)));
  }

  /** Whether the bundle contains the file. @param {string} name */
  has(name) {
    return Object.hasOwn(this.hashes, name);
  }

  /** Return the bytes of a file. @param {string} name @param {string} [sha256] that another record states as well */
  async read(name, sha256) {
    if (!this.has(name)) throw new ClassifierError('file-missing', `${name}: is not a file of this bundle`);
    const data = await load(new URL(name, this.base), name);
    const found = await sha256Of(data);
    if (found !== this.hashes[name] || (sha256 !== undefined && found !== sha256)) {
      throw new ClassifierError('file-changed', `${name}: is not the file of this bundle`);
    }
    return data;
  }

  /** Return the content of a JSON file. @param {string} name @returns {Promise<any>} */
  async readJson(name) {
    return JSON.parse(new TextDecoder().decode(await this.read(name)));
  }
}

/** @param {URL} url @param {string} name */
async function load(url, name) {
  // Never a copy of an older bundle: a stored one is used only if the server confirms it.
  const response = await fetch(url, { cache: 'no-cache' }).catch((error) => {
    throw new ClassifierError('file-missing', `${name}: cannot be loaded (${error})`);
  });
  if (!response.ok) throw new ClassifierError('file-missing', `${name}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Return the SHA-256 in hexadecimal digits. @param {Uint8Array<ArrayBuffer>} data */
export async function sha256Of(data) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
