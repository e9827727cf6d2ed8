/**
 * The keys of each page, in a dialog. Loaded when they are asked for.
 */
import { element } from './dom.js';

/** @type {Record<string, [keys: string, does: string][]>} by page */
const KEYS = {
  table: [
    ['↑ ↓ ← →', 'Move between cells'],
    ['Home End', 'First and last cell of the row, with Ctrl of the table'],
    ['PgUp PgDn', 'Ten rows up and down'],
    ['Enter', 'Edit the cell, and save it'],
    ['Esc', 'Cancel, or clear the selection'],
    ['Space', 'Select the row, or take it out of the selection'],
    ['Shift+↑ Shift+↓', 'Select the next rows, too'],
    ['Ctrl+A', 'Select all rows that are loaded'],
    ['Delete', 'Delete the record, or the selected ones'],
    ['o', 'Open the record'],
    ['Ctrl+Enter', 'Open the record that the cell refers to'],
    ['n', 'New record'],
    ['/', 'Search'],
  ],
  record: [
    ['Ctrl+Enter', 'Save'],
    ['Esc', 'Take back what you typed'],
  ],
};
/** Of every page. @type {[keys: string, does: string][]} */
const COMMON = [['?', 'Show this list']];

/** @param {string} page */
export function showKeys(page) {
  const rows = [...(KEYS[page] ?? []), ...COMMON].flatMap(([keys, does]) => [element('dt', {}, ...keys.split(' ').map((key) => element('kbd', {}, key))), element('dd', {}, does)]);
  const title = element('h2', { id: 'help' }, 'Keys');
  const close = element('button', { value: 'close', autofocus: true }, 'Close');
  const form = element('form', { method: 'dialog' }, title, element('dl', { class: 'keys' }, ...rows), element('div', { class: 'actions' }, close));
  const dialog = element('dialog', { 'aria-labelledby': title.id, close: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
}
