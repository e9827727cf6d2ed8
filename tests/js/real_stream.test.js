/**
 * A page whose WebSockets are blocked, in front of the real program: everything goes over a stream of events.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { PresenceManager } from '../../static/presence.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Room } from '../../static/room.js';
import { Tidewire } from './program.js';

const LIMIT = { timeout: 30_000 };
let server;
before(async () => void (server = await new Tidewire('tests/fixtures/plain', { settings: ['auth.register=open'] }).start()));
after(() => server?.remove());

const until = async (look) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** A page of a user, with sockets or without, and what it asked for over HTTP. Its user has a name, or a token. */
function page(t, as, { blocked = false, getToken } = {}) {
  const asked = [];
  const env = { base: server.address, fetch: (url, init) => (asked.push(new URL(url).pathname), fetch(url, init)) };
  if (blocked)
    env.WebSocket = class {
      constructor() {
        throw new Error('blocked');
      }
    };
  const rt = new RealtimeClient(as ? `/ws?as=${as}` : '/ws', { env, reconnectInterval: 10, maxReconnectAttempts: 2, getToken }).connect();
  const channels = new ChannelSubscriber(rt, { env });
  const db = new OptimisticManager(null, rt, { env });
  t.after(() => (db.close(), rt.disconnect()));
  return { rt, channels, db, asked };
}

test('lists, changes, presence and rooms of a page without sockets', LIMIT, async (t) => {
  const [ada, ben] = [page(t, 'ada', { blocked: true }), page(t, 'ben')];
  await until(() => ada.rt.status.value === 'connected' && ben.rt.status.value === 'connected');
  assert.deepEqual([ada.rt.detail.value.transport, ada.rt.detail.value.userId, ben.rt.detail.value.transport], ['sse', 'ada', 'ws']);
  const [mine, theirs] = [ada, ben].map(({ channels }) => channels.list('Task'));
  await until(() => mine.state.value === 'live' && theirs.state.value === 'live');

  const made = await ada.db.create('Task', { title: 'over a stream' });
  await until(() => theirs.value.some(({ id }) => id === made.id));
  await ben.db.update('Task', made.id, { title: 'over a socket' });
  await until(() => mine.value.some(({ title }) => title === 'over a socket'));
  await ada.db.update('Task', made.id, ({ title }) => ({ title: `${title}, and back` }));
  await until(() => theirs.value.some(({ title }) => title === 'over a socket, and back'));
  await assert.rejects(ada.db.create('Task', { title: 7 }).then(), { code: 'VALIDATION_FAILED' });
  assert.deepEqual(ada.asked.filter((path) => path === '/api/batch' || path === '/api/changes'), [], 'the changes went over the stream');

  const [here, there] = [ada, ben].map(({ rt }) => new PresenceManager(rt).join('lobby', {}));
  await until(() => here.others.value[0]?.id === 'ben' && there.others.value[0]?.id === 'ada');
  here.update({ at: 'door' });
  await until(() => there.others.value[0].metadata.at === 'door');

  const [one, other] = [ada, ben].map(({ rt }) => new Room(rt, 'project/7'));
  await until(() => one.state.value === 'live' && other.state.value === 'live');
  const heard = [];
  for (const room of [one, other]) room.on('typing', (data, by) => heard.push([data.field, by]));
  await one.send('typing', { field: 'title' });
  await until(() => heard.length === 1);
  await other.send('typing', { field: 'notes' });
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [['title', 'ada'], ['notes', 'ben']]);
});

test('a stream goes on from its position after the server was killed', LIMIT, async (t) => {
  const ada = page(t, 'ada', { blocked: true });
  const list = ada.channels.list('Task');
  await until(() => ada.rt.status.value === 'connected' && list.state.value === 'live');
  await server.kill();
  await until(() => ada.rt.status.value !== 'connected');
  const made = ada.db.create('Task', { title: 'while it was gone' });
  assert.ok(list.value.some(({ id, _optimistic }) => id === made.id && _optimistic));
  await server.start();
  await made;
  await until(() => ada.rt.detail.value.transport === 'sse' && list.state.value === 'live');
  assert.ok(list.value.some(({ id, _optimistic }) => id === made.id && !_optimistic));
});

test('a stream that was sent the token of a later login outlives the first one', LIMIT, async (t) => {
  const password = 'a long sentence';
  const first = await server.auth('register', { name: 'eve', password });
  const second = await server.auth('login', { name: 'eve', password });
  const eve = page(t, null, { blocked: true, getToken: async () => first.token });
  const list = eve.channels.list('Task');
  await until(() => eve.rt.detail.value.userId === first.user.id && list.state.value === 'live');
  const { connectionId, transport } = eve.rt.detail.value;
  assert.equal(transport, 'sse');
  eve.rt.setToken(second.token);
  await until(() => eve.asked.some((path) => path.endsWith('/auth')));
  // Answered behind the token, on the same line.
  await eve.db.create('Task', { title: 'with the second token' });
  await server.auth('logout', undefined, first.token);
  await server.post('tasks', { title: 'after the first login' }, 'ben');
  await until(() => list.value.some(({ title }) => title === 'after the first login'));
  assert.deepEqual([eve.rt.detail.value.connectionId, eve.rt.detail.value.transport], [connectionId, 'sse'], 'the same stream');
});
