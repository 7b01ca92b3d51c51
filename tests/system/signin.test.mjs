// Signing in, and staying so: attackers with several addresses, tokens that end and are renewed, the operator's view of it,
// and what is left of the secrets.
import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { joinText, refused, within } from './chat_client.mjs';
import { curl, freshEmail, register } from './curl.mjs';
import { placesOf } from './memory.mjs';
import { createTap, enterNamespace, ip, startOnTap } from './namespace.mjs';
import { pipitPath, startPipit } from './pipit.mjs';
import { answer, metrics, sets } from './typed.mjs';

const skip = await enterNamespace();
const secret = () => `secret-${Math.random().toString(36).slice(2)}-${process.pid}`;
const bearer = (token) => ({ authorization: `Bearer ${token}` });

const post = async (pipit, route, body, headers) => (await pipit.post(route, body ?? '', headers)).body;
const login = (pipit, user, password) => post(pipit, '/login', { user, password });
const renew = (pipit, token) => post(pipit, '/renew', '', bearer(token));

/// Attackers, who have addresses of their own ///

describe('many addresses', { skip }, () => {
  let pipit;
  const owner = '10.77.0.3';
  const tries = 2;
  before(async () => {
    const tap = createTap('tap0');
    for (let i = 0; i < 32; i++) ip(`addr add 10.77.1.${i + 1}/16 dev ${tap}`);
    for (const address of [owner, '10.77.0.4', '10.77.0.5']) ip(`addr add ${address}/16 dev ${tap}`);
    pipit = await startOnTap(tap, { args: sets({ 'login.tries': tries, 'login.backoff': 60, 'dev.echo_code': 1, 'api.rate': 0, 'mail.per_address': 0 }) });
  });
  after(async () => {
    assert.equal(await pipit?.stop(), 0);
  });

  const from = async (address, user, password) =>
    (await curl(pipit, '/login', { body: JSON.stringify({ user, password }), args: ['--interface', address] })).json;
  const hashes = async () => (await metrics(pipit)).get('pipit_password_hashes_total');

  test('one address is slowed down for one name, and nobody else; names that nobody has are no different', async () => {
    await register(pipit, 'alice', 'alice@example.com', 'secret123');
    const told = [];
    for (const user of ['alice', 'nobody']) {
      const before = await hashes();
      const replies = [];
      for (let i = 0; i < tries + 2; i++) replies.push(await from('10.77.0.4', user, 'wrong horse'));
      assert.deepEqual(replies.map(({ error }) => error), [1008, 1008, 1011, 1011]);
      assert.ok(replies[2].retry_after > 45 && replies[2].retry_after <= 60, JSON.stringify(replies[2]));
      assert.equal((await hashes()) - before, tries, 'the same work, and none for those who wait');
      told.push(replies.map(({ error, message }) => `${error} ${message}`));
    }
    assert.deepEqual(told[0], told[1]);
    assert.equal((await from(owner, 'alice', 'secret123')).error, 0);
    assert.equal((await from('10.77.0.4', 'alice', 'secret123')).error, 1011);
  });

  test('many addresses cannot lock somebody out of the place where she was last', async () => {
    const told = new Map();
    for (let i = 0; i < 32; i++) {
      const { error } = await from(`10.77.1.${i + 1}`, 'alice', 'wrong horse');
      told.set(error, (told.get(error) ?? 0) + 1);
    }
    assert.equal(told.get(1008), 10 * tries - tries, JSON.stringify([...told])); // those of the test before count
    assert.equal(told.get(1011), 32 - told.get(1008));
    const stranger = await from('10.77.0.5', 'alice', 'secret123');
    assert.equal(stranger.error, 1011);
    assert.ok(stranger.retry_after <= 15, `a slow door, no closed one: ${stranger.retry_after} s`);
    assert.equal((await from(owner, 'ALICE@example.com', 'secret123')).error, 0);
    assert.equal((await from('10.77.0.5', 'bob', 'secret123')).error, 1008);
  });

  test('a flood of names from one address ends at its own count', async () => {
    const errors = [];
    for (let i = 0; i < 10 * tries + 5; i++) errors.push((await from('10.77.0.5', `nobody-${i}`, 'wrong horse')).error);
    assert.deepEqual(errors.slice(-5), [1011, 1011, 1011, 1011, 1011]);
    assert.equal((await from(owner, 'alice', 'secret123')).error, 0);
    assert.equal((await from('10.77.1.32', 'nobody-1', 'wrong horse')).error, 1008);
  });
});

/// Tokens ///

