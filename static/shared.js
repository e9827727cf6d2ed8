/**
 * One connection for all tabs of a browser that have the same user: `shareConnection: true`. It has the interface of a `WebSocket`, so the
 * client does not know. Loaded only where it is asked for.
 *
 * - A Web Lock, named by the address and the user, elects the tab that holds the connection (`Hub`). The others wait for the lock.
 * - They speak to it over a BroadcastChannel. `mux.js` makes one conversation of theirs.
 * - Each tab holds a lock of its own, too. When it is free the tab is gone, and the hub leaves for it what it was in.
 * - The tab with the connection is closed or crashes: its lock goes to the others one after the other. Each sees its socket close and comes back as after
 *   any loss, with its own positions: the first one holds the next connection.
 * - It is frozen: it answers neither a greeting nor a sign of life. The others open connections of their own.
 * - Without locks, or when it is not known that users are the same (a token without a login), a tab has its own connection.
 */
import { Mux } from './mux.js';
import { Timers } from './timers.js';

/** How long the tab with the connection may take to answer, to a greeting and to a sign of life. */
const ANSWER = 2000;
const SIGN = 5000;
/** Bytes that the ids of questions may add to a frame. */
const ROOM = 64;
/** Clients for which a shared connection had no room. @type {WeakSet<object>} */
const apart = new WeakSet();

/**
 * @typedef {import('./track.js').Frame} Frame
 *
 * @typedef {object} Host What the client lends.
 * @property {import('./env.js').Env} env
 * @property {URL} url Of the socket.
 * @property {typeof import('./connection.js').Connection} Connection
 * @property {{connectTimeout: number, heartbeatInterval: number, heartbeatTimeout: number}} options
 * @property {string} [user] Of the login.
 * @property {object} channels Stands for the client.
 * @property {AbortSignal} signal Ends the attempt.
 * @property {(sharing: Sharing | null) => void} show
 *
 * @typedef {'leads' | 'follows' | 'alone'} Sharing
 *
 * @typedef {object} End What a tab hears of the hub: its frames, and its end.
 * @property {(frame: Frame) => void} say
 * @property {(code: number, reason: string) => void} end
 */

/** @param {Host} host @returns {new (url: string) => WebSocket} */
export function socketFor(host) {
  const { env, url, user, channels, signal, show } = host;
  const { locks = globalThis.navigator?.locks, BroadcastChannel: Channel = globalThis.BroadcastChannel } = env;
  // Behind what ends it.
  signal.addEventListener('abort', () => queueMicrotask(() => show(null)));
  // The address names the user, or the login does. A cookie or a token may be another one's in each tab.
  const known = user !== undefined || url.searchParams.has('as');
  if (!locks || !Channel || !known || apart.has(channels)) {
    show('alone');
    return env.WebSocket;
  }
  const [line, Others] = [locks, Channel];
  return /** @type {any} */ (
    class extends SharedSocket {
      constructor() {
        super(host, line, new Others(`tidewire-socket ${url.href} ${user ?? ''}`));
      }
    }
  );
}

/** The lock of a tab. @param {BroadcastChannel} channel @param {string} id */
const lockOf = (channel, id) => `${channel.name} ${id}`;

class SharedSocket {
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  #host;
  #locks;
  #channel;
  #timers;
  #over = new AbortController();
  /** @type {string} */
  #id;
  /** @type {Hub | null} */
  #hub = null;
  /** The id of the hub of another tab. @type {string | null} */
  #leader = null;
  /** When there is no hub that answers. @type {WebSocket | null} */
  #own = null;
  #entered = false;
  /** Whether a sign of life waits for its answer. */
  #signs = false;

