/**
 * nginx in front of the real program, with the settings of docs/operations.md.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../js/program.js';

/** Without TLS, at a port of its own. @param {string} server Its address. */
export async function nginx(server) {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-nginx-'));
  const listen = `127.0.0.1:${await freePort()}`;
  let text = /```nginx\n(.*?)```/s.exec(readFileSync(join(ROOT, 'docs/operations.md'), 'utf8'))[1];
  for (const [from, to] of [
    [/listen 443 ssl;/, `listen ${listen};`],
    [/ssl_certificate .*;/, ''],
    [/ssl_certificate_key .*;/, ''],
    [/127\.0\.0\.1:8080/g, new URL(server).host],
  ]) {
    assert.match(text, from);
    text = text.replace(from, to);
  }
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const around = `daemon off; master_process off; pid ${folder}/pid; error_log stderr notice; events {}`;
  const file = join(folder, 'settings');
  writeFileSync(file, `${around}\nhttp { access_log off; ${temporary.join(' ')}\n${text}}\n`);
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const child = spawn('nginx', ['-e', 'stderr', '-c', file], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const said = [];
  await new Promise((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => {
      said.push(line);
      if (line.includes('nginx/')) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`nginx ended with ${code}:\n${said.join('\n')}`)));
  });
  const end = async () => {
    child.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { address: `http://${listen}`, end };
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}
