//! An OAuth error answer (RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707 §2) whose description names the rule of
//! `standards.md` that was broken. Nothing that the client sent is ever part of it: descriptions are written
//! here, not taken from requests.

use std::borrow::Cow;

use hyper::StatusCode;
use serde_json::json;

use crate::answer::Answer;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// Always with 401 and a challenge, as HTTP asks of every 401.
    pub(crate) fn invalid_client(description: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn into_answer(self) -> Answer {
        tracing::debug!(error = self.error, description = %self.description, "refused");
        let body = json!({ "error": self.error, "error_description": self.description });
        let answer = Answer::json(self.status, &body);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                answer.with_header("www-authenticate", r#"Basic realm="jeton-devserver", charset="UTF-8""#)
            }
            StatusCode::METHOD_NOT_ALLOWED => answer.with_header("allow", "POST"),
            _ => answer,
        }
    }
}
