//! Metadata of a protected resource (RFC 9728): it is the asked resource's or nobody's, and nothing in it gets lost.

use jeton_models::{ExpectedResource, ProtectedResourceMetadata, is_secure_or_loopback, resource_covers};
use serde_json::Value;
use url::Url;

use super::property::{in_proportion, is_fit_to_be_shown, is_same};

const REQUESTED: &str = "https://api.example/v1/notes?s3cr3t";
const IDENTIFIER: &str = "https://api.example/v1";

/// Checks one input: the document.
pub fn check(data: &[u8]) {
    let requested: Url = REQUESTED.parse().expect("a URL");
    let covering = ExpectedResource::Covering(&requested);
    let read = in_proportion(data, || ProtectedResourceMetadata::parse(data, &covering));
    let identical = ProtectedResourceMetadata::parse(data, &ExpectedResource::Identical(IDENTIFIER));
    if let Ok(metadata) = &identical {
        // Not even another spelling of the same resource is the same (RFC 9728 §3.3).
        assert_eq!(metadata.resource, IDENTIFIER);
        assert!(read.is_ok(), "what is the resource itself covers what is below it");
    }
    let metadata = match read {
        Ok(metadata) => metadata,
        Err(error) => {
            // What the document calls itself is its own affair, and may be anything.
            let shown = error.to_string();
            let of_the_url = shown.split(" is of `").next().unwrap_or_default();
            assert!(!of_the_url.contains("s3cr3t"), "{error}");
            return is_fit_to_be_shown(&error);
        }
    };
    let resource: Url = metadata.resource.parse().expect("a resource is a URL");
    assert_eq!(resource.origin(), requested.origin(), "somebody else's resource");
    assert!(resource_covers(&metadata.resource, &requested) && resource.fragment().is_none());

    let issuers = metadata.issuers();
    assert!(issuers.len() <= 16);
    for (place, issuer) in issuers.iter().enumerate() {
        assert!(is_secure_or_loopback(issuer.url()), "{issuer}");
        assert!(!issuers[..place].contains(issuer), "{issuer} is there twice");
    }

    let written = serde_json::to_vec(&metadata).expect("metadata can be written");
    let kept: Value = serde_json::from_slice(&written).expect("what is written is JSON");
    let again = ProtectedResourceMetadata::parse(&written, &covering).expect("what is written reads back");
    assert!(is_same(&serde_json::to_value(&again).expect("metadata can be written"), &kept));
    // Where the document is JSON to everybody, each of its members is still there.
    if let Ok(Value::Object(members)) = serde_json::from_slice(data) {
        for (name, value) in &members {
            // Lists of names keep what are names.
            let names =
                value.as_array().filter(|_| name.ends_with("_supported") || name == "authorization_servers");
            let found = kept.get(name).is_some_and(|own| is_same(own, value));
            assert!(found || names.is_some(), "`{name}` is lost");
        }
    }
}
