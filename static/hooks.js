/**
 * Hooks for React, made from the React that the application has: this file imports none.
 */

/** @typedef {import('./channels.js').ChannelSubscriber} ChannelSubscriber */

/** Milliseconds that something drawn may wait to be kept. */
const PATIENCE = 5000;

/**
 * `const { useSignal, useList, useRecord } = reactHooks(React);`
 *
 * @param {{useSyncExternalStore: any, useMemo: any}} React
 */
export function reactHooks({ useSyncExternalStore, useMemo }) {
  /**
   * The value of a signal; the component is drawn again when it changes.
   *
   * @template T
   * @param {import('./signal.js').Readable<T>} signal
   * @returns {T}
   */
  const useSignal = (signal) => useSyncExternalStore(signal.listen, signal.peek, signal.peek);

  /**
   * A list or a record, for as long as the component is there. React may draw without keeping the result, and take a component
   * away and put it back (StrictMode): a list without a user is closed, and opened again when it is needed.
   *
   * @template {import('./channels.js').Live & import('./signal.js').Readable<any>} L
   * @param {() => L} open
   * @param {unknown[]} inputs
   */
  const useLive = (open, inputs) => {
    const { hold, look } = useMemo(() => {
      /** @type {L | null} */
      let live = null;
      let held = 0;
      /** @type {any} */
      let timer;
      const get = () => (live ??= open());
      const letGo = () => {
        if (held > 0) return;
        live?.close();
        live = null;
      };
      const soon = () => {
        clearTimeout(timer);
        timer = setTimeout(letGo, PATIENCE);
      };
      /** @type {{value: any, state: any, error: any, live: L} | null} */
      let seen = null;
      return {
        /** @param {() => void} call */
        hold: (call) => {
          held += 1;
          clearTimeout(timer);
          const found = get();
          const stops = [found, found.state, found.error].map((signal) => signal.listen(call));
          return () => {
            for (const stop of stops) stop();
            held -= 1;
            letGo();
          };
        },
        look: () => {
          const found = get();
          if (held === 0) soon();
          const { value } = found;
          const [state, error] = [found.state.value, found.error.value];
          if (seen?.value !== value || seen?.state !== state || seen?.error !== error || seen?.live !== found) seen = { value, state, error, live: found };
          return seen;
        },
      };
    }, inputs);
    return useSyncExternalStore(hold, look, look);
  };

  return {
    useSignal,
    /**
     * `{rows, state, error, list}` of a live list.
     *
     * @param {ChannelSubscriber} channels
     * @param {string} entity
     * @param {Parameters<ChannelSubscriber['list']>[1]} [options]
     */
    useList(channels, entity, options) {
      const { value, live, ...rest } = useLive(() => channels.list(entity, options), [channels, entity, JSON.stringify(options)]);
      return { ...rest, rows: value, list: live };
    },
    /**
     * `{row, state, error, record}` of a live record.
     *
     * @param {ChannelSubscriber} channels
     * @param {string} entity
     * @param {string} id
     */
    useRecord(channels, entity, id) {
      const { value, live, ...rest } = useLive(() => channels.record(entity, id), [channels, entity, id]);
      return { ...rest, row: value, record: live };
    },
  };
}
