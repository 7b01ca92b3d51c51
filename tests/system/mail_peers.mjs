// Relays for the mail client: npm's smtp-server, which is a proper one, and relays that follow a script, which need not be.
// And a reader of messages that takes RFC 5322 and RFC 2047 at their word.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { SMTPServer } from 'smtp-server';
import { within } from './chat_client.mjs';

/// Messages ///

// RFC 2047 section 2: at most 75 characters, each word with whole characters; section 6.2: white space between two of
// them is not shown.
function decodeWords(value) {
  const word = /=\?([\w-]+)\?([BbQq])\?([!->@-~]*)\?=/g;
  const joined = value.replace(/(\?=)\s+(=\?)/g, '$1$2');
  return joined.replace(word, (all, charset, encoding, text) => {
    assert.ok(all.length <= 75, `an encoded word of ${all.length} characters`);
    assert.match(charset, /^utf-8$/i);
    const bytes = /b/i.test(encoding) ? Buffer.from(text, 'base64') : quotedPrintable(text.replaceAll('_', ' '));
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  });
}

function quotedPrintable(text) {
  const joined = text.replace(/=\r\n/g, '');
  return Buffer.from(
    joined.replace(/=([0-9A-F]{2})/g, (all, digits) => String.fromCharCode(parseInt(digits, 16))),
    'latin1',
  );
}

const transferDecoders = {
  '7bit': (body) => body,
  '8bit': (body) => body,
  'quoted-printable': (body) => quotedPrintable(body.toString('latin1')),
  base64: (body) => {
    assert.match(body.toString('latin1'), /^(?:[A-Za-z0-9+/=]{1,76}\r\n)*$/);
    return Buffer.from(body.toString('latin1'), 'base64');
  },
};

/** Reads a message as it came over the wire: {fields: Map of lower-case name to value, body}. */
export function parseMail(bytes) {
  const text = bytes.toString('latin1');
  assert.ok(!/\r(?!\n)|(?<!\r)\n/.test(text), 'RFC 5321 section 2.3.8: CR and LF only together');
  for (const line of text.split('\r\n')) assert.ok(line.length <= 998, 'RFC 5322 section 2.1.1: a long line');
  const end = text.indexOf('\r\n\r\n');
  assert.ok(end > 0, 'no end of the header');
  const fields = new Map();
  for (const field of text.slice(0, end).split(/\r\n(?![ \t])/)) {
    const [, name, value] = field.match(/^([!-9;-~]+):([^]*)$/) ?? assert.fail(`no field: ${field}`);
    assert.ok(!fields.has(name.toLowerCase()), `${name} twice`);
    const line = Buffer.from(value.replace(/\r\n/g, '').trim(), 'latin1').toString('utf8');
    fields.set(name.toLowerCase(), decodeWords(line));
  }
  const encoding = (fields.get('content-transfer-encoding') ?? '7bit').toLowerCase();
  const body = transferDecoders[encoding](bytes.subarray(end + 4));
  return { fields, body: new TextDecoder('utf-8', { fatal: true }).decode(body), raw: text };
}

/** The one code of six digits that the body has, on a line of its own. */
export function codeIn(mail) {
  const codes = mail.body.match(/(?<!\d)\d{6}(?!\d)/g) ?? [];
  assert.equal(codes.length, 1, `codes in ${JSON.stringify(mail.body)}`);
  assert.match(mail.body, new RegExp(`^\\s*${codes[0]}\\s*$`, 'm'), 'the code has a line of its own');
  return codes[0];
}

/// A proper relay ///

/** Keeps what arrives, and lets tests wait for the next. */
class Inbox {
  constructor() {
    this.mails = [];
    this.taken = 0;
    this.wake = () => {};
  }

  put(mail) {
    this.mails.push(mail);
    this.wake();
  }

  async next(ms = 10_000) {
    while (this.taken === this.mails.length) await within(new Promise((done) => (this.wake = done)), 'no mail', ms);
    return this.mails[this.taken++];
  }

  /** The first mail to `recipient`. */
  async to(recipient) {
    for (;;) {
      const found = this.mails.find((mail) => mail.envelope.to.includes(recipient));
      if (found !== undefined) return found;
      await within(new Promise((done) => (this.wake = done)), `no mail to ${recipient}`);
    }
  }
}

