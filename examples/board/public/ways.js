/**
 * Three ways over which the same events arrive: a stream of server-sent events, which needs nothing but the browser; the socket of the
 * page; or requests, every few seconds. Each begins with the newest entries. Knows no elements.
 *
 * @typedef {object} Listener
 * @property {(entries: any[]) => void} take
 * @property {() => void} clear What was seen is seen no longer, or belongs to another history.
 * @property {() => void} live Everything up to now has come.
 *
 * @typedef {{stop: () => void, cut: (off: boolean) => void}} Way
 */
import { activity } from '/static/activity.js';
import { RealtimeClient } from '/static/client.js';

const ENTITIES = ['Board', 'Card', 'Message'];
const CHANNEL = `activity?entity=${ENTITIES}`;
/** Entries at first. */
const FIRST = 50;
/** Milliseconds until another try, and between two requests. */
const AGAIN = 2000;

/** The words for each, as the page says them. */
export const WAYS = { sse: 'server-sent events', ws: 'the WebSocket', poll: 'requests every few seconds' };

/** @param {keyof typeof WAYS} name @param {object} page @param {Listener} listener @returns {Way} */
export function open(name, { rt, api, env, as, token }, listener) {
  if (name === 'sse') return stream({ as, token }, listener);
  if (name === 'ws') return { stop: follow(rt, api, listener), cut: () => {} };
  const url = `/ws${as ? `?as=${encodeURIComponent(as)}` : ''}`;
  const asking = new RealtimeClient(url, { enabled: false, pollInterval: AGAIN, maxPollInterval: AGAIN, getToken: token, env });
  const end = follow(asking, api, listener);
  asking.connect();
  const stop = () => {
    end();
    asking.disconnect();
  };
  // Without a network a request fails by itself. With one again, it is not waited for the next.
  const cut = (off) => {
    if (off) return;
    asking.disconnect();
    asking.connect();
  };
  return { stop, cut };
}

function follow(rt, api, { take, clear, live }) {
  const entries = activity(rt, api, { entities: ENTITIES, limit: FIRST });
  const stops = [
    rt.on('resync', (channel) => channel === CHANNEL && clear()),
    entries.subscribe(take),
    entries.state.subscribe((state) => state === 'live' && live()),
    entries.close,
  ];
  return () => stops.forEach((stop) => stop());
}

/** The browser connects again by itself, and says what it has. Only an address whose ticket is spent needs another one. */
function stream({ as, token }, { take, clear, live }) {
  let source = null;
  let timer = 0;
  /** Changes with every start and stop, so that a ticket for an earlier one opens nothing. */
  let run = 0;
  /** Where the stream is, for one that begins anew. */
  let point = null;

  const connect = async () => {
    const mine = ++run;
    const query = new URLSearchParams({ channel: CHANNEL, snapshot: 'true', limit: String(FIRST), sort: '', ...point });
    if (as) query.set('as', as);
    const secret = await token?.();
    // An EventSource sends no headers. A ticket opens one stream; a login in a cookie needs none.
    const ticket = secret && (await ticketFor(secret));
    if (mine !== run) return;
    if (ticket === null) return again();
    if (ticket) query.set('ticket', ticket);
    source = new EventSource(`/sse?${query}`);
    let view;
    const on = (type, act) =>
      source.addEventListener(type, ({ data, lastEventId }) => {
        const { channel, payload } = JSON.parse(data);
        const [, since] = /^([^:]+:\d+):/.exec(lastEventId) ?? [];
        if (since && view) point = { since, view };
        act(payload, channel);
      });
    on('subscribed', (payload) => void ({ view } = payload));
    on('activity', (payload) => take([payload]));
    on('snapshot', ({ rows }) => take(rows));
    on('pong', (payload, channel) => channel && live());
    on('resync', () => {
      point = null;
      clear();
    });
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
  return { stop, cut: (off) => (off ? stop() : (stop(), connect())) };
}
