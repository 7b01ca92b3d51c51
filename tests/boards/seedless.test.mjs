// A board without a seed, as nobody may ever flash one: it can make nothing that must not be guessed, and pretends nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinText, refused } from '../system/chat_client.mjs';
import { call, freshEmail } from '../system/curl.mjs';
import { answer } from '../system/typed.mjs';
import { name, withBoard } from './board.mjs';

test('without a seed: said aloud, no codes, accounts or tokens; guests chat', async () => {
  await withBoard({ note: false }, async (board) => {
    await board.shows(new RegExp(`error board: this machine has no seed .*boards/${name}/README\\.md`));
    assert.doesNotMatch(board.console, /DEVELOPMENT MODE/, 'no note, no development mode');
    assert.doesNotMatch(await answer(board, 'set dev.echo_code 1'), /must/);

    const email = freshEmail();
    for (const route of ['/get_varifycode', '/get_verifycode']) {
      const reply = await call(board, route, { email });
      assert.ok([1002, 1009].includes(reply.error), JSON.stringify(reply));
      assert.match(reply.message, /\.$/);
      assert.equal(reply.code, undefined);
    }
    assert.doesNotMatch(board.console, /code for .* is/, 'no code was made');
    for (const code of ['000000', '', '123456']) {
      const reply = await call(board, '/register', { user: 'alice', email, password: 'secret123', code });
      assert.ok([1003, 1004].includes(reply.error), JSON.stringify(reply));
    }
    const reply = await call(board, '/login', { user: 'alice', password: 'secret123' });
    assert.ok([1008, 1009].includes(reply.error), JSON.stringify(reply));
    assert.equal(reply.token, undefined);
    assert.equal((await refused(board, { token: `1.${'0'.repeat(32)}` })).status, 401);
    assert.equal((await board.status()).users, 0);

    const [one, two] = [await joinText(board), await joinText(board)];
    await one.expect(`[system] ${two.name} joined`);
    one.say('hello');
    for (const client of [one, two]) await client.expect(`[${one.name}] hello`);
    await Promise.all([one.leave(), two.leave()]);
    await board.atRest();
  });
});

test('a reset does not bring one forth', async () => {
  await withBoard({ note: false }, async (board) => {
    const from = board.console.length;
    board.type('reboot');
    await board.shows(/reboot: asked for at the console[^]*this machine has no seed/);
    assert.match(board.console.slice(from), /this machine has no seed/);
  });
});
