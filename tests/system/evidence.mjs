// What a run leaves for tests/logs.sh to look at: the logs of all programs that it started, and the secrets that it used.
import { appendFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.resolve(root, process.env.B ?? 'build/sim', 'test-output');
mkdirSync(path.join(folder, 'logs'), { recursive: true });

const noted = new Set();

/** Notes a password, token or the like. One that is short, or a plain word, might stand in a log for another reason. */
export function noteSecret(text) {
  if (typeof text !== 'string' || Buffer.byteLength(text) < 8 || /^[a-z]+$|[\r\n\0]/.test(text) || noted.has(text)) return;
  noted.add(text);
  appendFileSync(path.join(folder, 'secrets'), `${text}\n`);
}

/** Notes what is secret in a request to the API and in its reply. */
export function noteCall(request, reply) {
  noteSecret(request?.password);
  noteSecret(reply?.token?.split?.('.')[1]);
}

/** Notes the value in "mail.password=..." of a command line, or in "set mail.password ..." of a console. */
export function noteSetting(text) {
  noteSecret(text.match(/^(?:set )?(?:mail\.password|rpc\.secret)[= ](.*)$/)?.[1]);
}

/** Takes down what a program has written. */
export const takeDown = (pid, text) => appendFileSync(path.join(folder, 'logs', `${pid}.log`), text);
