//! How a devserver is to be: every default in one place.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::clients::{CLIENT_CREDENTIALS, Client, PASSWORD, REFRESH_TOKEN};
use crate::clock::TimeSource;
use crate::exchange::Exchange;
use crate::protected_resource::{Announcement, ResourceMetadata};
use crate::record::KEPT;
use crate::refresh::{RefreshEvent, RefreshListener};
use crate::registration::RegistrationSettings;
use crate::seen::ExchangeListener;
use crate::server::DevServer;
use crate::tokens::Rotation;

/// Settings of a [`DevServer`]; made by [`DevServer::builder`]. Lifetimes are measured on the server's clock.
#[derive(Clone)]
pub struct Builder {
    pub(crate) clients: Vec<Client>,
    pub(crate) users: Vec<(String, String)>,
    pub(crate) scopes: Vec<String>,
    pub(crate) clock: Option<TimeSource>,
    pub(crate) issuer_path: String,
    pub(crate) access_token_lifetime: Option<Duration>,
    pub(crate) access_token_size: usize,
    pub(crate) issue_refresh_tokens: bool,
    pub(crate) rotation: Rotation,
    pub(crate) code_lifetime: Duration,
    pub(crate) auto_approve: bool,
    pub(crate) auto_deny: bool,
    pub(crate) advertise_iss: bool,
    pub(crate) device_auto_approve_after_polls: Option<u32>,
    pub(crate) device_interval: Option<u64>,
    pub(crate) device_code_lifetime: Duration,
    pub(crate) registration: RegistrationSettings,
    pub(crate) client_documents: bool,
    pub(crate) backchannel_auto_approve_after_polls: Option<u32>,
    pub(crate) backchannel_user_codes: Vec<(String, String)>,
    pub(crate) trusted_issuers: Vec<(String, serde_json::Value)>,
    pub(crate) mutual_tls: bool,
    pub(crate) refresh_listener: Option<RefreshListener>,
    pub(crate) announcement: Announcement,
    pub(crate) require_dpop: bool,
    pub(crate) require_par: bool,
    pub(crate) request_uri_lifetime: Duration,
    pub(crate) require_signed_request_object: bool,
    pub(crate) response_algorithm: String,
    pub(crate) authorization_detail_types: Vec<String>,
    pub(crate) fapi2: bool,
    pub(crate) dpop_nonce_uses: Option<u32>,
    pub(crate) port: u16,
    pub(crate) seed: Option<u64>,
    pub(crate) kept_requests: usize,
    pub(crate) seen_page: bool,
    pub(crate) exchange_listener: Option<ExchangeListener>,
}

impl Default for Builder {
    fn default() -> Self {
        let user = |(name, password): (&str, &str)| (name.to_owned(), password.to_owned());
        Self {
            clients: predefined_clients(),
            users: vec![user(DevServer::ALICE), user(DevServer::BOB)],
            scopes: ["read", "write", "openid", "profile", "email", "admin", "offline_access"]
                .map(str::to_owned)
                .to_vec(),
            clock: None,
            issuer_path: String::new(),
            access_token_lifetime: Some(Duration::from_secs(3600)),
            access_token_size: 43,
            issue_refresh_tokens: true,
            rotation: Rotation::Strict,
            code_lifetime: Duration::from_secs(60),
            auto_approve: true,
            auto_deny: false,
            advertise_iss: true,
            device_auto_approve_after_polls: None,
            device_interval: Some(5),
            device_code_lifetime: Duration::from_secs(600),
            registration: RegistrationSettings::default(),
            client_documents: false,
            backchannel_auto_approve_after_polls: None,
            backchannel_user_codes: Vec::new(),
            trusted_issuers: Vec::new(),
            mutual_tls: false,
            refresh_listener: None,
            announcement: Announcement::default(),
            require_dpop: false,
            require_par: false,
            request_uri_lifetime: Duration::from_secs(60),
            require_signed_request_object: false,
            response_algorithm: "RS256".to_owned(),
            authorization_detail_types: Vec::new(),
            fapi2: false,
            dpop_nonce_uses: None,
            port: 0,
            seed: None,
            kept_requests: KEPT,
            seen_page: false,
            exchange_listener: None,
        }
    }
}

