// As much of gdb's remote protocol as it takes to halt a machine and to bend it (gdb manual, appendix E).
import { once } from 'node:events';
import net from 'node:net';
import { within } from '../system/chat_client.mjs';

const checkSum = (text) => [...Buffer.from(text)].reduce((sum, byte) => (sum + byte) & 255, 0).toString(16).padStart(2, '0');

function littleEndian(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString('hex');
}

export class Gdb {
  /** Attaches; the machine stands still from now on. */
  static async attach(port) {
    const gdb = new Gdb();
    gdb.received = '';
    gdb.socket = net.connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true);
    gdb.socket.on('data', (text) => {
      gdb.received += text;
      gdb.wake?.();
    });
    gdb.socket.on('error', () => {});
    gdb.socket.unref();
    await within(once(gdb.socket, 'connect'), 'no gdb server');
    // QEMU lets nobody name a register who has not asked for this; and it tells by itself that it has halted.
    gdb.send('qXfer:features:read:target.xml:0,1000');
    while (!(await gdb.answer()).includes('<target>'));
    return gdb;
  }

  send(packet) {
    this.socket.write(`$${packet}#${checkSum(packet)}`);
  }

  async answer(ms) {
    for (;;) {
      const packet = this.received.match(/\$([^#]*)#../);
      if (packet !== null) {
        this.received = this.received.slice(packet.index + packet[0].length);
        this.socket.write('+');
        return packet[1];
      }
      await within(new Promise((done) => (this.wake = done)), 'no answer of the gdb server', ms);
    }
  }

  async ask(packet) {
    this.send(packet);
    const answer = await this.answer();
    if (answer === '' || /^E/.test(answer)) throw new Error(`gdb: ${packet} was answered with '${answer}'`);
    return answer;
  }

  async read(address, length) {
    return Buffer.from(await this.ask(`m${address.toString(16)},${length}`), 'hex');
  }

  setRegister(number, value) {
    return this.ask(`P${number.toString(16)}=${littleEndian(value)}`);
  }

  /** Lets it run until it is about to execute what is at `address`. */
  async runTo(address) {
    const kind = `${address.toString(16)},2`;
    await this.ask(`Z1,${kind}`);
    await this.ask('c');
    await this.ask(`z1,${kind}`);
  }

  /** Lets it run and leaves it alone. */
  async detach() {
    await this.ask('D');
    this.socket.destroy();
  }
}
