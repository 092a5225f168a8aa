//! A33: secrets show nowhere. Marker secrets are planted in all that goes out and in what servers repeat; then every text of
//! every error, each Debug output, each source and each line that is logged at TRACE is searched for them.
//!
//! A binary of its own: what is logged is caught by a subscriber for the whole process.
// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::io;
use std::sync::Once;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeton_devserver::DevServer;
use jeton_grants::{
    AuthorizationCode, AuthorizationReply, ClientAuthentication, ClientCredentials, ClientSecretBasic,
    ClientSecretPost, DeviceCode, EndpointRequest, ExtraParameters, Grant, GrantContext, GrantError,
    LoginOutcome, ManualClock, Operation, PastedRedirect, PublicClient, RefreshToken,
    ResourceOwnerPasswordCredentials, begin_authorization, finish_authorization,
};
use jeton_models::{AuthorizationResponseError, Parameters, TokenResponse};
use url::Url;

use support::{
    Answered, FakeListener, Person, PlainHttp, Scripted, a_moment, answer, as_example, clocked, json,
    metadata,
};

/// Each secret holds this. Those with reserved characters hold it before and after them.
const MARKER: &str = "h1dd3n";
const PASSWORD: &str = "h1dd3n p&ss=w+rd%\"é h1dd3n";
const CLIENT_SECRET: &str = "h1dd3n s€cr:t/ h1dd3n";
const REFRESH_TOKEN: &str = "h1dd3n-refresh.token~1/==";
const DEVICE_CODE: &str = "h1dd3n-device-code";
const CODE: &str = "h1dd3n/code+h1dd3n";
const EXTRA: &str = "h1dd3n-extra";

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the test's own thread, on which all of its futures run.
struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything from TRACE on, with spans opening and closing. To be called first in each test: where a line is logged
/// before there is a subscriber, it may stay silent.
fn catch_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(|| ThisThread)
            .init();
    });
}

fn logged() -> String {
    LOGGED.with_borrow(|logged| String::from_utf8(logged.clone()).unwrap())
}

/// Spellings in which a secret may be recognized, besides the marker: what Basic makes of it.
fn basic_header(client_id: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    STANDARD.encode(format!("{}:{}", encode(client_id), encode(CLIENT_SECRET)))
}

#[track_caller]
fn assert_clean(text: &str) {
    assert!(!text.contains(MARKER), "{text}");
    assert!(!text.contains(&basic_header("me")), "{text}");
}

/// The error in each form in which a program may show it.
#[track_caller]
fn assert_shows_nothing(error: &GrantError) {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(shown) = cause {
        assert_clean(&format!("{shown} {shown:#} {shown:?} {shown:#?}"));
        cause = shown.source();
    }
    assert_clean(&error.recovery().to_string());
    assert_clean(&logged());
}

