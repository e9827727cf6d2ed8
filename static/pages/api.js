/**
 * `/_/api`: every operation of the OpenAPI document, with a sample for a terminal and for a page, and a button that runs it.
 */
import { start } from './app.js';
import { element, find, say, words } from './dom.js';
import { operationView } from './operation.js';

/** @typedef {import('./operation.js').Operation} Operation */

const { auth, as, refused } = start('API');
const METHODS = ['get', 'post', 'patch', 'put', 'delete'];

/** @param {string} path @param {RequestInit} [init] */
async function send(path, init = {}) {
  const token = await auth?.token();
  const headers = { ...init.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  return fetch(path, { ...init, headers });
}

try {
  const response = await send(withName('/api/openapi.json'));
  const document = await response.json();
  if (!response.ok) throw Object.assign(new Error(document.detail), document, { status: response.status });
  show(document);
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {{status?: number}} */ (error).status === 401) refused();
}

/** The address under the name of this page. @param {string} path */
function withName(path) {
  return as === null ? path : `${path}${path.includes('?') ? '&' : '?'}as=${encodeURIComponent(as)}`;
}

/** @param {any} document */
function show(document) {
  /** @type {Map<string, Operation[]>} */
  const groups = new Map();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const found = /** @type {any} */ (operations)[method];
      if (!found) continue;
      const [tag = 'Other'] = found.tags ?? [];
      groups.set(tag, [...(groups.get(tag) ?? []), { method: method.toUpperCase(), path, ...found, shared: /** @type {any} */ (operations).parameters }]);
    }
  }
  const told = new Map((document.tags ?? []).map((/** @type {any} */ { name, description }) => [name, description]));
  const context = { document, send, withName, signedIn: () => auth?.user.value !== null && auth !== undefined };
  const sections = Array.from(groups, ([tag, operations]) => section(tag, String(told.get(tag) ?? ''), operations, context));
  find('#groups').append(...sections.map(({ box }) => box));
  /** @type {HTMLInputElement} */
  const search = find('#find');
  const look = () => {
    for (const { filter } of sections) filter(search.value.trim().toLowerCase());
  };
  search.addEventListener('input', look);
  const wanted = sections.find(({ open }) => open(decodeURIComponent(location.hash.slice(1))));
  if (!wanted) sections[0]?.box.setAttribute('open', '');
  // The user may have typed before the document was there.
  if (search.value !== '') look();
}

/**
 * @param {string} tag
 * @param {string} text
 * @param {Operation[]} operations
 * @param {import('./operation.js').Context} context
 */
function section(tag, text, operations, context) {
  const views = operations.map((operation) => {
    const summary = element('summary', {}, element('code', { class: `verb ${operation.method.toLowerCase()}` }, operation.method), ' ', element('code', {}, operation.path), element('span', { class: 'muted' }, ` ${operation.summary ?? ''}`));
    const box = element('details', { class: 'operation', id: operation.operationId }, summary);
    // Most are never opened.
    box.addEventListener('toggle', () => box.childElementCount === 1 && box.append(operationView(operation, context)));
    const searched = `${operation.method} ${operation.path} ${operation.operationId} ${operation.summary}`.toLowerCase();
    return { box, searched };
  });
  const box = element('details', { class: 'panel' }, element('summary', {}, tag, ' ', element('span', { class: 'muted' }, text)), ...views.map((view) => view.box));
  return {
    box,
    /** @param {string} asked */
    filter(asked) {
      for (const view of views) view.box.hidden = !view.searched.includes(asked);
      const any = views.some((view) => !view.box.hidden);
      box.hidden = !any;
      if (asked !== '') box.open = any;
    },
    /** @param {string} id */
    open(id) {
      const view = views.find((one) => one.box.id === id);
      if (!view) return false;
      box.open = view.box.open = true;
      view.box.scrollIntoView();
      return true;
    },
  };
}

