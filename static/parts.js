/**
 * Parts that a page does not need while all goes well. Each is loaded when it is first needed, and once a connection has
 * proved itself, so that it is there when the line is gone.
 */

/**
 * A load that fails is tried again by the next call.
 *
 * @template T
 * @param {() => Promise<T>} load
 * @returns {() => Promise<T>}
 */
function part(load) {
  /** @type {Promise<T> | undefined} */
  let loaded;
  return () =>
    (loaded ??= load().catch((error) => {
      loaded = undefined;
      throw error;
    }));
}

/** Polling. */
export const bridge = part(() => import('./bridge.js'));
