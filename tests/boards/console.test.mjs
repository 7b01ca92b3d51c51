// The console over the board's UART: a person with a terminal program.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withBoard } from './board.mjs';

const LEFT = '\x1b[D', UP = '\x1b[A', END = '\x1b[F';

// What has been shown since the last call waits for the pattern.
function watched(board) {
  let from = board.console.length;
  board.key = (keys) => board.child.stdin.write(keys);
  board.sees = async (pattern) => {
    for (const end = Date.now() + 20_000; ; await sleep(10)) {
      const match = board.console.slice(from).match(pattern);
      if (match !== null) {
        from += match.index + match[0].length;
        return match;
      }
      assert.ok(Date.now() < end, `never ${pattern} in ${JSON.stringify(board.console.slice(from))}`);
    }
  };
  return board;
}

const PING = /\nws\.ping = 25 \(1 to 3600; the default\)\n/;

test('help, settings, editing, history and completion over the UART', async (t) => {
  await withBoard({}, async (bare) => {
    const board = watched(bare);
    board.key('help\r');
    await board.sees(/^help\n {2}help - this list\n[^]*\n {2}factory-reset - /);
    board.key('set ws.stall 77\rget ws.stall\r');
    await board.sees(/\nws\.stall = 77 \(1 to 3600; default 30\)\n/);
    board.key('set ws.stall 0\r');
    await board.sees(/ws\.stall must be a number from 1 to 3600\./);
    board.key('unset ws.stall\rget ws.stall\r');
    await board.sees(/\nws\.stall = 30 \(1 to 3600; the default\)\n/);
    for (const byte of `ge ws.pi\x01\x1b[C\x1b[Ct${END}gX${LEFT}\x7fng\x0b`) board.key(byte), await sleep(5);
    board.key('\x15get ws.ping\r');
    await board.sees(PING);
    board.key(UP);
    await board.sees(/get ws\.ping/);
    board.key('\r');
    await board.sees(PING);
    board.key('get ws.p\t\r');
    await board.sees(PING);
    board.key('set mail.password open-sesame\rget mail.password\r');
    await board.sees(/\nmail\.password = \(set\)/);
    assert.doesNotMatch(board.console, /sesame/);
    board.key('config\rget ws.ping\r');
    await board.sees(/\nlog\.port = 514[^]*\nws\.ping = 25/);
    board.key('top\rpools\rnet\r');
    await board.sees(/\nframes: [\d.]+ % now[^]*\nusers: [^]*\naccounts: 0 of \d+ used[^]*\ngateway 10\.0\.2\.2\n/);
    await board.stackIsDeepEnough(t);
  });
});

test('a log line over the line that is being typed, and a question', async () => {
  await withBoard({}, async (bare) => {
    const board = watched(bare);
    board.key('get ws.p');
    await board.sees(/get ws\.p/);
    await board.account('alice');
    await board.sees(/\x1b\[K[\d.]+ info {2}users: alice registered, uid 1\n(\d.*\n)*get ws\.p/);
    board.key('ing\r');
    await board.sees(PING);
    board.key('factory-reset\rno\r');
    await board.sees(/Type yes to go on:\nno\nNothing was changed\.\n/);
    board.key(`factory-reset\r`);
    await board.sees(/Type yes to go on:/);
    board.key('\x03');
    await board.sees(/Nothing was changed\./);
    board.key('log.level\r');
    await board.sees(/There is no command/);
    assert.equal((await board.status()).users, 1);
  });
});
