/**
 * What becomes of mutations: what goes to the server, and what its answer or an event means for each. It is loaded with the
 * first change of a page. Knows not how rows are shown, or how a change is made (`optimistic.js`).
 */
import { Outbox } from './outbox.js';
import { computed, fieldsOf, plain, same } from './same.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./overlay.js').Change} Change
 * @typedef {import('./mutation.js').Mutation} Mutation
 * @typedef {import('./mutation.js').Guard} Guard
 * @typedef {Record<string, any>} Fields
 *
 * @typedef {object} Host The manager, as far as it is needed here.
 * @property {Pick<import('./api.js').Api, 'get' | 'plural' | 'batch'>} api
 * @property {import('./realtime.js').RealtimeClient | null} rt
 * @property {import('./env.js').Env} env
 * @property {import('./optimistic.js').OptimisticOptions} options
 * @property {import('./overlay.js').Overlay} overlay
 * @property {import('./mutation.js').Lane} lane
 * @property {Map<string, Mutation>} mutations by mid: pending and refused
 * @property {(mid: string, changes: Change[], guards: (Guard | null)[]) => Mutation} make
 * @property {(mutation: Mutation) => void} drop Lets go of it.
 * @property {(mutation: Mutation) => void} keep Writes it down, as it is now.
 * @property {() => void} tell There are others pending or refused now.
 * @property {(problem: any) => void} stuck
 */

/** Times that a change is made again on the record that another user changed first, before it is called a conflict. */
const MOST_MISSES = 100;
/** For each such time, it waits up to so many milliseconds more: of several that meet, one comes first. */
const STEP_ASIDE = 10;
/** After a confirmation, lists are given so long to show it by themselves. */
const PATIENCE = 1000;

/**
 * Sends what was refused again, and what was refused because of it.
 *
 * @param {Host} host
 * @param {Mutation} mutation
 */
export function again(host, mutation) {
  if (mutation.state !== 'failed' && mutation.state !== 'conflict') return;
  // What depends on it names it.
  const waiting = [...host.mutations.values()].filter(({ error }) => error?.mid === mutation.mid);
  mutation.again();
  host.keep(mutation);
  if (mutation.optimistic) host.overlay.add(mutation);
  host.lane.add(mutation);
  host.tell();
  for (const other of waiting) again(host, other);
}

/**
 * Takes over what another page, or this one before a reload, left behind. It was made before everything that was made here.
 *
 * @param {Host} host
 * @param {import('./mutation.js').Stored[]} stored
 */
export function adopt(host, stored) {
  const { mutations, make, overlay, lane, tell, stuck } = host;
  const adopted = stored.filter(({ mid }) => !mutations.has(mid)).map(({ mid, changes, guards, state, attempts, error, conflict = null, optimistic = true }) => {
    const mutation = make(mid, changes, guards);
    // That page may have sent it without having told.
    Object.assign(mutation, { attempts: Math.max(1, attempts), conflict, optimistic });
    if (state === 'failed' || state === 'conflict') mutation.refuse(state, error);
    return mutation;
  });
  const later = [...mutations.values()];
  mutations.clear();
  for (const mutation of [...adopted, ...later]) mutations.set(mutation.mid, mutation);
  const below = adopted.filter((mutation) => mutation.optimistic);
  overlay.laid = new Set([...below, ...overlay.laid]);
  overlay.index();
  for (const mutation of below) overlay.touch(mutation);
  const queued = adopted.filter(({ state }) => state === 'queued');
  lane.queue = [...queued, ...lane.queue];
  for (const mutation of queued) if (mutation.state === 'queued') lost(host, mutation);
  lane.sender.soon();
  tell();
  // Nothing was sent yet, so it is this part that could not be loaded.
  if (!(lane.sender instanceof Outbox)) stuck(null);
}

/**
 * It is refused, and with it what needs its records.
 *
 * @param {Host} host
 * @param {Mutation} mutation
 * @param {any} error
 */
