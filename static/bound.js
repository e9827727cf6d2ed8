/**
 * A signal of the caller's own that no list fills: the rows in it, with the changes of this page. Knows no network; what
 * others change is the business of the code that puts rows into the signal.
 */

import { shielded } from './signal.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./overlay.js').Overlay} Overlay
 */

export class Bound {
  at = null;
  follows = false;
  /** The server's rows, as far as the caller and the confirmations told. @type {Map<string, Row>} */
  #rows = new Map();
  /** Records that were made through this signal. @type {Set<string>} */
  #made = new Set();
  /** @type {unknown} */
  #written = this;
  /** Whether it holds one record and no list. */
  #single = false;
  #overlay;
  #entity;
  #signal;

  /**
   * @param {Overlay} overlay
   * @param {string} entity
   * @param {{value: any}} signal
   */
  constructor(overlay, entity, signal) {
    this.#overlay = overlay;
    this.#entity = entity;
    this.#signal = signal;
    this.#read();
  }

  /** The next change is made through this signal. @param {string} id */
  expect(id) {
    this.#read();
    this.#made.add(id);
  }

  /** @param {string} id */
  known(id) {
    const row = this.#rows.get(id);
    return row && { row, seq: 0 };
  }

  /** @param {Iterable<string>} ids */
  touch(ids) {
    this.#read();
    const confirmed = new Map();
    for (const id of ids) {
      const row = this.#look(id);
      if (!this.#rows.has(id) && !this.#made.has(id)) continue;
      if (!row?._optimistic && this.#overlay.of(this.#entity, id).length === 0) confirmed.set(id, row);
    }
    for (const [id, row] of confirmed) {
      if (row) this.#rows.set(id, row);
      else this.#rows.delete(id);
      this.#made.delete(id);
    }
    const made = [...this.#made].filter((id) => !this.#rows.has(id));
    const shown = [...this.#rows.keys(), ...made].flatMap((id) => this.#look(id) ?? []);
    this.#written = this.#single ? (shown[0] ?? null) : shown;
    shielded(() => (this.#signal.value = this.#written));
  }

  /** @param {string} id */
  #look(id) {
    return this.#overlay.row(this.#entity, id, this.known(id), null);
  }

  /** What the caller has put there since. */
  #read() {
    const { value } = this.#signal;
    if (value === this.#written) return;
    this.#written = value;
    this.#single = !Array.isArray(value) && Boolean(value?.id);
    const before = this.#rows;
    this.#rows = new Map();
    for (const row of this.#single ? [value] : (value ?? [])) {
      const known = row._optimistic ? before.get(row.id) : row;
      if (known) this.#rows.set(row.id, known);
    }
    // What is deleted here is not in the signal, and comes back if the server refuses.
    for (const [id, row] of before) if (!this.#rows.has(id) && this.#overlay.of(this.#entity, id).length > 0) this.#rows.set(id, row);
  }
}
