//! `ResourceClient`: an API of which nothing but the URL is known. The resource says which authorization server is its own (RFC
//! 9728), that one what it can do (RFC 8414); a client is found or registered there, a person logs in, and the request is sent
//! again. So the Model Context Protocol has it, and any other API may.
//!
//! mod.rs is the configuration and the requests, answer.rs what an answer asks for, bootstrap.rs the way to a login, memory.rs
//! what is remembered of resources, in the process and in the store.

mod answer;
mod bootstrap;
mod memory;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use jeton_grants::{
    AuthorizationCode, ClientAuthentication, Clock, Interaction, Limits, NoInteraction, RedirectEndpoint,
    Transport,
};
use jeton_models::{ClientMetadata, Issuer, Scope};
use jeton_storage::{DEFAULT_ACCOUNT, MemoryStore, TokenStore};
use reqwest::{RequestBuilder, Response};

use crate::background::Background;
use crate::clock::SystemClock;
use crate::http::{HttpClients, HttpOptions};
use crate::reach::WitnessResolver;
use crate::request::{Draft, form, parsed, redirects};
use crate::{ClientBuilder, Error, Session};
use memory::Origins;

/// The longest that the metadata of a resource or a server may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest metadata document that is read, in bytes.
const LARGEST_METADATA: usize = 256 << 10;

/// A client of whatever API it is given a URL of.
///
/// [`get`](Self::get) sends a request. If the resource answers 401, its metadata tells which authorization server it trusts (RFC
/// 9728); a person is asked whether to trust that one, too, unless the program has named it; a client is found there, or
/// registered; the person logs in; and the request is sent once more. All this is remembered in the store, so that the next run
/// needs nobody. Where the resource asks for more scope (RFC 6750 §3.1), or for another authentication of the person (RFC 9470), the
/// person logs in with that, and the request is sent again; after three such logins for a resource within ten minutes its answer is
/// given back as it is.
///
/// ```
/// use jeton_client::ResourceClient;
/// use jeton_client::models::ClientMetadata;
/// # use jeton_client::grants::{async_trait, Interaction, AuthorizationPrompt, AuthorizationReply, InteractionError, ServerPrompt};
/// # use jeton_client::{PastedRedirect, Url};
/// # use jeton_devserver::{DevServer, ResourceMetadata};
/// # let server = std::sync::Arc::new(
/// #     DevServer::builder().resource_metadata(ResourceMetadata::InHeader).start()?);
/// # struct AtTheTerminal(std::sync::Arc<DevServer>);
/// # #[async_trait]
/// # impl Interaction for AtTheTerminal {
/// #     async fn approve_authorization_server(&self, _: &ServerPrompt<'_>) -> Result<bool, InteractionError> { Ok(true) }
/// #     async fn open_authorization_url(&self, prompt: &AuthorizationPrompt<'_>) -> Result<AuthorizationReply, InteractionError> {
/// #         Ok(AuthorizationReply::Redirected(self.0.authorize(prompt.url.as_str()).unwrap().parse().unwrap()))
/// #     }
/// # }
/// # let loopback = PastedRedirect::new("http://127.0.0.1:7777/callback");
/// # let terminal = AtTheTerminal(server.clone());
/// # let (issuer, url) = (server.issuer(), server.resource_url());
///
/// let client = ResourceClient::builder()
///     .redirect(loopback) // such as `LoopbackRedirect::new()`
///     .interaction(terminal) // such as `TerminalInteraction::new()`
///     .client_metadata(ClientMetadata::public(["http://127.0.0.1/callback"]))
///     .preregistered(issuer, "public-app", jeton_client::PublicClient) // where there is such a client; else it registers itself
///     .build()?;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let answer = client.get(&url).send().await?;
/// assert_eq!(answer.status(), 200);
/// # Ok::<(), jeton_client::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Whom it trusts
/// A server that a resource names may be anybody's. Nothing is sent there before it is approved
/// ([`Interaction::approve_authorization_server`], which says no unless it is implemented), and a login there is for that resource
/// alone: its tokens go to no other origin. A resource that names another server later is asked about again, and nothing of the old
/// one is used at the new. The server has to do PKCE with S256 and to say so.
///
/// A resource on the internet leads nowhere but to the internet: whatever is on a private address is not asked on its word, be it
/// metadata, an endpoint or keys (RFC 9728 §7.7). One at home (`localhost`, `192.168.0.0/16`, ..) may lead to others at home.
/// Through a proxy it is the proxy that resolves names, by its own rules.
#[derive(Clone)]
pub struct ResourceClient(Arc<Inner>);

