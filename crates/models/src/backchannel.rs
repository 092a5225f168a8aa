//! Client-initiated backchannel authentication (OpenID Connect CIBA Core 1.0, poll mode): the person is asked on a device of
//! theirs, and the client polls. The authentication request (§7.1), its answer (§7.3) and the polls (§10.1).

use serde::Deserialize;
use serde_json::Value;

use crate::device::{DEFAULT_INTERVAL, interval};
use crate::request::{append_option, append_scope, start};
use crate::token_response::seconds;
use crate::{
    Answer, AnswerError, ExtraMembers, GrantType, ParameterError, Parameters, ParseOptions, Scope, Secret,
    UnusableReason, Warning,
};

/// The backchannel authentication request (CIBA Core §7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BackchannelAuthenticationRequest {
    /// Scope of the access request; it has to contain `openid`.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// How strongly the person is to be authenticated, best first: names separated by spaces.
    #[serde(default)]
    pub acr_values: Option<String>,
    /// Who is meant: a name that the server knows, such as an e-mail address or a telephone number.
    #[serde(default)]
    pub login_hint: Option<String>,
    /// Who is meant: a token that says so.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub login_hint_token: Option<Secret>,
    /// Who is meant: an ID token that the server issued before.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub id_token_hint: Option<Secret>,
    /// What the person sees on both devices, to know that they belong together.
    #[serde(default)]
    pub binding_message: Option<String>,
    /// A secret between person and server, without which nobody can bother the person.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub user_code: Option<Secret>,
    /// For how many seconds the request is wanted to be good.
    #[serde(default)]
    pub requested_expiry: Option<u64>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl BackchannelAuthenticationRequest {
    /// A request that names nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError::NotOneOf`] unless exactly one hint says who is meant (CIBA Core §7.1); [`ParameterError`] if a
    /// parameter would stand twice.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let hints = [
            ("login_hint", self.login_hint.as_deref()),
            ("login_hint_token", self.login_hint_token.as_ref().map(Secret::expose)),
            ("id_token_hint", self.id_token_hint.as_ref().map(Secret::expose)),
        ];
        let mut given = hints.into_iter().filter_map(|(name, hint)| Some((name, hint?)));
        let (Some((name, hint)), None) = (given.next(), given.next()) else {
            return Err(ParameterError::NotOneOf { names: "login_hint, login_hint_token, id_token_hint" });
        };
        let mut parameters = Parameters::new();
        append_scope(&mut parameters, self.scope.as_ref())?;
        append_option(&mut parameters, "acr_values", self.acr_values.as_deref())?;
        parameters.append_required(name, hint)?;
        append_option(&mut parameters, "binding_message", self.binding_message.as_deref())?;
        append_option(&mut parameters, "user_code", self.user_code.as_ref().map(Secret::expose))?;
        let expiry = self.requested_expiry.map(|seconds| seconds.to_string());
        append_option(&mut parameters, "requested_expiry", expiry.as_deref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// The answer to a backchannel authentication request (CIBA Core §7.3).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BackchannelAuthenticationResponse {
    /// Names this authentication in polls. Goes to the token endpoint only.
    pub auth_req_id: Secret,
    /// Lifetime in seconds of the authentication request.
    pub expires_in: u64,
    /// Least time in seconds between polls; 5 where the server names none.
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

impl BackchannelAuthenticationResponse {
    /// Reads the answer of a backchannel authentication endpoint.
    ///
    /// # Errors
    /// As [`TokenResponse::parse`](crate::TokenResponse::parse). An `auth_req_id` or `expires_in` that is missing, or of
    /// another type, makes the answer unusable.
    pub fn parse(answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let mut members = answer.success_members(options, &mut warnings)?;
        let form = members.form;
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);
        let missing = |name| answer.unusable(UnusableReason::Member(name));

        let auth_req_id = match members.remove("auth_req_id") {
            Some(Value::String(id)) if !id.is_empty() => Secret::new(id),
            _ => return Err(missing("auth_req_id").into()),
        };
        let expires_in = seconds(members.remove("expires_in"), form, &mut forgive)?
            .ok_or_else(|| missing("expires_in"))?;
        let interval = interval(members.remove("interval"), form, &mut forgive)?;
        let extra = ExtraMembers::from(members.into_map());
        Ok(Self { auth_req_id, expires_in, interval, warnings, extra })
    }
}

/// Access token request that polls for the end of a backchannel authentication (CIBA Core §10.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BackchannelAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::ciba")]
    pub grant_type: GrantType,
    /// Names the authentication.
    pub auth_req_id: Secret,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl BackchannelAccessTokenRequest {
    /// A request that polls for that authentication.
    pub fn new(auth_req_id: Secret) -> Self {
        Self { grant_type: GrantType::Ciba, auth_req_id, extra: Parameters::new() }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("auth_req_id", self.auth_req_id.expose())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_hint_says_who_is_meant() {
        let of = |hints: &[&str]| {
            let mut request = BackchannelAuthenticationRequest::new();
            request.login_hint = hints.contains(&"login_hint").then(|| "alice".to_owned());
            request.login_hint_token = hints.contains(&"login_hint_token").then(|| Secret::from("t"));
            request.id_token_hint = hints.contains(&"id_token_hint").then(|| Secret::from("i"));
            request.requested_expiry = Some(60);
            request.to_parameters().map(|parameters| parameters.to_form())
        };
        assert_eq!(of(&["login_hint"]).unwrap(), "login_hint=alice&requested_expiry=60");
        assert_eq!(of(&["id_token_hint"]).unwrap(), "id_token_hint=i&requested_expiry=60");
        for wrong in [&[][..], &["login_hint", "id_token_hint"], &["login_hint_token", "id_token_hint"]] {
            assert!(matches!(of(wrong), Err(ParameterError::NotOneOf { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn an_answer_needs_its_id_and_its_lifetime() {
        let read = |body: &str| {
            let answer = Answer::new(200, Some("application/json"), body.as_bytes());
            BackchannelAuthenticationResponse::parse(&answer, &ParseOptions::default())
        };
        let good = read(r#"{"auth_req_id":"1c266114","expires_in":120}"#).unwrap();
        assert_eq!((good.auth_req_id.expose(), good.expires_in, good.interval), ("1c266114", 120, 5));
        let odd = read(r#"{"auth_req_id":"1c266114","expires_in":"120","interval":"2.5"}"#).unwrap();
        assert_eq!((odd.expires_in, odd.interval), (120, 3));
        assert!(!odd.warnings.is_empty());
        for (body, member) in [
            (r#"{"expires_in":120}"#, "auth_req_id"),
            (r#"{"auth_req_id":"","expires_in":120}"#, "auth_req_id"),
            (r#"{"auth_req_id":7,"expires_in":120}"#, "auth_req_id"),
            (r#"{"auth_req_id":"1c266114"}"#, "expires_in"),
            (r#"{"auth_req_id":"1c266114","expires_in":0}"#, "expires_in"),
        ] {
            match read(body) {
                Err(AnswerError::Unusable(error)) => {
                    assert_eq!(error.reason, UnusableReason::Member(member), "{body}")
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
