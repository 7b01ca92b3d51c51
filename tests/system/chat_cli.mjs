// The terminal client as a child: in a pipe, and in a pseudo-terminal (script of util-linux).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { chatCliPath } from './pipit.mjs';

const environment = { ...process.env, TERM: 'xterm', LC_ALL: 'C.UTF-8', INPUTRC: '/dev/null' };
delete environment.NO_COLOR;
delete environment.COLUMNS;
delete environment.LINES;

/** Those that have not ended yet. */
export const running = new Set();

class Client {
  constructor(program, args, env = {}) {
    this.child = spawn(program, args, { env: { ...environment, ...env } });
    this.out = '';
    this.err = '';
    this.child.stdin.on('error', () => {}); // it may leave before it has read everything
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.err += text));
    this.closed = once(this.child, 'close').then(([code, signal]) => signal ?? code);
    running.add(this);
    this.closed.finally(() => running.delete(this));
  }

  type(text) {
    this.child.stdin.write(text);
  }

  end(text = '') {
    this.child.stdin.end(text);
  }

  /** Waits until what it has printed since the last match matches; both streams count. */
  async shows(pattern, ms = 8000) {
    const until = Date.now() + ms;
    for (;;) {
      const match = pattern.exec(this.out) ?? pattern.exec(this.err);
      if (match) return match;
      if (Date.now() > until) assert.fail(`never saw ${pattern} in:\n${this.out}\n--- stderr:\n${this.err}`);
      await sleep(10);
    }
  }

  /** Its exit status; fails when it does not leave. */
  async status(ms = 10000) {
    const late = sleep(ms, 'still running', { ref: false });
    return Promise.race([this.closed, late]);
  }
}

const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
/** With its standard streams in pipes. */
export const piped = (args, env) => new Client(chatCliPath, args, env);

/** In a pseudo-terminal. */
export function terminal(args, env) {
  const command = ['exec', chatCliPath, ...args].map((word, i) => (i === 0 ? word : quote(word))).join(' ');
  return new Client('script', ['-qfec', command, '/dev/null'], { SHELL: '/bin/sh', ...env });
}

/** A command of sh's in a pseudo-terminal. */
export const shellTerminal = (command, env) => new Client('script', ['-qfec', command, '/dev/null'], { SHELL: '/bin/bash', ...env });
