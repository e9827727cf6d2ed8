/**
 * A menu that belongs to a button: open with a click or by keyboard, closed by Escape or a click beside it. Knows no record.
 */
import { element } from './dom.js';

/**
 * @typedef {object} Item
 * @property {string} text
 * @property {() => void} [act]
 * @property {string} [href] A way to another page, in place of `act`.
 * @property {boolean} [danger]
 */

/** Room to the edge of the window, in pixels. */
const EDGE = 8;

/**
 * @param {HTMLElement} button
 * @param {string} label
 * @param {Item[]} items
 */
export function openMenu(button, label, items) {
  const made = items.map(({ text, act, href, danger }) => {
    const props = { role: 'menuitem', tabindex: -1, class: danger ? 'danger' : null };
    if (href !== undefined) return element('a', { ...props, href }, text);
    const click = () => {
      close();
      act?.();
    };
    return element('button', { ...props, type: 'button', click }, text);
  });
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    const at = made.findIndex((one) => one === document.activeElement);
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    event.stopPropagation();
    if (event.key in moves) made.at(moves[event.key] % made.length)?.focus();
    else if (event.key === 'Escape' || event.key === 'Tab') close();
    else return;
    event.preventDefault();
  };
  const menu = element('div', { class: 'menu', role: 'menu', 'aria-label': label, popover: 'auto', keydown }, ...made);
  const close = () => {
    menu.hidePopover();
    button.focus({ preventScroll: true });
  };
  menu.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== 'closed') return;
    button.setAttribute('aria-expanded', 'false');
    menu.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  place(menu, button);
  button.setAttribute('aria-expanded', 'true');
  made[0]?.focus({ preventScroll: true });
}

/** Below the button, or above it where there is no room. @param {HTMLElement} popover @param {HTMLElement} button */
export function place(popover, button) {
  const { top, bottom, right, left } = button.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const below = bottom + height + EDGE <= innerHeight;
  const x = right - width >= EDGE ? right - width : Math.min(left, innerWidth - width - EDGE);
  popover.style.left = `${Math.max(EDGE, x)}px`;
  popover.style.top = `${below ? bottom + 2 : Math.max(EDGE, top - height - 2)}px`;
}
