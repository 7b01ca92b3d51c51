// Starts the simulator for a test and looks after it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { noteCall, noteSetting, takeDown } from './evidence.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** The program under test; `make asan` names another one. */
export const pipitPath = process.env.PIPIT ?? path.join(root, 'build/sim/pipit');
/** The same with the capacities of a small board (app/limits.h): its pools are quickly full. */
export const smallPipitPath = process.env.PIPIT_SMALL ?? path.join(root, 'build/small/pipit');
export const chatCliPath = process.env.CHAT_CLI ?? path.join(root, 'build/clients/chat_cli');

const given = new Set();

/** A TCP port of the host that nobody listens on, and another one each time: the system may name one twice in a row. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  if (given.has(port)) return freePort();
  given.add(port);
  return port;
}

// A test that failed half way has not stopped its own.
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// A user's own accounts are none of a test's business, however it starts the simulator.
const state = mkdtempSync(path.join(tmpdir(), 'pipit-state-'));
process.env.XDG_STATE_HOME = state;
process.once('exit', () => rmSync(state, { recursive: true, force: true }));
const withFlash = (args) => (args.some((each) => /^--flash(=|$)/.test(each)) ? args : ['--flash', 'none', ...args]);

/**
 * Runs the program and collects its console; does not wait for anything. `env` is added to its environment; `read`
 * makes lines of a terminal's out of what comes. The simulator keeps its accounts in memory, unless `args` has --flash.
 */
export function spawnPipit(args, program = pipitPath, { env = {}, read = (text) => text } = {}) {
  args.forEach(noteSetting);
  const simulator = path.basename(program) === 'pipit';
  const child = spawn(program, simulator ? withFlash(args) : args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  running.add(child);
  child.once('exit', () => running.delete(child));
  // One that a failed test has left running must not keep the process from ending, or its report never comes: it counts
  // for the event loop only while somebody waits for its end.
  const streams = [child.stdin, child.stdout, child.stderr];
  [child, ...streams].forEach((handle) => handle.unref());
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? code);
  const pipit = {
    child,
    console: '',
    /** Its exit status, or the signal that ended it. */
    get exited() {
      [child, child.stdout, child.stderr].forEach((handle) => handle.ref());
      return exited;
    },
    /** Types a line on the console. */
    type(line) {
      line.split('\n').forEach(noteSetting);
      child.stdin.write(`${line}\n`);
    },
    /** Waits until the console shows what the pattern wants; returns the match. */
    async shows(pattern, ms = 5000) {
      const end = Date.now() + ms;
      for (;;) {
        const match = pipit.console.match(pattern);
        if (match) return match;
        if (Date.now() > end) throw new Error(`the console never showed ${pattern}:\n${pipit.console}`);
        await sleep(10);
      }
    },
    /** Ends it with Ctrl-C and returns its exit status; a second call returns the same. */
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
      return pipit.exited;
    },
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      pipit.console += read(text);
      takeDown(child.pid, read(text));
    });
  }
  return pipit;
}

// Looking at it must not hold one of its connections afterwards.
const look = (url, signal) => fetch(url, { headers: { connection: 'close' }, signal });

/** Adds to a running one what tests ask of it over HTTP. */
export function reachable(pipit, host, port) {
  return Object.assign(pipit, {
    host,
    port,
    url: `http://${host}:${port}`,
    wsUrl: `ws://${host}:${port}/ws`,
    async status() {
      return (await look(`${pipit.url}/status`)).json();
    },
    /** One number out of /metrics: metric('pipit_pool_used{pool="accounts"}'). */
    async metric(name) {
      const text = await (await look(`${pipit.url}/metrics`)).text();
      const line = text.split('\n').find((l) => l.startsWith(`${name} `));
      if (line === undefined) throw new Error(`/metrics has no ${name}`);
      return Number(line.slice(name.length + 1));
    },
    /** POSTs JSON; returns {status, headers, body}. */
    async post(route, body, headers = {}) {
      const response = await fetch(pipit.url + route, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.text();
      let json;
      try {
        json = JSON.parse(text);
      } catch {
        json = text;
      }
      noteCall(typeof body === 'object' ? body : undefined, json);
      return { status: response.status, headers: response.headers, body: json };
    },
    /** Makes an account by the whole way and logs in; returns the reply of /login. */
    async account(user, password = 'secret123') {
      const email = `${encodeURIComponent(user)}@example.com`;
      const asked = await pipit.post('/get_varifycode', { email });
      const made = await pipit.post('/register', { user, email, password, code: asked.body.code });
      if (made.body.error !== 0) throw new Error(`register ${user}: ${JSON.stringify(made.body)}`);
      return (await pipit.post('/login', { user, password })).body;
    },
  });
}

/** Waits until one that was just started answers. */
export async function untilHealthy(pipit) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (pipit.child.exitCode !== null) break;
    try {
      if ((await look(`${pipit.url}/healthz`, AbortSignal.timeout(2000))).ok) return;
    } catch {
      // not yet
    }
    await sleep(50);
  }
  pipit.child.kill('SIGKILL');
  await pipit.stop();
  throw new Error(`it did not start:\n${pipit.console}`);
}

/** Starts the simulator behind libslirp on a free port of 127.0.0.1 (or on `port`), and waits until it answers. */
export async function startPipit({ args = [], port, program } = {}) {
  const hostPort = port ?? (await freePort());
  const pipit = spawnPipit(['--forward', `${hostPort}:80`, ...args], program);
  reachable(pipit, '127.0.0.1', hostPort);
  await untilHealthy(pipit);
  return pipit;
}
