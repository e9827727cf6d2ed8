/**
 * Sends mutations: in the order in which they were made, again until the server has judged each, and never two versions of one
 * record at a time. Knows neither what they change nor what a verdict means for the page.
 */
import { mayRetry } from './later.js';
import { delay } from './env.js';
import { Timers } from './timers.js';

/**
 * @typedef {import('./mutation.js').Mutation} Mutation
 * @typedef {import('./api.js').BatchOp} BatchOp
 *
 * @typedef {object} Batch What goes to the server at once. The one place where another way to send would be put in.
 * @property {boolean} atomic One mutation of several changes; otherwise several mutations, each with a `mid` of its own.
 * @property {string} [mid] Of an atomic one.
 * @property {BatchOp[]} ops
 * @typedef {(batch: Batch) => Promise<import('./api.js').BatchAnswer>} Send
 *
 * @typedef {object} Host
 * @property {import('./env.js').Env} env
 * @property {import('./mutation.js').Lane} lane
 * @property {Send} send
 * @property {(mutation: Mutation) => Promise<BatchOp[] | null>} prepare What to send; null when it needs no sending any more.
 * @property {(mutation: Mutation, verdict: {epoch: string, seq: number, results: import('./api.js').BatchResult[]} | {error: any}) => void} judge
 * @property {(problem: any) => void} stuck Why nothing goes out; null when it does.
 */

/** Mutations in one request. */
const MOST_AT_ONCE = 50;
/** A request that is not answered for so long is sent again, under the same ids. */
const LONGEST_WAIT = 30_000;
/** Without a login nothing goes out; a new one is noticed by the connection, so this is only for pages without one. */
const LOGIN_AGAIN = 30_000;
/** A mutation at which the server fails so often by itself keeps the others waiting no longer. */
const MOST_CRASHES = 8;

