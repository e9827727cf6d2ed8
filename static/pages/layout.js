/**
 * Where the rows of a long table are: all are of one height, but a few have a note below them. Knows no elements.
 */

/** Of a row and of a note, in pixels: the style sheet has the same. */
export const ROW = 40;
const NOTE = matchMedia('(max-width: 600px)').matches ? 96 : 48;
/** Rows that are drawn beyond the edges of the window. */
const OVER = 8;

export class Layout {
  /** Where rows with a note are, in order. @type {number[]} */
  #notes;

  /** @param {number} count @param {number[]} notes Places of rows with a note. */
  constructor(count, notes) {
    this.count = count;
    this.#notes = [...notes].sort((a, b) => a - b);
  }

  /** Notes above a place. @param {number} at */
  #above(at) {
    return this.#notes.filter((place) => place < at).length;
  }

  /** The upper edge of a row. @param {number} at */
  top(at) {
    return at * ROW + this.#above(at) * NOTE;
  }

  /** The row at a height, or the last one. @param {number} y */
  at(y) {
    let at = Math.floor(y / ROW);
    for (const place of this.#notes) if (this.top(place) + ROW <= y) at = Math.max(place, Math.floor((y - this.#above(place + 1) * NOTE) / ROW));
    return Math.max(0, Math.min(at, this.count - 1));
  }

  /**
   * The rows that a window shows, and some more.
   *
   * @param {number} top
   * @param {number} height
   * @returns {[from: number, to: number]} `to` is behind the last one.
   */
  window(top, height) {
    if (this.count === 0) return [0, 0];
    return [Math.max(0, this.at(top) - OVER), Math.min(this.count, this.at(top + height) + 1 + OVER)];
  }
}
