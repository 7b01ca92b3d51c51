// The network as people expect it: an address from a DHCP server or without one, a name by mDNS, the time by SNTP, a
// cable that is pulled. The peers are real: libslirp's DHCP server, dnsmasq, an mDNS library, and chrony where there is
// one.
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import multicastDns from 'multicast-dns';
import { atRest } from './chat_client.mjs';
import { createTap, enterNamespace, ip } from './namespace.mjs';
import { reachable, smallPipitPath, spawnPipit, startPipit, untilHealthy } from './pipit.mjs';
import { sets } from './typed.mjs';

const skip = await enterNamespace();
const run = promisify(execFile);

let folder;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'pipit-network-'));
});
after(() => rm(folder, { recursive: true }));

/// The built-in network ///

for (const value of ['', 'dhcp']) {
  test(`libslirp's DHCP server: net.address=${value}`, async () => {
    const pipit = await startPipit({ args: ['--set', `net.address=${value}`, '--set', 'net.name=kitchen'] });
    try {
      const status = await pipit.status();
      assert.deepEqual([status.address, status.address_from, status.name], ['10.0.2.15', 'dhcp', 'kitchen']);
      assert.match(pipit.console, /net: http:\/\/10\.0\.2\.15\/ \(DHCP\)\n/);
      assert.equal(await pipit.metric('pipit_net_link_up'), 1);
    } finally {
      assert.equal(await pipit.stop(), 0);
    }
  });
}

/// Peers ///

/** Starts the simulator on a TAP device; an address comes as it may. */
function onTap(tap, { keys = {}, program } = {}) {
  const pipit = spawnPipit(['--tap', tap, ...sets({ 'net.per_address': 0, ...keys })], program);
  const stop = pipit.stop;
  pipit.stop = async () => {
    const status = await stop();
    if (spawnSync('ip', ['link', 'show', tap]).status === 0) ip(`link del ${tap}`);
    return status;
  };
  return pipit;
}

/** Waits until the console has shown an address for the n-th time, and the device answers there. */
async function settled(pipit, how, { times = 1, ms = 5000 } = {}) {
  const pattern = new RegExp(`(?:[^]*?net: http://([\\d.]+)/[^\\n]*\\(${how}\\)\\n){${times}}`);
  const [, address] = await pipit.shows(pattern, ms);
  await untilHealthy(reachable(pipit, address, 80));
  return address;
}

let servers = 0;

