// Relays that refuse, stall, lie and vanish, at every step: the reply names the step, nobody waits for ever, the same
// email can ask again at once, and nothing stays in use.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Certificates } from './certificates.mjs';
import { joinText } from './chat_client.mjs';
import { call, fails } from './curl.mjs';
import { hangUp, held, reset, ScriptedRelay, silence } from './mail_peers.mjs';
import { freePort, startPipit } from './pipit.mjs';
import { post, Raw } from './raw.mjs';
import { configure, sets, settledSlots, slotsAtRest } from './typed.mjs';

// Scenarios run beside each other, each with a simulator of its own for the time being.
const STATIONS = 10;
const SCENARIOS = 200;
const PATIENT = 15; // s, rpc.timeout's default
const BRISK = 3; // for those that last as long as they may
const LASTING = 8; // long enough for more than one try

const base = { 'mail.from': 'chat@example.com', 'mail.budget': 0, 'api.rate': 0, 'log.level': 'debug' };
// What a scenario starts from, and what works again after it: a relay that does everything right.
const sound = () => ({
  'mail.host': '10.0.2.2',
  'mail.port': good.port,
  'mail.tls': 'starttls',
  'mail.user': '',
  'mail.ca': certificates.ca,
  'rpc.timeout': PATIENT,
  'verify.cooldown': 0,
  'chat.rate': 10,
});

let certificates;
let certificate;
let good; // a relay that does everything right
let stations;

before(async () => {
  certificates = await Certificates.make();
  certificate = await certificates.server('relay');
  good = await ScriptedRelay.start({}, { certificate });
  stations = await Promise.all(Array.from({ length: STATIONS }, () => startPipit({ args: sets({ ...base, ...sound() }) })));
  await Promise.all(
    stations.map(async (pipit) => {
      await call(pipit, '/get_varifycode', { email: 'first@example.com' });
      pipit.before = await settledSlots(pipit);
    }),
  );
  free.push(...stations);
});

after(async () => {
  try {
    for (const pipit of stations) await slotsAtRest(pipit, pipit.before);
  } finally {
    for (const pipit of stations) assert.equal(await pipit.stop(), 0);
    await good.stop();
    await certificates.remove();
  }
});

const free = [];
const queue = [];

async function withStation(use) {
  const pipit = free.pop() ?? (await new Promise((done) => queue.push(done)));
  try {
    await configure(pipit, sound());
    return await use(pipit);
  } finally {
    const next = queue.shift();
    if (next) next(pipit);
    else free.push(pipit);
  }
}

let emails = 0;

// The good relay takes what the bad one did not, at once: no cooldown, no slot, no connection is left behind.
async function recovers(pipit, email) {
  await configure(pipit, { ...sound(), 'verify.cooldown': 60 });
  const reply = await call(pipit, '/get_varifycode', { email });
  assert.deepEqual(reply, { error: 0, email }, JSON.stringify(reply));
  assert.ok(
    good.contents.some((content) => content.includes(email)),
    'the letter',
  );
  await slotsAtRest(pipit, pipit.before);
}

/** With `keys` set, asking for a code fails with 1002 and a sentence that matches `step`; then all is well again. */
async function failing(keys, step, use = () => {}) {
  await withStation(async (pipit) => {
    const email = `fault${++emails}@example.com`;
    await configure(pipit, { 'rpc.timeout': BRISK, ...keys, 'verify.cooldown': 60 });
    const { message } = await fails(pipit, '/get_varifycode', { email }, 1002, step);
    assert.doesNotMatch(message, /[^\x20-\x7e]/, 'for people');
    await use(pipit, email, message);
    // What says something about the address, or may have brought a mail, keeps the cooldown.
    const spent = /\b(?:recipient|data)\b|may have gone out/.test(message);
    if (spent) await fails(pipit, '/get_varifycode', { email }, 1011, /./);
    await recovers(pipit, spent ? `again-${email}` : email);
  });
}

const tlsKeys = { 'mail.tls': 'starttls' };
const plainKeys = { 'mail.tls': 'none' };
const authKeys = { 'mail.tls': 'starttls', 'mail.user': 'pipit', 'mail.password': 'correct-horse-battery' };

