// A relay that is known by its name: a name server of our own on the other end of a TAP device, and certificates for names.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Certificates } from './certificates.mjs';
import { call, fails, freshEmail } from './curl.mjs';
import { hangUp, ScriptedRelay, startRelay } from './mail_peers.mjs';
import { createTap, enterNamespace, startOnTap } from './namespace.mjs';
import { during } from './rpc_peers.mjs';
import { configure, sets, settledSlots, slotsAtRest } from './typed.mjs';

const skip = await enterNamespace();
const HOST = '10.77.0.1';

/// A name server (RFC 1035) that has a function for each name ///

const label = (name) => Buffer.concat([...name.split('.').map((word) => Buffer.concat([Buffer.of(word.length), Buffer.from(word)])), Buffer.of(0)]);
const record = (name, type, data) => {
  const fixed = Buffer.from([0, type, 0, 1, 0, 0, 0, 60, 0, data.length]);
  return Buffer.concat([label(name), fixed, data]);
};
const addressOf = (text) => Buffer.from(text.split('.').map(Number));

function message(query, { code = 0, records = [] }) {
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(records.length, 6);
  head.fill(0, 8, 12);
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  return Buffer.concat([head, question, ...records]);
}

const names = {
  'mail.example': (query) => message(query, { records: [record('mail.example', 1, addressOf(HOST))] }),
  'alias.example': (query) =>
    message(query, { records: [record('alias.example', 5, label('mail.example')), record('mail.example', 1, addressOf(HOST))] }),
  'nowhere.example': (query) => message(query, { code: 3 }),
  'empty.example': (query) => message(query, {}),
  'broken.example': (query) => message(query, { code: 2 }),
  'refused.example': (query) => message(query, { code: 5 }),
  'silent.example': () => undefined,
  'rubbish.example': () => Buffer.alloc(40, 0xff),
  'cut.example': (query) => message(query, { records: [record('cut.example', 1, addressOf(HOST))] }).subarray(0, query.length + 6),
  'forged.example': (query) => {
    const forged = message(query, { records: [record('forged.example', 1, addressOf('10.77.0.99'))] });
    forged.writeUInt16BE(forged.readUInt16BE(0) ^ 1, 0); // RFC 5452: another identifier is not our answer
    return [forged, message(query, { records: [record('forged.example', 1, addressOf(HOST))] })];
  },
};

function nameOf(query) {
  const words = [];
  for (let at = 12; query[at] !== 0; at += query[at] + 1) words.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  return words.join('.');
}

async function startNameServer() {
  const socket = dgram.createSocket('udp4');
  socket.asked = [];
  socket.on('message', (query, from) => {
    const name = nameOf(query);
    socket.asked.push(name);
    for (const answer of [names[name.toLowerCase()]?.(query) ?? []].flat()) socket.send(answer, from.port, from.address);
  });
  socket.bind(53, HOST);
  await once(socket, 'listening');
  return socket;
}

