// HTTP/2 as the wire has it, from outside: every case of the conformance suite h2spec in its strict mode, told again in
// terms of RFC 9113 and RFC 7541, and what RFC 9113 and the floods of the years since then ask for beyond it.
//
// H2_TARGET=HOST:PORT tests another server, which must answer GET / with a body of at least 5 octets, whatever the
// status. As in h2spec, where an error is due an error with the right code or the end of the connection will do, and
// where a stream error is due a connection error will. What the server sends is held to the RFC in every case.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as h2 from './h2_frames.mjs';
import { Code, codeName, Http2, continuation, data, frame, goaway, headers, ping, priority, pushPromise, reset, settings, windowUpdate } from './h2_frames.mjs';
import { freePort, startPipit } from './pipit.mjs';

const { PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM } = Code;

const [targetHost, targetPort] = (process.env.H2_TARGET ?? '').split(':');
const target = { host: targetHost, port: Number(targetPort) };
let pipit;
let ordinary; // the answer to GET /

before(async () => {
  if (!process.env.H2_TARGET) {
    const port = await freePort();
    const keys = ['rpc.listen=any', 'rpc.secret=open sesame'].flatMap((key) => ['--set', key]);
    pipit = await startPipit({ args: ['--forward', `${port}:50051`, ...keys] });
    Object.assign(target, { host: '127.0.0.1', port });
  }
  ordinary = await conversation(async (c) => {
    c.send(headers(1, get()));
    await expectEvent(c, 'an answer to GET /', ends(1));
    return c.response(1);
  });
  assert.ok(ordinary.length >= 5, `GET / is answered with ${ordinary.length} octets; the tests need 5`);
});
after(async () => {
  if (!pipit) return;
  const left = () => pipit.metric('pipit_connections{kind="grpc"}');
  const deadline = Date.now() + 5000;
  while ((await left()) > 0 && Date.now() < deadline) await sleep(50);
  const stayed = await left();
  assert.equal(await pipit.stop(), 0);
  assert.equal(stayed, 0, 'connections were left behind');
});

/// Conversations ///

async function conversation(run, { greets = true } = {}) {
  const c = new Http2(target);
  try {
    if (greets) await c.handshake();
    const result = await run(c);
    assert.deepEqual(c.violations, [], 'what the server has sent is against the RFC');
    return result;
  } catch (error) {
    error.message = `${error.message}\n${c.transcript()}`;
    throw error;
  } finally {
    c.destroy();
  }
}

async function expectEvent(c, what, match) {
  const event = await c.event(match);
  assert.ok(event, `${what} did not come`);
  return event;
}

const isAck = (event) => (event.flags & h2.ACK) !== 0;
const is = (type, more = () => true) => (event) => event.type === type && more(event);
const ends = (stream) => (event) =>
  (event.stream === stream && (event.type === h2.DATA || event.type === h2.HEADERS) && (event.flags & h2.END_STREAM) !== 0) ||
  (event.stream === stream && event.type === h2.RST_STREAM && errorOf(event) === Code.NO_ERROR);
const errorOf = (event) => event.payload.readUInt32BE(event.type === h2.GOAWAY ? 4 : 0);

/// Expectations ///

const told = { 'GOAWAY with the code': 0, 'RST_STREAM with the code': 0, 'the end of the connection': 0 };

async function expectError(c, codes, stream) {
  const event = await c.event(
    (each) =>
      each.closed ||
      (each.type === h2.GOAWAY && codes.includes(errorOf(each))) ||
      (stream !== undefined && each.type === h2.RST_STREAM && (stream === 0 || each.stream === stream) && codes.includes(errorOf(each))),
  );
  assert.ok(event, `${stream === undefined ? 'no connection error' : 'no error'} ${codes.map(codeName).join(' or ')}`);
  const how = event.closed ? 'the end of the connection' : `${event.type === h2.GOAWAY ? 'GOAWAY' : 'RST_STREAM'} with the code`;
  told[how]++;
}

const connectionError = (...codes) => (c) => expectError(c, codes);
const streamError = (...codes) => (c) => expectError(c, codes, 1);
const streamErrorOn = (stream, ...codes) => (c) => expectError(c, codes, stream);

const responds = async (c) => {
  const event = await expectEvent(c, 'a response', is(h2.HEADERS));
  assert.equal(event.stream, 1, 'the stream of the response');
};
// Whatever the answer is.
const answers = (...streams) => async (c) => {
  for (const stream of streams) {
    assert.ok(await c.until(() => c.response(stream).ended), `the response on stream ${stream} did not end`);
    assert.ok(c.response(stream).status < 500, `a status of ${c.response(stream).status}`);
  }
};
// To GET /: what it always is.
const respondsOn = (...streams) => async (c) => {
  await answers(...streams)(c);
  for (const stream of streams) assert.deepEqual([c.response(stream).status, c.response(stream).body], [ordinary.status, ordinary.body], `stream ${stream}`);
};
const pongs = async (c) => {
  const payload = Buffer.from('and now?');
  c.send(ping(payload));
  const event = await expectEvent(c, 'the answer to PING', is(h2.PING));
  assert.ok(isAck(event) && event.payload.equals(payload), 'the answer to PING is another one');
};
const pongsOrEnds = async (c) => {
  const payload = Buffer.from('and now?');
  c.send(ping(payload));
  await expectEvent(c, 'the answer to PING, or the end', (each) => each.closed || (each.type === h2.PING && isAck(each) && each.payload.equals(payload)));
};
const anyPong = (c) => expectEvent(c, 'a PING', is(h2.PING));
const acknowledged = async (c) => {
  const event = await expectEvent(c, 'an acknowledgement of SETTINGS', is(h2.SETTINGS));
  assert.ok(isAck(event), 'SETTINGS, but no acknowledgement');
};
const closed = (c) => expectEvent(c, 'the end of the connection', (each) => each.closed);
const someData = (c) => expectEvent(c, 'DATA', is(h2.DATA));
const oneOctet = async (c) => {
  const event = await someData(c);
  assert.equal(event.payload.length, 1, 'the length of DATA');
};
const streamOver = (c) => expectEvent(c, 'the end of the stream', ends(1));

/// Requests ///

const pseudo = (method = 'GET') => [[':method', method], [':scheme', 'http'], [':path', '/'], [':authority', `${target.host}:${target.port}`]];
const get = (...more) => [...pseudo(), ...more];
const post = (...more) => [...pseudo('POST'), ...more];
const without = (name) => pseudo().filter((field) => field[0] !== name);
const filler = (count = 1) => Array.from({ length: count }, (_, i) => [`x-filler-${i}`, 'x'.repeat(4000)]);
const blockOf = (...parts) => Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : h2.block(part))));
const window = (...sizes) => settings(sizes.map((size) => [h2.INITIAL_WINDOW_SIZE, size]));
const open = { end: false };
const goesOn = { endHeaders: false };
const unfinished = { ...open, ...goesOn };

/// The table ///

// A row: what is sent; how, when that takes more than one step; what must come.
function rows(section, ...list) {
  for (const [sent, sends, expects, options] of list) {
    test(`${section}: ${sent}`, (t) =>
      conversation(async (c) => {
        if ((await sends(c, t)) === 'skip') return;
        await expects(c, t);
      }, options));
  }
}
const bare = { greets: false };
const greeting = (c) => c.raw(h2.PREFACE, 'the preface').send(window(h2.WINDOW));
const comesFirst = async (c) => {
  const first = await c.event(() => true);
  assert.ok(first?.type === h2.SETTINGS && !isAck(first), `${first?.text ?? 'nothing'} instead of SETTINGS`);
};
const atOnce = { concurrency: Number(process.env.H2_AT_ONCE ?? 8) }; // connections

