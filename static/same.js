/**
 * What can be said of rows and values by their JSON: whether two look the same, what is sent of one, what a change makes of it. Pure.
 */

/** What is missing counts as null. @param {unknown} a @param {unknown} b */
export function same(a, b) {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

/**
 * An equal row keeps its identity, so that nothing is drawn again.
 *
 * @template {object | null | undefined} T
 * @param {T} before
 * @param {T} after
 * @returns {T}
 */
export function kept(before, after) {
  return before && after && before !== after && same(before, after) ? before : after;
}

/**
 * A list of the same objects in the same order is no news, and stays the list before.
 *
 * @template T
 * @param {T[]} before
 * @param {T[]} after
 */
export function sameList(before, after) {
  return before.length === after.length && after.every((one, at) => one === before[at]) ? before : after;
}

/**
 * A row, or what goes to the server: without the marks of this page, and a copy, so that it stays the same.
 *
 * @template {Record<string, any>} T
 * @param {T} row
 * @returns {T}
 */
export function plain({ _optimistic, _key, ...fields }) {
  return JSON.parse(JSON.stringify(fields));
}

/** The fields of a row that a change writes. @param {Record<string, any>} row @param {Record<string, any>} change @returns {Record<string, any>} */
export function fieldsOf(row, change) {
  return Object.fromEntries(Object.keys(change).map((field) => [field, row[field]]));
}

/** What a function makes of a row, without a chance to change it. @param {(row: any) => Record<string, any>} make @param {Record<string, any>} row */
export function computed(make, row) {
  const fields = make(plain(row));
  if (!fields || fields.then) throw new TypeError('it returns the fields to write, at once');
  return plain(fields);
}
