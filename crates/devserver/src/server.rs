//! `DevServer` itself: the handle that a test holds, and how faults come between a request and its answer.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use jsonwebtoken::Algorithm;

use crate::answer::{Answer, Request};
use crate::builder::Builder;
use crate::ciba::{self, Authentications};
use crate::client_documents::{self, ClientDocuments};
use crate::clients::Client;
use crate::clock::Clock;
use crate::codes::Codes;
use crate::device::{self, Devices};
use crate::dpop::Dpop;
use crate::endpoint::Endpoint;
use crate::faults::{self, Fault, Faults};
use crate::gate::Gate;
use crate::id_token::IdTokenFault;
use crate::jarm;
use crate::mint::Mint;
use crate::mutual_tls::{self, MutualTls};
use crate::par::PushedRequests;
use crate::protected_resource::ResourceMetadata;
use crate::record::{RecordedRequest, RequestLog};
use crate::recorder::Recorder;
use crate::registration::Registrations;
use crate::seen::{Seen, Watched};
use crate::seen_page;
use crate::serve::{self, Cut, Delivery, Reply, Respond, Running};
use crate::state::{Settings, State};
use crate::stats::{Counters, Stats};
use crate::tokens::Tokens;

/// An authorization server and a resource server on a loopback port of its own.
///
/// It runs on its own thread with its own runtime, so that it serves whatever the caller's runtime does, and tests
/// without a runtime too. Any number may run at once; they share nothing. It stops when it is dropped: the port is
/// closed and open connections are cut.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// use jeton_devserver::{DevServer, Endpoint};
///
/// let server = DevServer::start()?;
///
/// // Any HTTP client will do; here is a bare socket.
/// let address = server.issuer().trim_start_matches("http://").to_owned();
/// let mut stream = TcpStream::connect(&address)?;
/// write!(stream, "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
///
/// assert!(answer.starts_with("HTTP/1.1 200 OK"));
/// assert!(answer.contains(&server.token_url()));
/// assert_eq!(server.stats().requests_to(Endpoint::Metadata), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DevServer {
    shared: Arc<Shared>,
    settings: Settings,
    tls: Option<Arc<MutualTls>>,
    _running: Running,
}

impl DevServer {
    /// The id of a public client: authorization code, device code, refresh token. Its redirect URIs are
    /// `http://127.0.0.1/callback` and `http://[::1]/callback` with any port (RFC 8252 §7.3), and
    /// `https://app.example/callback`.
    pub const PUBLIC_CLIENT: &'static str = "public-app";

    /// Id and secret of a confidential client for `client_secret_basic`, all grants, redirect URIs as for
    /// [`PUBLIC_CLIENT`](Self::PUBLIC_CLIENT). Both are full of characters that have to be form-encoded (A1).
    pub const CONFIDENTIAL_CLIENT: (&'static str, &'static str) =
        ("confidential app:1%", "p@ss:w/rd +%&\u{e9}");

    /// Id and secret of a confidential client for `client_secret_post`, all grants, redirect URIs as for
    /// [`PUBLIC_CLIENT`](Self::PUBLIC_CLIENT).
    pub const POST_CLIENT: (&'static str, &'static str) = ("post-app", "post secret +&=%\u{20ac}");

    /// Id and secret of a service: client credentials only, `client_secret_basic`.
    pub const SERVICE_CLIENT: (&'static str, &'static str) = ("service-app", "service-secret/2");

    /// The id of a public client for the password grant and refreshing.
    pub const PASSWORD_CLIENT: &'static str = "password-app";

    /// Id and private key (a JWK: EC, P-256, the key of RFC 7515 Appendix A.3) of a confidential client for `private_key_jwt`, all
    /// grants, redirect URIs as for [`PUBLIC_CLIENT`](Self::PUBLIC_CLIENT).
    pub const KEY_CLIENT: (&'static str, &'static str) = (
        "key-app",
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    );

    /// Id and secret of a confidential client for `client_secret_jwt`, all grants, redirect URIs as for
    /// [`PUBLIC_CLIENT`](Self::PUBLIC_CLIENT).
    pub const SECRET_JWT_CLIENT: (&'static str, &'static str) =
        ("secret-jwt-app", "a secret that is long enough for HS512, which wants 64 bytes of it");

    /// Name and password of the user for whom the server approves by itself.
    pub const ALICE: (&'static str, &'static str) = ("alice", "wonder land+&%\u{e9}");

