// Keep every file of this bundle for use without a network, each compared with its hash, and serve nothing else.
'use strict';

// dermpack package replaces this line: the version of the bundle, and for each of its files but this one the
// integrity ("sha256-" and base64) by its path from this folder. A .gz file has two: a server can declare it as
// encoded, and then its content arrives.
const BUNDLE = { version: '', files: {} };

const HOME = new URL('./', self.location);
// Several bundles can lie below one origin, which has one set of caches.
const PREFIX = `dermpack ${HOME.pathname} `;
const CACHE = PREFIX + BUNDLE.version;
const SHARED = PREFIX + 'shared'; // a picture from another app, until the page has read it
const MOST_SHARED_BYTES = 64 * 1024 * 1024;

// LiteRT has two builds, and a browser uses one: that for relaxed SIMD if this small module that uses it is valid.
const USES_RELAXED_SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15,
  253, 128, 2, 11,
]);
const UNUSED_BUILD = WebAssembly.validate(USES_RELAXED_SIMD)
  ? 'vendor/litert/litert_wasm_compat_internal.'
  : 'vendor/litert/litert_wasm_internal.';

/** Load a file from the network; the browser rejects it if it has another hash. */
async function load(name) {
  const request = new Request(new URL(name, HOME), { integrity: BUNDLE.files[name], cache: 'no-cache' });
  const response = await fetch(request);
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  // A copy, because a redirected response cannot answer a navigation.
  return new Response(response.body, { headers: response.headers });
}

/** Store all files or none: half a bundle would fail later, without a network. */
async function install() {
  const names = Object.keys(BUNDLE.files).filter((name) => !name.startsWith(UNUSED_BUILD));
  if (names.length === 0) throw new Error('this is the source of the worker: dermpack package lists the files in it');
  const cache = await caches.open(CACHE);
  try {
    await Promise.all(names.map(async (name) => cache.put(new URL(name, HOME), await load(name))));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** Remove the files of other versions of this bundle, and serve the pages that are open. */
async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE && name !== SHARED) await caches.delete(name);
  }
  await self.clients.claim();
}

async function serve(name) {
  const found = await (await caches.open(CACHE)).match(new URL(name, HOME));
  return found ?? load(name);
}

/** Keep the picture that another app shares, and open the page, which reads it. Works without a network. */
async function receive(request) {
  let state = 'none';
  const picture = (await request.formData()).get('picture');
  if (picture instanceof Blob && picture.size <= MOST_SHARED_BYTES) {
    const cache = await caches.open(SHARED);
    await cache.put(new URL('shared-picture', HOME), new Response(picture));
    state = 'picture';
  }
  return Response.redirect(new URL(`./?shared=${state}`, HOME), 303);
}

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));

// A new version waits until all pages of the old one are closed, or until a person asks the page for it.
self.addEventListener('message', (event) => {
  if (event.data === 'use-new-version') self.skipWaiting();
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== HOME.origin || !url.pathname.startsWith(HOME.pathname)) {
    event.respondWith(Response.error());
    return;
  }
  const name = url.pathname.slice(HOME.pathname.length) || 'index.html';
  if (event.request.method === 'POST' && name === 'share') event.respondWith(receive(event.request));
  else if (event.request.method === 'GET' && Object.hasOwn(BUNDLE.files, name)) event.respondWith(serve(name));
  else event.respondWith(new Response('', { status: 404 }));
});
