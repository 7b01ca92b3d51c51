// The terminal client, in a pseudo-terminal (script of util-linux) and in a pipe, against the simulator.
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { piped, running, terminal } from './chat_cli.mjs';
import { freePort, startPipit } from './pipit.mjs';

const at = (server) => [server.host, String(server.port)];
const count = (text, what) => text.split(what).length - 1;

/// A screen of 80 columns: what a person sees after these bytes ///

function screen(bytes) {
  const rows = [[]];
  let row = 0;
  let column = 0;
  const line = () => (rows[row] ??= []);
  const escapes = {
    A: (n) => (row = Math.max(0, row - (n || 1))),
    B: (n) => (row += n || 1),
    C: (n) => (column = Math.min(79, column + (n || 1))),
    D: (n) => (column = Math.max(0, column - (n || 1))),
    G: (n) => (column = (n || 1) - 1),
    K: () => line().splice(column),
    J: () => {
      line().splice(column);
      rows.splice(row + 1);
    },
    P: (n) => line().splice(column, n || 1),
    '@': (n) => line().splice(column, 0, ...Array(n || 1).fill(' ')),
    m: () => {},
    h: () => {},
    l: () => {},
  };
  const put = (c) => {
    if (column === 80) {
      column = 0;
      row += 1;
    }
    while (line().length < column) line().push(' ');
    line()[column++] = c;
  };
  for (const [all, parameters, final] of bytes.matchAll(/\x1b\[([?\d;]*)([A-Za-z@])|\x1b[()>=].?|[^]/gu)) {
    if (final) {
      assert.ok(escapes[final], `an escape sequence that is not known here: ${JSON.stringify(all)}`);
      escapes[final](Number.parseInt(parameters, 10) || 0);
    } else if (all === '\r') column = 0;
    else if (all === '\n') row += 1;
    else if (all === '\b') column = Math.max(0, column - 1);
    else if (all >= ' ' && all !== '\x7f') put(all);
    else assert.equal(all, '\x07', `a control character reached the terminal: ${JSON.stringify(all)}`);
    line();
  }
  return Array.from(rows, (cells) => (cells ?? []).join('').trimEnd());
}

const lastRow = (client) => screen(client.out).filter((row) => row !== '').at(-1);

async function settles(check, ms = 4000) {
  const until = Date.now() + ms;
  for (;;) {
    try {
      return check();
    } catch (error) {
      if (Date.now() > until) throw error;
      await sleep(20);
    }
  }
}

/// The simulator ///

const unlimited = ['--set', 'chat.rate=0', '--set', 'api.rate=0', '--set', 'verify.cooldown=0'];
let pipit;

// Whatever a test has started ends with the file, also when the test failed half-way.
const started = [];
const keep = (thing) => {
  started.push(thing);
  return thing;
};
const start = async (options) => keep(await startPipit(options));

before(async () => {
  pipit = await start({ args: unlimited });
});

after(async () => {
  for (const client of running) client.child.kill('SIGKILL');
  for (const thing of started) await thing.stop();
});

/// In a terminal ///

test('two people chat: names, messages, actions, whispers, and one leaves', async () => {
  const one = terminal(at(pipit));
  await one.shows(/\[system\] guest-\d+ joined/);
  await one.shows(/\[system\] connected\. Use \/nick your_name to rename\./);
  const two = terminal(at(pipit));
  await two.shows(/\[system\] connected\./);
  one.type('/nick anna\r');
  await two.shows(/\[system\] guest-\d+ is now anna/);
  two.type('/nick bert\r');
  await one.shows(/\[system\] guest-\d+ is now bert/);
  one.type('hello\r');
  await two.shows(/\[anna\] hello/);
  await one.shows(/\[anna\] hello/);
  two.type('/me waves\r');
  await one.shows(/\* bert waves/);
  one.type('/msg bert between us\r');
  await two.shows(/\[anna -> bert\] between us/);
  await one.shows(/\[anna -> bert\] between us/);
  one.type('/who\r');
  await one.shows(/\[system\] online \(\d+\): .*anna/);
  one.type('grüße 😀\r');
  await two.shows(/\[anna\] grüße 😀/);
  two.type('/quit\r');
  await one.shows(/\[system\] bert left/);
  assert.equal(await two.status(), 0);
  one.type('/exit\r');
  assert.equal(await one.status(), 0);
});

test('a message does not tear the line that is being typed', async () => {
  const writer = terminal(at(pipit));
  await writer.shows(/connected\./);
  const other = piped(at(pipit));
  await other.shows(/connected\./);
  writer.type('half a sen');
  await settles(() => assert.equal(lastRow(writer), '> half a sen'));
  other.type('in between\n');
  await writer.shows(/in between/);
  await settles(() => {
    const rows = screen(writer.out).filter((row) => row !== '');
    assert.match(rows.at(-2), /^\[guest-\d+\] in between$/);
    assert.equal(rows.at(-1), '> half a sen');
  });
  writer.type('tence\r');
  await other.shows(/\] half a sentence\n/);
  // The typed line makes room for its echo: it stands there once.
  await settles(() => {
    const rows = screen(writer.out).filter((row) => row.includes('half a sentence'));
    assert.equal(rows.length, 1);
    assert.match(rows[0], /^\[guest-\d+\] half a sentence$/);
  });
  other.end();
  writer.type('\x04');
  assert.equal(await writer.status(), 0);
  assert.equal(await other.status(), 0);
});

