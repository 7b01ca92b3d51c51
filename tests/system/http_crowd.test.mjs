// HTTP in a crowd: slow clients, full houses, one greedy address, and garbage. Others go on being served, and afterwards
// every slot is free again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { smallPipitPath, startPipit } from './pipit.mjs';
import { Raw, assertRefusal, atRest, chunks, once, post, readReply, request } from './raw.mjs';

const get = request('GET', '/healthz');
const lonely = request('GET', '/healthz', { connection: 'close' });
const login = post('/login', '{"user":"nobody","password":"wrong horse"}', { connection: 'close' });
const unlimited = ['--set', 'api.rate=0', '--set', 'mail.budget=0'];
const small = (...keys) => startPipit({ program: smallPipitPath, args: [...unlimited, ...keys.flatMap((key) => ['--set', key])] });

/// Slow clients ///

// 300 clients that send a byte now and then, beside one that asks normally on fresh connections.
async function beside(t, begin, asked, expected) {
  const pipit = await startPipit({ args: unlimited });
  const crowd = Array.from({ length: 300 }, () => new Raw(pipit).write(begin));
  const drip = setInterval(() => crowd.forEach((raw) => raw.socket.writable && raw.write('x')), 400);
  await sleep(2500); // time to arrive, and to have used up the patience of a full house
  const waits = [];
  const refused = [];
  for (let i = 0; i < 25; i++) {
    const began = performance.now();
    const reply = await once(pipit, asked);
    waits.push(performance.now() - began);
    if (!expected(reply)) refused.push(reply.status);
    await sleep(40);
  }
  clearInterval(drip);
  const alive = crowd.filter((raw) => !raw.ended && raw.broken === undefined).length;
  crowd.forEach((raw) => raw.drop());
  waits.sort((a, b) => a - b);
  t.diagnostic(`25 requests: median ${waits[12].toFixed(1)} ms, longest ${waits[24].toFixed(1)} ms; ${refused.length} refused; ${alive} of 300 slow ones left`);
  assert.deepEqual(refused, []);
  assert.ok(waits[24] < 4000, `the longest wait was ${waits[24]} ms`);
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
}

