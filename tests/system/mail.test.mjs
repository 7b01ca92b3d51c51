// Codes by mail, with npm's smtp-server as the relay: every way to hand a letter over, and what people see of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Certificates } from './certificates.mjs';
import { joinText } from './chat_client.mjs';
import { call, curl, fails, freshEmail } from './curl.mjs';
import { codeIn, startRelay } from './mail_peers.mjs';
import { startPipit } from './pipit.mjs';
import { answer, configure, page, sets, settledSlots, slotsAtRest } from './typed.mjs';

const login = { 'mail.user': 'pipit', 'mail.password': 'a secret, of 24 letters!' };
const users = { [login['mail.user']]: login['mail.password'] };
const base = { 'mail.host': '10.0.2.2', 'mail.from': 'chat@example.com', 'verify.cooldown': 0, 'mail.budget': 0, 'api.rate': 0 };

let certificates;
let certificate;
before(async () => {
  certificates = await Certificates.make();
  certificate = await certificates.server('relay');
});
after(() => certificates.remove());

/** Runs `use(pipit, relay)` with a simulator that mails through a relay of smtp-server with `options`. */
async function withRelay(options, keys, use) {
  const relay = await startRelay(options);
  const pipit = await startPipit({ args: sets({ ...base, 'mail.port': relay.port, 'mail.ca': certificates.ca, ...keys }) });
  try {
    await use(pipit, relay);
    assert.equal(await pipit.stop(), 0);
  } finally {
    await pipit.stop();
    await relay.stop();
  }
}

/** Whether a text has the code, and not only as part of another number. */
const tells = (text, code) => new RegExp(`(?<![0-9a-f])${code}(?![0-9a-f])`).test(text);

/** From asking for a code to the chat; returns what the relay took. No reply of ours and no console may tell the code. */
async function wholeWay(pipit, relay, user) {
  const email = freshEmail();
  const replies = [await curl(pipit, '/get_varifycode', { body: JSON.stringify({ email }) })];
  assert.deepEqual(replies[0].json, { error: 0, email });
  const mail = await relay.inbox.to(email);
  assert.deepEqual(mail.envelope, { from: 'chat@example.com', to: [email] });
  const code = codeIn(mail);
  const wrong = String((Number(code) + 1) % 1e6).padStart(6, '0');
  await fails(pipit, '/register', { user, email, password: 'secret123', code: wrong }, 1005);
  for (const [route, body] of [
    ['/register', { user, email, password: 'secret123', code }],
    ['/login', { user, password: 'secret123' }],
  ]) {
    replies.push(await curl(pipit, route, { body: JSON.stringify(body) }));
    assert.equal(replies.at(-1).json?.error, 0, replies.at(-1).text);
  }
  await fails(pipit, '/register', { user: `${user}2`, email, password: 'secret123', code }, 1004);
  for (const { text } of replies) assert.ok(!tells(text, code), text);
  for (const at of ['/status', '/metrics']) assert.ok(!tells(await page(pipit, at), code), at);
  assert.ok(!tells(pipit.console, code), pipit.console);
  return { mail, token: replies[2].json.token };
}

/// What a mail is like, and what comes after it ///

