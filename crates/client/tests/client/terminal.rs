//! The person at the terminal: pasting the redirected URL, the device code and its countdown, with real grants against
//! the devserver.
#![cfg(feature = "terminal")]

use std::io::{self, BufReader, Cursor, Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use jeton_client::{HttpOptions, ReqwestTransport, SystemClock, TerminalInteraction};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{
    AuthorizationCode, Ciba, ClientSecretBasic, Clock, DeviceCode, Grant, GrantContext, GrantError,
    Interaction, ManualClock, PastedRedirect, PublicClient, RegistrationPrompt, ServerPrompt, ServerReason,
};
use jeton_models::{AuthorizationServerMetadata, TokenResponse};

const REDIRECT_URI: &str = "https://app.example/callback";

/// What was written so far; each write is also told to `heard`.
#[derive(Clone)]
struct Paper {
    text: Arc<Mutex<String>>,
    heard: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Paper {
    fn new(heard: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { text: Arc::default(), heard: Arc::new(heard) }
    }

    fn read(&self) -> String {
        self.text.lock().unwrap().clone()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).unwrap();
        self.text.lock().unwrap().push_str(text);
        (self.heard)(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A keyboard: reading blocks until somebody types, and ends when nobody can any more.
struct Keyboard(mpsc::Receiver<String>);

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(line) = self.0.recv() else { return Ok(0) };
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

fn metadata(server: &DevServer) -> AuthorizationServerMetadata {
    let mut metadata = AuthorizationServerMetadata::new(server.issuer());
    metadata.authorization_endpoint = Some(server.authorization_url());
    metadata.token_endpoint = Some(server.token_url());
    metadata.device_authorization_endpoint = Some(server.device_authorization_url());
    metadata
}

async fn obtain(
    server: &DevServer,
    grant: &dyn Grant,
    terminal: &TerminalInteraction,
    clock: &dyn Clock,
) -> Result<TokenResponse, GrantError> {
    let metadata = metadata(server);
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let mut cx = GrantContext::new(&metadata, DevServer::PUBLIC_CLIENT, &PublicClient, &transport, clock);
    cx.interaction = terminal;
    grant.obtain(&cx).await
}

fn authorization_url(text: &str) -> Option<String> {
    text.lines().map(str::trim).find(|line| line.contains("/authorize?")).map(str::to_owned)
}

/// A terminal at which somebody types `before`, and then the URL to which the server redirects.
fn person(server: &Arc<DevServer>, before: &[&str]) -> (TerminalInteraction, Paper) {
    let (typed, keyboard) = mpsc::channel();
    for line in before {
        typed.send(format!("{line}\n")).unwrap();
    }
    let server = Arc::clone(server);
    let paper = Paper::new(move |text| {
        if let Some(url) = authorization_url(text) {
            typed.send(format!("{}\n", server.authorize(&url).unwrap())).unwrap();
        }
    });
    let input = Box::new(BufReader::new(Keyboard(keyboard)));
    (TerminalInteraction::with_io(input, Box::new(paper.clone())).no_browser(), paper)
}

fn pasted() -> AuthorizationCode {
    AuthorizationCode::new(PastedRedirect::new(REDIRECT_URI))
}

#[tokio::test]
async fn without_a_browser_the_redirected_url_is_pasted() {
    let server = Arc::new(DevServer::start().unwrap());
    let (terminal, paper) = person(&server, &[]);
    obtain(&server, &pasted(), &terminal, &SystemClock).await.unwrap();
    let text = paper.read();
    assert!(text.starts_with("To sign in, open this address in a browser:\n\n  http://"), "{text}");
    assert!(text.contains(&format!("it begins with {REDIRECT_URI}")), "{text}");
    assert!(text.ends_with("press Enter.\n> You are signed in.\n"), "{text}");
}

#[tokio::test]
async fn what_is_no_redirected_url_is_answered_and_asked_for_again() {
    let server = Arc::new(DevServer::start().unwrap());
    let (terminal, paper) = person(&server, &["what?", "https://as.example/authorize?state=x", ""]);
    obtain(&server, &pasted(), &terminal, &SystemClock).await.unwrap();
    assert_eq!(paper.read().matches("That is not the address to which the browser was sent.").count(), 3);
}

#[tokio::test]
async fn not_for_ever() {
    let server = Arc::new(DevServer::start().unwrap());
    let (terminal, paper) = person(&server, &["no"; 9]);
    let error = obtain(&server, &pasted(), &terminal, &SystemClock).await.unwrap_err();
    assert!(error.to_string().contains("not pasted in 5 tries"), "{error}");
    assert!(paper.read().contains("The login failed: "), "{}", paper.read());
}

#[tokio::test]
async fn an_input_that_has_ended_ends_the_login() {
    let server = DevServer::start().unwrap();
    let terminal = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(io::sink())).no_browser();
    let error = obtain(&server, &pasted(), &terminal, &SystemClock).await.unwrap_err();
    assert!(error.to_string().contains("the input has ended"), "{error}");
}

#[cfg(feature = "loopback")]
#[tokio::test]
async fn an_input_that_has_ended_leaves_the_listener_waiting() {
    let server = Arc::new(DevServer::start().unwrap());
    let visitor = Arc::clone(&server);
    let address = Mutex::new(None);
    // The browser comes only when the terminal has given up asking.
    let paper = Paper::new(move |text| {
        let mut address = address.lock().unwrap();
        if let Some(url) = authorization_url(text) {
            *address = Some(url);
        }
        if text.contains("waiting for the browser") {
            visit(&visitor, &address.take().unwrap());
        }
    });
    let terminal =
        TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(paper.clone())).no_browser();
    obtain(&server, &AuthorizationCode::new(jeton_client::LoopbackRedirect::new()), &terminal, &SystemClock)
        .await
        .unwrap();
    assert!(paper.read().ends_with("You are signed in.\n"), "{}", paper.read());
}

/// Approves at the server, and goes to the listener as a browser does.
#[cfg(feature = "loopback")]
fn visit(server: &DevServer, url: &str) {
    use std::net::TcpStream;

    let redirected = url::Url::parse(&server.authorize(url).unwrap()).unwrap();
    let port = redirected.port().unwrap();
    let target = &redirected[url::Position::BeforePath..];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    // The tab stays open until it has its page.
    std::thread::spawn(move || stream.read_to_string(&mut String::new()));
}

#[cfg(feature = "loopback")]
#[tokio::test]
async fn a_redirect_that_reaches_the_listener_ends_the_question() {
    let server = Arc::new(DevServer::start().unwrap());
    let (typed, keyboard) = mpsc::channel::<String>();
    let visitor = Arc::clone(&server);
    // As through a forwarded port: nothing is typed.
    let paper = Paper::new(move |text| {
        if let Some(url) = authorization_url(text) {
            visit(&visitor, &url);
        }
    });
    let input = Box::new(BufReader::new(Keyboard(keyboard)));
    let terminal = TerminalInteraction::with_io(input, Box::new(paper.clone())).no_browser();
    let grant = AuthorizationCode::new(jeton_client::LoopbackRedirect::new());
    obtain(&server, &grant, &terminal, &SystemClock).await.unwrap();
    let text = paper.read();
    assert!(text.ends_with("> \nYou are signed in.\n"), "on a line of its own: {text}");
    drop(typed);
}

/// Signs in with a device code that somebody approves after two polls, on a clock that runs by itself.
async fn sign_in_by_device(
    rewrites_lines: bool,
    fault: Option<Fault>,
) -> (String, Result<TokenResponse, GrantError>) {
    let server = Arc::new(DevServer::start().unwrap());
    if let Some(fault) = fault {
        server.fault(Endpoint::DeviceAuthorization, fault);
    }
    for _ in 0..2 {
        server.fault(Endpoint::Token, Fault::oauth_error("authorization_pending"));
    }
    let approver = Arc::clone(&server);
    let paper = Paper::new(move |text| {
        // The code is the prompt's last word.
        if let Some(code) = text.strip_prefix("Visit ").and_then(|prompt| prompt.split_whitespace().last()) {
            assert!(approver.approve_device(code), "{text}");
        }
    });
    let terminal = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(paper.clone()))
        .rewrites_lines(rewrites_lines);
    let clock = ManualClock::at(SystemTime::now());
    let result = obtain(&server, &DeviceCode::new(), &terminal, &clock).await;
    (paper.read(), result)
}

#[tokio::test]
async fn the_device_prompt_names_place_and_code_and_counts_down_in_place() {
    let (text, result) = sign_in_by_device(true, None).await;
    result.unwrap();
    let (prompt, rest) = text.split_once('\n').unwrap();
    assert!(prompt.starts_with("Visit http://127.0.0.1:"), "{prompt}");
    assert!(prompt.contains(" to authenticate, and check that the code there is "), "{prompt}");
    let (countdown, end) = rest.rsplit_once("\r ").unwrap();
    assert!(countdown.starts_with("\rWaiting for you: "), "{countdown:?}");
    assert!(countdown.matches('\r').count() > 5 && !countdown.contains('\n'), "{countdown:?}");
    assert_eq!(end.trim_start_matches(' '), "\rYou are signed in.\n", "the countdown is gone: {end:?}");
}

#[tokio::test]
async fn a_program_says_itself_how_a_login_ended() {
    let server = Arc::new(DevServer::start().unwrap());
    server.fault(Endpoint::Token, Fault::oauth_error("authorization_pending"));
    let approver = Arc::clone(&server);
    let paper = Paper::new(move |text| {
        if let Some(code) = text.strip_prefix("Visit ").and_then(|prompt| prompt.split_whitespace().last()) {
            assert!(approver.approve_device(code), "{text}");
        }
    });
    let terminal = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(paper.clone()))
        .rewrites_lines(true)
        .says_how_it_ended(false);
    obtain(&server, &DeviceCode::new(), &terminal, &ManualClock::at(SystemTime::now())).await.unwrap();
    assert!(!paper.read().contains("signed in") && paper.read().ends_with(" \r"), "{:?}", paper.read());
    terminal.say("Welcome.\n").unwrap();
    assert!(paper.read().ends_with(" \rWelcome.\n"), "{:?}", paper.read());
}

