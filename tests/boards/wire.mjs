// A board's Ethernet cable in a test's hands: between the board and QEMU's user network each frame comes by here. The
// test may add frames of its own, which only the board gets to see, and so may say anything.
import dgram from 'node:dgram';
import { once } from 'node:events';

async function bound(port = 0) {
  const socket = dgram.createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  socket.setRecvBufferSize(1 << 20);
  socket.unref();
  return socket;
}

/** UDP ports of 127.0.0.1 that nobody has. */
export async function freeUdpPorts(count) {
  const sockets = await Promise.all(Array.from({ length: count }, () => bound()));
  const ports = sockets.map((socket) => socket.address().port);
  await Promise.all(sockets.map((socket) => new Promise((done) => socket.close(done))));
  return ports;
}

const ours = new Set(['10.0.2.2', '10.0.2.3']); // the host and the name server, as the user network has them
const dotted = (bytes) => bytes.join('.');

// What the board sends to strangers, who have written to it under false names, is nobody's business.
function isForOutside(frame) {
  if (frame.length < 34 || frame.readUInt16BE(12) !== 0x0800) return true;
  const to = frame.subarray(30, 34);
  return ours.has(dotted(to)) || to[0] >= 224;
}

const isTcp = (frame) => frame.length >= 54 && frame.readUInt16BE(12) === 0x0800 && frame[23] === 6;
const tcpAt = (frame) => 14 + 4 * (frame[14] & 15);

// RFC 1624: the check sum when one word of what it covers has changed.
function changeWord(frame, at, checkSumAt, value) {
  let sum = (~frame.readUInt16BE(checkSumAt) & 0xffff) + (~frame.readUInt16BE(at) & 0xffff) + value;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame.writeUInt16BE(value, at);
  frame.writeUInt16BE(~sum & 0xffff, checkSumAt);
}

export class Wire {
  static async make([boardPort, outsidePort]) {
    const wire = new Wire();
    [wire.board, wire.outside] = await Promise.all([bound(), bound()]);
    Object.assign(wire, { boardPort, outsidePort, seen: null, plugged: true, frozen: new Set() });
    wire.board.on('message', (frame) => wire.#fromBoard(frame));
    wire.outside.on('message', (frame) => wire.#fromOutside(frame));
    wire.environment = {
      FRAMES: `${boardPort}:${wire.board.address().port}`,
      OUTSIDE: `${outsidePort}:${wire.outside.address().port}`,
    };
    return wire;
  }

  // `frozen` has ports of clients (behind the user network they keep their own) who are made to say that they have room
  // for nothing.
  #fromOutside(frame) {
    if (!this.plugged) return;
    if (isTcp(frame) && this.frozen.has(frame.readUInt16BE(tcpAt(frame)))) changeWord(frame, tcpAt(frame) + 14, tcpAt(frame) + 16, 0);
    this.send(frame);
  }

  #fromBoard(frame) {
    this.address ??= Buffer.from(frame.subarray(6, 12));
    this.seen?.(frame);
    if (this.plugged && isForOutside(frame)) this.outside.send(frame, this.outsidePort, '127.0.0.1');
  }

  /** Puts a frame on the wire, for the board alone. */
  send(frame) {
    this.board.send(frame, this.boardPort, '127.0.0.1');
  }

  close() {
    this.board.close();
    this.outside.close();
  }
}
