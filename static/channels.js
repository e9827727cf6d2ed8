/**
 * Live lists and live records, which keep themselves up to date. Knows the realtime client and how to read a list
 * over HTTP; draws nothing.
 */
import { environment } from './env.js';
import { channelOf, channelOfRecord } from './query.js';
import { comparator, Rows } from './rows.js';
import { computed, signal } from './signal.js';

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
 * @property {() => void} close Lets go. May be called twice.
 *
 * @typedef {import('./signal.js').Readable<Row[]> & Live} LiveList A new array for each change; rows that did not change
 * stay the same object.
 * @typedef {import('./signal.js').Readable<Row | null | undefined> & Live} LiveRecord Null when there is no such record,
 * undefined while that is not known.
 */

/** Rows in one page of a list read over HTTP. */
const PAGE = 200;

export class ChannelSubscriber {
  #rt;
  #api;
  #env;
  #linger;
  /** @type {Map<string, Store>} by channel */
  #stores = new Map();

  /**
   * @param {Pick<import('./realtime.js').RealtimeClient, 'subscribe'>} rt
   * @param {object} [options]
   * @param {Pick<import('./api.js').Api, 'list' | 'plural'>} [options.api] Needed to go on while there is no socket.
   * @param {number} [options.linger] How long rows are kept after the last list or record of a channel was closed: 1000 ms.
   * @param {Partial<import('./env.js').Env>} [options.env]
   */
  constructor(rt, { api, linger = 1000, env } = {}) {
    this.#rt = rt;
    this.#api = api;
    this.#linger = linger;
    this.#env = environment(env);
  }

  /**
   * The records of an entity that you may see: all of them, or those that match a question.
   *
   * The server alone decides which records belong to it. A record that no longer matches keeps its last values until the
   * server says that it is gone.
   *
   * @param {string} entity `Task`
   * @param {object} [options]
   * @param {import('./query.js').Where} [options.where] `{status: 'open', priority: {gte: 3}, owner: {in: [a, b]}}`
   * @param {{value: any}} [options.into] A signal of the caller's own that gets the rows too: anything with a writable `value`.
   * @param {string | string[]} [options.sort] `-priority,title`; by id, which is the order of creation, when left out.
   * @param {number} [options.limit] Rows shown at most, 1 or more; all are kept up to date.
   * @returns {LiveList}
   * @throws {TypeError} when the filter, the order or the limit cannot be sent to the server.
   */
  list(entity, { where = {}, into, sort = 'id', limit = Infinity } = {}) {
    const order = comparator(sort);
    if (!(limit === Infinity || (Number.isInteger(limit) && limit > 0)))
      throw new TypeError(`a list shows a whole number of rows, 1 or more: \`limit\` is ${String(limit)}`);
    const channel = channelOf(entity, where);
    // A copy: what the caller does to the question later does not change what the channel shows.
    const asked = JSON.parse(JSON.stringify(where));
    const store = this.#store(channel, () => this.#read(entity, asked));
    /** @type {(rows: Row[], before: Row[]) => Row[]} */
    const pick = (rows, before) => {
      // A single row is compared with none, and two by the first field that differs.
      for (const row of rows) order(row, row);
      const next = [...rows].sort(order).slice(0, limit);
      return next.length === before.length && next.every((row, i) => row === before[i]) ? before : next;
    };
    return live(store, /** @type {Row[]} */ ([]), pick, into);
  }

  /**
   * One record. Its id can be in any form that the server accepts.
   *
   * @param {string} entity
   * @param {string} id
   * @returns {LiveRecord}
   */
  record(entity, id) {
    const store = this.#store(channelOfRecord(entity, id), () => this.#readOne(entity, id));
    return live(store, /** @type {Row | null | undefined} */ (undefined), ([row = null]) => row);
  }

