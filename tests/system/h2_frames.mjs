// An HTTP/2 client that can break every rule: frames are written octet by octet to a TCP socket (RFC 9113), header
// blocks representation by representation (RFC 7541). What comes back is held to the rules of a server, all the time.
import assert from 'node:assert/strict';
import net from 'node:net';

/** Section 6. */
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
const typeNames = ['DATA', 'HEADERS', 'PRIORITY', 'RST_STREAM', 'SETTINGS', 'PUSH_PROMISE', 'PING', 'GOAWAY', 'WINDOW_UPDATE', 'CONTINUATION'];

export const END_STREAM = 0x01;
export const ACK = 0x01;
export const END_HEADERS = 0x04;
export const PADDED = 0x08;
export const WITH_PRIORITY = 0x20;
const definedFlags = [END_STREAM | PADDED, END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY, 0, 0, ACK, END_HEADERS | PADDED, ACK, 0, 0, END_HEADERS];

/** Section 6.5.2. */
export const HEADER_TABLE_SIZE = 1;
export const ENABLE_PUSH = 2;
export const MAX_CONCURRENT_STREAMS = 3;
export const INITIAL_WINDOW_SIZE = 4;
export const MAX_FRAME_SIZE = 5;
export const MAX_HEADER_LIST_SIZE = 6;

/** Section 7. */
const codeNames = [
  'NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'SETTINGS_TIMEOUT', 'STREAM_CLOSED', 'FRAME_SIZE_ERROR',
  'REFUSED_STREAM', 'CANCEL', 'COMPRESSION_ERROR', 'CONNECT_ERROR', 'ENHANCE_YOUR_CALM', 'INADEQUATE_SECURITY', 'HTTP_1_1_REQUIRED',
];
export const Code = Object.fromEntries(codeNames.map((name, code) => [name, code]));
export const codeName = (code) => codeNames[code] ?? `error ${code}`;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const WINDOW = 65535; // section 6.9.2
export const WINDOW_MAX = 2 ** 31 - 1;
export const FRAME_MAX = 16384; // section 4.2: what everybody takes, and all that we let the server send

/** How long an answer may take, in ms. A wait ends when the answer is decided, so only a failure takes it all. */
export const patience = Number(process.env.H2_PATIENCE ?? 3000);

/// HPACK (RFC 7541) ///

