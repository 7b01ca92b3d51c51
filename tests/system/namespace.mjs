// A network of the test's own: the test file runs itself again in a new network namespace, where it may make TAP
// devices and bridges without being anybody on the real machine.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { reachable, spawnPipit, untilHealthy } from './pipit.mjs';

const MARK = 'PIPIT_TEST_NAMESPACE';
const PROBE = 'ip link set lo up && ip tuntap add dev probe mode tap vnet_hdr && ip link del probe';

function unshareArguments() {
  return process.getuid() === 0 ? ['-n'] : ['-Urn'];
}

/**
 * The first thing that such a test file does: `const skip = await enterNamespace();`. Outside it runs the file again
 * inside, and ends with its status. Returns false inside, and the reason why not where the machine forbids it.
 */
export async function enterNamespace() {
  if (process.env[MARK] === '1') {
    ip('link set lo up');
    return false;
  }
  const probe = spawnSync('unshare', [...unshareArguments(), 'sh', '-c', PROBE], { encoding: 'utf8' });
  if (probe.status !== 0) {
    const why = (probe.stderr || probe.error?.message || '').trim();
    return `this machine lets us have no network namespace with a TAP device: ${why}`;
  }
  const child = spawn('unshare', [...unshareArguments(), process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  const status = await new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ? 1 : code)));
  process.exit(status);
}

/** `ip` with words from a string; returns what it prints. */
export function ip(words) {
  return execFileSync('ip', words.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** A TAP device that is up, 10.77.0.1/16 on our side unless told, and ready for many connections. */
export function createTap(name, { mtu = 65440, address = '10.77.0.1/16' } = {}) {
  ip(`tuntap add dev ${name} mode tap vnet_hdr`);
  ip(`link set ${name} up mtu ${mtu} txqueuelen 20000`);
  if (address !== null) ip(`addr add ${address} dev ${name}`);
  return name;
}

// Stopping it takes its device away too: two devices with the same network would hide one another.
function withoutDevice(pipit, tap) {
  const stop = pipit.stop;
  let gone = false;
  pipit.stop = async () => {
    const status = await stop();
    if (!gone) ip(`link del ${tap}`);
    gone = true;
    return status;
  };
}

/** Starts the simulator on a TAP device as 10.77.0.2 and waits until it answers. */
export async function startOnTap(tap, { args = [] } = {}) {
  const pipit = spawnPipit([
    ...['--tap', tap, '--ip', '10.77.0.2/16', '--gateway', '10.77.0.1'],
    ...['--set', 'net.per_address=0', ...args],
  ]);
  reachable(pipit, '10.77.0.2', 80);
  withoutDevice(pipit, tap);
  await untilHealthy(pipit);
  return pipit;
}

/** A second machine: a network namespace behind a cable (a veth pair) that `unplug()` pulls. */
export class FarMachine {
  constructor(name, address) {
    this.name = name;
    this.holder = spawn('unshare', ['-n', 'sleep', '600'], { stdio: 'ignore' });
    this.address = address;
  }

  /** Plugs the cable into a bridge. */
  async connect(bridge, mtu) {
    const own = readlinkSync('/proc/self/ns/net');
    const theirs = () => {
      try {
        return readlinkSync(`/proc/${this.holder.pid}/ns/net`);
      } catch {
        return own;
      }
    };
    while (theirs() === own) await sleep(10);
    ip(`link add ${this.name} type veth peer name ${this.name}far netns ${this.holder.pid}`);
    ip(`link set ${this.name} master ${bridge} up mtu ${mtu}`);
    this.run('ip', 'link', 'set', 'lo', 'up');
    this.run('ip', 'link', 'set', `${this.name}far`, 'up', 'mtu', `${mtu}`);
    this.run('ip', 'addr', 'add', this.address, 'dev', `${this.name}far`);
  }

  #inside(words) {
    return ['-t', `${this.holder.pid}`, '-n', '--', ...words];
  }

  run(...words) {
    execFileSync('nsenter', this.#inside(words), { stdio: 'inherit' });
  }

  spawn(...words) {
    return spawn('nsenter', this.#inside(words), { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  unplug() {
    ip(`link set ${this.name} down`);
  }

  plugIn() {
    ip(`link set ${this.name} up`);
  }

  stop() {
    this.holder.kill();
  }
}
