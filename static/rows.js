/**
 * The records of one channel, made from its frames. Pure; knows no socket, and does not know whether a frame is missing:
 * that is `track.js`.
 *
 * Frames are held back until they make one state of the server: to the end of their unit, or of a snapshot. So the rows
 * are always those of the channel's position, and what is left of a connection that was cut can be thrown away, even when
 * the server itself has lost it.
 *
 * Every row carries the seq of the state that it shows, and an older word about it is ignored. So a page of a snapshot
 * and the events of the same time may come in any order.
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
  /** @type {Frame[]} */
  #held = [];
  /** From the start of a snapshot, or of the difference that a change of rights makes, to the `pong` that ends it. */
  #settling = false;
  /** A snapshot that is being applied: S_1 and the ids on its pages. @type {{seq: number, ids: Set<string>} | null} */
  #filling = null;

  /** In order of first sight. */
  all() {
    return Array.from(this.#rows.values(), ({ row }) => row);
  }

  clear() {
    this.#rows.clear();
    this.#held = [];
  }

  /**
   * @param {Frame} frame
   * @returns {boolean} whether the rows have moved on to another state of the server.
   */
  take(frame) {
    const { type, payload } = frame;
    const starts = type === 'subscribed' || type === 'resync';
    // What was held is sent again, or is true no longer.
    if (starts) this.#held = [];
    if (starts) this.#settling = payload.recovered !== true;
    else this.#settling = (this.#settling || frame.at !== undefined) && type !== 'pong';
    this.#held.push(frame);
    if (this.#settling || frame.more) return false;
    for (const held of this.#held) this.#apply(held);
    this.#held = [];
    return true;
  }

  /** @param {Frame} frame */
  #apply({ type, payload, at, seq = at }) {
    switch (type) {
      case 'subscribed':
      case 'resync':
        if (payload.recovered !== true) this.#begin(payload);
        this.#epoch = payload.epoch;
        break;
      case 'snapshot':
        for (const row of payload.rows) {
          this.#put(row, seq);
          this.#filling?.ids.add(row.id);
        }
        break;
      case 'entity:created':
      case 'entity:updated':
        this.#put(payload, seq);
        break;
      case 'entity:deleted':
        if (this.#isNews(payload.id, seq)) this.#rows.delete(payload.id);
        break;
      case 'pong':
        this.#sweep();
        break;
    }
  }

  /**
   * Old rows stay until the end of the snapshot: an equal one keeps its identity, a newer one stays altogether.
   *
   * @param {{epoch: string, seq: number}} start
   */
  #begin({ epoch, seq }) {
    // In another history the same number means something else.
    if (epoch !== this.#epoch) for (const entry of this.#rows.values()) entry.seq = 0;
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
   * The row as a whole: a field that it lacks now is one that may no longer be seen.
   *
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

/** Fields that the server sorts by at most. */
const MOST_SORTED = 10;

/**
 * The order of the server's lists: null first, text by code points, false before true, equal ones by id, in the direction of
 * the last field.
 *
 * @param {string | string[]} sort `-priority,title`: field names, a minus for descending.
 * @returns {(a: Row, b: Row) => number} It throws a TypeError for a row that has no such field, or json in it.
 */
export function comparator(sort) {
  const keys = sort.length === 0 ? [] : `${sort}`.split(',').map((key) => {
    const [, minus, field] = /^(-?)(\w+)$/.exec(key) ?? [];
    if (!field) throw new TypeError(`\`${key}\` cannot be sorted by: name fields as in '-priority,title'`);
    return { field, sign: minus ? -1 : 1 };
  });
  if (keys.length > MOST_SORTED || new Set(keys.map(({ field }) => field)).size < keys.length)
    throw new TypeError(`a list is sorted by at most ${MOST_SORTED} fields, each named once`);
  keys.push({ field: 'id', sign: keys.at(-1)?.sign ?? 1 });
  return (a, b) => {
    for (const { field, sign } of keys) {
      const order = compare(value(a, field), value(b, field));
      if (order !== 0) return order * sign;
    }
    return 0;
  };
}

/**
 * @param {Row} row
 * @param {string} field
 */
function value(row, field) {
  const found = Object.hasOwn(row, field) ? row[field] : undefined;
  if (found === undefined || (typeof found === 'object' && found !== null))
    throw new TypeError(`\`${field}\` cannot be sorted by: it is no field, json, or hidden from you in some records`);
  return found;
}

/**
 * @param {any} a
 * @param {any} b
 */
function compare(a, b) {
  if (a === null || b === null) return Number(b === null) - Number(a === null);
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * By code points. JavaScript compares units of UTF-16, where the halves of a large code point stand before U+E000.
 *
 * @param {string} a
 * @param {string} b
 */
function compareTexts(a, b) {
  const rank = (/** @type {number} */ unit) => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at < end ? rank(a.charCodeAt(at)) - rank(b.charCodeAt(at)) : a.length - b.length;
}
