//! The authorization code grant with PKCE, for public and confidential clients (RFC 6749 §4.1, RFC 7636, RFC 9700).
//!
//! It comes in two halves that need not share a process: [`begin_authorization`] gives the URL and a pending login that
//! can be kept, [`finish_authorization`] takes the redirected URL. [`AuthorizationCode`] joins them for programs that
//! have the person before them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::FutureExt;
use jeton_models::{
    AuthorizationCodeAccessTokenRequest, AuthorizationRequest, AuthorizationResponse,
    AuthorizationResponseError, GrantType, Pkce, Scope, Secret, TokenResponse, random_token,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::authorization_request::{FrontChannel, front_channel, response_mode};
#[cfg(feature = "jose")]
use crate::id_token::{Expected, asks_for_id_token};
use crate::{
    AuthorizationPrompt, AuthorizationReply, Grant, GrantContext, GrantError, InteractionError, LoginOutcome,
    RedirectEndpoint, RedirectReceiver,
};

/// How long a login waits for the person unless told otherwise: 5 minutes.
pub const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(300);

/// The last second of the year 9999, which every platform's clock can hold: a login that never expires does so then.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

/// A login that was begun and waits for its redirect.
///
/// It holds the code verifier and the `state`: keep it where only the one who began it can reach it (the web session of
/// that browser, a file of that person), never in the URL. It works once, which its owner sees to by removing it before
/// finishing; the type helps in that finishing consumes it. It expires.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingLogin {
    issuer: String,
    client_id: String,
    redirect_uri: String,
    #[serde(with = "jeton_models::exposed")]
    state: Secret,
    #[serde(with = "jeton_models::exposed")]
    code_verifier: Secret,
    expires_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound_to: Option<String>,
    /// The scope that was asked for, where it is not the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    /// How old the person's authentication may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_before_ms: Option<u64>,
    /// What the ID token must name, so that it is of this login and no other (OpenID Connect Core §3.1.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "jeton_models::exposed_option")]
    nonce: Option<Secret>,
    /// The authentication context classes that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acr_values: Vec<String>,
    /// How the answer is to come, if not by default: as a JWT (JARM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_mode: Option<String>,
    /// The key that the code is bound to, as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "jeton_models::exposed_option")]
    dpop_key: Option<Secret>,
}

impl PendingLogin {
    /// Notes for whom the login was begun, in the caller's own terms (an account, a web session), so that whoever finishes
    /// it can see whether it is the same. Nothing here checks it; sessions of jeton-client do, with their account.
    #[must_use]
    pub fn bind_to(mut self, whom: impl Into<String>) -> Self {
        self.bound_to = Some(whom.into());
        self
    }

    /// For whom the login was begun, if that was noted.
    pub fn bound_to(&self) -> Option<&str> {
        self.bound_to.as_deref()
    }

