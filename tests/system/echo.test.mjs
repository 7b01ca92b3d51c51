// RFC 6455 against /ws-echo, in the order of the Autobahn test suite's groups 1 to 7, 9 and 10.
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { atRest, random, within } from './chat_client.mjs';
import { startPipit } from './pipit.mjs';
import { ask, BINARY, CLOSE, closeFrame, CONTINUATION, frame, PING, PONG, RawSocket, TEXT } from './raw_socket.mjs';

const MOST = 16 << 20; // bytes of one message

const open = (pipit) => RawSocket.open(pipit, '/ws-echo');

function sameBytes(actual, wanted) {
  const bytes = Buffer.from(wanted);
  if (Buffer.compare(actual, bytes) === 0) return;
  let at = 0;
  while (at < bytes.length && actual[at] === bytes[at]) at++;
  assert.fail(`${actual.length} bytes instead of ${bytes.length}, different from ${at} on`);
}

async function echoes(raw, opcode, payload, controls = []) {
  const message = await raw.message(controls);
  assert.equal(message.opcode, opcode);
  sameBytes(message.payload, payload);
}

async function leave(raw) {
  await raw.write(closeFrame(1000));
  assert.equal(await raw.closeCode(), 1000);
  await raw.expectEnd();
}

/** Sends, and expects exactly these messages back, then a close frame with this code, then the end. */
async function fails(pipit, frames, code, echoed = []) {
  const raw = await open(pipit);
  await raw.write(...frames);
  for (const text of echoed) await echoes(raw, TEXT, text);
  assert.equal(await raw.closeCode(), code);
  await raw.expectEnd();
}

async function passes(pipit, frames, ...echoed) {
  const raw = await open(pipit);
  await raw.write(...frames);
  for (const text of echoed) await echoes(raw, TEXT, text);
  await leave(raw);
}

/** Cuts a message into frames of the sizes that `size()` gives. */
function fragments(opcode, payload, size, between = () => []) {
  const frames = [];
  for (let at = 0; ; ) {
    const n = size();
    const end = Math.min(payload.length, at + n);
    frames.push(frame(at === 0 && frames.length === 0 ? opcode : CONTINUATION, payload.subarray(at, end), { fin: end === payload.length }));
    if (end === payload.length) return frames;
    frames.push(...between());
    at = end;
  }
}