#[track_caller]
fn assert_debug_shows_nothing(shown: &dyn Debug) {
    assert_clean(&format!("{shown:?} {shown:#?}"));
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The answers of servers that repeat `secret` wherever an answer has room for words.
fn echoes(secret: &str) -> Vec<Answered> {
    let form_encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent_encoded = form_encoded.replace('+', "%20");
    let mut answers = Vec::new();
    for spelling in [secret, &form_encoded, &percent_encoded] {
        let said = quoted(&format!("the value '{spelling}' ({spelling}) is not one"));
        let link = quoted(&format!("https://as.example/errors?value={spelling}"));
        let alone = quoted(spelling);
        for (status, body) in [
            (400, format!(r#"{{"error":"invalid_grant","error_description":{said},"error_uri":{link}}}"#)),
            (401, format!(r#"{{"error":"invalid_client","message":{said}}}"#)),
            (400, format!(r#"{{"error":{said}}}"#)),
            (400, format!(r#"{{"error":"invalid_request","sent":{alone},"all":{{"list":[{alone}]}}}}"#)),
            (400, format!(r#"{{"error":{{"code":"x","message":{said}}}}}"#)),
            (400, format!(r#"{{"errors":[{{"errorType":"x","message":{said}}}]}}"#)),
            (200, format!(r#"{{"error":"invalid_grant","error_description":{said}}}"#)),
            (200, format!(r#"{{"ok":false,"message":{said}}}"#)),
            (500, format!(r#"{{"detail":{said}}}"#)),
            (403, format!(r#"{{"title":{said}}}"#)),
            (400, format!(r#"{{"error":"invalid_grant","error_description":{said}"#)),
        ] {
            answers.push(json(status, &body));
        }
        answers.push(answer(500, "text/html", format!("<pre>Traceback: {spelling}</pre>")));
        answers.push(answer(400, "text/plain", spelling.to_owned()));
        let form = form_urlencoded_error(spelling);
        answers.push(answer(400, "application/x-www-form-urlencoded", form));
    }
    answers
}

fn form_urlencoded_error(said: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("error", "invalid_grant").append_pair("error_description", said);
    form.finish()
}

async fn run(
    grant: &dyn Grant,
    client: &dyn ClientAuthentication,
    secret: &str,
    before: impl Fn() -> Vec<Answered>,
) {
    for echo in echoes(secret) {
        let clock = ManualClock::at(a_moment());
        let transport = Scripted::new(&clock, before().into_iter().chain([echo.clone(), echo]));
        let (server, person) = (as_example(), Person::idle());
        let mut extra = ExtraParameters::default();
        for parameters in [&mut extra.token, &mut extra.refresh, &mut extra.device_authorization] {
            parameters.append("partner_key", EXTRA).unwrap();
        }
        let mut cx = GrantContext::new(&server, "me", client, &transport, &clock);
        (cx.interaction, cx.extra) = (&person, &extra);
        let sent = |transport: &Scripted| transport.requests().len();
        // A device login goes on after a temporary answer, until the script ends it.
        let result = tokio::time::timeout(Duration::from_secs(30), grant.obtain(&cx)).await.unwrap();
        let error = result.unwrap_err();
        assert!(sent(&transport) > before().len());
        assert_shows_nothing(&error);
        assert!(person.seen().iter().all(|told| !told.contains(MARKER)), "{:?}", person.seen());
        for shown in [&cx as &dyn Debug, &extra] {
            assert_debug_shows_nothing(shown);
        }
    }
}

#[tokio::test]
async fn a33_what_servers_repeat_is_cut_out_of_errors_and_logs() {
    catch_logs();
    let (none, basic, post) =
        (PublicClient, ClientSecretBasic::new(CLIENT_SECRET), ClientSecretPost::new(CLIENT_SECRET));
    let nothing = Vec::new;
    run(&RefreshToken::new(REFRESH_TOKEN), &none, REFRESH_TOKEN, nothing).await;
    run(&ResourceOwnerPasswordCredentials::new("ann", PASSWORD), &none, PASSWORD, nothing).await;
    run(&ClientCredentials, &basic, CLIENT_SECRET, nothing).await;
    run(&ClientCredentials, &basic, &format!("Basic {}", basic_header("me")), nothing).await;
    run(&ClientCredentials, &post, CLIENT_SECRET, nothing).await;
    run(&ClientCredentials, &post, EXTRA, nothing).await;
    run(&RefreshToken::new(REFRESH_TOKEN), &post, EXTRA, nothing).await;
    // The whole body.
    let body = format!("refresh_token={REFRESH_TOKEN}&partner_key={EXTRA}&client_secret={CLIENT_SECRET}");
    run(&RefreshToken::new(REFRESH_TOKEN), &post, &body, nothing).await;
    // The device authorization request, then the polls.
    run(&DeviceCode::new(), &post, EXTRA, nothing).await;
    let log = logged();
    assert!(log.contains("oauth_request") && log.contains("answered"), "nothing was caught: {log}");
}

/// Ends a device login at its second poll, whatever the first one said.
#[tokio::test]
async fn a33_a_device_code_is_cut_out_too() {
    catch_logs();
    for echo in echoes(DEVICE_CODE) {
        let device = format!(
            r#"{{"device_code":"{DEVICE_CODE}","user_code":"U","verification_uri":"https://as.example/d","expires_in":6}}"#
        );
        let clock = ManualClock::at(a_moment());
        let transport = Scripted::new(&clock, [json(200, &device), echo]);
        let (server, person) = (as_example(), Person::idle());
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        cx.interaction = &person;
        let error = DeviceCode::new().pkce(true).obtain(&cx).await.unwrap_err();
        assert_shows_nothing(&error);
        assert!(person.seen().iter().all(|told| !told.contains(MARKER)), "{:?}", person.seen());
        assert_eq!(transport.requests().len(), 2);
    }
}

#[tokio::test]
async fn a33_codes_verifiers_and_states_are_cut_out_too() {
    catch_logs();
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    for which in ["code", "verifier"] {
        let count = echoes("x").len();
        for at in 0..count {
            let (transport, listener) = (Scripted::new(&clock, []), "https://app.example/cb");
            let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
            let (url, pending) = begin_authorization(&cx, listener, Duration::from_secs(60)).await.unwrap();
            let kept = serde_json::to_value(&pending).unwrap();
            let verifier = kept["code_verifier"].as_str().unwrap().to_owned();
            let state = pending.state().expose().to_owned();
            let secret = if which == "code" { CODE.to_owned() } else { verifier.clone() };
            let transport = Scripted::new(&clock, [echoes(&secret).remove(at)]);
            let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);

            let debug = format!("{pending:?}");
            assert!(!debug.contains(&verifier) && !debug.contains(&state), "{debug}");
            let mut redirected: Url = listener.parse().unwrap();
            redirected.query_pairs_mut().append_pair("code", CODE).append_pair("state", &state);
            let error = finish_authorization(&cx, pending, &redirected).await.unwrap_err();
            assert_shows_nothing(&error);
            let texts = format!("{error} {error:?} {}", logged());
            assert!(!texts.contains(&verifier) && !texts.contains(&state), "{texts}");
            // A reply of the person holds the code, a prompt the state.
            assert_debug_shows_nothing(&AuthorizationReply::Redirected(redirected));
            assert!(url.as_str().contains(&state));
        }
    }
}

#[tokio::test]
async fn a33_a_refusal_that_repeats_the_state_does_not_show_it() {
    catch_logs();
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let (_, pending) =
        begin_authorization(&cx, "https://app.example/cb", Duration::from_secs(60)).await.unwrap();
    let state = pending.state().expose().to_owned();
    let mut redirected: Url = "https://app.example/cb".parse().unwrap();
    redirected
        .query_pairs_mut()
        .append_pair("state", &state)
        .append_pair("error", "access_denied")
        .append_pair("error_description", &format!("request {state} was denied"));
    let error = finish_authorization(&cx, pending, &redirected).await.unwrap_err();
    assert!(matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(_))));
    assert!(error.to_string().contains("request [redacted] was denied"), "{error}");
    assert!(!format!("{error:?}").contains(&state));
}

/// The prompt, as a program might print it.
struct Prints(std::sync::Mutex<String>);

#[jeton_grants::async_trait]
impl jeton_grants::Interaction for Prints {
    async fn open_authorization_url(
        &self,
        prompt: &jeton_grants::AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, jeton_grants::InteractionError> {
        let state = prompt.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let debug = format!("{prompt:?}");
        assert!(debug.contains("https://as.example/authorize") && !debug.contains(&state), "{debug}");
        let pasted =
            format!("https://app.example/cb?state={state}&error=access_denied&error_description={state}");
        *self.0.lock().unwrap() = state;
        Ok(AuthorizationReply::Redirected(pasted.parse().unwrap()))
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        assert!(matches!(outcome, LoginOutcome::Denied { .. }));
        assert!(!format!("{outcome:?}").contains(self.0.lock().unwrap().as_str()), "{outcome:?}");
    }
}

#[tokio::test]
async fn a33_neither_a_prompt_nor_an_outcome_shows_the_state() {
    catch_logs();
    let clock = ManualClock::paused(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let person = Prints(std::sync::Mutex::default());
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let grant = AuthorizationCode::new(PastedRedirect::new("https://app.example/cb"));
    grant.obtain(&cx).await.unwrap_err();
    let state = person.0.lock().unwrap().clone();
    assert_eq!(state.len(), 43);
    assert!(!logged().contains(&state));
}

#[test]
fn a33_nothing_of_this_crate_shows_its_secret_in_debug() {
    let mut parameters = Parameters::new();
    parameters.append("key", EXTRA).unwrap();
    let url = format!("https://as.example/token?key={EXTRA}").parse().unwrap();
    let mut request = EndpointRequest::new(Operation::named("own"), url, parameters);
    request.headers.insert("x-key", EXTRA.parse().unwrap());
    request.add_secret(EXTRA.into());
    for shown in [
        &ClientSecretBasic::new(CLIENT_SECRET) as &dyn Debug,
        &ClientSecretPost::new(CLIENT_SECRET),
        &RefreshToken::new(REFRESH_TOKEN),
        &ResourceOwnerPasswordCredentials::new("ann", PASSWORD),
        &request,
    ] {
        assert_debug_shows_nothing(shown);
    }
}

/// Every grant that succeeds at the devserver: nothing of what it sent or got is in the logs.
#[tokio::test]
async fn a33_tokens_are_logged_by_fingerprint_only() {
    catch_logs();
    let clock = ManualClock::at(a_moment());
    let builder = DevServer::builder()
        .client(jeton_devserver::Client::post("me", CLIENT_SECRET).redirect_uri(FakeListener::REDIRECT_URI))
        .user("ann", PASSWORD)
        .device_auto_approve_after_polls(Some(1));
    let devserver = clocked(builder, &clock);
    let (server, person) = (metadata(&devserver).await, Person::idle());
    let authentication = ClientSecretPost::new(CLIENT_SECRET);
    let mut cx = GrantContext::new(&server, "me", &authentication, &PlainHttp, &clock);
    cx.interaction = &person;

    let mut responses: Vec<TokenResponse> = Vec::new();
    responses.push(ClientCredentials.obtain(&cx).await.unwrap());
    responses.push(DeviceCode::new().obtain(&cx).await.unwrap());
    responses.push(ResourceOwnerPasswordCredentials::new("ann", PASSWORD).obtain(&cx).await.unwrap());
    let refresh_token = responses[2].refresh_token.clone().unwrap();
    responses.push(RefreshToken::new(refresh_token).obtain(&cx).await.unwrap());
    let (url, pending) =
        begin_authorization(&cx, FakeListener::REDIRECT_URI, Duration::from_secs(60)).await.unwrap();
    let redirected = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
    responses.push(finish_authorization(&cx, pending, &redirected).await.unwrap());

    let log = logged();
    assert_clean(&log);
    for response in &responses {
        let debug = format!("{response:?}");
        assert!(log.contains(&response.access_token.fingerprint()), "{log}");
        for token in [Some(&response.access_token), response.refresh_token.as_ref()].into_iter().flatten() {
            assert!(!log.contains(token.expose()) && !debug.contains(token.expose()));
        }
    }
    // Whatever was secret in the requests, as the server saw it.
    for request in devserver.requests() {
        for (name, value) in request.form.iter().chain(&request.query) {
            if ["code", "code_verifier", "state", "device_code", "refresh_token"].contains(&name.as_str()) {
                assert!(!log.contains(value.as_str()), "{name}: {log}");
            }
        }
    }
}
