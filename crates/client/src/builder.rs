//! `ClientBuilder`: the configuration of a client.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jeton_grants::{
    AuthorizationPolicy, ClientAuthentication, ClientSecretBasic, Clock, DEFAULT_LOGIN_TIMEOUT,
    ExtraParameters, Grant, GrantError, Interaction, IntrospectionCache, Limits, LoginOptions, NoInteraction,
    PublicClient, PushedRequests, SecurityProfile, SecurityProfileError, Transport,
};
use jeton_models::{
    AuthorizationDetail, AuthorizationServerMetadata, Issuer, ParseOptions, Scope, Secret,
    is_secure_or_loopback,
};
use jeton_storage::{MemoryStore, TokenStore};
use tokio::sync::{OnceCell, broadcast};
use url::{Origin, Url};

use crate::Error;
use crate::access_token::Margins;
use crate::background::Background;
use crate::binding::DpopKeys;
use crate::client::{Client, ClientInner, Listener};
use crate::clock::SystemClock;
use crate::event::Event;
use crate::http::HttpOptions;
use crate::transport::ReqwestTransport;

/// How many events a slow listener may fall behind.
const EVENTS: usize = 64;

/// The configuration of a [`Client`]. Mistakes are told by [`build`](Self::build).
///
/// ```
/// use jeton_client::{Client, ClientCredentials};
///
/// let client = Client::builder("my-service")
///     .issuer("https://as.example")
///     .client_secret("s3cr3t")
///     .grant(ClientCredentials)
///     .scope("read")
///     .resource_server("https://api.example")
///     .build()?;
/// # let _ = client;
/// # Ok::<(), jeton_client::Error>(())
/// ```
#[must_use]
pub struct ClientBuilder {
    client_id: String,
    pub(crate) issuer: Option<String>,
    pub(crate) given: AuthorizationServerMetadata,
    pub(crate) metadata_given: bool,
    pub(crate) authentication: Option<Arc<dyn ClientAuthentication>>,
    /// Sent by `client_secret_basic`, or as a profile says.
    pub(crate) client_secret: Option<Secret>,
    #[cfg(feature = "profiles")]
    pub(crate) profile: Option<jeton_profiles::Profile>,
    #[cfg(feature = "profiles")]
    pub(crate) dialect: Option<Arc<jeton_grants::RequestDialect>>,
    /// What the server registered the client as, if it is not known from elsewhere.
    #[cfg(feature = "registration")]
    registered: Option<jeton_models::ClientRegistration>,
    grant: Option<Arc<dyn Grant>>,
    pub(crate) scope: String,
    introspections: Option<IntrospectionCache>,
    #[cfg(feature = "jose")]
    signed_introspection: bool,
    #[cfg(feature = "openid")]
    signed_user_info: bool,
    #[cfg(feature = "openid")]
    id_tokens: Option<jeton_grants::IdTokenPolicy>,
    resources: Vec<String>,
    resource_servers: Vec<String>,
    extra: ExtraParameters,
    authorization: AuthorizationPolicy,
    login_options: LoginOptions,
    store: Option<Arc<dyn TokenStore>>,
    transport: Option<Arc<dyn Transport>>,
    mutual_tls: bool,
    interaction: Option<Arc<dyn Interaction>>,
    clock: Option<Arc<dyn Clock>>,
    http: HttpOptions,
    limits: Limits,
    pub(crate) parse: ParseOptions,
    margins: Margins,
    lease_timeout: Option<Duration>,
    close_timeout: Duration,
    login_timeout: Duration,
    listeners: Vec<Listener>,
    #[cfg(feature = "jose")]
    dpop: bool,
    #[cfg(feature = "jose")]
    dpop_signer: Option<Result<jeton_grants::Dpop, jeton_grants::DpopError>>,
}

