/**
 * What happened, over server-sent events. The stream begins with the newest entries, so a page that comes late has them too. The
 * browser reconnects by itself and says what it has; only an address whose ticket is spent needs another one.
 */
import { h, time } from './page.js';

const WORDS = { create: 'added', update: 'changed', delete: 'deleted' };
/** Entries that the page keeps. */
const MOST = 200;
const AGAIN = 2000;

export function feed({ as, token }, list) {
  const entries = new Map();
  let source = null;
  let timer = 0;

  const show = ({ seq, by, op, entity, label, id, changed, at }) => {
    entries.set(seq, h('li', { 'data-seq': seq }, time(at), ' ', h('strong', {}, by ?? 'The server'), ` ${WORDS[op]} ${entity.toLowerCase()} `, h('em', {}, label ?? (entity === 'Message' ? '' : id)), changed ? ` (${changed.join(', ')})` : ''));
    const newest = [...entries.keys()].sort((a, b) => b - a);
    for (const seq of newest.splice(MOST)) entries.delete(seq);
    list.replaceChildren(...newest.map((seq) => entries.get(seq)));
  };
  const take = (act) => ({ data }) => act(JSON.parse(data).payload);

  const connect = async () => {
    const query = new URLSearchParams({ channel: 'activity', snapshot: 'true', limit: '50', sort: '' });
    if (as) query.set('as', as);
    const secret = await token?.();
    // An EventSource sends no headers. A ticket opens one stream; a login in a cookie needs none.
    const ticket = secret && (await ticketFor(secret));
    if (ticket === null) return again();
    if (ticket) query.set('ticket', ticket);
    source = new EventSource(`/sse?${query}`);
    source.addEventListener('activity', take(show));
    source.addEventListener('snapshot', take(({ rows }) => rows.forEach(show)));
    source.addEventListener('error', () => source?.readyState === EventSource.CLOSED && again());
  };
  const ticketFor = async (secret) => {
    const answer = await fetch('/api/auth/ticket', { method: 'POST', headers: { Authorization: `Bearer ${secret}` } }).catch(() => null);
    return answer?.ok ? (await answer.json()).ticket : null;
  };
  const again = () => void (timer = setTimeout(connect, AGAIN));
  const stop = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  connect();
  return { cut: (off) => (off ? stop() : (stop(), connect())), close: stop };
}
