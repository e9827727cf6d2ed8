/**
 * Questions as the server writes them: the query string of a list, and the text of a live query. Knows no address.
 */

/**
 * @typedef {string | number | boolean | null | undefined} Plain
 *
 * `{status: 'open', due: null, priority: {gte: 3}, id: {in: [a, b]}}`. What is `undefined` is left out; `null` asks for
 * empty fields.
 * @typedef {Record<string, Plain | Plain[] | Record<string, Plain | Plain[]>>} Query
 */

/**
 * @param {Query} query
 * @returns {[name: string, text: string][]} `priority[gte]` and `3`, in the order given.
 */
export function parameters(query) {
  return conditions(query).map(([name, value]) => [name, text(value)]);
}

/**
 * The channel of the records of an entity, or of those that match. The same question is the same text, in whatever order
 * it was put, so that two lists share one subscription.
 *
 * @param {string} entity
 * @param {Query} [where]
 */
export function channelOf(entity, where = {}) {
  const pairs = conditions(where).map(([name, value]) => {
    // The brackets of an operator stay as they are: people read channel names.
    const target = encodeURIComponent(name.replace(/\[eq]$/, '')).replace(/%5B/g, '[').replace(/%5D/g, ']');
    const canonical = Array.isArray(value) ? [...new Set(value)].sort() : value;
    return `${target}=${encodeURIComponent(text(canonical))}`;
  });
  return `entity:${entity}${pairs.length > 0 ? '?' : ''}${pairs.sort().join('&')}`;
}

/**
 * @param {Query} query
 * @returns {[name: string, value: Plain | Plain[]][]}
 */
function conditions(query) {
  /** @type {[string, Plain | Plain[]][]} */
  const found = [];
  for (const [name, value] of Object.entries(query)) {
    const operators = value === null ? { null: true } : value;
    if (typeof operators !== 'object' || Array.isArray(operators)) found.push([name, operators]);
    else for (const [word, operand] of Object.entries(operators)) found.push([`${name}[${word}]`, operand]);
  }
  return found.filter(([, value]) => value !== undefined);
}

/** A list is separated by commas; those inside its values are escaped. @param {Plain | Plain[]} value */
function text(value) {
  const escaped = (/** @type {Plain} */ one) => String(one).replace(/[\\,]/g, '\\$&');
  return Array.isArray(value) ? value.map(escaped).join(',') : String(value);
}