    /// The `state` by which a redirect finds its pending login.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// The redirect URI of the authorization request.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// When it stops working.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.expires_at_ms).min(END_OF_TIME)
    }

    /// Until when the authorization URL can be opened, if the server said so: a pushed request is kept for a minute or so, and for
    /// one use (RFC 9126 §2.2). The login itself waits until [`expires_at`](Self::expires_at).
    pub fn open_before(&self) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_millis(self.open_before_ms?).min(END_OF_TIME))
    }

    /// The scope that was asked for with [`LoginOptions::scope`](crate::LoginOptions), if it was.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// How old the person's authentication was allowed to be, if that was asked for ([`LoginOptions::max_age`](crate::LoginOptions)).
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age.map(Duration::from_secs)
    }

    /// Whether the answer is to be one that the server signed (JARM), and no other.
    pub(crate) fn is_answered_by_jwt(&self) -> bool {
        self.response_mode.as_deref().is_some_and(|mode| mode == "jwt" || mode.ends_with(".jwt"))
    }

    /// The DPoP key that the code is bound to (`dpop_jkt`, RFC 9449 §10), as it is kept: the private key as a JWK, or the public
    /// one with the member `external`. The login can be finished with that key only.
    pub fn dpop_key(&self) -> Option<&Secret> {
        self.dpop_key.as_ref()
    }

    /// Whether the key that the code is bound to is there.
    fn check_binding(&self, cx: &GrantContext<'_>) -> Result<(), GrantError> {
        let Some(kept) = &self.dpop_key else { return Ok(()) };
        #[cfg(feature = "jose")]
        return Ok(cx.dpop.ok_or(crate::DpopError::SwitchedOff)?.check_kept(kept)?);
        #[cfg(not(feature = "jose"))]
        {
            let _ = (cx, kept);
            Err(GrantError::PendingLoginForeign { what: "a client that uses DPoP".to_owned() })
        }
    }

    /// Whether a redirected URL carries the `state` of this login.
    pub fn matches(&self, redirected: &Url) -> bool {
        if !self.is_answered_by_jwt() {
            return AuthorizationResponse::has_state(redirected, &self.state);
        }
        // What stands beside the JWT is not read when the login is finished, and must not hide here whose answer it is.
        let mut alone = redirected.clone();
        let response = redirected.query_pairs().filter(|(name, _)| name == "response");
        alone.query_pairs_mut().clear().extend_pairs(response);
        AuthorizationResponse::has_state(&alone, &self.state)
    }
}

/// Begins a login: the URL for the person's browser, and what is needed to finish.
///
/// Each call makes a fresh `state` of 256 bits and a fresh PKCE pair. Nothing is sent, unless the request is pushed
/// ([`PushedRequests`](crate::PushedRequests)): then the URL is good for one use, before [`PendingLogin::open_before`].
///
/// # Errors
/// [`GrantError::AuthorizationRequest`] if the server does not take such a request, those of an endpoint if it is pushed,
/// [`GrantError::Metadata`] if the server has no authorization endpoint, [`GrantError::NoS256`] if it lists PKCE methods
/// without S256, [`GrantError::Parameter`] if an extra parameter clashes with one of the request's own,
/// [`GrantError::Resource`] if a resource is no resource indicator, [`GrantError::RedirectUri`] if the redirect URI is no
/// absolute URI or has a fragment.
pub async fn begin_authorization(
    cx: &GrantContext<'_>,
    redirect_uri: &str,
    timeout: Duration,
) -> Result<(Url, PendingLogin), GrantError> {
    begin(cx, redirect_uri, timeout, random_token(32)).await
}

async fn begin(
    cx: &GrantContext<'_>,
    redirect_uri: &str,
    timeout: Duration,
    state: Secret,
) -> Result<(Url, PendingLogin), GrantError> {
    if let Some(listed) = &cx.server.code_challenge_methods_supported
        && !listed.iter().any(|method| method == "S256")
    {
        return Err(GrantError::NoS256 { issuer: cx.server.issuer.clone(), listed: listed.clone() });
    }
    if Url::parse(redirect_uri).map_or(true, |uri| uri.fragment().is_some()) {
        return Err(GrantError::RedirectUri { redirect_uri: redirect_uri.to_owned() });
    }
    if let Some(profile) = cx.authorization.security_profile {
        profile.check_authorization(cx)?;
    }
    let pkce = Pkce::new();
    let mut request = AuthorizationRequest::new(cx.client_id);
    request.redirect_uri = Some(redirect_uri.to_owned());
    request.scope = cx.scope_to_ask_for().cloned();
    request.state = Some(state.clone());
    request.code_challenge = Some(pkce.code_challenge().to_owned());
    request.code_challenge_method = Some(pkce.code_challenge_method());
    cx.append_resources(&mut request.extra)?;
    cx.login.append_to(&mut request.extra, cx)?;
    let nonce = nonce(cx, request.scope.as_ref());
    if let Some(nonce) = &nonce {
        request.extra.append_required("nonce", nonce.expose())?;
    }
    let response_mode = response_mode(cx)?.map(str::to_owned);
    request.extra.append("response_mode", response_mode.as_deref().unwrap_or_default())?;
    #[cfg(feature = "jose")]
    if let Some(dpop) = cx.dpop {
        request.extra.append_required("dpop_jkt", dpop.thumbprint())?;
    }
    request.extra.append_all(&cx.extra.authorization)?;
    let begun_at = cx.clock.now();
    let FrontChannel { url, open_before } = front_channel(cx, &request).await?;
    let expires_at = begun_at.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(timeout);
    let pending = PendingLogin {
        issuer: cx.server.issuer.clone(),
        client_id: cx.client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        state,
        code_verifier: pkce.code_verifier().clone(),
        bound_to: None,
        expires_at_ms: millis(expires_at),
        scope: cx.login.scope.clone(),
        max_age: cx.login.max_age.map(|max_age| max_age.as_secs()),
        #[cfg(feature = "jose")]
        dpop_key: cx.dpop.map(crate::Dpop::to_kept),
        #[cfg(not(feature = "jose"))]
        dpop_key: None,
        open_before_ms: open_before
            .map(|open_before| millis(open_before.duration_since(UNIX_EPOCH).unwrap_or_default())),
        nonce,
        acr_values: cx.login.acr_values.clone(),
        response_mode,
    };
    Ok((url, pending))
}

