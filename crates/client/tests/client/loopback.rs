//! The loopback listener against real sockets (A14; RFC 8252 §7.3, §8.3).
#![cfg(feature = "loopback")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jeton_client::LoopbackRedirect;
use jeton_grants::{InteractionError, LoginOutcome, RedirectEndpoint, RedirectReceiver};
use jeton_models::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use url::Url;

const STATE: &str = "the-right-state-0123456789";

/// Long enough for the slowest machine; nothing waits for it unless a test is about to fail.
const DEADLINE: Duration = Duration::from_secs(30);

async fn open(redirect: LoopbackRedirect) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
    redirect.open(&Secret::from(STATE)).await
}

async fn opened() -> Box<dyn RedirectReceiver> {
    open(LoopbackRedirect::new()).await.unwrap()
}

fn port(receiver: &dyn RedirectReceiver) -> u16 {
    Url::parse(receiver.redirect_uri()).unwrap().port().unwrap()
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

fn ipv6_is_there() -> bool {
    StdListener::bind(v6(0)).is_ok()
}

/// A free port that nobody is given by chance, neither another test nor an outgoing connection: it lies below the
/// ephemeral ports, and each process has a block of its own.
fn fixed_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 600).unwrap() * 16;
    (0..16)
        .map(|_| 20_000 + block + NEXT.fetch_add(1, Ordering::Relaxed) % 16)
        .find(|port| {
            StdListener::bind(v4(*port)).is_ok() && (!ipv6_is_there() || StdListener::bind(v6(*port)).is_ok())
        })
        .expect("a free port")
}

async fn opened_on(port: u16) -> Box<dyn RedirectReceiver> {
    open(LoopbackRedirect::new().port(port)).await.unwrap()
}

/// Sends this and reads until the connection is closed.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // What was read before a reset counts.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    String::from_utf8(answer).unwrap()
}

async fn request(port: u16, method: &str, target: &str, host: &str) -> String {
    exchange(v4(port), &format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
}

async fn get(port: u16, target: &str) -> String {
    request(port, "GET", target, &format!("127.0.0.1:{port}")).await
}

fn browser(port: u16, target: &str) -> JoinHandle<String> {
    let target = target.to_owned();
    tokio::spawn(async move { get(port, &target).await })
}

fn right() -> String {
    format!("/callback?code=c0de%2F1&state={STATE}")
}

async fn receive(receiver: &mut dyn RedirectReceiver) -> Url {
    tokio::time::timeout(DEADLINE, receiver.receive()).await.expect("a redirect in time").unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("no answer")
}

/// Whether the receiver has nothing yet.
async fn still_waits(receiver: &mut dyn RedirectReceiver) -> bool {
    futures_util::poll!(receiver.receive()).is_pending()
}

#[tokio::test]
async fn a14_the_redirect_is_received_and_its_tab_shows_the_outcome() {
    let port = fixed_port();
    let mut receiver = opened_on(port).await;
    assert_eq!(receiver.redirect_uri(), format!("http://127.0.0.1:{port}/callback"));
    let tab = browser(port, &right());
    let url = receive(&mut *receiver).await;
    assert_eq!(url.as_str(), format!("http://127.0.0.1:{port}{}", right()));
    assert!(!tab.is_finished(), "the tab waits for the login's end");
    receiver.finish(LoginOutcome::Success).await;

    let page = tab.await.unwrap();
    assert_eq!(status(&page), "200");
    assert!(page.contains("You are signed in") && page.ends_with("</html>\n"), "{page}");
    assert!(!page.contains("c0de") && !page.contains(STATE), "the page says nothing of the code: {page}");
    let head = page.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none';",
        "x-content-type-options: nosniff",
        "connection: close",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    // The browser applies the style and runs the script of this page only.
    let nonce = page.split("style-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert!(page.contains(&format!("<style nonce=\"{nonce}\">")), "{page}");
    assert!(page.contains(&format!("<script nonce=\"{nonce}\">history.replaceState")), "{page}");
    assert!(StdListener::bind(v4(port)).is_ok(), "the port is free");
}

