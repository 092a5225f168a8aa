//! Authorization server metadata (RFC 8414): it is the asked issuer's or nobody's, and nothing in it gets lost.

use jeton_models::{AuthorizationServerMetadata, Issuer, MetadataError, is_secure_or_loopback};
use serde_json::Value;

use super::property::{in_proportion, is_fit_to_be_shown, is_same};

const ISSUER: &str = "https://as.example";
const ENDPOINTS: [&str; 5] = [
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "jwks_uri",
];

/// Checks one input: the document.
pub fn check(data: &[u8]) {
    let issuer: Issuer = ISSUER.parse().expect("an issuer");
    let metadata = match in_proportion(data, || AuthorizationServerMetadata::parse(data, &issuer)) {
        Ok(metadata) => metadata,
        Err(error) => {
            assert!(matches!(
                error,
                MetadataError::NotAnObject
                    | MetadataError::IssuerAbsent
                    | MetadataError::IssuerMismatch { .. }
            ));
            return is_fit_to_be_shown(&error);
        }
    };
    // Not even another spelling of the same issuer is the same (RFC 8414 §3.3).
    assert_eq!(metadata.issuer, ISSUER);
    assert_eq!(metadata.to_string(), format!("metadata of {ISSUER}"));

    for name in ENDPOINTS {
        match metadata.endpoint(name) {
            Ok(url) => {
                assert!(is_secure_or_loopback(&url), "credentials would go over {url}");
                assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
            }
            Err(error) => is_fit_to_be_shown(&error),
        }
    }
    if let Some(listed) = &metadata.grant_types_supported {
        assert!(listed.iter().all(|grant_type| !metadata.refuses_grant_type(grant_type)));
    }

    let written = serde_json::to_vec(&metadata).expect("metadata can be written");
    let kept: Value = serde_json::from_slice(&written).expect("what is written is JSON");
    let with_serde: AuthorizationServerMetadata =
        serde_json::from_slice(&written).expect("what is written reads back");
    let parsed = AuthorizationServerMetadata::parse(&written, &issuer).expect("what is written reads back");
    for again in [with_serde, parsed] {
        let again = serde_json::to_value(&again).expect("metadata can be written");
        assert!(is_same(&again, &kept), "{kept} became {again}");
    }
    // Where the document is JSON to everybody, each of its members is still there.
    if let Ok(Value::Object(members)) = serde_json::from_slice(data) {
        for (name, value) in &members {
            // Lists of names keep what are names.
            let names = value.as_array().filter(|_| name.ends_with("_supported"));
            let found = kept.get(name).is_some_and(|own| is_same(own, value));
            assert!(found || names.is_some(), "`{name}` is lost");
        }
    }
}
