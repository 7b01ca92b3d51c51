// QEMU's monitor: set_link, system_reset, info.
import { once } from 'node:events';
import net from 'node:net';
import { within } from '../system/chat_client.mjs';

const PROMPT = '(qemu) ';

export class Monitor {
  static async open(port) {
    const monitor = new Monitor();
    monitor.socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
    monitor.shown = '';
    monitor.socket.on('data', (text) => {
      monitor.shown += text;
      monitor.wake?.();
    });
    monitor.socket.on('error', () => {});
    monitor.socket.unref();
    await within(once(monitor.socket, 'connect'), 'no monitor');
    await monitor.#prompt();
    return monitor;
  }

  async #prompt() {
    while (!this.shown.endsWith(PROMPT)) await within(new Promise((done) => (this.wake = done)), 'no prompt of the monitor');
    const shown = this.shown;
    this.shown = '';
    return shown.slice(0, -PROMPT.length);
  }

  /** Runs a command; what it answers, with the echo of the command in front. */
  run(command) {
    this.socket.write(`${command}\n`);
    return this.#prompt();
  }

  close() {
    this.socket.destroy();
  }
}
