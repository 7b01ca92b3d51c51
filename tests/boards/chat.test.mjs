// Chat with as many as the board promises room for, and with some who do not read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { piped } from '../system/chat_cli.mjs';
import { joinJson, joinText, refused, within } from '../system/chat_client.mjs';
import { allHave, disperse, gather, scatter, talk } from '../system/crowd.mjs';
import { RawSocket } from '../system/raw_socket.mjs';
import { withBoard } from './board.mjs';

/// A full house ///

const MESSAGES = 5; // of each sender

const heardBy = (client) =>
  client.json
    ? client.frames.filter(({ kind }) => kind === 'message').map(({ from, text }) => `[${from}] ${text}`)
    : client.frames.filter((line) => /^\[(?!system\])/.test(line));

async function untilAllHeard(clients, count) {
  for (const end = Date.now() + 30_000; clients.some((client) => heardBy(client).length < count); await sleep(20))
    assert.ok(Date.now() < end, `heard: ${clients.map((client) => heardBy(client).length)} of ${count}`);
}

test('a full house: everybody has every message once and in one order; one more is told to come back', async (t) => {
  await withBoard({}, async (board) => {
    const { chat_clients: { size } } = await board.pools();
    const clients = [];
    for (let i = 0; i < size; i++) clients.push(await (i % 2 === 0 ? joinText(board) : joinJson(board)));
    const late = await refused(board);
    assert.equal(late.status, 503);
    assert.match(late.headers['retry-after'], /^[1-9]\d*$/);

    const senders = clients.slice(0, 8);
    for (let i = 0; i < MESSAGES; i++) for (const [n, sender] of senders.entries()) sender.say(`${n}: ${i}`);
    await untilAllHeard(clients, senders.length * MESSAGES);
    const [order] = [heardBy(clients[0])];
    assert.equal(order.length, senders.length * MESSAGES);
    for (const [n, { name }] of senders.entries())
      assert.deepEqual(order.filter((line) => line.startsWith(`[${name}]`)), Array.from({ length: MESSAGES }, (_, i) => `[${name}] ${n}: ${i}`));
    for (const client of clients) assert.deepEqual(heardBy(client), order);

    const [leaver] = clients.splice(0, 1);
    await leaver.leave();
    clients.push(await joinText(board));
    assert.equal((await refused(board)).status, 503, 'full again');
    clients.at(-1).say('in the leaver\'s place');
    await untilAllHeard(clients.slice(0, -1), order.length + 1);
    await Promise.all(clients.map((client) => client.leave()));
    await board.atRest();
    await board.stackIsDeepEnough(t);
    assert.equal(await board.metric('pipit_chat_skipped_total'), 0);
  });
});

/// What people do ///