test('nor one that is wider than the terminal, with the cursor in its middle', async () => {
  const long = 'word '.repeat(25).trim();
  const writer = terminal(at(pipit));
  await writer.shows(/connected\./);
  const other = piped(at(pipit));
  await other.shows(/connected\./);
  writer.type(long);
  writer.type('\x01'); // Ctrl-A: to the beginning of the line
  await sleep(200);
  other.type('one\ntwo\n');
  await writer.shows(/\] two/);
  await settles(() => {
    const rows = screen(writer.out).filter((row) => row !== '');
    const typed = `> ${long}`;
    assert.match(rows.at(-4), /\] one$/);
    assert.match(rows.at(-3), /\] two$/);
    assert.deepEqual(rows.slice(-2), [typed.slice(0, 80).trimEnd(), typed.slice(80)]);
  });
  writer.type('X \r');
  await other.shows(new RegExp(`\\] X ${long}\n`));
  other.end();
  writer.type('\x03');
  assert.equal(await writer.status(), 0);
  await other.status();
});

for (const [name, key] of [['/quit', '/quit\r'], ['/exit', '/exit\r'], ['Ctrl-C', 'half a line\x03'], ['Ctrl-D', '\x04']]) {
  test(`${name} leaves with 0 and is seen to leave at once`, async () => {
    const watcher = piped(at(pipit));
    await watcher.shows(/connected\./);
    const client = terminal(at(pipit));
    await client.shows(/> /);
    const name = (await watcher.shows(/(guest-\d+) joined\n[^]*?(guest-\d+) joined\n/))[2];
    client.type(key);
    assert.equal(await client.status(), 0);
    await watcher.shows(new RegExp(`\\[system\\] ${name} left`), 2000);
    watcher.end();
    assert.equal(await watcher.status(), 0);
  });
}

