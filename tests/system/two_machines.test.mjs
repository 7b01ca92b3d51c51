// Two simulators, as two boards on a desk: the services and the mail on one, the gateway and the chat on the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinText } from './chat_client.mjs';
import { call, fails, freshEmail } from './curl.mjs';
import { codeIn, startRelay } from './mail_peers.mjs';
import { freePort, startPipit } from './pipit.mjs';
import { configure, page, sets, slots, slotsAtRest } from './typed.mjs';

const secret = 'the secret of both machines';
let relay;
let ports;
let back;
let front;

const startBack = (keys = {}) =>
  startPipit({
    port: ports.http,
    args: [
      '--forward',
      `${ports.verify}:50051`,
      '--forward',
      `${ports.status}:50052`,
      ...sets({
        'rpc.listen': 'any',
        'rpc.secret': secret,
        'mail.host': '10.0.2.2',
        'mail.port': relay.port,
        'mail.tls': 'none',
        'mail.from': 'chat@example.com',
        'verify.cooldown': 0,
        'mail.budget': 0,
        ...keys,
      }),
    ],
  });

before(async () => {
  relay = await startRelay();
  ports = { http: await freePort(), verify: await freePort(), status: await freePort() };
  back = await startBack();
  front = await startPipit({
    args: sets({
      'verify.target': `10.0.2.2:${ports.verify}`,
      'status.target': `10.0.2.2:${ports.status}`,
      'rpc.secret': secret,
      'rpc.timeout': 5,
      'dev.echo_code': 0,
      'verify.cooldown': 0,
      'api.rate': 0,
    }),
  });
});
after(async () => {
  const statuses = [await front.stop(), await back.stop()];
  await relay.stop();
  assert.deepEqual(statuses, [0, 0]);
});

async function account(user) {
  const email = freshEmail();
  assert.deepEqual(await call(front, '/get_varifycode', { email }), { error: 0, email });
  const code = codeIn(await relay.inbox.to(email));
  assert.equal((await call(front, '/register', { user, email, password: 'secret123', code })).error, 0);
  for (const pipit of [front, back]) assert.ok(!pipit.console.includes(code));
  return logIn(user);
}

async function logIn(user) {
  const reply = await call(front, '/login', { user, password: 'secret123' });
  assert.equal(reply.error, 0, JSON.stringify(reply));
  return reply;
}

test('from the mail to the chat, through two machines', async () => {
  const alice = await joinText(front, { token: (await account('alice')).token });
  const bob = await joinText(front, { token: (await account('bob')).token });
  assert.deepEqual([alice.name, bob.name], ['alice', 'bob']);
  await alice.expect('[system] bob joined');
  alice.say('hello from afar');
  for (const client of [alice, bob]) await client.expect('[alice] hello from afar');
  await Promise.all([alice.leave(), bob.leave()]);
  assert.match(await page(back, '/metrics'), /^pipit_mail_sent_total 2$/m);
  assert.ok(
    Object.values(await slots(back)).some((used) => used > 0),
    'the gate keeps its connection to the services',
  );
  await fails(back, '/login', { user: 'alice', password: 'secret123' }, 1008); // the accounts live where the gateway is
});

test('log out ends the token on the other machine', async () => {
  const { token } = await logIn('alice');
  assert.equal((await call(front, '/logout', '', { authorization: `Bearer ${token}` })).error, 0);
  await fails(front, '/logout', '', 1010, /token/, { authorization: `Bearer ${token}` });
});

test('a chat node is named by status.nodes', async () => {
  await configure(back, { 'status.nodes': `10.0.2.2:${front.port}` });
  for (const end = Date.now() + 10_000; ; await sleep(50)) {
    const { error, host, port } = await call(front, '/login', { user: 'alice', password: 'secret123' });
    if (error === 0 && host === '10.0.2.2') {
      assert.equal(port, String(front.port));
      break;
    }
    assert.ok(Date.now() < end, `${error} ${host}:${port}`);
  }
  await configure(back, { 'status.nodes': '' });
});

test('a wrong secret: 1002 says what to set, and the right one works at once', async () => {
  await configure(front, { 'rpc.secret': 'not that one' });
  const { message } = await fails(front, '/get_varifycode', { email: freshEmail() }, 1002, /rpc\.secret/);
  assert.ok(!message.includes(secret) && !message.includes('not that one'));
  await fails(front, '/login', { user: 'alice', password: 'secret123' }, 1009);
  await configure(front, { 'rpc.secret': secret });
  assert.equal((await call(front, '/get_varifycode', { email: freshEmail() })).error, 0);
});

for (const [how, end] of [
  [
    'killed',
    async () => {
      back.child.kill('SIGKILL');
      await back.exited;
    },
  ],
  ['stopped', async () => assert.equal(await back.stop(), 0)],
])
  test(`the services' machine is ${how} and comes back: 1002 with a cause meanwhile, and then all is well`, async (t) => {
    const talker = await joinText(front, { token: (await logIn('alice')).token });
    await end();
    for (let i = 0; i < 3; i++) {
      await fails(front, '/get_varifycode', { email: freshEmail() }, 1002, /connect|timeout|time|UNAVAILABLE|lost|reached/);
      await fails(front, '/login', { user: 'alice', password: 'secret123' }, 1009);
    }
    talker.say('still here');
    await talker.expect('[alice] still here');
    await talker.leave();
    back = await startBack();
    const began = performance.now();
    for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
      const reply = await call(front, '/get_varifycode', { email: freshEmail() });
      if (reply.error === 0) break;
      assert.equal(reply.error, 1002, JSON.stringify(reply));
      assert.ok(Date.now() < deadline, `it never worked again: ${reply.message}`);
    }
    t.diagnostic(`works again ${((performance.now() - began) / 1000).toFixed(1)} s after the start`);
    for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
      if ((await call(front, '/login', { user: 'alice', password: 'secret123' })).error === 0) break;
      assert.ok(Date.now() < deadline, 'nobody can log in');
    }
    await account(`${how}-later`);
  });

test('frozen, not dead: a call ends in time, and works when it thaws', async () => {
  await configure(front, { 'rpc.timeout': 1 });
  back.child.kill('SIGSTOP');
  try {
    await fails(front, '/get_varifycode', { email: freshEmail() }, 1002, /time|connect/);
  } finally {
    back.child.kill('SIGCONT');
  }
  await configure(front, { 'rpc.timeout': 5 });
  for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
    if ((await call(front, '/get_varifycode', { email: freshEmail() })).error === 0) break;
    assert.ok(Date.now() < deadline, 'it never worked again');
  }
  await slotsAtRest(front, {}, { only: /request|call|stream/ });
});
