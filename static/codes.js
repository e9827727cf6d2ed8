/**
 * What a client does on each code of the server's one table (`runtime/protocol/codes.rs`; a test compares them). Knows no
 * socket.
 */

/**
 * Refusals of a channel after which the user's access is unknown. Its rows must be removed. The client does not ask for the
 * channel again before the next connection, schema or change of rights, whatever the table says about a retry.
 */
export const DENIED = new Set('FORBIDDEN_CHANNEL UNKNOWN_ENTITY UNAUTHENTICATED ACCOUNT_DISABLED FORBIDDEN RULE_LIMIT QUERY_LIMIT'.split(' '));

/**
 * What to do when a socket was closed and we did not ask for it: `reconnect` after back-off, `token`: fetch a fresh one
 * once, `stop`: do not come back, because it would end in the same way. 1000 from a proxy is no reason to stop.
 *
 * @param {number} code
 * @returns {'reconnect' | 'token' | 'stop'}
 */
export function onClose(code) {
  if (code === 4401) return 'token';
  return [1002, 1007, 1009].includes(code) || (code >= 4400 && code <= 4499) ? 'stop' : 'reconnect';
}