describe('a mail', { concurrency: 6 }, () => {
  test('STARTTLS and AUTH PLAIN: the code arrives, and two people chat', async () => {
    await withRelay({ ...certificate, users, authMethods: ['PLAIN'] }, login, async (pipit, relay) => {
      const one = await wholeWay(pipit, relay, 'alice');
      const two = await wholeWay(pipit, relay, 'bob');
      assert.deepEqual([one.mail.secure, one.mail.user, two.mail.user], [true, 'pipit', 'pipit']);
      for (const { method, secure } of relay.logins) assert.deepEqual([method, secure], ['PLAIN', true]);
      const alice = await joinText(pipit, { token: one.token });
      const bob = await joinText(pipit, { token: two.token });
      assert.deepEqual([alice.name, bob.name], ['alice', 'bob']);
      await alice.expect('[system] bob joined');
      bob.say('hello');
      await alice.expect('[bob] hello');
      await bob.expect('[bob] hello');
      await Promise.all([alice.leave(), bob.leave()]);
      assert.doesNotMatch(pipit.console, /DEVELOPMENT/);
    });
  });

  test('the letter: From, To, Subject, Date, Message-ID, MIME, a body for people', async () => {
    const subject = 'Dein Prüfcode für den Pipit-Plausch – 確認コード 🐦, bitte nicht weitergeben';
    await withRelay({}, { 'mail.tls': 'none', 'mail.subject': subject }, async (pipit, relay) => {
      const ids = new Set();
      for (const user of ['alice', 'bob']) {
        const { mail } = await wholeWay(pipit, relay, user);
        const { fields, envelope } = mail;
        assert.match(fields.get('from'), /^(?:.* )?<?chat@example\.com>?$/);
        assert.match(fields.get('to'), new RegExp(`^<?${envelope.to[0]}>?$`));
        assert.equal(fields.get('subject'), subject);
        assert.match(fields.get('date'), /^(?:\w{3}, )?\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/);
        assert.ok(Math.abs(Date.now() - Date.parse(fields.get('date'))) < 120_000, fields.get('date'));
        assert.match(fields.get('message-id'), /^<[^\s<>@]+@[^\s<>@]+>$/);
        ids.add(fields.get('message-id'));
        assert.equal(fields.get('mime-version'), '1.0');
        assert.match(fields.get('content-type'), /^text\/plain; *charset="?utf-8"?$/i);
        assert.match(mail.body, /3 minutes|180 seconds/i);
        assert.doesNotMatch(mail.raw.slice(0, mail.raw.indexOf('\r\n\r\n')), /[^\x20-\x7e\r\n\t]/, 'the header is ASCII');
      }
      assert.equal(ids.size, 2);
    });
  });

  test('a plain subject goes as it is; `set mail.subject` counts for the next mail', async () => {
    await withRelay({}, { 'mail.tls': 'none' }, async (pipit, relay) => {
      await call(pipit, '/get_varifycode', { email: 'one@example.com' });
      assert.match((await relay.inbox.next()).raw, /^Subject: [ -~]+\r$/m);
      await configure(pipit, { 'mail.subject': 'Another one' });
      await call(pipit, '/get_varifycode', { email: 'two@example.com' });
      assert.equal((await relay.inbox.next()).fields.get('subject'), 'Another one');
    });
  });
});

/// Ways to hand it over ///

