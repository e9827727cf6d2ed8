/**
 * docs/client.md is true: its samples compile, its whole page runs in front of the real program, and its tables of options
 * name what there is.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT, Tidewire } from './program.js';

const page = readFileSync(join(ROOT, 'docs/client.md'), 'utf8');
const samples = [...page.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, sample]) => sample);
const folder = () => mkdtempSync(join(ROOT, 'tests/js/handbook-'));

/** Names that the samples take for granted. */
const GIVEN = `
import type { Api } from '/static/api.js';
import type { ChannelSubscriber } from '/static/channels.js';
import type { OptimisticManager } from '/static/optimistic.js';
import type { RealtimeClient } from '/static/realtime.js';
declare global {
  const api: Api, channels: ChannelSubscriber, db: OptimisticManager, rt: RealtimeClient;
  const id: string, first: string, second: string, user: string;
  const badge: any, draw: any, React: any, shallowRef: any, onScopeDispose: any, from: any, signal: any, tasks: any;
  const drawList: any, drawRecord: any, drawRefused: any, drawBadge: any;
  const renewed: any, createCollection: any, tidewireCollection: any, reactHooks: any, connect: any;
}
`;

test('every sample of docs/client.md compiles', () => {
  assert.ok(samples.length >= 10);
  const home = folder();
  try {
    writeFileSync(join(home, 'given.d.ts'), GIVEN);
    samples.forEach((sample, nth) => {
      // The frameworks' lines belong to five different pages.
      const parts = sample.includes('// Svelte') ? sample.split(/\n\n/) : [sample];
      parts.forEach((part, at) => writeFileSync(join(home, `sample-${nth}-${at}.js`), `${part}\nexport {};\n`));
    });
    const config = { extends: join(ROOT, 'tsconfig.json'), include: ['*.js', 'given.d.ts'], compilerOptions: { paths: { '/static/*': [join(ROOT, 'static/*')] }, noUnusedLocals: false, noImplicitAny: false } };
    writeFileSync(join(home, 'tsconfig.json'), JSON.stringify(config));
    const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(home, 'tsconfig.json')], { encoding: 'utf8' });
    assert.equal(stdout, '');
  } finally {
    rmSync(home, { recursive: true });
  }
});

test('the whole page in ten lines runs', { timeout: 30_000 }, async () => {
  const [sample] = samples.filter((one) => one.includes('drawRefused'));
  const lines = sample.split('\n').filter((line) => line && !line.startsWith('import'));
  assert.ok(lines.length <= 10, `${lines.length} lines`);
  const server = await new Tidewire('tests/fixtures/plain').start();
  const home = folder();
  try {
    const drawn = { lists: [], records: [], badges: [], refused: [] };
    Object.assign(globalThis, {
      location: { href: `${server.address}/` },
      drawList: (tasks, state) => drawn.lists.push(tasks.map((task) => `${task.title} ${task.priority} ${state(task.id)}`).join()),
      drawRecord: (row) => drawn.records.push(row && row.title),
      drawRefused: (changes) => drawn.refused.push(changes.length),
      drawBadge: (status) => drawn.badges.push(status),
    });
    const file = join(home, 'page.js');
    writeFileSync(file, `${sample.replaceAll("'/static/", `'${pathToFileURL(join(ROOT, 'static')).href}/`)}\nexport { rt, db };\n`);
    const { rt, db } = await import(pathToFileURL(file).href);
    const until = async (look) => {
      while (!look()) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await until(() => drawn.lists.at(-1) === 'Buy milk 1 synced' && drawn.records.at(-1) === 'Buy milk' && drawn.badges.at(-1) === 'connected');
    assert.deepEqual(drawn.refused, [0]);
    db.close();
    rt.disconnect();
  } finally {
    rmSync(home, { recursive: true });
    await server.remove();
  }
});

test('six tasks take fifteen lines', () => {
  const [sample] = samples.filter((text) => text.includes('renewed(refresh)') && text.includes('PresenceManager'));
  const lines = sample.split('\n').filter((line) => line.trim() && !/^(?:import|\/\/) ?/.test(line));
  assert.equal(lines.length, 15, lines.join('\n'));
});

test('the tables of options name every option, and no other', () => {
  const optionsOf = (file, type) => {
    const source = readFileSync(join(ROOT, 'static', file), 'utf8');
    const [, block] = new RegExp(`@typedef \\{object\\} ${type}\\b([^]*?)(?:@typedef|\\*/)`).exec(source);
    return [...block.matchAll(/@property \{.*\} \[?(\w+)\]?/g)].map(([, name]) => name);
  };
  const named = new Set([...page.matchAll(/`(\w+)(?:\([^`]*\))?`/g)].map(([, name]) => name));
  for (const [file, type] of [['realtime.js', 'RealtimeOptions'], ['optimistic.js', 'OptimisticOptions'], ['optimistic.js', 'ChangeOptions'], ['client.js', 'PageOptions'], ['presence.js', 'PresenceOptions']]) {
    const options = optionsOf(file, type);
    assert.ok(options.length > 1, type);
    for (const option of options) assert.ok(named.has(option), `${type}: \`${option}\` is missing in docs/client.md`);
  }
});
