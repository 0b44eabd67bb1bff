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
  refresh_id_token: true, // false: a refresh answers without one
  // the browser flow
  auth_error: null, // OAuth error code that the authorization endpoint redirects back with
  drop_iss: false, // the authorization response has no iss (RFC 9207)
  wrong_iss: null, // text in place of it
  // DPoP
  dpop_nonce: false, // proofs need a nonce of the provider
  // trouble
  fail: 0, // answer this many requests to fail_path with fail_status
  fail_status: 503,
  fail_path: '/token',
  fail_body: null, // text in place of a JSON error
  delay_ms: 0, // before each answer of delay_path
  delay_path: '/token',
  hang: [], // paths that never get an answer
  refresh_fail: null, // what every refresh gets: a name in refreshFailures, or "hang"
  token_body: null, // text in place of a token answer, with its status 200
  jwks: null, // object or text in place of the key set
  discovery: {}, // members to change in the discovery document; null removes one
  claims: {}, // members to change in id_tokens, which are signed again; null removes one
  access_claims: {}, // the same for JWT access tokens
  date_shift: 0, // seconds added to the Date header of each answer, as if the provider's clock were wrong
  iat_shift: 0, // seconds added to iat and nbf of id_tokens
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

function liveRefreshTokens() {
  const now = Date.now() / 1000;
  const live = ([key, value]) => key.startsWith('RefreshToken/') && !value.consumed && value.exp > now;
  return [...records].filter(live).map(([key]) => key.slice(key.indexOf('/') + 1));
}

const RESOURCE = 'https://peers.fabric.example';
const scopeClaims = {
  openid: ['sub'],
  groups: ['groups'],
  profile: ['preferred_username'],
  email: ['email', 'email_verified'],
};

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
function nativeClient(clientId, algorithm, authentication = { token_endpoint_auth_method: 'none' }) {
  return {
    ...authentication,
    client_id: clientId,
    application_type: 'native',
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

function claimsOf(id) {
  return { sub: id, preferred_username: id, ...knobs.users[id] };
}

function findAccount(ctx, id) {
  return knobs.users[id] && { accountId: id, claims: () => claimsOf(id) };
}

// The peers of a fabric as a resource (RFC 8707): its access tokens are JWTs (RFC 9068), signed as the client's
// id_tokens are.
function getResourceServerInfo(ctx, resource, client) {
  if (resource !== RESOURCE) throw new errors.InvalidTarget();
  return {
    audience: RESOURCE,
    scope: [...Object.keys(scopeClaims), 'offline_access'].join(' '),
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: client.idTokenSignedResponseAlg } },
  };
}

function extraTokenClaims(ctx, token) {
  const claims = claimsOf(token.accountId);
  const names = [...token.scopes].flatMap((scope) => scopeClaims[scope] ?? []);
  return Object.fromEntries(names.map((name) => [name, claims[name]]));
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

const never = () => new Promise(() => {});

function answer(ctx, status, body) {
  ctx.status = status;
  ctx.body = body;
  if (body !== '') ctx.type = 'json';
}

// TOKEN with other claims, signed again with the same key.
async function signAgain(token, changes, shift) {
  if (Object.keys(changes).length === 0 && shift === 0) return token;
  const header = decodeProtectedHeader(token);
  const claims = decodeJwt(token);
  for (const name of ['iat', 'nbf']) if (claims[name]) claims[name] += shift;
  change(claims, changes);
  const key = readKeys().keys.find((k) => k.kid === header.kid);
  return new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(key, header.alg));
}

async function changeTokens(ctx, grant) {
  const { body } = ctx;
  if (grant === 'refresh_token' && !knobs.refresh_id_token) delete body.id_token;
  if (body.id_token) body.id_token = await signAgain(body.id_token, knobs.claims, knobs.iat_shift);
  if (body.access_token.includes('.')) body.access_token = await signAgain(body.access_token, knobs.access_claims, 0);
  if (knobs.token_body !== null) answer(ctx, 200, knobs.token_body);
}

// The authorization response is a redirect that has an iss; the other redirects of the endpoint have none.
function changeRedirect(ctx) {
  if (ctx.status !== 303 || (!knobs.drop_iss && knobs.wrong_iss === null)) return;
  const location = new URL(ctx.response.get('location'), ctx.href);
  if (!location.searchParams.has('iss')) return;
  if (knobs.drop_iss) location.searchParams.delete('iss');
  else location.searchParams.set('iss', knobs.wrong_iss);
  ctx.set('location', location.href);
}

const refreshFailures = {
  empty400: [400, ''],
  503: [503, { error: 'temporarily_unavailable' }],
  invalid_grant: [400, { error: 'invalid_grant', error_description: 'grant request is invalid' }],
};

// Whether a knob wants trouble in place of an answer of the provider, which it then gets.
async function refuse(ctx, path, grant) {
  if (knobs.fail > 0 && path === knobs.fail_path) {
    knobs.fail -= 1;
    ctx.status = knobs.fail_status;
    ctx.body = knobs.fail_body ?? { error: 'temporarily_unavailable' };
    return true;
  }
  if (knobs.slow_down > 0 && path === '/token') {
    knobs.slow_down -= 1;
    answer(ctx, 400, { error: 'slow_down' });
    return true;
  }
  if (grant !== 'refresh_token' || !knobs.refresh_fail) return false;
  if (knobs.refresh_fail === 'hang') await never();
  answer(ctx, ...refreshFailures[knobs.refresh_fail]);
  return true;
}

