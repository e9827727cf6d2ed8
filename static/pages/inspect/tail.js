/**
 * The newest events of the inspector. It keeps up with a busy server: what is more than it shows it passes over, and counts.
 */

/** Events that are shown. */
const MOST_SHOWN = 200;
/** Changes of one request that looks for those that a filter wants. */
const PAGE = 1000;
/** Changes that are looked through at once for those that a filter wants. */
const MOST_LOOKED_AT = 10_000;

/** @typedef {{items: any[], next: number, head: number}} Answer Of `GET /api/admin/inspect/events`. */

export class Tail {
  /** Newest first. @type {any[]} */
  items = [];
  /** Changes that came and are not shown, since the filter was set. Of a filter, some may not be wanted. */
  leftOut = 0;
  /** @type {Record<string, string>} */
  #filter = {};
  /** @type {number | null} */
  #next = null;
  /** What is being taken. @type {Promise<void> | null} */
  #taking = null;
  #ask;

  /** @param {(query: Record<string, string | number | null>) => Promise<Answer>} ask */
  constructor(ask) {
    this.#ask = ask;
  }

  /** Begins again. @param {Record<string, string>} wanted */
  filter(wanted) {
    Object.assign(this, { items: [], leftOut: 0 });
    this.#filter = wanted;
    this.#next = null;
    this.#taking = null;
  }

  /** Takes what came since the last time. One call at a time does, and others wait for it. @returns {Promise<void>} */
  follow() {
    const taking = (this.#taking ??= this.#take().finally(() => {
      if (this.#taking === taking) this.#taking = null;
    }));
    return taking;
  }

  async #take() {
    const filter = this.#filter;
    const filters = Object.values(filter).some((value) => value !== '');
    const [limit, most] = filters ? [PAGE, MOST_LOOKED_AT] : [MOST_SHOWN, MOST_SHOWN];
    /** @type {any[]} */
    let fresh = [];
    let passed = 0;
    // The first answer says how far the log is. What comes after the last one waits for the next time.
    for (let asked = 0; asked <= most / limit; asked++) {
      const { items, next, head } = await this.#ask({ after: this.#next, limit, ...filter });
      // The filter may be another one by now.
      if (filter !== this.#filter) return;
      fresh = [...fresh, ...items];
      this.#next = next;
      if (next >= head) break;
      const from = Math.max(next, head - most);
      passed += from - next;
      this.#next = from;
    }
    this.leftOut += passed + Math.max(0, fresh.length - MOST_SHOWN);
    this.items = [...fresh.reverse(), ...this.items].slice(0, MOST_SHOWN);
  }
}
