//! `RequestObject`: the authorization request as a JWT that the client signs, so that nobody can change it on its way through the
//! browser (RFC 9101, "JAR").

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton_jose::{Claims, JwsAlgorithm, JwtHeader, Signer, sign_jwt};
use jeton_models::{Parameters, Secret, random_token};
use serde_json::Value;

use crate::{AuthorizationRequestError, GrantContext, GrantError};

/// How long a request object is good for unless told otherwise.
const LIFETIME: Duration = Duration::from_secs(300);

/// Claims of the JWT itself, which no parameter may take the place of; and what no request object has in it (RFC 9101 §4).
const RESERVED: [&str; 9] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "request", "request_uri"];

/// Signs authorization requests (RFC 9101). The server has to know the public key, such as from the client's `jwks_uri`.
///
/// All parameters go into the JWT, and `client_id` stands beside it (RFC 9101 §5). It names the client as `iss` and the server as
/// `aud`, has no `sub`, and lives for five minutes. Encrypted request objects are not made.
///
/// ```
/// use jeton_grants::RequestObject;
/// use jeton_jose::{JwsAlgorithm, SigningKey};
///
/// let key = SigningKey::generate(JwsAlgorithm::Es256)?.with_key_id("2026-01");
/// let request_object = RequestObject::new(key);
/// # let _ = request_object;
/// # Ok::<(), jeton_jose::KeyError>(())
/// ```
#[derive(Clone)]
pub struct RequestObject {
    signer: Arc<dyn Signer>,
    lifetime: Duration,
}

impl RequestObject {
    /// Signed by that key, which may live elsewhere.
    pub fn new(signer: impl Signer + 'static) -> Self {
        Self { signer: Arc::new(signer), lifetime: LIFETIME }
    }

    /// How long each is good for, in whole seconds: five minutes unless set, which is enough to open the browser.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The algorithm that it is signed with.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.signer.algorithm()
    }

    /// The request as a signed JWT.
    pub(crate) async fn sign(
        &self,
        cx: &GrantContext<'_>,
        parameters: &Parameters,
    ) -> Result<Secret, GrantError> {
        let issuer = || cx.server.issuer.clone();
        let algorithm = self.algorithm();
        if let Some(listed) = &cx.server.request_object_signing_alg_values_supported
            && !listed
                .iter()
                .any(|name| name.parse::<JwsAlgorithm>().is_ok_and(|own| own.is_same_as(algorithm)))
        {
            return Err(AuthorizationRequestError::RequestObjectAlgorithm {
                issuer: issuer(),
                algorithm: algorithm.as_str(),
                listed: listed.clone(),
            }
            .into());
        }
        let audience = cx.issuer.ok_or(AuthorizationRequestError::RequestObjectAudience)?;
        let now = seconds(cx.clock.now());
        let mut claims = Claims::new()
            .with("iss", cx.client_id)
            .with("aud", audience)
            .with("iat", now)
            .with("nbf", now)
            .with("exp", now.saturating_add(self.lifetime.as_secs()))
            .with("jti", random_token(16).expose());
        for (name, value) in parameters.iter() {
            if RESERVED.contains(&name) {
                return Err(
                    AuthorizationRequestError::RequestObjectParameter { name: name.to_owned() }.into()
                );
            }
            let value = claim(name, value);
            match claims.get(name) {
                None => claims.insert(name, value),
                // One that stands several times is an array (RFC 8707 §2.1).
                Some(Value::Array(several)) => {
                    let several = several.iter().cloned().chain([value]).collect::<Vec<_>>();
                    claims.insert(name, several);
                }
                Some(first) => claims.insert(name, vec![first.clone(), value]),
            }
        }
        let header = JwtHeader::typed("oauth-authz-req+jwt");
        let signed = sign_jwt(&*self.signer, header, &claims).await;
        Ok(signed.map_err(|error| AuthorizationRequestError::RequestObject(error.to_string()))?)
    }
}

/// A parameter as a claim: numbers and JSON as such (RFC 9101 §4, RFC 9396 §3, OpenID Connect Core §6.1), all else as text.
fn claim(name: &str, value: &str) -> Value {
    let typed = match name {
        "max_age" => value.parse::<u64>().ok().map(Value::from),
        "authorization_details" | "claims" => serde_json::from_str(value).ok(),
        _ => None,
    };
    typed.unwrap_or_else(|| value.into())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl fmt::Debug for RequestObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestObject")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.signer.key_id())
            .field("lifetime", &self.lifetime)
            .finish()
    }
}
