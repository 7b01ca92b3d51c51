// Accounts and settings outlive the process, however it ends: the simulator with --flash FILE.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { call, codeFor, fails, register } from './curl.mjs';
import { pipitPath, smallPipitPath, spawnPipit, startPipit } from './pipit.mjs';
import { answer } from './typed.mjs';

// Fewer on a slow machine or under sanitizers: JOURNAL_LOOPS=40.
const LOOPS = Number(process.env.JOURNAL_LOOPS ?? 200);
const unlimited = ['--set', 'api.rate=0', '--set', 'mail.budget=0', '--set', 'verify.cooldown=0'];
const password = 'secret123';

let folder;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pipit-journal-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const start = (file, args = [], program) => startPipit({ args: ['--flash', file, ...unlimited, ...args], program });

async function kill(pipit) {
  pipit.child.kill('SIGKILL');
  assert.equal(await pipit.exited, 'SIGKILL');
}

/** Starts one that must refuse to; returns its sentence. */
async function refused(...args) {
  const pipit = spawnPipit(args);
  assert.equal(await pipit.exited, 2);
  await sleep(10);
  assert.match(pipit.console, /^pipit: .*\.\n$/);
  return pipit.console;
}

/// One end ///

test('an account, a new password and a setting outlive kill -9; tokens do not', async () => {
  const file = path.join(folder, 'one');
  let pipit = await start(file);
  const alice = await register(pipit, 'Alice', 'alice@example.org', password);
  const bob = await register(pipit, 'bob', 'bob@example.org', password);
  const code = await codeFor(pipit, 'bob@example.org');
  const reset = { user: 'bob', email: 'bob@example.org', password: 'another secret', code };
  assert.equal((await call(pipit, '/reset_pwd', reset)).error, 0);
  assert.equal(await answer(pipit, 'set chat.rate 77'), '');
  assert.equal(await answer(pipit, 'set http.origins https://example.org'), '');
  assert.equal(await answer(pipit, 'unset http.origins'), '');
  await kill(pipit);

  pipit = await start(file);
  assert.equal((await pipit.status()).users, 2);
  const login = await call(pipit, '/login', { user: 'alice@example.org', password });
  assert.deepEqual([login.error, login.uid, login.user], [0, alice.uid, 'Alice']);
  await fails(pipit, '/login', { user: 'bob', password }, 1008);
  assert.equal((await call(pipit, '/login', { user: 'bob', password: reset.password })).uid, bob.uid);
  assert.match(await answer(pipit, 'get chat.rate'), /^chat.rate = 77 /);
  assert.match(await answer(pipit, 'get http.origins'), /^http.origins =  /);
  const carol = await register(pipit, 'carol', 'carol@example.org', password);
  assert.equal(carol.uid, 3);
  assert.equal(await pipit.stop(), 0);

  // The command line wins, for as long as it says so.
  pipit = await start(file, ['--set', 'chat.rate=5']);
  assert.match(await answer(pipit, 'get chat.rate'), /^chat.rate = 5 /);
  assert.equal((await pipit.status()).users, 3);
  assert.equal(await pipit.stop(), 0);
  pipit = await start(file);
  assert.match(await answer(pipit, 'get chat.rate'), /^chat.rate = 77 /);
  assert.equal(await pipit.stop(), 0);
});

test('--flash none keeps nothing, and works all the same', async () => {
  for (let i = 0; i < 2; i++) {
    const pipit = await start('none');
    assert.equal((await pipit.status()).users, 0);
    assert.equal((await register(pipit, 'alice', 'alice@example.org', password)).uid, 1);
    assert.equal(await answer(pipit, 'set chat.rate 77'), '');
    assert.equal((await call(pipit, '/login', { user: 'alice', password })).error, 0);
    assert.equal(await pipit.stop(), 0);
  }
});

