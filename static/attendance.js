/**
 * What a page tells the others about its user, and hears about them, for all that it has joined (`presence.js`). Knows frames of
 * presence, neither rows nor pages.
 *
 * The list stays during a reconnect, as `stale`, until the server has told it anew. So nothing flickers, and the server holds
 * the place of a connection that broke for as long.
 */
import { kept, sameList } from './same.js';
import { Timers } from './timers.js';

/**
 * @typedef {import('./presence.js').Attention} Attention
 * @typedef {import('./presence.js').Metadata} Metadata
 * @typedef {import('./presence.js').Person} Person
 * @typedef {import('./presence.js').Presence} Presence
 */

/** What a user does with a page tells that they are there, at most this often in milliseconds. */
const SIGN = 30_000;
const SIGNS = ['pointerdown', 'keydown', 'focus'];
/** Refusals of a `join` after which the page may still see who is there. */
const WATCHES = ['UNAUTHENTICATED', 'FORBIDDEN_CHANNEL', 'FORBIDDEN', 'PRESENCE_LIMIT'];

export class Attendance {
  #rt;
  #env;
  #throttle;
  /** @type {Map<string, Place>} by channel */
  #places = new Map();
  /** @type {(() => void)[]} */
  #disposers;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {import('./env.js').Env} env
   * @param {number} throttle
   */
  constructor(rt, env, throttle) {
    this.#rt = rt;
    this.#env = env;
    this.#throttle = throttle;
    const all = (/** @type {(place: Place) => void} */ act) => [...this.#places.values()].forEach(act);
    let user = rt.detail.peek().userId;
    const look = () => all((place) => place.look(this.#attention()));
    const { document, window } = this.#env;
    const timers = new Timers(this.#env);
    const signs = () => {
      if (timers.has('sign')) return;
      timers.set('sign', SIGN, () => {});
      all((place) => place.beat());
    };
    const end = new AbortController();
    const { signal } = end;
    document?.addEventListener('visibilitychange', look, { signal });
    for (const name of SIGNS) window?.addEventListener(name, signs, { signal });
    this.#disposers = [
      rt.on('frame', (frame) => {
        if (frame.type === 'rights:changed') all((place) => place.askAgain());
        else this.#places.get(frame.channel)?.take(frame);
      }),
      rt.on('error', (error) => this.#places.get(error.channel)?.refuse(error)),
      rt.connected.listen((connected) => all((place) => (connected ? place.enter() : place.wait()))),
      rt.detail.listen(({ userId }) => {
        // What the user before saw is not for the next one.
        if (userId !== user) all((place) => place.clear());
        user = userId;
        all((place) => place.others());
      }),
      () => end.abort(),
      () => timers.clear(),
    ];
  }

  /** @param {Presence} presence @param {Metadata | null} metadata Null: this user is not shown. @param {boolean} names */
  use(presence, metadata, names) {
    const channel = channelOf(presence);
    const place = this.#places.get(channel) ?? new Place(this.#rt, presence, { channel, timers: new Timers(this.#env), throttle: this.#throttle });
    this.#places.set(channel, place);
    place.use(metadata, this.#attention(), names);
  }

  /** @param {Presence} presence @param {Metadata} metadata @param {Attention} [state] */
  update(presence, metadata, state) {
    const place = this.#places.get(channelOf(presence));
    // A presence that has ended is another one than that of the same name.
    if (place?.shows(presence)) place.update(metadata, state);
  }

  /** @param {Presence} presence */
  end(presence) {
    const channel = channelOf(presence);
    this.#places.get(channel)?.end();
    this.#places.delete(channel);
  }

  close() {
    for (const dispose of this.#disposers) dispose();
  }

  /** Undefined: the server sees by the frames whether the user is active. @returns {Attention | undefined} */
  #attention() {
    return this.#env.document?.visibilityState === 'hidden' ? 'away' : undefined;
  }
}

/** One resource that a page has joined or watches. */
class Place {
  #rt;
  #shown;
  #options;
  #used = false;
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
   * @param {Presence} shown
   * @param {{channel: string, timers: Timers, throttle: number}} options
   */
  constructor(rt, shown, options) {
    this.#rt = rt;
    this.#shown = shown;
    this.#options = options;
  }

  /** @param {Presence} presence */
  shows(presence) {
    return presence === this.#shown;
  }

  /** @param {Metadata} metadata @param {Attention} [state] */
  update(metadata, state = this.#attention) {
    if (!this.#metadata) return;
    this.#metadata = merged(this.#metadata, metadata);
    this.#attention = state;
    this.#news = { metadata: { ...this.#news?.metadata, ...metadata }, state };
    if (!this.#options.timers.has('update')) this.#tell();
  }

  /** @param {Metadata | null} metadata @param {Attention | undefined} attention @param {boolean} names */
  use(metadata, attention, names) {
    const first = !this.#used || (names && !this.#names);
    this.#used = true;
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
    if (this.#joins && this.#shown.state.peek() === 'live') this.#rt.request('presence:heartbeat', undefined, this.#options.channel).catch(() => {});
  }

  /** Rights of this user changed: what was refused may be open now. */
  askAgain() {
    if (this.#shown.state.peek() !== 'denied' && !this.#watches) return;
    this.#watches = false;
    this.enter();
  }

  wait() {
    // Another connection, and perhaps another user, may be allowed more.
    this.#watches = false;
    if (this.#shown.state.peek() === 'live') this.#shown.state.value = 'stale';
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
    const { channel, timers } = this.#options;
    timers.clear();
    if (this.#rt.connected.peek() && this.#shown.state.peek() !== 'denied')
      this.#rt.request(this.#joins ? 'presence:leave' : 'unsubscribe', undefined, channel).catch(() => {});
    this.#forget();
  }

  /** @param {{code?: string}} error */
  refuse(error) {
    // The next connection asks again.
    if (error.code === 'NO_ANSWER' || this.#shown.state.peek() === 'left') return;
    this.#shown.error.value = /** @type {any} */ (error);
    if (this.#joins && WATCHES.includes(error.code ?? '')) {
      this.#watches = true;
      return this.enter();
    }
    this.#forget();
    this.#shown.state.value = 'denied';
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
    const known = new Map(this.#shown.users.peek().map((user) => [user.id, user]));
    if (type === 'presence:join' || type === 'presence:update') for (const user of named) known.set(user.id, user);
    else if (type === 'presence:leave') for (const { id } of named) known.delete(id);
    else return;
    this.#show([...known.values()]);
  }

  #live() {
    if (!this.#watches) this.#shown.error.value = null;
    this.#shown.state.value = 'live';
  }

  #forget() {
    this.#show([]);
    this.#holds(null);
  }

  /** @param {{users: number, connections: number}} counts */
  #count({ users, connections }) {
    const { users: before, connections: of } = this.#shown.counts.peek();
    if (users !== before || connections !== of) this.#shown.counts.value = { users, connections };
  }

  /** A user who did not change stays the same object. @param {Person[]} users */
  #show(users) {
    const before = new Map(this.#shown.users.peek().map((user) => [user.id, user]));
    const next = users.map((user) => kept(before.get(user.id), user) ?? user);
    const shown = sameList(this.#shown.users.peek(), next);
    this.others(shown);
    this.#shown.users.value = shown;
    this.#count({ users: next.length, connections: next.reduce((sum, { connections = 1 }) => sum + connections, 0) });
  }

  /** Who of them is not the user, or the guest, of this page. */
  others(users = this.#shown.users.peek()) {
    const { userId, guest } = this.#rt.detail.peek();
    const { others } = this.#shown;
    others.value = sameList(others.peek(), users.filter(({ id }) => id !== (userId ?? guest)));
  }

  /** @param {{holder: string} | null} lease */
  #holds(lease) {
    if (lease?.holder !== this.#shown.lease.peek()?.holder) this.#shown.lease.value = lease;
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

/** @param {Presence} presence */
function channelOf({ resource }) {
  return `presence:${resource.split('/').map(encodeURIComponent).join('/')}`;
}

/** @param {Metadata} before @param {Metadata} changes @returns {Metadata} */
export function merged(before, changes) {
  return Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== null && value !== undefined));
}