#[tokio::test]
async fn a14_ipv6_is_served_on_the_same_port() {
    if !ipv6_is_there() {
        return;
    }
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let request = format!("GET {} HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n", right());
    let tab = tokio::spawn(async move { exchange(v6(port), &request).await });
    receive(&mut *receiver).await;
    receiver.finish(LoginOutcome::Success).await;
    assert!(tab.await.unwrap().contains("You are signed in"));
}

#[tokio::test]
async fn a14_the_host_can_be_ipv6_or_localhost_and_nothing_beyond_this_machine() {
    let receiver = open(LoopbackRedirect::new().host("localhost").path("/oauth/done")).await.unwrap();
    let port = port(&*receiver);
    assert_eq!(receiver.redirect_uri(), format!("http://localhost:{port}/oauth/done"));
    let answer = request(port, "GET", "/oauth/done", &format!("LOCALHOST:{port}")).await;
    assert_eq!(status(&answer), "400");
    drop(receiver);

    if ipv6_is_there() {
        let receiver = open(LoopbackRedirect::new().host("[::1]")).await.unwrap();
        assert!(receiver.redirect_uri().starts_with("http://[::1]:"));
    }
    for host in ["example.com", "0.0.0.0", "192.0.2.1", "localhost.example.com", ""] {
        let error = open(LoopbackRedirect::new().host(host)).await.err().unwrap();
        assert!(error.to_string().contains("is not loopback"), "{error}");
    }
}

#[tokio::test]
async fn a14_only_loopback_listens() {
    let receiver = opened().await;
    let port = port(&*receiver);
    // This machine's address towards the outside, found without sending anything; none if it has no network.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if socket.connect("192.0.2.1:9").is_ok() {
        let outside = SocketAddr::new(socket.local_addr().unwrap().ip(), port);
        if !outside.ip().is_loopback() {
            assert!(TcpStream::connect(outside).await.is_err(), "{outside}");
        }
    }
    // Another loopback address is not served either.
    #[cfg(target_os = "linux")]
    assert!(TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).await.is_err());
}

#[tokio::test]
async fn a14_a_wrong_host_is_refused_before_anything_is_looked_at() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let hosts = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port.wrapping_add(1)),
        format!("127.0.0.1.evil.example:{port}"),
        String::new(),
    ];
    for host in hosts {
        let answer = request(port, "GET", &right(), &host).await;
        assert_eq!(status(&answer), "421", "{host}");
        assert!(!answer.contains("evil"), "{answer}");
    }
    let twice = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n", right());
    assert_eq!(status(&exchange(v4(port), &twice).await), "421");
    let none = format!("GET {} HTTP/1.0\r\n\r\n", right());
    assert_eq!(status(&exchange(v4(port), &none).await), "421");
    let whole = format!("http://evil.example{}", right());
    assert_eq!(status(&get(port, &whole).await), "421");
    assert!(still_waits(&mut *receiver).await);
}

#[tokio::test]
async fn a14_strays_are_answered_and_the_wait_goes_on() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let not_ours = "This is not the login that is waiting";
    for (target, expected, says) in [
        ("/favicon.ico", "404", "There is nothing here"),
        ("/", "404", "There is nothing here"),
        ("/callback/", "404", "There is nothing here"),
        ("/Callback?state=the-right-state-0123456789&code=c", "404", "There is nothing here"),
        ("/callback", "400", not_ours),
        ("/callback?code=c", "400", not_ours),
        ("/callback?code=c&state=wrong", "400", not_ours),
        ("/callback?error=access_denied&state=", "400", not_ours),
        (
            "/callback?code=c&state=the-right-state-0123456789&state=the-right-state-0123456789",
            "400",
            not_ours,
        ),
        ("/callback?code=%3Cscript%3Ealert(1)%3C/script%3E&state=%3Cscript%3E", "400", not_ours),
    ] {
        let answer = get(port, target).await;
        assert_eq!(status(&answer), expected, "{target}");
        assert!(answer.contains(says) && !answer.contains("alert(1)"), "{target}: {answer}");
        assert!(still_waits(&mut *receiver).await, "{target}");
    }
    let tab = browser(port, &right());
    receive(&mut *receiver).await;
    // Also while the token is being fetched.
    assert_eq!(status(&get(port, "/favicon.ico").await), "404");
    receiver.finish(LoginOutcome::Success).await;
    assert_eq!(status(&tab.await.unwrap()), "200");
}