test('slow heads x 300: the others are served', (t) =>
  beside(t, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ', lonely, (reply) => reply.body === 'ok\n'));

test('slow bodies x 300: the others log in', (t) =>
  beside(t, post('/login', '{"user":"', { 'content-length': 900 }), login, (reply) => reply.status === 200 && JSON.parse(reply.body).error === 1008));

test('a client that takes no reply is broken off, and costs nobody anything', async () => {
  const pipit = await small('http.body_timeout=1');
  const deaf = new Raw(pipit);
  deaf.socket.pause();
  deaf.write(request('GET', '/metrics').repeat(400));
  for (let i = 0; i < 20; i++) {
    assert.equal((await once(pipit, lonely)).body, 'ok\n');
    await sleep(50);
  }
  deaf.drop();
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
});

/// A full house ///

const SLOTS = 5; // HTTP_CONNECTIONS of the smallest machine
const LOBBY = 2; // HTTP_LOBBY

/** Those that wait for a slot until there is no place left for another one. */
const waiters = (pipit) => Array.from({ length: LOBBY }, () => new Raw(pipit).write(lonely));

test('idle connections make room, the one idle for longest first', async () => {
  const pipit = await small();
  const peers = [];
  for (let i = 0; i < SLOTS; i++) {
    peers.push(new Raw(pipit));
    assert.equal((await peers[i].write(get).reply()).status, 200);
    await sleep(20);
  }
  assert.equal((await peers[0].write(get).reply()).status, 200); // so number 1 is the oldest now
  await sleep(20);
  const late = new Raw(pipit);
  assert.equal((await late.write(get).reply()).status, 200);
  await peers[1].closed();
  for (const raw of [peers[0], ...peers.slice(2), late]) {
    assert.equal((await raw.write(get).reply()).status, 200, 'the others stayed');
    raw.drop();
  }
  assert.equal(await pipit.metric('pipit_http_evicted_total'), 1);
  assert.equal(await pipit.metric('pipit_http_full_total'), 0);
  assert.equal(await pipit.stop(), 0);
});

test('busy connections do not: some wait, the next is told 503 with Retry-After, and all is well when they have gone', async () => {
  const pipit = await small();
  const whole = post('/login', '{"user":"","password":"x"}');
  let refused = 3;
  for (let round = 0; round < 3; round++) {
    const busy = Array.from({ length: SLOTS }, () => new Raw(pipit).write(whole.slice(0, -5)));
    await sleep(100);
    const waiting = waiters(pipit);
    await sleep(100);
    const turned = new Raw(pipit).write(get);
    assertRefusal(await turned.reply(), 503);
    await turned.closed();
    if (round === 0) {
      busy.forEach((raw) => raw.write(whole.slice(-5)));
      for (const raw of busy) assert.equal(JSON.parse((await raw.reply()).body).error, 1003);
      for (const raw of waiting) assert.equal((await raw.reply()).body, 'ok\n', 'who waited is served');
      busy.forEach((raw) => raw.drop());
    } else {
      [...busy, ...waiting].forEach((raw) => (round === 1 ? raw.drop() : raw.reset()));
    }
    refused += await atRest(pipit);
  }
  assert.equal(await pipit.metric('pipit_http_full_total'), refused);
  assert.equal(await pipit.stop(), 0);
});

test('in a full house the request that has been arriving for longest is cut off after two seconds', async () => {
  const pipit = await small();
  const oldest = new Raw(pipit).write(post('/login', '{').replace('length: 1', 'length: 9'));
  await sleep(300);
  const others = Array.from({ length: SLOTS - 1 }, () => new Raw(pipit).write(get.slice(0, -2)));
  await sleep(1000);
  const early = new Raw(pipit).write(lonely);
  assert.equal((await early.reply()).body, 'ok\n', 'it waits for that');
  assert.ok(oldest.received.includes('HTTP/1.1 408 '), 'and not for less');
  assertRefusal(await oldest.reply(), 408);
  await oldest.closed();
  for (const raw of others) {
    assert.equal((await raw.write('\r\n').reply()).body, 'ok\n', 'the others stayed');
    raw.drop();
  }
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
});

test('who waits and gives up leaves its place', async () => {
  const pipit = await small('http.body_timeout=60', 'http.header_timeout=60');
  const stuck = Array.from({ length: SLOTS }, () => new Raw(pipit)); // none has sent a byte, and each is served in the end
  await sleep(100);
  for (let i = 0; i < 3; i++) {
    const waiting = waiters(pipit);
    await sleep(100);
    assertRefusal(await once(pipit, lonely), 503, 'the lobby is full');
    waiting.forEach((raw, n) => (n % 2 === 0 ? raw.drop() : raw.reset()));
    await sleep(100);
  }
  stuck.forEach((raw) => raw.drop());
  await sleep(500);
  await atRest(pipit);
  assert.equal(await pipit.metric('pipit_pool_used{pool="http_lobby"}'), 0);
  assert.equal(await pipit.stop(), 0);
});

test('a request that is whole overtakes those that are still arriving', async () => {
  const pipit = await small();
  const text = post('/login', '{"user":"","password":"x"}');
  const slow = [];
  for (let i = 0; i < SLOTS - 2; i++) {
    slow.push(new Raw(pipit).write(text.slice(0, -5))); // two hold the exchanges, the others wait for one
    await sleep(30);
  }
  const head = text.indexOf('{');
  const [late, later] = [new Raw(pipit).write(text), new Raw(pipit).write(text.slice(0, head))];
  await sleep(30);
  later.write(text.slice(head)); // its body comes while it waits
  await sleep(30);
  assert.equal(JSON.parse((await slow[0].write(text.slice(-5)).reply()).body).error, 1003);
  for (const raw of [late, later]) assert.equal(JSON.parse((await raw.reply({ ms: 1500 })).body).error, 1003);
  assert.equal(slow[2].received.length, 0);
  [...slow, late, later].forEach((raw) => raw.drop());
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
});

test('a burst of 500 connections: each is served or told to come back, and the house is empty after it', async (t) => {
  const pipit = await startPipit({ args: unlimited });
  const answers = await Promise.all(Array.from({ length: 500 }, async () => (await once(pipit, lonely, { ms: 20000 })).status));
  const served = answers.filter((status) => status === 200).length;
  t.diagnostic(`${served} of 500 served at once, ${500 - served} told to come back`);
  assert.ok(answers.every((status) => status === 200 || status === 503), String(answers));
  assert.ok(served >= 256);
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
});

test('net.per_address: one too many is told 429, and may come when another has gone', async () => {
  const pipit = await startPipit({ args: [...unlimited, '--set', 'net.per_address=5'] });
  await sleep(200); // the start's own connection
  const peers = [];
  for (let i = 0; i < 4; i++) {
    peers.push(new Raw(pipit));
    assert.equal((await peers[i].write(get).reply()).status, 200);
  }
  const fill = async () => {
    for (;;) {
      const raw = new Raw(pipit).write(get);
      const reply = await raw.reply();
      if (reply.status !== 200) return [raw, reply];
      peers.push(raw);
      assert.ok(peers.length <= 5, 'more than five');
    }
  };
  const [raw, reply] = await fill();
  assertRefusal(reply, 429);
  await raw.closed();
  for (const peer of peers) assert.equal((await peer.write(get).reply()).status, 200);
  peers.forEach((peer) => peer.drop());
  await sleep(300);
  assert.equal((await once(pipit, lonely)).status, 200);
  assert.ok((await pipit.metric('pipit_net_refused_total')) >= 1);
  assert.equal(await pipit.stop(), 0);
});

test('logins whose clients have gone are not worked on', async () => {
  const pipit = await startPipit({ args: unlimited });
  const peers = Array.from({ length: 100 }, () => new Raw(pipit).write(login));
  // What libslirp has not handed on yet ends in a FIN, and not in a reset: such a client waits for its answer.
  for (const end = Date.now() + 20_000; (await pipit.metric('pipit_pool_used{pool="password_jobs"}')) < 100; await sleep(10))
    assert.ok(Date.now() < end, 'the logins never came');
  peers.forEach((raw) => raw.reset());
  await atRest(pipit);
  const hashes = await pipit.metric('pipit_password_hashes_total');
  assert.ok(hashes < 50, `${hashes} passwords of 100 were hashed`);
  assert.equal(JSON.parse((await once(pipit, login)).body).error, 1008);
  assert.equal(await pipit.stop(), 0);
});

/// Garbage ///

// mulberry32: the same numbers at each run.
function random(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

// None is a HEAD: which of the replies is without a body would be a guess.
const seeds = [
  get, request('GET', '/status?x=1'), request('GET', '/metrics', { cookie: 'a=b; c=d' }), post('/login', '{"user":"x","password":""}'),
  post('/get_verifycode', '{"email":"fuzz@"}'), post('/register', chunks('{"user":"x",', '"email":1}'), { 'transfer-encoding': 'chunked' }),
  request('GET', 'http://localhost/%68ealthz', {}, '', 'HTTP/1.0'), post('/logout', '', { authorization: `Bearer 1.${'0'.repeat(32)}` }),
  post('/login', '{}', { expect: '100-continue' }), get + get + request('GET', '/nothing'),
  request('GET', '/ws', { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13, 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', origin: 'http://localhost' }) + '\x81\x85abcdabcde',
].map((text) => Buffer.from(text, 'latin1'));

const pieces = ['\r\n', '\r\n\r\n', '\n', '\0', ' ', ':', '%', '%41', ';', ',', '0', 'ffffffff', 'chunked', 'Content-Length: 3\r\n', 'Transfer-Encoding: chunked\r\n',
  'Host: x\r\n', 'Expect: 100-continue\r\n', 'Connection: close\r\n', '{', '"', '\\u0000', '\xff', 'HTTP/1.1', 'GET / HTTP/1.1\r\n'].map((text) => Buffer.from(text, 'latin1'));

function mutate(pick) {
  let bytes = Buffer.from(seeds[pick(seeds.length)]);
  for (let n = 1 + pick(4); n > 0; n--) {
    const at = pick(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + pick(12));
    const kinds = [
      () => Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]),
      () => Buffer.concat([bytes.subarray(0, at), pieces[pick(pieces.length)], bytes.subarray(at)]),
      () => Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]),
      () => bytes.subarray(0, at),
      () => Buffer.concat([bytes.subarray(0, at), Buffer.from([pick(256)]), bytes.subarray(Math.min(bytes.length, at + 1))]),
      () => Buffer.concat([bytes.subarray(0, at), seeds[pick(seeds.length)]]),
    ];
    bytes = kinds[pick(kinds.length)]();
  }
  return bytes;
}

const statuses = [100, 101, 200, 400, 401, 403, 404, 405, 413, 414, 415, 426, 431, 501, 505];

// Every byte of the answer is part of a reply of the contract, or comes behind a 101.
function check(bytes, answer, seen) {
  while (answer.length > 0) {
    const reply = readReply(answer, { ended: true });
    const what = `to ${JSON.stringify(bytes.toString('latin1'))}: ${JSON.stringify(answer.toString('latin1'))}`;
    assert.ok(reply !== undefined && statuses.includes(reply.status), what);
    seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1);
    if (reply.status === 101) return;
    answer = answer.subarray(reply.length);
  }
}

