/**
 * What this page has changed and the server has not shown yet, laid over the server's records. What people see is always
 * `server rows + changes, in the order in which they were made`, so a change that fails is left out of the sum and nothing
 * needs to be put back. Knows neither how changes are sent nor who draws them.
 *
 * A change that the server has confirmed stays here until every list has come to its position: a list that is behind would
 * show the old value once more. Until then the confirmed row stands in place of the change. A list that is further ignores
 * it, however late the confirmation comes (rule A), and no snapshot takes it away from a list that is behind (rule B).
 */
import { computed } from './same.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./rows.js').Entry} Entry
 * @typedef {import('./rows.js').Position} Position
 *
 * @typedef {object} Change Of one record.
 * @property {'create' | 'update' | 'delete'} op
 * @property {string} entity
 * @property {string} id
 * @property {Record<string, any>} [data] What was asked for.
 * @property {(row: Row) => Record<string, any>} [make] In place of `data`: computed from the row, each time anew.
 * @property {boolean} [computed] `data` is what a function made of the row before a reload, which the function did not survive.
 * @property {Record<string, any>} [guess] What the server will fill in, as far as this page can know.
 * @property {Row | null} [row] The record as the server confirmed it; null when it is gone.
 *
 * @typedef {object} Laid One mutation, as far as it is laid over rows.
 * @property {string} mid
 * @property {Change[]} changes
 * @property {'queued' | 'sent' | 'failed' | 'conflict' | 'done'} state
 * @property {any} error
 * @property {Position | null} at Where the server confirmed it.
 *
 * @typedef {object} Watcher A list or record that shows rows of one entity.
 * @property {Position | null} at How far its rows of the server go.
 * @property {boolean} follows Whether it will go further by itself.
 * @property {(ids: Iterable<string>) => void} touch These ids may look different now.
 * @property {(id: string) => Entry | undefined} known Its row of the server.
 */

/** Confirmed changes that are kept at most for lists that do not move on. */
const MOST_CONFIRMED = 1000;

export class Overlay {
  /** Who hears that a mutation was seen in an event. @type {Set<(mid: string, echo: {entity: string, id: string, row?: Row | null, at: Position}) => void>} */
  listeners = new Set();
  /** Resolves once it has what an earlier page left behind. @type {() => Promise<unknown>} */
  ready = async () => {};
  /** Lists and signals that show the changes by themselves. @type {WeakSet<object>} */
  shown = new WeakSet();
  /** In the order in which they were made. @type {Set<Laid>} */
  laid = new Set();
  /** The same, by entity and id. @type {Map<string, Map<string, {mutation: Laid, change: Change}[]>>} */
  #byId = new Map();
  /** @type {Map<string, Set<Watcher>>} by entity */
  #watchers = new Map();
  /** Runs of the server, in the order in which they were met. @type {string[]} */
  #epochs = [];
  /** The key under which a record was shown before the server gave it an id. @type {Map<string, string>} */
  keys = new Map();

  // Who shows rows.