  /** @param {Host} host @param {Pick<LockManager, 'request'>} locks @param {BroadcastChannel} channel */
  constructor(host, locks, channel) {
    this.#host = host;
    this.#channel = channel;
    this.#timers = new Timers(host.env);
    this.#id = host.env.randomBytes(new Uint8Array(16)).join('.');
    channel.onmessage = ({ data }) => (this.#hub ? this.#hub.hear(data) : this.#hear(data));
    this.#timers.set('answer', ANSWER, () => this.#apart());
    const { signal } = this.#over;
    this.#locks = locks;
    locks.request(channel.name, { signal }, () => this.#elected()).catch(() => {});
    const life = () => {
      // Who hears of this tab waits for its lock.
      this.#post({ hello: true });
      return new Promise((over) => signal.addEventListener('abort', over));
    };
    locks.request(lockOf(channel, this.#id), { signal }, life).catch(() => {});
  }

  /** @param {string} text A frame. */
  send(text) {
    if (this.#own) return this.#own.send(text);
    const frame = JSON.parse(text);
    // The first one is about who this is, and goes with the entry.
    if (!this.#entered) this.#enter(frame.type === 'auth' ? frame.payload.token : undefined);
    if (this.#hub) this.#hub.take(this.#id, frame);
    else this.#post({ frame });
  }

  close() {
    this.onclose = null;
    this.#own?.close(1000);
    this.#end(1000, '');
  }

  get #gone() {
    return this.#over.signal.aborted;
  }

  /** @param {object} message */
  #post(message) {
    if (!this.#gone) this.#channel.postMessage({ from: this.#id, to: this.#leader, ...message });
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#gone) return;
    this.#over.abort();
    this.#timers.clear();
    this.#hub?.end(1012, 'the tab with the connection was closed');
    this.#channel.close();
    this.onclose?.({ code, reason });
  }

  /** The lock is this tab's, until the promise resolves. */
  async #elected() {
    // Its owner listens by then.
    await null;
    if (this.#gone || this.#own) return;
    // The tab with the connection is gone. The others must hear of it, too.
    if (this.#leader !== null) return this.#end(1012, 'the tab with the connection was closed');
    this.#timers.clear();
    const freed = new Promise((free) => this.#over.signal.addEventListener('abort', free));
    this.#hub = new Hub(this.#host, this.#locks, this.#channel, this.#id, { say: (frame) => this.#say(frame), end: (code, reason) => this.#end(code, reason) });
    this.#host.show('leads');
    this.#open();
    await freed;
  }

  /** @param {any} message */
  #hear({ calls, here, to, frame, end }) {
    if (calls && this.#leader === null) return this.#post({ hello: true });
    if (!to?.includes(this.#id) || this.#own) return;
    if (frame) this.#say(frame);
    else if (end) {
      if (end.full) apart.add(this.#host.channels);
      this.#end(end.code, end.reason);
    } else if (here) {
      this.#signs = false;
      if (this.#leader !== null) return;
      this.#leader = here;
      this.#timers.clear('answer');
      this.#look();
      this.#host.show('follows');
      this.#open();
    }
  }

  #open() {
    this.onopen?.();
    // Without a token there is nothing to be sent first.
    if (!this.#gone && !this.#entered) this.#enter(undefined);
  }

  /** @param {string | undefined} token */
  #enter(token) {
    this.#entered = true;
    if (this.#hub) this.#hub.enter(this.#id, token);
    else this.#post({ enter: true, token });
  }

  /** @param {Frame} frame */
  #say(frame) {
    if (!this.#gone) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** Does the tab with the connection still answer? */
  #look() {
    const due = this.#host.env.now() + SIGN;
    this.#timers.set('look', SIGN, () => {
      // A timer that comes late means that this tab slept: the answer may lie unread behind this very task.
      const late = this.#host.env.now() - due > 1000;
      if (this.#signs && !late) return this.#end(1006, 'the tab with the connection does not answer');
      this.#signs = true;
      this.#post({ sign: true });
      this.#look();
    });
  }

  /** The tab with the lock does not answer: it is frozen. */
  #apart() {
    const { env, url, show } = this.#host;
    const own = (this.#own = new env.WebSocket(url.href));
    show('alone');
    own.onopen = () => this.onopen?.();
    own.onmessage = (event) => this.onmessage?.(event);
    own.onclose = ({ code, reason }) => this.#end(code, reason);
  }
}

/** In the tab that holds the connection. It ends with the connection, and with the socket of its tab. */
class Hub {
  #env;
  #locks;
  #channels;
  #url;
  #channel;
  #id;
  #tab;
  #mux;
  #connection;
  #over = new AbortController();
  #opened = false;
  /** @type {string | undefined} */
  #token;
  /** What each tab is greeted with. @type {Frame[]} */
  #greeting = [];
  #skew = 0;
  /** Those that wait for it. @type {Set<string>} */
  #waiting = new Set();

  /** @param {Host} host @param {Pick<LockManager, 'request'>} locks @param {BroadcastChannel} channel @param {string} id @param {End} tab This one. */
  constructor({ env, url, options, channels, Connection }, locks, channel, id, tab) {
    this.#env = env;
    this.#locks = locks;
    this.#channels = channels;
    this.#url = url;
    this.#channel = channel;
    this.#id = id;
    this.#tab = tab;
    const connection = (this.#connection = new Connection(env, options, {
      frame: (frame) => this.#hear(frame),
      trusted: () => {},
      answered: () => {},
      lost: (code, reason) => {
        this.end(code, reason);
        tab.end(code, reason);
      },
    }));
    this.#mux = new Mux({
      ask: (type, name, payload, requestId) => connection.send(type, name, payload, requestId),
      tell: (clients, frame) => this.#tell(clients, frame),
      full: (client) => this.#finish([client], { code: 1012, reason: 'the shared connection is full', full: true }),
    });
    channel.postMessage({ calls: true });
  }

  /** Of another tab. @param {any} message */
  hear({ from, to, hello, sign, enter, token, frame }) {
    if (this.#over.signal.aborted || (hello ? false : to !== this.#id)) return;
    if (hello || (sign && (this.#mux.clients.has(from) || this.#waiting.has(from)))) this.#channel.postMessage({ to: [from], here: this.#id });
    else if (sign) this.#finish([from], { code: 1006, reason: 'the tab with the connection does not know this one' });
    else if (enter) this.enter(from, token);
    else if (frame) this.take(from, frame);
  }

  /** @param {string} client @param {string | undefined} token */
  enter(client, token) {
    this.#waiting.add(client);
    // Its tab holds the lock while it lives. That of this tab is no one's to wait for: the hub ends with it.
    if (client !== this.#id) this.#locks.request(lockOf(this.#channel, client), { signal: this.#over.signal }, () => this.#leave(client)).catch(() => {});
    if (!this.#opened) {
      this.#opened = true;
      this.#token = token;
      this.#connection.open(this.#url.href, token === undefined ? undefined : async () => token);
    }
    this.#greet();
  }

  /** @param {string} client @param {Frame} frame */
  take(client, frame) {
    if (!this.#mux.clients.has(client)) return;
    if (frame.type === 'auth') this.#token = frame.payload?.token;
    this.#mux.take(client, frame);
  }

  /** @param {number} code @param {string} reason */
  end(code, reason) {
    if (this.#over.signal.aborted) return;
    this.#finish([...this.#mux.clients, ...this.#waiting], { code, reason });
    this.#over.abort();
    this.#connection.close();
  }

  /** @param {string} client */
  #leave(client) {
    this.#waiting.delete(client);
    this.#mux.leave(client);
  }

  /** @param {string[]} clients @param {{code: number, reason: string, full?: boolean}} end */
  #finish(clients, end) {
    const others = clients.filter((client) => client !== this.#id);
    if (others.length > 0) this.#channel.postMessage({ to: others, end });
    if (others.length === clients.length || !end.full) return;
    apart.add(this.#channels);
    this.#tab.end(end.code, end.reason);
  }

  /** @param {string[]} clients @param {Frame} frame */
  #tell(clients, frame) {
    const others = clients.filter((client) => client !== this.#id);
    if (others.length > 0) this.#channel.postMessage({ to: others, frame });
    if (others.length < clients.length) this.#tab.say(frame);
  }

  /** Of the server. @param {Frame} frame */
  #hear(frame) {
    const { type, payload, timestamp } = frame;
    if (type === 'connected') {
      this.#skew = timestamp ? timestamp - this.#env.now() : 0;
      const { limits } = payload;
      const frameBytes = limits?.frameBytes && limits.frameBytes - ROOM;
      this.#greeting = [{ ...frame, payload: { ...payload, limits: limits && { ...limits, frameBytes } } }];
    } else if (type === 'auth:ok') this.#greeting[1] = { ...frame, requestId: undefined };
    if (type === 'connected' || type === 'auth:ok') this.#mux.user = payload.userId ?? this.#mux.user;
    if (this.#waiting.size > 0 && type === 'error') this.#tell([...this.#waiting], frame);
    if (type !== 'connected') this.#mux.hear(frame);
    this.#greet();
  }

  /** With a token it is known only after `auth:ok` who the tabs are. */
  #greet() {
    if (this.#greeting.length < (this.#token === undefined ? 1 : 2)) return;
    const clients = [...this.#waiting];
    this.#waiting.clear();
    for (const client of clients) this.#mux.clients.add(client);
    if (clients.length > 0) for (const frame of this.#greeting) this.#tell(clients, { ...frame, timestamp: this.#env.now() + this.#skew });
  }
}
