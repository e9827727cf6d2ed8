/**
 * Live lists and live records, which keep themselves up to date. Knows the realtime client and how to read a list
 * over HTTP; draws nothing.
 */
import { environment, only } from './env.js';
import { alike, comparator, matches } from './order.js';
import { overlayOf } from './overlay.js';
import { channelOf, channelOfRecord } from './query.js';
import { kept, sameList } from './same.js';
import { computed, readable, shielded, signal } from './signal.js';
import { Store } from './store.js';
import { SortedRows, Window } from './window.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./track.js').Frame} Frame
 *
 * @typedef {'loading' | 'live' | 'stale' | 'denied' | 'error'} ListState `stale`: the rows are those of a moment ago, and
 * newer ones are on their way. `denied`: there are no rows for you, or no longer; see `error`.
 *
 * @typedef {object} Live
 * @property {import('./signal.js').Readable<ListState>} state
 * @property {import('./signal.js').Readable<{code: string, message?: string, hint?: string} | null>} error Why the channel was
 * refused, at the start or later: `UNKNOWN_ENTITY` also if the user may not see any record of it. Other channels go on.
 * @property {(id: string) => Meta} meta How a record stands.
 * @property {() => void} close Lets go. May be called twice.
 *
 * @typedef {object} Shown
 * @property {import('./signal.js').Readable<boolean>} hasMore Whether there are rows beyond `limit`.
 * @property {(count?: number) => void} more Shows more of them: as many as `limit` when no number is given.
 *
 * @typedef {object} Meta
 * @property {'synced' | 'pending' | 'failed' | 'conflict'} state `pending`: shown, and not yet confirmed by the server. `failed`
 * and `conflict`: a change was refused, and is not shown; it can be sent again or discarded.
 * @property {any} error Why it was refused.
 * @property {number | null} version Of the server's record.
 * @property {string | null} by Who changed it last, as far as an event told.
 * @property {import('./mutation.js').Mutation[]} mutations What this page does to it, in order.
 */
/**
 * @template {{id: string}} [T=Row]
 * @typedef {import('./signal.js').Readable<T[]> & Live & Shown} LiveList A new array for each change; rows that did not change
 * stay the same object.
 */
/**
 * @template {{id: string}} [T=Row]
 * @typedef {import('./signal.js').Readable<T | null | undefined> & Live} LiveRecord Null when there is no such record,
 * undefined while that is not known.
 */

/** @typedef {(api: import('./reading.js').Reader, how: Parameters<import('./track.js').Reload>[0]) => Promise<import('./reading.js').Reading>} Read */

export class ChannelSubscriber {
  #rt;
  #overlay;
  #api;
  #env;
  #linger;
  #cache;
  /** @type {Map<string, Store>} by channel */
  #stores = new Map();

  /**
   * @param {Pick<import('./realtime.js').RealtimeClient, 'subscribe'> & Partial<Pick<import('./realtime.js').RealtimeClient, 'api'>>} rt
   * @param {object} [options]
   * @param {Pick<import('./api.js').Api, 'list' | 'plural'>} [options.api] How to read rows without a socket, and the further rows of a
   * list with a `limit`. Left out, that of `rt`.
   * @param {number} [options.linger] How long rows are kept after the last list or record of a channel was closed: 1000 ms.
   * @param {import('./cache.js').RowCache} [options.cache] Shows the rows of the last visit at once: see `cache.js`.
   * @param {Partial<import('./env.js').Env>} [options.env]
   */
  constructor(rt, options = {}) {
    const { api, linger = 1000, cache, env } = only('ChannelSubscriber', options, 'api linger:number cache env');
    this.#rt = rt;
    this.#overlay = overlayOf(rt);
    this.#api = api ?? rt.api;
    this.#linger = linger;
    this.#cache = cache;
    this.#env = environment(env);
  }