describe('a relay with a name', { skip }, () => {
  let pipit;
  let nameServer;
  let certificates;
  let relay;
  let resting;

  before(async () => {
    const tap = createTap('names0');
    nameServer = await startNameServer();
    certificates = await Certificates.make();
    relay = await startRelay({
      address: HOST,
      ...(await certificates.server('mail.example', { names: ['DNS:mail.example', 'DNS:*.wild.example'] })),
    });
    const keys = {
      'mail.host': 'mail.example',
      'mail.port': relay.port,
      'mail.from': 'chat@example.com',
      'mail.ca': certificates.ca,
      'verify.cooldown': 0,
      'mail.budget': 0,
      'mail.per_address': 0,
      'rpc.timeout': 15,
    };
    pipit = await startOnTap(tap, { args: ['--dns', HOST, ...sets(keys)] });
    assert.equal((await call(pipit, '/get_varifycode', { email: 'warm@example.com' })).error, 0);
    resting = await settledSlots(pipit);
  });
  after(async () => {
    try {
      await slotsAtRest(pipit, resting);
    } finally {
      assert.equal(await pipit.stop(), 0);
      nameServer.close();
      await relay.stop();
      await certificates.remove();
    }
  });

  test('its name is looked up, and is in its certificate', async () => {
    const email = freshEmail();
    assert.deepEqual(await call(pipit, '/get_varifycode', { email }), { error: 0, email });
    assert.equal((await relay.inbox.to(email)).secure, true);
    assert.ok(nameServer.asked.includes('mail.example'));
  });

  test('a name server that sends a forged answer first', async (t) => {
    const other = during(t, await startRelay({ address: HOST, ...(await certificates.server('forged', { names: ['DNS:forged.example'] })) }));
    await configure(pipit, { 'mail.host': 'forged.example', 'mail.port': other.port });
    assert.equal((await call(pipit, '/get_varifycode', { email: freshEmail() })).error, 0);
  });

  test('the certificate must have the name that was asked for, not the one that it leads to', async (t) => {
    const aliased = during(t, await startRelay({ address: HOST, ...(await certificates.server('aliased', { names: ['DNS:alias.example'] })) }));
    await configure(pipit, { 'mail.host': 'alias.example', 'mail.port': aliased.port });
    assert.equal((await call(pipit, '/get_varifycode', { email: freshEmail() })).error, 0);
    await configure(pipit, { 'mail.port': relay.port, 'rpc.timeout': 2 });
    await fails(pipit, '/get_varifycode', { email: freshEmail() }, 1002, /tls.*name/);
  });

  test('the relay is told which certificate is wanted (SNI)', async (t) => {
    let asked;
    const picky = during(
      t,
      await startRelay({
        address: HOST,
        ...(await certificates.server('picky', { names: ['DNS:mail.example'] })),
        SNICallback: (name, done) => done(null, (asked = name) && undefined),
      }),
    );
    await configure(pipit, { 'mail.host': 'mail.example', 'mail.port': picky.port, 'rpc.timeout': 15 });
    await call(pipit, '/get_varifycode', { email: freshEmail() });
    assert.equal(asked, 'mail.example');
  });

  for (const [name, step] of [
    ['nowhere.example', /dns/],
    ['empty.example', /dns/],
    ['broken.example', /dns/],
    ['refused.example', /dns/],
    ['silent.example', /dns|timeout/],
    ['rubbish.example', /dns|timeout/],
    ['cut.example', /dns|timeout/],
  ])
    test(`${name}: 1002 names the step, and the same email can ask again`, async () => {
      await configure(pipit, { 'mail.host': name, 'mail.port': relay.port, 'rpc.timeout': 2, 'verify.cooldown': 60 });
      const email = freshEmail();
      const { message } = await fails(pipit, '/get_varifycode', { email }, 1002, step);
      assert.doesNotMatch(message, /recipient|data/);
      await configure(pipit, { 'mail.host': 'mail.example', 'rpc.timeout': 15 });
      assert.deepEqual(await call(pipit, '/get_varifycode', { email }), { error: 0, email });
      await configure(pipit, { 'verify.cooldown': 0 });
      await slotsAtRest(pipit, resting);
    });

  test('a verify service with a name that is not known: 1002, dns', async () => {
    await configure(pipit, { 'verify.target': 'nowhere.example:50051', 'rpc.timeout': 2 });
    await fails(pipit, '/get_varifycode', { email: freshEmail() }, 1002, /dns/);
    await configure(pipit, { 'verify.target': '127.0.0.1:50051', 'rpc.timeout': 15 });
    assert.equal((await call(pipit, '/get_varifycode', { email: freshEmail() })).error, 0);
  });

  test('a relay that goes away is looked up and dialled again', async (t) => {
    const flaky = during(t, await ScriptedRelay.start({ EHLO: [hangUp(), '250 relay.example'] }, { address: HOST }));
    await configure(pipit, { 'mail.tls': 'none', 'mail.port': flaky.port });
    assert.equal((await call(pipit, '/get_varifycode', { email: freshEmail() })).error, 0);
    assert.equal(flaky.conversations.length, 2);
    await configure(pipit, { 'mail.tls': 'starttls', 'mail.port': relay.port });
  });
});
