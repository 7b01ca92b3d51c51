// The simulator on a TAP device: any MTU, much data both ways, and one owner a device.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { atRest, within } from './chat_client.mjs';
import { createTap, enterNamespace, ip, startOnTap } from './namespace.mjs';
import { spawnPipit } from './pipit.mjs';
import { BINARY, closeFrame, frame, RawSocket } from './raw_socket.mjs';

const skip = await enterNamespace();
const run = promisify(execFile);

// One ICMP echo request of `size` bytes from Python's raw socket (the namespace's root may); true when the same bytes
// come back.
const pingSource = `
import os, socket, struct, sys
size = int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.settimeout(1)
body = os.urandom(size)
head = struct.pack('!BBHHH', 8, 0, 0, 4711, size)
data = head + body + b'\\0' * (size % 2)
total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
while total >> 16: total = (total & 0xffff) + (total >> 16)
s.sendto(head[:2] + struct.pack('!H', ~total & 0xffff) + head[4:] + body, (sys.argv[1], 0))
while True:
    try:
        answer = s.recv(70000)[20:]
    except socket.timeout:
        print('no answer'); break
    if answer[0] == 0 and answer[4:8] == head[4:8]:
        print('same' if answer[8:] == body else 'different'); break
`;

async function ping(pipit, size) {
  const { stdout } = await run('python3', ['-c', pingSource, pipit.host, `${size}`]);
  return stdout.trim();
}

async function curl(...args) {
  const { stdout } = await run('curl', ['-sS', '--max-time', '20', ...args]);
  return stdout;
}

async function echo(pipit, payload) {
  const raw = await RawSocket.open(pipit, '/ws-echo');
  const writing = raw.write(frame(BINARY, payload));
  const message = await raw.message();
  await writing;
  assert.equal(Buffer.compare(message.payload, payload), 0);
  await raw.write(closeFrame(1000));
  assert.equal(await raw.closeCode(), 1000);
  await raw.expectEnd();
}

for (const mtu of [1500, 65440]) {
  describe(`MTU ${mtu}`, { skip }, () => {
    let pipit;
    const tap = `mtu${mtu}`;
    before(async () => {
      pipit = await startOnTap(createTap(tap, { mtu }), { args: ['--set', 'chat.echo=1', '--set', 'api.rate=0'] });
    });
    after(() => pipit.stop());

    test('curl: pages, an API call, many requests on one connection', async () => {
      assert.equal(await curl(`${pipit.url}/healthz`), 'ok\n');
      assert.equal(JSON.parse(await curl(`${pipit.url}/status`)).address, '10.77.0.2');
      const code = ['-H', 'Content-Type: application/json', '-d', '{"email":"tap@example.com"}', `${pipit.url}/get_varifycode`];
      assert.equal(JSON.parse(await curl(...code)).error, 0);
      const many = Array.from({ length: 100 }, () => `${pipit.url}/healthz`);
      assert.equal(await curl(...many), 'ok\n'.repeat(100));
      assert.equal(await curl('-o', '/dev/null', '-w', '%{num_connects}', ...many.slice(1)).then((s) => s.replaceAll('ok\n', '')[0]), '1');
    });

    test('ping, small and as large as the device lets through', async () => {
      for (const size of [0, 1, 56, mtu - 28]) assert.equal(await ping(pipit, size), 'same', `${size} bytes`);
    });

    test('pings in fragments, answered or not, harm nobody', async () => {
      for (const size of [mtu - 27, 12_000, 65_507]) {
        await ping(pipit, size);
        assert.equal(await curl(`${pipit.url}/healthz`), 'ok\n');
      }
    });

    test('16 MB there and back, alone and four at a time', async (t) => {
      const payload = Buffer.alloc(16 << 20);
      randomFillSync(payload);
      const started = performance.now();
      await echo(pipit, payload);
      t.diagnostic(`16 MB there and back in ${(performance.now() - started).toFixed(0)} ms`);
      await Promise.all(Array.from({ length: 4 }, () => echo(pipit, payload.subarray(0, 4 << 20))));
    });

    test('a second simulator on the same device says so in one sentence and ends with 2', async () => {
      const second = spawnPipit(['--tap', tap, '--ip', '10.77.0.9/16']);
      assert.equal(await within(second.exited, 'the second one went on'), 2);
      const lines = second.console.trim().split('\n');
      assert.equal(lines.length, 1, second.console);
      assert.match(lines[0], new RegExp(`--tap ${tap}: another program uses it.*\\.$`));
      assert.equal(await curl(`${pipit.url}/healthz`), 'ok\n');
    });

    test('slots at rest', () => atRest(pipit));
  });
}

test('a device whose MTU is smaller than asked for is set to it', { skip }, async () => {
  const tap = createTap('mtuset', { mtu: 1500 });
  const pipit = await startOnTap(tap, { args: ['--mtu', '9000'] });
  try {
    assert.match(ip(`link show ${tap}`), /mtu 9000/);
    assert.equal(await ping(pipit, 9000 - 28), 'same');
  } finally {
    await pipit.stop();
  }
});
