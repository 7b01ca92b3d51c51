// Reads the Prometheus text format 0.0.4, strictly: whatever a scraper could stumble over is an error.
import assert from 'node:assert/strict';

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const helpLine = new RegExp(`^# HELP (${name}) (\\S.*)$`);
const typeLine = new RegExp(`^# TYPE (${name}) (counter|gauge)$`);
const sampleLine = new RegExp(`^(${name})(?:\\{(${label}(?:,${label})*)\\})? (\\d+(?:\\.\\d+)?)$`);

/**
 * Returns Map(series -> number). Each family: HELP, TYPE, then its samples, together and once. The smallest machine has
 * no HELP: `{ help: false }`.
 */
export function readMetrics(text, { help: helps = true } = {}) {
  assert.ok(text.endsWith('\n') && !text.includes('\r'), 'each line ends with one line feed');
  const series = new Map();
  const families = new Map();
  let family;
  const begin = (name) => {
    assert.ok(!families.has(name), `${name}: a second beginning`);
    assert.ok(family === undefined || family.samples > 0, `${family?.name}: no samples`);
    family = { name, samples: 0 };
    families.set(name, family);
  };
  for (const line of text.slice(0, -1).split('\n')) {
    const [help, type, sample] = [helpLine, typeLine, sampleLine].map((pattern) => line.match(pattern));
    assert.ok(help || type || sample, `what is this? ${JSON.stringify(line)}`);
    assert.ok(helps || !help, 'no HELP was to be there');
    if (help) {
      begin(help[1]);
    } else if (type) {
      if (!helps) begin(type[1]);
      assert.ok(family?.name === type[1] && family.type === undefined && family.samples === 0, `TYPE ${type[1]} out of place`);
      family.type = type[2];
      assert.equal(family.type === 'counter', family.name.endsWith('_total'), `${family.name} is a ${family.type}`);
    } else {
      const key = sample[2] === undefined ? sample[1] : `${sample[1]}{${sample[2]}}`;
      assert.ok(family?.name === sample[1] && family.type !== undefined, `${key} stands outside of its family`);
      assert.ok(!series.has(key), `${key} twice`);
      family.samples++;
      series.set(key, Number(sample[3]));
    }
  }
  assert.ok(family?.samples > 0, 'the last family has no samples');
  return series;
}
