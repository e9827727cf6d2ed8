/**
 * Modules that are loaded behind the start of a page, and may not come: what is asked of them waits, in a bounded place, and ends with
 * who asked.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { part } from '../../static/parts.js';
import { signal } from '../../static/signal.js';
import { ROOT } from './program.js';
import { settle, world } from './world.js';

test('a part is loaded once; one that could not be loaded is loaded by the next call', async () => {
  const asked = [];
  const load = part(() => new Promise((resolve, reject) => asked.push({ resolve, reject })));
  const [one, two] = [load(), load()];
  assert.equal(asked.length, 1);
  asked[0].reject(new Error('no line'));
  await assert.rejects(one, /no line/);
  await assert.rejects(two, /no line/);
  const three = load();
  asked[1].resolve('the module');
  assert.deepEqual([await three, await load(), load.loaded, asked.length], ['the module', 'the module', 'the module', 2]);
});

/** A page of its own, to which `attendance.js` does not come until `arrive`. */
async function page() {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-parts-'));
  cpSync(join(ROOT, 'static'), folder, { recursive: true, filter: (path) => !/attendance\.js$|pages$|types$/.test(path) });
  const { PresenceManager } = await import(pathToFileURL(join(folder, 'presence.js')).href);
  const w = world();
  const frames = [];
  const rt = {
    connected: signal(true),
    detail: signal({ userId: 'ada' }),
    on: () => () => {},
    request: (type, payload, channel) => {
      frames.push([type, channel, payload]);
      return new Promise(() => {});
    },
  };
  return {
    w,
    rt,
    frames,
    presence: new PresenceManager(rt, { env: w.env }),
    arrive: () => cpSync(join(ROOT, 'static/attendance.js'), join(folder, 'attendance.js')),
    /** Until a load has failed, and the next one is due. */
    failed: () => until(() => w.clock.pending === 1),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The files have their own pace. */
async function until(look) {
  for (let turn = 0; turn < 2000; turn++) {
    if (look()) return settle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`never: ${look}`);
}

test('while the part of presence cannot be loaded, the last of each thing waits, and is told when it comes', async () => {
  const { w, frames, presence, arrive, failed, remove } = await page();
  try {
    const here = presence.join('Task/7', { field: null, a: 1 });
    const gone = presence.join('Task/8');
    presence.join('Task/8');
    presence.watch('Task/9');
    const only = presence.count('lobby');
    for (let x = 0; x < 1000; x++) here.update({ x, field: x < 999 ? 'title' : null }, 'idle');
    here.update({ y: 1 }, 'away');
    only.update({ never: true });
    gone.leave();
    gone.leave();
    assert.deepEqual([gone.state.value, here.state.value], ['left', 'joining']);
    for (let time = 0; time < 3; time++) {
      await failed();
      await w.clock.run(1000);
    }
    await failed();
    assert.deepEqual(frames, []);
    arrive();
    await w.clock.run(1000);
    await until(() => frames.length >= 4);
    await w.clock.run(1000);
    assert.deepEqual(frames, [
      ['presence:join', 'presence:Task/7', { metadata: { a: 1, x: 999, y: 1 }, state: undefined }],
      ['presence:update', 'presence:Task/7', { metadata: {}, state: 'away' }],
      ['subscribe', 'presence:Task/9', undefined],
      ['subscribe', 'presence:lobby', { count: true }],
    ]);
    presence.close();
  } finally {
    remove();
  }
});

test('a presence that is closed loads nothing more; one that is used again does', async () => {
  const { w, frames, presence, arrive, failed, remove } = await page();
  try {
    const here = presence.join('Task/7');
    await failed();
    presence.close();
    assert.deepEqual([w.clock.pending, here.state.value], [0, 'left']);
    presence.close();
    here.update({ a: 1 });
    here.leave();
    // One that is closed while the part is on its way.
    presence.join('Task/7');
    presence.close();
    await failed();
    arrive();
    await w.clock.run(10_000);
    await until(() => w.clock.pending === 0);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([w.clock.pending, w.env.document.listening, frames], [0, 0, []]);
    presence.join('Task/8', { b: 2 });
    await until(() => frames.length > 0);
    assert.deepEqual(frames, [['presence:join', 'presence:Task/8', { metadata: { b: 2 }, state: undefined }]]);
    presence.close();
    assert.equal(w.env.document.listening, 0);
  } finally {
    remove();
  }
});
