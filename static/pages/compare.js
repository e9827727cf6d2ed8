/**
 * A conflict, field by field: what was there, what another user made of it, what this user wants. Resolves to what is to be saved.
 */
import { element } from './dom.js';
import { labelOf, view } from './fields.js';

/**
 * @param {object} conflict
 * @param {Record<string, any>} conflict.mine
 * @param {Record<string, any>} conflict.theirs
 * @param {Record<string, any>} conflict.base
 * @param {import('./fields.js').Field[]} fields
 * @param {import('./fields.js').Refs} refs
 * @param {string | null} by Who changed it.
 * @returns {Promise<Record<string, any> | null>} The fields to write over theirs, none of them when all of theirs stay. Null: not decided.
 */
export function compare({ mine, theirs, base }, fields, refs, by) {
  const names = Object.keys(mine);
  const field = (/** @type {string} */ name) => fields.find((each) => each.name === name) ?? { name, type: /** @type {const} */ ('text') };
  const choice = (/** @type {string} */ name, /** @type {string} */ which, /** @type {any} */ value) =>
    element(
      'td',
      {},
      element('label', {}, element('input', { type: 'radio', name: `choice-${name}`, value: which, checked: which === 'mine' }), ' ', element('span', {}, view(field(name), value, refs))),
    );
  const rows = names.map((name) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, labelOf(name)),
      choice(name, 'mine', mine[name]),
      choice(name, 'theirs', theirs[name]),
      element('td', { class: 'muted' }, view(field(name), base[name], refs)),
    ),
  );
  const heads = ['Field', 'Yours', by ? `${by}’s` : 'Theirs', 'Before'].map((text) => element('th', { scope: 'col' }, text));
  const title = element('h2', { id: 'compare' }, 'You both changed this');
  const table = element('table', { class: 'plain' }, element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows));
  const form = element(
    'form',
    { method: 'dialog' },
    title,
    element('p', { class: 'muted' }, 'Choose what stays, field by field.'),
    element('div', { class: 'wide' }, table),
    element('div', { class: 'actions' }, element('button', { value: '', formnovalidate: true }, 'Not now'), element('button', { class: 'primary', value: 'save' }, 'Save this choice')),
  );
  const dialog = element('dialog', { 'aria-labelledby': title.id, class: 'broad' }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const chosen = new FormData(form);
      const kept = names.filter((name) => chosen.get(`choice-${name}`) === 'mine').map((name) => [name, mine[name]]);
      dialog.remove();
      resolve(dialog.returnValue === 'save' ? Object.fromEntries(kept) : null);
    });
  });
}
