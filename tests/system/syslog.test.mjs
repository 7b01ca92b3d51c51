// The log over the network, read by a strict reader of RFC 5424 on a UDP socket of the host.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { smallPipitPath, startPipit } from './pipit.mjs';
import { answer, configure } from './typed.mjs';

// Section 6, the ABNF as it stands. PRI-VAL is 0 to 191 without leading zeros; a structured data element has names
// without '=', ' ', ']' and '"', and values with these three escaped.
const printable = (most) => `[!-~]{1,${most}}`;
const name = '(?:(?![="\\]])[!-~]){1,32}';
const element = `\\[${name}(?: ${name}="(?:[^"\\\\\\]]|\\\\["\\\\\\]])*")*\\]`;
const MESSAGE = new RegExp(
  `^<(0|[1-9]\\d?|1[0-8]\\d|19[01])>([1-9]\\d{0,2}) ` + // PRI VERSION
    `(-|\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)) ` +
    `(-|${printable(255)}) (-|${printable(48)}) (-|${printable(128)}) (-|${printable(32)}) (-|(?:${element})+)(?: ([^]*))?$`,
);

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parse(datagram) {
  const match = utf8.decode(datagram).match(MESSAGE) ?? assert.fail(`not RFC 5424: ${datagram}`);
  const [, pri, version, time, host, app, process, id, data, text] = match;
  return { facility: pri >> 3, severity: pri & 7, version, time, host, app, process, id, data, text };
}

let server;
async function listen() {
  server = dgram.createSocket('udp4');
  server.messages = [];
  server.on('message', (datagram) => server.messages.push(parse(datagram)));
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  /** The message with this text, or one that matches. */
  server.sees = async (wanted) => {
    for (const end = Date.now() + 10_000; ; await sleep(10)) {
      const found = server.messages.find(({ text }) => (typeof wanted === 'string' ? text === wanted : wanted.test(text)));
      if (found) return found;
      assert.ok(Date.now() < end, `never ${wanted} among ${JSON.stringify(server.messages)}`);
    }
  };
  return server.address().port;
}
afterEach(() => {
  server?.close();
  server = undefined;
});

test('the reader takes what RFC 5424 gives as examples, and little else', async () => {
  await listen();
  for (const good of ["<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed for lonvick on /dev/pts/8",
    "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
    '<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application"][examplePriority@32473 class="high"]'])
    parse(Buffer.from(good));
  for (const bad of ['<192>1 - - - - - -', '<01>1 - - - - - -', '<1>0 - - - - - -', '<1>1 - - - - -', '<1>1 2003-08-24T05:14:15.000000003-07:00 - - - - -', '<1>1 - a b - - - - -x'.replace(' - - - -x', ' - -x'), 'x<1>1 - - - - - -'])
    assert.throws(() => parse(Buffer.from(bad)), bad);
});

test('every line that is on the console comes as a message too', async () => {
  const port = await listen();
  const pipit = await startPipit({ args: ['--set', 'log.host=10.0.2.2', '--set', `log.port=${port}`] });
  const before = Date.now();
  await pipit.account('alice');
  const line = await server.sees(/^alice registered, uid 1$/);
  const { time, ...rest } = line;
  assert.deepEqual(rest, { facility: 3, severity: 6, version: '1', host: 'pipit', app: 'pipit', process: '-', id: 'users', data: '-', text: 'alice registered, uid 1' });
  assert.ok(Math.abs(Date.parse(time) - before) < 60_000, time);
  await server.sees(/development mode/);
  assert.equal(server.messages.find((each) => each.id === 'api').severity, 4);
  await answer(pipit, 'log debug http');
  await pipit.account('bob');
  assert.equal((await server.sees(/ -> /)).severity, 7);
  const shown = [...pipit.console.matchAll(/^[\d.]+ (?:error|warn |info ) (\w+): (.*)$/gm)].map(([, , text]) => text);
  for (const each of shown) await server.sees(each);
  assert.match(await answer(pipit, 'log'), /^syslog: [1-9]\d* sent to 10\.0\.2\.2, \d+ dropped$/m);
  assert.equal(await pipit.stop(), 0);
});

test('it is turned on and off while it runs; a name that nobody knows costs nothing', async () => {
  const port = await listen();
  const pipit = await startPipit({ args: ['--set', `log.port=${port}`] });
  await pipit.account('alice');
  await configure(pipit, { 'log.host': '10.0.2.2' });
  await pipit.account('bob');
  await server.sees(/^bob registered/);
  assert.ok(!server.messages.some((each) => /alice/.test(each.text)));
  await configure(pipit, { 'log.host': '' });
  await pipit.account('carol');
  await configure(pipit, { 'log.host': 'nowhere.invalid' });
  await pipit.account('dave');
  await configure(pipit, { 'log.host': '10.0.2.2' });
  await pipit.account('erin');
  await server.sees(/^erin registered/);
  assert.ok(!server.messages.some((each) => /carol/.test(each.text)));
  assert.equal(await pipit.stop(), 0);
});

// On the smallest machine, whose bounds are the lowest: this many lines are too many in any time that a test may take.
test('a flood of one module is cut short, and it is told when it ends', async () => {
  const pipit = await startPipit({ program: smallPipitPath, args: ['--set', 'verify.cooldown=0', '--set', 'mail.budget=0', '--set', 'api.rate=0'] });
  for (let i = 0; i < 300; i++) await pipit.post('/get_varifycode', { email: 'u@example.com' });
  const count = () => {
    const told = [...pipit.console.matchAll(/warn {2}api: (\d+) lines of api left out/g)].map(([, n]) => Number(n));
    return { lines: [...pipit.console.matchAll(/api: code for /g)].length, left: told.reduce((sum, n) => sum + n, 0) };
  };
  for (const end = Date.now() + 30_000; count().lines + count().left < 300; await sleep(50)) assert.ok(Date.now() < end, JSON.stringify(count()));
  assert.equal(count().lines + count().left, 300);
  assert.ok(count().left > 0, JSON.stringify(count()));
  assert.equal(await pipit.stop(), 0);
});
