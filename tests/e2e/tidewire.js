/**
 * The real program with a data folder of its own, and Chromium in front of it.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));
export const SCREENSHOTS = join(ROOT, 'tests/e2e/screenshots');
const BINARY = process.env.TIDEWIRE_BIN ?? join(ROOT, 'target/debug/tidewire');
/** How long the program may take to say where it listens. */
const START = 20_000;

export class Tidewire {
  #folder = mkdtempSync(join(tmpdir(), 'tidewire-e2e-'));
  #schemas = join(this.#folder, 'schemas');
  #child = null;
  #source;
  /** `http://127.0.0.1:port` */
  address = '';

  /** @param {string} schemas Folder of the repository whose files are copied. */
  constructor(schemas) {
    this.#source = join(ROOT, schemas);
  }

  async start() {
    // The first start takes any port, the later ones that same one.
    const listen = this.address ? new URL(this.address).host : '127.0.0.1:0';
    cpSync(this.#source, this.#schemas, { recursive: true, force: false });
    const folders = ['--data', join(this.#folder, 'data'), '--schemas', this.#schemas];
    const child = spawn(BINARY, ['dev', '--listen', listen, ...folders], { cwd: this.#folder });
    this.#child = child;
    this.address = await new Promise((resolve, reject) => {
      let said = '';
      const timer = setTimeout(() => reject(new Error(`${BINARY} did not say where it listens:\n${said}`)), START);
      const hear = (chunk) => {
        said += chunk;
        const found = /listening on (http:\/\/[^\s/]+)/.exec(said);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[1]);
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`${BINARY} ended with ${code}:\n${said}`)));
    });
    return this;
  }

  /** As a power cut would: no goodbye to anybody. */
  async kill() {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async remove() {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Saves a schema file, changed. @param {(text: string) => string} change */
  edit(file, change) {
    const path = join(this.#schemas, file);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  }

  /** Puts a page of its own into `public/`, before the first start. */
  publish(file, text) {
    mkdirSync(join(this.#folder, 'public'), { recursive: true });
    writeFileSync(join(this.#folder, 'public', file), text);
  }

  /** Writes without a page. */
  post(plural, data, as) {
    return this.request('POST', plural, data, as);
  }

  /** @param {string} [as] A name, or `name:role`. */
  async request(method, path, data, as) {
    const response = await fetch(`${this.address}/api/${path}${as ? `?as=${as}` : ''}`, {
      method,
      headers: data ? { 'Content-Type': 'application/json' } : {},
      body: data && JSON.stringify(data),
    });
    if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  }

  async list(plural) {
    const response = await fetch(`${this.address}/api/${plural}?limit=1000&sort=-created_at`);
    return (await response.json()).items;
  }
}

export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * A window of its own: no cookie, no storage, no cache shared with another.
 *
 * @returns the page, with `complaints`: everything that the console, a script or the CSP objected to.
 */
export async function openWindow(chrome, address, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    page.complaints.push(`a dialog said ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(address);
  return page;
}
