/**
 * Polling after the server was restored from a backup: channels stand in several epochs, and some know of changes that the
 * server has lost. The same number then means another change.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { reply, seeded, settle, world } from './world.js';

const NAMES = ['Ant', 'Bee', 'Cat', 'Dog'];
/** The first epoch ran to 100 and was restored to 40; the second ran to 60, from where the third goes on without a loss. */
const EPOCHS = [
  { name: 'e1', from: 0, to: 100, kept: 40 },
  { name: 'e2', from: 40, to: 60, kept: 60 },
  { name: 'e3', from: 60, to: 66, kept: 66 },
];
const HEAD = EPOCHS.at(-1);

/** The changes up to a position as its epoch knew them: each makes a record of one entity, every fifth deletes an early one. */
function history(epoch, to) {
  const at = EPOCHS.findIndex(({ name }) => name === epoch);
  const changes = [];
  for (let seq = 1; seq <= to; seq++) {
    const of = EPOCHS.findIndex((each, i) => i <= at && seq > each.from && (i === at || seq <= each.kept));
    const [entity, made] = [NAMES[seq % NAMES.length], `${EPOCHS[of].name}-${String(seq).padStart(3, '0')}`];
    const gone = seq % 5 === 0 ? changes.find((change) => change.entity === entity && change.made)?.made : undefined;
    changes.push(gone ? { seq, entity, gone } : { seq, entity, made });
  }
  return changes;
}

function ids(entity, changes) {
  const found = new Set();
  for (const { made, gone, entity: of } of changes) if (of === entity) gone ? found.delete(gone) : found.add(made);
  return [...found].sort();
}

const rows = (names) => names.map((id) => ({ id, version: 1 }));

/** `GET` and `POST /api/changes`, lists and the schema, of a server that has lost the end of the first epoch. */
function respond(url, init) {
  const now = history(HEAD.name, HEAD.to);
  const base = { epoch: HEAD.name, seq: HEAD.to };
  if (url.pathname === '/api/schema')
    return reply(200, { entities: NAMES.map((name) => ({ name, plural: name.toLowerCase(), fields: [] })) });
  const entity = NAMES.find((name) => url.pathname === `/api/${name.toLowerCase()}`);
  if (entity) return reply(200, { items: rows(ids(entity, now)), next: null, ...base, view: 'v' });
  const body = init.body ? JSON.parse(init.body) : undefined;
  const channels = body ? body.channels.map(({ channel }) => channel) : url.searchParams.getAll('channel');
  const [epoch, seq] = (body ? body.since : url.searchParams.get('since')).split(':');
  const known = EPOCHS.find(({ name }) => name === epoch);
  const recovered = Number(seq) <= (known === HEAD ? HEAD.to : known.kept);
  const events = now
    .filter((change) => recovered && change.seq > Number(seq) && channels.includes(`entity:${change.entity}`))
    .map(({ seq, entity, made, gone }) => {
      const frame = { channel: `entity:${entity}`, seq };
      return made
        ? { type: 'entity:created', ...frame, payload: { id: made, version: 1 } }
        : { type: 'entity:deleted', ...frame, payload: { id: gone } };
    });
  return reply(200, { ...base, channels: channels.map((channel) => ({ channel, view: 'v', recovered })), events, errors: [] });
}

/** Lists that stand at these positions when the socket is lost for good; what they show when polling has settled. */
async function polled(positions) {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  w.socket.greet().say({ type: 'pong', payload: {} });
  const lists = positions.map(({ entity }) => channels.list(entity));
  for (const [at, { channel, requestId }] of w.socket.take('subscribe').entries()) {
    const { entity, epoch, seq } = positions[at];
    const say = (type, payload, extra) => w.socket.say({ type, channel, payload, ...extra });
    say('subscribed', { epoch, seq, view: 'v', recovered: false }, { requestId, more: true });
    say('snapshot', { rows: rows(ids(entity, history(epoch, seq))) }, { seq, more: true });
    say('pong', { epoch, seq, view: 'v' });
  }
  await settle();
  assert.ok(lists.every(({ state }) => state.value === 'live'));
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  w.respond = respond;
  w.socket.cut();
  // An attempt at a socket that fails shows a list as stale until the next poll.
  const lived = lists.map(() => false);
  for (const [at, list] of lists.entries()) list.state.listen((state) => (lived[at] ||= state === 'live'));
  await w.clock.run(60_000);
  const polls = w.requests.filter(({ url }) => url.pathname === '/api/changes').length;
  const shown = lists.map((list, at) => ({ lived: lived[at], ids: list.value.map(({ id }) => id) }));
  rt.disconnect();
  return { polls, shown };
}

async function check(positions) {
  const { polls, shown } = await polled(positions);
  const now = history(HEAD.name, HEAD.to);
  for (const [at, { entity }] of positions.entries())
    assert.deepEqual(shown[at], { lived: true, ids: ids(entity, now) }, `${entity} of ${JSON.stringify(positions)}`);
  // One for each position at most, and then those of a quiet minute.
  assert.ok(polls < 40, `${polls} polls in a minute`);
}

const at = (...positions) => positions.map(([epoch, seq], i) => ({ entity: NAMES[i], epoch, seq }));

test('after a restore no list keeps what was lost, and none misses what came instead', async () => {
  for (const positions of [
    at(['e1', 100], ['e2', 50]),
    at(['e2', 50], ['e1', 100]),
    at(['e1', 100], ['e1', 30]),
    at(['e1', 30], ['e1', 100], ['e1', 41], ['e1', 40]),
    at(['e1', 55], ['e2', 55], ['e3', 62]),
    at(['e2', 41], ['e1', 45], ['e3', 66], ['e1', 20]),
    at(['e1', 30], ['e1', 35], ['e2', 50], ['e2', 60]),
    at(['e3', 61], ['e3', 66]),
  ])
    await check(positions);
});

test('wherever the lists stand when the server comes back, they end with what it has', async () => {
  const random = seeded(7);
  for (let round = 0; round < 60; round++) {
    const positions = NAMES.map((entity) => {
      const { name, from, to } = EPOCHS[Math.floor(random() * EPOCHS.length)];
      return { entity, epoch: name, seq: from + Math.floor(random() * (to - from + 1)) };
    });
    await check(positions);
  }
});
