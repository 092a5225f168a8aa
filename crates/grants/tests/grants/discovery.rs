//! A15: where metadata is looked for, in which order, and which documents are rejected (RFC 8414 §3).

use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{GrantError, Limits, ManualClock, Recovery, TransportErrorKind, discover, metadata_urls};
use jeton_models::{Issuer, MetadataError, UnusableReason};

use crate::support::{
    Answered, PlainHttp, Scripted, a_moment, answer, broken, json, oauth_error, with_header,
};

fn document(issuer: &str) -> Answered {
    json(200, &format!(r#"{{"issuer":"{issuer}","token_endpoint":"https://as.example/token"}}"#))
}

fn not_found() -> Answered {
    answer(404, "text/html", "<h1>Not Found</h1>")
}

struct Asked {
    result: Result<jeton_models::AuthorizationServerMetadata, GrantError>,
    urls: Vec<String>,
}

async fn ask(issuer: &str, answers: impl IntoIterator<Item = Answered>) -> Asked {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, answers);
    let issuer: Issuer = issuer.parse().unwrap();
    let result = discover(&transport, &clock, &issuer, &Limits::default()).await;
    for request in transport.requests() {
        assert_eq!(request.method(), "GET");
        assert_eq!(request.headers()["accept"], "application/json");
        assert!(request.body().is_empty());
    }
    Asked { result, urls: transport.requests().iter().map(|request| request.uri().to_string()).collect() }
}

const OAUTH: &str = "https://as.example/.well-known/oauth-authorization-server/tenant";
const INSERTED: &str = "https://as.example/.well-known/openid-configuration/tenant";
const APPENDED: &str = "https://as.example/tenant/.well-known/openid-configuration";

#[test]
fn a15_the_well_known_path_goes_between_host_and_path() {
    for (issuer, expected) in [
        (
            "https://as.example",
            vec![
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ],
        ),
        (
            "https://as.example/",
            vec![
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ],
        ),
        ("https://as.example/tenant", vec![OAUTH, INSERTED, APPENDED]),
        ("https://as.example/tenant/", vec![OAUTH, INSERTED, APPENDED]),
        (
            "https://as.example:8443/a%20b/c",
            vec![
                "https://as.example:8443/.well-known/oauth-authorization-server/a%20b/c",
                "https://as.example:8443/.well-known/openid-configuration/a%20b/c",
                "https://as.example:8443/a%20b/c/.well-known/openid-configuration",
            ],
        ),
    ] {
        let urls = metadata_urls(&issuer.parse().unwrap());
        assert_eq!(urls.iter().map(url::Url::as_str).collect::<Vec<_>>(), expected, "{issuer}");
    }
}

#[tokio::test]
async fn a15_the_places_are_asked_in_order_until_one_has_a_document() {
    let issuer = "https://as.example/tenant";
    let places = [OAUTH, INSERTED, APPENDED];
    for found_at in 0..3 {
        let answers = (0..found_at).map(|_| not_found()).chain([document(issuer)]);
        let asked = ask(issuer, answers).await;
        assert_eq!(asked.result.unwrap().token_endpoint.as_deref(), Some("https://as.example/token"));
        assert_eq!(asked.urls, places[..=found_at]);
    }
    // Whatever else stands at the first place is no document either.
    for other in [
        answer(200, "text/html", "<!DOCTYPE html><title>App</title>"),
        answer(200, "application/json", ""),
        json(200, "[]"),
        json(200, r#"{"token_endpoint":"https://as.example/token"}"#),
        with_header(answer(302, "text/html", ""), "location", "https://as.example/login"),
        answer(503, "text/html", "<h1>busy</h1>"),
        oauth_error(401, "invalid_token"),
        broken(TransportErrorKind::BodyTooLarge),
    ] {
        let asked = ask(issuer, [other, document(issuer)]).await;
        assert!(asked.result.is_ok());
        assert_eq!(asked.urls, places[..2]);
    }
}

#[tokio::test]
async fn a15_a_document_of_another_issuer_is_rejected_and_nothing_else_is_tried() {
    for (issuer, found) in [
        ("https://as.example", "https://evil.example"),
        ("https://as.example", "https://as.example/"),
        ("https://as.example/", "https://as.example"),
        ("https://as.example/tenant", "https://as.example/tenant/"),
        ("https://as.example/tenant", "https://as.example"),
        ("https://as.example", "HTTPS://as.example"),
    ] {
        let asked = ask(issuer, [document(found)]).await;
        let error = asked.result.unwrap_err();
        assert!(
            matches!(&error, GrantError::Metadata(MetadataError::IssuerMismatch { expected, found: f })
                if expected == issuer && f == found),
            "{error}"
        );
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert_eq!(asked.urls.len(), 1);
    }
    // A trailing slash is the issuer's own business.
    assert!(ask("https://as.example/tenant/", [document("https://as.example/tenant/")]).await.result.is_ok());
}

#[tokio::test]
async fn a15_no_document_anywhere_is_the_first_error_unless_another_says_more() {
    let issuer = "https://as.example/tenant";
    let asked = ask(issuer, [not_found(), not_found(), not_found()]).await;
    assert_eq!(asked.urls, [OAUTH, INSERTED, APPENDED]);
    let error = asked.result.unwrap_err();
    assert!(error.to_string().starts_with(&format!("discovery at {OAUTH}: ")), "{error}");
    assert!(error.to_string().contains("HTTP 404, content type text/html"), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);

    let busy = with_header(answer(503, "text/html", "<h1>busy</h1>"), "retry-after", "9");
    let error = ask(issuer, [not_found(), busy, not_found()]).await.result.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(9)) });
    assert!(error.to_string().contains(INSERTED), "{error}");

    // A page under 200: the error names place, status and content type.
    let page = || answer(200, "text/html", "<!DOCTYPE html><title>App</title>");
    let error = ask(issuer, [page(), page(), page()]).await.result.unwrap_err();
    let GrantError::Unusable { answer, .. } = &error else { panic!("{error}") };
    assert_eq!(answer.reason, UnusableReason::Markup);
    assert!(error.to_string().contains("HTTP 200, content type text/html"), "{error}");
}

