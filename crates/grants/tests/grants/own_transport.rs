//! The transport of the examples keeps to the contract of `Transport`: what each answer on the wire becomes.

use std::time::Duration;

use jeton_grants::{Limits, Transport, TransportErrorKind, bytes::Bytes, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::PlainHttp;

const MAX_BODY: usize = 1000;

/// What the transport makes of an answer that is these bytes, and what it sent.
async fn exchange(wire: Vec<u8>) -> (Result<http::Response<Bytes>, TransportErrorKind>, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"the body") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        // In two pieces, so that nothing relies on how an answer is cut into packets. The client may have heard enough.
        let (first, second) = wire.split_at(wire.len() / 2);
        for piece in [first, second] {
            let _ = stream.write_all(piece).await;
            let _ = stream.flush().await;
            tokio::task::yield_now().await;
        }
        String::from_utf8(request).unwrap()
    };
    let mut limits = Limits::default();
    limits.max_body = MAX_BODY;
    let request = http::Request::post(url).header("x-y", "z").body(Bytes::from("the body")).unwrap();
    let (result, sent) = tokio::join!(PlainHttp.send(request, &limits), serve);
    (result.map_err(|error| error.kind()), sent)
}

#[tokio::test]
async fn every_framing_of_a_body_is_read() {
    let full = "x".repeat(MAX_BODY);
    for (wire, status, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_owned(), 200, "hi"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi and more".to_owned(), 200, "hi"),
        ("HTTP/1.1 404 Not Found\r\n\r\nuntil the end".to_owned(), 404, "until the end"),
        ("HTTP/1.0 200\r\n\r\n".to_owned(), 200, ""),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nA;x=y\r\n, stranger\r\n0\r\n\r\n".to_owned(),
            200,
            "hi, stranger",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n!".to_owned(), 201, "!"),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n".to_owned(), 204, ""),
        ("HTTP/1.1 307 Temporary Redirect\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n".to_owned(), 307, ""),
        (format!("HTTP/1.1 200 OK\r\n\r\n{full}"), 200, full.as_str()),
    ] {
        let (result, sent) = exchange(wire.clone().into_bytes()).await;
        let response = result.unwrap_or_else(|kind| panic!("{wire}: {kind:?}"));
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (status, body.as_bytes()), "{wire}");
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
        assert!(head.contains("\r\nconnection: close\r\ncontent-length: 8\r\nx-y: z"), "{head}");
        assert_eq!(body, "the body");
    }
}

#[tokio::test]
async fn what_is_cut_off_too_large_or_not_http_is_an_error() {
    use TransportErrorKind::{BodyTooLarge, Interrupted};
    let over = "x".repeat(MAX_BODY + 1);
    for (wire, expected) in [
        (String::new(), Interrupted),
        ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\ncontent-length: three\r\n\r\nhi!".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n".to_owned(), Interrupted),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), Interrupted),
        ("HTTP/1.1 abc\r\n\r\n".to_owned(), Interrupted),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(), Interrupted),
        (format!("HTTP/1.1 200 OK\r\n\r\n{over}"), BodyTooLarge),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{over}", over.len()), BodyTooLarge),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999\r\n\r\n".to_owned(), BodyTooLarge),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3E9\r\n{over}\r\n0\r\n\r\n"),
            BodyTooLarge,
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3E8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
                &over[1..]
            ),
            BodyTooLarge,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
            BodyTooLarge,
        ),
        (format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(100 << 10)), BodyTooLarge),
    ] {
        let (result, _) = exchange(wire.clone().into_bytes()).await;
        assert_eq!(result.unwrap_err(), expected, "{:.100}", wire);
    }
}

#[tokio::test]
async fn a33_it_stays_on_this_machine() {
    for url in [
        "https://127.0.0.1/",
        "http://as.example/",
        "http://10.0.0.1/",
        "http://localhost.as.example/",
        "/token",
    ] {
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        let error = PlainHttp.send(request, &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Request, "{url}: {error}");
    }
}

#[tokio::test]
async fn a_limit_without_end_is_survived() {
    let mut limits = Limits::default();
    limits.timeout = Duration::MAX;
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", taken.local_addr().unwrap());
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    let error = PlainHttp.send(request, &limits).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error}");
}
