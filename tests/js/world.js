/**
 * A world for the browser modules: a clock that stands still until told, sockets whose other end is the test, and a
 * page whose events the test sends.
 */

import { verdicts } from '../../static/mutation.js';
import { api, bridge, shared, stream } from '../../static/link.js';
import { link, reading } from '../../static/parts.js';
import { attendance } from '../../static/presence.js';
import { lanes } from '../../static/queue.js';

// Loading a part takes real time, which is none here.
await Promise.all([api, attendance, bridge, lanes, link, reading, shared, stream, verdicts].map((load) => load()));

export class Clock {
  time = 1_700_000_000_000;
  #timers = new Map();
  #next = 1;

  setTimeout = (call, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { due: this.time + Math.max(0, ms), id, call });
    return id;
  };
  clearTimeout = (id) => void this.#timers.delete(id);
  now = () => this.time;

  get pending() {
    return this.#timers.size;
  }

  /** When the next timer is due, in milliseconds from now. */
  get nextIn() {
    return Math.min(...[...this.#timers.values()].map(({ due }) => due)) - this.time;
  }

  /** Runs what is due, in order, with the microtasks after each. */
  async run(ms) {
    const end = this.time + ms;
    for (;;) {
      await settle();
      // In the order in which they were set, so of those that are due at the same time the first one stays.
      let due;
      for (const timer of this.#timers.values()) if (timer.due <= end && !(due?.due <= timer.due)) due = timer;
      if (!due) break;
      this.#timers.delete(due.id);
      this.time = Math.max(this.time, due.due);
      due.call();
    }
    this.time = end;
    await settle();
  }

  /** The machine slept: time has passed, timers run only now, each late. */
  async sleep(ms) {
    this.time += ms;
    await this.run(0);
  }
}

/** Lets every promise that can go on do so. */
export async function settle() {
  for (let i = 0; i < 20; i++) await null;
}

/** A target of events, as far as the modules use one. */
export class Target {
  visibilityState = 'visible';
  #calls = [];
  addEventListener(name, call, { signal } = {}) {
    this.#calls.push({ name, call });
    signal?.addEventListener('abort', () => this.removeEventListener(name, call));
  }
  removeEventListener(name, call) {
    this.#calls = this.#calls.filter((entry) => entry.name !== name || entry.call !== call);
  }
  fire(name, event = {}) {
    for (const entry of [...this.#calls]) if (entry.name === name) entry.call(event);
  }
  get listening() {
    return this.#calls.length;
  }
}

/** The client's end of a socket, with the server's end beside it. */
class FakeSocket {
  /** Frames from the client that the test has not looked at yet. */
  inbox = [];
  closedWith = null;
  constructor(url) {
    this.url = url;
  }
  send(text) {
    this.inbox.push(JSON.parse(text));
    this.onClientFrame?.(this.inbox.at(-1));
  }
  close(code) {
    this.closedWith = code;
  }

  // The server's end.

  say(frame) {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify({ timestamp: 0, ...frame }) });
  }
  cut(code = 1006, reason = '') {
    this.onclose?.({ code, reason });
  }
  /** Opens and greets. */
  greet(payload = {}) {
    this.onopen?.({});
    this.say({
      type: 'connected',
      payload: { connectionId: 'c1', userId: null, protocol: 1, epoch: 'e1', seq: 0, ...payload },
    });
    return this;
  }
  /** Takes the frames of a type out of the inbox. */
  take(type) {
    const found = this.inbox.filter((frame) => frame.type === type);
    this.inbox = this.inbox.filter((frame) => frame.type !== type);
    return found;
  }
}

export function world({ random = () => 0.5 } = {}) {
  const clock = new Clock();
  const sockets = [];
  const requests = [];
  const env = {
    WebSocket: class extends FakeSocket {
      constructor(url) {
        super(url);
        sockets.push(this);
        world.onSocket?.(this);
      }
    },
    fetch: async (url, init = {}) => {
      requests.push({ url: new URL(url), ...init });
      return world.respond(new URL(url), init);
    },
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    now: clock.now,
    random,
    randomBytes: (bytes) => bytes.fill(7),
    document: new Target(),
    window: new Target(),
    base: 'http://test.local/_/',
  };
  const world = {
    env,
    clock,
    sockets,
    requests,
    onSocket: null,
    /** Answers HTTP; nobody does unless the test says. */
    respond: () => {
      throw new TypeError('fetch failed');
    },
    /** The newest socket. */
    get socket() {
      return sockets.at(-1);
    },
  };
  return world;
}

/** @returns a Response as far as the modules use one. */
export function reply(status, body, headers = {}) {
  return {
    ok: status < 400,
    status,
    headers: new Map(Object.entries(headers)),
    json: async () => structuredClone(body),
  };
}

/** A seeded source of randomness (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
