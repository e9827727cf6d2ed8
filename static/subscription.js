/**
 * One channel of one client: who listens to it and where it stands. Knows no socket.
 */
import { shielded } from './signal.js';
import { Track } from './track.js';

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {'waiting' | 'live' | 'denied' | 'error'} ChannelState `waiting`: what is shown may be old.
 *
 * @typedef {object} Reloaded Rows read over HTTP while there is no socket, page by page, each with the position of its
 * own read.
 * @property {string} epoch
 * @property {string} [view]
 * @property {{seq: number, rows: any[]}[]} pages At least one.
 *
 * @typedef {object} Listener
 * @property {(frame: Frame) => void} callback
 * @property {(state: ChannelState) => void} [onState]
 * @property {() => Promise<Reloaded>} [reload]
 */

export class Subscription {
  track = new Track();
  /** @type {Set<Listener>} */
  listeners = new Set();
  /** @type {ChannelState} */
  state = 'waiting';
  /** Whether the rows that exist already are wanted, or only what happens from now on. */
  snapshot = false;
  /** Why the server refused it last. @type {string | null} */
  refusal = null;
  /** Times in a row that it had to be asked again. */
  tries = 0;

  /** @param {string} name The channel, exactly as the server is told. */
  constructor(name) {
    this.name = name;
  }

  /** @param {Frame} frame */
  deliver(frame) {
    for (const listener of [...this.listeners]) shielded(listener.callback, frame);
  }

  /** @param {ChannelState} state */
  show(state) {
    if (state === this.state) return;
    this.state = state;
    for (const { onState } of [...this.listeners]) if (onState) shielded(onState, state);
  }

  /** @returns {(() => Promise<Reloaded>) | undefined} */
  get reload() {
    return [...this.listeners].find((listener) => listener.reload)?.reload;
  }

  /**
   * Rows that were read over HTTP, told as the frames of a `resync`, so that listeners know one way only. The position
   * is that of the first page: what happened during the reading follows as events.
   *
   * @param {Reloaded} reloaded
   */
  replaceRows({ epoch, view, pages }) {
    const channel = this.name;
    const payload = { epoch, seq: pages[0].seq, view };
    this.deliver({ type: 'resync', channel, payload: { ...payload, reason: 'polling' }, more: true });
    for (const { seq, rows } of pages) this.deliver({ type: 'snapshot', channel, seq, payload: { rows }, more: true });
    this.track.jump(payload);
    this.deliver({ type: 'pong', channel, payload });
  }
}
