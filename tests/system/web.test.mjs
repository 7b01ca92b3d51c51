// The page at / in a real browser: register, log in, reset, chat; what happens when the connection breaks; who can use it.
// Pictures of every view are in test-output/screenshots.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE_MS, startBrowser, Tab } from './browser.mjs';
import { ChatClient } from './chat_client.mjs';
import { freePort, smallPipitPath, startPipit } from './pipit.mjs';
import { Raw, request } from './raw.mjs';
import { configure } from './typed.mjs';

const unlimited = ['--set', 'net.sntp=', '--set', 'api.rate=0', '--set', 'mail.per_address=0', '--set', 'chat.rate=0', '--set', 'verify.cooldown=0'];
const password = 'correct horse';
let browser;
let pipit;
before(async () => {
  [browser, pipit] = await Promise.all([startBrowser(), startPipit({ args: unlimited })]);
});
after(async () => {
  await browser?.close();
  assert.equal(await pipit?.stop(), 0);
});

const using = async (options, use) => {
  const { url = pipit.url, ...rest } = options;
  const tab = await Tab.open(browser, url, rest);
  try {
    await use(tab, tab.page);
  } catch (error) {
    await tab.context.close();
    throw error;
  }
  await tab.close();
};

/// A newcomer ///

test('a newcomer registers, chats, logs out and in again, and nobody had to explain anything', () =>
  using({}, async (tab, page) => {
    assert.equal(await page.title(), 'Pipit');
    assert.equal(await tab.focused(), 'login-user');
    await tab.look('login');
    await page.click('.tabs [data-view=register]');
    assert.equal(await tab.focused(), 'email');
    await tab.look('register-1');
    await page.fill('#email', 'newcomer@example.com');
    await page.click('#send');
    await tab.says('#code-hint', /development mode/);
    assert.match(await page.inputValue('#code'), /^\d{6}$/);
    assert.equal(await tab.focused(), 'user');
    await tab.says('#send', /^Again in \d+ s$/);
    assert.equal(await page.isDisabled('#send'), true);
    await page.fill('#user', 'newcomer');
    await page.fill('#password', password);
    await page.fill('#again', password);
    await tab.look('register-2', { full: true });
    await page.press('#again', 'Enter');
    await tab.says('#line', /^You are newcomer$/);
    assert.equal(await tab.focused(), 'text');
    await tab.look('chat-empty');
    await tab.say('Is anybody here?');
    await tab.says('#log .own', /Is anybody here\?/);
    assert.equal(await page.locator('#waiting li').count(), 0);
    await tab.says('#roster', /^newcomer \(you\)$/);

    const { token } = JSON.parse(await page.evaluate(() => sessionStorage.getItem('pipit.session')));
    assert.equal(await page.evaluate(() => localStorage.getItem('pipit.session')), null);
    await tab.load(); // a tab that is loaded again goes on, with what was said
    await tab.says('#log .own', /Is anybody here\?/);
    await page.click('#leave');
    await tab.says('#word', /logged out/);
    const answer = await pipit.post('/logout', '', { authorization: `Bearer ${token}` });
    assert.equal(answer.body.error, 1010, 'logging out has ended the token');

    await tab.logIn('newcomer@example.com');
    await tab.says('#line', /^You are newcomer$/);
    await page.click('#leave');
    await page.check('#stay');
    await tab.logIn('newcomer');
    await tab.says('#line', /^You are newcomer$/);
    const again = await page.context().newPage(); // another tab of the same browser
    await again.goto(pipit.url);
    await again.waitForSelector('#chat:not([hidden])');
    await tab.says('#line', /connected from somewhere else/);
    await again.close();
    await tab.look('elsewhere');
    await page.click('#line button');
    await tab.says('#line', /^You are newcomer$/);
  }));

