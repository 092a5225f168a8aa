//! Assertions that the program signs itself (RFC 7523 §3): for services that are trusted to speak for somebody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jeton_jose::{Claims, JwtHeader, SignError, Signer, sign_jwt};
use jeton_models::{Secret, random_token};

use crate::clock::unix_seconds;
use crate::{AssertionSource, GrantContext, GrantError, Recovery};

/// How long a JWT that the client signs is good unless told otherwise: a minute.
const LIFETIME: Duration = Duration::from_secs(60);

/// An assertion that a [`Signer`] signs anew for each request: `iss`, `sub`, `aud`, `iat`, `exp` and a fresh `jti`
/// (RFC 7523 §3).
///
/// ```
/// use jeton_grants::{JwtBearer, SignedAssertion};
/// use jeton_jose::{JwsAlgorithm, SigningKey};
///
/// let key = SigningKey::generate(JwsAlgorithm::Es256)?.with_key_id("2026-01");
/// let grant = JwtBearer::new(SignedAssertion::new(key, "https://sts.example").subject("alice@example.com"));
/// # Ok::<(), jeton_jose::KeyError>(())
/// ```
#[derive(Clone)]
pub struct SignedAssertion {
    signer: Arc<dyn Signer>,
    issuer: String,
    subject: Option<String>,
    audience: Option<String>,
    lifetime: Duration,
    typ: Option<String>,
    claims: Claims,
}

impl SignedAssertion {
    /// Signed by that signer and issued by that name. The subject is the issuer unless [`subject`](Self::subject) says
    /// otherwise.
    pub fn new(signer: impl Signer + 'static, issuer: impl Into<String>) -> Self {
        Self {
            signer: Arc::new(signer),
            issuer: issuer.into(),
            subject: None,
            audience: None,
            lifetime: LIFETIME,
            typ: Some("JWT".to_owned()),
            claims: Claims::new(),
        }
    }

    /// Whom it speaks of (`sub`).
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// For whom it is (`aud`). Unless set, the server's issuer, by itself; some servers want the URL of their token endpoint.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long it is good, in whole seconds and at least one: 60 s unless set.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The header `typ`: `JWT` unless set; `None` for none.
    #[must_use]
    pub fn typ(mut self, typ: Option<&str>) -> Self {
        self.typ = typ.map(str::to_owned);
        self
    }

    /// A further claim, such as `scope` where the server wants it there. The ones that this type makes win.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.claims.insert(name, value);
        self
    }
}

#[async_trait]
impl AssertionSource for SignedAssertion {
    async fn assertion(&self, cx: &GrantContext<'_>) -> Result<Secret, GrantError> {
        let audience = self.audience.as_deref().or(cx.issuer).ok_or(GrantError::Unfit {
            what: "an assertion needs an audience, and the server's issuer is not known: set the issuer, or the audience of the \
                   assertion",
        })?;
        let mut claims = self.claims.clone();
        claims.insert("iss", self.issuer.as_str());
        claims.insert("sub", self.subject.as_deref().unwrap_or(&self.issuer));
        claims.insert("aud", audience);
        insert_times(&mut claims, cx, self.lifetime);
        let header = self.typ.as_deref().map_or_else(JwtHeader::default, JwtHeader::typed);
        sign_jwt(&*self.signer, header, &claims).await.map_err(|error| not_signed("assertion", error))
    }
}

/// `iat`, `exp` and a `jti` of 256 bits.
pub(crate) fn insert_times(claims: &mut Claims, cx: &GrantContext<'_>, lifetime: Duration) {
    let now = unix_seconds(cx.clock.now());
    claims.insert("iat", now);
    claims.insert("exp", now.saturating_add(lifetime.as_secs().max(1)));
    claims.insert("jti", random_token(32).expose());
}

pub(crate) fn not_signed(what: &'static str, error: SignError) -> GrantError {
    GrantError::source(what, Recovery::Retry { after: None }, error)
}

impl fmt::Debug for SignedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedAssertion")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
