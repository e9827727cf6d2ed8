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
import { kept } from './same.js';

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {{id: string, [field: string]: any}} Row
 * @typedef {{row: Row, seq: number, by?: string}} Entry A row, the seq of the state that it shows, and who made that.
 * @typedef {{epoch: string, seq: number}} Position
 * @typedef {{mid: string, id: string, row?: Row | null, at: Position}} Echo The event of a change that carries a mutation id;
 * without `row` the record exists, and is not in the event.
 */

export class Rows {
  /** Ids whose rows have changed. Reading them empties the set. @type {Set<string>} */
  changed = new Set();
  /** Mutations that came back in events. Reading them empties the list. @type {Echo[]} */
  echoes = [];
  /** Up to where the rows are those of the server. @type {Position | null} */
  position = null;
  /** What the reader may see at that position, in the server's words. @type {string | undefined} */
  view;
  /** @type {Map<string, Entry>} Ids come from users: a Map has no `__proto__`. */
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

  /** @param {string} id */
  get(id) {
    return this.#rows.get(id);
  }

  /**
   * Rows that an earlier page, or the page itself, brought along.
   *
   * @param {import('./cache.js').Kept} kept
   */
  restore({ epoch, seq, view, rows }) {
    this.#epoch = epoch;
    this.position = { epoch, seq };
    this.view = view;
    for (const { row, seq } of rows) this.#put(row, seq);
  }

  clear() {
    for (const id of this.#rows.keys()) this.changed.add(id);
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
  #apply({ type, payload, at, by, mid, cause, seq = at }) {
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
        this.#put(payload, seq, by);
        this.#hear(mid, payload.id, payload, seq);
        break;
      case 'entity:deleted':
        if (this.#isNews(payload.id, seq)) this.#drop(payload.id);
        this.#hear(mid, payload.id, cause === 'left' ? undefined : null, seq);
        break;
      case 'pong':
        this.#sweep();
        this.#move(payload);
        this.view = payload.view ?? this.view;
        break;
    }
  }

  /**
   * @param {string | undefined} mid
   * @param {string} id
   * @param {Row | null | undefined} row
   * @param {number | undefined} seq
   */
  #hear(mid, id, row, seq) {
    if (seq === undefined || this.#epoch === undefined) return;
    const at = { epoch: this.#epoch, seq };
    // While rows come in there is no position: only the end makes them one state.
    if (!this.#settling) this.#move(at);
    if (mid !== undefined) this.echoes.push({ mid, id, row, at });
  }

  /** @param {Position} to */
  #move({ epoch, seq }) {
    const { position } = this;
    if (!epoch || (position?.epoch === epoch && position.seq >= seq)) return;
    this.position = { epoch, seq };
  }

  /** @param {string} id */
  #drop(id) {
    if (this.#rows.delete(id)) this.changed.add(id);
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
    for (const [id, entry] of this.#rows) if (entry.seq <= seq && !ids.has(id)) this.#drop(id);
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
   * @param {string} [by]
   */
  #put(row, seq, by) {
    if (!this.#isNews(row.id, seq)) return;
    const known = this.#rows.get(row.id);
    this.#rows.set(row.id, { row: kept(known?.row, row) ?? row, seq: seq ?? known?.seq ?? 0, by });
    this.changed.add(row.id);
  }
}
