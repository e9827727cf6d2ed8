/**
 * The moments at which a browser may know more than our timers: the page is looked at again, the network changed, the
 * page goes into or comes out of the back/forward cache. Knows no connection.
 */

/**
 * @param {Pick<import('./env.js').Env, 'document' | 'window'>} env
 * @param {object} on
 * @param {() => void} on.wake Never while the page is hidden.
 * @param {() => void} on.freeze An open socket would keep the page out of the cache.
 * @returns {() => void} disposer
 */
export function onWake({ document, window }, { wake, freeze }) {
  const ending = new AbortController();
  const { signal } = ending;
  const look = () => {
    if (document?.visibilityState !== 'hidden') wake();
  };
  for (const name of ['online', 'offline', 'focus', 'pageshow']) window?.addEventListener(name, look, { signal });
  // Some browsers resume a frozen page without saying that it became visible.
  for (const name of ['visibilitychange', 'resume']) document?.addEventListener(name, look, { signal });
  const hide = (/** @type {any} */ { persisted }) => persisted && freeze();
  window?.addEventListener('pagehide', hide, { signal });
  return () => ending.abort();
}
