/**
 * The few tabs of a browser that hold a stream: over HTTP/1.1 a browser opens six connections to a server at most, and each stream
 * holds one for good. The other tabs poll, and the first that has a stream tells them when. No frame goes from tab to tab: each
 * fetches what its own user may see. Knows neither sockets nor rows.
 */
import { Timers } from './timers.js';

/** Tabs with a stream of their own. The other connections are for requests. */
const MOST_STREAMS = 3;
/** Channels that one tab listens to for the others at most. Of further ones they hear when they poll. */
const MOST_WANTED = 20;
/** How often a tab says what it wants, and how long that counts. Timers of a hidden tab run once a minute. */
const WANTS = 5000;
const WANTED = 90_000;
/** Changes that come together are told together. */
const TOGETHER = 50;
/** Frames that come with a subscription, not with a change. */
const QUIET = new Set(['subscribed', 'snapshot', 'pong', 'error']);

/**
 * @typedef {object} Host What the client lends.
 * @property {import('./env.js').Env} env
 * @property {URL} url Of the socket. Tabs with one address share.
 * @property {{shareConnection: 'fallback' | boolean, transports: string[]}} options
 * @property {AbortSignal} signal Ends the wait, or gives the place back.
 * @property {Map<string, any>} channels Of this tab.
 * @property {(channel: string, call: (frame: import('./track.js').Frame) => void) => () => void} listen
 * @property {() => void} soon Polls now.
 */

/**
 * Waits until this tab may hold a stream.
 *
 * @param {Host} host
 * @returns {Promise<(() => void) | null>} Tells the waiting tabs that sockets get through again. Null: such a word has come.
 */
export async function place(host) {
  const { env, url, signal } = host;
  const name = `tidewire-stream ${url.href}`;
  const { locks = globalThis.navigator?.locks, BroadcastChannel: Channel = globalThis.BroadcastChannel } = env;
  // Pages over plain http from another machine have no locks.
  if (!locks || !Channel) return () => {};
  const others = new Channel(name);
  signal.addEventListener('abort', () => others.close());
  /** @param {number} at @param {LockOptions} options @returns {Promise<boolean>} */
  const take = (at, options) =>
    new Promise((resolve) => {
      const held = (/** @type {Lock | null} */ lock) => {
        resolve(lock !== null);
        if (lock && !signal.aborted) return new Promise((free) => signal.addEventListener('abort', free));
      };
      locks.request(`${name} ${at}`, options, held).catch(() => resolve(false));
    });
  let found = false;
  for (let at = 0; at < MOST_STREAMS && !found; at++) {
    found = await take(at, { ifAvailable: true });
    if (found && at === 0) lead(host, others);
  }
  if (!found && !(await follow(host, others, (waits) => take(0, { signal: waits })))) return null;
  return () => others.postMessage({ through: true });
}

/**
 * @param {Host} host
 * @param {BroadcastChannel} others
 */
function lead({ env, listen, signal }, others) {
  const timers = new Timers(env);
  /** @type {Map<string, {until: number, leave: () => void}>} by channel */
  const wanted = new Map();
  /** @type {Set<string>} */
  const moved = new Set();
  const tell = () => {
    others.postMessage({ moved: [...moved] });
    moved.clear();
  };
  /** @param {string} channel @param {string} type */
  const hear = (channel, type) => {
    if (QUIET.has(type)) return;
    moved.add(channel);
    if (!timers.has('tell')) timers.set('tell', TOGETHER, tell);
  };
  const sweep = () => {
    for (const [channel, { until, leave }] of wanted) {
      if (until > env.now()) continue;
      wanted.delete(channel);
      leave();
    }
    timers.set('sweep', WANTED, sweep);
  };
  others.onmessage = ({ data }) => {
    for (const channel of data.wants ?? []) {
      const leave = wanted.get(channel)?.leave ?? (wanted.size < MOST_WANTED ? listen(channel, ({ type }) => hear(channel, type)) : null);
      if (leave) wanted.set(channel, { until: env.now() + WANTED, leave });
    }
  };
  signal.addEventListener('abort', () => {
    timers.clear();
    for (const { leave } of wanted.values()) leave();
  });
  sweep();
  others.postMessage({ asks: true });
}

/**
 * @param {Host} host
 * @param {BroadcastChannel} others
 * @param {(waits: AbortSignal) => Promise<boolean>} take
 * @returns {Promise<boolean>} whether this tab has the first place now
 */
async function follow(host, others, take) {
  const { env, channels, soon, signal } = host;
  const timers = new Timers(env);
  const waits = new AbortController();
  signal.addEventListener('abort', () => waits.abort());
  const want = () => {
    others.postMessage({ wants: [...channels.keys()].slice(0, MOST_WANTED) });
    timers.set('want', WANTS, want);
  };
  others.onmessage = ({ data }) => {
    if (data.asks) want();
    else if (data.through) waits.abort();
    else if ([...channels.keys()].some((channel) => data.moved?.includes(channel))) soon();
  };
  want();
  const found = await take(waits.signal);
  timers.clear();
  if (found) lead(host, others);
  return found;
}
