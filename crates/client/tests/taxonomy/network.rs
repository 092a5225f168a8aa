//! The way to the server: no name, no connection, no security, no answer, half an answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jeton_client::{Error, LoginRequired};
use jeton_devserver::{Endpoint, Fault, Rotation};
use tokio::net::TcpSocket;

#[cfg(feature = "rustls")]
use crate::row::FIX_CONFIGURATION;
use crate::row::{Broken, Patience, RETRY, Row, check, lost, refused};
use crate::support::{LIFETIME, World, soon};

/// Nobody listens there, and nobody else can: the port is taken.
fn nobody() -> Broken {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/token", socket.local_addr().unwrap());
    Broken { url, patience: Patience::Usual, _held: Box::new(socket) }
}

/// Somebody who does the same with each connection.
struct Somebody(String, Arc<AtomicBool>);

impl Drop for Somebody {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        // Wakes up whoever waits for the next connection.
        drop(TcpStream::connect(&self.0));
    }
}

fn somebody(scheme: &str, patience: Patience, does: fn(TcpStream)) -> Broken {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let over = Arc::new(AtomicBool::new(false));
    let somebody = Somebody(address.clone(), over.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if over.load(Ordering::SeqCst) {
                return;
            }
            std::thread::spawn(move || does(stream));
        }
    });
    Broken { url: format!("{scheme}://{address}/token"), patience, _held: Box::new(somebody) }
}

/// Reads the request to its end.
fn read_request(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

fn answer(mut stream: &TcpStream, what: &str) {
    stream.write_all(what.as_bytes()).unwrap();
    stream.flush().unwrap();
}

/// Until the other side goes away.
fn wait(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1]);
}

/// Speaks TLS, with a certificate that nobody vouches for.
#[cfg(feature = "rustls")]
fn shake_hands_as_nobody(mut stream: TcpStream) {
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, crypto::ring, pki_types::PrivatePkcs8KeyDer};

    let nobody = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(nobody.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![nobody.cert.der().clone()], key.into())
        .unwrap();
    // The client hangs up.
    let _ = ServerConnection::new(Arc::new(config)).unwrap().complete_io(&mut stream);
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";

#[tokio::test]
async fn nothing_was_sent() {
    #[allow(unused_mut, reason = "without TLS these are all")]
    let mut rows =
        vec![refused("refused", Fault::Hang, RETRY, "no connection could be made").network(nobody)];
    #[cfg(feature = "rustls")]
    rows.extend([
        refused("no such name", Fault::Hang, RETRY, "no connection could be made").network(|| Broken {
            url: "https://as.jeton.invalid/token".to_owned(),
            patience: Patience::Usual,
            _held: Box::new(()),
        }),
        // The network says one thing and the address another: no wait mends that, and a person has to look.
        refused("no TLS on the other side", Fault::Hang, FIX_CONFIGURATION, "no secure connection").network(
            || {
                somebody("https", Patience::Usual, |stream| {
                    let _ = (&stream).read(&mut [0; 1024]);
                    let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                    wait(stream);
                })
            },
        ),
        refused("the connection breaks before TLS", Fault::Hang, RETRY, "no connection could be made")
            .network(|| somebody("https", Patience::Usual, drop)),
        refused("a certificate of nobody", Fault::Hang, FIX_CONFIGURATION, "no secure connection")
            .network(|| somebody("https", Patience::Usual, shake_hands_as_nobody)),
        // TLS never comes about: the time limit of connecting is over before anything is sent.
        refused("no connection in time", Fault::Hang, RETRY, "no connection could be made")
            .network(|| somebody("https", Patience::ShortForTheConnection, wait)),
    ]);
    check(rows).await;
}

#[tokio::test]
async fn the_answer_is_lost() {
    check(vec![
        lost("closed before the answer", Fault::DropBeforeCommit, RETRY, "the connection broke"),
        lost("reset before the answer", Fault::Hang, RETRY, "the connection broke").network(|| {
            somebody("http", Patience::Usual, |stream| {
                // Closing with something unread resets the connection.
                let _ = (&stream).read(&mut [0; 8]);
            })
        }),
        lost("closed in the headers", Fault::Hang, RETRY, "the connection broke").network(|| {
            somebody("http", Patience::Usual, |stream| {
                read_request(&stream);
                answer(&stream, "HTTP/1.1 200 OK\r\ncontent-ty");
            })
        }),
        lost("closed after the headers", Fault::Hang, RETRY, "the connection broke").network(|| {
            somebody("http", Patience::Usual, |stream| {
                read_request(&stream);
                answer(&stream, HEAD);
            })
        }),
        lost("closed in the body", Fault::Hang, RETRY, "the connection broke").network(|| {
            somebody("http", Patience::Usual, |stream| {
                read_request(&stream);
                answer(&stream, &format!("{HEAD}{{\"access_token\":\"S3CR3T"));
            })
        }),
        lost("not HTTP", Fault::Hang, RETRY, "the connection broke").network(|| {
            somebody("http", Patience::Usual, |stream| {
                read_request(&stream);
                answer(&stream, "220 smtp.example ESMTP S3CR3T\r\n");
            })
        }),
        Row::silent("no answer in time", Fault::Hang, "no answer in time"),
        lost("the body stalls", Fault::Hang, RETRY, "no answer in time").network(|| {
            somebody("http", Patience::ShortForTheAnswer, |stream| {
                read_request(&stream);
                answer(&stream, &format!("{HEAD}{{\"access_token\":\"S3CR3T"));
                wait(stream);
            })
        }),
    ])
    .await;
}

/// The one thing that no client can mend: the server has rotated, and its answer never arrived. The next try comes when the
/// access token is dead, with the refresh token that there is. What the server makes of that is its own affair.
#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit() {
    let grace = Duration::from_secs(2 * 3_600);
    for (rotation, lives) in [
        // A refresh token stays what it is.
        (Rotation::Off, true),
        // The server forgives a second use by somebody who had no answer.
        (Rotation::GracePeriod(grace), true),
        // The server takes it for a theft. The login is over, and that is said; it is not asked again.
        (Rotation::Strict, false),
    ] {
        for fault in [Fault::DropAfterCommit, Fault::TruncateAfter(20)] {
            let shown = format!("{rotation:?}, {fault:?}");
            let world = World::with(|builder| builder.refresh_token_rotation(rotation));
            let (_client, session) = world.signed_in().await;
            world.clock.advance(LIFETIME);
            world.server.fault(Endpoint::Token, fault);
            let error = soon(session.token()).await.unwrap_err();
            assert!(error.to_string().contains("the connection broke"), "{shown}: {error}");
            assert!(!error.is_login_required(), "{shown}: nobody knows yet");
            world.clock.advance(Duration::from_secs(1));
            let second = soon(session.token()).await;
            assert_eq!(world.refresh_requests(), 2, "{shown}");
            if lives {
                second.unwrap();
                world.assert_sound(&session).await;
            } else {
                assert!(matches!(second, Err(Error::LoginRequired(LoginRequired::Ended(_)))), "{shown}");
                soon(session.token()).await.unwrap_err();
                assert_eq!(world.refresh_requests(), 2, "{shown}");
            }
        }
    }
}
