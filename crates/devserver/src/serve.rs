//! The plumbing: a listener on loopback, a thread with a small runtime of its own, connections that can be cut at
//! any byte. Nothing here knows OAuth.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::answer::{Answer, Request};
use crate::mutual_tls::{MutualTls, Presented};

/// How long stopping waits for the server's thread. Nothing on it blocks, but for what a test hands in (a clock, a
/// rewrite).
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Request bodies beyond this are refused with 413.
const BODY_CAP: usize = 64 << 20;

/// Many clients may connect at once; the system cuts this down to its own limit.
const BACKLOG: u32 = 16_384;

/// The connection is to be closed, without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed without an answer, as a fault asked for")
    }
}

impl std::error::Error for Cut {}

/// An answer and how its body goes out.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) delivery: Delivery,
}

pub(crate) enum Delivery {
    Whole,
    /// The connection is closed after so many bytes of the body.
    Truncated(usize),
    /// Not the answer's body but so many bytes of JSON.
    Filler(u64),
}

/// What answers requests.
pub(crate) trait Respond: Send + Sync + 'static {
    fn connected(&self) {}
    fn respond(self: Arc<Self>, request: Request) -> impl Future<Output = Result<Reply, Cut>> + Send;
}

/// A bound listener that does not accept yet.
pub(crate) struct Bound {
    runtime: Runtime,
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    tls: Option<(TcpListener, Arc<MutualTls>)>,
}

/// Binds a port on loopback, or any free one for 0.
pub(crate) fn bind(port: u16) -> io::Result<Bound> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bound = {
        let _entered = runtime.enter();
        listen(port)
    };
    match bound {
        Ok((listener, address)) => Ok(Bound { runtime, listener, address, tls: None }),
        Err(error) => {
            // A runtime may not be dropped where the caller's own one runs.
            runtime.shutdown_background();
            Err(error)
        }
    }
}

fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    // On a port that was asked for, connections of the server before may still be ending. On Windows the same option would let two
    // servers have one port, and with port 0 it would let the system choose one that is taken.
    if cfg!(unix) && port != 0 {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Bound {
    /// A second port, on TLS; its address.
    pub(crate) fn bind_tls(&mut self, tls: Arc<MutualTls>) -> io::Result<SocketAddr> {
        let _entered = self.runtime.enter();
        let (listener, address) = listen(0)?;
        self.tls = Some((listener, tls));
        Ok(address)
    }

    /// Serves on a thread of its own until the result is dropped.
    pub(crate) fn serve<R: Respond>(self, responder: Arc<R>) -> io::Result<Running> {
        let Self { runtime, listener, address: _, tls } = self;
        let (stop, stopped) = oneshot::channel();
        let (finished, finish) = mpsc::channel();
        // The runtime goes to the thread by way of a channel, so that it is not dropped here if there is no thread.
        let (hand_over, take_over) =
            mpsc::channel::<(Runtime, TcpListener, Option<(TcpListener, Arc<MutualTls>)>)>();
        let spawned = thread::Builder::new().name("jeton-devserver".to_owned()).spawn(move || {
            if let Ok((runtime, listener, tls)) = take_over.recv() {
                runtime.block_on(accept(listener, tls, responder, stopped));
                // Dropping the runtime drops every connection.
                drop(runtime);
            }
            let _ = finished.send(());
        });
        match spawned {
            Ok(thread) => {
                // The thread waits for exactly this.
                let _ = hand_over.send((runtime, listener, tls));
                Ok(Running { stop: Some(stop), finish: Mutex::new(finish), thread: Some(thread) })
            }
            Err(error) => {
                drop((listener, tls));
                runtime.shutdown_background();
                Err(error)
            }
        }
    }
}

/// A serving thread. Dropping it closes the listener and every connection, and waits for the thread to end.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    /// A lock only because a receiver alone cannot be shared between threads.
    finish: Mutex<mpsc::Receiver<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() == thread::current().id() {
            // Dropped by something that a test handed in, on the server's own thread: it cannot wait for itself.
            return;
        }
        let finish = self.finish.get_mut().unwrap_or_else(PoisonError::into_inner);
        match finish.recv_timeout(STOP_WITHIN) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!("the devserver's thread did not end in time and is left behind");
            }
            // A thread that panicked has said so already.
            _ => drop(thread.join()),
        }
    }
}

async fn accept<R: Respond>(
    listener: TcpListener,
    tls: Option<(TcpListener, Arc<MutualTls>)>,
    responder: Arc<R>,
    mut stopped: oneshot::Receiver<()>,
) {
    if let Some((listener, tls)) = tls {
        // Ends with the runtime.
        tokio::spawn(accept_tls(listener, tls, Arc::clone(&responder)));
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                responder.connected();
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, None, Arc::clone(&responder)));
            }
            Err(error) => not_accepted(error).await,
        }
    }
}

