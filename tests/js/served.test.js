/**
 * What a page without a bundler is sent: the modules without their comments, small enough, and the same program as the source.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { transformSync } from 'esbuild';
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
