/**
 * One story of three people who change the same records on a network that does its worst. A story is a seed: it throws when
 * a promise of `optimistic.test.js` is broken. Knows no test harness, so that `chaos.js` can tell thousands of them.
 */
import assert from 'node:assert/strict';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { storedOf } from '../../static/lanes.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { signal } from '../../static/signal.js';
import { Commons } from './commons.js';
import { withLateParts } from './late.js';
import { Clock, seeded } from './world.js';

export const CALM = { refuse: 0, answer: 0, request: 0, event: 0, twice: 0, latency: 20 };
const NETWORKS = [
  CALM,
  { ...CALM, latency: 600 },
  { ...CALM, latency: 300, refuse: 0.1 },
  { ...CALM, latency: 300, answer: 0.1, request: 0.05, twice: 0.1 },
  { latency: 300, refuse: 0.1, answer: 0.1, request: 0.1, event: 0.03, twice: 0.05, cuts: 0.05 },
  { latency: 300, refuse: 0.05, answer: 0.1, request: 0.05, event: 0.02, twice: 0.05, cuts: 0.05, reloads: 0.05 },
];

export function stageOf(seed) {
  const random = seeded(seed);
  const dice = { random, int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const clock = new Clock();
  const commons = new Commons(clock, dice);
  const bytes = (array) => array.forEach((_, at) => void (array[at] = dice.int(256))) ?? array;
  return { dice, clock, commons, bytes };
}

/** What is kept over a reload, as text: what a page had in memory is gone. */
class Kept {
  texts = new Map();
  queue() {
    const { texts } = this;
    return {
      problem: signal(null),
      open: ({ adopt }) => adopt([...texts.values()].map((text) => JSON.parse(text))),
      put: (mutation) => void texts.set(mutation.mid, JSON.stringify(storedOf(mutation))),
      remove: (mid) => void texts.delete(mid),
      close: () => {},
    };
  }
}

/** One browser tab of one person. */
class Tab {
  kept = new Kept();
  problems = [];
  mutations = [];
  /** What this person wrote last into the field that only they write, by record; and what was seen of it. */
  wrote = new Map();
  saw = new Map();
  count = 0;

  constructor(name, { commons, bytes, dice }) {
    Object.assign(this, { name, commons, bytes, dice, field: `of_${name}` });
    this.open();
  }

  open() {
    this.line = this.commons.line(this.bytes);
    const { env } = this.line;
    this.rt = new RealtimeClient('/ws', { env });
    const api = new Api('/api', { env });
    const channels = new ChannelSubscriber(this.rt, { env, api });
    this.db = new OptimisticManager(api, this.rt, { env, queue: this.kept.queue(), conflict: this.name === 'a' ? 'client' : 'merge' });
    this.lists = [
      { list: channels.list('Task'), match: () => true },
      { list: channels.list('Task', { where: { team: 0 } }), match: (row) => row.team === 0 },
      { list: channels.list('Task', { where: { team: 1 }, sort: '-title', limit: 5 }), match: (row) => row.team === 1, sorted: true },
    ];
    this.all = this.lists[0].list;
    for (const { list } of this.lists) this.#watch(list);
    // Also what the page before left behind, which may come late.
    this.db.pending.subscribe((pending) => pending.forEach((mutation) => this.keep(mutation)));
    this.rt.connect();
  }

  reload() {
    this.line.close();
    this.db.close();
    this.rt.disconnect();
    // Of what was under way, only the server knows the end.
    this.mutations = [];
    this.saw.clear();
    this.open();
  }

  #watch(list) {
    let before = new Map();
    const page = this.rt;
    list.listen((rows) => {
      // A page that is gone is not looked at, though a task of it may still run.
      if (this.rt !== page) return;
      const now = new Map(rows.map((row) => [row.id, row]));
      if (now.size !== rows.length) this.problems.push('one id twice');
      for (const row of rows) {
        const old = before.get(row.id);
        if (old && old !== row && JSON.stringify(old) === JSON.stringify(row)) this.problems.push(`an equal row is another object: ${row.id}`);
        this.#look(row);
      }
      before = now;
    });
  }

  /** A value of one's own never goes back, unless the change was refused. */
  #look(row) {
    const shown = row[this.field];
    if (shown === undefined) return;
    if (shown < (this.saw.get(row.id) ?? 0)) this.problems.push(`${row.id} goes back from ${this.saw.get(row.id)} to ${shown}`);
    this.saw.set(row.id, shown);
  }

  keep(mutation) {
    if (this.mutations.includes(mutation)) return;
    this.mutations.push(mutation);
    // A change that was refused may disappear.
    mutation.then(null, () => {});
    const refuse = mutation.refuse.bind(mutation);
    mutation.refuse = (...args) => {
      for (const { id } of mutation.changes) this.saw.delete(id);
      refuse(...args);
    };
  }

  act() {
    const { dice, db } = this;
    const rows = this.all.value;
    const some = () => rows[dice.int(rows.length)]?.id;
    const id = some();
    const kind = dice.int(10);
    if (id === undefined || kind === 0)
      return this.keep(db.create('Task', { title: `${this.name}${++this.count}`, team: dice.int(3), n: 0, [this.field]: 1 }));
    if (kind === 1) {
      this.saw.delete(id);
      return this.keep(db.delete('Task', id));
    }
    if (kind <= 3) return this.keep(db.update('Task', id, (row) => ({ n: row.n + 1 })));
    if (kind === 4) return this.keep(db.update('Task', id, { team: dice.int(3) }));
    if (kind === 5) return this.keep(db.update('Task', id, { shared: this.name + ++this.count }, { ifMatch: true }));
    if (kind === 6) {
      const made = db.batch(() => {
        const one = db.create('Task', { title: `${this.name}${++this.count}`, team: dice.int(3), n: 0 });
        for (const liked of [one.id, id, id]) db.update('Task', liked, (row) => ({ n: row.n + 1 }));
        db.update('Task', id, { after: one.id });
      });
      return this.keep(made);
    }
    const value = ++this.count;
    // This person sees every value at once; a row that is not there any more is none.
    this.keep(db.update('Task', id, { [this.field]: value }, { debounce: kind === 7 ? 500 : 0 }));
  }
}