fn predefined_clients() -> Vec<Client> {
    let with_redirects = |client: Client| {
        client
            .redirect_uri("http://127.0.0.1/callback")
            .redirect_uri("http://[::1]/callback")
            .redirect_uri("https://app.example/callback")
            .post_logout_redirect_uri("http://127.0.0.1/signed-out")
            .post_logout_redirect_uri("https://app.example/signed-out")
    };
    let (basic_id, basic_secret) = DevServer::CONFIDENTIAL_CLIENT;
    let (post_id, post_secret) = DevServer::POST_CLIENT;
    let (key_id, key) = DevServer::KEY_CLIENT;
    let (secret_jwt_id, secret_jwt) = DevServer::SECRET_JWT_CLIENT;
    let (service_id, service_secret) = DevServer::SERVICE_CLIENT;
    vec![
        with_redirects(Client::public(DevServer::PUBLIC_CLIENT)).name("Public App"),
        with_redirects(Client::basic(basic_id, basic_secret)).name("Confidential App"),
        with_redirects(Client::post(post_id, post_secret)).name("Post App"),
        with_redirects(Client::private_key_jwt(key_id, public_keys(key))).name("Key App"),
        with_redirects(Client::client_secret_jwt(secret_jwt_id, secret_jwt)).name("Secret JWT App"),
        Client::basic(service_id, service_secret).name("Nightly Service").grant_types([CLIENT_CREDENTIALS]),
        Client::public(DevServer::PASSWORD_CLIENT).name("Old App").grant_types([PASSWORD, REFRESH_TOKEN]),
    ]
}

/// The set of the one public key that goes with a private one.
fn public_keys(private: &str) -> String {
    let mut key: Value = serde_json::from_str(private).unwrap_or_default();
    if let Some(members) = key.as_object_mut() {
        members.remove("d");
    }
    json!({ "keys": [key] }).to_string()
}

impl Builder {
    /// Starts the server.
    ///
    /// # Errors
    /// When no loopback port, thread or randomness is to be had; `AddrInUse` when the [port](Self::port) is taken.
    pub fn start(self) -> io::Result<DevServer> {
        DevServer::start_with(self)
    }

    /// The port on `127.0.0.1`, for a server that people come back to. Until set, or for 0, any free one: then any number of
    /// servers can run at once.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Strikes the same codes and tokens in the same order at each run: for documentation, and for pictures that are to be the same
    /// tomorrow. Anybody can guess them. Until set, nobody can.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many requests are kept for [`DevServer::requests`]; 4096 until set.
    pub fn keep_requests(mut self, most: usize) -> Self {
        self.kept_requests = most;
        self
    }

    /// Whether `/seen` shows, to anybody on this machine, the newest 500 requests and what became of them, without secrets, and has
    /// buttons to end logins, advance the clock and the like. Off until set.
    pub fn seen_page(mut self, yes: bool) -> Self {
        self.seen_page = yes;
        self
    }

    /// Tells `listener` of each exchange when it has ended. It runs on the server's thread: it must not wait.
    pub fn on_exchange(mut self, listener: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        self.exchange_listener = Some(Arc::new(listener));
        self
    }

