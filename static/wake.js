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
  /** @type {(() => void)[]} */
  const disposers = [];
  /**
   * @param {Pick<Window | Document, 'addEventListener' | 'removeEventListener'> | null} target
   * @param {string} name
   * @param {(event: any) => void} call
   */
  const on = (target, name, call) => {
    target?.addEventListener(name, call);
    disposers.push(() => target?.removeEventListener(name, call));
  };
  const look = () => {
    if (document?.visibilityState !== 'hidden') wake();
  };
  for (const name of ['online', 'offline', 'focus', 'pageshow']) on(window, name, look);
  // Some browsers resume a frozen page without saying that it became visible.
  for (const name of ['visibilitychange', 'resume']) on(document, name, look);
  on(window, 'pagehide', (/** @type {PageTransitionEvent} */ { persisted }) => {
    if (persisted) freeze();
  });
  return () => disposers.forEach((dispose) => dispose());
}
