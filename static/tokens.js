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
