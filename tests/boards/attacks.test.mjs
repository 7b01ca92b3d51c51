// Frames that wish the board ill, straight onto its Ethernet. It need not serve meanwhile, but it stays up, serves again at
// once, and has lost nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinText, random, within } from '../system/chat_client.mjs';
import { once, request } from '../system/raw.mjs';
import { startBoard } from './board.mjs';
import { ACK, address, arpRequest, dns, ethernet, FIN, ip, ping, PSH, RST, SYN, tcp, udp } from './frames.mjs';

const ATTACK_MS = 5000;
const AGAIN_WITHIN_MS = 2000;
const own = '10.0.2.15';
const lonely = request('GET', '/healthz', { connection: 'close' });

let board;
before(async () => {
  board = await startBoard({ wire: true });
});
after(async () => {
  assert.equal(await board.stop(), 0);
});

// Sends what `make(i)` gives, as fast as this process can; returns how many.
async function flood(make) {
  let sent = 0;
  for (const end = Date.now() + ATTACK_MS; Date.now() < end; ) {
    for (let i = 0; i < 32; i++) board.wire.send(make(sent++));
    await new Promise(setImmediate);
  }
  return sent;
}

// Many short tries: what QEMU's user network sends while the wire is flooded may be lost, and it is slow to send it again.
async function servesAgain() {
  const began = performance.now();
  for (;;) {
    const tried = await once(board, lonely, { ms: 250 }).catch(() => undefined);
    const ms = performance.now() - began;
    if (tried?.body === 'ok\n') return ms;
    assert.ok(ms < AGAIN_WITHIN_MS, `it does not serve ${ms.toFixed(0)} ms after the end`);
  }
}

// The board answers frames of kind `isAnswer` now and then, so they did reach it.
async function underAttack(t, make, isAnswer) {
  const chatting = await joinText(board);
  t.after(() => chatting.drop());
  const from = board.console.length;
  const uptime = (await board.status()).uptime_seconds;
  let answers = 0;
  board.wire.seen = (frame) => (answers += isAnswer(frame) ? 1 : 0);
  const sent = await flood(make);
  board.wire.seen = null;
  const ms = await servesAgain();
  t.diagnostic(`${sent} frames, ${answers} answers; serves again after ${ms.toFixed(0)} ms`);
  assert.ok(answers > 0, 'nothing of it ever reached the board');
  const status = await board.status();
  // An emulator that is flooded has no time for all of the machine's ticks, so its clock may have lost some of these seconds.
  assert.ok(status.uptime_seconds > uptime, `it started again: ${status.started_after}`);
  assert.doesNotMatch(board.console.slice(from), /fault|reboot|started after/);
  await stillThereOrGone(chatting);
  await atRest();
}

async function stillThereOrGone(client) {
  client.say('still there');
  const heard = client.until((line) => line === `[${client.name}] still there`).then(() => client.leave());
  await within(Promise.race([heard, client.closed]), 'neither there nor gone', 20_000);
}

// Half-open connections are forgotten after 20 s.
async function atRest() {
  for (const end = Date.now() + 30_000; ; await sleep(500)) {
    const busy = await board.atRest().then(
      () => null,
      (error) => error,
    );
    if (busy === null) return;
    if (Date.now() > end) throw busy;
  }
}

const type = (frame) => frame.readUInt16BE(12);
const isArpReply = (frame) => type(frame) === 0x0806 && frame[21] === 2;
const isIp = (protocol) => (frame) => type(frame) === 0x0800 && frame[23] === protocol;
const isSynAck = (frame) => isIp(6)(frame) && frame[47] === (SYN | ACK);

/// Floods ///

test('broadcasts: ARP for itself and for others, large datagrams, types that nobody knows', async (t) => {
  const next = random(1);
  const any = (below) => Math.floor(next() * below);
  const large = Buffer.alloc(1400, 0x55);
  const from = { address: '10.0.2.99', port: 1000 };
  const kinds = [
    () => arpRequest(`10.0.2.${100 + any(100)}`, own),
    () => arpRequest(`10.0.2.${100 + any(100)}`, `10.0.2.${100 + any(100)}`),
    () => udp(null, from, { address: '10.0.2.255', port: any(65536) }, large),
    () => udp(board.wire.address, from, { address: own, port: any(65536) }, large),
    () => ethernet(null, any(65536) | 0x8000, large.subarray(0, 46 + any(1400))),
  ];
  await underAttack(t, (i) => kinds[i % kinds.length](), isArpReply);
});

test('SYNs from ever new strangers, who never answer', async (t) => {
  const next = random(2);
  const any = (below) => Math.floor(next() * below);
  const syn = () => {
    const from = { address: `198.${18 + any(2)}.${any(256)}.${1 + any(254)}`, port: 1024 + any(60000) };
    return tcp(board.wire.address, from, { address: own, port: 80 }, SYN, { seq: any(2 ** 32) });
  };
  await underAttack(t, syn, isSynAck);
});

