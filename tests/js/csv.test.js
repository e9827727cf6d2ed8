/**
 * Records as lines of a file. What spreadsheets would run is made harmless.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvLine, csvValue, FORMATS } from '../../static/pages/csv.js';

test('a value of CSV is quoted where it must be, and a text is never a formula', () => {
  for (const [value, expected] of [
    [null, ''],
    [undefined, ''],
    ['', ''],
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\nlines', '"two\nlines"'],
    ['two\r\nlines', '"two\r\nlines"'],
    [' room ', '" room "'],
    ['=1+1', "'=1+1"],
    ['+49 30 1', "'+49 30 1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', '"\'\t=1"'],
    ['\r=1', '"\'\r=1"'],
    ['\n=1', '"\'\n=1"'],
    ['＝1', "'＝1"],
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
    ['a=1', 'a=1'],
    [-5, '-5'],
    [0, '0'],
    [false, 'false'],
    [['=1'], '"[""=1""]"'],
    [{ a: 1 }, '"{""a"":1}"'],
  ])
    assert.equal(csvValue(value), expected, JSON.stringify(value));
});

test('a CSV file has a head and lines of its fields, one of JSON whole records', () => {
  assert.equal(csvLine(['a', 1, null]), 'a,1,\r\n');
  const row = { id: 'x', title: '=1', version: 2 };
  assert.equal(FORMATS.csv.head(['id', 'title']), '\uFEFFid,title\r\n');
  assert.equal(FORMATS.csv.line(row, ['id', 'title']), "x,'=1\r\n");
  assert.equal(FORMATS.jsonl.head(['id']), '');
  assert.equal(FORMATS.jsonl.line(row, ['id']), '{"id":"x","title":"=1","version":2}\n');
});
