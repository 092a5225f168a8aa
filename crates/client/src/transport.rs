//! `ReqwestTransport`: the `Transport` of the grants over reqwest, for requests to an authorization server.

use std::fmt;
use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind};
use jeton_models::is_secure_or_loopback;
use url::Url;

use crate::http::{HttpClients, HttpOptions, HttpOptionsError};

/// Sends requests with reqwest, and keeps to the contract of [`Transport`]: no redirects, no retries, a cap on the body,
/// one deadline for the whole exchange, certificates verified.
///
/// The deadline counts the time in which the process runs: while it is stopped or the machine asleep, an answer may come that
/// is worth a login.
///
/// Plain HTTP goes to this very machine only. Compressed answers are not asked for and not undone, so that the cap counts
/// what is really there. HTTP/2 is spoken where the server offers it (feature `http2`).
///
/// It has to run on a tokio runtime with I/O and time enabled; cloning is cheap and shares the connections. Connections
/// belong to the runtime on which they were made: do not share one transport between runtimes that end one before the
/// other.
///
/// ```
/// # use jeton_devserver::DevServer;
/// use jeton_client::{HttpOptions, ReqwestTransport};
/// use jeton_grants::{Limits, Transport, bytes::Bytes, http::Request};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// # let server = DevServer::start()?;
/// # let url = server.metadata_url();
/// let transport = ReqwestTransport::new(&HttpOptions::new())?;
/// let answer = transport.send(Request::get(url).body(Bytes::new())?, &Limits::default()).await?;
/// assert_eq!(answer.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReqwestTransport {
    clients: HttpClients,
    /// The URL of the last request, unless it had a query, in which there may be a key.
    last: Arc<ArcSwapOption<Url>>,
}