    /// Name and password of another user.
    pub const BOB: (&'static str, &'static str) = ("bob", "builder's hammer");

    /// Starts a server with every default.
    ///
    /// # Errors
    /// When no loopback port, thread or randomness is to be had.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Settings, to be changed before the start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts a bare server on another port, which is another origin, that writes down whatever reaches it.
    ///
    /// # Errors
    /// When no loopback port or thread is to be had.
    pub fn recorder() -> io::Result<Recorder> {
        Recorder::start()
    }

    pub(crate) fn start_with(builder: Builder) -> io::Result<Self> {
        let mut mint = match builder.seed {
            Some(seed) => Mint::seeded(seed),
            None => Mint::new()?,
        };
        let form_token = builder.seen_page.then(|| mint.secret());
        let mut bound = serve::bind(builder.port)?;
        let mut settings = settings(&builder, &format!("http://{}", bound.address));
        let tls = if builder.mutual_tls { Some(Arc::new(MutualTls::new()?)) } else { None };
        if let Some(tls) = &tls {
            let port = bound.bind_tls(Arc::clone(tls))?.port();
            settings.tls_origin = Some(format!("https://localhost:{port}"));
        }
        let state = State {
            settings: settings.clone(),
            clients: builder.clients.into_iter().map(|client| (client.id.clone(), client)).collect(),
            users: builder.users,
            approve_as: Self::ALICE.0.to_owned(),
            deny_next_authorization: false,
            mint,
            transactions: Default::default(),
            seen_states: Default::default(),
            seen_challenges: Default::default(),
            codes: Codes::default(),
            devices: Devices::default(),
            pushed: PushedRequests::default(),
            backchannel: Authentications::new(builder.backchannel_user_codes.iter().cloned()),
            dpop: Dpop::new(builder.dpop_nonce_uses),
            tokens: Tokens::default(),
            counters: Counters::default(),
            log: RequestLog::keeping(builder.kept_requests),
            seen: Seen::new(form_token, builder.exchange_listener),
            registrations: Registrations::default(),
            documents: ClientDocuments::default(),
            faults: Faults::default(),
            id_token_faults: Default::default(),
            refresh_listener: builder.refresh_listener,
            announcement: builder.announcement,
            authenticated_at: Default::default(),
            keys: Default::default(),
            replays: Default::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            clock: Clock::new(builder.clock),
            gate: Gate::new(),
        });
        let running = bound.serve(Arc::clone(&shared))?;
        Ok(Self { shared, settings, tls, _running: running })
    }

    /// The issuer identifier (RFC 8414 §2): `http://127.0.0.1:PORT` and the issuer's path.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The URL of a path (which begins with `/`) on this server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.origin)
    }

    /// The URL of a path (which begins with `/`) on the port that asks for client certificates (RFC 8705). Its certificate is of
    /// [`certificate_authority`](Self::certificate_authority).
    ///
    /// # Errors
    /// Without [`Builder::mutual_tls`].
    pub fn tls_url(&self, path: &str) -> io::Result<String> {
        let origin = self.settings.tls_origin.as_ref().ok_or_else(without_tls)?;
        Ok(format!("{origin}{path}"))
    }

    /// The authority of the server's certificate and of those that it issues, in PEM.
    ///
    /// # Errors
    /// Without [`Builder::mutual_tls`].
    pub fn certificate_authority(&self) -> io::Result<String> {
        Ok(self.tls.as_ref().ok_or_else(without_tls)?.authority_pem())
    }

    /// A certificate of the server's authority whose subject is that common name, and its private key, in PEM.
    ///
    /// # Errors
    /// Without [`Builder::mutual_tls`], and when no randomness is to be had.
    pub fn client_certificate(&self, common_name: &str) -> io::Result<(String, String)> {
        self.tls.as_ref().ok_or_else(without_tls)?.issue(common_name)
    }

    /// A certificate that is signed by its own key, and that private key, in PEM.
    ///
    /// # Errors
    /// When no randomness is to be had.
    pub fn self_signed_certificate(common_name: &str) -> io::Result<(String, String)> {
        mutual_tls::self_signed(common_name)
    }

    /// Where RFC 8414 §3.1 puts the metadata.
    pub fn metadata_url(&self) -> String {
        self.url(&format!("/.well-known/oauth-authorization-server{}", self.settings.base_path))
    }

    /// The authorization endpoint.
    pub fn authorization_url(&self) -> String {
        self.endpoint_url("/authorize")
    }

    /// The token endpoint.
    pub fn token_url(&self) -> String {
        self.endpoint_url("/token")
    }

    /// The pushed authorization request endpoint.
    pub fn pushed_authorization_url(&self) -> String {
        self.endpoint_url("/par")
    }

    /// The device authorization endpoint.
    pub fn device_authorization_url(&self) -> String {
        self.endpoint_url("/device_authorization")
    }

    /// The page that lists what the server saw ([`Builder::seen_page`]).
    pub fn seen_url(&self) -> String {
        self.endpoint_url("/seen")
    }

    /// The page where people enter a user code.
    pub fn verification_url(&self) -> String {
        self.endpoint_url("/device")
    }

    /// The revocation endpoint.
    pub fn revocation_url(&self) -> String {
        self.endpoint_url("/revoke")
    }

    /// The introspection endpoint.
    pub fn introspection_url(&self) -> String {
        self.endpoint_url("/introspect")
    }

    /// The registration endpoint (RFC 7591).
    pub fn registration_url(&self) -> String {
        self.endpoint_url("/register")
    }

    /// How many clients are known that registered themselves (RFC 7591).
    pub fn registered_clients(&self) -> usize {
        self.shared.state().registrations.len()
    }

    /// Forgets a client, as servers do that clean up: it gets `invalid_client` from now on. False if there was none.
    pub fn forget_client(&self, client_id: &str) -> bool {
        let mut state = self.shared.state();
        state.registrations.forget(client_id);
        state.clients.remove(client_id).is_some()
    }

    /// Hosts a document, such as that of a client that describes itself; gives its URL. `path` begins with `/`, and is none of an
    /// endpoint.
    pub fn host_document(&self, path: &str, content_type: &str, body: &str) -> String {
        self.shared.state().documents.host(path, content_type, body);
        self.url(path)
    }

    fn endpoint_url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base)
    }

    /// A protected resource: `/api/me`. It answers any method with JSON: `sub`, `client_id`, `scope`, `resource`,
    /// `method`, `path`, `content_type`, `body_length`. So does every other path below `/api`, but
    /// `/api/admin` asks for the scope `admin`, and `/api/redirect?to=URL&status=307` redirects.
    pub fn resource_url(&self) -> String {
        self.url("/api/me")
    }

    /// The same on the second resource server, which takes only tokens that were asked for with its
    /// [identifier](Self::second_resource_identifier).
    pub fn second_resource_url(&self) -> String {
        self.url("/api2/me")
    }

    /// The default resource's identifier, for the parameter `resource` (RFC 8707).
    pub fn resource_identifier(&self) -> String {
        self.settings.resources[0].clone()
    }

    /// The second resource's identifier, for the parameter `resource` (RFC 8707).
    pub fn second_resource_identifier(&self) -> String {
        self.settings.resources[1].clone()
    }

    /// What a browser with a willing person would do with an authorization URL: opens it, here and now and without
    /// a socket, and gives the URL that the client is redirected to, with `code` or with `error`. Counted and
    /// recorded as a request; faults do not apply.
    ///
    /// # Errors
    /// When the URL is not this server's authorization endpoint, and when the answer is a page and not a redirect:
    /// unknown client or redirect URI, or `auto_approve(false)`.
    pub fn authorize(&self, authorization_url: &str) -> io::Result<String> {
        self.visit(authorization_url, Endpoint::Authorization)
    }

    /// Opens an end session URL of this server (OpenID Connect RP-Initiated Logout) as a browser would; gives the URL to which
    /// the browser is redirected afterwards.
    ///
    /// # Errors
    /// When it is no such URL, when the server refuses it, and when it redirects nowhere.
    pub fn end_session(&self, end_session_url: &str) -> io::Result<String> {
        self.visit(end_session_url, Endpoint::EndSession)
    }

    fn visit(&self, opened: &str, expected: Endpoint) -> io::Result<String> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
        let url = url::Url::parse(opened).map_err(|_| wrong("not a URL"))?;
        if url.origin().ascii_serialization() != self.settings.origin {
            return Err(wrong("not a URL of this server"));
        }
        let mut headers = HeaderMap::new();
        let authority = self.settings.origin.trim_start_matches("http://");
        headers.insert("host", HeaderValue::try_from(authority).map_err(io::Error::other)?);
        let request = Request {
            method: Method::GET,
            path: url.path().to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            headers,
            body: Bytes::new(),
            certificate: None,
        };
        self.shared.learn_client(&request);
        let mut state = self.shared.state();
        let endpoint = state.endpoint(&request);
        if endpoint != expected {
            return Err(wrong("not that endpoint of this server"));
        }
        let now = self.shared.clock.now();
        let watched = Watched::new(&self.shared, state.arrived(now, endpoint, &request));
        let answer = state.answer(now, &request);
        drop(state);
        watched.answered(&answer);
        let location = answer.headers.get("location").and_then(|location| location.to_str().ok());
        location.map(str::to_owned).ok_or_else(|| {
            let page = answer.problem.as_deref().unwrap_or("a page that waits for a person");
            io::Error::other(format!(
                "the {expected:?} endpoint answered {}, no redirect: {page}",
                answer.status
            ))
        })
    }

    /// Moves the protected resources of this server to another authorization server: their metadata names that one, which
    /// knows them from now on, and only its tokens are taken.
    pub fn entrust_resources_to(&self, other: &Self) {
        other.shared.state().settings.resources.extend(self.settings.resources.iter().cloned());
        self.shared.state().announcement.entrusted_to = Some(Arc::clone(&other.shared));
    }

    /// Who approves from now on when the server approves by itself (authorization and device); alice until set.
    pub fn approve_as(&self, user: &str) {
        self.shared.state().approve_as = user.to_owned();
    }

    /// The next authorization request ends with `access_denied`.
    pub fn deny_next_authorization(&self) {
        self.shared.state().deny_next_authorization = true;
    }

    /// Approves a device code as [`approve_as`](Self::approve_as) says; false if no such user code waits.
    pub fn approve_device(&self, user_code: &str) -> bool {
        let mut state = self.shared.state();
        let user = state.approve_as.clone();
        device::decide(&mut state, self.shared.clock.now(), user_code, Some(&user))
    }

    /// Denies a device code; false if no such user code waits.
    pub fn deny_device(&self, user_code: &str) -> bool {
        device::decide(&mut self.shared.state(), self.shared.clock.now(), user_code, None)
    }

    /// Registers a client while the server runs. One with the id of a known client takes its place.
    pub fn register(&self, client: Client) {
        self.shared.state().clients.insert(client.id.clone(), client);
    }

    /// Approves the newest backchannel authentication that waits for that user (CIBA), and gives what the user saw with it, the
    /// binding message; `None` if none waits.
    pub fn approve_backchannel(&self, user: &str) -> Option<Option<String>> {
        ciba::decide(&mut self.shared.state(), self.shared.clock.now(), user, true)
    }

    /// Denies the newest backchannel authentication that waits for that user (CIBA); false if none waits.
    pub fn deny_backchannel(&self, user: &str) -> bool {
        ciba::decide(&mut self.shared.state(), self.shared.clock.now(), user, false).is_some()
    }

    /// The public keys by which the server's signatures can be checked, as JSON: what `/jwks` has.
    pub fn jwks(&self) -> String {
        self.shared.state().keys.jwks().to_string()
    }

    /// The time on the server's clock.
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Puts the server's clock forward.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// What the server has counted so far.
    pub fn stats(&self) -> Stats {
        self.shared.state().counters.snapshot()
    }

    /// The requests that arrived, oldest first; at most the last 4096.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().log.all()
    }

    /// The newest request to an endpoint.
    pub fn last_request(&self, endpoint: Endpoint) -> Option<RecordedRequest> {
        self.shared.state().log.last(endpoint)
    }

    /// How many logins have not ended. Client credentials make none.
    pub fn live_logins(&self) -> usize {
        self.shared.state().tokens.live_logins()
    }

    /// Whether this is the refresh token to use: known, not rotated, its login not ended.
    pub fn is_refresh_token_live(&self, refresh_token: &str) -> bool {
        self.shared.state().tokens.is_refresh_token_live(refresh_token)
    }

    /// Whether the protected resources would take this access token now.
    pub fn is_access_token_live(&self, access_token: &str) -> bool {
        self.shared.state().tokens.live_access_token(access_token, self.shared.clock.now()).is_ok()
    }

    /// Ends every login: refreshing answers `invalid_grant`, their access tokens answer 401.
    pub fn revoke_all_logins(&self) {
        let state = &mut *self.shared.state();
        state.tokens.revoke_all_logins(&mut state.counters);
    }

    /// Makes every access token issued so far answer 401 `invalid_token`, while clients think that it lives. Refresh
    /// tokens stay.
    pub fn revoke_access_tokens(&self) {
        self.shared.state().tokens.revoke_access_tokens();
    }

    /// Makes every access token issued so far expire now. Refresh tokens stay.
    pub fn expire_access_tokens(&self) {
        let now = self.shared.clock.now();
        self.shared.state().tokens.expire_access_tokens(now);
    }

    /// Makes every DPoP nonce that clients know useless, as a restart of the server would: the next proof is answered with
    /// `use_dpop_nonce`.
    pub fn forget_dpop_nonces(&self) {
        self.shared.state().dpop.forget_nonces();
    }

    /// Changes the keys that the server signs with. `/jwks` has the new ones only.
    pub fn rotate_signing_keys(&self) {
        self.shared.state().keys.rotate();
    }

    /// What is to be wrong with the next ID token. Faults queue up, one for each ID token.
    pub fn fault_id_token(&self, fault: IdTokenFault) {
        self.shared.state().id_token_faults.push_back(fault);
    }

    /// A fault for the next request to an endpoint. Faults for the same endpoint queue up, one for each request.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.push(endpoint, fault);
    }

    /// A fault for each of the next `times` requests to an endpoint.
    pub fn fault_times(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        let mut state = self.shared.state();
        (0..times).for_each(|_| state.faults.push(endpoint, fault.clone()));
    }

    /// A fault for every request to an endpoint that finds no queued one.
    pub fn fault_always(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.set_always(endpoint, fault);
    }

    /// Takes back all faults, queued and lasting. Requests that are already under way keep theirs.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// How many queued faults still wait for a request to an endpoint.
    pub fn faults_waiting(&self, endpoint: Endpoint) -> usize {
        self.shared.state().faults.waiting(endpoint)
    }

    /// Lets every request go on that [`Fault::Gate`] holds now. Those that come to a gate later are held again.
    pub fn open_gate(&self) {
        self.shared.gate.open();
    }

    /// Waits until so many requests are held at once by [`Fault::Gate`]. Runs on any async runtime; put a timeout
    /// around it.
    pub async fn wait_until_held(&self, requests: usize) {
        self.shared.gate.wait_until_held(requests).await;
    }

    /// The same for tests without an async runtime: blocks this thread; false when the time is over.
    pub fn wait_until_held_blocking(&self, requests: usize, timeout: Duration) -> bool {
        self.shared.gate.wait_until_held_blocking(requests, timeout)
    }
}

