/** A test that hangs is ended and named. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const REPORTER = fileURLToPath(new URL('../../.ci/hanging.js', import.meta.url));

test('a test that hangs is ended and named, and no other', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hanging-'));
  try {
    const story = join(folder, 'story.test.mjs');
    writeFileSync(
      story,
      `import test from 'node:test';
      test('ends', () => {});
      test('waits for ever', () => new Promise(() => setInterval(() => {}, 1000)));
      test('never begins', () => {});`,
    );
    // A run inside a run would report to the outer one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(process.execPath, ['--test', '--test-timeout=3000', `--test-reporter=${REPORTER}`, story], {
      encoding: 'utf8',
      timeout: 60_000,
      env,
    });
    assert.equal(run.status, 1);
    assert.equal(run.stdout, `HANGS: “waits for ever” of ${story} was still running\n`, run.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
