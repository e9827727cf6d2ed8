/**
 * The HTTP API: one method for each request, errors that say what to do, and writes that happen once even if they are
 * sent twice. Knows no socket.
 */
import { delay, environment, LONGEST_ADDRESS, only } from './env.js';
import { idsOf } from './ids.js';
import { retryAfter } from './later.js';
import { conditions, text, WORDS } from './query.js';
import { tokensOf } from './tokens.js';
import { OTHER_USER } from './user.js';

/**
 * @typedef {import('./rows.js').Row} Row
 *
 * @typedef {object} Page
 * @property {Row[]} items
 * @property {string | null} next Cursor of the next page.
 * @property {string} epoch
 * @property {number} seq Position of the read.
 * @property {string} [view]
 *
 * @typedef {object} PastChange
 * @property {number} seq
 * @property {'create' | 'update' | 'delete'} op
 * @property {number} version After the change; of a delete the last one.
 * @property {string} at
 * @property {string | null} by
 * @property {string} [mid]
 * @property {string[]} [changed] of an update
 * @property {Record<string, any>} [before] The changed fields as they were; of a delete the whole record.
 * @property {Row} [after]
 *
 * @typedef {object} Past
 * @property {PastChange[]} items
 * @property {string | null} next Cursor of the next page.
 * @property {string} epoch
 * @property {number} seq Position of the read.
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {'text' | 'int' | 'float' | 'bool' | 'enum' | 'json' | 'date' | 'datetime' | 'uuid' | 'ref'} type
 * @property {boolean} [required]
 * @property {boolean} [unique]
 * @property {boolean} [ignore_case] two texts that differ by case alone are the same value
 * @property {string[]} [normalize] what is done to a text before it is stored: `trim`, `lower`, `nfc`
 * @property {boolean} [readonly]
 * @property {any} [default]
 * @property {number} [min]
 * @property {number} [max]
 * @property {string} [pattern]
 * @property {string[]} [values] of an enum
 * @property {string} [entity] of a ref
 *
 * @typedef {object} Entity
 * @property {string} name `Task`
 * @property {string} plural `tasks`
 * @property {string | null} [label] The field that names a record to people.
 * @property {string[][]} [unique] The fields of each `[[unique]]`.
 * @property {string[][]} [unique_ignore_case] Those of `unique` whose texts are the same in any case.
 * @property {Field[]} fields
 *
 * @typedef {object} Count
 * @property {number} count
 * @property {{value: any, count: number}[]} [groups] With `group`: largest first.
 * @property {string} epoch
 * @property {number} seq
 *
 * A query: `{status: 'open', due: null, priority: {gte: 3}, sort: '-priority', expand: ['project']}`.
 * @typedef {import('./query.js').Query} Query
 *
 * @typedef {object} ApiOptions
 * @property {import('./tokens.js').GetToken} [getToken]
 * @property {import('./tokens.js').Auth} [auth] A login, in place of `getToken`.
 * @property {string | null} [as] A name in `tidewire dev`, or `name:role`.
 * @property {number} [tries] How often a request is sent at most: 4.
 * @property {Partial<import('./env.js').Env>} [env]
 *
 * @typedef {object} WriteOptions
 * @property {string} [mid] The mutation's id; a new one when left out. The same one again is the same mutation.
 * @property {number} [ifMatch] Only if the record still has this version.
 * @property {AbortSignal} [signal]
 * @property {number} [tries] In place of the one of the client.
 *
 * @typedef {object} BatchOp
 * @property {'create' | 'update' | 'replace' | 'delete'} op
 * @property {string} entity `Task`
 * @property {string} [id] Of the record; a create may leave it out.
 * @property {object} [data]
 * @property {number} [version] Only if the record still has this version.
 * @property {number} [lease] The fencing number of the lease that the caller holds on the record.
 * @property {string} [mid] Without `atomic`: the id of this one mutation; a new one when left out.
 *
 * @typedef {object} BatchResult
 * @property {number} status 201, 200 or 204; without `atomic` also that of an error.
 * @property {string} [id]
 * @property {number} [seq] Without `atomic`.
 * @property {Row} [record]
 * @property {boolean} [replayed]
 * @property {ApiError} [error] Without `atomic`: why this operation failed.
 *
 * @typedef {object} BatchAnswer
 * @property {string} epoch
 * @property {number} seq
 * @property {BatchResult[]} results One for each operation, in order.
 * @property {boolean} [replayed]
 *
 * @typedef {object} BatchOptions
 * @property {boolean} [atomic] All or none, seen by others at once: the default. Otherwise each for itself.
 * @property {string} [mid] Of an atomic batch; a new one when left out.
 * @property {AbortSignal} [signal]
 * @property {number} [tries] In place of the one of the client.
 */

