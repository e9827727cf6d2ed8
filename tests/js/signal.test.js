import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computed, signal } from '../../static/signal.js';

test('subscribe calls at once, listen only on a change, and both stop when disposed', () => {
  const count = signal(1);
  const seen = [];
  const off = count.subscribe((value) => seen.push(['subscribe', value]));
  const offListen = count.listen((value) => seen.push(['listen', value]));
  count.value = 2;
  off();
  off();
  offListen();
  count.value = 3;
  assert.deepEqual(seen, [
    ['subscribe', 1],
    ['subscribe', 2],
    ['listen', 2],
  ]);
});

test('an equal value tells nobody, and NaN equals NaN', () => {
  const value = signal(NaN);
  let calls = 0;
  value.listen(() => calls++);
  value.value = NaN;
  assert.equal(calls, 0);
  value.value = -0;
  value.value = 0;
  assert.equal(calls, 2);
});

test('a listener that throws stops neither the others nor the writer', (t) => {
  t.mock.method(console, 'error', () => {});
  const value = signal(0);
  const seen = [];
  value.listen(() => {
    throw new Error('mine');
  });
  value.listen((next) => seen.push(next));
  value.value = 1;
  assert.deepEqual(seen, [1]);
  assert.equal(console.error.mock.callCount(), 1);
});

test('listeners may come and go while they are being called', () => {
  const value = signal(0);
  const seen = [];
  const offSecond = { call: () => {} };
  value.listen(() => {
    offSecond.call();
    value.listen(() => seen.push('late'));
  });
  offSecond.call = value.listen(() => seen.push('removed'));
  value.value = 1;
  assert.deepEqual(seen, []);
});

test('the same function listening twice is two listeners', () => {
  const value = signal(0);
  let calls = 0;
  const call = () => calls++;
  const off = value.listen(call);
  value.listen(call);
  off();
  value.value = 1;
  assert.equal(calls, 1);
});

test('a computed value follows its sources until it is disposed', () => {
  const a = signal(1);
  const b = signal(2);
  const sum = computed([a, b], (x, y) => x + y);
  const seen = [];
  sum.subscribe((value) => seen.push(value));
  a.value = 2;
  [a.value, b.value] = [1, 3];
  sum.dispose();
  a.value = 100;
  assert.deepEqual(seen, [3, 4, 3, 4]);
  assert.equal(sum.value, 4);
});

test('methods may be passed around by themselves', () => {
  const { listen, subscribe, peek } = signal('x');
  subscribe(() => {})();
  listen(() => {})();
  assert.equal(peek(), 'x');
});