  /**
   * @param {string} channel
   * @param {() => Promise<import('./subscription.js').Reloaded>} reload
   */
  #store(channel, reload) {
    let store = this.#stores.get(channel);
    if (!store) {
      store = new Store({ linger: this.#linger, env: this.#env, gone: () => this.#stores.delete(channel) });
      this.#stores.set(channel, store);
      store.open(this.#rt, channel, this.#api && reload);
    }
    return store;
  }

  /**
   * The channel of a record has the view of the whole entity, and a list has that of its filter.
   *
   * @param {string} entity
   * @param {string} id
   * @returns {Promise<import('./subscription.js').Reloaded>}
   */
  async #readOne(entity, id) {
    const { epoch, view } = await this.#reader().list(await this.#reader().plural(entity), { limit: 1, fields: 'id' });
    const found = await this.#read(entity, { id });
    if (found.epoch !== epoch) throw new Error('the server restarted between two reads');
    return { ...found, view };
  }

  #reader() {
    if (!this.#api) throw new Error('channels were made without an api');
    return this.#api;
  }

  /**
   * @param {string} entity
   * @param {import('./query.js').Query} query
   * @returns {Promise<import('./subscription.js').Reloaded>}
   */
  async #read(entity, query) {
    const api = this.#reader();
    const plural = await api.plural(entity);
    const first = await api.list(plural, { ...query, limit: PAGE });
    const { epoch, view } = first;
    const pages = [{ seq: first.seq, rows: first.items }];
    for (let { next } = first; next;) {
      const page = await api.list(plural, { ...query, limit: PAGE, cursor: next });
      if (page.epoch !== epoch) throw new Error('the server restarted between two pages');
      pages.push({ seq: page.seq, rows: page.items });
      next = page.next;
    }
    return { epoch, view, pages };
  }
}

/** What all lists and records of one channel share: its rows, its state, its subscription. */
class Store {
  state = signal(/** @type {ListState} */ ('loading'));
  error = signal(/** @type {any} */ (null));
  /** @type {Row[]} */
  shown = [];
  /** Whether the rows were ever known. */
  loaded = false;
  #options;
  #rows = new Rows();
  /** @type {Set<() => void>} */
  #views = new Set();
  /** @type {(() => void) | null} */
  #unsubscribe = null;
  /** @type {any} */
  #timer;
  /** @type {ListState} */
  #next = 'loading';
  #dirty = false;
  #scheduled = false;

  /** @param {{linger: number, env: import('./env.js').Env, gone: () => void}} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * @param {Pick<import('./realtime.js').RealtimeClient, 'subscribe'>} rt
   * @param {string} channel
   * @param {(() => Promise<import('./subscription.js').Reloaded>) | undefined} reload
   */
  open(rt, channel, reload) {
    this.#unsubscribe = rt.subscribe(channel, (frame) => this.#take(frame), {
      snapshot: true,
      // The rows linger here, so the channel need not.
      linger: 0,
      onState: (state) => this.#turn(state),
      reload,
    });
  }

  /**
   * @param {() => void} refresh Called when rows changed.
   * @returns {() => void} disposer
   */
  view(refresh) {
    this.#options.env.clearTimeout(this.#timer);
    this.#views.add(refresh);
    return () => {
      if (!this.#views.delete(refresh) || this.#views.size > 0) return;
      this.#timer = this.#options.env.setTimeout(() => {
        this.#unsubscribe?.();
        this.#options.gone();
      }, this.#options.linger);
    };
  }

  /** @param {Frame} frame */
  #take(frame) {
    if (frame.type === 'error') {
      this.error.value = frame.payload;
      return;
    }
    if (!this.#rows.take(frame)) return;
    this.#dirty = true;
    this.#schedule();
  }

  /** @param {import('./subscription.js').ChannelState} state */
  #turn(state) {
    if (state === 'denied') {
      this.#rows.clear();
      this.#dirty = true;
    }
    this.#next = state === 'waiting' ? 'stale' : state;
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

  /** The rows change before the state, so that nobody sees `live` beside old rows. */
  #show() {
    // A resume is shown as one step, not as the history that it is made of.
    if (this.#dirty && (this.#next === 'live' || this.#next === 'denied')) {
      this.#dirty = false;
      this.loaded = true;
      this.shown = this.#rows.all();
      for (const refresh of [...this.#views]) refresh();
    }
    if (this.#next === 'live') this.error.value = null;
    this.state.value = this.#next === 'stale' && !this.loaded ? 'loading' : this.#next;
  }
}

/**
 * @template T
 * @param {Store} store
 * @param {T} empty What is shown while nothing is known.
 * @param {(rows: Row[], before: T) => T} pick A failure is told as the list's error, and the rows stay.
 * @param {{value: any}} [into]
 * @returns {import('./signal.js').Readable<T> & Live}
 */
function live(store, empty, pick, into) {
  const result = signal(empty);
  /** Why these rows cannot be shown in the order that was asked for. */
  const fault = signal(/** @type {{code: string, message: string} | null} */ (null));
  const refresh = () => {
    const before = result.peek();
    let next = before;
    try {
      next = pick(store.shown, before);
      fault.value = null;
    } catch (error) {
      fault.value = { code: 'BAD_QUERY', message: /** @type {Error} */ (error).message };
    }
    if (into && next !== before) into.value = next;
    result.value = next;
  };
  const leave = store.view(refresh);
  if (store.loaded) refresh();
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
    close: () => {
      leave();
      state.dispose();
      error.dispose();
    },
  };
}
