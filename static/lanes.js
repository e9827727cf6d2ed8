/**
 * The lanes of the offline queue (`queue.js`), in the browser's storage. Each tab has a lane of its own, in which its mutations
 * stand in order. A lane whose tab is gone is taken over, as a whole, by one of the tabs that are there. The lanes of another
 * user are neither seen nor sent. Knows the storage and other tabs, not what a mutation means.
 *
 * A tab proves that it lives by a lock, which the browser takes away with the tab, however that ends. Where there are no
 * locks (a page over plain http) it renews a lease instead. A tab that was taken for dead and was not sends some mutations
 * a second time, under the same ids: the server does each once.
 */
import { environment } from './env.js';
import { Storage } from './storage.js';
import { Timers } from './timers.js';

/**
 * @typedef {import('./mutation.js').Mutation} Mutation
 * @typedef {Pick<Mutation, 'mid' | 'state' | 'attempts' | 'optimistic' | 'error' | 'conflict' | 'guards' | 'changes'>} Kept
 * @typedef {import('./optimistic.js').QueueHost} Host
 *
 * @typedef {object} Settings
 * @property {string} user The id of the present user, empty for an anonymous page.
 * @property {import('./signal.js').Readable<{code: string, message: string} | null>} problem Why nothing can be kept, told here.
 * @property {string} [name] Of the database.
 * @property {IDBFactory} [indexedDB]
 * @property {LockManager | null} [locks] Null: a lease instead.
 * @property {Partial<import('./env.js').Env>} [env]
 */

/** A hidden tab runs its timers once a minute. */
const LEASE = 90_000;
const RENEW = 5000;

export class Lanes {
  #user;
  #problem;
  #env;
  #locks;
  #storage;
  #timers;
  #lane;
  /** @type {Map<string, number>} by mid: the place in the lane */
  #places = new Map();
  #first = 0;
  #last = 0;
  /** Lanes that are waited for. @type {Set<string>} */
  #watched = new Set();
  #ending = new AbortController();
  /** @type {Host | null} */
  #host = null;
  /** @type {((() => void) | undefined)[]} */
  #deafen = [];
  /** @type {BroadcastChannel | null} */
  #others = null;

  /** @param {Settings} settings */
  constructor({ user, problem, name = 'tidewire', indexedDB = globalThis.indexedDB, locks = globalThis.navigator?.locks ?? null, env: given }) {
    const env = environment(given);
    this.#user = user;
    this.#problem = problem;
    this.#env = env;
    this.#locks = locks;
    this.#storage = new Storage(name, indexedDB);
    this.#timers = new Timers(env);
    this.#lane = this.#newLane();
  }

  /** How many mutations are kept for this user, in all tabs. */
  unsent() {
    return this.#storage.count('mutations', [this.#user]);
  }

  /** Deletes all of it, and the rows of this user. */
  async forget() {
    await this.#storage.delete('mutations', [this.#user]);
    await this.#storage.delete('rows', [this.#user]);
  }

  /** @param {Host} host @returns {Promise<void>} when what earlier pages left behind is there. */
  open(host) {
    this.#host = host;
    return this.#start();
  }

