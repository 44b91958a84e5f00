// @ts-check
/** What the page tells about the model: its record, its model card and its self-check. */

/** @typedef {import('./words.js').Words} Words */
/** @typedef {import('../classifier.js').Classifier} Classifier */

const SHOWN_LABELS = 8; // at the top of the page; the section about the model lists all
const INLINE = /\*\*(.+?)\*\*|`(.+?)`|\[(.+?)\]\((.+?)\)/g;

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** @param {string} name @param {(string|Node)[]} content */
function make(name, ...content) {
  const element = document.createElement(name);
  element.append(...content);
  return element;
}

/**
 * Show the name and the labels at the top of the page, and fill the section about the model.
 * @param {Words} words
 * @param {Classifier} classifier
 * @param {string} [name] of the bundle; that of the model says nothing to a person
 */
export function showModel(words, classifier, name = '') {
  const { contract, labels } = classifier;
  const describe = (/** @type {import('../classifier.js').Label} */ label) =>
    label.meaning === label.name ? label.name : `${label.meaning} (${label.name})`;
  const list = new Intl.ListFormat(words.lang);
  const values = { name: contract.name, version: contract.version, recipe: contract.recipe };
  const facts = [
    ['card_model', words.text('card_model_text', { ...values, width: contract.size, height: contract.size })],
    ['card_labels', list.format(labels.map(describe))],
    ['card_not_missed', list.format(labels.filter((label) => label.mustNotBeMissed).map(describe))],
    ['card_use', contract.intendedUse],
    ['card_licence', contract.license],
  ];
  const shown = facts.filter(([, text]) => text !== '');
  $('facts').replaceChildren(...shown.flatMap(([key, text]) => [make('dt', words.text(key)), make('dd', text)]));
  if (name !== '' && name !== contract.name) {
    document.title = name;
    $('title').textContent = name;
  }
  const named = labels.slice(0, SHOWN_LABELS).map((label) => label.meaning);
  const more = labels.length - named.length;
  if (more > 0) named.push(words.text('model_labels_more', { n: more }));
  $('model-labels').textContent = words.text('model_labels', { labels: list.format(named) });
  $('card').hidden = false;
  $('whole-card').addEventListener('toggle', () => showCard(words), { once: true });
}

/** @param {Words} words */
async function showCard(words) {
  const response = await fetch('MODEL_CARD.md').catch(() => null);
  if (response?.ok) $('card-text').replaceChildren(...renderMarkdown(await response.text()));
  else $('card-text').textContent = words.text('card_missing');
}

/**
 * Render the Markdown that dermpack writes: headings, paragraphs, lists, tables, bold, code and links. Text never
 * becomes HTML, so that a card cannot add anything to the page.
 * @param {string} text
 */
export function renderMarkdown(text) {
  /** @type {HTMLElement[]} */
  const rendered = [];
  for (const block of splitBlocks(text)) {
    const heading = /^(#+) (.*)$/.exec(block[0]);
    if (heading) {
      rendered.push(make(heading[1].length < 3 ? 'h3' : 'h4', ...inline(heading[2])));
    } else if (block[0].startsWith('|')) {
      const table = make('table', ...block.filter((line) => !/^[|:\- ]+$/.test(line)).map(tableRow));
      rendered.push(make('div', table));
      rendered[rendered.length - 1].className = 'scroll';
      rendered[rendered.length - 1].tabIndex = 0; // a wide table can be scrolled with the keyboard
    } else if (block[0].startsWith('- ')) {
      const items = block.join('\n').split(/\n *- /);
      rendered.push(make('ul', ...items.map((item) => make('li', ...inline(item.replace(/^- /, ''))))));
    } else {
      rendered.push(make('p', ...inline(block.join('\n'))));
    }
  }
  return rendered;
}

/** Lines that belong together: a blank line, a heading, a table and a list each start a block. @param {string} text */
function splitBlocks(text) {
  const kind = (/** @type {string} */ line) => /^(#|\||- )/.exec(line)?.[1] ?? (line.startsWith(' ') ? '- ' : 'text');
  /** @type {string[][]} */
  const blocks = [];
  let last = '';
  for (const line of text.split('\n')) {
    const now = line.trim() === '' ? '' : kind(line);
    if (now !== '' && now !== '#' && now === last) blocks[blocks.length - 1].push(line);
    else if (now !== '') blocks.push([line]);
    last = now;
  }
  return blocks;
}

/** @param {string} line @param {number} index */
function tableRow(line, index) {
  const cells = line.replace(/^\||\|\s*$/g, '').split('|');
  return make('tr', ...cells.map((cell) => make(index === 0 ? 'th' : 'td', ...inline(cell.trim()))));
}

/** @param {string} text @returns {(string|Node)[]} */
function inline(text) {
  /** @type {(string|Node)[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, bold, code, name, address] = match;
    if (bold !== undefined) parts.push(make('strong', ...inline(bold)));
    else if (code !== undefined) parts.push(make('code', code));
    else if (address.startsWith('https://'))
      parts.push(Object.assign(make('a', name), { href: address, rel: 'noreferrer' }));
    else parts.push(name);
  }
  return [...parts, text.slice(end)];
}

/** Let the button run the self-check. @param {Words} words @param {Classifier} classifier @param {(error: unknown) => string} explain */
export function offerSelfCheck(words, classifier, explain) {
  $('check-run').disabled = false;
  $('check-run').addEventListener('click', async () => {
    $('check-run').disabled = true;
    $('check-lines').hidden = true;
    try {
      showChecks(words, await runChecks(words, classifier));
    } catch (error) {
      $('check-verdict').textContent = explain(error);
      $('check-verdict').className = 'failed';
    }
    $('check-run').disabled = false;
  });
}

/** @param {Words} words @param {Classifier} classifier */
async function runChecks(words, classifier) {
  const checks = [];
  $('check-verdict').className = '';
  for await (const check of classifier.selfCheck()) {
    checks.push(check);
    $('check-verdict').textContent = words.text('check_running', { n: checks.length });
  }
  return checks;
}

/** @param {Words} words @param {import('../classifier.js').Check[]} checks */
function showChecks(words, checks) {
  const failed = checks.filter((check) => !check.isPassed).length;
  const isPassed = failed === 0 && checks.length > 0;
  const key = isPassed ? 'check_passed' : 'check_failed';
  $('check-verdict').textContent = words.text(key, { n: checks.length, failed });
  $('check-verdict').className = isPassed ? 'passed' : 'failed';
  const rows = checks.map(({ name, isPassed, detail }) => {
    const result = make('td', words.text(isPassed ? 'check_line_passed' : 'check_line_failed', { detail }));
    result.className = isPassed ? 'passed' : 'failed';
    return make('tr', Object.assign(make('th', name), { scope: 'row' }), result);
  });
  $('checks').replaceChildren(...rows);
  $('check-lines').hidden = false;
}
