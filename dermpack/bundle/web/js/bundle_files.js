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

  /**
   * Return what the bundle stores with gzip as `name`.gz. Some servers send a .gz file with "Content-Encoding: gzip":
   * then the browser has unpacked it, and its content alone can be compared.
   * @param {string} name @param {{sha256: string, size_bytes: number}} content
   */
  async readUnpacked(name, content) {
    const packed = `${name}.gz`;
    if (!this.has(packed)) throw new ClassifierError('file-missing', `${packed}: is not a file of this bundle`);
    let data = await load(new URL(packed, this.base), packed);
    const isPacked = data[0] === 0x1f && data[1] === 0x8b;
    let isSame = !isPacked || (await sha256Of(data)) === this.hashes[packed];
    if (isPacked && isSame) data = await unpack(data, content.size_bytes);
    isSame &&= data.length === content.size_bytes && (await sha256Of(data)) === content.sha256;
    if (!isSame) throw new ClassifierError('file-changed', `${packed}: is not the file of this bundle`);
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

/**
 * Unpack gzip; return nothing for other bytes, and for a content of another size, of which no more is unpacked.
 * @param {Uint8Array<ArrayBuffer>} data @param {number} size in bytes
 */
async function unpack(data, size) {
  if (typeof DecompressionStream !== 'function') {
    throw new ClassifierError('unsupported-browser', 'this browser cannot unpack gzip: update it');
  }
  const content = new Uint8Array(size);
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  let end = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      content.set(part.value, end); // a RangeError beyond the size
      end += part.value.length;
    }
  } catch {
    await reader.cancel().catch(() => {});
    return new Uint8Array(0);
  }
  return content.subarray(0, end);
}

/** Return the SHA-256 in hexadecimal digits. @param {Uint8Array<ArrayBuffer>} data */
export async function sha256Of(data) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
