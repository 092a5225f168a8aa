//! The same client for programs without an async runtime.
//!
//! The work runs on jeton's own threads, and the calling thread waits. That also works from inside of an async runtime, whose
//! thread then waits; there, [`jeton::Session`](crate::Session) is the better choice. Called from a callback of jeton (an event
//! listener, an interaction), these functions give an error instead of waiting for themselves.
//!
//! ```
//! use jeton::ClientCredentials;
//! use jeton::blocking::Client;
//!
//! # let server = jeton_devserver::DevServer::start()?;
//! # let (issuer, api) = (server.issuer(), server.resource_url());
//! # let (client_id, client_secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
//! let client = Client::from(
//!     jeton::Client::builder(client_id)
//!         .issuer(issuer)
//!         .client_secret(client_secret)
//!         .grant(ClientCredentials)
//!         .resource_server(&api)
//!         .build()?,
//! );
//! let answer = client.session().get(&api).send()?;
//! assert_eq!(answer.status(), 200);
//! println!("{}", answer.text()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use jeton_client::reqwest;
use jeton_grants::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jeton_models::AuthorizationServerMetadata;
use jeton_storage::StoreDescription;

#[cfg(feature = "registration")]
mod registrar;
#[cfg(feature = "registration")]
mod resource_client;

#[cfg(feature = "registration")]
pub use registrar::Registrar;
#[cfg(feature = "registration")]
pub use resource_client::{ResourceClient, ResourceRequest};

use crate::{
    AccessToken, CachedToken, Error, Introspection, LoggedOut, LoginKey, LoginOptions, PendingLogin, Scope,
    Secret, Token,
};

/// A [`jeton::Client`](crate::Client) whose calls block.
#[derive(Clone, Debug)]
pub struct Client(crate::Client);

impl From<crate::Client> for Client {
    fn from(client: crate::Client) -> Self {
        Self(client)
    }
}

impl Client {
    /// The login of the account `default`.
    pub fn session(&self) -> Session {
        Session { runner: Runner::Client(self.0.clone()), session: self.0.session() }
    }

    /// The login of that account.
    pub fn account(&self, account: impl Into<String>) -> Session {
        Session { runner: Runner::Client(self.0.clone()), session: self.0.account(account) }
    }

    /// The accounts of this client that the store has a login of.
    ///
    /// # Errors
    /// As [`jeton::Client::accounts`](crate::Client::accounts).
    pub fn accounts(&self) -> Result<Vec<String>, Error> {
        let client = self.0.clone();
        self.0.block_on(async move { client.accounts().await })?
    }

    /// The server's metadata, discovered at first use.
    ///
    /// # Errors
    /// As [`jeton::Client::metadata`](crate::Client::metadata).
    pub fn metadata(&self) -> Result<AuthorizationServerMetadata, Error> {
        let client = self.0.clone();
        self.0.block_on(async move { client.metadata().await })?
    }

    /// Asks the authorization server about somebody's access token (RFC 7662), for resource servers.
    ///
    /// # Errors
    /// As [`jeton::Client::introspect`](crate::Client::introspect).
    pub fn introspect(&self, token: &Secret) -> Result<Introspection, Error> {
        let (client, token) = (self.0.clone(), token.clone());
        self.0.block_on(async move { client.introspect(&token).await })?
    }

    /// Which store keeps the logins, where, and who else can see them.
    pub fn store(&self) -> StoreDescription {
        self.0.store()
    }

    /// The client whose calls are async: the same logins.
    pub fn as_async(&self) -> &crate::Client {
        &self.0
    }
}

/// A [`jeton::Session`](crate::Session) whose calls block.
#[derive(Clone, Debug)]
pub struct Session {
    runner: Runner,
    session: crate::Session,
}

impl Session {
    /// Which login this is.
    pub fn key(&self) -> &LoginKey {
        self.session.key()
    }

    /// The same login, with its access token for one resource (RFC 8707).
    #[must_use]
    pub fn for_resource(&self, resource: impl Into<String>) -> Self {
        Self { runner: self.runner.clone(), session: self.session.for_resource(resource) }
    }

