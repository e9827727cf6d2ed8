/**
 * The browser's copy of the one table of codes (`runtime/protocol/codes.rs`; a test compares them): what a client does
 * on each. Knows no socket.
 */

/**
 * Error codes by what repeating the same request leads to: `never` fails again until something is changed, `later` may
 * succeed.
 *
 * @type {ReadonlyMap<string, 'never' | 'later'>}
 */
export const ERROR_CODES = new Map([
  ['BAD_FRAME', 'never'],
  ['UNKNOWN_MESSAGE_TYPE', 'never'],
  ['FRAME_TOO_LARGE', 'never'],
  ['BAD_CHANNEL', 'never'],
  ['FORBIDDEN_CHANNEL', 'never'],
  ['SUBSCRIPTION_LIMIT', 'never'],
  ['NOT_SUBSCRIBED', 'never'],
  ['BAD_POSITION', 'never'],
  ['RATE_LIMITED', 'later'],
  ['CONNECTION_LIMIT', 'later'],
  ['UNAUTHENTICATED', 'never'],
  ['LOGIN_FAILED', 'never'],
  ['TOO_MANY_LOGINS', 'later'],
  ['REGISTRATION_CLOSED', 'never'],
  ['BAD_LINK', 'never'],
  ['SETUP_REQUIRED', 'later'],
  ['ACCOUNT_DISABLED', 'never'],
  ['FORBIDDEN', 'never'],
  ['RULE_LIMIT', 'never'],
  ['QUERY_LIMIT', 'later'],
  ['FORBIDDEN_HOST', 'never'],
  ['FORBIDDEN_ORIGIN', 'never'],
  ['UNKNOWN_ENTITY', 'never'],
  ['NOT_FOUND', 'never'],
  ['NO_HISTORY', 'never'],
  ['METHOD_NOT_ALLOWED', 'never'],
  ['BAD_JSON', 'never'],
  ['BAD_QUERY', 'never'],
  ['BAD_CURSOR', 'never'],
  ['QUERY_TOO_BROAD', 'never'],
  ['BAD_HEADER', 'never'],
  ['BODY_TOO_LARGE', 'never'],
  ['UNSUPPORTED_MEDIA_TYPE', 'never'],
  ['VALIDATION_FAILED', 'never'],
  ['UNKNOWN_REFERENCE', 'never'],
  ['VERSION_CONFLICT', 'never'],
  ['ID_TAKEN', 'never'],
  ['NOT_UNIQUE', 'never'],
  ['RESTRICTED', 'never'],
  ['CASCADE_TOO_LARGE', 'never'],
  ['TRIGGER_FAILED', 'never'],
  ['UNIT_TOO_LARGE', 'never'],
  ['IDEMPOTENCY_MISMATCH', 'never'],
  ['SCHEMA_CHANGED', 'later'],
  ['OVERLOADED', 'later'],
  ['SHUTTING_DOWN', 'later'],
  ['STORAGE_FULL', 'later'],
  ['READ_ONLY', 'later'],
  ['STORAGE_DAMAGED', 'later'],
  ['STORAGE_ERROR', 'later'],
  ['INTERNAL', 'later'],
]);

/**
 * Refusals of a channel after which the user's access is unknown. Its rows must be removed. The client does not ask for the
 * channel again before the next connection, schema or change of rights, whatever the table says about a retry.
 */
export const DENIED = new Set([
  'FORBIDDEN_CHANNEL',
  'UNKNOWN_ENTITY',
  'UNAUTHENTICATED',
  'ACCOUNT_DISABLED',
  'FORBIDDEN',
  'RULE_LIMIT',
  'QUERY_LIMIT',
]);

/** Refusals of a channel that can end with other rights. Over a socket `rights:changed` tells when; a poll asks each time. */
export const LIFTED_BY_RIGHTS = new Set(['UNKNOWN_ENTITY', 'BAD_CHANNEL', 'RULE_LIMIT']);

/**
 * Why the server closes a socket.
 *
 * @type {ReadonlyMap<number, string>}
 */
export const CLOSE_CODES = new Map([
  [1000, "closed at the client's request"],
  [1002, 'not a WebSocket frame'],
  [1007, 'text that is not UTF-8'],
  [1009, 'frame over the limit'],
  [1011, 'internal error'],
  [1012, 'server restarts'],
  [4008, 'no answer to pings'],
  [4013, 'too slow'],
  [4020, 'too many connections'],
  [4029, 'too many messages'],
  [4400, 'protocol abuse'],
  [4401, 'token missing or bad'],
  [4403, 'connection refused'],
  [4429, 'too many messages, repeatedly'],
]);

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
  return ERROR_CODES.get(payload?.code ?? '') === 'later';
}