test('keys alone: from the first field to a message', () =>
  using({}, async (tab, page) => {
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press('Shift+Tab', 'Enter'); // the tab Register
    assert.equal(await tab.focused(), 'email');
    await page.keyboard.type('keys@example.com');
    await press('Tab', 'Enter');
    await tab.says('#code-hint', /development mode/);
    await page.keyboard.type('keys');
    await press('Tab');
    await page.keyboard.type(password);
    await press('Tab', 'Space');
    assert.equal(await page.getAttribute('#password', 'type'), 'text', 'the password is shown');
    await press('Space', 'Tab');
    await page.keyboard.type(password);
    await press('Tab', 'Enter');
    await tab.says('#line', /^You are keys/);
    await page.keyboard.type('/m');
    await tab.says('#offers', /\/me[^]*\/msg/);
    await tab.look('commands');
    await press('ArrowDown', 'ArrowUp', 'Tab');
    await page.keyboard.type('types');
    await press('Enter');
    await tab.says('#log .action', /keys types/);
    await page.keyboard.type('two');
    await press('Shift+Enter');
    await page.keyboard.type('lines');
    await press('Enter');
    await tab.says('#log .own', /two\nlines/);
    await page.keyboard.type('/help');
    await press('Enter');
    await tab.says('#log .notice', /Enter sends.*\n\/help: .*\n\/me: /);
  }));

/// Errors, told beside their field ///

const told = (tab, id, pattern) => tab.says(`#${id}-error`, pattern);

test('what is typed is held to the bounds while it is typed, in the server’s own sentences', () =>
  using({}, async (tab, page) => {
    await page.click('#login .main');
    await told(tab, 'login-user', /Enter your name or email/);
    await told(tab, 'login-password', /Enter the password/);
    assert.equal(await tab.focused(), 'login-user');
    await page.click('.tabs [data-view=register]');
    for (const [email, pattern] of [['', /Enter the email/], ['nobody', /exactly one @/], ['a@b@c', /exactly one @/], ['a b@c', /spaces/], [`${'x'.repeat(260)}@y`, /1 to 254/]]) {
      await page.fill('#email', email);
      await page.press('#email', 'Enter');
      await told(tab, 'email', pattern);
      assert.equal(await tab.focused(), 'email');
    }
    await page.fill('#email', 'bounds@example.com');
    await page.press('#email', 'Enter');
    await tab.says('#code-hint', /development mode/);
    for (const [user, pattern] of [['é'.repeat(17), /1 to 32 bytes/], ['a@b', /an @/], ['Guest-7', /guest-/], ['system', /belongs to the server/], [' x', /white space/], ['x\u3000', /white space/], ['x\u0085y', /control/]]) {
      await page.fill('#user', user);
      await page.locator('#user').blur();
      await told(tab, 'user', pattern);
      const { body } = await pipit.post('/register', { user, email: 'x@example.com', password, code: '1' });
      assert.equal(body.message.trim(), (await page.innerText('#user-error')).trim(), 'the same sentence');
    }
    await page.fill('#user', 'bounds');
    await tab.until(() => document.getElementById('user-error').textContent === '', 'it is right again');
    for (const word of ['short', '密'.repeat(22)]) {
      await page.fill('#password', word);
      await page.locator('#password').blur();
      await told(tab, 'password', /6 to 64 bytes/);
    }
    await page.fill('#password', password);
    await page.fill('#again', 'correct house');
    await told(tab, 'again', /not the same/);
    await page.fill('#code', '');
    await page.click('#finish');
    assert.equal(await tab.focused(), 'code');
    await tab.look('errors', { full: true });
  }));

