// Peers that stop reading, vanish, or send rubbish, and what the others notice of it: nothing.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atRest, joinText, pools, random, within } from './chat_client.mjs';
import { allHave, disperse, gather, measure, measured, residentKb, sanitized, scatter, talk } from './crowd.mjs';
import { createTap, enterNamespace, FarMachine, ip, startOnTap } from './namespace.mjs';
import { startPipit } from './pipit.mjs';
import { BINARY, CLOSE, closeFrame, CONTINUATION, frame, PING, PONG, RawSocket, TEXT } from './raw_socket.mjs';

const skip = await enterNamespace();
const receiveBuffers = '/proc/sys/net/ipv4/tcp_rmem';
const ordinary = skip ? '' : readFileSync(receiveBuffers, 'utf8');

// Whoever connects from now on has at most 64 KB of the host's memory: a frozen client must not hide behind megabytes.
function smallBuffers() {
  writeFileSync(receiveBuffers, '4096 65536 65536');
}

const far = new URL('far_members.mjs', import.meta.url).pathname;
const settings = (...list) => ['chat.rate=0', ...list].flatMap((setting) => ['--set', setting]);

// Whatever happens, nobody is left behind: a paused socket would keep this program from ending.
async function ending(pipit, run) {
  const members = [];
  try {
    await run(async (count) => {
      members.push(...(await gather(pipit, count)));
      return members;
    });
  } finally {
    writeFileSync(receiveBuffers, ordinary);
    scatter(members);
    await pipit.stop();
  }
}

async function untilMetric(pipit, name, test, ms = 30_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await pipit.metric(name);
    if (test(value)) return value;
    assert.ok(Date.now() < end, `${name} stayed at ${value}`);
    await sleep(100);
  }
}

/// A frozen client ///

const frozenAmong100 = (t, pipit) => ending(pipit, async (gathered) => {
  smallBuffers();
  const members = await gathered(100);
  const [sender, frozen] = members;
  const others = members.filter((member) => member !== frozen);
  await allHave(members, 100);

  await talk(sender, 100, 1000, 2); // warms everything up
  measure(others);
  await talk(sender, 300, 1000, 2, 1);
  await allHave(members, 500);
  const without = measured(others);

  frozen.socket.pause();
  await talk(sender, 600, 1000, 20); // until nothing more fits between it and the server
  await allHave(others, 1100);
  const before = { pools: await pools(pipit), resident: residentKb(pipit) };
  measure(others);
  await talk(sender, 300, 1000, 2, 1);
  await allHave(others, 1400);
  const beside = measured(others);

  assert.equal(beside.count, others.length * 300);
  for (const member of others) assert.deepEqual([member.messages, member.skipped], [1300, 0]);
  const after = await pools(pipit);
  for (const { name, used } of Object.values(before.pools)) assert.ok(after[name].used <= used + 2, `${name}: ${used} to ${after[name].used}`);
  const grown = residentKb(pipit) - before.resident;
  assert.ok(sanitized || grown < 2048, `${grown} KB more resident`); // the history itself has grown by 0.6 MB
  const ms = (figure) => `p50 ${figure.p50.toFixed(2)} ms, p99 ${figure.p99.toFixed(2)} ms`;
  t.diagnostic(`without: ${ms(without)}; beside a frozen client: ${ms(beside)}; p99 ratio ${(beside.p99 / without.p99).toFixed(2)}; RSS +${grown} KB`);

  frozen.socket.resume();
  await allHave(members, 1400);
  assert.deepEqual([frozen.messages, frozen.skipped], [1300, 0], 'the history was long enough for it');
  await disperse(members);
  await atRest(pipit);
});

test('a frozen client among 100 costs the others nothing, over slirp', { skip }, async (t) => {
  await frozenAmong100(t, await startPipit({ args: settings('ws.stall=60') }));
});

test('a frozen client among 100 costs the others nothing, over TAP', { skip }, async (t) => {
  await frozenAmong100(t, await startOnTap(createTap('frozen0', { mtu: 1500 }), { args: settings('ws.stall=60') }));
});

test('who falls out of the history is told how much it missed, and goes on', { skip }, async (t) => {
  const pipit = await startOnTap(createTap('frozen1', { mtu: 1500 }), { args: settings('ws.stall=60') });
  await ending(pipit, async (gathered) => {
    smallBuffers();
    const members = await gathered(10);
    await allHave(members, 10);
    const frozen = members.slice(5);
    for (const { socket } of frozen) socket.pause();
    await talk(members[0], 6000, 1000, 50);
    await allHave(members.slice(0, 5), 6010);
    for (const { socket } of frozen) socket.resume();
    await allHave(frozen, 6010);
    await talk(members[0], 10, 1000);
    await allHave(members, 6020);
    for (const { messages, skipped } of frozen) {
      assert.ok(skipped > 0);
      assert.equal(messages + skipped, 6010, 'received and skipped are all there was');
    }
    t.diagnostic(`skipped of 6,010: ${frozen.map((m) => m.skipped).join(', ')}`);
    assert.equal(await pipit.metric('pipit_chat_skipped_total'), members.reduce((sum, m) => sum + m.skipped, 0));
    await disperse(members);
    await atRest(pipit);
  });
});