// Appendix A. A name alone has an empty value.
const staticTable = `:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204
:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges
accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language
content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since
if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range
referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .split(/[|\n]/)
  .map((entry) => /^(\S+) ?(.*)$/.exec(entry).slice(1));
assert.equal(staticTable.length, 61);

// Appendix B: the length of each symbol's code, EOS last, in base 36. The code is canonical: codes of one length follow
// each other in the order of their symbols, and a longer code is always the greater one.
const codeLengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6' +
  'f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';
const EOS = 256;

function canonicalCode(lengths) {
  const symbols = lengths.map((length, symbol) => ({ length, symbol })).sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let before = 0;
  return symbols.map(({ length, symbol }) => {
    code *= 2 ** (length - before);
    before = length;
    return { symbol, bits: (code++).toString(2).padStart(length, '0') };
  });
}
const huffmanCode = canonicalCode([...codeLengths].map((digit) => parseInt(digit, 36)));
const bitsOfSymbol = Object.fromEntries(huffmanCode.map(({ symbol, bits }) => [symbol, bits]));
const symbolOfBits = new Map(huffmanCode.map(({ symbol, bits }) => [bits, symbol]));
assert.equal(bitsOfSymbol[EOS], '1'.repeat(30));

/** A string's Huffman code; `padding` replaces the bits that fill the last octet, EOS in the text is written '\u{100}'. */
export function huffman(text, padding) {
  const bits = [...text].map((character) => bitsOfSymbol[character.codePointAt(0)]).join('');
  const whole = bits + (padding ?? '1'.repeat((8 - (bits.length % 8)) % 8));
  assert.equal(whole.length % 8, 0, 'padding to an octet');
  return Buffer.from(whole.match(/.{8}/g)?.map((octet) => parseInt(octet, 2)) ?? []);
}

function huffmanText(bytes) {
  let text = '';
  let bits = '';
  for (const bit of [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')) {
    bits += bit;
    const symbol = symbolOfBits.get(bits);
    if (symbol === undefined) continue;
    assert.notEqual(symbol, EOS, 'EOS in a string');
    text += String.fromCharCode(symbol);
    bits = '';
  }
  assert.match(bits, /^1{0,7}$/, 'padding of a string');
  return text;
}

/** Section 5.1: an integer below the flags of a representation. */
export function integer(flags, prefix, value) {
  const most = 2 ** prefix - 1;
  if (value < most) return Buffer.from([flags | value]);
  const octets = [flags | most];
  for (value -= most; value >= 128; value = Math.floor(value / 128)) octets.push((value % 128) | 0x80);
  return Buffer.from([...octets, value]);
}

/** Section 5.2. `code` is the Huffman code of the string when it is to be sent so. */
export function string(text, code) {
  const bytes = code ?? Buffer.from(text, 'latin1');
  return Buffer.concat([integer(code === undefined ? 0 : 0x80, 7, bytes.length), bytes]);
}

/** Section 6. */
export const indexed = (index) => integer(0x80, 7, index);
export const tableSize = (size) => integer(0x20, 5, size);
const literalKinds = { incremental: [0x40, 6], without: [0, 4], never: [0x10, 4] };
export function literal(name, value, { kind = 'without', coded = false } = {}) {
  const text = (t) => string(t, coded ? huffman(t) : undefined);
  const named = typeof name === 'number' ? [] : [text(name)];
  return Buffer.concat([integer(...literalKinds[kind], typeof name === 'number' ? name : 0), ...named, text(value)]);
}

/** A header block of literals without indexing: [[name, value], …]. */
export const block = (fields) => Buffer.concat(fields.map(([name, value]) => literal(name, value)));

function readInteger(bytes, at, prefix) {
  let value = bytes[at] & (2 ** prefix - 1);
  if (value < 2 ** prefix - 1) return [value, at + 1];
  for (let scale = 1; ; scale *= 128) {
    at++;
    assert.ok(at < bytes.length && scale < 2 ** 35, 'an integer');
    value += (bytes[at] & 127) * scale;
    if (bytes[at] < 128) return [value, at + 1];
  }
}

function readString(bytes, at) {
  assert.ok(at < bytes.length, 'a string is missing');
  const [length, from] = readInteger(bytes, at, 7);
  const to = from + length;
  assert.ok(to <= bytes.length, 'a string beyond the block');
  const piece = bytes.subarray(from, to);
  return [bytes[at] & 0x80 ? huffmanText(piece) : piece.toString('latin1'), to];
}

/** The decoder of one connection. */
export class HpackDecoder {
  #entries = [];
  #size = 0;
  #room = 4096;

  constructor(most = 4096) {
    this.most = most;
    this.#room = most;
  }

  #evict(room) {
    while (this.#size > room) {
      const [name, value] = this.#entries.pop();
      this.#size -= name.length + value.length + 32;
    }
  }

  #insert(field) {
    const size = field[0].length + field[1].length + 32;
    this.#evict(Math.max(this.#room - size, 0));
    if (size > this.#room) return;
    this.#entries.unshift(field);
    this.#size += size;
  }

  #look(index) {
    const entry = index <= 61 ? staticTable[index - 1] : this.#entries[index - 62];
    assert.ok(entry, `index ${index}`);
    return entry;
  }

  #resize(bytes, at, fields) {
    const [size, next] = readInteger(bytes, at, 5);
    assert.ok(fields.length === 0 && size <= this.most, `table size update to ${size} behind ${fields.length} fields`);
    this.#room = size;
    this.#evict(size);
    return next;
  }

  #literal(bytes, at, incremental) {
    const [index, behind] = readInteger(bytes, at, incremental ? 6 : 4);
    const [name, from] = index === 0 ? readString(bytes, behind) : [this.#look(index)[0], behind];
    const [value, next] = readString(bytes, from);
    if (incremental) this.#insert([name, value]);
    return [[name, value], next];
  }

  /** The fields of a whole header block. */
  decode(bytes) {
    const fields = [];
    for (let at = 0; at < bytes.length; ) {
      const first = bytes[at];
      if (first & 0x80) {
        const [index, next] = readInteger(bytes, at, 7);
        fields.push(this.#look(index));
        at = next;
      } else if ((first & 0xe0) === 0x20) {
        at = this.#resize(bytes, at, fields);
      } else {
        const [field, next] = this.#literal(bytes, at, (first & 0x40) !== 0);
        fields.push(field);
        at = next;
      }
    }
    return fields;
  }
}

/// Frames ///

/** Section 4.1. `length` announces another length than the payload has, `reserved` sets the bit before the stream. */
export function frame(type, flags, stream, payload = Buffer.alloc(0), { length, reserved = false } = {}) {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE((stream | (reserved ? 0x80000000 : 0)) >>> 0, 5);
  return Buffer.concat([head, bytes]);
}

export function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export const priorityFields = ({ dependency = 0, exclusive = false, weight = 16 } = {}) =>
  Buffer.concat([uint32(dependency + (exclusive ? 2 ** 31 : 0)), Buffer.from([weight - 1])]);

// Section 6.1: what `pad` octets of padding make of a payload.
const padded = (payload, pad) => (pad === undefined ? payload : Buffer.concat([Buffer.from([pad]), payload, Buffer.alloc(pad)]));

/** HEADERS. `fields` may be a block. */
export function headers(stream, fields, { end = true, endHeaders = true, pad, priority } = {}) {
  const flags = (end ? END_STREAM : 0) | (endHeaders ? END_HEADERS : 0) | (pad === undefined ? 0 : PADDED) | (priority ? WITH_PRIORITY : 0);
  const fragment = Buffer.isBuffer(fields) ? fields : block(fields);
  return frame(HEADERS, flags, stream, padded(Buffer.concat([priority ? priorityFields(priority) : Buffer.alloc(0), fragment]), pad));
}

export const continuation = (stream, fields, { endHeaders = true } = {}) =>
  frame(CONTINUATION, endHeaders ? END_HEADERS : 0, stream, Buffer.isBuffer(fields) ? fields : block(fields));
export const data = (stream, bytes, { end = true, pad } = {}) =>
  frame(DATA, (end ? END_STREAM : 0) | (pad === undefined ? 0 : PADDED), stream, padded(Buffer.from(bytes), pad));
export const priority = (stream, fields) => frame(PRIORITY, 0, stream, priorityFields(fields));
export const reset = (stream, code = Code.CANCEL) => frame(RST_STREAM, 0, stream, uint32(code));
export const settings = (values = []) =>
  frame(SETTINGS, 0, 0, Buffer.concat(values.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)]))));
export const ping = (payload = '8 octets', flags = 0) => frame(PING, flags, 0, payload);
export const goaway = (last, code, debug = '') => frame(GOAWAY, 0, 0, Buffer.concat([uint32(last), uint32(code), Buffer.from(debug)]));
export const windowUpdate = (stream, increment) => frame(WINDOW_UPDATE, 0, stream, uint32(increment));
export const pushPromise = (stream, promised, fields) => frame(PUSH_PROMISE, END_HEADERS, stream, Buffer.concat([uint32(promised), block(fields)]));

/** Takes frames off the front of `bytes`; what is left stays in `rest`. */
function readFrames(bytes) {
  const frames = [];
  let at = 0;
  while (bytes.length - at >= 9) {
    const length = bytes.readUIntBE(at, 3);
    if (bytes.length - at - 9 < length) break;
    frames.push({
      type: bytes[at + 3],
      flags: bytes[at + 4],
      reserved: bytes[at + 5] >> 7 === 1,
      stream: bytes.readUInt32BE(at + 5) & 0x7fffffff,
      payload: bytes.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return { frames, rest: bytes.subarray(at) };
}

const settingsOf = (payload) =>
  Array.from({ length: Math.floor(payload.length / 6) }, (_, i) => [payload.readUInt16BE(i * 6), payload.readUInt32BE(i * 6 + 2)]);

// A frame for people.
function describe({ type, flags, stream, payload }) {
  const details = [`stream ${stream}`, `flags 0x${flags.toString(16)}`, `${payload.length} octets`];
  if (type === RST_STREAM && payload.length === 4) details.push(codeName(payload.readUInt32BE()));
  if (type === GOAWAY && payload.length >= 8) details.push(`last ${payload.readUInt32BE()}`, codeName(payload.readUInt32BE(4)), JSON.stringify(payload.toString('latin1', 8)));
  if (type === SETTINGS && !(flags & ACK)) details.push(settingsOf(payload).map((pair) => pair.join('=')).join(' '));
  if (type === WINDOW_UPDATE && payload.length === 4) details.push(`+${payload.readUInt32BE()}`);
  return `${typeNames[type] ?? `type ${type}`} (${details.join(', ')})`;
}

/// What a server may send ///

const connectionFields = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te']);

// Sections 8.2 and 8.3.2. `trailers` says which of the two sections of a response it is.
function checkFields(fields, trailers) {
  const names = fields.map(([name]) => name);
  const pseudo = names.filter((name) => name.startsWith(':'));
  if (trailers) assert.deepEqual(pseudo, [], 'pseudo-header fields in trailers');
  else assert.deepEqual([names[0], pseudo.length], [':status', 1], 'a response begins with :status, and has no other pseudo-header field');
  if (!trailers) assert.match(fields[0][1], /^[1-9]\d\d$/, ':status');
  for (const [name, value] of fields) {
    assert.match(name, /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/, 'a field name');
    assert.doesNotMatch(value, /[\0\r\n]|^[ \t]|[ \t]$/, `the value of ${name}`);
    assert.ok(!connectionFields.has(name), `${name} in a response`);
  }
}

/** The server's side of one stream, as its frames tell it. */
class Response {
  constructor(id) {
    this.id = id;
    this.status = undefined;
    this.fields = [];
    this.trailers = undefined;
    this.length = 0;
    this.granted = 0; // by our WINDOW_UPDATE
    this.ended = false;
    this.error = undefined; // of its RST_STREAM
    this.pieces = [];
  }

  get body() {
    return Buffer.concat(this.pieces).toString('utf8');
  }

  take(fields, end) {
    const trailers = this.status !== undefined;
    checkFields(fields, trailers);
    if (trailers) {
      assert.ok(end, 'trailers end a stream');
      this.trailers = fields;
    } else if (fields[0][1].startsWith('1')) {
      assert.ok(!end, 'an interim response ends no stream');
    } else {
      this.status = Number(fields[0][1]);
      this.fields = fields;
    }
  }

  /** Section 8.1.1: END_STREAM came. A reply to HEAD may announce what it leaves out. */
  end() {
    this.ended = true;
    const announced = this.fields.find(([name]) => name === 'content-length')?.[1];
    if (announced !== undefined && this.length > 0) assert.equal(this.length, Number(announced), 'content-length');
  }
}

/** One connection. What the server does wrong is kept in `violations`. */
export class Http2 {
  constructor({ host, port }) {
    this.violations = [];
    this.events = []; // frames, and at last the end of the connection
    this.sent = []; // for people
    this.responses = new Map();
    this.settings = new Map();
    this.over = undefined; // how the connection ended
    this.goaway = undefined; // the last one received
    this.highest = 0; // the highest stream that we may have opened
    this.#decoder = new HpackDecoder();
    this.socket = net.connect({ host, port, allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => this.#take(bytes));
    this.socket.on('end', () => this.#finish('FIN'));
    this.socket.on('error', (error) => this.#finish(error.code));
    this.socket.on('close', () => this.#finish('closed'));
  }

  #decoder;
  #cursor = 0;
  #rest = Buffer.alloc(0);
  #waiting = new Set();
  #block = undefined; // the HEADERS whose header block goes on
  #window = WINDOW; // of the connection, for the server
  #initial = WINDOW; // of a stream, acknowledged
  #unacknowledged = []; // INITIAL_WINDOW_SIZE of our SETTINGS, undefined without
  #pings = [];

  /// Receiving ///

  #wake() {
    for (const settle of [...this.#waiting]) settle();
  }

  #finish(how) {
    if (this.over !== undefined) return;
    this.over = how;
    this.events.push({ closed: true, text: `the connection's end (${how})` });
    this.#wake();
  }

  #take(bytes) {
    const { frames, rest } = readFrames(Buffer.concat([this.#rest, bytes]));
    this.#rest = rest;
    for (const each of frames) {
      each.text = describe(each);
      this.#note(each);
      this.events.push(each);
    }
    if (frames.length > 0) this.#wake();
  }

  #note(each) {
    try {
      this.#check(each);
    } catch (error) {
      if (error.code !== 'ERR_ASSERTION') throw error;
      this.violations.push(`${each.text}: ${error.message}`);
    }
  }

  #check(each) {
    assert.ok(!each.reserved, 'the reserved bit');
    assert.ok(each.payload.length <= FRAME_MAX, 'section 4.2: too long');
    if (this.events.length === 0) assert.ok(each.type === SETTINGS && !(each.flags & ACK), 'section 3.4: SETTINGS come first');
    if (this.#block) assert.ok(each.type === CONTINUATION && each.stream === this.#block.stream, 'section 4.3: within a header block');
    if (definedFlags[each.type] !== undefined) assert.equal(each.flags & ~definedFlags[each.type], 0, 'section 4.1: undefined flags');
    this.#checks[each.type]?.(each, each.payload);
  }

  #checks = {
    [DATA]: (each, payload) => this.#checkData(each, payload),
    [HEADERS]: (each, payload) => this.#checkHeaders(each, payload),
    [PRIORITY]: (each, payload) => assert.ok(each.stream !== 0 && payload.length === 5),
    [RST_STREAM]: (each, payload) => this.#checkReset(each, payload),
    [SETTINGS]: (each, payload) => this.#checkSettings(each, payload),
    [PUSH_PROMISE]: () => assert.fail('nobody asked for pushes'),
    [PING]: (each, payload) => this.#checkPing(each, payload),
    [GOAWAY]: (each, payload) => this.#checkGoaway(each, payload),
    [WINDOW_UPDATE]: (each, payload) => this.#checkWindowUpdate(each, payload),
    [CONTINUATION]: (each, payload) => this.#checkContinuation(each, payload),
  };

  // The stream of a frame that only an open stream may have.
  #response(each) {
    assert.ok(each.stream % 2 === 1 && each.stream <= this.highest, 'section 5.1: on an idle stream');
    const response = this.response(each.stream);
    assert.ok(response.error === undefined, 'section 5.1: after RST_STREAM');
    return response;
  }

  #unpad(each, payload) {
    if (!(each.flags & PADDED)) return payload;
    assert.ok(payload.length > payload[0], 'section 6.1: padding');
    return payload.subarray(1, payload.length - payload[0]);
  }

  #checkData(each, payload) {
    const response = this.#response(each);
    assert.ok(response.status !== undefined && !response.ended, 'section 8.1: content belongs between headers and the end');
    const content = this.#unpad(each, payload);
    response.pieces.push(content);
    response.length += content.length;
    response.granted -= payload.length;
    this.#window -= payload.length;
    const most = Math.max(this.#initial, ...this.#unacknowledged.filter((value) => value !== undefined));
    // Nothing is flow-controlled about an empty frame, whatever the window is.
    assert.ok(payload.length === 0 || (this.#window >= 0 && response.granted + most >= 0), 'section 6.9.1: beyond the window');
    if (each.flags & END_STREAM) response.end();
  }

  #checkHeaders(each, payload) {
    let fragment = this.#unpad(each, payload);
    if (each.flags & WITH_PRIORITY) fragment = fragment.subarray(5);
    this.#block = { stream: each.stream, flags: each.flags, pieces: [fragment] };
    this.#checkBlockEnd(each);
  }

  #checkContinuation(each, payload) {
    assert.ok(this.#block, 'section 6.10: without HEADERS');
    this.#block.pieces.push(payload);
    this.#checkBlockEnd(each);
  }

  #checkBlockEnd(each) {
    if (!(each.flags & END_HEADERS)) return;
    const { flags, pieces } = this.#block;
    this.#block = undefined;
    each.fields = this.#decoder.decode(Buffer.concat(pieces));
    const response = this.#response(each);
    assert.ok(!response.ended, 'section 5.1: after END_STREAM');
    response.take(each.fields, (flags & END_STREAM) !== 0);
    if (flags & END_STREAM) response.end();
  }

  #checkReset(each, payload) {
    assert.equal(payload.length, 4);
    this.#response(each).error = payload.readUInt32BE();
  }

  #checkSettings(each, payload) {
    assert.equal(each.stream, 0);
    if (each.flags & ACK) {
      assert.equal(payload.length, 0);
      assert.ok(this.#unacknowledged.length > 0, 'section 6.5: more acknowledgements than SETTINGS');
      this.#initial = this.#unacknowledged.shift() ?? this.#initial;
      return;
    }
    assert.equal(payload.length % 6, 0);
    const limits = { [ENABLE_PUSH]: [0, 0], [INITIAL_WINDOW_SIZE]: [0, WINDOW_MAX], [MAX_FRAME_SIZE]: [FRAME_MAX, 2 ** 24 - 1] };
    for (const [id, value] of settingsOf(payload)) {
      const [least, most] = limits[id] ?? [0, 2 ** 32 - 1];
      assert.ok(value >= least && value <= most, `section 6.5.2: setting ${id}`);
      this.settings.set(id, value);
    }
  }

  #checkPing(each, payload) {
    assert.deepEqual([each.stream, payload.length], [0, 8]);
    if (!(each.flags & ACK)) return;
    const at = this.#pings.findIndex((mine) => mine.equals(payload));
    assert.ok(at >= 0, 'section 6.7: the answer to no PING of ours');
    this.#pings.splice(at, 1);
  }

  #checkGoaway(each, payload) {
    assert.equal(each.stream, 0);
    assert.ok(payload.length >= 8, 'section 6.8');
    const last = payload.readUInt32BE() & 0x7fffffff;
    const before = this.goaway;
    this.goaway = { last, code: payload.readUInt32BE(4), debug: payload.toString('latin1', 8) };
    assert.ok(before === undefined || last <= before.last, 'section 6.8: the last stream must not grow');
    assert.ok(last === WINDOW_MAX || last <= this.highest, 'section 6.8: a last stream that we have not opened');
  }

  #checkWindowUpdate(each, payload) {
    assert.equal(payload.length, 4);
    assert.ok(payload.readUInt32BE() > 0, 'section 6.9: an increment of 0');
    if (each.stream !== 0) this.#response(each);
  }

  /** What the server has said on a stream. */
  response(id) {
    if (!this.responses.has(id)) this.responses.set(id, new Response(id));
    return this.responses.get(id);
  }

  /** The next frame (or the end) that `match` takes, skipping others; null when there is none in time. */
  async event(match, ms = patience) {
    const deadline = Date.now() + ms;
    for (;;) {
      while (this.#cursor < this.events.length) {
        const each = this.events[this.#cursor++];
        if (match(each)) return each;
      }
      const left = deadline - Date.now();
      if (this.over !== undefined || left <= 0) return null;
      await this.#change(left);
    }
  }

  /** Waits until look() is true, without skipping anything; false when it never is. */
  async until(look, ms = patience) {
    const deadline = Date.now() + ms;
    while (!look()) {
      const left = deadline - Date.now();
      if (this.over !== undefined || left <= 0) return false;
      await this.#change(left);
    }
    return true;
  }

  #change(ms) {
    return new Promise((done) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        done();
      };
      const timer = setTimeout(settle, ms);
      this.#waiting.add(settle);
    });
  }

  /// Sending ///

  /** Any octets. `text` is for people. */
  raw(bytes, text = `${bytes.length} octets`) {
    if (this.sent.length < 40) this.sent.push(text);
    if (this.over === undefined || this.over === 'FIN') this.socket.write(bytes);
    return this;
  }

  /** Frames, well-formed or not; what follows from them is kept in mind. */
  send(...frames) {
    for (const bytes of frames) {
      const [each] = readFrames(bytes).frames;
      this.note(bytes).raw(bytes, each === undefined ? undefined : describe(each));
    }
    return this;
  }

  /** Keeps frames in mind that are going to be written in another way. */
  note(...frames) {
    for (const bytes of frames) for (const each of readFrames(bytes).frames) this.#remember(each);
    return this;
  }

  #remember({ type, flags, stream, payload }) {
    if (type === HEADERS && stream % 2 === 1) this.highest = Math.max(this.highest, stream);
    if (type === PING && !(flags & ACK)) this.#pings.push(Buffer.from(payload));
    if (type === SETTINGS && !(flags & ACK)) this.#unacknowledged.push(settingsOf(payload).findLast(([id]) => id === INITIAL_WINDOW_SIZE)?.[1]);
    if (type !== WINDOW_UPDATE || payload.length !== 4) return;
    if (stream === 0) this.#window += payload.readUInt32BE();
    else this.response(stream).granted += payload.readUInt32BE();
  }

  /** Writes one piece of many, and waits while the other side takes nothing. False when it ended, or takes nothing at all. */
  async pour(...frames) {
    this.note(...frames);
    if (this.over !== undefined) return false;
    if (this.socket.write(Buffer.concat(frames))) return true;
    return new Promise((done) => {
      const settle = (result) => {
        clearTimeout(timer);
        this.socket.off('drain', drained).off('close', lost);
        done(result);
      };
      const drained = () => settle(true);
      const lost = () => settle(false);
      const timer = setTimeout(settle, patience, false);
      this.socket.on('drain', drained).on('close', lost);
    });
  }

  /** Preface and SETTINGS, to and fro. */
  async handshake(values = [[INITIAL_WINDOW_SIZE, WINDOW]]) {
    this.raw(PREFACE, 'the preface').send(settings(values));
    const theirs = await this.event((each) => each.type === SETTINGS && !(each.flags & ACK));
    assert.ok(theirs, 'no SETTINGS from the server');
    this.send(frame(SETTINGS, ACK, 0));
    assert.ok(await this.event((each) => each.type === SETTINGS && (each.flags & ACK) !== 0), 'no acknowledgement of SETTINGS');
    return this;
  }

  get maxFrameSize() {
    return this.settings.get(MAX_FRAME_SIZE) ?? FRAME_MAX;
  }

  /** Both directions, for people. */
  transcript() {
    const shorten = (list) => (list.length > 24 ? [...list.slice(0, 12), `… ${list.length - 24} more …`, ...list.slice(-12)] : list);
    return `sent:\n    ${shorten(this.sent).join('\n    ')}\ncame:\n    ${shorten(this.events.map((each) => each.text)).join('\n    ')}`;
  }

  /** Breaks off with a reset: behind a FIN alone the server would wait for windows to open. */
  destroy() {
    this.socket.resetAndDestroy();
  }
}
