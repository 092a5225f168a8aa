//! `LoopbackRedirect`: the place on this machine to which the browser is redirected (RFC 8252 §7.3, §8.3).
//!
//! One task accepts, each connection has a task of its own, and all of them end with the receiver. The listening sockets
//! lie where the receiver reaches them, so that dropping it frees the port before anything else happens.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::poll_fn;
use http::header::HOST;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jeton_grants::{InteractionError, LoginOutcome, RedirectEndpoint, RedirectReceiver};
use jeton_models::{AuthorizationResponse, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use url::Url;

use crate::page::Page;

/// How long a client may take to send its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest request line with headers, in bytes. Some servers' codes are kilobytes long.
const LARGEST_HEADER: usize = 64 << 10;

/// How many connections there may be. One more pushes out the oldest that has nothing to do with the login.
const MOST_CONNECTIONS: usize = 64;

/// How long a last page may take to go out.
const LINGER: Duration = Duration::from_secs(5);

/// How many ports are tried for one that is free on both `127.0.0.1` and `[::1]`.
const PORT_TRIES: usize = 16;

/// Receives the authorization response on this machine: a listener on `127.0.0.1` and, where IPv6 is available, on the
/// same port of `[::1]`, and nowhere else.
///
/// Each login opens it anew, on a port that is free (unless [`port`](Self::port) fixes it), and closes it when the login
/// is over; the port is free again at once, also after a timeout. The redirect URI is `http://127.0.0.1:PORT/callback`,
/// or `http://[::1]:PORT/callback` on a machine without IPv4. Per RFC 8252 §7.3 a server takes any port of a loopback
/// redirect URI that is registered for the client.
///
/// A request counts if it is a GET of the path, with the `Host` of the listener (against DNS rebinding) and with the
/// `state` of the login. Everything else is a stray: it is answered, and the wait goes on. The browser's tab that
/// brought the right one waits until the login has ended, and then shows how.
///
/// Any program of this machine can reach the listener; `state` and PKCE are what protects the login (RFC 8252 §8.1).
///
/// It needs a tokio runtime with I/O and time enabled.
///
/// ```
/// use jeton_client::LoopbackRedirect;
/// use jeton_grants::AuthorizationCode;
///
/// // For a server that insists on the exact redirect URI http://localhost:8976/oauth/done.
/// let redirect = LoopbackRedirect::new().host("localhost").port(8976).path("/oauth/done");
/// let grant = AuthorizationCode::new(redirect);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LoopbackRedirect {
    port: u16,
    path: String,
    host: Option<String>,
}

impl LoopbackRedirect {
    /// Any free port, the path `/callback`, the address as host.
    pub fn new() -> Self {
        Self { port: 0, path: "/callback".to_owned(), host: None }
    }

