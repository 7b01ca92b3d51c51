// The README's examples, run as they stand there; only the port is another one.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { chatCliPath, startPipit } from './pipit.mjs';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../..');
const readme = await readFile(path.join(root, 'README.md'), 'utf8');

function block(info) {
  const match = readme.match(new RegExp(`^\`\`\`${info}\\n([^]*?)^\`\`\``, 'm'));
  assert.ok(match, `the README has no block of ${info}`);
  return match[1];
}

test('the curl lines make an account and log in', async () => {
  const pipit = await startPipit();
  const script = block('sh').replaceAll('8080', String(pipit.port));
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script]);
  assert.match(stdout, /^ok\n/);
  assert.match(stdout, /"error":0,"uid":1,"user":"alice".*"message":"register success"/);
  assert.match(stdout, /"message":"login success","token":"[^"]+","host":"127\.0\.0\.1"/);
  assert.equal(await pipit.stop(), 0);
});

test('every make target and every file that the README names is there', async () => {
  const { stdout: help } = await run('make', ['-s', '-C', root, 'help']);
  for (const [, target] of readme.matchAll(/(?:`|^ {4})make (?:PROFILE=small |BOARD=[\w-]+ )?([a-z]+)/gm)) {
    if (target !== 'help') assert.match(help, new RegExp(`make ${target}\\b`), target);
  }
  for (const [, link] of readme.matchAll(/\]\(([^)]+)\)/g)) {
    const [file, heading] = link.split('#');
    const text = await readFile(path.join(root, file), 'utf8').catch((error) => assert.equal(error.code, 'EISDIR', error.message));
    if (heading) assert.ok([...text.matchAll(/^#+ (.*)$/gm)].some(([, title]) => title.toLowerCase().replaceAll(' ', '-') === heading), link);
  }
  for (const [, file] of readme.matchAll(/`((?:tests|services|app)\/[\w/.-]+\.(?:c|mjs|sh))`/g)) await readFile(path.join(root, file));
});

test('the chat lines are options that the client has', async () => {
  const { stdout } = await run(chatCliPath, ['--help']);
  for (const [, option] of block('sh chat').matchAll(/(--\w+)/g)) assert.ok(stdout.includes(option), option);
});
