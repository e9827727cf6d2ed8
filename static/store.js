/**
 * What all lists and records of one channel share: the server's rows as they are shown, the state, the subscription. Knows
 * nothing of the order or the number of rows that a list wants. What makes rows of frames (`rows.js`) comes with what receives them.
 */
import { signal } from './signal.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./rows.js').Entry} Entry
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {import('./channels.js').ListState} ListState
 *
 * @typedef {object} StoreOptions
 * @property {string} entity
 * @property {number} linger
 * @property {import('./env.js').Env} env
 * @property {import('./overlay.js').Overlay} overlay
 * @property {import('./cache.js').RowCache} [cache]
 * @property {import('./track.js').Part} [part] The rows that are enough.
 * @property {() => void} gone
 */

/** Rows that one question may ask for. */
const MOST = 1000;
/** Rows that events may add to those that were asked for, before a new snapshot is asked for. */
const BESIDE = 1000;

export class Store {
  state = signal(/** @type {ListState} */ ('loading'));
  error = signal(/** @type {any} */ (null));
  /** Up to where the shown rows are the server's. @type {import('./rows.js').Position | null} */
  at = null;
  /** Whether the rows were ever known. */
  loaded = false;
  #options;
  /** @type {import('./rows.js').Rows | null} */
  #rows = null;
  /** The rows of `at`. During a resume those of the server are already others. @type {Map<string, Entry>} */
  #shown = new Map();
  /** @type {Set<(ids: Iterable<string>) => void>} */
  #views = new Set();
  /** @type {(() => () => void) | null} */
  #subscribe = null;
  /** @type {(() => void) | null} */
  #unsubscribe = null;
  /** The snapshot that the shown rows are from. @type {import('./rows.js').Rows['filled']} */
  filled = { last: null };
  /** The rows of the longest window. */
  #needed = 0;
  ping = () => {};
  /** Readings that wait until the rows are as far. @type {Set<(now?: any) => void>} */
  #waits = new Set();
  /** @type {(() => void) | null} */
  #unwatch = null;
  /** @type {any} */
  #timer;
  #channel = '';
  #closed = false;
  /** @type {ListState} */
  #next = 'loading';
  /** Whether the server's rows have moved on from those that are shown. */
  dirty = false;
  #scheduled = false;
  /** Ids that were touched while rows were being shown. @type {Set<string> | null} */
  #touched = null;

  /** @param {StoreOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** A list that was refused, or closed, goes no further. */
  get follows() {
    return !this.#closed && !this.denied && this.#next !== 'error';
  }

  get denied() {
    return this.#next === 'denied';
  }

  get entity() {
    return this.#options.entity;
  }

  /**
   * @param {Pick<import('./realtime.js').RealtimeClient, 'subscribe'> & {ping?: () => void}} rt
   * @param {string} channel
   * @param {import('./track.js').Reload | undefined} reload
   * @param {import('./cache.js').Kept | null} [initial] Rows that the page brought along.
   */
  open(rt, channel, reload, initial) {
    const { overlay, cache, env } = this.#options;
    this.#channel = channel;
    this.#unwatch = overlay.watch(this.entity, this);
    const begin = (/** @type {import('./cache.js').Kept | null | undefined} */ kept) => {
      if (this.#closed) return;
      if (kept) this.#restore(kept);
      let since = kept && (!kept.partial || kept.last) ? { epoch: kept.epoch, seq: kept.seq, view: kept.view } : undefined;
      /** @type {Parameters<typeof rt.subscribe>[1]} */
      const take = (frame, Rows) => {
        // What reads frames comes with the first of them.
        if (Rows) this.#rows ??= new Rows(this.at && kept);
        this.#take(frame);
      };
      const onState = (/** @type {import('./track.js').ChannelState} */ state) => this.#turn(state);
      this.#subscribe = () => {
        const { part } = this.#options;
        // The store keeps the rows for a while, so the channel can end at once.
        return rt.subscribe(channel, take, { snapshot: true, since, part, linger: 0, onState, reload });
      };
      this.#unsubscribe = this.#subscribe();
      since = undefined;
    };
    this.ping = () => rt.ping?.();
    if (initial || !cache) begin(initial);
    else cache.restore(channel, () => overlay.ready(), env).then(begin);
  }

  /**
   * @param {(ids: Iterable<string>) => void} refresh Called when the rows with these ids changed.
   * @returns {() => void} disposer
   */
  view(refresh) {
    this.#options.env.clearTimeout(this.#timer);
    this.#views.add(refresh);
    return () => {
      if (!this.#views.delete(refresh) || this.#views.size > 0) return;
      this.#timer = this.#options.env.setTimeout(() => {
        this.#closed = true;
        this.#wake();
        this.#unsubscribe?.();
        this.#unwatch?.();
        this.#options.gone();
      }, this.#options.linger);
    };
  }

  // How many of the rows.

  get part() {
    return this.#options.part;
  }

  /** The server's present rows, as soon as it can read frames. */
  get rows() {
    return /** @type {import('./rows.js').Rows} */ (this.#rows);
  }

  /** Those that are shown. */
  get entries() {
    return this.#shown.values();
  }

  /** Whether further rows can be read and put beside these. */
  get reads() {
    return this.#next === 'live' && this.at !== null;
  }

  /** A list shows so many rows. The next question asks for one more, which tells whether there are others. @param {number} count */
  need(count) {
    const { part } = this.#options;
    if (!part) return;
    part.limit = Math.min(MOST, Math.max(part.limit, count + 1));
    this.#needed = Math.max(this.#needed, count + 1);
    if (count < Infinity) return;
    // A list that shows all of them.
    this.#options.part = undefined;
    this.#renew();
  }

  /** Asks for a new snapshot. */
  #renew() {
    const before = this.#unsubscribe;
    this.#unsubscribe = this.#subscribe?.() ?? null;
    before?.();
  }

