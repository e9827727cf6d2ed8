/**
 * What a page without a bundler is sent: the modules without their comments, the client as one, small enough, and the same program as
 * the source.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, transformSync } from 'esbuild';
import { OptimisticManager } from '../../static/optimistic.js';
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
  // The client is sent with all that it imports, as the next tests say.
  for (const name of names.filter((name) => name !== 'client.js')) {
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
    const expected = await followed(entry);
    const found = [...packed.matchAll(/const \$(\w+)=\(\(\)=>\{/g)].map(([, module]) => module);
    assert.deepEqual([...found, entry.slice(0, -'.js'.length).replaceAll('/', '_')].sort(), expected.sort(), name);
    assert.doesNotMatch(packed, /^(import|export) |import\((?!`(\.\/shared|\/static\/pages\/(export|bulk|compare|leased|keys|form|picks))\.js`)/m, name);
    transformSync(packed, { format: 'esm' });
  }
});

/** What a bundler finds when it follows the imports of a module: those that are loaded with it, and those that it may load. */
async function followed(entry) {
  const { metafile } = await build({ entryPoints: [join(ROOT, 'static', entry)], bundle: true, format: 'esm', outdir: 'out', write: false, metafile: true, plugins: [SERVED] });
  return Object.keys(metafile.inputs).map((path) => path.slice(path.indexOf('static/') + 'static/'.length, -'.js'.length).replaceAll('/', '_'));
}

test('the client is sent as one file of at most 40 KB gzipped, with all that it may load', async () => {
  const response = await fetch(`${server.address}/static/client.js`);
  assert.equal(response.headers.get('content-encoding'), 'gzip');
  const sent = await response.text();
  const size = gzipSync(sent, { level: 9 }).length;
  if (process.env.SIZES) console.log('client.js as it is sent', size);
  assert.ok(size <= 40 * 1024, `${size} bytes`);
  const found = [...sent.matchAll(/const \$(\w+)=\(\(\)=>\{/g)].map(([, module]) => module);
  assert.deepEqual([...found, 'client'].sort(), (await followed('client.js')).sort());
  for (const module of ['realtime', 'channels', 'presence', 'optimistic', 'link', 'queue', 'lanes', 'bridge', 'stream', 'verdicts']) assert.ok(found.includes(module), module);
  assert.doesNotMatch(sent, /^import |import\((?!`\.\/shared\.js`)/m);
});

/** A module as the body of a function, whatever its imports and exports are called. */
const body = (lines) => {
  const code = lines.filter((line) => !/^import |^export \{/.test(line)).map((line) => line.replace(/^export /, '').replaceAll(/import\('.*?'\)/g, 'LATER'));
  return program(`async function module() {\n${code.join('\n')}\n}`);
};

test('the modules in one file are the same programs, without the spaces that only people need', async () => {
  const packs = readdirSync(join(ROOT, 'static/pages')).filter((name) => name.endsWith('.html') && name !== 'missing.html').map((name) => /src="\/static\/(pack\/.*?)"/.exec(readFileSync(join(ROOT, 'static/pages', name), 'utf8'))[1]);
  const paths = readdirSync(join(ROOT, 'static'), { recursive: true, encoding: 'utf8' });
  const seen = new Set();
  for (const name of ['client.js', ...packs]) {
    const packed = await fetched(name);
    const modules = packed.split(/const \$(\w+)=\(\(\)=>\{/);
    for (let at = 1; at < modules.length; at += 2) {
      const module = paths.find((path) => path.slice(0, -'.js'.length).replaceAll('/', '_') === modules[at]);
      const end = modules[at + 1].search(/return\{[\w,]*\};\}\)\(\);/);
      // Imports come first, each as `const{…}=$module;`.
      const code = modules[at + 1].slice(0, end).replaceAll(/const (?:\{[^}]*\}|\w+)=\$\w+;|const\{[^}]*\}=\$\w+;/g, '').replaceAll(/Promise\.resolve\(\$\w+\)/g, 'LATER');
      assert.equal(program(`async function module() {\n${code}\n}`), body(readFileSync(join(ROOT, 'static', module), 'utf8').split('\n')), `${module} of ${name}`);
      seen.add(module);
    }
  }
  assert.ok(seen.size > 60, `${seen.size} modules`);
});

test('the client as it is sent works, also beside a module of its own', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-served-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'client.mjs'), await fetched('client.js'));
  const sent = await import(pathToFileURL(join(folder, 'client.mjs')).href);
  assert.deepEqual(Object.keys(sent).sort(), Object.keys(await import('../../static/client.js')).sort());
  const { rt, channels, db, close } = sent.connect({ url: server.address });
  t.after(close);
  const list = channels.list('Task');
  const until = async (look) => {
    while (!look()) await new Promise((resolve) => list.listen(resolve));
  };
  const made = db.create('Task', { title: 'sent as one' });
  // Changes of another copy of a module are shown by the lists of this one.
  const other = new OptimisticManager(null, rt);
  t.after(() => other.close());
  const beside = other.create('Task', { title: 'beside' });
  assert.deepEqual(list.value.map(({ title }) => title).sort(), ['beside', 'sent as one']);
  await Promise.all([made, beside]);
  await until(() => list.value.length === 2 && list.value.every(({ _optimistic }) => !_optimistic));
  assert.deepEqual(list.value.map(({ title }) => title).sort(), ['beside', 'sent as one']);
});
