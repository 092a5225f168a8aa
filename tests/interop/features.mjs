// What the interop server does beyond the grants of RFC 6749, as configuration of oidc-provider.

import { X509Certificate, randomBytes } from 'node:crypto';

import { errors } from 'oidc-provider';

/** What a person may be asked to approve in detail (RFC 9396). */
const PAYMENT = 'payment_initiation';

/** Whoever registers has to show it (RFC 7591 section 3). */
export const INITIAL_ACCESS_TOKEN = randomBytes(24).toString('base64url');

/** How long a person takes to approve on the authentication device (CIBA), in milliseconds. */
const APPROVAL = 1500;

export function features({ provider, issuer, tls }) {
  return {
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      processLoginHint: (_ctx, hint) => hint,
      validateRequestContext: () => {},
      verifyUserCode: () => {},
      // The person approves after a while, or denies if the message asks for that.
      triggerAuthenticationDevice: (ctx, request, account, client) => {
        const denies = ctx.oidc.params.binding_message === 'deny';
        setTimeout(() => decide(provider(), request, account, client, denies).catch(console.error), APPROVAL);
      },
    },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    jwtResponseModes: { enabled: true },
    jwtUserinfo: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    registration: { enabled: true, initialAccessToken: INITIAL_ACCESS_TOKEN },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    requestObjects: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, _client, oneOf) => oneOf?.[0],
      getResourceServerInfo: (_ctx, resource) => {
        if (!resource.startsWith(`${issuer}/`)) throw new errors.InvalidTarget();
        return { scope: 'api:read api:write', audience: resource, accessTokenFormat: 'opaque' };
      },
    },
    revocation: { enabled: true },
    richAuthorizationRequests: {
      enabled: true,
      types: {
        [PAYMENT]: {
          validate: (_ctx, detail) => {
            if (!(detail.amount <= 100)) throw new errors.InvalidAuthorizationDetails('that is too much');
          },
        },
      },
      authorizationDetailsForGrantSource: (ctx) => JSON.parse(ctx.oidc.params.authorization_details),
      authorizationDetailsForAccessToken: (_ctx, _token, source) => source.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    rpInitiatedLogout: { enabled: true },
    ...(tls && { mTLS: mutualTls }),
  };
}

async function decide(provider, request, account, client, denies) {
  if (denies) return provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
  const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.addOIDCScope(request.scope);
  await grant.save();
  return provider.backchannelResult(request, grant, { acr: '0', authTime: Math.floor(Date.now() / 1000) });
}

// The connection is this very process's, so that the certificate is the one of the handshake.
const mutualTls = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: (ctx) => {
    const { raw } = ctx.socket.getPeerCertificate?.() ?? {};
    return raw && new X509Certificate(raw).toString();
  },
  certificateAuthorized: (ctx) => ctx.socket.authorized,
  certificateSubjectMatches: (ctx, property, expected) => {
    if (property !== 'tls_client_auth_san_dns') throw new Error(`${property} is not compared here`);
    return ctx.socket.getPeerCertificate().subjectaltname === `DNS:${expected}`;
  },
};
