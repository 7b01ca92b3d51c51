// The Ethernet link goes and comes back in the middle of chat. QEMU's monitor pulls the plug; where the emulated chip
// tells of it, the console does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allHave, disperse, gather, scatter, talk } from '../system/crowd.mjs';
import { facts, withBoard } from './board.mjs';

const OUTAGE_MS = 2500; // TCP lives through it

const unlink = (board) => board.monitor('set_link net off');
const relink = (board) => board.monitor('set_link net on');

async function outage(board, beginning) {
  const from = board.console.length;
  const until = async (pattern) => {
    for (const end = Date.now() + 3000; !pattern.test(board.console.slice(from)); await sleep(20))
      assert.ok(Date.now() < end, `the console never showed ${pattern}:\n${board.console.slice(from)}`);
  };
  await unlink(board);
  await beginning();
  if (facts.link) await until(/the link is down/);
  await sleep(OUTAGE_MS);
  await relink(board);
  if (facts.link) await until(/the link is up/);
}

test('chat goes on where it stopped: nothing is lost for who stayed', async (t) => {
  await withBoard({}, async (board) => {
    const members = [...(await gather(board, 4)), ...(await gather(board, 4))]; // a small board has few doors
    try {
      await talk(members[0], 20, 100, 4);
      await allHave(members, 28);
      await outage(board, async () => {
        for (const member of members) member.say('into the dark');
      });
      const before = performance.now();
      await allHave(members, 28 + members.length);
      t.diagnostic(`after an outage of ${OUTAGE_MS} ms all had everything within ${(performance.now() - before).toFixed(0)} ms`);
      await talk(members[1], 20, 100, 4);
      await allHave(members, 48 + members.length);
      for (const { messages, skipped } of members) assert.deepEqual([messages, skipped], [40 + members.length, 0]);
      const { started_after, uptime_seconds } = await board.status();
      assert.equal(started_after, 'power on');
      assert.ok(uptime_seconds >= OUTAGE_MS / 1000);
      await disperse(members);
    } finally {
      scatter(members);
    }
    await board.atRest();
  });
});

test('again and again, in quick succession', async () => {
  await withBoard({}, async (board) => {
    const members = await gather(board, 4);
    try {
      for (let i = 0; i < 10; i++) {
        await unlink(board);
        members[i % 4].say(`number ${i}`);
        await sleep(20 * i);
        await relink(board);
      }
      await allHave(members, 14);
      for (const { messages } of members) assert.equal(messages, 10);
      await disperse(members);
    } finally {
      scatter(members);
    }
    await board.atRest();
  });
});
