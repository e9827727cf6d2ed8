/**
 * Changes that are seen at once and sent in the background. Each is shown over the server's rows until the server has
 * judged it; one that is refused disappears by itself, and nothing else changes. Knows neither what the server's
 * answers mean (`verdicts.js`) nor how rows are shown (`overlay.js`).
 */
import { Bound } from './bound.js';
import { environment, only } from './env.js';
import { Lane, Mutation, verdicts } from './mutation.js';
import { Overlay, overlayOf } from './overlay.js';
import { computed, fieldsOf, plain, sameList } from './same.js';
import { isRecord } from './query.js';
import { signal } from './signal.js';
import { onOtherUser, OTHER_USER } from './user.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./overlay.js').Change} Change
 * @typedef {import('./mutation.js').Guard} Guard
 * @typedef {{value: any}} AnySignal Anything with a `value` that can be written: ours, Preact's, Vue's `ref`.
 * @typedef {Record<string, any>} Fields
 *
 * @typedef {object} Conflict
 * @property {Fields} mine The fields that both sides changed, as this page wants them.
 * @property {Fields} theirs As they are.
 * @property {Fields} base As they were when this page changed them.
 * @property {Mutation} mutation
 *
 * @typedef {'merge' | 'client' | 'server' | ((conflict: Conflict) => 'mine' | 'theirs' | Fields | undefined)} ConflictPolicy
 * What happens when others changed the same fields: `merge` leaves it to the user, as state `conflict`; `client` writes over
 * theirs; `server` gives up ours. A function decides for each, by a word or by the fields to write; undefined is `merge`.
 * Changes of different fields are always merged.
 *
 * @typedef {object} QueueHost What a queue knows about the page that uses it.
 * @property {import('./realtime.js').RealtimeClient | null} rt
 * @property {(stored: import('./mutation.js').Stored[]) => void} adopt Takes over what an earlier page left behind.
 * @property {(open: boolean) => void} release Whether anything may be sent.
 *
 * @typedef {object} Queue Keeps mutations over a reload.
 * @property {import('./signal.js').Readable<unknown>} problem Why nothing is kept, or null.
 * @property {(host: QueueHost) => void} open
 * @property {(mutation: Mutation) => void} put Again after each change of it.
 * @property {(mid: string) => void} remove
 * @property {() => void} close
 * @property {Promise<unknown>} [ready] Resolves when it has told what an earlier page left behind.
 *
 * @typedef {object} OptimisticOptions
 * @property {ConflictPolicy} [conflict] `merge`
 * @property {'uuid' | 'temp'} [ids] Where the id of a new record comes from: from this page, so that it never changes, or from
 * the server; until then it is `temp_…`, and stays in the row as `_key`.
 * @property {import('./outbox.js').Send} [send] Another way to the server.
 * @property {Queue} [queue] Keeps what was not sent over a reload.
 * @property {import('./tokens.js').Auth} [auth] A login: what one user did is neither shown to another one nor sent for them.
 * @property {Partial<import('./env.js').Env>} [env]
 *
 * @typedef {object} ChangeOptions
 * @property {boolean} [optimistic] Show it before the server confirms it: true.
 * @property {boolean | number} [ifMatch] Only if no other user changed these fields meanwhile; a number names the version that was
 * seen. Off for plain changes, where the last writer of a field wins; always on for functions.
 * @property {number} [debounce] Wait so many milliseconds for another change of the same record, and send them as one.
 */

export class OptimisticManager {
  /** What the server has not judged yet, in order. @type {import('./signal.js').Readable<Mutation[]>} */
  pending = signal(/** @type {Mutation[]} */ ([]));
  /** What it refused, until it is sent again or given up. @type {import('./signal.js').Readable<Mutation[]>} */
  failed = signal(/** @type {Mutation[]} */ ([]));
  /** Why nothing goes out at the moment, null while it does. @type {import('./signal.js').Readable<any>} */
  stuck = signal(/** @type {any} */ (null));
  #api;
  #rt;
  #env;
  #options;
  #overlay;
  #lane = new Lane(() => this.#send());
  /** What sends and judges, once there is something to send. @type {import('./verdicts.js').Verdicts | null} */
  #verdicts = null;
  /** @type {Map<string, Mutation>} by mid: pending and failed */
  #mutations = new Map();
  /** The caller's signals, while anything is pending. @type {Map<object, {bound: Bound, leave: () => void}>} */
  #bound = new Map();
  /** The parts of the batch that is being made. @type {Mutation[] | null} */
  #group = null;
  /** What the server puts into fields that are left out, as far as it is known here. @type {Map<string, Fields>} by entity */
  #guesses = new Map();
  /** Reads them, once. @type {Promise<void> | null} */
  #defaults = null;
  /** What the part that sends and judges uses of this one. @type {import('./verdicts.js').Host} */
  #host;
  #closed = false;
  /** Whether what sends is loaded, or being so. */
  #loads = false;
  /** Goes up with each user. */
  #era = 0;
  /** @type {(() => void)[]} */
  #disposers = [];

