// A WebSocket client that can break every rule: frames are written bit by bit to a TCP socket (RFC 6455 section 5.2).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { within } from './chat_client.mjs';
import { once as exchange, request } from './raw.mjs';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** A frame. `length` announces another length than the payload has; `form` is 7, 16 or 64 bits of it. */
export function frame(opcode, payload = '', { fin = true, reserved = 0, masked = true, length, form } = {}) {
  const bytes = Buffer.from(payload);
  const announced = BigInt(length ?? bytes.length);
  const bits = form ?? (announced <= 125n ? 7 : announced <= 65535n ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
  const flag = masked ? 0x80 : 0;
  if (bits === 7) head.push(flag | Number(announced));
  else head.push(flag | (bits === 16 ? 126 : 127));
  if (bits > 7) for (let shift = BigInt(bits - 8); shift >= 0n; shift -= 8n) head.push(Number((announced >> shift) & 255n));
  if (!masked) return Buffer.concat([Buffer.from(head), bytes]);
  const key = randomBytes(4);
  const hidden = Buffer.allocUnsafe(bytes.length);
  for (let i = 0; i < bytes.length; i++) hidden[i] = bytes[i] ^ key[i & 3];
  return Buffer.concat([Buffer.from(head), key, hidden]);
}

export function closeFrame(code, reason = '') {
  if (code === undefined) return frame(CLOSE);
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
}

/** The answer to the ordinary handshake, and the socket behind it. */
async function handshake(pipit, path) {
  const socket = net.connect(pipit.port, pipit.host).setNoDelay(true);
  socket.on('error', () => {});
  await within(once(socket, 'connect'), 'no connection');
  socket.write(request('GET', path, ordinary(pipit)));
  let head = Buffer.alloc(0);
  while (head.indexOf('\r\n\r\n') < 0) {
    const [chunk] = await within(once(socket, 'data'), 'no answer to the handshake');
    head = Buffer.concat([head, chunk]);
  }
  const end = head.indexOf('\r\n\r\n') + 4;
  return { socket, head: head.subarray(0, end).toString('latin1'), rest: head.subarray(end) };
}

const ordinary = (pipit) => ({
  host: `${pipit.host}:${pipit.port}`,
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
});

/** Asks with the ordinary header lines, some replaced (`{Host: 'x'}`) or left out (`{Upgrade: null}`). */
export async function ask(pipit, path, replaced = {}) {
  const fields = { ...ordinary(pipit) };
  for (const [name, value] of Object.entries(replaced)) fields[name.toLowerCase()] = value ?? undefined;
  const { status, headers } = await exchange(pipit, request('GET', path, fields));
  return { status, headers: Object.fromEntries(headers) };
}

export class RawSocket {
  constructor(socket, rest) {
    this.socket = socket;
    this.pending = [];
    this.pendingBytes = 0;
    this.frames = [];
    this.waiting = null;
    this.over = false;
    socket.on('data', (chunk) => this.#take(chunk));
    this.ended = new Promise((resolve) => {
      socket.on('end', () => resolve('end'));
      socket.on('error', (error) => resolve(error.code));
      socket.on('close', () => resolve('close'));
    });
    this.ended.then(() => {
      this.over = true;
      this.waiting?.();
    });
    if (rest.length > 0) this.#take(rest);
  }

  static async open(pipit, path = '/ws') {
    const { socket, head, rest } = await handshake(pipit, path);
    assert.match(head, /^HTTP\/1\.1 101 /);
    return new RawSocket(socket, rest);
  }

  #take(chunk) {
    this.pending.push(chunk);
    this.pendingBytes += chunk.length;
    while (this.#frame());
  }

  // Joins the first `size` bytes into one piece at the front.
  #gather(size) {
    if (this.pendingBytes < size) return null;
    if (this.pending[0].length < size) this.pending = [Buffer.concat(this.pending)];
    return this.pending[0];
  }

  #frame() {
    let bytes = this.#gather(2);
    if (bytes === null) return false;
    assert.equal(bytes[1] & 0x80, 0, 'a server does not mask');
    assert.equal(bytes[0] & 0x70, 0, 'reserved bits');
    let length = bytes[1] & 127;
    let header = 2;
    if (length === 126) header = 4;
    if (length === 127) header = 10;
    bytes = this.#gather(header);
    if (bytes === null) return false;
    if (header === 4) length = bytes.readUInt16BE(2);
    if (header === 10) length = Number(bytes.readBigUInt64BE(2));
    const shortest = length <= 125 ? 2 : length <= 65535 ? 4 : 10;
    assert.equal(header, shortest, 'section 5.2: the minimal number of bytes');
    bytes = this.#gather(header + length);
    if (bytes === null) return false;
    this.frames.push({ fin: bytes[0] >> 7 === 1, opcode: bytes[0] & 15, payload: bytes.subarray(header, header + length) });
    this.pending[0] = bytes.subarray(header + length);
    this.pendingBytes -= header + length;
    this.waiting?.();
    return true;
  }

  async write(...frames) {
    for (const bytes of frames) if (!this.over && !this.socket.write(bytes)) await Promise.race([once(this.socket, 'drain').catch(() => {}), this.ended]);
  }

  /** The next frame, or null when the connection has ended. */
  async next(ms = 15_000) {
    while (this.frames.length === 0) {
      if (this.over) return null;
      await within(
        new Promise((resolve) => {
          this.waiting = resolve;
        }),
        'no further frame',
        ms,
      );
    }
    return this.frames.shift();
  }

  /** The next whole message, as {opcode, payload}; control frames between its fragments go to `controls`. */
  async message(controls = []) {
    const parts = [];
    let opcode = null;
    for (;;) {
      const f = await this.next();
      assert.notEqual(f, null, 'closed in the middle of a message');
      if (f.opcode >= 8) {
        controls.push(f);
        assert.notEqual(f.opcode, CLOSE, `closed with ${f.payload.toString('hex')} instead of a message`);
        continue;
      }
      assert.equal(f.opcode === CONTINUATION, opcode !== null, 'fragments in order');
      opcode ??= f.opcode;
      parts.push(f.payload);
      if (f.fin) return { opcode, payload: Buffer.concat(parts) };
    }
  }

  /** Skips to the close frame; returns its code (1005 without one, 1006 when there was no close frame). */
  async closeCode(ms) {
    for (;;) {
      const f = await this.next(ms);
      if (f === null) return 1006;
      if (f.opcode !== CLOSE) continue;
      assert.notEqual(f.payload.length, 1);
      return f.payload.length === 0 ? 1005 : f.payload.readUInt16BE(0);
    }
  }

  /** After the close frame the server ends the TCP connection (section 7.1.1). */
  async expectEnd() {
    const how = await within(this.ended, 'the server did not end the connection');
    assert.equal(how, 'end');
    this.socket.destroy();
  }

  destroy() {
    this.socket.destroy();
  }
}
