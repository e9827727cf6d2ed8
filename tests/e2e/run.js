/**
 * Runs the stories of the browser: files whose stories have a bound of time or memory one after the other, the others two at once,
 * because they wait for most of the time.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

const FLAGS = ['--test', '--test-timeout=600000', '--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=./.ci/hanging.js', '--test-reporter-destination=stdout'];
const BOUNDED = ['pages.test.js', 'table.test.js'];

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.js'));
const groups = [
  { atOnce: 2, names: files.filter((name) => !BOUNDED.includes(name)) },
  { atOnce: 1, names: BOUNDED },
];
const codes = groups.map(({ atOnce, names }) => {
  const paths = names.map((name) => `tests/e2e/${name}`);
  return spawnSync(process.execPath, [...FLAGS, `--test-concurrency=${atOnce}`, ...paths], { stdio: 'inherit' }).status;
});
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
