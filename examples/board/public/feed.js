/**
 * What happened, newest first. It arrives over the way that the user chooses, and stays when they choose another: the old one goes on
 * until the new one has told everything up to now, and an entry that both tell is one entry.
 */
import { h, time } from './page.js';
import { open, WAYS } from './ways.js';

const WORDS = { create: 'added', update: 'changed', delete: 'deleted' };
/** Fields that say where a card is. */
const PLACE = ['column', 'position'];
const CHAT = { create: 'wrote in the chat', update: 'changed a message', delete: 'deleted a message' };
/** Entries that the page keeps. */
const MOST = 200;

/** @param {{nameOf: (id: string) => string, [more: string]: any}} page @param {HTMLElement} section */
export function feed(page, section) {
  const { nameOf } = page;
  const list = section.querySelector('ol');
  const over = section.querySelector('.over');
  const choice = section.querySelector('form');
  const entries = new Map();
  /** What brings the entries now, and what is to bring them. */
  let way = null;
  let next = null;
  let off = false;

  const newest = () => [...entries.keys()].sort((a, b) => b - a);
  const draw = () => list.replaceChildren(...newest().map((seq) => line(entries.get(seq))));
  const line = ({ seq, by, op, entity, label, changed, at }) => {
    const moved = op === 'update' && changed.every((field) => PLACE.includes(field));
    const what = entity === 'Message' ? CHAT[op] : `${moved ? 'moved' : WORDS[op]} ${entity.toLowerCase()} `;
    return h('li', { 'data-seq': seq }, time(at), ' ', h('strong', {}, by ? nameOf(by) : 'The server'), ` ${what}`, h('em', {}, label ?? ''));
  };
  const take = (some) => {
    for (const entry of some) entries.set(entry.seq, entry);
    for (const seq of newest().splice(MOST)) entries.delete(seq);
    draw();
  };

  const choose = () => {
    const name = choice.elements.way.value;
    next?.stop();
    let done = false;
    const live = () => {
      // Also when it has been away.
      if (done || mine !== next) return;
      done = true;
      way?.stop();
      [way, next] = [mine, null];
      over.textContent = `Arrives over ${WAYS[name]}.`;
    };
    const mine = open(name, page, { take, clear: () => entries.clear(), live: () => queueMicrotask(live) });
    next = mine;
    over.textContent = `Changes to ${WAYS[name]}…`;
    if (off) mine.cut(true);
  };
  choice.addEventListener('change', choose);
  choose();
  return {
    draw,
    cut(now) {
      off = now;
      for (const one of [way, next]) one?.cut(off);
    },
  };
}
