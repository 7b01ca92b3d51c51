// Starts a board in QEMU for a test: the very ELF that one would flash. The environment names it (boards/boards.mk).
//
// On a board that nobody has met yet everything counts on what it tells of itself: the sizes of its pools in /status.
// What it cannot tell is in a table here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atRest, pools } from '../system/chat_client.mjs';
import { freePort, reachable, spawnPipit, untilHealthy } from '../system/pipit.mjs';
import { sets } from '../system/typed.mjs';
import { Gdb } from './gdb.mjs';
import { Monitor } from './monitor.mjs';
import { freeUdpPorts, Wire } from './wire.mjs';

const root = path.resolve(import.meta.dirname, '../..');

// In a gdb's eyes: the numbers of the program counter and the stack pointer, and a jump to itself.
const cortexM = { pc: 15, sp: 13, loop: 'fee7' };
const rv32 = { pc: 32, sp: 2, loop: '01a0' };

const table = {
  // tls, help (in /metrics), keeps (accounts, over a reset in QEMU), link (the emulated chip tells whether there is one), watchdog, where no memory is, below RAM, processor
  'lm3s6965evb': { tls: false, help: false, keeps: false, link: false, watchdog: true, nowhere: 0xa0000000, belowRam: 0x1ffffff0, processor: cortexM },
  'mps2-an385': { tls: true, help: true, keeps: true, link: true, watchdog: true, nowhere: 0xa0000000, belowRam: 0x1ffffff0, processor: cortexM },
  'virt-rv32': { tls: true, help: true, keeps: true, link: true, watchdog: false, nowhere: 0x60000000, belowRam: 0x803ffff0, processor: rv32 },
};

export const name = process.env.BOARD ?? assert.fail('BOARD is not set: `make BOARD=NAME board-suite` runs these tests');
export const facts = table[name] ?? assert.fail(`tests/boards/board.mjs knows nothing about ${name}`);

/** Bytes of the stack that must never have been touched. */
export const STACK_SPARE = 2048;

/** The address of a function or variable. */
export function symbol(wanted) {
  const lines = execFileSync(process.env.NM, [path.join(root, process.env.B, 'pipit.elf')], { encoding: 'utf8' }).split('\n');
  const line = lines.find((each) => each.split(' ')[2] === wanted) ?? assert.fail(`pipit.elf has no ${wanted}`);
  return parseInt(line, 16);
}

// What the limits of a person's day would get in the way of. A relay's settings and these fit a small board's boot note.
const unlimited = { 'net.sntp': '', 'chat.rate': 0, 'api.rate': 0, 'verify.cooldown': 0, 'mail.budget': 0 };

const forwarded = { port: 80, tlsPort: 443, verifyPort: 50051, statusPort: 50052 };

async function forwards() {
  const ports = {};
  for (const [key, there] of Object.entries(forwarded)) ports[key] = { here: await freePort(), there };
  return ports;
}

/**
 * Starts the board with `settings` {key: value} beside those that lift the limits, and waits until it answers. Returns
 * what startPipit() does, its console without carriage returns, and tlsPort, verifyPort and statusPort. Options:
 *
 *     certificates  a file for the boot note
 *     note: false   no boot note: as if it had just been switched on
 *     wire: true    `board.wire` holds its Ethernet cable (wire.mjs)
 *     gdb: true     `await board.gdb()` halts it (gdb.mjs)
 *
 * `board.monitor(command)` is QEMU's own console.
 */
export async function startBoard({ settings = {}, certificates, note = true, wire = false, gdb = false } = {}) {
  const ports = await forwards();
  const [monitorPort, gdbPort] = [await freePort(), gdb ? await freePort() : 0];
  const held = wire ? await Wire.make(await freeUdpPorts(2)) : undefined;
  const env = {
    FORWARD: Object.values(ports).map(({ here, there }) => `${here}:${there}`).join(' '),
    MONITOR: String(monitorPort),
    NOTE: note ? '' : 'none',
    QEMU_OPTIONS: gdb ? `-gdb tcp:127.0.0.1:${gdbPort}` : '',
    ...held?.environment,
  };
  const args = [...sets({ ...unlimited, ...settings }), ...(certificates ? ['--certificates', certificates] : [])];
  const board = spawnPipit(args, path.join(root, 'boards/run.sh'), { env, read: (text) => text.replaceAll('\r', '') });
  reachable(board, '127.0.0.1', ports.port.here);
  Object.assign(board, { wire: held, tlsPort: ports.tlsPort.here, verifyPort: ports.verifyPort.here, statusPort: ports.statusPort.here });
  equip(board, monitorPort, gdbPort);
  await answers(board, 0);
  return board;
}

const ADDRESS = /^[\d.]+ info {2}net: http:\/\/10\.0\.2\.15\/ /m;

// Waits until the console, from `from` on, tells that it has an address; and then until it serves. A caller who comes
// earlier is forgotten by QEMU's user network, and learns it seconds later.
async function answers(board, from) {
  for (const end = Date.now() + 15_000; !ADDRESS.test(board.console.slice(from)); await sleep(5)) {
    if (Date.now() > end) await board.stop();
    assert.ok(Date.now() < end, `it has no address:\n${board.console.slice(from)}`);
  }
  await untilHealthy(board);
}

function equip(board, monitorPort, gdbPort) {
  const end = board.stop;
  let monitor;
  board.monitor = async (command) => {
    monitor ??= await Monitor.open(monitorPort);
    return monitor.run(command);
  };
  board.gdb = () => Gdb.attach(gdbPort);
  board.stop = () => {
    monitor?.close();
    board.wire?.close();
    return end();
  };
  // A connection that fetch() keeps is a dead one after a reboot.
  const { post } = board;
  board.post = (route, body, headers) => post(route, body, { connection: 'close', ...headers });
  board.pools = () => pools(board);
  /** Waits until all slots but those of accounts and tokens are free again. */
  board.atRest = async () => {
    const { accounts, tokens } = await board.pools();
    await atRest(board, { accounts, tokens });
  };
  /** Holds that enough of its stack was never used. */
  board.stackIsDeepEnough = async (t) => {
    const { stack } = await board.status();
    t.diagnostic(`stack: ${stack.used} of ${stack.size} bytes used`);
    assert.ok(stack.used <= stack.size - STACK_SPARE, `${stack.used} of ${stack.size} bytes of stack were used`);
  };
}

/** The next start after `from`, a length of the console: waits until it serves again; returns its /status. */
export async function comesBack(board, from) {
  await answers(board, from);
  return board.status();
}

/** Runs `use(board)` with a board, and stops it however that ends. */
export async function withBoard(options, use) {
  const board = await startBoard(options);
  try {
    return await use(board);
  } catch (e) { console.error(board.console.slice(-3000)); console.error(JSON.stringify(await board.status().catch((x) => String(x)))); throw e;
  } finally {
    await board.stop();
  }
}