impl ReqwestTransport {
    /// A transport with these options.
    ///
    /// # Errors
    /// [`HttpOptionsError`], which names the option that cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self, HttpOptionsError> {
        Self::configured(options, |builder| builder)
    }

    /// One whose names are resolved by that resolver.
    #[cfg(feature = "registration")]
    pub(crate) fn with_resolver(
        options: &HttpOptions,
        resolver: Arc<dyn reqwest::dns::Resolve>,
    ) -> Result<Self, HttpOptionsError> {
        Self::configured(options, |builder| builder.dns_resolver(resolver.clone()))
    }

    fn configured(
        options: &HttpOptions,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, HttpOptionsError> {
        let clients = HttpClients::new(options, |builder| {
            configure(builder)
                // RFC 9700 §4.12.
                .redirect(reqwest::redirect::Policy::none())
                // reqwest repeats what an HTTP/2 server says it has not processed. A proxy in between may say so, too,
                // and a refresh token must not go out twice. (What hyper still repeats, it has not begun to write.)
                .retry(reqwest::retry::never())
                // Other crates of the program may have switched on reqwest's decoders.
                .no_gzip()
                .no_brotli()
                .no_zstd()
                .no_deflate()
        })?;
        Ok(Self { clients, last: Arc::default() })
    }

    /// The request as reqwest has it. To take its URL apart once more costs more than all the rest, and a client asks the same
    /// endpoint again and again.
    fn request(&self, request: http::Request<Bytes>) -> Result<reqwest::Request, TransportError> {
        let last = self.last.load();
        let Some(url) = last.as_deref().filter(|url| is_spelled(url, request.uri())) else {
            let request = reqwest::Request::try_from(request).map_err(transport_error)?;
            if request.url().query().is_none() {
                self.last.store(Some(Arc::new(request.url().clone())));
            }
            return Ok(request);
        };
        let (parts, body) = request.into_parts();
        let mut request = reqwest::Request::new(parts.method, url.clone());
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(body.into());
        Ok(request)
    }

    /// reqwest's future of the answer. Nothing goes out before it is polled.
    fn start(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<impl Future<Output = reqwest::Result<reqwest::Response>> + Send + use<>, TransportError> {
        let mut request = self.request(request)?;
        check(request.url())?;
        // Without the header any encoding would be welcome (RFC 9110 §12.5.3).
        request.headers_mut().entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        Ok(self.clients.for_url(request.url()).execute(request))
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}

impl Transport for ReqwestTransport {
    // Not an `async fn`: its future would keep room for the request beside reqwest's future, which has it. That future lives
    // as long as the request is under way, and what is small stays in the cache when there are many.
    fn send<'a, 'b, 'c>(
        &'a self,
        request: http::Request<Bytes>,
        limits: &'b Limits,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, TransportError>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match self.start(request) {
            Ok(answered) => Box::pin(finish(answered, limits)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// Waits for the answer and reads it, within the limits.
async fn finish(
    answered: impl Future<Output = reqwest::Result<reqwest::Response>>,
    limits: &Limits,
) -> Result<http::Response<Bytes>, TransportError> {
    let exchange = async {
        let mut response = answered.await.map_err(transport_error)?;
        let body = read(&mut response, limits.max_body).await?;
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.version_mut() = response.version();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    };
    match select(pin!(exchange), pin!(time_awake(limits.timeout))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(TransportError::new(TransportErrorKind::Timeout)),
    }
}

/// Into so many parts the time limit is cut.
const PARTS: u32 = 8;

/// A part may take so much longer than twice its time on a busy machine, and still counts.
const BUSY: Duration = Duration::from_millis(50);

/// Waits for so long, not counting a time in which this process was stopped or the machine asleep.
///
/// The answer may have come meanwhile and lie ready. To look at the clock first would mean to throw it away, and with it the
/// login: the server has used up the refresh token. So what is left of the limit goes on after waking.
async fn time_awake(limit: Duration) {
    let part = limit / PARTS;
    // A machine so busy that every part takes longer ends the wait, too.
    let (mut passed, mut missed) = (0, 0);
    while passed < PARTS && missed < PARTS {
        let begun = Instant::now();
        tokio::time::sleep(part).await;
        match begun.elapsed() <= part * 2 + BUSY {
            true => passed += 1,
            false => missed += 1,
        }
    }
}

/// Whether that URL and that URI are the same, letter for letter.
fn is_spelled(url: &Url, uri: &http::Uri) -> bool {
    let rest = || {
        let rest = url.as_str().strip_prefix(uri.scheme_str()?)?.strip_prefix("://")?;
        rest.strip_prefix(uri.authority()?.as_str())
    };
    rest().is_some_and(|rest| uri.path_and_query().is_some_and(|path| path.as_str() == rest))
}

/// Refuses what would go over a network in the clear, or cannot go at all.
fn check(url: &Url) -> Result<(), TransportError> {
    let refused =
        |what: &'static str| Err(TransportError::new(TransportErrorKind::Request).with_source(what));
    if !is_secure_or_loopback(url) {
        return refused("the URL is neither HTTPS nor on loopback; use https://");
    }
    if cfg!(not(any(feature = "rustls", feature = "native-tls"))) && url.scheme() == "https" {
        return refused(
            "this build has no TLS; build jeton-client with the feature `rustls` or `native-tls`",
        );
    }
    Ok(())
}

/// Reads the body, and stops as soon as it is over the limit.
async fn read(response: &mut reqwest::Response, max_body: usize) -> Result<Bytes, TransportError> {
    let too_large = || Err(TransportError::new(TransportErrorKind::BodyTooLarge));
    let announced = response.content_length().map(usize::try_from);
    let room = match announced {
        Some(Ok(length)) if length <= max_body => length,
        Some(_) => return too_large(),
        None => 0,
    };
    // Most answers come in one piece, which is taken as it is.
    let first = response.chunk().await.map_err(transport_error)?.unwrap_or_default();
    if first.len() > max_body {
        return too_large();
    }
    let Some(second) = response.chunk().await.map_err(transport_error)? else { return Ok(first) };
    let mut body = BytesMut::with_capacity(room.max(first.len()));
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if chunk.len() > max_body - body.len() {
            return too_large();
        }
        body.extend_from_slice(&chunk);
        next = response.chunk().await.map_err(transport_error)?;
    }
    Ok(body.freeze())
}

fn transport_error(error: reqwest::Error) -> TransportError {
    #[cfg(feature = "rustls")]
    if let Some(refused) = CertificateRefused::by(&error) {
        return TransportError::new(TransportErrorKind::Tls).with_source(refused);
    }
    // Connecting has a time limit of its own. When that is over, nothing of the request was sent: it comes first.
    let kind = if is_tls(&error) {
        TransportErrorKind::Tls
    } else if error.is_connect() {
        TransportErrorKind::Connect
    } else if error.is_timeout() {
        TransportErrorKind::Timeout
    } else if error.is_builder() {
        TransportErrorKind::Request
    } else {
        TransportErrorKind::Interrupted
    };
    // The URL may hold secrets in its query.
    TransportError::new(kind).with_source(error.without_url())
}

/// What rustls says, somewhere down the chain of causes.
#[cfg(feature = "rustls")]
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // An I/O error shows the causes of what it wraps, not what it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let found = wrapped.and_then(|wrapped| rustls_error(wrapped));
    found.or_else(|| error.source().and_then(rustls_error))
}

/// Whether connecting failed because of TLS.
#[cfg(feature = "rustls")]
fn is_tls(error: &reqwest::Error) -> bool {
    error.is_connect() && rustls_error(error).is_some()
}

/// The server ended the handshake because of the client's certificate. In TLS 1.3 the client hears of that when it has sent its
/// request already, which the server then never looks at.
#[cfg(feature = "rustls")]
#[derive(Debug)]
struct CertificateRefused(rustls::AlertDescription);

#[cfg(feature = "rustls")]
impl CertificateRefused {
    fn by(error: &reqwest::Error) -> Option<Self> {
        use rustls::AlertDescription as Alert;

        let Some(rustls::Error::AlertReceived(alert)) = rustls_error(error) else { return None };
        let about_the_certificate = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        );
        about_the_certificate.then_some(Self(*alert))
    }
}

#[cfg(feature = "rustls")]
impl fmt::Display for CertificateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustls::AlertDescription as Alert;

        match self.0 {
            Alert::CertificateRequired | Alert::NoCertificate => f.write_str(
                "the server wants a client certificate, and got none: set HttpOptions::client_certificate",
            ),
            alert => write!(f, "the server does not take the client certificate ({alert:?})"),
        }
    }
}