    /// The same login, with an access token for a part of its scope.
    #[must_use]
    pub fn with_scope(&self, scope: Scope) -> Self {
        Self { runner: self.runner.clone(), session: self.session.with_scope(scope) }
    }

    /// The session whose calls are async: the same login.
    pub fn as_async(&self) -> &crate::Session {
        &self.session
    }

    fn run<T, F>(&self, call: impl FnOnce(crate::Session) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.runner.block_on(call(self.session.clone()))?
    }

    /// A valid access token. As long as the cached one is valid: no lock, no allocation, no other thread.
    ///
    /// # Errors
    /// As [`jeton::Session::token`](crate::Session::token).
    pub fn token(&self) -> Result<AccessToken, Error> {
        match self.session.cached() {
            Some(token) => Ok(token),
            None => self.run(|session| async move { session.token().await }),
        }
    }

    /// A valid access token for at least so long.
    ///
    /// # Errors
    /// As [`jeton::Session::token_valid_for`](crate::Session::token_valid_for).
    pub fn token_valid_for(&self, least: Duration) -> Result<AccessToken, Error> {
        match self.session.cached_valid_for(least) {
            Some(token) => Ok(token),
            None => self.run(move |session| async move { session.token_valid_for(least).await }),
        }
    }

    /// The cached token, if it is valid.
    pub fn cached(&self) -> Option<AccessToken> {
        self.session.cached()
    }

