//! What a server says about the person who logged in: the userinfo answer (OpenID Connect Core §5.3.2), read tolerantly but
//! for `sub`, by which it is known whose it is.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::introspection::Taking;
use crate::json::Members;
use crate::{Answer, AnswerError, ExtraMembers, ParseOptions, UnusableAnswer, UnusableReason, Warning};

/// What a server says about the person who logged in (OpenID Connect Core §5.1, §5.3.2).
///
/// It serializes as one JSON object of all members. A named member of another type than the standard's stands in `extra`, as it
/// came. `Debug` shows none of it: it names a person.
///
/// Whether it is about the right person, nobody has looked yet: `sub` must be the ID token's.
///
/// ```
/// use jeton_models::{Answer, ParseOptions, UserInfo};
///
/// let body = br#"{"sub":"248289761001","name":"Jane Doe","email":"janedoe@example.com","http://example.info/team":"blue"}"#;
/// let answer = Answer::new(200, Some("application/json"), body);
/// let person = UserInfo::parse(&answer, &ParseOptions::default())?;
/// assert_eq!(person.name.as_deref(), Some("Jane Doe"));
/// assert_eq!(person.extra.get_str("http://example.info/team"), Some("blue"));
/// # Ok::<(), jeton_models::AnswerError>(())
/// ```
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UserInfo {
    /// Who it is: unique at the server and never given to somebody else.
    pub sub: String,
    /// The full name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The given names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// The family names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// What the person wants to be called. Neither unique nor lasting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The mail address. Not unique, and not checked unless `email_verified` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the server has made sure that the mail address is the person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The URL of a picture, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// The language, as a BCP 47 tag, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// What had to be forgiven.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Further members.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

impl UserInfo {
    /// Reads the answer of a userinfo endpoint that is not signed.
    ///
    /// # Errors
    /// [`AnswerError::OAuth`] if the body holds an OAuth error, under whatever status; [`AnswerError::Unusable`] for anything
    /// else that is not about a person, above all one without `sub`, and, with [`ParseOptions::strict`], for whatever would
    /// otherwise be a warning.
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
        // No number that may be somebody's, and no text that is nobody's: this one is compared.
        let sub = match members.remove("sub") {
            Some(Value::String(sub)) if !sub.is_empty() => sub,
            _ => return Err(answer.unusable_with(UnusableReason::Member("sub"), &members)),
        };
        let mut odd = ExtraMembers::new();
        let mut take = Taking { members: &mut members, odd: &mut odd, forgive: &mut forgive };
        let user_info = Self {
            sub,
            name: take.text("name")?,
            given_name: take.text("given_name")?,
            family_name: take.text("family_name")?,
            preferred_username: take.text("preferred_username")?,
            email: take.text("email")?,
            email_verified: take.flag("email_verified")?,
            picture: take.text("picture")?,
            locale: take.text("locale")?,
            warnings: Vec::new(),
            extra: ExtraMembers::new(),
        };
        let mut extra = ExtraMembers::from(members.into_map());
        for (name, value) in odd.iter() {
            extra.insert(name, value.clone());
        }
        Ok(Self { warnings, extra, ..user_info })
    }

    /// All members as one JSON object, as [`Serialize`] gives them.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be JSON: maps have texts as keys, and numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserInfo").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}