describe('tokens', () => {
  let pipit;
  before(async () => {
    pipit = await startPipit({ args: sets({ 'api.rate': 0, 'verify.cooldown': 0 }) });
  });
  after(async () => {
    assert.equal(await pipit.stop(), 0);
  });

  const set = async (key, value) => assert.equal(await answer(pipit, `set ${key} ${value}`), '');

  test('a chat ends with 4002, after being told, when its token expires, and the token opens nothing any more', async (t) => {
    await set('status.ttl', 3);
    const { token, expires_in } = await pipit.account('ann');
    assert.equal(expires_in, 3);
    const client = await joinText(pipit, { token });
    t.after(() => client.drop());
    await client.until((line) => line === '[system] your login has expired; log in again', 15_000);
    assert.deepEqual(await within(client.closed, 'not closed'), { code: 4002, reason: 'your login has expired; log in again' });
    assert.equal((await refused(pipit, { token })).status, 401);
    assert.equal((await renew(pipit, token)).error, 1010);
    assert.equal((await post(pipit, '/logout', '', bearer(token))).error, 1010);
    await set('status.ttl', 86400);
  });

  test('of two renewals at once one wins; the chat goes on, and past the time of the first token', async () => {
    await set('status.ttl', 8);
    const { token } = await pipit.account('ben');
    const client = await joinText(pipit, { token });
    await set('status.ttl', 86400);
    const replies = await Promise.all([renew(pipit, token), renew(pipit, token)]);
    assert.deepEqual(replies.map(({ error }) => error).toSorted((a, b) => a - b), [0, 1010]);
    const { token: renewed, ...rest } = replies.find(({ error }) => error === 0);
    assert.deepEqual(rest, { error: 0, expires_in: 86400 });
    await new Promise((done) => setTimeout(done, 9000)); // its first token's time is over
    client.say('still here');
    await client.until((line) => line === '[ben] still here');
    assert.equal((await refused(pipit, { token })).status, 401);
    const again = await joinText(pipit, { token: renewed });
    assert.equal((await post(pipit, '/logout', '', bearer(renewed))).error, 0);
    assert.deepEqual(await within(again.closed, 'not closed'), { code: 4002, reason: 'you have logged out' });
  });

  test('a login has an end, however often it is renewed', async () => {
    await set('status.ttl', 2);
    await set('status.max_age', 4);
    let { token } = await pipit.account('cleo');
    const began = Date.now();
    for (let last = 2; ; await new Promise((done) => setTimeout(done, 400))) {
      const reply = await renew(pipit, token);
      if (reply.error === 1010) break;
      assert.equal(reply.error, 0, JSON.stringify(reply));
      ({ token } = reply);
      last = reply.expires_in;
      assert.ok(last <= 2 && Date.now() - began < 60_000);
    }
    assert.ok(Date.now() - began >= 1900, 'it was renewed past its first token');
    await set('status.ttl', 86400);
    await set('status.max_age', 2592000);
  });

  test('the console lists logins without their tokens, and ends them', async () => {
    const { token: phone } = await pipit.account('dora');
    const { token: laptop } = await login(pipit, 'dora', 'secret123');
    await pipit.account('eve');
    const client = await joinText(pipit, { token: phone });
    const listed = await answer(pipit, 'sessions dora');
    const line = /^[0-9a-f]{4} dora, uid \d+: logged in \d+ s ago, expires in 86\d{3} s(, chatting)?$/;
    const lines = listed.trimEnd().split('\n');
    assert.equal(lines.pop(), '2 sessions');
    lines.forEach((each) => assert.match(each, line));
    assert.equal(lines.filter((each) => each.endsWith(', chatting')).length, 1);
    assert.match(await answer(pipit, 'sessions'), /^[0-9a-f]{4} eve, /m);
    assert.match(await answer(pipit, 'sessions nobody'), /^There is no account called nobody/);
    assert.match(await answer(pipit, 'logout nobody'), /^There is no account called nobody/);
    assert.equal(await answer(pipit, 'logout dora'), '');
    assert.deepEqual(await within(client.closed, 'not closed'), { code: 4002, reason: 'the operator has ended this login' });
    for (const token of [phone, laptop]) {
      assert.equal((await refused(pipit, { token })).status, 401);
      assert.equal(pipit.console.includes(token.split('.')[1]), false);
    }
    assert.equal(await answer(pipit, 'sessions dora'), '0 sessions\n');
    assert.equal((await login(pipit, 'dora', 'secret123')).error, 0);
  });
});

/// Memory ///

// Buffers of the simulated wire, and copies that lwIP has made of what was sent, keep their last content until the next.
const wire = /^memp_memory_|^ram_heap|^ring$|^frame/; // sim/frame_ring.c

test('once signed in, a running simulator has neither password nor code nor token in its memory', async (t) => {
  const pipit = await startPipit({ args: sets({ 'verify.cooldown': 0 }) });
  t.after(() => pipit.stop());
  const program = realpathSync(pipitPath);
  const places = (text) => placesOf(text, pipit.child.pid, program);
  const [password, other] = [secret(), secret()];
  const email = freshEmail();
  const asked = await post(pipit, '/get_verifycode', { email });
  assert.equal((await post(pipit, '/register', { user: 'faye', email, password, code: asked.code })).error, 0);
  assert.equal((await login(pipit, 'faye', other)).error, 1008);
  const { token } = await login(pipit, 'faye', password);
  const client = await joinText(pipit, { token });
  t.after(() => client.drop());
  const renewed = await renew(pipit, token);
  assert.equal(renewed.error, 0);
  assert.ok(places('faye').length > 0, 'the search finds what is there');
  const left = { password, other, token: token.split('.')[1], renewed: renewed.token.split('.')[1], code: `"code":"${asked.code}"` };
  for (const [name, text] of Object.entries(left)) {
    const found = places(text);
    t.diagnostic(`${name}: ${found.join(', ') || 'nowhere'}`);
    assert.deepEqual(found.filter((each) => !wire.test(each)), [], name);
  }
  await client.leave();
  assert.equal(await pipit.stop(), 0);
});
