//! Starting, stopping, many at once, whatever runtime the caller has.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use jeton_devserver::{DevServer, Endpoint, Fault};

use crate::http::{get, send};
use crate::login::sign_in;

#[test]
fn many_servers_share_nothing() {
    let servers: Vec<DevServer> = (0..20).map(|_| DevServer::start().unwrap()).collect();
    sign_in(&servers[7]);
    for (index, server) in servers.iter().enumerate() {
        assert_eq!(server.live_logins(), usize::from(index == 7));
    }
}

#[test]
fn dropping_closes_the_port_and_cuts_what_hangs() {
    let server = DevServer::builder().issuer_path("/only-here").start().unwrap();
    server.fault(Endpoint::Metadata, Fault::Hang);
    let url = server.metadata_url();
    let authority = server.url("").trim_start_matches("http://").to_owned();
    let mut hanging = TcpStream::connect(&authority).unwrap();
    let path = "/.well-known/oauth-authorization-server/only-here";
    write!(hanging, "GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
    let mut idle = TcpStream::connect(&authority).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.stats().requests_to(Endpoint::Metadata) == 0 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(4), "stopping is bounded");
    for stream in [&mut hanging, &mut idle] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        match stream.read(&mut [0; 16]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => {
                assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
            }
        }
    }
    // Nobody listens; or a server of another test got the port, which knows nothing of this issuer.
    assert!(send("GET", &url, &[], b"").map_or(true, |reply| reply.status == 404));
}

#[test]
fn it_starts_serves_and_stops_inside_any_runtime() {
    for threads in [1, 2] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = DevServer::start().unwrap();
            // Blocking this worker does not stop the server: it has a thread of its own.
            assert_eq!(get(&server.metadata_url()).status, 200);
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = DevServer::start().unwrap();
        assert_eq!(get(&server.metadata_url()).status, 200);
    });
}

#[test]
fn a_server_dropped_on_its_own_thread_does_not_wait_for_itself() {
    use std::sync::{Arc, Mutex, mpsc};
    let server = DevServer::start().unwrap();
    let url = server.metadata_url();
    let place = Arc::new(Mutex::new(None));
    let (dropped, wait) = mpsc::channel();
    let inside = Arc::clone(&place);
    let rewrite = Fault::rewrite(move |answer| {
        drop(inside.lock().unwrap().take());
        dropped.send(()).unwrap();
        answer
    });
    server.fault(Endpoint::Metadata, rewrite);
    *place.lock().unwrap() = Some(server);
    // Its answer may or may not make it out.
    let _ = send("GET", &url, &[], b"");
    wait.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn connections_are_kept_alive_and_counted() {
    let server = DevServer::start().unwrap();
    let authority = server.issuer().trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for _ in 0..3 {
        write!(stream, "GET /jwks HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"]}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    }
    assert_eq!((server.stats().connections, server.stats().requests_to(Endpoint::Jwks)), (1, 3));
}

#[test]
fn many_clients_at_once() {
    let server = DevServer::start().unwrap();
    let url = server.metadata_url();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(get(&url).status, 200)));
        }
    });
    assert_eq!(server.stats().requests_to(Endpoint::Metadata), 320);
}

#[test]
fn bodies_beyond_the_cap_are_refused() {
    let server = DevServer::start().unwrap();
    let authority = server.issuer().trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = (64_u64 << 20) + 1;
    write!(stream, "POST /api/me HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {length}\r\n\r\n").unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[test]
fn a_port_that_was_asked_for_is_had_again_at_once_and_not_twice() {
    // Below the ports that the system gives to others by itself.
    let candidates = 10_000 + (std::process::id() % 10_000) as u16;
    let on = |port| DevServer::builder().port(port).start();
    let (port, first) = (candidates..candidates + 100).find_map(|port| Some((port, on(port).ok()?))).unwrap();
    assert_eq!(first.issuer(), format!("http://127.0.0.1:{port}"));
    let taken = on(port).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    // A connection that the server closes first leaves its end behind, if it was accepted.
    let authority = first.issuer().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&authority).unwrap();
    write!(stream, "GET /jwks HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    drop(first);
    let second = on(port).unwrap();
    assert_eq!(get(&second.metadata_url()).status, 200);
    drop(stream);
}
