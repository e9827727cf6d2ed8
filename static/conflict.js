/**
 * Three-way merge of the fields that a change writes: what was there, what others made of it, what was to be written. Pure.
 */
import { same } from './same.js';

/** @typedef {Record<string, any>} Fields */

/**
 * @param {Fields} base What the writer saw of the fields that they change.
 * @param {Fields} mine What they write.
 * @param {Fields} theirs The record as it is.
 * @returns {{mine: Fields, theirs: Fields, base: Fields} | null} The fields that both changed, to different values. Null: the
 * change can be made on the record as it is, because others changed other fields.
 */
export function collision(base, mine, theirs) {
  const fields = Object.keys(mine).filter((field) => !same(base[field], theirs[field]) && !same(mine[field], theirs[field]));
  if (fields.length === 0) return null;
  const pick = (/** @type {Fields} */ from) => Object.fromEntries(fields.map((field) => [field, from[field]]));
  return { mine: pick(mine), theirs: pick(theirs), base: pick(base) };
}

/** The fields of a row that a change writes. @param {Fields} row @param {Fields} change @returns {Fields} */
export function fieldsOf(row, change) {
  return Object.fromEntries(Object.keys(change).map((field) => [field, row[field]]));
}
