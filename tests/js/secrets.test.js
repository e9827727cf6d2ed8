import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaks } from './secrets.js';

test('a secret is found in a line of a log, and other texts are none', () => {
  const token = 'a'.repeat(43);
  for (const line of [
    `request refused path=/ws?token=tws_${token}`,
    `x#twl_${token} y`,
    'body {"password":"a long sentence"}',
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.',
  ])
    assert.deepEqual(leaks(`first\n${line}\nlast`), [line]);
  for (const line of ['tws_short', 'request answered route=/api/auth/login status=200', 'eyJ.eyJ', ''])
    assert.deepEqual(leaks(line), [], line);
});