test('who takes nothing for ws.stall seconds is closed with 1013, read or not', { skip }, async () => {
  const pipit = await startOnTap(createTap('frozen2', { mtu: 1500 }), { args: settings('ws.stall=2') });
  await ending(pipit, async (gathered) => {
    smallBuffers();
    const members = await gathered(10);
    await allHave(members, 10);
    const frozen = members.slice(8);
    for (const { socket } of frozen) socket.pause();
    await talk(members[0], 1000, 1000, 50);
    await untilMetric(pipit, 'pipit_chat_culled_total', (n) => n === 2);
    assert.equal(await pipit.metric('pipit_chat_clients'), 8);
    frozen[0].socket.resume(); // in time for the last words
    assert.equal((await within(frozen[0].closed, 'not closed')).code, 1013);
    await allHave(members.slice(0, 8), 1010 + 2);
    await disperse(members.slice(0, 8));
    await atRest(pipit); // the other one has never read them
    frozen[1].socket.resume();
    assert.ok([1006, 1013].includes((await within(frozen[1].closed, 'not closed')).code));
  });
});

/// Peers that vanish ///

// Members behind a cable, and some beside us.
async function withFarMembers(name, count, args, run) {
  const tap = createTap(`${name}t`, { mtu: 1500, address: null });
  ip(`link add ${name} type bridge`);
  ip(`link set ${tap} master ${name}`);
  ip(`link set ${name} up`);
  ip(`addr add 10.77.0.1/16 dev ${name}`);
  const machine = new FarMachine(`${name}c`, '10.77.0.3/16');
  try {
    await machine.connect(name, 1500);
    const pipit = await startOnTap(tap, { args });
    await ending(pipit, (gathered) => amongFarMembers(pipit, machine, gathered, count, run));
  } finally {
    machine.stop();
    ip(`link del ${name}`);
  }
}

async function amongFarMembers(pipit, machine, gathered, count, run) {
  const near = await gathered(5);
  const child = machine.spawn(process.execPath, far, pipit.host, `${count}`);
  child.stdout.setEncoding('utf8');
  const lines = async () => (await within(once(child.stdout, 'data'), 'the far members said nothing'))[0].trim();
  assert.equal(await lines(), 'ready');
  const ask = async () => {
    const answer = lines();
    child.stdin.write('?\n');
    return JSON.parse(await answer);
  };
  await run({ pipit, near, machine, ask });
  child.stdin.end();
  await disperse(near);
  await atRest(pipit);
}

test('who vanishes in silence is missed after two pings', { skip }, async () => {
  await withFarMembers('gone', 30, settings('ws.ping=1'), async ({ pipit, near, machine }) => {
    await allHave(near, 35);
    machine.unplug();
    await untilMetric(pipit, 'pipit_chat_clients', (n) => n === 5);
    await allHave(near, 65); // each left exactly once
    assert.equal(await pipit.metric('pipit_chat_events_total'), 65);
  });
});

test('who vanishes with data on the way is closed after ws.stall, while the history goes round', { skip }, async () => {
  await withFarMembers('lost', 30, settings('ws.stall=3'), async ({ pipit, near, machine }) => {
    await allHave(near, 35);
    machine.unplug();
    await talk(near[0], 4000, 1000, 10, 1);
    await untilMetric(pipit, 'pipit_chat_clients', (n) => n === 5);
    await allHave(near, 35 + 4000 + 30);
    for (const { messages, skipped } of near) assert.deepEqual([messages, skipped], [4000, 0]);
  });
});

// What was on the way when the cable was pulled has been overwritten in the history when it is sent again; it must
// arrive as it was all the same.
test('who comes back after the history went round has all the rest, or knows how much is missing', { skip }, async (t) => {
  await withFarMembers('back', 10, settings('ws.stall=60', 'ws.ping=60'), async ({ pipit, near, machine, ask }) => {
    await allHave(near, 15);
    const talking = talk(near[0], 6000, 1000, 10);
    await near[0].until((m) => m.messages >= 500, 'the first messages');
    machine.unplug();
    await talking;
    machine.plugIn();
    await talk(near[0], 10, 1000);
    await allHave(near, 6025);
    let seen;
    for (let tries = 0; tries < 100; tries++) {
      seen = await ask();
      if (seen.every((member) => member.last >= 6025)) break;
      await sleep(200);
    }
    for (const member of seen) {
      assert.deepEqual([member.wrong, member.open, member.last], [null, true, 6025]);
      assert.equal(member.messages + member.skipped, 6010);
      assert.ok(member.skipped > 0);
    }
    const relocated = await pipit.metric('pipit_net_relocated_bytes_total');
    assert.ok(relocated > 0, 'nothing was moved out of the way');
    t.diagnostic(`skipped ${seen.map((m) => m.skipped).join(', ')} of 6,010; ${relocated} bytes moved out of the way`);
  });
});

/// Rubbish ///

const TRIES = 2000;

