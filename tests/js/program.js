/**
 * The real program with a data folder of its own.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leaks } from './secrets.js';

export const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));
const BINARY = process.env.TIDEWIRE_BIN ?? join(ROOT, 'target/debug/tidewire');
/** How long the program may take to say where it listens. */
const START = 20_000;

export class Tidewire {
  #folder = mkdtempSync(join(tmpdir(), 'tidewire-program-'));
  #schemas = join(this.#folder, 'schemas');
  #child = null;
  /** Its log, searched for secrets when it ends. */
  #logged = '';
  #source;
  #command;
  #settings;
  #files;
  #pages;
  /** `http://127.0.0.1:port` */
  address = '';
  /** Of `serve`: the path that makes the first administrator, with its secret. */
  firstLink = '';

  /**
   * @param {string | Record<string, string>} schemas Folder of the repository whose files are copied, or files by name.
   * @param {object} [options]
   * @param {'dev' | 'serve'} [options.command]
   * @param {string[]} [options.settings] Each `name=value`.
   * @param {Record<string, string>} [options.files] Further files of the project folder, by name.
   * @param {string} [options.pages] Folder of the repository whose files are served at `/`.
   */
  constructor(schemas, { command = 'dev', settings = [], files = {}, pages } = {}) {
    this.#source = schemas;
    this.#command = command;
    this.#settings = settings;
    this.#files = files;
    this.#pages = pages;
  }

  async start() {
    // The first start takes any port, the later ones that same one.
    const listen = this.address ? new URL(this.address).host : '127.0.0.1:0';
    this.#copy();
    for (const [name, text] of Object.entries(this.#files)) writeFileSync(join(this.#folder, name), text);
    const folders = ['--data', join(this.#folder, 'data'), '--schemas', this.#schemas];
    const settings = this.#settings.flatMap((setting) => ['--set', setting]);
    const child = spawn(BINARY, [this.#command, '--listen', listen, ...folders, ...settings], { cwd: this.#folder });
    this.#child = child;
    this.address = await new Promise((resolve, reject) => {
      let said = '';
      const timer = setTimeout(() => reject(new Error(`${BINARY} did not say where it listens:\n${said}`)), START);
      const hear = (chunk) => {
        said += chunk;
        const found = /listening on (http:\/\/[^\s/]+)/.exec(said);
        // The last line.
        if (!found || !said.includes('Stop with Ctrl-C')) return;
        this.firstLink = /\/_\/register#\S+/.exec(said)?.[0] ?? '';
        clearTimeout(timer);
        resolve(found[1]);
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      // The log alone: the first link is on standard output.
      child.stderr.on('data', (chunk) => (this.#logged += chunk));
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`${BINARY} ended with ${code}:\n${said}`)));
    });
    return this;
  }

  /** What is there already stays: a test may have edited it. */
  #copy() {
    if (this.#pages) cpSync(join(ROOT, this.#pages), join(this.#folder, 'public'), { recursive: true, dereference: true });
    if (typeof this.#source === 'string')
      return cpSync(join(ROOT, this.#source), this.#schemas, { recursive: true, force: false });
    if (mkdirSync(this.#schemas, { recursive: true }) === undefined) return;
    for (const [name, text] of Object.entries(this.#source)) writeFileSync(join(this.#schemas, name), text);
  }

  /** As a power cut would: no goodbye to anybody. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** As an operator stops it. */
  stop() {
    return this.#end('SIGTERM');
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.on('exit', resolve));
    child.kill(signal);
    await gone;
    const leaked = leaks(this.#logged);
    this.#logged = '';
    assert.deepEqual(leaked, [], 'secrets are in the log');
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

  /** Runs another command of the program on this data, and answers with what it printed. @param {...string} words */
  run(...words) {
    const folders = ['--data', join(this.#folder, 'data'), '--schemas', this.#schemas];
    return execFileSync(BINARY, [...words, ...folders], { cwd: this.#folder, encoding: 'utf8' }).trim();
  }

  /** A request of the account routes. @param {string} [token] @param {string} [method] */
  async auth(path, body, token, method = 'POST') {
    const headers = { ...(body ? { 'Content-Type': 'application/json' } : {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(`${this.address}/api/auth/${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  }

  /** The first administrator of `serve`, without a page. */
  found(name, password) {
    return this.auth('register', { name, password, link: this.firstLink.split('#')[1] });
  }

  async list(plural) {
    const response = await fetch(`${this.address}/api/${plural}?limit=1000&sort=-created_at`);
    return (await response.json()).items;
  }
}
