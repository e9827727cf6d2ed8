import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api, ApiError } from '../../static/api.js';
import { reply, world } from './world.js';

function open(options = {}) {
  const w = world();
  return { w, api: new Api('/api', { env: w.env, ...options }) };
}
const refused = (call) =>
  call.then(
    () => assert.fail('it was not refused'),
    (error) => error,
  );

test('addresses: ids are encoded, a query is made of what is given, a name goes along', async () => {
  const { w, api } = open({ as: 'Ada & Bob' });
  w.respond = () => reply(200, {});
  await api.get('tasks', '../x?y#z');
  await api.list('tasks', { status: 'open & shut', limit: 2, cursor: undefined });
  assert.deepEqual(
    w.requests.map(({ url }) => url.href),
    [
      'http://test.local/api/tasks/..%2Fx%3Fy%23z?as=Ada+%26+Bob',
      'http://test.local/api/tasks?status=open+%26+shut&limit=2&as=Ada+%26+Bob',
    ],
  );
});

test('operators, lists and null become the query string that the server reads', async () => {
  const { w, api } = open();
  w.respond = () => reply(200, {});
  await api.list('tasks', {
    status: 'open',
    due: null,
    priority: { gte: 3 },
    cursor: undefined,
    title: { in: ['a,b', 'c\\d', ''], contains: 'x y' },
    sort: ['-priority', 'title'],
    fields: ['title'],
    expand: ['project', 'project.owner'],
    search: 'two words',
  });
  await api.get('tasks', '1', { expand: ['project'], fields: undefined });
  await api.count('tasks', { group: 'status', owner: { null: false } });
  assert.deepEqual(
    w.requests.map(({ url }) => decodeURIComponent(url.href.replace('http://test.local/api/', ''))),
    [
      'tasks?status=open&due[null]=true&priority[gte]=3&title[in]=a\\,b,c\\\\d,&title[contains]=x+y' +
        '&sort=-priority,title&fields=title&expand=project,project.owner&search=two+words',
      'tasks/1?expand=project',
      'tasks/count?group=status&owner[null]=false',
    ],
  );
});

test('a history is asked for page by page', async () => {
  const { w, api } = open();
  const page = { items: [{ seq: 7, op: 'delete', version: 2 }], next: 'c', epoch: 'e', seq: 9 };
  w.respond = () => reply(200, page);
  assert.deepEqual(await api.history('tasks', 'a/b'), page);
  await api.history('tasks', '1', { limit: 5, cursor: 'c' });
  assert.deepEqual(
    w.requests.map(({ method, url }) => [method, url.href]),
    [
      ['GET', 'http://test.local/api/tasks/a%2Fb/history'],
      ['GET', 'http://test.local/api/tasks/1/history?limit=5&cursor=c'],
    ],
  );
});

test('each write has its method, its body and a key of its own', async () => {
  const { w, api } = open();
  w.respond = (url, { method }) => (method === 'DELETE' ? reply(204) : reply(200, { id: '1' }));
  await api.create('tasks', { title: 'x' });
  await api.update('tasks', '1', { title: 'y' }, { ifMatch: 3 });
  await api.replace('tasks', '1', { title: 'z' }, { mid: 'mine' });
  assert.equal(await api.delete('tasks', '1'), undefined);
  assert.deepEqual(
    w.requests.map(({ method, body }) => [method, body]),
    [
      ['POST', '{"title":"x"}'],
      ['PATCH', '{"title":"y"}'],
      ['PUT', '{"title":"z"}'],
      ['DELETE', undefined],
    ],
  );
  assert.equal(w.requests[1].headers['If-Match'], '"3"');
  assert.equal(w.requests[2].headers['Idempotency-Key'], 'mine');
  assert.equal(new Set(w.requests.map(({ headers }) => headers['Idempotency-Key'])).size, 4);
});

