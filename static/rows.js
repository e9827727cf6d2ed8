/**
 * The records of one channel, made from its frames. Pure; knows no socket, and does not know whether a frame is missing:
 * that is `track.js`.
 *
 * Every row carries the seq of the state that it shows, and an older word about it is ignored. So a page of a snapshot
 * and the events of the same time may arrive in any order, and any frame twice.
 */

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {{id: string, [field: string]: any}} Row
 */

export class Rows {
  /** @type {Map<string, {row: Row, seq: number}>} Ids come from users: a Map has no `__proto__`. */
  #rows = new Map();
  /** @type {string | undefined} */
  #epoch;
  /** A snapshot on its way: S_1 and the ids on its pages. @type {{seq: number, ids: Set<string>} | null} */
  #filling = null;
  /** From `subscribed` or `resync` to the `pong` that ends it: what arrives is not one state of the server yet. */
  #settling = false;

  /** In order of first sight. */
  all() {
    return Array.from(this.#rows.values(), ({ row }) => row);
  }

  clear() {
    this.#rows.clear();
    this.#filling = null;
    this.#settling = false;
  }

  /**
   * @param {Frame} frame
   * @returns {boolean} whether the rows are one state of the server now; false in the middle of a unit or a snapshot.
   */
  apply(frame) {
    const { type, payload, seq = frame.at } = frame;
    switch (type) {
      case 'subscribed':
        this.#filling = null;
        if (payload.recovered !== true) this.#begin(payload);
        this.#epoch = payload.epoch;
        this.#settling = true;
        return false;
      case 'resync':
        this.#begin(payload);
        this.#settling = true;
        return false;
      case 'snapshot':
        for (const row of payload.rows) {
          this.#put(row, seq);
          this.#filling?.ids.add(row.id);
        }
        return false;
      case 'entity:created':
      case 'entity:updated':
        this.#put(payload, seq);
        return !frame.more && !this.#settling;
      case 'entity:deleted':
        if (this.#isNews(payload.id, seq)) this.#rows.delete(payload.id);
        return !frame.more && !this.#settling;
      case 'pong':
        this.#sweep();
        this.#settling = false;
        return true;
      default:
        return false;
    }
  }

  /**
   * Rows stay until the snapshot is complete, so that nobody sees them vanish and come back.
   *
   * @param {{epoch: string, seq: number}} start
   */
  #begin({ epoch, seq }) {
    // In another history the same number means something else.
    if (epoch !== this.#epoch) for (const entry of this.#rows.values()) entry.seq = 0;
    this.#epoch = epoch;
    this.#filling = { seq, ids: new Set() };
  }

  /** What was there before the snapshot and is not on its pages is gone; what came after S_1 is not judged by it. */
  #sweep() {
    if (!this.#filling) return;
    const { seq, ids } = this.#filling;
    for (const [id, entry] of this.#rows) if (entry.seq <= seq && !ids.has(id)) this.#rows.delete(id);
    this.#filling = null;
  }

  /**
   * @param {string} id
   * @param {number | undefined} seq
   */
  #isNews(id, seq = Infinity) {
    const known = this.#rows.get(id);
    return !known || seq > known.seq;
  }

  /**
   * @param {Row} row
   * @param {number | undefined} seq
   */
  #put(row, seq) {
    if (!this.#isNews(row.id, seq)) return;
    const known = this.#rows.get(row.id);
    // An equal row keeps its identity, so that nothing is drawn again.
    const kept = known && JSON.stringify(known.row) === JSON.stringify(row) ? known.row : row;
    this.#rows.set(row.id, { row: kept, seq: seq ?? known?.seq ?? 0 });
  }
}

/**
 * @param {string} sort `-priority,title`: field names, a minus for descending.
 * @returns {(a: Row, b: Row) => number} Null first, text by code units, equal ones by id.
 */
export function comparator(sort) {
  const keys = sort
    .split(',')
    .filter(Boolean)
    .map((key) => (key.startsWith('-') ? { field: key.slice(1), sign: -1 } : { field: key, sign: 1 }));
  keys.push({ field: 'id', sign: keys[0]?.sign ?? 1 });
  return (a, b) => {
    for (const { field, sign } of keys) {
      const order = compare(a[field], b[field]);
      if (order !== 0) return order * sign;
    }
    return 0;
  };
}

/**
 * @param {any} a
 * @param {any} b
 */
function compare(a, b) {
  if (a == null || b == null) return Number(b == null) - Number(a == null);
  return a < b ? -1 : a > b ? 1 : 0;
}
