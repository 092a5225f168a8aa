//! A client secret that the client signs itself: a JWT, sent as `client_secret`. That is no standard, but what Sign in with
//! Apple asks for.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use jeton_jose::{Claims, JwtHeader, Signer, sign_jwt};

use crate::{AuthenticationContext, ClientAssertionError, ClientAuthentication, EndpointRequest, GrantError};

/// How long such a secret lives, in seconds: it is made for one request.
const LIFETIME: u64 = 300;

/// A client secret that is a JWT, signed by the client for each request and good for five minutes.
///
/// `iss` is the developer's team, `sub` the client identifier, `aud` the provider. Where the server takes `private_key_jwt`
/// ([`PrivateKeyJwt`](crate::PrivateKeyJwt)), that is better: it is a standard.
///
/// ```
/// use jeton_grants::SignedClientSecret;
/// use jeton_jose::{JwsAlgorithm, SigningKey};
///
/// // The key that the provider made: `SigningKey::from_pem(.., JwsAlgorithm::Es256)?.with_key_id("ABC123DEFG")`.
/// let key = SigningKey::generate(JwsAlgorithm::Es256)?.with_key_id("ABC123DEFG");
/// let authentication = SignedClientSecret::new("TEAM123456", "https://appleid.apple.com", key);
/// # let _ = authentication;
/// # Ok::<(), jeton_jose::KeyError>(())
/// ```
#[derive(Clone)]
pub struct SignedClientSecret {
    issuer: String,
    audience: String,
    signer: Arc<dyn Signer>,
}

impl SignedClientSecret {
    /// In that developer's (or team's) name, for that provider, with that key.
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        signer: impl Signer + 'static,
    ) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), signer: Arc::new(signer) }
    }
}

#[async_trait]
impl ClientAuthentication for SignedClientSecret {
    fn method(&self) -> &str {
        "client_secret_post"
    }

    fn signing_algorithm(&self) -> Option<&str> {
        Some(self.signer.algorithm().as_str())
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        let now = cx.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims::new()
            .with("iss", self.issuer.as_str())
            .with("iat", now)
            .with("exp", now.saturating_add(LIFETIME))
            .with("aud", self.audience.as_str())
            .with("sub", cx.client_id);
        let secret = sign_jwt(&*self.signer, JwtHeader::typed("JWT"), &claims).await;
        let secret = secret.map_err(|error| ClientAssertionError::Sign(Arc::new(error)))?;
        request.parameters.append_required("client_id", cx.client_id)?;
        request.parameters.append_required("client_secret", secret.expose())?;
        Ok(())
    }
}

impl fmt::Debug for SignedClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedClientSecret")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("algorithm", &self.signer.algorithm())
            .field("key_id", &self.signer.key_id())
            .finish_non_exhaustive()
    }
}
