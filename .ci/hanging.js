/**
 * A reporter for `node --test`: when a file of tests runs out of time, it names the tests that were running. The built-in
 * reporters name the file alone.
 */
export default async function* hanging(events) {
  /** By file: the names of the tests that have begun and not ended. */
  const running = new Map();
  for await (const { type, data } of events) {
    if (type !== 'test:dequeue' && type !== 'test:complete') continue;
    const { file, name, line } = data;
    if (!running.has(file)) running.set(file, new Map());
    const tests = running.get(file);
    if (type === 'test:dequeue' && name !== file) tests.set(`${line} ${name}`, name);
    if (type !== 'test:complete') continue;
    tests.delete(`${line} ${name}`);
    if (data.details?.error?.failureType !== 'testTimeoutFailure') continue;
    for (const hanging of tests.values()) yield `HANGS: “${hanging}” of ${file} was still running\n`;
  }
}