/** A request that the server refused or, with status 0, did not answer. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {any} problem problem+json
   * @param {number} [after]
   */
  constructor(status, problem, after = 0) {
    super(problem.detail ?? problem.message ?? `The server answered ${status}.`);
    this.name = 'ApiError';
    this.status = status;
    /** Upper snake case, see codes.js. @type {string} */
    this.code = problem.code ?? (status === 0 ? 'NO_ANSWER' : 'INTERNAL');
    /** What to do about it. @type {string} */
    this.hint = problem.hint ?? '';
    /** One entry a field. @type {{field: string, code: string, message: string}[]} */
    this.errors = problem.errors ?? [];
    /** The record as it is, when a version did not match. @type {Row | null} */
    this.current = problem.current ?? null;
    /** Index of the operation of a batch that failed. @type {number | null} */
    this.op = problem.op ?? null;
    /** Milliseconds that the server asked to wait. */
    this.after = after;
  }
}

export class Api {
  #base;
  #options;
  #tokens;
  #env;
  /** @type {Promise<{entities: Entity[]}> | null} */
  #schema = null;
  /** The id of a record or a mutation. @type {() => string} */
  newId;

  /**
   * @param {string} base `/api`
   * @param {ApiOptions} [options]
   */
  constructor(base, options = {}) {
    this.#options = only('Api', options, 'getToken:function auth as tries:number env');
    this.#env = environment(options.env);
    this.#base = new URL(`${base.replace(/\/$/, '')}/`, this.#env.base);
    this.#tokens = tokensOf(options, this.#env);
    this.newId = idsOf(this.#env);
  }

  /**
   * @param {string} plural
   * @param {Query} [query] Filters, `search`, `sort`, `limit`, `cursor`, `fields`, `expand`.
   * @returns {Promise<Page>}
   */
  list(plural, query = {}) {
    return this.#ask([plural], [plural, 'query'], query);
  }

  /**
   * The number of records; with `group` also for each value of a field.
   *
   * @param {string} plural
   * @param {Query} [query] Filters, `search`, `group`.
   * @returns {Promise<Count>}
   */
  count(plural, query = {}) {
    return this.#ask([plural, 'count'], [plural, 'count'], query);
  }

  /**
   * @param {string} plural
   * @param {string} id
   * @param {Query} [query] `fields`, `expand`.
   * @returns {Promise<Row>}
   */
  get(plural, id, query = {}) {
    return this.#request('GET', [plural, id], { query });
  }

  /**
   * The changes of a record, newest first, even if it was deleted.
   *
   * @param {string} plural
   * @param {string} id
   * @param {{limit?: number, cursor?: string}} [query]
   * @returns {Promise<Past>}
   */
  history(plural, id, query = {}) {
    return this.#request('GET', [plural, id, 'history'], { query });
  }

  /**
   * Returns the record, like every write. It is only `{id}` if you may not see what you wrote.
   *
   * @param {string} plural
   * @param {object} data
   * @param {WriteOptions} [options]
   * @returns {Promise<Row>}
   */
  create(plural, data, options) {
    return this.#write('POST', [plural], data, options);
  }

  /**
   * Changes the fields named in `patch` and no others.
   *
   * @param {string} plural
   * @param {string} id
   * @param {object} patch
   * @param {WriteOptions} [options]
   * @returns {Promise<Row>}
   */
  update(plural, id, patch, options) {
    return this.#write('PATCH', [plural, id], patch, options);
  }

  /**
   * Sets every field. A field that `data` leaves out gets its default.
   *
   * @param {string} plural
   * @param {string} id
   * @param {object} data
   * @param {WriteOptions} [options]
   * @returns {Promise<Row>}
   */
  replace(plural, id, data, options) {
    return this.#write('PUT', [plural, id], data, options);
  }

  /**
   * @param {string} plural
   * @param {string} id
   * @param {WriteOptions} [options]
   * @returns {Promise<void>}
   */
  delete(plural, id, options) {
    return this.#write('DELETE', [plural, id], undefined, options);
  }

  /**
   * Several writes in one request. It happens once, even if it is sent again after a lost answer.
   *
   * @param {BatchOp[]} ops At most 500.
   * @param {BatchOptions} [options]
   * @returns {Promise<BatchAnswer>}
   */
  async batch(ops, options = {}) {
    const { atomic = true, mid, signal, tries } = only('api.batch', options, 'atomic:boolean mid:string signal tries:number');
    if (atomic) return this.#write('POST', ['batch'], { atomic, ops }, { mid, signal, tries });
    const data = { atomic, ops: ops.map((op) => ({ mid: this.newId(), ...op })) };
    const answer = await this.#request('POST', ['batch'], { data, signal, tries });
    for (const result of answer.results) {
      if (result.error) result.error = new ApiError(result.status, result.error);
    }
    return answer;
  }

  /**
   * Read once and kept.
   *
   * @param {object} [options]
   * @param {boolean} [options.fresh] Read it again: the server told of another one.
   * @returns {Promise<{entities: Entity[]}>}
   */
  schema(options = {}) {
    if (only('api.schema', options, 'fresh:boolean').fresh) this.#schema = null;
    this.#schema ??= this.#request('GET', ['schema']).catch((/** @type {unknown} */ error) => {
      this.#schema = null;
      throw error;
    });
    return /** @type {Promise<{entities: Entity[]}>} */ (this.#schema);
  }