#[tokio::test]
async fn a14_only_get_delivers() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let host = format!("127.0.0.1:{port}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = request(port, method, &right(), &host).await;
        assert_eq!(status(&answer), "405", "{method}");
        assert!(answer.to_ascii_lowercase().contains("allow: get, head"), "{answer}");
    }
    let head = request(port, "HEAD", &right(), &host).await;
    assert_eq!(status(&head), "200");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
    assert!(still_waits(&mut *receiver).await);
}

#[tokio::test]
async fn a14_a_second_redirect_gets_the_page_and_is_not_delivered() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let first = browser(port, &right());
    receive(&mut *receiver).await;
    let mut second = TcpStream::connect(v4(port)).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", right());
    second.write_all(request.as_bytes()).await.unwrap();
    // When a stray that came after it has been answered, the second has been read.
    get(port, "/favicon.ico").await;
    let again = tokio::time::timeout(DEADLINE, receiver.receive()).await.expect("an answer in time");
    assert!(again.is_err(), "one redirect, delivered once");
    receiver.finish(LoginOutcome::Success).await;
    assert!(first.await.unwrap().contains("You are signed in"));
    let mut page = String::new();
    second.read_to_string(&mut page).await.unwrap();
    assert!(page.contains("You are signed in"), "{page}");
}

#[tokio::test]
async fn a14_denial_and_failure_have_pages_of_their_own() {
    let outcomes = [
        (
            LoginOutcome::Denied { error: "access_denied", description: Some("<b>Not</b> today") },
            ["The login was refused", "<code>access_denied</code><br>&lt;b&gt;Not&lt;/b&gt; today"],
        ),
        (LoginOutcome::Failed("the server's answer is <odd>"), ["The login failed", "answer is &lt;odd&gt;"]),
    ];
    for (outcome, texts) in outcomes {
        let mut receiver = opened().await;
        let tab = browser(port(&*receiver), &right());
        receive(&mut *receiver).await;
        receiver.finish(outcome).await;
        let page = tab.await.unwrap();
        assert!(texts.iter().all(|text| page.contains(text)), "{page}");
    }
}

#[tokio::test]
async fn a14_a_login_that_is_given_up_frees_its_port_at_once_and_tells_the_tab() {
    let port = fixed_port();
    let mut receiver = opened_on(port).await;
    let tab = browser(port, &right());
    receive(&mut *receiver).await;
    drop(receiver);
    // Not a moment later.
    let mut again = opened_on(port).await;
    assert!(tab.await.unwrap().contains("The login was not finished"));
    let tab = browser(port, &right());
    receive(&mut *again).await;
    again.finish(LoginOutcome::Success).await;
    assert!(tab.await.unwrap().contains("You are signed in"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a14_a_fixed_port_works_again_at_once_after_a_timeout() {
    let port = fixed_port();
    for _ in 0..50 {
        let mut receiver = opened_on(port).await;
        // A visitor has been served on it, whose connection lingers in the kernel.
        get(port, "/").await;
        let _ = TcpStream::connect(v4(port)).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), receiver.receive()).await.is_err());
    }
}

