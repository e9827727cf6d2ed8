/**
 * Reads all rows of a list, or one record, over HTTP while there is no socket, and the further rows of a list. Knows no channel.
 */
import { delay } from './env.js';

/**
 * @typedef {Pick<import('./api.js').Api, 'list' | 'plural'>} Reader
 *
 * @typedef {object} Reading Page by page, each with the position of its own read.
 * @property {string} epoch
 * @property {string} [view]
 * @property {{seq: number, rows: any[]}[]} pages At least one.
 * @property {string | null} next Where the rest begins; null when there is none.
 * @property {number} most The rows that were asked for at most.
 */

/** Rows in one page. */
const PAGE = 200;

/**
 * @param {Reader} api
 * @param {string} entity
 * @param {import('./query.js').Query} query
 * @param {number} [most] Rows; all when left out.
 * @returns {Promise<Reading>}
 */
export async function readList(api, entity, query, most = Infinity) {
  const plural = await api.plural(entity);
  /** @type {Reading | undefined} */
  let reading;
  let left = most;
  do {
    const cursor = reading?.next ?? query.cursor;
    const { epoch, view, seq, items, next } = await api.list(plural, { ...query, limit: Math.min(PAGE, left), cursor });
    reading ??= { epoch, view, pages: [], next, most };
    if (epoch !== reading.epoch) throw new Error('the server restarted between two pages');
    reading.pages.push({ seq, rows: items });
    reading.next = next;
    left -= items.length;
  } while (reading.next && left > 0);
  return reading;
}

/**
 * The channel of a record has the view of the whole entity, and a list has that of its filter.
 *
 * @param {Reader} api
 * @param {string} entity
 * @param {string} id
 * @returns {Promise<Reading>}
 */
export async function readRecord(api, entity, id) {
  const { epoch, view } = await api.list(await api.plural(entity), { limit: 1, fields: 'id' });
  const found = await readList(api, entity, { id });
  if (found.epoch !== epoch) throw new Error('the server restarted between two reads');
  return { ...found, view };
}

/**
 * @typedef {object} Further What a window learns of the rows behind its edge.
 * @property {[import('./rows.js').Row | null | undefined, string | undefined]} [news] The new edge, and where the rows behind it begin.
 * @property {{code: string, message: string, hint?: string}} [fault] They can never be read.
 * @property {boolean} [lost] The cursor can no longer be used.
 * @property {number} failures In a row.
 */

/**
 * @param {import('./window.js').WindowOptions} options
 * @param {import('./rows.js').Row | null | undefined} edge
 * @param {string | undefined} cursor
 * @param {number} most
 * @param {number} failures Before this reading. After one that fails the answer takes its time, so that a fault is no storm.
 * @returns {Promise<Further>}
 */
export async function further({ store, order, api, query, env }, edge, cursor, most, failures) {
  try {
    const found = await add(store, () => readList(/** @type {Reader} */ (api), store.entity, { ...query, cursor }, most));
    if (!found) return { failures: 0 };
    if (!found.next) return { news: [null, undefined], failures: 0 };
    const last = found.pages.at(-1)?.rows.at(-1);
    return { news: !edge || (last && order(last, edge) > 0) ? [last, found.next] : undefined, failures: 0 };
  } catch (error) {
    const { code, message, hint, status } = /** @type {any} */ (error);
    if (code === 'BAD_QUERY' || code === 'QUERY_TOO_BROAD') return { fault: { code, message, hint }, lost: true, failures: 0 };
    // A cursor may just have been too old.
    if (cursor !== undefined && status === 400) return { lost: true, failures: 0 };
    const pause = delay(failures + 1, { base: 1000, max: 30_000, random: env.random });
    await new Promise((resolve) => void env.setTimeout(() => resolve(undefined), pause));
    return { lost: true, failures: failures + 1 };
  }
}

/**
 * Puts further rows beside those of a list, as soon as these are as far as the reading.
 *
 * @param {import('./store.js').Store} store
 * @param {() => Promise<Reading>} read
 * @returns {Promise<Reading | null>} Null when a new snapshot replaced the rows in the meantime.
 */
async function add(store, read) {
  const watch = store.rows.watch();
  try {
    const reading = await read();
    const { epoch, pages } = reading;
    const seq = Math.max(...pages.map((page) => page.seq));
    const from = store.at?.epoch;
    for (let asked = false; ; asked = true) {
      const { at, follows, reads, dirty } = store;
      if (watch.over || !follows || (at?.epoch !== epoch && at?.epoch !== from)) return null;
      if (reads && !dirty && at?.epoch === epoch && at.seq >= seq) break;
      if (!asked) store.ping();
      await store.moved();
    }
    store.rows.add(reading, watch);
    store.step();
    return reading;
  } finally {
    watch.end();
  }
}
