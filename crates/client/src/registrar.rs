//! `Registrar`: has clients registered at servers (RFC 7591), keeps the registrations beside the logins, one for each server and
//! never used at another, and renews what expires.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jeton_grants::{
    AuthenticationContext, ClientAuthentication, ClientSecretBasic, ClientSecretPost, Clock, EndpointRequest,
    GrantError, Limits, PublicClient, Recovery, RegistrationContext, Transport, delete_registration,
    discover, read_registration, register, update_registration,
};
use jeton_models::{AuthorizationServerMetadata, ClientMetadata, ClientRegistration, Issuer, Secret};
use jeton_storage::{LoginKey, LoginRecord, MemoryStore, StoreError, TokenLease, TokenStore, unix_ms};
use serde_json::{Map, Value};

use crate::access_token::millis;
use crate::background::Background;
use crate::builder::ClientBuilder;
use crate::clock::SystemClock;
use crate::http::HttpOptions;
use crate::transport::ReqwestTransport;
use crate::{Client, Error};

/// How long before its expiry a secret is renewed: this, and never more than a fifth of its lifetime.
const RENEW_BEFORE: Duration = Duration::from_secs(24 * 3600);
/// The shortest wait between two tries to renew what still works.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(60);
/// A server that forgets or refuses so many registrations within [`REPLACEMENTS_WITHIN`] gets no further ones.
const MOST_REPLACEMENTS: usize = 3;
const REPLACEMENTS_WITHIN: Duration = Duration::from_secs(3600);
/// Room for the answer of a registration.
const ANSWER: usize = 16 * 1024;

/// Registers clients and keeps their registrations.
///
/// Everybody who shares the store shares the registration: two processes that start at once register one client. What is
/// kept belongs to one issuer and is never sent to another. A client secret that expires is renewed before it does, by
/// updating the registration (RFC 7592) or, where that is not possible, by another registration, which is another client: its
/// logins begin anew.
///
/// ```
/// use jeton_client::models::ClientMetadata;
/// use jeton_client::{ClientCredentials, Registrar};
///
/// # let server = jeton_devserver::DevServer::builder().registration(true).start()?;
/// # let issuer = server.issuer();
/// let mut metadata = ClientMetadata::new();
/// metadata.client_name = Some("Nightly Report".into());
/// metadata.grant_types = Some(vec!["client_credentials".into()]);
/// metadata.response_types = Some(vec![]);
///
/// let registrar = Registrar::builder().build()?; // with a store that lasts, see `store`
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let client = registrar.client(issuer, &metadata).await?.grant(ClientCredentials).build()?;
/// let token = client.session().token().await?;
/// # let _ = token;
/// # Ok::<(), jeton_client::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Registrar(Arc<Inner>);

struct Inner {
    store: Arc<dyn TokenStore>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    lease_timeout: Duration,
    label: String,
    initial_access_token: Option<Secret>,
    software_statement: Option<Secret>,
    /// Registrations that the store did not take, and the client in the store that each replaces.
    unsaved: Mutex<HashMap<LoginKey, (Option<String>, Kept)>>,
    background: Arc<Background>,
}

impl Registrar {
    /// Begins the configuration of a registrar.
    pub fn builder() -> RegistrarBuilder {
        RegistrarBuilder::default()
    }

    /// The registration of this client at that server: the one that is kept, if it is still good and was made for this very
    /// metadata; else it is updated, renewed or made anew, and kept.
    ///
    /// As long as the old one works, it is given back if renewing fails.
    ///
    /// # Errors
    /// [`Error::Grant`] if the server does not register clients, or not this one; [`Error::Store`] for the store.
    pub async fn registered(
        &self,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
    ) -> Result<ClientRegistration, Error> {
        let key = self.0.key(&server.issuer)?;
        if let Some(kept) = self.0.kept(&key).await?
            && kept.is_good(metadata, self.0.now_ms())
        {
            if self.0.unsaved().contains_key(&key) {
                self.run(async move |inner| {
                    inner.save_what_is_unsaved(&key).await;
                    Ok(())
                })
                .await?;
            }
            return Ok(kept.client);
        }
        let (server, metadata) = (server.clone(), metadata.clone());
        self.run(async move |inner| inner.bring_up_to_date(&key, &server, &metadata).await).await
    }