    /// This port and no other, for a server that does not take any port (0: any free one). Only one login at a time can
    /// use it.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The path of the redirect URI; it begins with `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The host in the redirect URI: `localhost`, `127.0.0.1` or `[::1]`. It does not change where the listener is: on
    /// loopback only.
    ///
    /// Leave it alone unless the server knows nothing but `localhost`: what that name leads to is for the machine's name
    /// resolution to say (RFC 8252 §8.3).
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Binds the addresses, IPv4 first.
    fn bind(&self, host: Host) -> Result<Vec<TcpListener>, InteractionError> {
        let mut last = None;
        for attempt in 1..=PORT_TRIES {
            match bind_both(self.port) {
                Ok(Bound { listeners, v6_taken: false }) if host.served_by(&listeners) => {
                    return Ok(listeners);
                }
                // Somebody else has this port of [::1]. The redirect URI leads to the other address, so that it does no
                // harm where there is no choice, unless the host is a name that may lead to either.
                Ok(Bound { listeners, v6_taken: true })
                    if host == Host::V4 && (self.port != 0 || attempt == PORT_TRIES) =>
                {
                    return Ok(listeners);
                }
                Ok(Bound { v6_taken: true, .. }) => last = Some(io::Error::from(io::ErrorKind::AddrInUse)),
                Ok(Bound { .. }) => last = Some(io::Error::from(io::ErrorKind::AddrNotAvailable)),
                Err(error) => last = Some(error),
            }
            if self.port != 0 {
                break;
            }
        }
        Err(self.bind_error(&last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
    }

    fn bind_error(&self, error: &io::Error) -> InteractionError {
        let port = self.port;
        InteractionError::failed(match error.kind() {
            io::ErrorKind::AddrInUse if port != 0 => format!(
                "port {port} on loopback is taken by another program, perhaps by another login that is still waiting; \
                 end that, or choose another port whose redirect URI is registered for this client"
            ),
            io::ErrorKind::PermissionDenied if port != 0 => format!(
                "this program may not listen on port {port} on loopback ({error}); choose a port above 1023 whose \
                 redirect URI is registered for this client"
            ),
            _ => format!(
                "no port on loopback could be opened for the answer to the login ({error}); check this machine's \
                 loopback interface, or paste the redirected URL instead"
            ),
        })
    }
}

impl Default for LoopbackRedirect {
    fn default() -> Self {
        Self::new()
    }
}

/// To what the host of the redirect URI leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// `127.0.0.1` if it is to be had, else `[::1]`.
    V4,
    /// `[::1]` because the program says so.
    V6,
    /// `localhost`, which may be either.
    Name,
}

impl Host {
    fn parse(host: Option<&str>) -> Result<Self, InteractionError> {
        match host {
            None | Some("127.0.0.1") => Ok(Self::V4),
            Some("[::1]" | "::1") => Ok(Self::V6),
            Some(name) if name.eq_ignore_ascii_case("localhost") => Ok(Self::Name),
            Some(other) => Err(InteractionError::failed(format!(
                "the host {other:?} of the redirect URI is not loopback; use localhost, 127.0.0.1 or [::1]"
            ))),
        }
    }

