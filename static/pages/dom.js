/**
 * Elements without markup: whatever a record holds, it can only become text.
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, any>} [props] A function listens to the event of its name, true and false set or leave out
 * (`aria-` states are words), the rest are attributes.
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === 'function') made.addEventListener(key, value);
    else if (key.startsWith('aria-') && typeof value === 'boolean') made.setAttribute(key, String(value));
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  made.append(...children);
  return made;
}

/**
 * An element that the page's own HTML has.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {T}
 */
export function find(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/**
 * Shows a text, or hides the element when there is none.
 *
 * @param {HTMLElement} where
 * @param {string | null} text
 */
export function say(where, text) {
  where.textContent = text ?? '';
  where.hidden = !text;
}

/** What to tell about a failed request, in the server's words. @param {any} error */
export function words(error) {
  const message = plain(error.message ?? error.code).replace(/^[a-z]/, (first) => first.toUpperCase());
  // A command is for who runs the server.
  return error.hint ? `${message.replace(/[^.!?]$/, '$&.')} ${plain(error.hint.replace(/[;:] `tidewire .*$/, '.'))}` : message;
}

/**
 * Names stand in backticks in the server's words, which are for terminals, too. A change that was sent as a batch of one is called
 * by its place in it.
 *
 * @param {string} text
 */
export const plain = (text) => text.replace(/^`ops\[0\]`: /, '').replace(/`([^`]*)`/g, '“$1”');
