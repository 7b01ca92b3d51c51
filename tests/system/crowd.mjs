// Many clients at once, each keeping the books: every event once and in order, and how long it took.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { within } from './chat_client.mjs';

const FOR_ONE = new Set(['welcome', 'notice', 'roster']);

/** A client that speaks JSON. It joined with event `first`; `last` is the newest it has; `messages` are counted. */
export class Member {
  constructor(pipit, { since, headers } = {}) {
    Object.assign(this, { first: null, last: null, messages: 0, skipped: 0, latencies: null, wrong: null, waiting: [] });
    const url = since === undefined ? pipit.wsUrl : `${pipit.wsUrl}?since=${since}`;
    if (since !== undefined) this.last = since;
    this.socket = new WebSocket(url, ['pipit.v1.json'], { headers, perMessageDeflate: false, skipUTF8Validation: true });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.socket.on('error', (error) => {
      this.failed?.(error);
    });
    this.ready = new Promise((resolve, reject) => {
      this.welcomed = resolve;
      this.failed = reject;
    });
    this.ready.catch(() => {});
    this.closed.then(() => this.#wake());
    this.socket.on('message', (data) => this.#take(JSON.parse(data)));
  }

  #take(event) {
    if (event.kind === 'welcome') this.welcomed();
    if (event.kind === 'skipped') {
      this.skipped += event.count;
      if (this.last !== null && event.id !== this.last + event.count) this.wrong ??= `skipped ${event.count} from ${this.last} to ${event.id}`;
      this.last = event.id;
    } else if (!FOR_ONE.has(event.kind)) {
      this.#count(event);
    }
    this.#wake();
  }

  #wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  #count(event) {
    if (this.last !== null && event.id !== this.last + 1) this.wrong ??= `${event.id} behind ${this.last}`;
    this.first ??= event.id;
    this.last = event.id;
    if (event.kind !== 'message') return;
    this.messages++;
    if (this.latencies !== null) this.latencies.push(performance.now() - Number.parseFloat(event.text));
  }

  say(text) {
    this.socket.send(text);
  }

  /** Sends a message that carries the time, so that all can tell how old it is. */
  sayNow(size) {
    this.say(`${performance.now().toFixed(3)} `.padEnd(size, 'x'));
  }

  /** Resolves once `test(this)` holds. */
  async until(test, what, ms = 60_000) {
    const end = Date.now() + ms;
    while (!test(this)) {
      assert.equal(this.socket.readyState, WebSocket.OPEN, `closed while it waited for ${what}`);
      await within(
        new Promise((resolve) => {
          this.waiting.push(resolve);
        }),
        what,
        Math.max(1, end - Date.now()),
      );
    }
  }

  async leave() {
    this.socket.close(1000);
    return this.closed;
  }
}

/** Connects `count` members, at most 100 at a time. */
export async function gather(pipit, count, options) {
  const members = [];
  while (members.length < count) {
    const some = Array.from({ length: Math.min(100, count - members.length) }, () => new Member(pipit, options));
    await Promise.all(some.map((member) => within(member.ready, 'no welcome', 30_000)));
    members.push(...some);
  }
  return members;
}

/** Everybody at once, and waits for the end. A frozen one would not see it, nor let the test program end. */
export function scatter(members) {
  for (const { socket } of members) {
    socket.resume();
    socket.terminate();
  }
}

export async function disperse(members) {
  await Promise.all(members.map((member) => member.leave()));
}

/** All have everything up to event `id`, in order and without a gap. */
export async function allHave(members, id) {
  await Promise.all(members.map((member) => member.until((m) => m.last >= id, `event ${id}`)));
  for (const member of members) assert.equal(member.wrong, null);
}

/** Sends `count` messages of `size` bytes, `burst` at a time, each burst when the last one has come back. */
export async function talk(sender, count, size, burst = 1, pause = 0) {
  const target = sender.messages + count;
  for (let sent = 0; sent < count; sent += burst) {
    for (let i = 0; i < Math.min(burst, count - sent); i++) sender.sayNow(size);
    await sender.until((m) => m.messages >= target - count + Math.min(sent + burst, count), 'the echo of its own messages');
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

export function percentile(values, p) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
}

/** Starts to measure, or ends it and returns all latencies in ms. */
export function measure(members) {
  for (const member of members) member.latencies = [];
}
export function measured(members) {
  const all = members.flatMap((member) => member.latencies);
  for (const member of members) member.latencies = null;
  return { p50: percentile(all, 0.5), p99: percentile(all, 0.99), count: all.length };
}

/** True under AddressSanitizer, whose shadow memory is not ours to count. */
export const sanitized = (process.env.PIPIT ?? '').includes('asan');

/** Resident memory of the simulator in KB. */
export function residentKb(pipit) {
  return Number(readFileSync(`/proc/${pipit.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
}
