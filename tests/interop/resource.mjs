// A protected resource (RFC 6750) that takes the tokens of every grant: `GET /api/whoami`. Bound tokens need their proof: that of
// DPoP with a nonce of this resource (RFC 9449 section 7, 9), or the certificate of the connection (RFC 8705 section 3). The
// provider's own userinfo endpoint is `/me`; it wants the scope `openid` and a person.

import { X509Certificate, createHash, randomBytes } from 'node:crypto';

import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from 'jose';

const NONCE = randomBytes(16).toString('base64url');
const seen = new Set();

export function registerResource(provider, issuer) {
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/api/whoami') return next();
    const [, scheme, value] = /^(Bearer|DPoP) ([A-Za-z0-9._~+/-]+=*)$/i.exec(ctx.get('authorization')) ?? [];
    if (!value) return refuse(ctx, 'Bearer realm="whoami"', 'DPoP algs="ES256 Ed25519 EdDSA"');
    const token = (await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value));
    const invalid = (why) => refuse(ctx, `${scheme} realm="whoami", error="invalid_token", error_description="${why}"`);
    if (!token) return invalid('expired or unknown');
    if ((token.jkt !== undefined) !== (scheme.toLowerCase() === 'dpop')) return invalid('the scheme is not that of the token');
    if (token.jkt) {
      const proof = await proven(ctx, issuer, value);
      if (proof === 'nonce') {
        ctx.set('DPoP-Nonce', NONCE);
        return refuse(ctx, 'DPoP error="use_dpop_nonce", error_description="a nonce is required"');
      }
      if (proof !== token.jkt) return invalid('the proof is not one of the key of the token');
    }
    if (token['x5t#S256'] && token['x5t#S256'] !== certificate(ctx)) return invalid('the certificate is not that of the token');
    ctx.body = {
      client_id: token.clientId,
      sub: token.accountId ?? null,
      scope: token.scope ?? null,
      aud: token.aud ?? null,
      authorization_details: token.rar ?? null,
      bound: token.jkt ? 'dpop' : token['x5t#S256'] ? 'certificate' : null,
    };
  });
}

/** The thumbprint of the key that was proven for this very request, 'nonce' if the nonce is missing, undefined otherwise. */
async function proven(ctx, issuer, token) {
  try {
    const { payload, protectedHeader } = await jwtVerify(ctx.get('DPoP'), EmbeddedJWK, { typ: 'dpop+jwt', maxTokenAge: '60 s' });
    if (payload.nonce !== NONCE) return 'nonce';
    const ath = createHash('sha256').update(token).digest('base64url');
    const isOurs = payload.htm === ctx.method && payload.htu === `${issuer}${ctx.path}` && payload.ath === ath;
    if (!isOurs || !payload.jti || seen.has(payload.jti)) return undefined;
    seen.add(payload.jti);
    return await calculateJwkThumbprint(protectedHeader.jwk);
  } catch {
    return undefined;
  }
}

function certificate(ctx) {
  const { raw } = ctx.socket.getPeerCertificate?.() ?? {};
  return raw && createHash('sha256').update(new X509Certificate(raw).raw).digest('base64url');
}

function refuse(ctx, ...challenges) {
  ctx.status = 401;
  ctx.set('WWW-Authenticate', challenges);
  ctx.body = { error: 'unauthorized' };
}
