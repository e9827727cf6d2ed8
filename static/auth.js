/**
 * The login of a page: `login`, `logout`, `register`, a token for requests and sockets, and who the user is. Knows no page.
 *
 * The token is kept in the storage of this origin, so that all tabs have one session: a logout in one tab is a logout in
 * all of them.
 */
import { only } from './env.js';
import { signal } from './signal.js';

/**
 * @typedef {{id: string, name: string | null, role: string | null}} User
 * @typedef {{token?: string, expiresAt: string | null, user: User, session?: string | null}} Kept Without a token it is in a cookie, where scripts cannot read it.
 *
 * @typedef {object} LoginOptions
 * @property {string} [url] Of the server; this page's own without it.
 * @property {typeof globalThis.fetch} [fetch]
 * @property {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [storage]
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [events] Tells of changes in other tabs.
 * @property {Pick<LockManager, 'request'> | null} [locks] So that one tab at a time renews. Pages over plain http have none.
 */

const KEY = 'tidewire:login';
/** The session that was logged out last. A tab that asked who the user is while another one logged out gets an old answer. */
const LEFT = 'tidewire:left';

/** Why the server refused. `code` is one of docs/protocol.md. */
export class LoginError extends Error {
  /** @param {{code?: string, detail?: string, hint?: string}} problem */
  constructor(problem) {
    super(problem.detail ?? 'the server did not answer');
    this.name = 'LoginError';
    this.code = problem.code ?? 'NO_ANSWER';
    this.hint = problem.hint ?? '';
  }
}

/** @param {LoginOptions} [options] */
export function login(options = {}) {
  const known = 'url fetch storage events locks';
  const { url = '', fetch: given, storage = globalThis.localStorage, events = globalThis, locks = globalThis.navigator?.locks ?? null } = only('login', options, known);
  const fetch = given ?? globalThis.fetch.bind(globalThis);
  /** @type {import('./signal.js').Readable<User | null>} */
  const user = signal(kept()?.user ?? null);

  /** @returns {Kept | null} */
  function kept() {
    try {
      return JSON.parse(storage.getItem(KEY) ?? 'null');
    } catch {
      return null;
    }
  }

  /** @param {Kept | null} next */
  function keep(next) {
    if (next) storage.setItem(KEY, JSON.stringify(next));
    else storage.removeItem(KEY);
    show(next);
  }

  /** @param {Kept | null} next */
  function show(next) {
    if (next?.user.id !== user.value?.id || next?.user.role !== user.value?.role) user.value = next?.user ?? null;
  }

  /**
   * @param {string} path
   * @param {object | undefined} body
   * @param {string} [token]
   */
  async function ask(path, body, token) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (body) headers['Content-Type'] = 'application/json';
    if (token) headers.Authorization = `Bearer ${token}`;
    // A login at an issuer leaves its session in a cookie.
    const credentials = /** @type {RequestCredentials} */ (!token && kept() ? 'same-origin' : 'omit');
    // A page that hears of a logout may leave at once.
    const init = { method: 'POST', headers, body: body && JSON.stringify(body), credentials, keepalive: true };
    const response = await fetch(`${url}/api/auth/${path}`, init).catch(() => null);
    if (!response) throw new LoginError({});
    const json = response.status === 204 ? null : await response.json().catch(() => ({}));
    if (!response.ok) throw new LoginError(json ?? {});
    return json;
  }

  /** @param {string} path @param {object} body */
  async function begin(path, body) {
    const granted = /** @type {Kept} */ (await ask(path, body, kept()?.token));
    keep(granted);
    return granted.user;
  }

  /** A logout, another login, or the renewal of another tab stays: each token ends the one before. @param {Kept} old */
  async function renew(old) {
    const is = () => kept()?.token === old.token;
    if (!is()) return;
    try {
      const granted = /** @type {Kept} */ (await ask('refresh', undefined, old.token));
      if (is()) keep(old.session ? { ...granted, session: old.session } : granted);
    } catch (error) {
      if (/** @type {LoginError} */ (error).code === 'UNAUTHENTICATED' && is()) keep(null);
    }
  }

  const changed = (/** @type {any} */ event) => {
    if (event.key === KEY || event.key === null) show(kept());
  };
  events?.addEventListener?.('storage', changed);

  return {
    user,
    /** @param {string} name @param {string} password */
    login: (name, password) => begin('login', { name, password }),
    /** @param {string} name @param {string} password @param {string} [link] The secret of an invitation. */
    register: (name, password, link) => begin('register', link ? { name, password, link } : { name, password }),
    /** @param {string} oldPassword @param {string} password */
    changePassword: (oldPassword, password) => begin('password', { oldPassword, password }),
    /** @param {string} link The secret of the link. @param {string} password */
    resetPassword: (link, password) => begin('password', { link, password }),
    /** Ends the session, here and in other tabs, even if the server does not answer. */
    async logout() {
      const before = kept();
      const session = before?.session;
      if (session) storage.setItem(LEFT, session);
      // A session that goes on is one to return to.
      const stayed = (/** @type {LoginError} */ { code }) => void (session && code !== 'UNAUTHENTICATED' && storage.removeItem(LEFT));
      const leaving = before && ask('logout', undefined, before.token).catch(stayed);
      keep(null);
      await leaving;
    },
    /** Log in by another name from now on. @param {string} name @param {string} password */
    rename: async (name, password) => void (await ask('name', { name, password }, kept()?.token)),
    /** Takes over a session that is in a cookie, unless it was logged out meanwhile. @param {Kept} me As `GET /api/auth/me` tells it. */
    adopt({ user, expiresAt, session }) {
      if (!kept() && (!session || storage.getItem(LEFT) !== session)) keep({ user, expiresAt, session });
    },
    /** For `RealtimeClient` and `Api`. @param {{refresh?: boolean}} [how] */
    async token({ refresh = false } = {}) {
      const now = kept();
      if (now && refresh) await (locks ? locks.request(KEY, () => renew(now)) : renew(now));
      return kept()?.token;
    },
    dispose: () => events?.removeEventListener?.('storage', changed),
  };
}
