/**
 * Which refusals may end by themselves, for answers that do not say so: a frame does, in `retry`, and the answer to a poll
 * names the code alone; and when, as an answer over HTTP says it. A test compares the codes with the server's table. Knows no request.
 */

/** Codes after which the same request may succeed later. `NO_ANSWER` is the client's own; all others fail again until something is changed. */
export const LATER = new Set(
  'NO_ANSWER RATE_LIMITED CONNECTION_LIMIT LEASE_HELD TOO_MANY_LOGINS SETUP_REQUIRED QUERY_LIMIT SCHEMA_CHANGED OVERLOADED SHUTTING_DOWN STORAGE_FULL READ_ONLY STORAGE_DAMAGED STORAGE_ERROR INTERNAL'.split(' '),
);

/** Refusals of a channel that can end with other rights. Over a socket `rights:changed` tells when; a poll asks each time. */
export const LIFTED_BY_RIGHTS = new Set(['UNKNOWN_ENTITY', 'BAD_CHANNEL', 'RULE_LIMIT', 'FORBIDDEN_CHANNEL']);

/**
 * Whether an `error` may go away by itself: as its frame says, else as the table says. An unknown code is not repeated.
 *
 * @param {{code?: string, retry?: unknown} | undefined} payload
 */
export function mayRetry(payload) {
  if (typeof payload?.retry === 'boolean') return payload.retry;
  return LATER.has(payload?.code ?? '');
}

/** The longest wait that is taken from an answer: a server that is busy for longer is asked once an hour. */
const LONGEST = 3_600_000;

/**
 * The header `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
 *
 * @param {{headers: {get: (name: string) => string | null | undefined}}} response
 * @param {number} now
 * @returns {number | undefined} Milliseconds to wait; undefined when the answer does not say it in one of the two forms.
 */
export function retryAfter({ headers }, now) {
  const text = headers.get('Retry-After')?.trim() ?? '';
  const [date] = /^[A-Z][a-z]+,? .*\d:\d\d .*/.exec(text) ?? [''];
  // The oldest of the three ways to write a date names no zone.
  const wait = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(date.replace(/( GMT)?$/, ' GMT')) - now;
  return Number.isNaN(wait) ? undefined : Math.min(LONGEST, Math.max(0, wait));
}