/// Nonsense ///

const stranger = { address: '10.0.2.99', port: 4000 };
const at = (port) => ({ address: own, port });
const mdnsGroup = { address: '224.0.0.251', port: 5353 };
const mdnsMac = Buffer.from('01005e0000fb', 'hex');
const dhcpOffer = Buffer.concat([Buffer.from('0201060000000001', 'hex'), Buffer.alloc(228), Buffer.from('638253633501053604', 'hex'), address('10.0.2.99'), Buffer.of(255)]);

// Frames that are what they should be, or nearly so.
function seeds(mac) {
  return [
    arpRequest(stranger.address, own),
    ping(mac, stranger.address, own, Buffer.alloc(56, 1)),
    ping(mac, stranger.address, own, Buffer.alloc(56, 1), { options: Buffer.from('0704040000000000', 'hex') }),
    ping(mac, stranger.address, own, Buffer.alloc(800, 1), { fragment: 0x2000 }),
    ip(mac, stranger.address, own, 1, Buffer.alloc(600), { fragment: 100 }),
    ip(mac, stranger.address, own, 1, Buffer.alloc(100), { fragment: 0x1fff }),
    tcp(mac, stranger, at(80), SYN, { options: Buffer.from('020405b4', 'hex') }),
    tcp(mac, stranger, at(80), ACK | PSH, { ack: 77, payload: Buffer.from('GET / HTTP/1.1\r\n\r\n') }),
    tcp(mac, stranger, at(50051), FIN | RST | SYN | ACK, { options: Buffer.from('03030e0402080a00000000000000', 'hex').subarray(0, 12) }),
    udp(mac, stranger, at(68), Buffer.alloc(300)),
    udp(mac, { address: '10.0.2.99', port: 67 }, at(68), dhcpOffer),
    udp(mac, { address: '10.0.2.99', port: 53 }, at(50000), dns(0x8180, 'pool.ntp.org')),
    udp(mdnsMac, { address: '10.0.2.99', port: 5353 }, mdnsGroup, dns(0x8400, 'pipit.local')),
    udp(mdnsMac, { address: '10.0.2.99', port: 5353 }, mdnsGroup, dns(0, '_http._tcp.local', { type: 12, pointer: 0xc02a })),
    udp(mdnsMac, { address: '10.0.2.99', port: 5353 }, mdnsGroup, dns(0x8400, 'pipit.local', { counts: [65535, 65535, 65535, 65535] })),
    ip(Buffer.from('01005e000001', 'hex'), stranger.address, '224.0.0.1', 2, Buffer.from('1164ee9b00000000', 'hex')),
  ];
}

// A neighbour may well take an address from the board or from the host: ARP has no defence. That is not what is asked here.
const claims = (frame) => type(frame) === 0x0806 && frame.length >= 32 && ['10.0.2.2', '10.0.2.3', own].includes(frame.subarray(28, 32).join('.'));

function mutate(frame, any) {
  let bytes = Buffer.from(frame);
  const kinds = [
    () => (bytes[any(bytes.length)] = any(256)),
    () => (bytes[14 + any(Math.min(40, bytes.length - 14))] ^= 1 << any(8)),
    () => bytes.writeUInt16BE([0, 1, 0xffff, 0x8000, 20, 19, 60, 1500][any(8)], 14 + any(Math.max(1, bytes.length - 16))),
    () => (bytes = bytes.subarray(0, 14 + any(bytes.length - 13))),
    () => (bytes = Buffer.concat([bytes, Buffer.alloc(any(200), any(256))])),
    () => (bytes = Buffer.concat([bytes, Buffer.alloc(1500 + any(2500), any(256))])),
  ];
  for (let n = 1 + any(3); n > 0 && bytes.length > 16; n--) kinds[any(kinds.length)]();
  return mend(bytes, any);
}

// Mostly the header's own check sum is right again, so that what is wrong behind it is looked at.
function mend(bytes, any) {
  const size = 4 * (bytes[14] & 15);
  if (bytes.length < 34 || type(bytes) !== 0x0800 || any(4) === 0 || size < 20 || bytes.length < 14 + size) return bytes;
  bytes.writeUInt16BE(0, 24);
  let sum = 0;
  for (let i = 14; i < 14 + size; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, 24);
  return bytes;
}

for (const seed of [2026, 2027])
  test(`mutated frames, seed ${seed}: truncated, oversized, with wrong lengths, options, fragments, answers that nobody asked for`, async (t) => {
    const next = random(seed);
    const any = (below) => Math.floor(next() * below);
    const all = seeds(board.wire.address);
    const make = () => {
      for (;;) {
        const frame = any(8) === 0 ? all[any(all.length)] : mutate(all[any(all.length)], any);
        if (!claims(frame)) return frame;
      }
    };
    await underAttack(t, make, (frame) => isArpReply(frame) || isIp(1)(frame));
  });

test('the stack has room to spare', (t) => board.stackIsDeepEnough(t));
