// GET / byte by byte: what a browser, a cache, curl and a slow line get. What the page then does is in web.test.mjs.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { smallPipitPath, startPipit } from './pipit.mjs';
import { atRest, Raw, request } from './raw.mjs';
import { configure } from './typed.mjs';

let pipit;
before(async () => {
  pipit = await startPipit({ program: smallPipitPath });
});
after(async () => {
  assert.equal(await pipit.stop(), 0);
});

const ask = async (fields, method = 'GET') => {
  const raw = new Raw(pipit);
  try {
    return await raw.write(request(method, '/', fields)).reply({ head: method === 'HEAD' || fields['if-none-match'] !== undefined });
  } finally {
    raw.drop();
  }
};

// readReply() makes text of a body; here every byte counts.
async function whole() {
  const raw = new Raw(pipit).write(request('GET', '/', { 'accept-encoding': 'gzip', connection: 'close' }));
  await raw.until(() => raw.ended || undefined, 'the end');
  raw.drop();
  const end = raw.received.indexOf('\r\n\r\n') + 4;
  return { head: raw.received.subarray(0, end).toString('latin1'), body: raw.received.subarray(end) };
}

test('the page: one gzip stream without a time or a name, and headers that let nothing else run', async (t) => {
  const { head, body } = await whole();
  const field = (name) => head.match(new RegExp(`\r\n${name}: ([^\r]*)\r\n`, 'i'))?.[1];
  t.diagnostic(`${body.length} bytes compressed, ${head.length} of head`);
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(field('content-length'), String(body.length));
  assert.ok(body.length <= 14336);
  assert.deepEqual([...body.subarray(0, 8)], [31, 139, 8, 0, 0, 0, 0, 0]);
  assert.deepEqual(
    ['content-type', 'content-encoding', 'vary', 'cache-control', 'x-content-type-options', 'referrer-policy'].map(field),
    ['text/html; charset=utf-8', 'gzip', 'Accept-Encoding', 'no-cache', 'nosniff', 'no-referrer'],
  );
  assert.match(field('etag'), /^"[0-9a-f]{16}"$/);

  const page = gunzipSync(body).toString();
  const hash = (element) => {
    const found = page.match(new RegExp(`<${element}>([^]*?)</${element}>`, 'g'));
    assert.equal(found.length, 1, `one ${element}`);
    return `'sha256-${createHash('sha256').update(found[0].slice(element.length + 2, -element.length - 3)).digest('base64')}'`;
  };
  assert.equal(field('content-security-policy'),
    `default-src 'none'; script-src ${hash('script')}; style-src ${hash('style')}; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`);
  assert.equal(/ (?:src|href)=(?!"?(?:#|data:))|@import|url\(/.exec(page)?.[0], undefined, 'no other resource');
});

test('who does not ask for gzip is told what to do', async () => {
  for (const accepted of [undefined, '', 'identity', 'br, deflate', 'gzip;q=0', 'gzip;q=0.000, *', '*;q=0']) {
    const reply = await ask({ 'accept-encoding': accepted });
    assert.deepEqual([reply.status, reply.headers.get('vary')], [406, 'Accept-Encoding'], String(accepted));
    assert.match(reply.body, /^The chat page is sent with gzip alone: .*curl --compressed.*\.\n$/);
  }
  for (const accepted of ['gzip', 'GZIP;q=0.001', 'br;q=1.0, gzip;q=0.8, *;q=0.1', '*', 'identity, *;q=0.5', 'br,,gzip'])
    assert.equal((await ask({ 'accept-encoding': accepted })).status, 200, accepted);
});

test('who has it already gets 304; HEAD gets the fields', async () => {
  const gzip = { 'accept-encoding': 'gzip' };
  const head = await ask(gzip, 'HEAD');
  const tag = head.headers.get('etag');
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get('content-length')) > 5000);
  const kept = ['etag', 'vary', 'cache-control', 'content-security-policy'];
  for (const known of [tag, `W/${tag}`, `"a", "b,c" ,${tag}`, '*', ` W/"x", W/${tag} `]) {
    for (const method of ['GET', 'HEAD']) {
      const reply = await ask({ ...gzip, 'if-none-match': known }, method);
      assert.equal(reply.status, 304, known);
      for (const name of kept) assert.equal(reply.headers.get(name), head.headers.get(name), name);
      for (const name of ['content-length', 'content-type', 'content-encoding']) assert.equal(reply.headers.get(name), undefined, name);
    }
  }
  const raw = new Raw(pipit).write(request('GET', '/', { ...gzip, 'if-none-match': tag.toUpperCase().replace('"', '"x') }) + request('GET', '/healthz'));
  assert.equal((await raw.reply().catch(() => ({ status: 0 }))).status, 200, 'another tag is another page');
  raw.drop();
  assert.equal((await ask({ 'if-none-match': tag })).status, 406, 'and gzip comes first');
});

test('/ws without an upgrade is told what a handshake would be', async () => {
  const once = async (fields) => {
    const raw = new Raw(pipit);
    const { status } = await raw.write(request('GET', '/ws?since=0', { connection: 'close', ...fields })).reply();
    raw.drop();
    return status;
  };
  const { token } = await pipit.account('page');
  assert.equal(await once({}), 426);
  assert.equal(await once({ authorization: `Bearer ${token}` }), 426);
  assert.equal(await once({ authorization: 'Bearer 1.0123456789abcdef0123456789abcdef' }), 401);
  await configure(pipit, { 'chat.guests': 0 });
  assert.deepEqual([await once({}), (await pipit.status()).guests], [401, false]);
  assert.equal(await once({ authorization: `Bearer ${token}` }), 426);
  await configure(pipit, { 'chat.guests': 1 });
  assert.deepEqual([await once({}), (await pipit.status()).guests], [426, true]);
});

test('requests one behind the other are answered in order, whole', async () => {
  const raw = new Raw(pipit);
  raw.write(request('GET', '/', { 'accept-encoding': 'gzip', 'if-none-match': '*' }) + request('HEAD', '/', { 'accept-encoding': 'gzip' }) + request('GET', '/healthz'));
  assert.equal((await raw.reply({ head: true })).status, 304);
  assert.equal((await raw.reply({ head: true })).status, 200);
  assert.equal((await raw.reply()).body, 'ok\n');
  raw.drop();
});

test('one who takes nothing loses the connection after http.body_timeout; the place is free again', async () => {
  await configure(pipit, { 'http.body_timeout': 1 });
  const deaf = new Raw(pipit);
  deaf.socket.pause();
  deaf.write(request('GET', '/', { 'accept-encoding': 'gzip' }).repeat(600)); // more than the host's own buffers take
  assert.equal((await ask({ 'accept-encoding': 'gzip' }, 'HEAD')).status, 200);
  await atRest(pipit, 20_000);
  deaf.drop();
});
