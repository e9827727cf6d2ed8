/**
 * Mutations that wait for the server, in order. Knows neither the server nor what they change.
 */
import { part } from './parts.js';

/** @typedef {import('./mutation.js').Mutation} Mutation */

/** What sends them, and judges them by the answers. */
export const verdicts = part(() => import('./verdicts.js'));

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

  /** In front of everything that waits. @param {Mutation[]} mutations */
  adopt(mutations) {
    this.queue = [...mutations, ...this.queue];
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
