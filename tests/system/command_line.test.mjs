// The simulator as a program: its options, its exit status, its manners.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { freePort, pipitPath, reachable, spawnPipit, startPipit } from './pipit.mjs';
import { Raw, request } from './raw.mjs';

let folder;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'pipit-'));
});
after(() => rm(folder, { recursive: true }));

async function file(name, text) {
  const at = path.join(folder, name);
  await writeFile(at, text);
  return at;
}

const run = (...args) =>
  new Promise((done) => execFile(pipitPath, args, { timeout: 5000 }, (error, stdout, stderr) => done({ status: error === null ? 0 : (error.code ?? error.signal), stdout, stderr })));

/// Words and an end ///

test('--help lists the options and every key; --version names it', async () => {
  const help = await run('--help');
  assert.deepEqual([help.status, help.stderr], [0, '']);
  assert.match(help.stdout, /^Usage: pipit /);
  for (const word of ['--forward', '--tap', '--config', '--set', '--version']) assert.ok(help.stdout.includes(`  ${word}`), word);
  for (const key of ['chat.rate', 'chat.guests', 'api.rate', 'net.per_address', 'verify.cooldown', 'verify.ttl', 'verify.tries', 'mail.budget', 'mail.host', 'rpc.listen', 'ws.ping', 'ws.stall',
                     'http.header_timeout', 'http.body_timeout', 'dev.echo_code']) // the contract's
    assert.match(help.stdout, new RegExp(`^  ${key.replace('.', '\\.')} \\(.*default.*\\): \\S`, 'm'));
  assert.match(help.stdout, /dev\.echo_code=1 when neither mail\.host nor verify\.target is set/);
  assert.match(help.stdout, /without --tap\nnet\.per_address=0, mail\.per_address=0 and login\.tries=0/);
  const version = await run('--version');
  assert.deepEqual([version.status, version.stderr], [0, '']);
  assert.match(version.stdout, /^pipit \d+\.\d+\.\d+\b.*\n$/);
});

test('what is wrong is said in one sentence on stderr, with status 2', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await event(taken, 'listening');
  const { port } = taken.address();
  const missing = path.join(folder, 'missing');
  const odd = await file('odd', '# fine\nchat.rate = 5\nchat.rte = 1\n');
  const noValue = await file('no-value', 'chat.rate\n');
  for (const [args, pattern] of [
    [['--forward', `${port}:80`], new RegExp(`Can't listen on 127\\.0\\.0\\.1 port ${port}: another program listens there`)],
    [['--set', 'chat.rte=1'], /no key chat\.rte; did you mean chat\.rate\?/],
    [['--set', 'nonsense.at.all=1'], /no key nonsense\.at\.all/],
    [['--set', 'ws.ping=0'], /ws\.ping must be a number from 1 to 3600/],
    [['--set', 'ws.ping=3601'], /from 1 to 3600/],
    [['--set', 'ws.ping=ten'], /from 1 to 3600/],
    [['--set', 'ws.ping='], /from 1 to 3600/],
    [['--set', 'chat.guests=2'], /chat\.guests must be 0 or 1/],
    [['--set', 'log.level=loud'], /log\.level must be error, warning, info or debug/],
    [['--set', 'chat.rate'], /KEY=VALUE/],
    [['--set'], /--set/],
    [['--config', missing], /missing: the file can't be read \(No such file/],
    [['--config', folder], /can't be read/],
    [['--config', odd], /odd: Line 3: There is no key chat\.rte/],
    [['--config', noValue], /Line 1: It must read "key = value"/],
    [['--forward', '8080'], /HOSTPORT:DEVICEPORT/],
    [['--forward', '8080:0'], /HOSTPORT:DEVICEPORT/],
    [['--forward', '8080:99999'], /up to 65535/],
    [['--forward', '8080:80:80:80'], /IPv4 address|HOSTPORT:DEVICEPORT/],
    [['--forward', '300.0.0.1:8080:80'], /not an IPv4 address/],
    [['--forward', '192.0.2.1:8080:80'], /Can't listen on 192\.0\.2\.1 port 8080: this machine does not have that address/],
    [['--frobnicate'], /--frobnicate/],
    [['frobnicate'], /frobnicate/],
    [['--help=1'], /--help takes no value/],
    [['--ip', '10.0.0.1/24'], /go with --tap/],
    [['--tap', 'pipit-none', '--ip', '10.0.0.1'], /prefix length/],
  ]) {
    const { status, stdout, stderr } = await run(...args);
    const shown = `${args.join(' ')}: ${JSON.stringify({ status, stdout, stderr })}`;
    assert.equal(status, 2, shown);
    assert.equal(stdout, '', shown);
    assert.match(stderr, pattern, shown);
    assert.match(stderr, /^pipit: [^\n]*[.?)]\n$/, shown);
  }
  taken.close();
});

/// Settings ///

test('--config is read and --set wins, wherever it stands', async () => {
  const config = await file('config', '# a comment\n\n  chat.rate=7\r\nws.ping = 99\nhttp.names = chat.example, other.example\n');
  const pipit = await startPipit({ args: ['--set', 'chat.rate=3', '--config', config, '--set', 'ws.stall=11', '--set', 'ws.stall=12'] });
  pipit.type('config');
  for (const line of ['chat.rate = 3', 'ws.ping = 99', 'ws.stall = 12', 'http.names = chat.example, other.example', 'verify.tries = 5'])
    await pipit.shows(new RegExp(`^${line} \\(`, 'm'));
  assert.equal(await pipit.stop(), 0);
});

test('without a relay it starts in development mode, and says so loudly; not when told otherwise', async () => {
  const pipit = await startPipit();
  await pipit.shows(/^DEVELOPMENT MODE/m);
  assert.equal(await pipit.stop(), 0);
  const config = await file('real', 'dev.echo_code = 0\n');
  const real = await startPipit({ args: ['--config', config] });
  assert.doesNotMatch(real.console, /DEVELOPMENT/);
  assert.equal(await real.stop(), 0);
});

test('several --forward lead to one device', async () => {
  const [one, two] = [await freePort(), await freePort()];
  const pipit = await startPipit({ port: one, args: ['--forward', `127.0.0.1:${two}:80`] });
  assert.equal(await (await fetch(`http://127.0.0.1:${two}/healthz`)).text(), 'ok\n');
  assert.equal(await pipit.stop(), 0);
});

/// The end ///

test('SIGINT, SIGTERM and SIGHUP: chat clients are told 1001, an idle connection is closed, the status is 0', async () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    const pipit = await startPipit();
    const clients = Array.from({ length: 5 }, () => new WebSocket(pipit.wsUrl));
    const closed = clients.map((ws) => event(ws, 'close'));
    await Promise.all(clients.map((ws) => event(ws, 'message')));
    const idle = new Raw(pipit).write(request('GET', '/healthz'));
    await idle.reply();
    const began = performance.now();
    pipit.child.kill(signal);
    for (const [code] of await Promise.all(closed)) assert.equal(code, 1001, signal);
    await idle.closed();
    assert.equal(await pipit.exited, 0, signal);
    assert.ok(performance.now() - began < 4000, 'it takes its time');
  }
});

