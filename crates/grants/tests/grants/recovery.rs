//! What an error advises, and whether the server may have acted: every OAuth error code, status and transport error.

use std::time::{Duration, UNIX_EPOCH};

use jeton_grants::{
    ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError, InteractionError, ManualClock,
    PublicClient, Recovery, RefreshToken, TransportErrorKind, begin_authorization, finish_authorization,
};
use jeton_models::{AuthorizationResponseError, ErrorResponse};

use crate::support::{
    Answered, Scripted, a_moment, answer, as_example, broken, json, oauth_error, with_header,
};

const RETRY: Recovery = Recovery::Retry { after: None };

/// A refresh that is answered like this.
async fn refused(answered: Answered) -> GrantError {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [answered]));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    RefreshToken::new("r").obtain(&cx).await.unwrap_err()
}

#[tokio::test]
async fn every_oauth_error_code_has_its_advice() {
    use Recovery::{FixConfiguration, FixRequest, GiveUp, LogIn};
    for (status, code, recovery, acted_on) in [
        (400, "invalid_request", FixRequest, false),
        (401, "invalid_client", FixConfiguration, false),
        (400, "invalid_grant", LogIn, false),
        (400, "unauthorized_client", FixConfiguration, false),
        (400, "unsupported_grant_type", FixConfiguration, false),
        (400, "unsupported_response_type", FixConfiguration, false),
        (400, "invalid_scope", FixRequest, false),
        (400, "invalid_target", FixRequest, false),
        (400, "access_denied", LogIn, false),
        (400, "expired_token", LogIn, false),
        (400, "login_required", LogIn, false),
        (400, "interaction_required", LogIn, false),
        (400, "consent_required", LogIn, false),
        (400, "account_selection_required", LogIn, false),
        (400, "authorization_pending", RETRY, false),
        (400, "slow_down", RETRY, false),
        (503, "temporarily_unavailable", RETRY, false),
        (400, "temporarily_unavailable", RETRY, false),
        (500, "server_error", RETRY, true),
        (400, "server_error", RETRY, true),
        // Under 200, or under a 5xx, a registered code means what it means.
        (200, "invalid_grant", LogIn, false),
        (401, "invalid_grant", LogIn, false),
        (500, "invalid_client", FixConfiguration, false),
        // But a server that could not work gives no verdict, and "not now" is about the time.
        (500, "invalid_grant", RETRY, true),
        (503, "invalid_grant", RETRY, false),
        (429, "invalid_grant", RETRY, false),
        (429, "access_denied", RETRY, false),
        (503, "invalid_client", RETRY, false),
        // What GitHub and Slack call it.
        (200, "bad_refresh_token", LogIn, false),
        (200, "bad_verification_code", LogIn, false),
        (200, "incorrect_client_credentials", FixConfiguration, false),
        (200, "invalid_refresh_token", LogIn, false),
        (200, "bad_client_secret", FixConfiguration, false),
        (200, "ratelimited", RETRY, false),
        (200, "fatal_error", RETRY, true),
        (400, "made_up", GiveUp, false),
        (200, "made_up", GiveUp, false),
        (429, "made_up", RETRY, false),
        (500, "made_up", RETRY, true),
        (502, "made_up", RETRY, true),
        (503, "made_up", RETRY, false),
    ] {
        let error = refused(oauth_error(status, code)).await;
        assert_eq!(error.recovery(), recovery, "{status} {code}");
        assert_eq!(error.may_have_been_acted_on(), acted_on, "{status} {code}");
        let refuses_for_good =
            ["invalid_grant", "bad_refresh_token", "bad_verification_code", "invalid_refresh_token"];
        let expected = refuses_for_good.contains(&code) && recovery == LogIn;
        assert_eq!(error.is_invalid_grant(), expected, "{status} {code}");
    }
}

