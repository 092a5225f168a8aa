//! Registered clients: the predefined ones and those that a test registers.

use std::fmt;

use serde_json::Value;
use url::Url;

use crate::mutual_tls::first_certificate;

/// The grant types of a client, by their identifiers in token requests.
pub(crate) const AUTHORIZATION_CODE: &str = "authorization_code";
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(crate) const PASSWORD: &str = "password";
pub(crate) const REFRESH_TOKEN: &str = "refresh_token";
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// How a client proves who it is: exactly the one way it is registered with (RFC 6749 §2.3, RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    None,
    Basic,
    Post,
    PrivateKeyJwt,
    SecretJwt,
    Tls,
    SelfSignedTls,
}

impl Method {
    /// The method of that name, if clients may register for it (RFC 7591 §2).
    pub(crate) fn of_registration(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::Basic),
            "client_secret_post" => Some(Self::Post),
            "client_secret_jwt" => Some(Self::SecretJwt),
            "private_key_jwt" => Some(Self::PrivateKeyJwt),
            _ => None,
        }
    }

    pub(crate) fn needs_secret(self) -> bool {
        matches!(self, Self::Basic | Self::Post | Self::SecretJwt)
    }
}

/// A client as the server knows it.
///
/// ```
/// use jeton_devserver::{Client, DevServer};
///
/// let client = Client::basic("my app", "p@ss:w/rd").name("My App").redirect_uri("http://127.0.0.1/signed-in");
/// let server = DevServer::builder().client(client).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) secret: Option<String>,
    /// The certificate of a client that authenticates with one, as DER; of a certificate that an authority issued only its
    /// subject counts.
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) certificate_bound: bool,
    /// The public keys of a client that signs (RFC 7517 §5).
    pub(crate) keys: Option<Value>,
    /// Its assertions name the token endpoint's URL as their audience, as it was before RFC 7523 was updated.
    pub(crate) old_assertion_audience: bool,
    /// `id_token_signed_response_alg`; what else the server signs for this client, it signs by the same one.
    pub(crate) id_token_algorithm: String,
    pub(crate) signed_user_info: bool,
    pub(crate) post_logout_redirect_uris: Vec<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    /// What the client is called at other authorization servers, by their issuers.
    pub(crate) known_as: Vec<(String, String)>,
}

impl Client {
    /// A public client (RFC 6749 §2.1): no secret, `token_endpoint_auth_method` is `none`. It may use
    /// authorization code, device code and refresh token until [`grant_types`](Self::grant_types) says otherwise.
    pub fn public(id: impl Into<String>) -> Self {
        Self::new(id.into(), Method::None, None, &[AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN])
    }

