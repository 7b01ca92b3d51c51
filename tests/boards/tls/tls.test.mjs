// The smallest board with the profile tls: the whole way over HTTPS, a chat over WSS beside plain ones, resumption, and
// what it has no room for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinText, within } from '../../system/chat_client.mjs';
import { curl, freshEmail } from '../../system/curl.mjs';
import { noteCall } from '../../system/evidence.mjs';
import { alertIn, connect, connectRaw, got, NAME, reachableByTls, sClient } from '../../system/tls.mjs';
import { metrics, settledSlots, slotsAtRest } from '../../system/typed.mjs';
import { withBoard } from '../board.mjs';

const SLOW_MS = 60_000;
const get = `GET /healthz HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;
const failed = async (board, reason) => (await metrics(board)).get(`pipit_tls_failed_total{reason="${reason}"}`);

test('TLS 1.2 in 64 KB: code, registration, login and chat, two sessions, and clear refusals', async (t) => {
  await withBoard({ settings: { 'tls.handshake_timeout': 30, 'http.names': NAME } }, async (board) => {
    await certified(board);
    await reachableByTls(board, board.tlsPort);
    const rest = await settledSlots(board);
    try {
      await wholeWay(board);
      await resumed(board);
      await refused(board);
    } finally {
      await board.tls.forget();
    }
    await slotsAtRest(board, rest, { only: /tls/, ms: SLOW_MS });
    await board.stackIsDeepEnough(t);
    assert.equal(await failed(board, 'memory'), 0);
    const all = await metrics(board);
    t.diagnostic(`arena: most ${all.get('pipit_tls_arena_bytes{kind="high_water"}')} bytes, at rest ${all.get('pipit_tls_arena_bytes{kind="used"}')}`);
  });
});

// The certificate is made within the second after the address has come.
async function certified(board) {
  for (const end = Date.now() + SLOW_MS; !board.console.includes('tls: certificate '); await sleep(20)) assert.ok(Date.now() < end, board.console);
}

async function wholeWay(board) {
  const api = async (route, fields) => {
    const reply = await curl(board.secure, route, { body: JSON.stringify(fields), args: board.secure.curl });
    assert.equal(reply.json?.error, 0, `${route}: ${reply.text}`);
    noteCall(fields, reply.json);
    return reply.json;
  };
  const email = freshEmail();
  const { code } = await api('/get_verifycode', { email });
  await api('/register', { user: 'alice', email, password: 'secret123', code });
  const { token } = await api('/login', { user: 'alice', password: 'secret123' });
  const alice = await joinText(board.secure, { ...board.secure.chat, token });
  const plain = [];
  for (let i = 0; i < 3; i++) {
    plain.push(await joinText(board));
    const { name } = plain.at(-1);
    for (const other of [alice, ...plain.slice(0, -1)]) await other.expect(`[system] ${name} joined`);
  }
  alice.say('over TLS');
  for (const one of [alice, ...plain]) await one.expect('[alice] over TLS');
  plain[0].say('in the clear');
  for (const one of [alice, ...plain]) await one.expect(`[${plain[0].name}] in the clear`);
  await api('/login', { user: 'alice', password: 'secret123' }); // the second session, beside the chat's
  await crowded(board);
  await alice.leave();
  for (const one of plain) await one.expect('[system] alice left');
  for (const one of plain) await one.leave();
}

// The chat has one of two sessions, and somebody the other.
async function crowded(board) {
  const open = await connect(board);
  const late = await connectRaw(board);
  await within(late.over, 'the one too many was not closed', SLOW_MS);
  assert.equal(alertIn(late.got)?.description, 80);
  open.write(get);
  await got(open, /200 OK/, SLOW_MS);
  open.end();
  await within(open.over, 'it was not closed', SLOW_MS);
}

async function resumed(board) {
  const file = `${board.tls.folder}/session`;
  const shaken = (args) => sClient(board, args, { input: get, until: /200 OK/, ms: SLOW_MS });
  assert.match(await shaken(['-sess_out', file]), /New, TLSv1\.2/);
  assert.match(await shaken(['-sess_in', file]), /Reused, TLSv1\.2/);
}

async function refused(board) {
  assert.match(await sClient(board, ['-tls1_3'], { until: /alert number \d+/, ms: SLOW_MS }), /alert number 40/);
  const before = await failed(board, 'record');
  const long = await connect(board);
  long.write(Buffer.alloc(4000, 'x')); // one record, of twice the length that there is room for
  await within(long.over, 'a record that is too long was taken', SLOW_MS);
  assert.equal(await failed(board, 'record'), before + 1);
  const short = await connect(board);
  short.write(get);
  await got(short, /200 OK/, SLOW_MS);
  short.end();
  await within(short.over, 'it was not closed', SLOW_MS);
}
