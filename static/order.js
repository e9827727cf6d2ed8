/**
 * How the server compares: the order of its lists, for every type that can be sorted by, and whether a record matches a filter. The
 * latter is for the moment until the server says so: a record that was changed here appears in, and leaves, a list at once. Knows no
 * types, so it compares as the values look. Pure; knows no list.
 */
import { same } from './same.js';

/** @typedef {import('./rows.js').Row} Row */

/** Fields that the server sorts by at most. */
const MOST_SORTED = 10;

/**
 * The order of the server's lists: null first, text by code points, false before true, equal ones by id, in the direction of
 * the last field.
 *
 * @param {string | string[]} sort `-priority,title`: field names, a minus for descending.
 * @returns {(a: Row, b: Row) => number} It throws a TypeError for a row that has no such field, or json in it.
 */
export function comparator(sort) {
  const keys = sort.length === 0 ? [] : `${sort}`.split(',').map((key) => {
    const [, minus, field] = /^(-?)(\w+)$/.exec(key) ?? [];
    if (!field) throw new TypeError(`\`${key}\` cannot be sorted by: name fields as in '-priority,title'`);
    return { field, sign: minus ? -1 : 1 };
  });
  if (keys.length > MOST_SORTED || new Set(keys.map(({ field }) => field)).size < keys.length)
    throw new TypeError(`a list is sorted by up to ${MOST_SORTED} fields, each once`);
  keys.push({ field: 'id', sign: keys.at(-1)?.sign ?? 1 });
  return (a, b) => {
    for (const { field, sign } of keys) {
      const order = compare(value(a, field), value(b, field));
      if (order !== 0) return order * sign;
    }
    return 0;
  };
}

/**
 * @param {Row} row
 * @param {string} field
 */
function value(row, field) {
  const found = Object.hasOwn(row, field) ? row[field] : undefined;
  // Of a record that was made here a moment ago, the server has yet to fill in the rest.
  if (found === undefined && row._optimistic) return null;
  if (found === undefined || (typeof found === 'object' && found !== null))
    throw new TypeError(`\`${field}\` cannot be sorted by: it is no field, json, or hidden from you in some records`);
  return found;
}

/**
 * @param {any} a
 * @param {any} b
 */
function compare(a, b) {
  if (a === null || b === null) return Number(b === null) - Number(a === null);
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * By code points. JavaScript compares units of UTF-16, where the halves of a large code point stand before U+E000.
 *
 * @param {string} a
 * @param {string} b
 */
export function compareTexts(a, b) {
  const rank = (/** @type {number} */ unit) => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at < end ? rank(a.charCodeAt(at)) - rank(b.charCodeAt(at)) : a.length - b.length;
}

/**
 * @param {import('./query.js').Where} where
 * @param {Row} row
 * @returns {boolean} false also when a field is unknown here: the server will show the record, if it belongs to the list.
 */
export function matches(where, row) {
  return Object.entries(where).every(([field, asked]) => {
    const value = row[field];
    if (value === undefined) return false;
    if (asked === null) return value === null;
    if (typeof asked !== 'object' || asked instanceof Date) return equal(value, asked);
    return Object.entries(asked).every(([operator, operand]) => holds(value, operator, operand));
  });
}

/**
 * Whether two rows look the same to a filter.
 *
 * @param {import('./query.js').Where} where
 * @param {Row} a
 * @param {Row} b
 */
export function alike(where, a, b) {
  return Object.keys(where).every((field) => same(a[field], b[field]));
}

/**
 * @param {any} value
 * @param {string} operator
 * @param {any} operand
 */
function holds(value, operator, operand) {
  if (operator === 'null') return (value === null) === operand;
  // Nothing is equal to an empty field, and nothing differs from it.
  if (value === null) return false;
  if (operator === 'in') return operand.some((/** @type {any} */ one) => equal(value, one));
  if (operator === 'contains') return String(value).includes(operand);
  if (operator === 'starts') return String(value).startsWith(operand);
  if (operator === 'ends') return String(value).endsWith(operand);
  const order = distance(value, operand);
  /** @type {Record<string, boolean>} */
  const found = { eq: order === 0, ne: order !== 0, gt: order > 0, gte: order >= 0, lt: order < 0, lte: order <= 0 };
  return found[operator] ?? false;
}

/**
 * @param {any} value
 * @param {any} asked
 */
function equal(value, asked) {
  return value !== null && distance(value, asked) === 0;
}

const TIME = /^\d{4}-\d\d-\d\dT/;

/**
 * @param {any} value
 * @param {any} asked
 */
function distance(value, asked) {
  const other = asked instanceof Date ? asked.toISOString() : asked;
  const times = [value, other].every((one) => typeof one === 'string' && TIME.test(one));
  if (times) return Date.parse(value) - Date.parse(other);
  if (typeof value === 'string') return compareTexts(value, String(other));
  if (typeof value === 'boolean') return Number(value) - Number(other === true || other === 'true');
  return value - Number(other);
}