  /**
   * @param {string} entity
   * @param {Watcher} watcher
   * @returns {() => void} disposer
   */
  watch(entity, watcher) {
    const watchers = this.#watchers.get(entity) ?? new Set();
    this.#watchers.set(entity, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      this.prune();
    };
  }

  /** The ids of an entity that are changed here. @param {string} entity @returns {Iterable<string>} */
  ids(entity) {
    return this.#byId.get(entity)?.keys() ?? [];
  }

  /** @param {string} epoch */
  meet(epoch) {
    if (!this.#epochs.includes(epoch)) this.#epochs.push(epoch);
  }

  /**
   * The server's newest row that anybody here knows.
   *
   * @param {string} entity
   * @param {string} id
   * @returns {Row | null | undefined} undefined when it is not known.
   */
  newest(entity, id) {
    const lent = this.#lent(entity, id);
    const at = lent?.at ? { epoch: lent.at.epoch, seq: lent.entry.seq } : null;
    return this.#confirmed(this.#changes(entity, id), lent?.entry.row, at)[0];
  }

  /**
   * A row of the server as it looks with the changes of this page.
   *
   * @param {string} entity
   * @param {string} id
   * @param {Entry | undefined} known
   * @param {Position | null} at How far the row is known.
   * @returns {Row | null} The very row when nothing is laid over it.
   */
  row(entity, id, known, at) {
    const changes = this.#changes(entity, id).filter(({ mutation: { state } }) => state !== 'failed' && state !== 'conflict');
    if (!changes.some(({ mutation }) => !mutation.at || !this.#reaches(at, mutation.at))) return this.#keyed(id, known?.row ?? null);
    // A list that lacks the record may be about to get it: then another one knows it, as far as that one is.
    const from = known ? { entry: known, at } : (this.#lent(entity, id) ?? { entry: undefined, at });
    const news = changes.filter(({ mutation }) => !mutation.at || !this.#reaches(from.at, mutation.at));
    let [row = null, upTo] = this.#confirmed(news, from.entry?.row, from.at && { epoch: from.at.epoch, seq: Math.max(from.at.seq, from.entry?.seq ?? 0) });
    let pending = false;
    for (const { mutation, change } of news) {
      // What is confirmed is in the row already, unless the row was not read since.
      if (mutation.at && (change.row !== undefined || this.#reaches(upTo, mutation.at))) continue;
      pending ||= !mutation.at;
      row = this.apply(change, row);
    }
    return this.#keyed(id, pending && row ? { ...row, _optimistic: true } : row);
  }

  /**
   * The newest of a row and of what the server confirmed, and where it is from.
   *
   * @param {{mutation: Laid, change: Change}[]} changes
   * @param {Row | null | undefined} row
   * @param {Position | null} at
   * @returns {[row: Row | null | undefined, at: Position | null]}
   */
  #confirmed(changes, row, at) {
    for (const { mutation, change } of changes) {
      if (mutation.at && change.row !== undefined && !this.#reaches(at, mutation.at)) [row, at] = [change.row, mutation.at];
    }
    return [row, at];
  }

  /**
   * The newest row among those of lists and signals, and how far its owner is.
   *
   * @param {string} entity
   * @param {string} id
   */
  #lent(entity, id) {
    /** @type {{entry: Entry, at: Position | null} | undefined} */
    let lent;
    for (const watcher of this.#watchers.get(entity) ?? []) {
      const entry = watcher.known(id);
      const epoch = watcher.at?.epoch;
      const newer = !lent || (epoch !== undefined && !this.#reaches(lent.at && { ...lent.at, seq: lent.entry.seq }, { epoch, seq: entry?.seq ?? 0 }));
      if (entry && newer) lent = { entry, at: watcher.at };
    }
    return lent;
  }

  /** What this page does to a record. @param {string} entity @param {string} id @returns {Laid[]} */
  of(entity, id) {
    const found = this.#changes(entity, id).map(({ mutation }) => mutation);
    return found.filter((one, at) => !one.at && found.indexOf(one) === at);
  }

  // What is laid over them.

  /** @param {Laid} mutation At the end, also when it was here before. */
  add(mutation) {
    this.#leave(mutation);
    this.#enter(mutation);
    this.touch(mutation);
  }

  /** @param {Laid} mutation */
  remove(mutation) {
    if (this.#leave(mutation)) this.touch(mutation);
  }

  /** Lets go of what every list shows by itself. */
  prune() {
    let confirmed = 0;
    for (const mutation of [...this.laid].reverse())
      if (mutation.at && !(this.#awaited(mutation, mutation.at) && ++confirmed <= MOST_CONFIRMED)) this.#leave(mutation);
  }

  /** Has everybody look again at the records of a mutation. @param {Pick<Laid, 'changes'>} mutation */
  touch({ changes }) {
    const entities = new Set(changes.map(({ entity }) => entity));
    for (const entity of entities) {
      const ids = changes.filter((change) => change.entity === entity).map(({ id }) => id);
      for (const watcher of [...(this.#watchers.get(entity) ?? [])]) watcher.touch(ids);
    }
  }

  /**
   * @param {Laid} mutation
   * @param {Position} at
   */
  #awaited({ changes }, at) {
    return changes.some(({ entity }) => {
      for (const watcher of this.#watchers.get(entity) ?? []) if (watcher.follows && !this.#reaches(watcher.at, at)) return true;
      return false;
    });
  }

  /**
   * Whether rows that are known up to `at` contain what happened at `then`.
   *
   * @param {Position | null} at
   * @param {Position} then
   */
  #reaches(at, then) {
    if (!at) return false;
    if (at.epoch === then.epoch) return at.seq >= then.seq;
    return this.#epochs.indexOf(at.epoch) > this.#epochs.indexOf(then.epoch);
  }

  /** @param {string} entity @param {string} id */
  #changes(entity, id) {
    return this.#byId.get(entity)?.get(id) ?? [];
  }

  /** @param {Laid} mutation */
  #enter(mutation) {
    this.laid.add(mutation);
    for (const change of mutation.changes) {
      const ids = this.#byId.get(change.entity) ?? new Map();
      this.#byId.set(change.entity, ids.set(change.id, [...(ids.get(change.id) ?? []), { mutation, change }]));
    }
  }

  /** @param {Laid} mutation @returns {boolean} whether it was here. */
  #leave(mutation) {
    for (const { entity, id } of mutation.changes) {
      const left = this.#changes(entity, id).filter((one) => one.mutation !== mutation);
      /** @type {any} */ (this.#byId.get(entity))?.[left.length > 0 ? 'set' : 'delete'](id, left);
    }
    return this.laid.delete(mutation);
  }

  /** What is laid, or an id in it, was changed from outside. */
  index() {
    this.#byId = new Map();
    for (const mutation of this.laid) this.#enter(mutation);
  }

  /**
   * What a change makes of a row.
   *
   * @param {Change} change
   * @param {Row | null} row
   * @returns {Row | null}
   */
  apply({ op, id, data, make, guess }, row) {
    if (op === 'delete') return null;
    if (op === 'create') return { ...row, ...guess, ...data, id };
    if (!row) return null;
    try {
      return { ...row, ...(make ? computed(make, row) : data) };
    } catch {
      // Sending it finds the same error, and fails it.
      return row;
    }
  }

  /**
   * @param {string} id
   * @param {Row | null} row
   */
  #keyed(id, row) {
    const key = this.keys.get(id);
    return row && key !== undefined ? { ...row, _key: key } : row;
  }
}

/** The same for two copies of this module, as a page may have them. */
const OVERLAY = Symbol.for('tidewire.overlay');

/** The one of a client, so that its lists and its mutations find each other. @param {any} rt @returns {Overlay} */
export function overlayOf(rt) {
  return (rt[OVERLAY] ??= new Overlay());
}
