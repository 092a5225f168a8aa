//! What a server says about a token when it is asked: the introspection answer (RFC 7662 §2.2), read tolerantly.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::json::Members;
use crate::token_response::{LAST_PLAUSIBLE_TIME, Number, read_scope};
use crate::{
    Answer, AnswerError, AuthorizationDetail, ExtraMembers, ParseOptions, Scope, UnusableAnswer,
    UnusableReason, Warning,
};

/// What a server says about a token (RFC 7662 §2.2).
///
/// It serializes as one JSON object of all members, those that the RFC names in the RFC's types: `active` is a boolean
/// whatever the server sent. A named member of another type that could not be read stands in `extra`, as it came.
///
/// `Debug` shows no text of the server: it may name persons, and a server may repeat the very token in it.
///
/// ```
/// use jeton_models::{Answer, Introspection, ParseOptions};
///
/// let body = br#"{"active":true,"client_id":"l238j323ds-23ij4","username":"jdoe","scope":"read write dolphin",
///     "sub":"Z5O3upPC88QrAjx00dis","aud":"https://protected.example.net/resource","exp":1419356238,
///     "extension_field":"twenty-seven"}"#;
/// let answer = Answer::new(200, Some("application/json"), body);
/// let introspection = Introspection::parse(&answer, &ParseOptions::default())?;
/// assert!(introspection.active);
/// assert_eq!(introspection.username.as_deref(), Some("jdoe"));
/// assert_eq!(introspection.aud, ["https://protected.example.net/resource"]);
/// assert_eq!(introspection.extra.get_str("extension_field"), Some("twenty-seven"));
/// # Ok::<(), jeton_models::AnswerError>(())
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Introspection {
    /// Whether the token is one of the server's and valid now. If not, the rest says nothing.
    pub active: bool,
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Who authorized it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How it is presented, as the server spells it (RFC 6749 §7.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// When it expires, in seconds since 1970 (Unix time).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// When it was issued, in seconds since 1970 (Unix time).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Before when it is not to be used, in seconds since 1970 (Unix time).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Who authorized it, for machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is meant for; empty if the server names nobody. One name serializes as a string, several as an array.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_several")]
    pub aud: Vec<String>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// What had to be forgiven.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Further members.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

impl Introspection {
    /// Reads the answer of an introspection endpoint. That a token is not active is an answer, not an error.
    ///
    /// # Errors
    /// [`AnswerError::OAuth`] (RFC 6749 §5.2) if the body holds an OAuth error, under whatever status;
    /// [`AnswerError::Unusable`] for anything else that is not an introspection answer: above all one that does not say
    /// whether the token is active. With [`ParseOptions::strict`] it is also what would otherwise be a warning.
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let members = answer.success_members(options, &mut warnings)?;
        Ok(Self::from_members(answer, options, members, warnings)?)
    }

    fn from_members(
        answer: &Answer<'_>,
        options: &ParseOptions,
        mut members: Members,
        mut warnings: Vec<Warning>,
    ) -> Result<Self, UnusableAnswer> {
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);

        let active = match members.remove("active") {
            Some(Value::Bool(active)) => active,
            Some(Value::String(text)) if matches!(&*text, "true" | "false") => {
                forgive(Warning::ActiveString)?;
                text == "true"
            }
            _ => return Err(answer.unusable_with(UnusableReason::Member("active"), &members)),
        };
        let mut odd = ExtraMembers::new();
        let mut take = Taking { members: &mut members, odd: &mut odd, forgive: &mut forgive };
        let introspection = Self {
            active,
            scope: take.scope("scope")?,
            client_id: take.text("client_id")?,
            username: take.text("username")?,
            token_type: take.text("token_type")?,
            exp: take.time("exp")?,
            iat: take.time("iat")?,
            nbf: take.time("nbf")?,
            sub: take.text("sub")?,
            aud: take.texts("aud")?,
            iss: take.text("iss")?,
            jti: take.text("jti")?,
            warnings: Vec::new(),
            extra: ExtraMembers::new(),
        };
        let mut extra = ExtraMembers::from(members.into_map());
        for (name, value) in odd.iter() {
            extra.insert(name, value.clone());
        }
        Ok(Self { warnings, extra, ..introspection })
    }

    /// When the token expires, if the server says so.
    pub fn expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.exp?))
    }

    /// The authorization details of the token (RFC 9396 §9.2); `None` if the server says nothing of them.
    pub fn authorization_details(&self) -> Option<Vec<AuthorizationDetail>> {
        AuthorizationDetail::granted_in(&self.extra)
    }

    /// All members as one JSON object, as [`Serialize`] gives them.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be JSON: maps have texts as keys, and numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("active", &self.active)
            .field("exp", &self.exp)
            .field("iat", &self.iat)
            .field("nbf", &self.nbf)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

fn one_or_several<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match texts {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}

/// Takes members of the RFC's types out of an answer; those of another type go to `odd`, as they came.
pub(crate) struct Taking<'a, F> {
    pub(crate) members: &'a mut Members,
    pub(crate) odd: &'a mut ExtraMembers,
    pub(crate) forgive: &'a mut F,
}

impl<F: FnMut(Warning) -> Result<(), UnusableAnswer>> Taking<'_, F> {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// A string. Some servers send identifiers that are numbers as numbers.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, UnusableAnswer> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => {
                (self.forgive)(Warning::TextNumber)?;
                Ok(Some(number.to_string()))
            }
            Some(other) => self.leave(name, other, Warning::TextInvalid),
        }
    }

    /// A boolean. Some servers send one as a string.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, UnusableAnswer> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if matches!(&*text, "true" | "false") => {
                (self.forgive)(Warning::FlagString)?;
                Ok(Some(text == "true"))
            }
            Some(other) => self.leave(name, other, Warning::FlagInvalid),
        }
    }

    /// A string or an array of strings; both are right (RFC 7519 §4.1.3).
    fn texts(&mut self, name: &str) -> Result<Vec<String>, UnusableAnswer> {
        let value = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::String(text)) => return Ok(vec![text]),
            Some(value) => value,
        };
        let texts = value.as_array().and_then(|values| {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        match texts {
            Some(texts) => Ok(texts),
            None => self.leave(name, value, Warning::TextInvalid).map(Option::unwrap_or_default),
        }
    }

    fn scope(&mut self, name: &str) -> Result<Option<Scope>, UnusableAnswer> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match read_scope(&value, self.forgive)? {
            None => self.leave(name, value, Warning::ScopeInvalid),
            scope => Ok(scope),
        }
    }

    /// A time in whole seconds.
    fn time(&mut self, name: &str) -> Result<Option<u64>, UnusableAnswer> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match Number::read(&value).filter(|at| (1..=LAST_PLAUSIBLE_TIME).contains(&at.whole)) {
            None => self.leave(name, value, Warning::TimeInvalid),
            Some(at) => {
                if at.is_string {
                    (self.forgive)(Warning::TimeString)?;
                }
                if at.has_fraction {
                    (self.forgive)(Warning::TimeFraction)?;
                }
                Ok(Some(at.whole))
            }
        }
    }

    fn leave<T>(&mut self, name: &str, value: Value, warning: Warning) -> Result<Option<T>, UnusableAnswer> {
        (self.forgive)(warning)?;
        self.odd.insert(name, value);
        Ok(None)
    }
}
