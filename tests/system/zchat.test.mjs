// The chat in plain text, byte for byte as the original has it, and everything that a client may not do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atRest, ChatClient, join, joinText, pools, refused, within } from './chat_client.mjs';
import { smallPipitPath, startPipit } from './pipit.mjs';
import { ask, BINARY, CLOSE, closeFrame, CONTINUATION, frame, PING, PONG, RawSocket, TEXT } from './raw_socket.mjs';

const WELCOME = '[system] connected. Use /nick your_name to rename.';

describe('the first clients of a fresh server', () => {
  let pipit;
  before(async () => {
    pipit = await startPipit();
  });
  after(() => pipit.stop());

  test('every event is the original text, to those whom it is for', async () => {
    const one = await join(pipit);
    await one.expect('[system] guest-1 joined', WELCOME);
    const two = await join(pipit);
    await two.expect('[system] guest-2 joined', WELCOME);
    await one.expect('[system] guest-2 joined');

    one.say('hello');
    for (const client of [one, two]) await client.expect('[guest-1] hello');
    two.say('/nick bob');
    for (const client of [one, two]) await client.expect('[system] guest-2 is now bob');
    two.say('hi');
    for (const client of [one, two]) await client.expect('[bob] hi');

    await two.leave();
    await one.expect('[system] bob left');
    await one.nothingMore();
    const three = await join(pipit);
    await three.expect('[system] guest-3 joined', WELCOME);
    await one.expect('[system] guest-3 joined');
    await three.drop();
    await one.expect('[system] guest-3 left');
    await one.nothingMore();
    await one.leave();
  });
});

