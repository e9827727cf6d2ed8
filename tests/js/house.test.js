/**
 * Rules of the house that no module can keep alone: the byte budget, nothing that a strict CSP or hostile data could
 * break, and the copy of the table of codes.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { DENIED, onClose } from '../../static/codes.js';
import { LATER, LIFTED_BY_RIGHTS, mayRetry } from '../../static/later.js';
import { FAULTS } from './planted.js';

const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const files = readdirSync(join(ROOT, 'static'), { recursive: true, encoding: 'utf8' }).map((name) => `static/${name}`);
const modules = files.filter((name) => /^static\/[^/]+\.js$/.test(name));

const gzipped = (text) => gzipSync(text, { level: 9 }).length;
/** The four modules that an application with live rows, changes and presence imports. */
const FOUR = ['realtime.js', 'channels.js', 'presence.js', 'optimistic.js'];

/** What a bundler makes of these modules, gzipped: what a page begins with, and all of it. */
function bundled(names) {
  const contents = names.map((name) => `export * from './${name}';`).join('\n');
  const stdin = { contents, resolveDir: join(ROOT, 'static') };
  const { outputFiles, metafile } = buildSync({
    stdin,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    splitting: true,
    outdir: 'out',
    metafile: true,
    write: false,
  });
  const text = (path) => outputFiles.find((file) => file.path.endsWith(path)).text;
  const first = new Set();
  const load = (path) => {
    if (first.has(path)) return;
    first.add(path);
    for (const { kind, path: next } of metafile.outputs[path].imports) if (kind === 'import-statement') load(next);
  };
  load('out/stdin.js');
  const size = (paths) => gzipped(paths.map(text).join('\n'));
  // Only a page that asks for it loads what tabs need for one connection.
  const asked = Object.keys(metafile.outputs).filter((path) => metafile.outputs[path].entryPoint !== 'static/shared.js');
  return { first: size([...first]), all: size(asked) };
}

test('what an application bundles is small: what a page begins with, and all of it', () => {
  const budgets = [
    [['realtime.js', 'channels.js'], 8.8, 22.1],
    [FOUR, 12, 30.8],
    [[...FOUR, 'queue.js'], 12.6, 32.9],
  ];
  for (const [names, first, all] of budgets) {
    const size = bundled(names);
    if (process.env.SIZES) console.log(names.join(), size);
    assert.ok(size.first <= first * 1024 && size.all <= all * 1024, `${names}: ${size.first} and ${size.all} bytes`);
  }
});

test('the style sheet is at most 8 KB gzipped', () => {
  assert.ok(gzipped(read('static/pages/pages.css')) <= 8 * 1024);
});

test('the style sheet names no id: a page of a user has its own', () => {
  const rules = read('static/pages/pages.css').replaceAll(/\/\*[^]*?\*\/|\{[^{}]*\}/g, '{}');
  assert.doesNotMatch(rules, /#[a-z]/i);
  assert.doesNotMatch(rules, /(^|[\s,])(section|article|nav|aside) \w/m);
});

test('nothing turns text into markup or code', () => {
  for (const name of files.filter((file) => /\.(js|html)$/.test(file))) {
    const found = read(name).match(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|javascript:/,
    );
    assert.equal(found, null, `${name}: ${found}`);
  }
});

test('pages hold to default-src self: no inline script, style or handler, nothing from elsewhere', () => {
  const pages = files.filter((name) => name.endsWith('.html'));
  assert.ok(pages.length >= 2);
  for (const name of pages) {
    const html = read(name);
    assert.doesNotMatch(html, /\sstyle\s*=|<style|\son\w+\s*=|https?:\/\/|\bdata:/i, name);
    for (const [tag] of html.matchAll(/<script[^>]*>/g)) assert.match(tag, /src="\/static\//, name);
  }
});

test('modules import each other relatively, and nothing else; the client draws in no page', () => {
  for (const name of modules) {
    for (const [, from] of read(name).matchAll(/^import .* from '(.*)';$/gm))
      assert.match(from, /^\.\/[a-z]+\.js$/, name);
  }
});

test("what the client knows of the table of codes is the server's", () => {
  const rust = read('runtime/protocol/codes.rs');
  const errors = [...rust.matchAll(/^ {4}\w+ "([A-Z_]+)" (Never|Later) "/gm)];
  assert.ok(errors.length > 20);
  const later = errors.filter(([, , retry]) => retry === 'Later').map(([, code]) => code);
  assert.deepEqual([...LATER].sort(), ['NO_ANSWER', ...later].sort());
  const known = new Set(errors.map(([, code]) => code));
  for (const code of [...DENIED, ...LIFTED_BY_RIGHTS]) assert.ok(known.has(code), code);
  const closes = [...rust.matchAll(/^ {4}\w+ (\d{4}) "(.*)"$/gm)].map(([, number]) => Number(number));
  const stops = [1002, 1007, 1009, 4400, 4403, 4429];
  const found = Object.fromEntries(closes.map((code) => [code, onClose(code)]));
  assert.deepEqual(found, Object.fromEntries(closes.map((code) => [code, code === 4401 ? 'token' : stops.includes(code) ? 'stop' : 'reconnect'])));
  assert.ok(closes.length > 10 && stops.every((code) => closes.includes(code)));
});

test('what a client does on a code', () => {
  assert.deepEqual([1000, 1006, 1012, 4000, 4099].map(onClose), Array(5).fill('reconnect'));
  assert.deepEqual([1002, 1007, 1009, 4400, 4403, 4499].map(onClose), Array(6).fill('stop'));
  assert.equal(onClose(4401), 'token');
  assert.equal(mayRetry({ code: 'OVERLOADED' }), true);
  assert.equal(mayRetry({ code: 'OVERLOADED', retry: false }), false);
  assert.equal(mayRetry({ code: 'NEVER_HEARD_OF' }), false);
  assert.equal(mayRetry(undefined), false);
});

test('every planted fault fits its module', () => {
  const lost = FAULTS.filter(({ file, from }) => read(`static/${file}`).split(from).length !== 2);
  assert.deepEqual(lost.map(({ harm }) => harm), []);
  assert.equal(new Set(FAULTS.map(({ harm }) => harm)).size, FAULTS.length);
});