test('1004 to 1008 and 1011 from the server, 1002, 1009, 429, 503 and no server at all', () =>
  using({}, async (tab, page) => {
    await pipit.account('taken', password);
    await page.click('.tabs [data-view=register]');
    await page.fill('#email', 'errors@example.com');
    for (const [route, reply, pattern] of [
      ['**/get_varifycode', { error: 1002, message: 'The mail could not be handed over: connect, nobody answers.' }, /handed over: connect/],
      ['**/get_varifycode', { error: 1009, message: 'Too many codes are under way.' }, /Too many codes/],
      ['**/get_varifycode', { error: 429, message: 'x', retry_after: 7 }, /busy.*7 s/],
      ['**/get_varifycode', null, /cannot be reached/],
    ]) {
      await page.route(route, (there) => (reply ? there.fulfill({ json: reply }) : there.abort()));
      await page.click('#send');
      await told(tab, 'email', pattern);
      await page.unroute(route);
    }
    await page.click('#send');
    await tab.says('#code-hint', /development mode/);
    const code = await page.inputValue('#code');
    const finish = async (fields) => {
      for (const [id, value] of Object.entries({ user: 'errors', password, again: password, ...fields })) await page.fill(`#${id}`, value);
      await page.click('#finish');
    };
    await finish({ code: code === '000000' ? '000001' : '000000' });
    await told(tab, 'code', /does not match/); // 1005
    assert.equal(await tab.focused(), 'code');
    await finish({ code, user: 'TAKEN' });
    await told(tab, 'user', /is taken/); // 1006
    await page.route('**/register', (there) => there.fulfill({ json: { error: 1009, message: 'No more accounts can be kept; nothing was changed.' } }));
    await finish({ code });
    await tab.says('#account .whole', /No more accounts/);
    await page.unroute('**/register');
    await page.fill('#email', 'else@example.com');
    await finish({ code });
    await told(tab, 'code', /never asked for/); // 1004
    await page.click('.tabs [data-view=login]');

    await page.click('[data-view=reset]');
    await tab.says('#account-title', /new password/);
    await page.fill('#email', 'errors@example.com');
    await tab.until(() => !document.getElementById('send').disabled || /\d/.test(document.getElementById('send').textContent), 'the countdown goes on');
    assert.equal(await page.isDisabled('#send'), true, 'too soon, also for another purpose');
    await finish({ code, user: 'nobody' });
    await told(tab, 'user', /no account/); // 1007
    await tab.look('reset', { full: true });

    await page.click('.tabs [data-view=login]');
    await tab.logIn('taken', 'wrong horse');
    await told(tab, 'login-password', /name or the password is wrong/); // 1008
    assert.equal(await tab.focused(), 'login-password');
    await configure(pipit, { 'verify.cooldown': 60 });
    await tab.load();
    await page.click('.tabs [data-view=register]');
    await page.fill('#email', 'errors@example.com');
    await page.click('#send');
    await told(tab, 'email', /Try again in \d+ s/); // 1011, with the server's own count
    await tab.says('#send', /^Again in \d+ s$/);
    assert.equal(await page.isVisible('#code'), true, 'the code that came before can be typed in');
    await configure(pipit, { 'verify.cooldown': 0 });
  }));

test('a new password, by a code; sessions elsewhere end and are told why', async () => {
  await pipit.account('forgetful', 'old horse 1');
  await using({}, (there) =>
    using({}, async (tab, page) => {
      await there.logIn('forgetful', 'old horse 1');
      await there.says('#line', /^You are forgetful/);
      await page.click('[data-view=reset]');
      await page.fill('#email', 'forgetful@example.com');
      await page.route('**/get_varifycode', async (route) => {
        const reply = await (await route.fetch()).json();
        code = reply.code;
        delete reply.code; // as where there is a mail relay
        await route.fulfill({ json: reply });
      });
      let code;
      await page.click('#send');
      await tab.says('#code-hint', /on its way to forgetful@example\.com/);
      assert.equal(await tab.focused(), 'code');
      for (const [id, value] of Object.entries({ code, user: 'forgetful', password: 'new horse 2', again: 'new horse 2' })) await page.fill(`#${id}`, value);
      await page.click('#finish');
      await tab.says('#line', /^You are forgetful/);
      await there.says('#word', /password was changed/);
      await there.logIn('forgetful', 'old horse 1');
      await told(there, 'login-password', /wrong/);
    }));
});

/// Chat ///

