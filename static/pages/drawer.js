/**
 * What stands at the side of the table when a record is added: a form that can be left and taken up again. The table beside it
 * stays in use.
 */
import { find } from './dom.js';

/** @param {HTMLElement} opener Gets the focus back. */
export function drawer(opener) {
  /** @type {HTMLDialogElement} */
  const dialog = find('#drawer');
  const close = () => {
    dialog.close();
    opener.focus({ preventScroll: true });
  };
  dialog.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    close();
  });
  find('.close', dialog).addEventListener('click', close);
  return {
    open() {
      if (!dialog.open) dialog.show();
      /** @type {HTMLElement | null} */ (dialog.querySelector('form :is(input, select, textarea)'))?.focus();
    },
    close,
  };
}