/// The configuration, and what is known of resources.
pub(crate) struct Inner {
    account: String,
    store: Arc<dyn TokenStore>,
    interaction: Arc<dyn Interaction>,
    grant: Option<AuthorizationCode>,
    own_clients: Vec<OwnClient>,
    trusted: Vec<Issuer>,
    client_id_document: Option<String>,
    client_metadata: Option<ClientMetadata>,
    http: HttpOptions,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    configure: Option<Configure>,
    /// For requests without a token, whose answer says from where it came.
    api: HttpClients,
    witness: WitnessResolver,
    origins: Mutex<Origins>,
    background: Arc<Background>,
}

type Configure = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// A client that the program has at a server already.
struct OwnClient {
    issuer: Issuer,
    client_id: String,
    authentication: Arc<dyn ClientAuthentication>,
}

impl ResourceClient {
    /// Begins the configuration.
    pub fn builder() -> ResourceClientBuilder {
        ResourceClientBuilder::default()
    }

    /// A GET request. See [`request`](Self::request).
    pub fn get(&self, url: &str) -> ResourceRequest {
        self.request(Method::GET, url)
    }

    /// A POST request. See [`request`](Self::request).
    pub fn post(&self, url: &str) -> ResourceRequest {
        self.request(Method::POST, url)
    }

    /// A request to any resource.
    pub fn request(&self, method: Method, url: &str) -> ResourceRequest {
        ResourceRequest { client: self.clone(), draft: Draft::new(self.0.new_request(method, url)) }
    }

    /// The login that is in use for that URL, found in the store if need be: to ask who is logged in, or to log out. `None` if
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read; [`Error::InvalidRequest`] if it is no URL.
    pub async fn session(&self, url: &str) -> Result<Option<Session>, Error> {
        let url = parsed(url)?;
        Ok(self.0.known(&url).await?.map(|known| known.session.clone()))
    }

    /// Logs in for the resource of that URL, whether there is a login or not: asks the resource which server it trusts, as the first
    /// [`request`](Self::request) without a login does, and has the person log in there. For programs with a command for it.
    ///
    /// The login is the one that requests to the resource use from then on, and later [`session`](Self::session)s. A client of its own
    /// configuration may use it too: [`ResourceLogin`] says as which client, with which account, for which resource. The
    /// registration of that client, if it registered itself, is what a [`Registrar`](crate::Registrar) with this store and no
    /// label has [`stored`](crate::Registrar::stored) for the issuer.
    ///
    /// One GET request goes to the URL, without a token. If the resource does not ask for one, its metadata is looked for all the
    /// same: other paths may be protected.
    ///
    /// ```no_run
    /// # async fn sign_in(client: &jeton_client::ResourceClient) -> Result<(), jeton_client::Error> {
    /// let login = client.log_in("https://api.example").await?;
    /// println!("logged in at {} for {}", login.session.key().issuer(), login.resource);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](ResourceRequest::send); [`Error::Grant`] with
    /// [`GrantError::ProtectedResource`](crate::GrantError::ProtectedResource) too if the resource is none of OAuth, or
    /// if it was logged in to too often within some minutes.
    pub async fn log_in(&self, url: &str) -> Result<ResourceLogin, Error> {
        let url = parsed(url)?;
        let known = self.0.log_in_anew(&url).await?;
        Ok(ResourceLogin {
            session: known.session.clone(),
            resource: known.remembered.resource.clone(),
            scope: known.remembered.scope.clone(),
        })
    }

    /// Forgets which server the resources at that URL's origin trust, here and in the store: the next request asks them, and the
    /// person whether that server may be trusted. Their logins stay, and so do registrations: end these first
    /// ([`Session::log_out`], [`Registrar::forget`](crate::Registrar::forget)).
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written; [`Error::InvalidRequest`] if it is no URL.
    pub async fn forget(&self, url: &str) -> Result<(), Error> {
        self.0.forget_origin(&parsed(url)?).await
    }

    /// Runs a future to its end on jeton's own runtime and blocks this thread meanwhile: see
    /// [`Client::block_on`](crate::Client::block_on).
    ///
    /// # Errors
    /// As there.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.background.block_on(future)
    }
}

impl fmt::Debug for ResourceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceClient")
            .field("account", &self.0.account)
            .field("store", &self.0.store.describe())
            .finish_non_exhaustive()
    }
}

