//! `Client`: one client at one authorization server, with any number of accounts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, UNIX_EPOCH};

use jeton_grants::{
    AuthorizationPolicy, ClientAuthentication, Clock, ExtraParameters, Grant, GrantContext, GrantError,
    Interaction, IntrospectionCache, Limits, LoginOptions, PendingLogin, Transport, begin_authorization,
    discover, finish_authorization, introspect,
};
use jeton_models::{
    AuthorizationServerMetadata, Introspection, Issuer, ParseOptions, Scope, Secret, TokenResponse,
    TokenType, create_code_challenge,
};
use jeton_storage::{LoginKey, StoreDescription, TokenStore, TokenTarget, unix_ms};
use tokio::sync::{OnceCell, broadcast};
use url::{Origin, Url};

use crate::access_token::Margins;
use crate::background::Background;
use crate::binding::{Binding, DpopKeys};
use crate::builder::ClientBuilder;
use crate::event::{Event, Events};
use crate::http::{HttpClients, HttpOptions};
use crate::login::{Login, SharedState};
use crate::{Error, Session};

/// One client at one authorization server: its configuration, and the logins of its accounts.
///
/// Cheap to clone. Made by [`Client::builder`].
#[derive(Clone)]
pub struct Client(pub(crate) Arc<ClientInner>);

/// Called for each event; must not block for long.
pub(crate) type Listener = Box<dyn Fn(&Event) + Send + Sync>;

pub(crate) struct ClientInner {
    pub(crate) client_id: String,
    pub(crate) issuer: Issuer,
    /// Whether `issuer` is what the server calls itself, or just its token endpoint.
    pub(crate) issuer_known: bool,
    /// Metadata that was given: all of it, or endpoints that override what discovery finds.
    pub(crate) given: AuthorizationServerMetadata,
    pub(crate) discovers: bool,
    pub(crate) server: OnceCell<AuthorizationServerMetadata>,
    pub(crate) authentication: Arc<dyn ClientAuthentication>,
    pub(crate) grant: Option<Arc<dyn Grant>>,
    pub(crate) scope: Option<Scope>,
    pub(crate) resources: Vec<String>,
    pub(crate) extra: ExtraParameters,
    /// How the provider wants its requests.
    #[cfg(feature = "profiles")]
    pub(crate) dialect: Option<Arc<jeton_grants::RequestDialect>>,
    pub(crate) authorization: AuthorizationPolicy,
    /// What every authorization asks for unless it says otherwise.
    pub(crate) login_options: LoginOptions,
    pub(crate) dpop: DpopKeys,
    /// What the server said about tokens, if that is kept.
    pub(crate) introspections: Option<IntrospectionCache>,
    #[cfg(feature = "jose")]
    pub(crate) signed_introspection: bool,
    #[cfg(feature = "openid")]
    pub(crate) signed_user_info: bool,
    /// Which ID tokens are taken, if the client does OpenID Connect.
    #[cfg(feature = "openid")]
    pub(crate) id_tokens: Option<jeton_grants::IdTokenPolicy>,
    #[cfg(feature = "jose")]
    pub(crate) server_keys: jeton_grants::JwksCache,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) interaction: Arc<dyn Interaction>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) parse: ParseOptions,
    pub(crate) margins: Margins,
    pub(crate) lease_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) resource_servers: Vec<Origin>,
    pub(crate) http: HttpOptions,
    /// Whether requests to the authorization server go out with a client certificate (RFC 8705).
    pub(crate) mutual_tls: bool,
    pub(crate) api: OnceLock<HttpClients>,
    pub(crate) login_timeout: Duration,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) logins: Mutex<Logins>,
    /// Pending logins that were finished, by the SHA-256 of their `state`, until they would have expired.
    pub(crate) used_up: Mutex<HashMap<String, u64>>,
    pub(crate) background: Arc<Background>,
}

impl Client {
    /// Begins the configuration of a client with that identifier.
    pub fn builder(client_id: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(client_id.into())
    }

    /// Begins the configuration of a client as its server registered it (RFC 7591): issuer, identifier, authentication and
    /// scope. [`ClientBuilder::build`] refuses another server, another authentication, and a secret that has expired.
    #[cfg(feature = "registration")]
    pub fn of_registration(registration: &jeton_models::ClientRegistration) -> ClientBuilder {
        ClientBuilder::new(registration.client_id.clone()).registered(registration)
    }

    /// The login of the account `default`.
    pub fn session(&self) -> Session {
        self.account(jeton_storage::DEFAULT_ACCOUNT)
    }

