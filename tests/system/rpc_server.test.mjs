// Our gRPC server with foreign clients: npm's grpc-js, Node's own http2, and Debian's python3-grpcio.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { within } from './chat_client.mjs';
import { freshEmail } from './curl.mjs';
import { codeIn, held, ScriptedRelay, startRelay } from './mail_peers.mjs';
import { freePort, pipitPath, startPipit } from './pipit.mjs';
import { during, framed, grpc, rawCall, rawSession, RpcClient, status } from './rpc_peers.mjs';
import { configure, sets, settledSlots, slots, slotsAtRest } from './typed.mjs';

const run = promisify(execFile);
const secret = 'open-sesame-0123456789';
const VERIFY = 'message.VarifyService';
const STATUS = 'message.StatusService';
const HEALTH = 'grpc.health.v1.Health';
const GET_CODE = '/message.VarifyService/GetVarifyCode';
const open = { 'rpc.listen': 'any', 'rpc.secret': secret, 'verify.cooldown': 0, 'mail.budget': 0, 'api.rate': 0 };

/** A simulator whose gRPC ports are led in as pipit.verifyPort and pipit.statusPort. */
async function startServices(keys = open) {
  const [verifyPort, statusPort] = [await freePort(), await freePort()];
  const pipit = await startPipit({ args: ['--forward', `${verifyPort}:50051`, '--forward', `${statusPort}:50052`, ...sets(keys)] });
  return Object.assign(pipit, { verifyPort, statusPort });
}

let pipit;
let atFirst;
let verify;
let statusClient;
let health;
before(async () => {
  pipit = await startServices();
  atFirst = await settledSlots(pipit);
  verify = new RpcClient(VERIFY, pipit.verifyPort, { secret });
  statusClient = new RpcClient(STATUS, pipit.statusPort, { secret });
  health = new RpcClient(HEALTH, pipit.verifyPort);
});
after(async () => {
  for (const client of [verify, statusClient, health]) client.close();
  try {
    await slotsAtRest(pipit, atFirst);
  } finally {
    assert.equal(await pipit.stop(), 0);
  }
});

const answersStill = async () => {
  const email = freshEmail();
  assert.equal((await verify.reply('GetVarifyCode', { email })).email, email);
};

/// The services ///

test('GetVarifyCode in development mode: a code of six digits', async () => {
  for (const email of [freshEmail(), `${'l'.repeat(64)}@${'d'.repeat(189)}`, 'пользователь@почта.рф']) {
    const reply = await verify.reply('GetVarifyCode', { email });
    assert.deepEqual(reply, { error: 0, email, code: reply.code, message: '', retry_after: 0 });
    assert.match(reply.code, /^\d{6}$/);
  }
});

test('bad emails are 1003 with a sentence, and no code', async () => {
  for (const email of [
    '',
    'nobody',
    'a@b@c',
    'a\r\nRCPT TO:<x@y.z>@example.com',
    'a b@example.com',
    `${'l'.repeat(64)}@${'d'.repeat(190)}`,
  ]) {
    const reply = await verify.reply('GetVarifyCode', { email });
    assert.deepEqual([reply.error, reply.code], [1003, ''], JSON.stringify(reply));
    assert.match(reply.message, /email.*\.$/);
  }
  // nanopb's strings end at a NUL: these were once served as a@example.com.
  for (const email of ['a@example.com\0', 'a@example.com\0.evil'])
    await verify.refused('GetVarifyCode', { email }, status.INVALID_ARGUMENT);
});

test('the cooldown: 1011 with retry_after, for that email alone', async (t) => {
  const other = during(t, await startServices({ ...open, 'verify.cooldown': 60 }));
  const client = during(t, new RpcClient(VERIFY, other.verifyPort, { secret }));
  assert.equal((await client.reply('GetVarifyCode', { email: 'a@example.com' })).error, 0);
  const again = await client.reply('GetVarifyCode', { email: 'A@Example.com' });
  assert.deepEqual([again.error, again.code], [1011, ''], JSON.stringify(again));
  assert.ok(again.retry_after >= 1 && again.retry_after <= 60, `${again.retry_after}`);
  assert.match(again.message, /\.$/);
  assert.equal((await client.reply('GetVarifyCode', { email: 'b@example.com' })).error, 0);
  assert.equal(await other.stop(), 0);
});

