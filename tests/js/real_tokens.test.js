/**
 * Logins in front of the real program: a token opens the connection, another one renews it, and another user begins anew.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../../static/client.js';
import { Tidewire } from './program.js';

const SCHEMAS = {
  'note.toml': `entity = "Note"
[fields]
text = { type = "text" }
owner = { type = "ref", entity = "User", default = "user.id", readonly = true }
[access]
read = "owner == user.id"
create = "user != null"
`,
};

let server;
before(async () => {
  process.env.TIDEWIRE_AUTH_REGISTER = 'open';
  server = await new Tidewire(SCHEMAS).start();
  delete process.env.TIDEWIRE_AUTH_REGISTER;
});
after(() => server?.remove());

async function auth(path, body, token) {
  const headers = { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(`${server.address}/api/auth/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.ok(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}
const until = async (look) => {
  for (let turn = 0; turn < 1000; turn++) {
    if (look()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`never: ${look}`);
};

test('a token opens the connection, renews it, and gives way to that of another user', { timeout: 30_000 }, async (t) => {
  const ada = await auth('register', { name: 'ada', password: 'a long sentence' });
  const ben = await auth('register', { name: 'ben', password: 'another long one' });
  let token = ada.token;
  const asked = [];
  const getToken = async ({ refresh }) => {
    asked.push(refresh);
    if (refresh) ({ token } = await auth('refresh', {}, token));
    return token;
  };
  const { rt, channels, db, close } = connect({ url: server.address, getToken });
  t.after(close);
  const notes = channels.list('Note');
  await until(() => notes.state.value === 'live' && rt.detail.value.userId === ada.user.id);
  await db.create('Note', { text: "ada's" });
  await until(() => notes.value.length === 1 && notes.meta(notes.value[0].id).state === 'synced');
  const connection = rt.detail.value.connectionId;

  const renewed = await auth('refresh', {}, token);
  token = renewed.token;
  rt.setToken(token);
  await db.create('Note', { text: "ada's, later" });
  assert.deepEqual([rt.detail.value.connectionId, rt.detail.value.userId], [connection, ada.user.id], 'the same connection');

  token = ben.token;
  rt.setToken(token);
  await until(() => rt.detail.value.userId === ben.user.id && notes.state.value === 'live');
  assert.deepEqual(notes.value, [], 'nothing of ada');
  await db.create('Note', { text: "ben's" });
  await until(() => notes.value.length === 1);
  assert.deepEqual(notes.value.map(({ owner }) => owner), [ben.user.id]);

  await fetch(`${server.address}/api/auth/logout`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
  token = ada.token;
  ({ token } = await auth('login', { name: 'ada', password: 'a long sentence' }));
  await until(() => rt.detail.value.userId === ada.user.id && notes.state.value === 'live' && notes.value.length === 2);
});
