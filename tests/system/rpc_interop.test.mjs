// The unary cases of the gRPC project's interoperability tests, with grpc-js and with python3-grpcio as the client.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, startPipit } from './pipit.mjs';
import { during, RpcClient, status } from './rpc_peers.mjs';
import { sets, settledSlots, slotsAtRest } from './typed.mjs';

const secret = 'interop-secret';
const SERVICE = 'grpc.testing.TestService';
const SPECIAL = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
let pipit;
let atFirst;
let port;
let client;

before(async () => {
  port = await freePort();
  const keys = { 'rpc.listen': 'any', 'rpc.secret': secret, 'rpc.interop': 1 };
  pipit = await startPipit({ args: ['--forward', `${port}:50051`, ...sets(keys)] });
  atFirst = await settledSlots(pipit);
  client = new RpcClient(SERVICE, port, { secret, channel: { 'grpc.max_receive_message_length': 1 << 22 } });
});
after(async () => {
  client.close();
  try {
    await slotsAtRest(pipit, atFirst);
  } finally {
    assert.equal(await pipit.stop(), 0);
  }
});

const payload = (size, fill = 0) => ({ type: 0, body: Buffer.alloc(size, fill) });

test('empty_unary', async () => {
  assert.deepEqual(await client.reply('EmptyCall', {}), {});
  assert.deepEqual(await client.reply('EmptyCall', {}, { bytes: Buffer.alloc(0) }), {});
});

async function large(response_size, request_size) {
  const reply = await client.reply('UnaryCall', { response_size, payload: payload(request_size) });
  assert.equal(reply.payload.body.length, response_size);
  assert.ok(
    reply.payload.body.every((byte) => byte === 0),
    'the body is zeros',
  );
  assert.equal(reply.payload.type, 0);
}

test('large_unary', () => large(314159, 271828));
test('1 MB both ways', () => large(1 << 20, 1 << 20));

test('several large ones at once, and small ones between them', async () => {
  const all = Array.from({ length: 4 }, () => large(200_000, 300_000));
  for (let i = 0; i < 20; i++) all.push(client.reply('EmptyCall', {}));
  await Promise.all(all);
});

test('of more than fit, some are refused and none hang', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, () =>
      client.reply('UnaryCall', { response_size: 1 << 20, payload: payload(1 << 20) }).then(
        ({ payload: { body } }) => body.length,
        ({ code }) => code,
      ),
    ),
  );
  for (const outcome of outcomes) assert.ok([1 << 20, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE].includes(outcome), `${outcome}`);
  assert.ok(outcomes.includes(1 << 20));
  await large(1000, 1000);
});

test('a request or a reply past every limit is refused', async () => {
  await client.refused('UnaryCall', { payload: payload(3 << 20) }, status.RESOURCE_EXHAUSTED);
  for (const response_size of [0x7fffffff, -1])
    await client.refused('UnaryCall', { response_size }, [status.RESOURCE_EXHAUSTED, status.INVALID_ARGUMENT, status.OUT_OF_RANGE]);
  await large(10, 10);
});

test('custom_metadata', async () => {
  const binary = Buffer.from('ababab', 'hex');
  for (const [method, request] of [
    ['UnaryCall', { response_size: 314159, payload: payload(271828) }],
    ['EmptyCall', {}],
  ]) {
    const { headers, trailers } = await client.call(method, request, {
      metadata: { 'x-grpc-test-echo-initial': 'test_initial_metadata_value', 'x-grpc-test-echo-trailing-bin': binary },
    });
    assert.deepEqual(headers.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value'], method);
    assert.deepEqual(trailers.get('x-grpc-test-echo-trailing-bin'), [binary], method);
  }
  const { headers, trailers } = await client.call('EmptyCall');
  assert.deepEqual([headers.get('x-grpc-test-echo-initial'), trailers.get('x-grpc-test-echo-trailing-bin')], [[], []], 'of another call');
});

test('status_code_and_message', async () => {
  for (const [code, message] of [
    [2, 'test status message'],
    [5, ''],
    [14, '100 % of it'],
    [16, 'percent %41 stays'],
  ]) {
    const error = await client.refused('UnaryCall', { response_status: { code, message } }, code);
    if (message !== '') assert.equal(error.details, message);
  }
});

test('special_status_message', async () => {
  const error = await client.refused('UnaryCall', { response_status: { code: 2, message: SPECIAL } }, status.UNKNOWN);
  assert.equal(error.details, SPECIAL);
});

test('unimplemented_method', () => client.refused('/grpc.testing.TestService/UnimplementedCall', Buffer.alloc(0), status.UNIMPLEMENTED));
test('unimplemented_service', () => client.refused('/grpc.testing.UnimplementedService/UnimplementedCall', Buffer.alloc(0), status.UNIMPLEMENTED));

test('calls that are cancelled while their megabyte is under way', async () => {
  for (let i = 0; i < 10; i++) {
    const abort = new AbortController();
    const call = client.reply('UnaryCall', { response_size: 1 << 20, payload: payload(1 << 20) }, { signal: abort.signal }).then(
      () => 'OK',
      ({ code }) => code,
    );
    setTimeout(() => abort.abort(), i);
    assert.ok(['OK', status.CANCELLED].includes(await call));
  }
  await large(1 << 20, 1 << 20);
});

test('the test service needs the secret, and is there only when rpc.interop=1', async (t) => {
  await client.refused('EmptyCall', {}, status.UNAUTHENTICATED, { secret: null });
  const other = await freePort();
  const plain = during(t, await startPipit({ args: ['--forward', `${other}:50051`, ...sets({ 'rpc.listen': 'any', 'rpc.secret': secret })] }));
  const stranger = during(t, new RpcClient(SERVICE, other, { secret }));
  await stranger.refused('EmptyCall', {}, status.UNIMPLEMENTED);
  assert.equal(await plain.stop(), 0);
});

test('python3-grpcio: the same cases, and deadlines of 1 ms while a megabyte is under way', async () => {
  const script = path.join(import.meta.dirname, 'grpc_client.py');
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-B', script, 'interop', String(port), secret], { timeout: 60_000 });
  assert.deepEqual(JSON.parse(stdout), {
    empty_unary: 0,
    large_unary: [314159, true],
    initial: 'test_initial_metadata_value',
    trailing: '0a0b0a0b0a0b',
    late: true,
    errors: [
      ['UNKNOWN', 'test status message'],
      ['UNKNOWN', SPECIAL],
    ],
    unimplemented_method: 'UNIMPLEMENTED',
    unimplemented_service: 'UNIMPLEMENTED',
  });
});