    /// The registration that is kept for that server, good or not. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Store`] for the store.
    pub async fn stored(&self, issuer: &Issuer) -> Result<Option<ClientRegistration>, Error> {
        let key = LoginKey::registration(issuer, self.0.label.as_str());
        Ok(self.0.kept(&key).await?.map(|kept| kept.client))
    }

    /// Keeps a registration that was made elsewhere, by hand for example, in the place of the one that is kept.
    ///
    /// # Errors
    /// [`Error::Configuration`] if it names another issuer; [`Error::Store`] for the store.
    pub async fn keep(&self, issuer: &Issuer, registration: ClientRegistration) -> Result<(), Error> {
        let key = LoginKey::registration(issuer, self.0.label.as_str());
        if registration.issuer != issuer.as_str() {
            return Err(foreign(&registration, issuer.as_str()).into());
        }
        self.run(async move |inner| {
            let mut lease = inner.store.lease(&key, inner.lease_timeout).await?;
            let mut held = inner.load(&mut *lease, &key).await?;
            inner.forget_unsaved(&key);
            let kept = Kept::new(registration, None, inner.now_ms());
            Ok(held.save(&mut *lease, &kept).await?)
        })
        .await
    }

    /// Forgets the registration that is kept for that server. The server goes on knowing the client: see
    /// [`delete`](Self::delete).
    ///
    /// # Errors
    /// [`Error::Store`] for the store.
    pub async fn forget(&self, issuer: &Issuer) -> Result<(), Error> {
        let key = LoginKey::registration(issuer, self.0.label.as_str());
        self.run(async move |inner| {
            let mut lease = inner.store.lease(&key, inner.lease_timeout).await?;
            inner.forget_unsaved(&key);
            Ok(lease.delete().await?)
        })
        .await
    }

    /// Has the server forget the client (RFC 7592 §2.3), and forgets it here. A server that does not know it any more is no
    /// error, nor is a registration that is not kept.
    ///
    /// # Errors
    /// [`Error::Grant`] if the server gave nothing to delete it with, or refuses: the registration is kept then.
    pub async fn delete(&self, server: &AuthorizationServerMetadata) -> Result<(), Error> {
        let key = self.0.key(&server.issuer)?;
        let server = server.clone();
        self.run(async move |inner| {
            let mut lease = inner.store.lease(&key, inner.lease_timeout).await?;
            let Some(kept) = inner.load(&mut *lease, &key).await?.kept else { return Ok(()) };
            match delete_registration(&inner.context(&server), &kept.client).await {
                Ok(()) | Err(GrantError::RegistrationGone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            inner.forget_unsaved(&key);
            Ok(lease.delete().await?)
        })
        .await
    }

    /// A registration in the place of `refused`, which the server does not take any more: it answered `invalid_client`
    /// ([`GrantError::is_invalid_client`]). If somebody who shares the store has replaced it already, that one is given back.
    ///
    /// If the server can be asked and knows the client by another secret, the client stays the same. Else it is registered
    /// anew, at most three times an hour.
    ///
    /// # Errors
    /// As [`registered`](Self::registered); [`Error::Configuration`] when the server refused one registration after another.
    pub async fn replace(
        &self,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
        refused: &ClientRegistration,
    ) -> Result<ClientRegistration, Error> {
        let key = self.0.key(&server.issuer)?;
        let (server, metadata, refused) = (server.clone(), metadata.clone(), refused.clone());
        self.run(async move |inner| inner.replace(&key, &server, &metadata, &refused).await).await
    }

    /// A client of this registration at that server: its identifier, authentication and scope as the server registered them,
    /// with the store, transport and clock of this registrar. It keeps up with a secret that is renewed while it runs.
    ///
    /// # Errors
    /// As [`registered`](Self::registered), and those of discovery.
    pub async fn client(
        &self,
        issuer: impl Into<String>,
        metadata: &ClientMetadata,
    ) -> Result<ClientBuilder, Error> {
        let issuer: Issuer = issuer.into().parse()?;
        let key = LoginKey::registration(&issuer, self.0.label.as_str());
        let now_ms = self.0.now_ms();
        let kept = self.0.kept(&key).await?.filter(|kept| kept.is_good(metadata, now_ms));
        let registration = match kept {
            // The client discovers the server by itself, at first use.
            Some(kept) => kept.client,
            None => self.registered(&self.discovered(&issuer).await?, metadata).await?,
        };
        let builder = Client::of_registration(&registration)
            .shared_store(self.0.store.clone())
            .transport(self.0.transport.clone())
            .clock(self.0.clock.clone());
        Ok(match authentication_of(&registration) {
            // What expires not needs no keeping up with.
            Some(authentication) if registration.client_secret.is_some() => {
                builder.authentication(RegisteredClient {
                    registrar: self.clone(),
                    issuer,
                    metadata: metadata.clone(),
                    method: registration.authentication_method().to_owned(),
                    current: Mutex::new((registration, authentication)),
                })
            }
            _ => builder,
        })
    }

    /// Runs a future to its end on jeton's own runtime and blocks this thread meanwhile: see [`Client::block_on`].
    ///
    /// # Errors
    /// As there.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.background.block_on(future)
    }

    async fn discovered(&self, issuer: &Issuer) -> Result<AuthorizationServerMetadata, Error> {
        let issuer = issuer.clone();
        self.run(async move |inner| {
            Ok(discover(&*inner.transport, &*inner.clock, &issuer, &inner.limits).await?)
        })
        .await
    }

    /// Runs on jeton's own runtime, so that a caller that is dropped does not lose what the server has made already.
    async fn run<T: Send + 'static, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match self.0.background.spawn(work(self.0.clone())).await {
            Ok(result) => result,
            Err(_) => Err(Error::Panicked),
        }
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar")
            .field("label", &self.0.label)
            .field("store", &self.0.store.describe())
            .finish_non_exhaustive()
    }
}

