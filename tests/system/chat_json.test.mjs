// The chat as JSON events (pipit.v1.json): their members, their numbers, and the history behind ?since=.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atRest, join, joinJson, joinText, random, within } from './chat_client.mjs';
import { smallPipitPath, startPipit } from './pipit.mjs';
import { ask } from './raw_socket.mjs';

const FOR_ONE = new Set(['welcome', 'notice', 'skipped', 'roster']);
const kept = (event) => !FOR_ONE.has(event.kind);

async function startQuiet(options = {}) {
  return startPipit({ args: ['--set', 'chat.rate=0', '--set', 'verify.cooldown=0'], ...options });
}

// Takes `id` and `at` off an event after checking them, so that the rest can be compared.
function bare({ id, at, ...rest }) {
  assert.ok(Number.isSafeInteger(id) && id > 0, `id ${id}`);
  assert.ok(Math.abs(at - Date.now()) < 60_000, `at ${at}`);
  return rest;
}

describe('events', () => {
  let pipit;
  before(async () => {
    pipit = await startQuiet();
  });
  after(() => pipit.stop());

  test('each kind has its members, and the ids grow without gaps', async () => {
    const one = await join(pipit, { json: true });
    assert.equal(one.socket.protocol, 'pipit.v1.json');
    const two = await join(pipit);
    two.say('hello');
    two.say('/nick bob');
    two.say('/me waves');
    two.say('/msg guest-1 psst');
    await one.until((event) => event.kind === 'private');
    one.say('/who');
    one.say('/nonsense');
    await one.until((event) => event.kind === 'notice');
    two.say('/quit');
    await one.until((event) => event.kind === 'leave');
    const events = one.frames.filter(kept);
    assert.deepEqual(events.map(bare), [
      { kind: 'join', from: 'guest-1' },
      { kind: 'join', from: 'guest-2' },
      { kind: 'message', from: 'guest-2', text: 'hello' },
      { kind: 'rename', from: 'guest-2', to: 'bob' },
      { kind: 'action', from: 'bob', text: 'waves' },
      { kind: 'private', from: 'bob', to: 'guest-1', text: 'psst' },
      { kind: 'leave', from: 'bob' },
    ]);
    assert.deepEqual(events.map((event) => event.id), [1, 2, 3, 4, 5, 6, 7]);
    const [welcome, roster, notice] = one.frames.filter((event) => !kept(event)).sort((a, b) => (a.kind < b.kind ? 1 : -1));
    assert.deepEqual(bare(welcome), { kind: 'welcome', name: 'guest-1', server: 'pipit', newest: welcome.newest });
    assert.ok(welcome.newest >= 1 && welcome.id >= 1);
    assert.equal(roster.kind, 'roster');
    assert.deepEqual(roster.names.sort(), ['bob', 'guest-1']);
    assert.equal(bare(notice).text, 'unknown command /nonsense; try /help');
    await one.leave();
  });

  test('what is for one alone repeats the newest id, so that since= may use any', async () => {
    const one = await joinJson(pipit);
    let newest = 0;
    for (let i = 0; i < 20; i++) {
      one.say(i % 3 === 0 ? '/who' : i % 3 === 1 ? '/help' : `line ${i}`);
      const event = await one.next();
      assert.ok(event.id >= newest, `${event.kind} ${event.id} after ${newest}`);
      if (kept(event)) assert.equal(event.id, Math.max(newest, one.welcome.newest) + 1);
      newest = event.id;
    }
    await one.leave();
  });

  test('any text comes back as it was said', async () => {
    const one = await joinJson(pipit);
    const next = random(20240917);
    const pieces = ['"', '\\', '/', '\u0000', '\u001f', '\b', '\f', '\n', '\r', '\t', '\u007f', '\u0085', '\u2028', '\u2029', '\ufeff', '\uffff'];
    pieces.push('é', '日', '😀', '\u{10ffff}', '</script>', '\\u0041', '{"kind":"message"}', 'x');
    const texts = [...pieces, Array.from({ length: 32 }, (_, i) => String.fromCharCode(i)).join('')];
    texts.push('\u0000'.repeat(1024), '"'.repeat(1024), '\\'.repeat(1024), '😀'.repeat(256), '\u0001\u0002'.repeat(512));
    for (let i = 0; i < 300; i++) {
      texts.push(Array.from({ length: 1 + Math.floor(next() * 60) }, () => pieces[Math.floor(next() * pieces.length)]).join(''));
    }
    const trimmed = (text) => text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
    const said = texts.filter((text) => trimmed(text) !== '' && !trimmed(text).startsWith('/') && Buffer.byteLength(text) <= 1024);
    assert.ok(said.length > 280);
    for (const text of said) one.say(text);
    for (const text of said) assert.equal((await one.next()).text, trimmed(text));
    await one.leave();
  });

  test('names are escaped too', async () => {
    const one = await joinJson(pipit);
    for (const name of ['"quoted"', 'back\\slash', '日本']) {
      one.say(`/nick ${name}`);
      assert.equal((await one.next()).to, name);
      one.say('/who');
      assert.ok((await one.next()).names.includes(name));
    }
    await one.leave();
  });

  test('both formats tell the same', async () => {
    const [json, text] = [await joinJson(pipit), await joinText(pipit)];
    assert.equal((await json.next()).from, text.name);
    for (let i = 0; i < 50; i++) (i % 2 ? json : text).say(`line ${i}`);
    const lines = await text.until((line) => line.endsWith('line 49') || text.frames.filter((l) => l.includes('line')).length === 50);
    while (lines.length < 50) lines.push(await text.next());
    for (const line of lines) {
      const { from, text: said } = await json.next();
      assert.equal(line, `[${from}] ${said}`);
    }
    await Promise.all([json.leave(), text.leave()]);
  });

  test('slots at rest', () => atRest(pipit));
});

