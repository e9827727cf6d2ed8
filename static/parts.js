/**
 * Modules without which a page can begin. Each is loaded at its first use, or in advance once a connection is trusted, so that it
 * is there when nothing can be loaded any longer.
 */

/** Milliseconds after which a part that could not be loaded is tried again. */
const LOAD_AGAIN = 1000;

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
  /**
   * Calls with it: at once when it is there, else as soon as it could be loaded, however often that takes.
   *
   * @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout'>} env
   * @param {(loaded: T) => void} call
   * @param {(error: unknown) => void} [failed] Once for each time that it could not be loaded.
   * @returns {() => void} Gives it up.
   */
  part.use = (env, call, failed) => {
    let over = false;
    /** @type {any} */
    let timer;
    const go = () =>
      void part().then(
        (loaded) => over || call(loaded),
        (error) => {
          if (over) return;
          timer = env.setTimeout(go, LOAD_AGAIN);
          failed?.(error);
        },
      );
    if (part.loaded) call(part.loaded);
    else go();
    return () => {
      over = true;
      env.clearTimeout(timer);
    };
  };
  return part;
}

/** What connects. */
export const link = part(() => import('./link.js'));

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
