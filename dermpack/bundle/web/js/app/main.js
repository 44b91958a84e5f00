// @ts-check
/** The page: opens the model, takes a picture from wherever it comes, and shows the answer. */
import { offerSelfCheck, showModel } from './about.js';
import { AnswerView } from './answer.js';
import { keepOffline, removeWorker, takeSharedPicture } from './offline.js';
import { PatientForm } from './patient.js';
import { openWords } from './words.js';

/** @typedef {import('./words.js').Words} Words */
/** @typedef {import('../classifier.js').Classifier} Classifier */

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const root = document.documentElement;

/**
 * Where the answers are computed, the languages of the page, and whether a worker stores it. A server that has other
 * pages below the same folder sets `offline` to false, because a worker serves the files of its bundle alone.
 * @returns {Promise<{answers: 'browser'|'server', languages: string[], offline: boolean, name?: string}>}
 */
async function readSite() {
  const response = await fetch('site.json');
  if (!response.ok) throw new Error(`site.json: status ${response.status}`);
  return response.json();
}

/** The text for an error: known codes have one, whoever raised them. @param {Words} words @param {any} error */
function explain(words, error) {
  const detail = error?.message ?? String(error);
  if (!words.has(error?.code ?? '')) console.error(error); // a bug keeps its traceback
  return words.text(words.has(error?.code ?? '') ? error.code : 'unexpected', { detail });
}

/** @param {string} text empty: there is no problem */
function showProblem(text) {
  $('problem').textContent = text;
  $('problem').className = text === '' ? '' : 'problem';
  if (text !== '') $('problem').scrollIntoView({ block: 'nearest' });
}

/** The parts of the page that work on pictures, once the model is open. */
class PicturePage {
  #words;
  #classifier;
  #form;
  #view;
  /** @type {Blob|null} */
  #picture = null;
  #turn = 0;

  /** @param {Words} words @param {Classifier} classifier */
  constructor(words, classifier) {
    this.#words = words;
    this.#classifier = classifier;
    this.#form = new PatientForm(words, classifier.metadataColumns, () => this.#answer());
    this.#view = new AnswerView(words, classifier.contract);
  }

  /** @param {Blob} picture */
  async take(picture) {
    this.#picture = picture;
    await this.#answer();
  }

  /** Classify the last picture; of several that are chosen quickly, only the last one is shown. */
  async #answer() {
    const [words, picture, turn] = [this.#words, this.#picture, ++this.#turn];
    if (picture === null) return;
    if (!this.#form.isValid()) {
      this.#view.hide(); // it was given for other fields, or for another picture
      $('announcement').textContent = '';
      return;
    }
    showProblem('');
    $('status').textContent = words.text('working');
    this.#view.wait();
    try {
      await new Promise((resolve) => setTimeout(resolve)); // shows the text before the work starts
      const answer = await this.#classifier.classify(picture, { metadata: this.#form.values() });
      if (turn !== this.#turn) return;
      $('announcement').textContent = this.#view.show(answer);
      this.#form.allowAgain();
      const { top } = $('answer').getBoundingClientRect();
      if (top < 0 || top > innerHeight / 2) $('answer').scrollIntoView();
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#view.hide();
      const problem = explain(words, error);
      showProblem(problem);
      $('announcement').textContent = problem; // in the place of the answer to an earlier picture
    }
    $('status').textContent = '';
    root.dataset.turns = String(turn); // for tests: how many pictures are done
  }
}

/** Call `take` with each picture that a person chooses, takes, drops or pastes. @param {(picture: Blob) => void} take */
function listenForPictures(take) {
  for (const id of ['file', 'camera']) {
    $(id).addEventListener('change', () => {
      const [file] = $(id).files;
      if (file) take(file);
      $(id).value = ''; // the same file can be chosen again
    });
  }
  const mark = (/** @type {boolean} */ isOver) => document.body.classList.toggle('dragging', isOver);
  addEventListener('dragover', (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener('dragleave', (event) => mark(event.relatedTarget !== null));
  addEventListener('drop', (event) => {
    event.preventDefault();
    mark(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
  addEventListener('paste', (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
}

/** @param {Words} words */
function startWorker(words) {
  keepOffline((event, use) => {
    if (event === 'stored' || event === 'failed') {
      $('offline').textContent = words.text(event === 'stored' ? 'offline' : 'offline_failed');
      root.dataset.offline = event;
      return;
    }
    const isOurs = event === 'new-version';
    const button = Object.assign(document.createElement('button'), { type: 'button' });
    button.textContent = words.text(isOurs ? 'new_version_use' : 'reload');
    button.addEventListener('click', use);
    $('update').className = 'news';
    $('update').replaceChildren(words.text(isOurs ? 'new_version' : 'new_version_other'), button);
  }).catch(() => {
    $('offline').textContent = words.text('offline_failed');
    root.dataset.offline = 'failed';
  });
}

async function start() {
  const site = await readSite();
  const isServer = site.answers === 'server';
  if ((isServer || !site.offline) && (await removeWorker())) return;
  const words = await openWords(site.languages);
  words.apply(document);
  if (isServer) {
    $('private').textContent = words.text('private_server');
    $('patient-hint').textContent = words.text('patient_hint_server');
  }
  $('status').textContent = words.text('opening');
  // A picture that is chosen before the model is open waits for it.
  const opening = openPage(words, isServer, site.name);
  const take = async (/** @type {Blob} */ picture) => (await opening)?.take(picture);
  listenForPictures(take);
  const hasWorker = site.offline && !isServer && isSecureContext && 'serviceWorker' in navigator;
  if (hasWorker) {
    const shared = await takeSharedPicture();
    if (shared === 'nothing-readable') showProblem(words.text('nothing_shared'));
    else if (shared !== null) take(shared);
  }
  await opening;
  // After the model, so that the worker does not load its files at the same time.
  if (hasWorker) startWorker(words);
}

/**
 * Open the model; null if that is not possible, with the reason on the page.
 * @param {Words} words
 * @param {boolean} isServer
 * @param {string} [name] of the bundle
 */
async function openPage(words, isServer, name) {
  try {
    const { open } = await import(isServer ? '../remote.js' : '../classifier.js');
    const classifier = await open(new URL('./', document.baseURI));
    showModel(words, classifier, name);
    if (isServer) $('check').hidden = true;
    else offerSelfCheck(words, classifier, (error) => explain(words, error));
    if (classifier.isCanvasFalsified) showProblem(words.text('falsified_note'));
    $('status').textContent = words.text('ready');
    root.dataset.state = 'ready';
    root.dataset.build = classifier.build;
    return new PicturePage(words, classifier);
  } catch (error) {
    $('status').textContent = '';
    showProblem(explain(words, error));
    for (const id of ['file', 'camera']) $(id).disabled = true;
    root.dataset.state = 'failed';
    return null;
  }
}

start().catch((error) => {
  showProblem(error.message);
  root.dataset.state = 'failed';
  throw error;
});
