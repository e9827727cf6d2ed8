/**
 * What happened, over server-sent events. The stream begins with the newest entries, so a page that comes late has them too. The
 * browser reconnects by itself and says what it has; only an address whose ticket is spent needs another one.
 */
import { h, time } from './page.js';

const WORDS = { create: 'added', update: 'changed', delete: 'deleted' };
/** Fields that say where a card is. */
const PLACE = ['column', 'position'];
const CHAT = { create: 'wrote in the chat', update: 'changed a message', delete: 'deleted a message' };
/** Entries that the page keeps. */
const MOST = 200;
const AGAIN = 2000;

/** @param {{as: string | null, token?: () => any, nameOf: (id: string) => string}} user @param {HTMLElement} list */
export function feed({ as, token, nameOf }, list) {
  const entries = new Map();
  let source = null;
  let timer = 0;
  /** Changes with every start and stop, so that a ticket for an earlier one opens nothing. */
  let run = 0;

  const show = (entry) => {
    entries.set(entry.seq, entry);
    for (const seq of newest().splice(MOST)) entries.delete(seq);
    draw();
  };
  const newest = () => [...entries.keys()].sort((a, b) => b - a);
  const draw = () => list.replaceChildren(...newest().map((seq) => line(entries.get(seq))));
  const line = ({ seq, by, op, entity, label, changed, at }) => {
    const moved = op === 'update' && changed.every((field) => PLACE.includes(field));
    const what = entity === 'Message' ? CHAT[op] : `${moved ? 'moved' : WORDS[op]} ${entity.toLowerCase()} `;
    return h('li', { 'data-seq': seq }, time(at), ' ', h('strong', {}, by ? nameOf(by) : 'The server'), ` ${what}`, h('em', {}, label ?? ''));
  };
  const take = (act) => ({ data }) => act(JSON.parse(data).payload);

  const connect = async () => {
    const mine = ++run;
    const query = new URLSearchParams({ channel: 'activity?entity=Board,Card,Message', snapshot: 'true', limit: '50', sort: '' });
    if (as) query.set('as', as);
    const secret = await token?.();
    // An EventSource sends no headers. A ticket opens one stream; a login in a cookie needs none.
    const ticket = secret && (await ticketFor(secret));
    if (mine !== run) return;
    if (ticket === null) return again();
    if (ticket) query.set('ticket', ticket);
    source = new EventSource(`/sse?${query}`);
    source.addEventListener('activity', take(show));
    source.addEventListener('snapshot', take(({ rows }) => rows.forEach(show)));
    // What was seen is seen no longer, or belongs to another history: a snapshot follows.
    source.addEventListener('resync', () => entries.clear());
    source.addEventListener('error', () => source?.readyState === EventSource.CLOSED && again());
  };
  const ticketFor = async (secret) => {
    const answer = await fetch('/api/auth/ticket', { method: 'POST', headers: { Authorization: `Bearer ${secret}` } }).catch(() => null);
    return answer?.ok ? (await answer.json()).ticket : null;
  };
  const again = () => void (timer = setTimeout(connect, AGAIN));
  const stop = () => {
    run++;
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  connect();
  return { draw, cut: (off) => (off ? stop() : (stop(), connect())) };
}