describe('since', () => {
  let pipit;
  before(async () => {
    pipit = await startQuiet();
  });
  after(() => pipit.stop());

  test('what came after that id comes first, in order, then the joining, then the welcome', async () => {
    const talker = await joinJson(pipit);
    for (let i = 1; i <= 300; i++) talker.say(`line ${i}`);
    const told = await talker.until((event) => event.text === 'line 300');
    for (const since of [0, 1, told[99].id, told[299].id - 1, told[299].id]) {
      const reader = await joinJson(pipit, { since });
      const ids = reader.before.map((event) => event.id);
      const first = Math.max(since, 0) + 1;
      assert.deepEqual(ids, Array.from({ length: reader.welcome.newest - since }, (_, i) => first + i));
      assert.deepEqual([reader.before.at(-1).kind, reader.before.at(-1).from], ['join', reader.name]);
      const lines = reader.before.filter((event) => event.text?.startsWith('line'));
      assert.equal(JSON.stringify(lines), JSON.stringify(told.filter((event) => event.id > since)));
      talker.say('new');
      assert.equal((await reader.next()).text, 'new');
      await reader.leave();
      await talker.until((event) => event.kind === 'leave' && event.from === reader.name);
    }
    await talker.leave();
  });

  test('an id that was never given (the server has restarted) brings all that is kept', async () => {
    const reader = await joinJson(pipit, { since: 1_000_000 });
    assert.equal(reader.before[0].id, 1);
    assert.deepEqual(reader.before.map((event) => event.id), Array.from({ length: reader.welcome.newest }, (_, i) => i + 1));
    await reader.leave();
    const greatest = await joinJson(pipit, { since: '18446744073709551615' });
    assert.equal(greatest.before[0].id, 1);
    await greatest.leave();
  });

  test('what is no number is 400', async () => {
    for (const since of ['', 'x', '-1', '1.5', '1e3', '18446744073709551616', '0x10', ' 1', '1%00', '9'.repeat(40)]) {
      assert.equal((await ask(pipit, `/ws?since=${encodeURIComponent(since)}`)).status, 400, since);
    }
    assert.equal((await ask(pipit, '/ws?since=0')).status, 101);
  });

  test('plain text has the history too', async () => {
    const talker = await joinJson(pipit);
    talker.say('for later');
    const { id } = await talker.next();
    const reader = await join(pipit, { since: id - 1 });
    await reader.expect(`[${talker.name}] for later`);
    assert.match(await reader.next(), /^\[system\] guest-\d+ joined$/);
    await reader.expect('[system] connected. Use /nick your_name to rename.');
    await Promise.all([talker.leave(), reader.leave()]);
  });

  test('an account finds its private messages again, and nobody else does', async () => {
    const { token } = await pipit.account('Klara');
    const other = await joinJson(pipit);
    const klara = await joinJson(pipit, { token });
    assert.equal(klara.name, 'Klara');
    const since = klara.welcome.newest;
    other.say('/msg Klara one');
    klara.say(`/msg ${other.name} two`);
    other.say('/msg Klara three');
    await klara.until((event) => event.text === 'three');
    await klara.drop();
    const back = await joinJson(pipit, { token, since });
    const privates = (client) => client.before.filter((event) => event.kind === 'private').map((event) => event.text);
    assert.deepEqual(privates(back).sort(), ['one', 'three', 'two']);
    const stranger = await joinJson(pipit, { since });
    assert.deepEqual(privates(stranger), []);
    await Promise.all([other, back, stranger].map((client) => client.leave()));
  });

  test('a second login takes over without losing an event', async () => {
    const { token } = await pipit.account('Lotte');
    const talker = await joinJson(pipit);
    let client = await joinJson(pipit, { token });
    const since = client.welcome.newest;
    const ids = [];
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 20; i++) talker.say(`${round} ${i}`);
      const older = client;
      client = await joinJson(pipit, { token, since: Math.max(since, ...ids) });
      ids.push(...client.before.filter(kept).map((event) => event.id));
      assert.equal((await within(older.closed, 'not closed')).code, 4001);
    }
    talker.say('end');
    ids.push(...(await client.until((event) => event.text === 'end')).filter(kept).map((event) => event.id));
    assert.deepEqual(ids, Array.from({ length: ids.length }, (_, i) => since + 1 + i));
    await Promise.all([talker.leave(), client.leave()]);
  });

  test('slots at rest', () => atRest(pipit, { accounts: { used: 9 }, tokens: { used: 9 } }));
});

