//! OAuth errors (RFC 6749 §5.2) that leave the login as it is: everything but a definitive `invalid_grant`, for which see
//! `ended.rs`.

use jeton_devserver::Fault;

use crate::row::{FIX_CONFIGURATION, FIX_REQUEST, GIVE_UP, LOG_IN, RETRY, check, lost, refused};

const JSON: &str = "application/json";

fn oauth(status: u16, error: &str) -> Fault {
    Fault::OAuthError { status, error: error.to_owned(), description: Some("because".to_owned()) }
}

fn json(status: u16, body: &str) -> Fault {
    Fault::answer(status, JSON, body)
}

#[tokio::test]
async fn registered_codes() {
    check(vec![
        // RFC 6749 §5.2.
        refused("invalid_request", oauth(400, "invalid_request"), FIX_REQUEST, "invalid_request: because"),
        refused("invalid_client", oauth(401, "invalid_client"), FIX_CONFIGURATION, "invalid_client: because"),
        refused("invalid_client under 400", oauth(400, "invalid_client"), FIX_CONFIGURATION, "HTTP 400"),
        refused("unauthorized_client", oauth(400, "unauthorized_client"), FIX_CONFIGURATION, "unauthorized"),
        refused("unsupported_grant_type", oauth(400, "unsupported_grant_type"), FIX_CONFIGURATION, "unsupp"),
        refused("invalid_scope", oauth(400, "invalid_scope"), FIX_REQUEST, "invalid_scope: because"),
        // RFC 6749 §4.1.2.1, which token endpoints send too.
        refused("temporarily_unavailable", oauth(400, "temporarily_unavailable"), RETRY, "temporarily"),
        refused("temporarily_unavailable, 503", oauth(503, "temporarily_unavailable"), RETRY, "HTTP 503"),
        lost("server_error", oauth(400, "server_error"), RETRY, "server_error: because"),
        lost("server_error under 500", oauth(500, "server_error"), RETRY, "HTTP 500"),
        refused("access_denied", oauth(403, "access_denied"), LOG_IN, "access_denied: because"),
        // RFC 8628 §3.5.
        refused("slow_down", oauth(400, "slow_down"), RETRY, "slow_down: because"),
        refused("slow_down under 429", oauth(429, "slow_down"), RETRY, "HTTP 429"),
        refused("authorization_pending", oauth(428, "authorization_pending"), RETRY, "HTTP 428"),
        refused("expired_token", oauth(400, "expired_token"), LOG_IN, "expired_token: because"),
        // RFC 8707 §2, RFC 9449 §8.
        refused("invalid_target", oauth(400, "invalid_target"), FIX_REQUEST, "invalid_target: because"),
        refused("use_dpop_nonce", oauth(400, "use_dpop_nonce"), RETRY, "use_dpop_nonce: because"),
    ])
    .await;
}

/// The person has to do something for this token, and the refresh token may be good for others: Microsoft Entra says so of an
/// API that asks for a second factor. The login stays, and the error says to log in.
#[tokio::test]
async fn the_person_is_needed() {
    check(vec![
        refused("interaction_required", oauth(400, "interaction_required"), LOG_IN, "interaction_required"),
        refused("login_required", oauth(400, "login_required"), LOG_IN, "login_required: because"),
        refused("consent_required", oauth(400, "consent_required"), LOG_IN, "consent_required: because"),
        refused("account_selection_required", oauth(400, "account_selection_required"), LOG_IN, "account"),
        refused("under 200", oauth(200, "interaction_required"), LOG_IN, "HTTP 200"),
    ])
    .await;
}

#[tokio::test]
async fn codes_that_nobody_registered() {
    check(vec![
        refused("under 400", oauth(400, "flux_capacitor"), GIVE_UP, "flux_capacitor: because"),
        refused("under 200", oauth(200, "flux_capacitor"), GIVE_UP, "flux_capacitor: because"),
        // The status says more than the code does.
        refused("under 429", oauth(429, "too_many_requests"), RETRY, "too_many_requests: because"),
        refused("under 503", oauth(503, "maintenance"), RETRY, "maintenance: because"),
        lost("under 500", oauth(500, "internal"), RETRY, "internal: because"),
        lost("under 502", oauth(502, "bad_gateway"), RETRY, "bad_gateway: because"),
    ])
    .await;
}

