// Our gate as the client of foreign verify and status services: the original's, on npm's grpc-js, and servers that
// refuse, hang, die and send rubbish.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinText, refused, within } from './chat_client.mjs';
import { call, curl, fails, freshEmail } from './curl.mjs';
import { freePort, startPipit } from './pipit.mjs';
import {
  ACK,
  answerGrpc,
  block,
  CONTINUATION,
  DATA,
  data,
  during,
  END_HEADERS,
  END_STREAM,
  frame,
  framed,
  GOAWAY,
  HEADERS,
  headers,
  okHeaders,
  PADDED,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  rst,
  SETTINGS,
  sixDigits,
  startHandServer,
  startHttp2Server,
  startRpcServer,
  startVerifyServer,
  status,
  trailers,
  uint32,
  verifyReply,
  verifyRequest,
  WINDOW_UPDATE,
} from './rpc_peers.mjs';
import { post, Raw } from './raw.mjs';
import { configure, sets, settledSlots, slotsAtRest } from './typed.mjs';

const base = { 'dev.echo_code': 0, 'verify.cooldown': 0, 'mail.budget': 0, 'api.rate': 0, 'rpc.timeout': 2, 'log.level': 'debug' };
const at = (port) => `10.0.2.2:${port}`;

/** Starts a simulator with `keys` for `use(pipit)`. */
async function withGate(keys, use) {
  const pipit = await startPipit({ args: sets({ ...base, ...keys }) });
  try {
    await use(pipit);
    assert.equal(await pipit.stop(), 0);
  } finally {
    await pipit.stop();
  }
}

const ask = (pipit, email = freshEmail()) => call(pipit, '/get_varifycode', { email });

/** Asks until the gate has found its way to the service again: after a failure it waits before it dials (a backoff). */
async function asksAgain(pipit, ms = 15_000) {
  for (const end = Date.now() + ms; ; await sleep(100)) {
    const reply = await ask(pipit);
    if (reply.error === 0) return;
    assert.equal(reply.error, 1002, JSON.stringify(reply));
    assert.ok(Date.now() < end, `it never worked again: ${reply.message}`);
  }
}

/// The original's verify server ///

