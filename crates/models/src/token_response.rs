//! The answer of the token endpoint (RFC 6749 §5.1), read tolerantly and never silently.

use std::time::SystemTime;

use serde_json::Value;

use crate::authorization_details::{AUTHORIZATION_DETAILS, Granted};
use crate::json::Members;
use crate::{
    Answer, AnswerError, AuthorizationDetail, ExtraMembers, ParseOptions, Scope, Secret, Token, TokenType,
    UnsupportedTokenType, UnusableAnswer, UnusableReason, Warning,
};

/// The last second of the year 9999. A later time is no count of seconds (some servers send milliseconds).
pub(crate) const LAST_PLAUSIBLE_TIME: u64 = 253_402_300_799;

/// The scope in a member of an answer; `None` if that is neither a string nor an array.
pub(crate) fn read_scope(
    value: &Value,
    forgive: &mut impl FnMut(Warning) -> Result<(), UnusableAnswer>,
) -> Result<Option<Scope>, UnusableAnswer> {
    let scope = match value {
        Value::String(text) => Scope::from_server(text),
        Value::Array(names) => {
            forgive(Warning::ScopeArray)?;
            Scope::distinct(names.iter().filter_map(Value::as_str).flat_map(str::split_ascii_whitespace))
        }
        _ => return Ok(None),
    };
    if scope.is_empty() {
        forgive(Warning::ScopeEmpty)?;
    }
    if !scope.is_well_formed() {
        forgive(Warning::ScopeCharacters)?;
    }
    Ok(Some(scope))
}

/// A successful answer of the token endpoint, before it is known when it was received.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// How it is presented.
    pub token_type: TokenType,
    /// Its lifetime in seconds; `None` if the server did not say, or not in a way that can be understood.
    pub expires_in: Option<u64>,
    /// Its expiration in Unix time, if the server supplied one.
    pub expires_at: Option<u64>,
    /// A refresh token; `None` means that the old one, if any, stays (RFC 6749 §6).
    pub refresh_token: Option<Secret>,
    /// The scope that was granted; `None` means: as requested (RFC 6749 §5.1).
    pub scope: Option<Scope>,
    /// What had to be forgiven.
    pub warnings: Vec<Warning>,
    /// Further members.
    pub extra: ExtraMembers,
}

/// The member by which the answer to a token exchange says what it is (RFC 8693 §2.2.1).
const ISSUED_TOKEN_TYPE: &str = "issued_token_type";

