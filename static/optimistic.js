/**
 * Changes that are seen at once and sent in the background. Each is shown over the server's rows until the server has
 * judged it; one that is refused disappears by itself, and nothing else changes. Knows how verdicts are read, not how
 * rows are shown (`overlay.js`) or requests repeated (`outbox.js`).
 */
import { Bound } from './bound.js';
import { collision, fieldsOf } from './conflict.js';
import { environment } from './env.js';
import { Mutation } from './mutation.js';
import { Outbox } from './outbox.js';
import { Overlay, overlayOf, plain } from './overlay.js';
import { signal } from './signal.js';

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
 * @property {(stored: import('./mutation.js').Stored) => void} put Again after each change of it.
 * @property {(mid: string) => void} remove
 * @property {() => void} close
 *
 * @typedef {object} OptimisticOptions
 * @property {ConflictPolicy} [conflict] `merge`
 * @property {'uuid' | 'temp'} [ids] Where the id of a new record comes from: from this page, so that it never changes, or from
 * the server; until then it is `temp_…`, and stays in the row as `_key`.
 * @property {import('./outbox.js').Send} [send] Another way to the server.
 * @property {Queue} [queue] Keeps what was not sent over a reload.
 * @property {Partial<import('./env.js').Env>} [env]
 *
 * @typedef {object} ChangeOptions
 * @property {boolean} [optimistic] Show it before the server confirms it: true.
 * @property {boolean | number} [ifMatch] Only if no other user changed these fields meanwhile; a number names the version that was
 * seen. Off for plain changes, where the last writer of a field wins; always on for functions.
 * @property {number} [debounce] Wait so many milliseconds for another change of the same record, and send them as one.
 */