    /// The cached token, if it is valid, borrowed: the cheapest way to a token. See
    /// [`jeton::Session::cached_ref`](crate::Session::cached_ref).
    #[inline]
    pub fn cached_ref(&self) -> Option<CachedToken<'_>> {
        self.session.cached_ref()
    }

    /// Gets a new access token although the present one may still be good.
    ///
    /// # Errors
    /// As [`jeton::Session::refresh`](crate::Session::refresh).
    pub fn refresh(&self) -> Result<AccessToken, Error> {
        self.run(|session| async move { session.refresh().await })
    }

    /// Logs in through the client's grant.
    ///
    /// # Errors
    /// As [`jeton::Session::log_in`](crate::Session::log_in).
    pub fn log_in(&self) -> Result<AccessToken, Error> {
        self.run(|session| async move { session.log_in().await })
    }

    /// Logs in, asking for something else this time.
    ///
    /// # Errors
    /// As [`jeton::Session::log_in_with`](crate::Session::log_in_with).
    pub fn log_in_with(&self, options: LoginOptions) -> Result<AccessToken, Error> {
        self.run(|session| async move { session.log_in_with(options).await })
    }

    /// Begins a login by authorization code for a program that receives the redirect itself.
    ///
    /// # Errors
    /// As [`jeton::Session::begin_log_in`](crate::Session::begin_log_in).
    pub fn begin_log_in(&self, redirect_uri: impl Into<String>) -> Result<(url::Url, PendingLogin), Error> {
        let redirect_uri = redirect_uri.into();
        self.run(|session| async move { session.begin_log_in(redirect_uri).await })
    }

    /// Begins a login by authorization code, asking for something else this time.
    ///
    /// # Errors
    /// As [`jeton::Session::begin_log_in_with`](crate::Session::begin_log_in_with).
    pub fn begin_log_in_with(
        &self,
        redirect_uri: impl Into<String>,
        options: LoginOptions,
    ) -> Result<(url::Url, PendingLogin), Error> {
        let redirect_uri = redirect_uri.into();
        self.run(|session| async move { session.begin_log_in_with(redirect_uri, options).await })
    }

    /// Finishes a login by authorization code with the URL to which the browser was redirected.
    ///
    /// # Errors
    /// As [`jeton::Session::finish_log_in`](crate::Session::finish_log_in).
    pub fn finish_log_in(&self, pending: PendingLogin, redirected: &url::Url) -> Result<AccessToken, Error> {
        let redirected = redirected.clone();
        self.run(|session| async move { session.finish_log_in(pending, &redirected).await })
    }

    /// Starts from tokens that the program has already.
    ///
    /// # Errors
    /// As [`jeton::Session::adopt`](crate::Session::adopt).
    pub fn adopt(&self, token: Token) -> Result<AccessToken, Error> {
        self.run(|session| async move { session.adopt(token).await })
    }

    /// Logs out: revokes the tokens if the server can, then forgets the login.
    ///
    /// # Errors
    /// As [`jeton::Session::log_out`](crate::Session::log_out).
    pub fn log_out(&self) -> Result<LoggedOut, Error> {
        self.run(|session| async move { session.log_out().await })
    }

    /// Tries once more to revoke what a log-out could not.
    ///
    /// # Errors
    /// As [`jeton::Session::revoke_remaining`](crate::Session::revoke_remaining).
    pub fn revoke_remaining(&self, logged_out: LoggedOut) -> Result<LoggedOut, Error> {
        self.run(|session| async move { session.revoke_remaining(logged_out).await })
    }

    /// Who logged in, as the server said it last: the newest ID token, which was checked when it came.
    ///
    /// # Errors
    /// As [`jeton::Session::id_token`](crate::Session::id_token).
    #[cfg(feature = "openid")]
    pub fn id_token(&self) -> Result<Option<crate::IdToken>, Error> {
        self.run(|session| async move { session.id_token().await })
    }

    /// What the server says about the person who logged in.
    ///
    /// # Errors
    /// As [`jeton::Session::user_info`](crate::Session::user_info).
    #[cfg(feature = "openid")]
    pub fn user_info(&self) -> Result<crate::UserInfo, Error> {
        self.run(|session| async move { session.user_info().await })
    }

    /// Where to send the person's browser so that the server, too, ends the person's session there.
    ///
    /// # Errors
    /// As [`jeton::Session::end_session_url`](crate::Session::end_session_url).
    #[cfg(feature = "openid")]
    pub fn end_session_url(
        &self,
        post_logout_redirect_uri: Option<&str>,
    ) -> Result<crate::EndSession, Error> {
        let redirect_uri = post_logout_redirect_uri.map(str::to_owned);
        self.run(|session| async move { session.end_session_url(redirect_uri.as_deref()).await })
    }

    /// Waits, bounded, for a refresh or login under way.
    ///
    /// # Errors
    /// [`Error::Configuration`] when called from a callback of jeton.
    pub fn close(&self) -> Result<(), Error> {
        self.run(|session| async move {
            session.close().await;
            Ok(())
        })
    }

    /// Why the newest token could not be stored, if that is so.
    pub fn persist_error(&self) -> Option<Error> {
        self.session.persist_error()
    }

    /// Asks the server about the session's access token (RFC 7662).
    ///
    /// # Errors
    /// As [`jeton::Session::introspect`](crate::Session::introspect).
    pub fn introspect(&self) -> Result<Introspection, Error> {
        self.run(|session| async move { session.introspect().await })
    }

    /// Revokes the session's access token at the server (RFC 7009) and forgets it; the login stays.
    ///
    /// # Errors
    /// As [`jeton::Session::revoke`](crate::Session::revoke).
    pub fn revoke(&self) -> Result<(), Error> {
        self.run(|session| async move { session.revoke().await })
    }

    /// Tells the session that a resource server rejected this very token, for programs that send requests themselves. See
    /// [`jeton::Session::reject`](crate::Session::reject).
    pub fn reject(&self, token: &AccessToken) -> bool {
        self.session.reject(token)
    }

    /// Tells the session that a resource server took this token.
    pub fn confirm(&self, token: &AccessToken) {
        self.session.confirm(token);
    }

    /// Whether the token may be sent to that URL, for programs with an HTTP client of their own.
    ///
    /// # Errors
    /// As [`jeton::Session::check_url`](crate::Session::check_url).
    pub fn check_url(&self, url: &url::Url) -> Result<(), Error> {
        self.session.check_url(url)
    }

    /// Tells the session what a resource server's answer says about the token; gives back whether another one may help. See
    /// [`jeton::Session::judge`](crate::Session::judge).
    pub fn judge(&self, token: &AccessToken, status: StatusCode, headers: &HeaderMap) -> bool {
        self.session.judge(token, status, headers)
    }

    /// The proof that goes beside a token which is bound to a key (DPoP, RFC 9449), for programs with an HTTP client of their own;
    /// `None` for a Bearer token. See [`jeton::Session::dpop_proof`](crate::Session::dpop_proof).
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "jose")]
    pub fn dpop_proof(
        &self,
        method: &Method,
        url: &url::Url,
        token: &AccessToken,
    ) -> Result<Option<HeaderValue>, Error> {
        let (method, url, token) = (method.clone(), url.clone(), token.clone());
        self.run(|session| async move { session.dpop_proof(&method, &url, &token).await })
    }

    /// Notes the nonce that a resource server wants to see in the next proof; gives back whether to send the request once more.
    /// See [`jeton::Session::dpop_nonce`](crate::Session::dpop_nonce).
    #[cfg(feature = "jose")]
    pub fn dpop_nonce(&self, url: &url::Url, status: StatusCode, headers: &HeaderMap) -> bool {
        self.session.dpop_nonce(url, status, headers)
    }

    /// A GET request with the access token.
    pub fn get(&self, url: &str) -> AuthenticatedRequest {
        self.request(Method::GET, url)
    }

    /// A POST request with the access token.
    pub fn post(&self, url: &str) -> AuthenticatedRequest {
        self.request(Method::POST, url)
    }

    /// A request with the access token, to one of the client's resource servers.
    pub fn request(&self, method: Method, url: &str) -> AuthenticatedRequest {
        AuthenticatedRequest { runner: self.runner.clone(), request: self.session.request(method, url) }
    }
}

