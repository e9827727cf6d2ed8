/**
 * The connection of a page to `/ws`, as the page sees it: its calls, options and status. What connects, subscribes and resumes is
 * `link.js`, which is loaded in the background as soon as there is a client. Channels that are asked for before wait for it here.
 */
import { environment, only } from './env.js';
import { idsOf } from './ids.js';
import * as parts from './parts.js';
import { shielded, signal } from './signal.js';
import { NO_ANSWER, onOtherUser, OTHER_USER } from './user.js';

/**
 * @typedef {import('./link.js').Link} Link
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {'connecting' | 'connected' | 'polling' | 'offline'} Status
 *
 * @typedef {object} Detail
 * @property {'ws' | 'sse' | 'poll' | null} transport What brings changes now.
 * @property {number} attempt Failures in a row.
 * @property {number | null} nextRetryAt Milliseconds since 1970.
 * @property {number | null} code Close code of the last loss; null when there was none, 0 when we gave up on a silent socket.
 * @property {string} reason Why the last socket was lost, or the last `error` that concerned the whole connection.
 * @property {string | null} refusal Its code, when that is why there will be no other attempt: `ACCOUNT_DISABLED`.
 * @property {boolean} everConnected
 * @property {string | null} connectionId
 * @property {string | null} userId
 * @property {string | null} guest As whom presence shows a caller with a shared token.
 * @property {import('./shared.js').Sharing | null} sharing Of `shareConnection: true`: whether this tab holds the connection of all tabs, uses
 * it, or has its own.
 * @property {number | null} rtt Milliseconds that the last ping took.
 * @property {number} pending Changes that the server has not answered yet.
 * @property {number | null} lastMessageAt When the last frame came, in milliseconds since 1970. It moves without a call.
 *
 * @typedef {object} RealtimeOptions Times in milliseconds. The server's values apply to the first three unless given.
 * @property {number} [reconnectInterval] Base of the back-off: 1000.
 * @property {number} [maxReconnectInterval] Its cap: 30000.
 * @property {number} [heartbeatInterval] Silence after which we ask whether the server lives: 25000.
 * @property {number} [heartbeatTimeout] Further silence after which it counts as dead: 10000.
 * @property {number} [maxReconnectAttempts] Failures after which the status says `offline`; it goes on trying: 10.
 * @property {number} [connectTimeout] From the attempt to `connected`: 10000.
 * @property {number} [bridgeAfter] Without a trusted socket for this long, poll beside it: 3000.
 * @property {number} [pollInterval] 3000, growing to `maxPollInterval` while nothing happens.
 * @property {number} [maxPollInterval] 30000.
 * @property {string[]} [transports] `['ws', 'sse', 'poll']`. What is left out is not tried. None of them: as `enabled: false`.
 * @property {'fallback' | boolean} [shareConnection] Tabs without sockets share few streams: `'fallback'`. True: tabs of one user share one
 * socket, too.
 * @property {number} [linger] How long a channel stays subscribed after its last listener left: 1000.
 * @property {string} [apiBase] `/api`.
 * @property {boolean} [enabled] False: no socket, changes are fetched.
 * @property {import('./tokens.js').GetToken} [getToken]
 * @property {import('./tokens.js').Auth} [auth] A login, in place of `getToken`. Another user begins anew.
 * @property {Partial<import('./env.js').Env>} [env]
 */

/** Names, and what each can be. */
export const OPTIONS =
  'reconnectInterval:number maxReconnectInterval:number heartbeatInterval:number heartbeatTimeout:number maxReconnectAttempts:number connectTimeout:number bridgeAfter:number pollInterval:number maxPollInterval:number linger:number apiBase:string transports:ws|sse|poll shareConnection:fallback|boolean enabled:boolean getToken:function auth env';

export class RealtimeClient {
  /** Whether the socket is open and the server has greeted. */
  connected = signal(false);
  /** @type {import('./signal.js').Readable<Status>} */
  status = signal(/** @type {Status} */ ('offline'));
  /** @type {import('./signal.js').Readable<Detail>} */
  detail = signal(
    /** @type {Detail} */ ({
      transport: null,
      attempt: 0,
      nextRetryAt: null,
      code: null,
      reason: '',
      refusal: null,
      everConnected: false,
      connectionId: null,
      userId: null,
      guest: null,
      sharing: null,
      rtt: null,
      pending: 0,
      lastMessageAt: null,
    }),
  );