/**
 * smtp-server on a free port of 127.0.0.1 (or of `address`). Options are its own (secure, key, cert, authMethods, disabledCommands,
 * hidePIPELINING ...), and `users`: {name: password}. `relay.inbox` has what arrived: {envelope: {from, to}, secure,
 * user, method, helo, ...parseMail()}; `relay.logins` every try as {method, user, password, secure}.
 */
export async function startRelay({ users, address = '127.0.0.1', ...options } = {}) {
  const relay = { inbox: new Inbox(), logins: [], connections: 0 };
  const server = new SMTPServer({
    authOptional: users === undefined,
    disabledCommands: users === undefined ? ['AUTH'] : [],
    disableReverseLookup: true,
    logger: false,
    onConnect(session, done) {
      relay.connections++;
      done();
    },
    onAuth({ method, username, password }, session, done) {
      relay.logins.push({ method, user: username, password, secure: session.secure });
      if (users[username] === password) done(null, { user: username });
      else done(Object.assign(new Error('Authentication credentials invalid'), { responseCode: 535 }));
    },
    onData(stream, session, done) {
      const pieces = [];
      stream.on('data', (piece) => pieces.push(piece));
      stream.on('end', () => {
        const envelope = { from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map((each) => each.address) };
        const { secure, user, hostNameAppearsAs: helo } = session;
        relay.inbox.put({ envelope, secure, user: user || undefined, helo, ...parseMail(Buffer.concat(pieces)) });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => {}); // a client that broke off its handshake
  const listener = server.listen(0, address);
  await once(listener, 'listening');
  relay.port = listener.address().port;
  relay.stop = () => new Promise((done) => server.close(done));
  return relay;
}

/// A relay after a script ///

const CONTENT_END = Buffer.from('\r\n.\r\n');

class Conversation {
  constructor(relay, socket) {
    this.relay = relay;
    this.commands = [];
    this.open = true;
    this.#adopt(socket);
  }

  #adopt(stream) {
    this.stream = stream;
    this.received = Buffer.alloc(0);
    this.wake = () => {};
    stream.on('data', (bytes) => {
      if (stream !== this.stream) return;
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      if (stream !== this.stream) return;
      this.open = false;
      this.wake();
    });
    stream.on('end', () => stream === this.stream && stream.end());
  }

  /** Bytes up to and with `mark`; null when the connection ends before. */
  async #until(mark) {
    for (;;) {
      const at = this.received.indexOf(mark);
      if (at >= 0) {
        const bytes = this.received.subarray(0, at + mark.length);
        this.received = this.received.subarray(at + mark.length);
        return bytes;
      }
      if (!this.open) return null;
      await new Promise((done) => (this.wake = done));
    }
  }

  async #line() {
    const line = await this.#until(Buffer.from('\r\n'));
    return line === null ? null : line.toString('utf8', 0, line.length - 2);
  }

  async #content() {
    this.received = Buffer.concat([Buffer.from('\r\n'), this.received]); // so that an empty one ends too
    const content = await this.#until(CONTENT_END);
    return content?.subarray(2, content.length - 3);
  }

  async #answer(step, line = '') {
    const what = this.relay.what(step);
    const reply = typeof what === 'function' ? await what(this, line) : what;
    if (typeof reply !== 'string') return '';
    await this.say(`${reply}\r\n`);
    return reply;
  }

  /** Writes bytes as they are, one by one when the relay dribbles. */
  async say(bytes) {
    if (!this.relay.dribbles) {
      this.stream.write(bytes);
      return;
    }
    for (const [i, byte] of Buffer.from(bytes).entries()) {
      if (i > 0) await new Promise(setImmediate); // and not behind the last one: what comes then may be TLS
      this.stream.write(Buffer.of(byte));
    }
  }

  /** Ends the connection from this side, with `bytes` as last words. */
  hangUp(bytes = '') {
    this.stream.end(bytes);
  }

  /** Breaks it off. */
  reset() {
    (this.raw ?? this.stream).resetAndDestroy();
  }

  async secure() {
    this.raw ??= this.stream;
    const secured = new tls.TLSSocket(this.raw, { isServer: true, secureContext: tls.createSecureContext(this.relay.certificate) });
    this.#adopt(secured);
    await Promise.race([once(secured, 'secure'), once(secured, 'close')]).catch(() => {});
    this.secured = this.open;
  }

  async talk() {
    if (this.relay.implicit) await this.secure();
    await this.#answer('greeting');
    for (let line = await this.#line(); line !== null; line = await this.#line()) {
      this.commands.push(line);
      await this.#obey(line);
    }
  }

  async #obey(line) {
    const verb = line.split(' ')[0].toUpperCase();
    const reply = await this.#answer(verb, line);
    if (verb === 'STARTTLS' && reply.startsWith('220')) await this.secure();
    if (verb === 'AUTH') await this.#credentials(reply);
    if (verb === 'DATA' && reply.startsWith('354')) await this.#message();
    if (verb === 'QUIT') this.hangUp();
  }

  async #credentials(reply) {
    while (reply.startsWith('334')) {
      const line = await this.#line();
      if (line === null) return;
      this.commands.push(line);
      reply = await this.#answer('response', line);
    }
  }

  async #message() {
    const content = await this.#content();
    if (content === undefined) return;
    this.relay.contents.push(content.toString('utf8'));
    await this.#answer('content');
  }
}