describe("the original's verify server", { concurrency: 8 }, () => {
  for (const [kind, code] of [
    ['six digits', sixDigits],
    ['four characters', () => 'aB3x'],
    ['sixteen characters', () => '0123456789abcdef'],
  ])
    test(`a verify server that makes codes of ${kind}: from asking to the chat`, async (t) => {
      let made;
      const server = during(t, await startVerifyServer(() => (made = code())));
      await withGate({ 'verify.target': at(server.port) }, async (pipit) => {
        const email = freshEmail();
        const replies = [await curl(pipit, '/get_varifycode', { body: JSON.stringify({ email }) })];
        assert.deepEqual(replies[0].json, { error: 0, email });
        assert.deepEqual(server.calls, [{ email }]);
        const account = { user: 'alice', email, password: 'secret123' };
        await fails(pipit, '/register', { ...account, code: `${made}0` }, 1005);
        for (const [route, body] of [
          ['/register', { ...account, code: made }],
          ['/login', { user: 'alice', password: 'secret123' }],
        ]) {
          replies.push(await curl(pipit, route, { body: JSON.stringify(body) }));
          assert.equal(replies.at(-1).json.error, 0, replies.at(-1).text);
        }
        const alice = await joinText(pipit, { token: replies[2].json.token });
        assert.equal(alice.name, 'alice');
        await alice.leave();
        const shown = new RegExp(`(?<![0-9a-f])${made}(?![0-9a-f])`);
        for (const { text } of replies) assert.doesNotMatch(text, shown);
        assert.doesNotMatch(pipit.console, shown);
      });
    });

  test('in development mode the foreign code is in the reply', async (t) => {
    const server = during(t, await startVerifyServer(() => 'zz99'));
    await withGate({ 'verify.target': at(server.port), 'dev.echo_code': 1 }, async (pipit) => assert.equal((await ask(pipit)).code, 'zz99'));
  });

  test('what the gate sends: a deadline, the secret where one is set, an email as it was typed', async (t) => {
    const deadlines = [];
    const server = during(
      t,
      await startVerifyServer((email, rpc) => {
        deadlines.push(rpc.getDeadline() - Date.now());
        return '123456';
      }),
    );
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 15 }, async (pipit) => {
      await ask(pipit, 'MiXed@Example.COM');
      await configure(pipit, { 'rpc.secret': 'the-secret-of-both' });
      await ask(pipit, 'пользователь@почта.рф');
      assert.deepEqual(
        server.calls.map(({ email }) => email),
        ['MiXed@Example.COM', 'пользователь@почта.рф'],
      );
      for (const ms of deadlines) assert.ok(ms > 10_000 && ms <= 15_000, `${ms}`);
      assert.deepEqual(
        server.metadata.map((fields) => fields.get('authorization')),
        [[], ['Bearer the-secret-of-both']],
      );
      assert.match(server.metadata[0].get('user-agent')[0], /\S/);
    });
  });

  test('errors of a verify server become 1002; ours come through with their sentence', async (t) => {
    let reply;
    const server = during(
      t,
      await startRpcServer({ 'message.VarifyService': { GetVarifyCode: async () => (typeof reply === 'function' ? reply() : reply) } }),
    );
    const failing = (code, details) => () => {
      throw Object.assign(new Error(details), { code, details });
    };
    await withGate({ 'verify.target': at(server.port) }, async (pipit) => {
      const before = await (async () => {
        reply = { code: '123456' };
        await ask(pipit);
        return settledSlots(pipit);
      })();
      for (const [given, error, message] of [
        [{ error: 1 }, 1002, /./],
        [{ error: 2 }, 1002, /./],
        [{ error: 1, code: '123456' }, 1002, /./],
        [{ error: -1 }, 1002, /./],
        [{ error: 1002, message: 'recipient: no such user.' }, 1002, /recipient: no such user\./],
        [{ error: 1003, message: 'The email is odd.' }, 1003, /The email is odd\./],
        [{ error: 1011, retry_after: 42 }, 1011, /./],
        [{ error: 1011, message: 'Wait.', retry_after: 7 }, 1011, /Wait\./],
        [{ error: 1002, message: 'a\r\nb\u0007c.' }, 1002, /^[^\r\n\u0007]*$/],
        [failing(status.UNIMPLEMENTED, 'no such thing'), 1002, /verify\.target|GetVarifyCode/],
        [failing(status.UNAUTHENTICATED, 'who are you?'), 1002, /rpc\.secret/],
        [failing(status.RESOURCE_EXHAUSTED, 'full'), 1002, /RESOURCE_EXHAUSTED|full/],
        [failing(status.INTERNAL, 'Ünïcödé 100 %\r\nis "broken" 😈'), 1002, /./],
        [failing(status.UNKNOWN, 'x'.repeat(3000)), 1002, /./],
        [failing(status.DEADLINE_EXCEEDED, 'late'), 1002, /time|DEADLINE/i],
      ]) {
        reply = given;
        const email = freshEmail();
        const got = await fails(pipit, '/get_varifycode', { email }, error, message);
        if (given.retry_after) assert.equal(got.retry_after, given.retry_after);
        await fails(pipit, '/register', { user: 'x', email, password: 'secret123', code: '123456' }, 1004);
      }
      for (const code of ['', 'x'.repeat(17), 'x'.repeat(100), 'line\nbreak', '日本語', 'nul\0']) {
        reply = { code };
        const email = freshEmail();
        const got = await call(pipit, '/get_varifycode', { email });
        assert.ok([1002, 1009].includes(got.error), `${JSON.stringify(code)}: ${JSON.stringify(got)}`);
      }
      reply = { code: '654321', email: 'somebody@else.example' };
      const email = freshEmail();
      assert.deepEqual(await ask(pipit, email), { error: 0, email });
      await slotsAtRest(pipit, before);
    });
  });
});

/// Servers that are not there ///

