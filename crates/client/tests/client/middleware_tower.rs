//! The tower layer over hyper-util's client, over reqwest's, and over services that are as difficult as tower allows.
#![cfg(feature = "tower")]

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future, Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::requests_support::{bearers, builder, challenge, redirect, session, signed_in, token_requests};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jeton_client::{AuthenticationLayer, Error, MiddlewareError, NoReplay, Session};
use jeton_devserver::{DevServer, Endpoint, Fault};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

fn hyper<B>() -> HttpClient<HttpConnector, B>
where
    B: hyper::body::Body<Data: Send> + Send,
{
    HttpClient::builder(TokioExecutor::new()).build_http()
}

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

fn secret(session: &Session) -> String {
    session.cached().unwrap().secret().expose().to_owned()
}

fn token_error<T, E: std::fmt::Debug>(result: Result<T, MiddlewareError<E>>) -> Error {
    match result {
        Err(MiddlewareError::Token(error)) => error,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was sent"),
    }
}

// ----- Over hyper-util -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_token_is_attached() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    let http = AuthenticationLayer::new(session.clone()).layer(hyper());
    assert_eq!(http.oneshot(get(&server.resource_url())).await.unwrap().status(), 200);
    assert_eq!(bearers(&server), [Some(secret(&session))]);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_before_anything_is_sent() {
    let server = DevServer::start().unwrap();
    let elsewhere = DevServer::recorder().unwrap();
    let http = AuthenticationLayer::new(session(&server)).layer(hyper());
    let authority = server.url("").trim_start_matches("http://").to_owned();
    let port = authority.rsplit(':').next().unwrap();
    for url in [
        elsewhere.url().to_owned(),
        elsewhere.url().replace("http://", &format!("http://{authority}@")),
        format!("http://127.0.0.1.evil:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://{authority}/"),
        "http://127.0.0.1/".to_owned(),
    ] {
        let error = token_error(http.clone().oneshot(get(&url)).await);
        assert!(matches!(error, Error::ForeignOrigin { .. }), "{url}: {error}");
    }
    assert_eq!(token_requests(&server), 0);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn told_to_pass_foreign_origins_it_sends_them_as_they_are() {
    let server = DevServer::start().unwrap();
    let elsewhere = DevServer::recorder().unwrap();
    let session = session(&server);
    let layer = AuthenticationLayer::new(session.clone()).pass_foreign_origins();
    let http = layer.layer(hyper());
    assert_eq!(http.clone().oneshot(get(elsewhere.url())).await.unwrap().status(), 200);
    assert_eq!(elsewhere.requests()[0].header("authorization"), None);
    assert_eq!(token_requests(&server), 0);

    // What the caller set for the other server is the caller's.
    let mut theirs = get(elsewhere.url());
    theirs.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Basic dXNlcjpwYXNz"));
    http.clone().oneshot(theirs).await.unwrap();
    assert_eq!(elsewhere.requests()[1].header("authorization"), Some("Basic dXNlcjpwYXNz"));

    assert_eq!(http.oneshot(get(&server.resource_url())).await.unwrap().status(), 200);
    assert_eq!(bearers(&server), [Some(secret(&session))]);
}

#[tokio::test]
async fn an_authorization_of_the_callers_own_is_refused_not_replaced() {
    let server = DevServer::start().unwrap();
    let layer = AuthenticationLayer::new(session(&server));
    let mut with_header = get(&server.resource_url());
    with_header.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer p4ss"));
    let with_userinfo = get(&server.resource_url().replace("http://", "http://user:p4ss@"));
    for request in [with_header, with_userinfo] {
        for layer in [layer.clone(), layer.clone().pass_foreign_origins()] {
            let error = token_error(layer.layer(hyper()).oneshot(request.clone()).await);
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(!format!("{error} {error:?}").contains("p4ss"), "{error:?}");
        }
    }
    assert_eq!(server.stats().api_requests, 0);
}

#[tokio::test]
async fn a_request_that_does_not_say_where_it_goes_is_refused_in_any_case() {
    let server = DevServer::start().unwrap();
    let layer = AuthenticationLayer::new(session(&server));
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    for url in ["/api/me".to_owned(), format!("http://127.1:{port}/api/me")] {
        for layer in [layer.clone(), layer.clone().pass_foreign_origins()] {
            let error = token_error(layer.layer(hyper()).oneshot(get(&url)).await);
            assert!(matches!(error, Error::InvalidRequest(_)), "{url}: {error}");
        }
    }
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_the_request_sent_again_as_it_was() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let old = secret(&session);
    server.revoke_access_tokens();
    let request = Request::post(server.url("/api/notes?a=1"))
        .header("x-mine", "kept")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from_static(b"text=hello")))
        .unwrap();
    let http = AuthenticationLayer::new(session.clone()).layer(hyper());
    assert_eq!(http.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(server.stats().refreshes, 1);
    assert_eq!(bearers(&server), [Some(old), Some(secret(&session))]);
    let requests = server.requests();
    for request in requests.iter().filter(|request| request.endpoint == Endpoint::Resource) {
        assert_eq!(request.header("x-mine"), Some("kept"));
        assert_eq!((request.query_value("a"), request.form_value("text")), (Some("1"), Some("hello")));
    }
}

