//! ID tokens (OpenID Connect Core §2): who logged in, signed by the server, and checked claim by claim before anybody reads it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_jose::{Claims, JwsAlgorithm, JwtError, ReceivedHeader, UnverifiedJwt, VerifiedJwt, half_hash};
use jeton_models::{GrantType, Scope, Secret, TokenResponse};

use crate::{GrantContext, GrantError, JwtRejection, RejectedJwt, SignedAnswer};

/// The member of a token answer.
const MEMBER: &str = "id_token";
/// The most characters of a subject (OpenID Connect Core §2).
const LONGEST_SUBJECT: usize = 255;

/// Which ID tokens a client takes.
///
/// What was asked for when the login began must stand in them: the `nonce`, an `auth_time` within `max_age`, one of the
/// `acr_values`.
///
/// Unless set otherwise: signed with a key of the server's by one of the asymmetric algorithms that its metadata lists (RS256 if
/// it lists none), for this client alone, with clocks that differ by two minutes at most.
#[derive(Clone, Debug)]
pub struct IdTokenPolicy {
    algorithms: Option<Vec<JwsAlgorithm>>,
    client_secret: Option<Secret>,
    clock_skew: Duration,
    trusted_audiences: Vec<String>,
}

impl Default for IdTokenPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl IdTokenPolicy {
    /// As the type says.
    pub fn new() -> Self {
        Self {
            algorithms: None,
            client_secret: None,
            clock_skew: Duration::from_secs(120),
            trusted_audiences: Vec::new(),
        }
    }

    /// Only that algorithm: what the client is registered with as `id_token_signed_response_alg`. May be called several times.
    /// HMAC is not meant here but with [`signed_with_secret`](Self::signed_with_secret).
    #[must_use]
    pub fn algorithm(mut self, algorithm: JwsAlgorithm) -> Self {
        self.algorithms.get_or_insert_default().push(algorithm);
        self
    }

    /// ID tokens that are signed by HMAC with the client secret (HS256, HS384, HS512), and no others.
    #[must_use]
    pub fn signed_with_secret(mut self, algorithm: JwsAlgorithm, client_secret: impl Into<Secret>) -> Self {
        self.algorithms = Some(vec![algorithm]);
        self.client_secret = Some(client_secret.into());
        self
    }

    /// By how much this machine's clock and the server's may differ: two minutes unless set.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Another audience that an ID token for this client may name besides. May be called several times. Any other one is a
    /// reason to refuse (OpenID Connect Core §3.1.3.7).
    #[must_use]
    pub fn trusted_audience(mut self, audience: impl Into<String>) -> Self {
        self.trusted_audiences.push(audience.into());
        self
    }
}

/// The check of the ID tokens of one login: give it to [`GrantContext::id_tokens`], and the context's token requests check
/// what they get; afterwards it has the ID token.
///
/// ```
/// use jeton_grants::{GrantContext, GrantError, IdToken, IdTokenCheck, IdTokenPolicy, PendingLogin, finish_authorization};
/// use jeton_models::Url;
///
/// async fn who(
///     cx: &GrantContext<'_>,
///     pending: PendingLogin,
///     redirected: &Url,
/// ) -> Result<Option<IdToken>, GrantError> {
///     let policy = IdTokenPolicy::new();
///     let check = IdTokenCheck::new(&policy);
///     let mut cx = cx.clone();
///     cx.id_tokens = Some(&check);
///     finish_authorization(&cx, pending, redirected).await?;
///     Ok(check.id_token())
/// }
/// ```
pub struct IdTokenCheck<'a> {
    policy: &'a IdTokenPolicy,
    is_required: bool,
    checked: Mutex<Option<IdToken>>,
}

impl<'a> IdTokenCheck<'a> {
    /// For a login with the scope `openid`: a token answer without an ID token is refused. An answer to a refresh may come
    /// without.
    pub fn new(policy: &'a IdTokenPolicy) -> Self {
        Self { policy, is_required: true, checked: Mutex::default() }
    }