#[tokio::test]
async fn a15_a_server_that_cannot_be_reached_is_asked_once() {
    for kind in [TransportErrorKind::Connect, TransportErrorKind::Timeout, TransportErrorKind::Interrupted] {
        let asked = ask("https://as.example/tenant", [broken(kind)]).await;
        let error = asked.result.unwrap_err();
        assert!(matches!(error, GrantError::Transport { .. }), "{error}");
        assert_eq!(error.recovery(), Recovery::Retry { after: None });
        assert_eq!(asked.urls.len(), 1);
    }
}

#[tokio::test]
async fn a15_the_devserver_is_found_wherever_its_issuer_is() {
    let clock = ManualClock::at(a_moment());
    for path in ["", "/", "/tenant1", "/tenant1/", "/a/b"] {
        let devserver = DevServer::builder().issuer_path(path).start().unwrap();
        let issuer: Issuer = devserver.issuer().parse().unwrap();
        let server = discover(&PlainHttp, &clock, &issuer, &Limits::default()).await.unwrap();
        assert_eq!(server.issuer, devserver.issuer());
        assert_eq!(server.token_endpoint, Some(devserver.token_url()));
        assert_eq!(devserver.stats().requests_to(Endpoint::Metadata), 1);

        // As a server that knows OpenID Connect Discovery only: first the inserted place, then the appended one.
        devserver.fault_always(Endpoint::Metadata, Fault::Status { status: 404, retry_after: None });
        discover(&PlainHttp, &clock, &issuer, &Limits::default()).await.unwrap();
        if !path.trim_matches('/').is_empty() {
            devserver.fault(Endpoint::OpenIdConfiguration, Fault::Status { status: 404, retry_after: None });
            discover(&PlainHttp, &clock, &issuer, &Limits::default()).await.unwrap();
            let last = devserver.last_request(Endpoint::OpenIdConfiguration).unwrap();
            assert_eq!(last.path, format!("{}/.well-known/openid-configuration", path.trim_end_matches('/')));
        }
    }
}

#[tokio::test]
async fn a15_another_spelling_of_the_devserver_s_issuer_is_rejected() {
    let (clock, devserver) =
        (ManualClock::at(a_moment()), DevServer::builder().issuer_path("/t").start().unwrap());
    let issuer: Issuer = format!("{}/", devserver.issuer()).parse().unwrap();
    let error = discover(&PlainHttp, &clock, &issuer, &Limits::default()).await.unwrap_err();
    assert!(matches!(error, GrantError::Metadata(MetadataError::IssuerMismatch { .. })), "{error}");
    // The error helps: it names the spelling to use.
    assert!(error.to_string().contains(&format!("`{}`", devserver.issuer())), "{error}");
}
