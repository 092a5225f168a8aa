//! `ClientAuthentication`: puts the client's identity on a request to the authorization server (RFC 6749 §2.3).

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use jeton_models::{ParameterError, Secret};
use url::form_urlencoded::byte_serialize;

use crate::{Clock, EndpointRequest, GrantError};

/// Puts the client's identity on a request to any endpoint of the authorization server.
///
/// Exactly one method may act on a request (RFC 6749 §2.3): [`EndpointRequest`] refuses to go out with two. The trait is
/// async because a key may live in a hardware module or an agent.
#[async_trait]
pub trait ClientAuthentication: Send + Sync {
    /// The method's registered name, such as `client_secret_basic`.
    fn method(&self) -> &str;

    /// The algorithm that it signs with, by its registered name such as `ES256`, if it signs (RFC 7518 §3.1). Security profiles
    /// want to know.
    fn signing_algorithm(&self) -> Option<&str> {
        None
    }

    /// Adds identity and proof to the request.
    ///
    /// # Errors
    /// [`GrantError`] if that is not possible, such as [`GrantError::Other`] with what to do.
    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError>;

    /// Whether the proof is the certificate with which the transport connects (RFC 8705 §2), so that requests go to the
    /// server's endpoints for mutual TLS where it has such (RFC 8705 §5).
    fn uses_mutual_tls(&self) -> bool {
        false
    }
}

#[async_trait]
impl<A: ClientAuthentication + ?Sized> ClientAuthentication for Arc<A> {
    fn method(&self) -> &str {
        (**self).method()
    }

    fn signing_algorithm(&self) -> Option<&str> {
        (**self).signing_algorithm()
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        (**self).authenticate(request, cx).await
    }

    fn uses_mutual_tls(&self) -> bool {
        (**self).uses_mutual_tls()
    }
}

/// What client authentication may need to know.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct AuthenticationContext<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// The authorization server's issuer identifier, if it is known.
    pub issuer: Option<&'a str>,
    /// The URL of the authorization server's token endpoint as its metadata has it. Also where the request goes elsewhere.
    pub token_endpoint: Option<&'a str>,
    clock: Option<&'a dyn Clock>,
}

impl<'a> AuthenticationContext<'a> {
    /// For that client at that server.
    pub fn new(client_id: &'a str, issuer: Option<&'a str>) -> Self {
        Self { client_id, issuer, token_endpoint: None, clock: None }
    }

    /// At a server with that token endpoint.
    #[must_use]
    pub fn with_token_endpoint(mut self, token_endpoint: Option<&'a str>) -> Self {
        self.token_endpoint = token_endpoint;
        self
    }

    /// By that clock.
    #[must_use]
    pub fn with_clock(mut self, clock: &'a dyn Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What time it is: by the clock of the request, or the system's.
    pub fn now(&self) -> SystemTime {
        self.clock.map_or_else(SystemTime::now, Clock::now)
    }
}

impl fmt::Debug for AuthenticationContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationContext")
            .field("client_id", &self.client_id)
            .field("issuer", &self.issuer)
            .field("token_endpoint", &self.token_endpoint)
            .finish_non_exhaustive()
    }
}

/// `none`: a public client, which names itself and proves nothing (RFC 6749 §2.1, §3.2.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicClient;

#[async_trait]
impl ClientAuthentication for PublicClient {
    fn method(&self) -> &str {
        "none"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        Ok(request.parameters.append_required("client_id", cx.client_id)?)
    }
}

/// `client_secret_basic`: HTTP Basic with form-encoded identifier and secret (RFC 6749 §2.3.1).
#[derive(Clone, Debug)]
pub struct ClientSecretBasic {
    client_secret: Secret,
    /// What was sent first, and for which client identifier: it is the same each time.
    known: OnceLock<(String, Credentials)>,
}

impl ClientSecretBasic {
    /// With that client secret. An empty one is allowed (some servers want it of public clients).
    pub fn new(client_secret: impl Into<Secret>) -> Self {
        Self { client_secret: client_secret.into(), known: OnceLock::new() }
    }
}

/// Credentials of HTTP Basic, ready to be sent.
#[derive(Clone, Debug)]
struct Credentials {
    header: HeaderValue,
    /// What a server may repeat: the client secret, or the header.
    secrets: Arc<[Secret]>,
}

impl Credentials {
    fn new(client_id: &str, client_secret: &Secret) -> Result<Self, GrantError> {
        let encoded = basic(client_id, client_secret);
        // Wiped when the last who holds it lets go.
        let header = Bytes::from_owner(Header(Secret::new(["Basic ", encoded.expose()].concat())));
        let mut header = HeaderValue::from_maybe_shared(header)
            .map_err(|_| GrantError::other("the client's credentials cannot be put into a header"))?;
        header.set_sensitive(true);
        Ok(Self { header, secrets: Arc::new([client_secret.clone(), encoded]) })
    }
}

struct Header(Secret);

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

#[async_trait]
impl ClientAuthentication for ClientSecretBasic {
    fn method(&self) -> &str {
        "client_secret_basic"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        if cx.client_id.is_empty() {
            return Err(ParameterError::Empty { name: "client_id".to_owned() }.into());
        }
        let credentials = match self.known.get() {
            Some((client_id, credentials)) if client_id == cx.client_id => credentials.clone(),
            _ => {
                let credentials = Credentials::new(cx.client_id, &self.client_secret)?;
                // One client identifier is all that anybody has; another one's credentials are made each time.
                let _ = self.known.set((cx.client_id.to_owned(), credentials.clone()));
                credentials
            }
        };
        request.headers.insert(AUTHORIZATION, credentials.header);
        request.credentials = Some(credentials.secrets);
        Ok(())
    }
}

/// The credentials of HTTP Basic: form-encode each, join with `:`, then base64 (RFC 6749 §2.3.1, Appendix B).
fn basic(client_id: &str, client_secret: &Secret) -> Secret {
    // In one buffer that is large enough from the start: one that grows leaves unwiped copies behind.
    let mut pair = String::with_capacity(3 * (client_id.len() + client_secret.len()) + 1);
    pair.extend(byte_serialize(client_id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(client_secret.expose().as_bytes()));
    Secret::new(STANDARD.encode(Secret::new(pair).expose()))
}

/// `client_secret_post`: identifier and secret in the body (RFC 6749 §2.3.1).
///
/// The RFC prefers [`ClientSecretBasic`]; this is for servers that take nothing else.
#[derive(Clone, Debug)]
pub struct ClientSecretPost(Secret);

impl ClientSecretPost {
    /// With that client secret.
    pub fn new(client_secret: impl Into<Secret>) -> Self {
        Self(client_secret.into())
    }
}

#[async_trait]
impl ClientAuthentication for ClientSecretPost {
    fn method(&self) -> &str {
        "client_secret_post"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        request.parameters.append_required("client_id", cx.client_id)?;
        request.parameters.append_required("client_secret", self.0.expose())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_basic_is_form_encoded_joined_and_base64() {
        // RFC 6749 §2.3.1.
        let value = basic("s6BhdRkqt3", &Secret::from("7Fjfp0ZBr1KtDRbnfVdmIw"));
        assert_eq!(value.expose(), "czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");

        // RFC 6749 Appendix B: the value ` %&+£€` becomes `+%25%26%2B%C2%A3%E2%82%AC`, on either side of the colon.
        let value = basic(" %&+£€", &Secret::from("a:b"));
        let pair = STANDARD.decode(value.expose()).unwrap();
        assert_eq!(pair, b"+%25%26%2B%C2%A3%E2%82%AC:a%3Ab");
    }
}
