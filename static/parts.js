/**
 * Modules without which a page can begin. Each is loaded at its first use, or in advance once a connection is trusted, so that it
 * is there when nothing can be loaded any longer.
 */
import { delay } from './env.js';
import { shielded } from './signal.js';

/**
 * A load that fails is tried again by the next call.
 *
 * @template T
 * @param {() => Promise<T>} load
 */
export function part(load) {
  /** @type {Promise<T> | undefined} */
  let loading;
  /** @type {Set<{call: (loaded: T) => void, failed?: (error: unknown) => void}>} */
  const waits = new Set();
  let failures = 0;
  /** @type {any} */
  let timer;
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
   * Calls with it: before it returns when the part is there, else as soon as it could be loaded, however often that takes. All who
   * wait for a part share its attempts.
   *
   * @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout' | 'random'>} env
   * @param {(loaded: T) => void} call
   * @param {(error: unknown) => void} [failed] Called for each attempt that fails.
   * @returns {() => void} Stops waiting for it.
   */
  part.use = (env, call, failed) => {
    const wait = { call, failed };
    const attempt = () =>
      void part().then(
        (loaded) => {
          for (const { call } of waits) shielded(call, loaded);
          waits.clear();
        },
        (error) => {
          if (waits.size > 0) timer = env.setTimeout(attempt, delay(++failures, { base: 1000, max: 30_000, random: env.random }));
          for (const { failed } of waits) failed?.(error);
        },
      );
    if (part.loaded) call(part.loaded);
    else if (waits.add(wait).size === 1) attempt();
    return () => {
      if (waits.delete(wait) && waits.size === 0) env.clearTimeout(timer);
    };
  };
  return part;
}

/** What connects. */
export const link = part(() => import('./link.js'));

/** Rows over HTTP. */
export const reading = part(() => import('./reading.js'));
