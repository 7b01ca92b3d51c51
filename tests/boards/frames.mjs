// Frames by hand: Ethernet, ARP, IPv4, UDP, TCP, DNS (RFC 826, 791, 768, 9293, 1035).

const BROADCAST = Buffer.alloc(6, 0xff);
/** A neighbour that does not exist. */
export const STRANGER = Buffer.from('020000000063', 'hex');

export const address = (text) => Buffer.from(text.split('.').map(Number));

function uint16(...numbers) {
  const bytes = Buffer.alloc(2 * numbers.length);
  numbers.forEach((number, i) => bytes.writeUInt16BE(number & 0xffff, 2 * i));
  return bytes;
}

/** The Internet check sum (RFC 1071). */
export function checkSum(...pieces) {
  const bytes = Buffer.concat(pieces);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet(to, type, payload, from = STRANGER) {
  return Buffer.concat([to ?? BROADCAST, from, uint16(type), payload]);
}

/** Who has `target`? */
export function arpRequest(sender, target) {
  const body = [uint16(1, 0x0800), Buffer.of(6, 4), uint16(1), STRANGER, address(sender), Buffer.alloc(6), address(target)];
  return ethernet(null, 0x0806, Buffer.concat(body));
}

/** Options: options (a multiple of four bytes), id, fragment (flags and offset), and `length`, `version` that lie. */
export function ipv4(from, to, protocol, payload, { options = Buffer.alloc(0), id = 1, fragment = 0, length, version = 4 } = {}) {
  const size = 20 + options.length;
  const head = Buffer.concat([
    Buffer.of((version << 4) | (size / 4), 0),
    uint16(length ?? size + payload.length, id, fragment),
    Buffer.of(64, protocol, 0, 0),
    address(from),
    address(to),
    options,
  ]);
  head.writeUInt16BE(checkSum(head), 10);
  return Buffer.concat([head, payload]);
}

export const ip = (mac, ...rest) => ethernet(mac, 0x0800, ipv4(...rest));

const pseudo = (from, to, protocol, length) => Buffer.concat([address(from), address(to), Buffer.of(0, protocol), uint16(length)]);

/** A datagram from {address, port} to another, in its packet; `length` lies. */
export function udp(mac, from, to, payload, { length = 8 + payload.length, ...options } = {}) {
  const datagram = Buffer.concat([uint16(from.port, to.port, length, 0), payload]);
  datagram.writeUInt16BE(checkSum(pseudo(from.address, to.address, 17, datagram.length), datagram) || 0xffff, 6);
  return ip(mac, from.address, to.address, 17, datagram, options);
}

export const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16];

/** A segment from {address, port} to another. */
export function tcp(mac, from, to, flags, { seq = 1, ack = 0, window = 8192, options = Buffer.alloc(0), payload = Buffer.alloc(0), ...rest } = {}) {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(from.port, 0);
  head.writeUInt16BE(to.port, 2);
  head.writeUInt32BE(seq, 4);
  head.writeUInt32BE(ack, 8);
  head[12] = (20 + options.length) << 2;
  head[13] = flags;
  head.writeUInt16BE(window, 14);
  const segment = Buffer.concat([head, options, payload]);
  segment.writeUInt16BE(checkSum(pseudo(from.address, to.address, 6, segment.length), segment), 16);
  return ip(mac, from.address, to.address, 6, segment, rest);
}

/** An ICMP echo request. */
export function ping(mac, from, to, payload, options) {
  const message = Buffer.concat([Buffer.of(8, 0, 0, 0, 0, 7, 0, 1), payload]);
  message.writeUInt16BE(checkSum(message), 2);
  return ip(mac, from, to, 1, message, options);
}

const label = (text) => Buffer.concat(text.split('.').map((part) => Buffer.concat([Buffer.of(part.length), Buffer.from(part)])));

/** A DNS message with a question and an answer for `name`; `pointer` in place of the answer's name, where one may loop. */
export function dns(flags, name, { type = 1, data = address('1.2.3.4'), pointer = 0xc00c, counts = [1, 1, 0, 0] } = {}) {
  const question = Buffer.concat([label(name), Buffer.of(0), uint16(type, 1)]);
  const answer = Buffer.concat([uint16(pointer, type, 1, 0, 120, data.length), data]);
  return Buffer.concat([uint16(0, flags, ...counts), question, answer]);
}
