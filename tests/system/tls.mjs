// The simulator with HTTPS, and clients of it: node's own TLS, openssl's and curl's command lines.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { within } from './chat_client.mjs';
import { freePort, startPipit } from './pipit.mjs';
import { answer } from './typed.mjs';

export const NAME = 'pipit.local';

/** The certificate as the console exports it; a device that has just got its address has none yet. */
async function certificateOf(pipit) {
  for (const end = Date.now() + 60_000; ; await sleep(200)) {
    const [pem] = (await answer(pipit, 'cert')).match(/-----BEGIN CERTIFICATE-----\n[^-]*-----END CERTIFICATE-----\n/) ?? [];
    if (pem !== undefined) return pem;
    assert.ok(Date.now() < end, 'there is no certificate');
  }
}

/** Adds to one that runs what is needed to reach it on `port` with TLS: `pipit.tls`, and `pipit.secure` for chat clients. */
export async function reachableByTls(pipit, port) {
  const ca = await certificateOf(pipit);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pipit-tls-'));
  const caFile = path.join(folder, 'ca.pem');
  await writeFile(caFile, ca);
  pipit.tls = { port, ca, caFile, folder, forget: () => rm(folder, { recursive: true, force: true }) };
  pipit.secure = {
    host: '127.0.0.1',
    port,
    url: `https://${NAME}:${port}`,
    wsUrl: `wss://127.0.0.1:${port}/ws`,
    /** Options of a chat client. */
    chat: { ca, servername: NAME, checkServerIdentity: () => undefined, headers: { host: `${NAME}:${port}` } },
    /** Options of curl(). */
    curl: ['--cacert', caFile, '--resolve', `${NAME}:${port}:127.0.0.1`],
  };
  return pipit;
}

/** Starts the simulator with both ports, and waits until it answers on them. `forwards` are more device ports. */
export async function startWithTls({ args = [], forwards = [], program } = {}) {
  const port = await freePort();
  const more = forwards.flatMap(([host, device]) => ['--forward', `${host}:${device}`]);
  const pipit = await startPipit({ args: ['--forward', `${port}:443`, ...more, ...args], program });
  return reachableByTls(pipit, port);
}

/** A TLS connection of node's; resolves when it is open. Keeps what comes in `socket.got`. */
export async function connect(pipit, options = {}) {
  const { port, ca } = pipit.tls;
  const socket = tls.connect({ port, host: '127.0.0.1', ca, servername: NAME, ...options });
  socket.got = '';
  socket.on('data', (bytes) => (socket.got += bytes.toString('latin1')));
  socket.over = new Promise((done) => socket.once('close', done));
  socket.on('error', (error) => (socket.failure = error));
  const opened = new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail));
  await within(opened, 'no handshake', 30_000);
  return socket;
}

/** Waits until what has come matches. */
export async function got(socket, pattern, ms = 20_000) {
  for (const end = Date.now() + ms; ; await sleep(10)) {
    const match = socket.got.match(pattern);
    if (match) return match;
    assert.ok(!socket.destroyed && Date.now() < end, `${pattern} never came: ${socket.failure} ${JSON.stringify(socket.got.slice(-300))}`);
  }
}

/** A plain connection to the TLS port; `got` is a Buffer. */
export async function connectRaw(pipit, port = pipit.tls.port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.got = Buffer.alloc(0);
  socket.on('data', (bytes) => (socket.got = Buffer.concat([socket.got, bytes])));
  socket.over = new Promise((done) => socket.once('close', done));
  socket.on('error', () => {});
  await within(new Promise((done, fail) => socket.once('connect', done).once('error', fail)), 'no connection');
  return socket;
}

/** Runs openssl s_client; types `input`, and ends it a moment after `until` has come, or its end. Returns what it wrote. */
export async function sClient(pipit, args = [], { input = '', until = null, ms = 20_000 } = {}) {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${pipit.tls.port}`, '-servername', NAME, ...args]);
  let output = '';
  const seen = () => until !== null && until.test(output);
  const ended = new Promise((done) => child.on('close', done));
  const waiting = new Promise((done) => {
    const take = (bytes) => {
      output += bytes.toString('latin1');
      if (seen()) done();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
  });
  child.stdin.on('error', () => {});
  if (input) child.stdin.write(input);
  if (until === null) child.stdin.end();
  try {
    await within(Promise.race([ended, waiting]), `s_client ${args.join(' ')}: ${until}`, ms);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${error.message}\n${output}`);
  }
  child.stdin.end();
  const late = setTimeout(() => child.kill('SIGKILL'), 3000);
  await ended;
  clearTimeout(late);
  return output;
}

/** What an alert in the clear says, or null: {level, description}. */
export function alertIn(bytes) {
  if (bytes.length < 7 || bytes[0] !== 0x15) return null;
  return { level: bytes[5], description: bytes[6] };
}