#[tokio::test]
async fn what_is_said_fits_a_terminal_of_80_columns() {
    let server = Arc::new(DevServer::start().unwrap());
    let (terminal, paper) = person(&server, &["what?", "http://127.0.0.1/callback"]);
    obtain(&server, &pasted(), &terminal, &SystemClock).await.unwrap();
    for line in paper.read().lines().filter(|line| !line.contains("/authorize?")) {
        assert!(line.len() <= 80, "{line}");
    }
}

#[tokio::test]
async fn the_short_device_prompt_names_the_code() {
    let (text, result) = sign_in_by_device(false, Some(Fault::remove("verification_uri_complete"))).await;
    result.unwrap();
    let prompt = text.lines().next().unwrap();
    assert!(prompt.starts_with("Visit http://127.0.0.1:") && prompt.contains(" and enter code "), "{prompt}");
    assert!(!prompt.contains('?'), "{prompt}");
    // Where lines cannot be rewritten it is said once, not each second.
    assert_eq!(text.matches("Waiting for you: ").count(), 1, "{text}");
    assert!(!text.contains('\r'), "{text:?}");
    assert!(text.ends_with("You are signed in.\n"), "{text}");
}

/// Approves what is waiting for alice as soon as the terminal has said so.
#[tokio::test]
async fn what_to_compare_on_another_device_is_shown_and_counted_down() {
    let app = jeton_devserver::Client::basic("telephone", "s3cr3t");
    let server = Arc::new(DevServer::builder().client(app).start().unwrap());
    for _ in 0..2 {
        server.fault(Endpoint::Token, Fault::oauth_error("authorization_pending"));
    }
    let approver = Arc::clone(&server);
    let paper = Paper::new(move |text| {
        if text.starts_with("Approve") {
            assert_eq!(approver.approve_backchannel("alice"), Some(Some("W4SCT".to_owned())));
        }
    });
    let terminal = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(paper.clone()));
    let mut metadata = metadata(&server);
    metadata.backchannel_authentication_endpoint = Some(server.url("/bc-authorize"));
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let (clock, scope) = (ManualClock::at(SystemTime::now()), "openid".parse().unwrap());
    let authentication = ClientSecretBasic::new("s3cr3t");
    let mut cx = GrantContext::new(&metadata, "telephone", &authentication, &transport, &clock);
    (cx.interaction, cx.scope) = (&terminal, Some(&scope));
    Ciba::login_hint("alice").binding_message("W4SCT").obtain(&cx).await.unwrap();
    let text = paper.read();
    let first = text.lines().next().unwrap();
    assert_eq!(first, "Approve the sign-in on the device of alice, and check that it says W4SCT");
    assert_eq!(text.matches("Waiting for you: ").count(), 1, "{text}");
    assert!(text.ends_with("You are signed in.\n"), "{text}");
}

