// Codes by mail from a board to npm's smtp-server on the host; with TLS where the board has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Certificates } from '../system/certificates.mjs';
import { joinText } from '../system/chat_client.mjs';
import { call, fails, freshEmail } from '../system/curl.mjs';
import { codeIn, startRelay } from '../system/mail_peers.mjs';
import { facts, name, withBoard } from './board.mjs';

const user = 'pipit';
const password = 'a secret!';
const relayOf = { 'mail.host': '10.0.2.2', 'mail.from': 'chat@example.com', 'dev.echo_code': 0 };

async function withRelay(options, keys, use, certificates) {
  const relay = await startRelay(options);
  try {
    const settings = { ...relayOf, 'mail.port': relay.port, ...keys };
    await withBoard({ settings, certificates }, (board) => use(board, relay));
  } finally {
    await relay.stop();
  }
}

// From asking for a code to the chat; the code is nowhere but in the mail. Returns the mail.
async function wholeWay(board, relay, user) {
  const email = freshEmail();
  assert.deepEqual(await call(board, '/get_varifycode', { email }), { error: 0, email });
  const mail = await relay.inbox.to(email);
  assert.deepEqual(mail.envelope, { from: 'chat@example.com', to: [email] });
  const code = codeIn(mail);
  assert.equal((await call(board, '/register', { user, email, password: 'secret123', code })).error, 0);
  const { token } = await call(board, '/login', { user, password: 'secret123' });
  const client = await joinText(board, { token });
  assert.equal(client.name, user);
  await client.leave();
  assert.doesNotMatch(board.console, new RegExp(`(?<![0-9a-f])${code}(?![0-9a-f])|DEVELOPMENT`));
  return mail;
}

test('without TLS: the code arrives, and opens the chat', async (t) => {
  await withRelay({}, { 'mail.tls': 'none' }, async (board, relay) => {
    for (const user of ['alice', 'bob']) assert.equal((await wholeWay(board, relay, user)).secure, false);
    await board.atRest();
    await board.stackIsDeepEnough(t);
  });
});

test('a relay that is not there: 1002 names the step', async () => {
  const relay = await startRelay();
  await relay.stop();
  const keys = { ...relayOf, 'mail.tls': 'none', 'mail.port': relay.port, 'verify.ttl': 5, 'rpc.timeout': 8, 'mail.timeout': 2 };
  await withBoard({ settings: keys }, (board) => fails(board, '/get_verifycode', { email: freshEmail() }, 1002, /connect|timeout/));
});

/// With TLS ///

const ways = {
  'STARTTLS and AUTH': [{ users: { [user]: password } }, { 'mail.tls': 'starttls', 'mail.user': user, 'mail.password': password }],
  'implicit TLS': [{ secure: true }, { 'mail.tls': 'implicit' }],
};

// The authority's certificate comes in the boot note.
async function withCertificates(use) {
  const certificates = await Certificates.make();
  try {
    await use(certificates);
  } finally {
    await certificates.remove();
  }
}

if (facts.tls) {
  for (const [way, [options, keys]] of Object.entries(ways))
    test(`${way}, with a certificate out of the boot note`, (t) =>
      withCertificates(async (certificates) => {
        const relayOptions = { ...options, ...(await certificates.server('relay')) };
        const use = async (board, relay) => {
          const mail = await wholeWay(board, relay, 'alice');
          assert.deepEqual([mail.secure, mail.user], [true, options.users && user]);
          await board.atRest();
          await board.stackIsDeepEnough(t);
          t.diagnostic(`TLS: ${await board.metric('pipit_tls_arena_bytes{kind="high_water"}')} bytes at most`);
        };
        await withRelay(relayOptions, { ...keys, 'mail.ca': 'note' }, use, certificates.ca);
      }));

  test("a stranger's certificate: 1002, and no mail", () =>
    withCertificates(async (certificates) => {
      await certificates.authority('stranger');
      const relayOptions = await certificates.server('relay', { issuer: 'stranger' });
      const use = async (board, relay) => {
        await fails(board, '/get_verifycode', { email: freshEmail() }, 1002, /tls/);
        assert.equal(relay.inbox.mails.length, 0);
        await board.atRest();
      };
      await withRelay(relayOptions, { 'mail.tls': 'starttls', 'mail.ca': 'note' }, use, certificates.ca);
    }));
} else {
  for (const way of ['starttls', 'implicit'])
    test(`${name} has no TLS and says so, rather than to mail a code without: mail.tls=${way}`, () =>
      withRelay({}, { 'mail.tls': way }, async (board, relay) => {
        await fails(board, '/get_verifycode', { email: freshEmail() }, 1002, /TLS/);
        assert.equal(relay.inbox.mails.length, 0);
        await board.atRest();
      }));
}
