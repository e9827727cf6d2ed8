/**
 * The rows of a list: in their order (`SortedRows`), and the first of them while the page does not have all (`Window`): which rows
 * are known, and reading more when too few are left. Knows no socket.
 *
 * The order is kept by what changed: one change of one record in ten thousand moves that record and looks at no other.
 *
 * All rows up to the edge are known, and stay known: events come for every row, so the page hears of each row that appears
 * before the edge or leaves. Of the rows behind the edge some may be known and others not, so none of them is shown.
 */
import * as parts from './parts.js';
import { kept } from './same.js';
import { signal } from './signal.js';

/**
 * @typedef {import('./rows.js').Row} Row
 *
 * @typedef {object} WindowOptions
 * @property {import('./store.js').Store} store
 * @property {string} sort
 * @property {(a: Row, b: Row) => number} order
 * @property {number} limit
 * @property {import('./reading.js').Reader | undefined} api
 * @property {import('./query.js').Query} query
 * @property {import('./env.js').Env} env
 * @property {import('./cache.js').Kept} [page] Rows that the page brought along.
 */

/** Rows that are read in addition to the missing ones, so that the next row that leaves can be replaced at once. */
const SPARE = 10;

export class Window {
  /** Whether there are rows beyond those that are shown. */
  hasMore = signal(false);
  /** That of the list, while its rows are not those of the channel. */
  state = signal(/** @type {'loading' | 'stale' | null} */ (null));
  /** Why rows cannot be read, as the server says. */
  fault = signal(/** @type {{code: string, message: string, hint?: string} | null} */ (null));
  #options;
  #shown;
  /** Null: all rows are known; undefined: none are. @type {Row | null | undefined} */
  #edge = null;
  /** Where the rows behind the edge begin. @type {string | undefined} */
  #cursor;
  /** @type {unknown} */
  #filled;
  /** @type {['loading' | 'stale' | null, boolean]} */
  #tells = [null, false];
  /** Rows that the page brought along, until those of the channel go as far. @type {Map<string, import('./rows.js').Entry> | null} */
  #page = null;
  #reads = false;
  #failures = 0;
  #closed = false;
  /** Stops waiting for the part that reads. @type {(() => void) | undefined} */
  #stop;

  /** @param {WindowOptions} options */
  constructor(options) {
    this.#options = options;
    this.#shown = options.limit;
    if (options.page) this.#page = new Map(options.page.rows.map((entry) => [entry.row.id, entry]));
  }

  /** The server's row, as new as it is known, if it is one of these. @param {string} id */
  entry(id) {
    return this.#page ? this.#page.get(id) : this.#options.store.known(id);
  }

