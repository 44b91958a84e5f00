// @ts-check
/** The service worker as the page sees it: stored for offline use, a new version, and a picture from another app. */

/** @typedef {'stored'|'failed'|'new-version'|'new-version-elsewhere'} Event */

/**
 * Register the worker, and report what happens to it. Nothing is ever reloaded without a person asking for it.
 * @param {(event: Event, use: () => void) => void} report `use` starts the new version, or loads the page again
 */
export async function keepOffline(report) {
  const { serviceWorker } = navigator;
  let isOurChoice = false;
  const wasControlled = serviceWorker.controller !== null;
  const reload = () => location.reload();
  serviceWorker.addEventListener('controllerchange', () => {
    if (isOurChoice) reload();
    else if (wasControlled) report('new-version-elsewhere', reload);
  });
  const registration = await serviceWorker.register('sw.js', { updateViaCache: 'none' });
  const offer = (/** @type {ServiceWorker} */ worker) =>
    report('new-version', () => {
      isOurChoice = true;
      worker.postMessage('use-new-version');
    });
  const follow = (/** @type {ServiceWorker} */ worker) =>
    worker.addEventListener('statechange', () => {
      if (worker.state === 'installed' && registration.active) offer(worker);
      if (worker.state === 'activated') report('stored', reload);
      if (worker.state === 'redundant' && !registration.active) report('failed', reload);
    });
  registration.addEventListener('updatefound', () => registration.installing && follow(registration.installing));
  if (registration.installing) follow(registration.installing);
  if (registration.waiting && registration.active) offer(registration.waiting);
  if (registration.active) report('stored', reload);
}

/** Remove the worker that an earlier page of this folder left; true if the page is loaded again without it. */
export async function removeWorker() {
  const registration = await navigator.serviceWorker?.getRegistration('./');
  if (registration?.scope !== new URL('./', location.href).href) return false;
  const isControlled = navigator.serviceWorker.controller !== null;
  await registration.unregister();
  if (isControlled) location.reload(); // nothing was shown or chosen yet
  return isControlled;
}

/**
 * The picture that another app shared with the page, once: null if the page was opened otherwise.
 * @returns {Promise<Blob|'nothing-readable'|null>}
 */
export async function takeSharedPicture() {
  const state = new URLSearchParams(location.search).get('shared');
  if (state === null) return null;
  history.replaceState(null, '', './'); // a reload does not look for the picture again
  if (state !== 'picture') return 'nothing-readable';
  const home = new URL('./', location.href);
  const cache = await caches.open(`dermpack ${home.pathname} shared`);
  const address = new URL('shared-picture', home);
  const response = await cache.match(address);
  await cache.delete(address);
  return response ? response.blob() : 'nothing-readable';
}
