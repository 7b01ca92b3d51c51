// What a program keeps in its static memory, read from outside.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

// [from, to) of .data and .bss: what is writable of the program's file, and the anonymous memory right behind that.
function staticMemory(pid, program) {
  const regions = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, from, to, rights, name] = line.match(/^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/) ?? [];
    const region = { from: parseInt(from, 16), to: parseInt(to, 16) };
    const last = regions.at(-1);
    if (name === program) regions.push({ ...region, written: rights.startsWith('rw') });
    else if (name === '' && last?.to === region.from && rights?.startsWith('rw')) regions.push({ ...region, written: true });
  }
  return { base: regions[0].from, regions: regions.filter(({ written }) => written) };
}

// The variables of the program, by address.
function variables(program) {
  const lines = execFileSync('nm', ['-n', '-S', program], { encoding: 'utf8' }).split('\n').map((line) => line.split(' '));
  return lines
    .filter(([, , kind]) => /^[bBdD]$/.test(kind ?? ''))
    .map(([at, size, , name]) => ({ from: parseInt(at, 16), to: parseInt(at, 16) + parseInt(size, 16), name }));
}

/** Where in a running simulator's static memory `secret` stands just now: names of variables, ["http_exchanges_slots"]. */
export function placesOf(secret, pid, program) {
  const { base, regions } = staticMemory(pid, program);
  const known = variables(program);
  const found = [];
  const file = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const { from, to } of regions) {
      const bytes = Buffer.alloc(to - from);
      for (let at = 0; at < bytes.length; ) {
        const n = readSync(file, bytes, at, Math.min(1 << 24, bytes.length - at), from + at);
        if (n === 0) break;
        at += n;
      }
      for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at + 1)) {
        const address = from + at - base;
        found.push(known.find((v) => address >= v.from && address < v.to)?.name ?? `0x${address.toString(16)}`);
      }
    }
  } finally {
    closeSync(file);
  }
  return found;
}
