// gRPC both ways with grpc-js: a board as the server, and its gate as the client of a server on the host.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinText } from '../system/chat_client.mjs';
import { call, fails, freshEmail } from '../system/curl.mjs';
import { during, RpcClient, sixDigits, startVerifyServer, status } from '../system/rpc_peers.mjs';
import { settledSlots, slotsAtRest } from '../system/typed.mjs';
import { withBoard } from './board.mjs';

const VERIFY = 'message.VarifyService';
const STATUS = 'message.StatusService';
const HEALTH = 'grpc.health.v1.Health';
const secret = 'open-sesame';
const open = { 'rpc.listen': 'any', 'rpc.secret': secret };

test('a board serves verify, status and health', async (t) => {
  await withBoard({ settings: open }, async (board) => {
    const atFirst = await settledSlots(board);
    const [verify, statusClient, health] = [
      new RpcClient(VERIFY, board.verifyPort, { secret }),
      new RpcClient(STATUS, board.statusPort, { secret }),
      new RpcClient(HEALTH, board.verifyPort),
    ];
    try {
      const email = freshEmail();
      const made = await verify.reply('GetVarifyCode', { email });
      assert.deepEqual([made.error, made.email], [0, email]);
      assert.match(made.code, /^\d{6}$/);
      assert.equal((await verify.reply('GetVarifyCode', { email: 'nobody' })).error, 1003);

      const { error, token } = await statusClient.reply('GetChatServer', { uid: 7 });
      assert.equal(error, 0);
      assert.deepEqual(await statusClient.reply('Login', { uid: 7, token }), { error: 0, uid: 7, token, expires_in: 86400 });
      assert.equal((await statusClient.reply('Login', { uid: 8, token })).error, 1010);

      assert.equal((await health.reply('Check', {})).status, 'SERVING');
      for (const wrong of [null, 'open-sesam', `${secret}!`]) await verify.refused('GetVarifyCode', { email }, status.UNAUTHENTICATED, { secret: wrong });
      await verify.refused('/message.VarifyService/Nothing', Buffer.alloc(0), status.UNIMPLEMENTED);
      await verify.refused('GetVarifyCode', {}, [status.INVALID_ARGUMENT, status.INTERNAL], { bytes: Buffer.from('ffff', 'hex') });
    } finally {
      for (const client of [verify, statusClient, health]) client.close();
    }
    await slotsAtRest(board, atFirst);
    await board.stackIsDeepEnough(t);
  });
});

test('HTTP/1 on those ports gets a readable answer', async () => {
  await withBoard({ settings: open }, async (board) => {
    const response = await fetch(`http://${board.host}:${board.verifyPort}/`);
    assert.ok(response.status >= 400 && response.status < 500, `${response.status}`);
    assert.ok((await response.text()).length > 0);
  });
});

test("the gate of a board and the original's kind of verify server: from asking to the chat", async (t) => {
  const made = new Map();
  const server = during(t, await startVerifyServer((email) => made.set(email, sixDigits()).get(email)));
  const settings = { 'dev.echo_code': 0, 'verify.target': `10.0.2.2:${server.port}`, 'rpc.timeout': 3 };
  await withBoard({ settings }, async (board) => {
    const email = freshEmail();
    assert.deepEqual(await call(board, '/get_verifycode', { email }), { error: 0, email });
    const account = { user: 'alice', email, password: 'secret123' };
    await fails(board, '/register', { ...account, code: `${made.get(email)}0` }, 1005);
    assert.equal((await call(board, '/register', { ...account, code: made.get(email) })).error, 0);
    const { token } = await call(board, '/login', account);
    const alice = await joinText(board, { token });
    assert.equal(alice.name, 'alice');
    await alice.leave();
    assert.doesNotMatch(board.console, new RegExp(`(?<![0-9a-f])${made.get(email)}(?![0-9a-f])`));

    server.stop();
    await fails(board, '/get_verifycode', { email: freshEmail() }, 1002);
    await fails(board, '/login', { ...account, password: 'wrong horse' }, 1008);
    await board.atRest();
    await board.stackIsDeepEnough(t);
  });
});
