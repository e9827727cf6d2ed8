/**
 * The browser's locks for tests: a name is held by one, others wait in line. `tab()` is what one tab sees; closing it frees
 * what it holds, as the browser does.
 */
export class Locks {
  #held = new Map();
  #waiting = [];

  tab() {
    const mine = new Set();
    const request = (name, options, call = options) => {
      const { ifAvailable, signal } = call === options ? {} : options;
      return new Promise((resolve, reject) => {
        const grant = () => {
          const lock = { name };
          this.#held.set(name, lock);
          mine.add(lock);
          Promise.resolve(call(lock)).then(resolve, reject).finally(() => this.#free(lock));
        };
        const ask = { name, grant, mine };
        if (!this.#held.has(name)) grant();
        else if (ifAvailable) Promise.resolve(call(null)).then(resolve, reject);
        else this.#waiting.push(ask);
        signal?.addEventListener('abort', () => {
          this.#waiting = this.#waiting.filter((one) => one !== ask);
          reject(new Error('aborted'));
        });
      });
    };
    const close = () => {
      this.#waiting = this.#waiting.filter((ask) => ask.mine !== mine);
      for (const lock of mine) this.#free(lock);
    };
    return { locks: { request }, close };
  }

  #free(lock) {
    if (this.#held.get(lock.name) !== lock) return;
    this.#held.delete(lock.name);
    const at = this.#waiting.findIndex(({ name }) => name === lock.name);
    if (at >= 0) this.#waiting.splice(at, 1)[0].grant();
  }
}
