/**
 * The selected rows of a table: one by one, and in ranges that begin at the row that was selected last.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Selection } from '../../static/pages/selection.js';

const ORDER = [...'abcdefgh'];
const text = ({ ids }) => [...ids].sort().join('');

test('a range replaces the one before, from the row that was selected last, and leaves what was selected before', () => {
  const selection = new Selection();
  selection.toggle('a');
  selection.toggle('d');
  for (const [to, expected] of [['f', 'adef'], ['e', 'ade'], ['b', 'abcd'], ['d', 'ad']]) {
    selection.extend('h', to, ORDER);
    assert.equal(text(selection), expected, `to ${to}`);
  }
  selection.toggle('d');
  assert.equal(text(selection), 'a');
  selection.set([...'bc']);
  assert.equal(text(selection), 'bc');
  selection.extend('f', 'g', ORDER);
  assert.equal(text(selection), 'bcfg', 'a range without a start begins where it is told');
});

test('a range whose start has gone begins anew, and a row that has gone is in no later range', () => {
  const selection = new Selection();
  selection.toggle('b');
  selection.extend('b', 'd', ORDER);
  assert.equal(selection.keep((id) => id !== 'b'), true);
  assert.equal(selection.keep((id) => id !== 'b'), false);
  assert.equal(text(selection), 'cd');
  const order = ORDER.filter((id) => id !== 'b');
  selection.extend('e', 'f', order);
  assert.equal(text(selection), 'cdef');
  selection.extend('nowhere', 'g', order);
  assert.equal(text(selection), 'cdefg');
  selection.set([]);
  selection.extend('nowhere', 'g', order);
  assert.equal(text(selection), 'g');
});
