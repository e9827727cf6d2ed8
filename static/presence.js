/**
 * Who is here: the users who look at the same thing as this page, and what each of them tells about it, such as the field in
 * which they write. Knows frames of presence, neither rows nor pages.
 *
 * The list stays during a reconnect, as `stale`, until the server has told it anew. So nothing flickers, and the server holds
 * the place of a connection that broke for as long.
 */
import { environment, Timers } from './env.js';
import { only } from './only.js';
import { kept } from './same.js';
import { computed, signal } from './signal.js';

/**
 * @typedef {'active' | 'idle' | 'away'} Attention `idle`: without a sign of the user for a while. `away`: for long, or all tabs are hidden.
 * @typedef {Record<string, any>} Metadata
 *
 * @typedef {object} Person A user, however many tabs they have.
 * @property {string} id
 * @property {string | null} [name]
 * @property {Metadata} metadata
 * @property {Attention} [state]
 * @property {number} [connections]
 * @property {number} [joinedAt] Milliseconds since 1970.
 * @property {number} [lastSeen]
 *
 * @typedef {'joining' | 'live' | 'stale' | 'denied' | 'left'} PresenceState `stale`: the users of a moment ago, during a reconnect.
 *
 * @typedef {object} PresenceOptions
 * @property {number} [throttle] Milliseconds between two updates that are sent: 100, at least 16.
 * @property {Partial<import('./env.js').Env>} [env]
 */

/** What a user does with a page tells that they are there, at most this often in milliseconds. */
const SIGN = 30_000;
const SIGNS = ['pointerdown', 'keydown', 'focus'];
/** Refusals of a `join` after which the page may still see who is there. */
const WATCHES = ['UNAUTHENTICATED', 'FORBIDDEN_CHANNEL', 'FORBIDDEN', 'PRESENCE_LIMIT'];

