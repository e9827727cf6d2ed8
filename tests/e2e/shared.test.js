/**
 * `shareConnection: true`: the tabs of a browser have one socket, also after the tab that holds it is closed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inContext } from './notes.js';
import { stage } from './stage.js';

const { server, chrome } = stage('tests/fixtures/plain');
const TABS = 4;
const SCRIPT = `import { connect } from '/static/client.js';
import { PresenceManager } from '/static/presence.js';

Object.assign(window, connect({ as: 'ada', shareConnection: true }));
window.events = [];
rt.subscribe('entity:Task', ({ type, seq }) => seq && type.startsWith('entity:') && events.push(seq));
window.tasks = channels.list('Task');
window.titles = [];
tasks.listen((rows) => titles.push(rows.map(({ title }) => title).join()));
window.here = new PresenceManager(rt).join('lobby', {});
`;

test('four tabs have one socket, see each change once, and go on when the tab that holds it is closed', async () => {
  server().publish('own.html', '<!doctype html><html lang="en"><title>Own</title><script type="module" src="/own.js"></script>');
  server().publish('own.js', SCRIPT);
  const sockets = async () => {
    const response = await fetch(`${server().address}/api/admin/connections?as=root:admin`);
    assert.equal(response.status, 200);
    return (await response.json()).items.filter(({ userId }) => userId === 'ada').length;
  };
  await inContext(chrome(), async (context) => {
    const pages = [];
    for (let at = 0; at < TABS; at++) {
      const page = await context.newPage();
      pages.push(page);
      await page.goto(`${server().address}/own.html`);
      await page.waitForFunction(() => window.tasks?.state.value === 'live' && window.here?.state.value === 'live');
    }
    const sharing = () => Promise.all(pages.map((page) => page.evaluate(() => rt.detail.value.sharing)));
    assert.deepEqual(await sharing(), ['leads', 'follows', 'follows', 'follows']);
    assert.equal(await sockets(), 1);

    const seen = async (title) => {
      for (const page of pages) await page.waitForFunction((title) => tasks.value.some((task) => task.title === title), title);
    };
    await server().post('tasks', { title: 'From outside' });
    await seen('From outside');
    // A tab that follows writes over the socket of the other one.
    await pages[2].evaluate(async () => void (await db.create('Task', { title: 'From a tab' })));
    await seen('From a tab');

    // The others come back on one socket. What is written meanwhile is not lost.
    await pages.shift().close();
    for (let n = 0; n < 5; n++) await server().post('tasks', { title: `Meanwhile ${n}` });
    await seen('Meanwhile 4');
    for (const page of pages) await page.waitForFunction(() => tasks.state.value === 'live' && here.state.value === 'live');
    assert.deepEqual((await sharing()).sort(), ['follows', 'follows', 'leads']);
    assert.equal(await sockets(), 1);
    await server().post('tasks', { title: 'Last' });
    await seen('Last');

    for (const page of pages) {
      const { rows, events, flickers, users } = await page.evaluate(() => ({
        rows: tasks.value.map(({ title }) => title).sort(),
        events,
        flickers: titles.slice(1).filter((text, at) => text.length < titles[at].length),
        users: here.users.value.map(({ id }) => id),
      }));
      assert.deepEqual(rows, [...Array.from({ length: 5 }, (_, n) => `Meanwhile ${n}`), 'From a tab', 'From outside', 'Last'].sort());
      assert.deepEqual(events, [...new Set(events)].sort((a, b) => a - b), 'no event is told twice, or out of order');
      assert.deepEqual(flickers, []);
      assert.deepEqual(users, ['ada']);
    }
  });
});