  /** The lane of the user before is left to their next page. @param {string} user */
  async become(user) {
    this.#stop();
    this.#user = user;
    this.#lane = this.#newLane();
    this.#places.clear();
    this.#watched.clear();
    this.#ending = new AbortController();
    if (this.#host) await this.#start();
  }

  #newLane() {
    return Array.from(this.#env.randomBytes(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** @param {Kept} mutation */
  put(mutation) {
    const place = this.#places.get(mutation.mid) ?? ++this.#last;
    this.#places.set(mutation.mid, place);
    this.#attempt(async () => this.#storage.put('mutations', [this.#user, this.#lane, place], storedOf(mutation)));
  }

  /** @param {string} mid */
  remove(mid) {
    const place = this.#places.get(mid);
    if (place === undefined) return;
    this.#places.delete(mid);
    this.#attempt(() => this.#storage.delete('mutations', [this.#user, this.#lane, place]));
  }

  close() {
    this.#stop();
    this.#host = null;
    this.#storage.close();
  }

  #stop() {
    for (const stop of this.#deafen) stop?.();
    this.#timers.clear();
    this.#ending.abort();
    this.#others?.close();
  }

  // Lanes.

  async #start() {
    const { signal } = this.#ending;
    const host = this.#host;
    host?.release(false);
    this.#deafen = [host?.rt?.connected.listen((connected) => connected && this.#look())];
    await this.#live();
    if (signal.aborted) return;
    this.#announce();
    await this.#look();
    if (!signal.aborted) this.#allow();
  }

  /** Says that this lane has a tab. */
  async #live() {
    if (!this.#locks) return this.#renew();
    const { signal } = this.#ending;
    const held = new Promise((resolve) => {
      this.#locks?.request(this.#lock(this.#lane), () => {
        resolve(undefined);
        return new Promise((free) => (signal.aborted ? free(undefined) : signal.addEventListener('abort', free)));
      }).catch(resolve);
    });
    await held;
  }

  async #renew() {
    this.#timers.set('renew', RENEW, () => this.#renew().then(() => this.#look()));
    await this.#attempt(() => this.#storage.put('lanes', [this.#user, this.#lane], this.#env.now()));
  }

  /** Tabs that are open hear of this lane and tell theirs: each takes over what another one leaves. */
  #announce() {
    if (typeof globalThis.BroadcastChannel !== 'function' || !this.#locks) return;
    this.#others = new globalThis.BroadcastChannel(`tidewire-queue ${this.#user}`);
    this.#others.onmessage = ({ data: { lane, hello } }) => {
      this.#watch(lane, true);
      if (hello) this.#others?.postMessage({ lane: this.#lane, hello: false });
    };
    this.#others.postMessage({ lane: this.#lane, hello: true });
  }

  /** Looks for lanes of others. Resolves when those that have no tab are taken over. */
  async #look() {
    const found = await this.#attempt(() => this.#storage.all('mutations', [this.#user]));
    const lanes = new Set((found ?? []).map(({ key: [, lane] }) => lane));
    lanes.delete(this.#lane);
    if (this.#locks) await Promise.all([...lanes].map((lane) => this.#watch(lane, false)));
    else await this.#takeExpired([...lanes]);
  }

  /**
   * Takes a lane over as soon as its tab is gone.
   *
   * @param {string} lane
   * @param {boolean} wait Whether to resolve only then.
   */
  async #watch(lane, wait) {
    if (lane === this.#lane || this.#watched.has(lane)) return;
    const { signal } = this.#ending;
    const taken = await this.#locks?.request(this.#lock(lane), { ifAvailable: true }, async (lock) => {
      if (lock) await this.#take(lane);
      return Boolean(lock);
    });
    if ((taken && !wait) || signal.aborted) return;
    this.#watched.add(lane);
    this.#locks?.request(this.#lock(lane), { signal }, async () => {
      this.#watched.delete(lane);
      await this.#take(lane);
    }).catch(() => {});
  }

  /** @param {string[]} lanes */
  async #takeExpired(lanes) {
    const known = await this.#attempt(() => this.#storage.all('lanes', [this.#user]));
    /** @type {Map<string, number>} */
    const alive = new Map();
    for (const { key, value } of known ?? []) alive.set(key[1], value);
    for (const lane of lanes) {
      if (this.#env.now() - (alive.get(lane) ?? 0) < LEASE) continue;
      await this.#take(lane);
      await this.#attempt(() => this.#storage.delete('lanes', [this.#user, lane]));
    }
  }

  /** Moves a lane in front of this one. @param {string} lane */
  async #take(lane) {
    const host = this.#host;
    const { signal } = this.#ending;
    const found = host && (await this.#attempt(() => this.#storage.all('mutations', [this.#user, lane])));
    // What another user left is neither seen nor sent by this one.
    if (!found || found.length === 0 || signal.aborted) return;
    const from = this.#first - found.length;
    this.#first = from;
    const moved = found.map(({ value }, at) => ({ key: [this.#user, this.#lane, from + at], value }));
    await this.#attempt(() => this.#storage.replace('mutations', [this.#user, lane], moved));
    if (signal.aborted) return;
    moved.forEach(({ value }, at) => this.#places.set(value.mid, from + at));
    host.adopt(moved.map(({ value }) => value));
  }

  /** Sends, if the server takes us for the user whose queue this is. */
  #allow() {
    const rt = this.#host?.rt;
    const check = () => {
      const { userId } = rt?.detail.peek() ?? { userId: null };
      const other = userId !== null && userId !== this.#user;
      if (other) this.#problem.value = { code: 'OTHER_USER', message: `The server knows this page as ${userId}.` };
      else if (this.#problem.peek()?.code === 'OTHER_USER') this.#problem.value = null;
      this.#host?.release(!other);
    };
    check();
    this.#deafen.push(rt?.detail.listen(check));
  }

  /** @param {string} lane */
  #lock(lane) {
    return `tidewire-queue ${this.#user} ${lane}`;
  }

  /**
   * If the storage refuses a write, only the storage is given up.
   *
   * @template T
   * @param {() => Promise<T>} act
   * @returns {Promise<T | undefined>}
   */
  async #attempt(act) {
    try {
      return await act();
    } catch (error) {
      if (this.#host) this.#problem.value = { code: 'STORAGE_FAILED', message: `Nothing is kept over a reload: ${String(error)}` };
      return undefined;
    }
  }
}

/** A mutation as it is kept. A function cannot be: what it made last is. @param {Kept} mutation @returns {import('./mutation.js').Stored} */
export function storedOf({ mid, state, attempts, optimistic, error, conflict, guards, changes }) {
  const kept = changes.map(({ make, ...change }) => (make ? { ...change, computed: true } : change));
  return structuredClone({ mid, state, attempts, optimistic, guards, changes: kept, conflict, error: error && told(error) });
}

/** What an error tells, without the functions that one may have. @param {any} error @returns {Record<string, any>} */
function told({ code, message, hint, status, errors, current, op, mid, cause }) {
  const why = cause?.code && { code: cause.code, message: cause.message, hint: cause.hint };
  return JSON.parse(JSON.stringify({ code, message, hint, status, errors, current, op, mid, cause: why }));
}