    /// Takes an answer without an ID token, too: for grants in which no person logs in.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// The ID token that was checked last.
    pub fn id_token(&self) -> Option<IdToken> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks the ID token of a token answer, for grants that read the answer themselves; [`GrantContext::token_request`] has
    /// done so. An ID token that was checked already is not checked again.
    ///
    /// # Errors
    /// [`GrantError::RejectedJwt`] if it is not what it must be: nothing of the answer may be used then but its refresh token,
    /// which the error has.
    pub async fn settle(
        &self,
        cx: &GrantContext<'_>,
        grant_type: &GrantType,
        response: &mut TokenResponse,
    ) -> Result<(), GrantError> {
        let Some(text) = in_answer(response).map_err(|reason| refused(response, reason))? else {
            return match self.is_required
                && *grant_type != GrantType::RefreshToken
                && self.id_token().is_none()
            {
                true => Err(refused(response, JwtRejection::Absent)),
                false => Ok(()),
            };
        };
        if self.id_token().is_some_and(|checked| checked.text == text) {
            return Ok(());
        }
        match self.judge(cx, &text, &response.access_token).await {
            Ok(id_token) => {
                tracing::debug!(id_token = id_token.text.fingerprint(), "ID token checked");
                *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(id_token);
                Ok(())
            }
            // The access token is as good as any, and who logged in is known.
            Err(reason @ JwtRejection::Keys(_)) if *grant_type == GrantType::RefreshToken => {
                tracing::warn!(%reason, "the refreshed ID token cannot be checked, and the one before it stays");
                response.extra.remove(MEMBER);
                Ok(())
            }
            Err(reason) => Err(refused(response, reason)),
        }
    }

    async fn judge(
        &self,
        cx: &GrantContext<'_>,
        text: &Secret,
        access_token: &Secret,
    ) -> Result<IdToken, JwtRejection> {
        let verified = self.verify(cx, text.expose()).await?;
        check_type(verified.header())?;
        let algorithm = verified.header().algorithm;
        let claims = verified.claims();
        self.check_parties(cx, claims)?;
        self.check_times(cx, claims)?;
        check_hash(claims, "at_hash", algorithm, Some(access_token))?;
        check_hash(claims, "c_hash", algorithm, cx.expected_id_token.code)?;
        self.check_login(cx, claims)?;
        if let Some(previous) = cx.expected_id_token.previous {
            check_same_login(previous, claims)?;
        }
        Ok(IdToken { text: text.clone(), claims: verified.into_claims() })
    }

    async fn verify(&self, cx: &GrantContext<'_>, text: &str) -> Result<VerifiedJwt, JwtRejection> {
        let allowed = match &self.policy.algorithms {
            Some(pinned) => pinned.clone(),
            None => GrantContext::listed_algorithms(cx.server.id_token_signing_alg_values_supported.as_ref()),
        };
        match &self.policy.client_secret {
            Some(secret) => {
                let allowed = cx.good_algorithms(&allowed);
                Ok(UnverifiedJwt::parse(text)?.verify_with_secret(secret, &allowed)?)
            }
            None => {
                let verified = cx.verify_jwt(SignedAnswer::IdToken, text, &allowed).await;
                verified.map_err(|rejected| rejected.reason)
            }
        }
    }