fn foreign(registration: &ClientRegistration, issuer: &str) -> GrantError {
    GrantError::RegistrationForeign { registered_at: registration.issuer.clone(), used_at: issuer.to_owned() }
}

impl Inner {
    fn key(&self, issuer: &str) -> Result<LoginKey, Error> {
        let issuer: Issuer = issuer.parse()?;
        Ok(LoginKey::registration(&issuer, self.label.as_str()))
    }

    fn now_ms(&self) -> u64 {
        unix_ms(self.clock.now())
    }

    fn context<'a>(&'a self, server: &'a AuthorizationServerMetadata) -> RegistrationContext<'a> {
        let mut cx = RegistrationContext::new(server, &*self.transport, &*self.clock);
        cx.limits = self.limits.clone();
        cx.initial_access_token = self.initial_access_token.as_ref();
        cx.software_statement = self.software_statement.as_ref();
        cx
    }

    fn unsaved(&self) -> std::sync::MutexGuard<'_, HashMap<LoginKey, (Option<String>, Kept)>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_unsaved(&self, key: &LoginKey) {
        self.unsaved().remove(key);
    }

    /// What is kept, without the lease.
    async fn kept(&self, key: &LoginKey) -> Result<Option<Kept>, Error> {
        let record = self.store.load(key).await?;
        let stored = record.as_ref().map(Kept::of_record).transpose()?.flatten();
        Ok(self.newer(key, stored))
    }

    /// What the store did not take, as long as nobody has changed what is in the store since.
    fn newer(&self, key: &LoginKey, stored: Option<Kept>) -> Option<Kept> {
        let mut unsaved = self.unsaved();
        let id = stored.as_ref().map(|kept| kept.client.client_id.as_str());
        match unsaved.get(key) {
            Some((replaces, kept)) if replaces.as_deref() == id => Some(kept.clone()),
            Some(_) => {
                unsaved.remove(key);
                stored
            }
            None => stored,
        }
    }

    /// What is kept, under the lease.
    async fn load(&self, lease: &mut dyn TokenLease, key: &LoginKey) -> Result<Held, Error> {
        let record = lease.load().await?;
        let stored = record.as_ref().map(Kept::of_record).transpose()?.flatten();
        let stored_id = stored.as_ref().map(|kept| kept.client.client_id.clone());
        let record = record.unwrap_or_else(|| LoginRecord::new(key.clone(), self.clock.now()));
        Ok(Held { record, stored_id, kept: self.newer(key, stored), now_ms: self.now_ms() })
    }

    /// Saves what the server has made. If the store does not take it, it is used all the same: to ask again would make
    /// another client.
    async fn save(&self, lease: &mut dyn TokenLease, mut held: Held, kept: &Kept) {
        let key = held.record.key.clone();
        match held.save(lease, kept).await {
            Ok(()) => self.forget_unsaved(&key),
            Err(error) => {
                tracing::error!(registration = %key, %error, "the client registration could not be stored");
                self.unsaved().insert(key, (held.stored_id, kept.clone()));
            }
        }
    }

    /// Tries once more to store what could not be stored so far.
    async fn save_what_is_unsaved(&self, key: &LoginKey) {
        let Ok(mut lease) = self.store.lease(key, self.lease_timeout).await else { return };
        let Ok(held) = self.load(&mut *lease, key).await else { return };
        let unsaved = self.unsaved().get(key).map(|(_, kept)| kept.clone());
        if let Some(kept) = unsaved {
            self.save(&mut *lease, held, &kept).await;
        }
    }

    async fn bring_up_to_date(
        &self,
        key: &LoginKey,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
    ) -> Result<ClientRegistration, Error> {
        let mut lease = self.store.lease(key, self.lease_timeout).await?;
        let held = self.load(&mut *lease, key).await?;
        let mut old = match &held.kept {
            // Somebody else was faster.
            Some(kept) if kept.is_good(metadata, self.now_ms()) => {
                return Ok(kept.client.clone());
            }
            old => old.clone(),
        };
        lease.reserve(held.record.to_json().len() + ANSWER).await?;
        match self.renewed(server, metadata, &mut old).await {
            Ok(kept) => {
                self.save(&mut *lease, held, &kept).await;
                Ok(kept.client)
            }
            Err(error) => match old {
                // What still works is better than nothing, and is not tried to be renewed at each call.
                Some(mut old) if old.works(metadata, self.now_ms()) => {
                    tracing::warn!(registration = %key, %error, "the client registration could not be renewed");
                    let wait = match error.recovery() {
                        Recovery::Retry { after } => after.unwrap_or_default().max(BETWEEN_RENEWALS),
                        _ => BETWEEN_RENEWALS,
                    };
                    old.renew_after_ms = self.now_ms().saturating_add(millis(wait));
                    self.save(&mut *lease, held, &old).await;
                    Ok(old.client)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Updates the registration, so that the client stays the same; else makes another one. `old` is left as the server has it
    /// after an update that was not enough: the registration access token may be another one (RFC 7592 §2.2).
    async fn renewed(
        &self,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
        old: &mut Option<Kept>,
    ) -> Result<Kept, GrantError> {
        let cx = self.context(server);
        if let Some(before) = old.as_ref().filter(|old| old.client.management().is_some()) {
            match update_registration(&cx, &before.client, metadata).await {
                Ok(client) => {
                    let updated = before.with(client, metadata, self.now_ms());
                    if updated.is_good(metadata, self.now_ms()) {
                        return Ok(updated);
                    }
                    // The server changes the client, but not its secret, which is about to expire.
                    *old = Some(updated);
                }
                // It did not come so far, or not now: another client would be too much.
                Err(error) if matches!(error.recovery(), Recovery::Retry { .. }) => return Err(error),
                Err(error @ GrantError::RegistrationForeign { .. }) => return Err(error),
                Err(error) => tracing::info!(%error, "the client is registered anew"),
            }
        }
        let client = register(&cx, metadata).await?;
        let mut kept = Kept::new(client, Some(metadata.clone()), self.now_ms());
        kept.replaced_at_ms = old.as_ref().map(|old| old.replaced_at_ms.clone()).unwrap_or_default();
        Ok(kept)
    }

    async fn replace(
        &self,
        key: &LoginKey,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
        refused: &ClientRegistration,
    ) -> Result<ClientRegistration, Error> {
        if refused.issuer != server.issuer {
            return Err(foreign(refused, &server.issuer).into());
        }
        let mut lease = self.store.lease(key, self.lease_timeout).await?;
        let held = self.load(&mut *lease, key).await?;
        if let Some(kept) = &held.kept
            && !is_same(&kept.client, refused)
        {
            return Ok(kept.client.clone());
        }
        lease.reserve(held.record.to_json().len() + ANSWER).await?;
        let cx = self.context(server);
        let now_ms = self.now_ms();
        if refused.management().is_some() {
            match read_registration(&cx, refused).await {
                Ok(client) if !is_same(&client, refused) => {
                    let old = held.kept.clone();
                    let old =
                        old.unwrap_or_else(|| Kept::new(refused.clone(), Some(metadata.clone()), now_ms));
                    let kept = Kept { client, received_at_ms: now_ms, ..old };
                    self.save(&mut *lease, held, &kept).await;
                    return Ok(kept.client);
                }
                Err(error) if matches!(error.recovery(), Recovery::Retry { .. }) => return Err(error.into()),
                // The server has it and refuses it, or does not have it.
                Ok(_) | Err(_) => {}
            }
        }
        let mut replaced = held.kept.as_ref().map(|kept| kept.replaced_at_ms.clone()).unwrap_or_default();
        let within = now_ms.saturating_sub(millis(REPLACEMENTS_WITHIN));
        replaced.retain(|at| (within..=now_ms).contains(at));
        if replaced.len() >= MOST_REPLACEMENTS {
            return Err(Error::configuration(format!(
                "{} refused {} client registrations within an hour as `invalid_client`, each of which it had made itself; \
                 ask those who run it, or register the client by hand",
                server.issuer,
                replaced.len()
            )));
        }
        replaced.push(now_ms);
        let client = register(&cx, metadata).await?;
        let mut kept = Kept::new(client, Some(metadata.clone()), now_ms);
        kept.replaced_at_ms = replaced;
        self.save(&mut *lease, held, &kept).await;
        Ok(kept.client)
    }
}

fn is_same(one: &ClientRegistration, other: &ClientRegistration) -> bool {
    one.client_id == other.client_id && one.client_secret == other.client_secret
}

/// What was loaded under the lease.
struct Held {
    record: LoginRecord,
    /// The client in the store.
    stored_id: Option<String>,
    kept: Option<Kept>,
    now_ms: u64,
}

impl Held {
    async fn save(&mut self, lease: &mut dyn TokenLease, kept: &Kept) -> Result<(), StoreError> {
        self.record.registration = Some(kept.to_json());
        self.record.generation += 1;
        self.record.updated_at_ms = self.now_ms;
        lease.save(&self.record).await
    }
}

/// A registration as it is kept.
#[derive(Clone)]
struct Kept {
    client: ClientRegistration,
    /// What was asked for; `None` if it was registered by hand.
    asked: Option<ClientMetadata>,
    received_at_ms: u64,
    /// Before then nobody tries to renew it, in milliseconds since 1970 (Unix time).
    renew_after_ms: u64,
    /// When it was registered anew because the server refused the one before, in milliseconds since 1970 (Unix time).
    replaced_at_ms: Vec<u64>,
}

impl Kept {
    fn new(client: ClientRegistration, asked: Option<ClientMetadata>, now_ms: u64) -> Self {
        Self { client, asked, received_at_ms: now_ms, renew_after_ms: 0, replaced_at_ms: Vec::new() }
    }

    /// The same client after an update.
    fn with(&self, client: ClientRegistration, asked: &ClientMetadata, now_ms: u64) -> Self {
        // The life of a secret that is still the same began when it came.
        let is_renewed = client.client_secret != self.client.client_secret
            || client.client_secret_expires_at != self.client.client_secret_expires_at;
        Self {
            client,
            asked: Some(asked.clone()),
            received_at_ms: if is_renewed { now_ms } else { self.received_at_ms },
            renew_after_ms: 0,
            replaced_at_ms: self.replaced_at_ms.clone(),
        }
    }

    /// Whether there is nothing to do: it is for this metadata, and its secret lives long enough.
    fn is_good(&self, metadata: &ClientMetadata, now_ms: u64) -> bool {
        let Some(expires_at_ms) = self.expires_at_ms() else { return self.is_for(metadata) };
        let lifetime = expires_at_ms.saturating_sub(self.received_at_ms);
        let margin = millis(RENEW_BEFORE).min(lifetime / 5);
        let held_back = now_ms < self.renew_after_ms && now_ms < expires_at_ms;
        self.is_for(metadata) && (held_back || now_ms < expires_at_ms - margin)
    }

    /// Whether it can be used, although it is time to renew it.
    fn works(&self, metadata: &ClientMetadata, now_ms: u64) -> bool {
        self.is_for(metadata) && self.expires_at_ms().is_none_or(|at| now_ms < at)
    }

    /// What a person registered is what they wanted.
    fn is_for(&self, metadata: &ClientMetadata) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked == metadata)
    }

    fn expires_at_ms(&self) -> Option<u64> {
        self.client.client_secret.as_ref()?;
        self.client.secret_expires_at().map(unix_ms)
    }

    fn to_json(&self) -> Secret {
        // What is inside of a text stays the text that the models wrote and read.
        let mut members = Map::new();
        members.insert("client".to_owned(), self.client.to_json().expose().into());
        if let Some(asked) = &self.asked {
            members.insert("asked".to_owned(), asked.to_json().into());
        }
        members.insert("received_at_ms".to_owned(), self.received_at_ms.into());
        members.insert("renew_after_ms".to_owned(), self.renew_after_ms.into());
        members.insert("replaced_at_ms".to_owned(), self.replaced_at_ms.clone().into());
        Secret::new(Value::Object(members).to_string())
    }

    /// `None` if the record has no registration: a login has none.
    fn of_record(record: &LoginRecord) -> Result<Option<Self>, Error> {
        let Some(json) = &record.registration else { return Ok(None) };
        let damaged = || {
            Error::from(StoreError::other(
                "the client registration in the store cannot be read; remove it, so that the client is registered anew",
            ))
        };
        let members: Map<String, Value> = serde_json::from_str(json.expose()).map_err(|_| damaged())?;
        let number = |name: &str| members.get(name).and_then(Value::as_u64).unwrap_or_default();
        let client = members.get("client").and_then(Value::as_str).ok_or_else(damaged)?;
        let client = ClientRegistration::from_json(&Secret::from(client)).map_err(|_| damaged())?;
        let asked = match members.get("asked").and_then(Value::as_str) {
            Some(asked) => Some(serde_json::from_str(asked).map_err(|_| damaged())?),
            None => None,
        };
        // The key has the issuer in its canonical spelling; a record moved to another server's place is noticed here.
        let issuer: Issuer = client.issuer.parse()?;
        if issuer.canonical() != record.key.issuer() {
            return Err(foreign(&client, record.key.issuer()).into());
        }
        let replaced = members.get("replaced_at_ms").and_then(Value::as_array);
        Ok(Some(Self {
            client,
            asked,
            received_at_ms: number("received_at_ms"),
            renew_after_ms: number("renew_after_ms"),
            replaced_at_ms: replaced.into_iter().flatten().filter_map(Value::as_u64).collect(),
        }))
    }
}

/// The configuration of a [`Registrar`].
#[derive(Default)]
#[must_use]
pub struct RegistrarBuilder {
    store: Option<Arc<dyn TokenStore>>,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    http: HttpOptions,
    limits: Limits,
    lease_timeout: Option<Duration>,
    label: Option<String>,
    initial_access_token: Option<Secret>,
    software_statement: Option<Secret>,
}

impl RegistrarBuilder {
    /// Where registrations are kept, and the logins of [`Registrar::client`]. Unless set: in memory, so that the next run
    /// registers another client.
    pub fn store(mut self, store: impl TokenStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// A store that is shared with clients.
    pub fn shared_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How requests are sent. Unless set: by reqwest, with the [`http`](Self::http) options.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Proxy, own certificate authorities, timeouts of connecting.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// What time it is, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Timeout and body cap of each request.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The longest wait for another process that registers the same client. Unless set: the request timeout and 15 s.
    pub fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.lease_timeout = Some(timeout);
        self
    }

    /// Which of the clients is meant that share the store: programs of different metadata need labels of their own, or each
    /// would replace the registration of the other. `default` unless set.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What a server demands that registers not just anybody (RFC 7591 §3). It goes to whichever server registers the client.
    pub fn initial_access_token(mut self, token: impl Into<Secret>) -> Self {
        self.initial_access_token = Some(token.into());
        self
    }

    /// What somebody whom the server trusts says of the software: a signed JWT (RFC 7591 §2.3).
    pub fn software_statement(mut self, statement: impl Into<Secret>) -> Self {
        self.software_statement = Some(statement.into());
        self
    }

    /// Checks the configuration. Nothing is sent and nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Configuration`], which says what is wrong and what to do.
    pub fn build(self) -> Result<Registrar, Error> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => {
                Arc::new(ReqwestTransport::new(&self.http).map_err(|e| Error::configuration(e.to_string()))?)
            }
        };
        Ok(Registrar(Arc::new(Inner {
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            transport,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            lease_timeout: self
                .lease_timeout
                .unwrap_or_else(|| self.limits.timeout.saturating_add(Duration::from_secs(15))),
            limits: self.limits,
            label: self.label.unwrap_or_else(|| jeton_storage::DEFAULT_ACCOUNT.to_owned()),
            initial_access_token: self.initial_access_token,
            software_statement: self.software_statement,
            unsaved: Mutex::default(),
            background: Background::shared()?,
        })))
    }
}

