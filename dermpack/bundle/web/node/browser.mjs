// @ts-check
/**
 * The parts of a browser that the classifier needs and Node lacks: fetch for files, scripts, ImageData. There is no
 * decoder for JPEG and WebP, so that PNG files alone can be decoded. `dermpack verify` and the tests use it.
 */
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

class NodeImageData {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.data = new Uint8ClampedArray(4 * width * height);
  }
}

/** @param {URL|string} url */
async function fetchFile(url) {
  try {
    return new Response(await readFile(fileURLToPath(url)));
  } catch {
    return new Response('', { status: 404 });
  }
}

/** Run the loader of the runtime, which a browser runs as a classic script. @param {{src: string}} script */
function runScript({ src }) {
  const path = fileURLToPath(src);
  const source = `(function (require, __dirname, __filename) {${readFileSync(path, 'utf8')}\n;return ModuleFactory; })`;
  const run = vm.runInThisContext(source, { filename: path });
  Object.assign(globalThis, { ModuleFactory: run(createRequire(src), dirname(path), path) });
}

const document = {
  currentScript: null,
  createElement: () => new EventTarget(),
  body: {
    /** @param {any} script */
    appendChild(script) {
      runScript(script);
      queueMicrotask(() => script.dispatchEvent(new Event('load')));
    },
  },
};

// Node has it since version 19.
if (!globalThis.crypto) Object.defineProperty(globalThis, 'crypto', { value: webcrypto });
Object.assign(globalThis, { self: globalThis, fetch: fetchFile, ImageData: NodeImageData, document });
