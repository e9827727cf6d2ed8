/**
 * Tells when the page's user changes, and what the client itself answers. Knows no token and no connection.
 */

/**
 * @typedef {import('./signal.js').Readable<{id: string} | null>} User Of a login; null while nobody is logged in.
 * @typedef {string | User} Owner An id, empty for an anonymous page; or the user of a login.
 */

/** Of a request that cannot be sent, or whose connection is gone. */
export const NO_ANSWER = { code: 'NO_ANSWER', status: 0, message: 'There was no answer.' };
/** Why what one user began ends for the next one. */
export const OTHER_USER = { code: 'OTHER_USER', message: 'The user has changed.' };

/**
 * @param {{user: User} | undefined} auth
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