/** Times that a change computed by a function is computed again, before it is called a conflict. */
const MOST_MISSES = 20;
/** After a confirmation, lists are given so long to show it by themselves. */
const PATIENCE = 1000;

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
  #outbox;
  /** @type {Map<string, Mutation>} by mid: pending and failed */
  #mutations = new Map();
  /** Signals of the caller's own, while anything is pending. @type {Map<object, {bound: Bound, leave: () => void}>} */
  #bound = new Map();
  /** The batch that is being made. @type {{changes: Change[], guards: (Guard | null)[], parts: Mutation[]} | null} */
  #group = null;
  /** @type {Map<string, Fields> | null} by entity */
  #defaults = null;
  #temp = 0;
  /** @type {any} */
  #patience;
  /** @type {(() => void)[]} */
  #disposers = [];

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./realtime.js').RealtimeClient | null} [rt] Its lists show the changes by themselves.
   * @param {OptimisticOptions} [options]
   */
  constructor(api, rt = null, options = {}) {
    this.#api = api;
    this.#rt = rt;
    this.#env = environment(options.env);
    this.#options = options;
    this.#overlay = rt ? overlayOf(rt) : new Overlay();
    const { send = ({ ops, atomic, mid }) => api.batch(ops, { atomic, mid, tries: 2 }) } = options;
    this.#outbox = new Outbox({
      env: this.#env,
      send,
      prepare: (mutation) => this.#prepare(mutation),
      judge: (mutation, verdict) => this.#judge(mutation, verdict),
      stuck: (problem) => void (this.stuck.value = problem),
    });
    const heard = this.#heard.bind(this);
    this.#overlay.listeners.add(heard);
    this.#disposers.push(() => this.#overlay.listeners.delete(heard));
    if (rt) this.#disposers.push(rt.connected.listen((connected) => connected && this.#outbox.kick()));
    options.queue?.open({
      rt,
      adopt: (stored) => this.#adopt(stored),
      release: (open) => void (this.#outbox.open = open),
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
    const temp = this.#options.ids === 'temp';
    const id = data.id ?? (temp ? `temp_${++this.#temp}_${this.#api.newId()}` : this.#api.newId());
    const now = new Date(this.#env.now()).toISOString();
    const guess = { ...this.#defaultsOf(entity), version: 0, created_at: now, updated_at: now };
    return this.#change({ op: 'create', entity, id, data: { ...own(data) }, guess }, null, target, options);
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
    const { ifMatch = false } = optionsOf(target, options);
    const seen = this.#seen(entity, id, target);
    const make = typeof data === 'function' ? /** @type {(row: any) => Fields} */ (data) : undefined;
    const fields = make ? computedFrom(make, seen) : own(data);
    const guarded = make !== undefined || ifMatch !== false;
    const guard = guarded ? { version: typeof ifMatch === 'number' ? ifMatch : null, base: seen ? fieldsOf(seen, fields) : null } : null;
    return this.#change({ op: 'update', entity, id, data: { ...fields }, make }, guard, target, options);
  }

  /**
   * @param {string} entity
   * @param {string} id
   * @param {AnySignal | ChangeOptions | null} [target]
   * @param {ChangeOptions} [options]
   * @returns {Mutation}
   */
  delete(entity, id, target, options) {
    const { ifMatch = false } = optionsOf(target, options);
    const version = typeof ifMatch === 'number' ? ifMatch : (this.#seen(entity, id, target)?.version ?? null);
    return this.#change({ op: 'delete', entity, id }, ifMatch === false ? null : { version, base: {} }, target, options);
  }

  /**
   * All changes that are made inside happen together, or none: one request, one step on every screen, one verdict.
   *
   * @param {() => void} make
   * @param {ChangeOptions} [options]
   * @returns {Mutation} of all of them.
   */
  batch(make, options = {}) {
    if (this.#group) throw new TypeError('a batch is made inside another one: make the changes in the outer one');
    /** @type {{changes: Change[], guards: (Guard | null)[], parts: Mutation[]}} */
    const group = { changes: [], guards: [], parts: [] };
    this.#group = group;
    try {
      make();
    } finally {
      this.#group = null;
    }
    const { changes, guards, parts } = group;
    if (changes.length === 0) throw new TypeError('a batch changes nothing: call create, update or delete inside of it');
    const whole = this.#add(new Mutation(this.#api.newId(), changes, guards, this.#keeper), options);
    whole.then(
      (rows) => parts.forEach((part, at) => part.fulfil(changes.length > 1 ? rows[at] : rows)),
      (error) => parts.forEach((part) => part.refuse('failed', error)),
    );
    return whole;
  }

  /** What waits for more changes of the same record (`debounce`) goes out now. */
  flush() {
    this.#outbox.flush();
  }

  /** Stops sending. What is pending stays in the queue, if there is one. */
  close() {
    this.#outbox.open = false;
    this.#env.clearTimeout(this.#patience);
    this.#env.window?.removeEventListener('beforeunload', this.#ask);
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
    if (isSignal(target) && !this.#overlay.shown.has(target)) this.#bind(target, change.entity).expect(change.id);
    if (this.#group) {
      this.#group.changes.push(change);
      this.#group.guards.push(guard);
      // Its verdict is that of the batch.
      const part = new Mutation('', [change], [guard], this.#keeper);
      this.#group.parts.push(part);
      return part;
    }
    const given = optionsOf(target, options);
    const joined = given.optimistic === false || guard ? null : this.#join(change, given);
    return joined ?? this.#add(new Mutation(this.#api.newId(), [change], [guard], this.#keeper), given);
  }

  /** @param {Mutation} mutation @param {ChangeOptions} options */
  #add(mutation, { optimistic = true, debounce = 0 }) {
    this.#mutations.set(mutation.mid, mutation);
    mutation.optimistic = optimistic;
    if (debounce === 0) this.#outbox.flush();
    else mutation.due = this.#env.now() + debounce;
    this.#keep(mutation);
    if (optimistic) this.#overlay.add(mutation);
    this.#outbox.add(mutation);
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
    const last = this.#outbox.queue.at(-1);
    const [into] = last?.changes ?? [];
    const fits = last?.state === 'queued' && last.changes.length === 1 && !last.guards[0] && last.attempts === 0 && last.optimistic;
    if (!last || !fits || into.entity !== change.entity || into.id !== change.id || into.op === 'delete') return null;
    if (change.op === 'create') return null;
    if (change.op === 'delete' && into.op === 'create') {
      this.#drop(last);
      last.fulfil(null);
      return last;
    }
    if (change.op === 'delete') Object.assign(into, { op: 'delete', data: undefined });
    else into.data = { ...into.data, ...change.data };
    last.due = debounce === 0 ? 0 : this.#env.now() + debounce;
    this.#keep(last);
    this.#overlay.renew(last);
    if (debounce === 0) this.#outbox.flush();
    return last;
  }

  /** What people see of a record. @param {string} entity @param {string} id @param {unknown} target */
  #seen(entity, id, target) {
    const bound = isSignal(target) && !this.#overlay.shown.has(target) ? this.#bind(target, entity) : null;
    const newest = bound?.known(id)?.row ?? this.#overlay.newest(entity, id);
    const row = this.#overlay.row(entity, id, newest ? { row: newest, seq: 0 } : undefined, null);
    return row && plain(row);
  }

  /** @param {AnySignal} target @param {string} entity */
  #bind(target, entity) {
    const known = this.#bound.get(target);
    if (known) return known.bound;
    const bound = new Bound(this.#overlay, entity, target);
    this.#bound.set(target, { bound, leave: this.#overlay.watch(entity, bound) });
    return bound;
  }

  /** What the server will put into fields that are left out, as far as that is known here. @param {string} entity @returns {Fields} */
  #defaultsOf(entity) {
    if (!this.#defaults) {
      const found = (this.#defaults = new Map());
      this.#api.schema().then(
        ({ entities }) => {
          for (const { name, fields } of entities) found.set(name, Object.fromEntries(fields.map((field) => [field.name, guessOf(field)])));
        },
        () => void (this.#defaults = null),
      );
    }
    return this.#defaults.get(entity) ?? {};
  }

  // Sending.

  /**
   * @param {Mutation} mutation
   * @returns {Promise<import('./api.js').BatchOp[] | null>}
   */
  async #prepare(mutation) {
    for (const [at, change] of mutation.changes.entries()) {
      const guard = mutation.guards[at];
      // What may have been sent already must be repeated word for word.
      if (!guard || guard.version !== null) continue;
      const row = await this.#newest(change);
      if (mutation.state !== 'sent') return null;
      if (!row) {
        this.#fail(mutation, { code: 'NOT_FOUND', message: `There is no ${change.entity} with the id ${change.id}.` });
        return null;
      }
      if (!this.#rebase(mutation, at, row)) return null;
    }
    const idle = mutation.changes.every(({ op, make, data }) => op === 'update' && make && Object.keys(data ?? {}).length === 0);
    if (idle) {
      this.#drop(mutation);
      mutation.fulfil(null);
      return null;
    }
    this.#keep(mutation);
    return mutation.changes.map(({ op, entity, id, data }, at) => ({
      op,
      entity,
      ...(id.startsWith('temp_') ? {} : { id }),
      ...(data ? { data: own(data) } : {}),
      version: mutation.guards[at]?.version ?? undefined,
    }));
  }

  /**
   * The record that a guarded change is made on: the server's newest.
   *
   * @param {Change} change
   * @returns {Promise<Row | null>}
   */
  async #newest({ entity, id }) {
    const known = this.#overlay.newest(entity, id);
    if (known !== undefined) return known && plain(known);
    try {
      return await this.#api.get(await this.#api.plural(entity), id);
    } catch (error) {
      if (/** @type {any} */ (error).status === 404) return null;
      throw error;
    }
  }

  /**
   * Puts a guarded change on top of the record as it is.
   *
   * @param {Mutation} mutation
   * @param {number} at
   * @param {Row} row
   * @returns {boolean} false when that is for the user to decide, or was given up.
   */
  #rebase(mutation, at, row) {
    const change = mutation.changes[at];
    const guard = /** @type {Guard} */ (mutation.guards[at]);
    if (change.make) {
      try {
        change.data = own(change.make(row));
      } catch (error) {
        this.#fail(mutation, { code: 'FUNCTION_FAILED', message: `The function of the change failed: ${String(error)}`, cause: error });
        return false;
      }
      guard.base = fieldsOf(row, change.data);
    } else {
      const met = change.op === 'delete' && guard.version !== null ? { mine: {}, theirs: row, base: {} } : collision(guard.base ?? {}, change.data ?? {}, row);
      if (guard.base && met && !this.#decide(mutation, at, met, row)) return false;
      guard.base = fieldsOf(row, change.data ?? {});
    }
    guard.version = row.version;
    this.#overlay.renew(mutation);
    return true;
  }

  /**
   * @param {Mutation} mutation
   * @param {number} at
   * @param {{mine: Fields, theirs: Fields, base: Fields}} met
   * @param {Row} row
   */
  #decide(mutation, at, met, row) {
    const { computed } = mutation.changes[at];
    const { conflict = 'merge' } = computed ? {} : this.#options;
    const word = typeof conflict === 'function' ? conflict({ ...met, mutation }) : { merge: undefined, client: 'mine', server: 'theirs' }[conflict];
    if (word === 'mine') return true;
    const error = { code: 'VERSION_CONFLICT', message: 'Others have changed the same fields.', current: row };
    if (word === 'theirs') {
      this.#drop(mutation);
      mutation.refuse('conflict', error);
      mutation.state = 'done';
      return false;
    }
    if (typeof word === 'object') {
      mutation.changes[at].data = { ...mutation.changes[at].data, ...word };
      return true;
    }
    mutation.conflict = met;
    // The next attempt is one over their change.
    mutation.guards[at] = { version: row.version, base: fieldsOf(row, mutation.changes[at].data ?? {}) };
    this.#refuse(mutation, 'conflict', error);
    return false;
  }

  // Verdicts.

  /**
   * @param {Mutation} mutation
   * @param {{epoch: string, seq: number, results: import('./api.js').BatchResult[]} | {error: any}} verdict
   */
  #judge(mutation, verdict) {
    if ('error' in verdict) return this.#refused(mutation, verdict.error);
    const { epoch, seq, results } = verdict;
    for (const [at, change] of mutation.changes.entries()) {
      const { id, status, record } = results[at];
      if (change.id.startsWith('temp_') && id) this.#identify(change, id);
      // What the caller may not see is answered by its id alone.
      if (status === 204) change.row ??= null;
      else if (record?.version) change.row ??= record;
    }
    if (mutation.at) this.#overlay.renew(mutation);
    else this.#confirm(mutation, { epoch, seq });
  }

  /**
   * An event with the id of a mutation. It is as good as an answer, and often earlier.
   *
   * @param {string} mid
   * @param {{entity: string, id: string, row?: Row | null, at: import('./rows.js').Position}} echo
   */
  #heard(mid, { entity, id, row, at }) {
    const mutation = this.#mutations.get(mid);
    if (!mutation || mutation.at) return;
    const temps = mutation.changes.filter((change) => change.id.startsWith('temp_'));
    // Of several new records only the answer shows which one this is.
    if (temps.length > 0 && mutation.changes.length > 1) return;
    for (const change of temps) if (change.entity === entity) this.#identify(change, id);
    for (const change of mutation.changes) if (change.entity === entity && change.id === id) change.row ??= row;
    this.#confirm(mutation, at);
  }

  /**
   * @param {Mutation} mutation
   * @param {import('./rows.js').Position} at
   */
  #confirm(mutation, at) {
    this.#mutations.delete(mutation.mid);
    this.#outbox.remove(mutation);
    this.#options.queue?.remove(mutation.mid);
    this.#overlay.confirm(mutation, at);
    const rows = mutation.changes.map((change) => change.row ?? (change.op === 'delete' ? null : { id: change.id, ...change.data }));
    mutation.fulfil(mutation.changes.length > 1 ? rows : rows[0]);
    this.#tell();
    if (!this.#rt || !this.#overlay.waiting) return;
    this.#env.clearTimeout(this.#patience);
    this.#patience = this.#env.setTimeout(() => this.#overlay.waiting && this.#rt?.ping(), PATIENCE);
  }

  /**
   * @param {Mutation} mutation
   * @param {any} error
   */
  #refused(mutation, error) {
    const [{ op }] = mutation.changes;
    const single = mutation.changes.length === 1;
    // Gone is what a delete wants.
    if (single && op === 'delete' && (error.status === 404 || error.status === 410)) {
      this.#drop(mutation);
      return mutation.fulfil(null);
    }
    if (single && op === 'create' && error.code === 'ID_TAKEN' && mutation.attempts > 1) return void this.#ours(mutation, error);
    const at = single ? 0 : (error.op ?? 0);
    const guard = mutation.guards[at];
    if (error.code !== 'VERSION_CONFLICT' || !guard || !error.current) return this.#fail(mutation, error);
    mutation.misses += 1;
    if (mutation.misses > MOST_MISSES) return this.#refuse(mutation, 'conflict', error);
    // Each change of a batch is put on the newest record again.
    for (const [other, one] of mutation.guards.entries()) if (one && other !== at) one.version = null;
    if (this.#rebase(mutation, at, error.current)) mutation.state = 'queued';
  }

  /**
   * A create that was sent before, longer ago than the server keeps mutation ids: its record may be there.
   *
   * @param {Mutation} mutation
   * @param {any} error
   */
  async #ours(mutation, error) {
    const [{ entity, id, data = {} }] = mutation.changes;
    const row = await this.#api.plural(entity).then((plural) => this.#api.get(plural, id)).catch(() => null);
    if (!row || collision({}, data, row)) return this.#fail(mutation, error);
    this.#drop(mutation);
    mutation.fulfil(row);
  }

  /**
   * @param {Mutation} mutation
   * @param {any} error
   */
  #fail(mutation, error) {
    this.#refuse(mutation, 'failed', error);
    if (!mutation.changes.some(({ op }) => op === 'create')) return;
    for (const other of [...this.#outbox.queue]) {
      if (other.state !== 'failed' && other.needs(mutation))
        this.#fail(other, { code: 'DEPENDS_ON', message: `It needs the ${mutation.entity} that could not be created.`, cause: error, mid: mutation.mid });
    }
  }

  /**
   * @param {Mutation} mutation
   * @param {'failed' | 'conflict'} state
   * @param {any} error
   */
  #refuse(mutation, state, error) {
    mutation.refuse(state, error);
    this.#outbox.remove(mutation);
    this.#overlay.renew(mutation);
    this.#keep(mutation);
    this.#tell();
  }

  #keeper = {
    /** @param {Mutation} mutation */
    retry: (mutation) => {
      if (mutation.state !== 'failed' && mutation.state !== 'conflict') return;
      const waiting = [...this.#mutations.values()].filter(({ error }) => error?.code === 'DEPENDS_ON' && error.mid === mutation.mid);
      Object.assign(mutation, { state: 'queued', error: null, conflict: null, misses: 0, due: 0 });
      this.#keep(mutation);
      if (mutation.optimistic) this.#overlay.add(mutation);
      this.#outbox.add(mutation);
      this.#tell();
      for (const other of waiting) this.#keeper.retry(other);
    },
    /** @param {Mutation} mutation */
    discard: (mutation) => {
      const pending = mutation.state === 'queued';
      this.#drop(mutation);
      if (pending) mutation.refuse('failed', { code: 'DISCARDED', message: 'It was given up before it was sent.' });
      mutation.state = 'done';
      if (!pending || !mutation.changes.some(({ op }) => op === 'create')) return;
      for (const other of [...this.#outbox.queue]) if (other.needs(mutation) && other.state === 'queued') this.#keeper.discard(other);
    },
  };

  /** Lets go of a mutation. @param {Mutation} mutation */
  #drop(mutation) {
    this.#mutations.delete(mutation.mid);
    this.#outbox.remove(mutation);
    this.#overlay.remove(mutation);
    this.#options.queue?.remove(mutation.mid);
    this.#tell();
  }

  /** The server gave a record its id. @param {Change} change @param {string} id */
  #identify(change, id) {
    const temp = change.id;
    change.id = id;
    for (const mutation of this.#mutations.values()) {
      for (const other of mutation.changes) {
        if (other.id === temp) other.id = id;
        for (const [field, value] of Object.entries(other.data ?? {})) if (value === temp) /** @type {Fields} */ (other.data)[field] = id;
      }
      this.#keep(mutation);
    }
    this.#overlay.rename(change.entity, temp, id);
  }

  // Keeping.

  /** @param {Mutation} mutation */
  #keep(mutation) {
    if (this.#mutations.has(mutation.mid)) this.#options.queue?.put(mutation.stored());
  }

  /** What another page, or this one before a reload, left behind. @param {import('./mutation.js').Stored[]} stored */
  #adopt(stored) {
    const adopted = stored.filter(({ mid }) => !this.#mutations.has(mid)).map(({ mid, changes, guards, state, attempts, error }) => {
      const mutation = new Mutation(mid, changes, guards, this.#keeper);
      // That page may have sent it without having told.
      mutation.attempts = Math.max(1, attempts);
      if (state === 'failed' || state === 'conflict') mutation.refuse(state, error);
      return mutation;
    });
    this.#mutations = new Map([...adopted.map((mutation) => /** @type {const} */ ([mutation.mid, mutation])), ...this.#mutations]);
    // They were made before everything that was made here.
    this.#overlay.adopt(adopted);
    this.#outbox.adopt(adopted.filter(({ state }) => state === 'queued'));
    this.#tell();
  }

  #tell() {
    const all = [...this.#mutations.values()];
    const refused = (/** @type {Mutation} */ { state }) => state === 'failed' || state === 'conflict';
    put(this.pending, all.filter((mutation) => !refused(mutation)));
    put(this.failed, all.filter(refused));
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
    const lost = this.pending.peek().length > 0 && (!queue || queue.problem.peek() !== null);
    if (lost) window?.addEventListener('beforeunload', this.#ask);
    else window?.removeEventListener('beforeunload', this.#ask);
  }

  /** @param {Event} event */
  #ask = (event) => event.preventDefault();
}

/** The same ones in the same order are no news. @param {AnySignal} signal @param {Mutation[]} next */
function put(signal, next) {
  const { value } = signal;
  if (value.length !== next.length || next.some((one, at) => one !== value[at])) signal.value = next;
}

/** @param {unknown} target @returns {target is AnySignal} */
function isSignal(target) {
  return typeof target === 'object' && target !== null && 'value' in target;
}

/**
 * @param {AnySignal | ChangeOptions | null | undefined} target
 * @param {ChangeOptions | undefined} options
 * @returns {ChangeOptions}
 */
function optionsOf(target, options) {
  return options ?? (isSignal(target) ? {} : /** @type {ChangeOptions} */ (target ?? {}));
}

/** What goes to the server: without the marks of this page. @param {Fields} data @returns {Fields} */
function own({ _optimistic, _key, ...data }) {
  return data;
}

/**
 * @param {(row: any) => Fields} make
 * @param {Row | null} row
 * @returns {Fields}
 */
function computedFrom(make, row) {
  try {
    return row ? own(make(row)) : {};
  } catch {
    return {};
  }
}

/** @param {import('./api.js').Field} field */
function guessOf({ type, default: given }) {
  const literal = typeof given === 'number' || typeof given === 'boolean' || ((type === 'text' || type === 'enum') && typeof given === 'string');
  return literal ? given : null;
}
