//! A16: the device authorization grant, with every sleep and every poll looked at (RFC 8628 §3.2 to §3.5).

use std::time::{Duration, UNIX_EPOCH};

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{
    Clock, DeviceCode, Grant, GrantContext, GrantError, InteractionError, Limits, ManualClock, NoInteraction,
    PublicClient, Recovery, Transport, TransportErrorKind, async_trait, bytes::Bytes, http,
};
use jeton_models::TokenResponse;

use crate::support::{
    Answered, Person, PlainHttp, Scripted, a_moment, answer, as_example, broken, clocked, json, metadata,
    oauth_error, token, with_header,
};

fn device(members: &str) -> Answered {
    json(
        200,
        &format!(
            r#"{{"device_code":"dev1ce","user_code":"WDJB-MJHT","verification_uri":"https://as.example/device"{members}}}"#
        ),
    )
}

fn pending() -> Answered {
    oauth_error(400, "authorization_pending")
}

struct Run {
    result: Result<TokenResponse, GrantError>,
    /// Seconds after the beginning at which the token endpoint was asked.
    polls: Vec<u64>,
    slept: Vec<Duration>,
    countdown: Vec<u64>,
    seen: Vec<String>,
}

/// One device login, on a clock that each sleep moves on.
async fn run(members: &str, answers: impl IntoIterator<Item = Answered>) -> Run {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, std::iter::once(device(members)).chain(answers));
    let (server, person) = (as_example(), Person::idle());
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let result = DeviceCode::new().obtain(&cx).await;
    let mut polls = transport.seconds_since(a_moment());
    assert_eq!(polls.remove(0), 0);
    let countdown = person.countdown.lock().unwrap().iter().map(Duration::as_secs).collect();
    Run { result, polls, slept: clock.slept(), countdown, seen: person.seen() }
}