describe('servers that are not there', { concurrency: 8 }, () => {
  test('nobody listens at verify.target; then somebody does', async (t) => {
    const port = await freePort();
    await withGate({ 'verify.target': at(port) }, async (pipit) => {
      for (let i = 0; i < 3; i++) await fails(pipit, '/get_varifycode', { email: freshEmail() }, 1002, /connect/);
      const server = during(t, await startVerifyServer(sixDigits, { port }));
      await asksAgain(pipit);
    });
  });

  test('a target that is no HOST:PORT is refused at start and at the console', async (t) => {
    const server = during(t, await startVerifyServer(sixDigits));
    await withGate({ 'verify.target': at(server.port) }, async (pipit) => {
      for (const target of ['nonsense', '10.0.2.2', '10.0.2.2:', ':50051', '10.0.2.2:0', '10.0.2.2:70000', '10.0.2.2:5x']) {
        pipit.type(`set verify.target ${target}`);
        await pipit.shows(/verify\.target must [^\n]*\./);
        pipit.console = pipit.console.replaceAll('verify.target must', '');
      }
      await ask(pipit);
    });
  });

  test('a service in the same image answers too', async (t) => {
    await withGate({ 'dev.echo_code': 1 }, async (pipit) => {
      assert.match((await ask(pipit)).code, /^\d{6}$/);
      await configure(pipit, { 'verify.target': at(await freePort()) });
      await fails(pipit, '/get_varifycode', { email: freshEmail() }, 1002, /connect/);
      await configure(pipit, { 'verify.target': '127.0.0.1:50052' }); // the same server has both ports
      assert.match((await ask(pipit)).code, /^\d{6}$/);
    });
  });
});

/// Servers that misbehave: each fails with 1002 and a cause, and the next one at the same port works ///

const CODE = verifyReply({ code: '123456' });
const good = async (peer) => {
  for (let request = await peer.request(); request !== null; request = await peer.request()) peer.reply(request.stream, CODE);
};
const first = (act) => async (peer) => {
  const request = await peer.request();
  if (request !== null) await act(peer, request.stream);
  await good(peer);
};

