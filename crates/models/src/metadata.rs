//! What an authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0).
//! Unknown members and unknown algorithm names never break the reading; nor do known members of an odd type.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::json::Members;
use crate::text::printable;
use crate::{ExtraMembers, Issuer, is_secure_or_loopback};

macro_rules! metadata {
    (
        texts { $($(#[$text_doc:meta])* $text:ident)* }
        lists { $($(#[$list_doc:meta])* $list:ident)* }
        flags { $($(#[$flag_doc:meta])* $flag:ident)* }
    ) => {
        /// Authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3).
        ///
        /// Endpoints stay texts here and are checked when they are used, so that one odd member does not make a server
        /// unusable. [`AuthorizationServerMetadata::endpoint`] gives them as URLs.
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub struct AuthorizationServerMetadata {
            /// The server's issuer identifier.
            pub issuer: String,
            $($(#[$text_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $text: Option<String>,)*
            $($(#[$list_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $list: Option<Vec<String>>,)*
            $($(#[$flag_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $flag: Option<bool>,)*
            /// The endpoints for mutual TLS by the name of the ordinary ones (RFC 8705 §5). An endpoint that is not among them is
            /// used as it is.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mtls_endpoint_aliases: Option<BTreeMap<String, String>>,
            /// Members that this model has no name for, and known ones whose type is not the RFC's.
            #[serde(flatten)]
            pub extra: ExtraMembers,
        }

        impl AuthorizationServerMetadata {
            fn from_members(issuer: String, mut members: Map<String, Value>) -> Self {
                Self {
                    issuer,
                    $($text: take(&mut members, stringify!($text), as_text),)*
                    $($list: take(&mut members, stringify!($list), as_list),)*
                    $($flag: take(&mut members, stringify!($flag), |value| value.as_bool()),)*
                    mtls_endpoint_aliases: take(&mut members, "mtls_endpoint_aliases", as_texts),
                    extra: ExtraMembers::from(members),
                }
            }

            fn text_of(&self, name: &str) -> Option<&str> {
                match name {
                    $(stringify!($text) => self.$text.as_deref(),)*
                    _ => self.extra.get_str(name),
                }
            }
        }
    };
}

metadata! {
    texts {
        /// The authorization endpoint.
        authorization_endpoint
        /// The token endpoint.
        token_endpoint
        /// The device authorization endpoint (RFC 8628 §4).
        device_authorization_endpoint
        /// The revocation endpoint (RFC 7009).
        revocation_endpoint
        /// The introspection endpoint (RFC 7662).
        introspection_endpoint
        /// The pushed authorization request endpoint (RFC 9126 §5).
        pushed_authorization_request_endpoint
        /// The dynamic client registration endpoint (RFC 7591).
        registration_endpoint
        /// The userinfo endpoint (OpenID Connect Core §5.3).
        userinfo_endpoint
        /// The end session endpoint (OpenID Connect RP-Initiated Logout §2.1).
        end_session_endpoint
        /// The backchannel authentication endpoint (CIBA §4).
        backchannel_authentication_endpoint
        /// The server's signing keys (RFC 7517).
        jwks_uri
        /// A page for developers.
        service_documentation
    }
    lists {
        /// Scopes that may be asked for.
        scopes_supported
        /// Values of `response_type`.
        response_types_supported
        /// Values of `response_mode`.
        response_modes_supported
        /// Values of `grant_type`; absent means `authorization_code` and `implicit`.
        grant_types_supported
        /// Client authentication methods at the token endpoint; absent means `client_secret_basic`.
        token_endpoint_auth_methods_supported
        /// Signing algorithms of client assertions at the token endpoint.
        token_endpoint_auth_signing_alg_values_supported
        /// Client authentication methods at the revocation endpoint.
        revocation_endpoint_auth_methods_supported
        /// Client authentication methods at the introspection endpoint.
        introspection_endpoint_auth_methods_supported
        /// PKCE methods (RFC 8414 §2); absent means that the server does not say.
        code_challenge_methods_supported
        /// Signing algorithms of ID tokens (OpenID Connect Discovery §3).
        id_token_signing_alg_values_supported
        /// Signing algorithms of userinfo answers (OpenID Connect Discovery §3).
        userinfo_signing_alg_values_supported
        /// Signing algorithms of introspection answers (RFC 9701 §7).
        introspection_signing_alg_values_supported
        /// Authentication context classes (OpenID Connect Discovery §3).
        acr_values_supported
        /// Subject identifier types (OpenID Connect Discovery §3).
        subject_types_supported
        /// Signing algorithms of DPoP proofs (RFC 9449 §5.1).
        dpop_signing_alg_values_supported
        /// Signing algorithms of request objects (RFC 9101 §10.5, OpenID Connect Discovery §3).
        request_object_signing_alg_values_supported
        /// Signing algorithms of authorization responses (JARM §4).
        authorization_signing_alg_values_supported
        /// How tokens of backchannel authentications are delivered: `poll`, `ping`, `push` (CIBA Core §4).
        backchannel_token_delivery_modes_supported
        /// Signing algorithms of backchannel authentication requests (CIBA Core §4).
        backchannel_authentication_request_signing_alg_values_supported
        /// Types of authorization details (RFC 9396 §10).
        authorization_details_types_supported
    }
    flags {
        /// Whether `iss` stands in every authorization response (RFC 9207 §3).
        authorization_response_iss_parameter_supported
        /// Whether only pushed authorization requests are taken (RFC 9126 §5).
        require_pushed_authorization_requests
        /// Whether authorization requests must be signed request objects (RFC 9101 §10.5).
        require_signed_request_object
        /// Whether request objects are taken by value (OpenID Connect Discovery §3).
        request_parameter_supported
        /// Whether tokens are bound to the client's certificate (RFC 8705 §3.3).
        tls_client_certificate_bound_access_tokens
        /// Whether a person may have a code for backchannel authentications (CIBA Core §4).
        backchannel_user_code_parameter_supported
        /// Whether client identifiers may be URLs of metadata documents.
        client_id_metadata_document_supported
    }
}

pub(crate) fn take<T>(
    members: &mut Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    let read = members.get(name).and_then(read);
    if read.is_some() {
        members.remove(name);
    }
    read
}

pub(crate) fn as_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(crate) fn as_list(value: &Value) -> Option<Vec<String>> {
    let names = value.as_array()?;
    Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn as_texts(value: &Value) -> Option<BTreeMap<String, String>> {
    let members = value.as_object()?;
    Some(members.iter().filter_map(|(name, value)| Some((name.clone(), as_text(value)?))).collect())
}

impl AuthorizationServerMetadata {
    /// Metadata that holds nothing but the issuer; set the endpoints on it where a server has no discovery.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), ..Self::default() }
    }

    /// Reads a metadata document that was found for `expected`.
    ///
    /// # Errors
    /// [`MetadataError`] if it is not a JSON object, or if its `issuer` is not identical to the expected one
    /// (RFC 8414 §3.3): the document may then belong to another server.
    pub fn parse(body: &[u8], expected: &Issuer) -> Result<Self, MetadataError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut members = Members::from_json(body).map_err(|_| MetadataError::NotAnObject)?.into_map();
        let Some(Value::String(issuer)) = members.remove("issuer") else {
            return Err(MetadataError::IssuerAbsent);
        };
        if issuer != expected.as_str() {
            let expected = expected.as_str().to_owned();
            return Err(MetadataError::IssuerMismatch { expected, found: printable(&issuer, 200) });
        }
        Ok(Self::from_members(issuer, members))
    }

    /// The endpoint of that member name (`token_endpoint`, ..) as a URL.
    ///
    /// # Errors
    /// [`MetadataError::EndpointAbsent`] if the server names none, [`MetadataError::EndpointInvalid`] if it is not an
    /// HTTPS URL (HTTP is taken on loopback), has a fragment (RFC 6749 §3.1, §3.2), or a user name or password.
    pub fn endpoint(&self, name: &'static str) -> Result<Url, MetadataError> {
        let text = self
            .text_of(name)
            .ok_or_else(|| MetadataError::EndpointAbsent { issuer: self.issuer.clone(), name })?;
        let invalid = |what| MetadataError::EndpointInvalid { issuer: self.issuer.clone(), name, what };
        let url = Url::parse(text).map_err(|_| invalid("is not an absolute URL"))?;
        if !is_secure_or_loopback(&url) {
            return Err(invalid("is neither HTTPS nor on loopback"));
        }
        if url.fragment().is_some() {
            return Err(invalid("has a fragment"));
        }
        // An HTTP library would turn them into a second client authentication.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("has a user name or a password in it"));
        }
        Ok(url)
    }

    /// The alias of an endpoint for mutual TLS, as the server spells it (RFC 8705 §5), unless it has none.
    pub fn mtls_endpoint_alias(&self, name: &str) -> Option<&str> {
        self.mtls_endpoint_aliases.as_ref()?.get(name).map(String::as_str)
    }

    /// The endpoint of that member name for a client that uses mutual TLS: its alias (RFC 8705 §5), or where there is none the
    /// ordinary one.
    ///
    /// # Errors
    /// As [`endpoint`](Self::endpoint). An alias that cannot be used is an error too: the ordinary endpoint may not ask for a
    /// certificate.
    pub fn mtls_endpoint(&self, name: &'static str) -> Result<Url, MetadataError> {
        let Some(alias) = self.mtls_endpoint_alias(name) else { return self.endpoint(name) };
        let url = Url::parse(alias).ok().filter(|url| {
            // Without TLS there is no certificate, on loopback neither.
            url.scheme() == "https"
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        url.ok_or_else(|| MetadataError::EndpointInvalid {
            issuer: self.issuer.clone(),
            name,
            what: "has an alias for mutual TLS (RFC 8705 §5) that is no plain HTTPS URL",
        })
    }

    /// Whether the server says that it does not support `grant_type`.
    ///
    /// A server that lists nothing is given the benefit of the doubt (RFC 8414 §2 has a default for it, which servers that
    /// offer more do not keep to).
    pub fn refuses_grant_type(&self, grant_type: &str) -> bool {
        self.grant_types_supported.as_ref().is_some_and(|listed| !listed.iter().any(|own| own == grant_type))
    }
}

impl<'de> Deserialize<'de> for AuthorizationServerMetadata {
    /// Reads metadata that was checked before and kept; the issuer is not compared with anything.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        match members.remove("issuer") {
            Some(Value::String(issuer)) => Ok(Self::from_members(issuer, members)),
            _ => Err(serde::de::Error::missing_field("issuer")),
        }
    }
}

impl fmt::Display for AuthorizationServerMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata of {}", self.issuer)
    }
}

/// What is wrong with a server's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The document is not a JSON object.
    #[error("the server's metadata is not a JSON object; is the issuer URL right?")]
    NotAnObject,
    /// The document has no `issuer`.
    #[error("the server's metadata has no `issuer` (RFC 8414 §2); is the issuer URL right?")]
    IssuerAbsent,
    /// The document belongs to another issuer.
    #[error(
        "the server at {expected} calls itself `{found}`; the two must be identical (RFC 8414 §3.3). If that is the \
         server you mean, use its own spelling as the issuer"
    )]
    IssuerMismatch {
        /// The issuer that was asked for.
        expected: String,
        /// The issuer in the document.
        found: String,
    },
    /// The server has no such endpoint.
    #[error("{issuer} names no `{name}`; it does not offer what was asked for, or set the endpoint by hand")]
    EndpointAbsent {
        /// The issuer.
        issuer: String,
        /// The member name.
        name: &'static str,
    },
    /// The endpoint cannot be used.
    #[error("the `{name}` of {issuer} {what} and is not used")]
    EndpointInvalid {
        /// The issuer.
        issuer: String,
        /// The member name.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_and_odd_types_never_break_the_reading() {
        let issuer: Issuer = "https://as.example".parse().unwrap();
        let body =
            br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/t","x":1,"y":1e400,
            "scopes_supported":null,"response_types_supported":"code","authorization_endpoint":5,
            "dpop_signing_alg_values_supported":["ES256","FUTURE-512",7]}"#;
        let metadata = AuthorizationServerMetadata::parse(body, &issuer).unwrap();
        assert_eq!(metadata.dpop_signing_alg_values_supported.as_deref().unwrap(), ["ES256", "FUTURE-512"]);
        assert_eq!(metadata.extra.get("x"), Some(&Value::from(1)));
        assert_eq!(metadata.endpoint("token_endpoint").unwrap().as_str(), "https://as.example/t");
        assert!(matches!(
            metadata.endpoint("authorization_endpoint"),
            Err(MetadataError::EndpointAbsent { .. })
        ));

        let kept = serde_json::to_string(&metadata).unwrap();
        assert_eq!(serde_json::from_str::<AuthorizationServerMetadata>(&kept).unwrap(), metadata);
    }

    #[test]
    fn a15_the_issuer_is_identical_or_rejected() {
        let issuer: Issuer = "https://as.example".parse().unwrap();
        let of = |body: &[u8]| AuthorizationServerMetadata::parse(body, &issuer).map(|_| ());
        assert_eq!(of(br#"{"issuer":"https://as.example"}"#), Ok(()));
        assert!(matches!(
            of(br#"{"issuer":"https://as.example/"}"#),
            Err(MetadataError::IssuerMismatch { .. })
        ));
        assert_eq!(of(b"{}"), Err(MetadataError::IssuerAbsent));
        assert_eq!(of(b"<html>"), Err(MetadataError::NotAnObject));
    }

    #[test]
    fn endpoints_are_https_but_for_loopback() {
        let mut metadata = AuthorizationServerMetadata::new("https://as.example");
        for (text, good) in [
            ("https://as.example/t", true),
            ("http://127.0.0.1:1/t", true),
            ("http://as.example/t", false),
            ("https://as.example/t#f", false),
            ("https://u:p@as.example/t", false),
            ("/t", false),
        ] {
            metadata.token_endpoint = Some(text.to_owned());
            assert_eq!(metadata.endpoint("token_endpoint").is_ok(), good, "{text}");
        }
    }
}
