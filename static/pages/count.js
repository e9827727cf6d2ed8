/**
 * How many records there are, while a list does not have all of them: asked again after changes, and never twice at once. Knows no page.
 */

/** Milliseconds between two questions. */
const PAUSE = 1000;

/**
 * @typedef {{epoch?: string, seq?: number, view?: string}} Position Of an answer; without `seq` it is as far as nothing.
 */

/** Farther than every answer. */
const NOW = { epoch: '', seq: Infinity };

/**
 * @param {() => Promise<{count: number} & Position>} ask
 * @param {(count: number | null) => void} told Null: it is not known.
 */
export function counter(ask, told) {
  /** @type {Position | null} */
  let known = null;
  /** How far the next answer has to be, when this one is not. @type {Position | null} */
  let wanted = null;
  let reads = false;
  let ended = false;
  /** @param {Position} at */
  const isKnown = ({ epoch, seq = Infinity, view }) =>
    known !== null && known.epoch === epoch && known.view === view && known.seq !== undefined && known.seq >= seq;
  /** @param {Position} [at] What the answer has to include: nothing is asked when the last one does. */
  const read = async (at = NOW) => {
    if (ended) return;
    // Of several positions none is known to be the farthest.
    if (reads) return void (wanted = wanted ? NOW : at);
    if (isKnown(at)) return;
    reads = true;
    wanted = null;
    known = await ask().catch(() => null);
    if (!ended) told(known && /** @type {{count: number}} */ (known).count);
    setTimeout(() => {
      reads = false;
      if (wanted) read(wanted);
    }, PAUSE);
  };
  return { read, end: () => void (ended = true) };
}