impl fmt::Debug for DevServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevServer").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

fn without_tls() -> io::Error {
    io::Error::other("the server has no port on TLS; switch it on with Builder::mutual_tls")
}

fn settings(builder: &Builder, origin: &str) -> Settings {
    let trimmed = builder.issuer_path.trim_matches('/');
    let base_path = if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") };
    let base = format!("{origin}{base_path}");
    let whole_origin = (builder.announcement.place == ResourceMetadata::AtRoot).then(|| origin.to_owned());
    let slash = if builder.issuer_path.ends_with('/') { "/" } else { "" };
    Settings {
        issuer: format!("{base}{slash}"),
        base,
        base_path,
        resources: [format!("{origin}/api"), format!("{origin}/api2")]
            .into_iter()
            .chain(whole_origin)
            .collect(),
        origin: origin.to_owned(),
        scopes: builder.scopes.clone(),
        default_scope: vec!["read".to_owned()],
        access_token_lifetime: builder.access_token_lifetime,
        access_token_size: builder.access_token_size,
        issue_refresh_tokens: builder.issue_refresh_tokens,
        rotation: builder.rotation,
        code_lifetime: builder.code_lifetime,
        auto_approve: builder.auto_approve,
        auto_deny: builder.auto_deny,
        advertise_iss: builder.advertise_iss,
        device_auto_approve_after_polls: builder.device_auto_approve_after_polls,
        device_interval: builder.device_interval,
        device_code_lifetime: builder.device_code_lifetime,
        registration: builder.registration.clone(),
        client_documents: builder.client_documents,
        backchannel_auto_approve_after_polls: builder.backchannel_auto_approve_after_polls,
        trusted_issuers: builder.trusted_issuers.clone(),
        tls_origin: None,
        require_dpop: builder.require_dpop,
        require_par: builder.require_par,
        request_uri_lifetime: builder.request_uri_lifetime,
        require_signed_request_object: builder.require_signed_request_object,
        response_algorithm: jarm::algorithm(&builder.response_algorithm).unwrap_or(Algorithm::RS256),
        authorization_detail_types: builder.authorization_detail_types.clone(),
        fapi2: builder.fapi2,
    }
}