test('GetChatServer, Login, Logout', async () => {
  const one = await statusClient.reply('GetChatServer', { uid: 7 });
  const two = await statusClient.reply('GetChatServer', { uid: 7 });
  assert.equal(one.error, 0, JSON.stringify(one));
  assert.match(one.token, /^[!-~]{16,64}$/);
  assert.notEqual(one.token, two.token);
  assert.deepEqual(await statusClient.reply('Login', { uid: 7, token: one.token }), { error: 0, uid: 7, token: one.token, expires_in: 86400 });
  for (const [uid, token] of [
    [8, one.token],
    [7, `${one.token}x`],
    [7, ''],
    [7, one.token.slice(1)],
    [0, one.token],
    [-7, one.token],
  ])
    assert.equal((await statusClient.reply('Login', { uid, token })).error, 1010, `${uid} ${token}`);
  assert.deepEqual(await statusClient.reply('Logout', { uid: 7, token: one.token }), { error: 0 });
  assert.equal((await statusClient.reply('Login', { uid: 7, token: one.token })).error, 1010);
  assert.equal((await statusClient.reply('Login', { uid: 7, token: two.token })).error, 0);
  await statusClient.reply('Logout', { uid: 7, token: '' });
  assert.equal((await statusClient.reply('Login', { uid: 7, token: two.token })).error, 1010);
  for (const uid of [0, -1, -2147483648]) {
    const none = await statusClient.reply('GetChatServer', { uid });
    assert.deepEqual([none.error !== 0, none.token], [true, ''], JSON.stringify(none));
  }
});

test('both ports serve every service; Health knows them and nobody else', async (t) => {
  const crossed = during(t, new RpcClient(STATUS, pipit.verifyPort, { secret }));
  assert.equal((await crossed.reply('GetChatServer', { uid: 9 })).error, 0);
  for (const port of [pipit.verifyPort, pipit.statusPort]) {
    const client = during(t, new RpcClient(HEALTH, port));
    for (const service of ['', VERIFY, STATUS]) assert.equal((await client.reply('Check', { service })).status, 'SERVING', service);
    await client.refused('Check', { service: 'message.Nothing' }, status.NOT_FOUND);
  }
});

/// Who may ///

test('without the secret, or with a wrong one: UNAUTHENTICATED, and no hint', async () => {
  const wrong = [
    undefined,
    '',
    'Bearer',
    `Bearer ${secret}x`,
    `Bearer ${secret.slice(1)}`,
    `Bearer ${secret.toUpperCase()}`,
    `Basic ${secret}`,
    secret,
  ];
  for (const [client, method, request] of [
    [verify, 'GetVarifyCode', { email: freshEmail() }],
    [statusClient, 'GetChatServer', { uid: 1 }],
    [statusClient, 'Login', { uid: 1, token: 'x' }],
    [statusClient, 'Logout', { uid: 1 }],
  ])
    for (const authorization of wrong) {
      const metadata = authorization === undefined ? {} : { authorization };
      const error = await client.refused(method, request, status.UNAUTHENTICATED, { secret: null, metadata });
      assert.ok(!error.details.includes(secret));
    }
  assert.ok(!pipit.console.includes(secret));
});

test('rpc.listen=any without a secret does not start, and says what to set', async () => {
  const error = await run(pipitPath, ['--set', 'rpc.listen=any'], { timeout: 5000 }).then(
    () => assert.fail('it started'),
    (e) => e,
  );
  assert.ok(error.code > 0, `${error.code} ${error.signal}`);
  assert.match(error.stdout + error.stderr, /rpc\.listen=any.*rpc\.secret/);
});

test('without rpc.listen=any the ports are closed to everybody else', async (t) => {
  const closed = during(t, await startServices({}));
  for (const port of [closed.verifyPort, closed.statusPort]) {
    const socket = net.connect(port, '127.0.0.1');
    let bytes = 0;
    socket.on('data', (piece) => (bytes += piece.length)).on('error', () => {});
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await within(new Promise((done) => socket.on('close', done)), 'the connection stayed');
    assert.equal(bytes, 0);
  }
  assert.equal(typeof (await closed.post('/get_varifycode', { email: 'a@example.com' })).body.code, 'string');
  assert.equal(await closed.stop(), 0);
});

/// Calls that are wrong ///

test('unknown services and methods: UNIMPLEMENTED', async () => {
  for (const at of [
    '/message.VarifyService/GetVerifyCode',
    '/message.VarifyService/getvarifycode',
    '/message.VarifyService/',
    '/message.Nothing/Get',
    '/x',
    '/',
    '/message.VarifyService/GetVarifyCode/',
    `/${'long'.repeat(200)}/Method`,
  ])
    await verify.refused(at, Buffer.alloc(0), status.UNIMPLEMENTED);
  await answersStill();
});

