//! `Session`: one login, kept valid.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, StatusCode};
use jeton_grants::{GrantError, LoginOptions, PendingLogin};
use jeton_models::{Introspection, Scope, Token, TokenResponse};
use jeton_storage::{
    DEFAULT_ACCOUNT, LoginKey, LoginRecord, StoreError, StoredToken, TokenLease, TokenTarget,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::background::Background;
use crate::backoff::Urgency;
use crate::binding::Binding;
use crate::event::EventKind;
#[cfg(feature = "jose")]
use crate::exchange::wants_nonce;
use crate::exchange::{Verdict, verdict_of};
use crate::log_out::LoggedOut;
use crate::login::{Login, revision};
use crate::slot::{Flight, Flying, Joined, Slot, landed_or};
use crate::sync::watch;
use crate::transaction::{self, Need, Newest, apply, not_saved};
use crate::{AccessToken, AuthenticatedRequest, CachedToken, Error};

/// How long a refresh may take before those whose token still lives have that one, and no longer wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// One login, kept valid: its tokens are shared by threads, by processes that use the same store, and by later runs.
///
/// Cheap to clone, `Send + Sync`, without type parameters. Its futures may be dropped at any time and run on any executor:
/// refreshes run on a small runtime of jeton's own and always come to their end. When the last session of a login goes, it
/// waits (bounded by the client's `close_timeout`) for a refresh under way.
///
/// ```
/// # use jeton_client::{Client, ClientCredentials};
/// # let server = jeton_devserver::DevServer::start()?;
/// # let (issuer, (id, secret)) = (server.issuer(), jeton_devserver::DevServer::SERVICE_CLIENT);
/// let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials).build()?;
/// let session = client.session();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let token = session.token().await?;
/// println!("valid until {:?}", token.expires_at());
/// # Ok::<(), jeton_client::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    slot: Arc<Slot>,
}

/// What the sessions of a login own together. The tasks under way own the [`Login`] only, so that this goes with the last
/// session.
struct Handle {
    login: Arc<Login>,
}

impl Handle {
    fn new(login: Arc<Login>) -> Self {
        login.session_begins();
        Self { login }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Others may be made for each request and go at once: only the last one waits.
        if !self.login.session_ends() {
            return;
        }
        // On the background runtime nobody may block, and there is no need: it lives as long as its tasks.
        if !Background::is_current_thread() {
            self.login.wait_until_idle(self.login.client.close_timeout);
        }
    }
}

impl Session {
    pub(crate) fn new(login: Arc<Login>, target: TokenTarget) -> Self {
        let slot = login.slot(target);
        Self { handle: Arc::new(Handle::new(login)), slot }
    }

    pub(crate) fn login(&self) -> &Arc<Login> {
        &self.handle.login
    }

    /// Which login this is.
    pub fn key(&self) -> &LoginKey {
        &self.login().key
    }

    /// The same login, with its access token for one resource (RFC 8707). Its refresh token is shared.
    #[must_use]
    pub fn for_resource(&self, resource: impl Into<String>) -> Self {
        self.retargeted(|target| target.resource = Some(resource.into()))
    }

    /// The same login, with an access token for a part of its scope. Its refresh token is shared.
    #[must_use]
    pub fn with_scope(&self, scope: Scope) -> Self {
        self.retargeted(|target| target.scope = Some(scope))
    }

    fn retargeted(&self, change: impl FnOnce(&mut TokenTarget)) -> Self {
        let mut target = self.slot.target.clone();
        change(&mut target);
        Self { handle: self.handle.clone(), slot: self.login().slot(target) }
    }

    // ----- A valid token -----------------------------------------------------------------------------------------------

