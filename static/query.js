/**
 * Questions as the server writes them: the query string of a list, and the text of a live query. Knows no address.
 *
 * What cannot be written is refused with a TypeError. A condition that is left out would show everything.
 */

/**
 * A `Date` is written as RFC 3339 text, for a datetime field. A date field takes its day as a text.
 * @typedef {string | number | boolean | Date} Plain
 *
 * A plain value asks for equality, `null` for empty fields, an object names operators.
 * @typedef {Plain | null | {[operator: string]: Plain | Plain[]}} Asked
 *
 * `{status: 'open', due: null, priority: {gte: 3}, id: {in: [a, b]}}`
 * @typedef {Record<string, Asked>} Where
 *
 * Conditions, and the words of a list beside them: `sort`, `limit`... A word may be undefined, and a list.
 * @typedef {Record<string, Asked | Plain[] | undefined>} Query
 *
 * @typedef {[name: string, operator: string, value: string | number | boolean | (string | number | boolean)[]]} Condition
 */

const OPERATORS = 'eq ne gt gte lt lte in contains starts ends null'.split(' ');
/** What a list takes beside conditions. A field of such a name is asked for by an operator. */
export const WORDS = 'sort limit cursor fields expand search group'.split(' ');

/**
 * The channel of the records of an entity, or of those that match. The same filter is the same text, whatever the order of
 * its parts, so that two lists share one subscription.
 *
 * @param {string} entity
 * @param {Where} [where]
 */
export function channelOf(entity, where = {}) {
  const pairs = conditions(where, []).map(([name, operator, value]) => {
    const canonical = Array.isArray(value) ? [...new Set(value)].sort() : value;
    // The brackets of an operator stay as they are: people read channel names.
    const plainly = WORDS.includes(name) ? '[eq]' : '';
    return `${name}${operator && operator !== 'eq' ? `[${operator}]` : plainly}=${encodeURIComponent(text(canonical))}`;
  });
  return `${family(entity)}${pairs.length > 0 ? '?' : ''}${pairs.sort().join('&')}`;
}

/**
 * The channel of one record.
 *
 * @param {string} entity
 * @param {string} id
 */
export function channelOfRecord(entity, id) {
  if (typeof id !== 'string' || !id) refuse('The id of a record', id, 'give a text');
  return `${family(entity)}:${encodeURIComponent(/** @type {string} */ (plain('The id of a record', id)))}`;
}

/** @param {string} entity */
function family(entity) {
  if (typeof entity !== 'string' || !/^\w+$/.test(entity)) refuse('The entity', entity, 'name it as in `Task`');
  return `entity:${entity}`;
}

/**
 * @param {Query} query
 * @param {string[]} words Names that are no conditions here.
 * @returns {Condition[]}
 */
export function conditions(query, words) {
  if (!isRecord(query)) refuse('The question', query, 'write { field: value }');
  /** @type {Condition[]} */
  const found = [];
  for (const [name, value] of Object.entries(query)) {
    if (!/^\w+$/.test(name)) refuse(`\`${name}\``, value, 'write { field: value }');
    if (words.includes(name) && !isRecord(value)) {
      if (Array.isArray(value)) found.push([name, '', Array.from(value, (one) => plain(name, one)).join()]);
      else if (value !== undefined) found.push([name, '', plain(name, value)]);
    } else if (value === null) found.push([name, 'null', true]);
    else if (!isRecord(value)) found.push([name, '', plain(name, value)]);
    else {
      const operators = Object.entries(value);
      if (operators.length === 0) refuse(`\`${name}\``, value, 'it names no operator');
      for (const [operator, operand] of operators) found.push([name, operator, operandOf(name, operator, operand)]);
    }
  }
  return found;
}

/**
 * @param {string} name
 * @param {string} operator
 * @param {unknown} operand
 */
function operandOf(name, operator, operand) {
  const place = `${name}.${operator}`;
  if (!OPERATORS.includes(operator)) refuse(`\`${place}\``, operand, `operators are ${OPERATORS.join(', ')}`);
  if (operator === 'null' && typeof operand !== 'boolean') refuse(`\`${place}\``, operand, 'give true or false');
  if (operator !== 'in') return plain(place, operand);
  if (!Array.isArray(operand)) refuse(`\`${place}\``, operand, 'give an array');
  return Array.from(/** @type {unknown[]} */ (operand), (one) => plain(place, one));
}

/**
 * @param {string} place
 * @param {unknown} value
 */
function plain(place, value) {
  const time = value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : '';
  // Years beyond four digits are no RFC 3339.
  if (time.length === 24) return time;
  // A lone surrogate would become another character on the way.
  if (typeof value === 'string' && !/\p{Surrogate}/u.test(value)) return value;
  if (Number.isFinite(value) || typeof value === 'boolean') return /** @type {number | boolean} */ (value);
  return refuse(`\`${place}\``, value, value === undefined ? 'leave the name out' : 'give a text, number, boolean, Date, null or { in: [a, b] }');
}

/**
 * @param {string} place
 * @param {unknown} value
 * @param {string} advice
 * @returns {never}
 */
function refuse(place, value, advice) {
  const shown = typeof value === 'number' ? value : Object.prototype.toString.call(value).slice(8, -1);
  throw new TypeError(`${place} cannot be asked (${shown}): ${advice}`);
}

/** Whether it was written with braces: no Map, no instance, nothing inherited. @param {unknown} value @returns {value is object} */
export function isRecord(value) {
  if (typeof value !== 'object' || value === null || Object.getOwnPropertySymbols(value).length > 0) return false;
  const parent = Object.getPrototypeOf(value);
  return parent === null || Object.getPrototypeOf(parent) === null;
}

/**
 * A list is separated by commas; those inside its values are escaped. Nothing is no value at all, so a single empty text is
 * written twice.
 *
 * @param {Condition[2]} value
 */
export function text(value) {
  if (!Array.isArray(value)) return String(value);
  return value.length === 1 && value[0] === '' ? ',' : value.map((one) => String(one).replace(/[\\,]/g, '\\$&')).join();
}
