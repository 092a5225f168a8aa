// The certified OpenID provider `oidc-provider`, as jeton's interop tests need it: on an ephemeral
// loopback port, with its own login and consent pages, and once more on TLS for client certificates. Prints one line of JSON
// when both listen, and stops when its standard input closes, so that an aborted test run never leaves it behind.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { accounts, clients, keys, tlsClients } from './clients.mjs';
import { registerExtensionGrants } from './extension-grants.mjs';
import { INITIAL_ACCESS_TOKEN, features } from './features.mjs';
import { registerPasswordGrant } from './password-grant.mjs';
import { registerResource } from './resource.mjs';
import { MapAdapter } from './store.mjs';

// Standard output carries the one line that the test runner reads; the provider's notices go elsewhere.
console.info = console.error;
console.log = console.error;
const { default: Provider } = await import('oidc-provider');

const DEFAULT_TTL = seconds('JETON_INTEROP_ACCESS_TOKEN_TTL', 3600);
const accessTokenTtl = (_ctx, _token, client) => client?.access_token_ttl ?? DEFAULT_TTL;
const signingKeys = ['RS256', 'ES256'].map((alg) => {
  const [type, options] = alg === 'RS256' ? ['rsa', { modulusLength: 2048 }] : ['ec', { namedCurve: 'P-256' }];
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `interop-${alg}` };
});
const file = (name) => readFileSync(new URL(`./tls/${name}`, import.meta.url), 'utf8');

const plainServer = createServer();
const plain = await provide(plainServer, 'http', clients);
// Whoever has no certificate, or one of an unknown authority, is let in: what that means is the provider's business.
const tlsServer = createTlsServer({
  key: file('server.key'), cert: file('server.pem'), ca: file('ca.pem'), requestCert: true, rejectUnauthorized: false,
});
const certificateClients = tlsClients(file('self-signed.pem'));
const tls = await provide(tlsServer, 'https', certificateClients);

process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));

process.stdout.write(`${JSON.stringify({
  server: 'oidc-provider',
  issuer: plain,
  resource: `${plain}/api/whoami`,
  tls: { issuer: tls, resource: `${tls}/api/whoami`, clients: certificateClients },
  pid: process.pid,
  clients,
  keys,
  accounts,
  initial_access_token: INITIAL_ACCESS_TOKEN,
})}\n`);

/** A provider on that server, for those clients; its issuer. */
async function provide(server, scheme, known) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const issuer = `${scheme}://127.0.0.1:${port}`;
  const isTls = scheme === 'https';
  const methods = ['client_secret_basic', 'client_secret_jwt', 'client_secret_post', 'private_key_jwt', 'none'];
  // Requests with certificates go to another name (RFC 8705 section 5), so that a client that does not look there is noticed.
  const at = (path) => `https://localhost:${port}/${path}`;
  const aliases = { token_endpoint: at('token'), pushed_authorization_request_endpoint: at('request') };

  const provider = new Provider(issuer, {
    adapter: MapAdapter,
    clients: Object.values(known),
    clientAuthMethods: isTls ? [...methods, 'tls_client_auth', 'self_signed_tls_client_auth'] : methods,
    ...(isTls && { discovery: { mtls_endpoint_aliases: aliases } }),
    extraClientMetadata: { properties: ['access_token_ttl'] },
    scopes: ['openid', 'offline_access', 'profile', 'api:read', 'api:write'],
    claims: { openid: ['sub'], profile: ['name'] },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: accounts[id]?.name ?? id }),
    }),
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    jwks: { keys: signingKeys },
    features: features({ provider: () => provider, issuer, tls: isTls }),
    pkce: { required: () => true },
    // Single-use refresh tokens for every client; a reused one revokes the whole login.
    rotateRefreshToken: true,
    // An expired token is refused at once, so that tests of a few seconds see it.
    clockTolerance: 0,
    ttl: {
      AccessToken: accessTokenTtl,
      ClientCredentials: accessTokenTtl,
      AuthorizationCode: 60,
      BackchannelAuthenticationRequest: 120,
      DeviceCode: seconds('JETON_INTEROP_DEVICE_CODE_TTL', 600),
      Grant: 86400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
  });
  registerPasswordGrant(provider);
  registerExtensionGrants(provider, issuer, keys.assertions);
  registerResource(provider, issuer);
  server.on('request', provider.callback());
  return issuer;
}

function seconds(name, otherwise) {
  const value = process.env[name];
  if (value === undefined || value === '') return otherwise;
  if (!/^[1-9][0-9]*$/.test(value)) throw new Error(`${name} wants whole seconds, at least 1, not "${value}"`);
  return Number(value);
}
