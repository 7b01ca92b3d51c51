// Runs in another network namespace: node far_members.mjs HOST COUNT. Members that stay until its standard input ends;
// for each line that comes there it prints, as JSON, what each of them has seen.
import { gather } from './crowd.mjs';

const [host, count] = process.argv.slice(2);
const members = await gather({ wsUrl: `ws://${host}/ws` }, Number(count));
process.stdout.write('ready\n');

process.stdin.resume();
process.stdin.on('data', () => {
  const seen = members.map(({ first, last, messages, skipped, wrong, socket }) => ({ first, last, messages, skipped, wrong, open: socket.readyState === 1 }));
  process.stdout.write(`${JSON.stringify(seen)}\n`);
});
process.stdin.on('end', () => process.exit(0));