  /**
   * @param {import('./api.js').Api | null} [api] Left out, that of `rt`.
   * @param {import('./realtime.js').RealtimeClient | null} [rt] Its lists show the changes by themselves.
   * @param {OptimisticOptions} [options]
   */
  constructor(api, rt = null, options = {}) {
    const http = api ?? rt?.api;
    if (!http?.newId) throw new TypeError('give an Api or a RealtimeClient');
    this.#api = http;
    this.#rt = rt;
    this.#options = only('OptimisticManager', options, 'conflict:merge|client|server|function ids:uuid|temp send:function queue auth env');
    this.#env = environment(options.env);
    this.#overlay = rt ? overlayOf(rt) : new Overlay();
    this.#host = {
      api: http,
      rt,
      env: this.#env,
      options,
      overlay: this.#overlay,
      lane: this.#lane,
      mutations: this.#mutations,
      make: (mid, changes, guards) => new Mutation(mid, changes, guards, this.#keeper),
      drop: (mutation) => this.#drop(mutation),
      keep: (mutation) => this.#keep(mutation),
      tell: () => this.#tell(),
      stuck: (problem) => void (this.stuck.value = problem),
    };
    this.#disposers.push(onOtherUser(options.auth, () => this.#abandon()));
    // Behind the start of the page, while the line is good: some browsers remember that a module could not be loaded, and the first
    // record that is made here belongs to a list by the values that the server will fill in.
    this.#defaultsOf('');
    const { queue } = options;
    if (queue) this.#overlay.ready = () => verdicts().then(() => queue.ready);
    queue?.open({
      rt,
      adopt: (stored) => this.#late(({ adopt }) => adopt(this.#host, stored)),
      release: (open) => void (this.#lane.open = open),
    });
  }

  /** Pending and refused mutations by their id. */
  get pendingMutations() {
    return new Map(this.#mutations);
  }

  /**
   * @param {string} entity `Task`
   * @param {Fields} data
   * @param {AnySignal | ChangeOptions | null} [target] A signal that shows the rows; a live list shows them without it.
   * @param {ChangeOptions} [options]
   * @returns {Mutation} Its `id` can be used at once.
   */
  create(entity, data, target, options) {
    const id = data?.id ?? (this.#options.ids === 'temp' ? 'temp_' : '') + this.#api.newId();
    checked(entity, id, data);
    const now = new Date(this.#env.now() + (this.#rt?.skew ?? 0)).toISOString();
    const guess = { ...this.#defaultsOf(entity), version: 0, created_at: now, updated_at: now };
    return this.#change({ op: 'create', entity, id, data: plain(data), guess }, null, target, options);
  }

  /**
   * @param {string} entity
   * @param {string} id
   * @param {Fields | ((row: any) => Fields)} data The fields to change, or a function that computes them from the record. It is
   * called again whenever the record changes before the server has judged: `row => ({ likes: row.likes + 1 })` loses no like.
   * @param {AnySignal | ChangeOptions | null} [target]
   * @param {ChangeOptions} [options]
   * @returns {Mutation}
   */
  update(entity, id, data, target, options) {
    const make = typeof data === 'function' ? /** @type {(row: any) => Fields} */ (data) : undefined;
    checked(entity, id, make ? {} : data);
    const { ifMatch = false } = optionsOf(target, options);
    const seen = this.#seen(entity, id, target);
    const fields = make ? computedFrom(make, seen) : plain(data);
    const guarded = make !== undefined || ifMatch !== false;
    const version = typeof ifMatch === 'number' && !make ? ifMatch : null;
    // What the fields were in another version than the one that is shown is not known.
    const guard = guarded ? { version, base: seen && (version ?? seen.version) === seen.version ? fieldsOf(seen, fields) : null } : null;
    return this.#change({ op: 'update', entity, id, data: fields, make }, guard, target, options);
  }

  /**
   * @param {string} entity
   * @param {string} id
   * @param {AnySignal | ChangeOptions | null} [target]
   * @param {ChangeOptions} [options]
   * @returns {Mutation}
   */
  delete(entity, id, target, options) {
    checked(entity, id, {});
    const { ifMatch = false } = optionsOf(target, options);
    const version = typeof ifMatch === 'number' ? ifMatch : (this.#seen(entity, id, target)?.version ?? null);
    return this.#change({ op: 'delete', entity, id }, ifMatch === false ? null : { version, base: {} }, target, options);
  }

  /**
   * All changes that are made inside happen together, or none: one request, one step on every screen, one verdict.
   *
   * @param {() => void} make
   * @param {Pick<ChangeOptions, 'optimistic' | 'debounce'>} [options]
   * @returns {Mutation} of all of them.
   */
  batch(make, options = {}) {
    only('db.batch', { make: make ?? null }, 'make:function');
    only('db.batch', options, 'optimistic:boolean debounce:number');
    if (this.#group) throw new TypeError('a batch in a batch: use the outer one');
    /** @type {Mutation[]} */
    const group = (this.#group = []);
    try {
      const made = /** @type {unknown} */ (make());
      if (made instanceof Promise) {
        // It is refused with its changes, and no one else hears of that.
        made.catch(() => {});
        throw new TypeError('await outside of a batch');
      }
    } catch (error) {
      for (const part of group) part.discard();
      throw error;
    } finally {
      this.#group = null;
    }
    // What was given up inside belongs to no batch.
    const parts = group.filter(({ state }) => state === 'queued');
    const changes = parts.flatMap((part) => part.changes);
    if (changes.length === 0) throw new TypeError('a batch changes nothing: call create, update or delete in it');
    const whole = new Mutation(this.#api.newId(), changes, parts.flatMap((part) => part.guards), this.#keeper);
    whole.parts = parts;
    for (const part of parts) part.whole = whole;
    return this.#add(whole, options);
  }

  /** What waits for more changes of the same record (`debounce`) goes out now. */
  flush() {
    this.#lane.flush();
  }

  /** Stops sending, and refuses further changes. What is pending stays in the queue, if there is one. */
  close() {
    this.#closed = true;
    this.#lane.open = false;
    this.#verdicts?.close();
    this.#warn();
    for (const dispose of this.#disposers) dispose();
    this.#unbind();
    this.#options.queue?.close();
  }

  // Making.

  /**
   * @param {Change} change
   * @param {Guard | null} guard
   * @param {AnySignal | ChangeOptions | null | undefined} target
   * @param {ChangeOptions | undefined} options
   */
  #change(change, guard, target, options) {
    const given = optionsOf(target, options);
    if (this.#closed) throw new TypeError('the OptimisticManager is closed');
    this.#bind(target, change.entity)?.expect(change.id);
    if (this.#group) {
      // Its verdict is that of the batch.
      const part = new Mutation('', [change], [guard], this.#keeper);
      this.#group.push(part);
      return part;
    }
    const joined = given.optimistic === false || guard ? null : this.#join(change, given);
    return joined ?? this.#add(new Mutation(this.#api.newId(), [change], [guard], this.#keeper), given);
  }

  /** @param {Mutation} mutation @param {ChangeOptions} options */
  #add(mutation, { optimistic = true, debounce = 0 }) {
    this.#mutations.set(mutation.mid, mutation);
    mutation.optimistic = optimistic;
    mutation.due = this.#env.now() + debounce;
    if (debounce === 0) this.#lane.flush();
    this.#keep(mutation);
    if (optimistic) this.#overlay.add(mutation);
    this.#lane.add(mutation);
    this.#tell();
    return mutation;
  }

  /**
   * A change of a record that is last in line and was not sent becomes a part of it.
   *
   * @param {Change} change
   * @param {ChangeOptions} options
   */
  #join(change, { debounce = 0 }) {
    const last = this.#lane.queue.at(-1);
    if (last?.state !== 'queued' || last.changes.length > 1 || last.guards[0] || last.attempts > 0 || !last.optimistic) return null;
    const [into] = last.changes;
    if (into.entity !== change.entity || into.id !== change.id || into.op === 'delete' || change.op === 'create') return null;
    if (change.op === 'delete' && into.op === 'create') {
      this.#drop(last);
      last.fulfil(null);
      return last;
    }
    if (change.op === 'delete') Object.assign(into, { op: 'delete', data: undefined });
    else into.data = { ...into.data, ...change.data };
    last.due = this.#env.now() + debounce;
    this.#keep(last);
    this.#overlay.touch(last);
    if (debounce === 0) this.#lane.flush();
    return last;
  }

  /** What people see of a record. @param {string} entity @param {string} id @param {unknown} target */
  #seen(entity, id, target) {
    const newest = this.#bind(target, entity)?.known(id)?.row ?? this.#overlay.newest(entity, id);
    const row = this.#overlay.row(entity, id, newest ? { row: newest, seq: 0 } : undefined, null);
    return row && plain(row);
  }

  /** A signal of the caller's own. @param {unknown} target @param {string} entity */
  #bind(target, entity) {
    if (!isSignal(target) || this.#overlay.shown.has(target)) return undefined;
    const known = this.#bound.get(target);
    if (known) return known.bound;
    const bound = new Bound(this.#overlay, entity, target);
    this.#bound.set(target, { bound, leave: this.#overlay.watch(entity, bound) });
    return bound;
  }

  /** What the server will put into fields that are left out, as far as that is known here. @param {string} entity @returns {Fields} */
  #defaultsOf(entity) {
    this.#defaults ??= verdicts().then(({ guesses }) => guesses(this.#api)).then(
      (found) => void (this.#guesses = found),
      () => void (this.#defaults = null),
    );
    return this.#guesses.get(entity) ?? {};
  }

  // Sending.

  /** There may be something to send: what sends it is loaded with the first change. */
  #send() {
    const lane = this.#lane;
    if (!lane.open || lane.queue.length === 0 || this.#loads) return;
    this.#loads = true;
    this.#late(({ Verdicts }) => {
      this.#loads = lane.open;
      if (lane.open) this.#verdicts = new Verdicts(this.#host);
    });
  }

  /** Once the part is there that sends and judges. @param {(part: typeof import('./verdicts.js')) => void} act */
  #late(act) {
    const era = this.#era;
    // What was asked for one user is not done for the next.
    const end = verdicts.use(this.#env, (part) => era === this.#era && act(part), this.#host.stuck);
    if (!verdicts.loaded) this.#disposers.push(end);
  }

  #keeper = {
    /** @param {Mutation} mutation */
    retry: (mutation) => this.#late(({ again }) => again(this.#host, mutation)),
    /** @param {Mutation} mutation */
    discard: (mutation) => {
      const pending = mutation.state === 'queued';
      this.#drop(mutation);
      if (pending) mutation.refuse('failed', { code: 'DISCARDED', message: 'Given up, not sent.' });
      mutation.state = 'done';
      if (!pending || !mutation.changes.some(({ op }) => op === 'create')) return;
      for (const other of [...this.#lane.queue, ...(this.#group ?? [])]) if (other.needs(mutation) && other.state === 'queued') this.#keeper.discard(other);
    },
  };

  /** Lets go of a mutation. @param {Mutation} mutation */
  #drop(mutation) {
    this.#mutations.delete(mutation.mid);
    this.#lane.remove(mutation);
    this.#overlay.remove(mutation);
    this.#options.queue?.remove(mutation.mid);
    this.#tell();
  }

  /** Another user has come. A queue keeps what it has for the one before. */
  #abandon() {
    this.#era += 1;
    this.#loads = this.#verdicts !== null;
    for (const mutation of this.#mutations.values()) {
      this.#mutations.delete(mutation.mid);
      mutation.refuse('failed', OTHER_USER);
      this.#lane.remove(mutation);
      this.#overlay.remove(mutation);
    }
    this.#tell();
  }

  // Keeping.

  /** @param {Mutation} mutation */
  #keep(mutation) {
    if (this.#mutations.has(mutation.mid)) this.#options.queue?.put(mutation);
  }

  #tell() {
    const all = [...this.#mutations.values()];
    const refused = (/** @type {Mutation} */ { state }) => state === 'failed' || state === 'conflict';
    this.pending.value = sameList(this.pending.peek(), all.filter((mutation) => !refused(mutation)));
    this.failed.value = sameList(this.failed.peek(), all.filter(refused));
    if (this.#rt) this.#rt.pending = this.pending.peek().length;
    this.#warn();
    if (all.length === 0) this.#unbind();
  }

  /** A signal that nothing is pending for is the caller's alone. */
  #unbind() {
    for (const { leave } of this.#bound.values()) leave();
    this.#bound.clear();
  }

  /** Who leaves the page would lose what is neither sent nor kept. */
  #warn() {
    const { window } = this.#env;
    const { queue } = this.#options;
    const lost = !this.#closed && this.pending.peek().length > 0 && (!queue || queue.problem.peek() !== null);
    window?.[lost ? 'addEventListener' : 'removeEventListener']('beforeunload', this.#ask);
  }

  /** @param {Event} event */
  #ask = (event) => event.preventDefault();
}

/** @param {unknown} target @returns {target is AnySignal} */
function isSignal(target) {
  return typeof target === 'object' && target !== null && 'value' in target;
}

/** @param {unknown} entity @param {unknown} id @param {unknown} data */
function checked(entity, id, data) {
  if (![entity, id].every((name) => name && typeof name === 'string') || !isRecord(data)) throw new TypeError("a change names a record and fields: update('Task', id, { title })");
}

/**
 * @param {AnySignal | ChangeOptions | null | undefined} target
 * @param {ChangeOptions | undefined} options
 * @returns {ChangeOptions}
 */
function optionsOf(target, options) {
  return only('a change', options ?? (isSignal(target) ? {} : /** @type {ChangeOptions} */ (target ?? {})), 'optimistic:boolean ifMatch:boolean|number debounce:number');
}

/**
 * @param {(row: any) => Fields} make
 * @param {Row | null} row
 * @returns {Fields}
 */
function computedFrom(make, row) {
  try {
    return row ? computed(make, row) : {};
  } catch {
    return {};
  }
}