test('a batch is one request with one key; without atomic each operation has its own', async () => {
  const { w, api } = open();
  w.respond = () => reply(200, { epoch: 'e', seq: 2, results: [{ status: 201, id: '1' }], replayed: false });
  const ops = [{ op: 'create', entity: 'Task', data: { title: 'x' } }];
  assert.equal((await api.batch(ops, { mid: 'mine' })).results[0].id, '1');
  await api.batch(ops);
  await api.batch([...ops, { op: 'delete', entity: 'Task', id: '1', mid: 'given' }], { atomic: false });
  const [mine, fresh, each] = w.requests;
  assert.deepEqual([mine.method, mine.url.pathname, JSON.parse(mine.body)], ['POST', '/api/batch', { atomic: true, ops }]);
  assert.equal(mine.headers['Idempotency-Key'], 'mine');
  assert.ok(fresh.headers['Idempotency-Key']);
  assert.equal(each.headers['Idempotency-Key'], undefined);
  const sent = JSON.parse(each.body);
  assert.equal(sent.atomic, false);
  assert.match(sent.ops[0].mid, /^[0-9a-f-]{36}$/);
  assert.equal(sent.ops[1].mid, 'given');
  assert.equal(ops[0].mid, undefined, 'what the caller gave is left as it was');
});

test('a lost answer to a batch: the same operations again under the same ids', async () => {
  const { w, api } = open();
  let calls = 0;
  w.respond = () => {
    if (++calls < 3) throw new TypeError('fetch failed');
    return reply(200, { epoch: 'e', seq: 1, results: [{ status: 201, id: '1', seq: 1, replayed: true }] });
  };
  const answered = api.batch([{ op: 'create', entity: 'Task', data: {} }], { atomic: false });
  await w.clock.run(60_000);
  assert.equal((await answered).results[0].replayed, true);
  assert.equal(w.requests.length, 3);
  assert.equal(new Set(w.requests.map(({ body }) => body)).size, 1);
});

test('a batch that fails says which operation; without atomic each result is a record or an error', async () => {
  const { w, api } = open();
  const problem = { status: 409, code: 'ID_TAKEN', detail: 'taken' };
  w.respond = () => reply(409, { ...problem, op: 3 });
  const error = await refused(api.batch([]));
  assert.deepEqual([error.code, error.op], ['ID_TAKEN', 3]);
  w.respond = () =>
    reply(200, { epoch: 'e', seq: 1, results: [{ status: 201, id: '1', seq: 1 }, { status: 409, error: problem }] });
  const { results } = await api.batch([], { atomic: false });
  assert.equal(results[0].error, undefined);
  assert.ok(results[1].error instanceof ApiError);
  assert.deepEqual([results[1].error.status, results[1].error.code, results[1].error.op], [409, 'ID_TAKEN', null]);
});

test('a refusal carries what the server said', async () => {
  const { w, api } = open();
  w.respond = () =>
    reply(422, {
      status: 422,
      code: 'VALIDATION_FAILED',
      detail: 'One field is not as it should be.',
      hint: 'Correct it.',
      errors: [{ field: 'title', code: 'REQUIRED', message: 'title is required' }],
    });
  const error = await refused(api.create('tasks', {}));
  assert.ok(error instanceof ApiError);
  assert.equal(error.message, 'One field is not as it should be.');
  assert.deepEqual(
    [error.status, error.code, error.hint, error.errors[0].message],
    [422, 'VALIDATION_FAILED', 'Correct it.', 'title is required'],
  );
  assert.equal(w.requests.length, 1);
});

test('a conflict carries the record as it is', async () => {
  const { w, api } = open();
  w.respond = () => reply(412, { code: 'VERSION_CONFLICT', current: { id: '1', version: 4 } });
  const error = await refused(api.update('tasks', '1', {}, { ifMatch: 3 }));
  assert.deepEqual([error.code, error.current], ['VERSION_CONFLICT', { id: '1', version: 4 }]);
});

