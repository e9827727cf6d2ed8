/**
 * Tokens of the page's user: where they come from, and when the next one is due. Knows no connection.
 */

/**
 * @typedef {(ask: {refresh: boolean}) => string | null | undefined | Promise<string | null | undefined>} GetToken Asked before each
 * attempt, never kept. `refresh` when the last token was refused, or ends soon.
 *
 * @typedef {object} Auth A login, as `auth.js` makes one.
 * @property {GetToken} token
 * @property {import('./signal.js').Readable<{id: string} | null>} user
 *
 * @typedef {{getToken?: GetToken, auth?: Auth}} Source
 * @typedef {string | import('./signal.js').Readable<{id: string} | null>} Owner An id, empty for an anonymous page; or the user of a login.
 */

/** Renewals under way. A caller that needs a token in the meantime waits for the new one. @type {WeakMap<object, Promise<string | null | undefined>>} */
const renewals = new WeakMap();

/** Milliseconds that a renewal may take. One that hangs keeps no later one from being tried. */
const IN_TIME = 10_000;

/**
 * @param {Source} source
 * @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout'>} env
 * @returns {((refresh: boolean) => Promise<string | undefined>) | undefined}
 */
export function tokensOf({ getToken, auth }, env) {
  const source = auth ?? getToken;
  const get = auth?.token ?? getToken;
  if (!source || !get) return undefined;
  const ask = async (/** @type {boolean} */ refresh) => get({ refresh });
  const renew = () =>
    new Promise((resolve, reject) => {
      const timer = env.setTimeout(() => reject(new Error('no token in time')), IN_TIME);
      ask(true).then(resolve, reject).finally(() => env.clearTimeout(timer));
    });
  return async (refresh) => {
    if (refresh && !renewals.has(source)) renewals.set(source, renew().finally(() => renewals.delete(source)));
    return (await (renewals.get(source) ?? ask(false))) || undefined;
  };
}

/** Why what one user began ends for the next one. */
export const OTHER_USER = { code: 'OTHER_USER', message: 'The user has changed.' };

/**
 * @param {Pick<Auth, 'user'> | undefined} auth
 * @param {() => void} call Another user has come, or none is left.
 * @returns {() => void} disposer
 */
export function onOtherUser(auth, call) {
  let id = auth?.user.peek()?.id;
  const follow = (/** @type {{id: string} | null} */ user) => {
    const before = id;
    id = user?.id;
    if (id !== before) call();
  };
  return auth?.user.listen(follow) ?? (() => {});
}

/**
 * @param {string} name Of the class that keeps something.
 * @param {Owner} user
 * @param {(id: string) => void} call Another user has come.
 * @returns {string} The id of the present one.
 */
export function follow(name, user, call) {
  if (typeof user === 'string') return user;
  if (typeof user?.listen !== 'function')
    throw new TypeError(`new ${name}({ user }) belongs to a user: an id, '' for an anonymous page, or auth.user`);
  const id = () => user.peek()?.id ?? '';
  onOtherUser({ user }, () => call(id()));
  return id();
}

/** The part of its life after which a token is renewed. */
const RENEW = 0.8;
/**
 * How long to wait before the next token is due.
 *
 * @param {string | number} expires RFC 3339, or milliseconds since 1970, by the server's clock.
 * @param {number} now By the same clock.
 * @returns {number} milliseconds
 */
export function dueIn(expires, now) {
  const life = new Date(expires).getTime() - now;
  return Number.isNaN(life) ? Infinity : Math.max(0, life * RENEW);
}
