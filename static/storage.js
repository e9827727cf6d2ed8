/**
 * The browser's database, as far as this client uses it: two tables whose keys begin with the user. Knows neither
 * mutations nor rows.
 */

const VERSION = 1;
/** Milliseconds. There are browsers in which a database sometimes does not answer at all; the page goes on without it. */
const OPENS_WITHIN = 5000;
/** `mutations`: [user, lane, number]. `lanes`: [user, lane]. `rows`: [user, channel]. */
const TABLES = ['mutations', 'lanes', 'rows'];

/** @typedef {{key: any[], value: any}} Stored */

export class Storage {
  /** @type {Promise<IDBDatabase>} */
  #database;

  /**
   * @param {string} name
   * @param {IDBFactory | undefined} factory
   */
  constructor(name, factory) {
    this.#database = new Promise((resolve, reject) => {
      if (!factory) throw new Error('there is no IndexedDB here');
      const late = setTimeout(() => reject(new Error('the database does not open')), OPENS_WITHIN);
      const opening = factory.open(name, VERSION);
      opening.onupgradeneeded = () => {
        for (const table of TABLES) opening.result.createObjectStore(table, { keyPath: 'key' });
      };
      opening.onsuccess = () => {
        // Another tab with a newer version of this page, or a person who deletes the database, does not have to wait.
        opening.result.onversionchange = () => opening.result.close();
        clearTimeout(late);
        resolve(opening.result);
      };
      opening.onerror = () => reject(opening.error);
      opening.onblocked = () => reject(new Error('another tab has an older database open'));
    });
    this.#database.catch(() => {});
  }

  /** Everything whose key begins with this, in order. @param {string} table @param {any[]} prefix @returns {Promise<Stored[]>} */
  async all(table, prefix) {
    return this.#run(table, 'readonly', (store) => store.getAll(within(prefix)));
  }

  /** @param {string} table @param {any[]} prefix @returns {Promise<number>} */
  async count(table, prefix) {
    return this.#run(table, 'readonly', (store) => store.count(within(prefix)));
  }

  /** @param {string} table @param {any[]} key @param {any} value */
  async put(table, key, value) {
    await this.#run(table, 'readwrite', (store) => store.put({ key, value }));
  }

  /** Everything whose key begins with this. @param {string} table @param {any[]} prefix */
  async delete(table, prefix) {
    await this.#run(table, 'readwrite', (store) => store.delete(within(prefix)));
  }

  /**
   * Takes away and puts, all or nothing.
   *
   * @param {string} table
   * @param {any[]} prefix
   * @param {Stored[]} entries
   */
  async replace(table, prefix, entries) {
    await this.#run(table, 'readwrite', (store) => {
      for (const entry of entries) store.put(entry);
      return store.delete(within(prefix));
    });
  }

  async close() {
    (await this.#database.catch(() => null))?.close();
  }

  /**
   * @param {string} table
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} act
   * @returns {Promise<any>} when it is stored.
   */
  async #run(table, mode, act) {
    const database = await this.#database;
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(table, mode);
      const request = act(transaction.objectStore(table));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  }
}

/** @param {any[]} prefix */
function within(prefix) {
  // An array sorts behind everything that a key of ours contains.
  return globalThis.IDBKeyRange.bound(prefix, [...prefix, []]);
}
