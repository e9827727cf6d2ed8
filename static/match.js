/**
 * Whether a record matches a filter, for the moment until the server says so: a record that was changed here appears in,
 * and leaves, a list at once. Knows no types, so it compares as the values look. Pure.
 */
import { compareTexts } from './order.js';
import { same } from './same.js';

/**
 * @param {import('./query.js').Where} where
 * @param {import('./rows.js').Row} row
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
 * @param {import('./rows.js').Row} a
 * @param {import('./rows.js').Row} b
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
  const order = compare(value, operand);
  /** @type {Record<string, boolean>} */
  const found = { eq: order === 0, ne: order !== 0, gt: order > 0, gte: order >= 0, lt: order < 0, lte: order <= 0 };
  return found[operator] ?? false;
}

/**
 * @param {any} value
 * @param {any} asked
 */
function equal(value, asked) {
  return value !== null && compare(value, asked) === 0;
}

const TIME = /^\d{4}-\d\d-\d\dT/;

/**
 * @param {any} value
 * @param {any} asked
 */
function compare(value, asked) {
  const other = asked instanceof Date ? asked.toISOString() : asked;
  const times = [value, other].every((one) => typeof one === 'string' && TIME.test(one));
  if (times) return Date.parse(value) - Date.parse(other);
  if (typeof value === 'string') return compareTexts(value, String(other));
  if (typeof value === 'boolean') return Number(value) - Number(other === true || other === 'true');
  return value - Number(other);
}