describe('what everybody must take', atOnce, () => {
  rows('9113 3.4', ['the preface', greeting, comesFirst, bare]);

  rows(
    '9113 5.1',
    ['PRIORITY on an idle stream', (c) => c.send(priority(1, { weight: 256 })), pongs],
    ['WINDOW_UPDATE on a half-closed (remote) stream', (c) => c.send(window(0), headers(1, get()), windowUpdate(1, 1)), someData],
    ['PRIORITY on a half-closed (remote) stream', (c) => c.send(window(0), headers(1, get()), priority(1, { weight: 256 }), windowUpdate(1, 1)), someData],
    ['RST_STREAM on a half-closed (remote) stream', (c) => c.send(headers(1, get()), reset(1)), pongs],
    ['PRIORITY on a closed stream', async (c) => {
      await streamOver(c.send(headers(1, get())));
      c.send(priority(1, { weight: 256 }));
    }, pongs],
  );

  rows(
    '9113 6.1',
    ['DATA', (c) => c.send(headers(1, post(), open), data(1, 'test')), responds],
    ['DATA twice', (c) => c.send(headers(1, post(), open), data(1, 'test', open), data(1, 'test')), responds],
    ['DATA with padding', (c) => c.send(headers(1, post(), open), data(1, 'test', { pad: 6 })), responds],
  );
  rows(
    '9113 6.2',
    ['HEADERS', (c) => c.send(headers(1, get())), responds],
    ['HEADERS with padding', (c) => c.send(headers(1, get(), { pad: 8 })), responds],
    ['HEADERS with a priority', (c) => c.send(headers(1, get(), { priority: { weight: 256 } })), responds],
  );
  rows(
    '9113 6.3',
    ['PRIORITY with the least weight', (c) => c.send(priority(1, { weight: 1 }), headers(1, get())), responds],
    ['PRIORITY with the most weight', (c) => c.send(priority(1, { weight: 256 }), headers(1, get())), responds],
    ['PRIORITY that depends on another stream', (c) => c.send(priority(3, { dependency: 1, weight: 1 }), headers(1, get())), responds],
    ['PRIORITY, exclusive', (c) => c.send(priority(1, { exclusive: true, weight: 1 }), headers(1, get())), responds],
    ['PRIORITY on an idle stream, then HEADERS on a lower one', (c) => c.send(priority(3, { weight: 256 }), headers(1, get())), responds],
  );
  rows('9113 6.4', ['RST_STREAM', (c) => c.send(headers(1, get(), open), reset(1)), pongs]);
  const defaults = [
    [h2.HEADER_TABLE_SIZE, 4096], [h2.ENABLE_PUSH, 1], [h2.MAX_CONCURRENT_STREAMS, 100],
    [h2.INITIAL_WINDOW_SIZE, 65535], [h2.MAX_FRAME_SIZE, 16384], [h2.MAX_HEADER_LIST_SIZE, 100],
  ];
  rows('9113 6.5', ['SETTINGS with all that are defined', (c) => c.send(settings(defaults)), acknowledged]);
  rows('9113 6.7', ['PING', (c) => c, pongs]);
  rows('9113 6.8', ['GOAWAY', (c) => c.send(goaway(0, Code.NO_ERROR, 'good bye')), pongsOrEnds]);
  rows(
    '9113 6.9',
    ['WINDOW_UPDATE of the connection', (c) => c.send(windowUpdate(0, 1)), pongs],
    ['WINDOW_UPDATE of a stream', (c) => c.send(headers(1, get()), windowUpdate(1, 1)), responds],
  );
  const cut = (c, ...at) => {
    const block = h2.block(get());
    const pieces = [0, ...at].map((from, i) => block.subarray(from, at[i] ?? block.length));
    c.send(headers(1, pieces[0], { endHeaders: false }), ...pieces.slice(1).map((piece, i) => continuation(1, piece, { endHeaders: i === at.length - 1 })));
  };
  rows(
    '9113 6.10',
    ['CONTINUATION', (c) => cut(c, 5), responds],
    ['CONTINUATION twice', (c) => cut(c, 5, 10), responds],
  );

  rows(
    '9113 8.1',
    ['GET', (c) => c.send(headers(1, get())), responds],
    ['HEAD', (c) => c.send(headers(1, pseudo('HEAD'))), responds],
    ['POST', (c) => c.send(headers(1, post(), open), data(1, 'test')), responds],
    ['POST with trailers', (c) => c.send(headers(1, post(['trailer', 'x-test']), open), data(1, 'test', open), headers(1, [['x-test', 'ok']])), responds],
  );

  const field = (representation) => (c) => c.send(headers(1, blockOf(get(), representation)));
  rows('7541 6.1', ['an indexed field', field(h2.indexed(58)), responds]);
  for (const [section, kind, what] of [['6.2.1', 'incremental', 'with incremental indexing'], ['6.2.2', 'without', 'without indexing'], ['6.2.3', 'never', 'never indexed']]) {
    for (const coded of [false, true]) {
      const how = coded ? ', Huffman-coded' : '';
      rows(
        `7541 ${section}`,
        [`a literal ${what}, the name indexed${how}`, field(h2.literal(58, 'pipit', { kind, coded })), responds],
        [`a literal ${what}, the name known but spelt out${how}`, field(h2.literal('user-agent', 'pipit', { kind, coded })), responds],
        [`a literal ${what}, a new name${how}`, field(h2.literal('x-test', 'pipit', { kind, coded })), responds],
      );
    }
  }
  rows(
    '7541 6.3',
    ['a table size update', (c) => c.send(headers(1, blockOf(h2.tableSize(128), get()))), responds],
    ['two table size updates', (c) => c.send(headers(1, blockOf(h2.tableSize(128), h2.tableSize(4096), get()))), responds],
  );
});

