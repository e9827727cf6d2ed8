/**
 * The lease of one record: "I am editing this". One user holds it at a time. It is renewed while it is held, and its number goes
 * with each write. Knows no rows.
 */
import { environment, only } from './env.js';
import { signal } from './signal.js';
import { Timers } from './timers.js';

/** @typedef {'free' | 'held' | 'lost'} LeaseState `free`: not held by this page. `lost`: it ended without being given up. */

/** Milliseconds between two renewals. A lease lasts for minutes. */
const RENEW = 60_000;

export class Lease {
  /** @type {import('./signal.js').Readable<LeaseState>} */
  state = signal(/** @type {LeaseState} */ ('free'));
  /** Its number, for `If-Lease` or `lease` in an operation of a batch. @type {number | null} */
  fence = null;
  /** Whether it is to be held: it may have been given up before the answer came. */
  #wanted = false;
  #rt;
  #resource;
  #timers;
  /** @type {(() => void)[]} */
  #disposers;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {string} entity `Task`
   * @param {string} id
   * @param {{env?: Partial<import('./env.js').Env>}} [options]
   */
  constructor(rt, entity, id, options = {}) {
    const { env } = only('Lease', options, 'env');
    this.#rt = rt;
    this.#resource = `${entity}/${encodeURIComponent(id)}`;
    this.#timers = new Timers(environment(env));
    this.#disposers = [
      rt.on('frame', ({ type, payload, requestId }) => {
        if (payload?.resource !== this.#resource) return;
        // Another tab of the same user, or another user, gave it to this one.
        if (type === 'lease:held' && requestId === undefined) {
          this.#wanted = true;
          this.#hold(payload);
        }
        if (type === 'lease:lost' && payload.fence === this.fence) this.#end('lost');
      }),
      // The server keeps it for a moment, and gives it back to the same user.
      rt.connected.listen((connected) => connected && this.fence !== null && this.#renew()),
    ];
  }

  /** Rejects with `LEASE_HELD` while another user holds it. */
  acquire() {
    this.#wanted = true;
    return this.#ask('acquire', {});
  }

  /** Gives it to a user who joined presence of the record. @param {string} to The id of the user. */
  async pass(to) {
    await this.#rt.request('lease:pass', { resource: this.#resource, fence: this.fence, to });
    this.#end('free');
  }

  async release() {
    const { fence } = this;
    this.#wanted = false;
    if (fence === null) return;
    this.#end('free');
    await this.#giveBack(fence);
  }

  /** Releases it, and listens no longer. */
  close() {
    this.release();
    for (const dispose of this.#disposers) dispose();
  }

  /** @param {'acquire' | 'renew'} what @param {object} more */
  async #ask(what, more) {
    const { payload } = await this.#rt.request(`lease:${what}`, { resource: this.#resource, ...more });
    if (this.#wanted) this.#hold(payload);
    else if (payload) await this.#giveBack(payload.fence);
  }

  /** Without an answer it ends by itself. @param {number} fence */
  #giveBack(fence) {
    return this.#rt.request('lease:release', { resource: this.#resource, fence }).then(() => {}, () => {});
  }

  #renew() {
    this.#ask('renew', { fence: this.fence }).catch(({ code }) => {
      if (code === 'NO_ANSWER') return this.#later();
      this.#end('lost');
    });
  }

  #later() {
    this.#timers.set('renew', RENEW, () => this.#renew());
  }

  /** @param {{fence: number}} payload */
  #hold({ fence }) {
    this.fence = fence;
    this.state.value = 'held';
    this.#later();
  }

  /** @param {LeaseState} state */
  #end(state) {
    this.#timers.clear();
    this.#wanted = false;
    this.fence = null;
    this.state.value = state;
  }
}
