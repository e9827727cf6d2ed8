/**
 * One channel of one client: where it stands, and who listens. Which frames of it are new, which are missing, and from where to
 * resume. Pure; knows no socket, no rows and no clock.
 *
 * Two numbers (SEMANTICS P2). `seen` is the last seq received, whether or not its unit is complete: an event whose
 * `prev` is greater tells that one in between was lost. `point` is the last end of a unit, with its epoch and view: it
 * goes back to the server in `since`, because a resume from inside a unit would show half of it.
 */
import { shielded } from './signal.js';

/**
 * @typedef {{epoch: string, seq: number, view?: string}} Point
 * @typedef {'idle' | 'asked' | 'replay' | 'snapshot' | 'live' | 'rebind' | 'refused'} Phase
 * `idle`: nothing asked; `asked`: `subscribe` is under way; `replay` and `snapshot`: `subscribed`, not yet complete;
 * `rebind`: the rights have changed, and the difference is not yet complete.
 *
 * @typedef {object} Frame A message of the wire, see docs/protocol.md.
 * @property {string} type
 * @property {string} [channel]
 * @property {any} [payload]
 * @property {string} [requestId]
 * @property {number} [timestamp]
 * @property {number} [seq]
 * @property {number} [prev]
 * @property {number} [at]
 * @property {boolean} [more]
 * @property {string} [by]
 * @property {string} [mid]
 * @property {string[]} [changed]
 * @property {string} [cause]
 * @property {number} [asked] Of `subscribed` and `resync`, put there by the client: the rows that were asked for at most.
 */

export class Track {
  /** @type {Point | null} */
  point = null;
  seen = 0;
  /** The seq of rows that were read after the position. A history that leads from there to another epoch may lack them. */
  ahead = 0;
  /** @type {Phase} */
  phase = 'idle';
  /** @type {string | null} */
  #request = null;
  #wantsRows = false;

  /** The connection is gone; what is known stays. */
  detach() {
    if (this.phase !== 'refused') this.phase = 'idle';
    this.#request = null;
  }

  /** Nothing that was known can be built upon. */
  forget() {
    this.point = null;
    this.seen = this.ahead = 0;
  }

  /**
   * A `subscribe` goes out.
   *
   * @param {string} requestId
   * @param {{snapshot: boolean, part?: import('./track.js').Part}} wants
   * @returns {object | undefined} its payload
   */
  ask(requestId, { snapshot, part }) {
    this.phase = 'asked';
    this.#request = requestId;
    this.#wantsRows = snapshot || this.point !== null;
    if (this.point) return { since: { ...this.point }, ...part };
    return snapshot ? { snapshot: true, ...part } : undefined;
  }

  /** Whether rows and position are of one history with an epoch that the position is said to lead to. @param {string} epoch */
  leadsTo(epoch) {
    return this.point?.epoch === epoch || this.ahead <= (this.point?.seq ?? 0);
  }

  /** @param {Frame} frame */
  answers(frame) {
    return this.phase === 'asked' && frame.requestId === this.#request;
  }

  /** The server said no. */
  refuse() {
    this.phase = 'refused';
    this.#request = null;
  }

  /** What was refused may be asked for again. */
  reopen() {
    this.phase = 'idle';
    this.forget();
  }

  /**
   * @param {Frame} frame of this channel
   * @returns {'deliver' | 'drop' | 'gap'} `drop`: seen before, or sent before what was asked last. `gap`: an event is
   * missing, ask again.
   */
  accept(frame) {
    if (frame.type === 'subscribed') return this.#subscribed(frame);
    // Until the answer arrives, frames belong to the subscription that was given up.
    if (this.phase === 'idle' || this.phase === 'asked' || this.phase === 'refused') return 'drop';
    switch (frame.type) {
      case 'resync':
        this.phase = 'snapshot';
        this.seen = frame.payload.seq;
        return 'deliver';
      case 'snapshot':
        // Its seq is that of one page. The events after S_1 follow, so `seen` stays there.
        return this.phase === 'snapshot' ? 'deliver' : 'drop';
      case 'pong':
        this.jump(frame.payload);
        this.phase = 'live';
        return 'deliver';
      case 'entity:created':
      case 'entity:updated':
      case 'entity:deleted':
      case 'activity':
        return this.#event(frame);
      default:
        return 'deliver';
    }
  }

  /**
   * A `pong` without channel, or a poll, says that everything up to here has been sent.
   *
   * @param {Point} to
   * @returns {boolean} whether that is news for who listens.
   */
  advance(to) {
    if (this.phase !== 'live' || !this.point || this.point.epoch !== to.epoch) return false;
    // Within a unit the rest of it is still to come.
    const moved = this.point.seq < to.seq && this.point.seq === this.seen;
    this.#move(to);
    return moved;
  }

  /**
   * Everything up to here has been delivered. Only a change of epoch leads back, for there the numbers are others.
   *
   * @param {Point} to
   */
  jump(to) {
    if (this.point?.epoch === to.epoch) this.#move(to);
    else {
      this.point = { epoch: to.epoch, seq: to.seq, view: to.view };
      this.seen = to.seq;
      this.ahead = 0;
    }
  }

  /** @param {Frame} frame */
  #subscribed(frame) {
    if (this.phase !== 'asked' || (frame.requestId ?? this.#request) !== this.#request) return 'drop';
    const { epoch, seq, view, recovered } = frame.payload;
    this.#request = null;
    if (recovered === true && !this.leadsTo(epoch)) {
      this.forget();
      return 'gap';
    }
    if (recovered === true && this.point) {
      this.phase = 'replay';
      this.point = { epoch, seq: this.point.seq, view };
      this.seen = this.point.seq;
    } else if (this.#wantsRows || frame.more) {
      this.phase = 'snapshot';
      this.seen = seq;
    } else {
      this.phase = 'live';
      this.point = { epoch, seq, view };
      this.seen = seq;
    }
    return 'deliver';
  }

  /** @param {Frame} frame */
  #event({ seq, prev, more }) {
    // A change of rights moves no number before its closing pong; its rows are guarded by `at`.
    if (seq === undefined) {
      if (this.phase !== 'snapshot') this.phase = 'rebind';
      return 'deliver';
    }
    if (seq <= this.seen) return 'drop';
    if (prev !== undefined && prev > this.seen) return 'gap';
    this.seen = seq;
    // While a snapshot or a difference comes in there is no position: only its end makes rows and events one state.
    if (!more && (this.phase === 'live' || this.phase === 'replay') && this.point) this.point = { ...this.point, seq };
    return 'deliver';
  }

  /** @param {Point} to Within an epoch both numbers only grow. */
  #move(to) {
    const from = /** @type {Point} */ (this.point);
    this.seen = Math.max(this.seen, to.seq);
    this.point = { epoch: from.epoch, seq: Math.max(from.seq, to.seq), view: to.view ?? from.view };
  }
}

/**
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
    for (const listener of [...this.listeners]) if (this.listeners.has(listener)) shielded(listener.callback, frame);
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
