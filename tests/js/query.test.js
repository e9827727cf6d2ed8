import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parameters } from '../../static/api.js';
import { channelOf, channelOfRecord } from '../../static/query.js';

test('a question is a channel: percent-encoded, lists by commas, those in values escaped', () => {
  for (const [where, text] of [
    [undefined, 'entity:Task'],
    [{}, 'entity:Task'],
    [{ status: 'open' }, 'entity:Task?status=open'],
    [{ status: { eq: 'open' } }, 'entity:Task?status=open'],
    [{ due: null }, 'entity:Task?due[null]=true'],
    [{ due: { null: false } }, 'entity:Task?due[null]=false'],
    [{ done: false, priority: { gte: 3 } }, 'entity:Task?done=false&priority[gte]=3'],
    [{ n: -0, m: 1e21, f: 0.1 }, 'entity:Task?f=0.1&m=1e%2B21&n=0'],
    [{ at: new Date(0) }, 'entity:Task?at=1970-01-01T00%3A00%3A00.000Z'],
    [{ at: { gte: new Date('2026-11-21T09:00:00+01:00') } }, 'entity:Task?at[gte]=2026-11-21T08%3A00%3A00.000Z'],
    [{ title: { in: [] } }, 'entity:Task?title[in]='],
    [{ title: { in: [''] } }, 'entity:Task?title[in]=%2C'],
    [{ title: { in: ['', ''] } }, 'entity:Task?title[in]=%2C'],
    [{ title: '' }, 'entity:Task?title='],
    [Object.assign(Object.create(null), { status: 'open' }), 'entity:Task?status=open'],
    [{ title: { in: ['b', 'a,b', 'c\\d', ''] } }, 'entity:Task?title[in]=%2Ca%5C%2Cb%2Cb%2Cc%5C%5Cd'],
    [{ title: 'a&b=c#d?e+f g%h' }, 'entity:Task?title=a%26b%3Dc%23d%3Fe%2Bf%20g%25h'],
    [{ title: 'Ünïcode 🦀' }, 'entity:Task?title=%C3%9Cn%C3%AFcode%20%F0%9F%A6%80'],
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

/** What no question can hold, as a value, as that of an operator and within a list. */
const NO_VALUES = {
  undefined: undefined,
  NaN: Number.NaN,
  Infinity,
  '-Infinity': -Infinity,
  'a function': () => 'open',
  'a symbol': Symbol('open'),
  'a BigInt': 3n,
  'an invalid Date': new Date('no'),
  'a Date beyond four digits': new Date(8.64e15),
  'a Date before the year 0': new Date(-8.64e15),
  'a Map': new Map([['gte', 3]]),
  'a Set': new Set(['a']),
  'a RegExp': /a/,
  'a String object': new String('a'),
  'a Uint8Array': new Uint8Array(2),
  'a promise': Promise.resolve('a'),
  'an instance of a class': new (class Range {
    gte = 3;
  })(),
  'an object with a prototype': Object.create({ gte: 3 }),
  'an object with a set prototype': { __proto__: { gte: 3 } },
  'half a surrogate pair': 'a\ud800',
  'an array': ['a'],
};

test('what cannot be asked is refused and never left out, wherever it stands', () => {
  const bad = [];
  for (const [what, value] of Object.entries(NO_VALUES)) {
    bad.push([what, { status: value }], [`${what} under an operator`, { status: { ne: value } }]);
    bad.push([`${what} in a list`, { status: { in: ['a', value] } }], [`${what} beside others`, { n: 1, status: value }]);
  }
  bad.push(
    ['null under an operator', { due: { eq: null } }],
    ['null in a list', { due: { in: [null] } }],
    ['a hole in a list', { due: { in: Array(2) } }],
    ['no operator', { due: {} }],
    ['an object under an operator', { due: { eq: {} } }],
    ['an unknown operator', { due: { like: 'a' } }],
    ['an operator in capitals', { due: { GTE: 'a' } }],
    ['an inherited operator', { due: { toString: 'a' } }],
    ['an operator named __proto__', JSON.parse('{"due": {"__proto__": 1}}')],
    ['a symbol as an operator', { due: { gte: 1, [Symbol('lt')]: 2 } }],
    ['an array of arrays', { due: { in: [['a']] } }],
    ['a text as a list', { due: { in: 'a,b' } }],
    ['a set as a list', { due: { in: new Set(['a']) } }],
    ['a text for null', { due: { null: 'true' } }],
    ['a number for null', { due: { null: 1 } }],
    ['an operator in a name', { 'due[gte]': 3 }],
    ['a name that is none', { 'a&b': 3 }],
    ['an empty name', { '': 3 }],
    ['a symbol as a name', { [Symbol('due')]: 3 }],
    ['a Map as a question', new Map([['status', 'open']])],
    ['an array as a question', [['status', 'open']]],
    ['an instance as a question', new URLSearchParams('status=open')],
    ['a question with a prototype', Object.create({ status: 'open' })],
    ['a text as a question', 'status=open'],
    ['null as a question', null],
  );
  for (const [what, where] of bad) {
    const teaches = (error) => error instanceof TypeError && /cannot be asked \(.+\): .{10}/.test(error.message);
    assert.throws(() => channelOf('Task', where), teaches, `${what}, of a channel`);
    assert.throws(() => parameters(where), teaches, `${what}, of a list`);
  }
});

test('the words of a list may be undefined and lists of names; nothing else is passed over', () => {
  assert.deepEqual(parameters({ cursor: undefined, sort: ['-n', 'title'], limit: 5, fields: [] }), [
    ['sort', '-n,title'],
    ['limit', '5'],
    ['fields', ''],
  ]);
  // The last page has `next: null`; left out, it would be the first page again.
  for (const query of [{ cursor: null }, { limit: Number.NaN }, { sort: [undefined] }, { sort: {} }, { expand: [['a']] }])
    assert.throws(() => parameters(query), TypeError, JSON.stringify(query));
  assert.throws(() => channelOf('Task', { sort: undefined }), TypeError, 'a channel has no such words');
});

test('a field with the name of a parameter is asked for by its operator', () => {
  for (const name of 'sort limit cursor fields expand search group as claims token ticket access_token api_key'.split(' ')) {
    assert.deepEqual(parameters({ [name]: { eq: 'x' } }), [[`${name}[eq]`, 'x']]);
    // A channel has no caller of its own.
    const eq = /^(as|claims|t|a)/.test(name) ? '' : '[eq]';
    assert.equal(channelOf('Task', { [name]: 'x' }), `entity:Task?${name}${eq}=x`);
    assert.equal(channelOf('Task', { [name]: { eq: 'x' } }), `entity:Task?${name}${eq}=x`);
    assert.equal(channelOf('Task', { [name]: { in: ['x'] } }), `entity:Task?${name}[in]=x`);
  }
  assert.deepEqual(parameters({ limit: 5, sort: { gte: 3 } }), [['limit', '5'], ['sort[gte]', '3']]);
});

test('an entity or an id that would name another channel is refused', () => {
  assert.equal(channelOfRecord('User', 'ada löwe?'), 'entity:User:ada%20l%C3%B6we%3F');
  for (const id of ['', undefined, null, 5, {}, 'a\udc00', ['a']]) assert.throws(() => channelOfRecord('Task', id), TypeError);
  for (const entity of ['', 'Task:1', 'Task?a=1', 'Ta sk', undefined, null, ['Task'], {}]) {
    assert.throws(() => channelOf(entity), TypeError);
    assert.throws(() => channelOfRecord(entity, '1'), TypeError);
  }
});
