/**
 * One channel of one client: who listens to it and where it stands. Knows no socket.
 */
import { shielded } from './signal.js';
import { Track } from './track.js';

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {'waiting' | 'live' | 'denied' | 'error'} ChannelState `waiting`: what is shown may be old.
 *
 * @typedef {(how: Pick<typeof import('./reading.js'), 'readList' | 'readRecord'>) => Promise<import('./reading.js').Reading>} Reload How to
 * read the rows while there is no socket.
 *
 * @typedef {{sort?: string, limit: number}} Part The first rows in an order. Its owner may raise the limit: it is read at each question.
 *
 * @typedef {object} Listener
 * @property {(frame: Frame) => void} callback
 * @property {(state: ChannelState) => void} [onState]
 * @property {Reload} [reload]
 * @property {boolean} [snapshot] Whether it needs the rows that exist.
 * @property {Part} [part] If these rows are enough.
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
  /** The rows that were asked for at most. @type {number | undefined} */
  asked;
  /** Times in a row that it had to be asked again. */
  tries = 0;

  /** @param {string} name The channel, exactly as it is sent to the server. */
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

  /** The rows that are enough for all listeners; undefined: all of them. @returns {Part | undefined} */
  get part() {
    const parts = [...this.listeners].filter(({ snapshot }) => snapshot).map(({ part }) => part);
    const [first] = parts;
    if (!first || parts.some((part) => part?.sort !== first.sort)) return undefined;
    return { sort: first.sort, limit: Math.max(...parts.map((part) => part?.limit ?? 0)) };
  }

  /** @returns {Reload | undefined} */
  get reload() {
    return [...this.listeners].find((listener) => listener.reload)?.reload;
  }
}