describe('what clients say', () => {
  let pipit, alice, bob;
  before(async () => {
    pipit = await startPipit({ args: ['--set', 'chat.rate=0', '--set', 'verify.cooldown=0'] });
    alice = await joinText(pipit);
    bob = await joinText(pipit);
    await alice.expect(`[system] ${bob.name} joined`);
    alice.say('/nick alice');
    bob.say('/nick bob');
    for (const client of [alice, bob]) {
      const renames = [await client.next(), await client.next()].sort();
      assert.deepEqual(renames.map((line) => line.split(' is now ')[1]), ['alice', 'bob']);
    }
  });
  after(() => pipit.stop());

  const both = async (...lines) => {
    await alice.expect(...lines);
    await bob.expect(...lines);
  };

  test('space, tab, CR and LF are trimmed at both ends, and nothing else is', async () => {
    alice.say(' \t\r\n hello,  world \r\n\t ');
    await both('[alice] hello,  world');
    alice.say('a\nb\tc');
    await both('[alice] a\nb\tc');
    alice.say('\u00a0\u000bkept\u000c\u00a0');
    await both('[alice] \u00a0\u000bkept\u000c\u00a0');
    alice.say('\u0000');
    await both('[alice] \u0000');
  });

  test('empty messages are ignored', async () => {
    for (const nothing of ['', ' ', '\r\n', ' \t \r\n \t']) alice.say(nothing);
    await alice.nothingMore();
    await bob.nothingMore();
  });

  test('every character passes', async () => {
    for (const text of ['Grüße', '日本語', '👩‍👩‍👧‍👦 🇩🇪', '\u{10ffff}', '<b>&amp;"\\', 'e\u0301', '\ufeffmark', '[system] fake']) {
      alice.say(text);
      await both(`[alice] ${text}`);
    }
  });

  test('a slash further in is no command, nor is one behind white space hidden', async () => {
    alice.say('and /quit');
    await both('[alice] and /quit');
    alice.say('  /me  waves  twice ');
    await both('* alice waves  twice');
  });

  test('/me, /help, /who', async () => {
    alice.say('/me waves');
    await both('* alice waves');
    alice.say('/me');
    assert.match(await alice.next(), /^\[system\] .*\/me/);
    alice.say('/help');
    const help = await alice.next();
    for (const command of ['/help', '/nick', '/who', '/me', '/msg', '/quit', '/exit']) assert.ok(help.includes(command), help);
    assert.match(help, /^\[system\] /);
    alice.say('/who');
    const roster = await alice.next();
    assert.match(roster, /^\[system\] /);
    assert.deepEqual(roster.split(': ')[1].split(', ').sort(), ['alice', 'bob']);
    await bob.nothingMore();
  });

  test('/msg goes to one and back to the sender', async () => {
    const carol = await joinText(pipit);
    await both(`[system] ${carol.name} joined`);
    alice.say(`/msg ${carol.name} psst, a secret`);
    await alice.expect(`[alice -> ${carol.name}] psst, a secret`);
    await carol.expect(`[alice -> ${carol.name}] psst, a secret`);
    alice.say('/msg BOB case is ignored');
    await both('[alice -> bob] case is ignored');
    alice.say('/msg alice to myself');
    await alice.expect('[alice -> alice] to myself');
    for (const wrong of ['/msg', '/msg bob', '/msg bob  ', '/msg nobody hello', '/msg bobby hello', '/msgbob hello']) {
      alice.say(wrong);
      assert.match(await alice.next(), /^\[system\] /, wrong);
    }
    for (const client of [alice, bob, carol]) await client.nothingMore();
    await carol.leave();
    await both(`[system] ${carol.name} left`);
  });

  test('/msg finds names with spaces, the longest one first', async () => {
    const [ann, annLee] = [await joinText(pipit), await joinText(pipit)];
    ann.say('/nick ann');
    await alice.until((line) => line.endsWith('is now ann'));
    annLee.say('/nick ann lee');
    await alice.expect(`[system] ${annLee.name} is now ann lee`);
    alice.say('/msg ann lee hello');
    await alice.expect('[alice -> ann lee] hello');
    alice.say('/msg ann leeward');
    await alice.expect('[alice -> ann] leeward');
    assert.equal((await ann.until((line) => line.includes('->'))).pop(), '[alice -> ann] leeward');
    assert.equal((await annLee.until((line) => line.includes('->'))).pop(), '[alice -> ann lee] hello');
    await ann.nothingMore();
    await annLee.nothingMore();
    await ann.leave();
    await annLee.leave();
    for (const client of [alice, bob]) {
      await client.until((line) => line === '[system] ann left');
      await client.expect('[system] ann lee left');
    }
  });

  test('/nick refuses what may not be, to the sender alone', async () => {
    await pipit.account('Registered');
    const wrong = ['', '   ', 'bob', 'BOB', 'alice', 'registered', 'guest-7', 'Guest-x', 'x'.repeat(33), '日'.repeat(11), 'a\u0001b'];
    for (const name of [...wrong, 'a\u0085b', 'system', 'a@b']) {
      alice.say(`/nick ${name}`);
      const answer = await alice.next();
      assert.match(answer, /^\[system\] /, name);
      assert.doesNotMatch(answer, /is now/, name);
    }
    await alice.nothingMore();
    await bob.nothingMore();
    for (const name of ['x'.repeat(32), '日'.repeat(10), 'ALICE', 'alice']) {
      const old = alice.renamed ?? 'alice';
      alice.say(`/nick ${name}`);
      await both(`[system] ${old} is now ${name}`);
      alice.renamed = name;
    }
  });

  test('an unknown command is answered and not broadcast', async () => {
    for (const command of ['/', '/Quit', '/nickname x', '/help!', `/${'é'.repeat(200)}`]) {
      alice.say(command);
      assert.match(await alice.next(), /^\[system\] .*\/help/, command);
    }
    await bob.nothingMore();
  });

  test('/quit and /exit close with 1000', async () => {
    for (const command of ['/quit', '/exit', '/quit now']) {
      const client = await joinText(pipit);
      client.say(command);
      client.say('never said');
      assert.equal((await within(client.closed, 'not closed')).code, 1000);
      await both(`[system] ${client.name} joined`, `[system] ${client.name} left`);
    }
    await bob.nothingMore();
  });

  test('the house speaks and ends connections from the console', async () => {
    const carol = await joinText(pipit);
    await both(`[system] ${carol.name} joined`);
    pipit.type('say maintenance at noon');
    await both('[system] maintenance at noon');
    pipit.type(`kick ${carol.name}`);
    assert.equal((await within(carol.closed, 'not closed')).code, 1008);
    await both(`[system] ${carol.name} left`);
  });

  test('the roster of a full room comes in pages', async () => {
    const crowd = await Promise.all(Array.from({ length: 8 }, () => joinText(pipit)));
    for (const client of [alice, bob]) for (let i = 0; i < 8; i++) assert.match(await client.next(), / joined$/);
    alice.say('/who');
    const names = new Set();
    while (names.size < 10) for (const name of (await alice.next()).split(': ')[1].split(', ')) names.add(name);
    for (const { name } of crowd) assert.ok(names.has(name), name);
    assert.ok(names.has('bob'));
    await alice.nothingMore();
    await Promise.all(crowd.map((client) => client.leave()));
    for (const client of [alice, bob]) for (let i = 0; i < 8; i++) assert.match(await client.next(), /^\[system\] guest-\d+ left$/);
  });
});