async fn accept_tls<R: Respond>(listener: TcpListener, tls: Arc<MutualTls>, responder: Arc<R>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                responder.connected();
                tokio::spawn(tls_connection(stream, Arc::clone(&tls), Arc::clone(&responder)));
            }
            Err(error) => not_accepted(error).await,
        }
    }
}

/// Out of file descriptors, most likely; some connection will end.
async fn not_accepted(error: io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(Duration::from_millis(5)).await;
}

async fn tls_connection<R: Respond>(stream: TcpStream, tls: Arc<MutualTls>, responder: Arc<R>) {
    let _ = stream.set_nodelay(true);
    let stream = match tls.acceptor().accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "no TLS came about"),
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = tls.presented(certificates);
    connection(stream, certificate, responder).await;
}

async fn connection<S, R>(stream: S, certificate: Option<Presented>, responder: Arc<R>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Respond,
{
    let flushes = Arc::new(Flushes::default());
    let io = FlushCounting { inner: TokioIo::new(stream), flushes: Arc::clone(&flushes) };
    let service = service_fn(|request| {
        handle(request, Arc::clone(&responder), Arc::clone(&flushes), certificate.clone())
    });
    let served = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(io, service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn handle<R: Respond>(
    request: hyper::Request<Incoming>,
    responder: Arc<R>,
    flushes: Arc<Flushes>,
    certificate: Option<Presented>,
) -> Result<Response<ReplyBody>, Cut> {
    let (parts, body) = request.into_parts();
    let too_large = || {
        let answer = Answer::empty(StatusCode::PAYLOAD_TOO_LARGE).with_header("connection", "close");
        response(Reply { answer, delivery: Delivery::Whole }, Arc::clone(&flushes))
    };
    // Said beforehand by Content-Length: no need to wait for it.
    if body.size_hint().lower() > BODY_CAP as u64 {
        return Ok(too_large());
    }
    let body = match Limited::new(body, BODY_CAP).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(too_large()),
        Err(_) => return Err(Cut),
    };
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        certificate,
    };
    let reply = responder.respond(request).await?;
    Ok(response(reply, flushes))
}

fn response(reply: Reply, flushes: Arc<Flushes>) -> Response<ReplyBody> {
    let Answer { status, headers, body, problem: _ } = reply.answer;
    let body = match reply.delivery {
        Delivery::Truncated(bytes) if bytes < body.len() => ReplyBody::Truncated {
            left: body.len() as u64,
            part: Some(body.slice(..bytes)),
            flushes,
            flushed_before: None,
        },
        Delivery::Whole | Delivery::Truncated(_) => ReplyBody::Whole(Some(body)),
        Delivery::Filler(bytes) => ReplyBody::Filler { total: bytes, sent: 0 },
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The body of an answer on its way out.
enum ReplyBody {
    Whole(Option<Bytes>),
    Truncated {
        /// What the Content-Length promises of what has not gone out.
        left: u64,
        part: Option<Bytes>,
        flushes: Arc<Flushes>,
        flushed_before: Option<u64>,
    },
    Filler {
        total: u64,
        sent: u64,
    },
}

const FILLER_HEAD: &[u8] = br#"{"filler":""#;
const FILLER_TAIL: &[u8] = br#""}"#;
const FILLER: &[u8] = &[b'a'; 64 << 10];

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Truncated { left, part, flushes, flushed_before } => {
                if let Some(part) = part.take().filter(|part| !part.is_empty()) {
                    *left -= part.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(part))));
                }
                // Failing at once would take what is still in hyper's buffer with it: first let it out.
                let before = *flushed_before.get_or_insert_with(|| flushes.count());
                match flushes.poll_beyond(before, context) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Cut))),
                    Poll::Pending => Poll::Pending,
                }
            }
            Self::Filler { total, sent } => {
                let left = usize::try_from(*total - *sent).unwrap_or(usize::MAX);
                let chunk = match *sent {
                    _ if left == 0 => return Poll::Ready(None),
                    0 => Bytes::from_static(&FILLER_HEAD[..FILLER_HEAD.len().min(left)]),
                    _ if left <= FILLER_TAIL.len() => {
                        Bytes::from_static(&FILLER_TAIL[FILLER_TAIL.len() - left..])
                    }
                    _ => Bytes::from_static(&FILLER[..FILLER.len().min(left - FILLER_TAIL.len())]),
                };
                *sent += chunk.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(body) => body.as_ref().map_or(0, |body| body.len() as u64),
            Self::Truncated { left, .. } => *left,
            Self::Filler { total, sent } => total - sent,
        })
    }
}

/// How often a connection's buffer has gone out entirely.
#[derive(Default)]
struct Flushes {
    count: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Flushes {
    fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    fn one_more(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn poll_beyond(&self, before: u64, context: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.count() > before {
            return Poll::Ready(());
        }
        *waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

/// A stream that counts its flushes. hyper flushes the stream only when its own buffer is empty.
struct FlushCounting<S> {
    inner: TokioIo<S>,
    flushes: Arc<Flushes>,
}

impl<S: AsyncRead + Unpin> Read for FlushCounting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for FlushCounting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.flushes.one_more();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }
}
