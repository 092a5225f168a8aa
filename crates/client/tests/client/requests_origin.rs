//! Where the token of authenticated requests goes, and where it never goes: over real sockets, with another origin that
//! writes down what reaches it.

use crate::requests_support::{bearers, builder, challenge, redirect, session, signed_in, token_requests};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use jeton_client::{Error, HttpOptions, Session};
use jeton_devserver::{DevServer, Endpoint, Recorder};

const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

fn secret(session: &Session) -> String {
    session.cached().unwrap().secret().expose().to_owned()
}

/// Nothing that has arrived shows the token, wherever it may be.
fn assert_no_token(recorder: &Recorder, token: &str) {
    for request in recorder.requests() {
        assert_eq!(request.header("authorization"), None);
        let values = request.headers.iter().chain(&request.query).chain(&request.form);
        assert!(values.into_iter().all(|(name, value)| !name.contains(token) && !value.contains(token)));
    }
}

#[tokio::test]
async fn the_token_goes_to_the_resource_server_in_the_header_only() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    let response = session.get(&server.resource_url()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let request = server.last_request(Endpoint::Resource).unwrap();
    assert_eq!(request.bearer().unwrap(), secret(&session));
    assert!(request.query.is_empty() && request.form.is_empty());
}

#[tokio::test]
async fn no_redirect_takes_the_token_to_another_origin() {
    let server = DevServer::start().unwrap();
    // The same host, another port: another origin.
    let elsewhere = DevServer::recorder().unwrap();
    let session = session(&server);
    for status in [301, 302, 303, 307, 308] {
        let url = redirect(&server, &format!("{}/landed", elsewhere.url()), status);
        let request = session.post(&url).form([("text", "hello")]);
        assert_eq!(request.send().await.unwrap().status(), 200, "{status}");
        let landed = elsewhere.requests().pop().unwrap();
        let (method, body) = if status >= 307 { ("POST", Some("hello")) } else { ("GET", None) };
        assert_eq!((landed.method.as_str(), landed.form_value("text")), (method, body), "{status}");
    }
    assert_eq!(elsewhere.requests().len(), 5);
    assert_no_token(&elsewhere, &secret(&session));
    // Each time the resource server itself did get it.
    assert!(bearers(&server).iter().all(|bearer| bearer.as_deref() == Some(&secret(&session))));
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn a_request_that_stays_at_its_origin_is_led_nowhere_else() {
    let server = DevServer::start().unwrap();
    let elsewhere = DevServer::recorder().unwrap();
    let session = session(&server);
    for status in [301, 302, 303, 307, 308] {
        let url = redirect(&server, &format!("{}/landed", elsewhere.url()), status);
        let response = session.post(&url).form([("text", "hello")]).stay_at_origin().send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["location"], format!("{}/landed", elsewhere.url()));
    }
    assert!(elsewhere.requests().is_empty());
    // Within it, redirects are followed, the token on them.
    let url = redirect(&server, "/api/landed", 307);
    let response = session.post(&url).form([("text", "hello")]).stay_at_origin().send().await.unwrap();
    assert_eq!(response.status(), 200);
    let landed = server.last_request(Endpoint::Resource).unwrap();
    assert_eq!((landed.path.as_str(), landed.form_value("text")), ("/api/landed", Some("hello")));
    assert_eq!(landed.bearer().unwrap(), secret(&session));
    // The others of the session go on as before.
    let url = redirect(&server, elsewhere.url(), 307);
    assert_eq!(session.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(elsewhere.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_resource_server_of_the_client_goes_without_the_token() {
    let server = DevServer::start().unwrap();
    let other = DevServer::recorder().unwrap();
    let client =
        builder(&server).resource_server(server.url("")).resource_server(other.url()).build().unwrap();
    let session = client.session();
    session.get(&redirect(&server, other.url(), 302)).send().await.unwrap();
    assert_no_token(&other, &secret(&session));
    // Asked directly, it gets the token.
    session.get(other.url()).send().await.unwrap();
    assert_eq!(other.requests().pop().unwrap().bearer().unwrap(), secret(&session));
}

#[tokio::test]
async fn redirects_within_the_origin_keep_the_token_body_and_all() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    for status in [302, 307] {
        let url = redirect(&server, "/api/landed", status);
        let response = session.post(&url).form([("text", "hello")]).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let landed = server.last_request(Endpoint::Resource).unwrap();
        assert_eq!(landed.path, "/api/landed");
        assert_eq!(landed.bearer().unwrap(), secret(&session));
        assert_eq!(landed.form_value("text"), (status == 307).then_some("hello"));
    }
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    server.fault_always(Endpoint::Resource, jeton_devserver::Fault::Redirect(server.resource_url()));
    let error = session.get(&server.resource_url()).send().await.unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert_eq!(server.stats().requests_to(Endpoint::Resource), 11);
}

#[tokio::test]
async fn foreign_origins_are_refused_before_anything_is_sent() {
    let server = DevServer::start().unwrap();
    let elsewhere = DevServer::recorder().unwrap();
    let session = session(&server);
    let authority = server.url("").trim_start_matches("http://").to_owned();
    let port = authority.rsplit(':').next().unwrap().to_owned();
    let foreign_authority = elsewhere.url().trim_start_matches("http://").to_owned();
    for url in [
        elsewhere.url().to_owned(),
        format!("http://localhost:{port}/api/me"),
        format!("http://[::1]:{port}/api/me"),
        format!("https://{authority}/api/me"),
        format!("http://127.0.0.1.evil.example:{port}/api/me"),
        format!("http://127.0.0.1.evil:{port}/"),
        // The resource server's address stands where the user name belongs.
        format!("http://{authority}@{foreign_authority}/api/me"),
        format!("http://127.0.0.1%3A{port}@{foreign_authority}/api/me"),
        // To the URL standard a backslash is a slash, so that this is the recorder's.
        format!("http://{foreign_authority}\\@{authority}/api/me"),
        "http://api.example/".to_owned(),
        "http://127.0.0.1/".to_owned(),
    ] {
        let error = session.get(&url).send().await.unwrap_err();
        // A build without TLS says that before it looks at whose URL it is.
        let no_tls = !HAS_TLS && url.starts_with("https") && matches!(error, Error::Configuration(_));
        assert!(no_tls || matches!(error, Error::ForeignOrigin { .. }), "{url}: {error}");
        assert!(!error.to_string().contains('@'), "{error}");
    }
    // Not even a token was asked for.
    assert_eq!(token_requests(&server), 0);
    assert!(elsewhere.requests().is_empty());
    assert_eq!(server.stats().api_requests, 0);
}

#[tokio::test]
async fn other_spellings_of_the_origin_are_the_origin() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    for url in [format!("HTTP://127.0.0.1:{port}/api/me"), format!("http://127.1:{port}/x/../api/me")] {
        assert_eq!(session.get(&url).send().await.unwrap().status(), 200, "{url}");
    }
}

#[tokio::test]
async fn what_is_no_url_is_refused_without_showing_what_may_be_secret() {
    let server = DevServer::start().unwrap();
    for url in ["/api/me", "http://user:p4ss@:80/", "http://[::/?token=p4ss", "nothing"] {
        let error = session(&server).get(url).send().await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("p4ss"), "{error:?}");
    }
}

