//! `Transport`: how one HTTP request is sent. Any HTTP library can stand behind it; jeton-client has one over reqwest.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// What a [`Transport`] must keep to in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest that the whole exchange may take, from connecting to the last byte of the body. 30 s by default.
    pub timeout: Duration,
    /// The largest body that is read, in bytes after undoing content encodings. 1 MiB by default.
    pub max_body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), max_body: 1 << 20 }
    }
}

/// Sends one HTTP request and reads the whole answer.
///
/// # Contract
/// - Redirects are **not** followed: an answer with status 3xx is given back as it is (RFC 9700 §4.12).
/// - The [`Limits`] hold: a body over `max_body` is [`TransportErrorKind::BodyTooLarge`], and reading stops there;
///   an exchange over `timeout` is [`TransportErrorKind::Timeout`].
/// - The request goes out at most once: no retries, unless it is certain that not a byte of it was sent.
/// - Any status is an answer, not an error.
/// - Nothing of the request is logged but method and URL without query.
/// - Certificates are verified.
///
/// The example `own_transport` of this crate implements it without any HTTP library.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` and gives back the answer with its whole body.
    ///
    /// # Errors
    /// [`TransportError`] if there is no complete answer.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// Sends `request` and sees to it that no body over the limit gets into a parser, whoever wrote the transport.
///
/// No `async fn`: its future would hold the request beside the transport's future, which has it.
pub(crate) fn send<'a>(
    transport: &'a dyn Transport,
    request: http::Request<Bytes>,
    limits: &'a Limits,
) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>> + Send {
    let answered = transport.send(request, limits);
    async move {
        let response = answered.await?;
        if response.body().len() > limits.max_body {
            return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
        }
        Ok(response)
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        (**self).send(request, limits).await
    }
}

/// What kept an answer from coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection came about; the server has not seen the request.
    Connect,
    /// A connection came about, but no secure one: the certificate is not trusted or names another host, or the other side
    /// does not speak TLS. The server has not seen the request. Trying again does not mend it.
    Tls,
    /// The time was over. The server may have seen the request.
    Timeout,
    /// The connection broke before the whole answer was there. The server may have seen the request.
    Interrupted,
    /// The answer's body is larger than the limit. The server has seen the request.
    BodyTooLarge,
    /// The request could not be made, so that nothing was sent.
    Request,
}

/// No complete answer. It shows neither bodies nor queries of URLs.
#[derive(Clone)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// An error of that kind without a cause.
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Adds the cause. Its texts are shown, so they must not hold a secret: strip queries from URLs first.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What happened.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the server may have acted on the request. If so, a single-use code or refresh token may be used up.
    pub fn may_have_reached_server(&self) -> bool {
        !matches!(
            self.kind,
            TransportErrorKind::Connect | TransportErrorKind::Tls | TransportErrorKind::Request
        )
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "no connection could be made",
            TransportErrorKind::Tls => {
                "no secure connection could be made (check the URL, the certificate authorities that are trusted, and whether \
                 the network wants a login of its own)"
            }
            TransportErrorKind::Timeout => "no answer in time",
            TransportErrorKind::Interrupted => "the connection broke before the answer was complete",
            TransportErrorKind::BodyTooLarge => "the answer is larger than the limit",
            TransportErrorKind::Request => "the request could not be made",
        })?;
        // The innermost cause is the one that says something ("Connection refused").
        let mut cause: Option<&dyn StdError> = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(deeper) = cause.and_then(StdError::source) {
            cause = Some(deeper);
        }
        cause.map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.kind)
            .field("message", &self.to_string())
            .finish()
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
