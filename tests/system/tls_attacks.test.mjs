// What hostile, broken and slow peers of the TLS server can and cannot do.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { joinText, within } from './chat_client.mjs';
import { alertIn, connect, connectRaw, got, NAME, sClient, startWithTls } from './tls.mjs';
import { sanitized } from './crowd.mjs';
import { configure, metrics, sets, settledSlots, slotsAtRest } from './typed.mjs';

const SESSIONS = 64;
const TIMEOUT_S = 3;

let pipit, rest;

before(async () => {
  pipit = await startWithTls({ args: sets({ 'api.rate': 0, 'tls.handshake_timeout': TIMEOUT_S }) });
  rest = await settledSlots(pipit);
});
after(async () => {
  await atRest();
  assert.equal(await pipit.stop(), 0);
  await pipit.tls.forget();
});

const get = `GET /healthz HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;
const upgrade = `GET /ws HTTP/1.1\r\nHost: ${NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\n\r\n`;
const atRest = () => slotsAtRest(pipit, rest, { only: /tls/, ms: 20_000 });
const counted = async (name) => (await metrics(pipit)).get(name);
const failures = async () =>
  [...(await metrics(pipit))].filter(([name]) => name.startsWith('pipit_tls_failed')).reduce((sum, [, n]) => sum + n, 0);

/** Somebody else gets through; also the only connection whose answer is awaited. */
async function servedStill(options) {
  const socket = await connect(pipit, options);
  socket.write(get);
  await got(socket, /200 OK/);
  socket.end();
  await socket.over;
}

/**
 * One on the way between a client and Pipit. `spoil(bytes, from)` sees each piece, `from` being 'client' or 'server', and
 * returns what goes on in its place, or null to break both connections off.
 */
async function between(spoil, use) {
  const server = net.createServer((client) => {
    const there = net.connect({ port: pipit.tls.port, host: '127.0.0.1' });
    const breakOff = () => [client, there].forEach((socket) => socket.destroy());
    const lead = (from, to, name) => {
      from.on('data', (bytes) => {
        const on = spoil(bytes, name);
        if (on === null) breakOff();
        else to.write(on);
      });
      from.on('end', () => to.end());
      from.on('error', breakOff);
      from.on('close', () => to.destroySoon());
    };
    lead(client, there, 'client');
    lead(there, client, 'server');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use(server.address().port);
  } finally {
    await new Promise((done) => server.close(done));
  }
}

/** Tries to get a page through `port`; resolves with what came, however it ended. */
async function attempt(port, version) {
  const { ca } = pipit.tls;
  const socket = tls.connect({ port, host: '127.0.0.1', ca, servername: NAME, minVersion: version, maxVersion: version });
  let answer = '';
  socket.on('data', (bytes) => {
    answer += bytes.toString('latin1');
    if (answer.includes('\nok')) socket.end();
  });
  socket.on('error', () => {});
  socket.on('secureConnect', () => socket.write(get));
  await within(new Promise((done) => socket.once('close', done)), 'neither an answer nor an end', 30_000);
  return answer;
}

/// Changed bytes ///

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`${version}: what a client sends is changed at any place: no answer, and nothing stays behind`, async () => {
    let sent = 0;
    const watch = (bytes, from) => {
      if (from === 'client') sent += bytes.length;
      return bytes;
    };
    assert.match(await between(watch, (port) => attempt(port, version)), /200 OK/);
    sent -= version === 'TLSv1.2' ? 31 : 24; // close_notify, behind the answer
    const step = sanitized ? 37 : 13;
    for (let at = 0; at < sent; at += step) {
      let seen = 0;
      const flip = (bytes, from) => {
        if (from === 'client' && at >= seen && at < seen + bytes.length) bytes[at - seen] ^= 1 << (at % 8);
        if (from === 'client') seen += bytes.length;
        return bytes;
      };
      const answer = await between(flip, (port) => attempt(port, version));
      // The ClientHello's own version, session id and the like may be changed without harm only where the transcript
      // does not cover them: nowhere but in the record header's version.
      if (at > 10) assert.doesNotMatch(answer, /200 OK/, `byte ${at} of ${sent}`);
    }
    await servedStill();
    await atRest();
  });

  test(`${version}: the client vanishes after any number of bytes`, async () => {
    for (let most = 1; most < 900; most += sanitized ? 131 : 61) {
      let seen = 0;
      const cut = (bytes, from) => {
        if (from === 'client') seen += bytes.length;
        return seen > most ? null : bytes;
      };
      await between(cut, (port) => attempt(port, version));
    }
    await servedStill();
    await atRest();
  });

  test(`${version}: the end comes without close_notify in the middle of a session`, async () => {
    const before_ = await counted('pipit_tls_failed_total{reason="cut"}');
    await between(
      (bytes) => bytes,
      async (port) => {
        const socket = await connect({ tls: { ...pipit.tls, port } }, { minVersion: version, maxVersion: version });
        socket.write(get);
        await got(socket, /200 OK/);
        socket.destroy();
        await socket.over;
      },
    );
    await atRest();
    assert.ok((await counted('pipit_tls_failed_total{reason="cut"}')) >= before_);
  });
}

test('garbage, records of unknown types and lengths, in the first bytes', async () => {
  const before_ = await failures();
  const pieces = [
    Buffer.alloc(64, 0xff),
    Buffer.from([0x16, 3, 1, 0xff, 0xff, ...Array(64).fill(1)]),
    Buffer.from([0x16, 3, 1, 0, 0]),
    Buffer.from([0x17, 3, 3, 0, 32, ...Array(32).fill(7)]),
    Buffer.from([0x14, 3, 3, 0, 1, 1]),
    Buffer.from([0x15, 3, 3, 0, 2, 2, 40]),
    Buffer.from([0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]),
    Buffer.from([0x80, 0x2e, 1, 3, 1]), // SSL 2's
  ];
  for (const bytes of pieces) {
    const socket = await connectRaw(pipit);
    socket.write(bytes);
    await within(socket.over, `not closed after ${bytes.toString('hex')}`, 20_000);
    if (socket.got.length > 0) assert.equal(alertIn(socket.got)?.level, 2, bytes.toString('hex'));
  }
  assert.equal(await failures(), before_ + pieces.length);
  await servedStill();
  await atRest();
});

test('renegotiation is refused, and the session goes on', async () => {
  const output = await sClient(pipit, ['-tls1_2'], { input: 'R\n', until: /no renegotiation|RENEGOTIATING[^]*\n[^]*error/i });
  assert.match(output, /no renegotiation/i);
  await servedStill();
});

/// Slowness and crowds ///

test('a handshake of a byte now and then does not keep others waiting, and ends at its deadline', async () => {
  const slow = await connectRaw(pipit);
  const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...Array(40).fill(5)]);
  let at = 0;
  const dripping = setInterval(() => at < hello.length && !slow.destroyed && slow.write(hello.subarray(at, ++at)), 200);
  try {
    for (let i = 0; i < 5; i++) await servedStill();
    await within(slow.over, 'the slow one was never closed', (TIMEOUT_S + 10) * 1000);
    assert.ok(at < hello.length, 'it was closed before it had sent all');
    assert.equal(alertIn(slow.got)?.description, 90);
  } finally {
    clearInterval(dripping);
    slow.destroy();
  }
  await atRest();
});

test('many that only open a connection give way to those that come later', async () => {
  await configure(pipit, { 'tls.handshake_timeout': '20' });
  const idle = [];
  for (let i = 0; i < SESSIONS; i++) idle.push(await connectRaw(pipit));
  for (const end = Date.now() + 10_000; (await counted('pipit_tls_sessions')) < SESSIONS && Date.now() < end; ) await sleep(50);
  assert.equal(await counted('pipit_tls_sessions'), SESSIONS);
  // Within their patience nobody is sent away; after it one that is idle goes for each that comes.
  await sleep(2500);
  const late = [];
  for (let i = 0; i < 3; i++) late.push(await connect(pipit));
  const over = idle.filter((socket) => socket.readableEnded || socket.destroyed || socket.got.length > 0);
  assert.ok(over.length >= 3, `${over.length} made room`);
  for (const socket of [...idle, ...late]) socket.destroy();
  await atRest();
  await configure(pipit, { 'tls.handshake_timeout': String(TIMEOUT_S) });
});

test('more sessions than there are: the others are refused, chat goes on, and all is given back', async () => {
  const before_ = await counted('pipit_tls_refused_total');
  const open = [];
  for (let i = 0; i < SESSIONS; i++) {
    const socket = await connect(pipit);
    socket.write(upgrade);
    await got(socket, /^HTTP\/1.1 101 /);
    open.push(socket);
  }
  const plain = await joinText(pipit);
  const late = await connectRaw(pipit);
  await within(late.over, 'the one too many was not closed');
  assert.equal(alertIn(late.got)?.description, 80);
  assert.equal(await counted('pipit_tls_refused_total'), before_ + 1);
  plain.say('still here');
  await plain.expect(`[${plain.name}] still here`);
  await got(open[17], /still here/);
  for (const socket of open) socket.end();
  await Promise.all(open.map((socket) => within(socket.over, 'it was not closed')));
  await plain.leave();
  await servedStill();
  await atRest();
});

test('sessions that only wait for a next request give way to newcomers, and a chat does not', async () => {
  const chat = await joinText(pipit.secure, pipit.secure.chat);
  const idle = [];
  for (let i = 1; i < SESSIONS; i++) {
    const socket = await connect(pipit);
    socket.write(get);
    await got(socket, /200 OK/);
    idle.push(socket);
  }
  for (let i = 0; i < 5; i++) await servedStill();
  await within(idle[0].over, 'the one that was idle for longest is still there');
  assert.ok(idle.slice(10).every((socket) => !socket.destroyed), 'no more were closed than had to be');
  chat.say('still here');
  await chat.expect(`[${chat.name}] still here`);
  await chat.leave();
  for (const socket of idle) socket.end();
  await Promise.all(idle.map((socket) => socket.over));
  await atRest();
});

// Nobody cut them off before http.header_timeout, for HTTP has more slots than there are sessions: with a slow request in
// each, whoever came was sent away.
test('sessions with requests that hardly arrive give way to newcomers, those that wait for a next one before them', async () => {
  await configure(pipit, { 'http.header_timeout': '300' });
  const slow = [];
  for (let i = 1; i < SESSIONS; i++) {
    const socket = await connect(pipit);
    socket.write('GET /healthz HTTP/1.1\r\nX-Slow: ');
    slow.push(socket);
  }
  const idle = await connect(pipit);
  idle.write(get);
  await got(idle, /200 OK/);
  await sleep(2500);
  await servedStill();
  await within(idle.over, 'the one that was idle is still there');
  assert.ok(slow.every((socket) => !socket.destroyed), 'a slow one went before one that was idle');
  for (let i = 0; i < 2; i++) slow.push(await connect(pipit));
  await within(slow[0].over, 'the slowest is still there');
  assert.match(slow[0].got, /^HTTP\/1.1 408 /);
  assert.ok(slow.slice(1).every((socket) => !socket.destroyed), 'no more were closed than had to be');
  for (const socket of slow) socket.end();
  await Promise.all(slow.map((socket) => socket.over));
  await configure(pipit, { 'http.header_timeout': '10' });
  await atRest();
});

test('a flood of handshakes is bounded: a plain client chats, and those that wait get their turn', async () => {
  const count = sanitized ? 40 : 120;
  const plain = await joinText(pipit);
  let done = 0;
  const one = async () => {
    const socket = await connect(pipit).catch(() => null);
    if (socket === null) return;
    done++;
    socket.end();
    await socket.over;
  };
  const all = Promise.all(Array.from({ length: count }, one));
  for (let i = 0; i < 5; i++) {
    plain.say(`message ${i}`);
    await plain.expect(`[${plain.name}] message ${i}`);
  }
  await all;
  assert.ok(done >= SESSIONS / 2, `${done} of ${count} got in`);
  await plain.leave();
  await servedStill();
  await atRest();
});