impl fmt::Debug for RegistrarBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrarBuilder").field("label", &self.label).finish_non_exhaustive()
    }
}

/// How a client authenticates that was registered so; `None` for a method that needs more than the registration has.
pub(crate) fn authentication_of(registration: &ClientRegistration) -> Option<Arc<dyn ClientAuthentication>> {
    let secret = || registration.client_secret.clone();
    Some(match registration.authentication_method() {
        "none" => Arc::new(PublicClient),
        "client_secret_basic" => Arc::new(ClientSecretBasic::new(secret()?)),
        "client_secret_post" => Arc::new(ClientSecretPost::new(secret()?)),
        #[cfg(feature = "jose")]
        "client_secret_jwt" => {
            let algorithm = registration.metadata.token_endpoint_auth_signing_alg.as_deref();
            let algorithm = algorithm.unwrap_or("HS256").parse().ok()?;
            Arc::new(jeton_grants::ClientSecretJwt::with_algorithm(secret()?, algorithm).ok()?)
        }
        _ => return None,
    })
}

/// Authenticates with the secret that the registration has now: renewed in time, by this process or another.
struct RegisteredClient {
    registrar: Registrar,
    issuer: Issuer,
    metadata: ClientMetadata,
    method: String,
    current: Mutex<(ClientRegistration, Arc<dyn ClientAuthentication>)>,
}