/** Runs `use(relay)` with a relay that follows a script; nobody stays connected to it. */
async function withScript(script, options, use) {
  const relay = await ScriptedRelay.start(script, { certificate, ...options });
  try {
    await use(relay);
    await relay.deserted();
  } finally {
    await relay.stop();
  }
}

/** A scenario with a scripted relay: asking fails at `step`, whatever is tried again. */
function refusing(name, step, script, { keys = plainKeys, relay: options = {}, then = () => {} } = {}) {
  test(name, () =>
    withScript(script, options, (relay) => failing({ 'mail.port': relay.port, ...keys }, step, (pipit, email, message) => then(relay, message))),
  );
}

/** A scenario where the trouble passes: the letter arrives in the end, once. */
function passing(name, script, { keys = plainKeys, relay: options = {}, connections, letters = 1 } = {}) {
  test(name, () =>
    withScript(script, options, (relay) =>
      withStation(async (pipit) => {
        const email = `passing${++emails}@example.com`;
        await configure(pipit, { 'mail.port': relay.port, ...keys });
        assert.deepEqual(await call(pipit, '/get_varifycode', { email }), { error: 0, email });
        const contents = relay.contents.filter((content) => content !== ''); // a lone dot is how a DATA too many is ended
        assert.equal(contents.length, letters);
        for (const content of contents) assert.match(content, new RegExp(`^To: <?${email}>?\\r$`, 'm'));
        if (connections !== undefined) assert.equal(relay.conversations.length, connections);
        await recovers(pipit, `after-${email}`);
      }),
    ),
  );
}

const ehlo = (...keywords) => ['relay.example', ...keywords].map((word, i, all) => `250${i === all.length - 1 ? ' ' : '-'}${word}`).join('\r\n');
function talksOn(conversation) {
  conversation.stream.write('220 go\r\n');
  setTimeout(() => conversation.stream.write('250 ok\r\n'), 200);
}

function endless(conversation, bytes) {
  const more = () => {
    while (conversation.open && conversation.stream.write(bytes)) continue;
  };
  conversation.stream.on('drain', more);
  more();
}