impl ClientBuilder {
    pub(crate) fn new(client_id: String) -> Self {
        Self {
            client_id,
            issuer: None,
            given: AuthorizationServerMetadata::default(),
            metadata_given: false,
            authentication: None,
            client_secret: None,
            #[cfg(feature = "profiles")]
            profile: None,
            #[cfg(feature = "profiles")]
            dialect: None,
            #[cfg(feature = "registration")]
            registered: None,
            grant: None,
            scope: String::new(),
            introspections: None,
            #[cfg(feature = "jose")]
            signed_introspection: false,
            #[cfg(feature = "openid")]
            signed_user_info: false,
            #[cfg(feature = "openid")]
            id_tokens: None,
            resources: Vec::new(),
            resource_servers: Vec::new(),
            extra: ExtraParameters::default(),
            authorization: AuthorizationPolicy::new(),
            login_options: LoginOptions::new(),
            store: None,
            transport: None,
            mutual_tls: false,
            interaction: None,
            clock: None,
            http: HttpOptions::default(),
            limits: Limits::default(),
            parse: ParseOptions::default(),
            margins: Margins { early_expiry: jeton_models::DEFAULT_EARLY_EXPIRY, refresh_ahead: false },
            lease_timeout: None,
            close_timeout: Duration::from_secs(10),
            login_timeout: DEFAULT_LOGIN_TIMEOUT,
            listeners: Vec::new(),
            #[cfg(feature = "jose")]
            dpop: false,
            #[cfg(feature = "jose")]
            dpop_signer: None,
        }
    }

    // ----- The authorization server ------------------------------------------------------------------------------------

    /// The issuer identifier, from which everything else is discovered at first use (RFC 8414).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The server's metadata, for servers without discovery; nothing is fetched.
    pub fn metadata(mut self, metadata: AuthorizationServerMetadata) -> Self {
        self.given = metadata;
        self.metadata_given = true;
        self
    }

