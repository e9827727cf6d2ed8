/**
 * The moments at which a browser may know more than our timers: the page is looked at again, the network changed, the
 * page goes into or comes out of the back/forward cache. Knows no connection.
 */

/**
 * @param {Pick<import('./env.js').Env, 'document' | 'window'>} env
 * @param {(what: 'wake' | 'freeze') => void} call `wake`: never while the page is hidden. `freeze`: an open socket would keep the page
 * out of the cache.
 * @returns {() => void} disposer
 */
export function onWake({ document, window }, call) {
  const end = new AbortController();
  const { signal } = end;
  const look = () => {
    if (document?.visibilityState !== 'hidden') call('wake');
  };
  for (const name of ['online', 'offline', 'focus', 'pageshow']) window?.addEventListener(name, look, { signal });
  // Some browsers resume a frozen page without saying that it became visible.
  for (const name of ['visibilitychange', 'resume']) document?.addEventListener(name, look, { signal });
  const hide = (/** @type {any} */ { persisted }) => persisted && call('freeze');
  window?.addEventListener('pagehide', hide, { signal });
  return () => end.abort();
}