  /**
   * Generation of the server's schema, null until it is known. Another one means that records have another shape:
   * what was made from `/api/schema` is out of date. Lists update by themselves.
   *
   * @type {import('./signal.js').Readable<number | null>}
   */
  generation = signal(/** @type {number | null} */ (null));

  /**
   * HTTP to the same server for the same user, as far as lists and changes need it. The module is loaded with the first request.
   *
   * @type {Pick<import('./api.js').Api, 'newId' | 'list' | 'get' | 'plural' | 'schema' | 'batch'>}
   */
  api;
  /** Milliseconds that the server's clock is ahead of this one. */
  skew = 0;
  /** Bytes of a frame that the server takes at most; 0 until it has said so. */
  frameBytes = 0;
  #env;
  /** @type {Link | null} */
  #link = null;
  /** What is to be done once it is there, and what is done until then when the user changes. @type {Map<(link: Link) => void, ((error: object) => void) | undefined>} */
  #waits = new Map();
  /** Loads it, as often as it takes. @type {() => void} */
  #load;
  /** Stops loading it. @type {(() => void) | null} */
  #stop = null;
  /** Whether it is to connect then. */
  #connects = false;
  /** What it will use. @type {string | null | undefined} */
  #token;

  /**
   * @param {string} url `/ws`, or with a name `/ws?as=ada`.
   * @param {RealtimeOptions} [options]
   */
  constructor(url, options = {}) {
    const { auth } = only('RealtimeClient', options, OPTIONS);
    const env = (this.#env = environment(options.env));
    const address = new URL(url, env.base);
    address.protocol = address.protocol.replace(/^http/, 'ws');
    /** @param {typeof import('./link.js')} part */
    const begin = ({ Link }) => {
      const link = (this.#link = new Link(this, env, options, address));
      if (this.#token !== undefined) link.setToken(this.#token);
      for (const act of this.#waits.keys()) shielded(act, link);
      this.#waits.clear();
      if (this.#connects) link.connect();
    };
    const failed = (/** @type {unknown} */ error) => {
      const detail = this.detail.peek();
      const attempt = detail.attempt + 1;
      this.detail.value = { ...detail, attempt, reason: `${error}` };
      if (attempt > (options.maxReconnectAttempts ?? 10)) this.status.value = 'offline';
    };
    this.#load = () => void (this.#stop ??= parts.link.use(env, begin, failed));
    if (parts.link.loaded) this.#load();
    else parts.link().catch(() => {});
    onOtherUser(auth, () => {
      if (this.#link) this.#link.begin();
      else [...this.#waits.values()].forEach((refuse) => refuse?.(OTHER_USER));
    });
    this.api = /** @type {any} */ ({ newId: idsOf(env) });
    for (const name of /** @type {any[]} */ (['list', 'get', 'plural', 'schema', 'batch'])) {
      /** @type {any} */ (this.api)[name] = (/** @type {any[]} */ ...args) =>
        new Promise((resolve, reject) => {
          const refuse = (/** @type {object} */ error) => {
            end();
            stop();
            reject(error);
          };
          const end = this.#with((link) => resolve(link.ask(name, args)), refuse);
          // Nothing waits for longer than one attempt, so who asks again and again is not answered many times at last.
          const stop = parts.link.use(env, this.#load, () => refuse(NO_ANSWER));
        });
    }
  }

  /** Connects, and reconnects for ever. Calling it again has an effect only after a close code has stopped it. */
  connect() {
    if (!this.#link && !this.#stop) this.status.value = 'connecting';
    this.#connects = true;
    this.#load();
    this.#link?.connect();
    return this;
  }

  /** Stops. Subscriptions and their positions are kept for the next `connect()`. */
  disconnect() {
    if (this.#link) return this.#link.disconnect();
    this.#connects = false;
    this.#stop?.();
    this.#stop = null;
    this.status.value = 'offline';
  }

  /** Tries to connect now. */
  reconnectNow() {
    this.#link?.wake();
  }

  /** What an OptimisticManager has not sent. @param {number} count */
  set pending(count) {
    const detail = this.detail.peek();
    if (count === detail.pending) return;
    if (this.#link) this.#link.show({ pending: count });
    else this.detail.value = { ...detail, pending: count };
  }

  /** A bad network, for a client that was made with `devtools`. @param {import('./devtools.js').Trouble} trouble `{}` ends it. */
  simulate(trouble) {
    if (!this.#env.simulate) throw new TypeError('give the option `env: devtools().env`');
    this.#env.simulate(trouble);
  }

  /**
   * Uses this token from now on. It is sent over an open connection; a connection that was refused is tried again.
   *
   * @param {string | null} token
   */
  setToken(token) {
    if (this.#link) this.#link.setToken(token);
    else this.#token = token;
  }

  /**
   * Sends a frame that has one answer. It rejects with the payload of an `error`, or `NO_ANSWER` when the connection is lost before.
   *
   * @param {string} type
   * @param {object} [payload]
   * @param {string} [channel]
   * @returns {Promise<Frame>}
   */
  request(type, payload, channel) {
    return this.#link?.request(type, payload, channel) ?? Promise.reject(NO_ANSWER);
  }

  /**
   * @param {'error' | 'resync' | 'frame'} name `error`: the server refused something; the call gets `{code, message, hint, channel}`. `resync`:
   * a channel starts over with a snapshot; the call gets its name and the reason. `frame`: a frame that `subscribe` does not follow,
   * such as one of presence.
   * @param {(...args: any[]) => void} call
   * @returns {() => void} disposer
   */
  on(name, call) {
    only('rt.on', { [name]: call ?? null }, 'error:function resync:function frame:function');
    return this.#with((link) => link.on(name, call));
  }

  /** Asks the server how far it is. Its answer brings every channel to that position. */
  ping() {
    this.#link?.ping();
  }

  /**
   * Listens to a channel; before `connect()` too. Listeners of one channel share one subscription.
   *
   * @param {string} channel `entity:Task`, `entity:Task:<id>` with the id percent-encoded, or a live query
   * `entity:Task?status=open`.
   * @param {(frame: Frame, Rows?: typeof import('./rows.js').Rows) => void} callback Gets every frame of the channel: events, and `subscribed`, `snapshot`,
   * `resync`, `pong`, `error`. It may see an event twice, never one too few. An event with `at` in place of `seq` is part of
   * the difference that a change of rights made; the `pong` after it says where the channel stands.
   * @param {object} [options]
   * @param {boolean} [options.snapshot] Send the rows that exist first.
   * @param {import('./track.js').Point} [options.since] The rows of this position are there: send what has happened since.
   * @param {number} [options.linger]
   * @param {(state: import('./track.js').ChannelState) => void} [options.onState]
   * @param {import('./track.js').Part} [options.part] Of the rows that exist, these are enough. Events are of all rows.
   * @param {import('./track.js').Reload} [options.reload] How to read the rows while polling.
   * @returns {() => void} disposer
   */
  subscribe(channel, callback, options = {}) {
    only('rt.subscribe', { callback: callback ?? null }, 'callback:function');
    only('rt.subscribe', options, 'snapshot:boolean since part linger:number onState:function reload:function');
    const refuse = () => {
      // Another user begins without the rows of this one.
      options = { ...options, since: undefined };
      shielded(callback, { type: 'error', channel, payload: OTHER_USER });
      for (const state of /** @type {const} */ (['denied', 'waiting'])) if (options.onState) shielded(options.onState, state);
    };
    return this.#with((link) => link.subscribe(channel, callback, options), refuse);
  }

  /**
   * @param {(link: Link) => (() => void) | void} act
   * @param {(error: object) => void} [refuse] Called when the user changes before that.
   * @returns {() => void} Ends what it has begun, or keeps it from beginning.
   */
  #with(act, refuse) {
    /** @type {(() => void) | void} */
    let end;
    const begin = (/** @type {Link} */ link) => void (end = act(link));
    if (this.#link) begin(this.#link);
    else this.#waits.set(begin, refuse);
    return () => {
      this.#waits.delete(begin);
      end?.();
    };
  }
}
