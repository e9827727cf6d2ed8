/**
 * Keeps what was not sent over reloads, crashes and closed tabs, for its own user alone. All of it takes its time, so the part
 * that does it (`lanes.js`) is loaded behind the start of the page. Until then changes wait in order, and none is sent.
 */
import { only } from './env.js';
import { part } from './parts.js';
import { signal } from './signal.js';
import { follow } from './user.js';

/**
 * @typedef {import('./optimistic.js').QueueHost} Host
 * @typedef {import('./lanes.js').Lanes} Lanes
 *
 * @typedef {object} QueueOptions
 * @property {import('./user.js').Owner} user The id of the user who is logged in, empty for an anonymous page; or the `user` of a login. Only
 * their mutations are loaded and sent.
 * @property {string} [name] Of the database: `tidewire`.
 * @property {IDBFactory} [indexedDB]
 * @property {LockManager | null} [locks] Null: a lease instead.
 * @property {Partial<import('./env.js').Env>} [env]
 */

export const lanes = part(() => import('./lanes.js'));

export class OfflineQueue {
  /** Why nothing can be kept at the moment: what is not sent is lost with this page. Null while all is well. @type {import('./signal.js').Readable<{code: string, message: string} | null>} */
  problem = signal(/** @type {{code: string, message: string} | null} */ (null));
  /** Resolves when what earlier pages left behind is there. @type {Promise<void>} */
  ready;
  #begin = () => {};
  /** @type {Promise<Lanes>} */
  #lanes;
  #load;
  /** @type {Host | null} */
  #host = null;

  /** @param {QueueOptions} options */
  constructor(options) {
    only('OfflineQueue', options, 'user name indexedDB locks env');
    let user = follow('OfflineQueue', options.user, (id) => this.#become((user = id)));
    const { problem } = this;
    this.ready = new Promise((resolve) => void (this.#begin = resolve));
    this.#load = () => {
      // Of the user who is here now, and not when the part comes: it hears of each change of the user, in order.
      const settings = { ...options, user, problem };
      return lanes().then(({ Lanes }) => new Lanes(settings));
    };
    this.#lanes = this.#load();
    this.#lanes.catch((error) => {
      problem.value = { code: 'STORAGE_FAILED', message: `Nothing is kept over a reload: ${String(error)}` };
    });
  }

  // Also when the part could not be loaded at the start of the page.

  /** How many mutations are kept for this user, in all tabs. */
  async unsent() {
    return (await this.#lanes.catch(this.#load)).unsent();
  }

  /** Deletes all of it, as after a logout. Ask before, if `unsent()` is not 0. */
  async forget() {
    await (await this.#lanes.catch(this.#load)).forget();
  }

  // For the OptimisticManager.

  /** @param {Host} host */
  open(host) {
    this.#host = host;
    host.release(false);
    // Without the part nothing is kept, and all else works.
    this.#lanes.then((lanes) => lanes.open(host)).catch(() => this.#host?.release(true)).then(this.#begin);
  }

  /** @param {import('./mutation.js').Mutation} mutation */
  put(mutation) {
    // As it is now: before the part is there, another user may come, for whom it ends. Its changes are told of again.
    const now = { ...mutation };
    this.#tell((lanes) => lanes.put(now));
  }

  /** @param {string} mid */
  remove(mid) {
    this.#tell((lanes) => lanes.remove(mid));
  }

  close() {
    this.#host = null;
    this.#tell((lanes) => lanes.close());
  }

  /** @param {string} user */
  #become(user) {
    const became = this.#tell((lanes) => lanes.become(user));
    if (this.#host) this.ready = became;
  }

  /** In order, as soon as the part is there. @param {(lanes: Lanes) => void | Promise<void>} act @returns {Promise<void>} */
  #tell(act) {
    // If it could not be loaded, `problem` says so.
    return this.#lanes.then(act, () => {});
  }
}
