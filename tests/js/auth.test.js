/**
 * `static/auth.js`: a login is kept for all tabs, renewed once, and gone everywhere after a logout.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LoginError, login } from '../../static/auth.js';
import { Locks } from './locks.js';

/** A server that answers each request by the table, in storage that two tabs share. */
function world(answers) {
  const stored = new Map();
  const storage = {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
    removeItem: (key) => stored.delete(key),
  };
  const asked = [];
  const fetch = async (url, init) => {
    const path = url.replace('/api/auth/', '');
    asked.push([path, init.headers.Authorization ?? null, init.body && JSON.parse(init.body), init.credentials]);
    const answer = answers[path];
    if (!answer) throw new TypeError('no network');
    const [status, json] = typeof answer === 'function' ? answer() : answer;
    return { ok: status < 400, status, json: async () => json };
  };
  const events = new EventTarget();
  const locks = new Locks();
  const tab = () => login({ fetch, storage, events, locks: locks.tab().locks });
  /** What a browser tells the other tabs. */
  const spread = () => events.dispatchEvent(Object.assign(new Event('storage'), { key: 'tidewire:login' }));
  return { tab, asked, spread, stored };
}

const granted = (token) => ({ token, expiresAt: '2026-12-12T00:00:00.000Z', user: { id: 'u1', name: 'ada', role: null } });

test('a login is kept, used and shared with other tabs', async () => {
  const { tab, spread, asked } = world({ login: [200, granted('t1')], logout: [204] });
  const [one, other] = [tab(), tab()];
  const seen = [];
  other.user.subscribe((user) => seen.push(user?.name ?? null));
  assert.equal(await one.token(), undefined);
  assert.equal((await one.login('ada', 'secret')).name, 'ada');
  assert.equal(await one.token(), 't1');
  spread();
  assert.equal(await other.token(), 't1');
  assert.equal(tab().user.value.id, 'u1', 'a reload keeps it');
  await one.logout();
  spread();
  assert.deepEqual(seen, [null, 'ada', null]);
  assert.deepEqual(asked.at(-1), ['logout', 'Bearer t1', undefined, 'omit']);
  one.dispose();
  other.dispose();
});

test('a refresh renews the token, and a refused one ends the login', async () => {
  let answer = [200, granted('t2')];
  const { tab } = world({ login: [200, granted('t1')], refresh: () => answer });
  const auth = tab();
  await auth.login('ada', 'secret');
  assert.equal(await auth.token({ refresh: true }), 't2');
  assert.equal(await auth.token(), 't2');
  answer = [503, { code: 'OVERLOADED', detail: 'busy' }];
  assert.equal(await auth.token({ refresh: true }), 't2', 'trouble of the server ends no login');
  answer = [401, { code: 'UNAUTHENTICATED', detail: 'ended' }];
  assert.equal(await auth.token({ refresh: true }), undefined);
  assert.equal(auth.user.value, null);
});

test('tabs that renew at the same moment ask once, and use the same token', async () => {
  let count = 1;
  const { tab, asked } = world({ login: [200, granted('t1')], refresh: () => [200, granted(`t${++count}`)] });
  const [one, other] = [tab(), tab()];
  await one.login('ada', 'secret');
  const tokens = await Promise.all([one.token({ refresh: true }), other.token({ refresh: true })]);
  assert.deepEqual(tokens, ['t2', 't2'], 'another renewal would have ended the first one');
  assert.deepEqual(asked.filter(([path]) => path === 'refresh').length, 1);
  assert.equal(await other.token({ refresh: true }), 't3');
});

test('a session in a cookie is a login of all tabs, renewed and ended without a token', async () => {
  const { tab, asked, stored } = world({ refresh: [200, { expiresAt: '2027-01-01T00:00:00.000Z', user: granted().user }], logout: [204], login: [200, granted('t1')] });
  const auth = tab();
  auth.adopt({ user: granted().user, expiresAt: '2026-12-12T00:00:00.000Z' });
  assert.deepEqual([auth.user.value.name, await auth.token(), tab().user.value.id], ['ada', undefined, 'u1']);
  assert.equal(await auth.token({ refresh: true }), undefined);
  assert.equal(JSON.parse(stored.get('tidewire:login')).expiresAt, '2027-01-01T00:00:00.000Z');
  await auth.logout();
  assert.deepEqual([auth.user.value, stored.size], [null, 0]);
  assert.deepEqual(asked.map(([path, token, , credentials]) => [path, token, credentials]), [['refresh', null, 'same-origin'], ['logout', null, 'same-origin']]);
  await auth.login('ada', 'secret');
  auth.adopt({ user: { id: 'u2', name: 'ben', role: null }, expiresAt: null });
  assert.equal(await auth.token(), 't1', 'a login of this page counts more');
  assert.equal(asked.at(-1)[3], 'omit');
});

test('a session that was logged out is not adopted from an answer that was under way', async () => {
  let answer = [204];
  const { tab, stored } = world({ logout: () => answer, refresh: [200, { expiresAt: '2027-01-01T00:00:00.000Z', user: granted().user }] });
  const me = { user: granted().user, expiresAt: '2026-12-12T00:00:00.000Z', session: 's1' };
  const [one, other] = [tab(), tab()];
  one.adopt(me);
  await one.token({ refresh: true });
  await one.logout();
  other.adopt(me);
  assert.equal(other.user.value, null, 'the server said so before the logout');
  assert.equal(stored.get('tidewire:login'), undefined);
  other.adopt({ ...me, session: 's2' });
  assert.equal(other.user.value.id, 'u1', 'another login is one');
  answer = [503, { code: 'OVERLOADED' }];
  await other.logout();
  one.adopt({ ...me, session: 's2' });
  assert.equal(one.user.value?.id, 'u1', 'a session that the server did not end goes on');
});

test('a logout during a refresh stays', async () => {
  const { tab, stored } = world({ login: [200, granted('t1')], logout: [204], refresh: [200, granted('t2')] });
  const auth = tab();
  await auth.login('ada', 'secret');
  const renewing = auth.token({ refresh: true });
  const leaving = auth.logout();
  assert.equal(await renewing, undefined);
  await leaving;
  assert.equal(stored.size, 0);
});

test('a refusal has the words of the server, and a silent server is no refusal', async () => {
  const { tab } = world({ login: [401, { code: 'LOGIN_FAILED', detail: 'wrong', hint: 'Check.' }] });
  const auth = tab();
  await assert.rejects(auth.login('ada', 'x'), (error) => {
    assert.ok(error instanceof LoginError);
    assert.deepEqual([error.code, error.message, error.hint], ['LOGIN_FAILED', 'wrong', 'Check.']);
    return true;
  });
  await assert.rejects(auth.register('ada', 'x'), { code: 'NO_ANSWER' });
  assert.equal(auth.user.value, null);
});

test('an unreadable storage is no login', async () => {
  const { tab, stored } = world({});
  stored.set('tidewire:login', '{');
  assert.equal(tab().user.value, null);
  assert.equal(await tab().token(), undefined);
});
