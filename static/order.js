/**
 * The order of the server's lists, for every type that can be sorted by. Pure; knows no list.
 */

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
    throw new TypeError(`a list is sorted by at most ${MOST_SORTED} fields, each named once`);
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
