/**
 * Plants faults into a copy of the browser modules, one at a time, and shows that the test named beside each turns red.
 * `node tests/js/faults.js` plants all of them, `node tests/js/faults.js WORD` those whose harm contains the word.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTS } from './planted.js';
import { ROOT } from './program.js';

let failed = 0;
const [word = ''] = process.argv.slice(2);
const chosen = FAULTS.filter(({ harm }) => harm.includes(word));
for (const { harm, file, from, to, red } of chosen) {
  const copy = mkdtempSync(join(tmpdir(), 'tidewire-fault-'));
  try {
    for (const part of ['static', 'tests/js', 'package.json']) cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const path = join(copy, 'static', file);
    const source = readFileSync(path, 'utf8');
    if (source.split(from).length !== 2) throw new Error(`static/${file} has the text of this fault ${source.split(from).length - 1} times: ${from}`);
    writeFileSync(path, source.replace(from, () => to));
    const [tests, name] = red;
    const args = ['--experimental-websocket', '--test', '--test-force-exit', '--test-reporter=tap', `--test-name-pattern=${name}`, join('tests/js', tests)];
    const { stdout } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8', timeout: 120_000, env: { ...process.env, SEEDS: '12' } });
    if (!stdout.includes('not ok') || !stdout.includes(name)) throw new Error(`“${name}” of ${tests} stayed green`);
    console.log(`red   ${harm}`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${harm}: ${error.message}`);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
console.log(`${chosen.length - failed} of ${chosen.length} turned a test red`);
process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0;
