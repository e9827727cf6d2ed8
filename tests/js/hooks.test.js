/**
 * `make hooks`: git asks the Makefile before a commit and before a push.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './program.js';

/** Of the clone, not of the place where this test runs. */
const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(GIT_|MAKE|MFLAGS)/.test(name)));

test('a commit that make lint refuses is not made, and a push that make check refuses is not sent', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-hooks-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...words) => spawnSync(words[0], words.slice(1), { cwd: folder, env: ENV, encoding: 'utf8' });
  const git = (...words) => run('git', '-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...words);
  const commit = () => git('commit', '--allow-empty', '-m', 'Try').status === 0;
  const push = () => git('push', 'other.git', 'HEAD:refs/heads/main').status === 0;
  const make = (lint, check) => writeFileSync(join(folder, 'Makefile'), `lint:\n\t@${lint}\ncheck:\n\t@${check}\n`);

  cpSync(join(ROOT, '.ci/hooks'), join(folder, '.ci/hooks'), { recursive: true });
  cpSync(join(ROOT, 'Makefile'), join(folder, 'Makefile'));
  assert.equal(git('init', '--quiet').status, 0);
  assert.equal(git('init', '--quiet', '--bare', 'other.git').status, 0);
  const { status, stderr } = run('make', 'hooks');
  assert.equal(status, 0, stderr);

  make('false', 'true');
  assert.equal(commit(), false);
  make('true', 'false');
  assert.equal(commit(), true);
  assert.equal(push(), false);
  make('true', 'true');
  assert.equal(push(), true);
});
