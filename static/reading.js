/**
 * Reads the rows of a channel over HTTP, while there is no socket. Knows no channel.
 */

/**
 * @typedef {Pick<import('./api.js').Api, 'list' | 'plural'>} Reader
 *
 * @typedef {object} Reading Page by page, each with the position of its own read.
 * @property {string} epoch
 * @property {string} [view]
 * @property {{seq: number, rows: any[]}[]} pages At least one.
 */

/** Rows in one page. */
const PAGE = 200;

/**
 * @param {Reader} api
 * @param {string} entity
 * @param {import('./query.js').Query} query
 * @returns {Promise<Reading>}
 */
export async function readList(api, entity, query) {
  const plural = await api.plural(entity);
  const first = await api.list(plural, { ...query, limit: PAGE });
  const { epoch, view } = first;
  const pages = [{ seq: first.seq, rows: first.items }];
  for (let { next } = first; next;) {
    const page = await api.list(plural, { ...query, limit: PAGE, cursor: next });
    if (page.epoch !== epoch) throw new Error('the server restarted between two pages');
    pages.push({ seq: page.seq, rows: page.items });
    next = page.next;
  }
  return { epoch, view, pages };
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
