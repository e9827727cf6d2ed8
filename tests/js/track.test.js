/**
 * Where a channel stands, as a table: what each message does in each phase. A type or a phase that is added without a row
 * here turns this red.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Track } from '../../static/track.js';

const CHANNEL = { channel: 'entity:Task' };
const POINT = { epoch: 'e1', seq: 10, view: 'v' };

/** Frames that all belong to a channel standing at 10. */
const FRAMES = {
  recovered: { type: 'subscribed', requestId: 'r2', payload: { epoch: 'e1', seq: 12, view: 'v', recovered: true } },
  anew: { type: 'subscribed', requestId: 'r2', payload: { epoch: 'e1', seq: 12, view: 'w', recovered: false }, more: true },
  resync: { type: 'resync', payload: { epoch: 'e1', seq: 12, view: 'w', reason: 'rights' }, more: true },
  snapshot: { type: 'snapshot', seq: 12, payload: { rows: [] }, more: true },
  event: { type: 'entity:updated', seq: 11, prev: 10, payload: { id: 'a' } },
  part: { type: 'entity:created', seq: 11, prev: 10, payload: { id: 'a' }, more: true },
  left: { type: 'entity:deleted', seq: 11, prev: 10, payload: { id: 'a' }, cause: 'left' },
  old: { type: 'entity:deleted', seq: 10, prev: 9, payload: { id: 'a' } },
  hole: { type: 'entity:updated', seq: 13, prev: 12, payload: { id: 'a' } },
  lost: { type: 'entity:deleted', at: 12, payload: { id: 'a' }, more: true },
  entered: { type: 'entity:created', at: 12, payload: { id: 'b' }, more: true, cause: 'entered' },
  told: { type: 'activity', seq: 11, prev: 10, payload: { seq: 11 } },
  pong: { type: 'pong', payload: { epoch: 'e1', seq: 12, view: 'w' } },
  strange: { type: 'entity:renamed', payload: {} },
};

/** How a track gets into each phase, standing at 10. */
const PHASES = {
  idle: (track) => track.detach(),
  asked: (track) => track.ask('r2', { snapshot: true }),
  replay: (track) => (track.ask('r2', { snapshot: true }), track.accept(FRAMES.recovered)),
  snapshot: (track) => (track.ask('r2', { snapshot: true }), track.accept(FRAMES.anew), (track.seen = 10)),
  live: () => {},
  rebind: (track) => track.accept(FRAMES.lost),
  refused: (track) => track.refuse(),
};

// `verdict phase seen position view`, or a dash where nothing may change.
const TABLE = {
  //          recovered                anew                       resync
  idle:     ['drop -',                'drop -',                  'drop -'],
  asked:    ['deliver replay 10 10 v', 'deliver snapshot 12 10 v', 'drop -'],
  replay:   ['drop -',                'drop -',                  'deliver snapshot 12 10 v'],
  snapshot: ['drop -',                'drop -',                  'deliver snapshot 12 10 v'],
  live:     ['drop -',                'drop -',                  'deliver snapshot 12 10 v'],
  rebind:   ['drop -',                'drop -',                  'deliver snapshot 12 10 v'],
  refused:  ['drop -',                'drop -',                  'drop -'],
};
const EVENTS = {
  //          snapshot   event                      part                       lost, entered            pong
  idle:     ['drop -',    'drop -',                  'drop -',                  'drop -',                'drop -'],
  asked:    ['drop -',    'drop -',                  'drop -',                  'drop -',                'drop -'],
  replay:   ['drop -',    'deliver replay 11 11 v',  'deliver replay 11 10 v',  'deliver rebind 10 10 v', 'deliver live 12 12 w'],
  snapshot: ['deliver -', 'deliver snapshot 11 10 v', 'deliver snapshot 11 10 v', 'deliver -',            'deliver live 12 12 w'],
  live:     ['drop -',    'deliver live 11 11 v',    'deliver live 11 10 v',    'deliver rebind 10 10 v', 'deliver live 12 12 w'],
  rebind:   ['drop -',    'deliver rebind 11 10 v',  'deliver rebind 11 10 v',  'deliver -',             'deliver live 12 12 w'],
  refused:  ['drop -',    'drop -',                  'drop -',                  'drop -',                'drop -'],
};