describe('frames', () => {
  let pipit, watcher;
  before(async () => {
    pipit = await startPipit({ args: ['--set', 'chat.rate=0'] });
    watcher = await joinText(pipit);
  });
  after(() => pipit.stop());

  async function rawGuest() {
    const raw = await RawSocket.open(pipit);
    const joined = await raw.next();
    assert.deepEqual([joined.opcode, joined.fin], [TEXT, true]);
    raw.name = joined.payload.toString().match(/^\[system\] (.*) joined$/)[1];
    assert.equal((await raw.next()).payload.toString(), WELCOME);
    await watcher.expect(`[system] ${raw.name} joined`);
    return raw;
  }

  async function ends(raw, code) {
    assert.equal(await raw.closeCode(), code);
    await raw.expectEnd();
    await watcher.expect(`[system] ${raw.name} left`);
  }

  test('a message of exactly 1,024 bytes passes, whole and in pieces', async () => {
    const raw = await rawGuest();
    const text = 'ü'.repeat(256);
    await raw.write(frame(TEXT, text));
    await watcher.expect(`[${raw.name}] ${text}`);
    const bytes = Buffer.from(text);
    await raw.write(frame(TEXT, bytes.subarray(0, 333), { fin: false }), frame(PING, 'between'));
    await raw.write(frame(CONTINUATION, '', { fin: false }), frame(CONTINUATION, bytes.subarray(333)));
    await watcher.expect(`[${raw.name}] ${text}`);
    const answers = [await raw.next(), await raw.next(), await raw.next()];
    assert.deepEqual(answers.map((f) => f.opcode), [TEXT, PONG, TEXT]);
    assert.equal(answers[1].payload.toString(), 'between');
    await raw.write(closeFrame(1000, 'bye'));
    await ends(raw, 1000);
  });

  test('byte by byte, and many in one segment', async () => {
    const raw = await rawGuest();
    for (const byte of frame(TEXT, 'slowly')) {
      await raw.write(Buffer.from([byte]));
      await sleep(2);
    }
    await watcher.expect(`[${raw.name}] slowly`);
    const many = Array.from({ length: 200 }, (_, i) => frame(TEXT, `burst ${i}`));
    await raw.write(Buffer.concat(many));
    for (let i = 0; i < 200; i++) await watcher.expect(`[${raw.name}] burst ${i}`);
    await raw.write(closeFrame());
    await ends(raw, 1005);
  });

  // Name, what is sent, the code of the answer.
  const violations = [
    ['1,025 bytes', [frame(TEXT, 'x'.repeat(513))], 1009],
    ['1,025 bytes in pieces', [frame(TEXT, 'x'.repeat(488), { fin: false }), frame(CONTINUATION, 'x'.repeat(25))], 1009],
    ['a header that announces 2^62 bytes', [frame(TEXT, '', { length: 2n ** 62n })], 1009],
    ['white space counts too', [frame(TEXT, ' '.repeat(513))], 1009],
    ['binary', [frame(BINARY, 'x')], 1003],
    ['an empty binary', [frame(BINARY, '')], 1003],
    ['broken UTF-8', [frame(TEXT, Buffer.from([0x61, 0xff]))], 1007],
    ['a surrogate in UTF-8', [frame(TEXT, Buffer.from([0xed, 0xa0, 0x80]))], 1007],
    ['half a character at the end', [frame(TEXT, Buffer.from([0xe6, 0x97]))], 1007],
    ['broken UTF-8 in an unfinished message', [frame(TEXT, Buffer.from([0xc0]), { fin: false })], 1007],
    ['no mask', [frame(TEXT, 'x', { masked: false })], 1002],
    ['a reserved bit', [frame(TEXT, 'x', { reserved: 4 })], 1002],
    ['an unknown opcode', [frame(3, 'x')], 1002],
    ['an unknown control opcode', [frame(11, 'x')], 1002],
    ['a continuation of nothing', [frame(CONTINUATION, 'x')], 1002],
    ['a message inside another', [frame(TEXT, 'x', { fin: false }), frame(TEXT, 'y')], 1002],
    ['a fragmented ping', [frame(PING, 'x', { fin: false })], 1002],
    ['a ping of 126 bytes', [frame(PING, 'x'.repeat(126))], 1002],
    ['a length that is too long', [frame(TEXT, 'x', { form: 16 })], 1002],
    ['a close of one byte', [frame(CLOSE, 'x')], 1002],
    ['a close with 1005', [closeFrame(1005)], 1002],
    ['a close with 999', [closeFrame(999)], 1002],
    ['a close with a broken reason', [closeFrame(1000, Buffer.from([0xff]))], 1007],
  ];
  for (const [name, frames, code] of violations) {
    test(`${name}: ${code}`, async () => {
      const raw = await rawGuest();
      await raw.write(...frames);
      await ends(raw, code);
    });
  }

  test('a close is answered with its own code', async () => {
    for (const code of [1000, 1001, 1003, 1011, 3000, 4999]) {
      const raw = await rawGuest();
      await raw.write(closeFrame(code, 'why'), frame(TEXT, 'never said'));
      await ends(raw, code);
    }
  });

  test('nothing of all that leaves a slot behind', async () => {
    await watcher.leave();
    await atRest(pipit);
  });
});