describe('RFC 9113', atOnce, () => {
  rows(
    '9113 3.4',
    ['the preface is answered with SETTINGS first', greeting, comesFirst, bare],
    ['something else than the preface', (c) => c.raw(Buffer.from('SOMETHING ELSE THAN A PREFACE\r\n\r\n'), 'something else'), connectionError(PROTOCOL_ERROR), bare],
  );

  const unknown = () => frame(0x16, 0, 0, Buffer.alloc(8));
  rows(
    '9113 4.1',
    ['a frame of an unknown type', (c) => c.send(unknown()), pongs],
    ['PING with undefined flags', (c) => c.send(ping('8 octets', 0x16)), anyPong],
    ['PING with the reserved bit', (c) => c.send(frame(h2.PING, 0x16, 0, '8 octets', { reserved: true })), anyPong],
  );
  rows(
    '9113 4.2',
    ['DATA of 2^14 octets', (c) => c.send(headers(1, post(), open), data(1, Buffer.alloc(h2.FRAME_MAX))), responds],
    ['DATA longer than SETTINGS_MAX_FRAME_SIZE', (c) => c.send(headers(1, post(), open), data(1, Buffer.alloc(c.maxFrameSize + 1))), streamError(FRAME_SIZE_ERROR)],
    ['HEADERS longer than SETTINGS_MAX_FRAME_SIZE', (c) => {
      const fields = h2.block([...get(), ...filler(Math.floor(c.maxFrameSize / 4000))]);
      const rest = c.maxFrameSize + 1 - fields.length;
      return c.send(headers(1, blockOf(fields, rest > 9 ? [['x-rest', 'x'.repeat(rest)]] : filler())));
    }, connectionError(FRAME_SIZE_ERROR)],
  );
  rows(
    '9113 4.3',
    ['a header block that is cut off', (c) => c.send(headers(1, Buffer.from([0x40]))), connectionError(COMPRESSION_ERROR)],
    ['PRIORITY within a header block', (c) => c.send(headers(1, get(), unfinished), priority(1), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS of another stream within a header block', (c) => c.send(headers(1, get(), unfinished), headers(3, get()), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
  );

  rows(
    '9113 5.1 idle',
    ['DATA', (c) => c.send(data(1, 'test')), connectionError(PROTOCOL_ERROR)],
    ['RST_STREAM', (c) => c.send(reset(1)), connectionError(PROTOCOL_ERROR)],
    ['WINDOW_UPDATE', (c) => c.send(windowUpdate(1, 100)), connectionError(PROTOCOL_ERROR)],
    ['CONTINUATION', (c) => c.send(continuation(1, get())), connectionError(PROTOCOL_ERROR)],
  );
  rows(
    '9113 5.1 half-closed (remote)',
    ['DATA', (c) => c.send(headers(1, get()), data(1, 'test')), streamError(STREAM_CLOSED)],
    ['HEADERS', (c) => c.send(headers(1, get()), headers(1, get())), streamError(STREAM_CLOSED)],
    ['CONTINUATION', (c) => c.send(headers(1, get()), continuation(1, get())), streamError(STREAM_CLOSED, PROTOCOL_ERROR)],
  );
  rows(
    '9113 5.1 closed by RST_STREAM',
    ['DATA', (c) => c.send(headers(1, get(), open), reset(1), data(1, 'test')), streamError(STREAM_CLOSED)],
    ['HEADERS', (c) => c.send(headers(1, get(), open), reset(1), headers(1, get())), streamError(STREAM_CLOSED)],
    ['CONTINUATION', (c) => c.send(headers(1, get(), open), reset(1), continuation(1, filler())), streamError(STREAM_CLOSED, PROTOCOL_ERROR)],
  );
  const onceOver = (...frames) => async (c) => {
    await streamOver(c.send(headers(1, get())));
    c.send(...frames);
  };
  rows(
    '9113 5.1 closed by END_STREAM',
    ['DATA', onceOver(data(1, 'test')), streamError(STREAM_CLOSED)],
    ['HEADERS', async (c) => onceOver(headers(1, get()))(c), connectionError(STREAM_CLOSED)],
    ['CONTINUATION', onceOver(continuation(1, filler())), connectionError(STREAM_CLOSED, PROTOCOL_ERROR)],
  );
  rows(
    '9113 5.1.1',
    ['HEADERS on an even stream', (c) => c.send(headers(2, get())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS on a lower stream than before', (c) => c.send(headers(5, get()), headers(3, get())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS again on the same stream', (c) => c.send(headers(5, get()), headers(5, get())), streamErrorOn(5, STREAM_CLOSED)],
  );
  rows('9113 5.1.2', ['one stream more than SETTINGS_MAX_CONCURRENT_STREAMS', (c, t) => {
    const most = c.settings.get(h2.MAX_CONCURRENT_STREAMS);
    if (most === undefined || most > 10_000) return t.skip(`the server announces ${most ?? 'no limit'}`) ?? 'skip';
    c.send(window(0), ...Array.from({ length: most + 1 }, (_, i) => headers(2 * i + 1, get())));
  }, streamErrorOn(0, PROTOCOL_ERROR, REFUSED_STREAM)]);
  rows(
    '7540 5.3.1', // RFC 9113 section 5.3.2 deprecates priorities, and allows to treat them as before
    ['HEADERS that depend on themselves', (c) => c.send(headers(1, get(), { priority: { dependency: 1, weight: 256 } })), streamError(PROTOCOL_ERROR)],
    ['PRIORITY that depends on itself', (c) => c.send(priority(1, { dependency: 1, weight: 256 })), streamError(PROTOCOL_ERROR)],
  );
  rows(
    '9113 5.4.1',
    ['a connection error ends the connection', (c) => c.send(frame(h2.PING, 0, 3, '8 octets')), closed],
    ['a connection error is told by GOAWAY', (c) => c.send(frame(h2.PING, 0, 3, '8 octets')), (c) => expectEvent(c, 'GOAWAY', is(h2.GOAWAY))],
  );
  rows(
    '9113 5.5',
    ['a frame of an extension', (c) => c.send(unknown()), pongs],
    ['a frame of an extension within a header block', (c) => c.send(headers(1, get(), goesOn), unknown()), connectionError(PROTOCOL_ERROR)],
  );

  rows(
    '9113 6.1',
    ['DATA on stream 0', (c) => c.send(data(0, 'test')), connectionError(PROTOCOL_ERROR)],
    ['DATA on a stream that is neither open nor half-closed (local)', (c) => c.send(headers(1, post()), data(1, 'test')), streamError(STREAM_CLOSED)],
    ['DATA with more padding than payload', (c) => {
      c.send(headers(1, post(['content-length', '4']), open), frame(h2.DATA, h2.END_STREAM | h2.PADDED, 1, '\x06Test'));
    }, connectionError(PROTOCOL_ERROR)],
  );
  const tooPadded = () => {
    const block = h2.block(get());
    return frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS | h2.PADDED, 1, Buffer.concat([Buffer.from([block.length + 1]), block]));
  };
  rows(
    '9113 6.2',
    ['HEADERS without END_HEADERS, then PRIORITY', (c) => c.send(headers(1, get(), unfinished), priority(1, { weight: 256 }), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS without END_HEADERS, then HEADERS on another stream', (c) => c.send(headers(1, get(), unfinished), headers(3, get()), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS on stream 0', (c) => c.send(headers(0, get())), connectionError(PROTOCOL_ERROR)],
    ['HEADERS with more padding than payload', (c) => c.send(tooPadded()), connectionError(PROTOCOL_ERROR)],
  );
  rows(
    '9113 6.3',
    ['PRIORITY on stream 0', (c) => c.send(priority(0, { weight: 256 })), connectionError(PROTOCOL_ERROR)],
    ['PRIORITY of 4 octets', (c) => c.send(headers(1, get()), frame(h2.PRIORITY, 0, 1, h2.uint32(0x80000001))), streamError(FRAME_SIZE_ERROR)],
    ['PRIORITY on an idle stream, then HEADERS on a lower one', (c) => c.send(priority(3, { weight: 256 }), headers(1, get())), (c) => expectEvent(c, 'a response', is(h2.HEADERS))],
  );
  rows(
    '9113 6.4',
    ['RST_STREAM on stream 0', (c) => c.send(reset(0)), connectionError(PROTOCOL_ERROR)],
    ['RST_STREAM on an idle stream', (c) => c.send(reset(1)), connectionError(PROTOCOL_ERROR)],
    ['RST_STREAM of 3 octets', (c) => c.send(headers(1, get()), frame(h2.RST_STREAM, 0, 1, Buffer.alloc(3))), connectionError(FRAME_SIZE_ERROR)],
  );
  const setting = (id, value, ...error) => [`setting ${id} of ${value}`, (c) => c.send(settings([[id, value]])), error.length > 0 ? connectionError(...error) : pongs];
  rows(
    '9113 6.5',
    ['an acknowledgement with a payload', (c) => c.send(frame(h2.SETTINGS, h2.ACK, 0, '\0')), connectionError(FRAME_SIZE_ERROR)],
    ['SETTINGS on a stream', (c) => c.send(frame(h2.SETTINGS, 0, 1, '\0\x03\0\0\0\x64')), connectionError(PROTOCOL_ERROR)],
    ['SETTINGS of 3 octets', (c) => c.send(frame(h2.SETTINGS, 0, 0, '\0\x03\0')), connectionError(PROTOCOL_ERROR, FRAME_SIZE_ERROR)],
  );
  rows(
    '9113 6.5.2',
    setting(h2.ENABLE_PUSH, 2, PROTOCOL_ERROR),
    setting(h2.INITIAL_WINDOW_SIZE, 2 ** 31, FLOW_CONTROL_ERROR),
    setting(h2.MAX_FRAME_SIZE, 16383, PROTOCOL_ERROR),
    setting(h2.MAX_FRAME_SIZE, 2 ** 24, PROTOCOL_ERROR),
    setting(0xff, 1),
  );
  rows(
    '9113 6.5.3',
    ['two values of SETTINGS_INITIAL_WINDOW_SIZE', async (c) => {
      await acknowledged(c.send(window(100, 1)));
      c.send(headers(1, get()));
    }, oneOctet],
    ['SETTINGS', (c) => c.send(settings([[h2.ENABLE_PUSH, 0]])), acknowledged],
  );
  rows(
    '9113 6.7',
    ['PING', (c) => c, pongs],
    ['an answer to no PING, then PING', (c) => c.send(ping('nothing!', h2.ACK)), pongs],
    ['PING on a stream', (c) => c.send(frame(h2.PING, 0, 1, '8 octets')), connectionError(PROTOCOL_ERROR)],
    ['PING of 6 octets', (c) => c.send(ping('6 only')), connectionError(FRAME_SIZE_ERROR)],
  );
  rows('9113 6.8', ['GOAWAY on a stream', (c) => c.send(frame(h2.GOAWAY, 0, 1, Buffer.alloc(8))), connectionError(PROTOCOL_ERROR)]);
  rows(
    '9113 6.9',
    ['WINDOW_UPDATE of 0', (c) => c.send(windowUpdate(0, 0)), connectionError(PROTOCOL_ERROR)],
    ['WINDOW_UPDATE of 0 on a stream', (c) => c.send(headers(1, get(), open), windowUpdate(1, 0)), streamError(PROTOCOL_ERROR)],
    ['WINDOW_UPDATE of 3 octets', (c) => c.send(frame(h2.WINDOW_UPDATE, 0, 0, '\0\0\x01')), connectionError(FRAME_SIZE_ERROR)],
  );
  const most = h2.WINDOW_MAX;
  rows(
    '9113 6.9.1',
    ['a window of 1', async (c) => {
      await acknowledged(c.send(window(1)));
      c.send(headers(1, get()));
    }, oneOctet],
    ['WINDOW_UPDATEs above 2^31-1', (c) => c.send(windowUpdate(0, most), windowUpdate(0, most)), async (c) => {
      const event = await expectEvent(c, 'GOAWAY', is(h2.GOAWAY));
      assert.equal(codeName(errorOf(event)), 'FLOW_CONTROL_ERROR');
    }],
    ['WINDOW_UPDATEs above 2^31-1 on a stream', (c) => c.send(headers(1, get(), open), windowUpdate(1, most), windowUpdate(1, most)), async (c) => {
      const event = await expectEvent(c, 'RST_STREAM', is(h2.RST_STREAM));
      assert.deepEqual([event.stream, codeName(errorOf(event))], [1, 'FLOW_CONTROL_ERROR']);
    }],
  );
  rows(
    '9113 6.9.2',
    ['a window of 0, opened to 1 after HEADERS', async (c) => {
      await acknowledged(c.send(window(0)));
      c.send(headers(1, get()), window(1));
    }, oneOctet],
    ['a window that becomes negative', async (c) => {
      await acknowledged(c.send(window(3)));
      await someData(c.send(headers(1, get())));
      await acknowledged(c.send(window(2)));
      c.send(windowUpdate(1, 2));
    }, oneOctet],
    ['SETTINGS_INITIAL_WINDOW_SIZE of 2^31', (c) => c.send(frame(h2.SETTINGS, 0, 0, '\0\x04\x80\0\0\0'.split('').map((l) => l.charCodeAt(0)))), connectionError(FLOW_CONTROL_ERROR)],
  );
  rows(
    '9113 6.10',
    ['HEADERS and two CONTINUATIONs of 4,000 octets', (c) => c.send(headers(1, get(), goesOn), continuation(1, filler(), goesOn), continuation(1, filler())), responds],
    ['CONTINUATION, then DATA', (c) => c.send(headers(1, post(), unfinished), continuation(1, filler(), goesOn), data(1, 'test')), connectionError(PROTOCOL_ERROR)],
    ['CONTINUATION on stream 0', (c) => c.send(headers(1, get(), goesOn), continuation(0, filler())), connectionError(PROTOCOL_ERROR)],
    ['CONTINUATION after HEADERS with END_HEADERS', (c) => c.send(headers(1, get()), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
    ['CONTINUATION after CONTINUATION with END_HEADERS', (c) => c.send(headers(1, get(), goesOn), continuation(1, filler()), continuation(1, filler())), connectionError(PROTOCOL_ERROR)],
    ['CONTINUATION after DATA', (c) => c.send(headers(1, post(), unfinished), data(1, 'test'), continuation(1, filler(), goesOn), continuation(0, filler())), connectionError(PROTOCOL_ERROR)],
  );

  rows(
    '9113 7',
    ['GOAWAY with an unknown code', (c) => c.send(goaway(0, 0xff)), pongsOrEnds],
    ['RST_STREAM with an unknown code', (c) => c.send(headers(1, post(), open), reset(1, 0xff)), pongs],
  );

  rows('9113 8.1', ['trailers without END_STREAM', (c) => c.send(headers(1, post(), open), data(1, 'test', open), headers(1, [['x-test', 'ok']], open)), streamError(PROTOCOL_ERROR)]);
  const malformed = (sent, fields) => [sent, (c) => c.send(headers(1, fields())), streamError(PROTOCOL_ERROR)];
  rows('9113 8.2.1', malformed('a name in upper case', () => get(['X-TEST', 'ok'])));
  rows(
    '9113 8.3',
    malformed('an unknown pseudo-header field', () => get([':test', 'ok'])),
    malformed('a pseudo-header field of responses', () => get([':status', '200'])),
    ['a pseudo-header field in trailers', (c) => c.send(headers(1, post(), open), data(1, 'test', open), headers(1, [[':method', 'POST']])), streamError(PROTOCOL_ERROR)],
    malformed('a pseudo-header field behind others', () => [['x-test', 'ok'], ...get()]),
  );
  rows(
    '9113 8.2.2',
    malformed('connection', () => get(['connection', 'keep-alive'])),
    malformed('te with more than trailers', () => get(['trailers', 'test'], ['te', 'trailers, deflate'])),
  );
  rows(
    '9113 8.3.1',
    malformed('an empty :path', () => pseudo().map(([name, value]) => [name, name === ':path' ? '' : value])),
    ...[':method', ':scheme', ':path'].map((name) => malformed(`no ${name}`, () => without(name))),
    ...[':method', ':scheme', ':path'].map((name) => malformed(`${name} twice`, () => get(pseudo().find((field) => field[0] === name)))),
  );
  rows(
    '9113 8.1.1',
    ['a content-length that DATA does not fit', (c) => c.send(headers(1, post(['content-length', '1']), open), data(1, 'test')), streamError(PROTOCOL_ERROR)],
    ['a content-length that two DATA do not fit', (c) => c.send(headers(1, post(['content-length', '1']), open), data(1, 'test', open), data(1, 'test')), streamError(PROTOCOL_ERROR)],
  );
  rows('9113 8.4', ['PUSH_PROMISE', (c) => c.send(pushPromise(1, 3, get())), connectionError(PROTOCOL_ERROR)]);
});

describe('RFC 7541', atOnce, () => {
  const field = (sent, ...representation) => [sent, (c) => c.send(headers(1, blockOf(get(), ...representation))), connectionError(COMPRESSION_ERROR)];
  const coded = (text, padding) => Buffer.concat([Buffer.from([0]), h2.string('', h2.huffman('x-test')), h2.string('', h2.huffman(text, padding))]);
  rows(
    '7541 2.3.3',
    field('an index beyond both tables', h2.indexed(70)),
    field('the index of a name beyond both tables', h2.literal(70, '', { kind: 'incremental' })),
  );
  rows('7541 4.2', field('a table size update behind a field', h2.tableSize(1)));
  rows(
    '7541 5.2',
    field('padding of more than 7 bits', coded('test', '1'.repeat(12))),
    field('padding of zeros', coded('test', '0000')),
    field('EOS within a string', coded('\u{100}test')),
  );
  rows('7541 6.1', field('index 0', h2.indexed(0)));
  rows('7541 6.3', ['a table size update above SETTINGS_HEADER_TABLE_SIZE', (c) => {
    const most = c.settings.get(h2.HEADER_TABLE_SIZE) ?? 4096;
    return c.send(headers(1, blockOf(h2.tableSize(most + 1), get())));
  }, connectionError(COMPRESSION_ERROR)]);
});

/// Beyond h2spec ///

describe('beyond h2spec', atOnce, () => {
  const together = (...frames) => Buffer.concat([h2.PREFACE, ...frames]);
  const inOneSegment = (c, ...frames) => c.note(...frames).raw(together(...frames), 'the preface and all the rest in one segment');
  rows(
    '9113 3.4',
    ['preface, SETTINGS and a request in one segment', (c) => inOneSegment(c, window(h2.WINDOW), headers(1, get())), respondsOn(1), bare],
    ['preface, SETTINGS and two requests in one segment', (c) => inOneSegment(c, window(h2.WINDOW), headers(1, get()), headers(3, get())), respondsOn(1, 3), bare],
    ['preface, SETTINGS and a request, octet by octet', async (c) => {
      const frames = [window(h2.WINDOW), headers(1, get())];
      c.note(...frames);
      for (const octet of together(...frames)) {
        c.raw(Buffer.from([octet]));
        await sleep(1);
      }
    }, respondsOn(1), bare],
    ['the preface, then PING instead of SETTINGS', (c) => c.raw(h2.PREFACE, 'the preface').send(ping()), connectionError(PROTOCOL_ERROR), bare],
    ['the preface, then a request instead of SETTINGS', (c) => c.raw(h2.PREFACE, 'the preface').send(headers(1, get())), connectionError(PROTOCOL_ERROR), bare],
    ['the preface, its last octet wrong', (c) => c.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r'), 'a wrong preface').send(settings()), connectionError(PROTOCOL_ERROR), bare],
    ['half a preface, then the end', (c) => void c.raw(h2.PREFACE.subarray(0, 12), 'half a preface').socket.end(), closed, bare],
  );
  const twice = (c) => [headers(1, get()), headers(3, get())].forEach((each) => c.send(each));
  rows('9113 4.1', ['two requests in one segment', (c) => {
    const both = Buffer.concat([headers(1, get()), headers(3, get())]);
    c.note(both).raw(both, 'two requests');
  }, respondsOn(1, 3)]);

  const oversized = (type, length, stream = 0, flags = 0) => (c) => c.send(frame(type, flags, stream, Buffer.alloc(length)));
  const onOpen = (...frames) => (c) => c.send(headers(1, post(), open), ...frames);
  rows(
    '9113 4.2',
    ['an unknown frame of 2^14 octets', oversized(0x16, h2.FRAME_MAX), pongs],
    ['an unknown frame longer than SETTINGS_MAX_FRAME_SIZE', (c) => oversized(0x16, c.maxFrameSize + 1)(c), connectionError(FRAME_SIZE_ERROR)],
    ['a frame header that announces 2^24-1 octets', (c) => c.send(frame(h2.DATA, 0, 1, '', { length: 2 ** 24 - 1 }).subarray(0, 9)), connectionError(FRAME_SIZE_ERROR, PROTOCOL_ERROR)],
    ['PRIORITY of 6 octets', onOpen(frame(h2.PRIORITY, 0, 1, Buffer.alloc(6))), streamError(FRAME_SIZE_ERROR)],
    ['RST_STREAM of 5 octets', onOpen(frame(h2.RST_STREAM, 0, 1, Buffer.alloc(5))), connectionError(FRAME_SIZE_ERROR)],
    ['PING of 9 octets', (c) => c.send(ping('9 octets!')), connectionError(FRAME_SIZE_ERROR)],
    ['PING of 0 octets', (c) => c.send(ping('')), connectionError(FRAME_SIZE_ERROR)],
    ['GOAWAY of 7 octets', oversized(h2.GOAWAY, 7), connectionError(FRAME_SIZE_ERROR)],
    ['WINDOW_UPDATE of 5 octets on a stream', onOpen(frame(h2.WINDOW_UPDATE, 0, 1, '\0\0\0\x01\0')), connectionError(FRAME_SIZE_ERROR)],
    ['SETTINGS of 7 octets', oversized(h2.SETTINGS, 7), connectionError(FRAME_SIZE_ERROR)],
    ['HEADERS with room for half a priority', (c) => c.send(frame(h2.HEADERS, 0x25, 1, Buffer.alloc(4))), connectionError(FRAME_SIZE_ERROR, PROTOCOL_ERROR)],
    ['HEADERS without room for the pad length', (c) => c.send(frame(h2.HEADERS, 0x0d, 1)), connectionError(FRAME_SIZE_ERROR, PROTOCOL_ERROR)],
    ['DATA without room for the pad length', onOpen(frame(h2.DATA, 0x09, 1)), connectionError(FRAME_SIZE_ERROR, PROTOCOL_ERROR)],
  );

  // Whatever becomes of a header block, what it puts into the dynamic table is there for the next one.
  const marked = h2.literal('x-mark', 'kept', { kind: 'incremental' });
  const after1 = (...frames) => (c) => c.send(...frames, headers(3, blockOf(get(), h2.indexed(62))));
  const longList = (c) => Math.ceil(((c.settings.get(h2.MAX_HEADER_LIST_SIZE) ?? 65536) + 1000) / 4000);
  rows(
    '9113 4.3',
    ['the block of a malformed request counts for the next one', (c) => after1(headers(1, blockOf(get(['X-UPPER', '1']), marked)))(c), respondsOn(3)],
    ['the block of trailers counts for the next one', (c) => after1(headers(1, post(), open), headers(1, blockOf(marked)))(c), respondsOn(3)],
    ['the block of a request that is reset at once counts for the next one', (c) => after1(headers(1, blockOf(get(), marked), open), reset(1))(c), respondsOn(3)],
    ['the block on a stream closed by RST_STREAM counts for the next one', (c) => after1(headers(1, get(), open), reset(1), headers(1, blockOf(get(), marked)))(c), async (c) => {
      // A connection error will do for a stream error.
      if (await c.until(() => c.goaway === undefined && c.response(3).ended)) await respondsOn(3)(c);
      else await connectionError(STREAM_CLOSED)(c);
    }],
  );

  rows(
    '9113 5.1',
    ['WINDOW_UPDATE on a closed stream', async (c) => void (await streamOver(c.send(headers(1, get())))) ?? c.send(windowUpdate(1, 1)), pongs],
    ['RST_STREAM on a closed stream', async (c) => void (await streamOver(c.send(headers(1, get())))) ?? c.send(reset(1)), pongs],
    ['RST_STREAM twice', (c) => c.send(headers(1, get(), open), reset(1), reset(1)), pongsOrEnds],
    ['an unknown frame on a half-closed (remote) stream', (c) => c.send(headers(1, get()), frame(0x16, 0, 1, 'x')), respondsOn(1)],
  );
  rows(
    '9113 5.1.1',
    ['the highest stream of all', (c) => c.send(headers(h2.WINDOW_MAX, get())), respondsOn(h2.WINDOW_MAX)],
    ['WINDOW_UPDATE on an even stream', (c) => c.send(windowUpdate(2, 1)), connectionError(PROTOCOL_ERROR)],
  );
  rows('9113 5.4.1', ['GOAWAY names the last stream that was answered, and is the end', async (c) => {
    await respondsOn(1, 3)(c.send(headers(1, get()), headers(3, get())));
    c.send(frame(h2.PING, 0, 5, '8 octets'));
  }, async (c) => {
    await expectEvent(c, 'GOAWAY', is(h2.GOAWAY));
    assert.deepEqual([c.goaway.last, codeName(c.goaway.code)], [3, 'PROTOCOL_ERROR']);
    const next = await c.event(() => true);
    assert.ok(next?.closed, `${next?.text ?? 'nothing'} after GOAWAY, instead of the end`);
  }]);

  rows(
    '9113 6.1',
    ['padding that fills the payload but for its length', onOpen(data(1, '', { pad: 255 })), answers(1)],
    ['padding as long as the payload', onOpen(frame(h2.DATA, 0x09, 1, '\x04abc')), connectionError(PROTOCOL_ERROR)],
  );
  rows('9113 6.1 and 6.2', ['padding of every length', async (c) => {
    const round = Math.min(c.settings.get(h2.MAX_CONCURRENT_STREAMS) ?? 16, 16);
    for (let pad = 0; pad < 256; pad += round) {
      const streams = Array.from({ length: Math.min(round, 256 - pad) }, (_, i) => 2 * (pad + i) + 1);
      for (const stream of streams) c.send(headers(stream, post(), { ...open, pad: (stream - 1) / 2 }), data(stream, 'x', { pad: (stream - 1) / 2 }));
      assert.ok(await c.until(() => streams.every((stream) => c.response(stream).ended)), `no answer with padding of ${pad} to ${pad + round - 1}`);
    }
  }, pongs]);
  rows('9113 6.9.1', ['padding uses up windows, and they are given back', async (c) => {
    let room = h2.WINDOW;
    let seen = 0;
    for (let stream = 1; stream < 2 * 400; stream += 2) {
      const bytes = data(stream, 'x', { pad: 255 });
      const enough = () => {
        for (; seen < c.events.length; seen++) if (c.events[seen].type === h2.WINDOW_UPDATE && c.events[seen].stream === 0) room += c.events[seen].payload.readUInt32BE();
        return room >= bytes.length - 9;
      };
      assert.ok(await c.until(enough), `the window was not given back after ${stream} octets of content and their padding`);
      room -= bytes.length - 9;
      c.send(headers(stream, post(), open), bytes);
      assert.ok(await c.until(() => c.response(stream).ended), `no answer on stream ${stream}`);
    }
  }, pongs]);

  rows(
    '9113 6.5',
    ['2,700 settings in one frame', (c) => c.send(settings(Array.from({ length: 2700 }, (_, i) => [0x4000 + i, i]))), async (c) => {
      const event = await expectEvent(c, 'an acknowledgement, or a refusal', (each) => each.closed || each.type === h2.GOAWAY || (each.type === h2.SETTINGS && isAck(each)));
      if (event.type === h2.GOAWAY) assert.equal(codeName(errorOf(event)), 'ENHANCE_YOUR_CALM');
    }],
    ['acknowledgements of nothing', (c) => c.send(frame(h2.SETTINGS, h2.ACK, 0), frame(h2.SETTINGS, h2.ACK, 0)), pongsOrEnds],
  );
  rows('9113 6.7', ['twenty PINGs at once', (c) => {
    c.payloads = Array.from({ length: 20 }, () => randomBytes(8));
    c.send(...c.payloads.map((payload) => ping(payload)));
  }, async (c) => {
    for (const payload of c.payloads) {
      const event = await expectEvent(c, 'the answer to PING', is(h2.PING));
      assert.ok(isAck(event) && event.payload.equals(payload), 'answers in order, each with its payload');
    }
  }]);
  rows(
    '9113 6.9',
    ['a response through a window of one octet', async (c) => {
      await acknowledged(c.send(window(1)));
      c.send(headers(1, get()));
      while (!c.response(1).ended) {
        await oneOctetOrEnd(c);
        if (!c.response(1).ended) c.send(windowUpdate(1, 1));
      }
    }, respondsOn(1)],
    ['windows of 0, then all of them opened by SETTINGS', async (c) => {
      await acknowledged(c.send(window(0)));
      twice(c);
      assert.ok(await c.until(() => c.response(1).status && c.response(3).status), 'headers need no window');
      c.send(window(h2.WINDOW));
    }, respondsOn(1, 3)],
    ['SETTINGS_INITIAL_WINDOW_SIZE that lifts a stream above 2^31-1', async (c) => {
      await acknowledged(c.send(window(0)));
      c.send(headers(1, get()), windowUpdate(1, h2.WINDOW_MAX), window(1));
    }, async (c) => {
      // The response may be over, and the stream with its window gone, before SETTINGS come.
      if (await c.until(() => c.response(1).ended, 200)) await pongs(c);
      else await connectionError(FLOW_CONTROL_ERROR)(c);
    }],
    ['SETTINGS_INITIAL_WINDOW_SIZE that lifts an open stream above 2^31-1', (c) => {
      c.send(headers(1, post(['content-length', '1']), open), windowUpdate(1, h2.WINDOW_MAX - h2.WINDOW), window(h2.WINDOW + 1));
    }, async (c) => {
      if (await c.until(() => c.response(1).ended, 200)) await pongs(c);
      else await connectionError(FLOW_CONTROL_ERROR)(c);
    }],
  );

  const malformed = (sent, fields) => [sent, (c) => c.send(headers(1, fields())), streamError(PROTOCOL_ERROR)];
  const visible = (text) => JSON.stringify(text).replace(/[\x7f-\xff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
  const fine = (sent, fields) => [sent, (c) => c.send(headers(1, fields())), respondsOn(1)];
  const withContent = (length, ...pieces) => [`content-length ${JSON.stringify(length)} and ${pieces.join('').length} octets in ${pieces.length} DATA`, (c) =>
    c.send(headers(1, post(['content-length', length]), open), ...pieces.map((piece, i) => data(1, piece, { end: i === pieces.length - 1 })))];
  rows(
    '9113 8.1.1',
    [...withContent('4', 'test'), answers(1)],
    [...withContent('4', 'te', '', 'st', ''), answers(1)],
    [...withContent('0', ''), answers(1)],
    [...withContent('3', 'te', 'st'), streamError(PROTOCOL_ERROR)],
    ...['5', 'x', '-4', '+4', '', '4.0', '4294967300', '18446744073709551620'].map((length) => [...withContent(length, 'test'), streamError(PROTOCOL_ERROR)]),
    ['content-length 5 and END_STREAM at once', (c) => c.send(headers(1, post(['content-length', '5']))), streamError(PROTOCOL_ERROR)],
    ['content-length 4 and 5', (c) => c.send(headers(1, post(['content-length', '4'], ['content-length', '5']), open), data(1, 'test')), streamError(PROTOCOL_ERROR)],
    ['content-length 5, 4 octets and trailers', (c) => {
      c.send(headers(1, post(['content-length', '5']), open), data(1, 'test', open), headers(1, [['x-test', 'ok']]));
    }, streamError(PROTOCOL_ERROR)],
  );
  // A server may answer as soon as it knows the answer; the rest of the request is still held to the rules, unless the
  // server has said by RST_STREAM (NO_ERROR) that it does not want it.
  const whenAnswered = (sent, fields, ...rest) => [`${sent}, sent after an early answer, if there is one`, async (c) => {
    c.send(headers(1, fields(), open));
    await c.until(() => c.response(1).ended, 100);
    c.send(...rest);
  }, async (c) => {
    assert.ok(await c.until(() => c.response(1).error !== undefined || c.goaway !== undefined) || c.over !== undefined, 'no error');
    if (c.response(1).error !== Code.NO_ERROR) await streamError(PROTOCOL_ERROR)(c);
  }];
  rows(
    '9113 8.1.1',
    whenAnswered('content that is too long, and the last of it', () => post(['content-length', '1']), data(1, 'test')),
    whenAnswered('content that is too long, and more to come', () => post(['content-length', '1']), data(1, 'test', open)),
    whenAnswered('content that is too short', () => post(['content-length', '5']), data(1, 'test')),
    whenAnswered('malformed trailers', () => post(), headers(1, [['X-Test', 'no']])),
    whenAnswered('trailers without END_STREAM', () => post(), headers(1, [['x-test', 'no']], open)),
  );
  rows(
    '9113 8.1',
    ['trailers', (c) => c.send(headers(1, post(), open), data(1, 'test', open), headers(1, [['x-test', 'ok']])), answers(1)],
    ['trailers without content', (c) => c.send(headers(1, post(), open), headers(1, [['x-test', 'ok']])), answers(1)],
    ['empty trailers', (c) => c.send(headers(1, post(), open), headers(1, [])), answers(1)],
    ['trailers in upper case', (c) => c.send(headers(1, post(), open), headers(1, [['X-Test', 'no']])), streamError(PROTOCOL_ERROR)],
    ['trailers after END_STREAM', (c) => c.send(headers(1, post(), open), data(1, 'test'), headers(1, [['x-test', 'no']])), streamError(STREAM_CLOSED)],
    ['an empty header block', (c) => c.send(headers(1, [])), streamError(PROTOCOL_ERROR)],
  );
  rows(
    '9113 8.2.1',
    ...['x-tesT', 'Te', 'x test', 'x:test', '', 'x\x7ftest', 'x\x80test', 'x\0test', 'x-test '].map((name) => malformed(`the name ${visible(name)}`, () => get([name, '1']))),
    ...['a\0b', 'a\rb', 'a\nb', 'a\r\nb: c', '\n'].map((value) => malformed(`the value ${visible(value)}`, () => get(['x-test', value]))),
    ...[' a', 'a ', '\ta', 'a\t', ' '].map((value) => malformed(`the value ${visible(value)}`, () => get(['x-test', value]))),
    ...['', 'a b', 'a\tb', 'caf\xe9', '"quoted"'].map((value) => fine(`the value ${visible(value)}`, () => get(['x-test', value]))),
  );
  rows(
    '9113 8.2.2',
    ...[
      ['connection', 'close'], ['proxy-connection', 'keep-alive'], ['keep-alive', 'timeout=5'], ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'], ['te', 'gzip'], ['te', 'trailers, gzip'],
    ].map((field) => malformed(field.join(': '), () => get(field))),
    fine('te: trailers', () => get(['te', 'trailers'])),
    fine('cookie twice', () => get(['cookie', 'a=1'], ['cookie', 'b=2'])),
  );
  rows(
    '9113 8.3.1',
    malformed(':authority twice', () => get(pseudo()[3])),
    malformed('an empty :method', () => [[':method', ''], ...without(':method')]),
    malformed(':protocol without leave', () => get([':protocol', 'websocket'])),
    malformed('a pseudo-header field in upper case', () => get([':Path', '/'])),
    fine('host instead of :authority', () => [...without(':authority'), ['host', 'localhost']]),
    fine('pseudo-header fields in another order', () => pseudo().reverse()),
  );
  rows(
    '9113 8.5',
    malformed('CONNECT with :scheme and :path', () => pseudo('CONNECT')),
    malformed('CONNECT without :authority', () => [[':method', 'CONNECT']]),
    ['CONNECT is answered or refused, and nothing else happens', (c) => c.send(headers(1, [[':method', 'CONNECT'], pseudo()[3]])), async (c) => {
      assert.ok(await c.until(() => c.response(1).status >= 400 || c.response(1).error !== undefined), 'no answer to CONNECT');
      await respondsOn(3)(c.send(headers(3, get())));
    }],
  );
  rows('9113 8.4', ['PUSH_PROMISE on an open stream', (c) => c.send(headers(1, get(), open), pushPromise(1, 2, get())), connectionError(PROTOCOL_ERROR)]);

  const refused = async (c) => {
    const gone = () => c.over !== undefined || (c.goaway !== undefined && c.goaway.code !== Code.NO_ERROR);
    const done = () => gone() || c.response(1).status !== undefined || c.response(1).error !== undefined;
    assert.ok((await c.until(done)) || gone(), 'no answer');
    if (c.response(1).status !== undefined) assert.equal(c.response(1).status, 431);
    return gone();
  };
  rows('9113 10.5.1', ['a header list above SETTINGS_MAX_HEADER_LIST_SIZE, the table kept for the next request', (c) => {
    const fields = filler(longList(c));
    const last = blockOf(marked);
    c.send(headers(1, get(), goesOn), ...fields.map((field) => continuation(1, [field], { endHeaders: false })), continuation(1, last));
  }, async (c) => {
    if (await refused(c)) return;
    await respondsOn(3)(c.send(headers(3, blockOf(get(), h2.indexed(62)))));
  }]);
  rows('9113 10.5.1', ['one field of 60,000 octets', (c) => {
    const block = h2.block(get(['x-long', 'x'.repeat(60_000)]));
    const pieces = Array.from({ length: Math.ceil(block.length / h2.FRAME_MAX) }, (_, i) => block.subarray(i * h2.FRAME_MAX, (i + 1) * h2.FRAME_MAX));
    c.send(headers(1, pieces[0], { endHeaders: false }), ...pieces.slice(1).map((piece, i) => continuation(1, piece, { endHeaders: i === pieces.length - 2 })));
  }, async (c) => {
    if (await answeredOrRefused(c)) await respondsOn(3)(c.send(headers(3, get())));
  }]);
  rows('9113 6.10', ['100 CONTINUATIONs of one octet', (c) => {
    const block = h2.block(get(['x-test', 'x'.repeat(100)]));
    const tail = block.subarray(block.length - 100);
    c.send(headers(1, block.subarray(0, block.length - 100), { endHeaders: false }));
    c.send(...Array.from(tail, (octet, i) => continuation(1, Buffer.from([octet]), { endHeaders: i === 99 })));
  }, answeredOrRefused]);

  const field = (...representation) => (c) => c.send(headers(1, blockOf(get(), ...representation)));
  const noInteger = (prefix) => Buffer.from([prefix, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
  const large = h2.literal('x-large', 'x'.repeat(64), { kind: 'incremental' });
  const printable = Array.from({ length: 0x100 }, (_, i) => String.fromCharCode(i)).filter((c) => c >= ' ' && c !== '\x7f').join('');
  const filling = () => Array.from({ length: 64 }, (_, i) => h2.literal('a', String(i).padEnd(31, '-'), { kind: 'incremental' }));
  rows(
    '7541',
    ['2.3.3: an index one beyond both tables', field(h2.indexed(62)), connectionError(COMPRESSION_ERROR)],
    ['4.1: a table that is full to the last octet', async (c) => {
      await respondsOn(1)(c.send(headers(1, blockOf(get(), ...filling()))));
      c.send(headers(3, blockOf(get(), h2.indexed(61 + 64))));
    }, respondsOn(3)],
    ['4.1: an entry beyond a full table', async (c) => {
      await respondsOn(1)(c.send(headers(1, blockOf(get(), ...filling()))));
      c.send(headers(3, blockOf(get(), h2.indexed(61 + 65))));
    }, connectionError(COMPRESSION_ERROR)],
    ['4.3: a table size update to 0 empties the table', async (c) => {
      await respondsOn(1)(c.send(headers(1, blockOf(get(), marked))));
      c.send(headers(3, blockOf(h2.tableSize(0), h2.tableSize(4096), get(), h2.indexed(62))));
    }, connectionError(COMPRESSION_ERROR)],
    ['4.4: an entry larger than the table empties it, and is taken all the same', (c) => c.send(headers(1, blockOf(h2.tableSize(64), get(), marked, large))), respondsOn(1)],
    ['4.4: an entry larger than the table leaves nothing in it', (c) => c.send(headers(1, blockOf(h2.tableSize(64), get(), marked, large, h2.indexed(62)))), connectionError(COMPRESSION_ERROR)],
    ['5.1: an index without end', field(noInteger(0xff)), connectionError(COMPRESSION_ERROR)],
    ['5.1: an index that is cut off', field(Buffer.from([0xff])), connectionError(COMPRESSION_ERROR)],
    ['5.1: a string length without end', field(Buffer.concat([Buffer.from([0]), noInteger(0x7f)])), connectionError(COMPRESSION_ERROR)],
    ['5.2: a string longer than the block', field(Buffer.from('\0\x06x-te', 'latin1')), connectionError(COMPRESSION_ERROR)],
    ['5.2: a string of padding alone', field(Buffer.concat([Buffer.from([0]), h2.string('x-test'), Buffer.from([0x81, 0xff])])), connectionError(COMPRESSION_ERROR)],
    ['5.2: every octet that a value may have, Huffman-coded', field(h2.literal('x-test', `a${printable}z`, { coded: true })), respondsOn(1)],
    ['6.3: a table size update and nothing else', async (c) => {
      await answers(1)(c.send(headers(1, post(), open), headers(1, h2.tableSize(0))));
      c.send(headers(3, get()));
    }, respondsOn(3)],
  );
});

const oneOctetOrEnd = async (c) => {
  const event = await someData(c);
  assert.ok(event.payload.length === 1 || ends(1)(event), `DATA of ${event.payload.length} octets`);
};

// True when the connection lives on.
async function answeredOrRefused(c) {
  const over = () => c.over !== undefined || c.goaway !== undefined;
  const decided = () => over() || c.response(1).ended || c.response(1).error !== undefined;
  assert.ok((await c.until(decided)) || over(), 'neither an answer nor an error');
  if (c.goaway) assert.ok([ENHANCE_YOUR_CALM, PROTOCOL_ERROR, Code.INTERNAL_ERROR].includes(c.goaway.code), codeName(c.goaway.code));
  return !over();
}

/// Floods ///

// A request to the server as it is now, on a connection of its own.
async function servesAtOnce(t) {
  const began = performance.now();
  await conversation(async (c) => respondsOn(1)(c.send(headers(1, get()))));
  const took = performance.now() - began;
  t.diagnostic(`another connection was answered in ${took.toFixed(0)} ms`);
  assert.ok(took < 1000, `the next connection was answered after ${took} ms`);
}

const least = Buffer.from([0x82, 0x86, 0x84, 0x01, 1, 0x78]); // GET / of http://x, in six octets
const begins = (stream) => headers(stream, least, open);

// Sends what `each` makes, up to `most` times, until the server has had enough.
async function flood(t, { before: first = () => {}, each, most = 20_000 }) {
  await conversation(async (c) => {
    await first(c);
    let count = 0;
    while (count < most && c.over === undefined && c.goaway === undefined) {
      const some = Array.from({ length: 50 }, () => each(count++, c)).flat();
      if (!(await c.pour(...some))) break;
      await sleep(count % 500 === 0 ? 2 : 0);
    }
    const end = await c.event((event) => event.closed || event.type === h2.GOAWAY);
    assert.ok(end, `${count} times, and the connection is still there`);
    if (c.goaway) assert.notEqual(c.goaway.code, Code.NO_ERROR);
    if (c.goaway && pipit) assert.equal(codeName(c.goaway.code), 'ENHANCE_YOUR_CALM');
    t.diagnostic(`ended after at most ${count}: ${end.text}`);
    assert.ok(await c.until(() => c.over !== undefined) || c.over !== undefined, 'GOAWAY, but the connection was not closed');
  });
  await servesAtOnce(t);
}

describe('floods end in ENHANCE_YOUR_CALM, or at least in the end of the connection', () => {
  const odd = (i) => 2 * i + 1;
  const endless = () => blockOf(get(), Buffer.from([0]), h2.string('x-endless'), h2.integer(0, 7, 8000)); // a value of 8,000 octets begins
  const table = {
    'PING': { each: () => ping() },
    'SETTINGS': { each: () => settings() },
    'SETTINGS that change windows': { each: (i) => window(i) },
    'PRIORITY': { each: (i) => priority(odd(i)) },
    'unknown frames': { each: () => frame(0x16, 0, 0, 'x') },
    'acknowledgements of nothing': { each: () => frame(h2.SETTINGS, h2.ACK, 0) },
    'empty DATA': { before: (c) => c.send(begins(1)), each: () => data(1, '', open) },
    'DATA of padding alone': { before: (c) => c.send(begins(1)), each: () => data(1, '', { ...open, pad: 0 }) },
    'empty CONTINUATION': { before: (c) => c.send(headers(1, get(), unfinished)), each: () => continuation(1, [], { endHeaders: false }) },
    'CONTINUATION of one octet': { before: (c) => c.send(headers(1, endless(), unfinished)), each: () => continuation(1, Buffer.from('x'), goesOn) },
    'CONTINUATION of 16,000 octets': { before: (c) => c.send(headers(1, get(), unfinished)), each: () => continuation(1, filler(4), { endHeaders: false }), most: 1000 },
    'rapid reset': { each: (i) => [begins(odd(i)), reset(odd(i))], most: 10_000 },
    'rapid reset of requests that are whole': { before: (c) => c.send(window(0)), each: (i) => [headers(odd(i), least), reset(odd(i))], most: 10_000 },
    'requests that have to be reset (WINDOW_UPDATE of 0)': { each: (i) => [begins(odd(i)), windowUpdate(odd(i), 0)], most: 10_000 },
    'requests that have to be reset (content too long)': { each: (i) => [headers(odd(i), post(['content-length', '0']), open), data(odd(i), 'x')], most: 10_000 },
    'malformed requests': { each: (i) => headers(odd(i), Buffer.from([0x82])), most: 10_000 },
    'more streams than are allowed': { before: (c) => c.send(window(0)), each: (i) => headers(odd(i), least), most: 10_000 },
    'RST_STREAM on a closed stream': { before: (c) => c.send(begins(1), reset(1)), each: () => reset(1) },
    'WINDOW_UPDATE of one octet': { each: () => windowUpdate(0, 1) },
    'WINDOW_UPDATE of one octet on a stream that has nothing to send': { before: (c) => c.send(window(0), begins(1)), each: () => windowUpdate(1, 1) },
  };
  for (const [name, row] of Object.entries(table)) test(name, (t) => flood(t, row));

  // One octet of a block stands for 4,037 of the header list.
  test('a header block that unfolds to 60 MB is refused each time', async (t) => {
    const bomb = blockOf(least, Buffer.alloc(15_000, h2.indexed(62)));
    await conversation(async (c) => {
      c.send(headers(1, blockOf(least, h2.literal('x-bomb', 'x'.repeat(4000), { kind: 'incremental' }))));
      assert.ok(await c.until(() => c.response(1).ended || c.response(1).error !== undefined), 'no answer to the first one');
      const over = () => c.over !== undefined || c.goaway !== undefined;
      let count = 0;
      const answers = {};
      for (; count < 100 && !over(); count++) {
        const stream = 2 * count + 3;
        c.send(headers(stream, bomb));
        const done = () => over() || c.response(stream).status !== undefined || c.response(stream).error !== undefined;
        assert.ok((await c.until(done)) || over(), `no answer to bomb ${count}`);
        const { status, error } = c.response(stream);
        const answer = over() ? `the end (${c.goaway ? codeName(c.goaway.code) : c.over})` : `${status ?? codeName(error)}`;
        answers[answer] = (answers[answer] ?? 0) + 1;
        assert.ok(over() || status === undefined || status === 431, `bomb ${count} was answered with ${status}`);
      }
      t.diagnostic(`${count} bombs: ${JSON.stringify(answers)}`);
    });
    await servesAtOnce(t);
  });

  test('PING from one who reads nothing', async (t) => {
    await conversation(async (c) => {
      c.socket.pause();
      let octets = 0;
      const some = Buffer.concat(Array.from({ length: 1000 }, () => ping()));
      const limit = 64 * 2 ** 20;
      while (octets < limit && c.over === undefined && c.socket.writableLength < 2 ** 20) {
        c.raw(some, '1,000 PINGs');
        octets += some.length;
        await sleep(1);
      }
      await servesAtOnce(t);
      t.diagnostic(`${octets} octets of PING were written, ${c.socket.writableLength} of them not taken`);
      assert.ok(octets < limit, 'it took 64 MB without any answer being read');
      c.violations.length = 0;
    });
  });
});

describe('alone, and beside others', () => {
  test('half a frame, then silence, holds up nobody', async (t) => {
    const request = headers(1, get());
    const cuts = [h2.PREFACE.subarray(0, 10), h2.PREFACE, Buffer.concat([h2.PREFACE, window(1).subarray(0, 12)])];
    const whole = Buffer.concat([h2.PREFACE, window(h2.WINDOW)]);
    for (const at of [4, 9, 30]) cuts.push(Buffer.concat([whole, request.subarray(0, at)]));
    cuts.push(Buffer.concat([whole, headers(1, get(), unfinished)]), Buffer.concat([whole, headers(1, post(), open), data(1, 'half of it').subarray(0, 12)]));
    const silent = cuts.map((cut) => new Http2(target).raw(cut, 'half a frame'));
    await sleep(100);
    for (let i = 0; i < 5; i++) await servesAtOnce(t);
    assert.equal(silent.filter((c) => c.over !== undefined).length, 0, 'so soon nobody is given up');
    silent.forEach((c) => c.destroy());
  });

  test('half a frame and the rest a second later is one frame', () =>
    conversation(async (c) => {
      const request = headers(1, get());
      c.note(request).raw(request.subarray(0, 20), 'half a request');
      await sleep(1000);
      await respondsOn(1)(c.raw(request.subarray(20), 'the other half'));
    }));

  test('many requests on many streams, all answered', () =>
    conversation(async (c) => {
      const round = Math.min(c.settings.get(h2.MAX_CONCURRENT_STREAMS) ?? 100, 100);
      for (let first = 1; first < 2000; first += 2 * round) {
        const streams = Array.from({ length: round }, (_, i) => first + 2 * i);
        await c.pour(...streams.map((stream) => headers(stream, get())));
        await respondsOn(...streams)(c);
        c.send(windowUpdate(0, ordinary.length * round));
      }
    }));
});

/// HTTP/1 at the same door ///

async function exchange(bytes) {
  const socket = net.connect(target).on('error', () => {});
  const pieces = [];
  socket.on('data', (piece) => pieces.push(piece));
  const over = new Promise((done) => socket.on('close', done));
  socket.write(bytes);
  const timer = setTimeout(() => socket.destroy(new Error('too late')), h2.patience);
  let late = true;
  socket.on('end', () => {
    late = false;
  });
  await over;
  clearTimeout(timer);
  return { late, text: Buffer.concat(pieces).toString('latin1') };
}

describe('HTTP/1 is told so', () => {
  const get1 = 'GET / HTTP/1.1\r\nHost: localhost\r\n';
  const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
  const table = {
    'GET': `${get1}\r\n`,
    'GET with Upgrade: h2c': `${get1}${upgrade}\r\n`,
    'POST': `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ntest`,
    'HTTP/1.0': 'GET / HTTP/1.0\r\n\r\n',
  };
  for (const [name, text] of Object.entries(table)) {
    test(name, async () => {
      const reply = await exchange(text);
      assert.ok(!reply.late, 'the connection was not closed');
      const [head, body] = reply.text.split('\r\n\r\n');
      assert.match(head, /^HTTP\/1\.1 4\d\d [A-Z]/);
      assert.match(head, /^content-type: text\/plain/im);
      assert.match(head, /^connection: close$/im);
      assert.equal(Number(/^content-length: (\d+)$/im.exec(head)?.[1]), body.length);
      assert.match(body, /HTTP\/2/);
      assert.ok(body.length > 20 && / .* /.test(body), 'a sentence');
    });
  }

  test('TLS is not waited for', async () => {
    const hello = Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), randomBytes(194)]);
    assert.ok(!(await exchange(hello)).late, 'the connection was not closed');
  });
});

test('how errors were told', (t) => t.diagnostic(Object.entries(told).map(([how, count]) => `${how} ${count}`).join(', ')));