    /// The login of that account: a label that the program chooses. Two accounts never meet.
    ///
    /// All sessions of an account share one login within the process.
    pub fn account(&self, account: impl Into<String>) -> Session {
        let key = LoginKey::new(&self.0.issuer, self.0.client_id.clone()).with_account(account);
        Session::new(self.login(key), self.0.default_target())
    }

    fn login(&self, key: LoginKey) -> Arc<Login> {
        // Asked before any lock is taken: the clock may be the program's.
        let now_ms = self.0.now_ms();
        let mut logins = self.0.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = logins.by_account.get(key.account());
        if let Some(login) = known.and_then(|(login, _)| login.upgrade()) {
            return login;
        }
        let state = known.map(|(_, state)| state.clone()).unwrap_or_default();
        let account = key.account().to_owned();
        let login = Arc::new(Login::new(self.0.clone(), key, state.clone()));
        logins.by_account.insert(account, (Arc::downgrade(&login), state));
        logins.sweep_if_many(now_ms);
        login
    }

    /// The accounts of this client that the store has a login of.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be listed. Damaged records are passed over with a log line.
    pub async fn accounts(&self) -> Result<Vec<String>, Error> {
        let mine = LoginKey::new(&self.0.issuer, self.0.client_id.clone());
        let mut keys = self.0.store.list();
        let mut accounts = Vec::new();
        while let Some(key) = keys.next().await {
            match key {
                Ok(key) if key.issuer() == mine.issuer() && key.client_id() == mine.client_id() => {
                    accounts.push(key.account().to_owned());
                }
                Ok(_) => {}
                Err(error @ jeton_storage::StoreError::Damaged { .. }) => {
                    tracing::warn!(%error, "passed over")
                }
                Err(error) => return Err(error.into()),
            }
        }
        accounts.sort_unstable();
        Ok(accounts)
    }

    /// Asks the authorization server about somebody's access token (RFC 7662), for resource servers: the token that came with a
    /// request, whichever client it was issued to. With
    /// [`introspection_cache`](crate::ClientBuilder::introspection_cache) not each time.
    ///
    /// That the token is not active is an answer, not an error. Whether it is meant for this resource server
    /// ([`Introspection::aud`]) and good for what is asked ([`Introspection::scope`]) is the caller's to look at.
    ///
    /// # Errors
    /// [`Error::Grant`] if the server names no introspection endpoint, refuses, does not answer, or not in a way that can be used.
    pub async fn introspect(&self, token: &Secret) -> Result<Introspection, Error> {
        let (client, token) = (self.0.clone(), token.clone());
        let handle = self.0.background.spawn(async move { client.introspect(&token).await });
        match handle.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Error::Panicked),
        }
    }

    /// The server's metadata, discovered at first use.
    ///
    /// # Errors
    /// [`Error::Grant`] if discovery fails.
    pub async fn metadata(&self) -> Result<AuthorizationServerMetadata, Error> {
        let client = self.0.clone();
        let handle = self.0.background.spawn(async move { client.server().await.cloned() });
        match handle.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Error::Panicked),
        }
    }

    /// Which store keeps the logins, where, and who else can see them.
    pub fn store(&self) -> StoreDescription {
        self.0.store.describe()
    }

    /// The events of all accounts from now on.
    pub fn events(&self) -> Events {
        Events(self.0.events.subscribe())
    }

    /// Runs a future to its end on jeton's own runtime and blocks this thread meanwhile: the way from synchronous code into
    /// the asynchronous API. Works from inside of another runtime, too (whose thread it blocks).
    ///
    /// # Errors
    /// [`Error::Panicked`] if the future panicked; [`Error::Configuration`] when called from a callback that runs on jeton's
    /// own runtime, where waiting could keep the very thing waited for from happening.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.background.block_on(future)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.0.client_id)
            .field("issuer", &self.0.issuer.as_str())
            .field("store", &self.0.store.describe())
            .finish_non_exhaustive()
    }
}

/// The logins that have sessions or tasks, and what is left of others, by account: issuer and client identifier are the
/// client's.
#[derive(Default)]
pub(crate) struct Logins {
    by_account: HashMap<String, (Weak<Login>, SharedState)>,
    sweep_at: usize,
}

impl Logins {
    /// So many are never looked through.
    const FEW: usize = 64;

    /// Forgets logins without sessions, but for what must not be forgotten. Only when there are twice as many as the last
    /// time: looking through all of them for each new one would make many sessions slow to begin.
    fn sweep_if_many(&mut self, now_ms: u64) {
        if self.by_account.len() <= self.sweep_at.max(Self::FEW) {
            return;
        }
        self.by_account.retain(|_, (login, state)| {
            login.strong_count() > 0
                || state.lock().unwrap_or_else(PoisonError::into_inner).is_worth_keeping(now_ms)
        });
        self.sweep_at = self.by_account.len() * 2;
        self.by_account.shrink_to(self.sweep_at);
    }
}

