/**
 * The rows of the table: a live list of what is asked for, of which as many rows are loaded as were looked at, and the number of
 * all. Knows no page.
 */
import { channelOf } from '../query.js';
import { nameField, whereOf } from './asked.js';
import { counter } from './count.js';

/**
 * @typedef {import('./fields.js').Row} Row
 *
 * @typedef {object} SourceOptions
 * @property {import('../api.js').Api} api
 * @property {import('../realtime.js').RealtimeClient} rt
 * @property {import('../channels.js').ChannelSubscriber} channels
 * @property {import('./fields.js').Entity} entity
 */

/** Rows that are loaded at first, and at once later on. */
const FIRST = 100;
const MORE = 500;
/** Records that a search finds at most. */
const FOUND = 500;
/** Bytes of the name of a channel at most. */
const NAME = 4096;

export class Source {
  #options;
  #changed;
  /** @type {import('../channels.js').LiveList | null} */
  #list = null;
  #asked = '';
  /** What the list follows. @type {import('../query.js').Query} */
  query = {};
  #wanted = FIRST;
  #quiet = true;
  /** @type {number | null} */
  #count = null;
  /** More was found than is followed. */
  #cut = false;
  /** @type {{code: string, message?: string, hint?: string} | null} */
  #failure = null;
  #end = () => {};
  /** @type {() => void} */
  #arrived = () => {};
  /** When the first rows are there. @type {Promise<void>} */
  first = new Promise((resolve) => void (this.#arrived = resolve));

  /**
   * @param {SourceOptions} options
   * @param {(quiet: boolean) => void} changed `quiet`: rows were read, not heard of.
   */
  constructor(options, changed) {
    this.#options = options;
    this.#changed = changed;
  }

  get rows() {
    return this.#list?.value ?? [];
  }

  /** Null while it is not known. */
  get count() {
    if (this.#cut) return null;
    return this.#list?.hasMore.value ? this.#count : this.rows.length;
  }

  /** Rows that there are beyond the loaded ones, as far as is known. */
  get unread() {
    if (!this.#list?.hasMore.value) return 0;
    return Math.max(1, (this.#count ?? 0) - this.rows.length);
  }

  get state() {
    return this.#failure ? 'error' : (this.#list?.state.value ?? 'loading');
  }

  get error() {
    return this.#failure ?? this.#list?.error.value ?? null;
  }

  /** @param {string} id @returns {import('../channels.js').Meta} */
  meta(id) {
    return this.#list?.meta(id) ?? { state: 'synced', error: null, version: null, by: null, mutations: [] };
  }

  /** So many rows are looked at. @param {number} rows */
  need(rows) {
    const list = this.#list;
    if (!list?.hasMore.value || rows <= this.#wanted || list.state.value !== 'live') return;
    const more = Math.max(MORE, rows + FIRST - this.#wanted);
    this.#wanted += more;
    this.#quiet = true;
    list.more(more);
  }

  /**
   * @param {import('./asked.js').Asked} asked
   * @returns {boolean} whether it asks for others now.
   */
  ask(asked) {
    const { entity } = this.#options;
    const where = whereOf(asked, entity);
    if (!this.asks(asked)) return false;
    const key = (this.#asked = this.#keyOf(asked));
    this.#end();
    this.#end = () => {};
    this.#failure = null;
    this.#cut = false;
    const searches = asked.find !== '' && entity.fields.some((field) => /** @type {any} */ (field).search);
    if (searches) this.#search(asked.find, where, asked.sort, key);
    else this.#follow(asked.find === '' ? where : this.#byName(asked.find, where), asked.sort);
    return true;
  }

  /** Whether these are other rows, or in another order. @param {import('./asked.js').Asked} asked */
  asks(asked) {
    return this.#keyOf(asked) !== this.#asked;
  }

  /** @param {import('./asked.js').Asked} asked */
  #keyOf(asked) {
    return JSON.stringify([whereOf(asked, this.#options.entity), asked.find, asked.sort]);
  }

  /** @param {string} text @param {import('../query.js').Where} where */
  #byName(text, where) {
    const field = nameField(this.#options.entity);
    const before = field ? /** @type {Record<string, any>} */ (where[field.name]) : undefined;
    return field ? { ...where, [field.name]: { ...before, contains: text } } : where;
  }

  /** @param {import('../query.js').Where} where @param {string} sort */
  #follow(where, sort) {
    const { api, channels, entity } = this.#options;
    const before = this.#list;
    this.query = { ...where, sort };
    this.#wanted = FIRST;
    this.#count = null;
    this.#quiet = true;
    let list;
    try {
      list = channels.list(entity.name, { where, sort, limit: FIRST });
    } catch (error) {
      this.#failure = { code: 'BAD_QUERY', message: /** @type {Error} */ (error).message };
      return this.#changed(true);
    }
    this.#list = list;
    // Later than the new one, which may share its rows.
    before?.close();
    const count = counter(
      () => api.count(entity.plural, where),
      (found) => {
        this.#count = found;
        this.#changed(true);
      },
    );
    let heard = false;
    const hear = () => {
      if (list.hasMore.value) count.read();
      const quiet = this.#quiet || !heard;
      this.#quiet = false;
      if (list.state.value === 'live') {
        heard = true;
        this.#arrived();
      }
      this.#changed(quiet);
    };
    const stops = [list.listen(hear), list.state.listen(hear), list.error.listen(hear), list.hasMore.listen(hear)];
    this.#end = () => {
      for (const stop of stops) stop();
      count.end();
    };
    hear();
  }

  /**
   * A channel cannot have a search. What the server finds is followed record by record, as far as a name has room for them, and
   * asked for again after each change.
   *
   * @param {string} text @param {import('../query.js').Where} where @param {string} sort @param {string} key
   */
  async #search(text, where, sort, key) {
    const { api, rt, entity } = this.#options;
    /** @type {string | null} */
    let shown = null;
    const read = async () => {
      try {
        const { items, next } = await api.list(entity.plural, { ...where, search: text, sort, limit: FOUND });
        const ids = items.map(({ id }) => id);
        while (ids.length > 0 && channelOf(entity.name, { ...where, id: { in: ids } }).length > NAME) ids.splice(-Math.ceil(ids.length / 10));
        const cut = next !== null || ids.length < items.length;
        const found = `${cut} ${ids.join()}`;
        if (this.#asked !== key || found === shown) return { count: ids.length };
        shown = found;
        this.#cut = cut;
        this.#end();
        this.#follow({ ...where, id: { in: ids } }, sort);
        this.#again(ask);
        return { count: ids.length };
      } catch (error) {
        if (this.#asked === key) {
          this.#failure = /** @type {any} */ (error);
          this.#changed(true);
        }
        return { count: 0 };
      }
    };
    const ask = counter(read, () => {});
    this.#again = (again) => {
      const end = this.#end;
      const stop = rt.subscribe(`entity:${entity.name}`, ({ type }) => type !== 'pong' && again.read());
      this.#end = () => {
        stop();
        end();
      };
    };
    ask.read();
  }

  /** @type {(ask: ReturnType<typeof counter>) => void} */
  #again = () => {};
}
