//! What a resource server's 401 leads to: one other token, one more try, and never a storm of either.

use std::time::Duration;

use crate::requests_support::{bearers, challenge, signed_in, token_requests};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::rt::TokioExecutor;
use jeton_client::{AccessToken, Error, Session};
use jeton_devserver::{DevServer, Endpoint, Fault};

const INVALID_TOKEN: &str = r#"Bearer realm="x", error="invalid_token""#;

async fn status(session: &Session, server: &DevServer) -> u16 {
    session.get(&server.resource_url()).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn invalid_token_costs_one_refresh_and_the_request_is_sent_again_as_it_was() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    let response = session
        .post(&server.url("/api/notes"))
        .header(HeaderName::from_static("x-mine"), HeaderValue::from_static("kept"))
        .query([("a", "1 + 1"), ("b", "&=")])
        .form([("text", "a & b"), ("more", "\u{e9}")])
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.stats().refreshes, 1);

    let requests = server.requests();
    let [first, second] =
        &requests.iter().filter(|r| r.endpoint == Endpoint::Resource).collect::<Vec<_>>()[..]
    else {
        panic!("not two requests")
    };
    assert_ne!(first.bearer(), second.bearer());
    assert_eq!(second.bearer().unwrap(), session.cached().unwrap().secret().expose());
    for request in [first, second] {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/notes"));
        assert_eq!((request.query_value("a"), request.query_value("b")), (Some("1 + 1"), Some("&=")));
        assert_eq!((request.form_value("text"), request.form_value("more")), (Some("a & b"), Some("\u{e9}")));
        assert_eq!(request.header("x-mine"), Some("kept"));
        assert_eq!(request.body_length, first.body_length);
        assert_eq!(request.headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
    }
}

#[tokio::test]
async fn a_401_without_a_challenge_is_taken_for_an_expired_token() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault(Endpoint::Resource, challenge(401, None));
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));
}

#[tokio::test]
async fn what_a_refresh_would_not_mend_is_passed_through() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let cases = [
        (401, Some(r#"Bearer error="insufficient_user_authentication", acr_values="gold", max_age=5"#)),
        (401, Some(r#"Bearer error="insufficient_scope", scope="admin""#)),
        (403, Some(r#"Bearer error="insufficient_scope", scope="admin""#)),
        (403, Some(INVALID_TOKEN)),
        (403, None),
        (400, Some(r#"Bearer error="invalid_request""#)),
        (407, None),
        (500, Some(INVALID_TOKEN)),
    ];
    for (code, header) in cases {
        server.fault(Endpoint::Resource, challenge(code, header));
        let response = session.get(&server.resource_url()).send().await.unwrap();
        assert_eq!(response.status(), code);
        let found = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(found, header, "the caller sees the challenge");
    }
    // The server's own words: a scope that the token does not have.
    assert_eq!(session.get(&server.url("/api/admin")).send().await.unwrap().status(), 403);
    assert_eq!(token_requests(&server), 1);
    assert_eq!(server.stats().api_requests, cases.len() as u64 + 1);
}

#[tokio::test]
async fn an_api_that_always_says_401_costs_one_refresh_until_it_takes_a_token() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault_always(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)));
    for _ in 0..5 {
        assert_eq!(status(&session, &server).await, 401);
    }
    assert_eq!(server.stats().refreshes, 1);
    // One replay, at the first.
    assert_eq!(server.stats().api_requests, 6);

    // What says nothing about the token does not change that, ..
    for code in [503, 404, 429] {
        server.fault(Endpoint::Resource, challenge(code, None));
        assert_eq!(status(&session, &server).await, code);
        assert_eq!(status(&session, &server).await, 401);
    }
    assert_eq!(server.stats().refreshes, 1);

    // .. but a success does.
    server.clear_faults();
    assert_eq!(status(&session, &server).await, 200);
    server.fault(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)));
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(server.stats().refreshes, 2);
}

#[tokio::test]
async fn an_api_that_always_says_401_costs_one_refresh_also_among_concurrent_callers() {
    const CALLERS: usize = 8;
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault_always(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)));
    for _ in 0..5 {
        let calls = (0..CALLERS).map(|_| status(&session, &server));
        assert_eq!(futures_util::future::join_all(calls).await, [401; CALLERS]);
    }
    assert_eq!(server.stats().refreshes, 1);
}

#[tokio::test]
async fn an_api_that_always_says_401_to_streams_costs_one_refresh() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault_always(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)));
    for _ in 0..5 {
        let body = reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from_static(b"hello")));
        let response = session.post(&server.resource_url()).body(body).send().await.unwrap();
        assert_eq!(response.status(), 401);
    }
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 5));
}

#[tokio::test]
async fn a_stream_is_not_sent_again_but_the_next_request_has_another_token() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    let body = || reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from_static(b"hello")));
    let response = session.post(&server.resource_url()).body(body()).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (0, 1));

    let response = session.post(&server.resource_url()).body(body()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));
    assert_eq!(server.last_request(Endpoint::Resource).unwrap().body_length, 5);
}

