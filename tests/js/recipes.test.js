/**
 * The samples of docs/client.md run, each as a page of its own in front of the real program, and do what the text beside them
 * says. The whole page is run in handbook.test.js, those about frameworks in frameworks.test.js.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import 'fake-indexeddb/auto';
import { connect } from '../../static/client.js';
import { ROOT, Tidewire } from './program.js';

const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8');
const samples = [...page.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, sample]) => sample);

const SCHEMAS = {
  'task.toml': `entity = "Task"
label = "title"
[fields]
title = { type = "text", required = true }
status = { type = "enum", values = ["open", "doing", "done"], default = "open" }
priority = { type = "int", default = 3 }
owner = { type = "ref", entity = "User", default = "user.id" }
due = { type = "date" }
likes = { type = "int", default = 0 }
position = { type = "int", default = 0 }
`,
  'message.toml': `entity = "Message"
[fields]
text = { type = "text", required = true }
room = { type = "text", required = true }
`,
};

/** What never comes about ends with this. */
const LIMIT = { timeout: 30_000 };

let server;
let home;
let app;
const close = [];
const drawn = [];
const badge = { textContent: '' };
before(async () => {
  server = await new Tidewire(SCHEMAS).start();
  home = mkdtempSync(join(ROOT, 'tests/js/recipes-'));
  Object.assign(globalThis, { location: { href: `${server.address}/` }, draw: (rows) => drawn.push(rows), badge, connect, keep: (app) => (close.push(app.close), app) });
  app = connect({ as: 'ada' });
  const { api, channels, db, rt } = app;
  Object.assign(globalThis, { api, channels, db, rt });
});
after(async () => {
  for (const end of close) end();
  app?.close();
  await server?.remove();
  rmSync(home, { recursive: true, force: true });
});

/** Runs the one sample that contains a text, and gives what it declares. The six tasks say each of them again. */
async function run(text, ...names) {
  const found = samples.filter((sample) => sample.includes(text) && !sample.includes('renewed(refresh)'));
  assert.equal(found.length, 1, text);
  const file = join(home, `recipe-${samples.indexOf(found[0])}.js`);
  const code = found[0].replaceAll("'/static/", `'${pathToFileURL(join(ROOT, 'static')).href}/`);
  const kept = code.replace(/= connect\((.*)\);/, '= keep(connect($1));');
  writeFileSync(file, `${kept}\nexport { ${names.join(', ')} };\n`);
  return import(pathToFileURL(file).href);
}
const until = async (look) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 5));
};
const task = (fields) => app.api.create('tasks', { title: 'a task', ...fields });

test('the parts made by hand', LIMIT, async () => {
  const { api, rt, channels } = await run("new ChannelSubscriber(rt, { api })", 'api', 'rt', 'channels');
  close.push(() => rt.disconnect());
  const list = channels.list('Task', { limit: 1 });
  await until(() => list.state.value === 'live');
  assert.equal((await api.list('tasks')).items.length, list.value.length);
});

test('a list with a filter, an order and a limit, and a record', LIMIT, async () => {
  globalThis.id = (await task({ priority: 4 })).id;
  await task({ priority: 2 });
  const { tasks, task: record } = await run('tasks.close();', 'tasks', 'task');
  await until(() => record.value);
  assert.equal(record.value.priority, 4);
  assert.deepEqual([drawn[0], tasks.value], [[], []], 'the sample closes its list at once');
  const open = app.channels.list('Task', { where: { status: 'open', priority: { gte: 3 }, owner: { in: ['ada', 'ben'] }, due: null } });
  await until(() => open.state.value === 'live');
  assert.deepEqual(open.value.map(({ priority }) => priority), [4]);
});

test('a window over the newest messages, and the ones before', LIMIT, async () => {
  globalThis.id = 'lobby';
  const ops = Array.from({ length: 120 }, (_, n) => ({ op: 'create', entity: 'Message', data: { text: String(n), room: n < 110 ? 'lobby' : 'other' } }));
  for (const op of ops) await app.api.batch([op]);
  const { messages } = await run('messages.more();', 'messages');
  await until(() => messages.state.value === 'live' && messages.value.length === 100);
  assert.deepEqual(messages.value.map(({ text }) => Number(text)), Array.from({ length: 100 }, (_, at) => 109 - at));
  assert.equal(messages.hasMore.value, true);
  await app.api.create('messages', { text: 'new', room: 'lobby' });
  await until(() => messages.value[0].text === 'new');
  await app.api.delete('messages', messages.value[50].id);
  await until(() => messages.value.at(-1).text === '10' && messages.value.length === 100);
  messages.more(50);
  await until(() => messages.value.length === 110 && !messages.hasMore.value);
});

