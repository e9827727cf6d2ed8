/**
 * Moving cards between lists, with a pointer and with keys. Knows elements with `data-id` in lists with `data-column`, and neither
 * rows nor the server: `move` is called once, with where the card was dropped.
 */

/** Pixels until a press is a drag. */
const SLOP = 5;

export function movable(root, { names, move, say, redraw }) {
  /** The card that is on its way, and where it was. */
  let held = null;
  const lists = () => [...root.querySelectorAll('[data-column]')];
  const placeOf = (card) => ({ column: card.parentElement.dataset.column, at: [...card.parentElement.children].indexOf(card) });
  const nameOf = (card) => card.querySelector('.text').textContent;

  const take = (card) => {
    held = { card, from: placeOf(card) };
    card.classList.add('held');
  };
  const drop = (keep) => {
    const { card } = held;
    const { column, at } = placeOf(card);
    const id = card.dataset.id;
    held = null;
    card.classList.remove('held');
    if (keep) move(id, column, at);
    else redraw();
  };
  const put = (list, before) => list.insertBefore(held.card, before ?? null);

  // The pointer.
  root.addEventListener('pointerdown', (event) => {
    const card = event.target.closest('[data-id]');
    const grip = event.target.closest('.grip');
    if (!card || held || event.button !== 0 || (event.target.closest('button') && !grip)) return;
    // A finger on the text scrolls; on the handle it drags.
    if (event.pointerType === 'touch' && !grip) return;
    const [x, y] = [event.clientX, event.clientY];
    const on = (event) => {
      if (!held && Math.hypot(event.clientX - x, event.clientY - y) < SLOP) return;
      if (!held) {
        take(card);
        getSelection()?.removeAllRanges();
      }
      event.preventDefault();
      over(event.clientX, event.clientY);
    };
    const end = (keep) => () => {
      removeEventListener('pointermove', on);
      removeEventListener('pointerup', up);
      removeEventListener('pointercancel', cancel);
      removeEventListener('keydown', escape);
      if (held?.card === card) drop(keep);
    };
    const [up, cancel] = [end(true), end(false)];
    const escape = ({ key }) => key === 'Escape' && cancel();
    addEventListener('pointermove', on);
    addEventListener('pointerup', up);
    addEventListener('pointercancel', cancel);
    addEventListener('keydown', escape);
  });
  const over = (x, y) => {
    const list = lists().find((list) => {
      const { left, right, top, bottom } = list.parentElement.getBoundingClientRect();
      return x >= left && x <= right && y >= top && y <= bottom;
    });
    if (!list) return;
    const others = [...list.children].filter((card) => card !== held.card);
    const before = others.find((card) => {
      const { top, height } = card.getBoundingClientRect();
      return y < top + height / 2;
    });
    if (held.card.parentElement !== list || held.card.nextElementSibling !== (before ?? null)) put(list, before);
  };

  // The keys.
  root.addEventListener('keydown', (event) => {
    const grip = event.target.closest?.('.grip');
    const card = grip?.closest('[data-id]');
    if (!card) return;
    const { key } = event;
    if (key === ' ' || key === 'Enter') {
      event.preventDefault();
      if (held) say(`${nameOf(card)} dropped in ${names[placeOf(card).column]}.`);
      else say(`${nameOf(card)} picked up. The arrows move it, Space drops it, Escape puts it back.`);
      if (held) drop(true);
      else take(card);
      grip.focus();
    } else if (held?.card === card && key === 'Escape') {
      drop(false);
      say(`${nameOf(card)} put back.`);
      grip.focus();
    } else if (held?.card === card && key.startsWith('Arrow')) {
      event.preventDefault();
      step(card, key);
      const { column, at } = placeOf(card);
      say(`${names[column]}, place ${at + 1}.`);
      grip.focus();
    }
  });
  const step = (card, key) => {
    const all = lists();
    const list = card.parentElement;
    if (key === 'ArrowUp' && card.previousElementSibling) put(list, card.previousElementSibling);
    if (key === 'ArrowDown' && card.nextElementSibling) put(list, card.nextElementSibling.nextElementSibling);
    const at = [...list.children].indexOf(card);
    const next = all[all.indexOf(list) + (key === 'ArrowRight' ? 1 : key === 'ArrowLeft' ? -1 : 0)];
    if (next && next !== list) put(next, next.children[at]);
  };
  root.addEventListener('focusout', ({ target, relatedTarget }) => {
    // A card that is moved is taken out and put in: the focus leaves for a moment, to nothing.
    if (held && relatedTarget && target.closest('[data-id]') === held.card) drop(false);
  });

  return { holds: () => held !== null };
}