    /// The token endpoint; together with an issuer it overrides what discovery finds.
    pub fn token_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.token_endpoint = Some(url.into());
        self
    }

    /// The authorization endpoint; together with an issuer it overrides what discovery finds.
    pub fn authorization_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.authorization_endpoint = Some(url.into());
        self
    }

    /// The device authorization endpoint; together with an issuer it overrides what discovery finds.
    pub fn device_authorization_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.device_authorization_endpoint = Some(url.into());
        self
    }

    /// The revocation endpoint; together with an issuer it overrides what discovery finds.
    pub fn revocation_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.revocation_endpoint = Some(url.into());
        self
    }

    /// The introspection endpoint (RFC 7662); together with an issuer it overrides what discovery finds.
    pub fn introspection_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.introspection_endpoint = Some(url.into());
        self
    }

    /// The endpoint for pushed authorization requests (RFC 9126); together with an issuer it overrides what discovery finds.
    pub fn pushed_authorization_request_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.pushed_authorization_request_endpoint = Some(url.into());
        self
    }

    /// The endpoint for backchannel authentication requests (CIBA); together with an issuer it overrides what discovery finds.
    pub fn backchannel_authentication_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.backchannel_authentication_endpoint = Some(url.into());
        self
    }

    /// The userinfo endpoint (OpenID Connect Core §5.3); together with an issuer it overrides what discovery finds.
    #[cfg(feature = "openid")]
    pub fn userinfo_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.userinfo_endpoint = Some(url.into());
        self
    }

    /// Where the browser logs out at the server (OpenID Connect RP-Initiated Logout 1.0); together with an issuer it overrides
    /// what discovery finds.
    #[cfg(feature = "openid")]
    pub fn end_session_endpoint(mut self, url: impl Into<String>) -> Self {
        self.given.end_session_endpoint = Some(url.into());
        self
    }

    /// Where the server's public keys are, by which its signatures are checked (RFC 7517); together with an issuer it overrides
    /// what discovery finds.
    #[cfg(feature = "jose")]
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.given.jwks_uri = Some(url.into());
        self
    }

    // ----- The client --------------------------------------------------------------------------------------------------

    /// A client secret, sent by `client_secret_basic` (RFC 6749 §2.3.1). Without one the client is public.
    pub fn client_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(client_secret.into());
        self.authentication = None;
        self
    }

    /// Another way of client authentication, such as [`ClientSecretPost`](crate::ClientSecretPost); with the feature `jose`,
    /// `PrivateKeyJwt` and `ClientSecretJwt` sign an assertion for each request, which names the server's issuer: configure
    /// the client with [`issuer`](Self::issuer) then (RFC 7523).
    pub fn authentication(mut self, authentication: impl ClientAuthentication + 'static) -> Self {
        self.authentication = Some(Arc::new(authentication));
        self.client_secret = None;
        self
    }

    /// A client as a server registered it: its identifier, authentication and scope, at that server and no other. A method
    /// that needs a key, such as `private_key_jwt`, needs [`authentication`](Self::authentication) besides.
    #[cfg(feature = "registration")]
    pub(crate) fn registered(mut self, registration: &jeton_models::ClientRegistration) -> Self {
        self.issuer = Some(registration.issuer.clone());
        if let Some(scope) = &registration.metadata.scope {
            self.scope = scope.to_string();
        }
        self.authentication = crate::registrar::authentication_of(registration);
        self.registered = Some(registration.clone());
        self
    }

    /// What the server registered is what holds, not what was asked for (RFC 7591 §3.2.1).
    #[cfg(feature = "registration")]
    fn check_registration(&self) -> Result<(), Error> {
        let Some(registered) = &self.registered else { return Ok(()) };
        let issuer = if self.metadata_given { Some(&self.given.issuer) } else { self.issuer.as_ref() };
        if issuer != Some(&registered.issuer) {
            return Err(GrantError::RegistrationForeign {
                registered_at: registered.issuer.clone(),
                used_at: issuer.cloned().unwrap_or_default(),
            }
            .into());
        }
        let method = registered.authentication_method();
        let own = self.authentication.as_ref().map(|authentication| authentication.method());
        if own != Some(method) {
            return Err(Error::configuration(format!(
                "the server registered the client for `{method}`, and the client would use {}; set the `authentication` that was \
                 registered",
                own.map_or("nothing".to_owned(), |own| format!("`{own}`"))
            )));
        }
        let now = self.clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now());
        if registered.is_secret_expired_at(now) {
            return Err(Error::configuration(
                "the client secret of the registration has expired; have a `Registrar` renew it, or register anew",
            ));
        }
        Ok(())
    }

    /// How a first token is obtained.
    pub fn grant(mut self, grant: impl Grant + 'static) -> Self {
        self.grant = Some(Arc::new(grant));
        self
    }

    /// The scope to ask for: names separated by spaces.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// A resource to ask for, by its identifier, an absolute URI (RFC 8707 §2). May be called several times. The origin of an
    /// HTTPS URL (or one on loopback) becomes a [`resource_server`](Self::resource_server); of any other identifier, such as
    /// `urn:example:api`, name the resource server, too.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// An origin (`https://api.example`) that may have the token in authenticated requests. May be called several times. No
    /// other origin ever gets it.
    pub fn resource_server(mut self, origin: impl Into<String>) -> Self {
        self.resource_servers.push(origin.into());
        self
    }

    /// Takes userinfo answers only as JWTs that the server has signed, as the client is registered with
    /// `userinfo_signed_response_alg` (OpenID Connect Core §5.3.2). Unless set, plain ones are taken, too.
    #[cfg(feature = "openid")]
    pub fn signed_user_info(mut self) -> Self {
        self.signed_user_info = true;
        self
    }

    /// Asks for introspection answers as JWTs that the server has signed for this client, and takes no others (RFC 9701).
    #[cfg(feature = "jose")]
    pub fn signed_introspection(mut self) -> Self {
        self.signed_introspection = true;
        self
    }

    /// Keeps what the server says about tokens for a short time, for resource servers that see the same token again and again
    /// ([`Client::introspect`](crate::Client::introspect)). Unless set, it is asked each time.
    pub fn introspection_cache(mut self, cache: IntrospectionCache) -> Self {
        self.introspections = Some(cache);
        self
    }

    /// Does OpenID Connect: `openid` goes into the scope, and ID tokens are taken as the policy says. Without this, a client whose
    /// scope has `openid` takes them by [`IdTokenPolicy::new`](crate::IdTokenPolicy::new).
    ///
    /// A login then comes with an ID token that was checked, or fails; see [`Session::id_token`](crate::Session::id_token).
    #[cfg(feature = "openid")]
    pub fn openid(mut self, policy: jeton_grants::IdTokenPolicy) -> Self {
        self.id_tokens = Some(policy);
        self
    }

    /// Fine-grained permissions that every login asks for, unless it asks for others itself
    /// ([`LoginOptions::authorization_details`]; RFC 9396). What was granted stands with the token:
    /// [`AccessToken::authorization_details`](crate::AccessToken::authorization_details).
    pub fn authorization_details(mut self, details: impl IntoIterator<Item = AuthorizationDetail>) -> Self {
        self.login_options.authorization_details = details.into_iter().collect();
        self
    }

    /// When authorization requests are pushed to the server instead of standing in the browser's URL (RFC 9126). Unless set: when
    /// the server requires it.
    pub fn pushed_authorization_requests(mut self, pushed: PushedRequests) -> Self {
        self.authorization.pushed = pushed;
        self
    }

    /// Binds tokens to a key (DPoP, RFC 9449), so that a stolen one is worth nothing: off unless set. Each login has a key of its
    /// own (ES256), made when somebody logs in and kept in the login's record, beside the tokens that it belongs to, in whichever
    /// store. Every program that shares the login has it switched on.
    ///
    /// Token requests and [authenticated requests](crate::AuthenticatedRequest) then carry proofs of the key; a program with an
    /// HTTP client of its own asks for them ([`Session::dpop_proof`](crate::Session::dpop_proof)). A server that answers with a
    /// Bearer token all the same does not bind tokens: that answer is discarded, with an error.
    ///
    /// Switched on for a login that exists, the next refresh binds it; its Bearer tokens are not sent any more. Switched off,
    /// a login that is bound cannot be used, which is an error and no log-out: switch it on again, or log in anew.
    ///
    /// ```
    /// # use jeton_client::{Client, ClientCredentials};
    /// # let server = jeton_devserver::DevServer::builder().require_dpop(true).start()?;
    /// # let (issuer, api) = (server.issuer(), server.resource_url());
    /// # let (id, secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
    /// let client = Client::builder(id)
    ///     .issuer(issuer)
    ///     .client_secret(secret)
    ///     .grant(ClientCredentials)
    ///     .resource_server(&api)
    ///     .dpop(true)
    ///     .build()?;
    /// # let session = client.session();
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let response = session.get(&api).send().await?;
    /// assert!(response.status().is_success());
    /// # Ok::<(), jeton_client::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "jose")]
    pub fn dpop(mut self, dpop: bool) -> Self {
        self.dpop = dpop;
        self
    }

    /// Binds tokens to a key of the program's (DPoP, RFC 9449), which may live in a hardware module: the same for all logins.
    /// What is kept with a login is the public half, by which a client with another key, or with none, finds out before it sends
    /// anything. Otherwise as [`dpop`](Self::dpop).
    #[cfg(feature = "jose")]
    pub fn dpop_signer(mut self, signer: impl jeton_jose::Signer + 'static) -> Self {
        self.dpop_signer = Some(jeton_grants::Dpop::with_signer(signer));
        self
    }

    /// Signs authorization requests, so that nobody can change them in the browser (RFC 9101).
    #[cfg(feature = "jose")]
    pub fn request_object(mut self, request_object: jeton_grants::RequestObject) -> Self {
        self.authorization.request_object = Some(request_object);
        self
    }

    /// Asks for authorization responses that the server signs (JARM), and takes no others. The server has to list `jwt` among its
    /// `response_modes_supported`, if it lists any.
    #[cfg(feature = "jose")]
    pub fn signed_authorization_responses(mut self, signed: bool) -> Self {
        self.authorization.signed_response = signed;
        self
    }

    /// Keeps the FAPI 2.0 Security Profile: requests are pushed, the client authenticates by `private_key_jwt` or a certificate, tokens
    /// are bound by DPoP or a certificate, the server names itself in its answers, and signatures are PS256, ES256 or EdDSA. What is
    /// missing of that is an error, here or before anything is sent ([`SecurityProfileError`](crate::SecurityProfileError)).
    ///
    /// Authentication and binding are set as ever; this is the switch that lets nothing less pass.
    ///
    /// ```
    /// # #[cfg(feature = "jose")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use jeton_client::{Client, PrivateKeyJwt, SigningKey};
    /// # let server = jeton_devserver::DevServer::builder().fapi2().start()?;
    /// # let (issuer, (client_id, private_jwk)) = (server.issuer(), jeton_devserver::DevServer::KEY_CLIENT);
    ///
    /// let key = SigningKey::from_jwk(&private_jwk.into())?;
    /// let client = Client::builder(client_id)
    ///     .issuer(issuer)
    ///     .authentication(PrivateKeyJwt::new(key))
    ///     .dpop(true)
    ///     .fapi2_security_profile()
    ///     .build()?;
    /// let session = client.session();
    /// # client.block_on(async move {
    /// let (url, pending) = session.begin_log_in("http://127.0.0.1:7777/callback").await?;
    /// // The browser goes to `url`, which holds a reference and nothing else, and comes back with `redirected`.
    /// # assert!(!url.as_str().contains("state="));
    /// # let redirected = server.authorize(url.as_str()).unwrap().parse().unwrap();
    /// let token = session.finish_log_in(pending, &redirected).await?;
    /// assert_eq!(token.token_type().as_str(), "DPoP");
    /// # Ok::<(), jeton_client::Error>(()) })??;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "jose"))]
    /// # fn main() {}
    /// ```
    pub fn fapi2_security_profile(mut self) -> Self {
        self.authorization.security_profile = Some(SecurityProfile::Fapi2);
        self
    }

    /// Extra parameters by the kind of request. What is set for one kind never leaks into another.
    pub fn extra_parameters(mut self, extra: ExtraParameters) -> Self {
        self.extra = extra;
        self
    }

    // ----- What it works with ------------------------------------------------------------------------------------------

    /// Where logins are kept. Unless set: in memory, gone when the process ends.
    pub fn store(mut self, store: impl TokenStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// A store that is shared with other clients.
    pub fn shared_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How a person is reached. Unless set: not at all.
    pub fn interaction(mut self, interaction: impl Interaction + 'static) -> Self {
        self.interaction = Some(Arc::new(interaction));
        self
    }

    #[cfg(feature = "registration")]
    pub(crate) fn shared_interaction(mut self, interaction: Arc<dyn Interaction>) -> Self {
        self.interaction = Some(interaction);
        self
    }

    #[cfg(feature = "registration")]
    pub(crate) fn shared_authentication(mut self, authentication: Arc<dyn ClientAuthentication>) -> Self {
        self.authentication = Some(authentication);
        self
    }

    /// How requests to the authorization server are sent. Unless set: by reqwest, with the [`http`](Self::http) options.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// That a [`transport`](Self::transport) of the program's own connects with a client certificate, so that requests go to the
    /// server's endpoints for that (`mtls_endpoint_aliases`, RFC 8705 §5). Known already where
    /// [`HttpOptions::client_certificate`] is set, or the client authenticates with its certificate.
    pub fn mutual_tls(mut self, mutual_tls: bool) -> Self {
        self.mutual_tls = mutual_tls;
        self
    }

    /// Proxy, own certificate authorities, client certificate, timeouts of connecting.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// What time it is, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    // ----- How it behaves ----------------------------------------------------------------------------------------------

    /// Timeout and body cap of each request to the authorization server.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Turns the leniencies towards the server's answers into errors.
    pub fn strict(mut self, strict: bool) -> Self {
        self.parse.strict = strict;
        self
    }

    /// How long before its expiry a token counts as expired: 30 s unless set, and never more than a fifth of its lifetime.
    pub fn early_expiry(mut self, early_expiry: Duration) -> Self {
        self.margins.early_expiry = early_expiry;
        self
    }

    /// Refreshes in the background shortly before a token in use expires, so that a busy caller never waits. For long-running
    /// programs; off unless set.
    pub fn refresh_ahead(mut self, refresh_ahead: bool) -> Self {
        self.margins.refresh_ahead = refresh_ahead;
        self
    }

    /// The longest wait for another process that is refreshing the same login. Unless set: the request timeout and 15 s, which
    /// is longer than a process in good order holds the lease, for one request and for storing its answer. (One that has just
    /// begun asks for the server's metadata, too: name the endpoints, or more time, if the server is that slow.)
    ///
    /// A process that is suspended (Ctrl-Z, a debugger, a paused container) keeps the lease. It is not taken away from it: the
    /// refresh token that it has sent would be sent twice, and a strict server ends the login for that. When the wait is over,
    /// callers without a token that lives get [`StoreError::LeaseTimeout`](crate::StoreError::LeaseTimeout), which names that
    /// program, its process id and since when it holds the lease; when the program goes on or ends, so does everybody else. A
    /// token that lives is served all the while.
    pub fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.lease_timeout = Some(timeout);
        self
    }

    /// The longest that the last session of a login, and [`Session::close`](crate::Session::close), wait for a refresh under
    /// way: 10 s unless set.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long a login begun with [`Session::begin_log_in`](crate::Session::begin_log_in) may take: 5 minutes unless set.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = timeout;
        self
    }

    /// Calls a function at each event. It runs on a thread of jeton's and must not block for long.
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Checks the configuration. Nothing is sent and nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Configuration`], which says what is wrong and what to do.
    pub fn build(mut self) -> Result<Client, Error> {
        if self.client_id.is_empty() {
            return Err(Error::configuration(
                "the client identifier is empty; use the one that the server gave you",
            ));
        }
        #[cfg(feature = "profiles")]
        self.take_provider()?;
        if let Some(client_secret) = self.client_secret.take() {
            self.authentication = Some(Arc::new(ClientSecretBasic::new(client_secret)));
        }
        #[cfg(feature = "registration")]
        self.check_registration()?;
        if let Some(profile) = self.authorization.security_profile {
            self.check_profile(profile)?;
        }
        for (name, url) in [
            ("token endpoint", &self.given.token_endpoint),
            ("authorization endpoint", &self.given.authorization_endpoint),
            ("device authorization endpoint", &self.given.device_authorization_endpoint),
            ("revocation endpoint", &self.given.revocation_endpoint),
            ("introspection endpoint", &self.given.introspection_endpoint),
            ("pushed authorization request endpoint", &self.given.pushed_authorization_request_endpoint),
            ("backchannel authentication endpoint", &self.given.backchannel_authentication_endpoint),
            ("userinfo endpoint", &self.given.userinfo_endpoint),
            ("end session endpoint", &self.given.end_session_endpoint),
            ("URL of the server's keys", &self.given.jwks_uri),
        ] {
            if let Some(url) = url {
                check_endpoint(name, url)?;
            }
        }
        let issuer_given = match (&self.issuer, self.metadata_given) {
            (Some(issuer), _) => Some(issuer.clone()),
            (None, true) => Some(self.given.issuer.clone()),
            (None, false) => None,
        };
        let issuer_known = issuer_given.is_some();
        let issuer: Issuer = match (issuer_given, &self.given.token_endpoint) {
            (Some(issuer), _) => issuer.parse()?,
            // A server without a name is known by its token endpoint.
            (None, Some(endpoint)) => endpoint.split('?').next().unwrap_or_default().parse()?,
            (None, None) => {
                return Err(Error::configuration(
                    "it is not known which server to ask: set the `issuer`, or the `token_endpoint` of a server without discovery",
                ));
            }
        };
        if self.metadata_given && self.given.issuer != issuer.as_str() {
            return Err(Error::configuration(
                "the `issuer` and the issuer of the `metadata` differ; set one of them",
            ));
        }
        let discovers = issuer_known && !self.metadata_given && self.issuer.is_some();
        if self.given.issuer.is_empty() {
            self.given.issuer = issuer.as_str().to_owned();
        }
        let scope: Scope =
            self.scope.parse().map_err(|error| Error::configuration(format!("the scope: {error}")))?;
        #[cfg(feature = "openid")]
        let (scope, id_tokens) = openid(scope, self.id_tokens, issuer_known)?;
        let mut resource_servers = Vec::new();
        for text in &self.resource_servers {
            resource_servers.push(origin(text)?);
        }
        for text in &self.resources {
            let resource = Url::parse(text).ok().filter(|url| url.fragment().is_none()).ok_or_else(|| {
                Error::configuration(GrantError::Resource { resource: text.clone() }.to_string())
            })?;
            // A name that leads nowhere (`urn:..`, `api://..`) says what the token is for, not where it may go.
            if is_secure_or_loopback(&resource) {
                resource_servers.push(resource.origin());
            }
        }
        let by_certificate = self.authentication.as_ref().is_some_and(|own| own.uses_mutual_tls());
        if by_certificate && self.transport.is_none() && !self.http.has_client_certificate() {
            return Err(Error::configuration(
                "the client authenticates with a certificate (RFC 8705) and has none; set it with \
                 `http(HttpOptions::new().client_certificate(..))`",
            ));
        }
        #[cfg(not(feature = "jose"))]
        let dpop = DpopKeys::Off;
        #[cfg(feature = "jose")]
        let dpop = match self.dpop_signer {
            Some(dpop) => DpopKeys::Own(dpop.map_err(|error| Error::configuration(error.to_string()))?),
            None if self.dpop => DpopKeys::PerLogin(jeton_grants::DpopNonces::default()),
            None => DpopKeys::Off,
        };
        let transport = match self.transport {
            Some(transport) => transport,
            None => {
                Arc::new(ReqwestTransport::new(&self.http).map_err(|e| Error::configuration(e.to_string()))?)
            }
        };
        Ok(Client(Arc::new(ClientInner {
            client_id: self.client_id,
            issuer,
            issuer_known,
            given: self.given,
            discovers,
            server: OnceCell::new(),
            authentication: self.authentication.unwrap_or_else(|| Arc::new(PublicClient)),
            grant: self.grant,
            scope: Some(scope).filter(|scope| !scope.is_empty()),
            introspections: self.introspections,
            #[cfg(feature = "jose")]
            signed_introspection: self.signed_introspection,
            #[cfg(feature = "openid")]
            signed_user_info: self.signed_user_info,
            #[cfg(feature = "openid")]
            id_tokens,
            #[cfg(feature = "jose")]
            server_keys: jeton_grants::JwksCache::new(),
            resources: self.resources,
            extra: self.extra,
            #[cfg(feature = "profiles")]
            dialect: self.dialect,
            authorization: self.authorization,
            login_options: self.login_options,
            dpop,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            transport,
            mutual_tls: self.mutual_tls || by_certificate || self.http.has_client_certificate(),
            interaction: self.interaction.unwrap_or_else(|| Arc::new(NoInteraction)),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            lease_timeout: self
                .lease_timeout
                .unwrap_or_else(|| self.limits.timeout.saturating_add(Duration::from_secs(15))),
            limits: self.limits,
            parse: self.parse,
            margins: self.margins,
            close_timeout: self.close_timeout,
            resource_servers,
            http: self.http,
            api: OnceLock::new(),
            login_timeout: self.login_timeout,
            listeners: self.listeners,
            events: broadcast::Sender::new(EVENTS),
            logins: Mutex::default(),
            used_up: Mutex::default(),
            background: Background::shared()?,
        })))
    }
}