describe('hand-over', { concurrency: 6 }, () => {
  describe('relays of every kind', () => {
    const ways = {
      'no TLS, no AUTH': [{}, { 'mail.tls': 'none' }, { secure: false }],
      'no TLS although STARTTLS is offered': [() => certificate, { 'mail.tls': 'none' }, { secure: false }],
      'STARTTLS, no AUTH': [() => certificate, {}, { secure: true }],
      'STARTTLS and AUTH LOGIN only': [
        () => ({ ...certificate, users, authMethods: ['LOGIN'] }),
        login,
        { secure: true, user: 'pipit', method: 'LOGIN' },
      ],
      'implicit TLS and AUTH': [
        () => ({ ...certificate, secure: true, users }),
        { ...login, 'mail.tls': 'implicit' },
        { secure: true, user: 'pipit' },
      ],
      'a relay that knows HELO alone': [{ disabledCommands: ['EHLO', 'AUTH', 'STARTTLS'] }, { 'mail.tls': 'none' }, { secure: false }],
      'a relay without PIPELINING': [() => ({ ...certificate, users, hidePIPELINING: true }), login, { secure: true, user: 'pipit' }],
      'a relay with no extension at all': [
        { hidePIPELINING: true, hide8BITMIME: true, hideSMTPUTF8: true, hideSize: true, hideENHANCEDSTATUSCODES: true, hideDSN: true },
        { 'mail.tls': 'none' },
        { secure: false },
      ],
      'AUTH over a plain connection where it is allowed': [
        { users, allowInsecureAuth: true, hideSTARTTLS: true },
        { ...login, 'mail.tls': 'none', 'mail.insecure_auth': 1 },
        { secure: false, user: 'pipit' },
      ],
    };
    for (const [what, [options, keys, wanted]] of Object.entries(ways)) {
      test(what, async () => {
        await withRelay(typeof options === 'function' ? options() : options, keys, async (pipit, relay) => {
          const before = await settledSlots(pipit);
          const { mail } = await wholeWay(pipit, relay, 'alice');
          assert.equal(mail.secure, wanted.secure);
          assert.equal(mail.user, wanted.user);
          if (wanted.method !== undefined)
            assert.deepEqual(
              relay.logins.map(({ method }) => method),
              [wanted.method],
            );
          await slotsAtRest(pipit, before, { only: /mail|tls/ });
        });
      });
    }

    for (const [kind, make] of [
      ['RSA', () => certificates.server('rsa', { algorithm: 'rsa' })],
      [
        'ECDSA behind an intermediate authority',
        async () => {
          await certificates.authority('middle', { issuer: 'ca' });
          return certificates.server('behind', { issuer: 'middle', chain: ['middle'] });
        },
      ],
      ['one name of many', () => certificates.server('many', { names: ['DNS:other.example', 'IP:192.0.2.1', 'IP:10.0.2.2'] })],
    ])
      test(`a certificate: ${kind}`, async () => {
        await withRelay(await make(), {}, async (pipit, relay) => {
          assert.equal((await wholeWay(pipit, relay, 'alice')).mail.secure, true);
        });
      });

    test('TLS 1.2 alone, with each cipher that relays prefer', async () => {
      for (const ciphers of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305'])
        await withRelay({ ...certificate, ciphers, maxVersion: 'TLSv1.2' }, {}, async (pipit, relay) => {
          assert.equal((await call(pipit, '/get_varifycode', { email: 'c@example.com' })).error, 0, ciphers);
          assert.equal((await relay.inbox.next()).secure, true);
        });
    });

    test('mail.verify=0 takes any certificate, and says so', async () => {
      const foreign = await (async () => {
        await certificates.authority('stranger');
        return certificates.server('strange', { issuer: 'stranger', names: ['DNS:nobody.example'] });
      })();
      await withRelay(foreign, { 'mail.verify': 0 }, async (pipit, relay) => {
        await wholeWay(pipit, relay, 'alice');
        await pipit.shows(/mail\.verify|certificate/i);
      });
    });
  });

  test('AUTH over a plain connection is refused, and no word of the password goes out', async () => {
    await withRelay({ users, allowInsecureAuth: true, hideSTARTTLS: true }, { ...login, 'mail.tls': 'none' }, async (pipit, relay) => {
      await fails(pipit, '/get_varifycode', { email: 'a@example.com' }, 1002, /auth/);
      assert.deepEqual([relay.logins, relay.inbox.mails], [[], []]);
      await configure(pipit, { 'mail.insecure_auth': 1 });
      assert.equal((await call(pipit, '/get_varifycode', { email: 'a@example.com' })).error, 0);
      assert.deepEqual(
        relay.logins.map(({ user, secure }) => [user, secure]),
        [['pipit', false]],
      );
    });
  });
});

/// The mode and the limits ///

describe('mode and limits', { concurrency: 6 }, () => {
  test('without a relay: a loud banner, and the code in the reply and on the console', async () => {
    const pipit = await startPipit({ args: sets({ 'verify.cooldown': 0 }) });
    await pipit.shows(/^DEVELOPMENT MODE/m);
    const { code } = await call(pipit, '/get_varifycode', { email: 'a@example.com' });
    assert.match(code, /^\d{6}$/);
    await pipit.shows(new RegExp(`code for a@example\\.com is ${code}`));
    assert.equal(await pipit.stop(), 0);
  });

  test('with a relay there is no banner; the code is asked for too soon; the budget ends', async () => {
    const keys = { 'mail.tls': 'none', 'verify.cooldown': 60, 'mail.budget': 3 };
    await withRelay({}, keys, async (pipit, relay) => {
      assert.doesNotMatch(pipit.console, /DEVELOPMENT/);
      assert.equal((await call(pipit, '/get_varifycode', { email: 'a@example.com' })).error, 0);
      const again = await fails(pipit, '/get_varifycode', { email: 'A@example.com' }, 1011);
      assert.ok(again.retry_after >= 1 && again.retry_after <= 60, `${again.retry_after}`);
      for (const email of ['b@example.com', 'c@example.com']) assert.equal((await call(pipit, '/get_varifycode', { email })).error, 0);
      const spent = await fails(pipit, '/get_varifycode', { email: 'd@example.com' }, 1011);
      assert.ok(spent.retry_after >= 1 && spent.retry_after <= 4000, `${spent.retry_after}`);
      assert.equal(relay.inbox.mails.length, 3);
    });
  });

  test('asking again replaces the code of the first mail', async () => {
    await withRelay({}, { 'mail.tls': 'none' }, async (pipit, relay) => {
      const email = 'twice@example.com';
      const codes = [];
      for (let i = 0; i < 2; i++) {
        await call(pipit, '/get_varifycode', { email });
        codes.push(codeIn(await relay.inbox.next()));
      }
      const account = { user: 'twice', email, password: 'secret123' };
      if (codes[0] !== codes[1]) await fails(pipit, '/register', { ...account, code: codes[0] }, 1005);
      assert.equal((await call(pipit, '/register', { ...account, code: codes[1] })).error, 0);
    });
  });

  test('100 people ask at once: every one has their own code', async () => {
    await withRelay({}, { 'mail.tls': 'none' }, async (pipit, relay) => {
      const emails = Array.from({ length: 100 }, (none, i) => `many${i}@example.com`);
      const replies = await Promise.all(emails.map((email) => pipit.post('/get_varifycode', { email }, { connection: 'close' })));
      for (const [i, { body }] of replies.entries()) assert.deepEqual(body, { error: 0, email: emails[i] });
      assert.equal(relay.inbox.mails.length, 100);
      for (const email of [emails[0], emails[57], emails[99]]) {
        const code = codeIn(await relay.inbox.to(email));
        const body = { user: email.split('@')[0], email, password: 'secret123', code };
        assert.equal((await call(pipit, '/register', body)).error, 0, email);
      }
    });
  });
});

/// The console's `mail test` ///

describe('the console', { concurrency: 6 }, () => {
  test('`mail test` shows the conversation and the outcome, and never the password', async () => {
    await withRelay({ ...certificate, users }, login, async (pipit, relay) => {
      const from = pipit.console.length;
      pipit.type('mail test someone@example.com');
      const mail = await relay.inbox.to('someone@example.com');
      assert.deepEqual(mail.envelope.to, ['someone@example.com']);
      for (const line of [
        /S: 220/,
        /C: EHLO/,
        /C: STARTTLS/,
        /TLS.*1\.2/,
        /C: AUTH/,
        /C: MAIL FROM:<chat@example\.com>/,
        /C: RCPT TO:<someone@example\.com>/,
        /S: 354/,
        /S: 250/,
      ])
        await pipit.shows(line);
      await pipit.shows(/accept|taken|sent/i);
      const shown = pipit.console.slice(from);
      const { 'mail.user': user, 'mail.password': password } = login;
      for (const secret of [password, `\0${user}\0${password}`]) {
        assert.ok(!shown.includes(secret), 'the password');
        assert.ok(!shown.includes(Buffer.from(secret).toString('base64').replace(/=+$/, '')), 'the password in base64');
      }
      for (const command of ['config', 'get mail.password']) assert.ok(!(await answer(pipit, command)).includes(password), command);
    });
  });

  test('`mail test` says what is wrong', async () => {
    await withRelay({ ...certificate, users }, { ...login, 'mail.password': 'not that one' }, async (pipit) => {
      pipit.type('mail test someone@example.com');
      await pipit.shows(/auth: .*535/);
      assert.ok(!pipit.console.includes('not that one'));
      assert.match(await answer(pipit, 'mail test nonsense'), /\S/);
      await configure(pipit, { 'mail.host': '' });
      assert.match(await answer(pipit, 'mail test someone@example.com'), /relay|mail\.host/);
    });
  });
});