test('two people: messages, actions, private words, links, who is there, what is unread', () =>
  using({}, (one) =>
    using({}, async (two) => {
      await one.register('ann');
      await two.guest();
      const guest = (await two.page.innerText('#line')).match(/guest-\d+/)[0];
      await one.says('#roster', new RegExp(`ann \\(you\\)[^]*${guest}`));
      await two.say('/nick Ben');
      await one.says('#log .event', new RegExp(`${guest} is now Ben`));
      await two.says('#line', /^You are Ben/);
      await two.say('Look: https://example.org/a?b=1&c=2, ok (http://example.com/x). javascript:alert(1) ftp://x.example');
      await one.says('#log li:not(.own)', /Look: /);
      assert.deepEqual(await one.page.$$eval('#log li:not(.own) a', (links) => links.map(({ href, rel, target }) => [href, rel, target])), [
        ['https://example.org/a?b=1&c=2', 'noopener noreferrer', '_blank'],
        ['http://example.com/x', 'noopener noreferrer', '_blank'],
      ]);
      await one.say('/me waves');
      await two.says('#log .action', /ann waves/);
      await one.page.fill('#text', '/msg b');
      await one.says('#offers', /Ben/);
      await one.page.press('#text', 'Tab');
      await one.page.type('#text', 'a secret');
      await one.page.press('#text', 'Enter');
      await one.says('#log .private', /to Ben alone[^]*a secret/);
      await two.says('#log .private', /ann[^]*to you alone[^]*a secret/);
      await one.say('/who');
      await one.says('#log .event', /Online \(2\): /);
      await one.say('/bogus');
      await one.says('#log .notice', /unknown command/);
      await one.say('Good morning, Ben. How was the flight?');
      await two.say('Long. It sings all the way, they say.');
      await one.says('#log', /It sings/);
      await one.look('chat');

      await one.hide(true);
      await two.say('unread one');
      await two.say('unread two');
      await one.until(() => document.title === '(2) Pipit', 'the title counts');
      assert.equal(await one.page.locator('#log .mark').count(), 1);
      await one.look('unread', { audit: false });
      await one.hide(false);
      await one.until(() => document.title === 'Pipit', 'all is read');

      for (let i = 0; i < 40; i++) await two.say(`line ${i} of many`);
      await one.says('#log', /line 39/);
      await one.page.$eval('#scroll', (scroll) => (scroll.scrollTop = 0));
      await two.say('below');
      await two.say('further below');
      await one.says('#newer', /2 new/);
      assert.equal(await one.page.$eval('#scroll', (scroll) => scroll.scrollTop), 0, 'it stays where the reader is');
      await one.page.click('#newer');
      await one.until(() => document.getElementById('newer').hidden, 'at the end again');

      await one.page.setViewportSize({ width: 360, height: 740 });
      await one.page.click('#people');
      await one.says('#names', /Ben/);
      await one.look('people');
      await one.page.setViewportSize({ width: 360, height: 740 });
      await one.page.click('#roster button');
      assert.equal(await one.page.inputValue('#text'), '/msg Ben ');
      await two.page.click('#leave');
      await one.says('#log .event', /Ben left/);
    }),
  ));

test('a hostile sender: markup, control characters, 1 KB without a space, names that turn the text round', () =>
  using({ width: 320, height: 600 }, async (tab, page) => {
    await tab.guest();
    const hostile = new ChatClient(pipit, { json: true });
    await hostile.opened;
    const words = [
      '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '"><svg/onload=alert(1)>', '&lt;b&gt; &amp; <b>bold</b>',
      'a\u0000b\u0007c\u001b[31md\u007fe\u0085f', 'x'.repeat(1024), '\u202egnirts desrever \u202d and on', 'ع'.repeat(300), '👩‍👩‍👧‍👦'.repeat(40),
      'http://"><script>alert(1)</script>', 'https://example.org/"onmouseover="alert(1)', 'http://[::1', '{0} {1} \u2068', '__proto__', '\ud83d\udc26'.repeat(200),
    ];
    hostile.say('/nick \u202e<b>evil</b>');
    for (const word of words) hostile.say(word);
    hostile.say('the end');
    await tab.says('#log', /the end/);
    const shown = await tab.messages();
    const visible = words.map((word) => word.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd'));
    assert.deepEqual(shown.slice(-words.length - 1), [...visible, 'the end']);
    assert.equal(await page.locator('#log :is(script, img, svg, b)').count(), 0);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= 320), true, 'nothing sticks out');
    assert.equal(await page.$eval('#scroll', (scroll) => scroll.scrollWidth <= scroll.clientWidth), true);
    await tab.look('hostile');
    hostile.socket.close();
    await hostile.closed;
    await page.fill('#text', 'y'.repeat(1030));
    await tab.says('#size', /6 bytes too long/);
    await page.press('#text', 'Enter');
    assert.equal(await page.inputValue('#text'), 'y'.repeat(1030), 'it stays to be shortened');
  }));

/// Connections that break ///

