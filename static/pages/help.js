/**
 * `?` lists the keys of the page. Knows none of them: each page brings its own.
 */
import { element } from './dom.js';

/** Of every page. @type {[keys: string, does: string][]} */
const COMMON = [['?', 'Show this list']];
/** @type {[keys: string, does: string][]} */
const own = [];
/** @type {Map<string, () => void>} */
const acts = new Map();

/**
 * @param {[keys: string, does: string][]} keys
 * @param {Record<string, () => void>} [does] What single letters do, while nothing is typed.
 */
export function keys(keys, does = {}) {
  own.push(...keys);
  for (const [key, act] of Object.entries(does)) acts.set(key, act);
}

document.addEventListener('keydown', (event) => {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || event.defaultPrevented) return;
  if (target instanceof HTMLElement && target.closest('input, select, textarea, dialog, [popover]')) return;
  const act = key === '?' ? show : acts.get(key);
  if (!act) return;
  event.preventDefault();
  act();
});

export function show() {
  const rows = [...own, ...COMMON].flatMap(([keys, does]) => [element('dt', {}, ...keys.split(' ').map((key) => element('kbd', {}, key))), element('dd', {}, does)]);
  const title = element('h2', { id: 'help' }, 'Keys');
  const close = element('button', { value: 'close', autofocus: true }, 'Close');
  const form = element('form', { method: 'dialog' }, title, element('dl', { class: 'keys' }, ...rows), element('div', { class: 'actions' }, close));
  const dialog = element('dialog', { 'aria-labelledby': title.id, close: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
}
