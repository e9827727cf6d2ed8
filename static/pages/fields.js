/**
 * How names and values look. The server alone judges values.
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
 * @property {(entity: string, text: string) => Promise<{id: string, name: string}[]>} find Some whose names have the text.
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
export const short = (id) => (id.length > 12 ? `…${id.slice(-8)}` : id);

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
