// /status and /metrics, as machines read them.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { test } from 'node:test';
import WebSocket from 'ws';
import { startPipit } from './pipit.mjs';
import { readMetrics } from './prometheus.mjs';
import { once, post, request } from './raw.mjs';

const page = async (pipit, path) => once(pipit, request('GET', path, { connection: 'close' }));

test('/metrics is valid, at rest and after work, and counters only grow', async (t) => {
  const pipit = await startPipit();
  const first = await page(pipit, '/metrics');
  assert.equal(first.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const before = readMetrics(first.body);
  await pipit.account('alice');
  const ws = new WebSocket(pipit.wsUrl);
  await event(ws, 'message');
  for (const path of ['/nothing', '/login', '/status']) await page(pipit, path);
  const after = readMetrics((await page(pipit, '/metrics')).body);
  for (const [series, value] of before) {
    assert.ok(after.has(series), `${series} has gone`);
    if (/_total\b/.test(series)) assert.ok(after.get(series) >= value, `${series} fell from ${value} to ${after.get(series)}`);
  }
  const grown = (series) => after.get(series) - before.get(series);
  assert.equal(grown('pipit_users'), 1);
  assert.equal(grown('pipit_chat_joined_total'), 1);
  assert.equal(grown('pipit_http_replies_total{class="4xx"}'), 2);
  assert.equal(grown('pipit_http_replies_total{class="1xx"}'), 1);
  assert.equal(after.get('pipit_connections{kind="ws"}'), 1);
  assert.equal(after.get('pipit_pool_used{pool="accounts"}'), 1);
  const pools = (family) => [...after.keys()].filter((key) => key.startsWith(`pipit_pool_${family}{`)).map((key) => key.match(/"(.*)"/)[1]);
  assert.ok(pools('used').length > 5);
  for (const family of ['high_water', 'size', 'refused_total']) assert.deepEqual(pools(family), pools('used'));
  for (const pool of pools('used')) {
    const [used, high, size] = ['used', 'high_water', 'size'].map((family) => after.get(`pipit_pool_${family}{pool="${pool}"}`));
    assert.ok(used <= high && high <= size, `${pool}: ${used}, ${high}, ${size}`);
  }
  t.diagnostic(`${after.size} series`);
  ws.terminate();
  assert.equal(await pipit.stop(), 0);
});

test('each API error is counted under its number', async () => {
  const pipit = await startPipit();
  const counted = () => pipit.metric('pipit_api_errors_total{error="1003"}');
  const before = await counted();
  await once(pipit, post('/login', '{}'));
  assert.equal(await counted(), before + 1);
  assert.equal(await pipit.stop(), 0);
});

test('/status is JSON and says what is going on', async () => {
  const pipit = await startPipit();
  await pipit.account('alice');
  const ws = new WebSocket(pipit.wsUrl);
  await event(ws, 'message');
  const reply = await page(pipit, '/status');
  const status = JSON.parse(reply.body);
  assert.deepEqual([status.name, status.users, status.clients, status.address], ['pipit', 1, 1, '10.0.2.15']);
  assert.ok(status.newest_event >= 1 && status.http_requests >= 4);
  assert.ok(status.services.map((service) => service.name).includes('hub'));
  for (const pool of status.pools) assert.ok(pool.used <= pool.high_water && pool.high_water <= pool.size, pool.name);
  ws.terminate();
  assert.equal(await pipit.stop(), 0);
});

test('the reader of metrics can fail', () => {
  const family = '# HELP a_total Things.\n# TYPE a_total counter\n';
  assert.deepEqual([...readMetrics(`${family}a_total{x="1",y="\\n"} 3\n`)], [['a_total{x="1",y="\\n"}', 3]]);
  for (const bad of [
    '', family, `${family}a_total 1`, `${family}a_total x\n`, `${family}a_total 1\na_total 1\n`, `${family}b 1\n`, `${family}a_total 1\r\n`, 'a 1\n',
    `${family}a_total 1\n${family}a_total{x="1"} 1\n`, '# TYPE a gauge\na 1\n', '# HELP a Things.\na 1\n', '# HELP a Things.\n# TYPE a counter\na 1\n',
    `${family}# HELP b Things.\n# TYPE b gauge\nb 1\n`, `${family}a_total{x=1} 1\n`, `${family}a_total {x="1"} 1\n`, `${family}\na_total 1\n`,
    `${family}a_total 1\n# HELP b Things.\n# TYPE b gauge\nb 1\na_total{x="1"} 1\n`, `${family}a_total NaN\n`, '# HELP a \n# TYPE a gauge\na 1\n',
  ]) assert.throws(() => readMetrics(bad), JSON.stringify(bad));
});
