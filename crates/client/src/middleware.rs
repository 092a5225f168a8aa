//! A tower layer for programs that own their HTTP client: it attaches the session's token and replaces it once when it is
//! rejected, as `AuthenticatedRequest` does.
//!
//! tower rather than reqwest-middleware: its two traits are stable, belong to no HTTP library's version, and fit hyper-util,
//! tonic and reqwest (whose client is a tower service) alike.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::exchange::{Copies, HttpRequest, HttpResponse, send_with_token};
use crate::{Error, Session};

/// Has every request through an HTTP client of the program's own carry the session's token.
///
/// Works over any tower service that takes `http::Request<B>` or `reqwest::Request`. What it does:
///
/// - The token goes to requests whose origin is one of the client's
///   [resource servers](crate::ClientBuilder::resource_server). Any other request is refused with
///   [`Error::ForeignOrigin`] before anything is sent, or goes out without the token if
///   [`pass_foreign_origins`](Self::pass_foreign_origins) says so.
/// - A request to a resource server that brings an `Authorization` header (or a user name in its URI) is refused with
///   [`Error::InvalidRequest`]: neither is silently sent in the place of the other.
/// - On 401 `invalid_token` the token is replaced and the request sent once more, if it can be kept: see
///   [`replay`](Self::replay). Other errors and statuses are passed on.
/// - The header is marked sensitive, so that a Debug output further down shows no token.
///
/// # Redirects
/// Redirects that the client beneath follows are its own affair, and so is the token on them: this layer sees none of them. Use
/// a client that does not follow redirects (hyper-util's), or one that takes the `Authorization` header off when scheme, host or
/// port change (reqwest does). A layer that follows redirects, such as tower-http's `FollowRedirect`, belongs *above* this one:
/// then each step comes through here and is checked on its own. reqwest says where an answer comes from, so that a 401 from
/// another origin to which it was redirected does not count against the token; of other clients' answers this layer cannot tell.
///
/// With DPoP (RFC 9449) a client beneath that follows redirects is of no use: each step needs a proof of its own, for its own
/// URL, and the one that travels along is refused. Have it not follow them, or put a layer that does *above* this one.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper_util::client::legacy::Client as HttpClient;
/// use hyper_util::rt::TokioExecutor;
/// use jeton_client::AuthenticationLayer;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # use jeton_client::{Client, ClientCredentials};
/// # let server = jeton_devserver::DevServer::start()?;
/// # let (issuer, api) = (server.issuer(), server.resource_url());
/// # let (id, secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
/// # let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials)
/// #     .resource_server(&api).build()?;
/// # let session = client.session();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let http = ServiceBuilder::new()
///     .layer(AuthenticationLayer::new(session))
///     .service(HttpClient::builder(TokioExecutor::new()).build_http());
///
/// let response = http.oneshot(http::Request::get(&api).body(Full::<Bytes>::default())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # tonic
/// Give the generated client the server's URL, so that its requests say where they go:
/// `GreeterClient::with_origin(service, "https://api.example".parse()?)`. Its bodies are streams: use [`NoReplay`].
#[derive(Clone, Debug)]
pub struct AuthenticationLayer<P = Clonable> {
    session: Session,
    replay: P,
    pass_foreign_origins: bool,
}

impl AuthenticationLayer {
    /// A layer that sends that session's token.
    pub fn new(session: Session) -> Self {
        Self { session, replay: Clonable, pass_foreign_origins: false }
    }
}

impl<P> AuthenticationLayer<P> {
    /// Sends requests to origins that are no resource servers of the client, as they are and without the token, instead of
    /// refusing them: for an HTTP client that also talks to others.
    #[must_use]
    pub fn pass_foreign_origins(mut self) -> Self {
        self.pass_foreign_origins = true;
        self
    }

    /// How requests are kept for a second try: [`Clonable`] unless set, which takes bodies that can be cloned; [`NoReplay`]
    /// for any body; or a [`Replay`] of your own.
    #[must_use]
    pub fn replay<Q>(self, replay: Q) -> AuthenticationLayer<Q> {
        let Self { session, replay: _, pass_foreign_origins } = self;
        AuthenticationLayer { session, replay, pass_foreign_origins }
    }
}