test('an error page that is not JSON is still an error', async () => {
  const { w, api } = open();
  w.respond = () => ({ ...reply(502), json: async () => JSON.parse('<html>') });
  const error = await refused(api.list('tasks'));
  assert.deepEqual([error.status, error.code, error.message], [502, 'INTERNAL', 'The server answered 502.']);
});

test('a lost answer: the same request again with the same key', async () => {
  const { w, api } = open();
  let calls = 0;
  w.respond = () => {
    if (++calls < 3) throw new TypeError('fetch failed');
    return reply(201, { id: '1' });
  };
  const created = api.create('tasks', { title: 'x' });
  await w.clock.run(60_000);
  assert.deepEqual(await created, { id: '1' });
  assert.equal(new Set(w.requests.map(({ headers }) => headers['Idempotency-Key'])).size, 1);
  assert.equal(w.requests.length, 3);
});

test('a server that is busy is asked again no sooner than it said, and not for ever', async () => {
  const { w, api } = open();
  w.respond = () => reply(503, { code: 'OVERLOADED', detail: 'too much' }, { 'Retry-After': '7' });
  const created = refused(api.create('tasks', {}));
  await w.clock.run(6_999);
  assert.equal(w.requests.length, 1);
  await w.clock.run(1);
  assert.equal(w.requests.length, 2);
  await w.clock.run(600_000);
  assert.equal((await created).code, 'OVERLOADED');
  assert.equal(w.requests.length, 4);
});

test('a 503 that does not say when is not repeated', async () => {
  const { w, api } = open();
  w.respond = () => reply(503, { code: 'STORAGE_FULL' });
  assert.equal((await refused(api.create('tasks', {}))).code, 'STORAGE_FULL');
  assert.equal(w.requests.length, 1);
});

test("no answer at all is an ApiError with status 0; an aborted request is the caller's own", async () => {
  const { w, api } = open({ tries: 1 });
  assert.deepEqual(
    [(await refused(api.get('tasks', '1'))).status, (await refused(api.get('tasks', '1'))).code],
    [0, 'NO_ANSWER'],
  );
  const stop = new AbortController();
  stop.abort();
  assert.equal((await refused(api.delete('tasks', '1', { signal: stop.signal }))).name, 'TypeError');
  assert.equal(w.requests.length, 3);
});

test('a token is asked for each time; a refused one is renewed once', async () => {
  const asked = [];
  const { w, api } = open({ getToken: ({ refresh }) => (asked.push(refresh), refresh ? 'fresh' : 'old') });
  w.respond = (url, { headers }) =>
    headers.Authorization === 'Bearer fresh' ? reply(200, {}) : reply(401, { code: 'UNAUTHENTICATED' });
  await api.get('tasks', '1');
  assert.deepEqual(asked, [false, true]);
  w.respond = () => reply(401, { code: 'UNAUTHENTICATED' });
  assert.equal((await refused(api.get('tasks', '1'))).status, 401);
  assert.deepEqual(asked, [false, true, false, true]);
});

test('the schema is read once, and again after a failure', async () => {
  const { w, api } = open({ tries: 1 });
  await refused(api.schema());
  w.respond = () => reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
  assert.equal(await api.plural('Task'), 'tasks');
  await api.schema();
  assert.equal(w.requests.length, 2);
  assert.equal((await refused(api.plural('Nope'))).code, 'UNKNOWN_ENTITY');
});

test('new ids are version 7, unique, and sort in the order in which they were made', () => {
  const { w, api } = open();
  const made = [];
  for (let i = 0; i < 9000; i++) {
    made.push(api.newId());
    if (i % 5000 === 4999) w.clock.time += 1;
  }
  w.clock.time -= 60_000;
  made.push(api.newId());
  assert.deepEqual([...made].sort(), made);
  assert.equal(new Set(made).size, made.length);
  for (const id of made) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const ms = parseInt(made[0].replace(/-/g, '').slice(0, 12), 16);
  assert.equal(ms, 1_700_000_000_000);
});
