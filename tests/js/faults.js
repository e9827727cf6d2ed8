/**
 * Plants faults into a copy of the browser modules, one at a time, and shows that the test named beside each turns red.
 * `node tests/js/faults.js` plants all of them, `node tests/js/faults.js WORD` those whose harm contains the word.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './program.js';

const FAULTS = [
  {
    harm: 'a late answer writes over newer rows',
    file: 'overlay.js',
    from: 'if (at.epoch === then.epoch) return at.seq >= then.seq;',
    to: 'if (at.epoch === then.epoch) return false;',
    red: ['changes.test.js', 'an answer that comes when the list is further'],
  },
  {
    harm: 'a confirmed change vanishes until its event',
    file: 'overlay.js',
    from: '[row, upTo] = [change.row, mutation.at];',
    to: '{}',
    red: ['changes.test.js', 'an answer before the event'],
  },
  {
    harm: 'a change is laid over a later row',
    file: 'overlay.js',
    from: '(change.row !== undefined || this.#reaches(upTo, mutation.at))',
    to: 'change.row !== undefined',
    red: ['changes.test.js', 'a confirmed change whose row is unknown'],
  },
  {
    harm: 'changes of one record overtake each other',
    file: 'outbox.js',
    from: 'if (earlier.some((before) => mutation.follows(before))) break;',
    to: '',
    red: ['changes.test.js', 'what needs a record that could not be created'],
  },
  {
    harm: 'a record that the server does not show stays',
    file: 'store.js',
    from: 'for (const id of overlay.ids(this.entity)) touched.add(id);',
    to: '',
    red: ['changes.test.js', 'a record that the server does not show leaves'],
  },
  {
    harm: 'an equal row is drawn again',
    file: 'same.js',
    from: 'return before && after && before !== after && same(before, after) ? before : after;',
    to: 'return after;',
    red: ['optimistic.test.js', 'stories of three people'],
  },
  {
    harm: 'what left a filter counts as deleted',
    file: 'rows.js',
    from: "cause === 'left' ? undefined : null",
    to: 'null',
    red: ['changes.test.js', 'a confirmed change whose row is unknown'],
  },
  {
    harm: "another user's change is overwritten",
    file: 'conflict.js',
    from: 'if (fields.length === 0) return null;',
    to: 'return null;',
    red: ['changes.test.js', 'others changed other fields'],
  },
  {
    harm: 'a change that was sent is joined with another',
    file: 'optimistic.js',
    from: 'Math.max(1, attempts)',
    to: '0',
    red: ['queue.test.js', 'what an earlier page may have sent'],
  },
  {
    harm: "another user's changes are sent",
    file: 'lanes.js',
    from: 'this.#host?.release(!other);',
    to: 'this.#host?.release(true);',
    red: ['queue.test.js', 'a page that the server knows as another user'],
  },
  {
    harm: 'a lane is taken from a living tab',
    file: 'lanes.js',
    from: 'if (lock) await this.#take(lane);',
    to: 'await this.#take(lane);',
    red: ['queue.test.js', 'of two tabs one takes over'],
  },
  {
    harm: 'a running stream keeps the token that it began with',
    file: 'stream.js',
    from: "if (frame.type === 'auth' && !this.#session) return;",
    to: "if (frame.type === 'auth') return;",
    red: ['stream.test.js', 'a running stream is sent the next token'],
  },
  {
    harm: 'a stream stays that of the last user',
    file: 'stream.js',
    from: "if (unknown) problem.code = 'UNAUTHENTICATED';",
    to: 'if (unknown) return;',
    red: ['stream.test.js', 'a stream that does not take the token'],
  },
  {
    harm: 'sockets that die young are tried for ever at full pace',
    file: 'machine.js',
    from: 'const MOST_FLAPS = 3;',
    to: 'const MOST_FLAPS = 300;',
    red: ['machine.test.js', 'three sockets in a row'],
  },
  {
    harm: 'the wait that the server asked for is ignored',
    file: 'machine.js',
    from: 'floor: Math.max(state.floor, ms)',
    to: 'floor: 0',
    red: ['machine.test.js', 'what lived for long'],
  },
  {
    harm: 'a row that was read before its delete comes back',
    file: 'rows.js',
    from: 'if (!(/** @type {number} */ (news.get(row.id)) > seq)) this.#put(row, seq);',
    to: 'this.#put(row, seq);',
    red: ['windows.test.js', 'a row that is deleted while a window is read'],
  },
  {
    harm: 'a window shows rows from behind what it knows',
    file: 'window.js',
    from: 'const end = edge === null ? all.length : edge ? place(all, order, edge, true) : 0;',
    to: 'const end = all.length;',
    red: ['windows.test.js', 'stories: a window shows'],
  },
  {
    harm: 'a window that became too short stays so',
    file: 'window.js',
    from: 'if (edge !== null && end <= this.#shown && this.#shown < Infinity) this.#fill(end);',
    to: '',
    red: ['windows.test.js', 'stories: a window shows'],
  },
  {
    harm: 'rows that were read later than the rest are shown beside it',
    file: 'store.js',
    from: 'this.at?.epoch === epoch && this.at.seq >= seq) break;',
    to: 'this.at) break;',
    red: ['windows.test.js', 'a row that is read early waits'],
  },
  {
    harm: "a token is renewed when it has ended",
    file: 'tokens.js',
    from: 'const RENEW = 0.8;',
    to: 'const RENEW = 1.1;',
    red: ['tokens.test.js', 'a token is renewed in the open connection'],
  },
  {
    harm: "the last user's rows are shown to the next",
    file: 'realtime.js',
    from: 'this.#refuseAll(OTHER_USER);',
    to: '',
    red: ['tokens.test.js', 'another user begins anew'],
  },
  {
    harm: 'a list without a limit stays short beside one with a limit',
    file: 'realtime.js',
    from: "if (subscription.asked && !part) this.#connection?.send('unsubscribe', name);",
    to: '',
    red: ['windows.test.js', 'a list without a limit beside one'],
  },
  {
    harm: 'each change sorts the whole list again',
    file: 'list.js',
    from: 'const many = broken || changes.length > 8 + this.#sorted.length / 16;',
    to: 'const many = true;',
    red: ['cost.test.js', "another's change of one reads a handful"],
  },
  {
    harm: 'a change is given up because others are often faster',
    file: 'verdicts.js',
    from: 'const MOST_MISSES = 100;',
    to: 'const MOST_MISSES = 20;',
    red: ['changes.test.js', 'a function for which others are faster'],
  },
  {
    harm: 'changes that meet run into each other again at once',
    file: 'verdicts.js',
    from: 'if (mutation.misses > 1) mutation.due = env.now() + env.random() * STEP_ASIDE * mutation.misses;',
    to: '',
    red: ['changes.test.js', 'a function for which others are faster'],
  },
  {
    harm: 'a new record is not seen where the clock is slow',
    file: 'optimistic.js',
    from: 'this.#env.now() + (this.#rt?.skew ?? 0)',
    to: 'this.#env.now()',
    red: ['windows.test.js', 'a record that is made on a machine'],
  },
  {
    harm: 'rows of a history that was lost stay',
    file: 'track.js',
    from: 'return this.point?.epoch === epoch || this.ahead <= (this.point?.seq ?? 0);',
    to: 'return true || epoch;',
    red: ['track.test.js', 'a position whose rows were read later'],
  },
  {
    harm: 'each tab renews for itself, and ends the token of the others',
    file: 'auth.js',
    from: 'await (locks ? locks.request(KEY, () => renew(now)) : renew(now));',
    to: 'await renew(now);',
    red: ['auth.test.js', 'tabs that renew at the same moment'],
  },
  {
    harm: 'a user counts as anonymous until the token is judged',
    file: 'realtime.js',
    from: "if ((userId ?? guest) !== null || type === 'auth:ok' || !this.#connection?.authenticates) this.#show({ userId, guest });",
    to: 'this.#show({ userId, guest });',
    red: ['tokens.test.js', 'the user is that of the token'],
  },
  {
    harm: 'unsent changes of one user are sent for the next one',
    file: 'optimistic.js',
    from: 'this.#disposers.push(onOtherUser(options.auth, () => this.#abandon()));',
    to: '',
    red: ['users.test.js', 'unsent changes leave with their user'],
  },
  {
    harm: 'a request that waits goes out with the token of the next user',
    file: 'api.js',
    from: 'if (user() !== asked) throw new ApiError(401, OTHER_USER);',
    to: '',
    red: ['users.test.js', 'a request that waits for its turn'],
  },
  {
    harm: 'rows of one user are kept for the next one',
    file: 'cache.js',
    from: "if (user === this.#user) await this.#storage.put('rows', [user, channel], kept);",
    to: "await this.#storage.put('rows', [this.#user, channel], kept);",
    red: ['users.test.js', 'rows that are kept belong'],
  },
  {
    harm: 'a change waits for the answer of a connection that is lost',
    file: 'realtime.js',
    from: 'for (const { reject } of asked) reject(NO_ANSWER);',
    to: '',
    red: ['mutate.test.js', 'a connection that is lost before the answer'],
  },
  {
    harm: 'a login that has ended fails a change for good',
    file: 'verdicts.js',
    from: 'UNAUTHENTICATED: 401, ',
    to: '',
    red: ['mutate.test.js', 'a delete of what is gone'],
  },
  {
    harm: 'what is asked of a part while it is loaded is lost',
    file: 'parts.js',
    from: 'else waiting.push(call);',
    to: '',
    red: ['parts.test.js', 'what is asked of a part before'],
  },
  {
    harm: 'a reconnect empties the list of who is here',
    file: 'attendance.js',
    from: "if (this.#shown.state.peek() === 'live') this.#shown.state.value = 'stale';",
    to: 'this.#shown.users.value = [];',
    red: ['presence.test.js', 'during a reconnect the list stays'],
  },
  {
    harm: 'a page that wants a number is sent names',
    file: 'attendance.js',
    from: 'this.#names ? undefined : { count: true }',
    to: 'undefined',
    red: ['presence.test.js', 'a page that only counts'],
  },
  {
    harm: 'the holder of a lease vanishes until a long list has come',
    file: 'attendance.js',
    from: "if (type === 'presence:lease')",
    to: "if (type !== 'presence:count')",
    red: ['presence.test.js', 'who holds the lease'],
  },
  {
    harm: 'a guest sees itself among the others',
    file: 'presence.js',
    from: 'id !== (userId ?? guest)',
    to: 'id !== userId',
    red: ['presence.test.js', 'a guest of a shared token'],
  },
  {
    harm: 'half a list of a cut connection is shown with the next one',
    file: 'attendance.js',
    from: 'this.#news = null;\n    this.#pages = [];',
    to: 'this.#news = null;',
    red: ['presence.test.js', 'a list in parts'],
  },
  {
    harm: 'after a reconnect others see only what was told last',
    file: 'attendance.js',
    from: 'const payload = joins ? { metadata: this.#metadata, state: this.#attention }',
    to: 'const payload = joins ? { state: this.#attention }',
    red: ['presence.test.js', 'during a reconnect the list stays'],
  },
  {
    harm: 'after a change of rights the activity shows what may no longer be seen',
    file: 'activity.js',
    from: 'for (const at of entries.keys()) if (at <= seq && !seen.has(at)) entries.delete(at);',
    to: '',
    red: ['live.test.js', 'after a change of rights'],
  },
  {
    harm: 'a room that was closed to a user stays closed when they get the right',
    file: 'room.js',
    from: "if (type === 'rights:changed' && this.state.peek() === 'denied') return this.#enter();",
    to: '',
    red: ['live.test.js', 'a room: joined again'],
  },
  {
    harm: 'the first rows are taken for all of them',
    file: 'bridge.js',
    from: 'if (rows && subscription.part?.limit === most && subscription',
    to: 'if (rows && subscription',
    red: ['windows.test.js', 'a list without a limit that is opened'],
  },
  {
    harm: 'an event that comes in two pieces is lost',
    file: 'stream.js',
    from: 'text = /** @type {string} */ (events.pop());',
    to: 'events.pop(); text = \'\';',
    red: ['stream.test.js', 'an event may come in pieces'],
  },
  {
    harm: 'a letter that comes in two pieces is broken',
    file: 'stream.js',
    from: 'decoder.decode(value, { stream: true })',
    to: 'new TextDecoder().decode(value)',
    red: ['stream.test.js', 'an event may come in pieces'],
  },
  {
    harm: 'a stream stays although sockets get through',
    file: 'stream.js',
    from: 'this.#lookIn(LOOK);',
    to: '',
    red: ['stream.test.js', 'a stream looks for a socket'],
  },
  {
    harm: 'a stream that a proxy keeps back is waited for',
    file: 'stream.js',
    from: 'this.#end(0, \'the stream did not begin in time\')',
    to: '{}',
    red: ['stream.test.js', 'a stream whose first event does not come'],
  },
  {
    harm: 'a session that is over goes on',
    file: 'stream.js',
    from: 'return this.#end(response.status === 401 ? 4401 : 1006, problem.message);',
    to: 'return;',
    red: ['stream.test.js', 'a frame that the session refuses'],
  },
  {
    harm: 'a stream outlives its client',
    file: 'stream.js',
    from: '    this.#abort.abort();\n',
    to: '',
    red: ['stream.test.js', 'after sockets that do not get through'],
  },
  {
    harm: 'a stream is never tried',
    file: 'machine.js',
    from: 'options.transports.includes(\'sse\') ? \'sse\' : \'ws\'',
    to: 'options.transports.includes(\'sse\') ? \'ws\' : \'ws\'',
    red: ['machine.test.js', 'in the fallback a stream follows'],
  },
  {
    harm: 'after a stream, sockets are trusted anew',
    file: 'machine.js',
    from: 'flaps: way === \'ws\' ? 0 : MOST_FLAPS',
    to: 'flaps: 0',
    red: ['machine.test.js', 'in the fallback a stream follows'],
  },
  {
    harm: 'a change that was given up is sent',
    file: 'outbox.js',
    from: 'if (!this.#lane.queue.includes(mutation)) continue;',
    to: '',
    red: ['given_up.test.js', 'a change that is given up while'],
  },
  {
    harm: 'rows that a list gave up are taken for known',
    file: 'bridge.js',
    from: 'if (!point) {',
    to: 'if (false) {',
    red: ['windows.test.js', 'opened while a poll asks for events'],
  },
  {
    harm: 'tabs poll although nothing has changed',
    file: 'share.js',
    from: 'if (QUIET.has(type)) return;',
    to: '',
    red: ['share.test.js', 'three tabs hold a stream'],
  },
  {
    harm: 'a tab listens for ever for tabs that are closed',
    file: 'share.js',
    from: 'if (until > env.now()) continue;',
    to: 'if (until) continue;',
    red: ['share.test.js', 'a tab that is closed is forgotten'],
  },
  {
    harm: 'other tabs use up the subscriptions of one',
    file: 'share.js',
    from: 'wanted.size < MOST_WANTED ?',
    to: 'true ?',
    red: ['share.test.js', 'a bounded number of channels'],
  },
  {
    harm: 'a tab waits for a stream although sockets get through',
    file: 'share.js',
    from: 'else if (data.through) waits.abort();',
    to: '',
    red: ['share.test.js', 'a socket gets through to one tab'],
  },
  {
    harm: 'a new first tab does not know what the others want',
    file: 'share.js',
    from: '  others.postMessage({ asks: true });',
    to: '',
    red: ['share.test.js', 'the first tab ends'],
  },
  {
    harm: 'an option that does not exist is ignored',
    file: 'only.js',
    from: 'if (!known.includes(name)) throw',
    to: 'if (known.length === 0) throw',
    red: ['only.test.js', 'an option that does not exist throws'],
  },
];

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
