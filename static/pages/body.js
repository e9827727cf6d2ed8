/**
 * The body of a long table: nodes in their order, of which only those that moved are touched, and rows that stand for others.
 */
import { element } from './dom.js';

/** @param {HTMLElement} body @param {HTMLElement[]} nodes */
export function arrange(body, nodes) {
  const keep = new Set(nodes);
  for (const child of [...body.children]) if (!keep.has(/** @type {HTMLElement} */ (child))) child.remove();
  let next = body.firstElementChild;
  for (const node of nodes) {
    if (node === next) next = next.nextElementSibling;
    else body.insertBefore(node, next);
  }
}

/** Room of rows that are not drawn. @param {number} height */
export function spacer(height) {
  const td = element('td');
  td.style.height = `${height}px`;
  return element('tr', { class: 'space', 'aria-hidden': true }, td);
}

/** A row that is on its way. @param {number} columns @param {number} at */
export function unread(columns, at) {
  return element('tr', { class: 'unread', 'aria-rowindex': at + 2 }, element('td', { colspan: columns, role: 'gridcell' }, '…'));
}
