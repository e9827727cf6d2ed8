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
  /** Who waits for it, and what each does when an attempt fails. @type {Map<(loaded: T) => void, ((error: unknown) => void) | undefined>} */
  const waits = new Map();
  let failures = 0;
  let busy = false;
  /** Not before this time: also who stops and starts again waits. */
  let due = 0;
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
   * @param {Pick<import('./env.js').Env, 'setTimeout' | 'clearTimeout' | 'random' | 'now'>} env
   * @param {(loaded: T) => void} call
   * @param {(error: unknown) => void} [failed] Called for each attempt that fails.
   * @returns {() => void} Stops waiting for it.
   */
  part.use = (env, call, failed) => {
    const start = () => {
      const left = due - env.now();
      if (left > 0) timer = env.setTimeout(attempt, left);
      else attempt();
    };
    const attempt = () => {
      timer = undefined;
      busy = true;
      part().then(
        (loaded) => {
          for (const call of waits.keys()) shielded(call, loaded);
          waits.clear();
        },
        (error) => {
          busy = false;
          due = env.now() + delay(++failures, { base: 1000, max: 30_000, random: env.random });
          const all = [...waits.values()];
          if (waits.size > 0) start();
          for (const failed of all) failed?.(error);
        },
      );
    };
    if (part.loaded) call(part.loaded);
    else {
      waits.set(call, failed);
      if (!busy && timer === undefined) start();
    }
    return () => {
      if (!waits.delete(call) || waits.size > 0) return;
      env.clearTimeout(timer);
      timer = undefined;
    };
  };
  return part;
}

/** What connects. */
export const link = part(() => import('./link.js'));

/** Rows over HTTP. */
export const reading = part(() => import('./reading.js'));
