/**
 * Modules that a page needs only when the network fails. Each is loaded at its first use, or in advance once a connection
 * is trusted, so that it is there when nothing can be loaded any longer.
 */

/** Milliseconds after which a part that could not be loaded is tried again. */
export const LOAD_AGAIN = 1000;

/**
 * A load that fails is tried again by the next call.
 *
 * @template T
 * @param {() => Promise<T>} load
 */
export function part(load) {
  /** @type {Promise<T> | undefined} */
  let loading;
  const part = () =>
    (loading ??= load().then(
      (loaded) => (part.loaded = loaded),
      (error) => {
        loading = undefined;
        throw error;
      },
    ));
  part.loaded = /** @type {T | undefined} */ (undefined);
  return part;
}

/** Polling. */
export const bridge = part(() => import('./bridge.js'));
/** Server-sent events in place of a socket. */
export const stream = part(() => import('./stream.js'));
/** Requests over HTTP. */
export const api = part(() => import('./api.js'));
/** One connection of many tabs. In such quotes it is no part of the one file that the server makes of a page's modules. */
export const shared = part(() => import(`./shared.js`));
/** Rows over HTTP. */
export const reading = part(() => import('./reading.js'));
