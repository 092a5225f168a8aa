// The resource owner password credentials grant (RFC 6749 section 4.3), which oidc-provider leaves out on
// purpose, as an extension grant: the tokens it issues are the provider's own, so refresh, rotation,
// revocation and introspection work on them as on any other.

import { errors } from 'oidc-provider';

import { accounts } from './clients.mjs';

export function registerPasswordGrant(provider) {
  provider.registerGrantType('password', (ctx) => grantPassword(provider, ctx), ['username', 'password', 'scope']);
}

async function grantPassword(provider, ctx) {
  const { client, params } = ctx.oidc;
  for (const name of ['username', 'password']) {
    if (!params[name]) throw new errors.InvalidRequest(`missing required parameter(s) (${name})`);
  }
  if (accounts[params.username]?.password !== params.password) {
    throw new errors.InvalidGrant('invalid username or password');
  }

  const accountId = params.username;
  const scope = params.scope ?? 'api:read';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();

  const source = { accountId, client, grantId, gty: 'password', scope };
  const accessToken = new provider.AccessToken(source);
  const body = {
    access_token: await accessToken.save(),
    token_type: accessToken.tokenType,
    expires_in: accessToken.expiration,
    scope,
  };
  if (client.grantTypeAllowed('refresh_token')) {
    body.refresh_token = await new provider.RefreshToken({ ...source, rotations: 0 }).save();
  }
  ctx.body = body;
}