// Follows the chat over many connections and keeps the books: every event exactly once and in order, or counted.
class Follower {
  constructor(pipit, since) {
    Object.assign(this, { pipit, last: since, events: [], skipped: 0, skips: 0, replays: 0 });
  }

  #take(event) {
    if (event.kind === 'skipped') {
      assert.equal(event.id, this.last + event.count, 'the count tells how far the id has moved');
      this.last = event.id;
      this.skipped += event.count;
      this.skips++;
    } else if (kept(event)) {
      assert.equal(event.id, this.last + 1, `${event.kind} ${event.id} behind ${this.last}`);
      this.last = event.id;
      this.events.push(event);
    } else {
      assert.equal(event.id, this.last, `${event.kind} ${event.id} behind ${this.last}`);
    }
  }

  /** Connects with the last id, listens until `enough` resolves, and vanishes in the middle of it. */
  async round(enough) {
    const client = await join(this.pipit, { json: true, since: this.last });
    await enough(client);
    client.socket.terminate();
    const before = this.last;
    for (const event of client.frames) this.#take(event);
    if (this.last > before) this.replays++;
    await client.closed;
  }
}

async function chatter(pipit, count, until, pause) {
  const talkers = await Promise.all(Array.from({ length: count }, () => joinJson(pipit)));
  const said = talkers.map(() => 0);
  const running = talkers.map(async (talker, i) => {
    const next = random(1000 + i);
    while (!until.done) {
      talker.say(`${i}:${said[i]++}`);
      await sleep(next() * pause);
    }
  });
  return { talkers, said, finished: Promise.all(running) };
}

async function followThroughDisconnects({ program, pause, most }) {
  const pipit = await startQuiet({ program });
  try {
    const until = { done: false };
    const { talkers, said, finished } = await chatter(pipit, 3, until, pause);
    const follower = new Follower(pipit, 0);
    const next = random(42);
    for (let i = 0; i < 50; i++) {
      await follower.round(() => sleep(next() * 40));
      await sleep(next() ** 3 * most);
    }
    until.done = true;
    await finished;
    talkers[0].say('the end');
    const all = await talkers[0].until((event) => event.text === 'the end');
    const { id: end } = all.pop();
    await follower.round((client) => client.until((event) => event.id >= end));

    const received = follower.events.filter((event) => event.id <= end);
    assert.equal(received.length + follower.skipped, end, 'received and skipped together are all there was');
    for (let i = 0; i < 3; i++) {
      const lines = received.filter((event) => event.kind === 'message' && event.text.startsWith(`${i}:`)).map((e) => Number(e.text.slice(2)));
      assert.deepEqual(lines, [...new Set(lines)].sort((a, b) => a - b), 'in order, none twice');
      if (follower.skipped === 0) assert.equal(lines.length, said[i]);
    }
    assert.ok(follower.replays >= 45, `${follower.replays} of the rounds brought something`);
    for (const talker of talkers) await talker.leave();
    await atRest(pipit);
    return { end, ...follower };
  } finally {
    await pipit.stop();
  }
}

test('50 disconnects at random moments lose nothing and double nothing', async (t) => {
  const { end, skipped } = await followThroughDisconnects({ pause: 4, most: 60 });
  assert.equal(skipped, 0);
  t.diagnostic(`${end} events, none skipped`);
});

test('with a short history, what was missed is counted', async (t) => {
  const { end, skipped, skips } = await followThroughDisconnects({ program: smallPipitPath, pause: 4, most: 200 });
  assert.ok(skipped > 0 && skips > 0, 'the history was never too short');
  t.diagnostic(`${end} events, ${skipped} of them skipped in ${skips} goes`);
});
