// HTTPS and WSS from a board: code, registration, login and chat with both versions, resumption, and peers that fail.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { piped } from '../system/chat_cli.mjs';
import { joinText, within } from '../system/chat_client.mjs';
import { curl, freshEmail } from '../system/curl.mjs';
import { alertIn, connect, connectRaw, got, NAME, reachableByTls, sClient } from '../system/tls.mjs';
import { metrics, settledSlots, slotsAtRest } from '../system/typed.mjs';
import { facts, withBoard } from './board.mjs';

const SLOW_MS = 60_000; // a handshake is some 100 million instructions
const get = `GET /healthz HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;

if (facts.tls)
  test('the whole way over TLS 1.2 and 1.3, beside a plain client, and nothing stays behind', async (t) => {
    await withBoard({ settings: { 'tls.handshake_timeout': 30 } }, async (board) => {
      await reachableByTls(board, board.tlsPort);
      const rest = await settledSlots(board);
      try {
        for (const version of ['1.2', '1.3']) await wholeWay(board, version);
        await fromTheTerminal(board);
        await resumed(board);
        await attacked(board);
        await crowded(board);
      } finally {
        await board.tls.forget();
      }
      await slotsAtRest(board, rest, { only: /tls/, ms: SLOW_MS });
      await board.stackIsDeepEnough(t);
      const all = await metrics(board);
      t.diagnostic(`arena: most ${all.get('pipit_tls_arena_bytes{kind="high_water"}')} bytes, at rest ${all.get('pipit_tls_arena_bytes{kind="used"}')}`);
    });
  });

async function wholeWay(board, version) {
  const args = [...board.secure.curl, `--tlsv${version}`, '--tls-max', version];
  const api = async (route, fields) => {
    const reply = await curl(board.secure, route, { body: JSON.stringify(fields), args });
    assert.equal(reply.json?.error, 0, `${route}: ${reply.text}`);
    return reply.json;
  };
  const email = freshEmail();
  const user = `tls${version.replace('.', '')}`;
  const { code } = await api('/get_verifycode', { email });
  await api('/register', { user, email, password: 'secret123', code });
  const { token } = await api('/login', { user, password: 'secret123' });
  const alice = await joinText(board.secure, { ...board.secure.chat, maxVersion: `TLSv${version}`, token });
  assert.equal(alice.name, user);
  const bob = await joinText(board);
  await alice.expect(`[system] ${bob.name} joined`);
  alice.say('over TLS');
  await bob.expect(`[${user}] over TLS`);
  await alice.leave();
  await bob.expect(`[system] ${user} left`);
  await bob.leave();
}

// With the account of wholeWay().
async function fromTheTerminal(board) {
  const other = await joinText(board);
  const client = piped(['--tls', '--cacert', board.tls.caFile, '--user', 'tls13', '127.0.0.1', String(board.tlsPort)]);
  client.end('secret123\nfrom the terminal\n');
  await client.shows(/\[tls13\] from the terminal/, SLOW_MS);
  assert.equal(await client.closed, 0);
  await other.until((line) => line === '[tls13] from the terminal');
  await other.leave();
}

async function resumed(board) {
  for (const flag of ['-tls1_2', '-tls1_3']) {
    const file = `${board.tls.folder}/session`;
    assert.match(await sClient(board, [flag, '-sess_out', file], { input: get, until: /200 OK/, ms: SLOW_MS }), /New, TLSv1/);
    assert.match(await sClient(board, [flag, '-sess_in', file], { input: get, until: /200 OK/, ms: SLOW_MS }), /Reused, TLSv1/);
  }
}

async function attacked(board) {
  const plain = await connectRaw(board);
  plain.write(get);
  await within(plain.over, 'HTTP in the clear was not closed', SLOW_MS);
  assert.equal(alertIn(plain.got)?.level, 2);
  assert.match(await sClient(board, ['-alpn', 'h2'], { until: /alert number \d+/, ms: SLOW_MS }), /alert number 120/);
}

// As many as it has; the one too many is told so.
async function crowded(board) {
  const { size } = (await board.pools()).tls_served;
  const open = [];
  for (let i = 0; i < size; i++) open.push(await connect(board));
  const late = await connectRaw(board);
  await within(late.over, 'the one too many was not closed', SLOW_MS);
  assert.equal(alertIn(late.got)?.description, 80);
  open[0].write(get);
  await got(open[0], /200 OK/, SLOW_MS);
  for (const socket of open) socket.end();
  await Promise.all(open.map((socket) => within(socket.over, 'it was not closed', SLOW_MS)));
}
