/**
 * The states of a connection: a rule for every event in every state, and what the rules promise.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDLE, next, TABLE } from '../../static/machine.js';

const EVENTS = [
  { type: 'connect' },
  { type: 'disconnect' },
  { type: 'greeted' },
  { type: 'trusted' },
  { type: 'lost', code: 1006 },
  { type: 'retry' },
  { type: 'wake' },
  { type: 'freeze' },
  { type: 'reached' },
  { type: 'asked', ms: 5000 },
];
const options = { reconnectInterval: 1000, maxReconnectInterval: 30_000, maxReconnectAttempts: 10, transports: ['ws', 'poll'] };
const context = { now: 0, random: () => 0.5, renews: true, options };
const walk = (events, from = IDLE, given = {}) => events.reduce((state, event) => next(state, typeof event === 'string' ? { type: event } : event, { ...context, ...given }).state, from);
const lost = (code = 1006) => ({ type: 'lost', code });

/** Where each event leads, from each state as it is first reached. */
const EXPECTED = {
  //         connect   disconnect greeted   trusted   lost       retry      wake       freeze    reached    asked
  idle: ['opening', 'idle', 'idle', 'idle', 'idle', 'idle', 'idle', 'idle', 'idle', 'idle'],
  opening: ['opening', 'idle', 'probing', 'opening', 'backoff', 'opening', 'opening', 'frozen', 'opening', 'opening'],
  probing: ['probing', 'idle', 'probing', 'live', 'backoff', 'probing', 'probing', 'frozen', 'probing', 'probing'],
  live: ['live', 'idle', 'live', 'live', 'backoff', 'live', 'live', 'frozen', 'live', 'live'],
  backoff: ['backoff', 'idle', 'backoff', 'backoff', 'backoff', 'opening', 'opening', 'frozen', 'backoff', 'backoff'],
  fallback: ['fallback', 'idle', 'fallback', 'fallback', 'fallback', 'opening', 'opening', 'frozen', 'opening', 'fallback'],
  stopped: ['opening', 'idle', 'stopped', 'stopped', 'stopped', 'stopped', 'stopped', 'stopped', 'stopped', 'stopped'],
  frozen: ['frozen', 'idle', 'frozen', 'frozen', 'frozen', 'frozen', 'opening', 'frozen', 'frozen', 'frozen'],
};
const FLAP = ['greeted', lost()];
const STATES = {
  idle: IDLE,
  opening: walk(['connect']),
  probing: walk(['connect', 'greeted']),
  live: walk(['connect', 'greeted', 'trusted']),
  backoff: walk(['connect', lost()]),
  fallback: walk(['connect', ...FLAP, 'retry', ...FLAP, 'retry', ...FLAP]),
  stopped: walk(['connect', lost(4403)]),
  frozen: walk(['connect', 'freeze']),
};

test('every event has a rule in every state, and leads where the table of this test says', () => {
  assert.deepEqual(Object.keys(TABLE), Object.keys(EXPECTED));
  for (const [name, row] of Object.entries(EXPECTED)) {
    assert.deepEqual(Object.keys(TABLE[name]), EVENTS.map(({ type }) => type), name);
    const reached = EVENTS.map((event) => next(STATES[name], event, context).state);
    assert.deepEqual(reached.map((state) => state.name), row, name);
    for (const state of reached) assert.ok(Object.isFrozen(state), 'a state is a value');
  }
});

test('a socket is open in three states only, and waited for in two', () => {
  for (const [name, state] of Object.entries(STATES)) {
    for (const event of EVENTS) {
      const { state: after, effects } = next(state, event, context);
      const had = ['opening', 'probing', 'live'].includes(name);
      const has = ['opening', 'probing', 'live'].includes(after.name);
      const what = `${name}, ${event.type}`;
      assert.equal(effects.includes('open'), has && !had, what);
      if (had && !has) assert.ok(effects.includes('close'), what);
      assert.equal(effects.includes('wait'), ['backoff', 'fallback'].includes(after.name) && had, what);
      if (['idle', 'stopped', 'frozen'].includes(after.name) && name !== after.name) assert.ok(effects.includes('rest'), what);
    }
  }
});

test('three sockets in a row that die young lead to the fallback; one that proves itself forgets them', () => {
  assert.deepEqual([STATES.fallback.name, STATES.fallback.flaps], ['fallback', 3]);
  const two = walk(['connect', ...FLAP, 'retry', ...FLAP, 'retry']);
  const proven = walk(['greeted', 'trusted', lost(), 'retry', ...FLAP], two);
  assert.deepEqual([proven.name, proven.flaps], ['backoff', 1]);
});

test('in the fallback a socket is tried ever more rarely, at once when polls get through again, and wins', () => {
  const waits = [];
  let state = STATES.fallback;
  for (let probe = 0; probe < 8; probe++) {
    waits.push(state.wait);
    state = walk(['retry', lost()], state);
  }
  assert.deepEqual(waits, [22_500, 45_000, 90_000, 180_000, 225_000, 225_000, 225_000, 225_000]);
  assert.equal(walk(['reached'], state).name, 'opening');
  const won = walk(['retry', 'greeted', 'trusted'], state);
  assert.deepEqual([won.name, won.attempt, won.flaps, won.probes], ['live', 0, 0, 0]);
});

test('more failures than allowed lead to the fallback', () => {
  let state = STATES.opening;
  for (let attempt = 1; attempt <= 10; attempt++) {
    state = walk([lost()], state);
    assert.equal(state.name, 'backoff');
    state = walk(['retry'], state);
  }
  assert.equal(walk([lost()], state).name, 'fallback');
});

