// The page from a board: to a browser that opens six connections at once while eight people chat, over a line that is
// slow, to one who takes nothing, and in a real browser.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startBrowser, Tab } from '../system/browser.mjs';
import { joinJson } from '../system/chat_client.mjs';
import { Raw, request } from '../system/raw.mjs';
import { withBoard } from './board.mjs';

const MS = 30_000;
const get = (fields) =>
  request('GET', '/', {
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36',
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
    'accept-language': 'en-GB,en;q=0.9,de;q=0.8', 'accept-encoding': 'gzip, deflate, br, zstd', ...fields,
  });

let browser;
after(() => browser?.close());

test('six connections at once while eight chat: six pages, and nobody misses a word', async (t) => {
  await withBoard({}, async (board) => {
    const chatters = [];
    for (let i = 0; i < 8; i++) chatters.push(await joinJson(board));
    for (let round = 0; round < 3; round++) {
      const six = Array.from({ length: 6 }, () => new Raw(board).write(get()));
      chatters.forEach((client, i) => client.say(`round ${round} of ${i}`));
      const replies = await Promise.all(six.map((raw) => raw.reply({ ms: MS })));
      for (const { status, body } of replies) assert.deepEqual([status, body], [200, replies[0].body]);
      six.forEach((raw) => raw.drop());
    }
    for (const client of chatters) await client.until(({ text }) => text === 'round 2 of 7', MS);
    for (const client of chatters) {
      const heard = client.frames.filter(({ kind }) => kind === 'message').map(({ text }) => text);
      assert.equal(new Set(heard).size, 24);
      assert.equal(heard.length, 24);
    }
    assert.equal(await board.metric('pipit_chat_skipped_total'), 0);
    assert.equal(await board.metric('pipit_http_full_total'), 0);
    await Promise.all(chatters.map((client) => client.leave()));
    await board.atRest();
    await board.stackIsDeepEnough(t);
  });
});

test('one who takes nothing loses its place, and costs nobody anything', async () => {
  await withBoard({ settings: { 'http.body_timeout': 2 } }, async (board) => {
    const deaf = new Raw(board);
    deaf.socket.pause();
    deaf.write(get().repeat(40)); // more than the host's own buffers take
    const other = new Raw(board);
    for (let i = 0; i < 5; i++) assert.equal((await other.write(get({ 'if-none-match': '*' })).reply({ head: true, ms: MS })).status, 304);
    deaf.drop();
    other.drop();
    await board.atRest();
  });
});

test('in a browser: register and chat', async (t) => {
  browser = await startBrowser();
  await withBoard({ settings: { 'dev.echo_code': 1 } }, async (board) => {
    const started = performance.now();
    const tab = await Tab.open(browser, board.url);
    t.diagnostic(`the page is there after ${Math.round(performance.now() - started)} ms`);
    const other = await joinJson(board);
    await tab.register('newcomer');
    await tab.say('hello from the page');
    await other.until(({ text }) => text === 'hello from the page', MS);
    other.say('hello to the page');
    await tab.says('#log', /hello to the page/);
    await tab.page.fill('#text', 'x'.repeat(1025));
    await tab.says('#size', /too long/); // the limit is the board's own
    await tab.page.click('#leave');
    await tab.says('#word', /logged out/);
    await tab.close();
    await other.leave();
    await board.atRest();
    await board.stackIsDeepEnough(t);
  });
});
