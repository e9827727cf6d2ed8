/**
 * Who is here: the users who look at the same thing as this page, and what each of them tells about it, such as the field in
 * which they write. Knows no frame: what is told and heard is `attendance.js`, which is loaded while the connection is made.
 */
import { environment, only } from './env.js';
import { part } from './parts.js';
import { signal } from './signal.js';

/**
 * @typedef {import('./attendance.js').Attendance} Attendance
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

export const attendance = part(() => import('./attendance.js'));

export class PresenceManager {
  #rt;
  #env;
  #throttle;
  /** @type {Map<string, Presence>} by resource */
  #joined = new Map();
  /** What tells and hears, once it is loaded. @type {Attendance | null} */
  #attendance = null;
  /** Gives up loading it. @type {(() => void) | null} */
  #stop = null;

  /**
   * @param {import('./realtime.js').RealtimeClient} rt
   * @param {PresenceOptions} [options]
   */
  constructor(rt, options = {}) {
    const { throttle = 100, env } = only('PresenceManager', options, 'throttle:number env');
    this.#rt = rt;
    this.#env = environment(env);
    this.#throttle = Math.max(16, throttle);
    this.#load();
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
    this.#stop?.();
    this.#stop = null;
    this.#attendance?.close();
    this.#attendance = null;
  }

  /** @param {string} resource @param {Metadata | null} metadata @param {boolean} [names] */
  #open(resource, metadata, names = true) {
    if (typeof resource !== 'string') throw new TypeError('a resource is a text');
    this.#load();
    const presence = this.#joined.get(resource) ?? new Presence(resource, () => this.#attendance, () => this.#joined.delete(resource));
    this.#joined.set(resource, presence);
    presence.use(metadata, names);
    return presence;
  }

  #load() {
    this.#stop ??= attendance.use(this.#env, ({ Attendance }) => {
      this.#attendance = new Attendance(this.#rt, this.#env, this.#throttle);
      for (const presence of this.#joined.values()) presence.begin(this.#attendance);
    });
  }
}

export class Presence {
  /** Everyone who is there. @type {import('./signal.js').Readable<Person[]>} */
  users = signal(/** @type {Person[]} */ ([]));
  /** Everyone but the user, or the guest, of this page. @type {import('./signal.js').Readable<Person[]>} */
  others = signal(/** @type {Person[]} */ ([]));
  /** How many are there. @type {import('./signal.js').Readable<{users: number, connections: number}>} */
  counts = signal({ users: 0, connections: 0 });
  /** Who holds the lease of the record: "Ada is editing this". @type {import('./signal.js').Readable<{holder: string} | null>} */
  lease = signal(/** @type {{holder: string} | null} */ (null));
  /** @type {import('./signal.js').Readable<PresenceState>} */
  state = signal(/** @type {PresenceState} */ ('joining'));
  /** Why it was refused. @type {import('./signal.js').Readable<{code: string, message?: string, hint?: string} | null>} */
  error = signal(/** @type {any} */ (null));
  resource;
  #attendance;
  #gone;
  #uses = 0;
  /** What is told when the part is there: of what changes often until then, the last. @type {Metadata | null} */
  #metadata = null;
  /** @type {Attention | undefined} */
  #state;
  #names = false;

  /**
   * @param {string} resource
   * @param {() => Attendance | null} attendance Null until the part is there.
   * @param {() => void} gone
   */
  constructor(resource, attendance, gone) {
    this.resource = resource;
    this.#attendance = attendance;
    this.#gone = gone;
  }

  /**
   * Changes what the others see: each key replaces the one before, null takes it away. Many calls are few updates.
   *
   * @param {Metadata} metadata
   * @param {Attention} [state]
   */
  update(metadata, state) {
    Object.assign(this.#metadata ?? {}, metadata);
    this.#state = state;
    this.#attendance()?.update(this, metadata, state);
  }

  /** Ends it for who joined. The last one ends it for the others, at once. */
  leave() {
    if (this.#uses > 0 && --this.#uses === 0) this.end();
  }

  // For its manager.

  /** @param {Metadata | null} metadata @param {boolean} names */
  use(metadata, names) {
    this.#uses += 1;
    if (metadata) this.#metadata = { ...this.#metadata, ...metadata };
    this.#names ||= names;
    this.#attendance()?.use(this, metadata, names);
  }

  /** The part is there. @param {Attendance} attendance */
  begin(attendance) {
    attendance.use(this, this.#metadata, this.#names);
    if (this.#state) attendance.update(this, {}, this.#state);
  }

  end() {
    this.#uses = 0;
    this.#gone();
    this.#attendance()?.end(this);
    this.state.value = 'left';
  }
}
