// The gRPC port as the tools of the trade see it: curl, nghttp and h2load (both on nghttp2).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, startPipit } from './pipit.mjs';
import { Raw, request } from './raw.mjs';
import { framed } from './rpc_peers.mjs';
import { sets, settledSlots, slotsAtRest } from './typed.mjs';

const secret = 'tools-secret';
const CHECK = '/grpc.health.v1.Health/Check';
let pipit;
let atFirst;
let folder;
let url;
let port;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'pipit-'));
  port = await freePort();
  pipit = await startPipit({ args: ['--forward', `${port}:50051`, ...sets({ 'rpc.listen': 'any', 'rpc.secret': secret })] });
  atFirst = await settledSlots(pipit);
  url = `http://127.0.0.1:${port}`;
});
after(async () => {
  try {
    await slotsAtRest(pipit, atFirst);
  } finally {
    assert.equal(await pipit.stop(), 0);
    await rm(folder, { recursive: true });
  }
});

async function file(bytes) {
  const at = path.join(folder, `body${bytes.length}`);
  await writeFile(at, bytes);
  return at;
}

const run = async (program, ...args) => promisify(execFile)(program, args, { timeout: 60_000, maxBuffer: 1 << 24 });

async function curl(...args) {
  const { stdout } = await run('curl', '-sS', '--max-time', '20', '-w', '\n%{http_version} %{http_code} %{content_type}', ...args);
  const cut = stdout.lastIndexOf('\n');
  const [version, status, ...type] = stdout.slice(cut + 1).split(' ');
  return { version, status: Number(status), type: type.join(' '), body: stdout.slice(0, cut) };
}

const readable = (reply) => {
  assert.match(reply.type, /^text\/plain/);
  assert.match(reply.body, /gRPC/i);
  assert.match(reply.body, /[a-z] [a-z]+ .*\.\s*$/);
};

/// curl ///

test('curl --http2-prior-knowledge: GET / is 415 with a sentence', async () => {
  const reply = await curl('--http2-prior-knowledge', `${url}/`);
  assert.deepEqual([reply.version, reply.status], ['2', 415]);
  readable(reply);
});

test('curl --http2-prior-knowledge: a POST of 100 KB is answered, read and not stuck', async () => {
  const body = await file(Buffer.alloc(100_000, 'x'));
  for (let i = 0; i < 3; i++) {
    const reply = await curl('--http2-prior-knowledge', '--data-binary', `@${body}`, `${url}/`, '-H', 'Content-Type: application/json');
    assert.deepEqual([reply.version, reply.status], ['2', 415]);
    readable(reply);
  }
});

test('curl --http2-prior-knowledge: HEAD, another method, a fragment of a path', async () => {
  assert.equal((await curl('--http2-prior-knowledge', '-I', `${url}/`)).status, 415);
  const { status } = await curl('--http2-prior-knowledge', '-X', 'PUT', '-H', 'Content-Type: application/grpc', '--data-binary', 'x', url + CHECK);
  assert.equal(status, 405);
  assert.equal((await curl('--http2-prior-knowledge', `${url}/%00?x=y&z`)).status, 415);
});

test('curl with HTTP/1.1, and without HTTP/2: a readable 400', async () => {
  for (const args of [
    ['--http1.1', `${url}/`],
    ['--http1.0', `${url}/`],
    ['--http1.1', '-d', 'a=b', `${url}/login`],
    ['--http1.1', '-X', 'DELETE', url],
    ['--http1.1', '-d', `@${await file(Buffer.alloc(50_000, 'y'))}`, url],
  ]) {
    const reply = await curl(...args);
    assert.deepEqual([reply.version, reply.status], ['1.1', 400], args.join(' '));
    readable(reply);
  }
});

test('HTTP/1.1 upgrade to h2c is answered in HTTP/1.1', async () => {
  const reply = await curl('--http2', `${url}/`);
  assert.equal(reply.status, 400);
  readable(reply);
});

test('HTTP/1 byte by byte, and half a word of it', async () => {
  const raw = new Raw({ host: '127.0.0.1', port });
  for (const byte of request('GET', '/')) {
    raw.write(byte);
    await new Promise(setImmediate);
  }
  const reply = await raw.reply();
  assert.equal(reply.status, 400);
  assert.match(reply.body, /gRPC/);
  raw.drop();
  const half = new Raw({ host: '127.0.0.1', port });
  half.write('GE').end();
  await half.until(() => (half.ended || half.broken !== undefined ? true : undefined), 'the close');
  half.drop();
});

/// nghttp2's programs ///

test('nghttp: a whole gRPC call, with padding and a small window', async () => {
  const body = await file(framed(Buffer.alloc(0)));
  for (const args of [
    [],
    ['--padding=100'],
    ['-w', '1'],
    ['-w', '2', '-W', '16'],
    ['--no-dep'],
    ['--header-table-size=0'],
    ['--encoder-header-table-size=0'],
  ]) {
    const { stdout } = await run('nghttp', '-v', ...args, '-d', body, '-H', 'content-type: application/grpc', '-H', 'te: trailers', url + CHECK);
    assert.match(stdout, /:status: 200/, args.join(' '));
    assert.match(stdout, /grpc-status: 0/, `${args.join(' ')}\n${stdout}`);
    assert.match(stdout, /recv SETTINGS frame/);
    assert.doesNotMatch(stdout, /recv RST_STREAM.*\n.*error_code=(?!NO_ERROR)/);
  }
});

test('nghttp: many requests at once, each answered', async () => {
  const { stdout } = await run('nghttp', '-v', '-m', '40', `${url}/`);
  assert.equal(stdout.match(/:status: 415/g).length, 40);
});

async function h2load(...args) {
  const { stdout } = await run('h2load', ...args);
  const [, total, done, succeeded, failed] =
    stdout.match(/requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed/) ?? assert.fail(stdout);
  const [, ok] = stdout.match(/status codes: (\d+) 2xx/);
  const [, rate] = stdout.match(/([\d.]+) req\/s/);
  return { total: Number(total), done: Number(done), succeeded: Number(succeeded), failed: Number(failed), ok: Number(ok), rate };
}

test('h2load: 2,000 calls on 4 connections, 20 at once', async (t) => {
  const call = ['-d', await file(framed(Buffer.alloc(0))), '-H', 'content-type: application/grpc', '-H', 'te: trailers', url + CHECK];
  const { rate, ...counts } = await h2load('-n', '2000', '-c', '4', '-m', '20', ...call);
  assert.deepEqual(counts, { total: 2000, done: 2000, succeeded: 2000, failed: 0, ok: 2000 });
  t.diagnostic(`${rate} calls/s, behind libslirp`);
  const alone = await h2load('-n', '500', '-c', '1', '-m', '100', ...call);
  assert.deepEqual([alone.succeeded, alone.ok], [500, 500]);
});

test('bytes that are no HTTP at all close the connection', async () => {
  for (const bytes of [
    Buffer.alloc(100),
    'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'EHLO relay\r\n',
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\xff'.repeat(100)}`,
  ]) {
    const raw = new Raw({ host: '127.0.0.1', port });
    await once(raw.socket, 'connect');
    raw.write(Buffer.from(bytes, 'latin1'));
    await raw.until(() => (raw.ended || raw.broken !== undefined ? true : undefined), 'the close', 15_000);
    raw.drop();
  }
  assert.equal((await curl('--http2-prior-knowledge', `${url}/`)).status, 415);
});
