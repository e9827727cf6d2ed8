/**
 * One thing that was done here and that the server must judge: a change of one record, or of several that happen together.
 * It is a promise of the server's verdict, and a handle to send it again or to give it up. Knows no network.
 */

import { part } from './parts.js';

/**
 * @typedef {import('./overlay.js').Change} Change
 * @typedef {import('./rows.js').Row} Row
 *
 * @typedef {'queued' | 'sent' | 'failed' | 'conflict' | 'done'} MutationState `sent`: on its way, or perhaps arrived; it is
 * repeated under the same id until the server answers. `failed` and `conflict`: refused, no longer shown. `done`: over, by
 * the server's confirmation or because it was given up.
 *
 * @typedef {object} Guard How a change of one record is kept from overwriting that of another user.
 * @property {number | null | undefined} version The version that it goes out with; null: the newest one, if the base still holds. Undefined:
 * none, because an earlier change of the same mutation makes the record.
 * @property {Record<string, any> | null} base The fields that it changes, as they were seen. Null: not seen, or not in this version, or
 * `make` computes them anew.
 *
 * @typedef {object} Keeper Who made it.
 * @property {(mutation: Mutation) => void} retry
 * @property {(mutation: Mutation) => void} discard
 *
 * @typedef {object} Stored A mutation as it is kept over a reload.
 * @property {string} mid
 * @property {Change[]} changes Computed ones as they were last.
 * @property {(Guard | null)[]} guards One for each change.
 * @property {MutationState} state
 * @property {number} attempts
 * @property {boolean} [optimistic]
 * @property {any} error
 * @property {Mutation['conflict']} [conflict]
 */

export class Mutation {
  /** @type {MutationState} */
  state = 'queued';
  /** Why it was refused: `code`, `message`, `hint`. @type {any} */
  error = null;
  /** Of a conflict: what was to be written, what others wrote, and what was there before; only the fields in question. @type {{mine: Record<string, any>, theirs: Record<string, any>, base: Record<string, any>} | null} */
  conflict = null;
  /** @type {import('./rows.js').Position | null} */
  at = null;
  /** Times that it was sent: the server may have it already. */
  attempts = 0;
  /** Not before this time, to be joined by others of the same record. */
  due = 0;
  /** Verdicts of the kind "not on this version". */
  misses = 0;
  /** Whether it is shown before the server confirms it. */
  optimistic = true;
  /** The batch that it is a part of. @type {Mutation | null} */
  whole = null;
  /** Those of a batch. @type {Mutation[]} */
  parts = [];
  #keeper;
  /** @type {(row: any) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};
  /** @type {Promise<any>} */
  #verdict = Promise.resolve();

  /**
   * @param {string} mid
   * @param {Change[]} changes
   * @param {(Guard | null)[]} guards One for each change.
   * @param {Keeper} keeper
   */
  constructor(mid, changes, guards, keeper) {
    this.mid = mid;
    this.changes = changes;
    this.guards = guards;
    this.#keeper = keeper;
    this.again();
  }

  get entity() {
    return this.changes[0].entity;
  }

  /** Of the record, usable at once. Of several the first one's. */
  get id() {
    return this.changes[0].id;
  }

  /**
   * The server's verdict: the record as it confirmed it, null for one that is gone; of a batch all of them. Rejects when it is
   * refused. No time limit decides: without an answer it goes on being sent.
   *
   * @template A, B
   * @param {((row: any) => A | PromiseLike<A>) | null} [onRow]
   * @param {((error: any) => B | PromiseLike<B>) | null} [onError]
   */
  then(onRow, onError) {
    return this.#verdict.then(onRow, onError);
  }

  /** @template B @param {(error: any) => B | PromiseLike<B>} onError */
  catch(onError) {
    return this.then(null, onError);
  }

  /** Sends it again after a refusal. Of a conflict: over the other's change. */
  retry() {
    this.#keeper.retry(this.whole ?? this);
  }

  /** Gives it up after a refusal, or before it was sent. @returns {boolean} false when it is too late. */
  discard() {
    if (this.whole) return this.whole.discard();
    if (this.state === 'done' || this.state === 'sent') return false;
    this.#keeper.discard(this);
    return true;
  }

  /** The same, for what was not refused. */
  cancel() {
    return this.discard();
  }

  /** Whether two mutations must stay in their order. @param {Mutation} earlier */
  follows(earlier) {
    return this.#touches(earlier.changes);
  }

  /** Whether it makes sense only with the record that another one creates. @param {Mutation} creator */
  needs(creator) {
    return this.#touches(creator.changes.filter(({ op }) => op === 'create'));
  }

  /** @param {Change[]} others */
  #touches(others) {
    return others.some((other) => this.changes.some((change) => touches(change, other)));
  }

  // What its maker tells it.

  /** It waits for a verdict, and whoever asks now for that one. */
  again() {
    Object.assign(this, { state: 'queued', error: null, conflict: null, misses: 0, due: 0 });
    this.#verdict = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Code that does not wait for the answer looks at `state`, or at the list of those that failed.
    this.#verdict.catch(() => {});
    for (const part of this.parts) part.again();
  }

  /** @param {'failed' | 'conflict'} state @param {any} error */
  refuse(state, error) {
    this.state = state;
    this.error = error;
    this.#reject(error);
    for (const part of this.parts) part.refuse(state, error);
  }

  /** @param {any} row */
  fulfil(row) {
    this.state = 'done';
    this.error = this.conflict = null;
    this.#resolve(row);
    this.parts.forEach((part, at) => part.fulfil(this.parts.length > 1 ? row[at] : row));
  }
}

/** Whether a change is of the record of another, or names it. @param {Change} change @param {Change} other */
function touches(change, other) {
  if (change.entity === other.entity && change.id === other.id) return true;
  return Object.values(change.data ?? {}).includes(other.id);
}

/** What sends mutations, and judges them by the answers. */
export const verdicts = part(() => import('./verdicts.js'));

/** Those that wait for the server, in order. */
export class Lane {
  /** @type {Mutation[]} */
  queue = [];
  /** Who sends them. @type {{soon: () => void, removed: (mutation: Mutation) => void}} */
  sender;
  #open = true;

  /** @param {() => void} soon There may be something to send. */
  constructor(soon) {
    this.sender = { soon, removed: () => {} };
  }

  get open() {
    return this.#open;
  }

  /** Keeps everything back, or lets it go. */
  set open(open) {
    this.#open = open;
    if (open) this.sender.soon();
  }

  /** @param {Mutation} mutation */
  add(mutation) {
    this.queue.push(mutation);
    this.sender.soon();
  }

  /** @param {Mutation} mutation */
  remove(mutation) {
    this.queue = this.queue.filter((one) => one !== mutation);
    this.sender.removed(mutation);
    this.sender.soon();
  }

  /** What waits for more of the same record goes now. */
  flush() {
    for (const mutation of this.queue) mutation.due = 0;
    this.sender.soon();
  }
}
