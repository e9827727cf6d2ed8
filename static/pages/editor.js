/**
 * With what a value is edited. It is only turned into the type that the schema names, and sent as it is when that fails: the server
 * alone judges it.
 */
import { element } from './dom.js';
import { short } from './fields.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Refs} Refs
 *
 * @typedef {object} Editor
 * @property {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input
 * @property {() => any} read The value; throws an Error with words for the user.
 */

/**
 * @param {Field} field
 * @param {any} value
 * @param {Refs} refs
 * @param {Record<string, any>} props of the input
 * @returns {Editor}
 */
export function editor(field, value, refs, props) {
  const { type, required, name } = field;
  /** @type {Record<string, any>} */
  const common = { name, autocomplete: 'off', ...props };
  const text = value === null || value === undefined ? '' : String(value);
  const choice = (
    /** @type {{value: string, text: string}[]} */ options,
    /** @type {(text: string) => any} */ read,
  ) => {
    const all = required && text !== '' ? options : [{ value: '', text: common.placeholder ?? '–' }, ...options];
    const input = element(
      'select',
      common,
      ...all.map((option) => element('option', { value: option.value }, option.text)),
    );
    input.value = text;
    return { input, read: () => (input.value === '' ? null : read(input.value)) };
  };
  const typed = (
    /** @type {HTMLInputElement | HTMLTextAreaElement} */ input,
    /** @type {(text: string) => any} */ read,
  ) => {
    return { input, read: () => (input.value === '' ? null : read(input.value)) };
  };

  switch (type) {
    case 'bool':
      return choice(
        [
          { value: 'true', text: 'yes' },
          { value: 'false', text: 'no' },
        ],
        (chosen) => chosen === 'true',
      );
    case 'enum':
      return choice(
        (field.values ?? []).map((each) => ({ value: each, text: each })),
        (chosen) => chosen,
      );
    case 'ref': {
      const choices = refs.choices(field.entity ?? '');
      if (!choices) return finder(field.entity ?? '', text, refs, common);
      if (text !== '' && !choices.some(({ id }) => id === text)) choices.unshift({ id: text, name: short(text) });
      return choice(
        choices.map((each) => ({ value: each.id, text: each.name })),
        (chosen) => chosen,
      );
    }
    case 'int':
    case 'float':
      return typed(element('input', { ...common, value: text, inputmode: 'decimal' }), (typedText) => {
        const number = Number(typedText);
        return Number.isFinite(number) ? number : typedText;
      });
    case 'date':
      return typed(element('input', { ...common, type: 'date', value: text }), (date) => date);
    case 'datetime':
      return typed(
        element('input', { ...common, type: 'datetime-local', step: 0.001, value: localTime(text) }),
        (local) => new Date(local).toISOString(),
      );
    case 'json':
      return typed(
        element(
          'textarea',
          { ...common, rows: 2 },
          value === null || value === undefined ? '' : JSON.stringify(value, null, 1),
        ),
        parsed,
      );
    default: {
      const long = (type === 'text' && !((field.max ?? Infinity) <= 300)) || /\n/.test(text);
      const input = long
        ? element('textarea', { ...common, rows: 2 }, text)
        : element('input', { ...common, value: text });
      // An empty text is a value where there must be one: the server says what it lacks.
      return { input, read: () => (input.value === '' && !required ? null : input.value) };
    }
  }
}

/**
 * Of too many records for a choice, some are found by a part of their name while it is typed. What is none of them is taken as an id.
 *
 * @param {string} entity
 * @param {string} id
 * @param {Refs} refs
 * @param {Record<string, any>} props
 * @returns {Editor}
 */
function finder(entity, id, refs, props) {
  const shown = id && refs.name(entity, id);
  /** @type {Map<string, string>} Ids by name. */
  const found = new Map();
  const list = element('datalist', { id: `found-${props.id ?? props.name}` });
  const input = element('input', { ...props, value: shown, list: list.id });
  const search = async () => {
    const text = input.value;
    if (found.has(text)) return;
    const records = await refs.find(entity, text === shown ? '' : text).catch(() => []);
    if (input.value !== text) return;
    found.clear();
    for (const { id, name } of records) found.set(found.has(name) ? `${name} ${short(id)}` : name, id);
    list.replaceChildren(...Array.from(found.keys(), (value) => element('option', { value })));
  };
  input.addEventListener('focus', () => {
    input.after(list);
    search();
  });
  input.addEventListener('input', search);
  return { input, read: () => (input.value === '' ? null : input.value === shown ? id : (found.get(input.value) ?? input.value)) };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${/** @type {Error} */ (error).message}.`);
  }
}

/** What a datetime-local input shows, in the user's own zone. @param {string} iso */
function localTime(iso) {
  if (iso === '') return '';
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, -1);
}
