//! An HTTP answer of the authorization server, and the tolerant reading of its body into JSON members.
//! Everything that came instead of an answer (an HTML page, half a body) becomes an error that names status and
//! content type, and nothing else of the body than members on an allow-list.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::json::{Members, NotMembers};
use crate::text::{printable, redact};
use crate::{Dialect, ErrorResponse, OAuth2Error, Secret, TokenType, UnsupportedTokenType, Warning};

/// How tolerant a parser is.
///
/// The default takes what real servers send and records a [`Warning`] for each leniency; [`ParseOptions::strict`] turns
/// each of them into an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseOptions {
    /// Whether leniencies are errors.
    pub strict: bool,
    /// How the provider's answers differ from the RFCs, if that is known.
    pub dialect: Option<Arc<Dialect>>,
}

impl ParseOptions {
    /// Exactly what the RFCs say, or an error.
    pub fn strict() -> Self {
        Self { strict: true, dialect: None }
    }

    /// Records a leniency, or refuses it.
    pub(crate) fn forgive(
        &self,
        answer: &Answer<'_>,
        warnings: &mut Vec<Warning>,
        warning: Warning,
    ) -> Result<(), UnusableAnswer> {
        if self.dialect.as_ref().is_some_and(|dialect| dialect.tolerates(&warning)) {
            return Ok(());
        }
        if self.strict {
            return Err(answer.unusable(UnusableReason::Strict(warning)));
        }
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
        Ok(())
    }
}

/// The parts of an HTTP answer that a parser needs.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body, with content encodings undone.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// An answer of these parts.
    pub fn new(status: u16, content_type: Option<&'a str>, body: &'a [u8]) -> Self {
        Self { status, content_type, body }
    }

    /// The members of the body's JSON object, or of a form-encoded body.
    pub(crate) fn members(
        &self,
        options: &ParseOptions,
        warnings: &mut Vec<Warning>,
    ) -> Result<Members, UnusableAnswer> {
        let mut body = self.body;
        if let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
            options.forgive(self, warnings, Warning::ByteOrderMark)?;
            body = rest;
        }
        let body = body.trim_ascii();
        if body.is_empty() {
            return Err(self.unusable(UnusableReason::Empty));
        }
        let mut json = Members::from_json(body);
        // Looked at only then: it goes through the whole body once more.
        if matches!(json, Err(NotMembers::Syntax))
            && let Some(read) = Members::from_json_of_another_charset(body)
        {
            options.forgive(self, warnings, Warning::NotUtf8)?;
            json = Ok(read);
        }
        let mut read = match json {
            Ok(read) => {
                if !self.is_json() {
                    options.forgive(self, warnings, Warning::ContentType)?;
                }
                read
            }
            Err(other) => {
                let read = form_members(body, options.dialect.as_deref()).ok_or_else(|| {
                    self.unusable(match other {
                        _ if body.first() == Some(&b'<') => UnusableReason::Markup,
                        NotMembers::OtherType => UnusableReason::NotAnObject,
                        NotMembers::Syntax => UnusableReason::NotJson,
                    })
                })?;
                options.forgive(self, warnings, Warning::FormEncoded)?;
                read
            }
        };
        if read.repeated {
            options.forgive(self, warnings, Warning::MemberRepeated)?;
        }
        if let Some(dialect) = &options.dialect {
            dialect.translate(&mut read);
        }
        Ok(read)
    }

    /// The members of an answer that is a success by its status and does not hold an OAuth error all the same.
    pub(crate) fn success_members(
        &self,
        options: &ParseOptions,
        warnings: &mut Vec<Warning>,
    ) -> Result<Members, AnswerError> {
        if !self.is_success() {
            return Err(self.error(options));
        }
        match self.members(options, warnings) {
            Ok(members) => match self.error_of(&members) {
                Some(error) => Err(error),
                None => Ok(members),
            },
            // An error in an odd body is still that error, also under the strict switch.
            Err(unusable) if matches!(unusable.reason, UnusableReason::Strict(_)) => {
                Err(match self.error(options) {
                    error @ AnswerError::OAuth(_) => error,
                    AnswerError::Unusable(_) => unusable.into(),
                })
            }
            Err(unusable) => Err(unusable.into()),
        }
    }

    /// The body of an answer that is a JWT of that media type, by what its content type says.
    pub fn jwt(&self, media_type: &str) -> Option<&'a str> {
        let media = self.content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case(media_type) {
            return None;
        }
        std::str::from_utf8(self.body).ok().map(str::trim)
    }

    /// Whether the content type, without its parameters, is one of JSON's.
    fn is_json(&self) -> bool {
        let media = self.content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let media = media.trim().as_bytes();
        let suffix = media.len().checked_sub(b"+json".len()).and_then(|start| media.get(start..));
        media.eq_ignore_ascii_case(b"application/json")
            || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
    }

    pub(crate) fn unusable(&self, reason: UnusableReason) -> UnusableAnswer {
        UnusableAnswer {
            status: self.status,
            content_type: self.content_type.map(str::to_owned),
            reason,
            message: None,
            refresh_token: None,
        }
    }

    /// Like [`unusable`](Self::unusable), with whatever the body says on an allow-list of harmless members.
    pub(crate) fn unusable_with(&self, reason: UnusableReason, members: &Members) -> UnusableAnswer {
        let message = ["message", "error_message", "error_description", "detail", "title", "errmsg"]
            .iter()
            .find_map(|name| members.get(name).and_then(Value::as_str))
            .map(str::to_owned);
        UnusableAnswer { message, ..self.unusable(reason) }
    }

    /// Whether the status says success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The OAuth error of an answer that was not read as anything else, or what is wrong with it.
    ///
    /// For endpoints whose success has no body to read, and for answers under an error status. What the server said
    /// comes through also under [`ParseOptions::strict`] (RFC 6749 §5.2).
    pub fn error(&self, options: &ParseOptions) -> AnswerError {
        // A leniency does not matter in an error, so that the strict switch must not hide what the server said.
        let lenient = ParseOptions { strict: false, ..options.clone() };
        match self.members(&lenient, &mut Vec::new()) {
            Ok(members) => self.error_of(&members).unwrap_or_else(|| {
                AnswerError::Unusable(self.unusable_with(UnusableReason::Status, &members))
            }),
            Err(unusable) => AnswerError::Unusable(unusable),
        }
    }

    fn error_of(&self, members: &Members) -> Option<AnswerError> {
        ErrorResponse::from_members(members)
            .map(|response| AnswerError::OAuth(OAuth2Error { response, status: self.status }))
    }
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// The pairs of a form-encoded body, if it looks like an OAuth answer at all.
fn form_members(body: &[u8], dialect: Option<&Dialect>) -> Option<Members> {
    if matches!(body.first(), Some(b'<' | b'{' | b'[' | b'"')) || std::str::from_utf8(body).is_err() {
        return None;
    }
    let read = Members::from_pairs(
        url::form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))),
    );
    let is_known = |name: &str| {
        ["access_token", "error", "device_code"].contains(&name) || dialect.is_some_and(|own| own.knows(name))
    };
    let is_answer = read.iter().any(|(name, _)| is_known(name));
    is_answer.then_some(read)
}

