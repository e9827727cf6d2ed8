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

/**
 * What a part makes. Calls of it wait, in order, until the part is there; from then on they are made at once.
 *
 * @template M, T
 * @param {Pick<import('./env.js').Env, 'setTimeout'>} env
 * @param {(() => Promise<M>) & {loaded: M | undefined}} part
 * @param {(module: M) => T} make
 * @returns {(call: (made: T) => void) => void}
 */
export function late(env, part, make) {
  /** @type {T | undefined} */
  let made;
  /** @type {((made: T) => void)[]} */
  const waiting = [];
  const begin = (/** @type {M} */ module) => {
    const one = (made = make(module));
    for (const call of waiting.splice(0)) call(one);
  };
  const load = () => void part().then(begin, () => env.setTimeout(load, LOAD_AGAIN));
  if (part.loaded) begin(part.loaded);
  else load();
  return (call) => {
    if (made) call(made);
    else waiting.push(call);
  };
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
