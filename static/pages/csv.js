/**
 * Records as lines of a file: CSV for spreadsheets (RFC 4180), or JSON lines for programs. Knows no page and no request.
 */

/**
 * @typedef {import('./fields.js').Row} Row
 *
 * @typedef {object} Format
 * @property {string} name What people call it.
 * @property {string} ending Of the file's name.
 * @property {string} type
 * @property {(names: string[]) => string} head What stands before the first record.
 * @property {(row: Row, names: string[]) => string} line
 */

/** Text that begins like this may be run as a formula by a spreadsheet. The wide forms are read like the narrow ones. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;
/** With it spreadsheets read the file as UTF-8. */
const MARK = '\uFEFF';

/** @type {Record<string, Format>} */
export const FORMATS = {
  csv: { name: 'CSV, for spreadsheets', ending: 'csv', type: 'text/csv', head: (names) => MARK + csvLine(names), line: (row, names) => csvLine(names.map((name) => row[name])) },
  jsonl: { name: 'JSON lines, for programs', ending: 'jsonl', type: 'application/x-ndjson', head: () => '', line: (row) => `${JSON.stringify(row)}\n` },
};

/** @param {any[]} values */
export const csvLine = (values) => `${values.map(csvValue).join(',')}\r\n`;

/**
 * A number stays a number, also a negative one. A text that a spreadsheet would run gets an apostrophe before it.
 *
 * @param {any} value
 */
export function csvValue(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n\t]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
