// Registration and login as the contract has them, with curl: every route, every error number.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { call, codeFor, curl, fails, freshEmail, register } from './curl.mjs';
import { smallPipitPath, startPipit } from './pipit.mjs';

const unlimited = ['--set', 'api.rate=0', '--set', 'mail.budget=0', '--set', 'verify.cooldown=0'];
let pipit;

before(async () => {
  pipit = await startPipit({ args: unlimited });
});
after(async () => {
  assert.equal(await pipit.stop(), 0);
});

const password = 'correct horse';
const nothing = { user: 'nobody', email: 'nobody@example.com', password, code: '000000' };

async function socket(token) {
  const ws = new WebSocket(`${pipit.wsUrl}?token=${token}`);
  await event(ws, 'open');
  return ws;
}

/// Every route ///

test('get_varifycode and its alias give a code of six digits', async () => {
  for (const route of ['/get_varifycode', '/get_verifycode']) {
    const email = freshEmail();
    const reply = await call(pipit, route, { email });
    assert.deepEqual(Object.keys(reply), ['error', 'email', 'code']);
    assert.equal(reply.error, 0);
    assert.equal(reply.email, email);
    assert.match(reply.code, /^\d{6}$/);
    await pipit.shows(new RegExp(`code for ${email} is ${reply.code} \\(development mode\\)`));
  }
});

test('codes differ from each other', async () => {
  const codes = new Set();
  for (let i = 0; i < 12; i++) codes.add(await codeFor(pipit, freshEmail()));
  assert.ok(codes.size >= 11, `${codes.size} different codes of 12`);
});

test('register, log in by name, by email and in other case, log out', async () => {
  const email = freshEmail();
  const made = await register(pipit, 'Alice', email, password);
  assert.deepEqual(made, { error: 0, uid: made.uid, user: 'Alice', email, message: 'register success' });
  for (const user of ['Alice', 'aLICE', email, email.toUpperCase()]) {
    const reply = await call(pipit, '/login', { user, password });
    const { token, ...rest } = reply;
    const [host, port] = ['127.0.0.1', String(pipit.port)];
    assert.deepEqual(rest, { error: 0, uid: made.uid, user: 'Alice', email, message: 'login success', host, port, expires_in: 86400 });
    assert.match(token, new RegExp(`^${made.uid}\\.[0-9a-f]{32}$`));
  }
});

test('a token opens the chat under its name until it is logged out; other tokens stay good', async () => {
  const { user } = await register(pipit, 'carol', freshEmail(), password);
  const [one, two] = [await call(pipit, '/login', { user, password }), await call(pipit, '/login', { user, password })];
  assert.notEqual(one.token, two.token);
  const ws = new WebSocket(`${pipit.wsUrl}?token=${one.token}`);
  const [first] = await event(ws, 'message');
  assert.equal(String(first), '[system] carol joined');
  const bearer = { authorization: `Bearer ${one.token}` };
  assert.deepEqual(await call(pipit, '/logout', '', bearer), { error: 0 });
  ws.terminate();
  await fails(pipit, '/logout', '', 1010, /token/, bearer);
  const refused = new WebSocket(`${pipit.wsUrl}?token=${one.token}`);
  const [error] = await event(refused, 'error');
  assert.match(error.message, /401/);
  (await socket(two.token)).terminate();
});

test('logout needs neither body nor Content-Type', async () => {
  const { user } = await register(pipit, 'erin', freshEmail(), password);
  const { token } = await call(pipit, '/login', { user, password });
  const reply = await curl(pipit, '/logout', { args: ['-X', 'POST', '-H', `Authorization: Bearer ${token}`] });
  assert.deepEqual([reply.status, reply.json], [200, { error: 0 }]);
});

test('reset_pwd changes the password and ends every session', async () => {
  const email = freshEmail();
  await register(pipit, 'dave', email, password);
  const tokens = [];
  for (let i = 0; i < 3; i++) tokens.push((await call(pipit, '/login', { user: 'dave', password })).token);
  const ws = await socket(tokens[0]);
  const closed = event(ws, 'close');
  const code = await codeFor(pipit, email);
  const body = { user: 'dave', email, password: 'another horse', code };
  const reply = await call(pipit, '/reset_pwd', body);
  assert.deepEqual(reply, { error: 0, user: 'dave', email, message: reply.message });
  assert.match(reply.message, /success/);
  const [closeCode, reason] = await closed;
  assert.equal(closeCode, 4002);
  assert.match(String(reason), /password/);
  for (const token of tokens) await fails(pipit, '/logout', '', 1010, /token/, { authorization: `Bearer ${token}` });
  await fails(pipit, '/login', { user: 'dave', password }, 1008);
  assert.equal((await call(pipit, '/login', { user: 'dave', password: 'another horse' })).error, 0);
  await fails(pipit, '/reset_pwd', body, 1004); // used once
});

