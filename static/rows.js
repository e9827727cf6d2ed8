/**
 * The records of one channel, made from its frames. Pure; knows no socket, and does not know whether a frame is missing:
 * that is `track.js`.
 *
 * Frames are held back until they make one state of the server: to the end of their unit, or of a snapshot. So the rows
 * are always those of the channel's position, and what is left of a connection that was cut can be thrown away, even when
 * the server itself has lost it.
 *
 * Every row carries the seq of the state that it shows, and an older frame about it is ignored. So a page of a snapshot
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
 *
 * @typedef {object} Watch What events tell while rows are read over HTTP.
 * @property {Map<string, number>} news The seq of the last event, by id.
 * @property {boolean} over A new snapshot has replaced the rows, so the rows that were read do not belong to them.
 */

export class Rows {
  /** Ids whose rows have changed since they were shown. @type {Set<string>} */
  #changed = new Set();
  /** Those that had, when rows were shown last. @type {Set<string>} */
  #last = new Set();
  /** Mutations that came back in events, and were not told of yet: the last event of each record. @type {Map<string, Echo>} */
  #echoes = new Map();
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
  /** A snapshot that is being applied: S_1, the ids on its pages, and the last row. @type {{seq: number, ids: Set<string>, last: Row | undefined} | null} */
  #filling = null;
  /**
   * The last snapshot, another object for each. `last`: null when it had all rows, else the last of the first ones in the order
   * that was asked for; undefined when the server has given others.
   */
  filled = { last: /** @type {Row | null | undefined} */ (null) };
  /** Whether the server gives the first rows in the order that was asked for, and how many were asked for. */
  #limited = false;
  #asked = Infinity;
  /** Who reads further rows over HTTP. @type {Set<Watch>} */
  #watches = new Set();

  /** @param {import('./cache.js').Kept | null} [kept] Rows that an earlier page, or the page itself, brought along. */
  constructor(kept) {
    if (!kept) return;
    const { epoch, seq, view, rows, last = null } = kept;
    this.filled = { last };
    this.#epoch = epoch;
    this.position = { epoch, seq };
    this.view = view;
    for (const { row, seq } of rows) this.#put(row, seq);
  }

  /** @returns {Watch & {end: () => void}} */
  watch() {
    const watch = { news: new Map(), over: false, end: () => void this.#watches.delete(watch) };
    this.#watches.add(watch);
    return watch;
  }

  /**
   * Rows that were read over HTTP, at or before the present position. Newer rows from events stay.
   *
   * @param {import('./reading.js').Reading} reading
   * @param {Watch} watch Since before the reading.
   */
  add({ pages }, { news }) {
    for (const { seq, rows } of pages) for (const row of rows) if (!(/** @type {number} */ (news.get(row.id)) > seq)) this.#put(row, seq);
  }

  get size() {
    return this.#rows.size;
  }

  /** Makes shown rows those of this state. @param {Map<string, Entry>} shown @returns {Set<string>} The ids that have changed. */
  bring(shown) {
    const changed = (this.#last = this.#changed);
    this.#changed = new Set();
    for (const id of changed) {
      const entry = this.#rows.get(id);
      if (entry) shown.set(id, entry);
      else shown.delete(id);
    }
    return changed;
  }

  /**
   * Makes rows that the page brought along as new as those that are shown, as far as these are known. Called at each step.
   *
   * @param {Map<string, Entry>} rows
   * @param {Position} page When these rows were read.
   * @param {import('./store.js').Store} store
   */
  follow(rows, page, store) {
    const { at } = store;
    if (at?.epoch !== page.epoch || at.seq < page.seq) return;
    for (const entry of store.entries) if (entry.seq > (rows.get(entry.row.id) ?? page).seq) rows.set(entry.row.id, entry);
    for (const id of this.#last) if (!store.known(id)) rows.delete(id);
  }

  /** Tells of the mutations that came back. @param {import('./overlay.js').Overlay} overlay @param {string} entity */
  tell(overlay, entity) {
    const echoes = [...this.#echoes.values()];
    this.#echoes.clear();
    // A batch has all its rows before it is done.
    for (const { mid, id, row } of echoes)
      for (const mutation of overlay.laid) {
        if (mutation.mid !== mid) continue;
        for (const change of mutation.changes) if (change.entity === entity && change.id === id) change.row ??= row;
      }
    for (const { mid, ...echo } of echoes) for (const listener of [...overlay.listeners]) listener(mid, { entity, ...echo });
  }

  /** Whether a refusal may be about the order that was asked for. @param {Frame} frame */
  refusesOrder({ payload }) {
    return ['BAD_CHANNEL', 'BAD_QUERY', 'QUERY_TOO_BROAD'].includes(payload?.code);
  }

  clear() {
    for (const id of this.#rows.keys()) this.#drop(id);
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
    this.#settling = starts ? payload.recovered !== true : (this.#settling || frame.at !== undefined) && type !== 'pong';
    this.#held.push(frame);
    if (this.#settling || frame.more) return false;
    for (const held of this.#held) this.#apply(held);
    this.#held = [];
    return true;
  }

  /** @param {Frame} frame */
  #apply({ type, payload, at, by, mid, cause, asked, seq = at }) {
    if (type.startsWith('entity:')) for (const { news } of this.#watches) news.set(payload.id, seq ?? Infinity);
    switch (type) {
      case 'subscribed':
      case 'resync':
        // A resync keeps the limit of the subscription.
        if (type === 'subscribed' || payload.limited !== undefined) this.#limited = payload.limited === true;
        this.#asked = asked ?? Infinity;
        if (payload.recovered !== true) this.#begin(payload);
        this.#epoch = payload.epoch;
        break;
      case 'snapshot':
        for (const row of payload.rows) {
          this.#put(row, seq);
          this.#filling?.ids.add(row.id);
        }
        if (this.#filling) this.#filling.last = payload.rows.at(-1) ?? this.#filling.last;
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
    if (mid === undefined) return;
    const key = JSON.stringify([mid, id]);
    this.#echoes.delete(key);
    this.#echoes.set(key, { mid, id, row, at });
  }

  /** @param {Position} to */
  #move({ epoch, seq }) {
    const { position } = this;
    if (!epoch || (position?.epoch === epoch && position.seq >= seq)) return;
    this.position = { epoch, seq };
  }

  /** @param {string} id */
  #drop(id) {
    this.#rows.delete(id);
    this.#changed.add(id);
  }

  /**
   * Old rows stay until the end of the snapshot: an equal one keeps its identity, a newer one stays altogether.
   *
   * @param {{epoch: string, seq: number}} start
   */
  #begin({ epoch, seq }) {
    // In another history the same number means something else.
    if (epoch !== this.#epoch) for (const entry of this.#rows.values()) entry.seq = 0;
    this.#filling = { seq, ids: new Set(), last: undefined };
    for (const watch of this.#watches) watch.over = true;
  }

  /** Removes rows from before the snapshot that are on none of its pages. Rows that changed after S_1 stay. */
  #sweep() {
    if (!this.#filling) return;
    const { seq, ids, last } = this.#filling;
    this.filled = { last: ids.size < this.#asked ? null : this.#limited ? last : undefined };
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
    this.#changed.add(row.id);
  }
}