test('colours on a terminal, none with NO_COLOR', async () => {
  for (const [env, coloured] of [[{}, true], [{ NO_COLOR: '1' }, false], [{ NO_COLOR: '' }, true], [{ TERM: 'dumb' }, false]]) {
    const client = terminal(at(pipit), env);
    await client.shows(/connected\./);
    client.type('/quit\r');
    assert.equal(await client.status(), 0);
    assert.equal(/\x1b\[[\d;]*m/.test(client.out), coloured, JSON.stringify(env));
  }
});

test('nothing from the wire reaches the terminal but printable characters', async () => {
  const writer = piped(at(pipit));
  await writer.shows(/connected\./);
  const reader = terminal(at(pipit), { NO_COLOR: '1' });
  await reader.shows(/connected\./);
  writer.end('clear\x1b[2J bell\x07 c1\u009b31m turn\u202e del\x7f end\n');
  await reader.shows(/del\^\? end/);
  await reader.shows(/clear\^\[\[2J bell\^G c1\ufffd31m turn\ufffd del\^\? end/);
  assert.ok(!reader.out.includes('\x1b[2J') && !reader.out.includes('\u009b') && !reader.out.includes('\u202e'));
  assert.ok(!writer.out.includes('\x1b'), 'in a pipe as well');
  reader.type('/quit\r');
  assert.equal(await reader.status(), 0);
});

/// In a pipe ///

test('a pipe: every line is a message, no prompt, no colour, and the end of input leaves', async () => {
  const began = Date.now();
  const client = piped(at(pipit));
  client.end('first\n\n   \n  second  \n/who\nlast without a line feed');
  assert.equal(await client.status(), 0);
  const lines = client.out.split('\n');
  const heard = lines.filter((line) => /^\[guest-\d+\]/.test(line)).map((line) => line.replace(/^\S+ /, ''));
  assert.deepEqual(heard, ['first', 'second', 'last without a line feed']);
  assert.match(client.out, /^\[system\] online \(\d+\): guest-\d+/m);
  assert.doesNotMatch(client.out, /\x1b|^> /m);
  assert.equal(client.err, '');
  assert.ok(Date.now() - began < 3000, 'it does not linger');
});

test('a pipe of 1,000 lines arrives whole and in order', async () => {
  const reader = piped(at(pipit));
  await reader.shows(/connected\./);
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  const writer = piped(at(pipit));
  writer.end(`${lines.join('\n')}\n`);
  assert.equal(await writer.status(20000), 0);
  await reader.shows(/\] line 999\n/);
  const heard = [...reader.out.matchAll(/\] (line \d+)\n/g)].map((match) => match[1]);
  assert.deepEqual(heard, lines);
  reader.end();
  assert.equal(await reader.status(), 0);
});

test('a server that pauses a hasty client is waited for', async () => {
  const slow = await start({ args: ['--set', 'chat.rate=10'] });
  const client = piped(at(slow));
  client.end(Array.from({ length: 15 }, (_, i) => `hasty ${i}\n`).join(''));
  assert.equal(await client.status(15000), 0);
  assert.match(client.out, /\] hasty 14\n/);
});

test('what cannot be a message is told and not sent', async () => {
  const client = piped(at(pipit));
  await client.shows(/connected\./);
  client.type(`${'x'.repeat(1025)}\n${'y'.repeat(9000)}\n`);
  client.type(Buffer.from([0x66, 0xff, 0x0a]));
  client.end(`${'z'.repeat(1024)}\nend\n`);
  assert.equal(await client.status(), 0);
  assert.equal(count(client.err, 'a message has at most 1,024 bytes'), 2);
  assert.equal(count(client.err, 'not UTF-8'), 1);
  assert.match(client.out, /\] z{1024}\n\[guest-\d+\] end\n$/);
  assert.doesNotMatch(client.out, /xx|yy/);
});

/// Accounts ///

test('--register asks, registers and logs in; --user logs in later', async () => {
  const client = terminal([...at(pipit), '--register']);
  await client.shows(/Email: /);
  client.type('not an address\r');
  await client.shows(/one @/);
  client.type('carla@example.com\r');
  const code = (await client.shows(/the code is (\d{6})/))[1];
  await client.shows(new RegExp(`Code \\[${code}\\]: `));
  client.type('\r');
  await client.shows(/Name: /);
  client.type('guest-1\r');
  await client.shows(/Names that begin with guest- are for guests/);
  client.type('carla\r');
  await client.shows(/Password: /);
  client.type('short\r');
  await client.shows(/6 to 64 bytes/);
  client.type('carla-secret\r');
  await client.shows(/Password again: /);
  client.type('another-one\r');
  await client.shows(/The two passwords differ/);
  client.type('carla-secret\r');
  await settles(() => assert.equal(count(client.out, 'Password again: '), 2));
  client.type('carla-secret\r');
  await client.shows(/\[system\] carla joined/);
  client.type('/quit\r');
  assert.equal(await client.status(), 0);
  assert.doesNotMatch(client.out, /carla-secret|another-one/, 'passwords are not shown');

  const again = piped(['--user', 'carla@example.com', ...at(pipit)]);
  again.end('carla-secret\nhello from carla\n');
  assert.equal(await again.status(), 0);
  assert.match(again.out, /\[carla\] hello from carla/);
});

