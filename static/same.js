/**
 * Whether two values look the same in JSON. Pure.
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