test('the pages: /, /healthz, /status, /metrics', async () => {
  const home = await curl(pipit, '/');
  assert.deepEqual([home.status, home.type], [406, 'text/plain; charset=utf-8']);
  assert.match(home.text, /^The chat page .* curl --compressed\..*\n$/);
  const page = await curl(pipit, '/', { args: ['--compressed'] });
  assert.deepEqual([page.status, page.type], [200, 'text/html; charset=utf-8']);
  assert.match(page.text, /^<!doctype html>.*<\/html>$/s);
  const health = await curl(pipit, '/healthz');
  assert.deepEqual([health.status, health.text], [200, 'ok\n']);
  const status = await curl(pipit, '/status');
  assert.deepEqual([status.status, status.type], [200, 'application/json']);
  assert.equal(status.json.users, (await curl(pipit, '/metrics')).text.match(/^pipit_users (\d+)$/m)[1] | 0);
});

/// 1001 ///

test('1001: what is not a JSON object, or holds a wrong type', async () => {
  const bytes = (text) => Buffer.from(text, 'latin1');
  const deep = (n) => `{"email":"deep@example.com","x":${'['.repeat(n - 1)}${']'.repeat(n - 1)}}`;
  const bodies = [
    '', ' ', 'hello', '{', '{"email"}', '{"email":"a@b.c"', '"a@b.c"', '42', 'null', 'true', '[]', '[{"email":"a@b.c"}]',
    "{'email':'a@b.c'}", '{email:"a@b.c"}', '{"email":"a@b.c",}', '{"email":"a@b.c"}}', '{"email":"a@b.c"} x',
    '{"email":"a@b.c"}{"email":"a@b.c"}', '{"email":"a@b.c"}\0', '\ufeff{"email":"a@b.c"}', '// c\n{"email":"a@b.c"}',
    '{"email":42}', '{"email":null}', '{"email":true}', '{"email":["a@b.c"]}', '{"email":{"a":"b"}}',
    '{"email":"a@b.c","email":"d@e.f"}', '{"email":"a@b.c","x":{"y":1,"y":2}}', '{"email":"a\\u0000@b.c"}',
    '{"email":"a@b.c","\\u0000":1}', '{"email":"\\ud800@b.c"}', '{"email":"a\\x41@b.c"}', '{"email":"a\tb@c.d"}',
    '{"email":"a@b.c","x":01}', '{"email":"a@b.c","x":.5}', '{"email":"a@b.c","x":NaN}', '{"email":"a@b.c","x":+1}',
    deep(9), deep(200), bytes('{"email":"a\xff@b.c"}'), bytes('{"email":"\xc0\x80@b.c"}'),
    bytes('{"email":"\xed\xa0\x80@b.c"}'), bytes('\xff\xfe{\0}\0'), `{"email":"a@b.c","x":[${'0,'.repeat(1900)}0]}`,
  ];
  for (const body of bodies) await fails(pipit, '/get_verifycode', body, 1001, /^The /);
  await fails(pipit, '/get_verifycode', '{"email":"a@b.c","email":"d@e.f"}', 1001, /no name twice/);
  const whole = { user: 'x', email: 'x@example.com', password, code: '123456' };
  for (const route of ['/register', '/reset_pwd'])
    for (const name of Object.keys(whole)) await fails(pipit, route, { ...whole, [name]: 5 }, 1001, /string/);
  for (const name of ['user', 'password']) await fails(pipit, '/login', { ...whole, [name]: false }, 1001, /string/);
});

test('JSON that is unusual but right is read', async () => {
  const at = freshEmail();
  for (const body of [
    ` \r\n\t{ "email" : "${at}" } \n`,
    `{"email":"${at.replace('@', '\\u0040')}"}`,
    `{"x":-1.5e+3,"y":[[],{}],"z":null,"email":"${at}"}`,
    `{"email":"${at}","x":${'['.repeat(7)}${']'.repeat(7)}}`,
    `{"Email":1,"EMAIL":2,"email":"${at}"}`,
  ]) assert.equal((await call(pipit, '/get_verifycode', body)).email, at, body);
});