// Started as a person does; pipit.mjs would add --flash none. Ends it once it runs.
async function runAtHome(env) {
  const child = spawn(pipitPath, ['--forward', '127.0.0.1:0:80', '--set', 'chat.rate=9'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  for await (const text of child.stdout.setEncoding('utf8')) if (text.includes('Pipit ')) child.kill('SIGINT');
  assert.deepEqual(await ended, [0, null]);
}

test('without --flash it is a file of the user, below XDG_STATE_HOME or ~/.local/state', async () => {
  const home = path.join(folder, 'somebody');
  await mkdir(home);
  await runAtHome({ HOME: home, XDG_STATE_HOME: path.join(home, 'my', 'state') });
  await stat(path.join(home, 'my', 'state', 'pipit', 'flash'));
  await runAtHome({ HOME: home });
  await runAtHome({ HOME: home, XDG_STATE_HOME: 'relative' });
  await stat(path.join(home, '.local', 'state', 'pipit', 'flash'));
});

test('the file has a size that never changes, and nobody else may read it', async () => {
  const file = path.join(folder, 'one');
  const { size, mode } = await stat(file);
  assert.deepEqual([size, mode & 0o777], [4096 + (1 << 20), 0o600]);
  assert.match((await readFile(file)).toString('latin1', 0, 64), /^The flash memory of Pipit's simulator/);
});

/// Whom it refuses ///

test('a second one on the same file is refused, in one sentence', async () => {
  const file = path.join(folder, 'shared');
  const pipit = await start(file);
  const sentence = await refused('--flash', file, '--forward', '0:80');
  assert.equal(sentence, `pipit: --flash ${file}: another simulator has its accounts there; end that one, or name another file.\n`);
  await kill(pipit);
  assert.equal(await (await start(file)).stop(), 0);
});

test('a file that is something else is refused and left alone', async () => {
  const file = path.join(folder, 'foreign');
  for (const text of ['a letter', '\0'.repeat(5000), "The flash memory of Pipit's simulator"]) {
    await writeFile(file, text);
    const sentence = await refused('--flash', file);
    assert.match(sentence, /: the file holds something else than a simulator's flash memory; name another file, or none\.\n$/);
    assert.equal(await readFile(file, 'latin1'), text);
  }
  assert.match(await refused('--flash', folder), /: Is a directory; name another file, or none\.\n$/);
  assert.match(await refused('--flash', path.join(folder, 'no', 'such', 'folder')), /: No such file or directory; /);
  assert.match(await refused('--flash', '/dev/null'), /: this is no file; /);
});

test('one that was cut off while it was made is made again', async () => {
  const file = path.join(folder, 'young');
  await writeFile(file, Buffer.concat([Buffer.alloc(4096), Buffer.alloc(100_000, 0xff)]));
  const pipit = await start(file);
  assert.equal((await register(pipit, 'alice', 'alice@example.org', password)).uid, 1);
  await kill(pipit);
  const again = await start(file);
  assert.equal((await again.status()).users, 1);
  assert.equal(await again.stop(), 0);
  await truncate(file, 500_000);
  assert.match(await refused('--flash', file), /something else than/);
});

/// Many ends ///

// What was promised: passwords by user. While a reply is awaited, the one in flight may be or not be.
class Promised {
  passwords = new Map();
  said = 0;
  flying;

  async say(pipit, route, user, secret) {
    const email = `${user}@example.org`;
    const asked = await pipit.post('/get_varifycode', { email });
    this.flying = { user, secret };
    const reply = await pipit.post(route, { user, email, password: secret, code: asked.body.code });
    assert.equal(reply.body.error, 0, JSON.stringify(reply.body));
    this.passwords.set(user, secret);
    this.said++;
    this.flying = undefined;
  }

  /** Registers, and gives new passwords, until the connection breaks. */
  async storm(pipit, life) {
    try {
      for (let i = 0; ; i++) {
        const users = [...this.passwords.keys()];
        if (users.length < 3 || (i % 2 === 0 && users.length < 24)) await this.say(pipit, '/register', `user-${life}-${i}`, password);
        else await this.say(pipit, '/reset_pwd', users[Math.floor(Math.random() * users.length)], `secret-${life}-${i}`);
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    }
  }

  /** Holds that all of it is there. */
  async hold(pipit) {
    const { flying } = this;
    this.flying = undefined;
    if (flying && (await login(pipit, flying.user, flying.secret))) this.passwords.set(flying.user, flying.secret);
    for (const [user, secret] of this.passwords) assert.ok(await login(pipit, user, secret), `${user} with ${secret}`);
    assert.equal((await pipit.status()).users, this.passwords.size, 'and nobody else');
  }
}

async function login(pipit, user, secret) {
  const { body } = await pipit.post('/login', { user, password: secret });
  if (body.error === 0) await pipit.post('/logout', {}, { authorization: `Bearer ${body.token}` });
  else assert.equal(body.error, 1008, JSON.stringify(body));
  return body.error === 0;
}

test(`kill -9 at ${LOOPS} random moments of a storm loses nothing that was acknowledged`, { timeout: 300_000 }, async (t) => {
  let promised = new Promised();
  let [said, file] = [0, path.join(folder, 'storm-0')];
  for (let life = 0; life < LOOPS; life++) {
    if (promised.passwords.size >= 24 && life % 10 === 0) {
      promised = new Promised();
      file = path.join(folder, `storm-${life}`);
    }
    const pipit = await start(file, [], smallPipitPath);
    await promised.hold(pipit);
    const before = promised.said;
    const storm = promised.storm(pipit, life);
    await sleep(Math.random() * 60);
    await kill(pipit);
    await storm;
    said += promised.said - before;
  }
  const pipit = await start(file, [], smallPipitPath);
  await promised.hold(pipit);
  assert.equal(await pipit.stop(), 0);
  t.diagnostic(`${LOOPS} ends, ${said} registrations and new passwords acknowledged in storms`);
});