/// A login for a resource of which nothing but the URL was known: see [`ResourceClient::log_in`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResourceLogin {
    /// The login. Its [`key`](Session::key) names the server, the client there, and the account.
    pub session: Session,
    /// The resource's identifier, which the tokens are for (RFC 8707).
    pub resource: String,
    /// The scope that was asked for; `None` for the server's default.
    pub scope: Option<Scope>,
}

/// A request to a resource of which nothing but the URL is known: see [`ResourceClient`].
#[must_use = "a request does nothing until it is sent"]
pub struct ResourceRequest {
    client: ResourceClient,
    draft: Draft,
}

impl ResourceRequest {
    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Adds parameters to the URL's query, encoded.
    pub fn query<N: Into<String>, V: Into<String>>(
        mut self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.draft.query(parameters);
        self
    }

    /// Sets the body. One that is a stream cannot be sent again: then the first answer is given back, whatever it asks for.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sets a form as body: `application/x-www-form-urlencoded`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, parameters: impl IntoIterator<Item = (N, V)>) -> Self {
        self.with(|request| form(request, parameters))
    }

    /// Sets a JSON body.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.with(|request| request.json(json))
    }

    /// The longest that the resource may take for each answer. Unless set there is no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Anything else that reqwest's builder can do.
    pub fn with(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.draft.change(change);
        self
    }

    /// Sends the request, and does what the resource asks for. Any status is an answer, not an error.
    ///
    /// Requests that are sent at once and need a login wait for the same one. Dropping the future gives the login up, if nobody
    /// else waits for it. Must be called within a tokio runtime, as [`AuthenticatedRequest::send`](crate::AuthenticatedRequest::send).
    ///
    /// # Errors
    /// [`Error::Grant`] with [`GrantError::ProtectedResource`](crate::GrantError::ProtectedResource) if there is no way from the
    /// resource to a login (its metadata is not its own, nobody approved the server, there is no client there), with the other
    /// errors of a login if that failed; [`Error::Request`] if there is no answer; [`Error::InvalidRequest`] for a URL that is
    /// neither HTTPS nor on loopback, or a request with an `Authorization` header.
    pub async fn send(self) -> Result<Response, Error> {
        self.client.0.answer(self.draft.build()?).await
    }
}

impl fmt::Debug for ResourceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceRequest").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Inner {
    fn new_request(&self, method: Method, url: &str) -> Result<RequestBuilder, Error> {
        let url = parsed(url)?;
        Ok(self.api.for_url(&url).request(method, url))
    }
}

/// The configuration of a [`ResourceClient`]. Mistakes are told by [`build`](Self::build).
#[must_use]
pub struct ResourceClientBuilder {
    account: String,
    store: Option<Arc<dyn TokenStore>>,
    interaction: Option<Arc<dyn Interaction>>,
    redirect: Option<Arc<dyn RedirectEndpoint>>,
    login_timeout: Option<Duration>,
    own_clients: Vec<(String, String, Arc<dyn ClientAuthentication>)>,
    trusted: Vec<String>,
    client_id_document: Option<String>,
    client_metadata: Option<ClientMetadata>,
    http: HttpOptions,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    limits: Limits,
    configure: Option<Configure>,
}

impl Default for ResourceClientBuilder {
    fn default() -> Self {
        Self {
            account: DEFAULT_ACCOUNT.to_owned(),
            store: None,
            interaction: None,
            redirect: None,
            login_timeout: None,
            own_clients: Vec::new(),
            trusted: Vec::new(),
            client_id_document: None,
            client_metadata: None,
            http: HttpOptions::default(),
            transport: None,
            clock: None,
            limits: Limits::default(),
            configure: None,
        }
    }
}

impl ResourceClientBuilder {
    /// Whose logins these are: a label that the program chooses, `default` unless set. Two accounts never meet.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Where logins, registrations and the servers of resources are kept. Unless set: in memory, gone when the process ends.
    pub fn store(mut self, store: impl TokenStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// A store that is shared with other clients.
    pub fn shared_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How a person is reached: to approve a server, and to log in. Unless set: not at all.
    pub fn interaction(mut self, interaction: impl Interaction + 'static) -> Self {
        self.interaction = Some(Arc::new(interaction));
        self
    }

    /// Where the browser brings the answer to a login, such as [`LoopbackRedirect`](crate::LoopbackRedirect).
    pub fn redirect(mut self, redirect: impl RedirectEndpoint + 'static) -> Self {
        self.redirect = Some(Arc::new(redirect));
        self
    }

    /// How long a login waits for the person: 5 minutes unless set.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = Some(timeout);
        self
    }