    /// A valid access token: the cached one, or whatever it takes to get one without a person.
    ///
    /// However many callers wait, in however many processes, an expired token costs one request.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] if there is nothing to refresh with and the grant needs a person: call
    /// [`log_in`](Self::log_in). Anything else is transient or a matter of configuration; [`Error::recovery`] says which.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        self.token_valid_for(Duration::ZERO).await
    }

    /// Like [`token`](Self::token), for at least so long.
    ///
    /// The wish counts up to four fifths of the token's lifetime: where the server's tokens live for a minute, nobody can
    /// have one for five. Look at [`AccessToken::expires_at`] if it matters.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn token_valid_for(&self, least: Duration) -> Result<AccessToken, Error> {
        if let Some(token) = self.cached_valid_for(least) {
            return Ok(token);
        }
        self.ensure(Need { least, ..Need::default() }).await
    }

    /// The cached token, if it is valid: no lock, no request, no waiting. For synchronous code.
    ///
    /// `None` does not mean that nobody is logged in; [`token`](Self::token) finds out.
    pub fn cached(&self) -> Option<AccessToken> {
        self.cached_ref().map(|token| token.clone())
    }

    /// The cached token, if it is valid for at least so long, as [`token_valid_for`](Self::token_valid_for) understands it: no
    /// lock, no request, no waiting. For synchronous code.
    pub fn cached_valid_for(&self, least: Duration) -> Option<AccessToken> {
        self.borrow_fresh(|token, now_ms| token.is_fresh(now_ms, least)).map(|token| token.clone())
    }

    /// The cached token, if it is valid, borrowed: the cheapest way to a token. No lock, no allocation, no counter that other
    /// threads touch. Meant for a moment: see [`CachedToken`].
    ///
    /// ```
    /// # use jeton_client::Session;
    /// async fn authorization(session: &Session) -> Result<String, jeton_client::Error> {
    ///     if let Some(token) = session.cached_ref() {
    ///         return Ok(format!("Bearer {}", token.secret().expose()));
    ///     }
    ///     Ok(format!("Bearer {}", session.token().await?.secret().expose()))
    /// }
    /// ```
    #[inline]
    pub fn cached_ref(&self) -> Option<CachedToken<'_>> {
        self.borrow_fresh(|token, now_ms| token.is_fresh_now(now_ms))
    }

    // Out of line, the guard would come back through memory in parts and be read as a whole, which stalls the processor for a
    // third of the time that all of this takes.
    #[inline(always)]
    fn borrow_fresh(&self, is_fresh: impl FnOnce(&AccessToken, u64) -> bool) -> Option<CachedToken<'_>> {
        let now_ms = self.login().client.coarse_now_ms();
        let token = self.slot.cached_ref()?;
        if !is_fresh(&token, now_ms) {
            return None;
        }
        if token.is_due_ahead(now_ms) {
            self.refresh_ahead(&token);
        }
        Some(token)
    }

    /// Starts a refresh in the background, unless one is under way, somebody else has just looked, or it is too early after a
    /// failure. Nobody waits for it.
    #[cold]
    #[inline(never)]
    fn refresh_ahead(&self, token: &AccessToken) {
        let now_ms = self.login().client.now_ms();
        if !token.claim_ahead(now_ms) {
            return;
        }
        let need = Need { replace: Some(token.clone()), ..Need::default() };
        if self.login().state().too_early(&self.slot.target, now_ms, Urgency::Ordinary).is_some() {
            return;
        }
        let settled = || self.slot.cached().filter(|cached| !cached.is_same(token));
        self.slot.join_or_start(settled, |flight| self.take_off(need, flight));
    }

    /// Gets a new access token although the present one may still be good.
    ///
    /// If somebody else, in this process or another, got a new one meanwhile, that one is taken.
    ///
    /// Asked for in so many words, it waits for nothing but the time that the server named (`Retry-After`). After an answer that
    /// was lost on its way it sends a refresh token that may be spent, which a server without a grace period takes for a theft:
    /// [`token`](Self::token) does so only when the present token is dead.
    ///
    /// # Errors
    /// As [`token`](Self::token); a failure is told even if the present token still lives.
    pub async fn refresh(&self) -> Result<AccessToken, Error> {
        let replace = match self.slot.cached() {
            Some(token) => Some(token),
            None => self.stored_token().await?,
        };
        self.ensure(Need { replace, explicit: true, ..Need::default() }).await
    }

    /// Tells the session that a resource server rejected this very token (401 `invalid_token`), for programs that send
    /// requests themselves. The next [`token`](Self::token) is another one.
    ///
    /// Gives back whether trying again makes sense: it does not if the token was itself obtained after a rejection and no
    /// server has taken it, nor when this has happened ten times within a minute.
    pub fn reject(&self, token: &AccessToken) -> bool {
        let now_ms = self.login().client.now_ms();
        // The token may have been read from the store by another handle; the cached one is what decides. If that is
        // another one by now, there is another one to try.
        let Some(cached) = self.slot.cached().filter(|cached| cached.is_same(token)) else { return true };
        if cached.is_on_probation() {
            return false;
        }
        // Many requests may have been sent with it; their rejections count once.
        if !cached.is_rejected() && !self.login().state().may_replace_rejected(now_ms) {
            return false;
        }
        // Both handles, if these are two: each may be asked whether it was rejected.
        cached.reject();
        token.reject();
        true
    }

    /// Tells the session that a resource server took this token.
    pub fn confirm(&self, token: &AccessToken) {
        token.confirm();
    }

    /// A token that is not this one, after it was rejected.
    pub(crate) async fn token_after(&self, rejected: &AccessToken) -> Result<AccessToken, Error> {
        self.ensure(Need { replace: Some(rejected.clone()), ..Need::default() }).await
    }

    /// Waits for the one refresh under way, or starts it.
    async fn ensure(&self, need: Need) -> Result<AccessToken, Error> {
        loop {
            // Asked before any lock is taken: the clock may be the program's.
            let now_ms = self.login().client.now_ms();
            let settled = || self.slot.cached().filter(|token| need.is_met_by(token, now_ms));
            match self.slot.join_or_start(settled, |flight| self.take_off(need.clone(), flight)) {
                Joined::Settled(token) => return Ok(token),
                Joined::Flight { flight, started } => match self.landed_or_alive(flight, &need).await {
                    result if started => return result,
                    // A flight that somebody else started may have needed less than this caller does. One that failed
                    // serves the old token, if that still lives: for this caller, too, or ten thousand would each try.
                    Ok(token) if need.is_served_by(&token, self.login().client.now_ms()) => return Ok(token),
                    Ok(_) => {}
                    // Nothing was sent: what held that flight back need not hold back this caller.
                    Err(Error::BackingOff { .. }) if need.explicit => {}
                    // Nor does its failure touch a caller whose token still lives: it may have wanted another one.
                    Err(error) if need.explicit || error.is_login_required() => return Err(error),
                    Err(error) => {
                        let now_ms = self.login().client.now_ms();
                        let alive = self.slot.cached().filter(|token| need.is_served_by(token, now_ms));
                        return alive.ok_or(error);
                    }
                },
            }
        }
    }

    /// Waits for a flight. If it takes its time (a server that hangs, a lease that somebody does not give back), a caller whose
    /// token still lives has that one.
    async fn landed_or_alive(
        &self,
        flight: watch::Receiver<Flying>,
        need: &Need,
    ) -> Result<AccessToken, Error> {
        landed_or(flight, || {
            let now_ms = self.login().client.now_ms();
            self.slot.cached().filter(|token| !need.explicit && need.is_served_by(token, now_ms))
        })
        .await
    }

    fn take_off(&self, need: Need, flight: Flight) {
        let (login, slot) = (self.login().clone(), self.slot.clone());
        let task = login.task();
        let task = async move {
            // The flight ends first, also by a panic, and only then the task.
            let (_task, flight) = (task, flight);
            let mut result = pin!(transaction::run(&login, &slot, &need));
            // One timer for all who wait, and not on the caller's runtime: that may have none.
            if let Ok(result) = tokio::time::timeout(PATIENCE, &mut result).await {
                return flight.land(result);
            }
            flight.is_late();
            flight.land(result.await);
        };
        self.login().client.background.spawn(task);
    }

    /// The access token in the store, whether it is expired or not.
    async fn stored_token(&self) -> Result<Option<AccessToken>, Error> {
        let login = self.login().clone();
        let target = self.slot.target.clone();
        self.detached(async move {
            let Some(record) = login.client.store.load(&login.key).await? else { return Ok(None) };
            // One that cannot be sent is as good as none.
            Ok(record.token(&target).and_then(|stored| login.handle(stored, &record).ok()))
        })
        .await
    }

    // ----- Logging in and out ------------------------------------------------------------------------------------------

    /// Logs in through the client's grant, asking a person if it needs one.
    ///
    /// No lease is held while a person clicks. Dropping the future cancels the login, unless the server has answered
    /// already: then the token is still stored.
    ///
    /// # Errors
    /// [`Error::Grant`] with what the server or the person said; [`Error::Store`] if the store cannot be written, which is
    /// found out before anybody is asked; [`Error::Configuration`] if the client has no grant.
    pub async fn log_in(&self) -> Result<AccessToken, Error> {
        self.log_in_with(LoginOptions::new()).await
    }

    /// Like [`log_in`](Self::log_in), asking for something else this time: more scope, a fresher or stronger authentication,
    /// fine-grained permissions. For grants that ask a person; the login before stays in use until this one is there.
    ///
    /// ```no_run
    /// # use jeton_client::{LoginOptions, Session};
    /// # async fn step_up(session: &Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = session.log_in_with(LoginOptions::new().scope("read write".parse()?).prompt("login")).await?;
    /// # drop(token); Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`log_in`](Self::log_in).
    pub async fn log_in_with(&self, options: LoginOptions) -> Result<AccessToken, Error> {
        let grant = self.login().client.grant.clone().ok_or_else(|| {
            Error::configuration(
                "the client has no grant to log in with; give it one with `Client::builder().grant(..)`",
            )
        })?;
        let (login, slot) = (self.login().clone(), self.slot.clone());
        let (cancel, cancelled) = oneshot::channel::<()>();
        let task = login.task();
        let handle = login.client.background.spawn({
            let login = login.clone();
            async move {
                let _task = task;
                check_room(&login).await?;
                let needs_person = grant.needs_person();
                let asked_at = login.client.clock.now();
                let scope = options.scope.clone();
                let binding = login.client.dpop.new_binding()?;
                let response = tokio::select! {
                    biased;
                    response = login.client.log_in(&*grant, &slot.target, options, &binding) => response?,
                    // The caller went away, and with it the person.
                    _ = cancelled => return Err(Error::Cancelled),
                };
                // A person takes a time that says nothing of the token's age.
                let asked_at = if needs_person { login.client.clock.now() } else { asked_at };
                keep_new_login(&login, &slot, response, asked_at, scope, &binding).await
            }
        });
        let result = joined(handle).await;
        // Until here, dropping this future cancels.
        drop(cancel);
        result
    }

    /// Begins a login by authorization code for a program that receives the redirect itself, such as a web application:
    /// the URL for the person's browser, and what [`finish_log_in`](Self::finish_log_in) needs.
    ///
    /// Send the browser there at once: where the request is pushed ([`PushedRequests`](crate::PushedRequests)) the server keeps it for
    /// a minute or so, and for one use ([`PendingLogin::open_before`]).
    ///
    /// Keep the pending login, which serde can write and read, where only the one who began it can reach it, and remove it
    /// before finishing.
    ///
    /// # Errors
    /// [`Error::Grant`] if the server's metadata cannot be had or lacks what is needed.
    pub async fn begin_log_in(&self, redirect_uri: impl Into<String>) -> Result<(Url, PendingLogin), Error> {
        self.begin_log_in_with(redirect_uri, LoginOptions::new()).await
    }

    /// Like [`begin_log_in`](Self::begin_log_in), asking for something else this time.
    ///
    /// # Errors
    /// As [`begin_log_in`](Self::begin_log_in).
    pub async fn begin_log_in_with(
        &self,
        redirect_uri: impl Into<String>,
        options: LoginOptions,
    ) -> Result<(Url, PendingLogin), Error> {
        let (login, slot) = (self.login().clone(), self.slot.clone());
        let redirect_uri = redirect_uri.into();
        self.detached(async move {
            let binding = login.client.dpop.new_binding()?;
            let (url, pending) =
                login.client.begin_authorization(&redirect_uri, &slot.target, options, &binding).await?;
            // Whoever named no account does not know yet who will log in.
            let account = login.key.account();
            Ok((url, if account == DEFAULT_ACCOUNT { pending } else { pending.bind_to(account) }))
        })
        .await
    }

    /// Finishes a login by authorization code with the URL to which the browser was redirected.
    ///
    /// # Errors
    /// [`Error::Grant`] if the URL is not the answer to this login or says no, or if the code cannot be redeemed. A pending
    /// login works once, and if it was begun for a named account, for that account only: anything else is refused. One begun for
    /// the account `default` may be finished for any, as a web application does that learns only then who came.
    pub async fn finish_log_in(&self, pending: PendingLogin, redirected: &Url) -> Result<AccessToken, Error> {
        let (login, slot) = (self.login().clone(), self.slot.clone());
        let redirected = redirected.clone();
        if let Some(account) = pending.bound_to().filter(|account| *account != login.key.account()) {
            return Err(GrantError::PendingLoginForeign { what: format!("the account {account:?}") }.into());
        }
        // Before the login is used up: is the key there that its code is bound to?
        let binding = match login.client.dpop.kept_binding(pending.dpop_key())? {
            Some(binding) => binding,
            None => login.client.dpop.new_binding()?,
        };
        // A URL of some other login uses up nothing: it is refused below.
        if pending.matches(&redirected) && !login.client.use_up(&pending) {
            return Err(GrantError::PendingLoginUsed.into());
        }
        self.detached(async move {
            let asked_at = login.client.clock.now();
            let scope = pending.scope().cloned();
            let response =
                login.client.finish_authorization(pending, &redirected, &slot.target, &binding).await?;
            keep_new_login(&login, &slot, response, asked_at, scope, &binding).await
        })
        .await
    }

    /// Starts from tokens that the program has already, as if it had logged in with them. If they cannot be stored now they
    /// are used all the same, as after a login: see [`persist_error`](Self::persist_error).
    ///
    /// If the refresh token is all there is, let the access token be an expired one (`expires_at = Some(0)`): the first call
    /// refreshes it.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the access token is empty without being expired, or has characters that no header can carry;
    /// if it is bound to a DPoP key that the client has not been given, or is the only one and not bound where the client uses
    /// DPoP.
    pub async fn adopt(&self, token: Token) -> Result<AccessToken, Error> {
        let (login, slot) = (self.login().clone(), self.slot.clone());
        self.detached(async move {
            let now = login.client.clock.now();
            let mut record = LoginRecord::new(login.key.clone(), now);
            let mut stored = StoredToken::new(&token, slot.target.clone(), now);
            if token.access_token.is_empty() && !token.is_expired_at(now, Duration::ZERO) {
                return Err(Error::configuration(
                    "the access token to start from is empty; if there is a refresh token only, set `expires_at` to Some(0)",
                ));
            }
            login.client.dpop.adopted_binding(token.token_type)?.keep_in(&mut record);
            if !login.client.dpop.take(token.token_type) {
                if token.refresh_token.is_none() {
                    return Err(Error::configuration(
                        "a client that binds its tokens to a DPoP key does not send a Bearer token, and without a refresh token \
                         it cannot get another one; log in instead",
                    ));
                }
                // The first call refreshes it, and binds what it gets.
                stored.expires_at_ms = Some(0);
            }
            // Before it replaces anything: is it a token that can be sent?
            login.handle(&stored, &record)?;
            if let Some(refresh_token) = token.refresh_token.clone() {
                record.set_refresh_token(refresh_token, now);
            }
            record.scope = token.scope.clone().or_else(|| login.client.scope.clone());
            record.set_token(stored);
            replace_login(&login, &slot, record).await
        })
        .await
    }

    /// Logs out: revokes the tokens at the server if it has a revocation endpoint (RFC 7009), then forgets the login, here and
    /// in the store. Other processes see it at their next expiry, 401 or refresh.
    ///
    /// The refresh token is revoked first, then each access token that still lives: servers should end these with the refresh
    /// token, but do not say whether they do.
    ///
    /// # Errors
    /// [`Error::Store`] if the login cannot be removed from the store. What could not be revoked is no error but stands in the
    /// answer, with why and whether another try makes sense ([`revoke_remaining`](Self::revoke_remaining)): the login is
    /// forgotten all the same.
    pub async fn log_out(&self) -> Result<LoggedOut, Error> {
        let login = self.login().clone();
        self.detached(async move {
            let mut lease = login.client.store.lease(&login.key, login.client.lease_timeout).await?;
            let record = match lease.load().await {
                Ok(record) => record,
                // What cannot be read cannot be revoked, but it can be removed.
                Err(StoreError::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            // What could not be stored is the newest, unless somebody else has logged in since.
            let unsaved = login.state().unsaved.take();
            let unsaved = unsaved.filter(|unsaved| unsaved.still_counts(record.as_ref()));
            let record = unsaved.map(|unsaved| unsaved.record).or(record);
            let logged_out = match &record {
                Some(record) => login.client.revoke_login(record).await,
                None => LoggedOut::nothing(),
            };
            let deleted = lease.delete().await;
            // After the store: whoever reads it from now on finds nothing to put into the cache again.
            login.clear_slots();
            deleted?;
            {
                let mut state = login.state();
                state.was_signed_in = false;
                state.logged_out = true;
                state.persist_error = None;
                state.begin_anew();
            }
            login.emit(EventKind::LoggedOut);
            Ok(logged_out)
        })
        .await
    }

    /// Waits (bounded by the client's `close_timeout`) for a refresh or login under way, and tries once more to store what
    /// could not be stored so far ([`persist_error`](Self::persist_error)). The session can be used afterwards.
    pub async fn close(&self) {
        let login = self.login().clone();
        let most = login.client.close_timeout;
        let handle = login.client.background.spawn({
            let login = login.clone();
            let task = login.task();
            let settled = async move {
                transaction::store_what_is_unsaved(&login).await;
                drop(task);
                login.idle().await;
            };
            async move { tokio::time::timeout(most, settled).await }
        });
        drop(handle.await);
    }

    /// Why the newest token could not be stored, if that is so (see [`EventKind::PersistFailed`]).
    pub fn persist_error(&self) -> Option<Error> {
        self.login().state().persist_error.clone()
    }

    // ----- The server and the access token -----------------------------------------------------------------------------

    /// Asks the authorization server about the session's access token (RFC 7662), the one that [`token`](Self::token) gives now.
    ///
    /// That the token is not active is an answer, not an error; the session goes on with it nevertheless. Call
    /// [`refresh`](Self::refresh) for another one. Most servers answer confidential clients only.
    ///
    /// ```
    /// # use jeton_client::{Client, ClientCredentials};
    /// # let server = jeton_devserver::DevServer::start()?;
    /// # let (issuer, (id, secret)) = (server.issuer(), jeton_devserver::DevServer::SERVICE_CLIENT);
    /// # let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials).build()?;
    /// # let session = client.session();
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let introspection = session.introspect().await?;
    /// assert!(introspection.active);
    /// println!("good for {:?}, until {:?}", introspection.scope, introspection.expires_at());
    /// println!("{}", introspection.to_json());
    /// # Ok::<(), jeton_client::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`token`](Self::token) if there is no token to ask about; [`Error::Grant`] with
    /// [`GrantError::Metadata`](crate::GrantError::Metadata) if the server names no introspection endpoint: set it with
    /// [`introspection_endpoint`](crate::ClientBuilder::introspection_endpoint) if there is one; [`Error::Grant`] if the server
    /// refuses, does not answer, or not in a way that can be used.
    pub async fn introspect(&self) -> Result<Introspection, Error> {
        let token = self.token().await?;
        let login = self.login().clone();
        self.detached(async move { Ok(login.client.introspect(token.secret()).await?) }).await
    }

    /// Revokes the session's access token at the server (RFC 7009) and forgets it, here and in the store, so that the next
    /// [`token`](Self::token) is another one. The login stays: [`log_out`](Self::log_out) is what ends it. For a token that has
    /// been shown to somebody, or is not needed any more and lives for long.
    ///
    /// What is revoked is the token in this session's cache, or else the one in the store; if there is none, there is nothing to
    /// do. Tokens for other resources or scopes stay, and so does a newer one that another process has got meanwhile. A process
    /// that has the revoked token in its cache hears of it from a resource server's 401.
    ///
    /// Mind what the server does beyond that. It may revoke the refresh token along with the access token (RFC 7009 §2.1): then
    /// the next refresh is refused, the login ends, and somebody has to log in again. It may also refuse
    /// (`unsupported_token_type`, RFC 7009 §2.2.1). And a resource server that does not ask it, but believes what is written in
    /// the token, takes the token until it expires.
    ///
    /// Without a refresh token, and with a grant that needs a person, the next [`token`](Self::token) is
    /// [`Error::LoginRequired`].
    ///
    /// ```
    /// # use jeton_client::{Client, ClientCredentials};
    /// # let server = jeton_devserver::DevServer::start()?;
    /// # let (issuer, (id, secret)) = (server.issuer(), jeton_devserver::DevServer::SERVICE_CLIENT);
    /// # let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials).build()?;
    /// # let session = client.session();
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let token = session.token().await?;
    /// session.revoke().await?;
    /// assert_ne!(session.token().await?.secret(), token.secret());
    /// # Ok::<(), jeton_client::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read or its lease not be had; nothing was sent. [`Error::Grant`] if the server
    /// names no revocation endpoint, refuses or does not answer: the token may live on, and stays in use. That a revoked token
    /// could not be removed from the store is no error: see [`persist_error`](Self::persist_error).
    pub async fn revoke(&self) -> Result<(), Error> {
        let (login, slot) = (self.login().clone(), self.slot.clone());
        // The one in use now, and not one that a refresh under way may bring.
        let in_use = slot.cached();
        self.detached(async move { revoke_token(&login, &slot, in_use).await }).await
    }

    // ----- Authenticated requests --------------------------------------------------------------------------------------

    /// A GET request with the access token. See [`request`](Self::request).
    pub fn get(&self, url: &str) -> AuthenticatedRequest {
        self.request(::http::Method::GET, url)
    }

    /// A POST request with the access token. See [`request`](Self::request).
    pub fn post(&self, url: &str) -> AuthenticatedRequest {
        self.request(::http::Method::POST, url)
    }

    /// A request with the access token, to one of the client's resource servers.
    pub fn request(&self, method: ::http::Method, url: &str) -> AuthenticatedRequest {
        AuthenticatedRequest::new(self.clone(), method, url)
    }

    /// Whether the token may be sent to that URL: it is of one of the client's resource servers, and HTTPS or on loopback. For
    /// programs with an HTTP client of their own, who ask before they attach the token, and again for the target of each
    /// redirect that they follow.
    ///
    /// # Errors
    /// [`Error::ForeignOrigin`] if it may not.
    pub fn check_url(&self, url: &Url) -> Result<(), Error> {
        self.client().check_origin(url)
    }

    /// Tells the session what a resource server's answer says about the token that came with the request (RFC 6750 §3.1), as
    /// authenticated requests do by themselves: [`confirm`](Self::confirm) or [`reject`](Self::reject), or neither where the
    /// answer says nothing about the token (a 404, a 503). For programs with an HTTP client of their own.
    ///
    /// Gives back whether the token was rejected and another one may help: then send the request once more, with what
    /// [`token`](Self::token) gives now.
    ///
    /// Only the answer of the server that got the token counts: after a redirect to another origin, ask nothing.
    ///
    /// ```
    /// # use jeton_client::{AccessToken, Error, Session};
    /// # use http::{HeaderMap, StatusCode};
    /// # use url::Url;
    /// # trait MyHttp { async fn get(&self, url: &Url, token: &AccessToken) -> (StatusCode, HeaderMap, String); }
    /// async fn get(session: &Session, http: &impl MyHttp, url: &Url) -> Result<(StatusCode, String), Error> {
    ///     session.check_url(url)?;
    ///     let token = session.token().await?;
    ///     let (status, headers, body) = http.get(url, &token).await;
    ///     if !session.judge(&token, status, &headers) {
    ///         return Ok((status, body));
    ///     }
    ///     let another = session.token().await?;
    ///     let (status, headers, body) = http.get(url, &another).await;
    ///     session.judge(&another, status, &headers);
    ///     Ok((status, body))
    /// }
    /// ```
    pub fn judge(&self, token: &AccessToken, status: StatusCode, headers: &HeaderMap) -> bool {
        match verdict_of(status, headers) {
            Verdict::Taken => {
                self.confirm(token);
                false
            }
            Verdict::Rejected => self.reject(token),
            Verdict::None => false,
        }
    }

    /// The proof that goes beside a token which is bound to a key, in the header `DPoP` (RFC 9449 §4, §7.1): for this very request,
    /// and another one for the next. `None` for a Bearer token, which needs none. For programs with an HTTP client of their own;
    /// [authenticated requests](Self::request) carry it by themselves.
    ///
    /// Show each answer of the resource server to [`dpop_nonce`](Self::dpop_nonce).
    ///
    /// ```
    /// # use jeton_client::{AccessToken, Error, Session};
    /// # use http::{HeaderMap, Method, StatusCode};
    /// # use url::Url;
    /// # trait MyHttp {
    /// #     async fn get(&self, url: &Url, token: &AccessToken, proof: Option<http::HeaderValue>) -> (StatusCode, HeaderMap, String);
    /// # }
    /// async fn get(session: &Session, http: &impl MyHttp, url: &Url) -> Result<(StatusCode, String), Error> {
    ///     let token = session.token().await?;
    ///     let proof = session.dpop_proof(&Method::GET, url, &token).await?;
    ///     let (mut status, mut headers, mut body) = http.get(url, &token, proof).await;
    ///     if session.dpop_nonce(url, status, &headers) {
    ///         let proof = session.dpop_proof(&Method::GET, url, &token).await?;
    ///         (status, headers, body) = http.get(url, &token, proof).await;
    ///     }
    ///     session.judge(&token, status, &headers);
    ///     Ok((status, body))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::ForeignOrigin`] if the URL is at none of the client's resource servers; [`Error::Grant`] if the key cannot sign.
    #[cfg(feature = "jose")]
    pub async fn dpop_proof(
        &self,
        method: &::http::Method,
        url: &Url,
        token: &AccessToken,
    ) -> Result<Option<::http::HeaderValue>, Error> {
        self.check_url(url)?;
        let Some(dpop) = token.dpop() else { return Ok(None) };
        let now = self.client().clock.now();
        let proof = dpop.proof(method, url, Some(token.secret()), now).await;
        Ok(Some(proof.map_err(GrantError::from)?))
    }

    /// Notes the nonce that a resource server wants to see in the next [`dpop_proof`](Self::dpop_proof) (RFC 9449 §9), which any
    /// answer may bring. For programs with an HTTP client of their own.
    ///
    /// Gives back whether the server refused the request for want of it: then send it once more, with the same token and a new
    /// proof. Only the answer of the server that got the proof counts: after a redirect to another origin, ask nothing.
    #[cfg(feature = "jose")]
    pub fn dpop_nonce(&self, url: &Url, status: StatusCode, headers: &HeaderMap) -> bool {
        let Some(nonces) = self.client().dpop.nonces() else { return false };
        nonces.note(jeton_grants::DpopSide::Resource, url, headers) && wants_nonce(status, headers)
    }

    pub(crate) fn client(&self) -> &crate::client::ClientInner {
        &self.login().client
    }

    /// Runs a future on jeton's own runtime, to its end even if the caller goes away.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.login().task();
        joined(self.login().client.background.spawn(async move {
            let _task = task;
            work.await
        }))
        .await
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("key", self.key())
            .field("target", &self.slot.target)
            .finish_non_exhaustive()
    }
}

