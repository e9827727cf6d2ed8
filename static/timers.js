/**
 * Timers with names. Knows nothing of what they are for.
 */

/** Timers count to 2^31 milliseconds, and a longer one is due at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * Named timers of one owner: setting a name again replaces it, so none can be forgotten.
 */
export class Timers {
  /** @type {Map<string, any>} */
  #running = new Map();
  #env;

  /** @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout'>} env */
  constructor(env) {
    this.#env = env;
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} call
   */
  set(name, ms, call) {
    this.clear(name);
    this.#running.set(
      name,
      this.#env.setTimeout(() => {
        this.#running.delete(name);
        call();
      }, Math.min(ms, LONGEST)),
    );
  }

  /** @param {string} name */
  has(name) {
    return this.#running.has(name);
  }

  /** @param {string[]} names All of them when none is named. */
  clear(...names) {
    for (const name of names.length > 0 ? names : [...this.#running.keys()]) {
      if (!this.#running.has(name)) continue;
      this.#env.clearTimeout(this.#running.get(name));
      this.#running.delete(name);
    }
  }
}
