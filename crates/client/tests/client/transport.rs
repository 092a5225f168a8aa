//! `ReqwestTransport` against real sockets: each line of the `Transport` contract, and what goes wrong in networks (A33).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jeton_client::{HttpOptions, ReqwestTransport};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind as Kind};

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(&HttpOptions::new().no_proxy()).unwrap()
}

fn limits(timeout: Duration, max_body: usize) -> Limits {
    let mut limits = Limits::default();
    limits.timeout = timeout;
    limits.max_body = max_body;
    limits
}

async fn send(url: &str, limits: &Limits) -> Result<Response<Bytes>, TransportError> {
    transport().send(Request::get(url).body(Bytes::new()).unwrap(), limits).await
}

async fn kind(url: &str, limits: &Limits) -> Kind {
    send(url, limits).await.unwrap_err().kind()
}

/// A server that reads a request's head, writes these bytes to each connection and closes it. It counts connections.
fn raw(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?code=s3cr3t", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            thread::spawn(move || {
                read_head(&mut stream);
                // The client may hang up in the middle.
                let _ = stream.write_all(&answer);
            });
        }
    });
    (url, count)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn the_request_goes_out_as_it_is_and_any_status_is_an_answer() {
    let server = DevServer::recorder().unwrap();
    let request = Request::post(format!("{}/token?tenant=1", server.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "Basic abc")
        .body(Bytes::from_static(b"grant_type=x"))
        .unwrap();
    transport().send(request, &Limits::default()).await.unwrap();
    let seen = server.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/token"));
    assert_eq!(seen.query_value("tenant"), Some("1"));
    assert_eq!(seen.form_value("grant_type"), Some("x"));
    let header = |name: &str| seen.header(name).map(str::to_owned);
    assert_eq!(header("authorization").as_deref(), Some("Basic abc"));
    assert_eq!(header("accept-encoding").as_deref(), Some("identity"));
    assert_eq!(header("user-agent").unwrap(), format!("jeton/{}", env!("CARGO_PKG_VERSION")));

    let server = DevServer::start().unwrap();
    for status in [400, 404, 500, 503] {
        server.fault(Endpoint::Metadata, Fault::Status { status, retry_after: Some("7".into()) });
        let answer = send(&server.metadata_url(), &Limits::default()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert!(!answer.body().is_empty());
    }
}

#[tokio::test]
async fn a33_redirects_are_given_back_and_not_followed() {
    let elsewhere = DevServer::recorder().unwrap();
    let server = DevServer::start().unwrap();
    server.fault(Endpoint::Metadata, Fault::Redirect(format!("{}/stolen", elsewhere.url())));
    let answer = send(&server.metadata_url(), &Limits::default()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers()["location"], format!("{}/stolen", elsewhere.url()).as_str());
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a33_nothing_goes_over_a_network_in_the_clear() {
    for url in [
        "http://as.example/token",
        "http://192.0.2.1/token",
        "http://localhost.example/token",
        "http://127.0.0.1.example/",
    ] {
        let error = send(url, &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Request, "{url}");
        assert!(error.to_string().contains("use https://"), "{error}");
    }
    assert_eq!(kind("ftp://127.0.0.1/", &Limits::default()).await, Kind::Request);
    assert_eq!(kind("/relative", &Limits::default()).await, Kind::Request);
}

#[tokio::test]
async fn a33_a_body_over_the_cap_is_not_read_to_its_end() {
    let server = DevServer::start().unwrap();
    let limits = limits(Duration::from_secs(30), 1_000);
    server.fault(Endpoint::Metadata, Fault::HugeBody(1 << 40));
    assert_eq!(kind(&server.metadata_url(), &limits).await, Kind::BodyTooLarge);
    // Exactly at the cap is in order.
    server.fault(Endpoint::Metadata, Fault::answer(200, "application/json", vec![b' '; 1_000]));
    assert_eq!(send(&server.metadata_url(), &limits).await.unwrap().body().len(), 1_000);
    server.fault(Endpoint::Metadata, Fault::answer(200, "application/json", vec![b' '; 1_001]));
    assert_eq!(kind(&server.metadata_url(), &limits).await, Kind::BodyTooLarge);
}

#[tokio::test]
async fn a33_a_body_of_unknown_length_is_capped_while_it_streams() {
    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        answer.extend_from_slice(b"400\r\n");
        answer.extend_from_slice(&[b'x'; 0x400]);
        answer.extend_from_slice(b"\r\n");
    }
    // There is no last chunk: whoever reads on waits for ever, or finds the body truncated.
    let (url, _) = raw(answer);
    assert_eq!(kind(&url, &limits(Duration::from_secs(30), 50 << 10)).await, Kind::BodyTooLarge);
}

#[tokio::test]
async fn a33_a_compressed_bomb_stays_as_small_as_it_is() {
    // Asked for or not, it is not unpacked.
    let bomb = gzip_of_zeros();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    let (url, _) = raw([head.into_bytes(), bomb.clone()].concat());
    let answer = send(&url, &limits(Duration::from_secs(30), 8 << 10)).await.unwrap();
    assert_eq!(answer.body().as_ref(), bomb);
    assert_eq!(answer.headers()["content-encoding"], "gzip");
}

/// A valid gzip stream (RFC 1951, 1952) of 6.6 KB that unpacks to 1 MiB of zeros: one zero, and 4064 times "the same
/// again, 258 bytes of it", in fixed Huffman codes.
fn gzip_of_zeros() -> Vec<u8> {
    const CRC: u32 = 0x3d73_518d;
    let mut bits = vec![true, true, false];
    let mut put = |code: u16, length: u16| bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    put(0b0011_0000, 8);
    for _ in 0..4064 {
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7);
    let pack = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // The first bit is the lowest of its byte, also in a last byte that is not full.
    bytes.extend(bits.chunks(8).map(pack));
    bytes.extend_from_slice(&CRC.to_le_bytes());
    bytes.extend_from_slice(&(1 + 258 * 4064_u32).to_le_bytes());
    bytes
}

#[tokio::test]
async fn a33_a_truncated_body_is_interrupted_and_may_have_reached_the_server() {
    let server = DevServer::start().unwrap();
    server.fault(Endpoint::Metadata, Fault::TruncateAfter(10));
    let error = send(&server.metadata_url(), &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(error.may_have_reached_server());
}

#[tokio::test]
async fn a_connection_that_is_dropped_is_interrupted_and_the_request_goes_out_once() {
    let server = DevServer::start().unwrap();
    for fault in [Fault::DropBeforeCommit, Fault::DropAfterCommit] {
        let before = server.stats().requests_to(Endpoint::Metadata);
        server.fault(Endpoint::Metadata, fault);
        let error = send(&server.metadata_url(), &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted, "{error}");
        assert_eq!(server.stats().requests_to(Endpoint::Metadata), before + 1);
    }
    let (url, connections) = raw(b"HTTP/1.1 200".to_vec());
    assert_eq!(kind(&url, &Limits::default()).await, Kind::Interrupted);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let (url, _) = raw(b"this is not HTTP at all\r\n\r\n".to_vec());
    assert_eq!(kind(&url, &Limits::default()).await, Kind::Interrupted);
}

#[tokio::test]
async fn a_refused_connection_never_reached_the_server() {
    // A port that nobody listens on: bound, never listening, so that nobody else gets it meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/?code=s3cr3t", socket.local_addr().unwrap());
    let error = send(&url, &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect);
    assert!(!error.may_have_reached_server());
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout() {
    let server = DevServer::start().unwrap();
    server.fault(Endpoint::Metadata, Fault::Hang);
    let short = limits(Duration::from_millis(100), 1 << 20);
    let error = send(&server.metadata_url(), &short).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.may_have_reached_server());
}

#[tokio::test]
async fn the_time_limit_counts_the_body_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").unwrap();
        // A byte now and then, until the client goes away.
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(kind(&url, &limits(Duration::from_millis(200), 1 << 20)).await, Kind::Timeout);
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_never_reached_the_server() {
    // It takes the connection and says nothing, so that TLS never comes about.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let options = HttpOptions::new().connect_timeout(Duration::from_millis(100));
    let transport = ReqwestTransport::new(&options).unwrap();
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let error = transport.send(request, &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect, "{error}");
    assert!(!error.may_have_reached_server());
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[tokio::test]
async fn without_tls_https_says_which_feature_is_missing() {
    let error = send("https://as.example/", &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Request);
    assert!(error.to_string().contains("`rustls` or `native-tls`"), "{error}");
}

#[tokio::test]
async fn a33_no_error_shows_the_query() {
    let (cut, _) = raw(b"HTTP/1.1 200".to_vec());
    let unsafe_url = "http://as.example/?code=s3cr3t".to_owned();
    for url in [cut, unsafe_url] {
        let error = send(&url, &Limits::default()).await.unwrap_err();
        let mut shown = format!("{error} {error:?}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            shown.push_str(&format!(" {error} {error:?}"));
            cause = error.source();
        }
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[tokio::test]
async fn connections_are_kept_for_the_next_request() {
    let server = DevServer::start().unwrap();
    let transport = transport();
    for _ in 0..3 {
        let request = Request::get(server.metadata_url()).body(Bytes::new()).unwrap();
        transport.send(request, &Limits::default()).await.unwrap();
    }
    assert_eq!(server.stats().connections, 1);
}