async function readBody(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

// The kind of a token request, such as refresh_token. The provider takes a body that is read already from ctx.req.body.
async function grantOf(ctx) {
  ctx.req.body = await readBody(ctx.req);
  return new URLSearchParams(ctx.req.body).get('grant_type')?.split(':').pop();
}

function count(what) {
  hits[what] = (hits[what] ?? 0) + 1;
}

// oidc-provider takes a secret in the body and in the header from either client; many providers do not.
function authenticatedOtherwise(ctx) {
  if (!ctx.oidc?.authorization?.clientSecret && !ctx.oidc?.body?.client_secret) return false;
  const method = ctx.get('authorization') ? 'client_secret_basic' : 'client_secret_post';
  return ctx.oidc.client?.clientAuthMethod !== method;
}

// Counts requests, makes trouble before the provider sees one, and changes answers after it.
async function interfere(ctx, next) {
  const path = ctx.path.startsWith('/.well-known') ? ctx.path : ctx.path.replace(/\/[\w-]{20,}$/, '/:uid');
  const grant = path === '/token' ? await grantOf(ctx) : undefined;
  count(path);
  if (knobs.date_shift !== 0) ctx.set('Date', new Date(Date.now() + knobs.date_shift * 1000).toUTCString());
  if (grant) count(`${path} ${grant}`);
  if (knobs.hang.includes(path)) await never();
  if (knobs.delay_ms && path === knobs.delay_path) await new Promise((done) => setTimeout(done, knobs.delay_ms));
  if (await refuse(ctx, path, grant)) return;
  await next();
  if (authenticatedOtherwise(ctx)) answer(ctx, 401, { error: 'invalid_client', error_description: 'not this method' });
  if (path === '/auth' || path === '/auth/:uid') changeRedirect(ctx);
  if (ctx.status !== 200) return;
  if (path === '/device/auth' && knobs.interval) ctx.body.interval = knobs.interval;
  if (path === '/.well-known/openid-configuration') change(ctx.body, knobs.discovery);
  if (path === '/jwks' && knobs.jwks !== null) answer(ctx, 200, knobs.jwks);
  if (path === '/token') await changeTokens(ctx, grant);
}

function makeProvider(issuer) {
  const provider = new Provider(issuer, {
    adapter: MemoryAdapter,
    jwks: readKeys(),
    clients: [
      nativeClient('qf-tokend', 'ES256'),
      nativeClient('qf-server', 'ES256'), // of the peers themselves
      nativeClient('qf-rs256', 'RS256'),
      nativeClient('qf-eddsa', 'EdDSA'),
      nativeClient('qf-conf', 'ES256', { token_endpoint_auth_method: 'client_secret_basic', client_secret: 's3cret' }),
      nativeClient('qf-post', 'ES256', { token_endpoint_auth_method: 'client_secret_post', client_secret: 's3cret' }),
    ],
    findAccount,
    claims: scopeClaims,
    extraTokenClaims,
    scopes: ['openid', 'offline_access'],
    conformIdTokenClaims: false, // groups and email in the id_token itself, as most providers do it
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      dPoP: {
        enabled: true,
        nonceSecret: Buffer.alloc(32, 'only for tests'),
        requireNonce: () => knobs.dpop_nonce,
      },
      resourceIndicators: { enabled: true, getResourceServerInfo },
      revocation: { enabled: true },
    },
    pkce: { methods: ['S256'], required: () => true },
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

function refusalOf(request, details) {
  if (knobs.deny || request.headers['x-test-deny']) {
    return { error: new errors.AccessDenied().error, error_description: 'the person said no' };
  }
  const inBrowser = Boolean(details.params.response_type);
  return inBrowser && knobs.auth_error && { error: knobs.auth_error, error_description: 'the provider said no' };
}

// Login and consent in the place of a person: no page, only the decision. A request may name the person
// (X-Test-Login) and refuse (X-Test-Deny), as the scripts approve and authorize do.
async function interact(provider, request, response) {
  const details = await provider.interactionDetails(request, response);
  const refusal = refusalOf(request, details);
  if (refusal) return provider.interactionFinished(request, response, refusal);
  if (details.prompt.name === 'login') {
    const accountId = request.headers['x-test-login'] ?? details.params.login_hint ?? knobs.login;
    return provider.interactionFinished(request, response, { login: { accountId } });
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  const { missingOIDCScope, missingResourceScopes } = details.prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

// GET /_test: knobs and hits; POST /_test with a JSON object changes knobs; {"reset":true}: all but the keys as at the start.
async function testInterface(request, response) {
  const { reset, ...changes } = JSON.parse((await readBody(request)) || '{}');
  if (reset) {
    Object.assign(knobs, structuredClone(initialKnobs));
    for (const path of Object.keys(hits)) delete hits[path];
    records.clear();
  }
  Object.assign(knobs, changes);
  response.setHeader('content-type', 'application/json');
  const tokens = liveRefreshTokens();
  response.end(JSON.stringify({ ...knobs, hits, live_refresh_tokens: tokens.length, refresh_tokens: tokens }));
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
