/**
 * The programs in docs/protocol.md, taken from the page: a plain client that has nothing else ends with the server's rows.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { delay } from '../../static/env.js';
import { CHANNEL, Server } from './server.js';
import { seeded, world } from './world.js';

const PAGE = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
const PROGRAMS = [...PAGE.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, program]) => program);

/** The named things of the one program that defines the first of them. */
function defined(...names) {
  const found = PROGRAMS.filter((program) => new RegExp(`(function|const) ${names[0]}\\b`).test(program));
  assert.equal(found.length, 1, `programs in docs/protocol.md with ${names[0]}`);
  return new Function('base', 'max', 'Math', `${found[0]}; return { ${names.join(', ')} };`);
}

const { start, ask, take } = defined('start', 'ask', 'take')();
const { show } = defined('show')();

/** A socket around the programs, and nothing more. */
class Plain {
  records = new Map();
  /** Every state that was shown, as text. */
  states = [];
  verdicts = {};
  #memory = {};
  #aside = [];
  #c = start();
  #requests = 0;
  #world;

  constructor(world) {
    this.#world = world;
    this.#connect();
  }

  #connect() {
    const socket = new this.#world.env.WebSocket('ws://plain/ws');
    this.socket = socket;
    socket.onopen = () => this.#ask();
    socket.onmessage = ({ data }) => this.socket === socket && this.#frame(JSON.parse(data));
    socket.onclose = () => {
      this.socket = null;
      this.#world.clock.setTimeout(() => this.#connect(), 500);
    };
  }

  #ask() {
    const requestId = `r${++this.#requests}`;
    this.#aside = [];
    this.socket.send(JSON.stringify({ type: 'subscribe', channel: CHANNEL, requestId, payload: ask(this.#c, requestId) }));
  }

  #frame(frame) {
    if (frame.channel !== CHANNEL && !(frame.type === 'pong' && !frame.channel)) return;
    const verdict = take(this.#c, frame);
    this.verdicts[verdict] = (this.verdicts[verdict] ?? 0) + 1;
    if (verdict === 'ask again') return this.#ask();
    if (verdict === 'done') return;
    if (frame.type === 'subscribed' || frame.type === 'resync') this.#aside = [];
    this.#aside.push(frame);
    if (verdict !== 'show') return;
    show(this.records, this.#memory, this.#aside);
    this.#aside = [];
    this.states.push(JSON.stringify(this.rows()));
  }

  rows() {
    return [...this.records.values()].map(({ record }) => record).sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** What may happen, beside the writes. */
const TROUBLE = [
  (server) => server.changeRights(),
  (server, dice, clock) => (server.changeRights(), clock.run(dice.int(100)).then(() => server.cutAll())),
  (server) => server.cutAll(),
  (server) => server.restart(),
  (server, dice) => server.restart({ lose: 1 + dice.int(6) }),
  (server) => server.trim(),
  (server) => server.resync(),
  (server) => server.dropNext(),
  (server) => server.repeatOne(),
  (server) => server.beat(),
];

async function story(seed, totals) {
  const random = seeded(seed);
  const dice = { int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const w = world({ random });
  const server = new Server(w, dice);
  const client = new Plain(w);
  for (let step = 0; step < 120; step++) {
    await w.clock.run(dice.int(600));
    if (dice.chance(0.7)) server.random();
    else await TROUBLE[dice.int(TROUBLE.length)](server, dice, w.clock);
  }
  // The first change may be one that the dice lose; the second shows the gap.
  for (const id of ['last', 'end']) {
    await w.clock.run(10_000);
    server.commit([{ set: id, v: 1 }]);
  }
  await w.clock.run(10_000);
  assert.deepEqual(client.rows(), server.shown(), `seed ${seed}: the rows are those that the server shows`);
  for (const state of client.states) assert.ok(server.states.has(state), `seed ${seed}: never a state: ${state}`);
  for (const counts of [server.stats, client.verdicts])
    for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
}

test('a client that has only the programs of the page ends with the rows of the server, and shows only its states', async () => {
  const totals = {};
  for (let seed = 1; seed <= 100; seed++) await story(seed, totals);
  // A story that nothing happens in proves nothing.
  for (const name of ['resumes', 'snapshots', 'resyncs', 'rebinds', 'lost', 'drops', 'duplicates', 'ask again', 'show'])
    assert.ok(totals[name] > 20, `${name} took place ${totals[name]} times`);
});

test('the formula of the back-off is that of the browser module', () => {
  for (const [base, max] of [
    [1000, 30_000],
    [50, 400],
  ]) {
    for (const random of [0, 0.5, 0.999]) {
      const { wait } = defined('wait')(base, max, { ...pick('max', 'min'), random: () => random });
      for (const floor of [0, 5000])
        for (let n = 1; n <= 40; n++)
          assert.equal(wait(n, floor), delay(n, { base, max, floor, random: () => random }), `attempt ${n}`);
    }
  }
});

/** Members of `Math`, which are not enumerable. */
function pick(...names) {
  return Object.fromEntries(names.map((name) => [name, Math[name]]));
}