  /**
   * The records of an entity that you may see: all of them, or those that match a filter.
   *
   * The server alone decides which records belong to it. A record that no longer matches keeps its last values until the
   * server says that it is gone.
   *
   * @template {{id: string}} [T=Row] A record, as in `/api/types.d.ts`.
   * @param {string} entity `Task`
   * @param {object} [options]
   * @param {import('./query.js').Where} [options.where] `{status: 'open', priority: {gte: 3}, owner: {in: [a, b]}}`
   * @param {{value: any}} [options.into] A signal of the caller's own that gets the rows too: anything with a writable `value`.
   * @param {string | string[]} [options.sort] `-priority,title`; by id, which is the order of creation, when left out.
   * @param {number} [options.limit] Rows shown at most, 1 or more; only these are loaded. `more()` shows as many again.
   * @param {import('./api.js').Page} [options.initial] The answer of `GET /api/tasks?…` with the same filter, from the page itself: it is
   * shown at once, and only what has changed since is sent.
   * @returns {LiveList<T>}
   * @throws {TypeError} when the filter, the order or the limit cannot be sent to the server.
   */
  list(entity, options = {}) {
    const { where = {}, into, sort = 'id', limit = Infinity, initial } = only('channels.list', options, 'where sort limit into initial');
    const order = comparator(sort);
    count('limit', limit);
    const channel = channelOf(entity, where);
    // A copy: if the caller changes the filter object later, the channel stays as it is.
    const asked = JSON.parse(JSON.stringify(where));
    const api = this.#api;
    const part = api && limit < Infinity ? { sort: `${sort}`, limit: limit + 1 } : undefined;
    /** @type {Read} */
    const reload = (api, { readList }) => (store.part ? readList(api, entity, { ...asked, sort: store.part.sort }, store.part.limit) : readList(api, entity, asked));
    const page = initial && keptOf(initial, part);
    const store = this.#store(channel, entity, reload, page, part);
    store.need(limit);
    // The channel may be as far as the page without a change that tells.
    if (page) store.ping();
    /** The server decides what belongs to the list, and this page for the moment where it changed a field that matters. */
    const look = (/** @type {string} */ id) => {
      const entry = window.entry(id);
      const known = entry?.row;
      const row = store.row(id, entry);
      return row && (row === known || (known && alike(asked, known, row)) || matches(asked, row)) ? row : null;
    };
    const rows = new SortedRows(order, look);
    const window = new Window({ store, order, sort: `${sort}`, limit, api, query: { ...asked, sort }, env: this.#env, page });
    /** @type {(ids: Iterable<string>, before: Row[]) => Row[]} */
    const pick = (ids, before) => sameList(before, window.cut(rows, ids, before));
    const { hasMore } = window;
    const more = (number = limit) => {
      count('more', number);
      window.more(number);
    };
    const list = Object.assign(live(store, /** @type {Row[]} */ ([]), pick, into, window), { hasMore, more });
    this.#overlay.shown.add(list);
    if (into) this.#overlay.shown.add(into);
    return /** @type {any} */ (list);
  }

  /**
   * One record. Its id can be in any form that the server accepts.
   *
   * @template {{id: string}} [T=Row]
   * @param {string} entity
   * @param {string} id
   * @returns {LiveRecord<T>}
   */
  record(entity, id) {
    const store = this.#store(channelOfRecord(entity, id), entity, (api, { readRecord }) => readRecord(api, entity, id));
    // The server writes the id in its own form, so it is that of the row once there is one.
    let own = id;
    const pick = (/** @type {Iterable<string>} */ _, /** @type {Row | null | undefined} */ before) => {
      own = store.only ?? own;
      const row = store.row(own, store.known(own));
      if (!store.loaded && !row) return undefined;
      return kept(before, row);
    };
    const record = live(store, /** @type {Row | null | undefined} */ (undefined), pick);
    this.#overlay.shown.add(record);
    return /** @type {any} */ (record);
  }

  /**
   * @param {string} channel
   * @param {string} entity
   * @param {Read} read
   * @param {import('./cache.js').Kept | null} [initial]
   * @param {import('./track.js').Part} [part]
   */
  #store(channel, entity, read, initial, part) {
    const api = this.#api;
    let store = this.#stores.get(channel);
    if (!store) {
      const gone = () => this.#stores.delete(channel);
      store = new Store({ entity, linger: this.#linger, env: this.#env, overlay: this.#overlay, cache: this.#cache, part, gone });
      this.#stores.set(channel, store);
      store.open(this.#rt, channel, api && ((how) => read(api, how)), initial);
    }
    return store;
  }
}

/** @param {string} name @param {number} number */
function count(name, number) {
  if (number !== Infinity && !(Number.isInteger(number) && number > 0))
    throw new TypeError(`a list shows a whole number of rows, 1 or more: \`${name}\` is ${String(number)}`);
}

/** @param {import('./api.js').Page} page @param {unknown} first Whether a list wants no more than its first rows. @returns {import('./cache.js').Kept} */
function keptOf({ epoch, seq, view, items, next }, first) {
  const last = first && next ? items.at(-1) : undefined;
  return { epoch, seq, view, partial: Boolean(next), last, rows: items.map((row) => ({ row, seq })) };
}

/**
 * @template T
 * @param {Store} store
 * @param {T} empty What is shown while nothing is known.
 * @param {(ids: Iterable<string>, before: T) => T} pick A failure becomes the list's error, and the rows stay.
 * @param {{value: any}} [into]
 * @param {Window} [window]
 * @returns {import('./signal.js').Readable<T> & Live}
 */
function live(store, empty, pick, into, window) {
  const result = signal(empty);
  /** Why these rows cannot be shown in the order that was asked for. */
  const fault = signal(/** @type {{code: string, message: string, hint?: string} | null} */ (null));
  /** @param {Iterable<string>} ids */
  const refresh = (ids) => {
    const before = result.peek();
    let next = before;
    try {
      next = pick(ids, before);
      fault.value = null;
    } catch (error) {
      fault.value = { code: 'BAD_QUERY', message: /** @type {Error} */ (error).message };
    }
    if (into && next !== before) shielded(() => (into.value = next));
    result.value = next;
    window?.tell();
  };
  const leave = store.view(refresh);
  refresh(store.ids());
  const { fault: refused = fault, state: own = signal(null) } = window ?? {};
  // Before the state, so that it is there when the state says so.
  const error = computed([fault, refused, store.error], (one, other, error) => one ?? other ?? error);
  const state = computed([fault, refused, own, store.state], (one, other, own, state) => ((one ?? other) ? 'error' : (own ?? state)));
  const meta = (/** @type {string} */ id) => store.meta(id);
  const close = () => {
    leave();
    window?.close();
    state.dispose();
    error.dispose();
  };
  return Object.assign(readable(result), { state, error, meta, close });
}