impl ClientInner {
    pub(crate) fn now_ms(&self) -> u64 {
        unix_ms(self.clock.now())
    }

    /// The time by which cached tokens are judged: it may lag behind by some milliseconds.
    #[inline]
    pub(crate) fn coarse_now_ms(&self) -> u64 {
        self.clock.coarse_unix_ms()
    }

    /// The grant, if it can run without a person.
    pub(crate) fn grant_without_person(&self) -> Option<Arc<dyn Grant>> {
        self.grant.as_ref().filter(|grant| !grant.needs_person()).cloned()
    }

    /// Which access token is meant unless a session says otherwise.
    ///
    /// A client that obtains tokens by itself may be configured with another scope tomorrow, or share its store with one that
    /// is: its tokens are told apart by their scope. A person's login is one, whatever scope it was given.
    fn default_target(&self) -> TokenTarget {
        TokenTarget { resource: None, scope: self.grant_without_person().and_then(|_| self.scope.clone()) }
    }

    pub(crate) fn emit(&self, event: &Event) {
        tracing::debug!(login = %event.key, kind = ?event.kind, "event");
        self.listeners.iter().for_each(|listener| listener(event));
        // Nobody listening is fine.
        let _ = self.events.send(event.clone());
    }

    /// The server's metadata: discovered once, then kept, with what was given by hand on top.
    async fn server(&self) -> Result<&AuthorizationServerMetadata, GrantError> {
        self.server
            .get_or_try_init(|| async {
                if !self.discovers {
                    return Ok(self.given.clone());
                }
                let mut found = discover(&*self.transport, &*self.clock, &self.issuer, &self.limits).await?;
                let given = &self.given;
                for (name, own, found_endpoint) in [
                    (
                        "authorization_endpoint",
                        &given.authorization_endpoint,
                        &mut found.authorization_endpoint,
                    ),
                    ("token_endpoint", &given.token_endpoint, &mut found.token_endpoint),
                    (
                        "device_authorization_endpoint",
                        &given.device_authorization_endpoint,
                        &mut found.device_authorization_endpoint,
                    ),
                    ("revocation_endpoint", &given.revocation_endpoint, &mut found.revocation_endpoint),
                    (
                        "introspection_endpoint",
                        &given.introspection_endpoint,
                        &mut found.introspection_endpoint,
                    ),
                    (
                        "pushed_authorization_request_endpoint",
                        &given.pushed_authorization_request_endpoint,
                        &mut found.pushed_authorization_request_endpoint,
                    ),
                    (
                        "backchannel_authentication_endpoint",
                        &given.backchannel_authentication_endpoint,
                        &mut found.backchannel_authentication_endpoint,
                    ),
                    ("userinfo_endpoint", &given.userinfo_endpoint, &mut found.userinfo_endpoint),
                    ("end_session_endpoint", &given.end_session_endpoint, &mut found.end_session_endpoint),
                    ("jwks_uri", &given.jwks_uri, &mut found.jwks_uri),
                ] {
                    if let Some(own) = own {
                        *found_endpoint = Some(own.clone());
                        // What was given is meant, not what the server has for mutual TLS in its place.
                        if let Some(aliases) = &mut found.mtls_endpoint_aliases {
                            aliases.remove(name);
                        }
                    }
                }
                Ok(found)
            })
            .await
    }

