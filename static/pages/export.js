/**
 * Saves the records of a list as a file: reads them page by page with the rights of the caller. Loaded when it is asked for.
 */
import { FORMATS } from './csv.js';
import { element, say, words } from './dom.js';

/** Records of one request: the most that the server gives. */
const PAGE = 1000;
/** Chosen records of one request. */
const CHOSEN = 100;
/** Milliseconds until a file that was handed to the browser is let go. */
const HANDED = 60_000;

/**
 * @param {object} context
 * @param {import('../api.js').Api} context.api
 * @param {string} context.plural
 * @param {import('../query.js').Query} context.query Which records, in which order.
 * @param {string[] | null} [context.ids] These alone, in this order.
 * @param {string[]} context.names The fields of a CSV file.
 */
export function openExport({ api, plural, query, names, ids = null }) {
  const title = element('h2', { id: 'export' }, ids ? `Export ${ids.length.toLocaleString()} selected ${ids.length === 1 ? 'row' : 'rows'}` : `Export ${plural}`);
  const format = element('select', {}, ...Object.entries(FORMATS).map(([value, { name }]) => element('option', { value }, name)));
  const progress = element('progress', { 'aria-label': 'Exported', hidden: true });
  const told = element('p', { role: 'status', hidden: true });
  const problem = element('p', { class: 'error', role: 'alert', hidden: true });
  let closed = false;
  const click = async () => {
    begin.disabled = format.disabled = true;
    progress.hidden = false;
    say(problem, null);
    try {
      const file = await read(FORMATS[format.value]);
      if (!file) return;
      save(file, `${plural}.${FORMATS[format.value].ending}`);
      dialog.close();
    } catch (error) {
      progress.hidden = true;
      say(told, null);
      say(problem, words(error));
      begin.disabled = format.disabled = false;
      begin.focus();
    }
  };
  const begin = element('button', { type: 'button', class: 'primary', click }, 'Export');
  const cancel = element('button', { value: '' }, 'Cancel');
  const label = element('label', {}, 'Format ', format);
  const form = element('form', { method: 'dialog' }, title, label, progress, told, problem, element('div', { class: 'actions' }, cancel, begin));
  const close = () => {
    closed = true;
    dialog.remove();
  };
  const dialog = element('dialog', { 'aria-labelledby': title.id, close }, form);
  document.body.append(dialog);
  dialog.showModal();

  /** @param {import('./csv.js').Format} format @returns {Promise<Blob | null>} Null: it was cancelled. */
  async function read({ head, line, type }) {
    // The browser may keep the parts outside of the memory of the page.
    const parts = [new Blob([head(names)])];
    let count = 0;
    for await (const rows of ids ? chosen(ids) : all()) {
      if (closed) return null;
      parts.push(new Blob([rows.map((row) => line(row, names)).join('')]));
      count += rows.length;
      say(told, `${count.toLocaleString()} ${count === 1 ? 'row' : 'rows'} read`);
    }
    return new Blob(parts, { type });
  }

  /** The whole list, page by page. */
  async function* all() {
    /** @type {string | null} */
    let cursor = null;
    do {
      const page = /** @type {import('../api.js').Page} */ (await api.list(plural, { ...query, limit: PAGE, ...(cursor === null ? {} : { cursor }) }));
      yield page.items;
      cursor = page.next;
    } while (cursor !== null && !closed);
  }

  /** As they are now: one that is gone is left out. @param {string[]} ids */
  async function* chosen(ids) {
    for (let at = 0; at < ids.length && !closed; at += CHOSEN) {
      const part = ids.slice(at, at + CHOSEN);
      const { items } = await api.list(plural, { id: { in: part }, limit: CHOSEN });
      const found = new Map(items.map((row) => [row.id, row]));
      yield part.flatMap((id) => found.get(id) ?? []);
    }
  }
}

/** @param {Blob} file @param {string} name */
function save(file, name) {
  const href = URL.createObjectURL(file);
  element('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), HANDED);
}