test('a compressed request: UNIMPLEMENTED', async (t) => {
  const client = during(
    t,
    new RpcClient(VERIFY, pipit.verifyPort, { secret, channel: { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip } }),
  );
  await client.refused('GetVarifyCode', { email: `${'a'.repeat(60)}@example.com` }, status.UNIMPLEMENTED);
  await answersStill();
});

test('a message that is too large: RESOURCE_EXHAUSTED, and the next one is served', async () => {
  for (const size of [700, 20_000, 100_000]) await verify.refused('GetVarifyCode', {}, status.RESOURCE_EXHAUSTED, { bytes: Buffer.alloc(size, 'x') });
  await answersStill();
});

test('bytes that are no message: INVALID_ARGUMENT or INTERNAL', async () => {
  const email = Buffer.from('0a05', 'hex');
  for (const bytes of [
    Buffer.from([0xff]),
    Buffer.from('0aff', 'hex'),
    email,
    Buffer.from('0a02c328', 'hex'),
    Buffer.from('0a', 'hex'),
    Buffer.from('08ffffffffffffffffffff01', 'hex'),
    Buffer.from('0b', 'hex'),
    Buffer.from('07', 'hex'),
    Buffer.concat([Buffer.from('0aac02', 'hex'), Buffer.alloc(300, 'e')]),
    Buffer.alloc(600, 0x80),
  ])
    await verify.refused('GetVarifyCode', {}, [status.INVALID_ARGUMENT, status.INTERNAL], { bytes });
  await answersStill();
});

test('fields that we do not know are skipped, of several the last counts', async () => {
  const email = freshEmail();
  const bytes = Buffer.concat([Buffer.from('a206036162632801', 'hex'), field(1, 'first@example.com'), field(1, email), field(15, 'x'.repeat(100))]);
  assert.equal((await verify.reply('GetVarifyCode', {}, { bytes })).email, email);
});

