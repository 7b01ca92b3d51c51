// The device's certificate: what `cert` on the console shows and does, and --cert with --key.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import tls from 'node:tls';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Certificates } from './certificates.mjs';
import { freePort, smallPipitPath, spawnPipit, startPipit } from './pipit.mjs';

const run = promisify(execFile);
const PEM = /-----BEGIN CERTIFICATE-----\n[^-]*-----END CERTIFICATE-----\n/g;

let all, pipit;
before(async () => {
  all = await Certificates.make();
});
after(() => all.remove());
afterEach(async () => {
  const running = pipit;
  pipit = undefined;
  if (running !== undefined) assert.equal(await running.stop(), 0);
});

const file = (name) => path.join(all.folder, name);

/** What typed lines are answered with; an unknown command marks the end. */
async function answer(...lines) {
  const from = pipit.console.length;
  for (const line of [...lines, 'end-of-answer']) pipit.type(line);
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(10)) {
    const text = pipit.console.slice(from);
    const at = text.indexOf('There is no command end-of-answer');
    if (at >= 0) return text.slice(0, at);
  }
  return assert.fail(`never answered: ${JSON.stringify(pipit.console.slice(from))}`);
}

/** The certificate that an answer shows, after OpenSSL has confirmed its fingerprint. */
async function shown(text) {
  const pem = text.match(PEM)[0];
  await writeFile(file('shown.pem'), pem);
  const { stdout } = await run('openssl', ['x509', '-in', file('shown.pem'), '-noout', '-fingerprint', '-sha256']);
  const [, print] = text.match(/^SHA-256 fingerprint ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$/m);
  assert.equal(stdout.trim().split('=')[1], print);
  assert.doesNotMatch(text, /PRIVATE KEY/);
  return { pem, print, certificate: new X509Certificate(pem) };
}

// A refused start: its exit status and what it says.
async function refused(args, program) {
  const child = spawnPipit(args, program);
  return [await child.exited, child.console];
}

test('cert shows the certificate that the device has made, and OpenSSL and node take it for its names', async () => {
  pipit = await startPipit({ args: ['--set', 'http.names=chat.example,192.0.2.7', '--set', 'net.name=kitchen'] });
  const text = await answer('cert');
  const { certificate, print } = await shown(text);
  assert.match(text, /^for kitchen, signed by itself\nnames kitchen, kitchen\.local, localhost, 10\.0\.2\.15, 127\.0\.0\.1, chat\.example, 192\.0\.2\.7$/m);
  assert.match(pipit.console, new RegExp(`certificate ${print.slice(0, 23)}\\.\\.\\., self-signed`));
  for (const host of ['kitchen.local', 'localhost', 'chat.example']) assert.equal(certificate.checkHost(host), host);
  for (const ip of ['127.0.0.1', '10.0.2.15', '192.0.2.7']) assert.equal(certificate.checkIP(ip), ip);
  assert.equal(certificate.checkHost('pipit.local'), undefined);
  assert.equal(certificate.ca, false);
  assert.ok(certificate.verify(certificate.publicKey));
  const days = (Date.parse(certificate.validTo) - Date.now()) / 86_400_000;
  assert.ok(days > 395 && days <= 397.1, `${days} days`);
  await run('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'kitchen.local', '-CAfile', file('shown.pem'), file('shown.pem')]);
  assert.match(await answer('get tls.days'), /^tls\.days = 397 /);
});

test('cert new asks first, then makes another key', async () => {
  pipit = await startPipit();
  const first = await shown(await answer('cert'));
  assert.match(await answer('cert new', 'no'), /Type yes to make it:\nNothing was changed\.\n$/);
  assert.equal((await shown(await answer('cert'))).pem, first.pem);
  const second = await shown(await answer('cert new', 'YES'));
  assert.notEqual(second.print, first.print);
  assert.notEqual(second.certificate.publicKey.export({ type: 'spki', format: 'pem' }), first.certificate.publicKey.export({ type: 'spki', format: 'pem' }));
  assert.equal((await shown(await answer('cert'))).pem, second.pem);
  assert.match(await answer('cert frobnicate'), /^Say it as: cert, cert new, cert paste or cert self\n$/);
});

test('cert paste takes a chain and its key, cert self throws them away', async () => {
  pipit = await startPipit();
  const loaded = await all.server('pasted', { names: ['DNS:chat.example'] });
  const chain = loaded.cert + (await readFile(all.ca, 'utf8'));
  const lines = (chain + loaded.key).trim().split('\n');
  const text = await answer('cert paste', ...lines);
  assert.deepEqual(text.match(PEM).join(''), chain);
  assert.match(text, /^for pasted, signed by ca\nnames chat\.example$/m);
  await shown(text);
  const other = await all.server('other');
  assert.match(
    await answer('cert paste', ...(loaded.cert + other.key).trim().split('\n')),
    /The key does not belong to the first certificate; give the server's own certificate first, and its key\. Nothing was changed\.\n$/,
  );
  assert.match(await answer('cert paste', ...loaded.cert.trim().split('\n'), '.'), /There is no private key in it; [^\n]* Nothing was changed\.\n$/);
  assert.match(await answer('cert paste', '.'), /There is no certificate in it; [^\n]* Nothing was changed\.\n$/);
  assert.equal((await answer('cert')).match(PEM).join(''), chain);
  assert.match(await answer('cert self', 'yes'), /^for pipit, signed by itself$/m);
  assert.doesNotMatch(pipit.console, /PRIVATE KEY/);
});

test('--cert and --key: used as they are, with their chain', async () => {
  const loaded = await all.server('given', { names: ['IP:127.0.0.1'] });
  await writeFile(file('given.chain'), loaded.cert + (await readFile(all.ca, 'utf8')));
  pipit = await startPipit({ args: ['--cert', file('given.chain'), '--key', file('given.key')] });
  await pipit.shows(/certificate [0-9A-F:]{23}\.\.\., loaded, valid from/);
  assert.match(await answer('cert'), /^for given, signed by ca\nnames 127\.0\.0\.1$/m);
  await pipit.stop();
  pipit = await startPipit({ args: [`--cert=${file('given.chain')}`, `--key=${file('given.key')}`] });
});

async function shakesHands(port, ca, version) {
  const socket = tls.connect({ port, host: '127.0.0.1', ca, minVersion: version, maxVersion: version });
  await new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail));
  assert.equal(socket.getProtocol(), version);
  socket.destroy();
}

