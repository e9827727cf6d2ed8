/**
 * The number of records beside a list: asked again after changes, and not for what the last answer includes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter } from '../../static/pages/count.js';

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A counter whose answers the test gives. */
function counted(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked = [];
  const told = [];
  const one = counter(
    () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
    (count) => told.push(count),
  );
  return { ...one, asked, told, later: () => (t.mock.timers.tick(1000), settle()) };
}

const AT = { epoch: 'e', seq: 5, view: 'v' };

test('a change while an answer is awaited is asked for a second later, once', async (t) => {
  const { read, asked, told, later } = counted(t);
  read();
  read();
  read();
  asked[0].resolve({ count: 1, ...AT });
  await settle();
  assert.equal(asked.length, 1);
  await later();
  assert.equal(asked.length, 2);
  asked[1].reject(new Error('no'));
  await settle();
  await later();
  assert.deepEqual([told, asked.length], [[1, null], 2]);
});

test('a position that the answer includes is not asked for, and any other one is', async (t) => {
  for (const [at, again] of [
    [AT, false],
    [{ ...AT, seq: 4 }, false],
    [{ ...AT, seq: 6 }, true],
    [{ ...AT, epoch: 'f' }, true],
    [{ ...AT, view: 'w' }, true],
    [undefined, true],
    [{}, true],
  ]) {
    for (const when of ['while it is awaited', 'after it']) {
      const { read, asked, later } = counted(t);
      read();
      if (when !== 'after it') read(at);
      asked[0].resolve({ count: 1, ...AT });
      await settle();
      await later();
      if (when === 'after it') read(at);
      assert.equal(asked.length, again ? 2 : 1, `${JSON.stringify(at)} ${when}`);
      t.mock.timers.reset();
    }
  }
});

test('of two positions neither counts as the farther one, and an answer without a position includes none', async (t) => {
  const { read, asked, later } = counted(t);
  read();
  read({ ...AT, seq: 6 });
  read({ ...AT, seq: 4 });
  asked[0].resolve({ count: 1, ...AT });
  await settle();
  await later();
  asked[1].resolve({ count: 1 });
  await settle();
  await later();
  read(AT);
  assert.equal(asked.length, 3);
});
