/**
 * Makes the moving picture of the README: two windows of the real program in a real Chromium, side by side, as a GIF.
 *
 * `make screenshots` runs it. It needs Chromium, which `.ci/install` installs, and the npm package gifenc, which writes the GIF.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import gifenc from 'gifenc';
import { ROOT } from '../js/program.js';
import { cell, row } from './stage.js';
import { browser, openWindow, Tidewire } from './tidewire.js';

const { GIFEncoder, quantize, applyPalette } = gifenc;
const FILE = join(ROOT, 'pictures/two-windows.gif');
/** The README shows it, and nobody should wait for it. */
const LARGEST = 300_000;
const WINDOW = { width: 610, height: 580 };
const [GAP, TITLE, MARGIN] = [16, 30, 12];
const SIZE = { width: 2 * WINDOW.width + GAP + 2 * MARGIN, height: WINDOW.height + TITLE + 2 * MARGIN };

const schema = /```toml\n(entity = [^]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))[1];
const server = await new Tidewire({ 'task.toml': schema.replace('"owner == user.id"', '"user != null"') }).start();
const chrome = await browser();
try {
  await server.post('tasks', { title: 'Feed the cat', done: true }, 'ben');
  await server.post('tasks', { title: 'Call Tom' }, 'ada');
  const [left, right] = [await live('ada'), await live('ben')];
  const film = await studio([left, right]);

  await film.hold(1200);
  await film.point(left, left.locator('#new'));
  await left.locator('#new').click();
  await film.take(500);
  for (const part of ['Bu', 'y oa', 't mi', 'lk']) {
    await left.keyboard.type(part);
    await film.take(180);
  }
  await film.point(left, left.getByRole('button', { name: 'Add Task' }));
  await left.getByRole('button', { name: 'Add Task' }).click();
  await row(right, 'Buy oat milk').waitFor();
  await film.fade(1600);

  const done = cell(right, 'Buy oat milk', 1);
  await film.point(right, done);
  await done.dblclick();
  await film.take(500);
  await right.getByRole('gridcell').getByRole('combobox').selectOption('yes');
  await film.take(500);
  await right.keyboard.press('Enter');
  await row(left, 'Buy oat milk').getByText('yes').waitFor();
  await film.fade(2600);

  const gif = film.gif();
  if (gif.length > LARGEST) throw new Error(`${gif.length} bytes are more than ${LARGEST}`);
  writeFileSync(FILE, gif);
  console.log(`${FILE}: ${film.frames.length} frames, ${SIZE.width} × ${SIZE.height}, ${gif.length} bytes`);
} finally {
  await chrome.close();
  await server.remove();
}

/** A window of this user, when it is live. */
async function live(as) {
  const page = await openWindow(chrome, `${server.address}/_/e/tasks?as=${as}`, { viewport: WINDOW, locale: 'en-GB' });
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await row(page, 'Feed the cat').waitFor();
  await page.getByText(`You are ${as}`).waitFor();
  return page;
}

/** A page whose canvas holds both windows, with a frame and a pointer: what it draws are the frames of the film. */
async function studio(windows) {
  const desk = await openWindow(chrome, 'about:blank');
  const frames = [];
  /** Where the pointer is, on the canvas. */
  let pointer = { x: SIZE.width / 2, y: SIZE.height - 60 };

  async function take(delay) {
    const shots = await Promise.all(windows.map((page) => page.screenshot()));
    const images = shots.map((png) => `data:image/png;base64,${png.toString('base64')}`);
    const pixels = await desk.evaluate(draw, { images, pointer, SIZE, WINDOW, GAP, TITLE, MARGIN });
    frames.push({ pixels: Buffer.from(pixels, 'base64'), delay });
  }

  /** Moves the pointer to the middle of an element of a window. */
  async function point(page, element) {
    const box = await element.boundingBox();
    const from = pointer;
    const to = {
      x: MARGIN + windows.indexOf(page) * (WINDOW.width + GAP) + box.x + Math.min(box.width / 2, 90),
      y: MARGIN + TITLE + box.y + box.height / 2,
    };
    for (const part of [0.35, 0.7, 0.9, 1]) {
      pointer = { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
      await take(part === 1 ? 300 : 70);
    }
  }

  return {
    frames,
    take,
    point,
    hold: take,
    /** What has changed is marked, and the mark fades. */
    fade: async (last) => {
      for (let step = 0; step < 4; step++) await take(330);
      await Promise.all(windows.map((page) => page.waitForFunction(() => !document.querySelector('.changed'))));
      await take(last);
    },
    gif: () => encode(frames),
  };
}

/** Runs in the page. Returns the pixels, as base64. */
async function draw({ images, pointer, SIZE, WINDOW, GAP, TITLE, MARGIN }) {
  const canvas = new OffscreenCanvas(SIZE.width, SIZE.height);
  const to = canvas.getContext('2d');
  to.fillStyle = '#d5dfe4';
  to.fillRect(0, 0, SIZE.width, SIZE.height);
  for (const [at, data] of images.entries()) {
    const shot = new Image();
    shot.src = data;
    await shot.decode();
    const x = MARGIN + at * (WINDOW.width + GAP);
    to.fillStyle = '#b4c2c9';
    to.beginPath();
    to.roundRect(x, MARGIN, WINDOW.width, TITLE + 10, 9);
    to.fill();
    for (const [dot, color] of ['#e5695e', '#e3b341', '#5fb760'].entries()) {
      to.fillStyle = color;
      to.beginPath();
      to.arc(x + 18 + dot * 18, MARGIN + TITLE / 2, 5.5, 0, 7);
      to.fill();
    }
    to.drawImage(shot, x, MARGIN + TITLE);
  }
  to.translate(pointer.x, pointer.y);
  to.beginPath();
  for (const [x, y] of [[0, 0], [0, 20], [4.5, 16], [8, 23.5], [11.5, 22], [8, 14.5], [14, 14]]) to.lineTo(x, y);
  to.closePath();
  to.fillStyle = '#111';
  to.strokeStyle = '#fff';
  to.lineWidth = 1.6;
  to.fill();
  to.stroke();
  const { data } = to.getImageData(0, 0, SIZE.width, SIZE.height);
  let text = '';
  for (let start = 0; start < data.length; start += 32768)
    text += String.fromCharCode(...data.subarray(start, start + 32768));
  return btoa(text);
}

/** One palette for all frames; of a later frame only the pixels that have changed are written. */
function encode(frames) {
  const sample = frames.filter((_, at) => at % 4 === 0 || at === frames.length - 1);
  const colors = quantize(Buffer.concat(sample.map(({ pixels }) => pixels)), 127);
  const palette = [...colors, [0, 0, 0]];
  const same = colors.length;
  const gif = GIFEncoder();
  let before = null;
  for (const { pixels, delay } of frames) {
    const now = applyPalette(pixels, colors);
    const shown = before ? now.map((color, at) => (color === before[at] ? same : color)) : now;
    gif.writeFrame(shown, SIZE.width, SIZE.height, {
      palette: before ? undefined : palette,
      delay,
      transparent: before !== null,
      transparentIndex: same,
      dispose: 1,
    });
    before = now;
  }
  gif.finish();
  return gif.bytes();
}