#[tokio::test]
async fn a16_the_default_interval_is_5_and_pending_goes_on() {
    let run = run(r#","expires_in":600"#, [pending(), pending(), token()]).await;
    run.result.unwrap();
    assert_eq!(run.polls, [5, 10, 15]);
    // Each wait goes by in steps of a second, for the countdown.
    assert_eq!(run.slept, [Duration::from_secs(1); 15]);
    assert_eq!(run.countdown, (586..=600).rev().collect::<Vec<u64>>());
    assert_eq!(run.seen, ["WDJB-MJHT at https://as.example/device", "success"]);
}

#[tokio::test]
async fn a16_the_server_s_interval_is_kept_to() {
    let run = run(r#","expires_in":600,"interval":7"#, [pending(), pending(), token()]).await;
    run.result.unwrap();
    assert_eq!(run.polls, [7, 14, 21]);
}

#[tokio::test]
async fn a16_slow_down_adds_5_seconds_for_good() {
    let slow_down = || oauth_error(400, "slow_down");
    let answers = [pending(), slow_down(), pending(), pending(), slow_down(), pending(), token()];
    let run = run(r#","expires_in":600"#, answers).await;
    run.result.unwrap();
    // 5, 5, then 10 each, then 15 each.
    assert_eq!(run.polls, [5, 10, 20, 30, 40, 55, 70]);
}

#[tokio::test]
async fn a16_a_connection_timeout_backs_off_exponentially_and_for_good() {
    let timeout = || broken(TransportErrorKind::Timeout);
    let answers = [
        timeout(),
        broken(TransportErrorKind::Connect),
        pending(),
        broken(TransportErrorKind::Interrupted),
        timeout(),
        timeout(),
        token(),
    ];
    let run = run(r#","expires_in":600"#, answers).await;
    run.result.unwrap();
    // 5, then 10, 20, 20, 40, and no longer than 60, so that an approval is still noticed.
    assert_eq!(run.polls, [5, 15, 35, 55, 95, 155, 215]);
}

#[tokio::test]
async fn a16_a_503_does_not_end_the_polling_and_its_retry_after_is_honoured() {
    let unavailable = |retry_after: &str| {
        with_header(answer(503, "text/html", "<h1>busy</h1>"), "retry-after", retry_after)
    };
    let answers =
        [unavailable("37"), pending(), unavailable("1"), answer(502, "text/html", "<h1>oh</h1>"), token()];
    let run = run(r#","expires_in":600"#, answers).await;
    run.result.unwrap();
    // 5; 37 because it is more than 10; 10; 20 because it is more than 1; 40.
    assert_eq!(run.polls, [5, 42, 52, 72, 112]);
}

#[tokio::test]
async fn a16_the_other_temporary_answers_back_off_too() {
    for temporary in [
        oauth_error(400, "temporarily_unavailable"),
        oauth_error(500, "server_error"),
        oauth_error(429, "too_many_requests"),
        answer(429, "text/plain", "slow"),
        json(200, r#"{"access_tok"#),
        answer(200, "application/json", ""),
    ] {
        let run = run(r#","expires_in":600"#, [temporary, token()]).await;
        run.result.unwrap();
        assert_eq!(run.polls, [5, 15]);
    }
}

#[tokio::test]
async fn a16_it_ends_when_the_code_expires() {
    // Exactly then, and without one more poll.
    let run = run(r#","expires_in":12"#, [pending(), pending()]).await;
    let error = run.result.unwrap_err();
    assert!(matches!(error, GrantError::DeviceCodeExpired), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(run.polls, [5, 10]);
    assert_eq!(run.slept.iter().sum::<Duration>(), Duration::from_secs(12));
    assert_eq!(run.seen[1], format!("failed: {error}"));
}

#[tokio::test]
async fn a16_a_server_that_is_never_there_does_not_keep_it_for_ever() {
    let answers = std::iter::repeat_with(|| broken(TransportErrorKind::Connect)).take(100);
    let run = run(r#","expires_in":300"#, answers).await;
    assert!(matches!(run.result, Err(GrantError::DeviceCodeExpired)));
    assert_eq!(run.polls, [5, 15, 35, 75, 135, 195, 255]);
}

#[tokio::test]
async fn a16_other_errors_end_it() {
    for (last, code) in [
        (oauth_error(400, "expired_token"), "expired_token"),
        (oauth_error(400, "invalid_grant"), "invalid_grant"),
        (oauth_error(401, "invalid_client"), "invalid_client"),
        (oauth_error(400, "unauthorized_client"), "unauthorized_client"),
        (oauth_error(400, "something_else"), "something_else"),
        // Under 200, as some do.
        (oauth_error(200, "invalid_grant"), "invalid_grant"),
    ] {
        let run = run(r#","expires_in":600"#, [pending(), last]).await;
        assert_eq!(run.result.unwrap_err().oauth_error().unwrap().code(), code);
        assert_eq!(run.polls, [5, 10]);
        assert!(run.seen[1].starts_with("failed: "), "{:?}", run.seen);
    }
    // A wrong endpoint.
    let run = run(r#","expires_in":600"#, [answer(404, "text/html", "<h1>?</h1>")]).await;
    assert_eq!(run.result.unwrap_err().recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn a16_a_denial_is_told_as_a_denial() {
    let denied = json(400, r#"{"error":"access_denied","error_description":"she said no"}"#);
    let run = run(r#","expires_in":600"#, [denied]).await;
    assert_eq!(run.result.unwrap_err().recovery(), Recovery::LogIn);
    assert_eq!(run.seen[1], r#"denied: access_denied Some("she said no")"#);
}

#[tokio::test]
async fn a16_the_person_may_give_up() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, [device(r#","expires_in":600"#), pending()]);
    let (server, person) = (as_example(), Person::with_patience_for(7));
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let error = DeviceCode::new().obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Interaction(InteractionError::Cancelled)), "{error}");
    assert_eq!(clock.slept().len(), 7);

    // A program without a way to show the code says so before it polls.
    let transport = Scripted::new(&clock, [device(r#","expires_in":600"#)]);
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &NoInteraction;
    let error = DeviceCode::new().obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Interaction(InteractionError::Unavailable { .. })), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

/// Sets the clock back by an hour at the first poll.
struct SetsBack(Scripted, ManualClock);

#[async_trait]
impl Transport for SetsBack {
    async fn send(&self, request: http::Request<Bytes>, limits: &Limits) -> Answered {
        if self.0.requests().len() == 1 {
            self.1.set(self.1.now() - Duration::from_secs(3600));
        }
        self.0.send(request, limits).await
    }
}

#[tokio::test]
async fn a16_a_clock_that_is_set_back_does_not_stop_the_polling() {
    let clock = ManualClock::at(a_moment());
    let answers = [device(r#","expires_in":600"#), pending(), pending(), token()];
    let transport = SetsBack(Scripted::new(&clock, answers), clock.clone());
    let (server, person) = (as_example(), Person::idle());
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    DeviceCode::new().obtain(&cx).await.unwrap();
    assert_eq!(clock.slept(), [Duration::from_secs(1); 15]);
}

#[tokio::test]
async fn a16_absurd_numbers_are_survived() {
    let huge = u64::MAX;
    let members = format!(r#","expires_in":{huge},"interval":{huge}"#);
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1));
    let transport = Scripted::new(&clock, [device(&members)]);
    let (server, person) = (as_example(), Person::with_patience_for(3));
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let error = DeviceCode::new().obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Interaction(InteractionError::Cancelled)), "{error}");

    let answers = [
        with_header(answer(503, "text/html", "<"), "retry-after", &huge.to_string()),
        oauth_error(400, "slow_down"),
    ];
    let run = run(r#","expires_in":60"#, answers).await;
    assert!(matches!(run.result, Err(GrantError::DeviceCodeExpired)));
    assert_eq!(run.polls, [5]);
}

#[tokio::test]
async fn a_person_is_sent_to_https_or_loopback_only() {
    for (uri, complete, shown) in [
        ("https://as.example/device", "https://as.example/device?c=1", Some(true)),
        ("http://127.0.0.1:8080/device", "http://localhost/device?c=1", Some(true)),
        ("https://as.example/device", "javascript:alert(1)", Some(false)),
        ("https://as.example/device", "file:///etc/passwd", Some(false)),
        ("https://as.example/device", "http://as.example/device?c=1", Some(false)),
        ("http://as.example/device", "https://as.example/device?c=1", None),
        ("javascript:alert(1)", "https://as.example/device?c=1", None),
        ("as.example/device", "https://as.example/device?c=1", None),
    ] {
        let clock = ManualClock::at(a_moment());
        let body = format!(
            r#"{{"device_code":"d","user_code":"U","expires_in":60,"verification_uri":"{uri}","verification_uri_complete":"{complete}"}}"#
        );
        let transport = Scripted::new(&clock, [json(200, &body), token()]);
        let (server, person) = (as_example(), Complete::default());
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        cx.interaction = &person;
        match (DeviceCode::new().obtain(&cx).await, shown) {
            (Ok(_), Some(shown)) => {
                let expected = shown.then(|| complete.to_owned());
                assert_eq!(*person.0.lock().unwrap(), [expected]);
            }
            (Err(error), None) => {
                assert!(matches!(error, GrantError::VerificationUri { .. }), "{error}");
                assert!(person.0.lock().unwrap().is_empty());
            }
            (result, _) => panic!("{uri}: {result:?}"),
        }
    }
}

/// Remembers the URIs that have the code in them.
#[derive(Default)]
struct Complete(std::sync::Mutex<Vec<Option<String>>>);

#[async_trait]
impl jeton_grants::Interaction for Complete {
    async fn show_device_code(
        &self,
        prompt: &jeton_grants::DeviceCodePrompt<'_>,
    ) -> Result<(), InteractionError> {
        self.0.lock().unwrap().push(prompt.verification_uri_complete.map(str::to_owned));
        Ok(())
    }
}

#[tokio::test]
async fn a16_the_strict_server_never_has_to_say_slow_down() {
    for (interval, pkce) in [(Some(5), false), (None, true), (Some(9), true)] {
        let clock = ManualClock::at(a_moment());
        let builder = DevServer::builder().device_interval(interval).device_auto_approve_after_polls(Some(3));
        let devserver = clocked(builder, &clock);
        let (server, person) = (metadata(&devserver).await, Person::idle());
        let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
        cx.interaction = &person;
        let response = DeviceCode::new().pkce(pkce).obtain(&cx).await.unwrap();
        assert!(devserver.is_access_token_live(response.access_token.expose()));
        // Three were pending and the fourth was granted: none was too early.
        assert_eq!(devserver.stats().grant("urn:ietf:params:oauth:grant-type:device_code").requests, 4);
        assert_eq!(clock.now(), a_moment() + Duration::from_secs(4 * interval.unwrap_or(5)));
        let sent = devserver.last_request(Endpoint::Token).unwrap();
        assert_eq!(sent.form_value("code_verifier").is_some(), pkce);
    }
}

#[tokio::test]
async fn a16_a_real_server_with_a_bad_day_is_got_through() {
    let clock = ManualClock::at(a_moment());
    let builder = DevServer::builder().device_auto_approve_after_polls(Some(1));
    let devserver = clocked(builder, &clock);
    let (server, person) = (metadata(&devserver).await, Person::idle());
    devserver.fault(Endpoint::Token, Fault::SlowDown);
    devserver.fault(Endpoint::Token, Fault::unavailable(Some("40")));
    devserver.fault(Endpoint::Token, Fault::DropBeforeCommit);
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    DeviceCode::new().obtain(&cx).await.unwrap();
    // 5 slow_down; +10 unavailable, the interval doubles to 20; +40 dropped, it doubles to 40; +40 pending; +40 granted.
    assert_eq!(clock.now(), a_moment() + Duration::from_secs(5 + 10 + 40 + 40 + 40));
}

#[tokio::test]
async fn a16_a_real_denial_and_an_error_of_the_device_endpoint() {
    let devserver = DevServer::start().unwrap();
    let (server, clock) = (metadata(&devserver).await, ManualClock::at(a_moment()));
    let person = Denies(&devserver);
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    let error = DeviceCode::new().obtain(&cx).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "access_denied");

    let wrong = "nonsense".parse().unwrap();
    cx.scope = Some(&wrong);
    let error = DeviceCode::new().obtain(&cx).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_scope");
    assert!(error.to_string().starts_with("device authorization request at http://127.0.0.1:"), "{error}");
}

struct Denies<'a>(&'a DevServer);

#[async_trait]
impl jeton_grants::Interaction for Denies<'_> {
    async fn show_device_code(
        &self,
        prompt: &jeton_grants::DeviceCodePrompt<'_>,
    ) -> Result<(), InteractionError> {
        assert!(self.0.deny_device(prompt.user_code));
        Ok(())
    }
}
