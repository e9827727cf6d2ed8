/**
 * Presence, rooms and leases in front of the real program.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../../static/client.js';
import { Lease } from '../../static/lease.js';
import { PresenceManager } from '../../static/presence.js';
import { Room } from '../../static/room.js';
import { Tidewire } from './program.js';

const LIMIT = { timeout: 30_000 };
let server;
before(async () => void (server = await new Tidewire('tests/fixtures/plain', { settings: ['realtime.presence_hold=500ms'] }).start()));
after(() => server?.remove());

const until = async (look) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** A page of a user. */
async function page(t, as) {
  const app = connect({ url: server.address, as });
  t.after(app.close);
  await until(() => app.rt.status.value === 'connected');
  return app;
}

test('two users see each other come, tell and go', LIMIT, async (t) => {
  const [ada, ben] = [await page(t, 'ada'), await page(t, 'ben')];
  const [here, there] = [ada, ben].map(({ rt }) => new PresenceManager(rt).join('lobby', { at: 'door' }));
  await until(() => here.others.value.length === 1 && there.others.value.length === 1);
  assert.deepEqual([here.others.value[0].id, here.others.value[0].metadata], ['ben', { at: 'door' }]);
  there.update({ at: 'window', cup: true });
  await until(() => here.others.value[0].metadata.cup === true);
  there.update({ cup: null });
  await until(() => here.others.value[0].metadata.cup === undefined);
  const seen = [];
  here.others.listen((users) => seen.push(users.length));
  ben.rt.disconnect();
  ben.rt.connect();
  await until(() => there.state.value === 'live');
  there.update({ at: 'back' });
  await until(() => here.others.value[0]?.metadata.at === 'back');
  assert.deepEqual(seen.filter((count) => count !== 1), [], 'a reconnect shows nothing');
  ben.rt.disconnect();
  await until(() => here.others.value.length === 0);
  const visitor = await page(t, null);
  const watching = new PresenceManager(visitor.rt).join('lobby');
  await until(() => watching.state.value === 'live');
  assert.deepEqual([watching.others.value.map(({ id }) => id), watching.error.value.code], [['ada'], 'UNAUTHENTICATED']);
});

test('a message in a room reaches the others, and a private channel its user alone', LIMIT, async (t) => {
  const [ada, ben] = [await page(t, 'ada'), await page(t, 'ben')];
  const [one, other] = [ada, ben].map(({ rt }) => new Room(rt, 'project/7'));
  await until(() => one.state.value === 'live' && other.state.value === 'live');
  const heard = [];
  for (const room of [one, other]) room.on('typing', (data, by) => heard.push([data.field, by]));
  await one.send('typing', { field: 'title' });
  await until(() => heard.length === 1);
  await other.send('typing', { field: 'due' }, { echo: true });
  await until(() => heard.length === 3);
  assert.deepEqual(heard, [['title', 'ada'], ['due', 'ben'], ['due', 'ben']]);
  const own = new Room(ada.rt, 'ada', { kind: 'user' });
  const foreign = new Room(ada.rt, 'ben', { kind: 'user' });
  await until(() => own.state.value === 'live' && foreign.state.value === 'denied');
});

test('one user holds the lease of a record, passes it on, and loses it', LIMIT, async (t) => {
  const [ada, ben] = [await page(t, 'ada'), await page(t, 'ben')];
  const { id } = await ada.api.create('tasks', { title: 'held' });
  const [one, other] = [ada, ben].map(({ rt }) => new Lease(rt, 'Task', id));
  await one.acquire();
  assert.equal(one.state.value, 'held');
  await assert.rejects(other.acquire(), { code: 'LEASE_HELD' });
  const { fence } = one;
  await assert.rejects(one.pass('ben'), { code: 'NOT_PRESENT' });
  const at = new PresenceManager(ben.rt).join(`Task/${id}`);
  await until(() => at.state.value === 'live');
  await one.pass('ben');
  await until(() => other.state.value === 'held');
  assert.ok(other.fence > fence && one.state.value === 'free');
  await other.release();
  await one.acquire();
  assert.ok(one.fence > fence);
  one.close();
});