#[cfg(feature = "rustls")]
impl std::error::Error for CertificateRefused {}

/// The platform's TLS does not tell its errors from those of connecting.
#[cfg(not(feature = "rustls"))]
fn is_tls(_: &reqwest::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_from_the_last_request_only_if_it_is_spelled_the_same() {
        let spelled = |url: &str, uri: &str| is_spelled(&url.parse().unwrap(), &uri.parse().unwrap());
        assert!(spelled("https://as.example/token", "https://as.example/token"));
        assert!(spelled("https://as.example:8443/token", "https://as.example:8443/token"));
        assert!(spelled("http://[::1]:80/", "http://[::1]/"));
        for other in [
            "https://as.example/token/",
            "https://as.example/token?a",
            "https://as.example/tokens",
            "https://as.example:8443/token",
            "http://as.example/token",
            "https://as.example.evil/token",
            "https://AS.example/token",
            "/token",
        ] {
            assert!(!spelled("https://as.example/token", other), "{other}");
        }
    }

    #[test]
    fn each_request_goes_where_it_says_and_no_query_is_remembered() {
        let transport = ReqwestTransport::new(&HttpOptions::new().no_proxy()).unwrap();
        let request = |url: &str| {
            let mut request = http::Request::post(url).body(Bytes::from_static(b"body")).unwrap();
            request.headers_mut().insert("x-own", HeaderValue::from_static("1"));
            transport.request(request).unwrap()
        };
        for url in
            ["https://a.example/t", "https://a.example/t", "https://b.example/t", "https://b.example/t?key=k"]
        {
            let request = request(url);
            assert_eq!(request.url().as_str(), url);
            assert_eq!(request.method(), http::Method::POST);
            assert_eq!(request.headers()["x-own"], "1");
            assert_eq!(request.body().and_then(reqwest::Body::as_bytes), Some(&b"body"[..]));
        }
        assert_eq!(transport.last.load().as_deref().map(Url::as_str), Some("https://b.example/t"));
    }
}
