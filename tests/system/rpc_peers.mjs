// Peers of our gRPC: clients and servers on npm's grpc-js, servers on Node's own http2, and one that writes its frames
// by hand.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { within } from './chat_client.mjs';

export { grpc };
export const { status } = grpc;

const root = path.resolve(import.meta.dirname, '../..');
const definitions = {};
for (const file of ['services/proto/message.proto', 'services/proto/health.proto', 'services/interop/testing.proto']) {
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
  if (existsSync(path.join(root, file))) Object.assign(definitions, protoLoader.loadSync(path.join(root, file), options));
}

/** A service as proto-loader describes it, by its full name. */
export function definition(service) {
  return definitions[service] ?? assert.fail(`no .proto has ${service}`);
}

/** Stops a server or closes a client when the test is over, however it ends; returns it. */
export function during(t, peer) {
  t.after(() => (peer.stop ?? peer.close).call(peer));
  return peer;
}

/// Clients ///

const clientClasses = new Map();

/** Binds grpc-js to a service at a port; `client.Method(request, options)` is a promise. */
export class RpcClient {
  /** Options: secret, host, and grpc-js's channel options in `channel`. */
  constructor(service, port, { secret, host = '127.0.0.1', channel = {}, credentials = grpc.credentials.createInsecure() } = {}) {
    if (!clientClasses.has(service)) clientClasses.set(service, grpc.makeGenericClientConstructor(definition(service), service));
    const Class = clientClasses.get(service);
    // A subchannel pool of its own, so that each client has a connection of its own.
    this.stub = new Class(`${host}:${port}`, credentials, { 'grpc.use_local_subchannel_pool': 1, ...channel });
    this.secret = secret;
    this.methods = definition(service);
  }

  /**
   * Resolves with {reply, headers, trailers}; rejects with grpc-js's ServiceError (code, details, metadata). Options:
   * metadata {name: value}, deadlineMs, secret (null: none), bytes (sent in place of the encoded request), signal.
   */
  call(method, request = {}, { metadata = {}, deadlineMs = 20_000, secret = this.secret, bytes, signal } = {}) {
    const fields = new grpc.Metadata();
    if (secret) fields.set('authorization', `Bearer ${secret}`);
    for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
    const {
      path: at,
      requestSerialize,
      responseDeserialize,
    } = this.methods[method] ?? { path: method, requestSerialize: (r) => r, responseDeserialize: (r) => r };
    const serialize = bytes === undefined ? requestSerialize : () => bytes;
    return new Promise((resolve, reject) => {
      const result = { headers: new grpc.Metadata(), trailers: new grpc.Metadata() };
      const options = { deadline: Date.now() + deadlineMs };
      const call = this.stub.makeUnaryRequest(at, serialize, responseDeserialize, request, fields, options, (error, reply) => {
        if (error) reject(error);
        else resolve(Object.assign(result, { reply }));
      });
      call.on('metadata', (metadata) => (result.headers = metadata));
      call.on('status', ({ metadata }) => (result.trailers = metadata));
      signal?.addEventListener('abort', () => call.cancel());
    });
  }

  async reply(method, request, options) {
    return (await this.call(method, request, options)).reply;
  }

  /** The same for a call that must fail with one of the codes; returns the error. */
  async refused(method, request, codes, options) {
    const error = await this.call(method, request, options).then(
      ({ reply }) => assert.fail(`${method} was answered: ${JSON.stringify(reply)}`),
      (e) => e,
    );
    if (error.code === undefined) throw error;
    assert.ok([codes].flat().includes(error.code), `${method}: ${error.code} ${error.details}, not ${codes}`);
    return error;
  }

  close() {
    this.stub.close();
  }
}

/** A call over Node's http2 with every field in the test's hand: {status, fields, body, trailers}. */
export async function rawCall(session, fields, { body, end = true } = {}) {
  const stream = session.request({ ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc', ...fields }, { endStream: false });
  const pieces = [];
  let trailers = {};
  stream.on('data', (piece) => pieces.push(piece));
  stream.on('trailers', (got) => (trailers = got));
  if (body !== undefined) stream.write(body);
  if (end) stream.end();
  const [headers] = await within(once(stream, 'response'), 'no answer');
  if (!stream.readableEnded) await within(once(stream, 'end'), 'no end of the answer');
  return { status: headers[':status'], headers, body: Buffer.concat(pieces), trailers };
}

/** A session of Node's http2 that is up; `session.drop()` cuts its TCP connection. */
export async function rawSession(port) {
  const socket = net.connect(port, '127.0.0.1');
  const session = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => socket });
  session.on('error', () => {});
  session.drop = () => socket.resetAndDestroy();
  await within(once(session, 'remoteSettings'), 'no SETTINGS');
  return session;
}

