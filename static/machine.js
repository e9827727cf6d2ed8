/**
 * When to connect, when to wait and when to stop: the states of a connection as values, and one table of what each event
 * does in each of them. Pure: knows no socket, no timer and no page; who uses it does what the result says.
 *
 * ```text
 *          connect            greeted            trusted
 *   idle ──────────▶ opening ─────────▶ probing ─────────▶ live
 *                     ▲    │ lost          │ lost (a flap)   │ lost
 *         retry, wake │    ▼               ▼                 │
 *                    backoff ◀─────────────┴─────────────────┘
 *                     │ ▲
 *   3 flaps, or more  ▼ │                      fallback: sockets do not get through; polling
 *   failures than    fallback ── retry, wake,  goes on, and a socket is tried now and then
 *   allowed                      reached ──▶ opening
 *
 *   any ── lost with a code that says so ──▶ stopped ── connect ──▶ opening
 *   any ── disconnect ──▶ idle                any ── freeze ──▶ frozen ── wake ──▶ opening
 *
 *   backoff, fallback, frozen ── wake or reached while the server's wait lasts ──▶ backoff, for the rest of that wait
 * ```
 *
 * Two waits are told apart. Our own back-off is shortened: by a wake, and in the fallback by a poll that gets through. The wait that
 * the server asked for (`drain`, `retryAfterMs`) is a floor under it, which only `connect` after `disconnect` or `stopped` ignores.
 *
 * In the fallback a stream of server-sent events is tried after each socket that did not get through (`way`). While one lives the
 * state is `live`, and when it ends a socket comes first. Where sockets are not wanted (`transports`) there is no fallback: a stream
 * takes the place of the socket.
 *
 * Polling is no state: it runs beside `opening`, `backoff` and `fallback` once they have lasted for a moment.
 */
import { delay } from './env.js';
import { onClose } from './codes.js';

/**
 * @typedef {'idle' | 'opening' | 'probing' | 'live' | 'backoff' | 'fallback' | 'stopped' | 'frozen'} Name
 *
 * @typedef {object} State
 * @property {Name} name
 * @property {number} attempt Failures in a row.
 * @property {number} flaps Sockets in a row that were greeted and died before they proved themselves.
 * @property {number} probes Sockets tried in vain since the fallback.
 * @property {number} floor Until when the server asked to stay away.
 * @property {boolean} refresh Whether the last token was refused.
 * @property {number} since When the socket was greeted.
 * @property {'ws' | 'sse'} way What the next attempt, or the present one, opens: a socket or a stream.
 * @property {number} wait Of `backoff` and `fallback`: milliseconds until the next attempt.
 *
 * @typedef {{type: 'connect' | 'disconnect' | 'greeted' | 'trusted' | 'retry' | 'wake' | 'freeze' | 'reached'}
 *   | {type: 'lost', code: number} | {type: 'asked', ms: number}} Event
 * `retry`: the wait is over. `wake`: the page is looked at, or the network has changed. `freeze`: the page goes into the
 * back/forward cache. `reached`: a poll was answered after some that were not. `asked`: the server said how long to stay away.
 *
 * @typedef {'open' | 'close' | 'wait' | 'bridge' | 'settle' | 'rest' | 'ping' | 'poll'} Effect
 * `open` a socket; `close` it and forget what was true only with it; `wait` for `state.wait`; `bridge`: poll, if this lasts;
 * `settle`: the socket has proved itself; `rest`: neither poll nor wait; `ping` whether the server is there; `poll` now.
 *
 * @typedef {object} Context
 * @property {number} now
 * @property {() => number} random
 * @property {boolean} renews Whether another token can be fetched.
 * @property {{reconnectInterval: number, maxReconnectInterval: number, maxReconnectAttempts: number, transports: string[]}} options
 *
 * @typedef {{state: State, effects: Effect[]}} Step
 * @typedef {(state: State, event: any, context: Context) => Step} Rule
 */

/** Sockets that die young in a row mean that something on the way kills them. */
const MOST_FLAPS = 3;
/** Between two attempts at a socket in the fallback, at first and at most. */
const PROBE = 30_000;
/** Between a socket and a stream. */
const SOON = 1000;
const MOST_PROBE = 300_000;
/** The longest wait that is taken from the server. */
const LONGEST_FLOOR = 3_600_000;
/** A connection that lived so long was lost by chance: the next attempt comes soon. */
const PROVEN = 60_000;

/** @type {State} */
export const IDLE = Object.freeze({ name: 'idle', attempt: 0, flaps: 0, probes: 0, floor: 0, refresh: false, since: 0, way: 'ws', wait: 0 });

/** @param {State} state @param {Partial<State>} changes @param {Effect[]} effects @returns {Step} */
const to = (state, changes, ...effects) => ({ state: Object.freeze({ ...state, ...changes }), effects });