test('a badge', LIMIT, async () => {
  const { rt } = await run('badge.textContent = status', 'rt');
  close.push(() => rt.disconnect());
  await until(() => badge.textContent === 'connected');
});

test('a token is asked for before the first attempt', LIMIT, async () => {
  const asked = [];
  Object.assign(globalThis, { renewed: () => null, sessionStorage: { getItem: (name) => (asked.push(name), null) } });
  const { rt } = await run('renewed()', 'rt');
  await until(() => rt.status.value === 'connected');
  assert.ok(asked.length > 0);
});

test('changes', LIMIT, async () => {
  const [one, first, second, other] = [await task(), await task(), await task(), await task({ title: 'another' })];
  Object.assign(globalThis, { id: one.id, first: first.id, second: second.id });
  const { db, made } = await run('called again when another user was faster', 'db', 'made');
  close.push(() => db.close());
  await until(() => db.pending.value.length === 0);
  assert.deepEqual(db.failed.value, []);
  assert.equal((await app.api.get('tasks', made.id)).status, 'done');
  await assert.rejects(app.api.get('tasks', one.id), { status: 404 });
  assert.deepEqual([(await app.api.get('tasks', first.id)).position, (await app.api.get('tasks', second.id)).position], [2, 1]);
  assert.equal((await app.api.get('tasks', other.id)).title, 'another');
});

test('a page with a queue and a cache', LIMIT, async () => {
  const { channels, db } = await run('new OfflineQueue({ user })', 'channels', 'db');
  const list = channels.list('Task');
  await until(() => list.state.value === 'live');
  const { id } = await db.create('Task', { title: 'kept until it is sent' });
  await until(() => list.value.some((row) => row.id === id));
});

test('who is here', LIMIT, async () => {
  const other = connect({ as: 'ben' });
  close.push(other.close);
  globalThis.id = (await task()).id;
  const { PresenceManager } = await import('../../static/presence.js');
  const watching = new PresenceManager(other.rt).watch(`Task/${id}`);
  const seen = [];
  watching.users.listen((users) => seen.push(users.map(({ id }) => id).join()));
  await until(() => watching.state.value === 'live');
  const { here } = await run("import { PresenceManager } from '/static/client.js'", 'here');
  assert.equal(here.state.value, 'left', 'the sample leaves at once');
  const again = new PresenceManager(app.rt).join(`Task/${id}`, { field: 'title' });
  await until(() => watching.users.value[0]?.metadata.field === 'title');
  again.leave();
  await until(() => watching.users.value.length === 0);
  assert.ok(seen.includes('ada'));
});

test('a room and a lease', LIMIT, async () => {
  globalThis.id = (await task()).id;
  const { room, lease } = await run("from '/static/lease.js'", 'room', 'lease');
  assert.deepEqual([room.state.value, lease.state.value], ['left', 'free']);
});

test('what happened, as it happens', LIMIT, async () => {
  for (const title of ['1', '2', '3', '4', 'told of']) await task({ title });
  const { news } = await run("from '/static/activity.js'", 'news');
  assert.equal(news.value[0].label, 'told of', 'older ones are there before it closes');
  const { activity } = await import('../../static/activity.js');
  const all = activity(app.rt, app.api, { entities: ['Task'], limit: 2 });
  close.push(all.close);
  await until(() => all.state.value === 'live' && all.value.length === 2);
  assert.equal(all.value[0].label, 'told of');
  const made = await task({ title: 'told live' });
  await until(() => all.value[0].id === made.id);
  assert.equal(await all.more(), true);
  assert.ok(all.value.length === 5 && all.value.every(({ seq }, at) => at === 0 || seq < all.value[at - 1].seq));
});

test('rows that came with the page', LIMIT, async () => {
  const { tasks, initial } = await run('{ where: { status: \'open\' }, initial }', 'tasks', 'initial');
  assert.ok(initial.items.length > 0);
  assert.deepEqual([tasks.value.length, tasks.state.value], [initial.items.length, 'stale'], 'at once');
  await until(() => tasks.state.value === 'live');
});

test('a bad network, until it is good again', LIMIT, async (t) => {
  const told = [];
  t.mock.method(console, 'debug', (type) => told.push(type));
  const { channels } = await run('rt.simulate({});', 'rt', 'channels', 'db');
  const list = channels.list('Task');
  await until(() => list.state.value === 'live');
  assert.ok(told.includes('received'));
});
