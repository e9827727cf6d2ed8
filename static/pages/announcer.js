/**
 * Tells a screen reader what others changed: one sentence for everything within a few seconds.
 */
import { element } from './dom.js';

/** The live region speaks at most this often, in milliseconds. */
const QUIET = 5000;

/** @param {HTMLElement} news The live region. */
export function announcer(news) {
  const sum = { added: 0, changed: 0, removed: 0 };
  let waiting = false;
  return (/** @type {{added: number, changed: number, removed: number}} */ counts) => {
    sum.added += counts.added;
    sum.changed += counts.changed;
    sum.removed += counts.removed;
    if (waiting || sum.added + sum.changed + sum.removed === 0) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      const parts = Object.entries(sum).filter(([, count]) => count > 0);
      news.replaceChildren(element('span', {}, parts.map(([what, count]) => `${count} ${what}`).join(', ')));
      sum.added = sum.changed = sum.removed = 0;
    }, QUIET);
  };
}