test('a wrong password, and an unknown user, end with 1 and one sentence', async () => {
  await pipit.account('dora', 'dora-secret');
  const sentences = [];
  for (const user of ['dora', 'nobody-at-all']) {
    const client = piped(['--user', user, ...at(pipit)]);
    client.end('not-her-secret\nhello\n');
    assert.equal(await client.status(), 1);
    assert.equal(client.out, '');
    assert.match(client.err, /^chat_cli: not logged in: [^\n]+\n$/);
    sentences.push(client.err);
  }
  assert.equal(sentences[0], sentences[1]);
});

test('bounds are checked before anything is sent', async () => {
  const refused = async (lines, sentence) => {
    const client = piped(['--register', ...at(pipit)]);
    client.end(lines.join('\n'));
    assert.equal(await client.status(), 1);
    assert.match(client.err, sentence);
  };
  const asked = async () => (await pipit.metric('pipit_users'));
  const before = await asked();
  await refused(['a@b@c', ''], /one @/);
  await refused([`${'a'.repeat(250)}@b.de`, ''], /at most 254 bytes/);
  await refused(['ed@example.com', '12345', ''], /six digits/);
  await refused(['ed@example.com', '', 'x'.repeat(33), ''], /1 to 32 bytes/);
  await refused(['ed@example.com', '', ' ed', ''], /white space/);
  await refused(['ed@example.com', '', 'GUEST-ed', ''], /guest-/);
  await refused(['ed@example.com', '', 'ed', '12345', ''], /6 to 64 bytes/);
  await refused(['ed@example.com', '', 'ed', 'p'.repeat(65), ''], /6 to 64 bytes/);
  await refused(['ed@example.com', '', 'ed', '123456', '123457', ''], /differ/);
  await refused(['ed@example.com', ''], /no answer/);
  assert.equal(await asked(), before);
});

test('an account that connects elsewhere ends the first client with 1', async () => {
  await pipit.account('emil', 'emil-secret');
  const first = piped(['--user', 'emil', ...at(pipit)]);
  first.type('emil-secret\n');
  await first.shows(/emil joined/);
  const second = piped(['--user', 'emil', ...at(pipit)]);
  second.type('emil-secret\n');
  await second.shows(/connected\./);
  assert.equal(await first.status(), 1);
  assert.match(first.err, /^chat_cli: this account was connected elsewhere[^\n]*\n$/);
  second.end('still here\n');
  assert.equal(await second.status(), 0);
  assert.match(second.out, /\[emil\] still here/);
});

/// Connections that do not come about, and that break ///

test('a first connection that is refused: one sentence, status 1, no second try', async () => {
  const began = Date.now();
  const client = piped(['127.0.0.1', String(await freePort())]);
  assert.equal(await client.status(), 1);
  assert.equal(client.out, '');
  assert.match(client.err, /^chat_cli: cannot connect to 127\.0\.0\.1 port \d+: [^\n]+\.\n$/);
  assert.ok(Date.now() - began < 3000);
  const shown = terminal(['127.0.0.1', String(await freePort())]);
  assert.equal(await shown.status(), 1);
});

test('an upgrade that is refused: a sentence with the reason, status 1', async () => {
  const lost = piped([...at(pipit), '/nowhere']);
  assert.equal(await lost.status(), 1);
  assert.match(lost.err, /^chat_cli: [^\n]*nothing at this path \(HTTP status 404\)\.\n$/);
  const closed = await start({ args: ['--set', 'chat.guests=0'] });
  const guest = piped(at(closed));
  assert.equal(await guest.status(), 1);
  assert.match(guest.err, /^chat_cli: [^\n]*valid login[^\n]*\(HTTP status 401\)\.\n$/);
});

test('a wrong command line ends with 1', async () => {
  for (const args of [['127.0.0.1', '0'], ['127.0.0.1', '80x'], ['h', '1', 'no-slash'], ['a', '1', '/', 'b'], ['--nope']]) {
    const client = piped(args);
    assert.equal(await client.status(), 1, args.join(' '));
    assert.match(client.err, /^chat_cli: [^\n]+\n$/);
  }
  const help = piped(['--help']);
  assert.equal(await help.status(), 0);
  assert.match(help.out, /^Usage: chat_cli /);
});