  /** The word of an entity in addresses: `tasks` of `Task`. @param {string} entity */
  async plural(entity) {
    const { entities } = await this.schema();
    const found = entities.find(({ name }) => name === entity);
    if (!found) throw new ApiError(404, { code: 'UNKNOWN_ENTITY', detail: `There is no entity ${entity}.` });
    return found.plural;
  }

  /**
   * Sends a question that is too long for an address as a body. The answer is the same.
   *
   * @param {string[]} path
   * @param {string[]} byBody
   * @param {Query} query
   */
  #ask(path, byBody, query) {
    if (this.#url(path, query).length <= LONGEST_ADDRESS) return this.#request('GET', path, { query });
    return this.#request('POST', byBody, { data: query });
  }

  /**
   * @param {string} method
   * @param {string[]} path
   * @param {object | undefined} data
   * @param {WriteOptions} [options]
   */
  async #write(method, path, data, options = {}) {
    const { mid = this.newId(), ifMatch, signal, tries } = only('a write', options, 'mid:string ifMatch:number signal tries:number');
    /** @type {Record<string, string>} */
    const headers = { 'Idempotency-Key': mid };
    if (ifMatch !== undefined) headers['If-Match'] = `"${ifMatch}"`;
    return this.#request(method, path, { headers, data, signal, tries });
  }

  /**
   * Sends, and sends again after a lost answer or a request to wait. A write keeps its key, so it happens once.
   *
   * @param {string} method
   * @param {string[]} path
   * @param {{query?: Record<string, any>, headers?: Record<string, string>, data?: object, signal?: AbortSignal, tries?: number}} [options]
   * @returns {Promise<any>}
   */
  async #request(method, path, { query = {}, headers = {}, data, signal, tries = this.#options.tries ?? 4 } = {}) {
    const url = this.#url(path, query);
    const init = /** @type {RequestInit & {headers: Record<string, string>}} */ ({
      method,
      signal,
      headers: { Accept: 'application/json', ...headers },
    });
    if (data !== undefined) {
      init.body = JSON.stringify(data);
      init.headers['Content-Type'] = 'application/json';
    }
    let refresh = false;
    const user = () => this.#options.auth?.user.peek()?.id;
    const asked = user();
    for (let attempt = 1; ; attempt++) {
      /** @type {string | undefined} */
      const token = await this.#tokens?.(refresh);
      // What one user asks for is never sent with the token of another.
      if (user() !== asked) throw new ApiError(401, OTHER_USER);
      if (token) init.headers.Authorization = `Bearer ${token}`;
      const { ok, value, status, after, problem } = await this.#send(url, init);
      if (ok) return value;
      // A token that was refused is renewed once, however often is tried.
      /** @type {boolean} */
      const renew = status === 401 && token !== undefined && !refresh;
      if (!renew && (attempt >= tries || !(status === 0 || after > 0))) throw new ApiError(status, problem, after);
      refresh ||= renew;
      if (!renew) await this.#pause(attempt, after);
    }
  }

  /**
   * @param {string} url
   * @param {RequestInit} init
   * @returns {Promise<{ok: boolean, status: number, value?: any, after: number, problem?: any}>} `after`: milliseconds to
   * wait before the same request may succeed; 0 when it would not.
   */
  async #send(url, init) {
    try {
      const response = await this.#env.fetch(url, init);
      const { ok, status } = response;
      if (ok) return { ok, status, after: 0, value: status === 204 ? undefined : await response.json() };
      const wait = status === 503 || status === 429 ? retryAfter(response, this.#env.now()) : undefined;
      const problem = (await response.json().catch(() => null)) ?? {};
      return { ok, status, after: wait === undefined ? 0 : Math.max(wait, 100), problem };
    } catch (error) {
      if (init.signal?.aborted) throw error;
      return { ok: false, status: 0, after: 0, problem: { detail: 'The server did not answer.', hint: String(error) } };
    }
  }

  /**
   * @param {number} attempt
   * @param {number} floor
   */
  #pause(attempt, floor) {
    const wait = delay(attempt, { base: 500, max: 10_000, floor, random: this.#env.random });
    return new Promise((resolve) => this.#env.setTimeout(() => resolve(undefined), wait));
  }

  /**
   * @param {string[]} path
   * @param {Record<string, any>} query
   */
  #url(path, query) {
    const url = new URL(path.map(encodeURIComponent).join('/'), this.#base);
    for (const [name, text] of parameters(query)) url.searchParams.append(name, text);
    if (this.#options.as) url.searchParams.set('as', this.#options.as);
    return url.href;
  }
}

/**
 * @param {import('./query.js').Query} query
 * @returns {[name: string, text: string][]} `priority[gte]` and `3`, in the order given.
 */
export function parameters(query) {
  return conditions(query, WORDS).map(([name, operator, value]) => [operator ? `${name}[${operator}]` : name, text(value)]);
}
