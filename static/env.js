/**
 * Everything that the modules take from outside, in one object, so that tests can hand in their own; options of the page; and waits.
 */

/**
 * @typedef {object} Env
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {typeof fetch} fetch
 * @property {(call: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} random In [0, 1).
 * @property {() => number} now Milliseconds since 1970.
 * @property {(bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>} randomBytes Fills and returns them.
 * @property {Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'> | null} document
 * @property {Pick<Window, 'addEventListener' | 'removeEventListener'> | null} window
 * @property {string | undefined} base What relative addresses are relative to.
 * @property {Pick<LockManager, 'request'> | null} [locks] Else the browser's, where it has them.
 * @property {typeof BroadcastChannel | null} [BroadcastChannel] Likewise.
 * @property {(trouble: import('./devtools.js').Trouble) => void} [simulate] A bad network on request, see `devtools.js`.
 */

/** Characters of an address at most. Servers and proxies differ; so much fits through all of them. */
export const LONGEST_ADDRESS = 2000;

/**
 * The browser's own, with what the caller gave in its place. Globals are looked up at the call, so that importing a
 * module touches nothing.
 *
 * @param {Partial<Env>} [given]
 * @returns {Env}
 */
export function environment(given = {}) {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (input, init) => globalThis.fetch(input, init),
    setTimeout: (call, ms) => globalThis.setTimeout(call, ms),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    random: Math.random,
    now: Date.now,
    randomBytes: (bytes) => globalThis.crypto.getRandomValues(bytes),
    document: globalThis.document ?? null,
    window: globalThis.window ?? null,
    base: globalThis.location?.href,
    ...given,
  };
}

/**
 * Options that are no object, one that does not exist, or one with a wrong value are a mistake of the page: it throws, where they
 * are given.
 *
 * @template {object} T
 * @param {string} where What got the options.
 * @param {T} given
 * @param {string} names Those that there are, with spaces between. Behind a colon stands what one may be: words, and types as `typeof`
 * names them; any of these may be in a list. A number is 0 or more, an interval or a timeout is more than 0.
 * @returns {T}
 */
export function only(where, given, names) {
  const known = new Map(names.split(' ').map((one) => /** @type {[string, string]} */ (one.split(':'))));
  for (const [name, value] of Object.entries(typeof given === 'object' && given ? given : { [`${given}`]: 0 })) {
    if (!known.has(name)) throw new TypeError(`${where} has no option \`${name}\`. Its options: ${[...known.keys()].join(', ')}`);
    const kinds = known.get(name)?.split('|');
    const least = /Interval|Timeout/.test(name) ? 1 : 0;
    if (value === undefined || !kinds || [value].flat().every((one) => kinds.some((kind) => kind === one || (kind === typeof one && (kind !== 'number' || one >= least))))) continue;
    throw new TypeError(`${where}: \`${name}\` cannot be ${String(value)}. Give: ${kinds.join(' or ')}`);
  }
  return given;
}

/**
 * How long to wait before the next attempt. It is random, so that ten thousand clients that lost one server do not come back at the
 * same moment.
 *
 * `250 + random(0, min(max, base * 2^(n-1)))` milliseconds before attempt n (1, 2, 3...); never less
 * than the server asked for.
 *
 * @param {number} attempt
 * @param {{base: number, max: number, floor?: number, random: () => number}} options
 */
export function delay(attempt, { base, max, floor = 0, random }) {
  // 2^30 is beyond any cap; beyond 2^1023 the power would be Infinity.
  const spread = Math.min(max, base * 2 ** Math.min(attempt - 1, 30));
  return Math.max(floor, 250 + random() * spread);
}