// RSA keys and P-384 were taken, shown and never of use: the server offered no cipher or signature that they can make.
test('every kind of key that is taken shakes hands, with TLS 1.2 and 1.3', async () => {
  for (const algorithm of ['ecdsa', 'p384', 'rsa', 'rsa4096']) {
    const given = await all.server(`kind-${algorithm}`, { names: ['IP:127.0.0.1'], algorithm });
    await writeFile(file('kind.cert'), given.cert);
    await writeFile(file('kind.key'), given.key);
    const port = await freePort();
    pipit = await startPipit({ args: ['--cert', file('kind.cert'), '--key', file('kind.key'), '--forward', `${port}:443`] });
    const ca = await readFile(all.ca);
    for (const version of ['TLSv1.2', 'TLSv1.3']) await shakesHands(port, ca, version);
    assert.equal(await pipit.stop(), 0);
  }
  pipit = undefined;
});

// A chain of more than some 4080 bytes was taken too, and then no handshake came to an end: its message has one record.
test('the longest certificate that is taken fits a handshake', async () => {
  const make = async (padding) => {
    const words = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', `nsComment=${'x'.repeat(padding)}`];
    const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=long -keyout long.key -out long.pem';
    await run('openssl', ['req', '-x509', ...key.split(' '), ...words], { cwd: all.folder });
    return new X509Certificate(await readFile(file('long.pem'))).raw.length;
  };
  const other = (await make(3000)) - 3000;
  assert.ok((await make(4090 - other)) > 4080);
  const [status, text] = await refused(['--cert', file('long.pem'), '--key', file('long.key')]);
  assert.equal(status, 2, text);
  assert.match(text, /The certificates are longer than the 4048 bytes that there is room for/);
  assert.ok((await make(4042 - other)) > 4036);
  const port = await freePort();
  pipit = await startPipit({ args: ['--cert', file('long.pem'), '--key', file('long.key'), '--forward', `${port}:443`] });
  for (const version of ['TLSv1.2', 'TLSv1.3']) await shakesHands(port, await readFile(file('long.pem')), version);
});

test('--cert and --key: wrong ones are refused in a sentence, and nothing starts', async () => {
  const [good, old] = [await all.server('good'), await all.expired('old')];
  await writeFile(file('good.cert'), good.cert);
  await writeFile(file('old.cert'), old.cert);
  await writeFile(file('cut.cert'), good.cert.slice(0, 200));
  const rows = [
    ['good.cert', 'old.key', 'The key does not belong to the first certificate'],
    ['old.cert', 'old.key', 'The certificate has expired; give one that is still good.'],
    ['cut.cert', 'good.key', 'cut.cert: The last PEM block has no END line'],
    ['good.cert', 'good.cert', 'There is no private key in it'],
    ['nothing', 'good.key', "the file can't be read"],
  ];
  for (const [cert, key, words] of rows) {
    const [status, text] = await refused(['--cert', file(cert), '--key', file(key)]);
    assert.equal(status, 2, text);
    assert.ok(text.includes(words), `${words}: ${text}`);
    assert.match(text, /^pipit: --cert [^\n]*\.\n$/);
  }
  assert.deepEqual(await refused(['--key', file('good.key')]), [2, 'pipit: --cert and --key go together; give both, or neither.\n']);
  const [status, text] = await refused(['--cert', file('good.cert'), '--key', file('good.key')], smallPipitPath);
  assert.equal(status, 2);
  assert.match(text, /This device has no TLS/);
});

test('without TLS cert says so', async () => {
  pipit = await startPipit({ program: smallPipitPath });
  assert.equal(await answer('cert'), 'This device has no TLS, and so no certificate.\n');
});