/// What the handle and the serving thread have in common.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the document of a client that describes itself and is not known yet. Blocks this thread.
    fn learn_client(&self, request: &Request) {
        let wanted = client_documents::wanted(&self.state(), request);
        if let Some(client_id) = wanted {
            let fetched = client_documents::fetch(&client_id);
            client_documents::learn(&mut self.state(), &client_id, fetched);
        }
    }

    /// The server does what the request asks for.
    fn commit(&self, request: &Request) -> Answer {
        let now = self.clock.now();
        self.state().answer(now, request)
    }
}

impl Respond for Shared {
    fn connected(&self) {
        self.state().counters.connections += 1;
    }

    async fn respond(self: Arc<Self>, request: Request) -> Result<Reply, Cut> {
        // Who looks at what the server saw is not seen by it.
        if let Some(answer) = seen_page::answer(&self, &request) {
            return Ok(Reply { answer, delivery: Delivery::Whole });
        }
        if client_documents::wanted(&self.state(), &request).is_some() {
            // The document may stand on this very server, whose thread must not wait for itself.
            let (shared, request) = (Arc::clone(&self), request.clone());
            drop(tokio::task::spawn_blocking(move || shared.learn_client(&request)).await);
        }
        let now = self.clock.now();
        let (watched, faults, _under_way) = {
            let mut state = self.state();
            let endpoint = state.endpoint(&request);
            let watched = Watched::new(&self, state.arrived(now, endpoint, &request));
            let faults = state.faults.take(endpoint);
            watched.spoilt_by(&mut state, &faults);
            let under_way = (endpoint == Endpoint::Token).then(|| {
                state.counters.token_request_begins();
                TokenRequest(&self)
            });
            (watched, faults, under_way)
        };
        let reply = self.reply(&request, faults).await;
        watched.ended(reply.as_ref());
        reply
    }
}