test('2,000 mutations: an answer of the contract or a clean close, and no slot is stuck', async (t) => {
  const pipit = await startPipit({ args: unlimited });
  const pick = random(20261123);
  const cases = Array.from({ length: 2000 }, () => mutate(pick));
  const seen = new Map();
  const lane = async () => {
    for (let bytes = cases.pop(); bytes !== undefined; bytes = cases.pop()) {
      const raw = new Raw(pipit).write(bytes).end();
      await raw.until(() => (raw.ended || raw.broken !== undefined ? true : undefined), `the end after ${JSON.stringify(bytes.toString('latin1'))}`);
      assert.equal(raw.broken, undefined, `to ${JSON.stringify(bytes.toString('latin1'))}`);
      check(bytes, raw.received, seen);
      raw.drop();
    }
  };
  await Promise.all(Array.from({ length: 20 }, lane));
  t.diagnostic(`answers by status: ${[...seen].sort((a, b) => a[0] - b[0]).map(([status, n]) => `${status}: ${n}`).join(', ')}`);
  assert.ok(seen.get(400) > 100 && seen.get(200) > 100, 'the mutations reach both sides');
  await atRest(pipit);
  assert.equal((await once(pipit, get)).body, 'ok\n');
  assert.equal(await pipit.stop(), 0);
});