#[tokio::test]
async fn a_servers_texts_cannot_steer_the_terminal() {
    // Control characters in what the device answer says are refused before they come here.
    let fault = Fault::rewrite(|mut answer| {
        answer["user_code"] = "AB\u{202e}CD".into();
        answer["verification_uri_complete"] = serde_json::Value::Null;
        answer
    });
    let server = DevServer::start().unwrap();
    server.fault(Endpoint::DeviceAuthorization, fault);
    let denial = Fault::OAuthError {
        status: 400,
        error: "access_denied".into(),
        description: Some("no\r\u{1b}[1mYou are signed in.\n".into()),
    };
    server.fault(Endpoint::Token, denial);
    let paper = Paper::new(|_| {});
    let terminal = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(paper.clone()));
    let clock = ManualClock::at(SystemTime::now());
    obtain(&server, &DeviceCode::new(), &terminal, &clock).await.unwrap_err();
    let text = paper.read();
    assert!(text.starts_with("Visit http://127.0.0.1:"), "{text:?}");
    assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains('\u{202e}'), "{text:?}");
    assert!(text.contains("AB\u{fffd}CD"), "{text:?}");
    assert!(text.contains("The login was refused: access_denied: no"), "{text:?}");
}

#[tokio::test]
async fn a_login_that_is_dropped_leaves_the_terminal_usable() {
    let server = Arc::new(DevServer::start().unwrap());
    let (typed, keyboard) = mpsc::channel::<String>();
    let visitor = Arc::clone(&server);
    let asked = Arc::new(Mutex::new(None));
    let last = Arc::clone(&asked);
    let paper = Paper::new(move |text| {
        if let Some(url) = authorization_url(text) {
            *last.lock().unwrap() = Some(visitor.authorize(&url).unwrap());
        }
    });
    let input = Box::new(BufReader::new(Keyboard(keyboard)));
    let terminal = TerminalInteraction::with_io(input, Box::new(paper.clone())).no_browser();

    let grant = pasted().timeout(Duration::from_secs(60));
    let mut first = Box::pin(obtain(&server, &grant, &terminal, &SystemClock));
    // The question is asked when the login is first looked at.
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(asked.lock().unwrap().is_some());
    drop(first);

    let mut second = Box::pin(obtain(&server, &grant, &terminal, &SystemClock));
    assert!(futures_util::poll!(&mut second).is_pending());
    typed.send(format!("{}\n", asked.lock().unwrap().take().unwrap())).unwrap();
    second.await.unwrap();
}

