// A protected resource (RFC 6750) that takes the tokens of every grant: `GET /api/whoami`. The provider's
// own userinfo endpoint is `/me`; it wants the scope `openid` and a person.

export function registerResource(provider) {
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/api/whoami') return next();
    const [, bearer] = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(ctx.get('authorization')) ?? [];
    if (!bearer) return refuse(ctx, 'Bearer realm="whoami"');
    const token = (await provider.AccessToken.find(bearer)) ?? (await provider.ClientCredentials.find(bearer));
    if (!token) {
      return refuse(ctx, 'Bearer realm="whoami", error="invalid_token", error_description="expired or unknown"');
    }
    ctx.body = { client_id: token.clientId, sub: token.accountId ?? null, scope: token.scope ?? null };
  });
}

function refuse(ctx, challenge) {
  ctx.status = 401;
  ctx.set('WWW-Authenticate', challenge);
  ctx.body = { error: 'unauthorized' };
}