// What breaks the protocol, and the code for it.
function violation(next) {
  const any = (list) => list[Math.floor(next() * list.length)];
  const kinds = [
    () => [frame(any([TEXT, BINARY, PING, CLOSE]), 'x', { reserved: 1 + Math.floor(next() * 7) }), 1002],
    () => [frame(any([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), 'x'.repeat(next() * 20)), 1002],
    () => [frame(any([TEXT, BINARY, PING]), 'x'.repeat(next() * 20), { masked: false }), 1002],
    () => [frame(any([PING, PONG]), '', { fin: false }), 1002],
    () => [frame(any([PING, PONG, CLOSE]), '', { length: 126 + Math.floor(next() * 70_000) }), 1002],
    () => [frame(CONTINUATION, 'x'), 1002],
    () => [frame(TEXT, '', { length: Math.floor(next() * 126), form: any([16, 64]) }), 1002],
    () => [frame(TEXT, '', { length: 2n ** 63n }), 1002],
    () => [Buffer.concat([frame(TEXT, 'x', { fin: false }), frame(any([TEXT, BINARY]), 'x')]), 1002],
    () => [closeFrame(any([0, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])), 1002],
    () => [frame(CLOSE, 'x'), 1002],
    () => [frame(TEXT, Buffer.from(any(['ff', 'c0af', 'eda080', 'f4908080', '80']), 'hex')), 1007],
    () => [Buffer.concat([frame(TEXT, Buffer.from('e6', 'hex'), { fin: false }), frame(CONTINUATION, 'x')]), 1007],
    () => [frame(BINARY, randomBytes(next() * 30)), 1003],
    () => [frame(TEXT, '', { length: 1025 + Math.floor(next() * 1e9) }), 1009],
    () => [Buffer.concat([frame(TEXT, 'x'.repeat(1000), { fin: false }), frame(CONTINUATION, 'x'.repeat(25))]), 1009],
    () => [closeFrame(1000), 1000],
    () => [closeFrame(3000, 'why'), 3000],
  ];
  return any(kinds)();
}

async function writeInPieces(raw, bytes, next) {
  for (let at = 0; at < bytes.length; ) {
    const end = next() < 0.5 ? bytes.length : at + 1 + Math.floor(next() * bytes.length);
    await raw.write(bytes.subarray(at, end));
    at = end;
  }
}

// Some good frames, then a violation: the right code, then the end.
async function broken(pipit, next) {
  const raw = await RawSocket.open(pipit);
  const good = Array.from({ length: next() * 3 }, () => (next() < 0.5 ? frame(TEXT, 'fine') : frame(PING, 'fine')));
  const [bad, code] = violation(next);
  await writeInPieces(raw, Buffer.concat([...good, bad]), next);
  assert.equal(await raw.closeCode(), code, bad.subarray(0, 40).toString('hex'));
  await raw.expectEnd();
  return code;
}

// Good bytes that end anywhere, by FIN or by reset.
async function truncated(pipit, next) {
  const raw = await RawSocket.open(pipit);
  const whole = Buffer.concat([frame(TEXT, 'x'.repeat(next() * 1000)), frame(PING, 'y'.repeat(next() * 125)), closeFrame(1000)]);
  await writeInPieces(raw, whole.subarray(0, next() * whole.length), next);
  if (next() < 0.3) {
    raw.socket.resetAndDestroy();
  } else {
    raw.socket.end();
    await within(raw.ended, 'the server did not end it');
    raw.destroy();
  }
}

// Any bytes at all: some code of the contract, or, when they happen to want more, the end that follows ours.
async function noise(pipit, next) {
  const raw = await RawSocket.open(pipit);
  const bytes = Buffer.from(Array.from({ length: 1 + next() * 200 }, () => next() * 256));
  await writeInPieces(raw, bytes, next);
  raw.socket.end();
  const code = await raw.closeCode();
  assert.ok([1002, 1003, 1006, 1007, 1009].includes(code) || (code >= 1000 && code < 5000), `${code}`);
  await within(raw.ended, 'the server did not end it');
  raw.destroy();
}

describe('rubbish', () => {
  test(`${TRIES} broken, truncated and random connections end properly and leave nothing behind`, { skip }, async (t) => {
    const pipit = await startPipit({ args: settings() });
    try {
      const bystander = await joinText(pipit);
      const before = await pools(pipit);
      const next = random(2000);
      const kinds = [broken, broken, truncated, noise];
      const codes = {};
      let started = 0;
      const worker = async () => {
        while (started < TRIES) {
          const code = await kinds[started++ % kinds.length](pipit, next);
          if (code) codes[code] = (codes[code] ?? 0) + 1;
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      t.diagnostic(`codes: ${JSON.stringify(codes)}`);
      await atRest(pipit, before);
      assert.equal(await pipit.metric('pipit_chat_clients'), 1);
      bystander.say('still here');
      const lines = await bystander.until((line) => line === `[${bystander.name}] still here`);
      const joined = lines.filter((line) => / joined$/.test(line)).length;
      assert.equal(joined, TRIES);
      assert.equal(lines.filter((line) => / left$/.test(line)).length, joined, 'each leaves exactly once');
      await bystander.leave();
      await atRest(pipit);
    } finally {
      await pipit.stop();
    }
  });
});