describe('who may come in', () => {
  let pipit;
  before(async () => {
    const options = ['chat.rate=0', 'verify.cooldown=0', 'http.origins=https://chat.example.com', 'http.names=bird.example.com'];
    pipit = await startPipit({ args: options.flatMap((o) => ['--set', o]) });
  });
  after(() => pipit.stop());

  const first = async (options) => {
    const client = await join(pipit, options);
    const line = await client.next();
    await client.leave();
    return line;
  };

  test('a token in the query, the Authorization field or the subprotocol list binds to the account', async () => {
    const { token } = await pipit.account('Dora');
    assert.equal(await first({ token }), '[system] Dora joined');
    assert.equal(await first({ headers: { authorization: `Bearer ${token}` } }), '[system] Dora joined');
    assert.equal(await first({ headers: { authorization: `bearer ${token}` } }), '[system] Dora joined');
    const browser = await join(pipit, { json: true, protocols: ['pipit.v1.json', `pipit.token.${token}`] });
    assert.equal(browser.socket.protocol, 'pipit.v1.json');
    const { kind, from } = await browser.next();
    assert.deepEqual([kind, from], ['join', 'Dora']);
    await browser.leave();
  });

  test('the account keeps its name against guests and may wear another one', async () => {
    const { token } = await pipit.account('Ernest');
    const client = await join(pipit, { token });
    await client.expect('[system] Ernest joined', WELCOME);
    client.say('/nick ernie');
    await client.expect('[system] Ernest is now ernie');
    client.say('/nick Ernest');
    await client.expect('[system] ernie is now Ernest');
    await client.leave();
  });

  test('a guest who wears a name that is registered meanwhile makes way', async () => {
    const guest = await joinText(pipit);
    guest.say('/nick Frieda');
    await guest.expect(`[system] ${guest.name} is now Frieda`);
    const { token } = await pipit.account('frieda');
    const owner = await join(pipit, { token });
    assert.match(await guest.next(), /^\[system\] Frieda is now guest-\d+$/);
    await guest.expect('[system] frieda joined');
    await owner.expect('[system] frieda joined');
    await guest.leave();
    await owner.leave();
  });

  test('a bad token is 401 before the upgrade, wherever it stands', async () => {
    const { token } = await pipit.account('Gustav');
    const bad = [`${token}x`, token.slice(0, -1), '1.x', 'x', '', '99999999999.AAAA', 'A'.repeat(300), token.toUpperCase() + token];
    for (const wrong of bad) {
      assert.equal((await refused(pipit, { token: wrong })).status, 401, wrong);
      assert.equal((await refused(pipit, { headers: { authorization: `Bearer ${wrong}` } })).status, 401, wrong);
      if (wrong !== '') assert.equal((await refused(pipit, { protocols: ['pipit.v1.json', `pipit.token.${wrong}`] })).status, 401, wrong);
    }
    assert.equal((await refused(pipit, { headers: { authorization: `Basic ${token}` } })).status, 401);
    const { body } = await pipit.post('/logout', '', { authorization: `Bearer ${token}` });
    assert.equal(body.error, 0);
    assert.equal((await refused(pipit, { token })).status, 401);
  });

  test('a second login of the account closes the first connection with 4001, after telling it', async () => {
    const { token } = await pipit.account('Hanna');
    const one = await join(pipit, { token });
    await one.expect('[system] Hanna joined', WELCOME);
    const two = await join(pipit, { token });
    assert.match(await one.next(), /^\[system\] .*somewhere else/);
    assert.equal((await within(one.closed, 'not closed')).code, 4001);
    await two.expect('[system] Hanna joined', WELCOME);
    await two.nothingMore();
    assert.equal(await pipit.metric('pipit_chat_replaced_total'), 1);
    const three = await pipit.post('/login', { user: 'Hanna', password: 'secret123' });
    assert.equal(three.body.error, 0);
    await two.nothingMore(); // /login alone closes nothing
    await two.leave();
  });

  test('a new password ends the connection too', async () => {
    const { token } = await pipit.account('Ida');
    const client = await join(pipit, { token });
    await client.expect('[system] Ida joined', WELCOME);
    const email = 'Ida@example.com';
    const { body: asked } = await pipit.post('/get_varifycode', { email });
    const { body } = await pipit.post('/reset_pwd', { user: 'Ida', email, password: 'another123', code: asked.code });
    assert.equal(body.error, 0, JSON.stringify(body));
    await within(client.closed, 'not closed');
    assert.equal((await refused(pipit, { token })).status, 401);
  });

  test('a foreign Origin or Host is 403, our own and listed ones pass', async () => {
    const own = `${pipit.host}:${pipit.port}`;
    const origin = async (value) => (await ask(pipit, '/ws', { Origin: value })).status;
    const host = async (value) => (await ask(pipit, '/ws', { Host: value })).status;
    for (const good of [`http://${own}`, 'https://chat.example.com']) assert.equal(await origin(good), 101, good);
    const foreign = ['http://evil.example', `http://${pipit.host}`, `http://${pipit.host}:${pipit.port + 1}`, 'null', `http://${own}.evil.example`];
    for (const bad of [...foreign, '', `${own}`, `http://evil.example@${own}`, 'https://chat.example.com.evil.example']) {
      assert.equal(await origin(bad), 403, bad);
    }
    for (const good of ['localhost', 'pipit', 'PIPIT.local:8080', '192.0.2.7', '[::1]:8080', 'bird.example.com']) {
      assert.equal(await host(good), 101, good);
    }
    for (const bad of ['evil.example', 'localhost.evil.example', 'xpipit', 'pipit.local.evil.example', 'bird.example.com.evil.example']) {
      assert.equal(await host(bad), 403, bad);
    }
  });

  test('what is no WebSocket handshake of version 13 is 426, and says what is spoken', async () => {
    for (const version of ['12', '8', '14', '1 3', null]) {
      const { status, headers } = await ask(pipit, '/ws', { 'Sec-WebSocket-Version': version });
      assert.equal(status, 426, version);
      assert.equal(headers['sec-websocket-version'], '13');
    }
    assert.equal((await ask(pipit, '/ws', { Upgrade: null })).status, 426);
    assert.equal((await ask(pipit, '/ws', { Upgrade: 'h2c' })).status, 426);
    assert.equal((await ask(pipit, '/ws', { Connection: 'keep-alive' })).status, 426);
    for (const key of ['short', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw==', null]) {
      assert.equal((await ask(pipit, '/ws', { 'Sec-WebSocket-Key': key })).status, 400, key);
    }
    const good = await ask(pipit, '/ws', { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' });
    assert.equal(good.status, 101);
    assert.equal(good.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='); // RFC 6455 section 1.3
  });

  test('only what was offered and is known is chosen as subprotocol', async () => {
    const chosen = async (list) => (await ask(pipit, '/ws', { 'Sec-WebSocket-Protocol': list })).headers['sec-websocket-protocol'];
    assert.equal(await chosen('soap, pipit.v1.json'), 'pipit.v1.json');
    assert.equal(await chosen('soap'), undefined);
    assert.equal(await chosen('pipit.v1.jsonx'), undefined);
  });

  test('all left again', () => atRest(pipit, { accounts: { used: 99 }, tokens: { used: 99 } }));
});

test('without guests one needs a token', async () => {
  const pipit = await startPipit({ args: ['--set', 'chat.guests=0'] });
  try {
    assert.equal((await refused(pipit)).status, 401);
    assert.equal((await refused(pipit, { json: true })).status, 401);
    const { token } = await pipit.account('Jonas');
    const client = await join(pipit, { token });
    await client.expect('[system] Jonas joined', WELCOME);
    await client.leave();
  } finally {
    await pipit.stop();
  }
});

test('who talks too fast gets a notice and a pause, and nothing is lost', async () => {
  const pipit = await startPipit();
  try {
    const [talker, listener] = [await joinText(pipit), await joinText(pipit)];
    await talker.expect(`[system] ${listener.name} joined`);
    const started = Date.now();
    for (let i = 0; i < 15; i++) talker.say(`line ${i}`);
    const notices = [];
    const at = [];
    for (let i = 0; i < 15; ) {
      const line = await talker.next();
      if (line.startsWith('[system]')) {
        notices.push(line);
      } else {
        assert.equal(line, `[${talker.name}] line ${i++}`);
        at.push(Date.now() - started);
      }
    }
    for (let i = 0; i < 15; i++) await listener.expect(`[${talker.name}] line ${i}`);
    assert.equal(notices.length, 1, 'one notice a pause');
    assert.ok(at[9] < 4000 && at[10] >= 4000, `lines 9 and 10 came after ${at[9]} and ${at[10]} ms`);
    listener.say('I may talk');
    await talker.expect(`[${listener.name}] I may talk`);
    assert.equal(await pipit.metric('pipit_chat_paused_total'), 1);
  } finally {
    await pipit.stop();
  }
});

test('a full house is 503 before the upgrade, and free again when somebody leaves', async () => {
  const pipit = await startPipit({ program: smallPipitPath });
  try {
    const { chat_clients: seats } = await pools(pipit);
    const crowd = [];
    for (let i = 0; i < seats.size; i++) crowd.push(await joinText(pipit));
    for (let i = 0; i < 3; i++) {
      const { status, headers } = await refused(pipit);
      assert.equal(status, 503);
      assert.ok(Number(headers['retry-after']) > 0);
    }
    crowd[0].say('still here');
    for (const client of crowd) await client.until((line) => line === `[${crowd[0].name}] still here`);
    await crowd.pop().leave();
    const newcomer = await within(
      (async () => {
        for (;;) {
          const client = new ChatClient(pipit);
          if (await client.opened.then(() => true, () => false)) return client;
          await sleep(100);
        }
      })(),
      'the seat was never free again',
    );
    await Promise.all([newcomer, ...crowd].map((client) => client.leave()));
    await atRest(pipit);
  } finally {
    await pipit.stop();
  }
});

test('two missed pongs end a connection, and whoever answers stays', async () => {
  const pipit = await startPipit({ args: ['--set', 'ws.ping=1'] });
  try {
    const [alive, dead] = [await joinText(pipit), await joinText(pipit, { autoPong: false })];
    let pings = 0;
    dead.socket.on('ping', () => pings++);
    const { code } = await within(dead.closed, 'it was kept');
    assert.deepEqual([code, pings], [1001, 2]);
    await alive.expect(`[system] ${dead.name} joined`, `[system] ${dead.name} left`);
    await alive.nothingMore();
    await alive.leave();
    await atRest(pipit);
  } finally {
    await pipit.stop();
  }
});

test('a server that stops says goodbye with 1001', async () => {
  const pipit = await startPipit();
  try {
    const clients = await Promise.all(Array.from({ length: 20 }, () => joinText(pipit)));
    assert.equal(await pipit.stop(), 0);
    for (const client of clients) assert.equal((await within(client.closed, 'not closed')).code, 1001);
  } finally {
    await pipit.stop();
  }
});