test('commands, names, tokens, replay, and the terminal client', async (t) => {
  await withBoard({}, async (board) => {
    await t.test('/nick, /who, /msg, /me, /help and what is no command', async () => {
      const [one, two] = [await joinText(board), await joinText(board)];
      await one.until((line) => line === `[system] ${two.name} joined`);
      one.say('/nick anna');
      for (const client of [one, two]) await client.until((line) => line === `[system] ${one.name} is now anna`);
      two.say('/nick ANNA');
      assert.match(await two.next(), /^\[system\] .*taken/i);
      two.say('/who');
      assert.match(await two.next(), /^\[system\] online \(2\): .*anna/);
      two.say('/msg anna between us');
      for (const client of [one, two]) await client.expect(`[${two.name} -> anna] between us`);
      one.say('/me waves');
      for (const client of [one, two]) await client.expect('* anna waves');
      one.say(' grüße 😀\r\n');
      for (const client of [one, two]) await client.expect('[anna] grüße 😀');
      await one.nothingMore();
      one.say('/quit');
      assert.equal((await within(one.closed, 'not closed')).code, 1000);
      await two.expect('[system] anna left');
      await two.leave();
    });

    await t.test('a token binds the connection to the account; a second one closes the first', async () => {
      const { token } = await board.account('carol');
      const first = await joinText(board, { token });
      assert.equal(first.name, 'carol');
      const second = await joinJson(board, { protocols: ['pipit.v1.json', `pipit.token.${token}`] });
      assert.equal(second.name, 'carol');
      assert.equal((await within(first.closed, 'not closed')).code, 4001);
      assert.equal((await refused(board, { token: `${token.slice(0, -1)}x` })).status, 401);
      await second.leave();
    });

    await t.test('?since= replays what was missed, in order and once', async () => {
      const [stays, goes] = [await joinJson(board), await joinJson(board)];
      stays.say('before');
      const seen = await goes.until(({ kind }) => kind === 'message');
      await goes.drop();
      for (let i = 0; i < 5; i++) stays.say(`missed ${i}`);
      await stays.until(({ text }) => text === 'missed 4');
      const back = await joinJson(board, { since: seen.at(-1).id });
      const ids = back.before.map(({ id }) => id);
      assert.deepEqual(ids, ids.map((_, i) => seen.at(-1).id + 1 + i));
      assert.deepEqual(back.before.filter(({ kind }) => kind === 'message').map(({ text }) => text), Array.from({ length: 5 }, (_, i) => `missed ${i}`));
      await Promise.all([stays.leave(), back.leave()]);
    });

    await t.test('two terminal clients', async () => {
      const at = [board.host, String(board.port)];
      const [one, two] = [piped(at), piped(at)];
      for (const client of [one, two]) await client.shows(/\[system\] connected\./);
      one.type('/nick anna\n');
      await two.shows(/is now anna/);
      one.type('hello\n');
      for (const client of [one, two]) await client.shows(/\[anna\] hello/);
      two.type('/msg anna and you\n');
      await one.shows(/-> anna\] and you/);
      one.end('/quit\n');
      await two.shows(/\[system\] anna left/);
      two.end('/quit\n');
      assert.deepEqual([await one.status(), await two.status()], [0, 0]);
    });

    await board.atRest();
    await board.stackIsDeepEnough(t);
  });
});

/// Who does not read ///

// Bytes of a message that every board takes, and more of them than any board's history holds.
const SIZE = 400;
const MANY = 700;

// With some who read, and one whose window is shut.
async function withFrozen(settings, use) {
  await withBoard({ settings, wire: true }, async (board) => {
    const others = await gather(board, 4);
    const frozen = await RawSocket.open(board, '/ws');
    try {
      board.wire.frozen.add(frozen.socket.localPort);
      const before = Date.now();
      await talk(others[0], MANY, SIZE, 4);
      await allHave(others, others.length + 1 + MANY);
      for (const { messages, skipped } of others) assert.deepEqual([messages, skipped], [MANY, 0]);
      await use(board, frozen, others, Date.now() - before);
    } finally {
      scatter(others);
      frozen.destroy();
    }
    await board.atRest();
  });
}

test('one whose window stays shut misses some, is told how many, and costs the others nothing', async (t) => {
  await withFrozen({ 'ws.stall': 60, 'ws.ping': 60 }, async (board, frozen, others, ms) => {
    t.diagnostic(`${MANY} messages to ${others.length} others in ${ms} ms`);
    board.wire.frozen.clear();
    others[0].say('the last one');
    const lines = [];
    while (!lines.at(-1)?.endsWith('] the last one')) {
      const next = await frozen.message();
      lines.push(next.payload.toString());
    }
    const missed = lines.map((line) => Number(line.match(/^\[system\] (\d+) messages? w\w+ missed$/)?.[1] ?? 0)).reduce((a, b) => a + b);
    const heard = lines.filter((line) => line.includes('xxx')).length;
    t.diagnostic(`it heard ${heard} and missed ${missed}`);
    assert.ok(missed > 0, `never told: ${lines.filter((line) => line.startsWith('[system]'))}`);
    assert.equal(heard + missed, MANY);
    assert.equal(await board.metric('pipit_chat_skipped_total'), missed);
    await disperse(others);
  });
});

test('one that takes nothing for ws.stall seconds is closed with 1013', async () => {
  await withFrozen({ 'ws.stall': 3, 'ws.ping': 60 }, async (board, frozen, others) => {
    for (const end = Date.now() + 10_000; (await board.metric('pipit_chat_culled_total')) === 0; await sleep(50))
      assert.ok(Date.now() < end, 'it was never closed');
    board.wire.frozen.clear();
    const code = await frozen.closeCode();
    assert.equal(code, 1013);
    await allHave(others, others.length + 1 + MANY + 1); // and its leaving
    await disperse(others);
  });
});
