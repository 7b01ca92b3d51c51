// HTTP as the wire has it: what is refused, how connections live and die, what a crowd can and can't do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPipit } from './pipit.mjs';
import { Raw, assertRefusal, atRest, chunks, once, post, request } from './raw.mjs';

let pipit;

before(async () => {
  pipit = await startPipit({ args: ['--set', 'api.rate=0', '--set', 'mail.budget=0'] });
});
after(async () => {
  await atRest(pipit);
  assert.equal(await pipit.stop(), 0);
});

const get = request('GET', '/healthz');
const empty = post('/login', '{}'); // answered at once, with 1003
const chunked = (body, fields) => post('/login', body, { 'transfer-encoding': 'chunked', ...fields });

// One reply, then the close; what stands behind the bad request is never taken for another one.
async function refusedAndClosed(bytes, status) {
  const raw = new Raw(pipit);
  raw.write(bytes).write(get);
  const what = JSON.stringify(bytes.toString('latin1').slice(0, 200));
  const reply = await raw.reply();
  assertRefusal(reply, status, what);
  assert.equal(reply.headers.get('connection'), 'close', what);
  await raw.closed();
}

async function all(table, check) {
  for (let i = 0; i < table.length; i += 8) await Promise.all(table.slice(i, i + 8).map(check));
}

/// Statuses ///

const line = (text) => `${text}\r\nHost: localhost\r\n\r\n`;
const field = (text) => `GET /healthz HTTP/1.1\r\nHost: localhost\r\n${text}\r\n\r\n`;
const length = (text) => `POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${text}\r\n\r\n{}`;

test('400: request lines', () =>
  all(
    [
      'GET  /healthz HTTP/1.1', ' GET /healthz HTTP/1.1', 'GET\t/healthz HTTP/1.1', 'GET /healthz  HTTP/1.1',
      'GET /healthz HTTP/1.1 ', 'GET /healthz http/1.1', 'GET /healthz HTTP/1', 'GET /healthz HTTP/11',
      'GET /healthz HTTP/1.10', 'GET /healthz HTTP/1,1', 'GET /healthz', 'GET healthz HTTP/1.1', 'GET * HTTP/1.1',
      'GET /a b HTTP/1.1', 'GET /a#b HTTP/1.1', 'GET /%zz HTTP/1.1', 'GET /%4 HTTP/1.1', 'GET /%00 HTTP/1.1',
      'GET /a\x01 HTTP/1.1', 'GET /a\x7f HTTP/1.1', 'GET /caf\xe9 HTTP/1.1', 'CONNECT localhost:80 HTTP/1.1',
      'GET http:/// HTTP/1.1', 'GET http://me@localhost/ HTTP/1.1', 'GET ftp://localhost/ HTTP/1.1', 'G(T / HTTP/1.1',
      '\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', '{"user":"x"}',
    ].map((text) => Buffer.from(line(text), 'latin1')),
    (bytes) => refusedAndClosed(bytes, 400),
  ));

test('400: fields', () =>
  all(
    [
      'X : y', ': y', 'X', ' X: y', '\tX: y', 'X: a\r\n b', 'X: a\r\n\tb', 'X: a\0b', 'X: a\x01b', 'X: a\x7fb', 'X: a\rb',
      'X: a\nY: b', 'X Y: z', 'X\xe9: y', 'Host: localhost', 'Origin: http://localhost\r\nOrigin: http://localhost',
      'Authorization: a\r\nAuthorization: b', 'Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: a',
    ].map((text) => Buffer.from(field(text), 'latin1')).concat([
      'GET / HTTP/1.1\nHost: localhost\n\n', 'GET / HTTP/1.1\r\nHost: localhost\n\r\n', 'GET / HTTP/1.1\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'GET / HTTP/1.1\r\nHost: localhost:x\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: me@localhost\r\n\r\n', 'GET / HTTP/1.1\r\n Host: localhost\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: localhost,localhost\x01\r\n\r\n',
    ].map((text) => Buffer.from(text, 'latin1'))),
    (bytes) => refusedAndClosed(bytes, 400),
  ));