impl TokenResponse {
    /// Reads the answer of a token endpoint.
    ///
    /// # Errors
    /// [`AnswerError::OAuth`] (RFC 6749 §5.2) if the body holds an OAuth error, under whatever status;
    /// [`AnswerError::Unusable`] for anything else that is not a usable token, and, with
    /// [`ParseOptions::strict`], for whatever would otherwise be a warning.
    /// The refresh token of an unusable answer, strict or not, stands in
    /// [`UnusableAnswer::refresh_token`](crate::UnusableAnswer).
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        Self::read(answer, options).map_err(|error| match error {
            AnswerError::Unusable(mut unusable) if answer.is_success() => {
                unusable.refresh_token = refresh_token_in(answer, options);
                unusable.into()
            }
            other => other,
        })
    }

    fn read(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
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
        let form = members.form;
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);

        let access_token = match members.remove("access_token") {
            Some(Value::String(token)) if !token.is_empty() => Secret::new(token),
            _ => return Err(answer.unusable_with(UnusableReason::Member("access_token"), &members)),
        };
        // Without stopping at the first one, so that many bytes are looked at in one instruction.
        if !access_token.expose().bytes().fold(true, |fit, byte| fit & (0x20..0x7f).contains(&byte)) {
            return Err(answer.unusable(UnusableReason::AccessTokenCharacters));
        }
        let token_type = match members.remove("token_type") {
            Some(Value::String(text)) if !text.is_empty() => {
                text.parse().map_err(|error| answer.unusable(UnusableReason::TokenType(error)))?
            }
            None | Some(Value::Null | Value::String(_)) => {
                forgive(Warning::TokenTypeAbsent)?;
                TokenType::Bearer
            }
            Some(_) => return Err(answer.unusable(UnusableReason::Member("token_type"))),
        };
        // Only where something else than an access token may have been issued (RFC 8693 §2.2.1).
        if token_type == TokenType::NotApplicable
            && !members.get(ISSUED_TOKEN_TYPE).is_some_and(Value::is_string)
        {
            let token_type = token_type.as_str().to_owned();
            return Err(answer.unusable(UnusableReason::TokenType(UnsupportedTokenType { token_type })));
        }
        let mut lifetime = members.remove("expires_in");
        if lifetime.is_none() && form {
            lifetime = members.remove("expires");
            if lifetime.is_some() {
                forgive(Warning::ExpiresInAlias)?;
            }
        }
        let expires_in = seconds(lifetime, form, &mut forgive)?;
        let expires_at = match members.remove("expires_at") {
            None | Some(Value::Null) => None,
            Some(value) => match Number::read(&value) {
                Some(at) if (1..=LAST_PLAUSIBLE_TIME).contains(&at.whole) => Some(at.whole),
                _ => {
                    forgive(Warning::ExpiresAtInvalid)?;
                    None
                }
            },
        };
        let refresh_token = match members.remove("refresh_token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if !token.is_empty() => Some(Secret::new(token)),
            Some(Value::String(_)) => {
                forgive(Warning::RefreshTokenEmpty)?;
                None
            }
            Some(_) => {
                forgive(Warning::RefreshTokenInvalid)?;
                None
            }
        };
        let scope = match members.remove("scope").filter(|scope| !scope.is_null()) {
            None => None,
            Some(value) => {
                let scope = read_scope(&value, &mut forgive)?;
                if scope.is_none() {
                    forgive(Warning::ScopeInvalid)?;
                }
                scope
            }
        };
        if let Some(value) = members.get(AUTHORIZATION_DETAILS).filter(|value| !value.is_null()) {
            match Granted::read(value) {
                Ok(granted) if granted.is_string && !form => forgive(Warning::AuthorizationDetailsString)?,
                Ok(_) => {}
                Err(_) => forgive(Warning::AuthorizationDetailsInvalid)?,
            }
        }
        Ok(Self {
            access_token,
            token_type,
            expires_in,
            expires_at,
            refresh_token,
            scope,
            warnings,
            extra: ExtraMembers::from(members.into_map()),
        })
    }

    /// The response, if its token is bound to a DPoP key exactly where one was proven in the request (RFC 9449 §5).
    ///
    /// # Errors
    /// [`AnswerError::Unusable`] for a Bearer token where a key was proven, which would be no better than a stolen one, and
    /// for a bound one where none was, which nobody could present. The refresh token, which a server that rotates has given in
    /// the place of the old one, stands in [`UnusableAnswer::refresh_token`](crate::UnusableAnswer).
    pub fn check_binding(self, answer: &Answer<'_>, proven: bool) -> Result<Self, AnswerError> {
        match (proven, self.token_type) {
            (true, TokenType::Bearer) | (false, TokenType::DPoP) => {
                let mut unusable = answer.unusable(UnusableReason::Binding(self.token_type));
                unusable.refresh_token = self.refresh_token;
                Err(unusable.into())
            }
            _ => Ok(self),
        }
    }

    /// The authorization details that were granted (RFC 9396 §7); `None` if the server says nothing of them.
    pub fn authorization_details(&self) -> Option<Vec<AuthorizationDetail>> {
        AuthorizationDetail::granted_in(&self.extra)
    }

    /// What kind of token was issued, as the answer to a token exchange says (RFC 8693 §2.2.1): a URI, see
    /// [`TokenTypeIdentifier`](crate::TokenTypeIdentifier). It is kept in `extra`.
    pub fn issued_token_type(&self) -> Option<&str> {
        self.extra.get_str(ISSUED_TOKEN_TYPE).filter(|uri| !uri.is_empty())
    }

    /// The response, if it says what kind of token was issued, as the answer to a token exchange must (RFC 8693 §2.2.1).
    ///
    /// # Errors
    /// [`AnswerError::Unusable`] if it does not. The refresh token of such an answer stands in
    /// [`UnusableAnswer::refresh_token`](crate::UnusableAnswer).
    pub fn check_exchanged(self, answer: &Answer<'_>) -> Result<Self, AnswerError> {
        if self.issued_token_type().is_some() {
            return Ok(self);
        }
        let mut unusable = answer.unusable(UnusableReason::Member(ISSUED_TOKEN_TYPE));
        unusable.refresh_token = self.refresh_token;
        Err(unusable.into())
    }

    /// The token as the application holds it, received at that time (RFC 6749 §5.1).
    ///
    /// An `expires_at` that the server did not supply is counted from there, as in [`Token::set_received_at`].
    pub fn into_token(self, received_at: SystemTime) -> Token {
        let mut token = Token::new(self.access_token);
        token.token_type = self.token_type;
        token.expires_in = self.expires_in;
        token.expires_at = self.expires_at;
        token.refresh_token = self.refresh_token;
        token.scope = self.scope;
        token.warnings = self.warnings;
        token.extra = self.extra;
        token.set_received_at(received_at);
        token
    }
}

/// The refresh token of an answer, whatever else is wrong with it.
fn refresh_token_in(answer: &Answer<'_>, options: &ParseOptions) -> Option<Secret> {
    let lenient = ParseOptions { strict: false, ..options.clone() };
    let mut members = answer.members(&lenient, &mut Vec::new()).ok()?;
    match members.remove("refresh_token") {
        Some(Value::String(token)) if !token.is_empty() => Some(Secret::new(token)),
        _ => None,
    }
}

/// A lifetime in whole seconds, in each of the spellings that servers use. `in_form`: a string is the only spelling.
pub(crate) fn seconds<E>(
    value: Option<Value>,
    in_form: bool,
    forgive: &mut impl FnMut(Warning) -> Result<(), E>,
) -> Result<Option<u64>, E> {
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let Some(number) = Number::read(&value) else {
        forgive(Warning::ExpiresInInvalid)?;
        return Ok(None);
    };
    if number.is_string && !in_form {
        forgive(Warning::ExpiresInString)?;
    }
    if number.has_fraction {
        forgive(Warning::ExpiresInFraction)?;
    }
    if number.whole == 0 {
        forgive(Warning::ExpiresInNotPositive)?;
        return Ok(None);
    }
    Ok(Some(number.whole))
}

/// A finite number, from a JSON number or from a string that holds one.
pub(crate) struct Number {
    /// The whole part; 0 for what is negative. At most `i64::MAX`, which readers in C, Go and JSON can all hold.
    pub(crate) whole: u64,
    pub(crate) has_fraction: bool,
    pub(crate) is_string: bool,
}

impl Number {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let (integer, float, is_string) = match value {
            Value::Number(number) => (number.as_u64(), number.as_f64(), false),
            Value::String(text) => (text.trim().parse().ok(), text.trim().parse().ok(), true),
            _ => return None,
        };
        let float: f64 = float.filter(|number: &f64| number.is_finite())?;
        // `as` saturates: negative numbers become 0, huge ones the largest. An integer is not sent through a float, which
        // would round it.
        let whole = integer.unwrap_or(float as u64).min(i64::MAX.unsigned_abs());
        Some(Self { whole, has_fraction: float.fract() != 0.0, is_string })
    }
}
