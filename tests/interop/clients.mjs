// The clients that the interop server knows. Tests read them from the line that the server prints, so
// that ids and secrets stand here only. The keys (`native`, `basic`, ...) are what the tests ask for.

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

/** People who can sign in. The login page takes any password; the password grant takes only these. */
export const accounts = {
  alice: { password: 'wonder land+&=%:é€', name: 'Alice' },
  bob: { password: 'builder', name: 'Bob' },
};
