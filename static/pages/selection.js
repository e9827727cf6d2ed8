/**
 * Which rows of a table are selected, by id. A range begins at the row that was selected last. Pure.
 */

export class Selection {
  /** @type {Set<string>} */
  ids = new Set();
  /** What was selected before the range. @type {Set<string>} */
  #before = new Set();
  /** Where a range begins. @type {string | null} */
  #start = null;

  /** @param {string} id */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#begin(id);
  }

  /**
   * Selects all rows up to one, in place of those of the range before.
   *
   * @param {string} from Where the range begins if there is none yet.
   * @param {string} to
   * @param {string[]} order All ids, in their order.
   */
  extend(from, to, order) {
    if (this.#start === null || !order.includes(this.#start)) this.#begin(order.includes(from) ? from : to);
    const [first, last] = [order.indexOf(/** @type {string} */ (this.#start)), order.indexOf(to)].sort((a, b) => a - b);
    this.ids = new Set([...this.#before, ...order.slice(first, last + 1)]);
  }

  /** @param {string[]} ids */
  set(ids) {
    this.ids = new Set(ids);
    this.#start = null;
    this.#before = new Set();
  }

  /** Lets go of rows that are no longer there. @param {(id: string) => boolean} isThere @returns {boolean} whether there were any. */
  keep(isThere) {
    const gone = [...this.ids].filter((id) => !isThere(id));
    for (const id of gone) {
      this.ids.delete(id);
      this.#before.delete(id);
    }
    return gone.length > 0;
  }

  /** @param {string} id */
  #begin(id) {
    this.#start = id;
    this.#before = new Set(this.ids);
  }
}
