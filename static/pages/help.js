/**
 * Single letters do something while nothing is typed, and `?` lists the keys of the page.
 */
import { find, say, words } from './dom.js';

let name = '';
/** @type {Map<string, () => void>} */
const acts = new Map([['?', show]]);

/**
 * @param {string} page As which `keys.js` knows it.
 * @param {Record<string, () => void>} [does] What single letters do.
 */
export function keys(page, does = {}) {
  name = page;
  for (const [key, act] of Object.entries(does)) acts.set(key, act);
}

document.addEventListener('keydown', (event) => {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || event.defaultPrevented) return;
  if (target instanceof HTMLElement && target.closest('input, select, textarea, dialog, [popover]')) return;
  const act = acts.get(key);
  if (!act) return;
  event.preventDefault();
  act();
});

let opens = false;
export async function show() {
  if (opens) return;
  opens = true;
  try {
    // Not in quotes: these bytes are no part of a first page.
    const { showKeys } = await import(`/static/pages/keys.js`);
    showKeys(name);
  } catch (error) {
    say(find('#problem'), words(error));
  }
  opens = false;
}