async fn asked(typed: &str, prompt: &ServerPrompt<'_>) -> (bool, String) {
    let paper = Paper::new(|_| {});
    let terminal =
        TerminalInteraction::with_io(Box::new(Cursor::new(typed.to_owned())), Box::new(paper.clone()));
    (terminal.approve_authorization_server(prompt).await.unwrap(), paper.read())
}

#[tokio::test]
async fn a_server_is_trusted_when_somebody_types_yes_and_not_otherwise() {
    let prompt = ServerPrompt::new("https://api.example", "https://as.example", ServerReason::Named);
    for (typed, trusted) in
        [("yes\n", true), (" Y \n", true), ("no\n", false), ("\n", false), ("", false), ("yes, no\n", false)]
    {
        let (approved, shown) = asked(typed, &prompt).await;
        assert_eq!(approved, trusted, "{typed:?}");
        assert!(shown.contains("https://api.example") && shown.contains("https://as.example"), "{shown}");
    }
    let moved = ServerReason::Moved { from: "https://old.example" };
    let prompt = ServerPrompt::new("https://api.example/\u{1b}[2J", "https://as.example", moved);
    let (_, shown) = asked("no\n", &prompt).await;
    assert!(shown.contains("https://old.example") && !shown.contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_is_typed() {
    let prompt =
        RegistrationPrompt::new("https://api.example", "https://as.example", Some("https://as.example/docs"));
    for (typed, expected) in [
        ("my-app\n\n", Some(("my-app", None))),
        ("my-app\ns3cr3t\n", Some(("my-app", Some("s3cr3t")))),
        ("\n", None),
        ("", None),
    ] {
        let paper = Paper::new(|_| {});
        let input = Box::new(Cursor::new(typed.to_owned()));
        let terminal = TerminalInteraction::with_io(input, Box::new(paper.clone()));
        let registration = terminal.register_client(&prompt).await.unwrap();
        assert!(!format!("{registration:?}").contains("s3cr3t"));
        let read = registration.as_ref().map(|registration| {
            let secret = registration.client_secret.as_ref().map(|secret| secret.expose());
            (registration.client_id.as_str(), secret)
        });
        assert_eq!(read, expected, "{typed:?}");
        assert!(paper.read().contains("https://as.example/docs"));
    }
    // What is no link for a person is not shown as one.
    assert_eq!(RegistrationPrompt::new("r", "i", Some("javascript:alert(1)")).documentation, None);
}