export class PresenceManager {
  #rt;
  #env;
  #throttle;
  /** @type {Map<string, Presence>} by channel */
  #joined = new Map();
  /** @type {(() => void)[]} */
  #disposers;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {PresenceOptions} [options]
   */
  constructor(rt, options = {}) {
    const { throttle = 100, env } = only('PresenceManager', options, 'throttle env');
    this.#rt = rt;
    this.#env = environment(env);
    this.#throttle = Math.max(16, throttle);
    const all = (/** @type {(presence: Presence) => void} */ act) => [...this.#joined.values()].forEach(act);
    let user = rt.detail.peek().userId;
    const look = () => all((presence) => presence.look(this.#attention()));
    const { document, window } = this.#env;
    const timers = new Timers(this.#env);
    const signs = () => {
      if (timers.has('sign')) return;
      timers.set('sign', SIGN, () => {});
      all((presence) => presence.beat());
    };
    document?.addEventListener('visibilitychange', look);
    for (const name of SIGNS) window?.addEventListener(name, signs);
    this.#disposers = [
      rt.on('frame', (frame) => {
        if (frame.type === 'rights:changed') all((presence) => presence.askAgain());
        else this.#joined.get(frame.channel)?.take(frame);
      }),
      rt.on('error', (error) => this.#joined.get(error.channel)?.refuse(error)),
      rt.connected.listen((connected) => all((presence) => (connected ? presence.enter() : presence.wait()))),
      rt.detail.listen(({ userId }) => {
        if (userId === user) return;
        user = userId;
        // What the user before saw is not for the next one.
        all((presence) => presence.clear());
      }),
      () => document?.removeEventListener('visibilitychange', look),
      () => SIGNS.forEach((name) => window?.removeEventListener(name, signs)),
      () => timers.clear(),
    ];
  }

  /**
   * Shows this user to all who look at the same resource, and them to this page. A second `join` of the same resource is the
   * same presence, which ends with the last `leave`. A user who may not join sees the others all the same; `error` says why.
   *
   * @param {string} resource `Task/<id>`, `Task`, or a name of your own such as `lobby`.
   * @param {Metadata} [metadata] What the others see.
   * @returns {Presence}
   */
  join(resource, metadata = {}) {
    return this.#open(resource, metadata);
  }

  /** Sees who is there without being shown. @param {string} resource @returns {Presence} */
  watch(resource) {
    return this.#open(resource, null);
  }

  /** Sees how many are there, and no names: "12 here" is `counts`. @param {string} resource @returns {Presence} */
  count(resource) {
    return this.#open(resource, null, false);
  }

  /** Leaves everything. */
  close() {
    for (const presence of [...this.#joined.values()]) presence.end();
    for (const dispose of this.#disposers) dispose();
  }

  /** @param {string} resource @param {Metadata | null} metadata @param {boolean} [names] */
  #open(resource, metadata, names = true) {
    const channel = `presence:${resource.split('/').map(encodeURIComponent).join('/')}`;
    let presence = this.#joined.get(channel);
    if (!presence) {
      const timers = new Timers(this.#env);
      presence = new Presence(this.#rt, { channel, resource, timers, throttle: this.#throttle, gone: () => this.#joined.delete(channel) });
      this.#joined.set(channel, presence);
    }
    presence.use(metadata, this.#attention(), names);
    return presence;
  }

  /** Undefined: the server sees by the frames whether the user is active. @returns {Attention | undefined} */
  #attention() {
    return this.#env.document?.visibilityState === 'hidden' ? 'away' : undefined;
  }
}

export class Presence {
  /** Everyone who is there. @type {import('./signal.js').Readable<Person[]>} */
  users = signal(/** @type {Person[]} */ ([]));
  /** Everyone but the user, or the guest, of this page. @type {import('./signal.js').Readable<Person[]>} */
  others;
  /** How many are there. @type {import('./signal.js').Readable<{users: number, connections: number}>} */
  counts = signal({ users: 0, connections: 0 });
  /** Who holds the lease of the record: "Ada is editing this". @type {import('./signal.js').Readable<{holder: string} | null>} */
  lease = signal(/** @type {{holder: string} | null} */ (null));
  /** @type {import('./signal.js').Readable<PresenceState>} */
  state = signal(/** @type {PresenceState} */ ('joining'));
  /** Why it was refused. @type {import('./signal.js').Readable<{code: string, message?: string, hint?: string} | null>} */
  error = signal(/** @type {any} */ (null));
  #rt;
  #options;
  #uses = 0;
  /** What this page tells; null when it only watches. @type {Metadata | null} */
  #metadata = null;
  /** What each frame says, because a frame without it says `active`. @type {Attention | undefined} */
  #attention;
  /** Whether someone wants to see who is there, and not only how many. */
  #names = false;
  /** Whether it may only watch. */
  #watches = false;
  /** The pages of a list that have come. @type {Person[]} */
  #pages = [];
  /** What has changed since the last update. @type {{metadata?: Metadata, state?: Attention} | null} */
  #news = null;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {{channel: string, resource: string, timers: Timers, throttle: number, gone: () => void}} options
   */
  constructor(rt, options) {
    this.#rt = rt;
    this.#options = options;
    this.others = computed([this.users, rt.detail], (users, { userId, guest }) => {
      const others = users.filter((/** @type {Person} */ { id }) => id !== (userId ?? guest));
      const before = this.others?.peek();
      return before?.length === others.length && others.every((/** @type {Person} */ one, /** @type {number} */ at) => one === before[at]) ? before : others;
    });
  }

  get resource() {
    return this.#options.resource;
  }

  /**
   * Changes what the others see: each key replaces the one before, null takes it away. Many calls are few updates.
   *
   * @param {Metadata} metadata
   * @param {Attention} [state]
   */
  update(metadata, state = this.#attention) {
    if (this.#uses === 0 || !this.#metadata) return;
    this.#metadata = merged(this.#metadata, metadata);
    this.#attention = state;
    this.#news = { metadata: { ...this.#news?.metadata, ...metadata }, state };
    if (!this.#options.timers.has('update')) this.#tell();
  }

  /** Ends it for who joined. The last one ends it for the others, at once. */
  leave() {
    if (this.#uses > 0 && --this.#uses === 0) this.end();
  }

  // For its manager.

  /** @param {Metadata | null} metadata @param {Attention | undefined} attention @param {boolean} names */
  use(metadata, attention, names) {
    const first = this.#uses++ === 0 || (names && !this.#names);
    this.#names ||= names;
    const joins = metadata !== null && this.#metadata === null;
    if (joins) this.#metadata = merged({}, metadata);
    else if (metadata) this.update(metadata);
    this.#attention = attention;
    if ((first || joins) && this.#rt.connected.peek()) this.enter();
  }

  /** A connection is there: sends everything again. */
  enter() {
    this.#news = null;
    this.#pages = [];
    const joins = this.#joins;
    const payload = joins ? { metadata: this.#metadata, state: this.#attention } : this.#names ? undefined : { count: true };
    this.#rt.request(joins ? 'presence:join' : 'subscribe', payload, this.#options.channel).catch((error) => this.refuse(error));
  }

  get #joins() {
    return this.#metadata !== null && !this.#watches;
  }

  /** The user does something with the page. */
  beat() {
    this.#attention = undefined;
    if (this.#joins && this.state.peek() === 'live') this.#rt.request('presence:heartbeat', undefined, this.#options.channel).catch(() => {});
  }

  /** Rights of this user changed: what was refused may be open now. */
  askAgain() {
    if (this.state.peek() !== 'denied' && !this.#watches) return;
    this.#watches = false;
    this.enter();
  }

  wait() {
    // Another connection, and perhaps another user, may be allowed more.
    this.#watches = false;
    if (this.state.peek() === 'live') this.state.value = 'stale';
  }

  clear() {
    this.#forget();
    this.wait();
  }

  /** @param {Attention | undefined} attention */
  look(attention) {
    this.#attention = attention;
    this.update({});
  }

  end() {
    const { channel, timers, gone } = this.#options;
    this.#uses = 0;
    timers.clear();
    gone();
    if (this.#rt.connected.peek() && this.state.peek() !== 'denied')
      this.#rt.request(this.#joins ? 'presence:leave' : 'unsubscribe', undefined, channel).catch(() => {});
    this.state.value = 'left';
    this.#forget();
    /** @type {import('./signal.js').Readable<any> & {dispose: () => void}} */ (this.others).dispose();
  }

  /** @param {{code?: string}} error */
  refuse(error) {
    // The next connection asks again.
    if (error.code === 'NO_ANSWER' || this.#uses === 0) return;
    this.error.value = /** @type {any} */ (error);
    if (this.#joins && WATCHES.includes(error.code ?? '')) {
      this.#watches = true;
      return this.enter();
    }
    this.#forget();
    this.state.value = 'denied';
  }

  /** @param {import('./track.js').Frame} frame */
  take({ type, payload, more }) {
    /** @type {Person[]} */
    const named = payload?.users ?? [];
    if (type === 'presence:lease') return this.#holds(payload?.lease ?? null);
    if (type === 'presence:count' && !this.#names) {
      this.#count(payload);
      return this.#live();
    }
    if (type === 'presence:sync') {
      this.#pages.push(...named);
      if (more) return;
      this.#holds(payload?.lease ?? null);
      this.#show(this.#pages);
      this.#pages = [];
      return this.#live();
    }
    const known = new Map(this.users.peek().map((user) => [user.id, user]));
    if (type === 'presence:join' || type === 'presence:update') for (const user of named) known.set(user.id, user);
    else if (type === 'presence:leave') for (const { id } of named) known.delete(id);
    else return;
    this.#show([...known.values()]);
  }

  #live() {
    if (!this.#watches) this.error.value = null;
    this.state.value = 'live';
  }

  #forget() {
    this.#show([]);
    this.#holds(null);
  }

  /** @param {{users: number, connections: number}} counts */
  #count({ users, connections }) {
    const { users: before, connections: of } = this.counts.peek();
    if (users !== before || connections !== of) this.counts.value = { users, connections };
  }

  /** A user who did not change stays the same object. @param {Person[]} users */
  #show(users) {
    const before = new Map(this.users.peek().map((user) => [user.id, user]));
    const next = users.map((user) => kept(before.get(user.id), user) ?? user);
    if (next.length !== before.size || next.some((user, at) => user !== this.users.peek()[at])) this.users.value = next;
    this.#count({ users: next.length, connections: next.reduce((sum, { connections = 1 }) => sum + connections, 0) });
  }

  /** @param {{holder: string} | null} lease */
  #holds(lease) {
    if (lease?.holder !== this.lease.peek()?.holder) this.lease.value = lease;
  }

  #tell() {
    const { channel, timers, throttle } = this.#options;
    const news = this.#news;
    this.#news = null;
    if (!news || !this.#joins || !this.#rt.connected.peek()) return;
    this.#rt.request('presence:update', news, channel).catch(() => {});
    timers.set('update', throttle, () => this.#tell());
  }
}

/** @param {Metadata} before @param {Metadata} changes @returns {Metadata} */
function merged(before, changes) {
  return Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== null && value !== undefined));
}
