// @ts-check
/** The form for what may be known about the patient; every field may stay blank. */

/** @typedef {import('../classifier.js').MetadataColumn} MetadataColumn */
/** @typedef {import('./words.js').Words} Words */

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** The form, which is not shown if the model takes no metadata. */
export class PatientForm {
  #words;
  /** @type {Map<string, HTMLInputElement|HTMLSelectElement>} */
  #fields = new Map();

  /** @param {Words} words @param {MetadataColumn[]} columns @param {() => void} again classifies the last picture again */
  constructor(words, columns, again) {
    this.#words = words;
    const labels = columns.map((column) => {
      const field = column.isNumeric ? numberField(column) : categoryField(column, words.text('not_known'));
      this.#fields.set(column.name, field);
      const label = document.createElement('label');
      label.append(nameOf(column, words), field);
      return label;
    });
    $('fields').replaceChildren(...labels);
    $('patient').hidden = columns.length === 0;
    $('patient').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      again();
    });
  }

  /** Whether every field is blank or has a value that the model was trained on; if not, the page marks the field. */
  isValid() {
    const wrong = [...this.#fields.values()].filter((field) => !field.validity.valid);
    for (const field of this.#fields.values()) {
      if (wrong.includes(field)) {
        field.setAttribute('aria-invalid', 'true');
        field.setAttribute('aria-describedby', 'patient-problem');
      } else {
        field.removeAttribute('aria-invalid');
        field.removeAttribute('aria-describedby');
      }
    }
    $('patient-problem').textContent = wrong.length === 0 ? '' : this.#words.text('patient_wrong');
    wrong[0]?.focus();
    return wrong.length === 0;
  }

  /** The fields by their names; blank ones are left out. */
  values() {
    const filled = [...this.#fields].filter(([, field]) => field.value !== '');
    return Object.fromEntries(filled.map(([name, field]) => [name, field.value]));
  }

  /** There is a picture to answer again. */
  allowAgain() {
    $('again').hidden = this.#fields.size === 0;
  }
}

/** @param {MetadataColumn} column @param {Words} words */
function nameOf(column, words) {
  const name = column.name.replaceAll('_', ' ');
  if (!column.isNumeric) return name;
  const [minimum, maximum] = [words.number(column.minimum, 2), words.number(column.maximum, 2)];
  return words.text('field_range', { name, minimum, maximum });
}

/** @param {MetadataColumn} column */
function numberField(column) {
  const field = document.createElement('input');
  const [min, max] = [String(column.minimum), String(column.maximum)];
  Object.assign(field, {
    type: 'number',
    name: column.name,
    min,
    max,
    step: 'any',
    inputMode: 'decimal',
    autocomplete: 'off',
  });
  return field;
}

/** @param {MetadataColumn} column @param {string} blank */
function categoryField(column, blank) {
  const field = document.createElement('select');
  field.name = column.name;
  field.append(
    new Option(blank, ''),
    ...column.categories.map((category) => new Option(category.replaceAll('_', ' '), category)),
  );
  return field;
}