    /// A confidential client that authenticates with `client_secret_basic` and nothing else. It may use all grants.
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Method::Basic, Some(secret.into()), ALL)
    }

    /// A confidential client that authenticates with `client_secret_post` and nothing else. It may use all grants.
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Method::Post, Some(secret.into()), ALL)
    }

    /// A confidential client that authenticates with `private_key_jwt` and nothing else (RFC 7523 §2.2). `jwks` is the set of its
    /// public keys, as JSON. It may use all grants.
    pub fn private_key_jwt(id: impl Into<String>, jwks: impl AsRef<str>) -> Self {
        let keys = serde_json::from_str(jwks.as_ref()).ok();
        Self { keys, ..Self::new(id.into(), Method::PrivateKeyJwt, None, ALL) }
    }

    /// A confidential client that authenticates with `client_secret_jwt` and nothing else (RFC 7523 §2.2). It may use all grants.
    pub fn client_secret_jwt(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Method::SecretJwt, Some(secret.into()), ALL)
    }

    /// A confidential client that authenticates with `tls_client_auth` and nothing else (RFC 8705 §2.1): with a certificate of the
    /// server's authority ([`DevServer::client_certificate`](crate::DevServer::client_certificate)) whose subject is that of
    /// `certificate_pem`. It may use all grants; its tokens are bound to the certificate.
    pub fn tls(id: impl Into<String>, certificate_pem: impl AsRef<str>) -> Self {
        let certificate = first_certificate(certificate_pem.as_ref());
        Self { certificate, ..Self::new(id.into(), Method::Tls, None, ALL) }
    }

    /// A confidential client that authenticates with `self_signed_tls_client_auth` and nothing else (RFC 8705 §2.2): with that very
    /// certificate. It may use all grants; its tokens are bound to the certificate.
    pub fn self_signed_tls(id: impl Into<String>, certificate_pem: impl AsRef<str>) -> Self {
        let certificate = first_certificate(certificate_pem.as_ref());
        Self { certificate, ..Self::new(id.into(), Method::SelfSignedTls, None, ALL) }
    }

    /// The client's tokens are bound to the certificate with which it connects, however it authenticates (RFC 8705 §3.4).
    pub fn certificate_bound(mut self) -> Self {
        self.certificate_bound = true;
        self
    }

    /// The public keys, as JSON, of a client that signs other things than client assertions, such as request objects.
    pub fn keys(mut self, jwks: impl AsRef<str>) -> Self {
        self.keys = serde_json::from_str(jwks.as_ref()).ok();
        self
    }

    /// The client's assertions must name the token endpoint's URL as their audience, as servers wanted it before RFC 7523 was
    /// updated; until set, it is the issuer as the sole string.
    pub fn old_assertion_audience(mut self) -> Self {
        self.old_assertion_audience = true;
        self
    }

    fn new(id: String, method: Method, secret: Option<String>, grant_types: &[&str]) -> Self {
        let grant_types = grant_types.iter().map(|name| (*name).to_owned()).collect();
        Self {
            name: id.clone(),
            id,
            method,
            secret,
            certificate: None,
            certificate_bound: false,
            keys: None,
            old_assertion_audience: false,
            id_token_algorithm: "ES256".to_owned(),
            signed_user_info: false,
            post_logout_redirect_uris: Vec::new(),
            redirect_uris: Vec::new(),
            grant_types,
            known_as: Vec::new(),
        }
    }

    /// What the client is called at another authorization server, for which this one then issues identity assertions (ID-JAG)
    /// to it.
    pub fn known_as(mut self, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        self.known_as.push((issuer.into(), client_id.into()));
        self
    }

    /// The name that people see on the consent page; the client id until set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Registers one more redirect URI. It is compared byte for byte, but for the port of `http://127.0.0.1` and
    /// `http://[::1]`, which may be any (RFC 8252 §7.3). `http://localhost` gets no such freedom.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// By which algorithm ID tokens, and whatever else the server signs for this client, are signed: `ES256` (until set),
    /// `RS256`, `EdDSA`, or `HS256` with the client secret.
    pub fn id_token_signed_response_alg(mut self, algorithm: impl Into<String>) -> Self {
        self.id_token_algorithm = algorithm.into();
        self
    }

    /// Userinfo answers are signed JWTs (OpenID Connect Core §5.3.2).
    pub fn signed_user_info(mut self) -> Self {
        self.signed_user_info = true;
        self
    }

    /// Registers one more URI to which the browser may go after a log-out at the server. It is compared as redirect URIs are.
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Replaces the grant types that the client may use: `authorization_code`, `client_credentials`, `password`,
    /// `refresh_token`, `urn:ietf:params:oauth:grant-type:device_code`.
    pub fn grant_types<T: Into<String>>(mut self, grant_types: impl IntoIterator<Item = T>) -> Self {
        self.grant_types = grant_types.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }

    pub(crate) fn has_redirect_uri(&self, uri: &str) -> bool {
        is_among(&self.redirect_uris, uri)
    }

    pub(crate) fn has_post_logout_redirect_uri(&self, uri: &str) -> bool {
        is_among(&self.post_logout_redirect_uris, uri)
    }
}

const ALL: &[&str] = &[
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    JWT_BEARER,
    CIBA,
];

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("method", &self.method)
            .field("redirect_uris", &self.redirect_uris)
            .field("grant_types", &self.grant_types)
            .finish_non_exhaustive()
    }
}

fn is_among(registered: &[String], uri: &str) -> bool {
    let well_formed = Url::parse(uri).is_ok_and(|url| url.fragment().is_none());
    let portless = without_loopback_port(uri);
    well_formed && registered.iter().any(|known| known == uri || without_loopback_port(known) == portless)
}

/// Takes the port off a loopback redirect URI with an IP literal, and leaves everything else as it is.
fn without_loopback_port(uri: &str) -> String {
    for host in ["http://127.0.0.1", "http://[::1]"] {
        let Some(rest) = uri.strip_prefix(host) else { continue };
        let Some(after_colon) = rest.strip_prefix(':') else { continue };
        let digits = after_colon.bytes().take_while(u8::is_ascii_digit).count();
        if after_colon[..digits].parse::<u16>().is_ok_and(|port| port > 0) {
            return format!("{host}{}", &after_colon[digits..]);
        }
    }
    uri.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8252_any_port_on_loopback_ip_literals_and_nothing_else() {
        let client = Client::public("x")
            .redirect_uri("http://127.0.0.1/callback")
            .redirect_uri("http://[::1]/callback")
            .redirect_uri("https://app.example/cb?a=1");
        for good in [
            "http://127.0.0.1/callback",
            "http://127.0.0.1:49152/callback",
            "http://[::1]:49152/callback",
            "https://app.example/cb?a=1",
        ] {
            assert!(client.has_redirect_uri(good), "{good}");
        }
        for bad in [
            "http://localhost:49152/callback",
            "http://127.0.0.1:49152/callback/",
            "http://127.0.0.1:49152/Callback",
            "http://127.0.0.1:49152/callback?x=1",
            "http://127.0.0.1:49152/callback#x",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:@evil.example/callback",
            "http://127.0.0.1.evil.example/callback",
            "https://127.0.0.1:49152/callback",
            "https://app.example:444/cb?a=1",
            "https://app.example/cb",
            "not a uri",
        ] {
            assert!(!client.has_redirect_uri(bad), "{bad}");
        }
    }
}
