/**
 * Modules that a page needs only when the network fails. Each is loaded at its first use, or in advance once a connection
 * is trusted, so that it is there when nothing can be loaded any longer.
 */

/**
 * A load that fails is tried again by the next call.
 *
 * @template T
 * @param {() => Promise<T>} load
 * @returns {() => Promise<T>}
 */
export function part(load) {
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
/** Server-sent events in place of a socket. */
export const stream = part(() => import('./stream.js'));
/** Requests over HTTP. */
export const api = part(() => import('./api.js'));
/** Rows over HTTP. */
export const reading = part(() => import('./reading.js'));
