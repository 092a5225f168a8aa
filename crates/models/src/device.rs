//! The device authorization request and its answer (RFC 8628 §3.1, §3.2).

use serde::Deserialize;
use serde_json::Value;

use crate::request::{append_code_challenge, append_scope};
use crate::token_response::{Number, seconds};
use crate::{
    Answer, AnswerError, CodeChallengeMethod, ExtraMembers, ParameterError, Parameters, ParseOptions, Scope,
    Secret, UnusableReason, Warning,
};

/// The poll interval in seconds where the server names none (RFC 8628 §3.2).
pub(crate) const DEFAULT_INTERVAL: u64 = 5;

/// The lifetime in seconds that is taken where the server names none, against RFC 8628 §3.2.
const ASSUMED_LIFETIME: u64 = 600;

/// The device authorization request (RFC 8628 §3.1), with PKCE where `code_challenge` is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeviceAuthorizationRequest {
    /// Client identifier. Left out of the form when the client authenticates with HTTP Basic.
    pub client_id: String,
    /// Scope of the access request.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Code challenge, for servers that take PKCE in the device flow.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// Code challenge method; goes with `code_challenge`.
    #[serde(default)]
    pub code_challenge_method: Option<CodeChallengeMethod>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl DeviceAuthorizationRequest {
    /// A request of that client.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            scope: None,
            code_challenge: None,
            code_challenge_method: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request, but for `client_id`, which belongs to client authentication.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = Parameters::new();
        append_scope(&mut parameters, self.scope.as_ref())?;
        append_code_challenge(&mut parameters, self.code_challenge.as_deref(), self.code_challenge_method)?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// The device authorization answer (RFC 8628 §3.2).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeviceAuthorizationResponse {
    /// Device verification code. Goes to the token endpoint only.
    pub device_code: Secret,
    /// End-user verification code, to be typed by the person.
    pub user_code: String,
    /// End-user verification URI on the authorization server.
    pub verification_uri: String,
    /// Verification URI that includes the `user_code`, for a link or a QR code.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    /// Lifetime in seconds of the `device_code` and `user_code`.
    pub expires_in: u64,
    /// Least time in seconds between polling requests to the token endpoint; 5 where the server names none.
    #[serde(default = "default_interval")]
    pub interval: u64,
    /// What had to be forgiven.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Further members.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

fn default_interval() -> u64 {
    DEFAULT_INTERVAL
}

impl DeviceAuthorizationResponse {
    /// Reads the answer of a device authorization endpoint.
    ///
    /// # Errors
    /// As [`TokenResponse::parse`](crate::TokenResponse::parse). A `user_code` or URI with control characters counts as
    /// absent. The scheme of the URIs is not checked here: check it before anything opens them.
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let mut members = answer.success_members(options, &mut warnings)?;
        let form = members.form;
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);
        // A person reads these on a terminal, so that control characters make them unusable.
        let mut text = |name: &'static str| match members.remove(name) {
            Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => Some(text),
            _ => None,
        };
        let missing = |name| answer.unusable(UnusableReason::Member(name));

        let device_code = text("device_code").map(Secret::new).ok_or_else(|| missing("device_code"))?;
        let user_code = text("user_code").ok_or_else(|| missing("user_code"))?;
        let verification_uri = match (text("verification_uri"), text("verification_url")) {
            (Some(uri), _) => uri,
            (None, Some(url)) => {
                forgive(Warning::VerificationUrl)?;
                url
            }
            (None, None) => return Err(missing("verification_uri").into()),
        };
        let verification_uri_complete =
            match (text("verification_uri_complete"), text("verification_url_complete")) {
                (None, Some(url)) => {
                    forgive(Warning::VerificationUrl)?;
                    Some(url)
                }
                (uri, _) => uri,
            };
        let expires_in = match seconds(members.remove("expires_in"), form, &mut forgive)? {
            Some(expires_in) => expires_in,
            None => {
                forgive(Warning::DeviceExpiresInAbsent)?;
                ASSUMED_LIFETIME
            }
        };
        let interval = interval(members.remove("interval"), form, &mut forgive)?;
        Ok(Self {
            device_code,
            user_code,
            verification_uri,
            verification_uri_complete,
            expires_in,
            interval,
            warnings,
            extra: ExtraMembers::from(members.into_map()),
        })
    }
}

/// The least time in seconds between polls, in each of the spellings that servers use. `in_form`: a string is the only spelling.
pub(crate) fn interval<E>(
    value: Option<Value>,
    in_form: bool,
    forgive: &mut impl FnMut(Warning) -> Result<(), E>,
) -> Result<u64, E> {
    let value = match value {
        None | Some(Value::Null) => return Ok(DEFAULT_INTERVAL),
        Some(value) => value,
    };
    let Some(number) = Number::read(&value).filter(|number| number.whole > 0) else {
        forgive(Warning::IntervalInvalid)?;
        return Ok(DEFAULT_INTERVAL);
    };
    if number.is_string && !in_form {
        forgive(Warning::IntervalString)?;
    }
    if number.has_fraction {
        forgive(Warning::IntervalFraction)?;
    }
    // Rounded up: polling faster than the server asked would be answered with `slow_down`.
    Ok(number.whole + u64::from(number.has_fraction))
}
