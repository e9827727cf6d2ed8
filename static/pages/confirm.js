/**
 * Asks before something is deleted, and stays open while that fails.
 */
import { element, say, words } from './dom.js';

/**
 * @param {string} name Of the record.
 * @param {() => Promise<unknown>} act
 */
export const confirmDelete = (name, act) => confirmed(`Delete “${name}”?`, 'It is deleted for everyone. You cannot undo this.', act);

/**
 * @param {string} question
 * @param {string} consequence
 * @param {() => Promise<unknown>} act
 * @returns {Promise<boolean>} whether it was done.
 */
export function confirmed(question, consequence, act) {
  const title = element('h2', { id: 'confirm' }, question);
  const problem = element('p', { class: 'error', role: 'alert', hidden: true });
  const click = async () => {
    button.disabled = true;
    say(problem, null);
    try {
      await act();
      dialog.close('done');
    } catch (error) {
      say(problem, words(error));
    }
    button.disabled = false;
    button.focus();
  };
  const button = element('button', { type: 'button', class: 'danger', click }, 'Delete');
  const cancel = element('button', { value: '', autofocus: true }, 'Cancel');
  const form = element('form', { method: 'dialog' }, title, element('p', {}, consequence), problem, element('div', { class: 'actions' }, cancel, button));
  const dialog = element('dialog', { 'aria-labelledby': title.id }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'done');
    });
  });
}

/**
 * @param {object} context
 * @param {import('../realtime.js').RealtimeClient} context.rt
 * @param {import('../api.js').Api} context.api
 * @param {import('./fields.js').Entity} context.entity
 * @param {string} id
 */
export async function removeRecord({ rt, api, entity }, id) {
  if (/** @type {any} */ (entity).lease !== 'required') return api.delete(entity.plural, id);
  // Not in quotes: these bytes are no part of a first page.
  const { deleteLeased } = await import(`/static/pages/leased.js`);
  await deleteLeased({ rt, api, entity }, id);
}
