/**
 * Whether a record matches a filter, for the moment until the server says so: a record that was changed here appears in,
 * and leaves, a list at once. Knows no types, so it compares as the values look. Pure.
 */

import { compareTexts } from './order.js';

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
  return Object.keys(where).every((field) => JSON.stringify(a[field]) === JSON.stringify(b[field]));
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
  switch (operator) {
    case 'eq':
      return equal(value, operand);
    case 'ne':
      return !equal(value, operand);
    case 'in':
      return operand.some((/** @type {any} */ one) => equal(value, one));
    case 'contains':
      return String(value).includes(operand);
    case 'starts':
      return String(value).startsWith(operand);
    case 'gt':
      return compare(value, operand) > 0;
    case 'gte':
      return compare(value, operand) >= 0;
    case 'lt':
      return compare(value, operand) < 0;
    case 'lte':
      return compare(value, operand) <= 0;
    default:
      return false;
  }
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
