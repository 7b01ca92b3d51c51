// A TCP client that sends what it is told, well-formed or not, and reads replies strictly (RFC 9112).
import assert from 'node:assert/strict';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from './prometheus.mjs';

const tchar = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function readHead(text) {
  const [line, ...fields] = text.split('\r\n');
  const start = line.match(/^HTTP\/1\.1 (\d{3}) ([ -~]+)$/);
  assert.ok(start, `no status line: ${JSON.stringify(line)}`);
  const headers = new Map();
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, colon).toLowerCase();
    assert.ok(colon > 0 && tchar.test(name) && !/[\r\n\0]/.test(field), `no field: ${JSON.stringify(field)}`);
    assert.ok(!headers.has(name), `${name} was sent twice`);
    headers.set(name, field.slice(colon + 1).trim());
  }
  return { status: Number(start[1]), reason: start[2], headers };
}

function readChunks(buffer, at) {
  const pieces = [];
  for (;;) {
    const end = buffer.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const digits = buffer.toString('latin1', at, end);
    assert.match(digits, /^[0-9a-f]+$/i, 'chunk size');
    const size = parseInt(digits, 16);
    if (buffer.length < end + 2 + size + 2) return undefined;
    assert.equal(buffer.toString('latin1', end + 2 + size, end + 4 + size), '\r\n', 'end of a chunk');
    at = end + 4 + size;
    if (size === 0) return { body: Buffer.concat(pieces), length: at };
    pieces.push(buffer.subarray(end + 2, end + 2 + size));
  }
}

/** The first reply in the buffer: {status, reason, headers, body, length}; undefined while it is not complete. */
export function readReply(buffer, { head = false, ended = false } = {}) {
  const end = buffer.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const reply = readHead(buffer.toString('latin1', 0, end));
  const from = end + 4;
  const chunked = reply.headers.get('transfer-encoding');
  const length = reply.headers.get('content-length');
  let framed;
  if (head || reply.status < 200 || reply.status === 204) {
    framed = { body: Buffer.alloc(0), length: from };
  } else if (chunked !== undefined) {
    assert.ok(chunked === 'chunked' && length === undefined, 'one framing, and a known one');
    framed = readChunks(buffer, from);
  } else if (length !== undefined) {
    assert.match(length, /^\d+$/);
    const to = from + Number(length);
    framed = buffer.length >= to ? { body: buffer.subarray(from, to), length: to } : undefined;
  } else {
    assert.equal(reply.headers.get('connection'), 'close', 'a body without a length ends with the connection');
    framed = ended ? { body: buffer.subarray(from), length: buffer.length } : undefined;
  }
  if (framed === undefined) return undefined;
  return { ...reply, body: framed.body.toString('utf8'), length: framed.length };
}