impl RegisteredClient {
    async fn current(&self) -> Result<Arc<dyn ClientAuthentication>, GrantError> {
        let (known, authentication) = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            (current.0.clone(), current.1.clone())
        };
        if known.secret_expires_at().is_none() {
            return Ok(authentication);
        }
        let other = |error: Error| GrantError::other(error);
        let key = LoginKey::registration(&self.issuer, self.registrar.0.label.as_str());
        let now_ms = self.registrar.0.now_ms();
        let kept = self.registrar.0.kept(&key).await.map_err(other)?;
        let newest = match kept.filter(|kept| kept.is_good(&self.metadata, now_ms)) {
            Some(kept) => kept.client,
            None => {
                let server = self.registrar.discovered(&self.issuer).await.map_err(other)?;
                self.registrar.registered(&server, &self.metadata).await.map_err(other)?
            }
        };
        if is_same(&newest, &known) {
            return Ok(authentication);
        }
        if newest.client_id != known.client_id || newest.authentication_method() != self.method {
            return Err(GrantError::other(
                "the client was registered anew, and is another one now; make the `Client` anew and log in",
            ));
        }
        let authentication = authentication_of(&newest).ok_or_else(|| {
            GrantError::other("the client's registration has no secret any more; register it anew")
        })?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = (newest, authentication.clone());
        Ok(authentication)
    }
}

#[async_trait]
impl ClientAuthentication for RegisteredClient {
    fn method(&self) -> &str {
        &self.method
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        self.current().await?.authenticate(request, cx).await
    }
}
