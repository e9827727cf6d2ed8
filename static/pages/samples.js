/**
 * A request as a line for a terminal, and as lines of a page. Pure.
 */

/** @typedef {import('./operation.js').Asked} Asked */

/** A word that a shell takes as it is. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {string} origin @param {Asked} asked @param {boolean} signedIn */
export function curl(origin, { method, path, body }, signedIn) {
  const parts = [
    `curl ${method === 'GET' ? '' : `-X ${method} `}${quoted(origin + path)}`,
    ...(signedIn ? ['-H "Authorization: Bearer $TOKEN"'] : []),
    ...(body === null ? [] : ["-H 'Content-Type: application/json'", `-d ${quoted(compact(body))}`]),
  ];
  return parts.join(' \\\n  ');
}

/** Methods of `Api`, by how the id of an operation begins. @type {[begins: string, call: (asked: Call) => string][]} */
const CALLS = [
  ['list', ({ plural, query }) => `api.list(${plural}${query})`],
  ['count', ({ plural, query }) => `api.count(${plural}${query})`],
  ['get', ({ plural, id, query }) => `api.get(${plural}, ${id}${query})`],
  ['history', ({ plural, id, query }) => `api.history(${plural}, ${id}${query})`],
  ['create', ({ plural, body }) => `api.create(${plural}, ${body})`],
  ['update', ({ plural, id, body }) => `api.update(${plural}, ${id}, ${body})`],
  ['replace', ({ plural, id, body }) => `api.replace(${plural}, ${id}, ${body})`],
  ['delete', ({ plural, id }) => `api.delete(${plural}, ${id})`],
];

/** @typedef {{plural: string, id: string, query: string, body: string}} Call */

/** @param {string} operation @param {Asked} asked */
export function script(operation, asked) {
  const url = new URL(asked.path, 'http://any');
  const [, , plural, id, step] = url.pathname.split('/').map(decodeURIComponent);
  const found = CALLS.find(([begins]) => new RegExp(`^${begins}[A-Z]`).test(operation) && !/Many|By[A-Z]/.test(operation));
  const fits = asked.method === 'GET' || !['list', 'count'].includes(found?.[0] ?? '');
  if (!found || !fits || (step !== undefined && step !== 'history') || url.pathname.split('/')[1] !== 'api') return fetched(asked);
  const query = Object.fromEntries([...url.searchParams].filter(([name]) => name !== 'as'));
  const call = found[1]({
    plural: JSON.stringify(plural),
    id: JSON.stringify(id ?? ''),
    query: Object.keys(query).length > 0 ? `, ${JSON.stringify(query)}` : '',
    body: asked.body === null ? '{}' : compact(asked.body),
  });
  return `import { connect } from '/static/client.js';\n\nconst { api } = connect();\nconsole.log(await ${call});`;
}

/** @param {Asked} asked */
function fetched({ method, path, body }) {
  const init = [...(method === 'GET' ? [] : [`method: '${method}'`]), ...(body === null ? [] : ["headers: { 'Content-Type': 'application/json' }", `body: JSON.stringify(${compact(body)})`])];
  const options = init.length > 0 ? `, {\n  ${init.join(',\n  ')},\n}` : '';
  return `const response = await fetch(${JSON.stringify(path)}${options});\nconsole.log(response.status, await response.text());`;
}

/** @param {string} body */
function compact(body) {
  try {
    return JSON.stringify(JSON.parse(body));
  } catch {
    return body;
  }
}