  /** When they have moved on. */
  moved = () => new Promise((resolve) => void this.#waits.add(resolve));

  #wake() {
    const waits = [...this.#waits];
    this.#waits.clear();
    for (const wake of waits) wake();
  }

  /** The server's row. @param {string} id */
  known(id) {
    return this.#shown.get(id);
  }

  /** The row with what this page has changed. @param {string} id @param {Entry} [entry] @returns {Row | null} */
  row(id, entry) {
    return this.denied ? null : this.#options.overlay.row(this.entity, id, entry, this.at);
  }

  /**
   * @param {string} id
   * @returns {import('./channels.js').Meta}
   */
  meta(id) {
    const mutations = /** @type {import('./mutation.js').Mutation[]} */ (this.#options.overlay.of(this.entity, id));
    const refused = mutations.filter(({ state }) => state === 'failed' || state === 'conflict').at(-1);
    const entry = this.#shown.get(id);
    return {
      state: /** @type {'failed' | 'conflict' | undefined} */ (refused?.state) ?? (mutations.length > 0 ? 'pending' : 'synced'),
      error: refused?.error ?? null,
      version: entry?.row.version ?? null,
      by: entry?.by ?? null,
      mutations,
    };
  }

  /** Of a channel of one record: the id of its row, in the server's form. @returns {string | undefined} */
  get only() {
    return this.#shown.keys().next().value;
  }

  /** Every id that may be shown: those of the server, and those that this page has changed. */
  ids = () => new Set([...this.#shown.keys(), ...this.#options.overlay.ids(this.entity)]);

  /** Changes of this page are shown at once. @param {Iterable<string>} ids */
  touch(ids) {
    if (this.#touched) for (const id of ids) this.#touched.add(id);
    else this.#refresh(new Set(ids));
  }

  /** Shows rows of an earlier time, until the server has told what has changed. @param {import('./cache.js').Kept} kept */
  #restore({ epoch, seq, rows, last }) {
    for (const entry of rows) this.#shown.set(entry.row.id, entry);
    this.#reach({ epoch, seq }, { last: last ?? null });
    this.#refresh(this.ids());
    this.#options.overlay.prune();
    this.state.value = this.#next = 'stale';
  }

  /** @param {Frame} frame */
  #take(frame) {
    if (frame.type === 'error') {
      this.error.value = frame.payload;
      const { part } = this.#options;
      // The order may be at fault. The list that asked for it hears of it over HTTP, and others go on.
      if (part?.sort && this.#rows?.refusesOrder(frame)) {
        part.sort = undefined;
        queueMicrotask(() => this.#closed || this.#renew());
      }
      return;
    }
    if (!this.rows.take(frame)) return;
    this.dirty = true;
    this.#schedule();
  }

  /** @param {import('./track.js').ChannelState} state */
  #turn(state) {
    if (this.denied) {
      // It begins anew, perhaps for another user.
      const ids = this.ids();
      this.#shown.clear();
      this.at = this.error.value = null;
      this.loaded = false;
      this.#refresh(ids);
    }
    this.#next = state === 'waiting' ? 'stale' : state;
    if (state === 'denied') {
      this.#rows?.clear();
      this.dirty = this.#rows !== null;
    }
    this.#schedule();
  }

  /** Frames that arrive together are shown together. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#show();
    });
  }

  /** The rows change before the state, so that `live` is never shown beside old rows. */
  #show() {
    // A resume is shown as one step, not as the history that it is made of.
    if (this.dirty && (this.#next === 'live' || this.denied)) {
      this.dirty = false;
      this.step();
      this.#options.cache?.keepSoon(this.#channel, this, this.#options.env);
    }
    if (this.#next === 'live') this.error.value = null;
    const before = this.state.peek();
    this.state.value = this.#next === 'stale' && !this.loaded ? 'loading' : this.#next;
    // A window may have become too short meanwhile.
    if (this.#next !== before) this.#refresh([]);
    this.#wake();
  }

  /** To the server's present rows. What was heard of in events is settled in the same step, so nothing flickers. */
  step() {
    const { overlay } = this.#options;
    const rows = this.rows;
    const touched = (this.#touched = rows.bring(this.#shown));
    this.#reach(rows.position, rows.filled);
    rows.tell(overlay, this.entity);
    // What was confirmed up to here is shown by these rows now, be it in an event of its own or not.
    for (const id of overlay.ids(this.entity)) touched.add(id);
    this.#touched = null;
    // How far the rows are known may change although no row does.
    this.#refresh(touched);
    overlay.prune();
    const { part } = this.#options;
    if (part && this.#next === 'live' && rows.size > this.#needed + BESIDE) this.#renew();
  }

  /** @param {import('./rows.js').Position | null} at @param {import('./rows.js').Rows['filled']} filled */
  #reach(at, filled) {
    this.loaded = true;
    this.at = at;
    this.filled = filled;
    if (at) this.#options.overlay.meet(at.epoch);
  }

  /** @param {Iterable<string>} ids */
  #refresh(ids) {
    for (const refresh of [...this.#views]) refresh(ids);
  }
}