test('the server stops and starts: the client comes back, and what was typed meanwhile is sent', async () => {
  let server = await start({ args: unlimited });
  const { port } = server;
  const client = terminal(at(server));
  await client.shows(/connected\./);
  for (let i = 0; i < 5; i++) client.type(`before ${i}\r`);
  await client.shows(/\] before 4/);
  await server.stop();
  await client.shows(/connection lost[^\n]*, trying again in [\d.]+ s/);
  client.type('typed meanwhile\r');
  await client.shows(/not connected: 1 line kept/);
  server = await start({ args: unlimited, port });
  await client.shows(/connected again/, 20000);
  await client.shows(/\[guest-\d+\] typed meanwhile/);
  const watcher = piped(at(server));
  await watcher.shows(/connected\./);
  client.type('and after\r');
  await watcher.shows(/\] and after/);
  await client.shows(/\] and after/);
  await settles(() => {
    const rows = screen(client.out).filter((row) => row.includes('typed meanwhile'));
    assert.deepEqual(rows.map((row) => row.replace(/\d+/, 'N')), ['[guest-N] typed meanwhile']);
  });
  watcher.end();
  client.type('/quit\r');
  assert.equal(await client.status(), 0);
});

// Between a client and a server, so that their connection can be cut while both go on.
async function startWire(target) {
  const pairs = new Set();
  let isCut = false;
  const server = net.createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const pair = { near, far: net.connect(target.port, target.host) };
    pairs.add(pair);
    for (const [from, to] of [[pair.near, pair.far], [pair.far, pair.near]]) {
      from.on('error', () => {});
      from.pipe(to);
      from.on('close', () => to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return keep({
    host: '127.0.0.1',
    port: server.address().port,
    cut() {
      isCut = true;
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      pairs.clear();
    },
    mend() {
      isCut = false;
    },
    /** Lets no byte of the client through any more, but keeps the connection. */
    mute() {
      for (const { near, far } of pairs) {
        near.unpipe(far);
        near.pause();
      }
    },
    stop() {
      this.cut();
      server.close();
    },
  });
}

test('a cut connection: every message exactly once, under the name that was chosen', async () => {
  const wire = await startWire(pipit);
  const client = piped(at(wire));
  await client.shows(/connected\./);
  client.type('/nick frieda\n');
  await client.shows(/is now frieda/);
  const other = piped(at(pipit));
  await other.shows(/connected\./);
  other.type('message 0\n');
  await client.shows(/message 0/);
  wire.cut();
  await other.shows(/frieda left/);
  other.type('message 1\nmessage 2\n');
  await other.shows(/message 2/);
  client.type('from frieda\n');
  await client.shows(/trying again in [\d.]+ s/);
  wire.mend();
  other.type('message 3\n');
  await client.shows(/message 3\n/, 20000);
  await other.shows(/\[frieda\] from frieda/);
  await client.shows(/\[frieda\] from frieda/);
  const heard = [...client.out.matchAll(/message (\d)\n/g)].map((match) => match[1]);
  assert.deepEqual(heard, ['0', '1', '2', '3']);
  assert.equal(count(other.out, 'from frieda'), 1);
  client.end();
  other.end();
  assert.deepEqual([await client.status(), await other.status()], [0, 0]);
});

test('a line that was lost on the way is sent again, one that had arrived is not', async () => {
  const wire = await startWire(pipit);
  const client = piped(at(wire));
  await client.shows(/connected\./);
  client.type('this arrives\n');
  await client.shows(/\] this arrives\n/);
  wire.mute();
  client.type('this is lost at first\n');
  await sleep(300);
  wire.cut();
  await client.shows(/trying again/);
  wire.mend();
  await client.shows(/\] this is lost at first\n/, 20000);
  client.end();
  assert.equal(await client.status(), 0);
  assert.equal(count(client.out, 'this arrives'), 1);
  assert.equal(count(client.out, 'this is lost at first'), 1);
});

test('tries come ever more slowly, each is told once, and a script gives up in the end', { timeout: 60000 }, async () => {
  const wire = await startWire(pipit);
  const client = piped(at(wire));
  await client.shows(/connected\./);
  wire.stop();
  await client.shows(/trying again/);
  client.end('never sent\n');
  assert.equal(await client.status(45000), 1);
  const waits = [...client.err.matchAll(/connection lost, trying again in ([\d.]+) s\n/g)].map((match) => Number(match[1]));
  assert.ok(waits.length >= 4 && waits.length <= 9, client.err);
  waits.forEach((wait, i) => {
    const longest = Math.min(15, 0.5 * 2 ** i);
    assert.ok(wait <= longest + 0.05 && wait >= longest * 0.75 - 0.05, `try ${i} after ${wait} s`);
  });
  assert.match(client.err, /1 line was not sent\nchat_cli: the connection did not come back\.\n$/);
});

