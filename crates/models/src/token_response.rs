//! The answer of the token endpoint (RFC 6749 §5.1), read tolerantly and never silently.

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::{
    Answer, AnswerError, ExtraMembers, ParseOptions, Scope, Secret, Token, TokenType, UnusableAnswer,
    UnusableReason, Warning,
};

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

impl TokenResponse {
    /// Reads the answer of a token endpoint.
    ///
    /// # Errors
    /// [`AnswerError::OAuth`] if the body holds an OAuth error, under whatever status;
    /// [`AnswerError::Unusable`] for anything else that is not a usable token, and, with
    /// [`ParseOptions::strict`], for whatever would otherwise be a warning.
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        if !answer.is_success() {
            return Err(answer.error(options));
        }
        let mut warnings = Vec::new();
        let members = match answer.members(options, &mut warnings) {
            Ok(members) => members,
            // An error in an odd body is still that error, also under the strict switch.
            Err(unusable) if matches!(unusable.reason, UnusableReason::Strict(_)) => {
                return Err(match answer.error(options) {
                    error @ AnswerError::OAuth(_) => error,
                    AnswerError::Unusable(_) => unusable.into(),
                });
            }
            Err(unusable) => return Err(unusable.into()),
        };
        if let Some(error) = answer.error_of(&members) {
            return Err(error);
        }
        Ok(Self::from_members(answer, options, members, warnings)?)
    }

    fn from_members(
        answer: &Answer<'_>,
        options: &ParseOptions,
        mut members: Map<String, Value>,
        mut warnings: Vec<Warning>,
    ) -> Result<Self, UnusableAnswer> {
        let form = warnings.contains(&Warning::FormEncoded);
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);

        let access_token = match members.remove("access_token") {
            Some(Value::String(token)) if !token.is_empty() => Secret::new(token),
            _ => return Err(answer.unusable_with(UnusableReason::Member("access_token"), &members)),
        };
        if !access_token.expose().bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
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
            Some(value) => match number(&value) {
                Some((at, _)) if at >= 1.0 => Some(whole(at)),
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
        let scope = match members.remove("scope") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                let scope = Scope::from_server(&text);
                if scope.is_empty() {
                    forgive(Warning::ScopeEmpty)?;
                }
                Some(scope)
            }
            Some(Value::Array(names)) => {
                forgive(Warning::ScopeArray)?;
                let mut scope = Scope::new();
                names.iter().filter_map(Value::as_str).filter(|name| !name.is_empty()).for_each(|name| {
                    scope.add(name.to_owned());
                });
                Some(scope)
            }
            Some(_) => {
                forgive(Warning::ScopeInvalid)?;
                None
            }
        };
        Ok(Self {
            access_token,
            token_type,
            expires_in,
            expires_at,
            refresh_token,
            scope,
            warnings,
            extra: ExtraMembers::from(members),
        })
    }

    /// The token as the application holds it, received at that time.
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
    let Some((number, is_string)) = number(&value) else {
        forgive(Warning::ExpiresInInvalid)?;
        return Ok(None);
    };
    if is_string && !in_form {
        forgive(Warning::ExpiresInString)?;
    }
    if number.fract() != 0.0 {
        forgive(Warning::ExpiresInFraction)?;
    }
    if number < 1.0 {
        forgive(Warning::ExpiresInNotPositive)?;
        return Ok(None);
    }
    Ok(Some(whole(number)))
}

/// A finite number from a JSON number or a string that holds one, and whether it was a string.
fn number(value: &Value) -> Option<(f64, bool)> {
    let (number, is_string) = match value {
        Value::Number(number) => (number.as_f64()?, false),
        Value::String(text) => (text.trim().parse().ok()?, true),
        _ => return None,
    };
    number.is_finite().then_some((number, is_string))
}

/// The whole part of a positive number, saturating at the largest that every reader can hold.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates; callers checked the sign"
)]
fn whole(number: f64) -> u64 {
    (number as u64).min(i64::MAX.unsigned_abs())
}