/** @type {Rule} */
const stay = (state) => ({ state, effects: [] });
/** What is tried first. @param {Context} context @returns {State['way']} */
const first = ({ options }) => (options.transports.includes('ws') ? 'ws' : 'sse');
/** @type {Rule} From the first delay on, as on a first visit. */
const start = (_state, _event, context) => to(IDLE, { name: 'opening', way: first(context) }, 'open', 'bridge');
/** @type {Rule} One attempt more. */
const again = (state) => to(state, { name: 'opening' }, 'open', 'bridge');
/** @type {Rule} */
const look = ({ refresh }, _event, context) => to(IDLE, { name: 'opening', refresh, way: first(context) }, 'open', 'bridge', 'poll');
/** @type {Rule} */
const end = () => to(IDLE, {}, 'close', 'rest');
/** @type {Rule} */
const freeze = (state) => to(state, { name: 'frozen' }, 'close', 'rest');
/** @type {Rule} */
const greet = (state, _, { now }) => to(state, { name: 'probing', since: now });
/** @type {Rule} A stream says nothing of sockets: the next one that fails leads to a stream at once. */
const trust = ({ since, way }) => to(IDLE, { name: 'live', since, way, flaps: way === 'ws' ? 0 : MOST_FLAPS }, 'settle');
/** @type {Rule} */
const ask = (state, { ms }, { now }) => to(state, { floor: Math.max(state.floor, now + (Math.min(ms, LONGEST_FLOOR) || 0)) });
/** @type {(rule: Rule) => Rule} Not before the server lets us. */
const floored = (rule) => (state, event, context) => {
  const wait = state.floor - context.now;
  return wait > 0 ? to(state, { name: 'backoff', wait }, 'wait', 'bridge', 'poll') : rule(state, event, context);
};
/** @type {Rule} */
const probe = (state) => to(state, {}, 'ping', 'poll');
/** @type {Rule} */
const poll = (state) => to(state, {}, 'poll');

/** @type {Rule} */
const lose = (state, { code }, context) => {
  const action = onClose(code);
  if (action === 'stop' || (action === 'token' && (state.refresh || !context.renews))) return to(state, { name: 'stopped', refresh: false }, 'close', 'rest');
  const { random, options } = context;
  const attempt = state.attempt + 1;
  const flaps = state.name === 'probing' ? state.flaps + 1 : state.flaps;
  const blocked = flaps >= MOST_FLAPS || attempt > options.maxReconnectAttempts;
  const refresh = state.refresh || action === 'token';
  const floor = state.floor - context.now;
  const next = { attempt, flaps, refresh };
  if (first(context) === 'ws' && (blocked || state.way === 'sse')) {
    const way = state.way === 'ws' && options.transports.includes('sse') ? 'sse' : 'ws';
    // After a socket a stream, and after a stream that lived a socket, soon; else it takes its time.
    const turn = way === 'sse' || (state.way === 'sse' && state.name === 'live');
    const most = turn ? SOON : Math.min(MOST_PROBE, PROBE * 2 ** state.probes);
    const wait = Math.max(floor, most * (0.5 + random() / 2));
    return to(state, { ...next, name: 'fallback', way, probes: turn ? state.probes : state.probes + 1, wait }, 'close', 'wait', 'bridge');
  }
  const soon = state.name === 'live' && context.now - state.since > PROVEN && floor <= 0;
  const { reconnectInterval: base, maxReconnectInterval: max } = options;
  const wait = soon ? 100 + 900 * random() : delay(attempt, { base, max, floor, random });
  return to(state, { ...next, name: 'backoff', wait }, 'close', 'wait', 'bridge');
};

/** What an event does where a state does not say. @type {Readonly<Record<Event['type'], Rule>>} */
const ELSE = { connect: stay, disconnect: end, greeted: stay, trusted: stay, lost: stay, retry: stay, wake: stay, freeze: stay, reached: stay, asked: stay };

/** What each event does in each state. @type {Readonly<Record<Name, Readonly<Record<Event['type'], Rule>>>>} */
export const TABLE = Object.freeze({
  idle: { ...ELSE, connect: start, disconnect: stay },
  opening: { ...ELSE, greeted: greet, lost: lose, wake: poll, freeze, asked: ask },
  probing: { ...ELSE, trusted: trust, lost: lose, wake: probe, freeze, asked: ask },
  live: { ...ELSE, lost: lose, wake: probe, freeze, asked: ask },
  backoff: { ...ELSE, retry: again, wake: floored(look), freeze },
  fallback: { ...ELSE, retry: again, wake: floored(look), freeze, reached: floored(again) },
  stopped: { ...ELSE, connect: start },
  frozen: { ...ELSE, wake: floored(look) },
});

/**
 * @param {State} state
 * @param {Event} event
 * @param {Context} context
 * @returns {Step}
 */
export function next(state, event, context) {
  return TABLE[state.name][event.type](state, event, context);
}
