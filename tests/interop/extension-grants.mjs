// Token exchange (RFC 8693) and JWT bearer assertions (RFC 7523 section 2.1) as extension grants of a few lines. The tokens that
// they issue are the provider's own.

import { createPublicKey } from 'node:crypto';

import { jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export function registerExtensionGrants(provider, issuer, assertionKey) {
  provider.registerGrantType(TOKEN_EXCHANGE, (ctx) => exchange(provider, ctx), [
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'scope', 'audience',
  ]);
  const key = createPublicKey({ key: assertionKey, format: 'jwk' });
  provider.registerGrantType(JWT_BEARER, (ctx) => bear(provider, ctx, issuer, key), ['assertion', 'scope']);
}

async function exchange(provider, ctx) {
  const { params } = ctx.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('only access tokens are exchanged here');
  if ((params.actor_token === undefined) !== (params.actor_token_type === undefined)) {
    throw new errors.InvalidRequest('actor_token and actor_token_type come together');
  }
  const subject = await provider.AccessToken.find(params.subject_token ?? '');
  if (!subject || subject.isExpired) throw new errors.InvalidRequest('the subject token is not valid');
  await issue(provider, ctx, subject.accountId, { issued_token_type: ACCESS_TOKEN });
}

async function bear(provider, ctx, issuer, key) {
  let payload;
  try {
    const audience = [issuer, `${issuer}/token`];
    ({ payload } = await jwtVerify(ctx.oidc.params.assertion ?? '', key, { issuer: 'https://idp.example', audience }));
  } catch (error) {
    throw new errors.InvalidGrant(error.message);
  }
  if (!payload.sub || !payload.exp || !payload.jti) throw new errors.InvalidGrant('the assertion needs sub, exp and jti');
  const isFresh = await provider.ReplayDetection.unique(payload.iss, payload.jti, payload.exp);
  if (!isFresh) throw new errors.InvalidGrant('the assertion was used before');
  await issue(provider, ctx, payload.sub, {});
}

async function issue(provider, ctx, accountId, more) {
  const { client, params } = ctx.oidc;
  const scope = params.scope ?? 'api:read';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const token = new provider.AccessToken({ accountId, client, grantId: await grant.save(), gty: 'extension', scope });
  ctx.body = {
    access_token: await token.save(), token_type: token.tokenType, expires_in: token.expiration, scope, ...more,
  };
}
