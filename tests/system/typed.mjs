// What a person does at the simulator's console, and what /metrics says about slots.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from './prometheus.mjs';
import { once, request } from './raw.mjs';

let fences = 0;

/** Types a line; everything that it is answered with. The answer of a second, unknown command marks its end. */
export async function answer(pipit, line) {
  const from = pipit.console.length;
  const fence = `end-of-answer-${++fences}`;
  pipit.type(`${line}\n${fence}`);
  const end = new RegExp(`There is no command ${fence}; try help\\.\\n`);
  await pipit.shows(end);
  const shown = pipit.console.slice(from);
  return shown.slice(0, shown.search(end));
}

/** Sets keys, `{'mail.host': '10.0.2.2'}` ('' unsets one), and makes sure that all were taken. */
export async function configure(pipit, keys) {
  const lines = Object.entries(keys).map(([key, value]) => (value === '' ? `unset ${key}` : `set ${key} ${value}`));
  assert.doesNotMatch(await answer(pipit, lines.join('\n')), /must|no key|command/, lines.join('; '));
}

/** The arguments `--set key=value` for the same. */
export const sets = (keys) => Object.entries(keys).flatMap(([key, value]) => ['--set', `${key}=${value}`]);

/** A page over a connection that is not kept; returns its text. */
export async function page(pipit, path) {
  return (await once(pipit, request('GET', path, { connection: 'close' }))).body;
}

/** All metrics, by series. */
export const metrics = async (pipit) => {
  const text = await page(pipit, '/metrics');
  return readMetrics(text, { help: text.includes('# HELP ') }); // the smallest machine has none
};

// The mail client, TLS, gRPC in both directions, and the gate's calls; not the connection that asks.
const series =
  /^pipit_(?:pool_used\{pool="\w*(?:mail|tls|rpc|grpc|h2|interop|verify|status_call)\w*"|connections\{kind="(?:grpc|mail|rpc)"|(?:mail|tls|rpc)_\w+)/;

/** What is in use of mail, TLS and gRPC just now, by series. */
export async function slots(pipit) {
  const inUse = [...(await metrics(pipit))].filter(([name]) => series.test(name) && !/_total\b|high_water|_most\b|max/.test(name));
  return Object.fromEntries(inUse);
}

/** Waits until no more of mail, TLS and gRPC (or what `only` matches) is in use than `before` (from slots()) had. */
export async function slotsAtRest(pipit, before, { only = /./, ms = 10_000 } = {}) {
  for (const end = Date.now() + ms; ; await sleep(50)) {
    const now = await slots(pipit);
    const busy = Object.entries(now).filter(([name, used]) => only.test(name) && used > (before[name] ?? 0));
    if (busy.length === 0) return;
    assert.ok(Date.now() < end, `still in use: ${busy.map(([name, used]) => `${name} ${used}, was ${before[name]}`).join('; ')}`);
  }
}

/** slots() when nothing has changed for a while: what a simulator keeps after its first call. */
export async function settledSlots(pipit) {
  let [last, same] = ['', 0];
  for (let tries = 0; tries < 200; tries++, await sleep(50)) {
    const now = JSON.stringify(await slots(pipit));
    same = now === last ? same + 1 : 0;
    last = now;
    if (same === 4) return JSON.parse(now);
  }
  return assert.fail(`never at rest: ${last}`);
}
