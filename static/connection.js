/**
 * One socket, from the attempt to its loss, with every timer that belongs to it: when it is gone, nothing of it can
 * touch the next one. Knows frames, but no channels, and never comes back: that is `link.js`.
 */
import { Timers } from './timers.js';

/** @typedef {import('./track.js').Frame} Frame */

/** A socket that stayed open this long is trusted, even if its first ping was not answered yet. */
const PROOF = 5000;
/** After waking up, a living server answers within this. */
const WAKE_DEADLINE = 2000;
/** The part of the server's burst that is sent at once. Two parts may arrive together; the rest is for pings and pongs. */
const PART = 1 / 4;
/** The `requestId` of the ping behind each part, and of every other ping. */
const PACE = 'pace';
const PING = 'p';

export class Connection {
  /** Whether the server has said `connected`. */
  greeted = false;
  /** Whether it has shown that it lives longer than a moment: some middleboxes kill a socket right after it opened. */
  trusted = false;
  /** Whether it begins with a token. */
  authenticates = false;
  #env;
  #options;
  #timers;
  #on;
  /** @type {WebSocket | null} */
  #socket = null;
  #lastFrame = 0;
  #pinged = 0;
  /**
   * Frames that wait, because the server closes a connection that sends too many at once.
   *
   * @type {string[]}
   */
  #queue = [];
  /** How many of a part there are, how many of this one may still go, when it began, and how long one takes. */
  #part = 0;
  #left = 0;
  #began = 0;
  #takes = 0;
  /** Bytes of a frame. */
  #most = Infinity;

  /**
   * @param {import('./env.js').Env} env
   * @param {{connectTimeout: number, heartbeatInterval: number, heartbeatTimeout: number}} options Read when needed, so
   * that what the server says in `connected` applies.
   * @param {object} on
   * @param {(frame: Frame) => void} on.frame
   * @param {() => void} on.trusted
   * @param {(ms: number) => void} on.answered How long a ping took.
   * @param {(code: number, reason: string) => void} on.lost Called once at most, and never after `close()`. The code is 0 when
   * the socket was given up on this side.
   */
  constructor(env, options, on) {
    this.#env = env;
    this.#options = options;
    this.#timers = new Timers(env);
    this.#on = on;
    this.#timers.set('connect', options.connectTimeout, () => this.#lost(0, 'no answer in time'));
  }

  /**
   * @param {string} url
   * @param {() => Promise<string | undefined>} [getToken] Asked now; the token goes in the first frame.
   */
  async open(url, getToken) {
    try {
      const token = getToken && (await getToken());
      if (!this.#timers.has('connect')) return;
      this.#listen(new this.#env.WebSocket(url), token);
    } catch (error) {
      this.#lost(0, String(error));
    }
  }

  /**
   * In order and at the pace that the server allows; pings do not wait. One that is too large is answered here.
   *
   * @param {string} type
   * @param {string} [channel]
   * @param {object} [payload]
   * @param {string} [requestId]
   */
  send(type, channel, payload, requestId) {
    const frame = JSON.stringify({ type, channel, payload, requestId, timestamp: this.#env.now() });
    if (type === 'ping' || type === 'auth') return this.#socket?.send(frame);
    // The server would close the connection for good.
    if (new Blob([frame]).size > this.#most)
      return this.#on.frame({ type: 'error', channel, requestId, payload: { code: 'FRAME_TOO_LARGE', message: `A frame has at most ${this.#most} bytes.` } });
    this.#queue.push(frame);
    this.#flush();
  }

  ping(id = PING) {
    this.#pinged = this.#env.now();
    this.send('ping', undefined, undefined, id);
  }

  #flush() {
    while (this.#left > 0 && this.#queue.length > 0) {
      if (this.#left === this.#part) this.#began = this.#env.now();
      this.#socket?.send(/** @type {string} */ (this.#queue.shift()));
      this.#left -= 1;
      if (this.#left === 0) this.ping(PACE);
    }
  }

  /** The server has read the last part: the next one, when its time has come. */
  #nextPart() {
    this.#timers.set('part', this.#began + this.#takes - this.#env.now(), () => {
      this.#left = this.#part;
      this.#flush();
    });
  }

  /**
   * The machine or the page woke up: does the server still answer?
   *
   * @param {object} what
   * @param {boolean} what.loading On a slow line the answer waits behind the rest of a page of records: 256 KiB.
   */
  probe({ loading }) {
    if (!this.greeted || this.#timers.has('wake')) return;
    this.ping();
    const deadline = loading ? 2 * this.#options.heartbeatTimeout : WAKE_DEADLINE;
    this.#timers.set('wake', deadline, () => this.#lost(0, 'no answer after waking up'));
  }

  close() {
    this.#timers.clear();
    this.#queue = [];
    const socket = this.#socket;
    this.#socket = null;
    this.greeted = this.trusted = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  /**
   * @param {WebSocket} socket
   * @param {string | undefined} token
   */
  #listen(socket, token) {
    this.#socket = socket;
    this.authenticates = Boolean(token);
    socket.onopen = () => {
      if (token) this.send('auth', undefined, { token });
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
  }

  /** @param {string} data */
  #receive(data) {
    /** @type {Frame} */
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof frame?.type !== 'string') return;
    this.#lastFrame = this.#env.now();
    this.#timers.clear('wake');
    if (frame.requestId === PING) this.#on.answered(this.#lastFrame - this.#pinged);
    if (frame.type === 'connected' && !this.greeted) this.#greet(frame.payload?.limits);
    this.#on.frame(frame);
    if (frame.type === 'pong' && !frame.channel) this.#trust();
    if (frame.type === 'pong' && frame.requestId === PACE) this.#nextPart();
  }

  /** @param {{messagesPerSecond?: number, messageBurst?: number, frameBytes?: number}} [limits] */
  #greet({ messagesPerSecond = 100, messageBurst = messagesPerSecond, frameBytes = Infinity } = {}) {
    this.#most = frameBytes;
    this.#part = this.#left = Math.max(1, Math.floor(messageBurst * PART));
    this.#takes = ((this.#part + 1) * 1000) / messagesPerSecond;
    this.greeted = true;
    this.#timers.clear('connect');
    this.#timers.set('proof', PROOF, () => this.#trust());
    this.ping();
    this.#watch(this.#options.heartbeatInterval);
  }

  #trust() {
    if (!this.greeted || this.trusted) return;
    this.trusted = true;
    this.#timers.clear('proof');
    this.#on.trusted();
  }

  /**
   * One timer for both: after `heartbeatInterval` of silence it pings, after `heartbeatTimeout` more it gives up.
   *
   * @param {number} ms until the next look
   * @param {boolean} [last] Whether this look was already put off.
   */
  #watch(ms, last = false) {
    const due = this.#env.now() + ms;
    this.#timers.set('watch', ms, () => {
      const { heartbeatInterval, heartbeatTimeout } = this.#options;
      const now = this.#env.now();
      const silence = now - this.#lastFrame;
      if (silence < heartbeatInterval) return this.#watch(heartbeatInterval - silence);
      const left = heartbeatInterval + heartbeatTimeout - silence;
      if (left > 0) {
        this.ping();
        return this.#watch(left);
      }
      // A timer that comes late means that the machine slept: frames may lie unread behind this very task.
      if (now - due > 1000 && !last) return this.#watch(1000, true);
      this.#lost(0, 'the server fell silent');
    });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    this.close();
    this.#on.lost(code, reason);
  }
}
