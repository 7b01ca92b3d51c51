// HTTPS and WSS: everything that works in the clear, with clients that other people wrote.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { piped } from './chat_cli.mjs';
import { joinText, refused } from './chat_client.mjs';
import { curl, freshEmail } from './curl.mjs';
import { freePort } from './pipit.mjs';
import { during, grpc, RpcClient } from './rpc_peers.mjs';
import { alertIn, connect, connectRaw, got, NAME, sClient, startWithTls } from './tls.mjs';
import { sanitized } from './crowd.mjs';
import { Raw, request } from './raw.mjs';
import { configure, metrics, sets, settledSlots, slotsAtRest } from './typed.mjs';

let pipit, rest;

before(async () => {
  pipit = await startWithTls({ args: ['--set', 'api.rate=0', '--set', 'mail.budget=0', '--set', 'chat.rate=0'] });
  rest = await settledSlots(pipit);
});
after(async () => {
  await slotsAtRest(pipit, rest, { only: /tls/ });
  assert.equal(await pipit.stop(), 0);
  await pipit.tls.forget();
});

const get = `GET /healthz HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;
const secureCurl = (route, body, args = []) => curl(pipit.secure, route, { body, args: [...pipit.secure.curl, ...args] });
const secureChat = (options = {}) => joinText(pipit.secure, { ...pipit.secure.chat, ...options });
const counted = async (name) => (await metrics(pipit)).get(name);

for (const version of ['1.2', '1.3']) {
  const curlVersion = [`--tlsv${version}`, '--tls-max', version];

  test(`TLS ${version}: code, registration, login and chat, with curl and ws`, async () => {
    const api = async (route, fields) => {
      const reply = await secureCurl(route, JSON.stringify(fields), curlVersion);
      assert.equal(reply.json?.error, 0, `${route}: ${reply.text}`);
      return reply.json;
    };
    const email = freshEmail();
    const user = `curl${version.replace('.', '')}`;
    const { code } = await api('/get_verifycode', { email });
    await api('/register', { user, email, password: 'secret123', code });
    const { token } = await api('/login', { user, password: 'secret123' });
    const versions = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
    const alice = await secureChat({ ...versions, token });
    assert.equal(alice.name, user);
    const bob = await joinText(pipit);
    await alice.expect(`[system] ${bob.name} joined`);
    alice.say('over TLS');
    await bob.expect(`[${user}] over TLS`);
    bob.say('in the clear');
    await alice.expect(`[${user}] over TLS`, `[${bob.name}] in the clear`);
    await bob.leave();
    await alice.expect(`[system] ${bob.name} left`);
    assert.equal((await alice.leave()).code, 1000);
  });

  test(`TLS ${version}: a session is resumed with a ticket`, async () => {
    const flag = `-tls${version.replace('.', '_')}`;
    const file = `${pipit.tls.folder}/session-${version}`;
    const input = get;
    const first = await sClient(pipit, [flag, '-sess_out', file], { input, until: /200 OK/ });
    assert.match(first, /New, TLSv1/);
    const before_ = await counted('pipit_tls_resumed_total');
    const second = await sClient(pipit, [flag, '-sess_in', file], { input, until: /200 OK/ });
    assert.match(second, /Reused, TLSv1/);
    assert.equal(await counted('pipit_tls_resumed_total'), before_ + 1);
  });

  for (const length of [512, 4096]) {
    test(`TLS ${version}: records of ${length} bytes, when the client asks for them`, async () => {
      const output = await sClient(pipit, [`-tls${version.replace('.', '_')}`, '-maxfraglen', `${length}`], {
        input: `GET /metrics HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`,
        until: /\r\n0\r\n\r\n/,
      });
      assert.match(output, /pipit_longest_turn_us \d+/);
    });
  }

  test(`TLS ${version}: 16 KB of requests in one record are all answered`, async () => {
    const socket = await connect(pipit, { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` });
    const count = Math.floor(16000 / get.length);
    socket.write(get.repeat(count));
    socket.write(get.repeat(count));
    for (const end = Date.now() + 20_000; socket.got.split('200 OK').length <= 2 * count; await sleep(20))
      assert.ok(Date.now() < end, `${socket.got.split('200 OK').length - 1} of ${2 * count} were answered`);
    socket.end();
    await socket.over;
  });
}