#[tokio::test]
async fn an_authorization_of_the_callers_own_is_refused_not_replaced() {
    let server = DevServer::start().unwrap();
    let session = session(&server);
    let url = server.resource_url();
    let with_userinfo = url.replace("http://", "http://user:p4ss@");
    let mine = HeaderValue::from_static("Bearer p4ss");
    for request in [
        session.get(&url).header(AUTHORIZATION, mine.clone()),
        session.get(&url).with(|request| request.bearer_auth("p4ss")),
        session.get(&url).with(|request| request.basic_auth("user", Some("p4ss"))),
        session.get(&with_userinfo),
    ] {
        let error = request.send().await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("p4ss"), "{error:?}");
    }
    assert_eq!(server.stats().api_requests, 0);
}

#[tokio::test]
async fn with_cannot_send_the_token_elsewhere() {
    let server = DevServer::start().unwrap();
    let elsewhere = DevServer::recorder().unwrap();
    let session = signed_in(&server).await;
    let own = reqwest_client(&server).await;
    let url = elsewhere.url().to_owned();
    // The caller puts another request, of another client even, in the place of the first.
    let error = session.get(&server.resource_url()).with(|_| own.get(url)).send().await.unwrap_err();
    assert!(matches!(error, Error::ForeignOrigin { .. }), "{error}");
    assert!(elsewhere.requests().is_empty());
}

