/**
 * A page with many lists never sends more than the server allows, however the line behaves: otherwise it would be closed as
 * abuse (4029), come back, do the same, and be closed for good (4429).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RealtimeClient } from '../../static/realtime.js';
import { seeded, world } from './world.js';

const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));
const BINARY = process.env.TIDEWIRE_BIN ?? join(ROOT, 'target/debug/tidewire');
const LISTS = 260;
const names = (prefix) => Array.from({ length: LISTS }, (_, n) => `entity:Task?title=${prefix}${n}`);

/**
 * The server's end behind a line that delays, and now and then stalls and then delivers all at once. It counts as the server
 * does (`runtime/realtime/rate.rs`), and closes.
 */
function strict(w, socket, { messagesPerSecond, messageBurst }, random) {
  const cost = 1000 / messagesPerSecond;
  const told = { subscribed: 0, closed: null };
  let paid = 0;
  let [up, down] = [0, 0];
  const later = (arrives, call) => w.clock.setTimeout(() => told.closed === null && call(), arrives - w.clock.time);
  const delay = () => (random() < 0.02 ? random() * 8000 : random() * 100);
  const say = (frame) => later((down = Math.max(down, w.clock.time + delay())), () => socket.say(frame));
  socket.onClientFrame = (frame) =>
    later((up = Math.max(up, w.clock.time + delay())), () => {
      paid = Math.max(paid, w.clock.time) + cost;
      if (paid > w.clock.time + cost * messageBurst + 1e-6) {
        told.closed = 4029;
        return socket.cut(4029);
      }
      if (frame.type === 'ping') say({ type: 'pong', requestId: frame.requestId, payload: {} });
      if (frame.type !== 'subscribe') return;
      told.subscribed += 1;
      const { channel, requestId } = frame;
      say({ type: 'subscribed', channel, requestId, payload: { epoch: 'e1', seq: 1, view: 'v', recovered: false } });
    });
  socket.greet({ limits: { messagesPerSecond, messageBurst } });
  return told;
}

test('however the line stalls, 260 lists that open, change and come back stay within any limit', async () => {
  for (const [messagesPerSecond, messageBurst] of [[100, 200], [100, 260], [1000, 40], [20, 8], [5, 300]]) {
    for (let seed = 1; seed <= 3; seed++) {
      const w = world();
      const random = seeded(seed);
      const rt = new RealtimeClient('/ws', { env: w.env, linger: 0, heartbeatTimeout: 60_000 });
      let disposers = names('a').map((name) => rt.subscribe(name, () => {}, { snapshot: true }));
      rt.connect();
      const limits = { messagesPerSecond, messageBurst };
      const minutes = 60_000 + (4 * 1000 * LISTS) / messagesPerSecond + (2000 * LISTS) / messageBurst;
      for (const expected of [LISTS, 2 * LISTS]) {
        const told = strict(w, w.socket, limits, random);
        await w.clock.run(minutes);
        assert.deepEqual(told, { subscribed: LISTS, closed: null }, `${messagesPerSecond}/s, ${messageBurst}, seed ${seed}`);
        // Another view of the page: as many channels go as come.
        disposers.forEach((dispose) => dispose());
        disposers = names(`b${expected}`).map((name) => rt.subscribe(name, () => {}, { snapshot: true }));
        await w.clock.run(2 * minutes);
        assert.deepEqual(told, { subscribed: 2 * LISTS, closed: null }, `${messagesPerSecond}/s, ${messageBurst}, seed ${seed}`);
        const before = w.sockets.length;
        w.socket.cut();
        await w.clock.run(5000);
        assert.equal(w.sockets.length, before + 1);
      }
      rt.disconnect();
    }
  }
});

test('a few channels do not wait, and pings wait for nothing', () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env });
  names('a').forEach((name) => rt.subscribe(name, () => {}));
  rt.connect();
  w.socket.greet({ limits: { messagesPerSecond: 100, messageBurst: 200 } });
  const sent = w.socket.inbox.map(({ type }) => type);
  assert.deepEqual(sent, ['ping', ...Array(50).fill('subscribe'), 'ping']);
  w.env.window.fire('online');
  assert.equal(w.socket.inbox.length, 53, 'is anybody there? is asked at once');
  rt.disconnect();
});

// The real server.

/** Starts it, on the same port and data as before if there is one. */
function serve(folder, address) {
  const limits = ['subscriptions=260', 'message_burst=260', 'messages_per_second=400'];
  const settings = limits.flatMap((limit) => ['--set', `realtime.${limit}`]);
  const folders = ['--schemas', join(ROOT, 'tests/fixtures/plain'), '--data', folder];
  const listen = ['--listen', address?.host ?? '127.0.0.1:0'];
  const child = spawn(BINARY, ['dev', ...listen, ...folders, ...settings], { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      const found = /listening on (http:\/\/[^\s/]+)/.exec(said);
      if (found) resolve({ child, address: new URL(found[1]) });
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${BINARY} ended with ${code}:\n${said}`)));
  });
}

const gone = (child) => new Promise((resolve) => child.on('exit', resolve) && child.kill('SIGKILL'));

test('a page with 260 lists is served by a real server, and comes back after its restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-pace-'));
  let { child, address } = await serve(folder);
  const ws = `ws://${address.host}/ws`;
  const rt = new RealtimeClient(ws, { linger: 0, bridgeAfter: 60_000, reconnectInterval: 10, env: { base: address.href } });
  const codes = [];
  rt.detail.listen(({ code }) => code && codes.push(code));
  const open = (prefix) => {
    let live = new Set();
    let all;
    const everyOne = () => new Promise((resolve) => (all = resolve));
    const opened = everyOne();
    const disposers = names(prefix).map((name) =>
      rt.subscribe(name, () => {}, {
        snapshot: true,
        onState: (state) => {
          if (state === 'live') live.add(name);
          else live.delete(name);
          if (live.size === LISTS) all();
        },
      }),
    );
    return { disposers, opened, again: everyOne };
  };
  try {
    const first = open('a');
    rt.connect();
    await first.opened;
    const { connectionId } = rt.detail.value;
    first.disposers.forEach((dispose) => dispose());
    // The old ones go first: timers of the same length run in the order in which they were set.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const second = open('b');
    await second.opened;
    assert.equal(rt.detail.value.connectionId, connectionId, 'it is the same connection');
    const back = second.again();
    await gone(child);
    ({ child } = await serve(folder, address));
    await back;
    assert.notEqual(rt.detail.value.connectionId, connectionId);
    assert.deepEqual(codes.filter((code) => code >= 4000), []);
  } finally {
    rt.disconnect();
    await gone(child);
    rmSync(folder, { recursive: true, force: true });
  }
});