  /**
   * @param {SortedRows} rows
   * @param {Iterable<string>} ids Of those that may have changed.
   * @param {Row[]} before What is shown; it stays until the first rows are known again.
   * @returns {Row[]}
   */
  cut(rows, ids, before) {
    // Without one there is nothing brought.
    const { store, order, sort, page } = /** @type {WindowOptions & {page: import('./cache.js').Kept}} */ (this.#options);
    const brought = this.#page;
    if (brought) store.rows?.follow(brought, page, store);
    const all = rows.update([...ids, ...(brought?.keys() ?? [])], store.ids) ?? rows.all;
    const { filled, at } = store;
    if (filled !== this.#filled) {
      this.#filled = filled;
      const { last } = filled;
      this.#edge = last && store.part?.sort !== sort ? undefined : last;
      this.#cursor = undefined;
    }
    const ends = () => (edge === null ? all.length : edge ? place(all, order, edge, true) : 0);
    let edge = this.#edge;
    let end = ends();
    if (brought) {
      const behind = at?.epoch === page.epoch && at.seq < page.seq;
      // After a read there is enough.
      const short = edge === undefined || (edge && !this.#cursor && end < Math.min(this.#shown, brought.size));
      if (store.denied || (store.state.peek() !== 'loading' && !behind && !short)) {
        this.#page = null;
        return this.cut(rows, [...brought.keys(), ...store.ids()], before);
      }
    }
    if (edge !== null && end <= this.#shown && this.#shown < Infinity) this.#fill(end);
    if (brought) {
      edge = page.last ?? null;
      end = ends();
    }
    const waits = store.follows && (brought || edge === undefined);
    this.#tells = [waits ? (brought || before.length > 0 ? 'stale' : 'loading') : null, store.follows && (edge !== null || end > this.#shown)];
    return waits && !brought ? before : all.slice(0, Math.min(end, this.#shown));
  }

  /** Once the rows are shown. */
  tell() {
    [this.state.value, this.hasMore.value] = this.#tells;
  }

  /** @param {number} count */
  more(count) {
    if (this.#closed) return;
    this.#shown += count;
    const { store } = this.#options;
    store.need(this.#shown);
    store.touch([]);
  }

  close() {
    this.#closed = true;
    this.#stop?.();
  }

  /** @param {number} known */
  #fill(known) {
    const { store, env } = this.#options;
    if (this.#reads || this.#closed || !store.reads) return;
    this.#reads = true;
    const edge = this.#edge;
    const cursor = this.#cursor;
    const most = this.#shown + SPARE - (cursor === undefined ? 0 : known);
    this.#stop = parts.reading.use(env, async ({ further }) => {
      const { news, fault, lost, failures } = await further(this.#options, edge, cursor, most, this.#failures);
      // A new snapshot may have replaced the rows in the meantime.
      if (news && this.#edge === edge) [this.#edge, this.#cursor] = news;
      if (lost) this.#cursor = undefined;
      if (fault) this.fault.value = fault;
      this.#failures = failures;
      this.#reads = false;
      if (!this.#closed && !this.fault.peek()) store.touch([]);
    });
  }
}

export class SortedRows {
  #order;
  #look;
  /** @type {Row[]} */
  #sorted = [];
  /** @type {Map<string, Row>} */
  #byId = new Map();
  /** An order that failed leaves the rows in none. */
  #broken = false;

  /**
   * @param {(a: Row, b: Row) => number} order Total: no two rows are equal.
   * @param {(id: string) => Row | null} look The row as it is to be shown, null when it does not belong here.
   */
  constructor(order, look) {
    this.#order = order;
    this.#look = look;
  }

  /** In order. */
  get all() {
    return this.#sorted;
  }

  /**
   * @param {Iterable<string>} ids These may have changed.
   * @param {() => Iterable<string>} all Every id that may belong here.
   * @returns {Row[] | null} Null when every row is the same object at the same place.
   * @throws {TypeError} when rows cannot be put in that order; the next call tries again with all of them.
   */
  update(ids, all) {
    const broken = this.#broken;
    this.#broken = true;
    const changes = [...new Set(broken ? [...this.#byId.keys(), ...all()] : ids)].flatMap((id) => {
      const before = this.#byId.get(id);
      const after = kept(before, this.#look(id) ?? undefined);
      return before === after ? [] : [{ id, before, after }];
    });
    if (changes.length === 0 && !broken) {
      this.#broken = false;
      return null;
    }
    // A single row is compared with none, and two by the first field that differs.
    for (const { after } of changes) if (after) this.#order(after, after);
    const many = broken || changes.length > 8 + this.#sorted.length / 16;
    for (const { id, before, after } of changes) {
      if (before && !many) this.#sorted.splice(place(this.#sorted, this.#order, before), 1);
      if (after) this.#byId.set(id, after);
      else this.#byId.delete(id);
      if (after && !many) this.#sorted.splice(place(this.#sorted, this.#order, after), 0, after);
    }
    if (many) this.#sorted = [...this.#byId.values()].sort(this.#order);
    this.#broken = false;
    return this.#sorted;
  }
}

/**
 * Where a row is, or belongs: the first place whose row is not before it.
 *
 * @param {Row[]} sorted
 * @param {(a: Row, b: Row) => number} order
 * @param {Row} row
 * @param {boolean} [behind] Behind it instead.
 */
export function place(sorted, order, row, behind = false) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order(sorted[middle], row) < Number(behind)) low = middle + 1;
    else high = middle;
  }
  return low;
}