impl<S, P: Clone> Layer<S> for AuthenticationLayer<P> {
    type Service = Authentication<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Authentication { inner, layer: self.clone() }
    }
}

/// How a request is kept in case that it has to be sent once more with another token.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper::body::Body;
/// use jeton_client::Replay;
///
/// /// Sends only small bodies twice.
/// #[derive(Clone)]
/// struct UpTo(usize);
///
/// impl Replay<http::Request<Full<Bytes>>> for UpTo {
///     fn keep(&self, request: &http::Request<Full<Bytes>>) -> Option<http::Request<Full<Bytes>>> {
///         let size = request.body().size_hint();
///         size.exact().is_some_and(|size| size <= self.0 as u64).then(|| request.clone())
///     }
/// }
/// ```
pub trait Replay<R> {
    /// A copy of the request, or `None` if it cannot be sent twice. Called before the token is attached; with DPoP two copies
    /// are asked for, as the server may want its nonce first.
    fn keep(&self, request: &R) -> Option<R>;
}

/// Keeps `http::Request<B>` whose body can be cloned, and those `reqwest::Request`s whose body is no stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clonable;

impl<B: Clone> Replay<::http::Request<B>> for Clonable {
    fn keep(&self, request: &::http::Request<B>) -> Option<::http::Request<B>> {
        Some(request.clone())
    }
}

impl Replay<reqwest::Request> for Clonable {
    fn keep(&self, request: &reqwest::Request) -> Option<reqwest::Request> {
        request.try_clone()
    }
}

/// Keeps nothing, for bodies that are streams: a 401 is passed on, and the next request has another token.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReplay;

impl<R> Replay<R> for NoReplay {
    fn keep(&self, _request: &R) -> Option<R> {
        None
    }
}

/// The service that [`AuthenticationLayer`] makes of an HTTP client.
#[derive(Clone, Debug)]
pub struct Authentication<S, P = Clonable> {
    inner: S,
    layer: AuthenticationLayer<P>,
}

impl<S, P> Authentication<S, P> {
    /// The HTTP client beneath.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, P, R> Service<R> for Authentication<S, P>
where
    S: Service<R, Response: HttpResponse + Send, Error: Send, Future: Send> + Clone + Send + 'static,
    R: HttpRequest + Send + 'static,
    P: Replay<R>,
{
    type Response = S::Response;
    type Error = MiddlewareError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(MiddlewareError::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The service that was polled is the one that is ready; its clone need not be.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        let session = self.layer.session.clone();

        if self.layer.pass_foreign_origins && is_foreign(&session, &request) {
            let mut inner = inner;
            let sending = inner.call(request);
            return Box::pin(async move { sending.await.map_err(MiddlewareError::Inner) });
        }
        let copies = Copies::of(&session, || self.layer.replay.keep(&request));
        Box::pin(async move {
            let mut inner = inner;
            send_with_token(&session, request, copies, move |request| {
                let next = inner.clone();
                let mut inner = mem::replace(&mut inner, next);
                async move {
                    // Ready already at the first try, for which this changes nothing.
                    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(MiddlewareError::Inner)?;
                    inner.call(request).await.map_err(MiddlewareError::Inner)
                }
            })
            .await
        })
    }
}

/// Whether the request plainly goes elsewhere. One of which that cannot be told is not sent at all.
fn is_foreign(session: &Session, request: &impl HttpRequest) -> bool {
    request.target().is_ok_and(|target| session.client().check_origin(&target).is_err())
}

/// What can go wrong with a request through an [`AuthenticationLayer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MiddlewareError<E> {
    /// There is no token for the request; [`Error::recovery`] says what to do.
    Token(Error),
    /// What the HTTP client said.
    Inner(E),
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> MiddlewareError<E> {
    /// The error alone, for stacks of services whose errors are boxed (`.map_err(MiddlewareError::into_boxed)`).
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        match self {
            Self::Token(error) => error.into(),
            Self::Inner(error) => error.into(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for MiddlewareError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for MiddlewareError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Inner(error) => Some(error),
        }
    }
}

impl<E> From<Error> for MiddlewareError<E> {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}