const misbehaviour = {
  'hangs and never answers': [first(() => {}), /time/],
  'hangs after the headers': [first((peer, stream) => peer.send(okHeaders(stream))), /time/],
  'hangs in the message': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE).subarray(0, 7)))), /time/],
  'hangs before the trailers': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE)))), /time/],
  'dies in mid-call': [first((peer) => peer.reset()), /connection|UNAVAILABLE|lost/],
  'dies in the headers': [first((peer, stream) => peer.end(okHeaders(stream).subarray(0, 12))), /connection|UNAVAILABLE|lost/],
  'dies in the message': [
    first((peer, stream) => peer.end(Buffer.concat([okHeaders(stream), data(stream, framed(CODE)).subarray(0, 15)]))),
    /connection|UNAVAILABLE|lost/,
  ],
  'dies before the trailers': [
    first((peer, stream) => peer.end(Buffer.concat([okHeaders(stream), data(stream, framed(CODE))]))),
    /connection|UNAVAILABLE|lost/,
  ],
  'resets before the headers': [first((peer, stream) => peer.send(rst(stream, 2))), /./],
  'resets after the headers': [first((peer, stream) => peer.send(okHeaders(stream), rst(stream, 8))), /./],
  'resets in the message': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE).subarray(0, 7)), rst(stream, 11))), /./],
  'resets after the message': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE)), rst(stream, 2))), /./],
  'resets with an error that nobody knows': [first((peer, stream) => peer.send(rst(stream, 0xdeadbeef))), /./],
  'says an error in trailers alone': [
    first((peer, stream) =>
      peer.send(
        headers(stream, { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': 14, 'grpc-message': 'come%20back%20later' }, END_STREAM),
      ),
    ),
    /come back later|UNAVAILABLE/,
  ],
  'says OK without a message': [first((peer, stream) => peer.send(okHeaders(stream), trailers(stream))), /./],
  'says OK in trailers alone': [
    first((peer, stream) => peer.send(headers(stream, { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': 0 }, END_STREAM))),
    /./,
  ],
  'sends two messages': [
    first((peer, stream) => peer.send(okHeaders(stream), data(stream, Buffer.concat([framed(CODE), framed(CODE)])), trailers(stream))),
    /./,
  ],
  'sends a compressed message': [
    first((peer, stream) => peer.send(okHeaders(stream, { 'grpc-encoding': 'gzip' }), data(stream, framed(CODE, 1)), trailers(stream))),
    /./,
  ],
  'sends a message of 1 MB': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(Buffer.alloc(16_000), 0, 1 << 20)))), /./],
  'sends half a message and trailers': [
    first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE).subarray(0, 9)), trailers(stream))),
    /./,
  ],
  'sends a message that is none': [
    first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(Buffer.from('ffffffff', 'hex'))), trailers(stream))),
    /./,
    [1002, 1009],
  ],
  'sends an empty message': [
    first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(Buffer.alloc(0))), trailers(stream))),
    /./,
    [1002, 1009],
  ],
  'forgets grpc-status': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE)), trailers(stream, { 'x-other': 1 }))), /./],
  'ends without trailers': [first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE), END_STREAM))), /./],
  'has another content-type': [
    first((peer, stream) =>
      peer.send(headers(stream, { ':status': 200, 'content-type': 'text/html' }), data(stream, Buffer.from('<h1>hello</h1>'), END_STREAM)),
    ),
    /./,
  ],
  'says HTTP 503': [
    first((peer, stream) =>
      peer.send(headers(stream, { ':status': 503, 'content-type': 'text/plain' }), data(stream, Buffer.from('later'), END_STREAM)),
    ),
    /./,
  ],
  'says HTTP 404': [first((peer, stream) => peer.send(headers(stream, { ':status': 404 }, END_STREAM))), /./],
  'has no :status': [first((peer, stream) => peer.send(headers(stream, { 'content-type': 'application/grpc' }))), /./],
  'has field names in capitals': [first((peer, stream) => peer.send(headers(stream, { ':status': 200, 'Content-Type': 'application/grpc' }))), /./],
  'sends a grpc-message that is none': [
    first((peer, stream) =>
      peer.send(
        headers(
          stream,
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': 13, 'grpc-message': '%zz%4\u00ff %0d%0a%00 %f0%9f%98%88' },
          END_STREAM,
        ),
      ),
    ),
    /./,
  ],
  'sends a grpc-status that is none': [
    first((peer, stream) => peer.send(okHeaders(stream), data(stream, framed(CODE)), trailers(stream, { 'grpc-status': 'fine' }))),
    /./,
  ],
  'promises a push': [
    first((peer, stream) => peer.send(frame(PUSH_PROMISE, END_HEADERS, stream, Buffer.concat([uint32(2), block({ ':method': 'GET' })])))),
    /./,
  ],
  'sends a header block that cannot be read': [
    first((peer, stream) => peer.send(frame(HEADERS, END_HEADERS, stream, Buffer.from('ffffffffff', 'hex')))),
    /./,
  ],
  'sends a frame that is too large': [first((peer, stream) => peer.send(frame(DATA, 0, stream, Buffer.alloc(20_000)))), /./],
  'sends data on a stream that nobody opened': [first((peer) => peer.send(data(99, Buffer.alloc(10)))), /./],
  'overflows the window': [first((peer) => peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(0x7fffffff)))), /./],
  'sends SETTINGS that are none': [first((peer) => peer.send(frame(SETTINGS, 0, 0, Buffer.alloc(5)))), /./],
  'closes after SETTINGS': [(peer) => peer.end(), /connect|UNAVAILABLE|lost/],
  'says GOAWAY at once': [(peer) => peer.end(frame(GOAWAY, 0, 0, uint32(0, 0))), /./],
  'says GOAWAY with an error in mid-call': [
    first((peer) => peer.end(frame(GOAWAY, 0, 0, Buffer.concat([uint32(0, 11), Buffer.from('too_many_pings')])))),
    /./,
  ],
  'accepts and says nothing': [async (peer) => peer.closed, /time|connect/, [1002], { bare: true }],
  'answers with HTTP/1': [(peer) => peer.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'), /HTTP/, [1002], { bare: true }],
  'answers with rubbish': [(peer) => peer.end(randomBytes(1000).fill(0xff, 0, 9)), /./, [1002], { bare: true }],
  "answers with a mail relay's greeting": [(peer) => peer.socket.write('220 relay.example ESMTP\r\n'), /./, [1002], { bare: true }],
  'closes at once': [(peer) => peer.end(), /./, [1002], { bare: true }],
  'resets at once': [(peer) => peer.reset(), /./, [1002], { bare: true }],
  'never allows a stream': [good, /time/, [1002], { settings: Buffer.concat([Buffer.from([0, 3]), uint32(0)]) }],
};

