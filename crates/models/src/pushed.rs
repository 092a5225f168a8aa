//! The answer to a pushed authorization request (RFC 9126 §2.2).

use serde_json::Value;

use crate::token_response::seconds;
use crate::{Answer, AnswerError, ExtraMembers, ParseOptions, UnusableReason, Warning};

/// The lifetime in seconds that is taken where the server names none, against RFC 9126 §2.2.
const ASSUMED_LIFETIME: u64 = 60;

/// The answer of the pushed authorization request endpoint: a reference that stands for the whole request (RFC 9126 §2.2).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PushedAuthorizationResponse {
    /// What the authorization request names instead of its parameters. Good for one request.
    pub request_uri: String,
    /// Its lifetime in seconds.
    pub expires_in: u64,
    /// What had to be forgiven.
    pub warnings: Vec<Warning>,
    /// Further members.
    pub extra: ExtraMembers,
}

impl PushedAuthorizationResponse {
    /// Reads the answer of a pushed authorization request endpoint. It comes with status 201; others that say success are a
    /// leniency.
    ///
    /// # Errors
    /// As [`TokenResponse::parse`](crate::TokenResponse::parse). A `request_uri` with characters that no URI has counts as absent.
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let mut members = answer.success_members(options, &mut warnings)?;
        let form = warnings.contains(&Warning::FormEncoded);
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);

        let request_uri = match members.remove("request_uri") {
            Some(Value::String(uri))
                if !uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                uri
            }
            _ => return Err(answer.unusable_with(UnusableReason::Member("request_uri"), &members).into()),
        };
        if answer.status != 201 {
            forgive(Warning::PushedStatus)?;
        }
        let expires_in = match seconds(members.remove("expires_in"), form, &mut forgive)? {
            Some(expires_in) => expires_in,
            None => {
                forgive(Warning::PushedExpiresInAbsent)?;
                ASSUMED_LIFETIME
            }
        };
        Ok(Self { request_uri, expires_in, warnings, extra: ExtraMembers::from(members.into_map()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        status: u16,
        body: &str,
        options: &ParseOptions,
    ) -> Result<PushedAuthorizationResponse, AnswerError> {
        PushedAuthorizationResponse::parse(
            &Answer::new(status, Some("application/json"), body.as_bytes()),
            options,
        )
    }

    // The example of RFC 9126 §2.2.
    const EXAMPLE: &str =
        r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c","expires_in":60}"#;

    #[test]
    fn a22_the_rfcs_answer_is_read_with_status_201_and_forgiven_with_another() {
        let response = read(201, EXAMPLE, &ParseOptions::strict()).unwrap();
        assert_eq!(response.request_uri, "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c");
        assert_eq!((response.expires_in, response.warnings), (60, Vec::new()));

        let lenient = read(200, EXAMPLE, &ParseOptions::default()).unwrap();
        assert_eq!(lenient.warnings, [Warning::PushedStatus]);
        assert!(read(200, EXAMPLE, &ParseOptions::strict()).is_err());
    }

    #[test]
    fn a22_an_answer_without_a_usable_reference_is_refused() {
        for body in [
            r#"{"expires_in":60}"#,
            r#"{"request_uri":"","expires_in":60}"#,
            r#"{"request_uri":7,"expires_in":60}"#,
            r#"{"request_uri":"urn:x y","expires_in":60}"#,
            r#"{"request_uri":"urn:x\ny","expires_in":60}"#,
            "",
            "<html>",
        ] {
            assert!(
                matches!(read(201, body, &ParseOptions::default()), Err(AnswerError::Unusable(_))),
                "{body}"
            );
        }
        let error =
            read(400, r#"{"error":"invalid_request","request_uri":"urn:x"}"#, &ParseOptions::default());
        assert!(matches!(error, Err(AnswerError::OAuth(_))));
    }

    #[test]
    fn a_lifetime_that_is_absent_or_odd_is_taken_for_a_minute() {
        for body in [r#"{"request_uri":"urn:x"}"#, r#"{"request_uri":"urn:x","expires_in":0}"#] {
            let response = read(201, body, &ParseOptions::default()).unwrap();
            assert_eq!(response.expires_in, 60, "{body}");
            assert!(response.warnings.contains(&Warning::PushedExpiresInAbsent), "{body}");
            assert!(read(201, body, &ParseOptions::strict()).is_err(), "{body}");
        }
        let response =
            read(201, r#"{"request_uri":"urn:x","expires_in":"90"}"#, &ParseOptions::default()).unwrap();
        assert_eq!((response.expires_in, response.warnings), (90, vec![Warning::ExpiresInString]));
    }
}