/** dnsmasq as DHCP server on a TAP device; `more` are further options. */
async function startDhcp(tap, { from = '10.77.0.50', to = '10.77.0.60', more = [] } = {}) {
  const leases = path.join(folder, `leases-${++servers}`);
  const child = spawn(
    'dnsmasq',
    [
      ...['--no-daemon', '--conf-file=/dev/null', '--user=root', '--no-resolv', '--no-hosts', '--pid-file', '--no-ping'],
      ...[`--interface=${tap}`, '--bind-interfaces', '--except-interface=lo', '--dhcp-authoritative'],
      ...[`--dhcp-range=${from},${to},255.255.0.0,2m`, `--dhcp-leasefile=${leases}`, '--log-dhcp', ...more],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const server = {
    log: '',
    leases: () => readFile(leases, 'utf8'),
    async stop() {
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    },
  };
  child.stderr.setEncoding('utf8').on('data', (text) => (server.log += text));
  for (let i = 0; i < 100 && !/sockets bound exclusively/.test(server.log); i++) await sleep(20);
  return server;
}

/** An SNTP server whose clock is `offset` ms off; counts who asks. */
async function startTime({ address, offset = 0, leap = 0 }) {
  const server = { asked: 0 };
  const socket = dgram.createSocket('udp4');
  socket.on('message', (request, from) => {
    server.asked++;
    const reply = Buffer.alloc(48);
    const ms = Date.now() + offset;
    reply[0] = (leap << 6) | (4 << 3) | 4;
    reply[1] = 2;
    request.copy(reply, 24, 40, 48);
    for (const at of [32, 40]) {
      reply.writeUInt32BE((Math.floor(ms / 1000) + 2208988800) % 2 ** 32, at);
      reply.writeUInt32BE(Math.floor(((ms % 1000) / 1000) * 2 ** 32), at + 4);
    }
    socket.send(reply, from.port, from.address);
  });
  socket.bind(123, address);
  await once(socket, 'listening');
  server.stop = () => new Promise((done) => socket.close(done));
  return server;
}

// The time of the log line, in ms since 1970.
async function toldTime(pipit, from, ms = 10_000) {
  const [, day, time] = await pipit.shows(new RegExp(`net: it is (\\S+) (\\S+) UTC, says ${from}\\n`), ms);
  return Date.parse(`${day}T${time}Z`);
}

const code = async (pipit, host) =>
  (await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', `Host: ${host}`, `${pipit.url}/healthz`])).stdout;

/// DHCP ///

describe('dnsmasq on a TAP device', { skip }, () => {
  let pipit;
  let dhcp;
  let time;
  before(async () => {
    createTap('dhcp0');
    time = await startTime({ address: '10.77.0.1', offset: 3_600_000 });
    dhcp = await startDhcp('dhcp0', { more: ['--dhcp-option=option:ntp-server,10.77.0.1', '--dhcp-option=option:dns-server,10.77.0.1'] });
    pipit = onTap('dhcp0', { keys: { 'net.name': 'kitchen', 'net.sntp': 'time.example' } });
  });
  after(async () => {
    assert.equal(await pipit.stop(), 0);
    await dhcp.stop();
    await time.stop();
  });

  test('an address, the host name at the server, the whole picture in /status and on the console', async () => {
    const address = await settled(pipit, 'DHCP');
    assert.match(address, /^10\.77\.0\.5\d$|^10\.77\.0\.60$/);
    assert.match(pipit.console, new RegExp(`net: http://${address}/ and http://kitchen\\.local/ \\(DHCP\\)\n`));
    assert.match(await dhcp.leases(), new RegExp(` ${address} kitchen `));
    const status = await pipit.status();
    assert.deepEqual([status.address, status.address_from, status.name], [address, 'dhcp', 'kitchen']);
    pipit.type('status');
    await pipit.shows(new RegExp(`address ${address} \\(dhcp\\), name kitchen, link up`));
  });

  test('Host may be the name that was set, and no longer pipit', async () => {
    for (const host of ['kitchen', 'kitchen.local', 'KITCHEN.local:80', 'localhost']) assert.equal(await code(pipit, host), '200', host);
    for (const host of ['pipit', 'pipit.local', 'kitchen.example']) assert.equal(await code(pipit, host), '403', host);
  });

  test('the time server that DHCP names is asked', async () => {
    const told = await toldTime(pipit, '10.77.0.1');
    assert.ok(Math.abs(told - 3_600_000 - Date.now()) < 15_000, pipit.console);
    assert.equal(time.asked, 1);
  });

  test('the cable is pulled and plugged: the lease is confirmed, a connection lives on', async () => {
    const address = pipit.host;
    const socket = net.connect(80, address);
    await once(socket, 'connect');
    ip('link set dhcp0 down');
    await pipit.shows(/net: the link is down\n/);
    await sleep(500);
    ip('link set dhcp0 up');
    await pipit.shows(/net: the link is up\n/);
    assert.equal(await settled(pipit, 'DHCP', { times: 2 }), address);
    assert.match(dhcp.log, /DHCPREQUEST[^\n]*\n[^]*DHCPACK[^\n]*\n[^]*DHCPREQUEST[^\n]*\n[^]*DHCPACK/);
    socket.end('GET /healthz HTTP/1.0\r\n\r\n');
    const [reply] = await once(socket, 'data');
    assert.match(`${reply}`, /^HTTP\/1\.[01] 200 /);
  });

  test('plugged into another network: another address, and connections to the old one are gone', async () => {
    const old = pipit.host;
    const socket = net.connect(80, old);
    await once(socket, 'connect');
    socket.on('error', () => {}); // a reset is what may come
    await dhcp.stop();
    ip('link set dhcp0 down');
    await pipit.shows(/(?:[^]*?the link is down\n){2}/);
    dhcp = await startDhcp('dhcp0', { from: '10.77.3.50', to: '10.77.3.60' });
    ip('link set dhcp0 up');
    assert.match(await settled(pipit, 'DHCP', { times: 3, ms: 15_000 }), /^10\.77\.3\./);
    await assert.rejects(fetch(`http://${old}/healthz`, { signal: AbortSignal.timeout(1000) }));
    socket.destroy();
    await atRest(pipit);
  });
});

/// Nobody answers ///

test('nobody answers: an address of its own, until a server comes', { skip }, async () => {
  createTap('alone0', { address: '169.254.0.1/16' });
  const pipit = onTap('alone0');
  let dhcp;
  try {
    const address = await settled(pipit, 'AutoIP', { ms: 40_000 });
    assert.match(address, /^169\.254\.\d+\.\d+$/);
    assert.match(pipit.console, new RegExp(`net: no DHCP server answered: took ${address} by itself`));
    assert.deepEqual([(await pipit.status()).address, (await pipit.status()).address_from], [address, 'autoip']);
    ip('addr add 10.77.0.1/16 dev alone0');
    dhcp = await startDhcp('alone0');
    assert.match(await settled(pipit, 'DHCP', { ms: 60_000 }), /^10\.77\./);
    assert.equal((await pipit.status()).address_from, 'dhcp');
  } finally {
    assert.equal(await pipit.stop(), 0);
    await dhcp?.stop();
  }
});

test('a device that is down from the start: the address comes with the link', { skip }, async () => {
  createTap('late0');
  const dhcp = await startDhcp('late0');
  ip('link set late0 down');
  const pipit = onTap('late0');
  try {
    await pipit.shows(/net: the link is down\n/);
    ip('link set late0 up');
    await settled(pipit, 'DHCP');
  } finally {
    assert.equal(await pipit.stop(), 0);
    await dhcp.stop();
  }
});

test('a key makes the address static: nobody is asked', { skip }, async () => {
  createTap('fixed0');
  const dhcp = await startDhcp('fixed0');
  const pipit = onTap('fixed0', { keys: { 'net.address': '10.77.0.9/16', 'net.mdns': 0 } });
  try {
    assert.equal(await settled(pipit, 'static'), '10.77.0.9');
    assert.match(pipit.console, /net: http:\/\/10\.77\.0\.9\/ \(static\)\n/);
    assert.equal((await pipit.status()).address_from, 'static');
    assert.doesNotMatch(dhcp.log, /DHCPDISCOVER/);
  } finally {
    assert.equal(await pipit.stop(), 0);
    await dhcp.stop();
  }
});

/// mDNS ///

/** A neighbour that speaks mDNS on the TAP device's network. */
async function neighbour(answers = () => []) {
  const mdns = multicastDns({ interface: '10.77.0.1', bind: '0.0.0.0', loopback: false });
  mdns.on('query', ({ questions }) => {
    const found = answers(questions);
    if (found.length > 0) mdns.respond(found);
  });
  await once(mdns, 'ready');
  return {
    /** Asks, again every second, until an answer has what `wanted` looks for. */
    async ask(name, type, wanted) {
      let found;
      const listen = ({ answers: told, additionals }) => (found ??= [...told, ...additionals].find(wanted));
      mdns.on('response', listen);
      for (let i = 0; i < 100 && found === undefined; i++) {
        if (i % 12 === 0) mdns.query(name, type);
        await sleep(100);
      }
      mdns.off('response', listen);
      return found;
    },
    stop: () => new Promise((done) => mdns.destroy(done)),
  };
}

for (const [size, program, name] of [
  ['the simulator', undefined, 'kitchen'],
  ['the smallest board, with the longest name', smallPipitPath, 'a-name-of-exactly-32-characters-'.slice(0, 31) + 'x'],
]) {
  test(`mDNS: ${size}`, { skip }, async () => {
    createTap('mdns0', { mtu: 1500 });
    const pipit = onTap('mdns0', { keys: { 'net.address': '10.77.0.2/16', 'net.name': name }, program });
    const other = await neighbour();
    try {
      await settled(pipit, 'static');
      const address = await other.ask(`${name}.local`, 'A', (a) => a.type === 'A' && a.name === `${name}.local`);
      assert.equal(address?.data, '10.77.0.2');
      const service = await other.ask('_http._tcp.local', 'PTR', (a) => a.type === 'PTR' && a.name === '_http._tcp.local');
      assert.equal(service?.data, `${name}._http._tcp.local`);
      const where = await other.ask(service.data, 'SRV', (a) => a.type === 'SRV');
      assert.deepEqual([where?.data.target, where?.data.port], [`${name}.local`, 80]);
      const text = await other.ask(service.data, 'TXT', (a) => a.type === 'TXT');
      assert.equal(`${text?.data}`, 'path=/');
    } finally {
      await other.stop();
      assert.equal(await pipit.stop(), 0);
    }
  });
}

test('mDNS: a neighbour has the name already', { skip }, async () => {
  createTap('mdns1', { mtu: 1500 });
  const mine = { name: 'pipit.local', type: 'A', ttl: 120, data: '10.77.0.1' };
  const other = await neighbour((questions) => (questions.some((q) => q.name === 'pipit.local') ? [mine] : []));
  const pipit = onTap('mdns1', { keys: { 'net.address': '10.77.0.2/16' } });
  try {
    await settled(pipit, 'static');
    await pipit.shows(/net: somebody else is pipit\.local; this is http:\/\/pipit-2\.local\/\n/);
    const address = await other.ask('pipit-2.local', 'A', (a) => a.type === 'A' && a.name === 'pipit-2.local');
    assert.equal(address?.data, '10.77.0.2');
    assert.equal((await pipit.status()).name, 'pipit-2');
    assert.equal(await code(pipit, 'pipit-2.local'), '200');
  } finally {
    await other.stop();
    assert.equal(await pipit.stop(), 0);
  }
});

/// SNTP ///

test('SNTP: by name, past a server that has no clock itself', { skip }, async () => {
  createTap('time0');
  ip('addr add 10.77.0.3/16 dev time0');
  const unset = await startTime({ address: '10.77.0.3', leap: 3 });
  const right = await startTime({ address: '10.77.0.1' });
  const dhcp = await startDhcp('time0', {
    more: ['--dhcp-option=option:ntp-server,10.77.0.3', '--dhcp-option=option:dns-server,10.77.0.1', '--address=/time.example/10.77.0.1'],
  });
  const pipit = onTap('time0', { keys: { 'net.sntp': 'time.example' } });
  try {
    const told = await toldTime(pipit, '10.77.0.1', 30_000);
    assert.ok(Math.abs(told - Date.now()) < 3000, pipit.console);
    assert.equal(unset.asked, 1);
    assert.doesNotMatch(pipit.console, /says 10\.77\.0\.3/);
  } finally {
    assert.equal(await pipit.stop(), 0);
    await dhcp.stop();
    await unset.stop();
    await right.stop();
  }
});

// Not among the packages that tests install: it would take the place of the machine's own time service.
const chrony = spawnSync('chronyd', ['--version']).status === 0;
test('SNTP: chrony', { skip: skip || (!chrony && 'chronyd is not installed here') }, async () => {
  createTap('time1');
  const child = spawn(
    'chronyd',
    ['-d', '-x', '-u', 'root', 'local stratum 8', 'allow', 'cmdport 0', 'bindcmdaddress /', 'bindaddress 10.77.0.1', `pidfile ${folder}/chronyd.pid`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const pipit = onTap('time1', { keys: { 'net.address': '10.77.0.2/16', 'net.sntp': '10.77.0.1' } });
  try {
    const told = await toldTime(pipit, '10.77.0.1', 30_000).catch((error) => {
      throw new Error(`${error.message}\n${log}`);
    });
    assert.ok(Math.abs(told - Date.now()) < 3000, pipit.console);
  } finally {
    assert.equal(await pipit.stop(), 0);
    child.kill();
  }
});
