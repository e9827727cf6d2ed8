/**
 * Modules that are loaded behind the start of a page: none of what was asked of them before is lost, and it stays in order.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { late, part } from '../../static/parts.js';
import { Clock, settle } from './world.js';

/** A module that comes when the test says so. */
function slow() {
  const asked = [];
  const load = part(() => new Promise((resolve, reject) => asked.push({ resolve, reject })));
  return { asked, load };
}
class Notes {
  taken = [];
}

test('what is asked of a part before it is there is done in order, once, and later calls at once', async () => {
  const { asked, load } = slow();
  const notes = new Notes();
  const soon = late(new Clock(), load, (module) => Object.assign(notes, { module }));
  soon(({ taken }) => taken.push(1));
  soon(({ taken }) => taken.push(2));
  await settle();
  assert.deepEqual([notes.taken, asked.length], [[], 1]);
  asked[0].resolve('the module');
  await settle();
  soon(({ taken }) => taken.push(3));
  assert.deepEqual([notes.taken, notes.module], [[1, 2, 3], 'the module']);
});

test('a part that is there already is used at once', async () => {
  const { asked, load } = slow();
  const loading = load();
  asked[0].resolve('the module');
  await loading;
  const notes = new Notes();
  late(new Clock(), load, () => notes)(({ taken }) => taken.push(1));
  assert.deepEqual(notes.taken, [1]);
});

test('a part that cannot be loaded is tried again every second, and what was asked of it waits', async () => {
  const { asked, load } = slow();
  const clock = new Clock();
  const notes = new Notes();
  const soon = late(clock, load, () => notes);
  soon(({ taken }) => taken.push(1));
  for (const time of [1, 2, 3]) {
    assert.equal(asked.length, time);
    asked.at(-1).reject(new Error('no line'));
    await settle();
    soon(({ taken }) => taken.push(time + 1));
    await clock.run(999);
    assert.equal(asked.length, time, 'no sooner');
    await clock.run(1);
  }
  asked.at(-1).resolve({});
  await settle();
  assert.deepEqual(notes.taken, [1, 2, 3, 4]);
  assert.equal(clock.pending, 0);
});