/// Other servers ///

async function startOther(onConnection, options = {}) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  await once(server, 'listening');
  const sockets = [];
  server.on('connection', (socket, request) => {
    sockets.push(socket);
    onConnection(socket, request, sockets.length);
  });
  return keep({
    host: '127.0.0.1',
    port: server.address().port,
    stop() {
      for (const socket of sockets) socket.terminate();
      server.close();
    },
  });
}

test('a server that knows plain text only, as the original one', async () => {
  const received = [];
  const server = await startOther(
    (socket) => {
      socket.send('[system] guest-1 joined');
      socket.send('[system] connected. Use /nick your_name to rename.');
      socket.on('message', (data) => {
        received.push(String(data));
        socket.send(`[guest-1] ${data}`);
      });
    },
    { handleProtocols: () => false },
  );
  const client = piped(at(server));
  client.end('hello\n/quit\n');
  assert.equal(await client.status(), 0);
  assert.deepEqual(received, ['hello'], '/quit would have been shown to everybody');
  const second = piped(at(server));
  second.end('hello again\n');
  assert.equal(await second.status(), 0);
  assert.equal(second.out, '[system] guest-1 joined\n[system] connected. Use /nick your_name to rename.\n[guest-1] hello again\n');
});

test('a server that was started anew is noticed by its ids', async () => {
  const event = (id, kind, rest) => JSON.stringify({ id, at: 1, kind, ...rest });
  const seen = [];
  const server = await startOther((socket, request, nth) => {
    seen.push(request.url);
    if (nth === 1) {
      socket.send(event(70, 'join', { from: 'guest-1' }));
      socket.send(event(70, 'welcome', { name: 'guest-1', server: 'x', newest: 70 }));
      socket.send(event(70, 'message', { from: 'other', text: 'a double' }));
      socket.send(event(71, 'message', { from: 'other', text: 'old' }));
      setTimeout(() => socket.terminate(), 100);
      return;
    }
    socket.send(event(1, 'message', { from: 'other', text: 'new one' }));
    socket.send(event(2, 'join', { from: 'guest-1' }));
    socket.send(event(2, 'welcome', { name: 'guest-1', server: 'x', newest: 2 }));
    socket.send(event(2, 'skipped', { count: 3 }));
    socket.send(event(3, 'message', { from: 'other', text: 'new two' }));
    socket.send('{"id":4,"kind":"of a later version"}');
  });
  const client = piped(at(server));
  await client.shows(/new two/);
  assert.deepEqual(seen, ['/ws', '/ws?since=71']);
  assert.doesNotMatch(client.out, /a double/);
  assert.match(client.out, /\[other\] new one\n.*joined\n\[system\] 3 messages were missed\n\[other\] new two\n$/);
  client.end();
  assert.equal(await client.status(), 0);
});

test('close codes: 1008, 4001 and 4002 end it with 1, others are tried again', async () => {
  for (const [code, status] of [[1008, 1], [4001, 1], [4002, 1], [1001, 0], [1013, 0], [1011, 0]]) {
    const server = await startOther((socket, request, nth) => {
      socket.send('{"id":1,"kind":"welcome","name":"guest-1","newest":1}');
      if (nth === 1) setTimeout(() => socket.close(code, 'the\x1b reason'), 50);
    });
    const client = piped(at(server));
    if (status === 0) {
      await client.shows(/connected again/);
      client.end();
    }
    assert.equal(await client.status(), status, `after ${code}`);
    assert.match(client.err, /the\^\[ reason/);
    server.stop();
  }
});

test('a login that is no longer valid ends the tries', async () => {
  const server = await start({ args: unlimited });
  await server.account('gerd', 'gerd-secret');
  const wire = await startWire(server);
  const client = piped(['--user', 'gerd', ...at(wire)]);
  client.type('gerd-secret\n');
  await client.shows(/gerd joined/);
  const { port } = server;
  await server.stop();
  await start({ args: unlimited, port });
  assert.equal(await client.status(30000), 1);
  assert.match(client.err, /HTTP status 401/);
});
