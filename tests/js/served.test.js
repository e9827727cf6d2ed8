/**
 * What a page without a bundler is sent: the modules without their comments, small enough, and the same program as the source.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build, transformSync } from 'esbuild';
import { ROOT, Tidewire } from './program.js';

let server;
before(async () => (server = await new Tidewire('tests/fixtures/plain').start()));
after(() => server.remove());

const fetched = async (name) => {
  const response = await fetch(`${server.address}/static/${name}`);
  assert.equal(response.status, 200, name);
  return response.text();
};
/** The program that a text says, whatever its comments and spaces are. */
const program = (text) => transformSync(text, { minify: true, format: 'esm', target: 'es2022' }).code;

test('every module is sent without its comments, and is the same program', async () => {
  const names = readdirSync(join(ROOT, 'static'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js') && !name.startsWith('types'));
  assert.ok(names.length > 30);
  for (const name of names) {
    const sent = await fetched(name);
    assert.doesNotMatch(sent, /\/\*\*|^\s*\/\/|^\s*$\n/m, name);
    assert.equal(program(sent), program(readFileSync(join(ROOT, 'static', name), 'utf8')), name);
  }
});

/** Loaded only where a page asks for one connection of all tabs, or its user for a file: no page begins with them or with what only they need. */
const ASKED = /\/(shared|export|bulk|compare|leased|keys|form|picks)\.js$/;

/** Tells a bundler where `/static/` is, and where it stops. */
const SERVED = {
  name: 'served',
  setup: ({ onResolve }) => {
    onResolve({ filter: ASKED }, ({ path }) => ({ path, external: true }));
    onResolve({ filter: /^\/static\// }, ({ path }) => ({ path: join(ROOT, path) }));
  },
};

test('the modules of a page are sent as one, each once, and the page needs nothing else', async () => {
  const pages = readdirSync(join(ROOT, 'static/pages')).filter((name) => name.endsWith('.html') && name !== 'missing.html');
  assert.ok(pages.length >= 6);
  for (const name of pages) {
    const [, entry] = /<script type="module" src="\/static\/pack\/(.*?)">/.exec(readFileSync(join(ROOT, 'static/pages', name), 'utf8'));
    const packed = await fetched(`pack/${entry}`);
    // What a bundler finds when it follows the imports of the page is what the server follows.
    const { metafile } = await build({ entryPoints: [join(ROOT, 'static', entry)], bundle: true, format: 'esm', outdir: 'out', write: false, metafile: true, plugins: [SERVED] });
    const expected = Object.keys(metafile.inputs).map((path) => path.slice(path.indexOf('static/') + 'static/'.length, -'.js'.length));
    const found = [...packed.matchAll(/^const \$(\w+) = \(\(\) => \{$/gm)].map(([, module]) => module);
    assert.deepEqual([...found, entry.slice(0, -'.js'.length).replaceAll('/', '_')].sort(), expected.map((path) => path.replaceAll('/', '_')).sort(), name);
    assert.doesNotMatch(packed, /^(import|export) |import\((?!`(\.\/shared|\/static\/pages\/(export|bulk|compare|leased|keys|form|picks))\.js`)/m, name);
    transformSync(packed, { format: 'esm' });
  }
});

/** Loaded in advance, and used only while no socket gets through. */
const FALLBACK = ['bridge.js', 'stream.js', 'share.js', 'later.js'];

test('what a page without a bundler loads is at most 40 KB gzipped, and 6.5 KB for the time without a socket', async () => {
  /** @type {Map<string, string>} */
  const loaded = new Map();
  const load = async (name) => {
    if (loaded.has(name)) return;
    const text = await fetched(name);
    loaded.set(name, text);
    for (const [, next] of text.matchAll(/(?:from |import\()['"]\.\/(.*?)['"]/g)) await load(next);
  };
  for (const name of ['client.js', 'queue.js', 'cache.js']) await load(name);
  const sizeOf = (names) => names.map((name) => gzipSync(loaded.get(name), { level: 9 }).length).reduce((a, b) => a + b);
  const size = sizeOf([...loaded.keys()].filter((name) => !FALLBACK.includes(name)));
  const fallback = sizeOf(FALLBACK);
  if (process.env.SIZES) console.log(loaded.size, size, fallback);
  assert.ok(loaded.size > 25 && size <= 40 * 1024, `${loaded.size} modules, ${size} bytes`);
  assert.ok(fallback <= 6.5 * 1024, `${fallback} bytes for the time without a socket`);
});
