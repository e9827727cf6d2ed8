/**
 * @typedef {object} QueueHost
 * @property {import('./realtime.js').RealtimeClient | null} rt
 * @property {(stored: import('./mutation.js').Stored[]) => void} adopt
 * @property {(open: boolean) => void} release
 *
 * @typedef {object} Queue
 * @property {(host: QueueHost) => void} open
 * @property {(stored: import('./mutation.js').Stored) => void} put
 * @property {(mid: string) => void} remove
 * @property {() => void} close
 */
export {};
