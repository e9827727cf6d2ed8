/**
 * The event tail of the inspector, beside a server that writes faster than it shows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tail } from '../../static/pages/inspect/tail.js';

/** A log that answers as the server does, and a tail that asks it. */
function followed(head = 0) {
  const log = { head, asked: [], duringAsk: () => {} };
  const answer = ({ after, limit, entity }) => {
    const from = after ?? Math.max(0, log.head - limit);
    const next = Math.min(log.head, from + limit);
    const all = Array.from({ length: next - from }, (_, at) => ({ seq: from + at + 1, entity: (from + at + 1) % 100 ? 'Task' : 'Note' }));
    return { items: all.filter((one) => !entity || one.entity === entity), next, head: log.head };
  };
  const tail = new Tail(async (query) => {
    log.asked.push(query);
    const answered = answer(query);
    log.duringAsk();
    return answered;
  });
  return { log, tail, seqs: () => tail.items.map(({ seq }) => seq) };
}

const down = (from, count) => Array.from({ length: count }, (_, at) => from - at);

test('each change is shown once while no more come than are shown', async () => {
  const { log, tail, seqs } = followed(50);
  await tail.follow();
  log.head = 130;
  await tail.follow();
  await tail.follow();
  assert.deepEqual(seqs(), down(130, 130));
  assert.equal(tail.leftOut, 0);
});

test('two looks at once are one', async () => {
  const { log, tail, seqs } = followed(50);
  await Promise.all([tail.follow(), tail.follow()]);
  assert.deepEqual([seqs(), log.asked.length], [down(50, 50), 1]);
});

test('a server that writes faster is followed to its newest change, and the rest is counted', async () => {
  const { log, tail, seqs } = followed(10);
  await tail.follow();
  log.asked.length = 0;
  for (const head of [5_000, 9_000]) {
    log.head = head;
    await tail.follow();
    assert.deepEqual(seqs(), down(head, 200));
  }
  assert.equal(tail.leftOut, 9_000 - 10 - 2 * 200);
  assert.equal(log.asked.length, 4, 'two requests each time');
});

test('what comes while the tail asks waits for the next time', async () => {
  const { log, tail, seqs } = followed(10);
  await tail.follow();
  log.head = 1_000;
  log.duringAsk = () => (log.head += 100);
  await tail.follow();
  assert.equal(log.asked.length, 3, 'it does not run after a server for ever');
  log.duringAsk = () => {};
  await tail.follow();
  assert.deepEqual(seqs(), down(1_200, 200));
  assert.equal(tail.leftOut, 1_200 - 10 - 400);
});

test('a filter finds what it wants among many changes, and counts those that it did not look at', async () => {
  const { log, tail, seqs } = followed(0);
  tail.filter({ entity: 'Note', by: '' });
  await tail.follow();
  log.head = 10_500;
  await tail.follow();
  assert.deepEqual([seqs().length, seqs()[0], seqs().at(-1), tail.leftOut], [105, 10_500, 100, 0]);
  log.head = 60_500;
  await tail.follow();
  assert.deepEqual(seqs().slice(0, 2), [60_500, 60_400]);
  assert.equal(tail.leftOut, 39_000, 'one request of a thousand, then the last ten thousand');
});

test('an answer to an earlier filter is not shown', async () => {
  const { log, tail } = followed(20);
  log.duringAsk = () => tail.filter({ entity: 'Note' });
  await tail.follow();
  assert.deepEqual(tail.items, []);
  log.duringAsk = () => {};
  log.head = 100;
  await tail.follow();
  assert.deepEqual(tail.items.map(({ seq }) => seq), [100]);
});