/** A wire between the page and the server that a test may cut, or make swallow what the page sends, or what it is sent. */
class Cable {
  static async make(port) {
    const cable = new Cable();
    Object.assign(cable, { pairs: new Set(), swallowUp: false, swallowDown: false, closed: false, callers: 0 });
    cable.server = net.createServer((near) => cable.#connect(near, port)).listen(0, '127.0.0.1');
    await once(cable.server, 'listening');
    cable.url = `http://127.0.0.1:${cable.server.address().port}`;
    return cable;
  }

  #connect(near, port) {
    if (this.closed) {
      near.destroy();
      return;
    }
    this.callers++;
    const far = net.connect(port, '127.0.0.1');
    const pair = [near, far];
    this.pairs.add(pair);
    near.on('data', (bytes) => this.swallowUp || far.write(bytes));
    far.on('data', (bytes) => this.swallowDown || near.write(bytes));
    for (const end of pair) {
      end.on('error', () => {});
      end.on('close', () => {
        this.pairs.delete(pair);
        pair.forEach((each) => each.destroy());
      });
    }
  }

  cut() {
    for (const pair of this.pairs) pair.forEach((end) => end.destroy());
    Object.assign(this, { swallowUp: false, swallowDown: false });
  }

  end() {
    this.closed = true;
    this.cut();
    this.server.close();
  }
}

const counted = (list) => {
  const counts = {};
  for (const each of list) counts[each] = (counts[each] ?? 0) + 1;
  return counts;
};

for (const who of ['an account', 'a guest'])
  test(`the wire breaks while lines of ${who} are on their way: each arrives once, in order`, async () => {
    const cable = await Cable.make(pipit.port);
    const witness = new ChatClient(pipit, { json: true });
    await witness.opened;
    try {
      await using({ url: cable.url }, async (tab, page) => {
        const name = who === 'an account' ? 'steady' : 'guest';
        await (name === 'steady' ? tab.register(name) : tab.guest());
        await tab.say(`${name} before`);
        await tab.says('#log', new RegExp(`${name} before`));

        cable.swallowDown = true; // it arrives, and its echo does not
        await tab.say(`${name} echo lost`);
        await witness.until((event) => event.text === `${name} echo lost`);
        cable.closed = true;
        cable.cut();
        await tab.says('#line', /Connection lost|Paused/);
        await tab.say(`${name} typed offline 1`);
        await tab.say(`${name} typed offline 2`);
        await tab.says('#waiting', /Finding out whether it arrived[^]*Waits for the connection/);
        if (name === 'steady') await tab.look('offline');
        witness.say(`${name}: said meanwhile`);
        await witness.until((event) => event.text === `${name}: said meanwhile`);
        cable.closed = false;
        await tab.says('#log', new RegExp(`${name} typed offline 2`));

        cable.swallowUp = true; // it never arrives
        await tab.say(`${name} lost on the way`);
        await tab.says('#waiting', /Sending/);
        cable.cut();
        await tab.says('#log', new RegExp(`${name} lost on the way`));
        await tab.until(() => document.getElementById('waiting').childElementCount === 0, 'nothing is left');
        const shown = (await tab.messages()).filter((text) => text.startsWith(name));
        const wanted = [`${name} before`, `${name} echo lost`, `${name}: said meanwhile`, `${name} typed offline 1`, `${name} typed offline 2`, `${name} lost on the way`];
        assert.deepEqual(shown, wanted);
        await witness.until((event) => event.text === wanted.at(-1));
        const heard = witness.frames.filter((event) => event.kind === 'message' && event.text.startsWith(name)).map(({ text }) => text);
        assert.deepEqual(heard, wanted, 'everybody else heard the same');
        assert.equal(await page.locator('#log .own').count(), 5, 'all its own are known as its own');
      });
    } finally {
      witness.socket.close();
      cable.end();
    }
  });