function expected(phase, frame) {
  const hears = !['idle', 'asked', 'refused'].includes(phase);
  const [snapshot, event, part, at, pong] = EVENTS[phase];
  const [recovered, anew, resync] = TABLE[phase];
  const nothing = hears ? 'deliver -' : 'drop -';
  const gap = hears ? 'gap -' : 'drop -';
  const rows = { recovered, anew, resync, snapshot, event, part, left: event, told: event, lost: at, entered: at, pong };
  return { ...rows, old: 'drop -', hole: gap, strange: nothing }[frame];
}

const standing = (track) => [track.phase, track.seen, track.point.seq, track.point.view].join(' ');

function at(phase) {
  const track = new Track();
  track.ask('r1', { snapshot: true });
  track.accept({ ...FRAMES.anew, requestId: 'r1' });
  track.jump(POINT);
  track.accept({ ...FRAMES.pong, payload: POINT });
  track.seen = 10;
  PHASES[phase](track);
  return track;
}

test('each message in each phase', () => {
  for (const phase of Object.keys(PHASES)) {
    for (const [name, frame] of Object.entries(FRAMES)) {
      const track = at(phase);
      const before = standing(track);
      assert.equal(track.phase, phase);
      const verdict = track.accept({ ...CHANNEL, ...frame });
      const [should, ...rest] = expected(phase, name).split(' ');
      assert.equal(verdict, should, `${name} in ${phase}`);
      assert.equal(standing(track), rest[0] === '-' ? before : rest.join(' '), `${name} in ${phase}`);
    }
  }
});

test('the table knows every phase, and every type that the track does', () => {
  const source = readFileSync(new URL('../../static/track.js', import.meta.url), 'utf8');
  const [, phases] = /@typedef \{(.*)\} Phase/.exec(source);
  assert.deepEqual(Object.keys(PHASES), [...phases.matchAll(/'(\w+)'/g)].map(([, name]) => name));
  const cases = [...source.matchAll(/case '([a-z:]+)':/g)].map(([, type]) => type);
  const types = new Set(Object.values(FRAMES).map(({ type }) => type));
  assert.ok(cases.length >= 6);
  for (const type of cases) assert.ok(types.has(type), type);
});

test('between a difference and its pong, a pong of the connection moves nothing', () => {
  const track = at('rebind');
  track.advance({ epoch: 'e1', seq: 99 });
  assert.equal(standing(track), 'rebind 10 10 v');
  track.detach();
  assert.deepEqual(track.ask('r3', { snapshot: true }), { since: POINT }, 'the old position with the old view');
});

test('a position whose rows were read later leads to no other epoch, and to its own as ever', () => {
  const standing = () => {
    const track = new Track();
    track.jump(POINT);
    track.ahead = 12;
    track.ask('r2', { snapshot: true });
    return track;
  };
  const answer = (epoch) => ({ ...CHANNEL, type: 'subscribed', requestId: 'r2', payload: { epoch, seq: 14, view: 'v', recovered: true } });
  assert.equal(standing().accept(answer('e1')), 'deliver');
  const lost = standing();
  assert.equal(lost.accept(answer('e2')), 'gap');
  assert.deepEqual(lost.ask('r3', { snapshot: true }), { snapshot: true }, 'it begins anew');
  const passed = new Track();
  passed.jump(POINT);
  passed.ahead = 12;
  passed.jump({ ...POINT, seq: 12 });
  passed.ask('r2', { snapshot: true });
  assert.equal(passed.accept(answer('e2')), 'deliver', 'once the position has come to the rows');
});

test('rows that were read after their position are no beginning for a history that leads elsewhere', () => {
  const resumed = (ahead, epoch) => {
    const track = new Track();
    track.jump({ epoch: 'e1', seq: 10, view: 'v' });
    track.ahead = ahead;
    track.ask('r1', { snapshot: true });
    const verdict = track.accept({ type: 'subscribed', requestId: 'r1', payload: { epoch, seq: 12, view: 'v', recovered: true } });
    return [verdict, track.point?.seq ?? null];
  };
  assert.deepEqual(resumed(10, 'e2'), ['deliver', 10], 'all rows are of the position');
  assert.deepEqual(resumed(12, 'e1'), ['deliver', 10], 'the same history has them too');
  assert.deepEqual(resumed(12, 'e2'), ['gap', null], 'the other one may lack them');
});
