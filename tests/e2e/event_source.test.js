/**
 * A plain `EventSource` is all that the page has. It is logged in by a cookie, the server restarts under it, and it misses nothing,
 * also behind a proxy that answers while the server is away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nginx } from './nginx.js';
import { PASSWORD, inContext } from './notes.js';
import { stage } from './stage.js';

const SCHEMAS = {
  // An anonymous caller has no such entity.
  'note.toml': `entity = "Note"
[fields]
text = { type = "text", required = true }
[access]
read = "user != null"
create = "user != null"
`,
};
const { server, chrome } = stage(SCHEMAS, {
  command: 'serve',
  settings: ['auth.register=open', 'allowed_hosts=127.0.0.1', 'trusted_proxies=127.0.0.1/32'],
});

const survives = 'survives restarts of the server without a line of code, and misses nothing';

test(`an EventSource with a cookie ${survives}`, () => story(server().address));

test(`behind nginx, an EventSource with a cookie ${survives}`, async () => {
  const proxy = await nginx(server().address);
  try {
    await story(proxy.address);
  } finally {
    await proxy.end();
  }
});

/** @param {string} origin What the browser opens: the server, or a proxy. */
async function story(origin) {
  const ada = await server().found('ada', PASSWORD);
  await server().auth('register', { name: 'ben', password: PASSWORD });
  const written = [];
  const write = async (text) => {
    const response = await fetch(`${server().address}/api/notes`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${ada.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ text }),
    });
    assert.equal(response.status, 201, await response.clone().text());
    written.push(text);
    return Number(response.headers.get('Tidewire-Seq').split(':')[1]);
  };

  await inContext(chrome(), async (context) => {
    const page = await context.newPage();
    await page.goto(`${origin}/_/login`);
    const status = await page.evaluate(async (password) => {
      const body = JSON.stringify({ name: 'ben', password, cookie: true });
      const answer = await fetch('/api/auth/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      return answer.status;
    }, PASSWORD);
    assert.equal(status, 200);
    assert.ok((await context.cookies()).some(({ name, httpOnly }) => name === 'tidewire' && httpOnly));

    await write('before');
    // This is the whole client.
    await page.evaluate(() => {
      window.heard = [];
      window.opened = 0;
      window.source = new EventSource('/sse?channel=entity:Note&snapshot=true');
      for (const type of ['welcome', 'subscribed', 'snapshot', 'entity:created', 'pong', 'error'])
        source.addEventListener(type, ({ data }) => data && heard.push(JSON.parse(data)));
      // Not a part of the client: what the story waits for.
      source.addEventListener('open', () => opened++);
    });
    const heard = () => page.evaluate(() => window.heard);
    const hears = (text) =>
      page.waitForFunction((text) => heard.some(({ payload }) => payload.text === text), text, { timeout: 60_000 });
    const isAway = () => page.waitForFunction(() => source.readyState === EventSource.CONNECTING, null, { timeout: 60_000 });
    await page.waitForFunction(() => heard.some(({ type, channel }) => type === 'pong' && channel), null, { timeout: 60_000 });
    await write('at first');
    await hears('at first');

    const missed = [];
    for (const end of ['kill', 'stop']) {
      const before = await page.evaluate(() => opened);
      await server()[end]();
      if (origin !== server().address) {
        // The proxy answered it at least once, and it tries again.
        await page.waitForFunction((before) => opened > before, before, { timeout: 60_000 });
      }
      await isAway();
      // It cannot come back before what it should miss is written.
      await context.setOffline(true);
      await server().start();
      missed.push(await write(`while it was away (${end})`));
      await context.setOffline(false);
      await hears(`while it was away (${end})`);
      await write(`after that (${end})`);
      await hears(`after that (${end})`);
    }

    const frames = await heard();
    const of = (kind) => frames.filter(({ type }) => type === kind);
    assert.deepEqual(of('snapshot').flatMap(({ payload }) => payload.rows.map(({ text }) => text)), ['before'], 'records come once');
    const created = new Map(of('entity:created').map((frame) => [frame.seq, frame.payload.text]));
    assert.deepEqual([...created.values()], written.slice(1), 'every change, in its order');
    assert.deepEqual(of('subscribed').map(({ payload }) => payload.recovered), [false, true, true]);
    const [, ...returns] = of('subscribed').map(({ payload }) => payload.seq);
    returns.forEach((seq, at) => assert.ok(seq >= missed[at], `it was away when ${missed[at]} was written, and is back at ${seq}`));
    const people = new Set(of('welcome').map(({ payload }) => payload.userId));
    assert.equal(people.size, 1);
    assert.ok(!people.has(null), 'each time as ben');
    assert.deepEqual(of('error'), []);
  });
}