describe('a server that', { concurrency: 8 }, () => {
  test('hangs: 1002 within the 15 s that a call has by default', async (t) => {
    const server = during(t, await startVerifyServer(() => new Promise(() => {})));
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 15 }, async (pipit) => {
      await fails(pipit, '/get_varifycode', { email: freshEmail() }, 1002, /time/);
      await server.until(() => server.cancelled === 1, 'the server was not told');
    });
  });

  for (const [what, [script, message, errors = [1002], options = {}]] of Object.entries(misbehaviour))
    test(what, async (t) => {
      const bad = during(t, await startHandServer(script, options));
      await withGate({ 'verify.target': at(bad.port), 'rpc.timeout': 1 }, async (pipit) => {
        const email = freshEmail();
        const reply = await ask(pipit, email);
        assert.ok(errors.includes(reply.error), JSON.stringify(reply));
        assert.match(reply.message, message);
        assert.match(reply.message, /\.$/);
        await fails(pipit, '/register', { user: 'x', email, password: 'secret123', code: '123456' }, 1004);
        await bad.stop();
        const better = during(t, await startVerifyServer(sixDigits, { port: bad.port }));
        await configure(pipit, { 'rpc.timeout': 5 });
        await asksAgain(pipit);
        const { error } = await ask(pipit, email);
        assert.equal(error, 0, 'the same email may ask again');
        better.stop();
        // Its connection is gone as well; what is left is only what a simulator has that never asked.
        await slotsAtRest(pipit, {}, { only: /request|call|stream/ });
      });
    });
});