test('what is older than TLS 1.2 is refused with protocol_version', async () => {
  const output = await sClient(pipit, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0']);
  assert.match(output, /alert number 70/);
});

test('ALPN: http/1.1 is agreed on, nothing is taken for it, anything else is refused', async () => {
  assert.match(await sClient(pipit, ['-alpn', 'h2,http/1.1'], { input: get, until: /200 OK/ }), /ALPN protocol: http\/1\.1/);
  assert.match(await sClient(pipit, [], { input: get, until: /200 OK/ }), /No ALPN negotiated/);
  for (const flag of ['-tls1_2', '-tls1_3']) assert.match(await sClient(pipit, [flag, '-alpn', 'h2']), /alert number 120/);
});

test('a key exchange over X25519 works too', async () => {
  assert.match(await sClient(pipit, ['-groups', 'X25519'], { input: get, until: /200 OK/ }), /X25519/);
});

test('a client that speaks HTTP in the clear gets an alert and a close', async () => {
  const socket = await connectRaw(pipit);
  socket.write(get);
  await socket.over;
  assert.equal(alertIn(socket.got)?.level, 2, socket.got.toString('latin1'));
});

test('a page of another scheme, host or port gets no chat', async () => {
  const { port } = pipit.secure;
  const from = (origin) => ({ ...pipit.secure.chat, headers: { host: `${NAME}:${port}`, origin } });
  for (const origin of [`http://${NAME}:${port}`, `https://${NAME}`, `https://evil.example:${port}`])
    assert.equal((await refused(pipit.secure, from(origin))).status, 403, origin);
  const client = await joinText(pipit.secure, from(`https://${NAME}:${port}`));
  await client.leave();
});

test('http.redirect leads plain requests to HTTPS, but for /healthz; http.hsts is said over TLS alone', async () => {
  await configure(pipit, { 'http.redirect': '1', 'http.hsts': '3600', 'https.port': '8443' });
  const get_ = async (target) => {
    const raw = new Raw(pipit);
    raw.write(request('GET', target, { host: 'localhost:8080', connection: 'close' }));
    const reply = await raw.reply();
    await raw.closed();
    return reply;
  };
  const reply = await get_('/status?a=b%20c');
  assert.equal(reply.status, 308);
  assert.equal(reply.headers.get('location'), 'https://localhost:8443/status?a=b%20c');
  assert.equal(reply.headers.get('strict-transport-security'), undefined);
  assert.equal((await get_('/healthz')).status, 200);
  assert.equal((await get_('/nowhere')).status, 404);
  const secure = await secureCurl('/healthz', undefined, ['-i']);
  assert.equal(secure.status, 200);
  assert.match(secure.text, /^Strict-Transport-Security: max-age=3600\r$/m);
  await configure(pipit, { 'http.redirect': '0', 'http.hsts': '0', 'https.port': '443' });
  assert.equal((await get_('/status')).status, 200);
});

// The longest head of a page had 262 bytes in a buffer of 256, and the chat page's 133 in one of 128: what was cut off
// took the line's end along, and the next field or the body went on in its middle.
test('the longest heads are whole: Date, a connection that closes or is kept, and HSTS', async () => {
  await configure(pipit, { 'http.hsts': '63072000' });
  const say = async (head, until) => {
    const socket = await connect(pipit);
    socket.write(`${head}\r\nHost: ${NAME}\r\n\r\n`);
    const [reply] = await got(socket, until);
    socket.destroy();
    return reply.split('\r\n\r\n')[0];
  };
  const hsts = /\r\nStrict-Transport-Security: max-age=63072000(\r\n|$)/;
  const page = await say('GET /metrics HTTP/1.1\r\nConnection: close', /^HTTP[^]*\r\n0\r\n\r\n$/);
  assert.match(page, /\r\nDate: /);
  assert.match(page, hsts);
  for (const version of ['1.0\r\nConnection: keep-alive', '1.1\r\nConnection: close']) {
    const known = await say(`GET / HTTP/${version}\r\nAccept-Encoding: gzip\r\nIf-None-Match: *`, /^HTTP[^]*\r\n\r\n/);
    assert.match(known, /^HTTP\/1.1 304 /);
    assert.match(known, hsts);
    assert.match(known, /\r\nETag: "/);
  }
  await configure(pipit, { 'http.hsts': '0' });
});

test('a chat client that does not read holds nobody up, and learns what it missed', async () => {
  const slow = await secureChat();
  const writer = await joinText(pipit);
  await slow.expect(`[system] ${writer.name} joined`);
  const watcher = await secureChat();
  slow.socket._socket.pause();
  const count = sanitized ? 4000 : 12_000;
  const text = 'x'.repeat(900);
  for (let sent = 0; sent < count; sent += 50) {
    for (let i = 0; i < 50; i++) writer.say(`${sent + i} ${text}`);
    await watcher.until((frame) => frame.startsWith(`[${writer.name}] ${sent + 49} `), 60_000);
  }
  slow.socket._socket.resume();
  writer.say('the end');
  await slow.until((frame) => frame === `[${writer.name}] the end`, 60_000);
  const numbers = slow.frames.map((frame) => Number(frame.match(/\] (\d+) x/)?.[1])).filter(Number.isInteger);
  numbers.forEach((number, i) => assert.ok(i === 0 || number > numbers[i - 1], 'in order, none twice'));
  for (const client of [slow, writer, watcher]) await client.leave();
});

/// chat_cli ///

test('chat_cli --tls: login and chat over TLS; whom nobody vouches for gets neither a password nor a word', async () => {
  const made = await pipit.account('tina');
  assert.equal(made.error, 0);
  const at = ['127.0.0.1', String(pipit.tls.port)];
  const tina = piped(['--tls', '--cacert', pipit.tls.caFile, '--user', 'tina', ...at]);
  tina.end('secret123\nhello over TLS\n');
  await tina.shows(/\[tina\] hello over TLS/, 20_000);
  assert.equal(await tina.closed, 0);
  for (const args of [[], ['--user', 'tina']]) {
    const stranger = piped(['--tls', ...args, ...at]);
    stranger.end('secret123\nhello\n');
    assert.equal(await stranger.closed, 1);
    assert.match(stranger.err, /its certificate is not trusted/);
    assert.equal(stranger.out, '');
  }
  const careless = piped(['--tls', '--insecure', ...at]);
  careless.end('hello\n');
  assert.equal(await careless.closed, 0);
  assert.match(careless.err, /the server's certificate is not checked/);
  assert.match(careless.out, /\] hello/);
});

test('chat_cli refuses a --cacert that it cannot read, and --cacert without --tls', async () => {
  for (const [args, words] of [
    [['--tls', '--cacert', '/nowhere.pem'], /cannot read the certificates to trust, \/nowhere\.pem/],
    [['--cacert', pipit.tls.caFile], /go with --tls/],
  ]) {
    const client = piped(args);
    client.end();
    assert.equal(await client.closed, 1);
    assert.match(client.err, words);
  }
});

/// gRPC ///

test('rpc.tls=1: grpc-js calls over TLS, the gate calls its own services, and a plain caller gets nowhere', async (t) => {
  const secret = 'open-sesame-0123456789';
  const port = await freePort();
  const keys = { 'rpc.listen': 'any', 'rpc.secret': secret, 'rpc.tls': 1, 'rpc.timeout': 2 };
  const machine = await startWithTls({ args: sets(keys), forwards: [[port, 50051]] });
  t.after(async () => {
    await machine.stop();
    await machine.tls.forget();
  });
  const options = { 'grpc.ssl_target_name_override': NAME, 'grpc.default_authority': NAME };
  const credentials = grpc.credentials.createSsl(Buffer.from(machine.tls.ca));
  const client = during(t, new RpcClient('message.VarifyService', port, { secret, credentials, channel: options }));
  const email = freshEmail();
  assert.equal((await client.reply('GetVarifyCode', { email })).email, email);
  const plain = during(t, new RpcClient('message.VarifyService', port, { secret }));
  await assert.rejects(plain.reply('GetVarifyCode', { email: freshEmail() }, { deadlineMs: 5000 }), /UNAVAILABLE|DEADLINE/);
  const own = await machine.post('/get_verifycode', { email: freshEmail() });
  assert.equal(own.body.error, 0);
  // HTTP/2 must be agreed on (RFC 9113 section 3.3).
  const there = { tls: { port } };
  for (const args of [['-alpn', 'http/1.1'], []]) 
    assert.match(await sClient(there, args, { until: /alert number \d+/ }), /alert number 120/);
});