test('a hidden page does not ring at a closed door; when it is seen again it has missed nothing', async () => {
  const cable = await Cable.make(pipit.port);
  const witness = new ChatClient(pipit, { json: true });
  await witness.opened;
  try {
    await using({ url: cable.url }, async (tab) => {
      await tab.guest();
      await tab.hide(true);
      cable.cut();
      await tab.says('#line', /Paused/);
      const callers = cable.callers;
      for (let i = 0; i < 30; i++) witness.say(`while away ${i}`);
      await witness.until((event) => event.text === 'while away 29');
      await sleep(2500);
      assert.equal(cable.callers, callers, 'nobody has called meanwhile');
      await tab.hide(false);
      await tab.says('#log', /while away 29/);
      const shown = (await tab.messages()).filter((text) => text.startsWith('while away'));
      assert.deepEqual(shown, Array.from({ length: 30 }, (_, i) => `while away ${i}`));
    });
  } finally {
    witness.socket.close();
    cable.end();
  }
});

test('a login that ends while a line waits: it is said after the next one', async () => {
  const cable = await Cable.make(pipit.port);
  try {
    await using({ url: cable.url }, async (tab, page) => {
      await tab.register('patient');
      const { token } = JSON.parse(await page.evaluate(() => sessionStorage.getItem('pipit.session')));
      cable.closed = true;
      cable.cut();
      await tab.says('#line', /Connection lost/);
      await tab.say('kept for later');
      await tab.says('#waiting', /Waits for the connection/);
      await pipit.post('/logout', '', { authorization: `Bearer ${token}` });
      cable.closed = false;
      await tab.says('#word', /login has expired/);
      await tab.logIn('patient');
      await tab.says('#log .own', /kept for later/);
      assert.equal((await tab.messages()).filter((text) => text === 'kept for later').length, 1);
      assert.equal(await page.locator('#waiting li').count(), 0);
    });
  } finally {
    cable.end();
  }
});

test('the server is stopped and started again: lines that waited are said once, and the page knows that ids began anew', async () => {
  const port = await freePort();
  let server = await startPipit({ args: unlimited, port });
  try {
    await using({ url: server.url }, async (tab, page) => {
      await tab.guest();
      for (let i = 0; i < 5; i++) await tab.say(`first life ${i}`);
      await tab.says('#log', /first life 4/);
      assert.equal(await server.stop(), 0);
      await tab.says('#line', /Connection lost/);
      await tab.say('for the second life');
      await tab.says('#waiting', /Waits for the connection/);
      server = await startPipit({ args: unlimited, port });
      const witness = new ChatClient(server, { json: true, since: 0 });
      await tab.says('#log .own', /for the second life/);
      await witness.until((event) => event.text === 'for the second life');
      const own = counted(await tab.messages());
      assert.deepEqual([own['first life 4'], own['for the second life'], await page.locator('#waiting li').count()], [1, 1, 0]);
      witness.say('and on it goes');
      await tab.says('#log', /and on it goes/);
      assert.equal(witness.frames.filter((event) => event.text === 'for the second life').length, 1);
      witness.socket.close();
    });
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

test('sent away: by the operator, with a token that ended, where guests are not let in, and when the house is full', async () => {
  const strict = await startPipit({ args: [...unlimited, '--set', 'chat.guests=0'], program: smallPipitPath });
  try {
    await using({ url: strict.url }, async (tab, page) => {
      await tab.until(() => document.getElementById('guests').hidden, 'no guests, no button');
      const endLogin = async () => {
        const { token } = JSON.parse(await page.evaluate(() => sessionStorage.getItem('pipit.session')));
        await strict.post('/logout', '', { authorization: `Bearer ${token}` });
      };
      await tab.register('resident');
      await endLogin(); // while the chat is there: it is told
      await tab.says('#word', /login has expired/);
      await tab.logIn('resident');
      await tab.says('#line', /^You are resident/);
      strict.type('kick resident');
      await tab.says('#line', /closed: the operator has ended this connection/);
      await page.click('#line button');
      await tab.says('#line', /^You are resident/);
      strict.type('kick resident');
      await tab.says('#line', /closed/);
      await endLogin(); // while it is not: the next one is refused
      await page.click('#line button');
      await tab.says('#word', /login has expired/);
      assert.equal(await page.evaluate(() => sessionStorage.getItem('pipit.session')), null);
      await page.evaluate(() => sessionStorage.setItem('pipit.session', '{"guest":true}'));
      await tab.load();
      await tab.says('#word', /Guests are not let in/);
    });
    strict.type('set chat.guests 1');
    const crowd = [];
    for (let i = 0; i < 12; i++) {
      crowd.push(new ChatClient(strict));
      await crowd[i].opened;
    }
    await using({ url: strict.url }, async (tab, page) => {
      await page.click('#guest');
      await tab.says('#line', /chat is full/);
      crowd[0].socket.close();
      await tab.says('#line', /^You are guest-/);
      assert.ok(await page.evaluate(() => fetch('/status').then((reply) => reply.json()).then((status) => status.message_bytes === 512)));
    });
    crowd.forEach((client) => client.socket.close());
  } finally {
    assert.equal(await strict.stop(), 0);
  }
});

/// Languages ///

test('in Chinese, by the browser’s language, and switched while it runs', () =>
  using({ locale: 'zh-CN' }, async (tab, page) => {
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-Hans');
    await tab.says('.tabs', /登录\s+注册/);
    await tab.look('login-zh');
    await tab.logIn('nobody', 'wrong horse');
    await told(tab, 'login-password', /用户名或密码错误/);
    await page.click('#guest');
    await tab.says('#line', /^您是 guest-\d+/);
    await tab.say('今天天气很好。');
    await tab.says('#log .own', /今天天气很好/);
    await tab.look('chat-zh');
    const missing = await page.evaluate(() => [...document.querySelectorAll('[data-t]')].filter((each) => each.textContent === each.dataset.t).map((each) => each.dataset.t));
    assert.deepEqual(missing, [], 'every key has its sentence');
    await page.click('#chat .language');
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await tab.says('#line', /^You are guest-\d+/);
    await tab.load();
    await tab.says('#line', /^You are guest-\d+/); // the choice is kept
  }));

/// What it costs ///

test('the page over a line of 100 kbit/s: its first paint, and its size', async (t) => {
  await using({ load: false }, async (tab, page) => {
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Network.enable');
    await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 50, downloadThroughput: 100_000 / 8, uploadThroughput: 100_000 / 8 });
    let length = 0;
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => (length ||= encodedDataLength));
    await tab.load();
    await tab.until(() => performance.getEntriesByType('paint').length > 0, 'a first paint');
    const paint = await page.evaluate(() => performance.getEntriesByType('paint').map(({ name, startTime }) => `${name} ${Math.round(startTime)} ms`));
    t.diagnostic(`${length} bytes with its head; ${paint.join(', ')}`);
    assert.ok(length > 5000 && length < 14336 + 1200, `${length} bytes`);
    await tab.load(); // with what is kept: 304
    const reply = await page.evaluate(() => fetch('/', { cache: 'no-cache' }).then((answer) => answer.status));
    assert.equal(reply, 200);
  });
});

