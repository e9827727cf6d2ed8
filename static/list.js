/**
 * The rows of a list in their order, kept so by what changed: one change of one record in ten thousand moves that record
 * and looks at no other. Knows no channel.
 */
import { kept } from './same.js';

/** @typedef {import('./rows.js').Row} Row */

export class SortedRows {
  #order;
  #look;
  /** @type {Row[]} */
  #sorted = [];
  /** @type {Map<string, Row>} */
  #byId = new Map();
  /** An order that failed leaves the rows in none. */
  #broken = false;

  /**
   * @param {(a: Row, b: Row) => number} order Total: no two rows are equal.
   * @param {(id: string) => Row | null} look The row as it is to be shown, null when it does not belong here.
   */
  constructor(order, look) {
    this.#order = order;
    this.#look = look;
  }

  /** In order. */
  get all() {
    return this.#sorted;
  }

  /**
   * @param {Iterable<string>} ids These may have changed.
   * @param {() => Iterable<string>} all Every id that may belong here.
   * @returns {Row[] | null} Null when every row is the same object at the same place.
   * @throws {TypeError} when rows cannot be put in that order; the next call tries again with all of them.
   */
  update(ids, all) {
    const broken = this.#broken;
    this.#broken = true;
    const changes = [...(broken ? new Set([...this.#byId.keys(), ...all()]) : ids)].flatMap((id) => {
      const before = this.#byId.get(id);
      const after = kept(before, this.#look(id) ?? undefined);
      return before === after ? [] : [{ id, before, after }];
    });
    if (changes.length === 0 && !broken) {
      this.#broken = false;
      return null;
    }
    // A single row is compared with none, and two by the first field that differs.
    for (const { after } of changes) if (after) this.#order(after, after);
    const many = broken || changes.length > 8 + this.#sorted.length / 16;
    for (const { id, before, after } of changes) {
      if (before && !many) this.#sorted.splice(place(this.#sorted, this.#order, before), 1);
      if (after) this.#byId.set(id, after);
      else this.#byId.delete(id);
      if (after && !many) this.#sorted.splice(place(this.#sorted, this.#order, after), 0, after);
    }
    if (many) this.#sorted = [...this.#byId.values()].sort(this.#order);
    this.#broken = false;
    return this.#sorted;
  }
}

/**
 * Where a row is, or belongs: the first place whose row is not before it.
 *
 * @param {Row[]} sorted
 * @param {(a: Row, b: Row) => number} order
 * @param {Row} row
 * @param {boolean} [behind] Behind it instead.
 */
export function place(sorted, order, row, behind = false) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(sorted[middle], row) < Number(behind)) low = middle + 1;
    else high = middle;
  }
  return low;
}