/// A reqwest client that is not the session's. It has no TLS provider of its own, so it comes from the session's builder.
async fn reqwest_client(server: &DevServer) -> reqwest::Client {
    let mut client = None;
    let _ = session(server).get(&server.resource_url()).with(|request| {
        let (theirs, request) = request.build_split();
        client = Some(theirs.clone());
        reqwest::RequestBuilder::from_parts(theirs, request.unwrap())
    });
    client.unwrap()
}

#[tokio::test]
async fn a_401_of_another_origin_does_not_count_against_the_token() {
    let server = DevServer::start().unwrap();
    // A resource server of its own, which says 401 to a request without a token.
    let other = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let token = secret(&session);
    let response = session.get(&redirect(&server, &other.resource_url(), 302)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(bearers(&other), [None]);
    assert_eq!(secret(&session), token);
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn a_401_after_a_detour_through_another_origin_does_not_count_either() {
    let server = DevServer::start().unwrap();
    let other = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let token = secret(&session);
    // There and back: the token was taken off on the way, so the server misses it.
    other.fault(Endpoint::Resource, jeton_devserver::Fault::Redirect(server.resource_url()));
    let response = session.get(&redirect(&server, &other.resource_url(), 302)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.url().as_str(), server.resource_url());
    assert_eq!(bearers(&server), [Some(token.clone()), None]);
    assert_eq!(bearers(&other), [None]);
    assert_eq!(secret(&session), token);
    assert_eq!(token_requests(&server), 1);
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[tokio::test]
async fn a_build_without_tls_sends_nothing_to_https() {
    let server = DevServer::start().unwrap();
    let proxy = DevServer::recorder().unwrap();
    let options = HttpOptions::new().proxy(proxy.url());
    let client = builder(&server).resource_server("https://api.example").http(options).build().unwrap();
    let error = client.session().get("https://api.example/me").send().await.unwrap_err();
    assert!(matches!(error, Error::Configuration(_)), "{error}");
    assert!(proxy.requests().is_empty());
    assert_eq!(token_requests(&server), 0);
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn api_requests_go_through_the_proxy_and_the_token_does_not_show_there() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let server = DevServer::start().unwrap();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = HttpOptions::new().proxy(format!("http://{}", proxy.local_addr().unwrap()));
    let client = builder(&server).resource_server("https://api.example").http(options).build().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let session = client.session();
    let error = session.get("https://api.example/me?key=p4ss").send().await.unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("p4ss"), "{error:?}");
    let seen = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await.unwrap().unwrap();
    assert!(seen.starts_with("CONNECT api.example:443 HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.to_lowercase().contains("\r\nauthorization"), "{seen}");
    assert!(!seen.contains(&secret(&session)));
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_the_token() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let token = secret(&session);
    let request = session.get(&server.resource_url());
    assert!(!format!("{request:?}").contains(&token));
    let header = session.token().await.unwrap().authorization().clone();
    assert!(header.is_sensitive());
    assert_eq!(format!("{header:?}"), "Sensitive");
    server.fault(Endpoint::Resource, challenge(500, None));
    let response = request.send().await.unwrap();
    assert!(!format!("{response:?} {session:?}").contains(&token));
}
