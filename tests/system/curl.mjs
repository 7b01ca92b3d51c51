// curl as a client: what a script of the users would run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { noteCall } from './evidence.mjs';

/** Runs curl; `body` goes in through stdin, byte for byte. Returns {status, type, text, json, retryAfter}. */
export async function curl(pipit, route, { body, headers = {}, args = [] } = {}) {
  const all = body === undefined ? [] : ['--data-binary', '@-', '-H', 'Content-Type: application/json'];
  for (const [name, value] of Object.entries(headers)) all.push('-H', `${name}: ${value}`);
  const written = '\n%{http_code} %{content_type}';
  const child = spawn('curl', ['-sS', '-g', '--max-time', '20', '-w', written, ...all, ...args, pipit.url + route]);
  const pieces = [];
  let complaint = '';
  child.stdout.on('data', (bytes) => pieces.push(bytes));
  child.stderr.on('data', (bytes) => (complaint += bytes));
  child.stdin.on('error', () => {}); // it need not have read everything
  child.stdin.end(body);
  const code = await new Promise((done) => child.on('close', done));
  const output = Buffer.concat(pieces).toString('utf8');
  assert.equal(code, 0, `curl ${route}: ${complaint}`);
  const cut = output.lastIndexOf('\n');
  const [status, ...type] = output.slice(cut + 1).split(' ');
  const text = output.slice(0, cut);
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: Number(status), type: type.join(' '), text, json };
}

/** Calls a route of the API; an API call that could be read is answered with 200 and JSON. Returns the JSON. */
export async function call(pipit, route, body, headers) {
  const sent = typeof body === 'object' && !Buffer.isBuffer(body) ? JSON.stringify(body) : body;
  const reply = await curl(pipit, route, { body: sent ?? '', headers });
  assert.equal(reply.status, 200, `${route}: ${reply.text}`);
  assert.equal(reply.type, 'application/json');
  assert.ok(Number.isInteger(reply.json?.error), `${route}: ${reply.text}`);
  noteCall(body, reply.json);
  return reply.json;
}

/** The same for a call that must fail with `error`: it carries a sentence that matches `message`. */
export async function fails(pipit, route, body, error, message = /./, headers) {
  const reply = await call(pipit, route, body, headers);
  const shown = `${route} ${Buffer.isBuffer(body) ? body.toString('latin1') : JSON.stringify(body)}`;
  assert.equal(reply.error, error, `${shown}: ${JSON.stringify(reply)}`);
  assert.match(reply.message, message, shown);
  assert.match(reply.message, /\.$/, `${shown}: a sentence`);
  return reply;
}

/** Asks for a code, in development mode. */
export async function codeFor(pipit, email) {
  const reply = await call(pipit, '/get_verifycode', { email });
  assert.equal(reply.error, 0, `${email}: ${JSON.stringify(reply)}`);
  return reply.code;
}

/** Makes an account; returns the reply of /register. */
export async function register(pipit, user, email, password = 'secret123') {
  const code = await codeFor(pipit, email);
  return call(pipit, '/register', { user, email, password, code });
}

let emails = 0;
/** An email that nobody has asked a code for. */
export const freshEmail = () => `user${++emails}@example.com`;