    /// A client that the program has at that server already: it is used there before anything else. The program names the server
    /// by this, so that nobody is asked about it. May be called several times.
    pub fn preregistered(
        mut self,
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        authentication: impl ClientAuthentication + 'static,
    ) -> Self {
        self.own_clients.push((issuer.into(), client_id.into(), Arc::new(authentication)));
        self
    }

    /// A server about which nobody needs to be asked. May be called several times.
    pub fn trusted_server(mut self, issuer: impl Into<String>) -> Self {
        self.trusted.push(issuer.into());
        self
    }

    /// The URL of the client's own metadata document, which is its client identifier at servers that take one
    /// (draft-ietf-oauth-client-id-metadata-document). See [`client_id_url`](crate::models::client_id_url) for what such a URL is.
    pub fn client_id_document(mut self, url: impl Into<String>) -> Self {
        self.client_id_document = Some(url.into());
        self
    }

    /// What the client asks to be where it registers itself (RFC 7591). `application_type` follows from the redirect URIs unless
    /// it is set. Unless set, the client is registered nowhere by itself.
    pub fn client_metadata(mut self, metadata: ClientMetadata) -> Self {
        self.client_metadata = Some(metadata);
        self
    }

    /// Proxy, own certificate authorities, timeouts of connecting.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// How requests to authorization servers and for metadata are sent. Unless set: by reqwest, with the [`http`](Self::http)
    /// options. A transport of the program's own resolves names by itself, and so has to keep away from private addresses
    /// itself; hosts that are addresses are looked at before it is called.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// What time it is, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Timeout and body cap of each request to an authorization server. Metadata has 15 s and 256 KiB at most.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Further settings of the client at each server, such as DPoP. What the resource and its server decide (issuer, client,
    /// resource, store, transport, ..) is set after it.
    pub fn configure(
        mut self,
        configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Some(Box::new(configure));
        self
    }

    /// Checks the configuration. Nothing is sent and nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Configuration`], which says what is wrong and what to do.
    pub fn build(self) -> Result<ResourceClient, Error> {
        let mut own_clients: Vec<OwnClient> = Vec::new();
        for (issuer, client_id, authentication) in self.own_clients {
            let issuer: Issuer = issuer.parse()?;
            if client_id.is_empty() || own_clients.iter().any(|own| own.issuer == issuer) {
                return Err(Error::configuration(format!(
                    "the client at {issuer} has no identifier, or there are two of them; name one client for each server"
                )));
            }
            own_clients.push(OwnClient { issuer, client_id, authentication });
        }
        let trusted = self.trusted.iter().map(|issuer| issuer.parse()).collect::<Result<_, _>>()?;
        if let Some(url) = &self.client_id_document {
            jeton_models::client_id_url(url).map_err(|error| Error::configuration(error.to_string()))?;
        }
        let mut client_metadata = self.client_metadata;
        if let Some(metadata) = &mut client_metadata {
            metadata.check().map_err(|error| Error::configuration(error.to_string()))?;
            if metadata.application_type.is_none() {
                metadata.application_type = metadata.inferred_application_type().map(str::to_owned);
            }
        }
        let witness = WitnessResolver::default();
        let api = HttpClients::new(&self.http, |builder| {
            builder.redirect(redirects()).dns_resolver(Arc::new(witness.clone()))
        });
        let api = api.map_err(|error| Error::configuration(error.to_string()))?;
        let grant = self.redirect.map(|redirect| {
            let grant = AuthorizationCode::new(redirect);
            match self.login_timeout {
                Some(timeout) => grant.timeout(timeout),
                None => grant,
            }
        });
        Ok(ResourceClient(Arc::new(Inner {
            account: self.account,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            interaction: self.interaction.unwrap_or_else(|| Arc::new(NoInteraction)),
            grant,
            own_clients,
            trusted,
            client_id_document: self.client_id_document,
            client_metadata,
            http: self.http,
            transport: self.transport,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            limits: self.limits,
            configure: self.configure,
            api,
            witness,
            origins: Mutex::default(),
            background: Background::shared()?,
        })))
    }
}

impl fmt::Debug for ResourceClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceClientBuilder").field("account", &self.account).finish_non_exhaustive()
    }
}