/// 1003 ///

test('1003: each field, missing or out of bounds, is named', async () => {
  const whole = { user: 'fay', email: 'fay@example.com', password, code: '123456' };
  const long = (n) => `${'l'.repeat(64)}@${'d'.repeat(n - 65)}`;
  const bad = {
    user: ['', 'u'.repeat(33), 'ü'.repeat(17), ' fay', 'fay ', '\u00a0fay', '\t', 'f\ny', 'f\u007fy', 'f\u0085y',
           'guest-fay', 'GUEST-1', 'fay@x', 'system', 'System'],
    email: ['', 'fay', '@', 'fay@', '@example.com', 'f@y@z', long(255), 'a\r\nRCPT TO:<b@c.d>', 'a\r@b.c', 'a@b\n.c',
            'a\u0001@b.c', 'a b@c.d', '<a@b.c>', 'a@b.c,d', '"a"@b.c'],
    password: ['', '12345', 'p'.repeat(65), 'ü'.repeat(33), 'üü'],
    code: [''],
  };
  for (const route of ['/register', '/reset_pwd'])
    for (const [name, values] of Object.entries(bad))
      for (const value of [undefined, ...values])
        await fails(pipit, route, { ...whole, [name]: value }, 1003, new RegExp(name === 'user' ? 'user' : name));
  for (const name of ['user', 'password'])
    for (const value of [undefined, ''])
      await fails(pipit, '/login', { ...whole, [name]: value }, 1003, new RegExp(name));
  for (const value of [undefined, ...bad.email]) await fails(pipit, '/get_verifycode', { email: value }, 1003, /email/);
});

test('at the bounds, and with any script, an account is made and can log in', async () => {
  const longest = `${'l'.repeat(64)}@${'d'.repeat(189)}`;
  const accounts = [
    ['u', freshEmail(), '123456'],
    ['n'.repeat(32), longest, 'p'.repeat(64)],
    ['Ünïcödé 🐦', 'пользователь@почта.рф', 'üüü'],
    ['日本語の名前', freshEmail(), '密码密码'],
    ['a"b\\c/d', "o'hara+tag@example.com", '"quote\\back'],
    ['no guest-here', freshEmail(), ' space ends '],
  ];
  for (const [user, email, secret] of accounts) {
    const made = await register(pipit, user, email, secret);
    assert.deepEqual([made.error, made.user, made.email], [0, user, email], JSON.stringify(made));
    assert.equal((await call(pipit, '/login', { user: email, password: secret })).user, user);
    await fails(pipit, '/login', { user, password: `${secret}x` }, 1008);
  }
});

/// 1004, 1005, 1006, 1007 ///

test('1004: never asked for, used up, replaced, expired', async () => {
  await fails(pipit, '/register', { ...nothing, email: freshEmail() }, 1004);
  await fails(pipit, '/reset_pwd', { ...nothing, email: freshEmail() }, 1004);
  const email = freshEmail();
  const code = await codeFor(pipit, email);
  assert.equal((await call(pipit, '/register', { user: 'gus', email, password, code })).error, 0);
  await fails(pipit, '/register', { user: 'gus2', email, password, code }, 1004);
  const brief = await startPipit({ args: [...unlimited, '--set', 'verify.ttl=1'] });
  const late = await codeFor(brief, 'late@example.com');
  await sleep(1100);
  await fails(brief, '/register', { user: 'late', email: 'late@example.com', password, code: late }, 1004);
  assert.equal(await brief.stop(), 0);
});

test('1005: five wrong tries are told so; then even the right code is 1004', async () => {
  for (const route of ['/register', '/reset_pwd']) {
    const email = freshEmail();
    const code = await codeFor(pipit, email);
    const wrong = code === '111111' ? '222222' : '111111';
    for (const guess of [wrong, '1', '1234567', `${code} `, 'é'.repeat(3)])
      await fails(pipit, route, { user: 'hal', email, password, code: guess }, 1005);
    await fails(pipit, route, { user: 'hal', email, password, code }, 1004);
    const second = await codeFor(pipit, email);
    if (second !== code) await fails(pipit, route, { user: 'hal', email, password, code }, 1005);
  }
});

test("one email's code is of no use to another", async () => {
  const [mine, yours] = [freshEmail(), freshEmail()];
  const code = await codeFor(pipit, mine);
  await fails(pipit, '/register', { user: 'ivy', email: yours, password, code }, 1004);
  assert.equal((await call(pipit, '/register', { user: 'ivy', email: mine.toUpperCase(), password, code })).error, 0);
});

