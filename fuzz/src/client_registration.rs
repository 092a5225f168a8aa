//! What a registration endpoint answers (RFC 7591 §3.2, RFC 7592 §3), and the documents of clients that describe themselves.

use jeton_models::{Answer, ClientMetadataDocument, ClientRegistration, client_id_url, is_loopback_host};

use super::answer;
use super::property::in_proportion;

const ISSUER: &str = "https://as.example";
const CLIENT: &str = "https://app.example/client.json";

/// Checks one input: a byte for status and content type, then the body, which may also be a document, or a client identifier.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let parse = |answer: &Answer<'_>, options: &_| ClientRegistration::parse(answer, ISSUER, options);
    let read = answer::readings(&answer, parse, |registration| &registration.warnings);
    if let Ok(registration) = &read.tolerant {
        is_kept(registration);
        stays_the_same_client(registration, &answer);
    }
    document(answer.body);
    if let Ok(text) = std::str::from_utf8(answer.body) {
        identifier(text);
    }
}

/// What a store keeps of it is what was read.
fn is_kept(registration: &ClientRegistration) {
    assert_eq!(registration.issuer, ISSUER);
    assert!(!registration.client_id.is_empty());
    if let Some(at) = registration.client_secret_expires_at {
        assert!((1..=253_402_300_799).contains(&at), "{at} is no time in seconds");
    }
    let method = registration.authentication_method();
    assert!(!method.starts_with("client_secret_") || registration.client_secret.is_some());
    if let Some((url, token)) = registration.management() {
        assert!(url.scheme() == "https" || is_loopback_host(&url));
        assert!(!token.is_empty() && url.password().is_none());
    }
    let mut again = ClientRegistration::from_json(&registration.to_json()).expect("what was written is read");
    again.warnings.clone_from(&registration.warnings);
    assert_eq!(again.to_json(), registration.to_json());
    assert_eq!(again.client_secret, registration.client_secret);
    assert_eq!(
        again.client_secret_expires_at,
        registration.client_secret_expires_at.filter(|_| again.client_secret.is_some())
    );
}

/// A later answer about the client is about no other one, and never takes its secret away.
fn stays_the_same_client(registration: &ClientRegistration, answer: &Answer<'_>) {
    let again = registration.parse_again(answer, &Default::default()).expect("what was read once");
    assert_eq!(again.client_id, registration.client_id);
    assert_eq!(again.client_secret, registration.client_secret);
    let other = ClientRegistration::new(ISSUER, format!("{}.", registration.client_id));
    assert!(other.parse_again(answer, &Default::default()).is_err(), "another client's answer was taken");
}

fn document(body: &[u8]) {
    let Ok(document) = in_proportion(body, || ClientMetadataDocument::parse(CLIENT, body)) else { return };
    assert_eq!(document.client_id(), CLIENT);
    let again = ClientMetadataDocument::parse(CLIENT, document.to_json().as_bytes()).expect("it was one");
    assert_eq!(again.to_json(), document.to_json());
    assert!(!document.to_json().contains("\"client_secret\":"), "a secret in a public document");
}

/// One spelling, without anything that could be read in two ways.
fn identifier(text: &str) {
    let Ok(url) = client_id_url(text) else { return };
    assert_eq!(url.as_str(), text);
    assert!(url.fragment().is_none() && !text.contains('#') && url.path().len() > 1);
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(!url.path().split('/').any(|segment| matches!(segment, "." | "..")));
}
