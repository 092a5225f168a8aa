//! The answer of the pushed authorization request endpoint (RFC 9126 §2.2).

use jeton_models::{Parameters, PushedAuthorizationResponse};
use url::Url;

use super::answer;

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read = answer::readings(&answer, PushedAuthorizationResponse::parse, |response| &response.warnings);
    assert!(read.strict.is_err() || answer.status == 201, "strict takes another status than 201");
    let Ok(response) = read.tolerant else { return };
    // It goes into the browser's URL: nothing in it can be anything but the one parameter.
    assert!(
        response.request_uri.bytes().all(|byte| byte.is_ascii_graphic()) && !response.request_uri.is_empty()
    );
    assert!((1..=i64::MAX.unsigned_abs()).contains(&response.expires_in));
    let mut parameters = Parameters::new();
    parameters.append_required("client_id", "client").expect("the first parameter");
    parameters.append_required("request_uri", response.request_uri.as_str()).expect("another parameter");
    let endpoint = Url::parse("https://as.example/authorize?tenant=1").expect("a URL");
    let url = parameters.to_url(&endpoint).expect("a URL of these parameters");
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[2], ("request_uri".to_owned(), response.request_uri));
    assert_eq!(url.origin(), endpoint.origin());
}
