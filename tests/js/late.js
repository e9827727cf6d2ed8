/**
 * Parts of the client that come late, as over a slow line: each that is waited for comes at once, or up to three seconds later by the
 * clock of the page. All parts must be loaded before (`world.js`).
 */
import { link, reading } from '../../static/parts.js';
import { verdicts } from '../../static/mutation.js';
import { seeded } from './world.js';

const PARTS = [link, reading, verdicts].map((part) => ({ part, module: part.loaded, use: part.use }));

/**
 * Tells a story in which parts come late, for every second seed.
 *
 * @param {number} seed
 * @param {() => Promise<void>} tell
 */
export async function withLateParts(seed, tell) {
  if (seed % 2 === 0) return tell();
  // A source of its own, so that the seed tells the same story otherwise.
  const random = seeded(seed ^ 0x5eed);
  for (const { part, module } of PARTS) {
    /** By the clock of a page: who waits there; null once the part has come. @type {WeakMap<object, Set<(loaded: any) => void> | null>} */
    const pages = new WeakMap();
    part.loaded = undefined;
    part.use = ({ setTimeout }, call) => {
      if (!pages.has(setTimeout)) {
        pages.set(setTimeout, random() < 0.5 ? null : new Set());
        const arrive = () => {
          const waits = pages.get(setTimeout);
          pages.set(setTimeout, null);
          for (const wait of waits) wait(module);
        };
        if (pages.get(setTimeout)) setTimeout(arrive, random() * 3000);
      }
      const waits = pages.get(setTimeout);
      if (waits) waits.add(call);
      else call(module);
      return () => waits?.delete(call);
    };
  }
  try {
    await tell();
  } finally {
    for (const { part, module, use } of PARTS) Object.assign(part, { loaded: module, use });
  }
}
