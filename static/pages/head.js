/**
 * The head of the live table: the widths of the columns, their names, and the box that selects all rows.
 */
import { element } from './dom.js';
import { labelOf } from './fields.js';

/** @typedef {import('./fields.js').Field} Field */

/** Widths of columns in pixels, by type. @type {Record<string, number>} */
const WIDTHS = { text: 210, int: 96, float: 96, bool: 90, enum: 112, date: 118, datetime: 118, uuid: 130, ref: 150, json: 150 };
const ACTIONS = matchMedia('(max-width: 600px)').matches ? 48 : 128;
const BOX = 38;

/**
 * @param {HTMLTableElement} table
 * @param {object} context
 * @param {Field[]} context.columns
 * @param {string} context.order `title`, or `-title`.
 * @param {(field: Field) => boolean} context.sortable
 * @param {(field: string) => void} context.sort
 * @param {(selected: boolean) => void} context.selectAll
 */
export function headOf(table, { columns, order, sortable, sort, selectAll }) {
  const widths = [BOX, ...columns.map(({ type }) => WIDTHS[type] ?? WIDTHS.text), ACTIONS];
  const cols = widths.map((width) => {
    const col = element('col');
    col.style.width = `${width}px`;
    return col;
  });
  table.style.minWidth = `${widths.reduce((sum, width) => sum + width)}px`;
  const heads = columns.map((field) => {
    const { name } = field;
    const state = order === name ? 'ascending' : order === `-${name}` ? 'descending' : null;
    const label = sortable(field) ? element('button', { type: 'button', class: 'sort', click: () => sort(name) }, labelOf(name)) : labelOf(name);
    return element('th', { scope: 'col', 'aria-sort': state }, label);
  });
  const box = element('input', { type: 'checkbox', 'aria-label': 'Select all rows that are loaded', change: () => selectAll(box.checked) });
  const actions = element('th', { scope: 'col' }, element('span', { class: 'hidden' }, 'Actions'));
  const row = element('tr', {}, element('th', { scope: 'col', class: 'box' }, box), ...heads, actions);
  return {
    cols,
    row,
    /** @param {number} selected @param {number} rows */
    select(selected, rows) {
      box.checked = selected > 0 && selected === rows;
      box.indeterminate = selected > 0 && selected < rows;
    },
  };
}
