// The certified OpenID provider `oidc-provider`, as jeton's interop tests need it: on an ephemeral
// loopback port, with its own login and consent pages. Prints one line of JSON when it listens, and
// stops when its standard input closes, so that an aborted test run never leaves it behind.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { accounts, clients } from './clients.mjs';
import { registerPasswordGrant } from './password-grant.mjs';
import { registerResource } from './resource.mjs';
import { MapAdapter } from './store.mjs';

// Standard output carries the one line that the test runner reads; the provider's notices go elsewhere.
console.info = console.error;
console.log = console.error;
const { default: Provider } = await import('oidc-provider');

const DEFAULT_TTL = seconds('JETON_INTEROP_ACCESS_TOKEN_TTL', 3600);
const accessTokenTtl = (_ctx, _token, client) => client?.access_token_ttl ?? DEFAULT_TTL;
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  adapter: MapAdapter,
  clients: Object.values(clients),
  extraClientMetadata: { properties: ['access_token_ttl'] },
  scopes: ['openid', 'offline_access', 'profile', 'api:read', 'api:write'],
  claims: { openid: ['sub'], profile: ['name'] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: accounts[id]?.name ?? id }),
  }),
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'interop' }] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  // Single-use refresh tokens for every client; a reused one revokes the whole login.
  rotateRefreshToken: true,
  // An expired token is refused at once, so that tests of a few seconds see it.
  clockTolerance: 0,
  ttl: {
    AccessToken: accessTokenTtl,
    ClientCredentials: accessTokenTtl,
    AuthorizationCode: 60,
    DeviceCode: seconds('JETON_INTEROP_DEVICE_CODE_TTL', 600),
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
});
registerPasswordGrant(provider);
registerResource(provider);
server.on('request', provider.callback());

process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));

process.stdout.write(`${JSON.stringify({
  server: 'oidc-provider',
  issuer,
  resource: `${issuer}/api/whoami`,
  pid: process.pid,
  clients,
  accounts,
})}\n`);

function seconds(name, otherwise) {
  const value = process.env[name];
  if (value === undefined || value === '') return otherwise;
  if (!/^[1-9][0-9]*$/.test(value)) throw new Error(`${name} wants whole seconds, at least 1, not "${value}"`);
  return Number(value);
}
