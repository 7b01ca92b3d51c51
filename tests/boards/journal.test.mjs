// What outlives a reset of a board, and what a power-off.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call, codeFor, fails, register } from '../system/curl.mjs';
import { answer } from '../system/typed.mjs';
import { comesBack, facts, withBoard } from './board.mjs';

const password = 'secret123';

async function reboot(board) {
  const from = board.console.length;
  board.type('reboot');
  return comesBack(board, from);
}

if (facts.keeps)
  test('accounts, new passwords and settings outlive `reboot` and a reset from outside', async () => {
    await withBoard({}, async (board) => {
      const alice = await register(board, 'Alice', 'alice@example.org', password);
      const bob = await register(board, 'bob', 'bob@example.org', password);
      const code = await codeFor(board, 'bob@example.org');
      const reset = { user: 'bob', email: 'bob@example.org', password: 'another secret', code };
      assert.equal((await call(board, '/reset_pwd', reset)).error, 0);
      await answer(board, 'set http.idle_timeout 77');
      const status = await reboot(board);
      assert.equal(status.users, 2);
      const from = board.console.length;
      await board.monitor('system_reset');
      assert.equal((await comesBack(board, from)).users, 2);
      assert.equal((await call(board, '/login', { user: 'alice', password })).uid, alice.uid);
      await fails(board, '/login', { user: 'bob', password }, 1008);
      assert.equal((await call(board, '/login', { user: 'bob', password: reset.password })).uid, bob.uid);
      assert.match(await answer(board, 'get http.idle_timeout'), /http\.idle_timeout = 77 /m);
      assert.equal((await register(board, 'carol', 'carol@example.org', password)).uid, 3);
      assert.equal((await reboot(board)).users, 3);
    });
  });
else
  test('flash that cannot be programmed is said once, and all goes on in RAM', async () => {
    await withBoard({}, async (board) => {
      const told = () => [...board.console.matchAll(/journal: the flash memory failed: accounts and settings are in RAM alone/g)].length;
      assert.equal(told(), 1);
      assert.equal((await register(board, 'alice', 'alice@example.org', password)).error, 0);
      assert.equal((await call(board, '/login', { user: 'alice', password })).error, 0);
      assert.equal(told(), 1);
      assert.equal((await reboot(board)).users, 0);
    });
  });

test('after a power-off it is as new', async () => {
  await withBoard({}, async (board) => {
    assert.equal((await board.status()).users, 0);
    assert.match(await answer(board, 'get http.idle_timeout'), /http\.idle_timeout = 60 /m);
  });
});
