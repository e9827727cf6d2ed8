import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channelOf } from '../../static/query.js';

test('a question is a channel: percent-encoded, lists by commas, those in values escaped', () => {
  for (const [where, text] of [
    [undefined, 'entity:Task'],
    [{}, 'entity:Task'],
    [{ status: undefined }, 'entity:Task'],
    [{ status: 'open' }, 'entity:Task?status=open'],
    [{ status: { eq: 'open' } }, 'entity:Task?status=open'],
    [{ due: null }, 'entity:Task?due[null]=true'],
    [{ due: { null: false } }, 'entity:Task?due[null]=false'],
    [{ done: false, priority: { gte: 3, lt: undefined } }, 'entity:Task?done=false&priority[gte]=3'],
    [{ title: { in: ['b', 'a,b', 'c\\d', ''] } }, 'entity:Task?title[in]=%2Ca%5C%2Cb%2Cb%2Cc%5C%5Cd'],
    [{ title: 'a&b=c#d?e+f g%h' }, 'entity:Task?title=a%26b%3Dc%23d%3Fe%2Bf%20g%25h'],
    [{ title: 'Ünïcode 🦀' }, 'entity:Task?title=%C3%9Cn%C3%AFcode%20%F0%9F%A6%80'],
    [{ 'na&me': { 'o=p': 1 } }, 'entity:Task?na%26me[o%3Dp]=1'],
    [JSON.parse('{"__proto__": "x"}'), 'entity:Task?__proto__=x'],
  ]) {
    assert.equal(channelOf('Task', where), text);
  }
});

test('the same question is the same channel, in whatever order it was put; another one is another', () => {
  const one = channelOf('Task', { status: 'open', priority: { gte: 3, lt: 5 }, id: { in: ['b', 'a', 'b'] } });
  assert.equal(one, channelOf('Task', { id: { in: ['a', 'b'] }, priority: { lt: 5, gte: 3 }, status: { eq: 'open' } }));
  assert.equal(one, 'entity:Task?id[in]=a%2Cb&priority[gte]=3&priority[lt]=5&status=open');
  assert.notEqual(one, channelOf('Task', { id: { in: ['a,b'] }, priority: { lt: 5, gte: 3 }, status: 'open' }));
  const given = { in: ['b', 'a'] };
  channelOf('Task', { id: given });
  assert.deepEqual(given.in, ['b', 'a'], 'what the caller gave is left as it was');
});
