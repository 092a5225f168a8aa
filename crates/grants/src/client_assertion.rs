//! Client authentication by a signed JWT: `private_key_jwt` and `client_secret_jwt` (RFC 7521 §4.2, RFC 7523 §2.2, and its
//! update, draft-ietf-oauth-rfc7523bis: the audience is the issuer and nothing else).

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use jeton_jose::{Claims, JwsAlgorithm, JwtHeader, KeyError, SignError, Signer, SigningKey, sign_jwt};
use jeton_models::{ParameterError, Secret, random_token};

use crate::{AuthenticationContext, ClientAuthentication, EndpointRequest, GrantError, Recovery};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion lives, in seconds: it is made for one request, which is sent at once.
const LIFETIME: u64 = 60;

/// For whom an assertion is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Audience {
    #[default]
    Issuer,
    TokenEndpoint,
}

/// `private_key_jwt`: the client signs a JWT with its private key, and the server has the public one (RFC 7523 §2.2).
///
/// Each request carries an assertion of its own, good for a minute and for that one server: its audience is the server's
/// issuer identifier and nothing else, so that no other server can use it. The issuer must therefore be known.
///
/// ```
/// use jeton_grants::PrivateKeyJwt;
/// use jeton_jose::{JwsAlgorithm, SigningKey};
///
/// // Register the public half at the server: `key.public_jwk()`.
/// let key = SigningKey::generate(JwsAlgorithm::Es256)?.with_key_id("2026-01");
/// let authentication = PrivateKeyJwt::new(key);
/// # Ok::<(), jeton_jose::KeyError>(())
/// ```
#[derive(Clone)]
pub struct PrivateKeyJwt {
    signer: Arc<dyn Signer>,
    audience: Audience,
}

impl PrivateKeyJwt {
    /// With that key, which may live in a hardware module or a key service: see [`Signer`].
    pub fn new(signer: impl Signer + 'static) -> Self {
        Self { signer: Arc::new(signer), audience: Audience::Issuer }
    }

    /// Names the token endpoint's URL as the audience, at every endpoint. For servers that are older than the update of RFC 7523
    /// and take nothing else: an assertion for one of them can be of use to another one that is made to look like it.
    #[must_use]
    pub fn token_endpoint_as_audience(mut self) -> Self {
        self.audience = Audience::TokenEndpoint;
        self
    }
}

impl fmt::Debug for PrivateKeyJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKeyJwt")
            .field("algorithm", &self.signer.algorithm())
            .field("key_id", &self.signer.key_id())
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ClientAuthentication for PrivateKeyJwt {
    fn method(&self) -> &str {
        "private_key_jwt"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        if self.signer.algorithm().is_symmetric() {
            return Err(ClientAssertionError::SharedSecret { algorithm: self.signer.algorithm() }.into());
        }
        append_assertion(request, cx, &*self.signer, self.audience).await
    }

    fn signing_algorithm(&self) -> Option<&str> {
        Some(self.signer.algorithm().as_str())
    }
}

/// `client_secret_jwt`: the client signs a JWT with its client secret, which itself is never sent (RFC 7523 §2.2).
///
/// Otherwise like [`PrivateKeyJwt`], which is better where the server takes it: there, nobody but the client has the key.
#[derive(Clone, Debug)]
pub struct ClientSecretJwt {
    key: SigningKey,
    /// It is never sent, but the server knows it, and might say it.
    client_secret: Secret,
    audience: Audience,
}

impl ClientSecretJwt {
    /// With that client secret, by HS256.
    ///
    /// # Errors
    /// [`KeyError::Short`] for a secret of fewer than 32 bytes (RFC 7518 §3.2).
    pub fn new(client_secret: impl Into<Secret>) -> Result<Self, KeyError> {
        Self::with_algorithm(client_secret, JwsAlgorithm::Hs256)
    }

    /// With that client secret, by HS256, HS384 or HS512, as the server has it registered.
    ///
    /// # Errors
    /// [`KeyError::Short`] for a secret that is shorter than the algorithm's hash, [`KeyError::Type`] for another algorithm.
    pub fn with_algorithm(
        client_secret: impl Into<Secret>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, KeyError> {
        let client_secret = client_secret.into();
        let key = SigningKey::from_secret(&client_secret, algorithm)?;
        Ok(Self { key, client_secret, audience: Audience::Issuer })
    }

    /// As [`PrivateKeyJwt::token_endpoint_as_audience`].
    #[must_use]
    pub fn token_endpoint_as_audience(mut self) -> Self {
        self.audience = Audience::TokenEndpoint;
        self
    }
}

#[async_trait]
impl ClientAuthentication for ClientSecretJwt {
    fn method(&self) -> &str {
        "client_secret_jwt"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        request.add_secret(self.client_secret.clone());
        append_assertion(request, cx, &self.key, self.audience).await
    }

    fn signing_algorithm(&self) -> Option<&str> {
        Some(self.key.algorithm().as_str())
    }
}

/// Makes the assertion for this one request.
async fn append_assertion(
    request: &mut EndpointRequest,
    cx: &AuthenticationContext<'_>,
    signer: &dyn Signer,
    audience: Audience,
) -> Result<(), GrantError> {
    if cx.client_id.is_empty() {
        return Err(ParameterError::Empty { name: "client_id".to_owned() }.into());
    }
    let audience = match audience {
        Audience::Issuer => cx.issuer.ok_or(ClientAssertionError::IssuerUnknown)?,
        Audience::TokenEndpoint => cx.token_endpoint.ok_or(ClientAssertionError::TokenEndpointUnknown)?,
    };
    let now = cx.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims::new()
        .with("iss", cx.client_id)
        .with("sub", cx.client_id)
        .with("aud", audience)
        .with("jti", random_token(24).expose())
        .with("iat", now)
        .with("exp", now + LIFETIME);
    let assertion = sign_jwt(signer, JwtHeader::typed("client-authentication+jwt"), &claims).await;
    let assertion = assertion.map_err(|error| ClientAssertionError::Sign(Arc::new(error)))?;
    request.parameters.append_required("client_assertion_type", ASSERTION_TYPE)?;
    request.parameters.append_required("client_assertion", assertion.expose())?;
    Ok(())
}

/// Why no client assertion was made. Nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAssertionError {
    /// Nobody knows whom the assertion should be for.
    #[error(
        "a client assertion names the server's issuer, which is not known here; configure the client with the issuer \
         instead of single endpoints, or with both (RFC 7523 §3)"
    )]
    IssuerUnknown,
    /// The server's metadata has no token endpoint to name.
    #[error(
        "a client assertion for the token endpoint needs its URL, which the server's metadata does not have; \
         set the token endpoint by hand, or take the issuer as audience"
    )]
    TokenEndpointUnknown,
    /// A shared secret was given in the place of a private key.
    #[error(
        "private_key_jwt signs with a private key, and {algorithm} with a shared secret; use ClientSecretJwt for that"
    )]
    SharedSecret {
        /// The signer's algorithm.
        algorithm: JwsAlgorithm,
    },
    /// The key could not be used.
    #[error(
        "the client assertion could not be signed: {0}; nothing was sent, try again when the key can sign"
    )]
    Sign(#[source] Arc<SignError>),
}

impl ClientAssertionError {
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            // A key service may be back soon.
            Self::Sign(_) => Recovery::Retry { after: None },
            _ => Recovery::FixConfiguration,
        }
    }
}