test('400: where does the body end? whatever could smuggle a request', () =>
  all(
    [
      'Content-Length: 2\r\nContent-Length: 2', 'Content-Length: 2\r\nContent-Length: 44', 'Content-Length: 2, 2',
      'Content-Length: +2', 'Content-Length: -2', 'Content-Length: 0x2', 'Content-Length: 2 2', 'Content-Length: 2.0',
      'Content-Length:', 'Content-Length: 99999999999999999999', 'Content-Length: 18446744073709551618', 'Content-Length: two',
      'Content-Length: 2\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Length: 2',
      'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding : chunked', 'Transfer-Encoding\x0b: chunked', ' Transfer-Encoding: chunked', 'Content-Length : 2',
      'Transfer-Encoding: \x0bchunked', 'X: y\nTransfer-Encoding: chunked', 'X: y\rTransfer-Encoding: chunked',
    ].map(length).concat([
      `POST /login HTTP/1.0\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunks('{}')}`,
    ]).map((text) => Buffer.from(text, 'latin1')),
    (bytes) => refusedAndClosed(bytes, 400),
  ));

test('400: chunks', () =>
  all(
    [
      'g\r\n', '\r\n{}\r\n', '0x2\r\n{}\r\n', '-2\r\n{}\r\n', '+2\r\n{}\r\n', '2 \r\n{}\r\n', ' 2\r\n{}\r\n', '2\n{}\r\n', '2\r{}\r\n',
      '2\r\n{}0\r\n\r\n', '2\r\n{}\n0\r\n\r\n', '2\r\n{}x\r\n', '00000000000000002\r\n{}\r\n', '10000000000000002\r\n{}\r\n',
      '2;x=\x01\r\n{}\r\n', `2;${'x'.repeat(5000)}`, '2\r\n{}\r\n0\r\n bad\r\n\r\n', '2\r\n{}\r\n0\r\nbad\r\n\r\n', '2\r\n{}\r\n0\r\nX: \0\r\n\r\n',
    ].map((body) => Buffer.from(chunked(body), 'latin1')),
    (bytes) => refusedAndClosed(bytes, 400),
  ));

