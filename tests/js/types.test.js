/**
 * The declarations that `tidewire schema types` prints: they compile under `tsc --strict`, and they refuse what the
 * server refuses.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));
const BINARY = process.env.TIDEWIRE_BIN ?? join(ROOT, 'target/debug/tidewire');
const TSC = join(ROOT, 'node_modules/.bin/tsc');

/** Every type, every constraint, and names that TypeScript and the declarations use themselves. */
const HOSTILE = {
  'thing.toml': `
entity = "Thing"
[fields]
kind = { type = "enum", values = ["a", "it's", "\\"quoted\\"", "*/ }", "back\\\\slash", "\u2028"], required = true }
default = { type = "text", pattern = "^*/" }
class = { type = "int", unique = true }
share = { type = "float", required = true, default = 0.5 }
on = { type = "bool" }
data = { type = "json", required = true }
day = { type = "date" }
at = { type = "datetime", readonly = true, default = "now" }
key = { type = "uuid" }
next = { type = "ref", entity = "Thing" }
copied = { type = "ref", entity = "Thing", from = "next.next" }
`,
  'create.toml': 'entity = "ThingCreate"\n[fields]\nf = { type = "int" }',
  'entities.toml': 'entity = "Entities"\n[fields]\nf = { type = "int" }',
  'record.toml': 'entity = "Record"\n[fields]\nf = { type = "int" }',
  'array.toml': 'entity = "Array"\n[fields]\nf = { type = "int" }',
};

/** The folder, then whatever `use` says about it, without a trace. */
function within(files, use) {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-types-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const types = (schemas) => execFileSync(BINARY, ['schema', 'types', '--schemas', schemas], { encoding: 'utf8' });

/** What the compiler says about a program that uses the declarations; empty when nothing is wrong. */
function compiled(declarations, program) {
  return within({ 'types.d.ts': declarations, 'program.ts': program }, (folder) => {
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'es2022', '--moduleResolution', 'bundler'];
    const files = [join(folder, 'types.d.ts'), join(folder, 'program.ts')];
    const { stdout, status } = spawnSync(TSC, [...options, '--ignoreConfig', ...files], { encoding: 'utf8', cwd: folder });
    assert.equal(status === 0, stdout === '', stdout);
    return stdout;
  });
}

test('the declarations of the shipped schemas compile, and a client can be written with them', () => {
  const program = `
import type { Entities, Task, TaskCreate, TaskUpdate } from './types';
declare function list<E extends keyof Entities>(entity: E): Entities[E][];
const task: Task | undefined = list('Task')[0];
const owner: string | null | undefined = task?.owner;
const create: TaskCreate = { title: 'Write', status: 'open', due: null };
const update: TaskUpdate = {};
export const all = [owner, create, update, list('Comment').map((comment) => comment.body.length)];
`;
  assert.equal(compiled(types(join(ROOT, 'schemas')), program), '');
});

test('the sample in docs/http.md compiles', () => {
  const page = readFileSync(join(ROOT, 'docs/http.md'), 'utf8');
  const samples = [...page.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, sample]) => sample);
  assert.equal(samples.length, 1);
  assert.equal(compiled(types(join(ROOT, 'schemas')), `${samples[0]}export { list };\nexport type { TaskCreate };`), '');
});

test('the declarations refuse what the server refuses', () => {
  const declarations = types(join(ROOT, 'tests/fixtures/plain'));
  const wrong = [
    ["const wrong: types.TaskCreate = { status: 'open' };", "'title' is missing"],
    ['const wrong: types.TaskCreate = { title: null };', "'null' is not assignable"],
    ["const wrong: types.TaskCreate = { title: 'x', status: 'opne' };", '"opne"'],
    ["const wrong: types.TaskCreate = { title: 'x', version: 1 };", "'version' does not exist"],
    ["const wrong: types.CommentUpdate = { author: 'ada' };", "'author' does not exist"],
    ['task.id = task.title;', 'read-only'],
    ['const wrong: string = task.tags;', "'unknown' is not assignable"],
    ['const wrong: string = task.owner;', "'string | null' is not assignable"],
    ["const wrong: keyof types.Entities = 'Tsak';", '"Tsak"'],
  ];
  const lines = wrong.map(([line], nth) => `export function f${nth}(task: types.Task) { ${line} }`);
  const told = compiled(declarations, ["import type * as types from './types';", ...lines].join('\n'));
  wrong.forEach(([line, words], nth) => {
    const about = told.split('\n').filter((text) => text.startsWith(`program.ts(${nth + 2},`));
    assert.ok(about.some((text) => text.includes(words)), `${line}\n${told}`);
  });
});

test('no name and no value of a schema file breaks the declarations', () => {
  const declarations = within(HOSTILE, types);
  const program = `
import type { Array as Row, Entities, Entities_, Thing, ThingCreate, ThingCreate_ } from './types';
const create: ThingCreate_ = { kind: '*/ }', data: { any: 'thing' } };
declare const thing: Thing;
const kinds: Thing['kind'][] = ['a', "it's", '"quoted"', '*/ }', 'back\\\\slash', '\\u2028'];
const map: keyof Entities_ = 'ThingCreate';
declare const rows: [Row, Entities, ThingCreate];
export const all = [create, kinds, map, thing.class, thing.default, thing.copied, rows[0].f, rows[1].f, rows[2].version];
`;
  assert.equal(compiled(declarations, program), '', declarations);
  assert.match(compiled(declarations, `${program}\nthing.copied = null;`), /read-only/);
});
