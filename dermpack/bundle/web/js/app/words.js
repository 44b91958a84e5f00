// @ts-check
/** The texts of the page in the language of the person, from i18n/, and numbers as that language writes them. */

/** @typedef {Record<string, string|number>} Values what stands in braces in a text */

/** Texts by their keys. */
export class Words {
  #texts;

  /** @param {Record<string, string>} texts */
  constructor(texts) {
    this.#texts = texts;
    this.lang = texts.lang;
    this.dir = texts.dir;
  }

  /** Whether there is a text of this key. @param {string} key */
  has(key) {
    return Object.hasOwn(this.#texts, key);
  }

  /** The text of a key: text('check_failed', {failed: 2, n: 28}). @param {string} key @param {Values} [values] */
  text(key, values = {}) {
    return this.#texts[key].replace(/\{(\w+)\}/g, (all, name) =>
      Object.hasOwn(values, name) ? String(values[name]) : all,
    );
  }

  /** @param {number} value @param {number} [digits] after the point */
  number(value, digits = 1) {
    return new Intl.NumberFormat(this.lang, { maximumFractionDigits: digits }).format(value);
  }

  /** A probability that is not certain is never shown as 100 % or 0 %. @param {number} probability */
  percent(probability) {
    const format = new Intl.NumberFormat(this.lang, {
      style: 'percent',
      minimumFractionDigits: 1,
      maximumFractionDigits: 1,
    });
    if (probability < 1 && probability >= 0.9995) return `>${format.format(0.999)}`;
    if (probability > 0 && probability < 0.0005) return `<${format.format(0.001)}`;
    return format.format(probability);
  }

  /** Write the texts into the elements that name their key as data-t. @param {Document} document */
  apply(document) {
    document.documentElement.lang = this.lang;
    document.documentElement.dir = this.dir;
    document.title = this.text('title');
    for (const element of document.querySelectorAll('[data-t]')) {
      element.textContent = this.text(/** @type {HTMLElement} */ (element).dataset.t ?? '');
    }
  }
}

/**
 * Load the texts of the first of the person's languages that the page has, or else of its own first one.
 * @param {string[]} languages of the page
 */
export async function openWords(languages) {
  const wanted = navigator.languages.map((language) => language.split('-')[0]);
  const language = wanted.find((one) => languages.includes(one)) ?? languages[0];
  const response = await fetch(`i18n/${language}.json`);
  if (!response.ok) throw new Error(`i18n/${language}.json: status ${response.status}`);
  return new Words(await response.json());
}
