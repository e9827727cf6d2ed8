/**
 * Rooms: messages between those who are in one now, such as "Ben is typing". The server stores nothing of them, so a page that was
 * away does not get them later. Knows no records.
 */
import { only } from './env.js';
import { shielded, signal } from './signal.js';

/** @typedef {'joining' | 'live' | 'stale' | 'denied' | 'left'} RoomState */

export class Room {
  /** @type {import('./signal.js').Readable<RoomState>} */
  state = signal(/** @type {RoomState} */ ('joining'));
  /** Why it was refused. @type {import('./signal.js').Readable<{code: string, message?: string, hint?: string} | null>} */
  error = signal(/** @type {any} */ (null));
  #rt;
  #channel;
  /** @type {Map<string, Set<(data: any, by: string | null) => void>>} by event */
  #calls = new Map();
  /** @type {(() => void)[]} */
  #disposers;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {string} name `project/7`
   * @param {object} [options]
   * @param {string} [options.kind] `room`; `user` for the private channel of the user with the id `name`, to which the server writes.
   */
  constructor(rt, name, options = {}) {
    const { kind = 'room' } = only('Room', options, 'kind:room|user');
    this.#rt = rt;
    const parts = kind === 'room' ? name.split('/') : [name];
    this.#channel = `${kind}:${parts.map(encodeURIComponent).join('/')}`;
    this.#disposers = [
      rt.on('frame', (frame) => this.#take(frame)),
      rt.on('error', (error) => error.channel === this.#channel && this.#refuse(error)),
      rt.connected.listen((connected) => {
        if (connected) this.#enter();
        else if (this.state.peek() === 'live') this.state.value = 'stale';
      }),
    ];
    if (rt.connected.peek()) this.#enter();
  }

  /**
   * @param {string} event `*`: each of them.
   * @param {(data: any, by: string | null, event: string) => void} call
   * @returns {() => void} disposer
   */
  on(event, call) {
    const calls = this.#calls.get(event) ?? new Set();
    this.#calls.set(event, calls.add(/** @type {any} */ (call)));
    return () => void calls.delete(/** @type {any} */ (call));
  }

  /**
   * To all who are in the room now. It is never sent a second time.
   *
   * @param {string} event
   * @param {any} [data]
   * @param {{echo?: boolean}} [options] `echo`: this page gets it, too.
   * @returns {Promise<void>} when the server has passed it on; rejects when it refused, or there is no connection.
   */
  async send(event, data = null, options = {}) {
    const { echo = false } = only('room.send', options, 'echo:boolean');
    await this.#rt.request('message', { event, data, echo }, this.#channel);
  }

  /** Leaves the room. */
  close() {
    if (this.state.peek() === 'left') return;
    for (const dispose of this.#disposers) dispose();
    if (this.#rt.connected.peek() && this.state.peek() !== 'denied') this.#rt.request('unsubscribe', undefined, this.#channel).catch(() => {});
    this.state.value = 'left';
  }

  #enter() {
    this.#rt.request('subscribe', undefined, this.#channel).then(
      () => {
        if (this.state.peek() === 'left') return;
        this.error.value = null;
        this.state.value = 'live';
      },
      (error) => this.#refuse(error),
    );
  }

  /** @param {any} error */
  #refuse(error) {
    // The next connection asks again.
    if (error.code === 'NO_ANSWER' || this.state.peek() === 'left') return;
    this.error.value = error;
    this.state.value = 'denied';
  }

  /** @param {import('./track.js').Frame} frame */
  #take({ type, channel, payload, by = /** @type {any} */ (null) }) {
    if (type === 'rights:changed' && this.state.peek() === 'denied') return this.#enter();
    if (type !== 'message' || channel !== this.#channel) return;
    const { event, data } = payload;
    for (const name of [event, '*']) for (const call of [...(this.#calls.get(name) ?? [])]) shielded(/** @type {any} */ (call), data, by, event);
  }
}
