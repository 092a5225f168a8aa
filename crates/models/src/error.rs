//! The error answer of an authorization server (RFC 6749 §5.2) and the error that carries it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ExtraMembers;
use crate::json::Members;
use crate::text::{printable, redact};

/// An OAuth 2.0 error answer (RFC 6749 §5.2, §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ErrorResponse {
    /// A single ASCII error code, such as `invalid_grant`.
    pub error: String,
    /// Text for the developer of the client. It comes from the server: do not show it as markup.
    #[serde(default)]
    pub error_description: Option<String>,
    /// A page with information about the error.
    #[serde(default)]
    pub error_uri: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

impl ErrorResponse {
    /// An error answer with a code only.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), error_description: None, error_uri: None, extra: ExtraMembers::new() }
    }

    /// Reads the error out of a JSON object, in the RFC's shape or in one of those that servers use instead:
    /// `{"error": {"type": .., "message": ..}}` (Facebook) and `{"errors": [{"errorType": .., "message": ..}]}` (Fitbit).
    pub(crate) fn from_members(members: &Members) -> Option<Self> {
        let text = |object: &Map<String, Value>, names: &[&str]| {
            names.iter().find_map(|name| object.get(*name).and_then(Value::as_str).map(str::to_owned))
        };
        // An empty code says no more than none.
        let code = |object: &Map<String, Value>, names: &[&str]| {
            names.iter().find_map(|name| text(object, &[name]).filter(|code| !code.is_empty()))
        };
        let mut found = match members.get("error") {
            Some(Value::String(code)) if !code.is_empty() => Self::new(code.clone()),
            Some(Value::Object(inner)) => {
                let mut found = Self::new(code(inner, &["code", "type", "status", "error"])?);
                found.error_description = text(inner, &["message", "error_description", "description"]);
                found
            }
            _ => match members.get("errors").and_then(Value::as_array)?.first()? {
                Value::Object(inner) => {
                    let mut found = Self::new(code(inner, &["errorType", "error", "code", "type"])?);
                    found.error_description = text(inner, &["message", "error_description", "detail"]);
                    found
                }
                _ => return None,
            },
        };
        let own_text = |name| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = ["error_description", "message"].into_iter().find(|name| members.get(name).is_some());
        if found.error_description.is_none() {
            found.error_description = message.and_then(own_text);
        }
        found.error_uri = own_text("error_uri");
        let named = ["error", "error_description", "error_uri", "errors", message.unwrap_or("error")];
        for (name, value) in members.iter().filter(|(name, _)| !named.contains(name)) {
            found.extra.insert(name, value.clone());
        }
        Some(found)
    }

    /// Whether the error has that code.
    pub fn is(&self, code: &str) -> bool {
        self.error == code
    }

    /// Replaces each occurrence of a secret by `[redacted]`, also in its form-encoded spelling and in the values of the
    /// further members: for servers that repeat what they were sent.
    pub fn redact(&mut self, secret: &str) {
        let texts = [Some(&mut self.error), self.error_description.as_mut(), self.error_uri.as_mut()];
        texts.into_iter().flatten().for_each(|text| redact(text, secret));
        self.extra.redact(secret);
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.error, 80))?;
        if let Some(description) = &self.error_description {
            write!(f, ": {}", printable(description, 400))?;
        }
        if let Some(uri) = &self.error_uri {
            write!(f, " (see {})", printable(uri, 200))?;
        }
        Ok(())
    }
}

/// An error answer together with the HTTP status under which it came.
///
/// Servers send errors under status 200 too; the status is what was seen, not what should have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the authorization server answered {response} [HTTP {status}]")]
#[non_exhaustive]
pub struct OAuth2Error {
    /// The whole error answer.
    pub response: ErrorResponse,
    /// The HTTP status code.
    pub status: u16,
}

impl OAuth2Error {
    /// An error answer that came under that status.
    pub fn new(status: u16, response: ErrorResponse) -> Self {
        Self { response, status }
    }

    /// The error code, such as `invalid_grant`.
    pub fn code(&self) -> &str {
        &self.response.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<ErrorResponse> {
        ErrorResponse::from_members(&Members::from_json(json.as_bytes()).ok().unwrap())
    }

    #[test]
    fn shapes_of_other_servers_are_understood() {
        let facebook = read(r#"{"error":{"message":"Bad","type":"OAuthException","code":190}}"#).unwrap();
        assert_eq!(
            (facebook.error.as_str(), facebook.error_description.as_deref()),
            ("OAuthException", Some("Bad"))
        );
        let fitbit =
            read(r#"{"errors":[{"errorType":"invalid_grant","message":"Old"}],"success":false}"#).unwrap();
        assert_eq!(
            (fitbit.error.as_str(), fitbit.error_description.as_deref()),
            ("invalid_grant", Some("Old"))
        );
        assert_eq!(read(r#"{"error":null}"#), None);
        for empty in [r#"{"error":""}"#, r#"{"error":{"code":""}}"#, r#"{"errors":[{"errorType":""}]}"#] {
            assert_eq!(read(empty), None, "{empty}");
        }
        let coded = read(r#"{"error":{"code":"","type":"OAuthException"}}"#).unwrap();
        assert_eq!(coded.error, "OAuthException");
    }

    #[test]
    fn control_characters_never_reach_a_terminal_and_echoed_secrets_are_cut() {
        let mut error =
            read(r#"{"error":"invalid_grant","error_description":"\u001b[2Jbad r3fr3sh"}"#).unwrap();
        error.redact("r3fr3sh");
        assert_eq!(error.to_string(), "invalid_grant: \u{fffd}[2Jbad [redacted]");

        let mut error = read(r#"{"error":"x","request":{"body":["code=a%2Fb"]}}"#).unwrap();
        error.redact("a/b");
        assert_eq!(error.extra.get("request"), Some(&serde_json::json!({"body":["code=[redacted]"]})));
    }
}
