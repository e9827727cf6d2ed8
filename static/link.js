/**
 * The way to the server: connects, reconnects, subscribes again, and resumes every channel from its own position. Knows frames and
 * channels, but neither rows nor entities. Pages know it as `RealtimeClient`, which needs none of this before the network answers.
 */
import { DENIED } from './codes.js';
import { Connection } from './connection.js';
import { delay } from './env.js';
import { IDLE, next } from './machine.js';
import { part } from './parts.js';
import { Rows } from './rows.js';
import { shielded } from './signal.js';
import { Timers } from './timers.js';
import { Subscription } from './track.js';
import { dueIn, tokensOf } from './tokens.js';
import { NO_ANSWER, OTHER_USER } from './user.js';
import { onWake } from './wake.js';

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {import('./realtime.js').Detail} Detail
 */

/** Polling. */
export const bridge = part(() => import('./bridge.js'));
/** Server-sent events in place of a socket. */
export const stream = part(() => import('./stream.js'));
/** Requests over HTTP. */
export const api = part(() => import('./api.js'));
/** One connection of many tabs. The template string keeps the server from packing this module with a page. */
export const shared = part(() => import(`./shared.js`));
const DEFAULTS = {
  reconnectInterval: 1000,
  maxReconnectInterval: 30_000,
  heartbeatInterval: 25_000,
  heartbeatTimeout: 10_000,
  maxReconnectAttempts: 10,
  connectTimeout: 10_000,
  bridgeAfter: 3000,
  pollInterval: 3000,
  maxPollInterval: 30_000,
  transports: ['ws', 'sse', 'poll'],
  shareConnection: /** @type {'fallback' | boolean} */ ('fallback'),
  linger: 1000,
  apiBase: '/api',
  enabled: true,
};
/** What `connected` may set. */
const FROM_SERVER = /** @type {const} */ (['reconnectInterval', 'maxReconnectInterval', 'heartbeatInterval']);

export class Link {
  #client;
  #env;
  #given;
  #options;
  #timers;
  #url;
  /** @type {((refresh: boolean) => Promise<string | undefined>) | undefined} */
  #tokens;
  /** A token from `setToken`, and whether an attempt has used it. */
  #token = { value: /** @type {string | null} */ (null), used: true };
  /** @type {Map<string, Set<(...args: any[]) => void>>} by the name of what happens */
  #calls = new Map();
  /** Whether to poll. */
  #polls = false;
  /** Once polling was needed. @type {import('./bridge.js').Bridge | null} */
  #bridge = null;
  /** @type {Map<string, Subscription>} by channel */
  #channels = new Map();
  /** @type {Connection | null} */
  #connection = null;
  /** Of the last stream, or of the wait for one. @type {AbortController | null} */
  #attempt = null;
  /** @type {import('./machine.js').State} */
  #state = IDLE;
  /**
   * The last `error` about the whole connection, because browsers hide the close reason.
   *
   * @type {{code?: string, message?: string, hint?: string}}
   */
  #complaint = {};
  #requests = 0;
  /** Requests that have no answer yet. @type {Map<string | undefined, {resolve: (frame: Frame) => void, reject: (error: any) => void}>} */
  #asked = new Map();
  /** When the last frame came. @type {number | null} */
  #heard = null;
  /** The state whose next attempt `detail` tells. @type {unknown} */
  #retryOf = null;
  /** @type {(() => void) | null} */
  #deafen = null;
  #api;