impl ClientBuilder {
    /// What of a security profile can be seen without the server.
    fn check_profile(&self, profile: SecurityProfile) -> Result<(), Error> {
        let authentication = self.authentication.as_deref().unwrap_or(&PublicClient);
        let grant = self.grant.as_ref();
        #[cfg(feature = "jose")]
        let proves_key = self.dpop || self.dpop_signer.is_some();
        #[cfg(not(feature = "jose"))]
        let proves_key = false;
        let is_bound = proves_key
            || self.mutual_tls
            || authentication.uses_mutual_tls()
            || self.http.has_client_certificate();
        profile
            .check_authentication(authentication)
            .and_then(|()| grant.map_or(Ok(()), |grant| profile.check_grant(&grant.grant_type())))
            .and_then(|()| is_bound.then_some(()).ok_or(SecurityProfileError::Unbound))
            .map_err(|error| Error::configuration(error.to_string()))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("client_id", &self.client_id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The scope with `openid` in it, and which ID tokens are taken, if that is asked for in one way or the other. Where the server's
/// name is not known, ID tokens cannot be checked and are left alone, unless somebody counts on it.
#[cfg(feature = "openid")]
fn openid(
    scope: Scope,
    policy: Option<jeton_grants::IdTokenPolicy>,
    issuer_known: bool,
) -> Result<(Scope, Option<jeton_grants::IdTokenPolicy>), Error> {
    let is_in_scope = scope.contains("openid");
    match policy {
        Some(_) if !issuer_known => Err(Error::configuration(
            "OpenID Connect needs the name of the server that signs ID tokens; set the `issuer`",
        )),
        Some(policy) if is_in_scope => Ok((scope, Some(policy))),
        Some(policy) => {
            let scope = format!("openid {scope}");
            let scope = scope.parse().map_err(|error| Error::configuration(format!("the scope: {error}")))?;
            Ok((scope, Some(policy)))
        }
        None => Ok((scope, (is_in_scope && issuer_known).then(jeton_grants::IdTokenPolicy::new))),
    }
}

fn check_endpoint(name: &str, text: &str) -> Result<(), Error> {
    let url =
        Url::parse(text).map_err(|error| Error::configuration(format!("the {name} is no URL: {error}")))?;
    if !is_secure_or_loopback(&url) {
        return Err(Error::configuration(format!(
            "the {name} is neither HTTPS nor on loopback; use https://"
        )));
    }
    Ok(())
}

/// The origin of a resource server, which must not get a token over a wire that everybody reads.
fn origin(text: &str) -> Result<Origin, Error> {
    let shown: String = text.split(['?', '#']).next().unwrap_or_default().chars().take(100).collect();
    let url = Url::parse(text).map_err(|error| {
        Error::configuration(format!(
            "the resource server `{shown}` is no absolute URL ({error}); write https://host"
        ))
    })?;
    match url.scheme() {
        "https" => {}
        "http" if is_secure_or_loopback(&url) => {}
        _ => {
            return Err(Error::configuration(format!(
                "the resource server `{shown}` is neither HTTPS nor on loopback; a token must not be sent there"
            )));
        }
    }
    Ok(url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ClientBuilder {
        Client::builder("my-app").issuer("https://as.example")
    }

    #[test]
    fn a_resource_may_have_any_identifier_and_only_a_secure_url_is_a_resource_server() {
        let client =
            builder().resource("urn:example:api").resource("api://4711").resource("http://api.example");
        assert!(client.build().unwrap().0.resource_servers.is_empty());
        let client = builder().resource("https://api.example/v1").build().unwrap();
        assert_eq!(client.0.resource_servers, [Url::parse("https://api.example").unwrap().origin()]);
    }

    #[test]
    fn what_is_no_resource_indicator_is_told() {
        for wrong in ["api", "/v1", "https://api.example#v1"] {
            let error = builder().resource(wrong).build().unwrap_err();
            assert!(matches!(&error, Error::Configuration(text) if text.contains("RFC 8707")), "{error}");
        }
    }
}