#[tokio::test]
async fn every_status_without_an_oauth_error_has_its_advice() {
    use Recovery::FixConfiguration;
    for (status, recovery, acted_on) in [
        (400, FixConfiguration, false),
        (401, FixConfiguration, false),
        (403, FixConfiguration, false),
        (404, FixConfiguration, false),
        (405, FixConfiguration, false),
        (408, RETRY, false),
        (413, FixConfiguration, false),
        (425, RETRY, false),
        (429, RETRY, false),
        (500, RETRY, true),
        (502, RETRY, true),
        (503, RETRY, false),
        (504, RETRY, true),
        (511, RETRY, false),
        (520, RETRY, true),
    ] {
        for answered in [
            answer(status, "text/html", "<h1>Sorry</h1>"),
            answer(status, "text/plain", "sorry"),
            answer(status, "application/json", ""),
            json(status, r#"{"message":"sorry"}"#),
        ] {
            let error = refused(answered).await;
            assert!(matches!(error, GrantError::Unusable { .. }), "{error}");
            assert_eq!(error.recovery(), recovery, "{error}");
            assert_eq!(error.may_have_been_acted_on(), acted_on, "{error}");
        }
    }
    // A success that cannot be read: the refresh token may be used up.
    for (body, recovery) in [
        ("", RETRY),
        (r#"{"access_token":"t"#, RETRY),
        ("{}", FixConfiguration),
        (r#"{"access_token":"t","token_type":"mac"}"#, Recovery::GiveUp),
        (r#"{"access_token":"a\nb","token_type":"Bearer"}"#, Recovery::GiveUp),
    ] {
        let error = refused(json(200, body)).await;
        assert_eq!(error.recovery(), recovery, "{error}");
        assert!(error.may_have_been_acted_on(), "{error}");
    }
}

#[tokio::test]
async fn every_transport_error_has_its_advice() {
    use Recovery::FixConfiguration;
    use TransportErrorKind::{BodyTooLarge, Connect, Interrupted, Request, Timeout};
    for (kind, recovery, acted_on) in [
        (Connect, RETRY, false),
        (Timeout, RETRY, true),
        (Interrupted, RETRY, true),
        (BodyTooLarge, FixConfiguration, true),
        (Request, FixConfiguration, false),
    ] {
        let error = refused(broken(kind)).await;
        assert_eq!(error.recovery(), recovery, "{kind:?}");
        assert_eq!(error.may_have_been_acted_on(), acted_on, "{kind:?}");
    }
}

#[tokio::test]
async fn a_code_is_never_advised_to_be_sent_again() {
    let clock = ManualClock::at(a_moment());
    for (answered, recovery) in [
        (broken(TransportErrorKind::Connect), Recovery::LogIn),
        (broken(TransportErrorKind::Timeout), Recovery::LogIn),
        (broken(TransportErrorKind::Interrupted), Recovery::LogIn),
        (answer(503, "text/html", "<h1>busy</h1>"), Recovery::LogIn),
        (json(200, "{"), Recovery::LogIn),
        (oauth_error(500, "server_error"), Recovery::LogIn),
        (oauth_error(400, "invalid_grant"), Recovery::LogIn),
        (oauth_error(401, "invalid_client"), Recovery::FixConfiguration),
        (broken(TransportErrorKind::Request), Recovery::FixConfiguration),
    ] {
        let (server, transport) = (as_example(), Scripted::new(&clock, [answered]));
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let (_, pending) =
            begin_authorization(&cx, "https://app.example/cb", Duration::from_secs(60)).await.unwrap();
        let url = format!("https://app.example/cb?code=c&state={}", pending.state().expose());
        let error = finish_authorization(&cx, pending, &url.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.recovery(), recovery, "{error}");
        assert_eq!(transport.requests().len(), 1);
    }
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(784_111_777));
    let (server, authentication) = (as_example(), ClientSecretBasic::new("s"));
    for (value, after) in [
        ("120", Some(120)),
        (" 7 ", Some(7)),
        // Any time.
        ("0", None),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
        ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
        ("Sun Nov  6 08:50:07 1994", Some(30)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", None),
        ("18446744073709551615", Some(u32::MAX.into())),
        ("18446744073709551616", Some(u32::MAX.into())),
        // Not what the RFC allows, but clear.
        ("1.5", Some(2)),
        ("soon", None),
        ("-5", None),
    ] {
        let answers = [
            with_header(answer(503, "text/html", "<h1>busy</h1>"), "retry-after", value),
            with_header(oauth_error(429, "made_up"), "retry-after", value),
            with_header(oauth_error(503, "temporarily_unavailable"), "retry-after", value),
        ];
        let count = answers.len();
        let transport = Scripted::new(&clock, answers);
        let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
        for _ in 0..count {
            let error = ClientCredentials.obtain(&cx).await.unwrap_err();
            let after = after.map(Duration::from_secs);
            assert_eq!(error.recovery(), Recovery::Retry { after }, "{value}");
            // The advice can be printed, however absurd.
            assert!(error.recovery().to_string().starts_with("try again"));
        }
    }
    // A server that names a time wants to be asked again, whatever its status.
    let transport =
        Scripted::new(&clock, [with_header(answer(403, "text/html", "<h1>slower</h1>"), "retry-after", "9")]);
    let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    let after = Some(Duration::from_secs(9));
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap_err().recovery(), Recovery::Retry { after });
    // Where waiting does not help, the header changes nothing.
    let transport =
        Scripted::new(&clock, [with_header(oauth_error(400, "invalid_grant"), "retry-after", "9")]);
    let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap_err().recovery(), Recovery::LogIn);
}

#[tokio::test]
async fn a_secret_that_looks_like_part_of_an_error_code_does_not_change_the_advice() {
    for secret in ["grant", "invalid_grant", "i", "_"] {
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, [oauth_error(400, "invalid_grant")]));
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let error = RefreshToken::new(secret).obtain(&cx).await.unwrap_err();
        assert!(error.is_invalid_grant(), "{error}");
        assert_eq!(error.recovery(), Recovery::LogIn);
    }
}

#[test]
fn the_errors_without_a_request_have_their_advice() {
    let denied = |code: &str| GrantError::from(AuthorizationResponseError::Denied(ErrorResponse::new(code)));
    for (error, recovery) in [
        (denied("access_denied"), Recovery::LogIn),
        (denied("temporarily_unavailable"), RETRY),
        (denied("server_error"), RETRY),
        (denied("invalid_scope"), Recovery::FixRequest),
        (denied("unauthorized_client"), Recovery::FixConfiguration),
        (denied("made_up"), Recovery::GiveUp),
        (AuthorizationResponseError::StateMismatch.into(), Recovery::LogIn),
        (GrantError::PendingLoginExpired, Recovery::LogIn),
        (GrantError::PendingLoginUsed, Recovery::LogIn),
        (GrantError::DeviceCodeExpired, Recovery::LogIn),
        (InteractionError::cancelled().into(), Recovery::LogIn),
        (InteractionError::unavailable("no terminal").into(), Recovery::FixConfiguration),
        (InteractionError::other("mine").into(), Recovery::GiveUp),
        (GrantError::other("mine"), Recovery::GiveUp),
    ] {
        assert_eq!(error.recovery(), recovery, "{error}");
        assert!(!error.may_have_been_acted_on());
    }
}