function field(number, text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

/// HTTP/2 with everything in our hand ///

describe("over Node's http2", () => {
  let session;
  const authorization = `Bearer ${secret}`;
  const request = () => framed(field(1, freshEmail()));
  before(async () => {
    session = await rawSession(pipit.verifyPort);
  });
  after(() => session.destroy());

  test('a good reply is what the protocol says: headers, one message, trailers', async () => {
    const reply = await rawCall(session, { ':path': GET_CODE, authorization }, { body: request() });
    assert.equal(reply.status, 200);
    assert.match(reply.headers['content-type'], /^application\/grpc(\+proto)?$/);
    assert.equal(reply.headers['grpc-status'], undefined);
    assert.equal(reply.trailers['grpc-status'], '0');
    assert.equal(reply.body[0], 0);
    assert.equal(reply.body.readUInt32BE(1), reply.body.length - 5);
  });

  test('an error without a message is trailers alone', async () => {
    const reply = await rawCall(session, { ':path': '/a/b', authorization }, { body: request() });
    assert.deepEqual([reply.status, reply.headers['grpc-status'], reply.body.length], [200, '12', 0]);
    assert.match(reply.headers['grpc-message'], /\S/);
  });

  test('what is not gRPC gets a readable refusal', async () => {
    for (const [fields, code] of [
      [{ ':method': 'GET', 'content-type': undefined }, 415],
      [{ 'content-type': 'application/json' }, 415],
      [{ 'content-type': 'application/grpc+json' }, 415],
      [{ 'content-type': 'application/grpcx' }, 415],
      [{ 'content-type': 'text/plain' }, 415],
      [{ ':method': 'PUT', 'content-type': 'application/grpc' }, 405],
    ]) {
      const given = Object.fromEntries(Object.entries({ ':path': GET_CODE, authorization, ...fields }).filter(([, value]) => value !== undefined));
      const reply = await rawCallOf(session, given, fields);
      assert.equal(reply.status, code, JSON.stringify(fields));
      assert.match(reply.headers['content-type'], /^text\/plain/);
      assert.ok(reply.body.length > 20, reply.body.toString());
    }
    assert.equal((await rawCall(session, { ':path': GET_CODE, authorization }, { body: request() })).trailers['grpc-status'], '0');
  });

  test('content types that are gRPC', async () => {
    for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;charset=utf-8', 'application/grpc+proto; x=y'])
      assert.equal(
        (await rawCall(session, { ':path': GET_CODE, authorization, 'content-type': type }, { body: request() })).trailers['grpc-status'],
        '0',
        type,
      );
  });

  test('framing: none, half a message, two of them, a flag that is none, in single bytes', async () => {
    const statusOf = async (body) => {
      const { headers, trailers } = await rawCall(session, { ':path': GET_CODE, authorization }, { body });
      return Number(headers['grpc-status'] ?? trailers['grpc-status']);
    };
    const one = request();
    for (const [body, codes] of [
      [undefined, [status.INTERNAL, status.UNIMPLEMENTED, status.INVALID_ARGUMENT]],
      [Buffer.alloc(3), [status.INTERNAL, status.INVALID_ARGUMENT]],
      [one.subarray(0, 12), [status.INTERNAL, status.INVALID_ARGUMENT]],
      [Buffer.concat([one, one]), [status.UNIMPLEMENTED, status.INTERNAL, status.INVALID_ARGUMENT]],
      [framed(one.subarray(5), 2), [status.INTERNAL, status.INVALID_ARGUMENT]],
      [framed(one.subarray(5), 1), [status.UNIMPLEMENTED, status.INTERNAL]], // its flag, but no grpc-encoding
      [framed(Buffer.alloc(0), 0, 0xffffffff), [status.RESOURCE_EXHAUSTED]],
    ])
      assert.ok(codes.includes(await statusOf(body)), `${body?.toString('hex')}: ${await statusOf(body)}`);
    const stream = session.request({ ':method': 'POST', ':path': GET_CODE, te: 'trailers', 'content-type': 'application/grpc', authorization });
    const trailers = once(stream, 'trailers');
    stream.resume();
    for (const byte of request()) {
      stream.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    stream.end();
    assert.equal((await within(trailers, 'no trailers'))[0]['grpc-status'], '0');
  });

  test('a deadline that passes while the request is still coming: DEADLINE_EXCEEDED', async () => {
    for (const timeout of ['1n', '1u', '50m', '1S']) {
      const stream = session.request({
        ':method': 'POST',
        ':path': GET_CODE,
        te: 'trailers',
        'content-type': 'application/grpc',
        authorization,
        'grpc-timeout': timeout,
      });
      stream.on('error', () => {});
      const [headers] = await within(once(stream, 'response'), `no answer after ${timeout}`);
      assert.equal(headers['grpc-status'], String(status.DEADLINE_EXCEEDED), timeout);
      stream.close();
    }
    for (const timeout of ['', 'x', '1', '1x', '123456789S', '-1S', '1 S']) {
      const { headers, trailers } = await rawCall(session, { ':path': GET_CODE, authorization, 'grpc-timeout': timeout }, { body: request() });
      assert.ok([3, 13].includes(Number(headers['grpc-status'] ?? trailers['grpc-status'])), `${timeout}: ${headers['grpc-status']}`);
    }
  });

  test('pings are answered', async () => {
    for (let i = 0; i < 30; i++) {
      const payload = Buffer.from(`ping ${String(i).padStart(3)}`);
      const echoed = await within(
        new Promise((done, fail) => session.ping(payload, (error, ms, bytes) => (error ? fail(error) : done(bytes)))),
        'no answer to a PING',
      );
      assert.equal(Buffer.compare(echoed, payload), 0);
    }
  });

  test('4 KB of metadata, and many fields', async () => {
    const many = Object.fromEntries(Array.from({ length: 60 }, (none, i) => [`x-field-${i}`, `value ${i}`]));
    for (const metadata of [{ 'x-long': 'v'.repeat(4096) }, many, { 'x-some-bin': Buffer.alloc(1000, 7).toString('base64') }])
      assert.equal((await rawCall(session, { ':path': GET_CODE, authorization, ...metadata }, { body: request() })).trailers['grpc-status'], '0');
  });

  test('more metadata than we announced to take is refused, and the connection lives or is made anew', async () => {
    const huge = Object.fromEntries(Array.from({ length: 10 }, (none, i) => [`x-huge-${i}`, 'h'.repeat(6000)]));
    const stream = session.request({ ':method': 'POST', ':path': GET_CODE, 'content-type': 'application/grpc', authorization, ...huge });
    const end = Promise.race([once(stream, 'response').then(([headers]) => headers[':status']), once(stream, 'error').then(() => 'error')]).catch(
      () => 'error',
    );
    stream.end(request());
    const how = await within(end, 'no answer');
    assert.ok(how === 431 || how === 'error', `${how}`);
    await answersStill();
  });
});

// rawCall() has gRPC's own fields as defaults; here some are to be missing.
async function rawCallOf(session, fields, { ':method': method }) {
  const stream = session.request({ ':method': method ?? 'POST', ...fields }, { endStream: false });
  const pieces = [];
  stream.on('data', (piece) => pieces.push(piece)).on('error', () => {});
  stream.end(method === 'GET' ? undefined : framed(Buffer.alloc(10)));
  const [headers] = await within(once(stream, 'response'), 'no answer');
  if (!stream.readableEnded) await within(once(stream, 'end'), 'no end');
  return { status: headers[':status'], headers, body: Buffer.concat(pieces) };
}

/// Many, slow, and gone ///

test('100 calls in flight on one connection', async () => {
  const replies = await Promise.all(
    Array.from({ length: 100 }, async (none, i) => [i, await verify.reply('GetVarifyCode', { email: `flight${i}@example.com` })]),
  );
  for (const [i, reply] of replies) assert.deepEqual([reply.error, reply.email], [0, `flight${i}@example.com`]);
  assert.ok(new Set(replies.map(([, reply]) => reply.code)).size > 90);
});

test('20 clients at once, and the server is empty when they have gone', async () => {
  const before = await settledSlots(pipit);
  const clients = Array.from({ length: 20 }, () => new RpcClient(VERIFY, pipit.verifyPort, { secret }));
  await Promise.all(clients.map((client, i) => client.reply('GetVarifyCode', { email: `crowd${i}@example.com` })));
  for (const client of clients) client.close();
  await slotsAtRest(pipit, before);
});

test('keepalive pings of a client that has nothing to say do no harm', async (t) => {
  const client = during(
    t,
    new RpcClient(HEALTH, pipit.verifyPort, {
      channel: { 'grpc.keepalive_time_ms': 100, 'grpc.keepalive_timeout_ms': 2000, 'grpc.keepalive_permit_without_calls': 1 },
    }),
  );
  await client.reply('Check', {});
  const connections = await pipit.metric('pipit_connections{kind="grpc"}');
  const pings = 15; // the client has no event for them
  await new Promise((done) => setTimeout(done, pings * 100));
  await client.reply('Check', {});
  assert.equal(await pipit.metric('pipit_connections{kind="grpc"}'), connections, 'it had to dial again');
});

describe('with a relay that keeps its answer', () => {
  let relay;
  let answers; // of the steps where the relay may be held
  let slow;
  let client;
  let resting;
  const fine = { MAIL: '250 ok', content: '250 queued' };
  const step = (name) => () => answers[name]?.step() ?? fine[name];
  // The conversation stays where it is when it comes to `name`; release() lets it go on.
  function hold(name) {
    const answer = held();
    const reached = relay.reached.get(name) ?? 0;
    answers = { [name]: answer };
    return { reached: () => relay.at(name, reached + 1), release: () => answer.release(fine[name]) };
  }
  before(async () => {
    answers = {};
    relay = await ScriptedRelay.start({ MAIL: step('MAIL'), content: step('content') });
    slow = await startServices({
      ...open,
      'mail.host': '10.0.2.2',
      'mail.port': relay.port,
      'mail.tls': 'none',
      'mail.from': 'chat@example.com',
      'verify.cooldown': 60,
    });
    client = new RpcClient(VERIFY, slow.verifyPort, { secret });
    await client.reply('GetVarifyCode', { email: 'warm@example.com' });
    resting = await settledSlots(slow);
  });
  after(async () => {
    client.close();
    await relay.stop();
    assert.equal(await slow.stop(), 0);
  });

  // Nothing of the call that was given up is left. The email may ask again at once, unless its letter may be out.
  async function givenUp(email, held) {
    await relay.deserted();
    await slotsAtRest(slow, resting);
    answers = {};
    const reply = await client.reply('GetVarifyCode', { email });
    assert.deepEqual([reply.error, reply.email], [held === 'content' ? 1011 : 0, email], reply.message);
    assert.match(reply.code, held === 'content' ? /^$/ : /^\d{6}$/);
  }

  for (const at of ['MAIL', 'content']) {
    test(`a deadline at ${at}: the client has DEADLINE_EXCEEDED or the reason before it, and the letter is given up`, async () => {
      const email = `deadline-${at}@example.com`;
      hold(at);
      const outcome = await client.reply('GetVarifyCode', { email }, { deadlineMs: 1500 }).catch((error) => error);
      if (outcome.code === status.DEADLINE_EXCEEDED) assert.ok(outcome instanceof Error);
      else assert.deepEqual([outcome.error, /timeout/.test(outcome.message)], [1002, true], JSON.stringify(outcome));
      await givenUp(email, at);
    });

    test(`a call cancelled at ${at} takes its letter along`, async () => {
      const email = `cancel-${at}@example.com`;
      const { reached } = hold(at);
      const abort = new AbortController();
      const call = client.refused('GetVarifyCode', { email }, status.CANCELLED, { signal: abort.signal });
      await reached();
      abort.abort();
      await call;
      await givenUp(email, at);
    });

    test(`a client whose connection is cut at ${at}`, async () => {
      const email = `killed-${at}@example.com`;
      const { reached } = hold(at);
      const session = await rawSession(slow.verifyPort);
      const fields = { ':method': 'POST', ':path': GET_CODE, te: 'trailers', 'content-type': 'application/grpc', authorization: `Bearer ${secret}` };
      const stream = session.request(fields);
      stream.on('error', () => {});
      stream.end(framed(field(1, email)));
      await reached();
      session.drop();
      await givenUp(email, at);
    });
  }

  test('40 calls wait on one connection and are answered when the relay answers', async () => {
    const { reached, release } = hold('content');
    const calls = Array.from({ length: 40 }, (none, i) => client.reply('GetVarifyCode', { email: `waits${i}@example.com` }));
    await reached();
    assert.ok(
      Object.entries(await slots(slow)).some(([name, used]) => /rpc/.test(name) && used >= 40),
      JSON.stringify(await slots(slow)),
    );
    release();
    for (const [i, reply] of (await Promise.all(calls)).entries()) assert.deepEqual([reply.error, reply.email], [0, `waits${i}@example.com`]);
    await slotsAtRest(slow, resting);
  });

  test('the server stops with calls under way: the client is told, not left waiting', async (t) => {
    const dying = during(
      t,
      await startServices({ ...open, 'mail.host': '10.0.2.2', 'mail.port': relay.port, 'mail.tls': 'none', 'mail.from': 'chat@example.com' }),
    );
    const caller = during(t, new RpcClient(VERIFY, dying.verifyPort, { secret }));
    const { reached } = hold('content');
    const call = caller.reply('GetVarifyCode', { email: 'dying@example.com' }).catch((error) => error);
    await reached();
    assert.equal(await dying.stop(), 0);
    const outcome = await call;
    const told =
      outcome instanceof Error
        ? [status.UNAVAILABLE, status.CANCELLED, status.INTERNAL].includes(outcome.code)
        : outcome.error === 1002 && outcome.code === '';
    assert.ok(told, `${outcome.code} ${outcome.message}`);
  });
});

test('with a relay the reply has the code that was mailed, and the console does not', async (t) => {
  const relay = during(t, await startRelay());
  const mailing = during(
    t,
    await startServices({ ...open, 'mail.host': '10.0.2.2', 'mail.port': relay.port, 'mail.tls': 'none', 'mail.from': 'chat@example.com' }),
  );
  const client = during(t, new RpcClient(VERIFY, mailing.verifyPort, { secret }));
  const reply = await client.reply('GetVarifyCode', { email: 'a@example.com' });
  assert.equal(reply.code, codeIn(await relay.inbox.next()));
  assert.ok(!mailing.console.includes(reply.code));
  await relay.stop();
  await configure(mailing, { 'rpc.timeout': 2 });
  const failed = await client.reply('GetVarifyCode', { email: 'b@example.com' }, { deadlineMs: 3000 });
  assert.deepEqual([failed.error, failed.code, /connect/.test(failed.message)], [1002, '', true], JSON.stringify(failed));
  assert.equal(await mailing.stop(), 0);
});

/// A second implementation ///

test('python3-grpcio: the same core calls', async () => {
  const script = path.join(import.meta.dirname, 'grpc_client.py');
  const { stdout } = await run('/usr/bin/python3', ['-B', script, 'services', String(pipit.verifyPort), String(pipit.statusPort), secret], {
    timeout: 60_000,
  });
  assert.deepEqual(JSON.parse(stdout), {
    health: 'SERVING',
    code: true,
    bad_email: 1003,
    login: [0, 0, 0, 1010],
    no_secret: 'UNAUTHENTICATED',
    wrong_secret: 'UNAUTHENTICATED',
    unknown_method: 'UNIMPLEMENTED',
    too_large: 'RESOURCE_EXHAUSTED',
    compressed: 'UNIMPLEMENTED',
    in_flight: 100,
  });
});