#[tokio::test]
async fn what_a_refresh_would_not_mend_is_passed_through() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).layer(hyper());
    for (code, header) in [
        (401, Some(r#"Bearer error="insufficient_user_authentication", acr_values="gold""#)),
        (403, Some(INVALID_TOKEN)),
        (503, None),
    ] {
        server.fault(Endpoint::Resource, challenge(code, header));
        assert_eq!(http.clone().oneshot(get(&server.resource_url())).await.unwrap().status(), code);
    }
    assert_eq!((token_requests(&server), server.stats().api_requests), (1, 3));
}

#[tokio::test]
async fn an_api_that_always_says_401_costs_one_refresh() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).layer(hyper());
    server.fault_always(Endpoint::Resource, challenge(401, Some(INVALID_TOKEN)));
    for _ in 0..5 {
        assert_eq!(http.clone().oneshot(get(&server.resource_url())).await.unwrap().status(), 401);
    }
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 6));
}

#[tokio::test]
async fn concurrent_401s_cost_one_refresh() {
    const CALLERS: usize = 20;
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).layer(hyper());
    server.revoke_access_tokens();
    server.fault_times(Endpoint::Resource, Fault::Gate, CALLERS);
    let calls = (0..CALLERS).map(|_| http.clone().oneshot(get(&server.resource_url())));
    let gate = async {
        tokio::time::timeout(Duration::from_secs(20), server.wait_until_held(CALLERS)).await.unwrap();
        server.open_gate();
    };
    let (responses, ()) = tokio::join!(futures_util::future::join_all(calls), gate);
    assert!(responses.into_iter().all(|response| response.unwrap().status() == 200));
    assert_eq!(server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_cloned_is_sent_once_and_the_next_request_has_another_token() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).replay(NoReplay).layer(hyper());
    server.revoke_access_tokens();
    let stream = || {
        let body: BoxBody<Bytes, Infallible> = Full::new(Bytes::from_static(b"hello")).boxed();
        Request::post(server.resource_url()).body(body).unwrap()
    };
    assert_eq!(http.clone().oneshot(stream()).await.unwrap().status(), 401);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (0, 1));
    assert_eq!(http.oneshot(stream()).await.unwrap().status(), 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));
}

#[tokio::test]
async fn errors_say_whose_they_are() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).layer(hyper());
    server.fault(Endpoint::Resource, Fault::DropBeforeCommit);
    let error = http.clone().oneshot(get(&server.resource_url())).await.unwrap_err();
    assert!(matches!(error, MiddlewareError::Inner(_)), "{error}");
    assert!(error.source().unwrap().is::<hyper_util::client::legacy::Error>());

    let error = http.oneshot(get("http://elsewhere.example/")).await.unwrap_err();
    assert_eq!(error.to_string(), error.source().unwrap().to_string());
    assert!(error.source().unwrap().is::<Error>());
    assert!(error.into_boxed().is::<Error>());
}

#[tokio::test]
async fn no_login_is_an_error_and_nothing_is_sent() {
    let server = DevServer::start().unwrap();
    let client = jeton_client::Client::builder(DevServer::PASSWORD_CLIENT)
        .issuer(server.issuer())
        .resource_server(server.url(""))
        .build()
        .unwrap();
    let http = AuthenticationLayer::new(client.session()).layer(hyper());
    let error = token_error(http.oneshot(get(&server.resource_url())).await);
    assert!(error.is_login_required(), "{error}");
    assert_eq!(server.stats().api_requests, 0);
}

// ----- Over reqwest --------------------------------------------------------------------------------------------------------

/// A reqwest client that follows redirects; taken from a session's request, where TLS is set up already.
fn reqwest_client(server: &DevServer) -> reqwest::Client {
    let mut client = None;
    let _ = session(server).get(&server.resource_url()).with(|request| {
        let (theirs, request) = request.build_split();
        client = Some(theirs.clone());
        reqwest::RequestBuilder::from_parts(theirs, request.unwrap())
    });
    client.unwrap()
}

fn reqwest_get(url: &str) -> reqwest::Request {
    reqwest::Request::new(http::Method::GET, url.parse().unwrap())
}

