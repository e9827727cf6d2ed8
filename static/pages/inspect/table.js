/**
 * A table whose rows are kept from one answer to the next, so that a button keeps the focus.
 */
import { element } from '../dom.js';

/**
 * @template T
 * @param {HTMLElement} where
 * @param {string} caption For screen readers.
 * @param {[string, (item: T) => Node | string | number][]} columns
 * @param {(item: T) => string} keyOf
 */
export function table(where, caption, columns, keyOf) {
  /** @type {Map<string, {row: HTMLElement, cells: HTMLElement[], shown: Node[]}>} */
  const rows = new Map();
  const body = element('tbody');
  const head = element('tr', {}, ...columns.map(([name]) => element('th', { scope: 'col' }, name)));
  const none = element('p', { class: 'muted', hidden: true }, `No ${caption.toLowerCase()}.`);
  const whole = element('table', { hidden: true }, element('caption', { class: 'hidden' }, caption), element('thead', {}, head), body);
  where.append(whole, none);
  // A narrow window scrolls it, also by keys.
  where.tabIndex = 0;
  where.setAttribute('role', 'group');
  where.setAttribute('aria-label', caption);

  /** @param {T[]} items */
  return function draw(items) {
    whole.hidden = items.length === 0;
    none.hidden = items.length > 0;
    const left = new Set(rows.keys());
    items.forEach((item, place) => {
      const key = keyOf(item);
      left.delete(key);
      let known = rows.get(key);
      if (!known) {
        const cells = columns.map(() => element('td'));
        known = { row: element('tr', {}, ...cells), cells, shown: [] };
        rows.set(key, known);
      }
      fill(known, columns, item);
      if (body.children[place] !== known.row) body.insertBefore(known.row, body.children[place] ?? null);
    });
    for (const key of left) {
      rows.get(key)?.row.remove();
      rows.delete(key);
    }
  };
}

/**
 * Changes only the cells that would look different.
 *
 * @template T
 * @param {{cells: HTMLElement[], shown: Node[]}} known
 * @param {[string, (item: T) => Node | string | number][]} columns
 * @param {T} item
 */
function fill({ cells, shown }, columns, item) {
  columns.forEach(([, show], at) => {
    const value = show(item);
    const now = value instanceof Node ? value : document.createTextNode(String(value));
    if (shown[at]?.isEqualNode(now)) return;
    // A button that was clicked looks different by now, so a copy is kept.
    shown[at] = now.cloneNode(true);
    cells[at].replaceChildren(now);
  });
}