function fail(host, mutation, error) {
  refuse(host, mutation, 'failed', error);
  if (!mutation.changes.some(({ op }) => op === 'create')) return;
  for (const other of [...host.lane.queue]) {
    if (other.state !== 'failed' && other.needs(mutation))
      fail(host, other, { code: 'DEPENDS_ON', message: `It needs the ${mutation.entity} that could not be created.`, cause: error, mid: mutation.mid });
  }
}

/**
 * @param {Host} host
 * @param {Mutation} mutation
 * @param {'failed' | 'conflict'} state
 * @param {any} error
 */
function refuse(host, mutation, state, error) {
  mutation.refuse(state, error);
  host.lane.remove(mutation);
  host.overlay.touch(mutation);
  host.keep(mutation);
  host.tell();
}

/**
 * Refuses a change whose function did not survive a reload, and had computed nothing before, or not on top of its batch.
 *
 * @param {Host} host
 * @param {Mutation} mutation
 * @returns {boolean} whether it was refused.
 */
function lost(host, mutation) {
  const gone = mutation.changes.find((change, at) => change.computed && mutation.guards[at]?.version === null && (isEmpty(change) || earlier(mutation, at).length > 0));
  if (gone) fail(host, mutation, { code: 'FUNCTION_LOST', message: `The function of ${gone.entity} ${gone.id} did not survive.`, hint: 'Discard it, and make it again.' });
  return Boolean(gone);
}