test('413, 414, 431, 501, 505', () =>
  all(
    [
      [post('/login', `{"user":"${'x'.repeat(5000)}"}`), 413],
      [post('/login', '', { 'content-length': '18446744073709551615' }), 413],
      [chunked(chunks(...Array(6).fill(' '.repeat(1000)))), 413],
      [request('GET', `/${'a'.repeat(600)}`), 414],
      [request('GET', `/healthz?${'a'.repeat(600)}`), 414],
      [request('GET', '/healthz', { cookie: 'a'.repeat(17000) }), 431],
      [request('GET', '/healthz', Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x${i}`, 'y']))), 431],
      [request('GET', '/healthz', { authorization: 'a'.repeat(600) }), 431],
      [post('/login', '{}', { 'transfer-encoding': 'gzip' }), 501],
      [post('/login', '{}', { 'transfer-encoding': 'gzip, chunked' }), 501],
      [post('/login', '{}', { 'transfer-encoding': 'chunked, identity' }), 501],
      [post('/login', '{}', { 'transfer-encoding': 'xchunked' }), 501],
      [post('/login', '{}', { 'transfer-encoding': 'chunked chunked' }), 501],
      [post('/login', '{}', { 'transfer-encoding': 'chunked;q=1' }), 501],
      [request('X'.repeat(30), '/healthz'), 501],
      [request('GET', '/healthz', {}, '', 'HTTP/2.0'), 505],
      [request('GET', '/healthz', {}, '', 'HTTP/0.9'), 505],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ],
    ([bytes, status]) => refusedAndClosed(bytes, status),
  ));

test('403: Host, against DNS rebinding', async () => {
  const ours = ['localhost', 'LocalHost:1', '127.0.0.1:8080', '10.0.2.15', '[::1]', '[::1]:80', 'pipit', 'Pipit:8080', 'pipit.local', 'localhost:'];
  const foreign = ['evil.example', 'pipit.evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '1.2.3', '256.1.1.1',
                   '1.2.3.4.5', '0x7f.0.0.1', 'localhost:0', 'localhost:99999', '', 'pipit.local.', '[evil.example]', 'xpipit', 'pipi'];
  for (const host of ours) assert.equal((await once(pipit, request('GET', '/healthz', { host }))).status, 200, host);
  for (const host of foreign) assertRefusal(await once(pipit, request('GET', '/healthz', { host })), 403, host);
  const named = await startPipit({ args: ['--set', 'http.names=chat.example, evil.example'] });
  for (const [host, status] of [['chat.example', 200], ['EVIL.example:80', 200], ['example', 403], ['vil.example', 403]])
    assert.equal((await once(named, request('GET', '/healthz', { host }))).status, status, host);
  assert.equal(await named.stop(), 0);
});

test('403: Origin, against cross-site calls', async () => {
  const host = 'localhost:8080';
  const foreign = ['null', 'http://evil.example', 'http://localhost', 'http://localhost:8081', 'http://127.0.0.1:8080', 'localhost:8080', '',
                   'http://localhost:8080.evil.example', 'http://localhost:8080@evil.example', 'ws://localhost:8080', 'http://localhost:8080/'];
  for (const origin of ['http://localhost:8080', 'HTTP://LOCALHOST:8080'])
    assert.equal((await once(pipit, post('/login', '{}', { host, origin }))).status, 200, origin);
  for (const origin of foreign) {
    assertRefusal(await once(pipit, post('/login', '{}', { host, origin })), 403, origin);
    const upgrade = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': 13, 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
    assertRefusal(await once(pipit, request('GET', '/ws', { host, origin, ...upgrade })), 403, origin);
  }
  const open = await startPipit({ args: ['--set', 'http.origins=http://evil.example,null'] });
  for (const origin of ['null', 'http://evil.example', 'http://localhost:8080'])
    assert.equal((await once(open, post('/login', '{}', { host, origin }))).status, 200, origin);
  assertRefusal(await once(open, post('/login', '{}', { host, origin: 'http://evil.exampl' })), 403);
  assert.equal(await open.stop(), 0);
});

test('404, 405 with Allow, 415', async () => {
  for (const path of ['/nothing', '/healthz/', '//healthz', '/./healthz', '/HEALTHZ', '/login/x', '/%2568ealthz', '/healthz%3Fx',
                      '/nothing?/healthz', '/healthz;x', '/../etc/passwd', '/ws-echo'])
    assertRefusal(await once(pipit, request('GET', path)), 404, path);
  for (const [method, path, allow] of [['GET', '/login', 'POST'], ['HEAD', '/login', 'POST'], ['PUT', '/register', 'POST'], ['DELETE', '/', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'], ['OPTIONS', '/status', 'GET, HEAD'], ['BREW', '/ws', 'GET, HEAD'], ['get', '/', 'GET, HEAD']]) {
    const reply = await once(pipit, request(method, path), { head: method === 'HEAD' });
    assert.deepEqual([reply.status, reply.headers.get('allow')], [405, allow], `${method} ${path}`);
    if (method !== 'HEAD') assertRefusal(reply, 405);
  }
  for (const type of [undefined, '', 'text/plain', 'application/jsonx', 'application/x-www-form-urlencoded', 'multipart/form-data; x=application/json'])
    assertRefusal(await once(pipit, post('/login', '{}', { 'content-type': type })), 415, type);
  for (const type of ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;x'])
    assert.equal((await once(pipit, post('/login', '{}', { 'content-type': type }))).status, 200, type);
});

test('408: a head, a body, a chunk that does not come; an idle connection is closed without a word', async () => {
  const args = ['http.header_timeout=1', 'http.body_timeout=1', 'http.idle_timeout=1'].flatMap((key) => ['--set', key]);
  const hasty = await startPipit({ args });
  const cut = [get.slice(0, -2), 'G', '', post('/login', '{').replace('length: 1', 'length: 9'), chunked('5\r\n{"'), chunked('1\r\n{\r\n')];
  const peers = cut.map((bytes) => new Raw(hasty).write(bytes));
  const idle = new Raw(hasty).write(get);
  assert.equal((await idle.reply()).status, 200);
  await Promise.all([idle.closed(4000), ...peers.map(async (raw, i) => {
    const reply = await raw.reply({ ms: 4000 });
    assertRefusal(reply, 408, cut[i]);
    assert.equal(reply.headers.get('connection'), 'close');
    await raw.closed();
  })]);
  const dripping = new Raw(hasty); // every byte in time, the whole too late
  const drip = setInterval(() => dripping.write('x'), 100);
  dripping.write('GET /healthz HTTP/1.1\r\nX: ');
  assertRefusal(await dripping.reply({ ms: 4000 }), 408);
  clearInterval(drip);
  dripping.drop();
  await atRest(hasty);
  assert.equal(await hasty.stop(), 0);
});

test('429: past api.rate, with Retry-After, and calls again later', async () => {
  const strict = await startPipit({ args: ['--set', 'api.rate=3'] });
  const raw = new Raw(strict);
  for (let i = 0; i < 3; i++) assert.equal((await raw.write(empty).reply()).status, 200);
  assertRefusal(await raw.write(empty).reply(), 429);
  strict.type('set api.rate 60');
  await sleep(1300);
  const reply = await once(strict, empty);
  assert.equal(reply.status, 200, reply.body);
  raw.drop();
  assert.equal(await strict.stop(), 0);
});

/// Requests in every shape ///

test('keep-alive: many requests, one connection; HTTP/1.0 and Connection decide', async () => {
  const raw = new Raw(pipit);
  for (let i = 0; i < 50; i++) {
    const reply = await raw.write(i % 2 === 0 ? get : empty).reply();
    assert.deepEqual([reply.status, reply.headers.get('connection')], [200, undefined]);
  }
  assertRefusal(await raw.write(request('GET', '/nothing')).reply(), 404); // keeps it open too
  assert.equal((await raw.write(request('GET', '/healthz', { connection: 'Close' })).reply()).headers.get('connection'), 'close');
  await raw.closed();
  const old = new Raw(pipit).write('GET /healthz HTTP/1.0\r\n\r\n');
  assert.equal((await old.reply()).status, 200);
  await old.closed();
  const kept = new Raw(pipit);
  for (let i = 0; i < 2; i++) {
    const reply = await kept.write('GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').reply();
    assert.equal(reply.headers.get('connection'), 'keep-alive');
  }
  const page = await kept.write('GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').reply(); // of no known length
  assert.ok(!page.headers.has('transfer-encoding') && JSON.parse(page.body).name === 'pipit');
  await kept.closed();
});

test('pipelining: replies come in the order of the requests, also behind slow ones', async () => {
  const raw = new Raw(pipit);
  const login = post('/login', '{"user":"nobody","password":"wrong horse"}');
  const status = request('GET', '/status');
  const asked = [get, login, request('GET', '/nothing'), chunked(chunks('{', '}')), status, login, get, request('HEAD', '/metrics'), get];
  raw.write(asked.join(''));
  const seen = [];
  for (const bytes of asked) {
    const reply = await raw.reply({ head: bytes.startsWith('HEAD') });
    seen.push([reply.status, reply.body.startsWith('{') ? (JSON.parse(reply.body).error ?? 'page') : reply.body.trim()]);
  }
  const [ok, wrong] = [[200, 'ok'], [200, 1008]];
  assert.deepEqual(seen, [ok, wrong, [404, 'url not found'], [200, 1003], [200, 'page'], wrong, ok, [200, ''], ok]);
  raw.write(get.repeat(300));
  for (let i = 0; i < 300; i++) assert.equal((await raw.reply()).body, 'ok\n');
  raw.write(get + request('GET', '/healthz', { connection: 'close' }) + get);
  for (let i = 0; i < 2; i++) assert.equal((await raw.reply()).status, 200);
  await raw.closed();
});

test('what the client half-closes behind is still answered', async () => {
  const raw = new Raw(pipit).write(get + post('/login', '{"user":"nobody","password":"wrong horse"}')).end();
  assert.equal((await raw.reply()).body, 'ok\n');
  assert.equal(JSON.parse((await raw.reply()).body).error, 1008);
  await raw.closed();
  await new Raw(pipit).write(get.slice(0, 20)).end().closed();
  await new Raw(pipit).write(empty.slice(0, -1)).end().closed();
});

test('HEAD is GET without the body', async () => {
  for (const path of ['/', '/healthz', '/status', '/metrics', '/nothing']) {
    const raw = new Raw(pipit);
    const full = await raw.write(request('GET', path)).reply();
    const bare = await raw.write(request('HEAD', path)).reply({ head: true });
    const fields = (reply) => [...reply.headers].filter(([name]) => name !== 'date');
    assert.deepEqual([bare.status, fields(bare)], [full.status, fields(full)], path);
    assert.equal((await raw.write(get).reply()).body, 'ok\n');
    raw.drop();
  }
});

test('Expect: 100-continue', async () => {
  const expecting = (fields) => post('/login', '', { expect: '100-continue', ...fields });
  for (const [head, body] of [[expecting({ 'content-length': 2 }), '{}'], [expecting({ 'transfer-encoding': 'chunked' }), chunks('{}')]]) {
    const raw = new Raw(pipit).write(head);
    assert.equal((await raw.reply()).status, 100);
    assert.equal(JSON.parse((await raw.write(body).reply()).body).error, 1003);
    const prompt = await raw.write(head + body).reply(); // the body is there: nothing to wait for
    assert.equal(prompt.status === 100 ? (await raw.reply()).status : prompt.status, 200);
    raw.drop();
  }
  for (const [fields, status] of [[{ 'content-length': 99999 }, 413], [{ 'content-length': 2, 'content-type': 'text/plain' }, 415], [{ 'content-length': 2, host: 'evil.example' }, 403]]) {
    const raw = new Raw(pipit).write(expecting(fields));
    assertRefusal(await raw.reply(), status); // and no invitation before it
    await raw.closed();
  }
});

test('targets: absolute, percent-encoded, with a query', async () => {
  for (const [target, host, status] of [
    ['http://localhost/healthz', 'evil.example', 200], ['HTTP://pipit:80/healthz?x', 'localhost', 200], ['http://evil.example/healthz', 'localhost', 403],
    ['http://localhost', 'localhost', 200], ['http://localhost?x=1', 'localhost', 200], ['/%68ealthz', 'localhost', 200], ['/%68%65%61%6c%74%68%7A', 'localhost', 200],
    ['/healthz?', 'localhost', 200], ['/healthz?/login', 'localhost', 200], ['/healthz?a=%zz&=&?', 'localhost', 200],
  ]) assert.equal((await once(pipit, request('GET', target, { host, 'accept-encoding': 'gzip' }))).status, status, target);
  assert.equal(JSON.parse((await once(pipit, post('/login?user=x', '{}'))).body).error, 1003);
  assert.equal(JSON.parse((await once(pipit, post('http://localhost/%6cogin', '{}'))).body).error, 1003);
});

test('fields that nobody reads: 8 KB of cookies, a hundred of them, odd spacing, empty lines before', async () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, `value ${i}`]));
  const raw = new Raw(pipit);
  for (const fields of [{ cookie: 'c'.repeat(8192) }, many, { 'x-empty': '', accept: ' \t*/* \t ' }])
    assert.equal((await raw.write(`\r\n\r\n${request('GET', '/healthz', fields)}`).reply()).status, 200);
  const reply = await raw.write(chunked('0002;a=b;c="d e"\r\n{}\r\n000\r\nX-Sum: 1\r\n\r\n')).reply();
  assert.equal(JSON.parse(reply.body).error, 1003);
  raw.drop();
});

test('split at every position, and byte by byte, it is the same request', async () => {
  const texts = [request('GET', '/status', { cookie: 'a=b', connection: 'keep-alive' }), post('/login', '{"user":""}'), chunked(chunks('{"us', 'er":""}'))];
  for (const text of texts) {
    const pair = text + get;
    const check = async (raw) => {
      assert.equal((await raw.reply()).status, 200);
      assert.equal((await raw.reply()).body, 'ok\n');
    };
    const peers = Array.from({ length: 8 }, () => new Raw(pipit));
    await Promise.all(peers.map(async (raw, lane) => {
      for (let at = 1 + lane; at < pair.length; at += peers.length) {
        raw.write(pair.slice(0, at));
        await sleep(2);
        await check(raw.write(pair.slice(at)));
      }
      raw.drop();
    }));
    const slow = new Raw(pipit);
    for (const byte of pair) {
      slow.write(byte);
      await new Promise(setImmediate);
    }
    await check(slow);
    slow.drop();
  }
});