/// What the ID token is to name, where one is asked for and will be checked.
#[cfg(feature = "jose")]
fn nonce(cx: &GrantContext<'_>, scope: Option<&Scope>) -> Option<Secret> {
    (cx.id_tokens.is_some() && asks_for_id_token(scope)).then(|| random_token(32))
}

#[cfg(not(feature = "jose"))]
fn nonce(_: &GrantContext<'_>, _: Option<&Scope>) -> Option<Secret> {
    None
}

/// A time since 1970 in milliseconds, at most the end of time.
fn millis(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.min(END_OF_TIME).as_millis()).unwrap_or(u64::MAX)
}

/// Finishes a login with the URL to which the browser was redirected.
///
/// `state` and `iss` are checked before code or error is looked at. The code is sent once and never again: it is good for
/// one try (RFC 6749 §4.1.2), so that [`GrantError::recovery`] never advises to repeat this. (With DPoP it is sent once more if
/// the server wants its nonce first, RFC 9449 §8.) A login that was begun with a [DPoP key](PendingLogin::dpop_key) is
/// finished with the same one in the context.
///
/// # Errors
/// [`GrantError::PendingLoginExpired`], [`GrantError::PendingLoginForeign`] if it was begun for another client or server,
/// [`GrantError::AuthorizationResponse`] if the URL is not this login's answer or says no, and those of a token request.
pub async fn finish_authorization(
    cx: &GrantContext<'_>,
    pending: PendingLogin,
    redirected: &Url,
) -> Result<TokenResponse, GrantError> {
    if pending.issuer != cx.server.issuer || pending.client_id != cx.client_id {
        return Err(GrantError::PendingLoginForeign {
            what: format!("{} at {}", pending.client_id, pending.issuer),
        });
    }
    if cx.clock.now() >= pending.expires_at() {
        return Err(GrantError::PendingLoginExpired);
    }
    pending.check_binding(cx)?;
    let redirected = cx.dialect.map_or(Cow::Borrowed(redirected), |dialect| dialect.redirected(redirected));
    let response = crate::authorization_response::read(cx, &pending, &redirected).await?;

    #[cfg(feature = "jose")]
    let expecting = cx.expecting(Expected {
        nonce: pending.nonce.as_ref(),
        code: Some(&response.code),
        max_age: pending.max_age,
        acr_values: &pending.acr_values,
        previous: None,
    });
    #[cfg(feature = "jose")]
    let cx = &expecting;
    let mut request = AuthorizationCodeAccessTokenRequest::new(response.code.clone(), cx.client_id);
    request.redirect_uri = Some(pending.redirect_uri);
    request.code_verifier = Some(pending.code_verifier);
    let mut token = cx.token_request(&GrantType::AuthorizationCode, request.to_parameters()?).await?;
    if let Some(dialect) = cx.dialect {
        dialect.keep(&response.extra, &mut token.extra);
    }
    Ok(token)
}

