// Deliveries a second, and how long one takes: one sender with one message on the way, and four with 16 each, to 10, 100
// and 1,000 clients, over TAP and over libslirp. README.md tells how to read the figures.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTap, enterNamespace, startOnTap } from '../system/namespace.mjs';
import { startPipit } from '../system/pipit.mjs';
import { frame, TEXT } from '../system/raw_socket.mjs';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const SIZES = [10, 100, 1000];
const LOADS = [
  { senders: 1, flight: 1 },
  { senders: 4, flight: 16 },
];
const MESSAGE = 100; // bytes
const SAMPLED = 20; // clients whose deliveries are timed one by one

// A frame as a sender named "s0" to "s3" causes it: 2 bytes of header, "[s0] ", the message.
const FRAME = 2 + 5 + MESSAGE;

// Counts frames by their bytes: a client that parsed them would be measured, not the server.
class Client {
  constructor(socket) {
    this.socket = socket;
    this.bytes = 0;
    this.heard = 0; // ms
    this.arrivals = null; // of a sampled one: [frames so far, ms]
    socket.on('data', (chunk) => {
      this.bytes += chunk.length;
      this.heard = performance.now();
      this.arrivals?.push([Math.floor(this.bytes / FRAME), this.heard]);
      this.onData?.(chunk);
    });
    socket.on('error', (error) => {
      console.error(`a connection broke: ${error.message}`);
      process.exit(1);
    });
  }

  get frames() {
    return Math.floor(this.bytes / FRAME);
  }
}

async function connect(pipit) {
  const socket = net.connect(pipit.port, pipit.host).setNoDelay(true);
  const client = new Client(socket);
  await once(socket, 'connect');
  const lines = ['GET /ws HTTP/1.1', `Host: ${pipit.host}:${pipit.port}`, 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write([...lines, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', ''].join('\r\n'));
  await once(socket, 'data');
  return client;
}

async function connectAll(pipit, count) {
  const clients = [];
  while (clients.length < count) {
    clients.push(...(await Promise.all(Array.from({ length: Math.min(50, count - clients.length) }, () => connect(pipit)))));
  }
  return clients;
}

async function quiet(clients) {
  while (clients.some(({ heard }) => performance.now() - heard < 300)) await sleep(50);
}

/** Sends, and keeps `flight` messages on the way until `stop()`; notes when each was sent. */
class Sender {
  constructor(client, name, order) {
    Object.assign(this, { client, name, order, sentAt: [], seen: 0, running: false, pending: Buffer.alloc(0) });
    client.onData = (chunk) => this.#read(chunk);
  }

  #read(chunk) {
    if (!this.running && this.order.length === 0) return;
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    let at = 0;
    for (; this.pending.length - at >= FRAME; at += FRAME) this.#frame(this.pending.latin1Slice(at + 3, at + 20));
    this.pending = this.pending.subarray(at);
  }

  #frame(head) {
    if (this.isFirst) this.order.push([head.slice(0, 2), Number.parseInt(head.slice(4), 10)]);
    if (head.startsWith(this.name) && this.running) this.#send();
  }

  #send() {
    this.client.socket.write(frame(TEXT, `${this.sentAt.length} `.padEnd(MESSAGE, 'x')));
    this.sentAt.push(performance.now());
  }

  start(flight) {
    this.running = true;
    for (let i = 0; i < flight; i++) this.#send();
  }
}

function percentile(sorted, p) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
}

// The frames come to everybody in the order in which the first sender has seen them.
function latencies(sampled, order, senders) {
  const sentAt = order.map(([name, number]) => senders[name.at(1)].sentAt[number]);
  const all = [];
  for (const { arrivals } of sampled) {
    let frame = 0;
    for (const [count, ms] of arrivals) for (; frame < count; frame++) all.push(ms - sentAt[frame]);
  }
  return Float64Array.from(all).sort();
}

async function measure(pipit, clients, { senders: count, flight }) {
  const order = [];
  const senders = [];
  for (let i = 0; i < count; i++) {
    clients[i].socket.write(frame(TEXT, `/nick s${i}`));
    senders.push(new Sender(clients[i], `s${i}`, order));
  }
  await sleep(50);
  await quiet(clients);
  senders[0].isFirst = true;
  const sampled = clients.slice(-SAMPLED);
  for (const client of clients) client.bytes = 0;
  for (const client of sampled) client.arrivals = [];

  const started = performance.now();
  for (const sender of senders) sender.start(flight);
  await sleep(SECONDS * 1000);
  const deliveries = clients.reduce((sum, { frames }) => sum + frames, 0);
  const seconds = (performance.now() - started) / 1000;
  for (const sender of senders) sender.running = false;
  await quiet(clients);

  const sent = senders.reduce((sum, { sentAt }) => sum + sentAt.length, 0);
  const incomplete = clients.filter(({ frames }) => frames !== sent).length;
  const sorted = incomplete === 0 ? latencies(sampled, order, senders) : [NaN];
  for (const client of clients) Object.assign(client, { arrivals: null, onData: null });
  return { rate: deliveries / seconds, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), incomplete };
}

function report(network, size, { senders, flight }, { rate, p50, p99, incomplete }) {
  const load = `${senders} x ${flight}`.padEnd(6);
  const note = incomplete > 0 ? `  ${incomplete} clients missed messages` : '';
  console.log(
    `${network.padEnd(6)} ${String(size).padStart(5)} clients  ${load} ${Math.round(rate).toLocaleString('en').padStart(10)}/s` +
      `  p50 ${p50.toFixed(2).padStart(7)} ms  p99 ${p99.toFixed(2).padStart(7)} ms${note}`,
  );
}

async function bench(network, start) {
  for (const size of SIZES) {
    const pipit = await start();
    try {
      const clients = await connectAll(pipit, size);
      await quiet(clients);
      for (const load of LOADS) report(network, size, load, await measure(pipit, clients, load));
      for (const { socket } of clients) socket.destroy();
    } finally {
      await pipit.stop();
    }
  }
}

const missing = await enterNamespace();
const args = ['--set', 'chat.rate=0', '--set', 'ws.ping=3600'];
if (missing) console.log(`TAP is left out: ${missing}`);
else await bench('TAP', () => startOnTap(createTap('bench0'), { args }));
await bench('slirp', () => startPipit({ args }));