export class Raw {
  constructor(pipit) {
    this.received = Buffer.alloc(0);
    this.ended = false; // the peer has sent its FIN
    this.broken = undefined; // or broken the connection off
    this.wake = () => {};
    this.socket = net.connect({ port: pipit.port, host: pipit.host, allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    this.socket.on('end', () => {
      this.ended = true;
      this.wake();
    });
    this.socket.on('error', (error) => {
      this.broken = error.code;
      this.wake();
    });
  }

  write(bytes) {
    this.socket.write(bytes);
    return this;
  }

  /** Sends our FIN; what comes from the other side is still read. */
  end() {
    this.socket.end();
    return this;
  }

  drop() {
    this.socket.destroy();
  }

  /** Breaks off with a reset. */
  reset() {
    this.socket.resetAndDestroy();
  }

  /** Waits until look() returns something that is not undefined. */
  async until(look, what, ms = 8000) {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = deadline - Date.now();
      const seen = JSON.stringify(this.received.toString('latin1').slice(0, 400));
      assert.ok(left > 0, `${what}: not within ${ms} ms; ended ${this.ended}, broken ${this.broken}, got ${seen}`);
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  /** The next reply. `head` says that it answers a HEAD. */
  async reply({ head = false, ms } = {}) {
    const look = () => {
      const reply = readReply(this.received, { head, ended: this.ended });
      assert.ok(reply !== undefined || (!this.ended && this.broken === undefined), 'closed instead of a reply');
      return reply;
    };
    const reply = await this.until(look, 'a reply', ms);
    this.received = this.received.subarray(reply.length);
    return reply;
  }

  /** Waits for the other side's close, and holds that nothing came before it. */
  async closed(ms) {
    await this.until(() => (this.ended || this.broken !== undefined ? true : undefined), 'the close', ms);
    assert.equal(this.received.toString('latin1'), '', 'bytes before the close');
    this.drop();
  }
}

/** A request as text: request('POST', '/login', {host: 'localhost'}, '{}'). Without `length: false` the length is added. */
export function request(method, target, fields = {}, body = '', version = 'HTTP/1.1') {
  const all = { host: 'localhost', ...fields };
  if (body !== '' && all['transfer-encoding'] === undefined) all['content-length'] ??= Buffer.byteLength(body);
  let text = `${method} ${target} ${version}\r\n`;
  for (const [name, value] of Object.entries(all)) if (value !== undefined) text += `${name}: ${value}\r\n`;
  return `${text}\r\n${body}`;
}

export function post(target, body, fields = {}) {
  return request('POST', target, { 'content-type': 'application/json', ...fields }, body);
}

export function chunks(...pieces) {
  const all = [...pieces, ''].map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`);
  return all.join('');
}

/** One request on a connection of its own; the reply to it. */
export async function once(pipit, bytes, options) {
  const raw = new Raw(pipit);
  try {
    return await raw.write(bytes).reply(options);
  } finally {
    raw.drop();
  }
}

/** What the contract says about an answer that is no 200. */
export function assertRefusal(reply, status, what = '') {
  assert.equal(reply.status, status, `${what}: ${reply.status} ${reply.body}`);
  if (status === 404) {
    assert.equal(reply.body, 'url not found\n');
    return;
  }
  const said = JSON.parse(reply.body);
  assert.equal(reply.headers.get('content-type'), 'application/json', what);
  assert.ok(Number.isInteger(said.error) && said.error > 0, what);
  assert.match(said.message, /^[A-Z].*\.$|^[a-z].*\.$/s, `${what}: a sentence`);
  if (status === 405) assert.match(reply.headers.get('allow'), /^[A-Z]+(, [A-Z]+)*$/, what);
  if (status === 429 || status === 503) {
    assert.match(reply.headers.get('retry-after'), /^[1-9]\d*$/, what);
    assert.equal(String(said.retry_after), reply.headers.get('retry-after'), what);
  }
}

/** Waits until /metrics shows that no connection and no exchange but the asking one is left. Resolves to how often it was refused. */
export async function atRest(pipit, ms = 8000) {
  const deadline = Date.now() + ms;
  for (let refused = 0; ; ) {
    const reply = await once(pipit, request('GET', '/metrics', { connection: 'close' }));
    if (reply.status === 503) {
      // Those who have gone are still there to the server, in a full house.
      assert.ok(Date.now() < deadline, `a full house for ${ms} ms`);
      refused++;
      await sleep(50);
      continue;
    }
    const metrics = readMetrics(reply.body, { help: reply.body.includes('# HELP ') }); // the small simulator has none
    const rest = {
      http: metrics.get('pipit_connections{kind="http"}'),
      ws: metrics.get('pipit_connections{kind="ws"}'),
      exchanges: metrics.get('pipit_pool_used{pool="http_exchanges"}'),
      connections: metrics.get('pipit_pool_used{pool="connections"}'),
      jobs: metrics.get('pipit_pool_used{pool="password_jobs"}'),
      kept: metrics.get('pipit_connections{kind="grpc"}'), // the gate's to verify and status, with both ends
    };
    const left = rest.connections - 2 * Math.min(rest.kept, 2);
    if (rest.http === 1 && rest.ws === 0 && rest.exchanges === 0 && left <= 2 && rest.jobs === 0) return refused;
    assert.ok(Date.now() < deadline, `not at rest after ${ms} ms: ${JSON.stringify(rest)}`);
    await sleep(50);
  }
}
