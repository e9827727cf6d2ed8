/**
 * A page of an application in a real browser: what is changed without the server is seen, kept over a reload, and sent once
 * when the server is there again; of two tabs one sends what the other left behind.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { browser, Tidewire } from './tidewire.js';

const PAGE = '<!doctype html><meta charset="utf-8"><title>Board</title><p role="status"></p><ul></ul><script type="module" src="/board.js"></script>';
const SCRIPT = `
import { Api } from '/static/api.js';
import { RowCache } from '/static/cache.js';
import { ChannelSubscriber } from '/static/channels.js';
import { OptimisticManager } from '/static/optimistic.js';
import { OfflineQueue } from '/static/queue.js';
import { RealtimeClient } from '/static/realtime.js';

const user = new URLSearchParams(location.search).get('as') ?? '';
const api = new Api('/api', { as: user || null });
const rt = new RealtimeClient('/ws' + location.search, { maxReconnectAttempts: Number(location.hash.slice(1) || 10) });
const queue = new OfflineQueue({ user });
const db = new OptimisticManager(api, rt, { queue });
const cache = new RowCache({ user });
const tasks = new ChannelSubscriber(rt, { api, cache }).list('Task');
rt.connect();
const mark = ({ id, title }) => title + (tasks.meta(id).state === 'synced' ? '' : ' (' + tasks.meta(id).state + ')');
const draw = () => document.querySelector('ul').replaceChildren(...tasks.value.map((row) => {
  const item = document.createElement('li');
  item.textContent = mark(row);
  return item;
}));
tasks.subscribe(draw);
db.failed.listen(draw);
rt.status.subscribe((status) => (document.querySelector('[role=status]').textContent = status));
Object.assign(window, { cache, db, tasks, queue, rt });
await queue.ready;
document.title = 'Board, ready';
`;

let chrome;
let server;
let context;
before(async () => void (chrome = await browser()));
after(() => chrome?.close());
beforeEach(async () => {
  server = new Tidewire('tests/fixtures/plain');
  server.publish('board.html', PAGE);
  server.publish('board.js', SCRIPT);
  await server.start();
  context = await chrome.newContext();
});
afterEach(async () => {
  await context?.close();
  await server?.remove();
});

/** Every tab of the context is one of the same person. `line.up = false` keeps the page from the server, not from its files. */
async function open(line = { up: true }, search = '?as=ada') {
  const page = await context.newPage();
  await page.route('**/api/**', (route) => (line.up ? route.continue() : route.abort()));
  await page.routeWebSocket(/\/ws/, (socket) => (line.up ? void socket.connectToServer() : socket.close({ code: 1006 })));
  await page.goto(`${server.address}/board.html${search}`);
  await page.waitForFunction(() => document.title.endsWith('ready'));
  return page;
}
/** Every page of the context is without this module. */
const without = (name) => context.route(`**/static/${name}`, (route) => route.abort());
const items = (page) => page.locator('li').allInnerTexts();
const shows = (page, ...texts) => page.waitForFunction((texts) => [...document.querySelectorAll('li')].map((item) => item.textContent).join() === texts.join(), texts, { timeout: 60_000 });
/** The storage has a pace of its own. A look that never succeeds ends with the time of the test. */
async function becomes(look) {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 20));
}
const unsent = (page, count) => becomes(async () => (await page.evaluate(() => window.queue.unsent())) === count);
const titles = async () => (await server.list('tasks')).map(({ title }) => title).reverse();

test('what is changed while the server is dead is seen at once, and sent once when it is back', async () => {
  const page = await open();
  await page.evaluate(() => window.db.create('Task', { title: 'before' }).then(() => {}));
  await shows(page, 'before');
  await server.kill();
  await page.evaluate(() => {
    const [{ id }] = window.tasks.value;
    window.db.update('Task', id, { title: 'changed' });
    window.db.create('Task', { title: 'during' });
    window.db.create('Task', { title: 'x'.repeat(201) });
  });
  assert.deepEqual(await items(page), ['changed (pending)', 'during (pending)', `${'x'.repeat(201)} (pending)`]);
  await server.start();
  await shows(page, 'changed', 'during');
  assert.equal(await page.evaluate(() => window.db.failed.value[0].error.code), 'VALIDATION_FAILED');
  assert.deepEqual(await titles(), ['changed', 'during']);
});

test('a reload without a server keeps the rows and what was changed', async () => {
  const line = { up: true };
  const page = await open(line);
  await page.evaluate(() => window.db.create('Task', { title: 'there' }).then(() => {}));
  await shows(page, 'there');
  await page.waitForFunction(() => window.tasks.state.value === 'live');
  await becomes(() => page.evaluate(async () => (await window.cache.load('entity:Task'))?.rows.length === 1));
  line.up = false;
  await page.evaluate(() => window.rt.disconnect());
  await page.evaluate(() => {
    window.rt.connect();
    window.db.create('Task', { title: 'offline' });
    window.db.update('Task', window.tasks.value[0].id, { title: 'renamed' });
  });
  await unsent(page, 2);
  await page.reload();
  await shows(page, 'renamed (pending)', 'offline (pending)');
  assert.equal(await page.evaluate(() => window.tasks.state.value), 'stale');
  line.up = true;
  await shows(page, 'renamed', 'offline');
  await unsent(page, 0);
  assert.deepEqual(await titles(), ['renamed', 'offline']);
});