const tolerable = {
  'pings much': first(async (peer, stream) => {
    peer.send(...Array.from({ length: 50 }, (none, i) => frame(PING, 0, 0, uint32(i, i))));
    peer.reply(stream, CODE);
  }),
  'pads its frames': first((peer, stream) => {
    const pad = (bytes, n) => Buffer.concat([Buffer.of(n), bytes, Buffer.alloc(n)]);
    peer.send(
      frame(HEADERS, END_HEADERS | PADDED, stream, pad(block({ ':status': 200, 'content-type': 'application/grpc' }), 200)),
      frame(DATA, PADDED, stream, pad(Buffer.alloc(0), 255)),
      frame(DATA, PADDED, stream, pad(framed(CODE), 17)),
      frame(HEADERS, END_HEADERS | END_STREAM | PADDED, stream, pad(block({ 'grpc-status': 0 }), 1)),
    );
  }),
  'cuts its message into single bytes': first((peer, stream) => {
    peer.send(okHeaders(stream), ...[...framed(CODE)].map((byte) => data(stream, Buffer.of(byte))), trailers(stream));
  }),
  'cuts its header block into CONTINUATION frames': first((peer, stream) => {
    const bytes = [...block({ ':status': 200, 'content-type': 'application/grpc', 'x-long': 'l'.repeat(100) })];
    peer.send(
      frame(HEADERS, 0, stream, Buffer.of(bytes.shift())),
      ...bytes.slice(0, 30).map((byte) => frame(CONTINUATION, 0, stream, Buffer.of(byte))),
      frame(CONTINUATION, END_HEADERS, stream, Buffer.from(bytes.slice(30))),
    );
    peer.send(data(stream, framed(CODE)), trailers(stream));
  }),
  'writes byte by byte': first((peer, stream) => peer.dribble(okHeaders(stream), data(stream, framed(CODE)), trailers(stream))),
  'says 103 first': first((peer, stream) => {
    peer.send(headers(stream, { ':status': 103, link: '</x>' }), headers(stream, { ':status': 100 }));
    peer.reply(stream, CODE);
  }),
  'sends frames that nobody knows': first((peer, stream) => {
    peer.send(
      frame(0xbe, 0xff, 0, randomBytes(300)),
      frame(0xbf, 0, stream, randomBytes(10)),
      frame(PRIORITY, 0, stream, Buffer.concat([uint32(0), Buffer.of(1)])),
    );
    peer.reply(stream, CODE);
  }),
  'sends settings that nobody knows': first((peer, stream) => {
    peer.send(
      frame(
        SETTINGS,
        0,
        0,
        Buffer.concat([Buffer.from([0xab, 0xcd]), uint32(1), Buffer.from([0, 5]), uint32(16_777_215), Buffer.from([0, 4]), uint32(0x7fffffff)]),
      ),
    );
    peer.reply(stream, CODE);
  }),
  'has 4 KB of metadata': first((peer, stream) => {
    const fields = Object.fromEntries(Array.from({ length: 8 }, (none, i) => [`x-field-${i}`, 'v'.repeat(500)]));
    peer.send(okHeaders(stream, fields), data(stream, framed(CODE)), trailers(stream, { 'grpc-status': 0, 'grpc-message': '', ...fields }));
  }),
  'adds a charset and a codec to its content-type': first((peer, stream) => {
    peer.send(headers(stream, { ':status': 200, 'content-type': 'application/grpc+proto' }), data(stream, framed(CODE)), trailers(stream));
  }),
  'refuses a stream, which it has not begun': first(async (peer, stream) => {
    peer.send(rst(stream, 7));
    await good(peer);
  }),
  'opens its window one byte at a time': async (peer) => {
    // All of the connection's first request has gone out; from now on streams begin with a window of 0.
    peer.send(frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(0)])));
    for (let got = await peer.next(); got !== null; got = await peer.next()) {
      if (got.type === SETTINGS && !(got.flags & ACK)) peer.send(frame(SETTINGS, ACK));
      if (got.type === HEADERS) peer.send(frame(WINDOW_UPDATE, 0, got.stream, uint32(1)));
      if (got.type !== DATA) continue;
      if (got.flags & END_STREAM) peer.reply(got.stream, CODE);
      else peer.send(frame(WINDOW_UPDATE, 0, got.stream, uint32(1)));
    }
  },
};

describe('a server that is odd and right: it', { concurrency: 8 }, () => {
  for (const [what, script] of Object.entries(tolerable))
    test(what, async (t) => {
      const server = during(t, await startHandServer(script));
      await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
        for (let i = 0; i < 3; i++) {
          const email = freshEmail();
          assert.deepEqual(await ask(pipit, email), { error: 0, email });
        }
        assert.equal(server.connections, 1, 'one connection is kept');
      });
      await server.stop();
    });
});

/// Servers on Node's http2 ///

const answerWell = (stream, request) => answerGrpc(stream, verifyReply({ email: verifyRequest(request).email, code: '123456' }));