test('peers that do not answer do not hold it up', async () => {
  const pipit = await startPipit();
  const ws = new WebSocket(pipit.wsUrl);
  await event(ws, 'message');
  ws.pause();
  const half = new Raw(pipit).write('POST /login HTTP/1.1\r\n');
  const began = performance.now();
  assert.equal(await pipit.stop(), 0);
  assert.ok(performance.now() - began < 4000);
  ws.terminate();
  half.drop();
});

/// At rest ///

// utime and stime (proc(5)), in seconds.
async function cpuSeconds(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Without a console: stdin, stdout or both lead nowhere.
async function detached(stdio) {
  const port = await freePort();
  const child = spawn(pipitPath, ['--flash', 'none', '--forward', `${port}:80`], { stdio });
  process.once('exit', () => child.kill('SIGKILL'));
  const pipit = reachable({ child, exited: event(child, 'exit').then(([code]) => code) }, '127.0.0.1', port);
  for (let tries = 0; ; tries++) {
    try {
      if (await pipit.status()) return pipit;
    } catch (error) {
      if (tries > 100) throw error;
      await sleep(50);
    }
  }
}

test('at rest it needs next to no CPU: with and without clients, without a console, with its input ended', async (t) => {
  const [quiet, busy, nowhere, ended] = [await startPipit(), await startPipit(), await detached('ignore'), spawnPipit(['--forward', `${await freePort()}:80`])];
  ended.child.stdin.end();
  const sockets = Array.from({ length: 20 }, () => new WebSocket(busy.wsUrl));
  await Promise.all(sockets.map((ws) => event(ws, 'message')));
  const half = new Raw(busy).write('GET / HTTP/1.1\r\n');
  await sleep(500);
  const all = { quiet, 'with 21 clients': busy, 'stdin at /dev/null': nowhere, 'stdin ended': ended };
  const usage = async () => Promise.all(Object.values(all).map((pipit) => cpuSeconds(pipit.child.pid)));
  const before = await usage();
  await sleep(3000);
  const used = (await usage()).map((seconds, i) => ((seconds - before[i]) / 3) * 100);
  Object.keys(all).forEach((name, i) => {
    t.diagnostic(`${name}: ${used[i].toFixed(1)} % of a core`);
    assert.ok(used[i] < 3, `${name}: ${used[i]} %`);
  });
  sockets.forEach((ws) => ws.terminate());
  half.drop();
  for (const pipit of Object.values(all)) {
    pipit.child.kill('SIGINT');
    assert.equal(await pipit.exited, 0);
  }
});

test('a console that nobody reads does not stop the service', async () => {
  const port = await freePort();
  const child = spawnPipit(['--forward', `${port}:80`, '--set', 'log.level=debug']);
  const pipit = reachable(child, '127.0.0.1', port);
  await child.shows(/Type help/);
  child.child.stdout.pause();
  const raw = new Raw(pipit);
  for (let i = 0; i < 1500; i++) assert.equal((await raw.write(request('GET', '/healthz')).reply()).status, 200);
  raw.drop();
  child.child.stdout.destroy(); // now it gets EPIPE
  assert.equal((await fetch(`${pipit.url}/healthz`)).status, 200);
  assert.equal(await pipit.stop(), 0);
});