/** A message with gRPC's prefix in front. */
export function framed(message, flag = 0, length = message.length) {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/// grpc-js servers ///

/**
 * A grpc-js server on a port of 127.0.0.1 (or on `port`). `services`: {'message.VarifyService': {GetVarifyCode: (request,
 * call) => reply or a promise}}; a thrown error with a code is the status. `server.calls` has every request.
 */
export async function startRpcServer(services, { port = 0, options = {} } = {}) {
  const server = new grpc.Server(options);
  const started = { calls: [], metadata: [], cancelled: 0 };
  for (const [service, methods] of Object.entries(services)) {
    const handlers = {};
    for (const [name, method] of Object.entries(methods)) {
      handlers[name] = async (call, done) => {
        started.calls.push(call.request);
        started.metadata.push(call.metadata);
        started.wake?.();
        call.on('cancelled', () => {
          started.cancelled++;
          started.wake?.();
        });
        try {
          done(null, await method(call.request, call));
        } catch (error) {
          done(error);
        }
      };
    }
    server.addService(definition(service), handlers);
  }
  started.port = await new Promise((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  /** Waits until `look()` is true; looked at after each call and cancellation. */
  started.until = async (look, what) => {
    while (!look()) await within(new Promise((done) => (started.wake = done)), what);
  };
  started.server = server;
  started.stop = () => server.forceShutdown();
  return started;
}

/** The original's verify server: makes the codes that `code()` says. */
export function startVerifyServer(code, options) {
  const GetVarifyCode = async ({ email }, call) => ({ error: 0, email, code: await code(email, call) });
  return startRpcServer({ 'message.VarifyService': { GetVarifyCode } }, options);
}

export const sixDigits = () => String(Math.floor(Math.random() * 1e6)).padStart(6, '0');

/// A server on Node's http2 ///

/** `answer(stream, request)` for every call that is whole; `request` is the message's bytes. Options are http2's. */
export async function startHttp2Server(answer, { port = 0, ...options } = {}) {
  const server = http2.createServer(options);
  const sessions = new Set();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session)).on('error', () => {});
  });
  server.sessions = sessions;
  server.on('stream', (stream, headers) => {
    const pieces = [];
    stream.on('error', () => {});
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => answer(stream, Buffer.concat(pieces).subarray(5), headers));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.port = server.address().port;
  server.stop = () => {
    for (const session of sessions) session.destroy();
    return new Promise((done) => server.close(done)); // a second time it says so, and is done
  };
  return server;
}

/** Answers a stream of Node's http2 as gRPC does. */
export function answerGrpc(stream, message, { trailers = { 'grpc-status': '0' }, headers = {} } = {}) {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...headers }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(message === undefined ? '' : framed(message));
}

const verify = definition('message.VarifyService').GetVarifyCode;

/** The bytes of a good reply. */
export const verifyReply = (fields) => verify.responseSerialize({ error: 0, ...fields });
export const verifyRequest = (bytes) => verify.requestDeserialize(bytes);

/// A server that writes its frames by hand (RFC 9113 section 4.1) ///

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;

export function frame(type, flags = 0, stream = 0, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(...numbers) {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, i) => bytes.writeUInt32BE(number, 4 * i));
  return bytes;
}

// RFC 7541 section 5.1, a length with a prefix of seven bits; and 6.2.2, a literal field without indexing.
function hpackLength(length) {
  if (length < 127) return Buffer.of(length);
  const bytes = [127];
  for (length -= 127; length >= 128; length = Math.floor(length / 128)) bytes.push((length % 128) | 128);
  return Buffer.from([...bytes, length]);
}

/**
 * A header block of literal fields: block({':status': '200'}). It begins with a table size of 0, which our client's
 * SETTINGS ask for and the first block after them has to confirm (RFC 7541 section 4.2).
 */