const goodScript = {
  greeting: '220 relay.example ready',
  EHLO: ({ secured }) =>
    ['250-relay.example', '250-PIPELINING', '250-SIZE 1000000', '250-8BITMIME', ...(secured ? [] : ['250-STARTTLS']), '250 AUTH PLAIN LOGIN'].join(
      '\r\n',
    ),
  HELO: '250 relay.example',
  STARTTLS: '220 go ahead',
  AUTH: '235 accepted',
  response: '235 accepted',
  MAIL: '250 sender ok',
  RCPT: '250 recipient ok',
  DATA: '354 end with a dot',
  content: '250 queued',
  QUIT: '221 bye',
  RSET: '250 ok',
  NOOP: '250 ok',
};

/**
 * A relay that does at each step what its script says, and what a good one does at the others. A step is `greeting`, a
 * verb, `response` (a line of AUTH), or `content` (after the dot). What to do is a reply without its last CRLF, or a
 * function of the conversation that returns one, or nothing when none is to be sent; it may take its time. An array
 * has one of these for each time that the step is reached, by whomever; the last one stays.
 */
export class ScriptedRelay {
  /** Options: address, certificate {key, cert}, implicit (TLS from the first byte), dribbles (replies byte by byte). */
  static async start(script = {}, { address = '127.0.0.1', ...options } = {}) {
    const relay = new ScriptedRelay();
    Object.assign(relay, { script: { ...goodScript, ...script }, reached: new Map(), contents: [], conversations: [], sockets: new Set() }, options);
    relay.server = net.createServer((socket) => relay.#accept(socket)).listen(0, address);
    await once(relay.server, 'listening');
    relay.port = relay.server.address().port;
    return relay;
  }

  #accept(socket) {
    socket.setNoDelay(true);
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    const conversation = new Conversation(this, socket);
    this.conversations.push(conversation);
    this.wake?.();
    conversation.talk();
  }

  what(step) {
    const script = this.script[step] ?? '500 what?';
    const times = this.reached.get(step) ?? 0;
    this.reached.set(step, times + 1);
    this.wake?.();
    return Array.isArray(script) ? script[Math.min(times, script.length - 1)] : script;
  }

  /** Waits until a step was reached `times` times. */
  async at(step, times = 1, ms = 10_000) {
    while ((this.reached.get(step) ?? 0) < times) await within(new Promise((done) => (this.wake = done)), `${step} was not reached`, ms);
  }

  /** Waits until no client is connected. */
  async deserted(ms = 10_000) {
    const all = [...this.sockets].map((socket) => once(socket, 'close').catch(() => {}));
    await within(Promise.all(all), 'the mail client kept its connection', ms);
  }

  stop() {
    for (const socket of this.sockets) socket.destroy();
    return new Promise((done) => this.server.close(done));
  }
}

/** A step that never answers; nor is anything answered that comes behind it. */
export const silence = () => new Promise(() => {});
/** A step where the relay goes away, with last words perhaps. */
export const hangUp =
  (words = '') =>
  (conversation) =>
    conversation.hangUp(words);
export const reset = (conversation) => conversation.reset();

/** A step whose answer is held back: {step, release(reply)}. */
export function held() {
  let release;
  const answer = new Promise((done) => (release = done));
  return { step: () => answer, release };
}
