// SPDX-License-Identifier: Apache-2.0
// The OpenID provider that the tests log in at: npm oidc-provider, a certified implementation, with a login
// and a consent that need no browser and with knobs that make it behave as badly as real ones do.
// Environment: PORT (0: any), JWKS (file, made when missing), TLS_CERT and TLS_KEY (files; then https), HOST (127.0.0.1).
// Prints "ready ISSUER" when it listens. SIGHUP reads the JWKS file again. See README.md for the knobs.
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider, { errors } from 'oidc-provider';
import { SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import { writeJwks } from './jwks.mjs';

const environment = { PORT: '0', JWKS: 'jwks.json', HOST: '127.0.0.1', ...process.env };

const knobs = {
  // who logs in, and what the person decides
  login: 'alice',
  deny: false,
  users: {
    alice: { groups: ['eng', 'admins'], email: 'alice@example.com', email_verified: true },
    bob: { groups: ['dba'], email: 'bob@example.com', email_verified: false },
    mallory: { groups: [], email: 'mallory@example.org', email_verified: true },
  },
  // lifetimes in seconds
  id_ttl: 300,
  access_ttl: 300,
  refresh_ttl: 3600,
  device_ttl: 120,
  // the device flow
  interval: 1, // of polling; 0: leave it out of the answer
  slow_down: 0, // answer this many polls with slow_down
  echo_device_nonce: true, // many providers take a nonce there and lose it
  refresh_nonce: true,
  rotate_refresh: true,
  // trouble
  fail: 0, // answer this many requests to fail_path with fail_status
  fail_status: 503,
  fail_path: '/token',
  fail_body: null, // text in place of a JSON error
  delay_ms: 0, // before each answer of delay_path
  delay_path: '/token',
  hang: [], // paths that never get an answer
  discovery: {}, // members to change in the discovery document; null removes one
  claims: {}, // members to change in id_tokens, which are signed again; null removes one
  iat_shift: 0, // seconds added to iat and nbf
};
const initialKnobs = structuredClone(knobs);
const hits = {};

// Everything that a provider remembers. It outlives a Provider object, so that a change of keys keeps it.
const records = new Map();
class MemoryAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}/${id}`;
  }

  async upsert(id, payload) {
    records.set(this.key(id), payload);
    if (payload.userCode) records.set(`user-code/${payload.userCode}`, id);
    if (payload.uid) records.set(`uid/${payload.uid}`, id);
  }

  async find(id) {
    return records.get(this.key(id));
  }

  async findByUserCode(code) {
    return this.find(records.get(`user-code/${code}`));
  }

  async findByUid(uid) {
    return this.find(records.get(`uid/${uid}`));
  }

  async consume(id) {
    records.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    records.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, value] of records) if (value?.grantId === grantId) records.delete(key);
  }
}

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
function publicClient(clientId, algorithm) {
  return {
    client_id: clientId,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
    redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
    id_token_signed_response_alg: algorithm,
  };
}

function readKeys() {
  if (!existsSync(environment.JWKS)) writeJwks(environment.JWKS, 'k1');
  return JSON.parse(readFileSync(environment.JWKS, 'utf8'));
}

function findAccount(ctx, id) {
  const user = knobs.users[id];
  return user && { accountId: id, claims: () => ({ sub: id, preferred_username: id, ...user }) };
}

// oidc-provider keeps the nonce of a device authorization but puts it into no id_token; and it repeats a
// nonce after a refresh. Both differ between real providers.
function applyNonceKnobs(provider) {
  const { DeviceCode, RefreshToken } = provider;
  const saveCode = DeviceCode.prototype.save;
  DeviceCode.prototype.save = function save(...rest) {
    if (knobs.echo_device_nonce && this.params?.nonce) this.nonce = this.params.nonce;
    return saveCode.apply(this, rest);
  };
  const saveRefresh = RefreshToken.prototype.save;
  RefreshToken.prototype.save = function save(...rest) {
    if (!knobs.refresh_nonce) this.nonce = undefined;
    return saveRefresh.apply(this, rest);
  };
}

function change(object, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete object[name];
    else object[name] = value;
  }
}

async function changeClaims(body) {
  if (!body.id_token || (Object.keys(knobs.claims).length === 0 && knobs.iat_shift === 0)) return;
  const header = decodeProtectedHeader(body.id_token);
  const claims = decodeJwt(body.id_token);
  for (const name of ['iat', 'nbf']) if (claims[name]) claims[name] += knobs.iat_shift;
  change(claims, knobs.claims);
  const key = readKeys().keys.find((k) => k.kid === header.kid);
  body.id_token = await new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(key, header.alg));
}

// Counts requests, makes trouble before the provider sees one, and changes answers after it.
async function interfere(ctx, next) {
  const path = ctx.path.startsWith('/.well-known') ? ctx.path : ctx.path.replace(/\/[\w-]{20,}$/, '/:uid');
  hits[path] = (hits[path] ?? 0) + 1;
  if (knobs.hang.includes(path)) await new Promise(() => {});
  if (knobs.delay_ms && path === knobs.delay_path) await new Promise((done) => setTimeout(done, knobs.delay_ms));
  if (knobs.fail > 0 && path === knobs.fail_path) {
    knobs.fail -= 1;
    ctx.status = knobs.fail_status;
    ctx.body = knobs.fail_body ?? { error: 'temporarily_unavailable' };
    return;
  }
  if (knobs.slow_down > 0 && path === '/token') {
    knobs.slow_down -= 1;
    ctx.status = 400;
    ctx.body = { error: 'slow_down' };
    return;
  }
  await next();
  if (ctx.status !== 200) return;
  if (path === '/device/auth' && knobs.interval) ctx.body.interval = knobs.interval;
  if (path === '/.well-known/openid-configuration') change(ctx.body, knobs.discovery);
  if (path === '/token') await changeClaims(ctx.body);
}

function makeProvider(issuer) {
  const provider = new Provider(issuer, {
    adapter: MemoryAdapter,
    jwks: readKeys(),
    clients: [
      publicClient('qf-tokend', 'ES256'),
      publicClient('qf-rs256', 'RS256'),
      publicClient('qf-eddsa', 'EdDSA'),
    ],
    findAccount,
    claims: {
      openid: ['sub'],
      groups: ['groups'],
      profile: ['preferred_username'],
      email: ['email', 'email_verified'],
    },
    scopes: ['openid', 'offline_access'],
    conformIdTokenClaims: false, // groups and email in the id_token itself, as most providers do it
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (ctx, client, code) => code.scopes.has('offline_access'),
    rotateRefreshToken: () => knobs.rotate_refresh,
    cookies: { keys: ['only for tests'] },
    ttl: {
      AccessToken: () => knobs.access_ttl,
      IdToken: () => knobs.id_ttl,
      RefreshToken: () => knobs.refresh_ttl,
      DeviceCode: () => knobs.device_ttl,
      Grant: () => 86400,
      Session: () => 3600,
      Interaction: () => 600,
    },
    renderError: async (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
  });
  applyNonceKnobs(provider);
  provider.use(interfere);
  return provider;
}

// Login and consent in the place of a person: no page, only the decision. A request may name the person
// (X-Test-Login) and refuse (X-Test-Deny), which the approve script does.
async function interact(provider, request, response) {
  const details = await provider.interactionDetails(request, response);
  if (knobs.deny || request.headers['x-test-deny']) {
    const refusal = { error: new errors.AccessDenied().error, error_description: 'the person said no' };
    return provider.interactionFinished(request, response, refusal);
  }
  if (details.prompt.name === 'login') {
    const accountId = request.headers['x-test-login'] ?? details.params.login_hint ?? knobs.login;
    return provider.interactionFinished(request, response, { login: { accountId } });
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  const missing = details.prompt.details.missingOIDCScope;
  if (missing) grant.addOIDCScope(missing.join(' '));
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

// GET /_test: knobs and hits; POST /_test with a JSON object changes knobs; {"reset":true}: all but the keys as at the start.
async function testInterface(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { reset, ...changes } = JSON.parse(body || '{}');
  if (reset) {
    Object.assign(knobs, structuredClone(initialKnobs));
    for (const path of Object.keys(hits)) delete hits[path];
    records.clear();
  }
  Object.assign(knobs, changes);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ ...knobs, hits }));
}

let provider;
async function serve(request, response) {
  try {
    if (request.url === '/_test') return await testInterface(request, response);
    if (request.url.startsWith('/interaction/')) return await interact(provider, request, response);
    return await provider.callback()(request, response);
  } catch (error) {
    response.statusCode = 400;
    return response.end(`${error}\n`);
  }
}

const secure = Boolean(environment.TLS_CERT);
const server = secure
  ? https.createServer({ cert: readFileSync(environment.TLS_CERT), key: readFileSync(environment.TLS_KEY) }, serve)
  : http.createServer(serve);
server.listen(Number(environment.PORT), environment.HOST, () => {
  const issuer = `${secure ? 'https' : 'http'}://${environment.HOST}:${server.address().port}`;
  provider = makeProvider(issuer);
  process.on('SIGHUP', () => {
    provider = makeProvider(issuer);
    console.log('keys read again');
  });
  console.log(`ready ${issuer}`);
});