export class Outbox {
  #host;
  #timers;
  #lane;
  #running = false;
  #failures = 0;
  /** Until when the server asked to wait. */
  #floor = 0;
  /** Since a request as a whole was refused: one at a time finds the culprit. */
  #alone = false;
  /** What the request under way is about, as far as no event has told its end. @type {Set<Mutation>} */
  #awaited = new Set();
  #release = () => {};
  /** @type {Map<Mutation, number>} */
  #crashes = new Map();

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
    this.#lane = host.lane;
    this.#timers = new Timers(host.env);
  }

  /** @param {Mutation} mutation */
  removed(mutation) {
    this.#crashes.delete(mutation);
    if (this.#awaited.delete(mutation) && this.#awaited.size === 0) this.#release();
  }

  /** The way to the server may be free again. */
  kick() {
    this.#failures = 0;
    // What the server asked for is waited for all the same.
    this.#wait(this.#floor - this.#host.env.now());
  }

  /** @param {number} ms */
  #wait(ms) {
    this.#timers.clear('again');
    if (ms > 0) this.#timers.set('again', ms, () => this.#run());
    else this.soon();
  }

  /** What is done in one task goes out together. */
  soon() {
    queueMicrotask(() => this.#run());
  }

  async #run() {
    if (this.#running || !this.#lane.open || this.#timers.has('again')) return;
    this.#running = true;
    try {
      for (let run = this.#next(); run.length > 0 && this.#lane.open; run = this.#next()) {
        const wait = await this.#deliver(run);
        if (wait === 0) continue;
        this.#wait(wait);
        break;
      }
    } finally {
      this.#running = false;
    }
  }

  /** The longest beginning of the queue of which no part waits for another. @returns {Mutation[]} */
  #next() {
    const now = this.#host.env.now();
    /** @type {Mutation[]} */
    const run = [];
    /** @type {Mutation[]} */
    const earlier = [];
    let due = Infinity;
    for (const mutation of this.#lane.queue) {
      if (earlier.some((before) => mutation.follows(before))) break;
      earlier.push(mutation);
      if (mutation.due > now) {
        due = Math.min(due, mutation.due);
        continue;
      }
      const single = mutation.changes.length === 1;
      if (single || run.length === 0) run.push(mutation);
      if (!single || run.length === (this.#alone ? 1 : MOST_AT_ONCE)) break;
    }
    if (run.length === 0 && due < Infinity) this.#timers.set('due', due - now, () => this.#run());
    return run;
  }

  /**
   * @param {Mutation[]} run
   * @returns {Promise<number>} how long to wait before the next one.
   */
  async #deliver(run) {
    /** @type {Mutation[]} */
    const sent = [];
    try {
      /** @type {BatchOp[]} */
      const ops = [];
      for (const mutation of run) {
        // It was given up while an earlier one was prepared.
        if (!this.#lane.queue.includes(mutation)) continue;
        // Counted before it is kept: what an earlier page may have sent is never changed.
        const { attempts, state } = mutation;
        mutation.attempts += 1;
        mutation.state = 'sent';
        /** @type {BatchOp[] | null} */
        let prepared;
        try {
          prepared = await this.#host.prepare(mutation);
        } catch (error) {
          // Its user has left in the meantime.
          if (/** @type {string} */ (mutation.state) !== 'sent') continue;
          Object.assign(mutation, { attempts, state });
          if (sent.length === 0) return this.#refused(mutation, error);
          // It is no fault of those that are ready. After them it is the first, and is judged alone.
          break;
        }
        if (!prepared) continue;
        sent.push(mutation);
        ops.push(...(mutation.changes.length > 1 ? prepared : prepared.map((op) => ({ ...op, mid: mutation.mid }))));
      }
      // Its user has left in the meantime.
      if (sent.every(({ state }) => state !== 'sent')) return 0;
      const atomic = sent[0].changes.length > 1;
      const batch = { atomic, mid: atomic ? sent[0].mid : undefined, ops };
      const answer = await this.#answered(sent, ops.length, async () => this.#host.send(batch));
      if (!answer) return 0;
      const { epoch, seq, results } = answer;
      this.#failures = 0;
      this.#host.stuck(null);
      if (atomic) {
        this.#host.judge(sent[0], { epoch, seq, results });
        return 0;
      }
      const late = sent.map((mutation, at) => {
        const result = results[at];
        if (result.error) return this.#refused(mutation, result.error);
        this.#host.judge(mutation, { epoch, seq: result.seq ?? seq, results: [result] });
        return 0;
      });
      return Math.max(...late);
    } catch (error) {
      if (sent.length === 1) return this.#refused(sent[0], error);
      const problem = /** @type {any} */ (error);
      if (waits(problem) && !crashed(problem)) return this.#again(problem);
      // One of them must be at fault: the next ones go alone.
      this.#alone = sent.length > 1;
      return this.#again(problem);
    }
  }

  /**
   * The answer, unless events have told everything before. What does not come is no answer, nor is an error that says nothing of the
   * server: neither a code nor a status.
   *
   * @param {Mutation[]} sent
   * @param {number} count Results that an answer has.
   * @param {() => Promise<import('./api.js').BatchAnswer>} send
   * @returns {Promise<import('./api.js').BatchAnswer | null>}
   */
  #answered(sent, count, send) {
    return new Promise((resolve, reject) => {
      this.#awaited = new Set(sent.filter(({ state }) => state === 'sent'));
      this.#release = () => resolve(null);
      const none = (message = 'There was no answer.') => reject({ status: 0, code: 'NO_ANSWER', message });
      this.#timers.set('answer', LONGEST_WAIT, () => none());
      send().then(
        (answer) => (answer?.results?.length === count ? resolve(answer) : none(`The answer must have ${count} results.`)),
        (error) => (error?.code === undefined && error?.status === undefined ? none(String(error)) : reject(error)),
      );
    }).finally(() => {
      this.#timers.clear('answer');
      this.#awaited.clear();
    });
  }

  /**
   * @param {Mutation} mutation
   * @param {any} error
   * @returns {number} how long to wait before it is sent again.
   */
  #refused(mutation, error) {
    if (mutation.state === 'done') return 0;
    const crashes = crashed(error) ? (this.#crashes.get(mutation) ?? 0) + 1 : 0;
    this.#crashes.set(mutation, crashes);
    if (waits(error) && crashes < MOST_CRASHES) return this.#again(error);
    this.#failures = 0;
    this.#alone = false;
    this.#host.judge(mutation, { error });
    return 0;
  }

  /** @param {any} error */
  #again(error) {
    this.#host.stuck(error);
    this.#failures += 1;
    const { after = 0 } = error;
    this.#floor = this.#host.env.now() + after;
    const floor = error.status === 401 ? LOGIN_AGAIN : after;
    return delay(this.#failures, { base: 1000, max: 30_000, floor, random: this.#host.env.random });
  }
}

/** Whether the same request may succeed later. @param {any} error */
function waits({ status, code }) {
  return [0, 401, 408, 429].includes(status) || status >= 500 || mayRetry({ code });
}

/** Whether the server failed at this very request. @param {any} error */
function crashed({ status, code }) {
  return status === 500 || code === 'INTERNAL';
}
