/**
 * One operation of the API: what it takes, samples with what is typed in, and the server's answer. Knows no other operation.
 */
import { element, say } from './dom.js';
import { exampleOf, resolved } from './example.js';
import { curl, script } from './samples.js';

/**
 * @typedef {object} Operation
 * @property {string} method
 * @property {string} path
 * @property {string} operationId
 * @property {string} [summary]
 * @property {string} [description]
 * @property {any[]} [parameters]
 * @property {any[]} [shared] Parameters of every operation at the path.
 * @property {any} [requestBody]
 *
 * @typedef {object} Context
 * @property {any} document
 * @property {(path: string, init?: RequestInit) => Promise<Response>} send
 * @property {(path: string) => string} withName
 * @property {() => boolean} signedIn
 *
 * @typedef {{method: string, path: string, body: string | null, key: boolean}} Asked
 */

/** Characters of an answer that are shown. */
const SHOWN = 20_000;
/** What keeps an answer open cannot be shown when it ends. */
const ENDLESS = ['/sse'];

/** @param {Operation} operation @param {Context} context */
export function operationView(operation, { document, send, withName, signedIn }) {
  const { method, path, operationId } = operation;
  const places = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const all = [...(operation.shared ?? []), ...(operation.parameters ?? [])].map((one) => resolved(document, one));
  const known = all.filter((one) => one.in === 'query' && !/^(as|claims|token|ticket)$/.test(one.name));
  const inputs = new Map(places.map((name) => [name, element('input', { autocomplete: 'off', placeholder: name })]));
  const query = element('input', { autocomplete: 'off', placeholder: 'limit=5&sort=-created_at' });
  const content = operation.requestBody && resolved(document, operation.requestBody).content;
  const media = content && Object.keys(content)[0];
  const body = media ? element('textarea', { rows: 6, spellcheck: 'false' }, JSON.stringify(exampleOf(document, content[media].schema), null, 2)) : null;
  const field = (/** @type {string} */ text, /** @type {HTMLElement} */ input) => element('label', { class: 'field' }, text, input);
  const fields = [...inputs].map(([name, input]) => field(`In the address: ${name}`, input));
  const shell = element('pre', { tabindex: 0 });
  const page = element('pre', { tabindex: 0 });
  const answer = element('pre', { tabindex: 0, hidden: true });
  const status = element('p', { role: 'status', class: 'muted', hidden: true });
  const run = element('button', { class: 'primary', disabled: ENDLESS.includes(path) }, 'Run');

  /** @returns {Asked} */
  const asked = () => {
    const filled = path.replace(/\{(\w+)\}/g, (whole, name) => encodeURIComponent(inputs.get(name)?.value ?? '') || whole);
    const text = query.value.trim().replace(/^\?/, '');
    return { method, path: withName(`${filled}${text === '' ? '' : `?${text}`}`), body: body?.value ?? null, key: method !== 'GET' && !path.startsWith('/api/auth') };
  };
  const draw = () => {
    shell.textContent = curl(location.origin, asked(), signedIn());
    page.textContent = script(operationId, asked());
  };
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const { path: address, body: sent } = asked();
    if (address.includes('{')) return say(status, 'Fill in what stands in the address first.');
    if (method === 'DELETE' && run.textContent === 'Run') return void (run.textContent = 'Run it: this deletes');
    run.textContent = 'Run';
    run.disabled = true;
    const began = performance.now();
    try {
      const headers = /** @type {Record<string, string>} */ (sent === null ? {} : { 'Content-Type': media ?? 'application/json' });
      const response = await send(address, { method, headers, ...(sent === null ? {} : { body: sent }) });
      const text = await response.text();
      say(status, `${response.status} ${response.statusText}, ${Math.round(performance.now() - began)} ms, ${text.length.toLocaleString()} characters`);
      say(answer, pretty(text));
    } catch (error) {
      say(status, `The server did not answer: ${/** @type {Error} */ (error).message}`);
    }
    run.disabled = false;
  };
  const names = known.map(({ name }) => name);
  const told = names.length > 0 ? [element('p', { class: 'muted' }, `It takes ${names.slice(0, 12).join(', ')}${names.length > 12 ? ` and ${names.length - 12} more` : ''}.`)] : [];
  const form = element(
    'form',
    { class: 'try', submit, input: draw },
    ...(operation.description ? [element('p', {}, operation.description)] : []),
    ...fields,
    ...(names.length > 0 ? [field('Query', query)] : []),
    ...told,
    ...(body ? [field('Body', body)] : []),
    element('h3', {}, 'In a terminal'),
    shell,
    element('h3', {}, 'In a page'),
    page,
    element('div', { class: 'actions' }, run, status),
    answer,
  );
  draw();
  return form;
}

/** @param {string} text */
function pretty(text) {
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is no JSON.
  }
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}\n…` : shown;
}
