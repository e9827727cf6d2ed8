/**
 * Live lists and live records, which keep themselves up to date. Knows the realtime client and how to read a list
 * over HTTP; draws nothing.
 */
import { environment } from './env.js';
import { SortedRows } from './list.js';
import { alike, matches } from './match.js';
import { comparator } from './order.js';
import { overlayOf } from './overlay.js';
import { channelOf, channelOfRecord } from './query.js';
import { kept } from './same.js';
import { computed, signal } from './signal.js';
import { Store } from './store.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./track.js').Frame} Frame
 *
 * @typedef {'loading' | 'live' | 'stale' | 'denied' | 'error'} ListState `stale`: the rows are those of a moment ago, and
 * newer ones are on their way. `denied`: there are no rows for you (any more), see `error`.
 *
 * @typedef {object} Live
 * @property {import('./signal.js').Readable<ListState>} state
 * @property {import('./signal.js').Readable<{code: string, message?: string, hint?: string} | null>} error Why the channel was
 * refused, at the start or later: `UNKNOWN_ENTITY` is also what one hears who may see nothing of it. Other channels go on.
 * @property {(id: string) => Meta} meta How a record stands.
 * @property {() => void} close Lets go. May be called twice.
 *
 * @typedef {object} Window
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
 * @typedef {import('./signal.js').Readable<T[]> & Live & Window} LiveList A new array for each change; rows that did not change
 * stay the same object.
 */
/**
 * @template {{id: string}} [T=Row]
 * @typedef {import('./signal.js').Readable<T | null | undefined> & Live} LiveRecord Null when there is no such record,
 * undefined while that is not known.
 */

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
   * @param {Pick<import('./realtime.js').RealtimeClient, 'subscribe'>} rt
   * @param {object} [options]
   * @param {Pick<import('./api.js').Api, 'list' | 'plural'>} [options.api] Needed to go on while there is no socket.
   * @param {number} [options.linger] How long rows are kept after the last list or record of a channel was closed: 1000 ms.
   * @param {import('./cache.js').RowCache} [options.cache] Shows the rows of the last visit at once: see `cache.js`.
   * @param {Partial<import('./env.js').Env>} [options.env]
   */
  constructor(rt, { api, linger = 1000, cache, env } = {}) {
    this.#rt = rt;
    this.#overlay = overlayOf(rt);
    this.#api = api;
    this.#linger = linger;
    this.#cache = cache;
    this.#env = environment(env);
  }

  /**
   * The records of an entity that you may see: all of them, or those that match a question.
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
   * @param {number} [options.limit] Rows shown at most, 1 or more; all are kept up to date. `more()` shows as many again.
   * @param {import('./api.js').Page} [options.initial] The answer of `GET /api/tasks?…` with the same filter, from the page itself: it is
   * shown at once, and only what has changed since is sent.
   * @returns {LiveList<T>}
   * @throws {TypeError} when the filter, the order or the limit cannot be sent to the server.
   */
  list(entity, { where = {}, into, sort = 'id', limit = Infinity, initial } = {}) {
    const order = comparator(sort);
    if (!(limit === Infinity || (Number.isInteger(limit) && limit > 0)))
      throw new TypeError(`a list shows a whole number of rows, 1 or more: \`limit\` is ${String(limit)}`);
    const channel = channelOf(entity, where);
    // A copy: what the caller does to the question later does not change what the channel shows.
    const asked = JSON.parse(JSON.stringify(where));
    const store = this.#store(channel, entity, (api, { readList }) => readList(api, entity, asked), initial && keptOf(initial));
    /** The server decides what belongs to the list, and this page for the moment where it changed a field that matters. */
    const look = (/** @type {string} */ id) => {
      const row = store.row(id);
      const known = store.known(id)?.row;
      return row && (row === known || (known && alike(asked, known, row)) || matches(asked, row)) ? row : null;
    };
    const rows = new SortedRows(order, look);
    let shown = limit;
    const hasMore = signal(false);
    /** @type {(ids: Iterable<string>, before: Row[]) => Row[]} */
    const pick = (ids, before) => {
      const all = rows.update(ids, store.ids) ?? rows.all;
      hasMore.value = all.length > shown;
      const next = all.slice(0, shown);
      return next.length === before.length && next.every((row, i) => row === before[i]) ? before : next;
    };
    const more = (count = limit) => {
      if (count !== Infinity && !(Number.isInteger(count) && count > 0))
        throw new TypeError(`\`more\` shows a whole number of rows, 1 or more: it is ${String(count)}`);
      shown += count;
      store.touch([]);
    };
    const list = Object.assign(live(store, /** @type {Row[]} */ ([]), pick, into), { hasMore, more });
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
      const row = store.row(own);
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
   * @param {(api: import('./reading.js').Reader, how: Parameters<import('./subscription.js').Reload>[0]) => Promise<import('./reading.js').Reading>} read
   * @param {import('./cache.js').Kept | null} [initial]
   */
  #store(channel, entity, read, initial) {
    const api = this.#api;
    let store = this.#stores.get(channel);
    if (!store) {
      const gone = () => this.#stores.delete(channel);
      store = new Store({ entity, linger: this.#linger, env: this.#env, overlay: this.#overlay, cache: this.#cache, gone });
      this.#stores.set(channel, store);
      store.open(this.#rt, channel, api && ((how) => read(api, how)), initial);
    }
    return store;
  }
}

/** @param {import('./api.js').Page} page @returns {import('./cache.js').Kept} */
function keptOf({ epoch, seq, view, items, next }) {
  return { epoch, seq, view, partial: Boolean(next), rows: items.map((row) => ({ row, seq })) };
}

/**
 * @template T
 * @param {Store} store
 * @param {T} empty What is shown while nothing is known.
 * @param {(ids: Iterable<string>, before: T) => T} pick A failure becomes the list's error, and the rows stay.
 * @param {{value: any}} [into]
 * @returns {import('./signal.js').Readable<T> & Live}
 */
function live(store, empty, pick, into) {
  const result = signal(empty);
  /** Why these rows cannot be shown in the order that was asked for. */
  const fault = signal(/** @type {{code: string, message: string} | null} */ (null));
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
    if (into && next !== before) into.value = next;
    result.value = next;
  };
  const leave = store.view(refresh);
  refresh(store.ids());
  const state = computed([fault, store.state], (found, state) => (found ? 'error' : state));
  const error = computed([fault, store.error], (found, error) => found ?? error);
  return {
    get value() {
      return result.peek();
    },
    peek: result.peek,
    subscribe: result.subscribe,
    listen: result.listen,
    state,
    error,
    meta: (id) => store.meta(id),
    close: () => {
      leave();
      state.dispose();
      error.dispose();
    },
  };
}
