// @ts-check
/** Shows an answer: what it is, what must not be missed, all probabilities, the square and where the answer comes from. */

/**
 * An answer of classifier.js or of remote.js.
 * @typedef {Omit<import('../classifier.js').Answer, 'square'|'timing'> & {
 *   square: ImageData|null, timing: import('../classifier.js').Timing|{totalMs: number}}} Answer
 */
/** @typedef {import('./words.js').Words} Words */

const SHOWN_LABELS = 8; // more are behind a button
const FOR_LABEL = [230, 97, 1];
const AGAINST_LABEL = [94, 60, 153];
const MOST_OPAQUE = 170; // of 255, so that the picture stays visible

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} ${id}`);
  return found;
}

/** The section with the answer. */
export class AnswerView {
  #words;
  #model;
  #section = element('answer', HTMLElement);
  #figure = element('figure', HTMLElement);
  #canvas = element('square', HTMLCanvasElement);
  #isEvidenceShown = element('evidence-show', HTMLInputElement);
  #evidenceLabel = element('evidence-label', HTMLSelectElement);
  /** @type {Answer|null} */
  #answer = null;

  /** @param {Words} words @param {{name: string, version: string}} model */
  constructor(words, model) {
    this.#words = words;
    this.#model = model;
    for (const control of [this.#isEvidenceShown, this.#evidenceLabel]) {
      control.addEventListener('change', () => this.#drawSquare());
    }
    element('show-all', HTMLButtonElement).addEventListener('click', () => this.#showAllLabels());
    const share = element('share', HTMLButtonElement);
    share.hidden = !navigator.share;
    share.addEventListener('click', () => this.#give(() => navigator.share({ text: this.#shareText() }), ''));
    const copy = element('copy', HTMLButtonElement);
    copy.hidden = !navigator.clipboard;
    const copyText = () => navigator.clipboard.writeText(this.#shareText());
    copy.addEventListener('click', () => this.#give(copyText, words.text('copied')));
  }

  /** While a picture is classified, the answer of the one before is faded. */
  wait() {
    this.#section.setAttribute('aria-busy', 'true');
  }

  /** An answer that does not belong to the last picture is never left on the page. */
  hide() {
    this.#section.hidden = true;
    this.#section.removeAttribute('aria-busy');
    this.#answer = null;
  }

  /** Show the answer, and return it in one sentence. @param {Answer} answer */
  show(answer) {
    const words = this.#words;
    this.#answer = answer;
    const { verdict, why } = this.#verdict(answer);
    element('verdict', HTMLElement).textContent = verdict;
    element('why', HTMLElement).textContent = why;
    const called = this.#called(answer);
    element('called', HTMLElement).textContent = called;
    element('called', HTMLElement).hidden = called === '';
    this.#showScores(answer);
    this.#offerEvidence(answer);
    this.#drawSquare();
    element('latency', HTMLElement).textContent = this.#latency(answer);
    element('shared', HTMLElement).textContent = '';
    this.#section.classList.toggle('refused', answer.label === null);
    this.#section.hidden = false;
    this.#section.removeAttribute('aria-busy');
    return [words.text('announce', { answer: verdict }), called].join(' ').trim();
  }

  /** The answer in words, the refusal first. @param {Answer} answer */
  #verdict(answer) {
    const words = this.#words;
    if (answer.fault !== null) {
      const key = { 'too dark': 'dark', overexposed: 'overexposed', 'too blurred': 'blurred' }[answer.fault];
      return { verdict: words.text(key), why: words.text('fault_why') };
    }
    if (answer.unlikeTraining) {
      const distance = words.number(answer.distance ?? 0, 2);
      return { verdict: words.text('unlike'), why: words.text('unlike_why', { distance }) };
    }
    if (!answer.isSure) return { verdict: words.text('not_sure'), why: words.text('not_sure_why') };
    const [first] = answer.scores;
    return { verdict: first.meaning, why: words.text('sure_why', { percent: words.percent(first.probability) }) };
  }

  /** The labels that must not be missed and reach their thresholds. @param {Answer} answer */
  #called(answer) {
    if (isRefused(answer)) return '';
    const labels = answer.scores.filter((score) => score.called).map((score) => score.meaning);
    if (labels.length === 0) return '';
    const list = new Intl.ListFormat(this.#words.lang).format(labels);
    return this.#words.text(labels.length > 1 ? 'called_more' : 'called', { labels: list });
  }

  /** @param {Answer} answer */
  #showScores(answer) {
    const rows = answer.scores.map((score, index) => {
      const row = document.createElement('tr');
      row.dataset.label = score.label;
      row.hidden = index >= SHOWN_LABELS;
      const name = document.createElement('th');
      name.scope = 'row';
      name.append(score.meaning);
      if (score.meaning !== score.label) name.append(' ', textElement('span', score.label, 'quiet'));
      if (score.called && !isRefused(answer)) name.append(' ', textElement('span', this.#words.text('called_tag'), 'tag'));
      const bar = textElement('span', '', 'bar');
      const filled = document.createElement('span');
      filled.style.inlineSize = `${100 * Math.min(1, Math.max(0, score.probability))}%`;
      bar.append(filled);
      name.append(bar);
      const cell = textElement('td', '', 'number');
      const value = document.createElement('data');
      value.value = String(score.probability);
      value.textContent = this.#words.percent(score.probability);
      cell.append(value);
      row.append(name, cell);
      return row;
    });
    element('scores', HTMLElement).replaceChildren(...rows);
    const more = element('show-all', HTMLButtonElement);
    more.hidden = rows.length <= SHOWN_LABELS;
    more.textContent = this.#words.text('show_all', { n: rows.length });
  }

  #showAllLabels() {
    for (const row of element('scores', HTMLElement).children) /** @type {HTMLElement} */ (row).hidden = false;
    element('show-all', HTMLButtonElement).hidden = true;
  }

  /** A choice of labels, if the model returns evidence. @param {Answer} answer */
  #offerEvidence(answer) {
    const isOffered = answer.evidence(answer.scores[0].label) !== null;
    element('evidence', HTMLElement).hidden = !isOffered;
    const options = isOffered ? answer.scores.map((score) => new Option(score.meaning, score.label)) : [];
    this.#evidenceLabel.replaceChildren(...options);
  }

  #drawSquare() {
    const answer = this.#answer;
    if (answer === null) return;
    const words = this.#words;
    this.#figure.hidden = answer.square === null;
    if (answer.square === null) return; // only the server could decode the file
    const { width, height } = answer.square;
    this.#canvas.width = width;
    this.#canvas.height = height;
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
    context.putImageData(answer.square, 0, 0);
    let described = words.text('square_described', { width, height });
    const evidence = this.#isEvidenceShown.checked ? answer.evidence(this.#evidenceLabel.value) : null;
    const label = this.#evidenceLabel.selectedOptions[0]?.text ?? '';
    if (evidence !== null) {
      context.imageSmoothingQuality = 'high';
      context.drawImage(evidenceCells(evidence), 0, 0, width, height);
      described += ` ${words.text('evidence_described', { label })}`;
    }
    element('evidence-choice', HTMLElement).hidden = evidence === null;
    this.#canvas.setAttribute('aria-label', described);
    element('square-size', HTMLElement).textContent = words.text('square_size', { width, height });
    element('evidence-hint', HTMLElement).textContent = evidence === null ? '' : words.text('evidence_hint', { label });
  }

  /** @param {Answer} answer */
  #latency({ timing }) {
    const words = this.#words;
    if ('totalMs' in timing) return words.text('latency_server', { total: words.number(timing.totalMs, 0) });
    const { decodeMs, resizeMs, invokeMs } = timing;
    const values = { decode: words.number(decodeMs), resize: words.number(resizeMs), model: words.number(invokeMs) };
    return words.text('latency', values);
  }

  /** The answer as text: with the notice, and never with the picture. */
  #shareText() {
    if (this.#answer === null) return '';
    const words = this.#words;
    const [first] = this.#answer.scores;
    const sure = { label: first.meaning, percent: words.percent(first.probability) };
    const answer = this.#answer.label === null ? this.#verdict(this.#answer).verdict : words.text('share_answer', sure);
    const { name, version } = this.#model;
    const text = words.text('share_text', { answer, name, version, notice: words.text('notice') });
    return [text, this.#called(this.#answer)].join(' ').trim();
  }

  /** @param {() => Promise<void>} give @param {string} given what the page says then */
  async #give(give, given) {
    let told = given;
    try {
      await give();
    } catch (error) {
      const isCancelled = error instanceof DOMException && error.name === 'AbortError';
      told = isCancelled ? '' : this.#shareText(); // to be copied by hand
    }
    element('shared', HTMLElement).textContent = told;
  }
}

/** Whether the probabilities of the picture mean nothing: it has a fault, or is unlike the training pictures. @param {Answer} answer */
function isRefused(answer) {
  return answer.fault !== null || answer.unlikeTraining === true;
}

/** @param {string} name @param {string} text @param {string} className */
function textElement(name, text, className) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** One pixel for each cell of the grid; the strongest cell is the most opaque one. @param {import('../classifier.js').EvidenceMap} map */
function evidenceCells(map) {
  const image = new ImageData(map.width, map.height);
  const strongest = map.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  map.values.forEach((value, index) => {
    const alpha = strongest === 0 ? 0 : Math.round((MOST_OPAQUE * Math.abs(value)) / strongest);
    image.data.set([...(value > 0 ? FOR_LABEL : AGAINST_LABEL), alpha], 4 * index);
  });
  const canvas = document.createElement('canvas');
  canvas.width = map.width;
  canvas.height = map.height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).putImageData(image, 0, 0);
  return canvas;
}