    fn served_by(self, listeners: &[TcpListener]) -> bool {
        self != Self::V6 || addresses(listeners).iter().any(SocketAddr::is_ipv6)
    }
}

struct Bound {
    listeners: Vec<TcpListener>,
    /// IPv6 is there, but somebody else has the port.
    v6_taken: bool,
}

/// Listens on `127.0.0.1` and on the same port of `[::1]`; on one of them if the machine has but one.
///
/// std sets `SO_REUSEADDR` on Unix, so that connections of an earlier login that linger in the kernel do not hold the
/// port; two listeners still exclude each other. On Windows that option would mean that anybody may take the port over,
/// lingering connections do not matter, and std leaves it off.
fn bind_both(port: u16) -> io::Result<Bound> {
    let v4 = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let port = match &v4 {
        Ok(listener) => listener.local_addr()?.port(),
        Err(error) if is_missing(error) => port,
        Err(_) => return v4.map(|_| Bound { listeners: Vec::new(), v6_taken: false }),
    };
    match bind(IpAddr::V6(Ipv6Addr::LOCALHOST), port) {
        Ok(v6) => Ok(Bound { listeners: v4.into_iter().chain([v6]).collect(), v6_taken: false }),
        Err(error) => {
            let v6_taken = !is_missing(&error);
            v4.map(|v4| Bound { listeners: vec![v4], v6_taken })
        }
    }
}

fn bind(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddr::new(address, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Whether the machine has no such address, or nothing of that protocol at all.
fn is_missing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

#[async_trait]
impl RedirectEndpoint for LoopbackRedirect {
    async fn open(&self, state: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
        let runtime = Handle::try_current().map_err(|_| {
            InteractionError::failed(
                "the loopback listener has to be opened on a tokio runtime with I/O and time enabled",
            )
        })?;
        let host = Host::parse(self.host.as_deref())?;
        let listeners = self.bind(host)?;
        let site = Site::new(&addresses(&listeners), host, &self.path)?;
        let redirect_uri = site.redirect_uri.clone();

        let (redirected_in, redirected) = mpsc::channel(1);
        let (ending_in, ending) = watch::channel(None);
        let listeners = Arc::new(Listeners(Mutex::new(listeners)));
        let login = Login {
            site,
            state: state.clone(),
            redirected: Mutex::new(Some(redirected_in)),
            ending: ending.clone(),
        };
        let accepting = runtime.spawn(accept(Arc::clone(&listeners), Arc::new(login), ending));
        tracing::debug!(redirect_uri, "waiting for the redirect");
        Ok(Box::new(LoopbackReceiver {
            redirect_uri,
            listeners,
            redirected,
            ending: Some(ending_in),
            accepting: Some(accepting),
        }))
    }
}

/// One open listener. Dropping it closes the port at once, and tells a waiting browser that the login was given up.
struct LoopbackReceiver {
    redirect_uri: String,
    listeners: Arc<Listeners>,
    redirected: mpsc::Receiver<Url>,
    /// Dropped without a page when the login is given up.
    ending: Option<watch::Sender<Option<Page>>>,
    accepting: Option<JoinHandle<()>>,
}

#[async_trait]
impl RedirectReceiver for LoopbackReceiver {
    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    async fn receive(&mut self) -> Result<Url, InteractionError> {
        self.redirected.recv().await.ok_or_else(|| {
            InteractionError::failed(
                "the loopback listener has ended or has already given its one redirect; start the login again",
            )
        })
    }

    async fn finish(&mut self, outcome: LoginOutcome<'_>) {
        self.listeners.close();
        if let Some(ending) = self.ending.take() {
            ending.send_replace(Some(Page::outcome(outcome)));
            // Until the page has gone out: the program may be about to exit. The task has a limit of its own.
            if let Some(accepting) = self.accepting.take() {
                let _ = accepting.await;
            }
        }
    }
}

impl Drop for LoopbackReceiver {
    fn drop(&mut self) {
        self.listeners.close();
    }
}

/// The listening sockets, which are closed from outside of the task that accepts on them.
struct Listeners(Mutex<Vec<TcpListener>>);

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().clear();
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        for listener in self.lock().iter() {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    }
}

/// A connection's task.
struct Connection {
    task: AbortHandle,
    /// Whether it brought the right redirect and waits for the login's end.
    held: Arc<AtomicBool>,
}

/// Accepts until the login ends, then sees the last pages out.
async fn accept(listeners: Arc<Listeners>, login: Arc<Login>, mut ending: watch::Receiver<Option<Page>>) {
    let mut tasks = JoinSet::new();
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            biased;
            // Either there is a page now, or the sender is gone.
            _ = ending.changed() => break,
            Some(_) = tasks.join_next() => {
                connections.retain(|connection| !connection.task.is_finished());
                continue;
            }
            accepted = poll_fn(|cx| listeners.poll_accept(cx)) => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Such as no file descriptors left; that passes.
                    tracing::debug!("accepting on loopback failed: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if connections.len() >= MOST_CONNECTIONS {
            let oldest = connections.iter().position(|connection| !connection.held.load(Ordering::Relaxed));
            if let Some(connection) = connections.remove(oldest.unwrap_or(0)) {
                connection.task.abort();
            }
        }
        let held = Arc::new(AtomicBool::new(false));
        let task = tasks.spawn(serve(stream, Arc::clone(&login), Arc::clone(&held)));
        connections.push_back(Connection { task, held });
    }
    for connection in connections.iter().filter(|connection| !connection.held.load(Ordering::Relaxed)) {
        connection.task.abort();
    }
    let _ = tokio::time::timeout(LINGER, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Serves one connection: one request, one answer.
async fn serve(stream: TcpStream, login: Arc<Login>, held: Arc<AtomicBool>) {
    let service = service_fn(|request| {
        let (login, held) = (Arc::clone(&login), Arc::clone(&held));
        async move { Ok::<_, std::convert::Infallible>(login.answer(&request, &held).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(LARGEST_HEADER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = pin!(connection).await {
        // It names no part of the request.
        tracing::debug!("a connection to the loopback listener ended early: {error}");
    }
}

/// The login that waits for its redirect.
struct Login {
    site: Site,
    state: Secret,
    /// Taken by the first right request.
    redirected: Mutex<Option<mpsc::Sender<Url>>>,
    ending: watch::Receiver<Option<Page>>,
}

impl Login {
    async fn answer(&self, request: &Request<Incoming>, held: &AtomicBool) -> Response<Full<Bytes>> {
        let page = match self.site.judge(request, &self.state) {
            Judgement::Redirect(url) => {
                held.store(true, Ordering::Relaxed);
                self.deliver(url);
                self.ending().await
            }
            Judgement::Stray(page) => {
                // Its path may be somebody's secret: nothing of it is logged.
                tracing::debug!(method = %request.method(), "a stray request came to the loopback listener");
                page
            }
        };
        page.into_response()
    }

    /// Gives the first redirect to the one who waits. Browsers may send it twice; the second only waits for the page.
    fn deliver(&self, url: Url) {
        let sender = self.redirected.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The channel has room for the one, and if nobody listens any more, the page says so.
            let _ = sender.try_send(url);
        }
    }

    async fn ending(&self) -> Page {
        let mut ending = self.ending.clone();
        let page = ending.wait_for(Option::is_some).await.ok().and_then(|page| page.clone());
        page.unwrap_or_else(Page::abandoned)
    }
}

/// The address of the listener, as browsers see it.
struct Site {
    redirect_uri: String,
    /// What `Host` may be.
    authorities: Vec<String>,
    /// Scheme and authority of the redirect URI.
    origin: String,
    path: String,
}

enum Judgement {
    Redirect(Url),
    Stray(Page),
}

impl Site {
    fn new(addresses: &[SocketAddr], host: Host, path: &str) -> Result<Self, InteractionError> {
        let port = addresses.first().map_or(0, SocketAddr::port);
        // Browsers leave the scheme's own port out.
        let port = if port == 80 { String::new() } else { format!(":{port}") };
        let authority = |host: &str| format!("{host}{port}");
        let has_v4 = addresses.iter().any(SocketAddr::is_ipv4);
        let mut authorities: Vec<String> = addresses
            .iter()
            .map(|address| authority(if address.is_ipv4() { "127.0.0.1" } else { "[::1]" }))
            .collect();
        let own = match host {
            Host::Name => {
                authorities.push(authority("localhost"));
                authority("localhost")
            }
            Host::V4 if has_v4 => authority("127.0.0.1"),
            Host::V4 | Host::V6 => authority("[::1]"),
        };
        let origin = format!("http://{own}");
        let redirect_uri = format!("{origin}{path}");
        let url =
            Url::parse(&redirect_uri).ok().filter(|url| path.starts_with('/') && url[..] == redirect_uri);
        if url.is_none_or(|url| url.query().is_some() || url.fragment().is_some()) {
            return Err(InteractionError::failed(format!(
                "{path:?} cannot be the path of a redirect URI; it begins with / and has neither query nor fragment, \
                 dot segments or characters that need percent-encoding"
            )));
        }
        Ok(Self { redirect_uri, authorities, origin, path: path.to_owned() })
    }

    /// `Host` before path, path before method, method before `state`.
    fn judge<B>(&self, request: &Request<B>, state: &Secret) -> Judgement {
        if !self.is_addressed(request) {
            return Judgement::Stray(Page::wrong_host());
        }
        if request.uri().path() != self.path {
            return Judgement::Stray(Page::not_found());
        }
        match *request.method() {
            Method::GET => {}
            Method::HEAD => return Judgement::Stray(Page::head()),
            _ => return Judgement::Stray(Page::wrong_method()),
        }
        let query = request.uri().query().unwrap_or_default();
        let url = Url::parse(&format!("{}{}?{query}", self.origin, self.path));
        match url {
            Ok(url) if AuthorizationResponse::has_state(&url, state) => Judgement::Redirect(url),
            _ => Judgement::Stray(Page::wrong_state()),
        }
    }

    /// Whether the request means this listener: a web page elsewhere can make its own name lead to loopback, but not
    /// change the `Host` that the browser sends.
    fn is_addressed<B>(&self, request: &Request<B>) -> bool {
        let is_own = |authority: &str| self.authorities.iter().any(|own| own.eq_ignore_ascii_case(authority));
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        // A request line with a whole URL overrides Host (RFC 9112 §3.2.2): both have to be right.
        host.to_str().is_ok_and(is_own) && request.uri().authority().is_none_or(|own| is_own(own.as_str()))
    }
}
