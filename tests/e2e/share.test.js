/**
 * More tabs than a browser opens connections to one server, and no socket gets through: a few tabs hold a stream, and all of them
 * see each change at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inContext } from './notes.js';
import { stage } from './stage.js';

const { server, chrome } = stage('tests/fixtures/plain');
const TABS = 8;
/** Polls that come by themselves are too rare to be why a change is seen. */
const SCRIPT = `import { ChannelSubscriber } from '/static/channels.js';
import { RealtimeClient } from '/static/realtime.js';

window.rt = new RealtimeClient('/ws', { maxReconnectAttempts: 0, bridgeAfter: 100, pollInterval: 120_000, maxPollInterval: 120_000 }).connect();
window.tasks = new ChannelSubscriber(rt).list('Task');
`;

test('eight tabs without sockets: three hold a stream, and all see a change, also after the first one is closed', async () => {
  server().publish('own.html', '<!doctype html><html lang="en"><title>Own</title><script type="module" src="/own.js"></script>');
  server().publish('own.js', SCRIPT);
  await inContext(chrome(), async (context) => {
    await context.addInitScript(() => {
      window.WebSocket = class {
        constructor() {
          queueMicrotask(() => this.onclose?.({ code: 1006, reason: '' }));
        }
        close() {}
      };
    });
    const pages = [];
    const ways = () => Promise.all(pages.map((page) => page.evaluate(() => rt.detail.value.transport)));
    for (let at = 0; at < TABS; at++) {
      const page = await context.newPage();
      pages.push(page);
      await page.goto(`${server().address}/own.html`);
      await page.waitForFunction((way) => window.tasks?.state.value === 'live' && rt.detail.value.transport === way, at < 3 ? 'sse' : 'poll');
    }
    assert.deepEqual(await ways(), [...Array(3).fill('sse'), ...Array(5).fill('poll')]);
    const seen = async (title) => {
      await server().post('tasks', { title });
      for (const page of pages) await page.waitForFunction((title) => tasks.value.some((task) => task.title === title), title);
    };
    await seen('One');
    // A tab that is looked at while it waits goes on waiting.
    for (const page of pages) await page.evaluate(() => void dispatchEvent(new Event('focus')));
    await pages.shift().close();
    await pages[2].waitForFunction(() => rt.detail.value.transport === 'sse');
    assert.deepEqual(await ways(), [...Array(3).fill('sse'), ...Array(4).fill('poll')], 'the one that waited longest');
    await seen('Two');
  });
});
