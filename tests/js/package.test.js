/**
 * The package that `npm pack` makes of static/: Node loads it, a bundler bundles it, TypeScript knows its types.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildSync } from 'esbuild';
import { ROOT } from './program.js';

const TSC = join(ROOT, 'node_modules/.bin/tsc');
let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidewire-package-'));
  const home = join(folder, 'node_modules/tidewire-client');
  mkdirSync(home, { recursive: true });
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: join(ROOT, 'static'), env: { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}` } });
  const [packed] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  execFileSync('tar', ['-xzf', join(folder, packed), '-C', home, '--strip-components=1']);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(join(ROOT, 'static/types'), { recursive: true, force: true });
});

const run = (program) => {
  writeFileSync(join(folder, 'program.js'), program);
  return execFileSync(process.execPath, ['--experimental-websocket', '--no-warnings', 'program.js'], { cwd: folder, encoding: 'utf8' });
};

test('Node loads it, and every module by its name', () => {
  const said = run(`
    import { connect, OptimisticManager } from 'tidewire-client';
    import { OfflineQueue } from 'tidewire-client/queue.js';
    import { tidewireCollection } from 'tidewire-client/adapters/tanstack.js';
    console.log([connect, OptimisticManager, OfflineQueue, tidewireCollection].map((one) => typeof one).join());
  `);
  assert.equal(said, 'function,function,function,function\n');
});

test('a bundler bundles it, and leaves out what is not used', () => {
  const bundle = (contents) => buildSync({ stdin: { contents, resolveDir: folder }, bundle: true, minify: true, format: 'esm', write: false }).outputFiles[0].text;
  const all = bundle("import { connect } from 'tidewire-client'; connect();");
  const signal = bundle("import { signal } from 'tidewire-client'; console.log(signal(1));");
  assert.ok(signal.length < 2000 && all.length > 20_000, `${signal.length}, ${all.length}`);
});

test('TypeScript knows the types, and the records of the server flow through', () => {
  writeFileSync(
    join(folder, 'program.ts'),
    `
import { connect } from 'tidewire-client';
import { OfflineQueue } from 'tidewire-client/queue.js';
interface Task { readonly id: string; readonly title: string; readonly done: boolean | null }
const { channels, db, rt } = connect({ queue: new OfflineQueue({ user: 'ada' }), ids: 'uuid', transports: ['ws', 'poll'], heartbeatInterval: 10_000, linger: 0 });
const list = channels.list<Task>('Task', { where: { done: false }, sort: '-title' });
const titles: string[] = list.value.map((task) => task.title);
const record: Task | null | undefined = channels.record<Task>('Task', 'x').value;
const made = db.create('Task', { title: 'x' });
list.meta(made.id).mutations[0]?.retry();
const status: 'connecting' | 'connected' | 'polling' | 'offline' = rt.status.value;
// @ts-expect-error no such field
list.value[0].titel;
// @ts-expect-error no such option
channels.list<Task>('Task', { wehre: {} });
// @ts-expect-error no such option
connect({ heartbeatIntervall: 10_000 });
// @ts-expect-error a number
connect({ pollInterval: 'often' });
export { titles, record, status };
`,
  );
  const options = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'es2022', '--moduleResolution', 'bundler', '--lib', 'es2022,dom', '--ignoreConfig', 'program.ts'];
  const { stdout } = spawnSync(TSC, options, { encoding: 'utf8', cwd: folder });
  assert.equal(stdout, '');
});