#[tokio::test]
async fn concurrent_401s_cost_one_refresh() {
    const CALLERS: usize = 20;
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    server.fault_times(Endpoint::Resource, Fault::Gate, CALLERS);
    let calls = futures_util::future::join_all((0..CALLERS).map(|_| status(&session, &server)));
    let gate = async {
        tokio::time::timeout(Duration::from_secs(20), server.wait_until_held(CALLERS)).await.unwrap();
        server.open_gate();
    };
    let (statuses, ()) = tokio::join!(calls, gate);
    assert_eq!(statuses, [200; CALLERS]);
    assert_eq!(server.stats().refreshes, 1);
    assert_eq!(server.stats().api_requests, 2 * CALLERS as u64);
}

#[tokio::test]
async fn a_late_401_to_an_old_token_costs_no_refresh() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    // The first request is held on its way until the token has been replaced.
    server.fault(Endpoint::Resource, Fault::Gate);
    let late = status(&session, &server);
    let meanwhile = async {
        tokio::time::timeout(Duration::from_secs(20), server.wait_until_held(1)).await.unwrap();
        server.revoke_access_tokens();
        assert_eq!(status(&session, &server).await, 200);
        server.open_gate();
    };
    let (late, ()) = tokio::join!(late, meanwhile);
    assert_eq!(late, 200);
    assert_eq!(server.stats().refreshes, 1);
}

#[tokio::test]
async fn where_the_server_has_no_other_token_its_401_is_the_answer() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    server.fault(Endpoint::Token, Fault::unavailable(None));
    let response = session.get(&server.resource_url()).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    assert_eq!(server.stats().api_requests, 1);
}

#[tokio::test]
async fn where_somebody_has_to_log_in_the_error_says_so() {
    let server = DevServer::start().unwrap();
    let (user, password) = DevServer::ALICE;
    let grant = jeton_client::ResourceOwnerPasswordCredentials::new(user, password);
    // A client without a grant lives on a login that it was handed.
    let theirs = crate::requests_support::builder(&server).grant(grant).build().unwrap().session();
    let token = theirs.log_in().await.unwrap().to_token();
    let client = jeton_client::Client::builder(DevServer::PASSWORD_CLIENT)
        .issuer(server.issuer())
        .resource_server(server.url(""))
        .build()
        .unwrap();
    let session = client.session();
    session.adopt(token).await.unwrap();
    assert_eq!(status(&session, &server).await, 200);
    server.revoke_access_tokens();
    let error = session.get(&server.resource_url()).send().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(_)), "{error}");
    assert_eq!(server.stats().api_requests, 2);
}

#[tokio::test]
async fn a_replay_that_is_rejected_too_is_the_answer() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault_times(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)), 2);
    assert_eq!(status(&session, &server).await, 401);
    assert_eq!((server.stats().refreshes, bearers(&server).len()), (1, 2));
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(server.stats().refreshes, 1);
}

/// A GET by an HTTP client that knows nothing of jeton.
async fn own_get(url: &str, token: &AccessToken) -> (StatusCode, HeaderMap) {
    let http = Legacy::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut request = Request::get(url).body(Empty::new()).unwrap();
    request.headers_mut().insert(AUTHORIZATION, token.authorization().clone());
    let (parts, _) = http.request(request).await.unwrap().into_parts();
    (parts.status, parts.headers)
}

#[tokio::test]
async fn a_program_with_an_http_client_of_its_own_has_answers_judged_alike() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let url = server.resource_url();
    session.check_url(&url.parse().unwrap()).unwrap();
    for foreign in ["https://elsewhere.example/", "http://127.0.0.1:9/", "data:text/plain,x"] {
        let error = session.check_url(&foreign.parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::ForeignOrigin { .. }), "{error}");
    }

    let token = session.token().await.unwrap();
    let (status, headers) = own_get(&url, &token).await;
    assert_eq!((status, session.judge(&token, status, &headers)), (StatusCode::OK, false));
    // A lack of scope says that the token is known.
    let (status, headers) = own_get(&server.url("/api/admin"), &token).await;
    assert_eq!((status, session.judge(&token, status, &headers)), (StatusCode::FORBIDDEN, false));
    assert_eq!(session.token().await.unwrap().secret(), token.secret());

    server.revoke_access_tokens();
    let (status, headers) = own_get(&url, &token).await;
    assert_eq!((status, session.judge(&token, status, &headers)), (StatusCode::UNAUTHORIZED, true));
    let another = session.token().await.unwrap();
    assert_ne!(another.secret(), token.secret());
    let (status, headers) = own_get(&url, &another).await;
    assert_eq!((status, session.judge(&another, status, &headers)), (StatusCode::OK, false));

    // One that is rejected without ever having been taken is not replaced: another one would be no better.
    server.fault_times(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)), 2);
    let (status, headers) = own_get(&url, &another).await;
    assert!(session.judge(&another, status, &headers));
    let third = session.token().await.unwrap();
    let (status, headers) = own_get(&url, &third).await;
    assert_eq!((status, session.judge(&third, status, &headers)), (StatusCode::UNAUTHORIZED, false));
    assert_eq!(server.stats().refreshes, 2);
}