/** @param {number} seed @param {Record<string, number>} totals */
export const story = (seed, totals) => withLateParts(seed, () => tell(seed, totals));

async function tell(seed, totals) {
  const stage = stageOf(seed);
  const { clock, commons, dice } = stage;
  const { cuts = 0, reloads = 0, ...trouble } = NETWORKS[seed % NETWORKS.length];
  commons.trouble = trouble;
  // Every other story writes over the socket.
  if (Math.floor(seed / NETWORKS.length) % 2 === 0) commons.limits = { frameBytes: 65_536 };
  const tabs = ['a', 'b', 'c'].map((name) => new Tab(name, stage));
  await clock.run(1500);
  for (let step = 0; step < 60; step++) {
    const tab = tabs[dice.int(tabs.length)];
    if (dice.chance(cuts)) tab.line.cut();
    else if (dice.chance(reloads)) tab.reload();
    else for (let burst = 1 + dice.int(3); burst > 0; burst--) tab.act();
    await clock.run(dice.int(400));
  }

  commons.trouble = CALM;
  await clock.run(120_000);
  // One more change in every list shows a gap that nothing else would.
  for (const team of [0, 1]) tabs[0].db.create('Task', { title: `last${team}`, team, n: 0 });
  await clock.run(60_000);

  const what = `seed ${seed}`;
  const rows = [...commons.rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const { name, lists, problems, db, mutations, rt } of tabs) {
    const refused = db.failed.value.length;
    assert.deepEqual(db.pending.value.map(({ changes, state }) => [state, changes]), [], `${what}, ${name}: everything is judged`);
    for (const { list, match, sorted } of lists) {
      const expected = rows.filter(match);
      if (sorted) expected.sort((a, b) => (a.title < b.title ? 1 : a.title > b.title ? -1 : a.id < b.id ? 1 : -1)).splice(5);
      assert.deepEqual(list.value, expected, `${what}, ${name}: a list is the server's`);
      assert.equal(list.state.value, 'live', what);
    }
    assert.deepEqual(problems, [], `${what}, ${name}: on the way`);
    const open = mutations.filter(({ state }) => state === 'queued' || state === 'sent');
    assert.equal(open.length, 0, `${what}, ${name}: every promise is settled`);
    for (const mutation of db.failed.value) mutation.discard();
    assert.equal(db.failed.value.length, 0, `${what}: ${refused} were given up`);
    db.close();
    rt.disconnect();
  }
  const effects = new Map();
  for (const { mid, unit, before, after } of commons.log) {
    assert.equal(effects.get(mid) ?? unit, unit, `${what}: ${mid} happened twice`);
    effects.set(mid, unit);
    if (before && after && before.n !== after.n) assert.equal(after.n, before.n + 1, `${what}: a like is lost`);
  }
  const titles = commons.log.filter(({ before }) => !before).map(({ after }) => after.title);
  assert.equal(new Set(titles).size, titles.length, `${what}: one action made two records`);
  for (const [name, count] of Object.entries(commons.stats)) totals[name] = (totals[name] ?? 0) + count;
}

/** A story that nothing happens in proves nothing. @param {Record<string, number>} totals Of many stories. */
export function busy(totals) {
  for (const [name, count] of Object.entries(totals)) assert.ok(count > 20, `${name} took place ${count} times`);
}