  /**
   * @param {import('./realtime.js').RealtimeClient} client Its signals are set here.
   * @param {import('./env.js').Env} env
   * @param {import('./realtime.js').RealtimeOptions} given
   * @param {URL} url
   */
  constructor(client, env, given, url) {
    this.#client = client;
    this.#env = env;
    this.#given = given;
    // An option that is left undefined has its default.
    this.#options = { ...DEFAULTS, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
    this.#options.transports = [this.#options.transports].flat();
    this.#timers = new Timers(env);
    this.#url = url;
    this.#tokens = tokensOf(given, env);
    this.#api = part(async () => {
      const { Api } = await api();
      const getToken = (/** @type {{refresh: boolean}} */ { refresh }) => this.#tokenNow(refresh);
      return new Api(this.#httpUrl('').href, { as: url.searchParams.get('as'), auth: given.auth, getToken, env });
    });
  }

  /** @param {'list' | 'get' | 'plural' | 'schema' | 'batch'} name @param {any[]} args @returns {Promise<any>} What the Api answers. */
  async ask(name, args) {
    const user = () => this.#given.auth?.user.peek()?.id;
    const asked = user();
    const api = /** @type {any} */ (await this.#api().catch(() => Promise.reject(NO_ANSWER)));
    if (user() !== asked) throw OTHER_USER;
    return api[name](...args);
  }

  connect() {
    this.#deafen ??= onWake(this.#env, (type) => this.#step({ type }));
    this.#step({ type: 'connect' });
  }

  disconnect() {
    this.#deafen?.();
    this.#deafen = null;
    this.#step({ type: 'disconnect' });
  }

  wake() {
    this.#step({ type: 'wake' });
  }

  /** @param {string | null} token */
  setToken(token) {
    const before = this.#token.value;
    this.#token = { value: token, used: false };
    if (token && this.#client.connected.peek()) this.#renewWith(token);
    // Without one the page is no longer of that user.
    else if (!token && (before || this.#client.connected.peek())) this.begin();
    else if (this.#state.name === 'stopped') this.connect();
    // The attempt that is under way began with another one.
    else if (this.#connection && token !== before) {
      this.#drop();
      this.#open();
    }
  }

  /** @param {string} type @param {object} [payload] @param {string} [channel] @returns {Promise<Frame>} */
  request(type, payload, channel) {
    return new Promise((resolve, reject) => {
      if (!this.#client.connected.peek()) return reject(NO_ANSWER);
      const requestId = `q${(this.#requests += 1)}`;
      this.#asked.set(requestId, { resolve, reject });
      this.#connection?.send(type, channel, payload, requestId);
    });
  }

  /** @param {string} name @param {(...args: any[]) => void} call */
  on(name, call) {
    const calls = this.#calls.get(name) ?? new Set();
    this.#calls.set(name, calls.add(call));
    return () => void calls.delete(call);
  }

  /** Once for all who ask in one task: the server closes a connection that sends too much. */
  ping() {
    this.#timers.set('ping', 0, () => this.#client.connected.peek() && this.#connection?.ping());
  }

  /** @type {import('./realtime.js').RealtimeClient['subscribe']} */
  subscribe(channel, callback, { snapshot = false, since, part, linger = this.#options.linger, onState, reload } = {}) {
    const subscription = this.#channels.get(channel) ?? new Subscription(channel);
    const { track, listeners } = subscription;
    // What makes rows of the frames comes with what receives them.
    const listener = { callback: (/** @type {Frame} */ frame) => callback(frame, Rows), onState, reload, snapshot, part };
    this.#channels.set(channel, subscription);
    this.#timers.clear(`linger ${channel}`);
    listeners.add(listener);
    // A listener that needs the rows needs all of them from the start, whatever the other listeners have.
    if (snapshot) track.forget();
    if (since && listeners.size === 1 && track.phase === 'idle') track.jump(since);
    subscription.snapshot ||= snapshot;
    if (this.#client.connected.peek() && (snapshot || track.phase === 'idle' || track.phase === 'refused'))
      this.#ask(subscription);
    // While the client polls, the rows of a new channel are read by a poll, at once.
    else if (track.phase === 'idle') this.#bridge?.soon();

    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      this.#timers.set(`linger ${channel}`, linger, () => this.#leave(subscription));
    };
  }

  // Coming, going, coming back.

  /**
   * The one way from state to state.
   *
   * @param {import('./machine.js').Event} event
   * @param {Partial<Detail>} [detail]
   */
  #step(event, detail) {
    const { now, random } = this.#env;
    const renews = this.#tokens !== undefined || !this.#token.used;
    const { state, effects } = next(this.#state, event, { now: now(), random, renews, options: this.#options });
    this.#state = state;
    for (const effect of effects) this.#perform[effect]();
    if (effects.length > 0 || detail) this.show(detail);
  }

  /** @type {Record<import('./machine.js').Effect, () => void>} */
  #perform = {
    open: () => this.#open(),
    close: () => this.#drop(),
    wait: () => this.#timers.set('retry', this.#state.wait, () => this.#step({ type: 'retry' })),
    // The time counts from the first loss, also through connections that close early.
    bridge: () => {
      if (this.#options.transports.includes('poll') && !this.#polls && !this.#timers.has('bridge')) this.#timers.set('bridge', this.#options.bridgeAfter, () => this.#poll());
    },
    settle: () => {
      this.#timers.clear('bridge');
      this.#unbridge();
      for (const load of [bridge, stream]) load().catch(() => {});
    },
    rest: () => {
      this.#timers.clear('retry', 'bridge');
      this.#unpoll();
    },
    ping: () => {
      /** @param {Subscription} subscription */
      const loads = ({ track: { phase } }) => phase !== 'live' && phase !== 'refused';
      this.#connection?.probe({ loading: [...this.#channels.values()].some(loads) });
    },
    poll: () => this.#bridge?.soon(),
  };

  async #open() {
    const { enabled, transports } = this.#options;
    if (!enabled || transports.every((way) => way === 'poll')) return void this.#poll();
    this.#timers.clear('retry');
    this.#complaint = {};
    const state = this.#state;
    let env = this.#env;
    const load = state.way === 'sse' ? stream : this.#options.shareConnection === true ? shared : null;
    if (load) {
      const { signal } = (this.#attempt = new AbortController());
      const WebSocket = await load().then(({ socketFor }) => socketFor({ ...this.#lent(), signal })).catch(() => (load === stream ? null : env.WebSocket));
      if (signal.aborted) return;
      if (!WebSocket) return this.#lost(0, 'no stream');
      env = { ...env, WebSocket };
    }
    const connection = new Connection(env, this.#options, {
      frame: (frame) => this.#receive(frame),
      trusted: () => this.#step({ type: 'trusted' }),
      answered: (rtt) => this.show({ rtt }),
      lost: (code, reason) => this.#lost(code, reason),
    });
    this.#connection = connection;
    this.show({ refusal: null });
    const { refresh } = this.#state;
    connection.open(this.#url.href, this.#tokens || this.#token.value ? () => this.#tokenNow(refresh) : undefined);
  }

  /** What the parts that are loaded later use of this client. */
  #lent() {
    return {
      env: this.#env,
      url: this.#url,
      options: this.#options,
      channels: this.#channels,
      user: this.#given.auth?.user.peek()?.id,
      listen: this.subscribe.bind(this),
      soon: this.#perform.poll,
      httpUrl: (/** @type {string} */ path) => this.#httpUrl(path),
      show: (/** @type {import('./shared.js').Sharing | null} */ sharing) => this.show({ sharing }),
      Connection,
      DENIED,
      connected: this.#client.connected,
      token: (/** @type {boolean} */ refresh) => this.#tokenNow(refresh),
      refused: (/** @type {Subscription} */ subscription, /** @type {Frame} */ frame) => this.#refused(subscription, frame),
      changed: () => (this.#bridge?.working ? this.#step({ type: 'reached' }, {}) : this.show()),
    };
  }

  /**
   * A token from `setToken` is used until the server refuses it.
   *
   * @param {boolean} refresh
   */
  async #tokenNow(refresh) {
    const { value, used } = this.#token;
    this.#token.used = true;
    if (value && !(refresh && used)) return value;
    this.#token.value = null;
    return this.#tokens?.(refresh);
  }

  /** @param {string | number | undefined} expires @param {number | undefined} now */
  #renewBefore(expires, now) {
    if (expires === undefined || !this.#tokens) return;
    this.#timers.set('renew', dueIn(expires, now ?? this.#env.now()), () => this.#renew());
  }

  async #renew() {
    const connection = this.#connection;
    // Without a new one the server ends the connection, and the next attempt asks again.
    const token = await this.#tokens?.(true).catch(() => undefined);
    if (token && connection === this.#connection) this.#renewWith(token);
  }

  /** @param {string} token */
  #renewWith(token) {
    this.#connection?.send('auth', undefined, { token }, 'auth');
  }

  /** Starts again for another user: no row of the last user is shown, and no channel is resumed. */
  begin() {
    this.#refuseAll(OTHER_USER);
    for (const subscription of this.#channels.values()) {
      subscription.track.reopen();
      subscription.show('waiting');
    }
    if (this.#state.name === 'idle') return;
    this.#step({ type: 'disconnect' });
    this.#step({ type: 'connect' });
  }

  /** @param {string} name @param {any[]} args */
  #tell(name, ...args) {
    for (const call of [...(this.#calls.get(name) ?? [])]) shielded(call, ...args);
  }

  /** Lets go of the connection and of everything that was true only with it. */
  #drop() {
    this.#attempt?.abort();
    this.#connection?.close();
    this.#connection = null;
    this.#timers.clear('renew');
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { reject } of asked) reject(NO_ANSWER);
    for (const subscription of this.#channels.values()) {
      subscription.track.detach();
      subscription.asked = undefined;
      this.#timers.clear(`again ${subscription.name}`);
    }
    this.#client.connected.value = false;
    for (const subscription of this.#channels.values()) {
      if (subscription.track.phase === 'idle') subscription.show('waiting');
    }
  }

  /**
   * @param {number} code
   * @param {string} closeReason
   */
  #lost(code, closeReason) {
    const complaint = this.#complaint;
    const { code: refusal, message } = complaint;
    this.#step({ type: 'lost', code }, { code, reason: message ?? refusal ?? closeReason });
    if (this.#state.name !== 'stopped' || refusal === undefined || !DENIED.has(refusal)) return;
    this.show({ refusal });
    this.#refuseAll(complaint);
  }

  /** Make before break: polling ends when the socket is trusted and every channel has come through on it. */
  #unbridge() {
    if (!this.#connection?.trusted) return;
    const through = [...this.#channels.values()].every(
      ({ track: { phase } }) => phase === 'live' || phase === 'refused',
    );
    if (through) this.#unpoll();
  }

  async #poll() {
    this.#polls = true;
    try {
      const { Bridge } = await bridge();
      this.#bridge ??= new Bridge(this.#lent());
      if (this.#polls) this.#bridge.start();
    } catch {
      // The module could not be loaded, because nothing gets through at the moment.
      if (this.#polls) this.#timers.set('bridge', this.#options.pollInterval, () => this.#poll());
    }
  }

  #unpoll() {
    this.#polls = false;
    this.#bridge?.stop();
  }

  // Frames.

  /** @param {Frame} frame */
  #receive(frame) {
    this.#heard = this.#env.now();
    const asked = this.#asked.get(frame.requestId);
    if (asked) {
      this.#asked.delete(frame.requestId);
      if (frame.type === 'error') return asked.reject(frame.payload);
      asked.resolve(frame);
    }
    if (frame.type === 'error') this.#tell('error', { ...frame.payload, channel: frame.channel });
    if (frame.type === 'connected') this.#greeted(frame);
    else if (frame.type === 'auth:ok') this.#known(frame);
    else if (frame.type === 'auth:expiring') this.#renew();
    else if (frame.type === 'error') this.#failed(frame);
    else if (frame.type === 'schema:changed') this.#reshaped(frame.payload);
    else if (frame.type === 'drain') this.#step({ type: 'asked', ms: frame.payload?.reconnectInMs ?? 0 });
    else if (frame.channel) this.#route(frame.channel, frame);
    else if (frame.type !== 'pong') {
      if (frame.type === 'rights:changed') this.#askRefused();
      this.#tell('frame', frame);
    } else if (frame.payload?.epoch) {
      for (const subscription of this.#channels.values()) {
        const { epoch, seq } = frame.payload;
        if (subscription.track.advance({ epoch, seq }))
          subscription.deliver({ type: 'pong', channel: subscription.name, payload: { epoch, seq } });
      }
    }
  }

  /** Whom the server takes us for, and for how long. @param {Frame} frame */
  #known({ type, payload, timestamp }) {
    this.#renewBefore(payload?.expiresAt, timestamp);
    const { userId = null, guest = null } = payload ?? {};
    // A token is on its way to the server, so the user is not anonymous yet.
    if ((userId ?? guest) !== null || type === 'auth:ok' || !this.#connection?.authenticates) this.show({ userId, guest });
  }

  /** @param {Frame} frame */
  #greeted(frame) {
    const { payload, timestamp } = frame;
    if (timestamp) this.#client.skew = timestamp - this.#env.now();
    for (const name of FROM_SERVER) {
      if (payload?.[name] > 0 && this.#given[name] === undefined) this.#options[name] = payload[name];
    }
    this.#client.frameBytes = payload?.limits?.frameBytes ?? 0;
    this.#step({ type: 'greeted' });
    this.#client.connected.value = true;
    const { connectionId = null, generation = null } = payload ?? {};
    this.#client.generation.value = generation ?? this.#client.generation.peek();
    this.show({ connectionId, everConnected: true, code: null, reason: '' });
    this.#known(frame);
    for (const subscription of this.#channels.values()) {
      subscription.tries = 0;
      this.#ask(subscription);
    }
  }

  /** Channels follow by themselves; those that were refused may exist now. @param {any} payload */
  #reshaped(payload) {
    this.#client.generation.value = payload?.generation ?? null;
    this.#askRefused();
  }

  /** Channels that were refused may be allowed now. */
  #askRefused() {
    for (const subscription of this.#channels.values()) {
      if (subscription.track.phase === 'refused') this.#ask(subscription);
    }
  }

  /**
   * @param {string} channel
   * @param {Frame} frame
   */
  #route(channel, frame) {
    const subscription = this.#channels.get(channel);
    if (!subscription) return this.#tell('frame', frame);
    const verdict = subscription.track.accept(frame);
    if (verdict === 'drop') return;
    if (frame.type === 'resync') this.#tell('resync', channel, frame.payload?.reason);
    if (verdict === 'gap') return this.#again(subscription, 0);
    subscription.deliver({ ...frame, asked: subscription.asked });
    const live = subscription.track.phase === 'live';
    if (live && frame.seq !== undefined) subscription.tries = 0;
    subscription.show(live ? 'live' : 'waiting');
    if (live) this.#unbridge();
  }

  /** @param {Frame} frame */
  #failed(frame) {
    const payload = frame.payload ?? {};
    const asked = [...this.#channels.values()].find(({ track }) => track.answers(frame));
    // Without a request it is the end of a channel: its entity is gone, or its rule fails. No other channel is concerned.
    const ended = frame.channel && !frame.requestId ? this.#channels.get(frame.channel) : undefined;
    const subscription = asked ?? ended;
    // The token that was set is another user's.
    if (frame.requestId === 'auth' && !this.#token.used) return this.begin();
    if (!subscription) {
      if (frame.channel) return;
      this.#step({ type: 'asked', ms: payload.retryAfterMs ?? 0 });
      this.#complaint = payload;
      return this.show({ reason: payload.message ?? payload.code ?? '' });
    }
    if (payload.code === 'BAD_POSITION' && subscription.track.point) {
      subscription.track.forget();
      return this.#again(subscription, 0);
    }
    if (!DENIED.has(payload.code) && payload.retry)
      return this.#again(subscription, payload.retryAfterMs ?? 250);
    this.#refused(subscription, frame, subscription === ended);
  }

  // Channels.

  /** @param {Subscription} subscription */
  #ask(subscription) {
    const requestId = `r${(this.#requests += 1)}`;
    const { name, track, snapshot, part } = subscription;
    // The server remembers a limit for as long as the subscription lasts.
    if (subscription.asked && !part) this.#connection?.send('unsubscribe', name);
    subscription.asked = part?.limit;
    subscription.show('waiting');
    this.#connection?.send('subscribe', name, track.ask(requestId, { snapshot, part }), requestId);
  }

  /**
   * Subscribes again, at once the first time, then ever more slowly, so that a fault on either side is no storm.
   *
   * @param {Subscription} subscription
   * @param {number} floor
   */
  #again(subscription, floor) {
    subscription.tries += 1;
    if (subscription.tries === 1 && floor === 0) return this.#ask(subscription);
    // The same position has led to the same gap: start from the rows.
    if (subscription.tries > 2 && subscription.snapshot) subscription.track.forget();
    subscription.track.detach();
    subscription.show('waiting');
    this.#timers.set(`again ${subscription.name}`, this.#delay(subscription.tries, floor), () => {
      if (this.#client.connected.peek() && subscription.track.phase === 'idle') this.#ask(subscription);
    });
  }

  /**
   * @param {Subscription} subscription
   * @param {Frame} frame
   * @param {boolean} [ended] It was live: what was shown is true no longer, whatever the code.
   */
  #refused(subscription, frame, ended = false) {
    const denied = ended || DENIED.has(frame.payload?.code);
    subscription.refusal = frame.payload?.code ?? null;
    this.#timers.clear(`again ${subscription.name}`);
    subscription.track.refuse();
    // Without its rows a channel cannot resume from their position.
    if (denied) subscription.track.forget();
    subscription.deliver(frame);
    subscription.show(denied ? 'denied' : 'error');
    this.#unbridge();
  }

  /** Nothing of this server is for this user. @param {object} payload */
  #refuseAll(payload) {
    for (const subscription of [...this.#channels.values()])
      this.#refused(subscription, { type: 'error', channel: subscription.name, payload }, true);
  }

  /** @param {Subscription} subscription */
  #leave(subscription) {
    const { name, track } = subscription;
    this.#channels.delete(name);
    this.#timers.clear(`again ${name}`);
    if (this.#client.connected.peek() && track.phase !== 'idle' && track.phase !== 'refused')
      this.#connection?.send('unsubscribe', name);
    track.detach();
  }

  // What listeners are told.

  /** @param {Partial<Detail>} [detail] */
  show(detail) {
    const { name, attempt, wait, way } = this.#state;
    const connected = this.#client.connected.peek();
    const transport = connected ? way : this.#bridge?.working ? 'poll' : null;
    const before = this.#client.detail.peek();
    const waits = name === 'backoff' || name === 'fallback';
    const nextRetryAt = waits ? (this.#retryOf === this.#state ? before.nextRetryAt : this.#env.now() + wait) : null;
    this.#retryOf = this.#state;
    const last = () => this.#heard;
    this.#client.detail.value = { ...before, ...detail, nextRetryAt, transport, attempt, get lastMessageAt() { return last(); } };
    const active = name !== 'idle' && name !== 'stopped' && name !== 'frozen';
    if (connected) this.#client.status.value = 'connected';
    else if (transport === 'poll') this.#client.status.value = 'polling';
    else this.#client.status.value = active && attempt <= this.#options.maxReconnectAttempts ? 'connecting' : 'offline';
  }

  /**
   * @param {number} attempt
   * @param {number} floor
   */
  #delay(attempt, floor) {
    const { reconnectInterval: base, maxReconnectInterval: max } = this.#options;
    return delay(attempt, { base, max, floor, random: this.#env.random });
  }

  /** HTTP goes to the host of the socket. @param {string} path */
  #httpUrl(path) {
    const url = new URL(this.#options.apiBase.replace(/\/$/, '') + path, this.#url);
    url.protocol = url.protocol.replace(/^ws/, 'http');
    return url;
  }
}
