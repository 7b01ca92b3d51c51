// A thousand clients at once over TAP.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atRest, pools } from './chat_client.mjs';
import { allHave, disperse, gather, residentKb, sanitized } from './crowd.mjs';
import { createTap, enterNamespace, startOnTap } from './namespace.mjs';

const CLIENTS = 1000;
const SENDERS = 10;
const MESSAGES = 50; // of each sender
// The pools that lwIP links at its start, the arena of TLS (2.6 MB) and a flash in memory (1 MB) are resident with nobody there.
const RESIDENT_MOST_KB = 20 * 1024;

const skip = await enterNamespace();

test('1,000 clients have every message exactly once and in order, and leave nothing behind', { skip }, async (t) => {
  const pipit = await startOnTap(createTap('crowd0'), { args: ['--set', 'chat.rate=0'] });
  try {
    const before = await pools(pipit);
    const members = await gather(pipit, CLIENTS);
    await allHave(members, CLIENTS);
    assert.equal(await pipit.metric('pipit_chat_clients'), CLIENTS);
    const idle = residentKb(pipit);
    t.diagnostic(`resident with ${CLIENTS} idle clients: ${idle} KB`);
    if (!sanitized) assert.ok(idle < RESIDENT_MOST_KB, `${idle} KB resident with ${CLIENTS} idle clients`);

    const started = performance.now();
    for (let i = 0; i < MESSAGES; i++) for (const sender of members.slice(0, SENDERS)) sender.say(`message ${i}`);
    await allHave(members, CLIENTS + SENDERS * MESSAGES);
    const seconds = (performance.now() - started) / 1000;
    const deliveries = CLIENTS * SENDERS * MESSAGES;
    for (const member of members) assert.deepEqual([member.messages, member.skipped], [SENDERS * MESSAGES, 0]);
    t.diagnostic(`${deliveries} deliveries in ${seconds.toFixed(2)} s, the load generator included`);
    t.diagnostic(`resident after them: ${residentKb(pipit)} KB`);

    const { chat_clients: seats, connections } = await pools(pipit);
    assert.ok(seats.used === CLIENTS && connections.used >= CLIENTS);
    await disperse(members);
    await atRest(pipit, before, 20_000);
    assert.equal(await pipit.metric('pipit_chat_clients'), 0);
    assert.equal(await pipit.metric('pipit_chat_culled_total'), 0);
    assert.equal(await pipit.metric('pipit_net_no_slot_total'), 0);
  } finally {
    await pipit.stop();
  }
});
