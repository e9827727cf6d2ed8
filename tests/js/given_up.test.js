/**
 * What is given up before it was sent stays unsent, whatever happens to the changes before it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptimisticManager } from '../../static/optimistic.js';
import { idsOf } from '../../static/ids.js';
import { story } from './optimistic_story.js';
import { settle, world } from './world.js';

test('a change that is given up while an earlier one is prepared is not sent', async () => {
  for (const giveUp of [(made) => made.discard(), (made, db) => db.delete('Task', made.id)]) {
    const w = world();
    const [sent, gets] = [[], []];
    const api = { newId: idsOf(w.env), plural: async () => 'tasks', schema: async () => ({ entities: [] }), get: () => new Promise((resolve) => gets.push(resolve)) };
    const send = async ({ ops }) => {
      sent.push(...ops.map(({ op, id }) => [op, id]));
      return { epoch: 'e1', seq: 1, results: ops.map(({ id }) => ({ status: 200, id, record: { id, version: 2 } })) };
    };
    const db = new OptimisticManager(api, null, { env: w.env, send });
    db.update('Task', 'r1', ({ n }) => ({ n: n + 1 }));
    const made = db.create('Task', { title: 'x' });
    made.then(null, () => {});
    await settle();
    assert.equal(gets.length, 1, 'the first one waits for its record');
    giveUp(made, db);
    gets[0]({ id: 'r1', version: 1, n: 0 });
    await settle();
    await w.clock.run(10_000);
    assert.deepEqual([sent, made.state, db.pending.value], [[['update', 'r1']], 'done', []]);
    db.close();
  }
});

test('a record that was made and deleted while an earlier change was prepared is not there in the end', async () => {
  for (const seed of [5835, 8308]) await story(seed, {});
});
