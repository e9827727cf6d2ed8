/**
 * The line below a record whose change was refused: why, and what the user can do about it.
 */
import { element, plain, words } from './dom.js';
import { labelOf } from './fields.js';

/**
 * @typedef {import('../mutation.js').Mutation} Mutation
 * @typedef {Pick<Mutation, 'id' | 'state' | 'error' | 'retry'> & {changes: {op: string, data?: Record<string, any>}[], discard: () => void}} Refused
 *
 * @param {Refused} mutation
 * @param {number} columns
 * @param {object} act
 * @param {() => void} act.edit Opens the editor again, with what was typed.
 * @param {() => void} act.compare
 */
export function noteRow(mutation, columns, { edit, compare }) {
  const conflict = mutation.state === 'conflict';
  const [{ op, data = {} }] = mutation.changes;
  const deletes = op === 'delete';
  const fields = Object.keys(data).map(labelOf).join(', ');
  const error = mutation.error ?? {};
  const own = error.errors?.find((/** @type {{field: string}} */ { field }) => field in data);
  const why = conflict ? 'Another user changed it, too.' : (own ? plain(own.message) : words(error));
  const button = (/** @type {string} */ text, /** @type {() => void} */ click) => element('button', { type: 'button', click }, text);
  const text = element('span', { class: 'error', role: 'alert', title: why }, deletes ? `It was not deleted. ${why}` : `${fields} was not saved. ${why}`);
  const first = deletes ? [] : [conflict ? button('Compare', compare) : button('Edit', edit)];
  const actions = element('span', { class: 'actions' }, ...first, button('Retry', () => mutation.retry()), button(deletes ? 'Dismiss' : 'Discard', () => mutation.discard()));
  return element('tr', { class: 'note', 'data-state': mutation.state }, element('td', { colspan: columns, role: 'gridcell' }, element('div', {}, text, actions)));
}