test('1006: user or email is taken, also in other case, and the code stays good', async () => {
  const email = freshEmail();
  await register(pipit, 'Judy', email, password);
  const other = freshEmail();
  const code = await codeFor(pipit, other);
  for (const user of ['Judy', 'jUDY']) await fails(pipit, '/register', { user, email: other, password, code }, 1006);
  const again = await codeFor(pipit, email);
  for (const taken of [email, email.toUpperCase()])
    await fails(pipit, '/register', { user: 'kim', email: taken, password, code: again }, 1006);
  assert.equal((await call(pipit, '/register', { user: 'kim', email: other, password, code })).error, 0);
});

test('1007: reset_pwd with a valid code for an unknown user, or for the user of another email', async () => {
  const [email, foreign] = [freshEmail(), freshEmail()];
  await register(pipit, 'lea', foreign, password);
  const code = await codeFor(pipit, email);
  for (const user of ['nobody at all', 'lea']) await fails(pipit, '/reset_pwd', { user, email, password, code }, 1007);
  assert.equal((await call(pipit, '/login', { user: 'lea', password })).error, 0);
});

test('of ten registrations with one code exactly one wins', async () => {
  const email = freshEmail();
  const code = await codeFor(pipit, email);
  const tries = Array.from({ length: 10 }, (_, i) => pipit.post('/register', { user: `mo${i}`, email, password, code }));
  const errors = (await Promise.all(tries)).map((reply) => reply.body.error);
  assert.equal(errors.filter((error) => error === 0).length, 1, String(errors));
  assert.ok(errors.every((error) => [0, 1004, 1006].includes(error)), String(errors));
});

test('of two registrations of one name with codes of their own exactly one wins, and the other code stays good', async () => {
  const [one, two] = [freshEmail(), freshEmail()];
  const codes = [await codeFor(pipit, one), await codeFor(pipit, two)];
  const tries = [one, two].map((email, i) => pipit.post('/register', { user: 'twin', email, password, code: codes[i] }));
  const errors = (await Promise.all(tries)).map((reply) => reply.body.error);
  assert.deepEqual(errors.toSorted(), [0, 1006]);
  const loser = errors[0] === 0 ? 1 : 0;
  const body = { user: 'twin2', email: [one, two][loser], password, code: codes[loser] };
  assert.equal((await call(pipit, '/register', body)).error, 0);
});

/// 1008 ///

test('1008: an unknown user and a wrong password look the same', async () => {
  await register(pipit, 'nat', 'nat@example.com', password);
  const users = ['nat', 'nat@example.com', 'no such user', 'none@example.com', 'guest-1', 'x'.repeat(300)];
  const replies = [];
  for (const user of users) replies.push(await fails(pipit, '/login', { user, password: 'wrong horse' }, 1008));
  for (const reply of replies) assert.deepEqual(reply, replies[0]);
  await fails(pipit, '/login', { user: 'nat', password: 'p'.repeat(1000) }, 1008);
});

test('1008 costs the same time for both', async (t) => {
  await register(pipit, 'olga', freshEmail(), password);
  const times = { olga: [], 'no such user': [] };
  for (let i = 0; i < 15; i++) {
    for (const user of Object.keys(times)) {
      const began = performance.now();
      await pipit.post('/login', { user, password: 'wrong horse' });
      times[user].push(performance.now() - began);
    }
  }
  const [known, unknown] = Object.values(times).map((all) => all.toSorted((a, b) => a - b)[7]);
  t.diagnostic(`median of 15: known user ${known.toFixed(1)} ms, unknown user ${unknown.toFixed(1)} ms`);
  // Without a hash the unknown user would be answered in about a millisecond.
  assert.ok(unknown / known > 0.4 && unknown / known < 2.5, `${known} ms, ${unknown} ms`);
});

/// 1010, 1011 ///

test('1010: whatever is no token of ours', async () => {
  const { user } = await register(pipit, 'pat', freshEmail(), password);
  const { token } = await call(pipit, '/login', { user, password });
  const [uid, secret] = token.split('.');
  const flipped = (secret[0] === '0' ? '1' : '0') + secret.slice(1);
  const bad = ['Bearer', 'Bearer ', 'Bearer x', `Basic ${token}`, token, `Bearer ${secret}`, `Bearer ${uid}.${flipped}`,
               `Bearer ${Number(uid) + 1}.${secret}`, `Bearer 0${token}`, `Bearer ${token}0`, `Bearer ${token} x`,
               `Bearer 4294967297.${secret}`, `Bearer ${uid}.${secret.slice(1)}`];
  await fails(pipit, '/logout', '', 1010);
  for (const authorization of bad) await fails(pipit, '/logout', '', 1010, /token/, { authorization });
  const good = { authorization: `bearer ${token}` }; // RFC 9110 section 11.1: the scheme knows no case
  assert.equal((await call(pipit, '/logout', '', good)).error, 0);
});

