/**
 * Tells many stories of each kind: `node tests/js/chaos.js [stories] [first seed]`. It does so without the test harness, whose
 * hooks take half of the time. A failing story prints its seed; `SEED=n node --test tests/js/KIND.test.js` runs it alone.
 */
const [most = 20_000, first = 1] = process.argv.slice(2).map(Number);
/** Stories after which the script says how far it is. */
const STEP = 1000;

/** A story of four tabs takes as long as ten others. */
const SHARES = { optimistic: 1, convergence: 1, windows: 1, shared: 0.1 };

for (const [kind, share] of Object.entries(SHARES)) {
  const count = Math.ceil(most * share);
  const { story, busy } = await import(`./${kind}_story.js`);
  const began = performance.now();
  const totals = {};
  const failed = [];
  for (let seed = first; seed < first + count; seed++) {
    await story(seed, totals).catch((error) => {
      failed.push(seed);
      console.error(`${kind}, seed ${seed}: ${error.message}`);
    });
    if ((seed - first + 1) % STEP === 0) console.log(`${kind}: ${seed - first + 1} stories, ${Math.round((performance.now() - began) / 1000)} s`);
  }
  console.log(`${kind}: ${count} stories, ${failed.length} failed ${failed.slice(0, 20).join(' ')}`, totals);
  if (failed.length > 0) process.exitCode = 1;
  else if (count >= 200) busy(totals);
}
