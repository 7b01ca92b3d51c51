// A chat client for tests, on npm's `ws`: it keeps every frame from the first on, so none is lost between two awaits.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const PATIENCE_MS = 10_000;
const TIME_WAIT_MS = 2600; // 2 s, looked at every half second

/** Resolves with `promise`, or rejects with `what` after `ms`. */
export async function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export class ChatClient {
  /** Connects. Options: json (pipit.v1.json), protocols, headers, since, token. */
  constructor(pipit, { json = false, protocols = json ? ['pipit.v1.json'] : [], headers, since, token, ...rest } = {}) {
    const query = new URLSearchParams();
    if (since !== undefined) query.set('since', since);
    if (token !== undefined) query.set('token', token);
    const suffix = query.size > 0 ? `?${query}` : '';
    this.json = json;
    this.frames = [];
    this.taken = 0;
    this.waiting = null;
    this.socket = new WebSocket(pipit.wsUrl + suffix, protocols, { headers, perMessageDeflate: false, ...rest });
    this.socket.on('message', (data, binary) => this.#take(data, binary));
    this.socket.on('error', () => {}); // `refused` and `closed` tell
    this.closed = once(this.socket, 'close').then(([code, reason]) => ({ code, reason: reason.toString() }));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('error', reject);
      this.socket.on('unexpected-response', (request, response) => {
        request.destroy();
        reject(Object.assign(new Error(`refused with ${response.statusCode}`), { response }));
      });
    });
    this.opened.catch(() => {});
    this.closed.then(() => this.waiting?.());
  }

  #take(data, binary) {
    assert.equal(binary, false, 'the chat sends text only');
    this.frames.push(this.json ? JSON.parse(data.toString()) : data.toString());
    this.waiting?.();
  }

  say(text) {
    this.socket.send(text);
  }

  /** The next frame that was not taken yet. */
  async next(ms = PATIENCE_MS) {
    while (this.taken === this.frames.length) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('closed while a frame was awaited');
      await within(
        new Promise((resolve) => {
          this.waiting = resolve;
        }),
        'no further frame',
        ms,
      );
    }
    return this.frames[this.taken++];
  }

  /** Takes as many frames as are given; each must be equal. */
  async expect(...wanted) {
    for (const frame of wanted) assert.deepEqual(await this.next(), frame);
  }

  /** Takes frames up to and with the first that `test` accepts; returns them all. */
  async until(test, ms = PATIENCE_MS) {
    const taken = [];
    for (;;) {
      const frame = await this.next(ms);
      taken.push(frame);
      if (test(frame)) return taken;
    }
  }

  /** Shows that nothing more is on the way: the answer to an unknown command is the next frame. */
  async nothingMore() {
    const word = `/fence-${++ChatClient.fences}`;
    const text = `unknown command ${word}; try /help`;
    this.say(word);
    const frame = await this.next();
    assert.equal(this.json ? frame.text : frame, this.json ? text : `[system] ${text}`);
  }

  /** Leaves properly; returns the close code and reason. */
  async leave() {
    this.socket.close(1000);
    return within(this.closed, 'the connection did not close');
  }

  /** Vanishes without a word. */
  async drop() {
    this.socket.terminate();
    await this.closed;
  }
}
ChatClient.fences = 0;

/** A connected client. A plain-text one has its greeting taken; returns it as `client.name`. */
export async function join(pipit, options = {}) {
  const client = new ChatClient(pipit, options);
  await within(client.opened, 'the handshake was not answered');
  return client;
}

/** Joins in plain text and checks and takes the greeting. */
export async function joinText(pipit, options = {}) {
  const client = await join(pipit, options);
  const [, name] = (await client.next()).match(/^\[system\] (.*) joined$/s);
  await client.expect('[system] connected. Use /nick your_name to rename.');
  client.name = name;
  return client;
}

/** Joins in JSON and takes everything up to the welcome; `client.before` keeps what came before it. */
export async function joinJson(pipit, options = {}) {
  const client = await join(pipit, { json: true, ...options });
  client.before = await client.until((event) => event.kind === 'welcome');
  client.welcome = client.before.pop();
  client.name = client.welcome.name;
  return client;
}

/** Tries to connect and expects a refusal before the upgrade: returns {status, headers, body}. */
export async function refused(pipit, options = {}) {
  const client = new ChatClient(pipit, options);
  const error = await within(
    client.opened.then(
      () => assert.fail('it was let in'),
      (e) => e,
    ),
    'no answer',
  );
  if (error.response === undefined) throw error;
  return { status: error.response.statusCode, headers: error.response.headers };
}

/** All pools of /status by name, as {used, size, ...}. */
export async function pools(pipit) {
  const { pools: list } = await pipit.status();
  return Object.fromEntries(list.map((pool) => [pool.name, pool]));
}

/**
 * Waits until as many slots of every pool are in use as `before` (from pools()) had; fails with the names. Each look at
 * /status leaves a connection in TIME_WAIT, so the pool that counts those is looked at only when they are over.
 */
export async function atRest(pipit, before = {}, ms = 12_000) {
  const end = Date.now() + ms;
  for (;;) {
    const now = await pools(pipit);
    const resting = restingUse(now);
    const busy = Object.values(now).filter(({ name, used }) => used > (before[name]?.used ?? resting[name] ?? 0));
    if (busy.length === 0) return;
    if (Date.now() > end) assert.fail(`still in use: ${busy.map((p) => `${p.name} ${p.used}`).join(', ')}`);
    await sleep(busy.every(({ name }) => name === 'demux_nodes') ? TIME_WAIT_MS : 100);
  }
}

// What the very request for /status needs, and the gate's kept connections to verify and status: both of their ends, since
// they go over the loopback.
function restingUse({ rpc_connections: { used } }) {
  const kept = Math.min(used, 2);
  return { connections: 1 + 2 * kept, demux_nodes: 1 + 2 * kept, rpc_connections: kept, http_connections: 1, http_exchanges: 1 };
}

/** A reproducible sequence of numbers in [0, 1): mulberry32. */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