/// "Not now" is about the time, whatever the code beside it is about.
#[tokio::test]
async fn a_status_that_says_not_now() {
    check(vec![
        refused("429 access_denied", oauth(429, "access_denied"), RETRY, "access_denied: because"),
        refused("429 invalid_request", oauth(429, "invalid_request"), RETRY, "invalid_request: because"),
        refused("429 invalid_client", oauth(429, "invalid_client"), RETRY, "invalid_client: because"),
        refused("503 access_denied", oauth(503, "access_denied"), RETRY, "access_denied: because"),
        refused("503 invalid_client", oauth(503, "invalid_client"), RETRY, "invalid_client: because"),
        // No verdict on the refresh token by a server that could not work. One that means it says so again, with its 400.
        refused("429 invalid_grant", oauth(429, "invalid_grant"), RETRY, "invalid_grant: because"),
        refused("503 invalid_grant", oauth(503, "invalid_grant"), RETRY, "invalid_grant: because"),
        lost("500 invalid_grant", oauth(500, "invalid_grant"), RETRY, "invalid_grant: because"),
        lost("502 invalid_grant", oauth(502, "invalid_grant"), RETRY, "invalid_grant: because"),
    ])
    .await;
}

/// Bodies that servers send, from quirks and memory. What is not in `error` is no OAuth error, and ends no login.
#[tokio::test]
async fn other_shapes() {
    let github = "error=incorrect_client_credentials&error_description=The+client_id+is+wrong";
    check(vec![
        // A part of the work may have been done, its documentation says.
        lost("Slack: under 200", json(200, r#"{"ok":false,"error":"fatal_error"}"#), RETRY, "fatal_error"),
        refused("Slack: too fast", json(429, r#"{"ok":false,"error":"ratelimited"}"#), RETRY, "ratelimited"),
        refused(
            "GitHub: a form under 200",
            Fault::answer(200, "application/x-www-form-urlencoded", github),
            FIX_CONFIGURATION,
            "incorrect_client_credentials: The client_id is wrong",
        ),
        refused(
            "Facebook: an object",
            json(400, r#"{"error":{"message":"Bad","type":"OAuthException","code":190}}"#),
            GIVE_UP,
            "OAuthException: Bad",
        ),
        refused(
            "Fitbit: errors[]",
            json(401, r#"{"errors":[{"errorType":"invalid_client","message":"Who?"}],"success":false}"#),
            FIX_CONFIGURATION,
            "invalid_client: Who?",
        ),
        // Nothing that a program should guess from: the words are shown.
        refused(
            "Twitch: text in message",
            json(400, r#"{"status":400,"message":"Invalid refresh token"}"#),
            FIX_CONFIGURATION,
            "the server says: Invalid refresh token",
        ),
        refused(
            "Reddit: a number",
            json(400, r#"{"message":"Bad Request","error":400}"#),
            FIX_CONFIGURATION,
            "the server says: Bad Request",
        ),
        refused(
            "a description that repeats secrets",
            Fault::oauth_error("invalid_scope\u{7}"),
            GIVE_UP,
            "invalid_scope\u{fffd}",
        ),
        refused("an empty code", json(400, r#"{"error":""}"#), FIX_CONFIGURATION, "without an OAuth error"),
        refused(
            "a byte-order mark",
            json(400, "\u{feff}{\"error\":\"invalid_scope\"}"),
            FIX_REQUEST,
            "scope",
        ),
        refused(
            "as text/html",
            Fault::answer(400, "text/html", r#"{"error":"invalid_scope"}"#),
            FIX_REQUEST,
            "invalid_scope",
        ),
        refused(
            "beside secrets",
            json(400, r#"{"error":"invalid_scope","access_token":"S3CR3T","x":{"code":"S3CR3T"}}"#),
            FIX_REQUEST,
            "invalid_scope",
        ),
        refused("under 200, strict", oauth(200, "invalid_scope"), FIX_REQUEST, "invalid_scope").strict(),
    ])
    .await;
}