#[tokio::test]
async fn reqwest_clients_work_and_their_redirects_lose_the_token() {
    let server = DevServer::start().unwrap();
    let other = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session.clone()).layer(reqwest_client(&server));
    server.revoke_access_tokens();
    assert_eq!(http.clone().oneshot(reqwest_get(&server.resource_url())).await.unwrap().status(), 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));

    // The other server says 401 as it sees no token, which says nothing about the token.
    let token = secret(&session);
    let redirected = reqwest_get(&redirect(&server, &other.resource_url(), 302));
    assert_eq!(http.clone().oneshot(redirected).await.unwrap().status(), 401);
    assert_eq!(bearers(&other), [None]);
    assert_eq!((secret(&session), server.stats().refreshes), (token, 1));

    let error = token_error(http.oneshot(reqwest_get(&other.resource_url())).await);
    assert!(matches!(error, Error::ForeignOrigin { .. }), "{error}");
}

#[tokio::test]
async fn a_reqwest_body_that_is_a_stream_is_sent_once() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let http = AuthenticationLayer::new(session).layer(reqwest_client(&server));
    server.revoke_access_tokens();
    let mut request = reqwest_get(&server.resource_url());
    *request.body_mut() = Some(reqwest::Body::wrap(Full::new(Bytes::from_static(b"hello"))));
    assert_eq!(http.clone().oneshot(request).await.unwrap().status(), 401);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (0, 1));
    assert_eq!(http.oneshot(reqwest_get(&server.resource_url())).await.unwrap().status(), 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));
}

// ----- The contract of tower -----------------------------------------------------------------------------------------------

/// A service that panics when it is called without having been ready, as tower allows. A clone is not ready.
#[derive(Default)]
struct Strict {
    ready: bool,
    seen: Arc<Mutex<Vec<HeaderValue>>>,
    statuses: Arc<Mutex<Vec<u16>>>,
    polls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            seen: self.seen.clone(),
            statuses: self.statuses.clone(),
            polls: self.polls.clone(),
        }
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        self.seen.lock().unwrap().push(request.headers()[AUTHORIZATION].clone());
        let mut response = Response::new(());
        if let Some(status) = self.statuses.lock().unwrap().pop() {
            *response.status_mut() = status.try_into().unwrap();
        }
        ready(Ok(response))
    }
}

#[tokio::test]
async fn only_a_service_that_is_ready_is_called_also_for_the_second_try() {
    let server = DevServer::start().unwrap();
    let client = builder(&server).resource_server("https://api.example").build().unwrap();
    let strict = Strict::default();
    strict.statuses.lock().unwrap().push(401);
    let mut http = AuthenticationLayer::new(client.session()).layer(strict.clone());
    let request = || Request::get("https://api.example/").body(()).unwrap();

    let response = http.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    // The same service again: what stands in its place now has to become ready anew.
    http.ready().await.unwrap().call(request()).await.unwrap();
    // Two calls under way at once.
    let first = http.ready().await.unwrap().call(request());
    let second = http.ready().await.unwrap().call(request());
    let (second, first) = tokio::join!(second, first);
    assert!(first.is_ok() && second.is_ok());

    let seen = strict.seen.lock().unwrap();
    assert_eq!(seen.len(), 5);
    assert_ne!(seen[0], seen[1]);
    for header in seen.iter() {
        assert!(header.is_sensitive());
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}

#[tokio::test]
async fn a_limit_of_one_request_at_a_time_leaves_room_for_the_second_try() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    let mut http =
        ServiceBuilder::new().layer(AuthenticationLayer::new(session)).concurrency_limit(1).service(hyper());
    let calls = async {
        for _ in 0..3 {
            let response = http.ready().await.unwrap().call(get(&server.resource_url())).await.unwrap();
            assert_eq!(response.status(), 200);
        }
        // One that is refused gives its place back.
        let _ = token_error(http.ready().await.unwrap().call(get("http://elsewhere.example/")).await);
        http.ready().await.unwrap().call(get(&server.resource_url())).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("a place was never given back");
    assert_eq!(server.stats().refreshes, 1);
}

/// A service that is not ready, and says why.
#[derive(Clone)]
struct Closed;

impl Service<Request<()>> for Closed {
    type Response = Response<()>;
    type Error = std::io::Error;
    type Future = Ready<Result<Response<()>, std::io::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Err(std::io::Error::other("closed")))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        panic!("it was not ready")
    }
}

#[tokio::test]
async fn the_client_beneath_says_when_it_is_ready() {
    let server = DevServer::start().unwrap();
    let mut http = AuthenticationLayer::new(session(&server)).layer(Closed);
    match ServiceExt::<Request<()>>::ready(&mut http).await {
        Err(MiddlewareError::Inner(error)) => assert_eq!(error.to_string(), "closed"),
        _ => panic!("it was not ready"),
    };
}

#[test]
fn the_service_can_be_shared_among_tasks() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn sent<T: Future + Send + 'static>(_: &T) {}
    let server = DevServer::start().unwrap();
    let layer = AuthenticationLayer::new(session(&server));
    shared(&layer);
    let mut http = layer.layer(Strict::default());
    shared(&http);
    sent(&http.call(Request::get("https://api.example/").body(()).unwrap()));
}