impl Shared {
    /// The answer, and what faults make of it.
    async fn reply(&self, request: &Request, faults: Vec<Fault>) -> Result<Reply, Cut> {
        let mut committed: Option<Answer> = None;
        let mut delivery = Delivery::Whole;
        for fault in faults {
            // Taken out and put back, so that each request is committed once at most.
            let mut commit = || committed.take().unwrap_or_else(|| self.commit(request));
            let answer = match fault {
                Fault::Latency(duration) => {
                    tokio::time::sleep(duration).await;
                    continue;
                }
                Fault::Gate => {
                    self.gate.hold().await;
                    continue;
                }
                Fault::Hang => std::future::pending().await,
                Fault::Sequence(_) => continue,
                Fault::DropBeforeCommit => return Err(Cut),
                Fault::DropAfterCommit => {
                    commit();
                    return Err(Cut);
                }
                Fault::Commit => commit(),
                Fault::TruncateAfter(bytes) => {
                    delivery = Delivery::Truncated(bytes);
                    commit()
                }
                Fault::Rewrite(change) => faults::rewritten(commit(), &change),
                Fault::ContentType(name) => commit().with_header("content-type", &name),
                Fault::FormEncoded => faults::form_encoded(commit()),
                Fault::Status { status, retry_after } => {
                    faults::status_answer(status, retry_after.as_deref())
                }
                Fault::OAuthError { status, error, description } => {
                    faults::oauth_error_answer(status, &error, description.as_deref())
                }
                Fault::SlowDown => {
                    self.state().slow_device_down(request);
                    faults::oauth_error_answer(400, "slow_down", Some("A16: slow down"))
                }
                Fault::Answer { status, headers, body } => {
                    let answer = Answer {
                        status: faults::status(status),
                        headers: HeaderMap::new(),
                        body: body.into(),
                        problem: None,
                    };
                    headers.iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))
                }
                Fault::Redirect(location) => Answer::redirect(StatusCode::TEMPORARY_REDIRECT, &location),
                Fault::HugeBody(bytes) => {
                    delivery = Delivery::Filler(bytes);
                    Answer::new(StatusCode::OK, "application/json", Bytes::new())
                }
            };
            committed = Some(answer);
        }
        let answer = committed.unwrap_or_else(|| self.commit(request));
        Ok(Reply { answer, delivery })
    }
}

/// A token request under way; counted until its answer is ready or its client is gone.
struct TokenRequest<'a>(&'a Shared);

impl Drop for TokenRequest<'_> {
    fn drop(&mut self) {
        self.0.state().counters.token_request_ends();
    }
}
