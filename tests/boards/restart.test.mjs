// Reboots, faults and a loop that hangs: clients see the end, the board says why, and serves again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join, joinText, within } from '../system/chat_client.mjs';
import { call, fails, freshEmail } from '../system/curl.mjs';
import { comesBack, facts, symbol, withBoard } from './board.mjs';

const BACK_WITHIN = 2; // seconds of the board's own time
const { processor } = facts;

// Two in a chat, one of them with an account, when `ruin(board)` ends it. Returns {status, shown}.
async function inTheMiddle(options, ruin) {
  return withBoard(options, async (board) => {
    const { token } = await board.account('alice');
    const [alice, guest] = [await joinText(board, { token }), await joinText(board)];
    alice.say('hello');
    await guest.expect('[alice] hello');
    const from = board.console.length;
    await ruin(board);
    const status = await comesBack(board, from);
    assert.ok(status.uptime_seconds <= BACK_WITHIN, `it answers ${status.uptime_seconds} s after its start`);
    assert.deepEqual([status.users, status.clients, status.newest_event], [facts.keeps ? 1 : 0, 0, 0], 'what was in RAM alone is gone');
    await goOn(board, [alice, guest]);
    return { status, shown: board.console.slice(from) };
  });
}

// The old clients learn of the end, from the board's last words or from its not knowing them; new ones chat.
async function goOn(board, old) {
  for (const client of old) {
    client.say('is anybody there?');
    await within(client.closed, 'an old client still believes in its connection', 20_000);
  }
  const login = { user: 'alice', password: 'secret123' };
  if (!facts.keeps) await fails(board, '/login', login, 1008);
  const { token } = facts.keeps ? await call(board, '/login', login) : await board.account('alice');
  const [alice, guest] = [await joinText(board, { token }), await joinText(board)];
  alice.say('hello again');
  await guest.expect('[alice] hello again');
  await Promise.all([alice.leave(), guest.leave()]);
  await board.atRest();
}

/// On purpose ///

test('`reboot` at the console', async () => {
  const { status } = await inTheMiddle({}, (board) => board.type('reboot'));
  assert.equal(status.started_after, 'reboot: asked for at the console');
});

test('a reset from outside', async () => {
  const { status } = await inTheMiddle({}, (board) => board.monitor('system_reset'));
  assert.match(status.started_after, /^reset from outside, or by the watchdog/);
});

test('ten reboots in a row, with a client each', async () => {
  await withBoard({}, async (board) => {
    for (let i = 0; i < 10; i++) {
      const client = await join(board);
      const from = board.console.length;
      board.type('reboot');
      assert.equal((await comesBack(board, from)).started_after, 'reboot: asked for at the console');
      await client.drop();
    }
    const asked = await board.post('/get_verifycode', { email: freshEmail() });
    assert.match(asked.body.code, /^\d{6}$/, 'the seed has been handed on');
    await board.atRest();
  });
});

/// Faults ///

// Halts the processor where frames have their turn, and bends a register.
const bend = (register, value) => async (board) => {
  const gdb = await board.gdb();
  await gdb.runTo(symbol('port_netif_poll'));
  await gdb.setRegister(register, value);
  await gdb.detach();
};

const REGISTERS = /^ {2}\w+ [0-9a-f]{8} {2}\w+ [0-9a-f]{8}/m;
const TRAIL = /^ {2}in the turn of: frames\n(?: {2}\d+ ms \w[\w ]*: [\w ]+ \d+: \w+ -> \w+\n)+/m;

test('a jump to where nothing is: the fault, the registers, the trail, and a new start', async () => {
  const { status, shown } = await inTheMiddle({ gdb: true }, bend(processor.pc, facts.nowhere));
  assert.match(shown, /^fault: .* in the turn of frames$/m);
  assert.match(shown, REGISTERS);
  assert.match(shown, new RegExp(`\\b(?:pc|mepc) ${facts.nowhere.toString(16)}\\b`), 'it names the place');
  assert.match(shown, TRAIL);
  assert.match(status.started_after, /^fault: .* in the turn of frames/);
});

test('a stack that has run out of RAM: the same', async () => {
  const { status, shown } = await inTheMiddle({ gdb: true }, bend(processor.sp, facts.belowRam));
  assert.match(shown, /^fault: .* in the turn of frames$/m);
  assert.match(shown, REGISTERS);
  assert.match(shown, TRAIL);
  assert.match(status.started_after, /^fault: .* in the turn of frames/);
});

/// A loop that hangs ///

// A place in the program that jumps to itself: the end of board_reset(), which waits for the reset there.
async function hang(board) {
  const gdb = await board.gdb();
  const place = symbol('board_reset');
  const at = (await gdb.read(place, 128)).indexOf(Buffer.from(processor.loop, 'hex'));
  assert.ok(at >= 0, 'board_reset() does not wait');
  await gdb.runTo(symbol('port_netif_poll'));
  await gdb.setRegister(processor.pc, place + at);
  await gdb.detach();
}

if (facts.watchdog)
  test('a hanging loop is ended by the watchdog, which says where it hung', async (t) => {
    let hung;
    const { status, shown } = await inTheMiddle({ gdb: true }, async (board) => {
      await hang(board);
      hung = Date.now();
      await board.shows(/started after: fault/, 15_000); // before anybody asks it
      t.diagnostic(`a new start ${Date.now() - hung} ms after the hang began`);
    });
    assert.match(shown, /^fault: stuck: the watchdog was not fed in the turn of frames$/m);
    assert.match(shown, REGISTERS);
    assert.match(shown, TRAIL);
    assert.match(status.started_after, /^fault: stuck: the watchdog was not fed in the turn of frames/);
  });