    /// Registers a client. One with the id of a predefined client takes its place.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.retain(|known| known.id != client.id);
        self.clients.push(client);
        self
    }

    /// Adds a user, or gives a known one another password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let name = name.into();
        self.users.retain(|(known, _)| *known != name);
        self.users.push((name, password.into()));
        self
    }

    /// Adds a scope to those that the server knows: `read` (the default of a request without scope), `write`,
    /// `openid` (which brings an ID token), `profile`, `email`, `admin`, `offline_access`.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// A clock instead of the system's. [`DevServer::advance`] adds to it.
    pub fn clock(mut self, clock: Arc<dyn Fn() -> SystemTime + Send + Sync>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// A path for the issuer, such as `/tenant1`. Its metadata is then found by inserting the path
    /// (RFC 8414 §3.1). A `/` at its end is kept in the issuer's name, and stripped everywhere else.
    pub fn issuer_path(mut self, path: impl Into<String>) -> Self {
        self.issuer_path = path.into();
        self
    }

    /// How long access tokens live: 3600 s until set. Answers hold whole seconds as `expires_in`.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_token_lifetime = Some(lifetime);
        self
    }

    /// Access tokens do not expire, and answers hold no `expires_in`.
    pub fn access_tokens_never_expire(mut self) -> Self {
        self.access_token_lifetime = None;
        self
    }

    /// The length of access tokens in bytes; 43 until set, and never less.
    pub fn access_token_size(mut self, bytes: usize) -> Self {
        self.access_token_size = bytes;
        self
    }

    /// Whether logins come with a refresh token; yes until set. Client credentials never do (RFC 6749 §4.4.3).
    pub fn issue_refresh_tokens(mut self, yes: bool) -> Self {
        self.issue_refresh_tokens = yes;
        self
    }

    /// What becomes of a used refresh token; [`Rotation::Strict`] until set.
    pub fn refresh_token_rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// How long an authorization code lives: 60 s until set.
    pub fn authorization_code_lifetime(mut self, lifetime: Duration) -> Self {
        self.code_lifetime = lifetime;
        self
    }

    /// Whether `/authorize` approves at once (as alice, as the `login_hint` says, or as
    /// [`DevServer::approve_as`] says) or shows a consent page to a person. It approves until set.
    pub fn auto_approve(mut self, yes: bool) -> Self {
        self.auto_approve = yes;
        self
    }

    /// Whether every authorization request and every device code is denied at once, as by a person who always says no. It
    /// goes before every way of approving; no until set.
    pub fn auto_deny(mut self, yes: bool) -> Self {
        self.auto_deny = yes;
        self
    }

    /// Whether authorization answers name their issuer and the metadata says so (RFC 9207); yes until set.
    pub fn advertise_iss(mut self, yes: bool) -> Self {
        self.advertise_iss = yes;
        self
    }

    /// Approves a device code by itself once so many polls were answered with `authorization_pending`. `None`, the
    /// default, waits for the page or for [`DevServer::approve_device`].
    pub fn device_auto_approve_after_polls(mut self, polls: Option<u32>) -> Self {
        self.device_auto_approve_after_polls = polls;
        self
    }

    /// The polling interval in seconds: 5 until set. `None` leaves `interval` out of the answer, which means 5
    /// (RFC 8628 §3.2).
    pub fn device_interval(mut self, seconds: Option<u64>) -> Self {
        self.device_interval = seconds;
        self
    }

    /// How long a device code lives: 600 s until set.
    pub fn device_code_lifetime(mut self, lifetime: Duration) -> Self {
        self.device_code_lifetime = lifetime;
        self
    }

    /// Whether token requests without a DPoP proof are refused with `invalid_dpop_proof` (RFC 9449 §5); no until set. A proof
    /// that comes is checked in any case, and binds what it brings.
    pub fn require_dpop(mut self, yes: bool) -> Self {
        self.require_dpop = yes;
        self
    }

    /// Demands a nonce in each DPoP proof (RFC 9449 §8, §9), at the token endpoint and at the protected resources, each with
    /// its own. Each is good for so many requests; the answer to the last of them names the next one. Until set none is
    /// demanded. See also [`DevServer::forget_dpop_nonces`].
    pub fn dpop_nonces(mut self, uses: u32) -> Self {
        self.dpop_nonce_uses = Some(uses);
        self
    }

    /// Where the protected resources say which authorization server is theirs (RFC 9728); nowhere until set.
    pub fn resource_metadata(mut self, place: ResourceMetadata) -> Self {
        self.announcement.place = place;
        self
    }

    /// The `scopes_supported` of the resources' metadata (RFC 9728 §2); left out until set.
    pub fn resource_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.announcement.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The `scope` of the challenge to a request without a token (RFC 6750 §3); left out until set.
    pub fn challenge_scope(mut self, scope: impl Into<String>) -> Self {
        self.announcement.challenge_scope = Some(scope.into());
        self
    }

    /// Whether only pushed authorization requests are taken (RFC 9126 §5); no until set. Those that are pushed are taken anyway.
    pub fn require_par(mut self, yes: bool) -> Self {
        self.require_par = yes;
        self
    }

    /// How long a `request_uri` can be opened: 60 s until set. It works once, and for the client that pushed it.
    pub fn request_uri_lifetime(mut self, lifetime: Duration) -> Self {
        self.request_uri_lifetime = lifetime;
        self
    }

    /// Whether authorization requests must be signed request objects (RFC 9101 §10.5); no until set. They are checked with the keys
    /// of [`Client::keys`].
    pub fn require_signed_request_object(mut self, yes: bool) -> Self {
        self.require_signed_request_object = yes;
        self
    }

    /// The algorithm of signed authorization responses (JARM): `RS256` (until set), `ES256` or `EdDSA`. A client gets them that asks
    /// for `response_mode=jwt`.
    pub fn response_algorithm(mut self, algorithm: impl Into<String>) -> Self {
        self.response_algorithm = algorithm.into();
        self
    }

    /// Types of authorization details that the server knows (RFC 9396 §10); none until set. What is granted gets an `identifier`
    /// where the client named none, as if the person had chosen an account.
    pub fn authorization_detail_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.authorization_detail_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The FAPI 2.0 Security Profile, as far as a server on loopback can have it: pushed requests only, tokens that are bound by DPoP or
    /// a certificate, client authentication by key or certificate, signatures by PS256, ES256 and EdDSA, no password grant, `iss` in
    /// answers.
    pub fn fapi2(mut self) -> Self {
        self.fapi2 = true;
        self.require_par = true;
        self.advertise_iss = true;
        self.response_algorithm = "ES256".to_owned();
        self
    }

    /// Whether clients may register themselves at `/register` (RFC 7591), and read, change and delete themselves there (RFC
    /// 7592). Off until set.
    pub fn registration(mut self, on: bool) -> Self {
        self.registration.on = on;
        self
    }

    /// Lets clients register themselves that show this initial access token, and no others (RFC 7591 §3).
    pub fn initial_access_token(mut self, token: impl Into<String>) -> Self {
        self.registration.initial_access_token = Some(token.into());
        self.registration(true)
    }

    /// Lets clients register themselves that bring this software statement, and no others (RFC 7591 §2.3). What is in it is not
    /// looked at.
    pub fn software_statement(mut self, statement: impl Into<String>) -> Self {
        self.registration.software_statement = Some(statement.into());
        self.registration(true)
    }

    /// How long the secrets of clients live that register themselves; for ever until set.
    pub fn client_secret_lifetime(mut self, lifetime: Duration) -> Self {
        self.registration.secret_lifetime = Some(lifetime);
        self
    }

    /// The `token_endpoint_auth_method` that every client gets that registers itself, whatever it asks for: a server may.
    pub fn registers_as(mut self, method: impl Into<String>) -> Self {
        self.registration.registers_as = Some(method.into());
        self
    }

    /// Whether clients that registered themselves get a registration access token (RFC 7592). They do until set to false.
    pub fn registrations_are_managed(mut self, managed: bool) -> Self {
        self.registration.unmanaged = !managed;
        self
    }

    /// Whether a client that updates its registration gets a new secret (RFC 7592 §2.2). It does until set to false.
    pub fn updates_renew_secrets(mut self, renew: bool) -> Self {
        self.registration.keeps_secrets = !renew;
        self
    }

    /// Whether a client identifier may be the URL of the client's metadata document. It is fetched from `http://127.0.0.1` and
    /// `http://[::1]` only: this server never leaves the machine. Off until set.
    pub fn client_documents(mut self, on: bool) -> Self {
        self.client_documents = on;
        self
    }

    /// Approves a backchannel authentication (CIBA) by itself once so many polls were answered with `authorization_pending`.
    /// `None`, the default, waits for [`DevServer::approve_backchannel`].
    pub fn backchannel_auto_approve_after_polls(mut self, polls: Option<u32>) -> Self {
        self.backchannel_auto_approve_after_polls = polls;
        self
    }

    /// The secret without which a backchannel authentication may not bother that user (CIBA Core §7.1).
    pub fn backchannel_user_code(mut self, user: impl Into<String>, user_code: impl Into<String>) -> Self {
        self.backchannel_user_codes.push((user.into(), user_code.into()));
        self
    }

    /// Whether there is a second port, on TLS, that asks for client certificates (RFC 8705): the metadata names its endpoints as
    /// `mtls_endpoint_aliases`, and the resources are there, too. Off until set.
    pub fn mutual_tls(mut self, yes: bool) -> Self {
        self.mutual_tls = yes;
        self
    }

    /// Takes what that issuer signs about people with those keys (a JWK set as JSON): assertions as grants (RFC 7523), identity
    /// assertions, subject tokens. Nobody is trusted until then. Keys that cannot be read verify nothing.
    pub fn trust(mut self, issuer: impl Into<String>, jwks: impl AsRef<str>) -> Self {
        let keys = serde_json::from_str(jwks.as_ref()).unwrap_or_default();
        self.trusted_issuers.push((issuer.into(), keys));
        self
    }

    /// Tells `listener` of each refresh request when it is decided, in the order of the decisions. It runs inside of the
    /// server: it must neither wait nor call the server.
    pub fn on_refresh(mut self, listener: impl Fn(&RefreshEvent) + Send + Sync + 'static) -> Self {
        self.refresh_listener = Some(Arc::new(listener));
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("clients", &self.clients)
            .field("users", &self.users.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("issuer_path", &self.issuer_path)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}