#[tokio::test]
async fn a14_a_taken_port_is_named_with_what_to_do() {
    let port = fixed_port();
    let taken = StdListener::bind(v4(port)).unwrap();
    let error = open(LoopbackRedirect::new().port(port)).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&format!("port {port} ")) && text.contains("choose another port"), "{text}");

    drop(taken);
    let _waiting = opened_on(port).await;
    let error = open(LoopbackRedirect::new().port(port)).await.err().unwrap();
    assert!(error.to_string().contains("another login that is still waiting"), "{error}");
}

#[tokio::test]
async fn a14_a_fixed_port_whose_ipv6_half_is_taken_serves_addresses_but_no_name() {
    if !ipv6_is_there() {
        return;
    }
    let port = fixed_port();
    let _taken = StdListener::bind(v6(port)).unwrap();
    // The name may lead the browser, and the code with it, to the other program.
    let error = open(LoopbackRedirect::new().port(port).host("localhost")).await.err().unwrap();
    assert!(error.to_string().contains(&format!("port {port} ")), "{error}");
    assert!(open(LoopbackRedirect::new().port(port).host("[::1]")).await.is_err());
    let _receiver = opened_on(port).await;
    assert_eq!(status(&get(port, "/").await), "404");
}

#[tokio::test]
async fn a14_slow_clients_hold_up_nobody() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    // More than there may be, of which half say something and never end.
    let mut slow = Vec::new();
    for index in 0..200 {
        let mut stream = TcpStream::connect(v4(port)).await.unwrap();
        if index % 2 == 0 {
            stream.write_all(b"GET /callback?code=").await.unwrap();
        }
        slow.push(stream);
    }
    let tab = browser(port, &right());
    receive(&mut *receiver).await;
    for _ in 0..100 {
        slow.push(TcpStream::connect(v4(port)).await.unwrap());
    }
    let started = std::time::Instant::now();
    receiver.finish(LoginOutcome::Success).await;
    assert!(started.elapsed() < Duration::from_secs(4), "idle connections do not hold up the end");
    assert!(tab.await.unwrap().contains("You are signed in"), "nor push out the right one");
}

#[tokio::test]
async fn a14_a_request_without_end_is_cut() {
    let mut receiver = opened().await;
    let port = port(&*receiver);
    let long = format!("/callback?code={}", "c".repeat(1 << 20));
    let mut stream = TcpStream::connect(v4(port)).await.unwrap();
    // It may be cut before all of it is sent.
    let _ =
        stream.write_all(format!("GET {long} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || matches!(status(&answer), "431" | "414"), "{answer}");
    // A long code is none of that.
    let code = "c".repeat(30_000);
    let tab = browser(port, &format!("/callback?code={code}&state={STATE}"));
    assert!(receive(&mut *receiver).await.as_str().contains(&code));
    receiver.finish(LoginOutcome::Success).await;
    assert_eq!(status(&tab.await.unwrap()), "200");
}

#[tokio::test]
async fn a14_receiving_can_be_given_up_and_taken_up_again() {
    let mut receiver = opened().await;
    assert!(still_waits(&mut *receiver).await);
    let tab = browser(port(&*receiver), &right());
    receive(&mut *receiver).await;
    receiver.finish(LoginOutcome::Success).await;
    tab.await.unwrap();
}

#[tokio::test]
async fn a_path_that_is_none_is_refused() {
    for path in ["callback", "", "/a?b", "/a#b", "/a b", "/a/../b", "//evil.example@/x\u{e9}"] {
        let error = open(LoopbackRedirect::new().path(path)).await.err().unwrap();
        assert!(error.to_string().contains("cannot be the path of a redirect URI"), "{path:?}: {error}");
    }
}

#[test]
fn without_a_runtime_it_says_what_it_needs() {
    let open = open(LoopbackRedirect::new());
    let result = futures_util::FutureExt::now_or_never(open).unwrap();
    assert!(result.err().unwrap().to_string().contains("tokio runtime"));
}