const browserHead = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36',
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'accept-language': 'en-GB,en;q=0.9,de;q=0.8', 'accept-encoding': 'gzip, deflate, br, zstd', 'upgrade-insecure-requests': 1, connection: 'keep-alive',
};

test('six connections at once on the smallest machine, while eight chat', async (t) => {
  const small = await startPipit({ args: unlimited, program: smallPipitPath });
  const chatters = [];
  try {
    for (let i = 0; i < 8; i++) {
      chatters.push(new ChatClient(small, { json: true }));
      await chatters[i].opened;
    }
    for (let round = 0; round < 3; round++) {
      const six = Array.from({ length: 6 }, () => new Raw(small).write(request('GET', '/', browserHead)));
      chatters.forEach((client, i) => client.say(`round ${round} of ${i}`));
      const replies = await Promise.all(six.map((raw) => raw.reply({ ms: PATIENCE_MS })));
      for (const { status, headers, body } of replies) assert.deepEqual([status, headers.get('content-encoding'), body.length > 5000], [200, 'gzip', true]);
      six.forEach((raw) => raw.drop());
    }
    for (const client of chatters) await client.until((event) => event.text === 'round 2 of 7', PATIENCE_MS);
    await using({ url: small.url }, async (tab) => {
      await tab.guest();
      await tab.say('from the page');
      for (const client of chatters) await client.until((event) => event.text === 'from the page', PATIENCE_MS);
    });
    t.diagnostic(`${await small.metric('pipit_http_full_total')} were turned away`);
  } finally {
    chatters.forEach((client) => client.socket.close());
    assert.equal(await small.stop(), 0);
  }
});
