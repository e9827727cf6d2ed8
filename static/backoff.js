/**
 * How long to wait before the next attempt. The wait is random, so that ten thousand clients that lost one server do
 * not come back at the same moment. Knows no clock and no socket.
 */

/**
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
