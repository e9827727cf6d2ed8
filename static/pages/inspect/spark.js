/**
 * Events a second of each channel: the differences between what the server counted, as a number and as a line.
 */
import { element } from '../dom.js';
import { drawn } from '../svg.js';

/** Differences that are shown. */
const POINTS = 30;
const WIDTH = 90;
const HEIGHT = 18;

export class Rates {
  /** @type {Map<string, {events: number, at: number, rates: number[]}>} */
  #known = new Map();

  /**
   * @param {{channel: string, view: string, events: number}[]} groups
   * @param {number} at Milliseconds.
   */
  learn(groups, at) {
    const known = this.#known;
    this.#known = new Map(groups.map((group) => [keyOf(group), follow(known.get(keyOf(group)), group.events, at)]));
  }

  /** Newest last. @param {{channel: string, view: string}} group */
  of(group) {
    return this.#known.get(keyOf(group))?.rates ?? [];
  }
}

/**
 * @param {{events: number, at: number, rates: number[]} | undefined} before
 * @param {number} events
 * @param {number} at
 */
function follow(before, events, at) {
  if (!before || at <= before.at) return { events, at, rates: before?.rates ?? [] };
  // A group that ended and began again counts from 0.
  const rate = (Math.max(0, events - before.events) * 1000) / (at - before.at);
  return { events, at, rates: [...before.rates, rate].slice(-POINTS) };
}

/** @param {{channel: string, view: string}} group */
export const keyOf = ({ channel, view }) => `${channel} ${view}`;

/** @param {number[]} rates */
export function spark(rates) {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, at) => `${((at * WIDTH) / (POINTS - 1)).toFixed(1)},${(HEIGHT - 1 - (rate * (HEIGHT - 2)) / most).toFixed(1)}`);
  const line = drawn('polyline', { points: points.join(' '), fill: 'none', stroke: 'currentColor' });
  const picture = drawn('svg', { width: WIDTH, height: HEIGHT, 'aria-hidden': 'true' }, line);
  return element('span', { class: 'spark' }, picture, ` ${(rates.at(-1) ?? 0).toFixed(1)}/s`);
}
