// SPDX-License-Identifier: Apache-2.0
// writeJwks(FILE, PREFIX, KEEP): writes a private JWKS with an ES256, an RS256 and an EdDSA key, named PREFIX-es256
// and so on. With KEEP, the keys that FILE holds stay published behind the new ones.
// Also a program: node jwks.mjs FILE PREFIX [keep]
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

function makeKey(prefix, alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `${prefix}-${alg.toLowerCase()}` };
}

export function writeJwks(file, prefix, keep = false) {
  const keys = [
    makeKey(prefix, 'ES256', 'ec', { namedCurve: 'P-256' }),
    makeKey(prefix, 'RS256', 'rsa', { modulusLength: 2048 }),
    makeKey(prefix, 'EdDSA', 'ed25519'),
  ];
  if (keep) keys.push(...JSON.parse(readFileSync(file, 'utf8')).keys);
  writeFileSync(`${file}.new`, JSON.stringify({ keys }, null, 1), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , file, prefix, keep] = process.argv;
  if (!file || !prefix) {
    console.error('usage: jwks.mjs FILE PREFIX [keep]');
    process.exit(64);
  }
  writeJwks(file, prefix, keep === 'keep');
}