describe('/ws-echo', () => {
  let pipit;
  before(async () => {
    pipit = await startPipit({ args: ['--set', 'chat.echo=1'] });
  });
  after(() => pipit.stop());

  test('1 framing: every border of the length, whole and in chops', async () => {
    for (const opcode of [TEXT, BINARY]) {
      const raw = await open(pipit);
      for (const length of [0, 1, 125, 126, 127, 128, 65535, 65536, 100_000]) {
        const payload = opcode === TEXT ? '*'.repeat(length) : Buffer.alloc(length, 0xfe);
        await raw.write(frame(opcode, payload));
        await echoes(raw, opcode, payload);
        const bytes = frame(opcode, payload);
        for (let at = 0; at < bytes.length; at += 997) await raw.write(bytes.subarray(at, at + 997));
        await echoes(raw, opcode, payload);
      }
      await leave(raw);
    }
  });

  test('2 pings are answered with their payload, pongs are not', async () => {
    const raw = await open(pipit);
    for (const payload of ['', 'Hello', Buffer.from([0, 0xff, 0xfe, 0xfd]), Buffer.alloc(125, 0xfe)]) {
      await raw.write(frame(PING, payload));
      const { opcode, payload: answer } = await raw.next();
      assert.equal(opcode, PONG);
      sameBytes(answer, payload);
    }
    for (const byte of frame(PING, Buffer.alloc(125, 7))) await raw.write(Buffer.from([byte]));
    sameBytes((await raw.next()).payload, Buffer.alloc(125, 7));
    await raw.write(frame(PONG), frame(PONG, 'unsolicited'), frame(PING, 'after'));
    assert.equal((await raw.next()).payload.toString(), 'after');
    for (let i = 0; i < 10; i++) await raw.write(frame(PING, `payload ${i}`));
    for (let i = 0; i < 10; i++) assert.equal((await raw.next()).payload.toString(), `payload ${i}`);
    await leave(raw);
    await fails(pipit, [frame(PING, Buffer.alloc(126))], 1002);
  });

  test('3 reserved bits', async () => {
    for (let reserved = 1; reserved < 8; reserved++) {
      await fails(pipit, [frame(TEXT, 'Hello'), frame(TEXT, 'x', { reserved }), frame(PING)], 1002, ['Hello']);
      await fails(pipit, [frame(PING, '', { reserved })], 1002);
      await fails(pipit, [frame(CLOSE, '', { reserved })], 1002);
    }
  });

  test('4 reserved opcodes', async () => {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      await fails(pipit, [frame(opcode)], 1002);
      await fails(pipit, [frame(TEXT, 'Hello'), frame(opcode, 'x'), frame(PING)], 1002, ['Hello']);
    }
  });

  test('5 fragmentation', async () => {
    const [part, last] = [(o, s) => frame(o, s, { fin: false }), (s) => frame(CONTINUATION, s)];
    await fails(pipit, [frame(PING, 'a', { fin: false }), last('b')], 1002);
    await fails(pipit, [frame(PONG, 'a', { fin: false }), last('b')], 1002);
    await passes(pipit, [part(TEXT, 'a'), last('b')], 'ab');
    await passes(pipit, [part(TEXT, ''), part(CONTINUATION, ''), last('')], '');
    await passes(pipit, [part(TEXT, ''), part(CONTINUATION, 'middle'), last('')], 'middle');
    await fails(pipit, [last('alone')], 1002);
    await fails(pipit, [part(CONTINUATION, 'alone')], 1002);
    await fails(pipit, [part(TEXT, 'a'), frame(TEXT, 'b')], 1002);
    await fails(pipit, [part(TEXT, 'a'), frame(BINARY, 'b')], 1002);
    await fails(pipit, [frame(TEXT, 'whole'), last('b')], 1002, ['whole']);

    const raw = await open(pipit);
    await raw.write(part(TEXT, '1'), part(CONTINUATION, '2'), frame(PING, 'p1'), part(CONTINUATION, '3'), frame(PING, 'p2'), last('4'));
    const controls = [];
    await echoes(raw, TEXT, '1234', controls);
    assert.deepEqual(controls.map((f) => f.payload.toString()), ['p1', 'p2']);
    await leave(raw);
  });

  test('6 valid UTF-8, cut at every place', async () => {
    const raw = await open(pipit);
    for (const text of ['κόσμε', 'Hello-µ@ßöäüàá-UTF-8!!', '\u0000', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', '\ufffe']) {
      const bytes = Buffer.from(text);
      for (let cut = 0; cut <= bytes.length; cut++) {
        await raw.write(frame(TEXT, bytes.subarray(0, cut), { fin: false }), frame(CONTINUATION, bytes.subarray(cut)));
        await echoes(raw, TEXT, bytes);
      }
      await raw.write(...fragments(TEXT, bytes, () => 1));
      await echoes(raw, TEXT, bytes);
    }
    await raw.write(frame(BINARY, Buffer.from([0xff, 0xfe, 0xc0])));
    await echoes(raw, BINARY, Buffer.from([0xff, 0xfe, 0xc0]));
    await leave(raw);
  });

  const broken = [
    'ceba e1bdb9 cf83 cebc ceb5 eda080 656469746564', 'f888808080', 'fc8480808080', 'f7bfbfbf', 'f4908080', 'c0af', 'e080af',
    'f08080af', 'c1bf', 'e09fbf', 'f08fbfbf', 'c080', '80', 'bf', '8080', 'c020', 'dfc0', 'e020', 'eda080', 'edadbf', 'edbfbf',
    'eda080edb080', 'fe', 'ff', 'f5808080', 'c3', 'e282', 'f09f98',
  ];
  test('6 invalid UTF-8 is 1007, whole, in pieces and byte by byte', async () => {
    for (const hex of broken) {
      const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      await fails(pipit, [frame(TEXT, bytes)], 1007);
      await fails(pipit, fragments(TEXT, bytes, () => 1), 1007);
    }
  });

  test('6 invalid UTF-8 fails at once, while the message and the frame are unfinished', async () => {
    for (const hex of ['ff', 'c0', 'eda0', 'f490', 'e2827f']) {
      const bytes = Buffer.from(hex, 'hex');
      await fails(pipit, [frame(TEXT, bytes, { fin: false })], 1007);
      await fails(pipit, [frame(TEXT, bytes, { length: 60_000 })], 1007);
    }
  });

  test('7 close: no code, a code, a reason', async () => {
    const tries = [[closeFrame(), 1005], [closeFrame(1000), 1000], [closeFrame(1000, 'Hello World!'), 1000], [closeFrame(1000, 'x'.repeat(123)), 1000]];
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) tries.push([closeFrame(code), code]);
    for (const [bytes, code] of tries) await fails(pipit, [bytes], code);
  });

  test('7 close: wrong codes, lengths and reasons', async () => {
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) await fails(pipit, [closeFrame(code)], 1002);
    await fails(pipit, [frame(CLOSE, 'x')], 1002);
    await fails(pipit, [frame(CLOSE, Buffer.alloc(126))], 1002);
    await fails(pipit, [closeFrame(1000, Buffer.from('ceba ff'.replace(' ', ''), 'hex'))], 1007);
  });

  test('7 nothing is echoed behind a close frame, nor a second close sent', async () => {
    for (const behind of [frame(TEXT, 'late'), frame(PING), closeFrame(1000), frame(3)]) {
      const raw = await open(pipit);
      await raw.write(frame(TEXT, 'early'), Buffer.concat([closeFrame(1001), behind]));
      await echoes(raw, TEXT, 'early');
      assert.equal(await raw.closeCode(), 1001);
      assert.equal(await raw.next(), null);
      await raw.expectEnd();
    }
    await fails(pipit, [frame(TEXT, 'unfinished', { fin: false }), closeFrame(1000)], 1000);
  });

  test('5.1, 5.2 no mask, long forms of short lengths, lengths of 64 bits', async () => {
    await fails(pipit, [frame(TEXT, 'x', { masked: false })], 1002);
    await fails(pipit, [frame(PING, 'x', { masked: false })], 1002);
    for (const [length, form] of [[0, 16], [125, 16], [0, 64], [126, 64], [65535, 64]]) {
      await fails(pipit, [frame(TEXT, 'x'.repeat(length), { form })], 1002);
    }
    await fails(pipit, [frame(BINARY, '', { length: 2n ** 63n })], 1002);
    await fails(pipit, [frame(BINARY, '', { length: 2n ** 64n - 1n })], 1002);
  });

  test('1009 over 16 MB, as soon as it is announced', async () => {
    await fails(pipit, [frame(BINARY, 'x', { length: MOST + 1 })], 1009);
    await fails(pipit, [frame(BINARY, 'x', { length: 2n ** 63n - 1n })], 1009);
    await fails(pipit, [frame(TEXT, 'x', { fin: false }), frame(CONTINUATION, '', { length: MOST })], 1009);
  });

  test('9 large messages, of one frame and of many', async () => {
    const payload = Buffer.alloc(MOST);
    randomFillSync(payload);
    const letters = Buffer.alloc(MOST, 'Grüße, Welt – ');
    const whole = (length) => { // not in the middle of a character
      while ((letters[length] & 0xc0) === 0x80) length--;
      return letters.subarray(0, length);
    };
    const raw = await open(pipit);
    const round = async (opcode, bytes, frames) => {
      const writing = raw.write(...frames);
      await echoes(raw, opcode, bytes);
      await writing;
    };
    for (const length of [65536, 1 << 20, 4 << 20, MOST]) {
      await round(BINARY, payload.subarray(0, length), [frame(BINARY, payload.subarray(0, length))]);
    }
    for (const length of [1 << 20, MOST - 16]) await round(TEXT, whole(length), [frame(TEXT, whole(length))]);
    for (const size of [1024, 65536]) {
      await round(BINARY, payload.subarray(0, 4 << 20), fragments(BINARY, payload.subarray(0, 4 << 20), () => size));
      await round(TEXT, whole(1 << 20), fragments(TEXT, whole(1 << 20), () => size));
    }
    await leave(raw);
  });

  test('10 65,536 bytes in fragments of 1,300', async () => {
    const raw = await open(pipit);
    const text = Buffer.alloc(65536, '*');
    await raw.write(...fragments(TEXT, text, () => 1300));
    await echoes(raw, TEXT, text);
    await leave(raw);
  });

  test('random sizes, fragments, chops and pings in between come back as they were', async () => {
    const next = random(6455);
    const raw = await open(pipit);
    const bytes = Buffer.alloc(300_000);
    for (let i = 0; i < bytes.length; i++) bytes[i] = next() * 256;
    let pings = 0;
    const controls = [];
    for (let round = 0; round < 150; round++) {
      const length = Math.floor(next() ** 4 * bytes.length);
      const payload = bytes.subarray(0, length);
      const most = 1 + length * next();
      const frames = fragments(BINARY, payload, () => Math.floor(next() * most + 1 + length / 50), () => (next() < 0.3 ? [frame(PING, `${pings++}`)] : []));
      const stream = Buffer.concat(frames);
      const writing = (async () => {
        for (let at = 0; at < stream.length; ) {
          const end = at + 1 + Math.floor(next() * 9000);
          await raw.write(stream.subarray(at, end));
          at = end;
        }
      })();
      await echoes(raw, BINARY, payload, controls);
      await writing;
    }
    assert.deepEqual(controls.map((f) => f.payload.toString()), Array.from({ length: pings }, (_, i) => `${i}`));
    await leave(raw);
  });

  test('with `ws`: 0 bytes to 16 MB, both kinds', async () => {
    const client = new WebSocket(`${pipit.wsUrl}-echo`, { maxPayload: MOST + 1, perMessageDeflate: false });
    await within(once(client, 'open'), 'no handshake');
    for (const length of [0, 1, 125, 126, 65535, 65536, 1_000_000, MOST]) {
      for (const binary of [true, false]) {
        const sent = Buffer.alloc(length, 'abcdefghij');
        client.send(sent, { binary });
        const [data, isBinary] = await within(once(client, 'message'), 'no echo', 30_000);
        assert.equal(isBinary, binary);
        sameBytes(data, sent);
      }
    }
    client.close(4000, 'done');
    const [code] = await within(once(client, 'close'), 'not closed');
    assert.equal(code, 4000);
  });

  // An echo that nobody takes must wait, and must not eat the memory that the others need.
  test('8 clients who send 16 MB before they read lose nothing, and the house stays open meanwhile', async () => {
    const payload = Buffer.alloc(MOST);
    randomFillSync(payload);
    const bytes = frame(BINARY, payload);
    const lazy = await Promise.all(Array.from({ length: 8 }, () => open(pipit)));
    for (const raw of lazy) raw.socket.pause();
    const writing = lazy.map((raw) => raw.write(bytes));
    await sleep(1000);
    const visitor = await open(pipit);
    await visitor.write(frame(TEXT, 'me too'));
    await echoes(visitor, TEXT, 'me too');
    assert.equal((await fetch(`${pipit.url}/healthz`)).status, 200);
    for (const raw of lazy) raw.socket.resume();
    await Promise.all(lazy.map((raw) => echoes(raw, BINARY, payload)));
    await Promise.all(writing);
    await Promise.all([visitor, ...lazy].map(leave));
  });

  test('slots at rest', () => atRest(pipit));
});

test('without chat.echo there is no /ws-echo', async () => {
  const pipit = await startPipit();
  try {
    assert.equal((await ask(pipit, '/ws-echo')).status, 404);
    assert.match(await (await fetch(`${pipit.url}/ws-echo`)).text(), /url not found/);
  } finally {
    await pipit.stop();
  }
});