describe("on Node's http2, a server with", { concurrency: 8 }, () => {
  test('GOAWAY after each call: every call works, on connections of their own', async (t) => {
    const server = during(
      t,
      await startHttp2Server((stream, request) => {
        answerWell(stream, request);
        stream.session.goaway(0, stream.id);
      }),
    );
    let sessions = 0;
    server.on('session', () => sessions++);
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
      for (let i = 0; i < 5; i++) assert.equal((await ask(pipit)).error, 0);
      assert.ok(sessions >= 2, `${sessions} connections`);
    });
  });

  test('GOAWAY while calls are under way: those that the server has go on, the others are made once more', async (t) => {
    const waiting = [];
    const server = during(
      t,
      await startHttp2Server((stream, request) => {
        if (server.calm) return answerWell(stream, request);
        waiting.push(() => answerWell(stream, request));
        if (waiting.length < 10) return;
        server.calm = true;
        stream.session.goaway(0, stream.id);
        for (const go of waiting) go();
      }),
    );
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
      const replies = await Promise.all(Array.from({ length: 20 }, () => ask(pipit)));
      for (const reply of replies) assert.equal(reply.error, 0, JSON.stringify(reply));
    });
  });

  test('MAX_CONCURRENT_STREAMS 1: 20 calls at once go one after the other', async (t) => {
    let [now, most] = [0, 0];
    const server = during(
      t,
      await startHttp2Server(
        async (stream, request) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now--;
          answerWell(stream, request);
        },
        { settings: { maxConcurrentStreams: 1 } },
      ),
    );
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
      const replies = await Promise.all(
        Array.from({ length: 20 }, () => pipit.post('/get_varifycode', { email: freshEmail() }, { connection: 'close' })),
      );
      for (const { body } of replies) assert.equal(body.error, 0, JSON.stringify(body));
      assert.equal(most, 1);
      assert.equal(server.sessions.size, 1);
    });
  });

  test('MAX_CONCURRENT_STREAMS lowered while the connection is used', async (t) => {
    const server = during(t, await startHttp2Server(answerWell));
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
      await ask(pipit);
      const [session] = server.sessions;
      session.settings({ maxConcurrentStreams: 1, initialWindowSize: 10 });
      await within(once(session, 'localSettings'), 'SETTINGS were not acknowledged');
      const replies = await Promise.all(Array.from({ length: 20 }, () => ask(pipit)));
      for (const reply of replies) assert.equal(reply.error, 0, JSON.stringify(reply));
    });
  });

  test("padding, pings and idle times of Node's http2", async (t) => {
    const server = during(t, await startHttp2Server(answerWell, { paddingStrategy: 1 }));
    await withGate({ 'verify.target': at(server.port) }, async (pipit) => {
      await ask(pipit);
      const [session] = server.sessions;
      for (let i = 0; i < 20; i++)
        await within(new Promise((done, fail) => session.ping((error) => (error ? fail(error) : done()))), 'a PING was not answered');
      for (let i = 0; i < 5; i++) assert.equal((await ask(pipit)).error, 0);
      assert.equal(server.sessions.size, 1);
    });
  });

  test('100 calls at once on one connection', async (t) => {
    const server = during(t, await startVerifyServer(sixDigits));
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 10 }, async (pipit) => {
      await ask(pipit);
      const before = await settledSlots(pipit);
      const replies = await Promise.all(
        Array.from({ length: 100 }, () => pipit.post('/get_varifycode', { email: freshEmail() }, { connection: 'close' })),
      );
      for (const { body } of replies) assert.equal(body.error, 0, JSON.stringify(body));
      await slotsAtRest(pipit, before);
    });
  });

  test('who asks and goes away: the call goes on, because the code is on its way, and the code counts', async (t) => {
    let release;
    const made = new Promise((done) => (release = () => done('314159')));
    const server = during(t, await startVerifyServer(() => made));
    await withGate({ 'verify.target': at(server.port), 'rpc.timeout': 15 }, async (pipit) => {
      const email = freshEmail();
      const asking = new Raw(pipit).write(post('/get_varifycode', JSON.stringify({ email })));
      await server.until(() => server.calls.length === 1, 'the call did not arrive');
      asking.reset();
      assert.equal((await fails(pipit, '/register', { user: 'gone', email, password: 'secret123', code: '314159' }, 1004)).error, 1004);
      release();
      for (const end = Date.now() + 5000; ; await sleep(20)) {
        const { error } = await call(pipit, '/register', { user: 'gone', email, password: 'secret123', code: '314159' });
        if (error === 0) break;
        assert.ok(error === 1004 && Date.now() < end, `${error}`);
      }
      await slotsAtRest(pipit, {}, { only: /request|call|stream/ });
    });
  });
});

/// The status service ///

function startStatusServer(answers = {}) {
  const tokens = new Map();
  let made = 0;
  const methods = {
    GetChatServer: async ({ uid }) => {
      const token = `token.of-node_${++made}~${uid}`;
      tokens.set(token, uid);
      return { error: 0, host: 'chat.example', port: '8090', token };
    },
    Login: async ({ uid, token }) => (tokens.get(token) === uid ? { error: 0, uid, token } : { error: 1010, uid, token }),
    Logout: async ({ uid, token }) => {
      for (const [each, owner] of tokens) if (owner === uid && (token === '' || token === each)) tokens.delete(each);
      return { error: 0 };
    },
    ...answers,
  };
  return startRpcServer({ 'message.StatusService': methods }).then((server) => Object.assign(server, { tokens }));
}

