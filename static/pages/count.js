/**
 * How many records there are, while a list does not have all of them: asked again after changes, and never twice at once. Knows no page.
 */

/** Milliseconds between two questions. */
const PAUSE = 1000;

/**
 * @param {() => Promise<{count: number}>} ask
 * @param {(count: number | null) => void} told Null: it is not known.
 */
export function counter(ask, told) {
  let again = false;
  let reads = false;
  let ended = false;
  const read = async () => {
    if (ended) return;
    if (reads) return void (again = true);
    reads = true;
    again = false;
    const count = await ask().then(
      (answer) => answer.count,
      () => null,
    );
    if (!ended) told(count);
    setTimeout(() => {
      reads = false;
      if (again) read();
    }, PAUSE);
  };
  return { read, end: () => void (ended = true) };
}