test('1011: a code asked for again too soon, and past the mail budget; retry_after says when', async () => {
  const strict = await startPipit({ args: ['--set', 'mail.budget=3', '--set', 'verify.cooldown=45'] });
  const email = 'quick@example.com';
  const code = await codeFor(strict, email);
  for (const again of [email, email.toUpperCase()]) {
    const reply = await fails(strict, '/get_varifycode', { email: again }, 1011, /retry_after seconds/);
    assert.ok(reply.retry_after > 35 && reply.retry_after <= 45, JSON.stringify(reply));
  }
  for (let i = 0; i < 2; i++) await codeFor(strict, freshEmail());
  const over = await fails(strict, '/get_verifycode', { email: 'over@example.com' }, 1011, /ask again in [0-9]+ seconds/);
  assert.ok(over.retry_after > 0 && over.retry_after <= 3900, JSON.stringify(over));
  await fails(strict, '/get_verifycode', { email: 'over@example.com' }, 1011); // one refused is not cooling
  assert.equal((await call(strict, '/register', { user: 'quick', email, password, code })).error, 0);
  assert.equal(await strict.stop(), 0);
});

test('1011 with 429: past api.rate, on every call', async () => {
  const strict = await startPipit({ args: ['--set', 'api.rate=2'] });
  for (let i = 0; i < 2; i++) await fails(strict, '/login', nothing, 1008);
  for (const route of ['/get_varifycode', '/get_verifycode', '/register', '/login', '/reset_pwd', '/logout']) {
    const reply = await curl(strict, route, { body: JSON.stringify(nothing) });
    assert.deepEqual([reply.status, reply.json.error], [429, 1011], route);
    assert.ok(reply.json.retry_after >= 1 && reply.json.retry_after <= 30, reply.text);
  }
  assert.equal((await curl(strict, '/healthz')).status, 200);
  assert.equal(await strict.stop(), 0);
});

/// 1002, 1009 ///

test('1002: without development mode and without a relay nobody learns a code', async () => {
  const real = await startPipit({ args: ['--set', 'dev.echo_code=0', ...unlimited] });
  const reply = await fails(real, '/get_verifycode', { email: 'rita@example.com' }, 1002, /mail.*step: [a-z]+/i);
  assert.equal(reply.code, undefined);
  await fails(real, '/register', { ...nothing, email: 'rita@example.com' }, 1004);
  assert.doesNotMatch(real.console, /\b\d{6}\b|DEVELOPMENT/);
  assert.match(pipit.console, /DEVELOPMENT MODE/);
  assert.equal(await real.stop(), 0);
});

test('1009: a full store changes nothing', async () => {
  const small = await startPipit({ args: unlimited, program: smallPipitPath });
  for (let i = 0; i < 32; i++) assert.equal((await register(small, `u${i}`, `u${i}@example.com`)).error, 0, `user ${i}`);
  const code = await codeFor(small, 'more@example.com');
  const body = { user: 'more', email: 'more@example.com', password, code };
  await fails(small, '/register', body, 1009, /account/);
  await fails(small, '/register', body, 1009, /account/); // the code is as good as before
  await fails(small, '/register', { ...body, user: 'u0' }, 1006);
  assert.equal(await small.metric('pipit_users'), 32);
  assert.equal((await call(small, '/login', { user: 'u31', password: 'secret123' })).error, 0);
  assert.equal(await small.stop(), 0);
});

test('1009: more emails with a code under way than can be kept', async () => {
  const small = await startPipit({ args: unlimited, program: smallPipitPath });
  const codes = [];
  for (let i = 0; i < 8; i++) codes.push(await codeFor(small, `u${i}@example.com`));
  await fails(small, '/get_verifycode', { email: 'more@example.com' }, 1009, /codes/);
  const first = { user: 'u0', email: 'u0@example.com', password, code: codes[0] };
  assert.equal((await call(small, '/register', first)).error, 0);
  await codeFor(small, 'more@example.com'); // the code that was used made room
  assert.equal(await small.stop(), 0);
});
