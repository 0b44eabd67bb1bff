// SPDX-License-Identifier: Apache-2.0
// node issue.mjs JWKS CLAIMS_JSON HEADER_JSON: what the script issue says.
import { readFileSync } from 'node:fs';
import { CompactSign, importJWK } from 'jose';

// Changes stand where a default would; null there leaves the member out.
function complete(defaults, changes) {
  const all = { ...defaults, ...changes };
  for (const name of Object.keys(defaults)) if (all[name] === null) delete all[name];
  return all;
}

const [, , file, claimsJson, headerJson] = process.argv;
const header = JSON.parse(headerJson);
const { keys } = JSON.parse(readFileSync(file, 'utf8'));
const key = header.alg ? keys.find(({ alg }) => alg === header.alg) : keys[0];
if (!key) {
  console.error(`issue: ${file} has no key for ${header.alg}`);
  process.exit(65);
}
const now = Math.floor(Date.now() / 1000);
const claims = complete({ iat: now, nbf: now, exp: now + 300 }, JSON.parse(claimsJson));
const token = new CompactSign(new TextEncoder().encode(JSON.stringify(claims)));
token.setProtectedHeader(complete({ typ: 'JWT', alg: key.alg, kid: key.kid }, header));
console.log(await token.sign(await importJWK(key, key.alg)));
