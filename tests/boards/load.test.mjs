// A busy half hour in a minute: everything that people do, over and over, and all at once. Afterwards nothing is in use, and
// the marks say how far everything went.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinText } from '../system/chat_client.mjs';
import { call, freshEmail } from '../system/curl.mjs';
import { Member } from '../system/crowd.mjs';
import { codeIn, startRelay } from '../system/mail_peers.mjs';
import { Raw, request } from '../system/raw.mjs';
import { RpcClient } from '../system/rpc_peers.mjs';
import { withBoard } from './board.mjs';

const GETS = 600;
const PEOPLE = 40; // each with a code by mail, an account, a login, and a word in the chat
const MESSAGES = 600;
const CALLS = 100;
const password = 'secret123';
const secret = 'open-sesame';
const settings = { 'mail.host': '10.0.2.2', 'mail.tls': 'none', 'mail.from': 'c@example.com', 'rpc.listen': 'any', 'rpc.secret': secret, 'dev.echo_code': 0 };

// Somebody who is told to come back does, as the API's users must.
async function patiently(ask) {
  for (const end = Date.now() + 60_000; ; ) {
    const reply = await ask();
    if (reply !== undefined) return reply;
    assert.ok(Date.now() < end, 'always told to come back');
    await new Promise((done) => setTimeout(done, 200));
  }
}

// Pages, a few on each connection; a full house answers 503 or takes an idle connection's place.
async function reader(board, count) {
  const pages = ['/healthz', '/status', '/metrics', '/'];
  for (let done = 0; done < count && board.child.exitCode === null; ) {
    const raw = new Raw(board);
    try {
      for (let i = 0; i < 5 && done < count; i++) {
        const reply = await raw.write(request('GET', pages[done % pages.length], { 'accept-encoding': 'gzip' })).reply();
        assert.ok([200, 503].includes(reply.status), `${reply.status}`);
        if (reply.status !== 200) break;
        done++;
      }
    } catch (error) {
      assert.ok(raw.ended || raw.broken !== undefined, error.message); // it was idle, and somebody else's turn
    } finally {
      raw.drop();
    }
  }
}

// From the code in a mail to a word in the chat.
async function person(board, relay, n, store) {
  const email = freshEmail();
  const json = (route, body) =>
    patiently(async () => {
      const { status, body: reply } = await board.post(route, body);
      assert.ok([200, 503].includes(status), `${route}: ${status}`);
      return status === 503 || reply.error === 1011 ? undefined : reply;
    });
  assert.equal((await json('/get_verifycode', { email })).error, 0);
  const code = codeIn(await relay.inbox.to(email));
  const made = await json('/register', { user: `user${n}`, email, password, code });
  if (made.error === 1009 && store.size < PEOPLE + 1) return; // the store is full, and says so
  assert.equal(made.error, 0, JSON.stringify(made));
  store.made++;
  const { error, token } = await json('/login', { user: `user${n}`, password });
  assert.equal(error, 0);
  const client = await patiently(() => joinText(board, { token }).catch((error) => assert.match(error.message, /503/)));
  assert.equal(client.name, `user${n}`);
  client.say('hello');
  await client.until((line) => line === `[user${n}] hello`);
  await client.leave();
}

// Somebody in the chat; undefined when the house is full just now.
async function member(board) {
  const newcomer = new Member(board);
  return newcomer.ready.then(
    () => newcomer,
    (error) => assert.match(error.message, /503/),
  );
}

// Those who stay, with room for those who come and go.
async function chatters(board, count, messages) {
  const members = [];
  while (members.length < count) members.push(await patiently(() => member(board)));
  for (let i = 0; i < messages; i++) {
    const sender = members[i % count];
    const target = sender.messages + 1;
    sender.sayNow(40 + (i % 200));
    await sender.until((m) => m.messages >= target, 'the echo of a message');
  }
  return members;
}

// Three users in turn, who are nobody's accounts. Each may have TOKENS_EACH tokens and then loses the oldest of its own;
// with a new user each time the table would be full, and drop the oldest token of all: that of a person who, on a slow
// machine, still waits for a place in the chat, and is then told 401.
async function caller(board, count) {
  const users = [1_000_001, 1_000_002, 1_000_003];
  const client = new RpcClient('message.StatusService', board.statusPort, { secret });
  try {
    for (let i = 0; i < count; i++) {
      const uid = users[i % users.length];
      const { token } = await client.reply('GetChatServer', { uid });
      assert.equal((await client.reply('Login', { uid, token })).error, 0);
    }
  } finally {
    client.close();
  }
}

async function lanes(count, run) {
  await Promise.all(Array.from({ length: count }, (_, lane) => run(lane)));
}

test('a busy half hour: pages, codes by mail, accounts, chat, calls, all at once', async (t) => {
  const relay = await startRelay();
  try {
    await withBoard({ settings: { ...settings, 'mail.port': relay.port } }, async (board) => {
      const { chat_clients, accounts } = await board.pools();
      const store = { size: accounts.size, made: 0 };
      const began = performance.now();
      let next = 0;
      const [members] = await Promise.all([
        chatters(board, chat_clients.size - 3, MESSAGES),
        lanes(2, () => reader(board, GETS / 2)),
        lanes(2, async () => {
          while (next < PEOPLE) await person(board, relay, next++, store);
        }),
        caller(board, CALLS),
      ]);
      assert.equal(store.made, Math.min(PEOPLE, store.size));
      await Promise.all(members.map((member) => member.until((m) => m.last >= Math.max(...members.map(({ last }) => last)), 'the newest event')));
      for (const { messages, skipped, wrong } of members) assert.deepEqual([messages + skipped >= MESSAGES, wrong], [true, null]);
      t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s; ${members.reduce((sum, m) => sum + m.skipped, 0)} skipped of ${members.length} clients' events`);
      await Promise.all(members.map((member) => member.leave()));
      await board.atRest();
      await marks(t, board);
    });
  } finally {
    await relay.stop();
  }
});

async function marks(t, board) {
  const { pools, longest_turn_us } = await board.status();
  t.diagnostic(`at most: ${pools.map(({ name, high_water, size }) => `${name} ${high_water}/${size}`).join(', ')}`);
  t.diagnostic(`longest turn: ${longest_turn_us} us`);
  await board.stackIsDeepEnough(t);
  for (const { name, refused } of pools.filter(({ refused }) => refused > 0)) t.diagnostic(`${name}: ${refused} refused`);
}