test('what lived for long was lost by chance and is tried soon, unless the server asked for time', () => {
  const old = walk([lost()], STATES.live, { now: 60_001 });
  assert.equal(old.wait, 550);
  assert.equal(walk([lost()], STATES.live, { now: 60_000 }).wait, 750);
  const drained = walk([{ type: 'asked', ms: 9000 }, lost(1012)], STATES.live, { now: 60_001 });
  assert.equal(drained.wait, 9000);
});

test('a wake shortens our own back-off, and no wait that the server asked for', () => {
  const own = walk([lost(), 'retry', lost()], STATES.opening);
  assert.equal(walk(['wake'], own).name, 'opening');
  const at = (now, events, from) => walk(events, from, { now });
  const drained = at(1000, [{ type: 'asked', ms: 9000 }, lost(1012)], STATES.live);
  const step = next(drained, { type: 'wake' }, { ...context, now: 4000 });
  assert.deepEqual([step.state.name, step.state.wait, step.effects], ['backoff', 6000, ['wait', 'bridge', 'poll']]);
  // Neither a second wake nor the page cache shortens it; after it, the next wake connects.
  assert.deepEqual([at(5000, ['wake'], step.state).wait, at(5000, ['freeze', 'wake'], step.state).wait], [5000, 5000]);
  assert.equal(at(10_000, ['wake'], step.state).name, 'opening');
  assert.equal(at(10_000, ['retry'], step.state).name, 'opening');
  // It is one wait only, and it ends with the connection that proves itself.
  assert.equal(at(10_000, ['retry', lost()], step.state).wait, 250 + 0.5 * 2000);
  assert.equal(at(6000, ['retry', 'greeted', 'trusted', lost()], step.state).floor, 0);
});

test('in the fallback, too, neither a wake nor a poll that gets through shortens what the server asked for', () => {
  const full = walk(['retry', { type: 'asked', ms: 60_000 }, lost()], STATES.fallback);
  assert.equal(full.wait, 60_000);
  for (const event of ['wake', 'reached']) {
    const { state } = next(full, { type: event }, { ...context, now: 20_000 });
    assert.deepEqual([state.name, state.wait], ['backoff', 40_000], event);
    assert.equal(next(full, { type: event }, { ...context, now: 60_000 }).state.name, 'opening');
  }
});

test('a wait from the server that is no number counts as none, and an absurd one as an hour', () => {
  for (const [ms, wait] of [[undefined, 750], ['soon', 750], [NaN, 750], [-5, 750], [1e15, 3_600_000]])
    assert.equal(walk([{ type: 'asked', ms }, lost()], STATES.opening).wait, wait, String(ms));
});

test('a refused token is renewed once; the renewed one, or one that nobody renews, ends it', () => {
  const first = walk([lost(4401)], STATES.opening);
  assert.deepEqual([first.name, first.refresh], ['backoff', true]);
  assert.equal(walk(['wake'], first).refresh, true);
  assert.equal(walk(['retry', lost(4401)], first).name, 'stopped');
  assert.equal(walk(['retry', 'greeted', 'trusted'], first).refresh, false);
  assert.equal(walk([lost(4401)], STATES.opening, { renews: false }).name, 'stopped');
});

test('in the fallback a stream follows each socket that does not get through, and a socket each stream', () => {
  const given = { options: { ...options, transports: ['ws', 'sse', 'poll'] } };
  const go = (events, from) => walk(events, from, given);
  const blocked = go(['connect', ...FLAP, 'retry', ...FLAP, 'retry', ...FLAP]);
  assert.deepEqual([blocked.name, blocked.way, blocked.wait], ['fallback', 'sse', 750]);
  // A stream that does not get through either: the next socket takes its time, and the one after that longer.
  const alone = go(['retry', lost()], blocked);
  assert.deepEqual([alone.name, alone.way, alone.wait], ['fallback', 'ws', 22_500]);
  const later = go(['retry', lost(), 'retry', lost()], alone);
  assert.deepEqual([later.way, later.wait], ['ws', 45_000]);
  // One that lives and ends gives way to a socket, and comes back when that one fails.
  const streams = go(['retry', 'greeted', 'trusted'], blocked);
  assert.deepEqual([streams.name, streams.way], ['live', 'sse']);
  const ended = go([lost(1012)], streams);
  assert.deepEqual([ended.name, ended.way, ended.wait], ['fallback', 'ws', 750]);
  assert.equal(go(['retry', lost()], ended).way, 'sse');
  // A socket that gets through begins anew.
  assert.deepEqual(go(['retry', 'greeted', 'trusted'], ended), { ...IDLE, name: 'live' });
  // The network has changed: a socket at once.
  assert.deepEqual([go(['wake'], blocked).name, go(['wake'], blocked).way], ['opening', 'ws']);
});

test('where sockets are not wanted, streams take their place, with the waits of sockets', () => {
  const given = { options: { ...options, transports: ['sse', 'poll'] } };
  const go = (events, from) => walk(events, from, given);
  const opening = go(['connect']);
  assert.deepEqual([opening.name, opening.way], ['opening', 'sse']);
  const live = go(['greeted', 'trusted'], opening);
  assert.deepEqual([live.name, live.way], ['live', 'sse']);
  let state = live;
  for (let attempt = 1; attempt <= 15; attempt++) {
    state = go([lost(), 'retry'], state);
    assert.deepEqual([state.name, state.way, state.attempt], ['opening', 'sse', attempt]);
  }
  const waits = go([lost()], state);
  assert.deepEqual([waits.name, waits.way, waits.wait], ['backoff', 'sse', 15_250]);
  assert.deepEqual([go(['wake'], waits).name, go(['wake'], waits).way], ['opening', 'sse']);
});