export function block(fields) {
  const strings = Object.entries(fields).map((pair) => pair.map((text) => Buffer.from(String(text), 'latin1')));
  return Buffer.concat([Buffer.of(0x20), ...strings.flatMap((pair) => [Buffer.of(0), ...pair.flatMap((text) => [hpackLength(text.length), text])])]);
}

export const headers = (stream, fields, flags = 0) => frame(HEADERS, END_HEADERS | flags, stream, block(fields));
export const okHeaders = (stream, fields = {}) => headers(stream, { ':status': 200, 'content-type': 'application/grpc', ...fields });
export const trailers = (stream, fields = { 'grpc-status': 0 }) => headers(stream, fields, END_STREAM);
export const data = (stream, bytes, flags = 0) => frame(DATA, flags, stream, bytes);
export const rst = (stream, error) => frame(RST_STREAM, 0, stream, uint32(error));

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** One connection to a hand-written server, from behind the client's preface on. */
class HandPeer {
  constructor(socket) {
    this.socket = socket;
    this.received = Buffer.alloc(0);
    this.open = true;
    this.wake = () => {};
    this.seen = []; // frames of the client
    this.contents = new Map(); // stream -> bytes
    this.whole = []; // streams whose request is whole and not taken
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.open = false;
      this.wake();
    });
    this.closed = new Promise((done) => socket.on('close', done));
  }

  async #bytes(count) {
    while (this.received.length < count) {
      if (!this.open) return null;
      await new Promise((done) => (this.wake = done));
    }
    const bytes = this.received.subarray(0, count);
    this.received = this.received.subarray(count);
    return bytes;
  }

  async preface() {
    const bytes = await this.#bytes(PREFACE.length);
    if (bytes !== null) assert.equal(bytes.toString('latin1'), PREFACE);
    return bytes !== null;
  }

  /** The client's next frame: {type, flags, stream, payload}; null when it has gone. */
  async next() {
    const head = await this.#bytes(9);
    const payload = head && (await this.#bytes(head.readUIntBE(0, 3)));
    if (!payload) return null;
    const got = { type: head[3], flags: head[4], stream: head.readUInt32BE(5) & 0x7fffffff, payload };
    this.seen.push(got);
    return got;
  }

  /** The next request that is whole: {stream, message}; null when the client has gone. Does meanwhile what must be done. */
  async request() {
    for (;;) {
      if (this.whole.length > 0) return this.whole.shift();
      const got = await this.next();
      if (got === null) return null;
      if (got.type === SETTINGS && !(got.flags & ACK)) this.send(frame(SETTINGS, ACK));
      if (got.type === PING && !(got.flags & ACK)) this.send(frame(PING, ACK, 0, got.payload));
      if (got.type === DATA) this.#content(got);
    }
  }

  #content({ stream, flags, payload }) {
    assert.equal(flags & PADDED, 0, 'our client does not pad');
    const all = Buffer.concat([this.contents.get(stream) ?? Buffer.alloc(0), payload]);
    this.contents.set(stream, all);
    if (flags & END_STREAM) this.whole.push({ stream, message: all.subarray(5) });
  }

  send(...frames) {
    this.socket.write(Buffer.concat(frames));
  }

  /** Each byte in a write of its own. */
  async dribble(...frames) {
    for (const byte of Buffer.concat(frames)) {
      this.socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  }

  /** A whole good reply. */
  reply(stream, message) {
    this.send(okHeaders(stream), data(stream, framed(message)), trailers(stream));
  }

  end(bytes) {
    this.socket.end(bytes);
  }

  reset() {
    this.socket.resetAndDestroy();
  }
}

/**
 * A server after a script: `script(peer, n)` for its n-th connection. It gets a peer whose preface is read and whose
 * SETTINGS are sent, unless `bare`.
 */
export async function startHandServer(script, { port = 0, bare = false, settings = Buffer.alloc(0) } = {}) {
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: false });
  server.connections = 0;
  server.failures = [];
  server.on('connection', async (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    const peer = new HandPeer(socket);
    const n = server.connections++;
    try {
      if (!bare) {
        if (!(await peer.preface())) return;
        peer.send(frame(SETTINGS, 0, 0, settings));
      }
      await script(peer, n);
    } catch (error) {
      server.failures.push(error);
      socket.destroy();
    }
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.port = server.address().port;
  server.stop = async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((done) => server.close(done));
    assert.deepEqual(server.failures, []);
  };
  return server;
}