test('of two tabs one sends what the other left behind; another user does not', async () => {
  const line = { up: false };
  const [one, two] = [await open(line), await open(line)];
  const other = await open(line, '?as=ben');
  await one.evaluate(() => window.db.create('Task', { title: 'from one' }).mid);
  await two.evaluate(() => window.db.create('Task', { title: 'from two' }).mid);
  await unsent(two, 2);
  await one.close();
  await shows(two, 'from one (pending)', 'from two (pending)');
  assert.deepEqual(await items(other), []);
  line.up = true;
  await shows(two, 'from one', 'from two');
  await shows(other, 'from one', 'from two');
  await unsent(two, 0);
  assert.deepEqual((await titles()).sort(), ['from one', 'from two']);
});

test('a tab that was hidden and frozen while the server came and went is up to date when it is looked at', async () => {
  const page = await open();
  await page.evaluate(() => window.db.create('Task', { title: 'seen' }).then(() => {}));
  await shows(page, 'seen');
  const devtools = await context.newCDPSession(page);
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
  await server.post('tasks', { title: 'while hidden' }, 'ben');
  await server.kill();
  await server.start();
  const [{ id }] = await server.list('tasks');
  await server.request('PATCH', `tasks/${id}`, { title: 'while hidden, changed' }, 'ben');
  await devtools.send('Page.setWebLifecycleState', { state: 'active' });
  await shows(page, 'seen', 'while hidden, changed');
  await page.waitForFunction(() => document.querySelector('[role=status]').textContent === 'connected');
  assert.equal(await page.evaluate(() => window.tasks.state.value), 'live');
});

test('a hidden tab goes on while its connection lives, and asks whether the server is there when it is looked at', async () => {
  const page = await open();
  await page.evaluate(() => {
    window.visibility = 'hidden';
    Object.defineProperty(document, 'visibilityState', { get: () => window.visibility });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await server.post('tasks', { title: 'while hidden' }, 'ben');
  await shows(page, 'while hidden');
  const sent = await page.evaluate(() => {
    const sent = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      sent.push(JSON.parse(text).type);
      return send.call(this, text);
    };
    document.dispatchEvent(new Event('visibilitychange'));
    const whileHidden = sent.length;
    window.visibility = 'visible';
    document.dispatchEvent(new Event('visibilitychange'));
    return [whileHidden, ...sent];
  });
  assert.deepEqual(sent, [0, 'ping']);
});

test('where sockets are blocked a page lives on a stream, and a change goes over it', async () => {
  const page = await context.newPage();
  await page.routeWebSocket(/\/ws/, (socket) => socket.close({ code: 1006 }));
  await page.goto(`${server.address}/board.html?as=ada#1`);
  await page.waitForFunction(() => document.querySelector('[role=status]').textContent === 'connected' && window.rt.detail.value.transport === 'sse', null, { timeout: 60_000 });
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.evaluate(() => window.db.create('Task', { title: 'over a stream' }).then(() => {}));
  assert.deepEqual(await titles(), ['over a stream']);
  await server.post('tasks', { title: 'of another' }, 'ben');
  await shows(page, 'over a stream', 'of another');
  assert.ok(asked.some((path) => /^\/api\/realtime\/session\/.*\/mutate$/.test(path)), asked.join());
  assert.ok(!asked.includes('/api/batch') && !asked.includes('/api/changes'), asked.join());
});

test('a queue that cannot be loaded says so, and all else works', async () => {
  await without('lanes.js');
  const page = await open();
  assert.equal(await page.evaluate(() => window.queue.problem.value.code), 'STORAGE_FAILED');
  await page.evaluate(() => window.db.create('Task', { title: 'not kept' }));
  await becomes(async () => (await titles()).includes('not kept'));
  await shows(page, 'not kept');
  // At a logout it is tried again: what earlier pages left can be counted and deleted.
  await context.unroute('**/static/lanes.js');
  assert.equal(await page.evaluate(() => window.queue.forget().then(() => window.queue.unsent())), 0);
});

test('while what connects or what sends cannot be loaded, the last rows are shown and can be changed, and all goes through when it comes', async () => {
  const page = await open();
  await page.evaluate(() => window.db.create('Task', { title: 'of before' }).then(() => {}));
  await shows(page, 'of before');
  await becomes(() => page.evaluate(async () => (await window.cache.load('entity:Task'))?.rows.length === 1));
  for (const [nth, name] of ['link.js', 'verdicts.js'].entries()) {
    await without(name);
    const lost = page.waitForEvent('requestfailed', { predicate: (request) => request.url().endsWith(name) });
    await page.reload();
    await lost;
    await page.waitForFunction(() => document.title.endsWith('ready'));
    await page.evaluate((title) => void window.db.create('Task', { title }), `made without ${nth}`);
    const known = ['of before', 'made without 0'].slice(0, nth + 1);
    if (name === 'link.js') {
      // Changes go over HTTP meanwhile.
      await shows(page, ...known, `made without ${nth}`);
      assert.equal(await page.evaluate(() => window.tasks.state.value), 'stale');
      await page.waitForFunction(() => /link\.js/.test(window.rt.detail.value.reason));
      assert.equal(await page.locator('[role=status]').innerText(), 'connecting');
    } else {
      await shows(page, ...known, `made without ${nth} (pending)`);
      assert.equal((await titles()).length, 2);
    }
    await context.unroute(`**/static/${name}`);
    await shows(page, ...known, `made without ${nth}`);
    await page.waitForFunction(() => window.rt.status.value === 'connected' && window.rt.detail.value.reason === '');
  }
  assert.deepEqual((await titles()).sort(), ['made without 0', 'made without 1', 'of before']);
});