const withStatus = (server, use) =>
  withGate({ 'status.target': at(server.port), 'dev.echo_code': 1 }, async (pipit) => {
    const email = freshEmail();
    const { code } = await ask(pipit, email);
    assert.equal((await call(pipit, '/register', { user: 'alice', email, password: 'secret123', code })).error, 0);
    await use(pipit);
  });
const logIn = (pipit) => call(pipit, '/login', { user: 'alice', password: 'secret123' });

describe('a status service', { concurrency: 8 }, () => {
  test('a foreign status service: its host, port and token are handed out, and it is asked about every token', async (t) => {
    const server = during(t, await startStatusServer());
    await withStatus(server, async (pipit) => {
      const reply = await logIn(pipit);
      const [[token, uid]] = server.tokens;
      assert.deepEqual([reply.error, reply.uid, reply.host, reply.port], [0, uid, 'chat.example', '8090'], JSON.stringify(reply));
      assert.ok(reply.token.endsWith(token), `${reply.token} for ${token}`);
      const alice = await joinText(pipit, { token: reply.token });
      assert.equal(alice.name, 'alice');
      assert.deepEqual(server.calls.at(-1), { uid, token });
      await alice.leave();
      assert.equal((await refused(pipit, { token: `${reply.token}x` })).status, 401);
      assert.equal((await call(pipit, '/logout', '', { authorization: `Bearer ${reply.token}` })).error, 0);
      assert.equal(server.tokens.size, 0);
      assert.equal((await refused(pipit, { token: reply.token })).status, 401);
    });
  });

  test('a status service without Logout: 1009, and the rest works', async (t) => {
    const server = during(
      t,
      await startStatusServer({ Logout: () => Promise.reject(Object.assign(new Error('no'), { code: status.UNIMPLEMENTED })) }),
    );
    await withStatus(server, async (pipit) => {
      const { token } = await logIn(pipit);
      await fails(pipit, '/logout', '', 1009, /./, { authorization: `Bearer ${token}` });
      const alice = await joinText(pipit, { token });
      await alice.leave();
    });
  });

  test('a status service that refuses, hands out what is unusable, hangs or is not there: 1009, and nobody is let in', async (t) => {
    let reply;
    const server = during(t, await startStatusServer({ GetChatServer: async () => reply }));
    const good = { error: 0, host: 'h', port: '1', token: 'tttttttt' };
    await withStatus(server, async (pipit) => {
      reply = good;
      const { token, error } = await logIn(pipit);
      assert.equal(error, 0);
      const before = await settledSlots(pipit);
      for (const bad of [
        { error: 1 },
        { error: 1009 },
        { ...good, token: '' },
        { ...good, token: 'x'.repeat(65) },
        { ...good, token: 'a b' },
        { ...good, token: 'a\r\nb' },
        { ...good, host: 'h'.repeat(300) },
        { ...good, host: 'a\r\nb"c' },
        { ...good, port: '123456789' },
        { ...good, port: 'http' },
      ]) {
        reply = bad;
        const got = await logIn(pipit);
        assert.equal(got.error, 1009, `${JSON.stringify(bad)}: ${JSON.stringify(got)}`);
        assert.equal(got.token, undefined);
      }
      reply = new Promise(() => {});
      assert.equal((await logIn(pipit)).error, 1009);
      await slotsAtRest(pipit, before);
      server.stop();
      for (let i = 0; i < 3; i++) assert.equal((await logIn(pipit)).error, 1009);
      const denied = await refused(pipit, { token });
      assert.ok([401, 503].includes(denied.status), `${denied.status}`);
      await fails(pipit, '/logout', '', 1009, /./, { authorization: `Bearer ${token}` });
      const guest = await joinText(pipit); // who needs no token is not held up
      await guest.leave();
      await configure(pipit, { 'status.target': '127.0.0.1:50052' });
      assert.equal((await logIn(pipit)).error, 0);
    });
  });
});
