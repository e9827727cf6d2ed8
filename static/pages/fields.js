/**
 * How a field's value looks, and with what it is edited. The server alone judges values: here they are only turned into
 * the type that the schema names, and sent as they are when that fails.
 */
import { element } from './dom.js';

/**
 * @typedef {import('../api.js').Field} Field
 * @typedef {import('../api.js').Entity} Entity
 * @typedef {import('../rows.js').Row} Row
 *
 * @typedef {(entity: string, id: string) => string} NameOfRecord
 * @typedef {object} Refs
 * @property {NameOfRecord} name
 * @property {(entity: string) => {id: string, name: string}[] | undefined} choices Undefined: there are too many.
 * @property {(entity: string, id: string) => string | null} href The page of a record.
 *
 * @typedef {object} Editor
 * @property {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input
 * @property {() => any} read The value; throws an Error with words for the user.
 */

/** How long a button says that it has copied, in milliseconds. */
const COPIED = 1500;

/**
 * @param {Entity} entity
 * @param {Row} row
 */
export function nameOf(entity, row) {
  const name = entity.label ? row[entity.label] : null;
  return name === null || name === undefined || name === '' ? short(row.id) : String(name);
}

/** The name of a field or an entity as a heading: `created_at` is "Created". @param {string} name */
export function labelOf(name) {
  const text = name.replace(/(?<=.)_at$/, '').replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} id */
const short = (id) => (id.length > 12 ? `…${id.slice(-8)}` : id);

/**
 * @param {Field} field
 * @param {any} value
 * @param {Refs} refs
 * @returns {Node}
 */
export function view(field, value, refs) {
  // Not in the record at all: this user may not see it, and it looks like no value.
  if (value === undefined) return new Text('');
  if (value === null) return element('span', { class: 'muted', title: 'empty' }, '–');
  switch (field.type) {
    case 'enum':
      return element('span', { class: 'pill' }, String(value));
    case 'bool':
      return new Text(value ? 'yes' : 'no');
    case 'ref':
      return reference(field.entity ?? '', String(value), refs);
    case 'datetime':
      return element('time', { datetime: value, title: value }, moment(new Date(value), new Date()));
    case 'date':
      return element('time', { datetime: value, title: value }, day(new Date(`${value}T00:00`), new Date()));
    case 'uuid':
      return copyButton(String(value), `Copy ${value}`, short(String(value)));
    case 'json':
      return element('code', { title: JSON.stringify(value) }, JSON.stringify(value));
    default:
      return new Text(String(value));
  }
}

/** The name of a record, and the way to it. @param {string} entity @param {string} id @param {Refs} refs */
function reference(entity, id, refs) {
  const name = refs.name(entity, id);
  const href = refs.href(entity, id);
  const way = href === null ? [] : [' ', element('a', { href, class: 'way', tabindex: -1, 'aria-label': `Open ${name}` }, '→')];
  return element('span', { title: id }, name, ...way);
}

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
      if (!choices) return typed(element('input', { ...common, value: text }), (id) => id);
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

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${/** @type {Error} */ (error).message}.`);
  }
}

/**
 * The time for today, otherwise the day.
 *
 * @param {Date} date
 * @param {Date} now
 */
export function moment(date, now) {
  if (date.toDateString() !== now.toDateString()) return day(date, now);
  return date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}

/**
 * The day, with its year unless that is the current one.
 *
 * @param {Date} date
 * @param {Date} now
 */
export function day(date, now) {
  const year = date.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return date.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year });
}

/**
 * A button that copies an id.
 *
 * @param {string} id
 * @param {string} label for screen readers
 * @param {string} text
 */
export function copyButton(id, label, text) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = text), COPIED);
    } catch {
      // Browsers offer the clipboard only to pages of this machine and over HTTPS. Elsewhere the id is shown, to be selected.
      button.replaceWith(element('code', {}, id));
    }
  };
  const button = element(
    'button',
    { type: 'button', class: 'quiet copy', tabindex: -1, title: id, 'aria-label': label, click: copy },
    text,
  );
  return button;
}

/** What a datetime-local input shows, in the user's own zone. @param {string} iso */
function localTime(iso) {
  if (iso === '') return '';
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, -1);
}