// All at once: the stations say how many there are in fact.
describe('a relay', { concurrency: SCENARIOS }, () => {
  describe('no conversation at all', { concurrency: SCENARIOS }, () => {
    test('nobody listens', async () => {
      await failing({ 'mail.port': await freePort() }, /connect/);
    });
    refusing('the relay hangs up without a word', /connect/, { greeting: hangUp() });
    refusing('the relay breaks off without a word', /connect/, { greeting: reset });
    refusing('greeting 554', /connect.*554/, { greeting: '554 no service here' }, { then: (relay) => assert.equal(relay.conversations.length, 1) });
    refusing(
      'greeting 421',
      /connect.*421/,
      { greeting: '421 too busy' },
      { keys: { ...plainKeys, 'rpc.timeout': LASTING }, then: (relay) => assert.ok(relay.conversations.length > 1) },
    );
    refusing('EHLO and HELO are refused', /connect/, { EHLO: '500 what?', HELO: '502 no' });
    passing('EHLO 500, then HELO', { EHLO: '500 what?' });
    passing('EHLO 502 in several lines, then HELO', { EHLO: '502-what\r\n502 is that' });
  });

  /// TLS ///

  describe('TLS', { concurrency: SCENARIOS }, () => {
    const keys = tlsKeys;
    const noContent = (relay) => assert.deepEqual([relay.contents, relay.reached.get('MAIL'), relay.reached.get('AUTH')], [[], undefined, undefined]);
    const then = noContent;
    refusing('STARTTLS is not offered', /tls/, { EHLO: ehlo('PIPELINING', 'AUTH PLAIN') }, { keys: authKeys, then });
    refusing('STARTTLS is refused', /tls.*454/, { STARTTLS: '454 not now' }, { keys, then });
    refusing('STARTTLS 502', /tls.*502/, { STARTTLS: '502 what?' }, { keys: authKeys, then });
    for (const [name, make, reason] of [
      ['of another name', () => certificates.server('named', { names: ['DNS:relay.example', 'IP:10.0.2.3'] }), /name/],
      ['that names the address only as its subject', () => certificates.server('10.0.2.2', { names: ['DNS:relay.example'] }), /name/],
      ['that names the address as a DNS name', () => certificates.server('dns', { names: ['DNS:10.0.2.2'] }), /name/],
      [
        'of another authority',
        async () => {
          await certificates.authority('stranger');
          return certificates.server('strange', { issuer: 'stranger' });
        },
        /trust|authority|issuer|unknown|CA/i,
      ],
      [
        'of an authority with the right name and another key',
        async () => {
          const other = await Certificates.make(); // its authority is called `ca` as well
          const made = await other.server('relay');
          await other.remove();
          return made;
        },
        /trust|authority|issuer|unknown|CA|signature/i,
      ],
      ['that has expired', () => certificates.expired('expired'), /expired/],
      ['of tomorrow', () => certificates.server('tomorrow', { from: Date.now() + 3_600_000 }), /not.*valid|future|yet/],
      [
        'without the authority in between',
        async () => {
          await certificates.authority('between', { issuer: 'ca' });
          return certificates.server('alone', { issuer: 'between' });
        },
        /trust|authority|issuer|unknown|CA/i,
      ],
    ])
      for (const implicit of [false, true])
        test(`a certificate ${name}, ${implicit ? 'implicit TLS' : 'STARTTLS'}`, async () => {
          await withScript({}, { certificate: await make(), implicit }, (relay) =>
            failing({ ...authKeys, 'mail.port': relay.port, 'mail.tls': implicit ? 'implicit' : 'starttls' }, /tls/, (pipit, email, message) => {
              assert.match(message, reason);
              noContent(relay);
            }),
          );
        });

    refusing(
      'bytes put behind the 220 of STARTTLS',
      /tls/,
      {
        STARTTLS: (conversation) => conversation.stream.write('220 go ahead\r\n250 injected\r\n'),
      },
      { keys: authKeys, then },
    );
    refusing(
      'rubbish instead of a ServerHello',
      /tls/,
      {
        STARTTLS: async (conversation) => {
          conversation.stream.once('data', () => conversation.stream.write(Buffer.concat([Buffer.from([22, 3, 3, 0, 90]), randomBytes(2000)])));
          await conversation.say('220 go ahead\r\n');
        },
      },
      { keys, then },
    );
    refusing('SMTP where TLS is expected', /tls/, {}, { keys: { 'mail.tls': 'implicit' }, then });
    refusing(
      'closed in the middle of the handshake',
      /tls/,
      {
        STARTTLS: async (conversation) => {
          conversation.stream.once('data', () => conversation.stream.end(Buffer.from([22, 3, 3])));
          await conversation.say('220 go ahead\r\n');
        },
      },
      { keys, then },
    );
    refusing(
      'silent in the handshake',
      /timeout/,
      { STARTTLS: async (conversation) => void (await conversation.say('220 go ahead\r\n')) },
      { keys, then },
    );
    test('a file of authorities that is not there, is empty, has none', async () => {
      for (const file of ['/nonexistent/ca.pem', '/dev/null', import.meta.filename])
        await failing({ 'mail.port': good.port, 'mail.ca': file }, /tls/);
    });
  });

  /// Refusals ///

  describe('refused for good', { concurrency: SCENARIOS }, () => {
    const once = (relay) => assert.equal(relay.conversations.length, 1, 'a 5xx is not tried again');
    refusing('AUTH 535', /auth.*535/, { AUTH: '535 5.7.8 no' }, { keys: authKeys, then: once });
    refusing(
      'AUTH LOGIN 535',
      /auth.*535/,
      {
        EHLO: ({ secured }) => ehlo(...(secured ? ['AUTH LOGIN'] : ['STARTTLS'])),
        AUTH: '334 VXNlcm5hbWU6',
        response: ['334 UGFzc3dvcmQ6', '535 no'],
      },
      { keys: authKeys, then: once },
    );
    refusing(
      'a relay that quotes the password',
      /auth/,
      { AUTH: (conversation, line) => `535 ${line}` },
      {
        keys: authKeys,
        then: (relay, message) =>
          assert.ok(!message.includes(Buffer.from('\0pipit\0correct-horse-battery').toString('base64').slice(0, 12)), message),
      },
    );
    refusing(
      'no AUTH that we know',
      /auth/,
      { EHLO: ({ secured }) => ehlo(...(secured ? ['AUTH GSSAPI XOAUTH2'] : ['STARTTLS'])) },
      { keys: authKeys, then: once },
    );
    refusing('MAIL 550', /sender.*550/, { MAIL: '550 5.7.1 not from there' }, { then: once });
    refusing('RCPT 550', /recipient.*550/, { RCPT: '550 5.1.1 no such user' }, { then: once });
    refusing('RCPT 550 without PIPELINING', /recipient.*550/, { EHLO: ehlo('SIZE 1000'), RCPT: '550 5.1.1 no such user' }, { then: once });
    refusing(
      'RCPT 550, and the DATA of the pipeline is taken all the same',
      /recipient.*550/,
      { EHLO: ehlo('PIPELINING'), RCPT: '550 no' },
      {
        then: (relay) =>
          assert.ok(
            relay.contents.every((content) => content === ''),
            'a letter without its recipient',
          ),
      },
    );
    refusing('DATA 554', /data.*554/, { DATA: '554 no valid recipients' }, { then: once });
    refusing('552 after the dot', /data.*552/, { content: '552 5.3.4 too big' }, { then: once });
    refusing('a SIZE that is too small', /sender|data|big|size/, { EHLO: ehlo('SIZE 10') }, { then: once });
    test('an address in another script, and no SMTPUTF8', () =>
      withScript({}, {}, (relay) =>
        withStation(async (pipit) => {
          await configure(pipit, { ...plainKeys, 'mail.port': relay.port });
          await fails(pipit, '/get_varifycode', { email: 'пользователь@почта.рф' }, 1002, /sender|recipient/);
          await recovers(pipit, `after-utf8-${++emails}@example.com`);
        }),
      ));
  });

  /// 4xx ///

  describe('refused for now', { concurrency: SCENARIOS }, () => {
    const steps = {
      connect: ['greeting', '421 later', '220 relay.example'],
      tls: ['STARTTLS', '454 later', '220 go ahead', tlsKeys],
      auth: ['AUTH', '454 4.7.0 later', '235 accepted', authKeys],
      sender: ['MAIL', '451 later', '250 ok'],
      recipient: ['RCPT', '450 4.2.0 greylisted', '250 ok'],
      data: ['DATA', '451 later', '354 go on'],
      'data, after the dot,': ['content', '451 4.3.0 later', '250 queued'],
    };
    for (const [step, [verb, later, fine, keys = plainKeys]] of Object.entries(steps)) {
      passing(
        `${verb} ${later.slice(0, 3)} once, then fine`,
        { [verb]: [later, fine] },
        { keys, connections: 2, letters: verb === 'content' ? 2 : 1 },
      );
      refusing(
        `${verb} ${later.slice(0, 3)} for ever`,
        new RegExp(`${step.split(',')[0]}.*${later.slice(0, 3)}`),
        { [verb]: later },
        {
          keys: { ...keys, 'rpc.timeout': LASTING },
          then: (relay) => assert.ok(relay.conversations.length >= 2, `${relay.conversations.length} tries`),
        },
      );
    }
    passing('greylisting that takes three tries', { RCPT: ['450 later', '450 later', '250 ok'] }, { connections: 3 });
  });

  /// Silence ///

  describe('silence', { concurrency: SCENARIOS }, () => {
    const steps = {
      greeting: plainKeys,
      EHLO: plainKeys,
      STARTTLS: tlsKeys,
      AUTH: authKeys,
      MAIL: plainKeys,
      RCPT: plainKeys,
      DATA: plainKeys,
      content: plainKeys,
    };
    for (const [step, keys] of Object.entries(steps)) refusing(`at ${step}`, /timeout/, { [step]: silence }, { keys });
    refusing('with every key at its default, within 15 s', /timeout/, { EHLO: silence }, { keys: { ...plainKeys, 'rpc.timeout': PATIENT } });
    refusing('in the middle of a reply', /timeout/, { EHLO: (conversation) => void conversation.stream.write('250-relay') });
    refusing('a reply that trickles for ever', /timeout/, {
      EHLO: (conversation) => {
        const timer = setInterval(() => conversation.stream.write('250-x\r\n'), 100);
        conversation.stream.once('close', () => clearInterval(timer));
      },
    });
    passing('at QUIT, which nobody waits for', { QUIT: silence });
  });

  /// Connections that end ///

  describe('closed in the middle', { concurrency: SCENARIOS }, () => {
    const steps = { greeting: plainKeys, EHLO: plainKeys, STARTTLS: tlsKeys, AUTH: authKeys, MAIL: plainKeys, RCPT: plainKeys, DATA: plainKeys };
    const names = {
      greeting: /connect/,
      EHLO: /connect/,
      STARTTLS: /tls/,
      AUTH: /auth/,
      MAIL: /sender/,
      RCPT: /recipient|sender/,
      DATA: /data|recipient|sender/,
    };
    const fine = {
      greeting: '220 relay.example',
      STARTTLS: '220 go ahead',
      AUTH: '235 ok',
      MAIL: '250 ok',
      RCPT: '250 ok',
      DATA: '354 go on',
      EHLO: ({ secured }) => ehlo('PIPELINING', ...(secured ? [] : ['STARTTLS']), 'AUTH PLAIN'),
    };
    for (const [step, keys] of Object.entries(steps)) {
      passing(`at ${step} once`, { [step]: [hangUp(), fine[step]] }, { keys, connections: 2 });
      passing(`at ${step} once, within the reply`, { [step]: [hangUp('2'), fine[step]] }, { keys, connections: 2 });
      refusing(`at ${step}, always, by a reset`, names[step], { [step]: reset }, { keys });
    }
    for (const [how, content] of [
      ['closed', hangUp()],
      ['reset', reset],
      ['closed within the reply', hangUp('25')],
    ])
      refusing(
        `${how} after the dot: it may have been taken, so it is not sent twice`,
        /data/,
        { content },
        { then: (relay) => assert.equal(relay.contents.length, 1) },
      );
    refusing(
      'reset while the letter is under way',
      /data/,
      {
        DATA: async (conversation) => {
          conversation.stream.once('data', reset.bind(null, conversation));
          await conversation.say('354 go on\r\n');
        },
      },
      { then: (relay) => assert.equal(relay.contents.length, 0) },
    );
    passing('closed right behind the answer to the dot', { content: hangUp('250 queued\r\n') }, { connections: 1 });
    passing('reset at QUIT', { QUIT: reset }, { connections: 1 });
  });

  /// What a relay should not say ///

  describe('nonsense', { concurrency: SCENARIOS }, () => {
    passing('replies byte by byte, in the plain', {}, { relay: { dribbles: true } });
    passing('replies byte by byte, over TLS with AUTH', {}, { keys: authKeys, relay: { dribbles: true } });
    passing('lines that end in LF alone', { EHLO: '250-relay.example\n250 SIZE 1000000', MAIL: '250-so\n250 be it' });
    passing('500 lines of EHLO, some of them long', {
      EHLO: ehlo(...Array.from({ length: 500 }, (none, i) => `X-${i} ${'x'.repeat(i % 100)}`), 'PIPELINING'),
    });
    passing('a banner of 900 bytes', { greeting: `220 ${'welcome '.repeat(112)}` });
    passing('a greeting in many lines, in another script', { greeting: '220-Grüß Gott\r\n220-日本語\r\n220 \x1b[31mred' });
    for (const [name, step, script] of [
      ['1 MB without a line end', /connect/, { greeting: `220 ${'x'.repeat(1 << 20)}` }],
      ['10,000 lines of a reply', /connect/, { EHLO: `${'250-more\r\n'.repeat(10_000)}250 done` }],
      ['a reply without end', /connect/, { EHLO: (conversation) => endless(conversation, '250-and so on\r\n') }],
      ['letters without end', /connect/, { greeting: (conversation) => endless(conversation, 'x'.repeat(1000)) }],
      ['words instead of a number', /connect/, { greeting: 'welcome to the relay' }],
      ['a number of two digits', /connect/, { greeting: '22 hello' }],
      ['a number of four digits', /connect/, { greeting: '2200 hello' }],
      ['a number from nowhere', /connect/, { greeting: '999 hello' }],
      ['a line that begins another reply', /connect/, { EHLO: '250-relay.example\r\n550 no' }],
      ['zero bytes', /connect/, { greeting: '220 a\0\0b', EHLO: '\0\0\0\0' }],
      ['an empty line', /connect/, { greeting: '' }],
      ['CR alone', /connect/, { greeting: '220 a\r220 b' }],
      ['random bytes', /connect/, { greeting: (conversation) => void conversation.stream.write(randomBytes(4096)) }],
      ['HTTP', /connect/, { greeting: 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n' }],
      [
        'all replies at once, before anything was asked',
        /connect|sender|recipient|data/,
        { greeting: `220 hi\r\n${'250 ok\r\n'.repeat(3)}354 go\r\n250 taken` },
      ],
      ['354 to MAIL', /sender/, { MAIL: '354 go on' }],
      ['250 to DATA', /data/, { DATA: '250 ok' }],
      ['334 to a client that has said all', /auth/, { AUTH: '334 more', response: '334 more' }],
      ['220 to STARTTLS and then no TLS', /tls|timeout/, { STARTTLS: talksOn }],
    ])
      refusing(name, step, script, { keys: script.AUTH ? authKeys : script.STARTTLS ? tlsKeys : plainKeys });
  });
});

/// Others do not notice ///

test('while the relay takes 10 s for its answer to the dot, the chat goes on', async (t) => {
  const answer = held();
  await withScript({ content: answer.step }, {}, (relay) =>
    withStation(async (pipit) => {
      await configure(pipit, { ...plainKeys, 'mail.port': relay.port, 'chat.rate': 0 });
      const [one, two] = [await joinText(pipit), await joinText(pipit)];
      await one.expect(`[system] ${two.name} joined`);
      const quiet = await talk(one, two, 3000);
      let answered = false;
      const asked = call(pipit, '/get_varifycode', { email: 'slow@example.com' }).finally(() => (answered = true));
      await relay.at('content');
      const busy = await talk(one, two, 10_000);
      assert.equal(answered, false, 'the mail was answered before the relay said so');
      answer.release('250 queued');
      assert.equal((await asked).error, 0);
      t.diagnostic(`p99 of a message there and back: quiet ${quiet.toFixed(2)} ms, while a mail waits ${busy.toFixed(2)} ms`);
      await Promise.all([one.leave(), two.leave()]);
      await recovers(pipit, 'slow-after@example.com');
    }),
  );
});

// Each message is heard by both before the next; returns the 99th percentile in ms.
async function talk(one, two, ms) {
  const times = [];
  const end = performance.now() + ms;
  for (let i = 0, began = 0; (began = performance.now()) < end; i++) {
    one.say(`message ${i}`);
    await Promise.all([one.expect(`[${one.name}] message ${i}`), two.expect(`[${one.name}] message ${i}`)]);
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1];
}

test('a relay that hangs holds up its own letters only as long as they may last', () =>
  withScript({ greeting: silence }, {}, (relay) =>
    withStation(async (pipit) => {
      await configure(pipit, { ...plainKeys, 'mail.port': relay.port, 'rpc.timeout': 4 });
      const ask = (i) => pipit.post('/get_varifycode', { email: `herd${i}@example.com` }, { connection: 'close' });
      const asked = Promise.all(Array.from({ length: 30 }, (none, i) => ask(i)));
      while ((await pipit.metric('pipit_mail_queued')) < 30) await sleep(20);
      assert.ok(
        relay.conversations.length > 0 && relay.conversations.length < 30,
        `${relay.conversations.length} connections at a relay that does not answer`,
      );
      for (const { body } of await asked) assert.deepEqual([body.error, /timeout/.test(body.message)], [1002, true], JSON.stringify(body));
      await recovers(pipit, 'herd0@example.com');
    }),
  ));

test('who asks and goes away: the letter is handed over all the same, and its code counts', async () => {
  const answer = held();
  await withScript({ RCPT: answer.step }, {}, (relay) =>
    withStation(async (pipit) => {
      await configure(pipit, { ...plainKeys, 'mail.port': relay.port });
      const email = 'gone@example.com';
      const asking = new Raw(pipit).write(post('/get_varifycode', JSON.stringify({ email })));
      await relay.at('RCPT');
      asking.reset();
      answer.release('250 ok');
      await relay.at('QUIT');
      const [code] = relay.contents[0].match(/^\d{6}\r$/m);
      const body = { user: 'gone', email, password: 'secret123', code: code.trim() };
      assert.equal((await call(pipit, '/register', body)).error, 0);
      await recovers(pipit, 'gone-after@example.com');
    }),
  );
});
