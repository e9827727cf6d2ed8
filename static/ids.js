/**
 * Ids that a page makes: UUIDv7, so later ones sort after earlier ones. Pages over plain http have no `crypto.randomUUID`, so it
 * is not used. Knows no record.
 */

/**
 * @param {Pick<import('./env.js').Env, 'now' | 'randomBytes'>} env
 * @returns {() => string} Ids of one maker sort as they were made.
 */
export function idsOf({ now, randomBytes }) {
  /** The last id's millisecond and its place in it. */
  let last = 0;
  let count = 0;
  const digits = (/** @type {number} */ number, /** @type {number} */ length) => number.toString(16).padStart(length, '0');
  return () => {
    const time = now();
    if (time > last) [last, count] = [time, 0];
    // The counter has twelve bits; more in one millisecond borrow the next one.
    else if (++count > 0xfff) [last, count] = [last + 1, 0];
    const bytes = randomBytes(new Uint8Array(8));
    bytes[0] = 0x80 | (bytes[0] & 0x3f);
    const hex = `${digits(last, 12)}7${digits(count, 3)}${Array.from(bytes, (byte) => digits(byte, 2)).join('')}`;
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  };
}
