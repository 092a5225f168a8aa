//! A [`Transport`] without any HTTP library: HTTP/1.1 over a TCP connection, one request on each.
//!
//! It speaks plain HTTP and therefore to loopback only, where nobody listens in. For anything else put TLS under it, or
//! take a library. It keeps to the whole contract of [`Transport`]: no redirects, no retries, bounded time, bounded body.

use std::time::Duration;

use jeton_grants::bytes::Bytes;
use jeton_grants::http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use jeton_grants::http::{Method, Request, Response, StatusCode, Uri};
use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind, async_trait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// The largest header section that is read, in bytes.
const LARGEST_HEAD: usize = 64 << 10;

/// Longer than any exchange may take; a limit beyond it is as good as none.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Plain HTTP to loopback.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlainHttp;

#[async_trait]
impl Transport for PlainHttp {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let deadline = Instant::now() + limits.timeout.min(LONGEST);
        let (host, port) = loopback(request.uri())?;
        let late = |kind| move |_| error(kind, "the time is over");

        let connected = timeout_at(deadline, connect(&host, port)).await;
        let stream = connected.map_err(late(TransportErrorKind::Connect))??;
        // From here on the server may see the request.
        let exchange = timeout_at(deadline, exchange(stream, &request, limits.max_body)).await;
        exchange.map_err(late(TransportErrorKind::Timeout))?
    }
}

fn error(kind: TransportErrorKind, what: impl Into<String>) -> TransportError {
    TransportError::new(kind).with_source(what.into())
}

/// Host and port, if that is plain HTTP to this machine.
fn loopback(uri: &Uri) -> Result<(String, u16), TransportError> {
    let refuse = |what| Err(error(TransportErrorKind::Request, what));
    if uri.scheme_str() != Some("http") {
        return refuse("this transport has no TLS: it speaks plain HTTP to loopback only");
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    if !is_loopback && host != "localhost" {
        return refuse("plain HTTP goes to loopback only: 127.0.0.1, [::1], localhost");
    }
    Ok((host.to_owned(), uri.port_u16().unwrap_or(80)))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, TransportError> {
    let failed =
        |source: std::io::Error| TransportError::new(TransportErrorKind::Connect).with_source(source);
    // `localhost` is a name: what it leads to has to be loopback, too.
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(failed)?;
    let mut last = error(TransportErrorKind::Connect, "the name leads to no loopback address");
    for address in addresses.filter(|address| address.ip().is_loopback()) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(source) => last = failed(source),
        }
    }
    Err(last)
}

async fn exchange(
    mut stream: TcpStream,
    request: &Request<Bytes>,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    stream.write_all(&head_of(request)?).await.map_err(interrupted)?;
    stream.write_all(request.body()).await.map_err(interrupted)?;

    let mut reader = Reader { stream, buffer: Vec::new() };
    loop {
        let response = reader.head().await?;
        // 100 Continue and its like come before the answer (RFC 9110 §15.2).
        if !response.status().is_informational() {
            let body = reader.body(request.method(), &response, max_body).await?;
            return Ok(response.map(|()| body));
        }
    }
}

fn interrupted(source: std::io::Error) -> TransportError {
    TransportError::new(TransportErrorKind::Interrupted).with_source(source)
}

/// Request line and headers. `http` has checked that no value holds a line break.
fn head_of(request: &Request<Bytes>) -> Result<Vec<u8>, TransportError> {
    let uri = request.uri();
    let authority =
        uri.authority().ok_or_else(|| error(TransportErrorKind::Request, "the URL has no host"))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    let length = HeaderValue::from(request.body().len());
    let own = [
        (HOST, HeaderValue::from_str(authority.as_str()).ok()),
        (CONNECTION, Some(HeaderValue::from_static("close"))),
        (CONTENT_LENGTH, Some(length).filter(|_| request.method() != Method::GET)),
    ];
    let own = own.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (name, value) in own.chain(request.headers()) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// What has been read and not been used yet.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads on; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, TransportError> {
        Ok(self.stream.read_buf(&mut self.buffer).await.map_err(interrupted)? > 0)
    }

    async fn more_or_broken(&mut self) -> Result<(), TransportError> {
        match self.more().await? {
            true => Ok(()),
            false => Err(TransportError::new(TransportErrorKind::Interrupted)),
        }
    }

    /// Takes everything up to `mark`, and the mark with it.
    async fn until(&mut self, mark: &[u8], most: usize) -> Result<Vec<u8>, TransportError> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return Ok(self.buffer.drain(..at + mark.len()).collect());
            }
            if self.buffer.len() > most {
                return Err(error(TransportErrorKind::BodyTooLarge, "the header section is too large"));
            }
            self.more_or_broken().await?;
        }
    }

    async fn exactly(&mut self, bytes: usize) -> Result<Vec<u8>, TransportError> {
        while self.buffer.len() < bytes {
            self.more_or_broken().await?;
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    async fn head(&mut self) -> Result<Response<()>, TransportError> {
        let head = self.until(b"\r\n\r\n", LARGEST_HEAD).await?;
        parse_head(&head).ok_or_else(|| error(TransportErrorKind::Interrupted, "the answer is not HTTP/1.1"))
    }

    /// The body in one of the three ways in which it may be framed (RFC 9112 §6.3).
    async fn body(
        &mut self,
        method: &Method,
        response: &Response<()>,
        max_body: usize,
    ) -> Result<Bytes, TransportError> {
        let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge);
        let no_body = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        if method == Method::HEAD || no_body.contains(&response.status()) {
            return Ok(Bytes::new());
        }
        if response.headers().contains_key(TRANSFER_ENCODING) {
            return self.chunks(max_body).await;
        }
        if let Some(length) = response.headers().get(CONTENT_LENGTH) {
            let length = length.to_str().ok().and_then(|length| length.trim().parse().ok());
            let length: usize = length.ok_or_else(|| error(TransportErrorKind::Interrupted, "no length"))?;
            if length > max_body {
                return Err(too_large());
            }
            return Ok(self.exactly(length).await?.into());
        }
        while self.more().await? {
            if self.buffer.len() > max_body {
                return Err(too_large());
            }
        }
        Ok(std::mem::take(&mut self.buffer).into())
    }

    async fn chunks(&mut self, max_body: usize) -> Result<Bytes, TransportError> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n", LARGEST_HEAD).await?;
            let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size =
                size.ok_or_else(|| error(TransportErrorKind::Interrupted, "a chunk without a size"))?;
            if size > max_body.saturating_sub(body.len()) {
                return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
            }
            if size == 0 {
                return Ok(body.into());
            }
            body.extend_from_slice(&self.exactly(size).await?);
            self.until(b"\r\n", 2).await?;
        }
    }
}

fn parse_head(head: &[u8]) -> Option<Response<()>> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status_line = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = status_line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let mut response = Response::new(());
    *response.status_mut() = words.next()?.parse().ok()?;
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        response.headers_mut().append(name, value);
    }
    Some(response)
}
