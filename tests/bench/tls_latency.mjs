// How old a chat message is when it arrives (p50, p99) at 50 plain clients: in quiet, while ten TLS handshakes a second
// are made, with and without tickets, and while people log in over TLS as fast as the server lets them. The peers that
// make the trouble are another process.
import { fork } from 'node:child_process';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { disperse, gather, measure, measured, talk } from '../system/crowd.mjs';
import { NAME, startWithTls } from '../system/tls.mjs';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 5);
const CLIENTS = 50;
const PAUSE = 20; // ms between two messages
const SIZE = 100;
const HANDSHAKES = 10; // a second

/// The other process ///

const troubles = {
  // Each one with a key agreement and a signature.
  handshakes: (port, version) => shakeOften(port, { minVersion: version, maxVersion: version }),
  tickets: async (port, version) => {
    const options = { minVersion: version, maxVersion: version };
    const session = await new Promise((done) => shake(port, options).on('session', done));
    await shakeOften(port, { ...options, session });
  },
  logins: async (port) => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false, servername: NAME });
    const body = JSON.stringify({ user: 'stormy', password: 'secret123' });
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const one = () =>
      new Promise((done) => {
        const request = https.request({ host: '127.0.0.1', port, path: '/login', method: 'POST', agent, headers }, (reply) => reply.resume().on('end', done));
        request.on('error', done).end(body);
      });
    for (;;) await Promise.all([one(), one(), one(), one()]).then(count);
  },
};

let made = 0;
const count = () => made++;

function shake(port, options) {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: NAME, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  socket.on('secureConnect', () => {
    count();
    setTimeout(() => socket.end(), 200); // a ticket is on the way
  });
  return socket;
}

async function shakeOften(port, options) {
  for (;;) {
    shake(port, options);
    await sleep(1000 / HANDSHAKES);
  }
}

if (process.send !== undefined) {
  const [kind, port, version] = process.argv.slice(2);
  process.on('message', () => process.send(made, () => process.exit()));
  await troubles[kind](Number(port), version);
}

/// The measurement ///

async function line(pipit, members, label, kind, version) {
  const other = kind && fork(import.meta.filename, [kind, String(pipit.tls.port), version ?? '']);
  await sleep(other ? 1000 : 0);
  measure(members);
  await talk(members[0], (SECONDS * 1000) / PAUSE, SIZE, 1, PAUSE);
  const { p50, p99, count: deliveries } = measured(members);
  let note = '';
  if (other) {
    const many = new Promise((done) => other.once('message', done));
    other.send('end');
    note = `${await many} in ${SECONDS + 1} s`;
  }
  console.log(`${label.padEnd(34)} p50 ${p50.toFixed(2).padStart(7)} ms   p99 ${p99.toFixed(2).padStart(7)} ms   ${deliveries} deliveries   ${note}`);
}

if (process.send === undefined) {
  const pipit = await startWithTls({ args: ['--set', 'api.rate=0', '--set', 'mail.budget=0', '--set', 'chat.rate=0'] });
  await pipit.account('stormy');
  const members = await gather(pipit, CLIENTS);
  await line(pipit, members, 'quiet');
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    await line(pipit, members, `${HANDSHAKES} handshakes a second, ${version}`, 'handshakes', version);
    await line(pipit, members, `${HANDSHAKES} with a ticket, ${version}`, 'tickets', version);
  }
  await line(pipit, members, 'logins over TLS', 'logins');
  await line(pipit, members, 'quiet again');
  await disperse(members);
  await pipit.stop();
  await pipit.tls.forget();
}