    /// From whom, about whom, for whom (OpenID Connect Core §3.1.3.7, 2 to 5).
    fn check_parties(&self, cx: &GrantContext<'_>, claims: &Claims) -> Result<(), JwtRejection> {
        match cx.issuer {
            None => return Err(JwtRejection::claim("iss", "cannot be compared: name the server's issuer")),
            Some(issuer) if claims.issuer() == Some(issuer) => {}
            Some(_) => return Err(JwtRejection::claim("iss", "is not the server that was asked")),
        }
        if !claims.subject().is_some_and(|sub| !sub.is_empty() && sub.len() <= LONGEST_SUBJECT) {
            return Err(JwtRejection::claim("sub", "is absent, empty or too long"));
        }
        let audiences = claims.audiences();
        if !audiences.contains(&cx.client_id) {
            return Err(JwtRejection::claim("aud", "does not name this client"));
        }
        let is_trusted =
            |own: &&str| *own == cx.client_id || self.policy.trusted_audiences.iter().any(|one| one == own);
        if !audiences.iter().all(is_trusted) {
            return Err(JwtRejection::claim("aud", "names somebody else, who is not trusted here"));
        }
        match claims.get("azp") {
            Some(azp) if azp.as_str() == Some(cx.client_id) => Ok(()),
            Some(_) => Err(JwtRejection::claim("azp", "is another client")),
            None if audiences.len() > 1 => {
                Err(JwtRejection::claim("azp", "is absent, although there are several audiences"))
            }
            None => Ok(()),
        }
    }

    fn check_times(&self, cx: &GrantContext<'_>, claims: &Claims) -> Result<(), JwtRejection> {
        let now = seconds(cx.clock.now());
        let skew = self.policy.clock_skew.as_secs();
        claims.check_times(now, skew)?;
        if claims.issued_at().is_none() {
            return Err(JwtRejection::claim("iat", "is absent"));
        }
        let Some(max_age) = cx.expected_id_token.max_age else { return Ok(()) };
        let auth_time = claims.seconds("auth_time");
        let auth_time = auth_time.ok_or(JwtRejection::claim(
            "auth_time",
            "is absent or no time, although `max_age` was asked for",
        ))?;
        match auth_time.saturating_add(max_age).saturating_add(skew) < now {
            true => {
                Err(JwtRejection::claim("auth_time", "is longer ago than the `max_age` that was asked for"))
            }
            false => Ok(()),
        }
    }

    /// What ties it to the login that was begun: `nonce`, and the `acr` that was asked for.
    fn check_login(&self, cx: &GrantContext<'_>, claims: &Claims) -> Result<(), JwtRejection> {
        let expected = &cx.expected_id_token;
        if let Some(nonce) = expected.nonce {
            let own = claims.text("nonce").ok_or(JwtRejection::claim("nonce", "is absent"))?;
            if Secret::from(own) != *nonce {
                return Err(JwtRejection::claim("nonce", "is not the one of this login"));
            }
        }
        if expected.acr_values.is_empty() {
            return Ok(());
        }
        // What nobody looks at, whoever is before the browser could take out of the request.
        let acr = claims.text("acr");
        match acr.is_some_and(|acr| expected.acr_values.iter().any(|one| one == acr)) {
            true => Ok(()),
            false => Err(JwtRejection::claim("acr", "is none of those that were asked for")),
        }
    }
}

impl fmt::Debug for IdTokenCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenCheck")
            .field("policy", self.policy)
            .field("is_required", &self.is_required)
            .finish_non_exhaustive()
    }
}

/// What an ID token must say besides, because it was asked for when the login began.
#[derive(Clone, Copy, Default)]
pub(crate) struct Expected<'a> {
    pub(crate) nonce: Option<&'a Secret>,
    pub(crate) code: Option<&'a Secret>,
    pub(crate) previous: Option<&'a IdToken>,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
    /// One of them, if there are any.
    pub(crate) acr_values: &'a [String],
}

/// Whether a scope asks for an ID token (OpenID Connect Core §3.1.2.1).
pub(crate) fn asks_for_id_token(scope: Option<&Scope>) -> bool {
    scope.is_some_and(|scope| scope.contains("openid"))
}

fn in_answer(response: &TokenResponse) -> Result<Option<Secret>, JwtRejection> {
    match response.extra.get(MEMBER) {
        None => Ok(None),
        Some(value) if value.is_null() => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(Secret::from(text))),
            None => Err(JwtError::Malformed("it is not a string").into()),
        },
    }
}

fn refused(response: &TokenResponse, reason: JwtRejection) -> GrantError {
    let mut rejected = RejectedJwt::new(SignedAnswer::IdToken, reason);
    rejected.refresh_token = response.refresh_token.clone();
    rejected.into()
}

