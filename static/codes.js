/**
 * What a client does on each code of the server's one table (`runtime/protocol/codes.rs`; a test compares them). Knows no
 * socket.
 */

/** Codes after which the same request may succeed later. `NO_ANSWER` is the client's own; all others fail again until something is changed. */
export const LATER = new Set(
  'NO_ANSWER RATE_LIMITED CONNECTION_LIMIT LEASE_HELD TOO_MANY_LOGINS SETUP_REQUIRED QUERY_LIMIT SCHEMA_CHANGED OVERLOADED SHUTTING_DOWN STORAGE_FULL READ_ONLY STORAGE_DAMAGED STORAGE_ERROR INTERNAL'.split(' '),
);

/**
 * Refusals of a channel after which the user's access is unknown. Its rows must be removed. The client does not ask for the
 * channel again before the next connection, schema or change of rights, whatever the table says about a retry.
 */
export const DENIED = new Set('FORBIDDEN_CHANNEL UNKNOWN_ENTITY UNAUTHENTICATED ACCOUNT_DISABLED FORBIDDEN RULE_LIMIT QUERY_LIMIT'.split(' '));

/** Refusals of a channel that can end with other rights. Over a socket `rights:changed` tells when; a poll asks each time. */
export const LIFTED_BY_RIGHTS = new Set(['UNKNOWN_ENTITY', 'BAD_CHANNEL', 'RULE_LIMIT', 'FORBIDDEN_CHANNEL']);

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

/**
 * Whether an `error` may go away by itself: as its frame says, else as the table says. An unknown code is not repeated.
 *
 * @param {{code?: string, retry?: unknown} | undefined} payload
 */
export function mayRetry(payload) {
  if (typeof payload?.retry === 'boolean') return payload.retry;
  return LATER.has(payload?.code ?? '');
}
