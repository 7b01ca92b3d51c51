// Certificates for TLS peers, made with the openssl command line in a folder that goes with the test.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DAY_MS = 86_400_000;

// `openssl ca` alone lets a test choose both dates (OpenSSL 3.0's x509 and req count days from now).
const caConfig = `
[ca]
default_ca = here
[here]
new_certs_dir = .
database = index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
`;

const extensionsOf = {
  authority: () => 'basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n',
  server: (names) => `basicConstraints = critical,CA:FALSE\nextendedKeyUsage = serverAuth\nsubjectAltName = ${names.join(',')}\n`,
};

const keyArguments = {
  ecdsa: '-newkey ec -pkeyopt ec_paramgen_curve:P-256',
  p384: '-newkey ec -pkeyopt ec_paramgen_curve:P-384',
  rsa: '-newkey rsa:2048',
  rsa4096: '-newkey rsa:4096',
};

const asn1Time = (ms) =>
  new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');

export class Certificates {
  /** A folder with the authority `ca`. */
  static async make() {
    const all = new Certificates();
    all.folder = await mkdtemp(path.join(os.tmpdir(), 'pipit-certificates-'));
    await writeFile(path.join(all.folder, 'config'), caConfig);
    await writeFile(path.join(all.folder, 'index'), '');
    all.ca = await all.authority('ca');
    return all;
  }

  #turn = Promise.resolve();

  // One after the other: openssl's index is one file, and so are the keys of certificates with one name.
  #inTurn(make) {
    const made = this.#turn.then(make);
    this.#turn = made.catch(() => {});
    return made;
  }

  #openssl(words) {
    return run('openssl', words.split(' '), { cwd: this.folder });
  }

  #file(name) {
    return path.join(this.folder, name);
  }

  async #request(name, algorithm) {
    await this.#openssl(`req -new -nodes -batch -config config ${keyArguments[algorithm]} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
  }

  async #sign(name, extensions, issuer, from, to) {
    await writeFile(this.#file(`${name}.ext`), extensions);
    const by = issuer === undefined ? `-selfsign -keyfile ${name}.key` : `-cert ${issuer}.pem -keyfile ${issuer}.key`;
    const dates = `-startdate ${asn1Time(from)} -enddate ${asn1Time(to)}`;
    await this.#openssl(`ca -batch -notext -config config ${by} -extfile ${name}.ext ${dates} -in ${name}.csr -out ${name}.pem`);
  }

  /** An authority, its own or signed by `issuer`; returns the path of its certificate. */
  authority(name, { issuer, algorithm = 'ecdsa' } = {}) {
    return this.#inTurn(async () => {
      await this.#request(name, algorithm);
      await this.#sign(name, extensionsOf.authority(), issuer, Date.now() - DAY_MS, Date.now() + DAY_MS);
      return this.#file(`${name}.pem`);
    });
  }

  /**
   * A server's key and certificate as {key, cert}, PEM. `names` as in openssl's subjectAltName: 'DNS:mail.example',
   * 'IP:10.0.2.2'. `chain`: authorities whose certificates the server sends too.
   */
  server(
    name,
    { names = ['IP:10.0.2.2'], issuer = 'ca', algorithm = 'ecdsa', from = Date.now() - DAY_MS, to = Date.now() + DAY_MS, chain = [] } = {},
  ) {
    return this.#inTurn(async () => {
      await this.#request(name, algorithm);
      await this.#sign(name, extensionsOf.server(names), issuer, from, to);
      const pems = await Promise.all([name, ...chain].map((each) => readFile(this.#file(`${each}.pem`), 'utf8')));
      return { key: await readFile(this.#file(`${name}.key`), 'utf8'), cert: pems.join('') };
    });
  }

  expired(name) {
    return this.server(name, { from: Date.now() - 30 * DAY_MS, to: Date.now() - DAY_MS });
  }

  remove() {
    return rm(this.folder, { recursive: true, force: true });
  }
}
