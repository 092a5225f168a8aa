//! A28: where the metadata of a protected resource is looked for, in which order, and whose it has to be (RFC 9728 §3).

use jeton_grants::{
    GrantError, Limits, ManualClock, ProtectedResourceError, Recovery, TransportErrorKind,
    protected_resource_metadata, protected_resource_metadata_urls,
};
use jeton_models::{ProtectedResourceMetadata, ResourceMetadataError};
use url::Url;

use crate::support::{Answered, Scripted, a_moment, answer, broken, json, with_header};

const REQUESTED: &str = "https://api.example/mcp/notes?cursor=s3cr3t";
const AT_PATH: &str = "https://api.example/.well-known/oauth-protected-resource/mcp/notes";
const AT_ROOT: &str = "https://api.example/.well-known/oauth-protected-resource";
const ANNOUNCED: &str = "https://docs.example/resources/mcp.json?v=2";

fn document(resource: &str) -> Answered {
    json(200, &format!(r#"{{"resource":"{resource}","authorization_servers":["https://as.example"]}}"#))
}

fn not_found() -> Answered {
    answer(404, "text/html", "<h1>Not Found</h1>")
}

struct Asked {
    result: Result<ProtectedResourceMetadata, GrantError>,
    urls: Vec<String>,
}

impl Asked {
    fn error(self) -> GrantError {
        let error = self.result.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        assert!(!error.may_have_been_acted_on(), "reading metadata uses up nothing");
        error
    }

    fn was_a_mismatch(self) -> bool {
        matches!(
            self.error(),
            GrantError::ProtectedResource(ProtectedResourceError::Metadata(
                ResourceMetadataError::ResourceMismatch { .. }
            ))
        )
    }
}

async fn ask(announced: Option<&str>, answers: impl IntoIterator<Item = Answered>) -> Asked {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, answers);
    let (requested, announced) = (REQUESTED.parse().unwrap(), announced.map(|url| url.parse().unwrap()));
    let result =
        protected_resource_metadata(&transport, &clock, &requested, announced.as_ref(), &Limits::default())
            .await;
    for request in transport.requests() {
        assert_eq!(request.method(), "GET");
        assert!(!request.headers().contains_key("authorization"));
        assert!(request.body().is_empty());
    }
    Asked { result, urls: transport.requests().iter().map(|request| request.uri().to_string()).collect() }
}

#[test]
fn a28_the_well_known_path_goes_between_host_and_path_and_then_to_the_root() {
    for (resource, expected) in [
        (REQUESTED, vec![AT_PATH, AT_ROOT]),
        ("https://api.example", vec![AT_ROOT]),
        ("https://api.example/#fragment", vec![AT_ROOT]),
        ("https://user:pw@api.example/mcp/notes", vec![AT_PATH, AT_ROOT]),
        (
            "http://127.0.0.1:8080/a%20b",
            vec![
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource/a%20b",
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
            ],
        ),
    ] {
        let urls = protected_resource_metadata_urls(&resource.parse().unwrap());
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), expected, "{resource}");
    }
}

#[tokio::test]
async fn a28_the_headers_metadata_wins_over_the_well_known_path() {
    let asked = ask(Some(ANNOUNCED), [document("https://api.example/mcp")]).await;
    assert_eq!(asked.urls, [ANNOUNCED]);
    assert_eq!(asked.result.unwrap().resource, "https://api.example/mcp");
    // Also when there is nothing: the resource has said where it is.
    let asked = ask(Some(ANNOUNCED), [not_found()]).await;
    assert_eq!(asked.urls, [ANNOUNCED]);
    assert!(matches!(asked.error(), GrantError::Unusable { .. }));
}

#[tokio::test]
async fn a28_without_a_header_the_path_is_asked_before_the_root() {
    let asked = ask(None, [document("https://api.example/mcp/notes")]).await;
    assert_eq!(asked.urls, [AT_PATH]);
    assert!(asked.result.is_ok());
    let pages =
        [not_found(), answer(200, "text/html", "<h1>Welcome</h1>"), json(200, r#"{"message":"hello"}"#)];
    for page in pages {
        let asked = ask(None, [page, document("https://api.example")]).await;
        assert_eq!(asked.urls, [AT_PATH, AT_ROOT]);
        assert_eq!(asked.result.unwrap().resource, "https://api.example");
    }
}

#[tokio::test]
async fn a28_a_document_of_another_resource_is_rejected_and_nothing_else_is_tried() {
    for other in [
        "https://api.example/mcp",
        "https://api.example",
        "https://api.example/mcp/notes/",
        "https://evil.example/mcp/notes",
    ] {
        let asked = ask(None, [document(other)]).await;
        assert_eq!(asked.urls, [AT_PATH], "{other}");
        assert!(asked.was_a_mismatch(), "{other}");
    }
    // The document at the root is of the origin, and of nothing below it.
    assert!(ask(None, [not_found(), document("https://api.example/mcp/notes")]).await.was_a_mismatch());
    for other in [
        "https://evil.example/mcp",
        "https://docs.example/resources",
        "https://api.example/mcp/notes/7",
        "https://api.example/mc",
        "http://api.example/mcp",
        "https://api.example:8443/mcp",
    ] {
        assert!(ask(Some(ANNOUNCED), [document(other)]).await.was_a_mismatch(), "{other}");
    }
}

#[tokio::test]
async fn a33_no_redirect_is_followed_and_nothing_is_read_in_the_clear() {
    let redirect = || with_header(answer(302, "text/html", ""), "location", "https://evil.example/metadata");
    assert!(matches!(ask(Some(ANNOUNCED), [redirect()]).await.error(), GrantError::Redirected { .. }));
    let asked = ask(Some("http://api.example/metadata?s3cr3t"), []).await;
    assert!(asked.urls.is_empty());
    let error = asked.error();
    assert!(
        matches!(error, GrantError::ProtectedResource(ProtectedResourceError::InsecureMetadata { .. })),
        "{error}"
    );
    assert_eq!(error.recovery(), Recovery::GiveUp);
}

#[tokio::test]
async fn a_resource_that_cannot_be_reached_is_asked_once_and_one_that_is_busy_says_when() {
    let asked = ask(None, [broken(TransportErrorKind::Connect)]).await;
    assert_eq!(asked.urls, [AT_PATH]);
    assert_eq!(asked.error().recovery(), Recovery::Retry { after: None });
    let busy = with_header(answer(503, "text/html", "later"), "retry-after", "7");
    let asked = ask(None, [not_found(), busy]).await;
    assert_eq!(asked.error().recovery(), Recovery::Retry { after: Some(std::time::Duration::from_secs(7)) });
    let asked = ask(None, [broken(TransportErrorKind::BodyTooLarge), document("https://api.example")]).await;
    assert!(asked.result.is_ok());
}
