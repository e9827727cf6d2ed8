/**
 * Values with listeners that are called when they change. Knows no network and no page.
 *
 * `subscribe` calls at once (a Svelte store), `listen` does not (React's useSyncExternalStore); both return a disposer
 * that works at once and may be called twice. Every method is bound, so it can be passed around by itself.
 */

/**
 * @template T
 * @typedef {object} Readable
 * @property {T} value
 * @property {() => T} peek The value, for places where reading `.value` would mean more than reading it.
 * @property {(listener: (value: T) => void) => () => void} subscribe Calls now and on every change.
 * @property {(listener: (value: T) => void) => () => void} listen Calls on every change.
 */

/**
 * @template T
 * @param {T} initial
 * @returns {Readable<T>} whose `value` may also be set; setting an equal one (`Object.is`) calls no listener.
 */
export function signal(initial) {
  let current = initial;
  /** @type {Set<{call: (value: T) => void}>} */
  const listeners = new Set();

  /** @param {(value: T) => void} listener */
  function listen(listener) {
    // Wrapped, because the same function listening twice is two listeners.
    const entry = { call: listener };
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
    };
  }

  return {
    get value() {
      return current;
    },
    set value(next) {
      if (Object.is(next, current)) return;
      current = next;
      // A copy: a listener may add or remove listeners.
      for (const entry of [...listeners]) if (listeners.has(entry)) shielded(entry.call, current);
    },
    peek: () => current,
    listen,
    subscribe(listener) {
      const dispose = listen(listener);
      shielded(listener, current);
      return dispose;
    },
  };
}

/**
 * A value computed from others. It is computed again when one of them changes.
 *
 * @template T
 * @param {Readable<any>[]} sources
 * @param {(...values: any[]) => T} make
 * @returns {Readable<T> & {dispose: () => void}} `dispose` lets go of the sources.
 */
export function computed(sources, make) {
  const compute = () => make(...sources.map((source) => source.peek()));
  const result = signal(compute());
  const update = () => {
    result.value = compute();
  };
  const disposers = sources.map((source) => source.listen(update));
  return Object.assign(readable(result), { dispose: () => disposers.forEach((dispose) => dispose()) });
}

/**
 * The same signal, to read only.
 *
 * @template T
 * @param {Readable<T>} signal
 * @returns {Readable<T>}
 */
export function readable({ peek, listen, subscribe }) {
  return {
    get value() {
      return peek();
    },
    peek,
    listen,
    subscribe,
  };
}

/**
 * Calls a listener. An error in it is reported and stops nothing here.
 *
 * @template {any[]} A
 * @param {(...args: A) => unknown} call
 * @param {A} args
 */
export function shielded(call, ...args) {
  try {
    call(...args);
  } catch (error) {
    if (typeof reportError === 'function') reportError(error);
    else console.error(error);
  }
}