/// Why an answer did not yield what was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server answered an OAuth error.
    #[error(transparent)]
    OAuth(#[from] OAuth2Error),
    /// The answer is not one that a client can use.
    #[error(transparent)]
    Unusable(#[from] UnusableAnswer),
}

/// An answer that is neither what was asked for nor an OAuth error.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnusableAnswer {
    /// The HTTP status code.
    pub status: u16,
    /// The header `Content-Type`, in full; `Display` shortens it. It comes from the server.
    pub content_type: Option<String>,
    /// What is wrong.
    pub reason: UnusableReason,
    /// What the server said in a member such as `message`, in full; `Display` shortens it. It comes from the server.
    pub message: Option<String>,
    /// The refresh token that came with a token that cannot be used. A server that rotates has used up the one before it, and
    /// takes whoever sends that again for a thief: this one has to be kept although the rest is of no use.
    pub refresh_token: Option<Secret>,
}

impl UnusableAnswer {
    /// Replaces each occurrence of a secret in the server's words by `[redacted]`, also in its form-encoded spelling.
    pub fn redact(&mut self, secret: &str) {
        let token_type = match &mut self.reason {
            UnusableReason::TokenType(unsupported) => Some(&mut unsupported.token_type),
            _ => None,
        };
        let texts = [self.message.as_mut(), self.content_type.as_mut(), token_type];
        texts.into_iter().flatten().for_each(|text| redact(text, secret));
    }
}

impl fmt::Display for UnusableAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [HTTP {}, ", self.reason, self.status)?;
        match &self.content_type {
            Some(content_type) => write!(f, "content type {}]", printable(content_type, 80))?,
            None => f.write_str("no content type]")?,
        }
        match &self.message {
            Some(message) => write!(f, "; the server says: {}", printable(message, 400)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnusableAnswer {}

/// What is wrong with an unusable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableReason {
    /// No body.
    #[error("the server answered without a body")]
    Empty,
    /// An HTML or XML page.
    #[error(
        "the server answered with a page of markup instead of JSON; a proxy or a wrong endpoint URL may be the cause"
    )]
    Markup,
    /// Not JSON, or cut off.
    #[error("the server's answer is not JSON, or was cut off")]
    NotJson,
    /// JSON, but not an object.
    #[error("the server's answer is JSON but not an object")]
    NotAnObject,
    /// An error status without an OAuth error.
    #[error("the server answered with an error status and without an OAuth error")]
    Status,
    /// A required member is absent, empty or of the wrong type.
    #[error("the server's answer has no usable `{0}`")]
    Member(&'static str),
    /// The access token has characters that cannot be sent in a header.
    #[error("the server's `access_token` has characters that no header can carry (RFC 6749 Appendix A.12)")]
    AccessTokenCharacters,
    /// The token type cannot be used.
    #[error(transparent)]
    TokenType(UnsupportedTokenType),
    /// The token is bound although no key was proven, or is not bound although one was (RFC 9449 §5): it must not be used.
    #[error("{}", match .0 {
        TokenType::Bearer => "the server gave a Bearer token to a request that proved a DPoP key; it is discarded (RFC 9449 §5)",
        _ => "the server gave a token that is bound to a key (type DPoP) to a request that proved none; it cannot be used \
              (RFC 9449 §5)",
    })]
    Binding(TokenType),
    /// A leniency that strict mode refuses.
    #[error("strict mode refuses the server's answer: {0}")]
    Strict(Warning),
}
