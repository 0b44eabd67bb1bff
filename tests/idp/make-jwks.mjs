// SPDX-License-Identifier: Apache-2.0
// node make-jwks.mjs FILE PREFIX [keep]: writes a private JWKS with an ES256, an RS256 and an EdDSA key, named
// PREFIX-es256 and so on. With "keep", the keys that FILE holds stay published behind the new ones.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const [, , file, prefix, keep] = process.argv;
if (!file || !prefix) {
  console.error('usage: make-jwks.mjs FILE PREFIX [keep]');
  process.exit(64);
}

function makeKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `${prefix}-${alg.toLowerCase()}` };
}

const keys = [
  makeKey('ES256', 'ec', { namedCurve: 'P-256' }),
  makeKey('RS256', 'rsa', { modulusLength: 2048 }),
  makeKey('EdDSA', 'ed25519'),
];
if (keep === 'keep') keys.push(...JSON.parse(readFileSync(file, 'utf8')).keys);
writeFileSync(`${file}.new`, JSON.stringify({ keys }, null, 1), { mode: 0o600 });
renameSync(`${file}.new`, file);