export class Verdicts {
  #outbox;
  #host;
  /** @type {any} */
  #patience;
  #deafen;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
    const { env, lane, options } = host;
    const { send = (batch) => this.#send(batch) } = options;
    this.#outbox = lane.sender = new Outbox({
      env,
      lane,
      send,
      prepare: (mutation) => this.#prepare(mutation),
      judge: (mutation, verdict) => this.#judge(mutation, verdict),
      stuck: host.stuck,
    });
    // What it was, when this part could not be loaded.
    host.stuck(null);
    lane.sender.soon();
    host.overlay.listeners.add(this.#heard);
    this.#deafen = host.rt?.connected.listen((connected) => connected && this.#outbox.kick());
  }

  close() {
    this.#host.env.clearTimeout(this.#patience);
    this.#host.overlay.listeners.delete(this.#heard);
    this.#deafen?.();
  }

  /**
   * Over the socket where there is one, else over HTTP. A mutation id counts for both.
   *
   * @param {import('./outbox.js').Batch} batch
   * @returns {Promise<import('./api.js').BatchAnswer>}
   */
  async #send({ ops, atomic, mid }) {
    const { api, rt } = this.#host;
    const batch = { atomic, ops, mid };
    // The envelope, and three bytes for each character, must fit as well.
    if (rt?.connected.peek() && 3 * JSON.stringify(batch).length + 200 <= rt.frameBytes) {
      try {
        const { payload } = await rt.request('mutate', batch);
        for (const result of payload.results) if (result.error) result.error = problemOf(result.error);
        return payload;
      } catch (error) {
        // An older server.
        if (/** @type {any} */ (error).code !== 'UNKNOWN_MESSAGE_TYPE') throw problemOf(error);
      }
    }
    // When it is sent again is for the outbox to say.
    return api.batch(ops, { atomic, mid, tries: 1 });
  }

  /**
   * @param {Mutation} mutation
   * @returns {Promise<import('./api.js').BatchOp[] | null>}
   */
  async #prepare(mutation) {
    if (lost(this.#host, mutation)) return null;
    for (const [at, change] of mutation.changes.entries()) {
      const guard = mutation.guards[at];
      // What may have been sent already must be repeated word for word.
      if (!guard || guard.version !== null) continue;
      const made = earlier(mutation, at).some(({ op }) => op !== 'update');
      const row = made ? null : await this.#newest(change);
      if (mutation.state !== 'sent' || !this.#rebase(mutation, at, row)) return null;
    }
    const idle = mutation.changes.every((change) => change.make && isEmpty(change));
    if (idle) {
      this.#host.drop(mutation);
      mutation.fulfil(mutation.changes.length > 1 ? mutation.changes.map(() => null) : null);
      return null;
    }
    this.#host.keep(mutation);
    return mutation.changes.map(({ op, entity, id, data }, at) => ({
      op,
      entity,
      ...(id.startsWith('temp_') ? {} : { id }),
      ...(data ? { data: plain(data) } : {}),
      version: versionOf(mutation, at),
    }));
  }

  /**
   * The record that a guarded change is made on: the server's newest.
   *
   * @param {Change} change
   * @returns {Promise<Row | null>}
   */
  async #newest({ entity, id }) {
    const known = this.#host.overlay.newest(entity, id);
    if (known !== undefined) return known && plain(known);
    try {
      return await this.#host.api.get(await this.#host.api.plural(entity), id);
    } catch (error) {
      if (/** @type {any} */ (error).status === 404) return null;
      throw error;
    }
  }

  /**
   * Puts a guarded change on top of the record as it is, and of what the mutation did to it before.
   *
   * @param {Mutation} mutation
   * @param {number} at
   * @param {Row | null} newest
   * @returns {boolean} false when that is for the user to decide, or was given up.
   */
  #rebase(mutation, at, newest) {
    const change = mutation.changes[at];
    const seen = earlier(mutation, at).reduce((row, one) => this.#host.overlay.apply(one, row), newest);
    if (!seen) {
      fail(this.#host, mutation, { code: 'NOT_FOUND', message: `There is no ${change.entity} with the id ${change.id}.` });
      return false;
    }
    // Others cannot have changed what the mutation makes itself.
    const row = newest ?? seen;
    const guard = /** @type {Guard} */ (mutation.guards[at]);
    if (change.make) {
      try {
        change.data = computed(change.make, seen);
      } catch (error) {
        fail(this.#host, mutation, { code: 'FUNCTION_FAILED', message: `The function of the change failed: ${String(error)}`, cause: error });
        return false;
      }
      guard.base = fieldsOf(row, change.data);
    } else {
      const met = change.op === 'delete' ? { mine: {}, theirs: row, base: {} } : collision(guard.base, change.data ?? {}, row, !change.computed);
      // Nothing was seen that could have changed.
      const first = guard.version === null && (change.op === 'delete' || !guard.base);
      if (!first && met && !this.#decide(mutation, at, met, row)) return false;
      guard.base = fieldsOf(row, change.data ?? {});
    }
    // Such a record is shown with the version 0.
    guard.version = row.version || undefined;
    this.#host.overlay.touch(mutation);
    return true;
  }

  /**
   * @param {Mutation} mutation
   * @param {number} at
   * @param {{mine: Fields, theirs: Fields, base: Fields}} met
   * @param {Row} row
   */
  #decide(mutation, at, met, row) {
    const { computed: lost } = mutation.changes[at];
    const { conflict = 'merge' } = lost ? {} : this.#host.options;
    /** @type {'mine' | 'theirs' | Fields | undefined} */
    let word;
    try {
      word = decided(typeof conflict === 'function' ? conflict({ ...met, mutation }) : { merge: undefined, client: 'mine', server: 'theirs' }[conflict]);
    } catch (error) {
      fail(this.#host, mutation, { code: 'FUNCTION_FAILED', message: `The function \`conflict\` failed: ${String(error)}`, hint: DECISIONS, cause: error });
      return false;
    }
    if (word === 'mine') return true;
    const error = { code: 'VERSION_CONFLICT', message: 'Others have changed the same fields.', current: row };
    if (word === 'theirs') {
      this.#host.drop(mutation);
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
    refuse(this.#host, mutation, 'conflict', error);
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
      const { id } = results[at];
      if (change.id.startsWith('temp_') && id) this.#identify(change, id);
      // What is shown of a record is what the last change of it has left.
      const { status, record } = results[mutation.changes.map(ofRecord(change)).lastIndexOf(true)];
      // What the caller may not see is answered by its id alone.
      if (status === 204) change.row ??= null;
      else if (record?.version) change.row ??= record;
    }
    if (mutation.at) this.#host.overlay.touch(mutation);
    else this.#confirm(mutation, { epoch, seq });
  }

  /**
   * An event with the id of a mutation. It is as good as an answer, and often earlier.
   *
   * @param {string} mid
   * @param {{entity: string, id: string, row?: Row | null, at: import('./rows.js').Position}} echo
   */
  #heard = (mid, { entity, id, row, at }) => {
    const mutation = this.#host.mutations.get(mid);
    if (!mutation || mutation.at) return;
    const temps = mutation.changes.filter(({ id }) => id.startsWith('temp_'));
    // Of several new records only the answer shows which one this is.
    if (temps.length > 0 && mutation.changes.length > 1) return;
    for (const change of temps) if (change.entity === entity) this.#identify(change, id);
    for (const change of mutation.changes) if (change.entity === entity && change.id === id) change.row ??= row;
    this.#confirm(mutation, at);
  };

  /** Whether lists have yet to come to what was confirmed. */
  get #waits() {
    return [...this.#host.overlay.laid].some(({ at }) => at);
  }

  /**
   * @param {Mutation} mutation
   * @param {import('./rows.js').Position} at
   */
  #confirm(mutation, at) {
    const { mutations, lane, options, overlay } = this.#host;
    mutations.delete(mutation.mid);
    lane.remove(mutation);
    options.queue?.remove(mutation.mid);
    // With the same step the rows that it made take its place.
    overlay.meet(at.epoch);
    Object.assign(mutation, { at, state: 'done' });
    if (overlay.laid.has(mutation)) {
      overlay.touch(mutation);
      overlay.prune();
    }
    const rows = mutation.changes.map(({ op, id, data, row = op === 'delete' ? null : { id, ...data } }) => row);
    mutation.fulfil(mutation.changes.length > 1 ? rows : rows[0]);
    this.#host.tell();
    if (!this.#host.rt || !this.#waits) return;
    this.#host.env.clearTimeout(this.#patience);
    this.#patience = this.#host.env.setTimeout(() => this.#waits && this.#host.rt?.ping(), PATIENCE);
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
      this.#host.drop(mutation);
      return mutation.fulfil(null);
    }
    if (single && op === 'create' && error.code === 'ID_TAKEN' && mutation.attempts > 1) return void this.#ours(mutation, error);
    const at = single ? 0 : (error.op ?? 0);
    if (error.code !== 'VERSION_CONFLICT' || !error.current) return fail(this.#host, mutation, error);
    mutation.misses += 1;
    if (mutation.misses > MOST_MISSES) return refuse(this.#host, mutation, 'conflict', error);
    // Each change of a batch is put on the newest record again.
    const record = ofRecord(mutation.changes[at]);
    for (const [other, change] of mutation.changes.entries()) {
      const guard = mutation.guards[other];
      if (!guard) continue;
      if (!record(change)) {
        if (guard.base && change.op !== 'delete') guard.version = null;
      } else if (!this.#rebase(mutation, other, error.current)) return;
    }
    mutation.state = 'queued';
    const { env } = this.#host;
    if (mutation.misses > 1) mutation.due = env.now() + env.random() * STEP_ASIDE * mutation.misses;
  }

  /**
   * A create that was sent before, longer ago than the server keeps mutation ids: its record may be there.
   *
   * @param {Mutation} mutation
   * @param {any} error
   */
  async #ours(mutation, error) {
    const [{ entity, id, data = {} }] = mutation.changes;
    const row = await this.#host.api.plural(entity).then((plural) => this.#host.api.get(plural, id)).catch(() => null);
    if (!row || collision({}, data, row)) return fail(this.#host, mutation, error);
    this.#host.drop(mutation);
    mutation.fulfil(row);
  }

  /** The server gave a record its id. @param {Change} change @param {string} id */
  #identify(change, id) {
    const temp = change.id;
    change.id = id;
    for (const mutation of this.#host.mutations.values()) {
      for (const other of mutation.changes) {
        if (other.id === temp) other.id = id;
        for (const [field, value] of Object.entries(other.data ?? {})) if (value === temp) /** @type {Fields} */ (other.data)[field] = id;
      }
      this.#host.keep(mutation);
    }
    const { overlay } = this.#host;
    overlay.keys.set(id, temp);
    overlay.index();
    overlay.touch({ changes: [{ ...change, id: temp }, change] });
  }
}

/** @param {Change} change */
function isEmpty({ data }) {
  return Object.keys(data ?? {}).length === 0;
}

/** Whether another change is of the same record. @param {Change} change @returns {(other: Change) => boolean} */
function ofRecord({ entity, id }) {
  return (other) => other.entity === entity && other.id === id;
}

/** What a mutation does to the record of a change before that. @param {Mutation} mutation @param {number} at */
function earlier({ changes }, at) {
  return changes.slice(0, at).filter(ofRecord(changes[at]));
}

/**
 * The first change of a record is sent with the version for all of them: behind it, the record has another one.
 *
 * @param {Mutation} mutation
 * @param {number} at
 * @returns {number | undefined}
 */
function versionOf(mutation, at) {
  const { changes, guards } = mutation;
  const record = ofRecord(changes[at]);
  if (changes[at].op === 'create' || earlier(mutation, at).length > 0) return;
  const versions = guards.flatMap((guard, other) => (record(changes[other]) ? (guard?.version ?? []) : []));
  return versions.length > 0 ? Math.min(...versions) : undefined;
}

/**
 * Three-way merge of the fields that a change writes: what was there, what others made of it, what was to be written.
 *
 * @param {Fields | null} base What the writer saw of the fields that they change. Null: that is not known, so each may have changed.
 * @param {Fields} mine What they write.
 * @param {Fields} theirs The record as it is.
 * @param {boolean} [agree] Whether it is no collision when both wrote the same.
 * @returns {{mine: Fields, theirs: Fields, base: Fields} | null} The fields that both changed, to different values. Null: the
 * change can be made on the record as it is, because others changed other fields.
 */
export function collision(base, mine, theirs, agree = true) {
  const fields = Object.keys(mine).filter((field) => !(base && same(base[field], theirs[field])) && !(agree && same(mine[field], theirs[field])));
  if (fields.length === 0) return null;
  const pick = (/** @type {Fields} */ from) => Object.fromEntries(fields.map((field) => [field, from[field]]));
  return { mine: pick(mine), theirs: pick(theirs), base: pick(base ?? {}) };
}

/** What a function `conflict` may return. */
const DECISIONS = "Return 'mine', 'theirs', the fields to write, or nothing; no promise.";

/** @param {unknown} word Of the function `conflict`. @returns {'mine' | 'theirs' | Fields | undefined} */
function decided(word) {
  if (word === undefined || word === null) return undefined;
  if (word === 'mine' || word === 'theirs') return word;
  if (typeof word === 'object' && !('then' in word) && !Array.isArray(word)) return plain(word);
  throw new TypeError(`it returned ${word instanceof Promise ? 'a promise' : JSON.stringify(word)}`);
}

/** Statuses of HTTP that mean something for a mutation. @type {Record<string, number>} */
const STATUS = { UNAUTHENTICATED: 401, NOT_FOUND: 404, UNKNOWN_ENTITY: 404 };

/** The payload of an `error`, as an error of HTTP. @param {any} payload @returns {any} */
function problemOf({ retryAfterMs, ...payload }) {
  return { status: STATUS[payload.code] ?? 422, after: retryAfterMs, ...payload };
}

/**
 * What the server will put into fields that are left out, by entity.
 *
 * @param {Pick<import('./api.js').Api, 'schema'>} api
 * @returns {Promise<Map<string, Fields>>}
 */
export async function guesses(api) {
  const { entities } = await api.schema();
  return new Map(entities.map(({ name, fields }) => [name, Object.fromEntries(fields.map((field) => [field.name, guessOf(field)]))]));
}

/** @param {import('./api.js').Field} field */
function guessOf({ type, default: given }) {
  const literal = typeof given === 'number' || typeof given === 'boolean' || ((type === 'text' || type === 'enum') && typeof given === 'string');
  return literal ? given : null;
}
