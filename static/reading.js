/**
 * Reads all rows of a list, or one record, over HTTP while there is no socket. Knows no channel.
 */

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