/// A [`jeton::AuthenticatedRequest`](crate::AuthenticatedRequest) whose sending blocks.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct AuthenticatedRequest {
    runner: Runner,
    request: crate::AuthenticatedRequest,
}

impl AuthenticatedRequest {
    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.map(|request| request.header(name, value))
    }

    /// Adds parameters to the URL's query, encoded.
    pub fn query<N: Into<String>, V: Into<String>>(
        self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.map(|request| request.query(parameters))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// Sets a form as body: `application/x-www-form-urlencoded`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, parameters: impl IntoIterator<Item = (N, V)>) -> Self {
        self.map(|request| request.form(parameters))
    }

    /// Sets a JSON body.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.map(|request| request.json(json))
    }

    /// The longest that the resource server may take, from connecting until the body is read. Unless set there is no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Follows no redirect to another origin: the redirect itself is the answer then.
    pub fn stay_at_origin(self) -> Self {
        self.map(crate::AuthenticatedRequest::stay_at_origin)
    }

    /// Anything else that reqwest's builder can do.
    pub fn with(self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        self.map(|request| request.with(change))
    }

    fn map(self, change: impl FnOnce(crate::AuthenticatedRequest) -> crate::AuthenticatedRequest) -> Self {
        Self { runner: self.runner, request: change(self.request) }
    }

    /// Sends the request. Any status is an answer, not an error.
    ///
    /// # Errors
    /// As [`jeton::AuthenticatedRequest::send`](crate::AuthenticatedRequest::send).
    pub fn send(self) -> Result<Response, Error> {
        let Self { runner, request } = self;
        let response = runner.block_on(request.send())??;
        Ok(Response { runner, response })
    }
}

/// On whose behalf a call waits.
#[derive(Clone, Debug)]
enum Runner {
    Client(crate::Client),
    #[cfg(feature = "registration")]
    Resources(crate::ResourceClient),
}

impl Runner {
    fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        match self {
            Self::Client(client) => client.block_on(future),
            #[cfg(feature = "registration")]
            Self::Resources(client) => client.block_on(future),
        }
    }
}

/// The answer to an authenticated request. Its body is read when asked for.
pub struct Response {
    runner: Runner,
    response: reqwest::Response,
}

impl Response {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Error::Request`] if the connection breaks.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        let Self { runner, response } = self;
        Ok(runner.block_on(response.bytes())??.to_vec())
    }

    /// The whole body as text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// [`Error::Request`] if the connection breaks.
    pub fn text(self) -> Result<String, Error> {
        self.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The whole body, read as JSON.
    ///
    /// # Errors
    /// [`Error::Request`] if the connection breaks or the body is not such JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned + Send + 'static>(self) -> Result<T, Error> {
        let Self { runner, response } = self;
        Ok(runner.block_on(response.json())??)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status()).finish_non_exhaustive()
    }
}