/// An access token or a logout token of the same server is no ID token, whoever signed it (RFC 8725 §3.11).
fn check_type(header: &ReceivedHeader) -> Result<(), JwtRejection> {
    match header.typ.is_none() || header.has_type("JWT") || header.has_type("id_token+jwt") {
        true => Ok(()),
        false => Err(JwtError::Malformed("its `typ` is that of another kind of token").into()),
    }
}

/// What names a code or an access token names this one (OpenID Connect Core §3.1.3.6, §3.3.2.11).
fn check_hash(
    claims: &Claims,
    name: &'static str,
    algorithm: JwsAlgorithm,
    value: Option<&Secret>,
) -> Result<(), JwtRejection> {
    let (Some(claim), Some(value)) = (claims.get(name), value) else { return Ok(()) };
    match claim.as_str() == Some(&half_hash(algorithm, value.expose())) {
        true => Ok(()),
        false => Err(JwtRejection::claim(name, "is not of what came with it")),
    }
}

/// A refreshed ID token is about the login that was refreshed (OpenID Connect Core §12.2).
fn check_same_login(previous: &IdToken, claims: &Claims) -> Result<(), JwtRejection> {
    let before = &previous.claims;
    if claims.issuer() != before.issuer() {
        return Err(JwtRejection::claim("iss", "is not that of the login that was refreshed"));
    }
    if claims.subject() != before.subject() {
        return Err(JwtRejection::claim("sub", "is not that of the login that was refreshed"));
    }
    if !before.audiences().iter().all(|audience| claims.audiences().contains(audience)) {
        return Err(JwtRejection::claim("aud", "is not that of the login that was refreshed"));
    }
    for name in ["auth_time", "azp", "nonce"] {
        let (Some(now), Some(before)) = (claims.get(name), before.get(name)) else { continue };
        if now != before {
            return Err(JwtRejection::claim(name, "is not that of the login that was refreshed"));
        }
    }
    Ok(())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Who logged in, as the server says: an ID token that was checked.
///
/// It tells the client, and nobody else: it is no access token, and opens nothing. `Debug` shows nothing of the person.
#[derive(Clone, PartialEq)]
pub struct IdToken {
    text: Secret,
    claims: Claims,
}

impl IdToken {
    /// Reads an ID token that was checked when it came, and kept where only its owner writes. Nothing is checked here: never
    /// give it one from anywhere else.
    pub fn from_kept(text: &Secret) -> Option<Self> {
        let claims = text.expose().split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&claims).ok()?;
        let claims = Claims::from(claims);
        claims.subject()?;
        Some(Self { text: text.clone(), claims })
    }

    /// The server that says it.
    pub fn issuer(&self) -> &str {
        self.claims.issuer().unwrap_or_default()
    }

    /// Who logged in: unique at that server, and never given to somebody else. Together with the issuer it is what to know a
    /// person by; a mail address is not.
    pub fn subject(&self) -> &str {
        self.claims.subject().unwrap_or_default()
    }

    /// For which clients it is; this one is among them.
    pub fn audiences(&self) -> Vec<&str> {
        self.claims.audiences()
    }

    /// When it was made.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.time("iat")
    }

    /// Until when it was to be taken. The login goes on after that.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.time("exp")
    }

    /// When the person last proved who they are, if the server says so.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.time("auth_time")
    }

    /// The authentication context class, if the server says so.
    pub fn acr(&self) -> Option<&str> {
        self.claims.text("acr")
    }

    /// How the person proved who they are (RFC 8176), if the server says so.
    pub fn amr(&self) -> Vec<&str> {
        let values = self.claims.get("amr").and_then(|value| value.as_array());
        values.into_iter().flatten().filter_map(|value| value.as_str()).collect()
    }

    /// All that it says: `name`, `email` and the rest (OpenID Connect Core §5.1).
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token itself, as it came: a hint for the server at log-out (`id_token_hint`), and nothing to let anybody in by.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    fn time(&self, name: &str) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.claims.seconds(name)?))
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdToken").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