    pub(crate) async fn context<'a>(
        &'a self,
        target: &'a TokenTarget,
    ) -> Result<GrantContext<'a>, GrantError> {
        let server = self.server().await?;
        let mut cx =
            GrantContext::new(server, &self.client_id, &*self.authentication, &*self.transport, &*self.clock);
        cx.issuer = self.issuer_known.then(|| self.issuer.as_str());
        cx.interaction = &*self.interaction;
        cx.limits = self.limits.clone();
        cx.parse = self.parse.clone();
        cx.scope = target.scope.as_ref().or(self.scope.as_ref());
        cx.resources = &self.resources;
        cx.target = target.resource.as_deref();
        cx.mutual_tls = self.mutual_tls;
        cx.extra = &self.extra;
        #[cfg(feature = "profiles")]
        {
            cx.dialect = self.dialect.as_deref();
            cx.advice = Some(jeton_profiles::advice);
        }
        cx.authorization = &self.authorization;
        cx.login = &self.login_options;
        #[cfg(feature = "jose")]
        {
            cx.server_keys = Some(&self.server_keys);
            cx.signed_introspection = self.signed_introspection;
        }
        Ok(cx)
    }

    #[cfg(not(feature = "openid"))]
    fn run<'a>(
        &self,
        grant: &'a dyn Grant,
        cx: &'a GrantContext<'_>,
    ) -> impl Future<Output = Result<TokenResponse, GrantError>> + Send + 'a {
        grant.obtain(cx)
    }

    /// What one login asks for, with what all of them do where it says nothing.
    fn options_of(&self, mut options: LoginOptions) -> LoginOptions {
        if options.authorization_details.is_empty() {
            options.authorization_details.clone_from(&self.login_options.authorization_details);
        }
        options
    }

    /// The same for requests whose answer is to be bound.
    async fn bound_context<'a>(
        &'a self,
        target: &'a TokenTarget,
        binding: &'a Binding,
    ) -> Result<GrantContext<'a>, GrantError> {
        #[cfg_attr(not(feature = "jose"), expect(unused_mut, reason = "there is nothing to add"))]
        let mut cx = self.context(target).await?;
        #[cfg(feature = "jose")]
        {
            cx.dpop = binding.dpop();
        }
        #[cfg(not(feature = "jose"))]
        let Binding = binding;
        Ok(cx)
    }

    pub(crate) async fn obtain(
        &self,
        grant: &dyn Grant,
        target: &TokenTarget,
        binding: &Binding,
    ) -> Result<TokenResponse, GrantError> {
        usable(self.run(grant, &self.bound_context(target, binding).await?).await?)
    }

    /// A login through the client's grant.
    pub(crate) async fn log_in(
        &self,
        grant: &dyn Grant,
        target: &TokenTarget,
        options: LoginOptions,
        binding: &Binding,
    ) -> Result<TokenResponse, GrantError> {
        let options = self.options_of(options);
        let mut cx = self.bound_context(target, binding).await?;
        cx.login = &options;
        usable(self.run(grant, &cx).await?)
    }

    pub(crate) async fn begin_authorization(
        &self,
        redirect_uri: &str,
        target: &TokenTarget,
        options: LoginOptions,
        binding: &Binding,
    ) -> Result<(Url, PendingLogin), GrantError> {
        let options = self.options_of(options);
        let mut cx = self.bound_context(target, binding).await?;
        cx.login = &options;
        #[cfg(feature = "openid")]
        let check = self.id_token_check(options.scope.as_ref().or(cx.scope), true);
        #[cfg(feature = "openid")]
        {
            cx.id_tokens = check.as_ref();
        }
        begin_authorization(&cx, redirect_uri, self.login_timeout).await
    }

    pub(crate) async fn finish_authorization(
        &self,
        pending: PendingLogin,
        redirected: &Url,
        target: &TokenTarget,
        binding: &Binding,
    ) -> Result<TokenResponse, GrantError> {
        #[cfg_attr(not(feature = "openid"), expect(unused_mut, reason = "there is nothing to add"))]
        let mut cx = self.bound_context(target, binding).await?;
        #[cfg(feature = "openid")]
        let check = self.id_token_check(pending.scope().or(cx.scope), true);
        #[cfg(feature = "openid")]
        {
            cx.id_tokens = check.as_ref();
        }
        finish_authorization(&cx, pending, redirected).await
    }

    /// Notes that a pending login is being finished; `false` if it was before.
    pub(crate) fn use_up(&self, pending: &PendingLogin) -> bool {
        let now_ms = self.now_ms();
        let expires_at = pending.expires_at().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_at_ms = crate::access_token::millis(expires_at);
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        used_up.retain(|_, expires_at_ms| *expires_at_ms > now_ms);
        // A code challenge is just that: the whole SHA-256. A fingerprint would be too short to be told apart by.
        used_up.insert(create_code_challenge(pending.state()), expires_at_ms).is_none()
    }

    /// Asks the server about an access token (RFC 7662).
    pub(crate) async fn introspect(&self, token: &Secret) -> Result<Introspection, GrantError> {
        let target = TokenTarget::default();
        let cx = self.context(&target).await?;
        match &self.introspections {
            Some(cache) => cache.introspect(&cx, token, Some("access_token")).await,
            None => introspect(&cx, token, Some("access_token")).await,
        }
    }
}

/// A session is there to send requests, which nothing but an access token can go along with.
fn usable(response: TokenResponse) -> Result<TokenResponse, GrantError> {
    match response.token_type {
        TokenType::NotApplicable => Err(GrantError::not_an_access_token(&response)),
        _ => Ok(response),
    }
}
