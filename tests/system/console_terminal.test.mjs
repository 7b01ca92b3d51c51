// The console in a pseudo-terminal: what a person sees, and that the terminal comes back as it was.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { running, shellTerminal } from './chat_cli.mjs';
import { freePort, pipitPath, reachable } from './pipit.mjs';

afterEach(() => {
  for (const client of running) client.child.kill('SIGKILL');
});

const LEFT = '\x1b[D', UP = '\x1b[A', END = '\x1b[F', DELETE = '\x1b[3~';

/**
 * The simulator in a terminal of its own, as a shell's child: `before` comes before it, and afterwards the shell tells
 * how the terminal is set. `pid()` is the simulator's.
 */
async function start({ before = '', after = 'stty -a; echo THE END', env = {}, args = [] } = {}) {
  const port = await freePort();
  const run = `sh -c 'echo PID $$; exec "$0" "$@"' ${pipitPath} --forward ${port}:80 --set rpc.timeout=2 ${args.join(' ')}`;
  const terminal = shellTerminal(`trap : INT QUIT TERM HUP; ${before} ${run}; echo STATUS $?; ${after}`, env);
  reachable(terminal, '127.0.0.1', port);
  await terminal.shows(/Type help for the console's commands\.[^]*listening on|listening on[^]*Type help/, 20_000);
  terminal.pid = () => Number(terminal.out.match(/PID (\d+)/)[1]);
  terminal.from = terminal.out.length;
  /** What has been shown since the last call waits for the pattern; returns the match. */
  terminal.sees = async (pattern, ms = 10_000) => {
    for (const end = Date.now() + ms; ; await sleep(10)) {
      const match = terminal.out.slice(terminal.from).match(pattern);
      if (match !== null) {
        terminal.from += match.index + match[0].length;
        return match;
      }
      assert.ok(Date.now() < end, `never ${pattern} in ${JSON.stringify(terminal.out.slice(terminal.from))}`);
    }
  };
  return terminal;
}

async function quit(terminal) {
  terminal.type('\x03');
  await terminal.sees(/STATUS 0\r\n/);
  await terminal.sees(/THE END/);
}

const PING = /\nws\.ping = 25 \(1 to 3600; the default\)\r\n/;

test('a line is edited, byte by byte', async () => {
  const t = await start();
  for (const byte of `ge ws.pi\x01\x1b[C\x1b[Ct${END}gX${LEFT}${DELETE}${LEFT}n`) {
    t.type(byte);
    await sleep(3);
  }
  t.type('\r');
  await t.sees(PING);
  t.type('set mail.subject gr\u00fc\u00dfe\u{1f600}x\x7f\x7f!\rget mail.subject\r');
  await t.sees(/\nmail\.subject = gr\u00fc\u00dfe! \(/);
  t.type(`nonsense${LEFT}\x15\x0bget ws.pingnonsense\x17\x17get ws.ping\r`);
  await t.sees(PING);
  await quit(t);
});

test('history and completion', async () => {
  const t = await start();
  t.type('get ws.ping\r');
  await t.sees(PING);
  t.type('get ws.stall\r');
  await t.sees(/\nws\.stall = 30/);
  t.type(`${UP}${UP}\r`);
  await t.sees(PING);
  t.type('stat\t\r');
  await t.sees(/status \r\n[^]*address 10\.0\.2\.15 \(static\)/);
  t.type('get ws.p\t\r');
  await t.sees(PING);
  t.type('get ws.\t');
  await t.sees(/ws\.ping {2}ws\.stall/);
  t.type('pi\t\r');
  await t.sees(PING);
  await quit(t);
});

test('a password is not shown while it is typed, and stays in no history', async () => {
  const t = await start();
  t.type('get ws.ping\r');
  await t.sees(PING);
  t.type('set mail.password open-ses');
  await t.sees(/set mail\.password \*{8}/);
  t.type(`${LEFT}${LEFT}x\r`);
  t.type('get mail.password\r');
  await t.sees(/\nmail\.password = \(set\)/);
  t.type('set mail.pasword open-ses\r');
  await t.sees(/no key mail\.pasword/);
  t.type(UP);
  await t.sees(/\rget mail\.password/);
  t.type(UP);
  await t.sees(/\rget ws\.ping/);
  t.type('\r');
  await t.sees(PING);
  assert.equal(t.out.match(/open-ses/g).length, 1, 'only behind a name that is no key');
  await quit(t);
});

test('factory-reset is asked for; Ctrl-D is a no', async () => {
  const t = await start();
  t.type('factory-reset\r');
  await t.sees(/Type yes to go on:/);
  t.type('\x04');
  await t.sees(/Nothing was changed\./);
  t.type(`${UP}\r`);
  await t.sees(/Type yes to go on:/);
  t.type('yes\r');
  await t.sees(/restart asked for: factory reset/);
  await t.sees(/STATUS 0[^]*THE END/);
});

test('a log line does not tear the line that is being typed', async () => {
  const t = await start();
  t.type('get ws.p');
  await t.sees(/get ws\.p/);
  await t.account('alice');
  await t.sees(/\r\x1b\[K[\d.]+ info {2}users: alice registered, uid 1\r\n\r?get ws\.p/);
  t.type('ing\r');
  await t.sees(PING);
  await quit(t);
});

test('a long answer comes whole', async () => {
  const t = await start();
  t.type('config\rget ws.ping\r');
  await t.sees(/\nlog\.port = 514 [^]*\nws\.ping = 25/);
  await quit(t);
});

// icanon and echo, iexten, and the rest as `script` has made it.
const isRestored = (text) => {
  for (const flag of ['icanon', 'echo', 'iexten', 'isig']) assert.match(text, new RegExp(`(?<![-\\w])${flag}\\b`), `${flag} in ${text}`);
};

test('the terminal is as it was after every end', async () => {
  for (const [end, status] of [
    [(t) => t.type('\x03'), 0],
    [(t) => t.type('reboot\r'), 0],
    [(t) => process.kill(t.pid(), 'SIGTERM'), 0],
    [(t) => process.kill(t.pid(), 'SIGHUP'), 0],
    [(t) => t.type('\x1c'), 131],
    [(t) => process.kill(t.pid(), 'SIGABRT'), 134],
  ]) {
    const t = await start({ before: 'ulimit -c 0;' });
    t.type('half a l');
    await t.sees(/half a l/);
    if (String(end).includes('reboot')) t.type('\x15');
    end(t);
    await t.sees(new RegExp(`STATUS ${status}\\r\\n`));
    isRestored((await t.sees(/[^]*THE END/))[0]);
  }
});

test('Ctrl-Z gives the terminal back, and fg takes it again', async () => {
  const t = await start({ before: 'set -m;', after: 'stty -a; echo STOPPED; fg; stty -a; echo THE END' });
  t.type('get ws.p');
  await t.sees(/get ws\.p/);
  t.type('\x1a');
  isRestored((await t.sees(/STATUS 14[78]\r\n[^]*STOPPED/))[0]);
  await sleep(200);
  t.type('ing\r');
  await t.sees(PING);
  t.type(`get ws.stallx${LEFT}${DELETE}\r`);
  await t.sees(/\nws\.stall = 30/);
  t.type('\x03');
  isRestored((await t.sees(/[^]*THE END/))[0]);
});

test('a terminal that knows no escape sequences gets none', async () => {
  const t = await start({ env: { TERM: 'dumb' } });
  t.type('get ws.ping\r');
  await t.sees(PING);
  await quit(t);
  assert.doesNotMatch(t.out.slice(0, t.out.indexOf('STATUS')), /\x1b/);
});
