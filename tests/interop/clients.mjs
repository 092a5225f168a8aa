// The clients that the interop server knows. Tests read them from the line that the server prints, so
// that ids and secrets stand here only. The keys (`native`, `basic`, ...) are what the tests ask for.

import { X509Certificate, generateKeyPairSync } from 'node:crypto';

// RFC 6749 Appendix A allows printable ASCII in ids and secrets: reserved characters on purpose, so that
// form-encoding before Basic (RFC 6749 section 2.3.1) is put to the test.
const RESERVED = ' :+%&=/?#@"\\~';

// Native clients may use any port on a loopback address (RFC 8252 section 7.3).
const LOOPBACK = ['http://127.0.0.1/', 'http://127.0.0.1/callback', 'http://[::1]/', 'http://[::1]/callback'];

const code = {
  application_type: 'native',
  redirect_uris: LOOPBACK,
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token'],
};

const noRedirect = { redirect_uris: [], response_types: [] };

export const clients = {
  native: { client_id: 'jeton-native', token_endpoint_auth_method: 'none', ...code },
  // The same, with access tokens of a few seconds: expiry and refresh can be watched.
  short_lived: {
    client_id: 'jeton-short-lived',
    token_endpoint_auth_method: 'none',
    access_token_ttl: 3,
    ...code,
  },
  basic: {
    client_id: `jeton basic${RESERVED}`,
    client_secret: `a secret${RESERVED}of the basic client`,
    token_endpoint_auth_method: 'client_secret_basic',
    ...code,
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials', 'password'],
  },
  post: {
    client_id: 'jeton-post',
    client_secret: `a secret${RESERVED}of the post client`,
    token_endpoint_auth_method: 'client_secret_post',
    ...code,
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials', 'password'],
  },
  // A web application: its redirect URI is compared whole. Nothing listens there; a test reads the
  // `Location` and hands it to the second half of the grant.
  web: {
    client_id: 'jeton-web',
    client_secret: 'a secret of the web client',
    token_endpoint_auth_method: 'client_secret_basic',
    ...code,
    application_type: 'web',
    redirect_uris: ['https://app.example/callback'],
  },
  service: {
    client_id: 'jeton-service',
    client_secret: 'a secret of the service',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    ...noRedirect,
  },
  device: {
    client_id: 'jeton-device',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    ...noRedirect,
  },
  password: {
    client_id: 'jeton-password',
    token_endpoint_auth_method: 'none',
    grant_types: ['password', 'refresh_token'],
    ...noRedirect,
  },
};

/** A key pair, the private half as a JWK with the name of its client. */
function keyOf(alg, kid) {
  const [type, options] = {
    ES256: ['ec', { namedCurve: 'P-256' }],
    Ed25519: ['ed25519', {}],
    RS256: ['rsa', { modulusLength: 2048 }],
    PS256: ['rsa', { modulusLength: 2048 }],
  }[alg];
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, kid };
}

function publicHalf({ kty, crv, x, y, n, e, kid, alg }) {
  return { kty, crv, x, y, n, e, kid, alg, use: 'sig' };
}

/** The private keys of those clients that sign, and `assertions`: of an identity provider that the server trusts (RFC 7523). */
export const keys = { assertions: keyOf('ES256', 'idp') };

/** A client that signs: `private_key_jwt` by that algorithm, and whatever else it signs. */
function signing(name, alg, metadata) {
  keys[name] = keyOf(alg, name);
  clients[name] = {
    client_id: `jeton-${name.replaceAll('_', '-')}`,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: alg,
    jwks: { keys: [publicHalf(keys[name])] },
    ...metadata,
  };
}

const service = { grant_types: ['client_credentials'], ...noRedirect };
signing('key_es256', 'ES256', service);
signing('key_rs256', 'RS256', service);
signing('key_ps256', 'PS256', service);
signing('key_ed25519', 'Ed25519', service);
clients.secret_jwt = {
  client_id: 'jeton-secret-jwt',
  client_secret: `a secret of more than 32 bytes${RESERVED} of the client that signs with it`,
  token_endpoint_auth_method: 'client_secret_jwt',
  token_endpoint_auth_signing_alg: 'HS256',
  ...service,
};
// Pushes its authorization requests (RFC 9126); anything else is refused.
signing('pushing', 'ES256', { ...code, require_pushed_authorization_requests: true });
// Signs them (RFC 9101); anything else is refused.
signing('request_object', 'ES256', { ...code, request_object_signing_alg: 'ES256', require_signed_request_object: true });
// Gets signed authorization responses (JARM).
clients.jarm = {
  client_id: 'jeton-jarm', token_endpoint_auth_method: 'none', authorization_signed_response_alg: 'ES256', ...code,
};
// Its tokens are bound to keys (RFC 9449); Bearer tokens are refused.
clients.dpop = { client_id: 'jeton-dpop', token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true, ...code };
signing('dpop_service', 'ES256', { ...service, dpop_bound_access_tokens: true });
// Everything that the FAPI 2.0 Security Profile asks for.
signing('fapi', 'ES256', {
  ...code,
  dpop_bound_access_tokens: true,
  require_pushed_authorization_requests: true,
  id_token_signed_response_alg: 'ES256',
});
clients.rar = {
  client_id: 'jeton-rar',
  token_endpoint_auth_method: 'none',
  authorization_details_types: ['payment_initiation'],
  ...code,
};
// Asks by a channel of its own (CIBA).
signing('ciba', 'ES256', {
  grant_types: ['urn:openid:params:grant-type:ciba', 'refresh_token'],
  backchannel_token_delivery_mode: 'poll',
  ...noRedirect,
});
// Is told signed things about tokens and people (RFC 9701, OpenID Connect Core section 5.3.2).
clients.signed_answers = {
  client_id: 'jeton-signed-answers',
  client_secret: 'a secret of the client of signed answers',
  token_endpoint_auth_method: 'client_secret_basic',
  introspection_signed_response_alg: 'ES256',
  userinfo_signed_response_alg: 'ES256',
  id_token_signed_response_alg: 'ES256',
  ...code,
};
clients.logout = {
  client_id: 'jeton-logout',
  token_endpoint_auth_method: 'none',
  post_logout_redirect_uris: ['http://127.0.0.1/signed-out'],
  ...code,
};
signing('extensions', 'ES256', {
  grant_types: [
    'client_credentials',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
  ],
  ...noRedirect,
});

/** Clients of the server on TLS, which prove themselves by certificates (RFC 8705). */
export function tlsClients(selfSigned) {
  const certificate = new X509Certificate(selfSigned);
  const bound = { tls_client_certificate_bound_access_tokens: true };
  return {
    certificate: {
      client_id: 'jeton-certificate',
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_dns: 'client.jeton.example',
      ...bound,
      ...service,
    },
    self_signed: {
      client_id: 'jeton-self-signed',
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [{ ...certificate.publicKey.export({ format: 'jwk' }), x5c: [certificate.raw.toString('base64')] }] },
      ...bound,
      ...service,
    },
  };
}

/** People who can sign in. The login page takes any password; the password grant takes only these. */
export const accounts = {
  alice: { password: 'wonder land+&=%:é€', name: 'Alice' },
  bob: { password: 'builder', name: 'Bob' },
};