/// The authorization code grant for a program that has the person before it: opens the browser through
/// [`Interaction`](crate::Interaction), receives the redirect at a [`RedirectEndpoint`], redeems the code.
#[derive(Clone)]
pub struct AuthorizationCode {
    redirect: Arc<dyn RedirectEndpoint>,
    timeout: Duration,
}

impl AuthorizationCode {
    /// With the place where redirects arrive, and a timeout of [`DEFAULT_LOGIN_TIMEOUT`].
    pub fn new(redirect: impl RedirectEndpoint + 'static) -> Self {
        Self { redirect: Arc::new(redirect), timeout: DEFAULT_LOGIN_TIMEOUT }
    }

    /// How long to wait for the person.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn log_in(
        &self,
        cx: &GrantContext<'_>,
        receiver: &mut dyn RedirectReceiver,
        url: &Url,
        pending: PendingLogin,
    ) -> Result<TokenResponse, GrantError> {
        let prompt = AuthorizationPrompt::new(url, &pending, receiver.listens());
        let redirected = self.redirected(cx, receiver, &prompt).await?;
        finish_authorization(cx, pending, &redirected).await
    }

    /// The redirected URL, from the listener or from the person, whichever comes first.
    async fn redirected(
        &self,
        cx: &GrantContext<'_>,
        receiver: &mut dyn RedirectReceiver,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<Url, GrantError> {
        let mut timeout = cx.clock.sleep(self.timeout).fuse();
        let mut received = receiver.receive().fuse();
        let mut opened = cx.interaction.open_authorization_url(prompt).fuse();
        loop {
            futures_util::select_biased! {
                url = received => return Ok(url?),
                reply = opened => match reply? {
                    AuthorizationReply::Redirected(url) => return Ok(url),
                    AuthorizationReply::Opened => {}
                },
                () = timeout => return Err(InteractionError::TimedOut { waited: self.timeout }.into()),
            }
        }
    }
}

#[async_trait]
impl Grant for AuthorizationCode {
    fn grant_type(&self) -> GrantType {
        GrantType::AuthorizationCode
    }

    fn needs_person(&self) -> bool {
        true
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let state = random_token(32);
        let mut receiver = self.redirect.open(&state).await?;
        let redirect_uri = receiver.redirect_uri().to_owned();
        // Nothing has been shown so far: an error here drops the receiver, which closes the place.
        let (url, pending) = begin(cx, &redirect_uri, self.timeout, state).await?;
        let result = self.log_in(cx, &mut *receiver, &url, pending).await;
        let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let outcome = match &result {
            Ok(_) => LoginOutcome::Success,
            Err(GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(response))) => {
                LoginOutcome::Denied {
                    error: &response.error,
                    description: response.error_description.as_deref(),
                }
            }
            Err(_) => LoginOutcome::Failed(&message),
        };
        receiver.finish(outcome).await;
        cx.interaction.login_ended(outcome).await;
        result
    }
}

impl std::fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizationCode").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A redirect URI at which nobody listens: the person pastes the URL to which the browser was redirected.
#[derive(Clone, Debug)]
pub struct PastedRedirect {
    redirect_uri: String,
}

impl PastedRedirect {
    /// With a redirect URI that is registered for the client.
    pub fn new(redirect_uri: impl Into<String>) -> Self {
        Self { redirect_uri: redirect_uri.into() }
    }
}

#[async_trait]
impl RedirectEndpoint for PastedRedirect {
    async fn open(&self, _: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl RedirectReceiver for PastedRedirect {
    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn listens(&self) -> bool {
        false
    }

    async fn receive(&mut self) -> Result<Url, InteractionError> {
        futures_util::future::pending().await
    }

    async fn finish(&mut self, _: LoginOutcome<'_>) {}
}
