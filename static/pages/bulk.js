/**
 * What can be done with the selected rows of a table: delete them, or save them as a file. Loaded with the first selection. A row
 * that cannot be deleted says so below itself.
 */
import { confirmed } from './confirm.js';
import { element } from './dom.js';
import { labelOf, nameOf } from './fields.js';

/** Names in the question. */
const NAMED = 3;
/** Milliseconds until a server that had too many questions is asked again. */
const PAUSE = 1000;

/**
 * @typedef {import('./fields.js').Row} Row
 *
 * @param {HTMLElement} stage Where the bar stands: below the table.
 * @param {object} context
 * @param {import('./fields.js').Entity} context.entity
 * @param {(ids: string[]) => void} context.exportRows
 * @param {() => void} context.clear
 * @param {(id: string) => void} context.remove Shows it at once, and sends it.
 * @param {((id: string) => Promise<void>) | null} context.removeLeased Where each is deleted under a lease: it is gone when the server says so.
 * @param {(kept: import('./note.js').Refused[]) => void} context.kept Those whose lease another user holds, and the like.
 * @param {() => void} context.closed The question has gone.
 */
export function bulkBar(stage, { entity, exportRows, clear, remove, removeLeased, kept, closed }) {
  const button = (/** @type {string} */ text, /** @type {() => void} */ click, /** @type {string | null} */ name = null) =>
    element('button', { type: 'button', class: name, click }, text);
  const count = element('span', { role: 'status' });
  const bar = element(
    'div',
    { class: 'actions bulk', role: 'group', 'aria-label': 'The selected rows', hidden: true },
    count,
    button('Export…', () => exportRows(rows.map(({ id }) => id))),
    button('Delete…', () => ask(), 'danger'),
    button('Clear', () => clear(), 'quiet'),
  );
  stage.append(bar);
  /** @type {Row[]} */
  let rows = [];
  /** What is being deleted, in words. @type {string | null} */
  let busy = null;
  let asks = false;

  function draw() {
    const within = bar.contains(document.activeElement);
    bar.hidden = rows.length === 0 && !busy;
    if (bar.hidden && within) {
      /** @type {HTMLElement} */ (document.activeElement).blur();
      closed();
    }
    for (const one of bar.querySelectorAll('button')) one.disabled = busy !== null;
    count.textContent = busy ?? `${rows.length.toLocaleString()} selected`;
  }

  async function ask() {
    if (busy || asks || rows.length === 0) return;
    asks = true;
    const chosen = rows;
    const names = chosen.slice(0, NAMED).map((row) => `“${nameOf(entity, row)}”`);
    const rest = chosen.length - names.length;
    if (rest > 0) names.push(`${rest.toLocaleString()} more`);
    const listed = names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
    const title = `Delete ${chosen.length.toLocaleString()} ${chosen.length === 1 ? entity.name : labelOf(entity.plural).toLowerCase()}?`;
    const done = await confirmed(title, `Deleted for everyone: ${listed}. You cannot undo this.`, async () => {});
    asks = false;
    if (done && removeLeased) await oneByOne(chosen, removeLeased);
    else if (done) for (const { id } of chosen) remove(id);
    closed();
  }

  /** @param {Row[]} chosen @param {(id: string) => Promise<void>} end */
  async function oneByOne(chosen, end) {
    /** @type {import('./note.js').Refused[]} */
    let failed = [];
    /** @param {string} id */
    const again = async (id) => {
      failed = failed.filter((one) => one.id !== id);
      try {
        await patiently(() => end(id));
      } catch (error) {
        failed = [...failed, { id, state: 'failed', error, changes: [{ op: 'delete' }], retry: () => again(id), discard: () => drop(id) }];
      }
      kept(failed);
    };
    /** @param {string} id */
    const drop = (id) => {
      failed = failed.filter((one) => one.id !== id);
      kept(failed);
    };
    for (const [at, { id }] of chosen.entries()) {
      busy = `Deleting ${at + 1} of ${chosen.length}…`;
      draw();
      await again(id);
    }
    busy = null;
    draw();
  }

  return {
    /** @param {Row[]} selected */
    draw(selected) {
      rows = selected;
      draw();
    },
    ask,
  };
}

/** @param {() => Promise<void>} act */
async function patiently(act) {
  try {
    await act();
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'RATE_LIMITED') throw error;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    await act();
  }
}