/// Waits for a task of jeton's own runtime.
async fn joined<T>(handle: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match handle.await {
        Ok(result) => result,
        Err(_) => Err(Error::Panicked),
    }
}

/// Whether there will be room for a login: better to know before a person is asked.
async fn check_room(login: &Login) -> Result<(), Error> {
    let mut lease = login.client.store.lease(&login.key, login.client.lease_timeout).await?;
    match lease.load().await {
        Err(StoreError::Damaged { .. }) | Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(lease.reserve(transaction::ROOM).await?)
}

/// Stores a new login in the place of whatever was there, and publishes its token. `scope`: what was asked for, where it is not the
/// client's.
async fn keep_new_login(
    login: &Arc<Login>,
    slot: &Slot,
    response: TokenResponse,
    asked_at: SystemTime,
    scope: Option<Scope>,
    binding: &Binding,
) -> Result<AccessToken, Error> {
    let mut record = LoginRecord::new(login.key.clone(), login.client.clock.now());
    record.scope = scope;
    apply(&mut record, response, slot, login, asked_at, binding);
    replace_login(login, slot, record).await
}

async fn replace_login(
    login: &Arc<Login>,
    slot: &Slot,
    mut record: LoginRecord,
) -> Result<AccessToken, Error> {
    let mut lease = match login.client.store.lease(&login.key, login.client.lease_timeout).await {
        Ok(lease) => lease,
        // A person has logged in; that is not thrown away because a store is busy or cannot be read.
        Err(error) => return keep_for_later(login, slot, record, error).await,
    };
    let before = match previous(&mut *lease).await {
        Ok(before) => before,
        Err(error) => return keep_for_later(login, slot, record, error).await,
    };
    record.generation = before.as_ref().map_or(0, |before| before.generation) + 1;
    let token = login.handle_of(&record, &slot.target);
    transaction::save(login, &mut *lease, record, before.as_ref().map(revision)).await;
    begin_login(login, slot, token?)
}

/// Uses a new login that cannot be stored now; the next transaction stores it.
async fn keep_for_later(
    login: &Arc<Login>,
    slot: &Slot,
    mut record: LoginRecord,
    error: StoreError,
) -> Result<AccessToken, Error> {
    let before = login.client.store.load(&login.key).await.ok().flatten();
    record.generation = before.as_ref().map_or(0, |before| before.generation) + 1;
    let token = login.handle_of(&record, &slot.target);
    not_saved(login, record, before.as_ref().map(revision), error);
    begin_login(login, slot, token?)
}

/// Publishes the token of a new login. It is stored, or noted as unsaved, already: from here on nobody reads the login
/// before it into a cache.
fn begin_login(login: &Login, slot: &Slot, token: AccessToken) -> Result<AccessToken, Error> {
    login.clear_slots();
    slot.publish(&token);
    {
        let mut state = login.state();
        state.was_signed_in = true;
        state.logged_out = false;
        state.begin_anew();
    }
    login.emit(EventKind::LoggedIn);
    Ok(token)
}

/// Revokes the access token in use, or else the stored one, and forgets it. The lease is held all the while, so that nobody
/// refreshes with a record that is about to be written.
async fn revoke_token(login: &Arc<Login>, slot: &Slot, in_use: Option<AccessToken>) -> Result<(), Error> {
    let client = &login.client;
    let mut lease = client.store.lease(&login.key, client.lease_timeout).await?;
    let Newest { record, stored } = match transaction::newest(login, &mut *lease).await {
        // There is nothing to be removed from it, and a new login will replace it.
        Err(Error::Store(error)) if matches!(*error, StoreError::Damaged { .. }) => Newest::default(),
        newest => newest?,
    };
    let now_ms = client.now_ms();
    let in_use = in_use.filter(|token| token.lives(now_ms, Duration::ZERO));
    let in_use = in_use.map(|token| (token.secret().clone(), token.expires_at_ms()));
    let in_store = || {
        let token = record.as_ref().filter(|record| record.is_live())?.token(&slot.target)?;
        Some((token.access_token.clone(), token.expires_at_ms))
    };
    let chosen = in_use.or_else(in_store).filter(|(token, _)| !token.is_empty());
    let Some((token, expires_at_ms)) = chosen else { return Ok(()) };
    client.revoke_access_token(&token).await?;

    // No refresh is held back any more so as not to put this token at risk.
    if let Some(expires_at_ms) = expires_at_ms {
        login.state().spare_no_longer(expires_at_ms);
    }
    if let Some(mut record) =
        record.filter(|record| record.tokens.iter().any(|own| own.access_token == token))
    {
        record.tokens.retain(|own| own.access_token != token);
        if let Some(hold) = record.refresh_hold.as_mut().filter(|hold| hold.spared_until_ms == expires_at_ms)
        {
            hold.spared_until_ms = None;
        }
        // Not another generation: what somebody else could not store yet is no older for this.
        record.updated_at_ms = now_ms;
        transaction::save(login, &mut *lease, record, stored).await;
    }
    // After the store: whoever reads it from now on finds nothing to put into the cache again.
    login.forget_token(&token);
    Ok(())
}

/// What a new login replaces. A damaged record has been set aside by the store and is no obstacle.
async fn previous(lease: &mut dyn TokenLease) -> Result<Option<LoginRecord>, StoreError> {
    match lease.load().await {
        Ok(record) => Ok(record),
        Err(StoreError::Damaged { what, .. }) => {
            tracing::warn!(what, "a damaged login is replaced");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
