/**
 * Keeps the rows of lists over a reload, so that the next page shows them before the server has answered, as `stale`, and
 * asks only for what has changed since. Each user has rows of their own. Knows the browser's storage, and no channel.
 */
import { only } from './env.js';
import { Storage } from './storage.js';
import { follow } from './user.js';

/**
 * @typedef {object} Kept The rows of a channel at one position.
 * @property {string} epoch
 * @property {number} seq
 * @property {string} [view]
 * @property {boolean} [partial] Not all rows: they are shown, but a resume cannot begin from them,
 * @property {import('./rows.js').Row} [last] unless they are the first ones in the order of their list, up to this one.
 * @property {{row: import('./rows.js').Row, seq: number}[]} rows
 */

/** Channels whose rows are kept for one user. One more, and all are forgotten. */
const MOST_CHANNELS = 100;
/** Milliseconds from a change until the rows are kept, with what has changed meanwhile. */
const SAVE_AFTER = 1000;
/** Milliseconds that a list waits for what an earlier page left behind. */
const PATIENCE = 1000;

export class RowCache {
  #user = '';
  /** How often all was forgotten: what was begun before is not kept. */
  #era = 0;
  #storage;
  /** Channels that have changed since they were kept, with their timers. @type {Map<string, any>} */
  #changed = new Map();

  /**
   * @param {object} options
   * @param {import('./user.js').Owner} options.user The id of the user who is logged in, empty for an anonymous page; or the `user` of a
   * login. When another user comes, the rows of the one before are deleted.
   * @param {string} [options.name] Of the database: `tidewire`.
   * @param {IDBFactory} [options.indexedDB]
   */
  constructor(options) {
    const { user, name = 'tidewire', indexedDB = globalThis.indexedDB } = only('RowCache', options, 'user name indexedDB');
    this.#storage = new Storage(name, indexedDB);
    this.#user = follow('RowCache', user, (id) => {
      this.forget().catch(() => {});
      this.#user = id;
    });
  }

  /** What is kept of a channel. Without storage nothing is kept, and no error is shown. @param {string} channel @returns {Promise<Kept | null>} */
  async load(channel) {
    const era = this.#era;
    const found = await this.#storage.all('rows', [this.#user, channel]).catch(() => []);
    return era === this.#era ? (found[0]?.value ?? null) : null;
  }

  /**
   * What is kept of a channel, after the changes that an earlier page left behind: else they would be seen to come back. A list cannot
   * wait for them for long.
   *
   * @param {string} channel
   * @param {() => Promise<unknown>} ready Resolves when they are there. Called when the page has set up what knows it.
   * @param {Pick<import('./env.js').Env, 'setTimeout'>} env
   */
  async restore(channel, ready, env) {
    await new Promise((/** @type {(nothing?: any) => void} */ resolve) => {
      env.setTimeout(resolve, PATIENCE);
      queueMicrotask(() => ready().then(resolve, resolve));
    });
    return this.load(channel);
  }

  /** @param {string} channel @param {Kept} kept */
  async save(channel, kept) {
    const [user, era] = [this.#user, this.#era];
    try {
      // Lists come and go; those that are open are kept again soon.
      if ((await this.#storage.count('rows', [user])) >= MOST_CHANNELS) await this.#storage.delete('rows', [user]);
      if (era === this.#era) await this.#storage.put('rows', [user, channel], kept);
    } catch {
      // Without storage the next page begins without rows, and loses nothing.
    }
  }

  /**
   * The rows of a channel have changed. They are not kept at each change: what is missing in the end is sent again.
   *
   * @param {string} channel
   * @param {import('./store.js').Store} store
   * @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout'>} env
   */
  keepSoon(channel, store, env) {
    const era = this.#era;
    // The server refuses them now.
    if (!store.follows) {
      env.clearTimeout(this.#changed.get(channel));
      this.#changed.delete(channel);
      return void this.drop(channel);
    }
    if (this.#changed.has(channel)) return;
    const keep = () => {
      this.#changed.delete(channel);
      const { at } = store;
      if (!at || era !== this.#era) return;
      const { filled, view } = store.rows;
      const rows = [...store.entries].map(({ row, seq }) => ({ row, seq }));
      // Rows that were read after the position are no state to go on from.
      const partial = filled.last !== null || rows.some(({ seq }) => seq > at.seq) || undefined;
      this.save(channel, { ...at, view, partial, rows });
    };
    this.#changed.set(channel, env.setTimeout(keep, SAVE_AFTER));
  }

  /** @param {string} channel */
  async drop(channel) {
    await this.#storage.delete('rows', [this.#user, channel]).catch(() => {});
  }

  /** Deletes all rows of this user, as after a logout. */
  async forget() {
    this.#era++;
    await this.#storage.delete('rows', [this.#user]);
  }
}
