// Every route of a board, with curl and by hand, and what becomes of a house that is full.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinText, refused } from '../system/chat_client.mjs';
import { call, codeFor, curl, fails, freshEmail, register } from '../system/curl.mjs';
import { readMetrics } from '../system/prometheus.mjs';
import { assertRefusal, chunks, once, post, Raw, request } from '../system/raw.mjs';
import { answer } from '../system/typed.mjs';
import { facts, name, startBoard } from './board.mjs';

const password = 'correct horse';
const get = request('GET', '/healthz');
const lonely = request('GET', '/healthz', { connection: 'close' });
const whole = post('/login', '{"user":"","password":"x"}'); // answered with 1003, without a hash

let board;
before(async () => {
  board = await startBoard();
});
after(async () => {
  try {
    await board.atRest();
  } finally {
    assert.equal(await board.stop(), 0);
  }
});

/// Every route ///

test('the greeting names the board and says aloud that this is development mode', () => {
  assert.match(board.console, new RegExp(`board: ${name}, started after: power on\n`));
  assert.match(board.console, /^DEVELOPMENT MODE: verification codes are shown/m);
});

test('the console answers', async () => {
  assert.match(await answer(board, 'get chat.rate'), /chat\.rate = 0 \(/);
  assert.match(await answer(board, 'status'), /started after: power on; \d+ of \d+ bytes of stack used/);
});

test('/healthz, /status, /metrics and / in curl', async () => {
  assert.deepEqual([(await curl(board, '/healthz')).text.trim(), (await curl(board, '/', { args: ['--compressed'] })).status], ['ok', 200]);
  const { json } = await curl(board, '/status');
  assert.deepEqual([json.started_after, json.clients], ['power on', 0]);
  assert.ok(json.stack.used > 0 && json.stack.used < json.stack.size);
  const metrics = readMetrics((await curl(board, '/metrics')).text, facts);
  for (const { name, size } of json.pools) assert.equal(metrics.get(`pipit_pool_size{pool="${name}"}`), size);
});

test('from asking for a code to the chat, a new password, and logging out', async () => {
  const email = freshEmail();
  const asked = await call(board, '/get_varifycode', { email });
  assert.deepEqual(asked, { error: 0, email, code: asked.code });
  assert.match(asked.code, /^\d{6}$/);
  await board.shows(new RegExp(`code for ${email} is ${asked.code} \\(development mode\\)`));
  const made = await call(board, '/register', { user: 'Alice', email, password, code: asked.code });
  assert.deepEqual(made, { error: 0, uid: made.uid, user: 'Alice', email, message: 'register success' });

  const { token, ...rest } = await call(board, '/login', { user: email.toUpperCase(), password });
  const [host, port] = ['127.0.0.1', String(board.port)];
  assert.deepEqual(rest, { error: 0, uid: made.uid, user: 'Alice', email, message: 'login success', host, port, expires_in: 86400 });
  const alice = await joinText(board, { token });
  assert.equal(alice.name, 'Alice');

  const code = await codeFor(board, email);
  const reset = await call(board, '/reset_pwd', { user: 'Alice', email, password: 'another horse', code });
  assert.deepEqual([reset.error, reset.user, reset.email], [0, 'Alice', email]);
  await alice.closed;
  await fails(board, '/login', { user: 'Alice', password }, 1008);
  const again = await call(board, '/login', { user: 'Alice', password: 'another horse' });
  const bearer = { authorization: `Bearer ${again.token}` };
  assert.deepEqual(await call(board, '/logout', '', bearer), { error: 0 });
  await fails(board, '/logout', '', 1010, /token/, bearer);
  for (const gone of [token, again.token]) assert.equal((await refused(board, { token: gone })).status, 401);
});

test('error numbers 1001 to 1008, each with a sentence', async () => {
  const email = freshEmail();
  const nobody = { user: 'nobody', email, password, code: '000000' };
  for (const body of ['', '{', '[]', '{"user":1,"password":"secret123"}']) await fails(board, '/login', body, 1001);
  await fails(board, '/login', { user: 'x' }, 1003, /password/);
  await fails(board, '/get_verifycode', { email: 'no address' }, 1003, /email/);
  await fails(board, '/register', nobody, 1004);
  const code = await codeFor(board, email);
  const wrong = String((Number(code) + 1) % 1e6).padStart(6, '0');
  await fails(board, '/register', { ...nobody, code: wrong }, 1005);
  assert.equal((await register(board, 'bob', freshEmail(), password)).error, 0);
  await fails(board, '/register', { ...nobody, user: 'BOB', code }, 1006);
  await fails(board, '/reset_pwd', { ...nobody, code }, 1007);
  const [unknown, mistaken] = [{ user: 'nobody', password }, { user: 'bob', password: 'wrong horse' }];
  const [one, two] = [await fails(board, '/login', unknown, 1008), await fails(board, '/login', mistaken, 1008)];
  assert.deepEqual(one, two, 'a stranger learns nothing');
});

/// By hand ///

test('403, 404, 405, 413, 414, 415, 431, 501, 505', async () => {
  const cases = [
    [request('GET', '/nothing'), 404],
    [request('DELETE', '/login'), 405],
    [request('POST', '/healthz', {}, 'x'), 405],
    [request('GET', '/healthz', { host: 'evil.example' }), 403],
    [post('/login', '{}', { origin: 'http://evil.example' }), 403],
    [request('GET', '/ws', { origin: 'http://evil.example', upgrade: 'websocket', connection: 'Upgrade' }), 403],
    [post('/login', `{"user":"${'x'.repeat(4000)}"}`), 413],
    [request('GET', `/${'a'.repeat(600)}`), 414],
    [request('POST', '/login', { 'content-type': 'text/plain' }, '{}'), 415],
    [request('GET', '/healthz', { authorization: 'a'.repeat(600) }), 431],
    [post('/login', '{}', { 'transfer-encoding': 'gzip' }), 501],
    [request('GET', '/healthz', {}, '', 'HTTP/2.0'), 505],
    ['GET healthz HTTP/1.1\r\n\r\n', 400],
  ];
  for (const [bytes, status] of cases) assertRefusal(await once(board, bytes), status, bytes.slice(0, 60));
});

test('requests one after the other, in one piece, and byte by byte on one connection', async () => {
  const raw = new Raw(board);
  for (let i = 0; i < 3; i++) assert.equal((await raw.write(get).reply()).body, 'ok\n');
  raw.write(get + whole + request('HEAD', '/status') + request('GET', '/nothing'));
  assert.equal((await raw.reply()).body, 'ok\n');
  assert.equal(JSON.parse((await raw.reply()).body).error, 1003);
  assert.equal((await raw.reply({ head: true })).status, 200);
  assertRefusal(await raw.reply(), 404);
  const dribbled = post('/login', chunks('{"user":"",', '"password":"x"}'), { 'transfer-encoding': 'chunked', connection: 'close' });
  for (const byte of dribbled) {
    raw.write(byte);
    await new Promise(setImmediate);
  }
  assert.equal(JSON.parse((await raw.reply()).body).error, 1003);
  await raw.closed();
});

/// A full house ///

// As many connections as fit, each of which has been served once, so all of them have arrived.
async function fullHouse() {
  const { http_connections: { size } } = await board.pools();
  const house = Array.from({ length: size }, () => new Raw(board));
  for (const raw of house) assert.equal((await raw.write(get).reply()).status, 200);
  return house;
}

test('idle connections make room for who comes', async () => {
  const house = await fullHouse();
  const evicted = await board.metric('pipit_http_evicted_total');
  assert.ok(evicted >= 1, 'one had to go for this very request');
  assert.equal((await once(board, lonely)).body, 'ok\n');
  const open = house.filter((raw) => !raw.ended && raw.broken === undefined);
  assert.ok(open.length >= house.length - 3, `${open.length} of ${house.length} are left`);
  for (const raw of open) assert.equal((await raw.write(get).reply()).body, 'ok\n', 'the others stayed');
  house.forEach((raw) => raw.drop());
  await board.atRest();
});

for (const [what, half, rest] of [
  ['heads', get.slice(0, -2), get.slice(-2)],
  ['bodies', whole.slice(0, -5), whole.slice(-5)],
])
  test(`half-sent ${what} do not: 503 with Retry-After, after two seconds the oldest is cut off, and all slots come back`, async () => {
    const { http_lobby: { size } } = await board.pools();
    const house = await fullHouse();
    house.forEach((raw) => raw.write(half));
    // One that still was idle to the board may have made room; then one that is not takes its place.
    // A few wait in the lobby, which others like them fill; the next is told to come back.
    const fill = async () => {
      for (let i = 0; i < size + 2; i++) house.push(new Raw(board).write(half));
      await sleep(100);
      return once(board, lonely);
    };
    let reply;
    for (const end = Date.now() + 15_000; (reply = await fill()).status === 200; ) assert.ok(Date.now() < end, 'always room');
    for (const end = Date.now() + 15_000; reply.status !== 200; reply = await once(board, lonely)) {
      assertRefusal(reply, 503);
      assert.ok(Date.now() < end, 'never room');
    }
    assert.equal(reply.body, 'ok\n');
    const isLate = (raw) => raw.received.includes('HTTP/1.1 408 ');
    for (const end = Date.now() + 3000; !house.some(isLate); await sleep(10)) assert.ok(Date.now() < end, 'nobody was cut off');
    const answers = [];
    for (const raw of house.filter((raw) => !isLate(raw) && !raw.ended).reverse().slice(0, 3))
      answers.push(await raw.write(rest).reply().then(({ status }) => status, ({ message }) => message));
    assert.ok(answers.includes(200), `who goes on is served, and not only ${answers}`); // one or the other may just have been cut off
    house.forEach((raw, i) => (i % 2 === 0 ? raw.drop() : raw.reset()));
    await board.atRest();
    assert.equal((await once(board, lonely)).body, 'ok\n');
  });

test('the stack has room to spare', (t) => board.stackIsDeepEnough(t));
