//! Requests to the token endpoint: one model for each grant (RFC 6749 §4, §6, RFC 8628 §3.4).
//! Each turns into [`Parameters`]; extra parameters go along with every one of them.

use serde::Deserialize;

use crate::{CodeChallengeMethod, GrantType, ParameterError, Parameters, Scope, Secret};

/// Any access token request: a grant type and whatever else the grant wants (RFC 6749 §4.5).
///
/// For extension grants; the others have models of their own.
///
/// ```
/// use jeton_models::{AccessTokenRequest, GrantType};
///
/// let mut request = AccessTokenRequest::new(GrantType::extension("urn:example:coupon"));
/// request.extra.append("coupon", "SUMMER")?;
/// assert_eq!(request.to_parameters()?.to_form(), "grant_type=urn%3Aexample%3Acoupon&coupon=SUMMER");
/// # Ok::<(), jeton_models::ParameterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AccessTokenRequest {
    /// OAuth 2.0 grant type.
    pub grant_type: GrantType,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl AccessTokenRequest {
    /// A request of that grant type without further parameters.
    pub fn new(grant_type: GrantType) -> Self {
        Self { grant_type, extra: Parameters::new() }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Access token request of the authorization code grant (RFC 6749 §4.1.3, with PKCE by RFC 7636 §4.5).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuthorizationCodeAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::authorization_code")]
    pub grant_type: GrantType,
    /// Authorization code received from the authorization server.
    pub code: Secret,
    /// Redirect URI, byte-identical to that of the authorization request.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// Client identifier. Left out of the form when the client authenticates with HTTP Basic.
    pub client_id: String,
    /// PKCE code verifier (RFC 7636 §4.5).
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub code_verifier: Option<Secret>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl AuthorizationCodeAccessTokenRequest {
    /// A request that redeems `code`.
    pub fn new(code: Secret, client_id: impl Into<String>) -> Self {
        Self {
            grant_type: GrantType::AuthorizationCode,
            code,
            redirect_uri: None,
            client_id: client_id.into(),
            code_verifier: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request, but for `client_id`, which belongs to client authentication.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("code", self.code.expose())?;
        append_option(&mut parameters, "redirect_uri", self.redirect_uri.as_deref())?;
        append_option(&mut parameters, "code_verifier", self.code_verifier.as_ref().map(Secret::expose))?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Access token request of the client credentials grant (RFC 6749 §4.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ClientCredentialsAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::client_credentials")]
    pub grant_type: GrantType,
    /// Client identifier. How it travels is up to client authentication.
    pub client_id: String,
    /// Client secret. How it travels is up to client authentication.
    pub client_secret: Secret,
    /// Scope of the access request.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl ClientCredentialsAccessTokenRequest {
    /// A request with that client's credentials.
    pub fn new(client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            grant_type: GrantType::ClientCredentials,
            client_id: client_id.into(),
            client_secret,
            scope: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request, but for the credentials, which belong to client authentication.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        append_scope(&mut parameters, self.scope.as_ref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Access token request of the resource owner password credentials grant (RFC 6749 §4.3.2).
///
/// RFC 9700 §2.4 says that this grant must not be used; it is here for servers that offer nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ResourceOwnerPasswordCredentialsAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::password")]
    pub grant_type: GrantType,
    /// Resource owner username.
    pub username: String,
    /// Resource owner password.
    pub password: Secret,
    /// Scope of the access request.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl ResourceOwnerPasswordCredentialsAccessTokenRequest {
    /// A request with that person's credentials.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self {
            grant_type: GrantType::ResourceOwnerPasswordCredentials,
            username: username.into(),
            password,
            scope: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("username", self.username.as_str())?;
        parameters.append_required("password", self.password.expose())?;
        append_scope(&mut parameters, self.scope.as_ref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Access token request with a refresh token (RFC 6749 §6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RefreshTokenAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::refresh_token")]
    pub grant_type: GrantType,
    /// Refresh token.
    pub refresh_token: Secret,
    /// Scope of the access request: absent, or a subset of what was granted.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl RefreshTokenAccessTokenRequest {
    /// A request with that refresh token and without a scope, so that what was granted stays.
    pub fn new(refresh_token: Secret) -> Self {
        Self { grant_type: GrantType::RefreshToken, refresh_token, scope: None, extra: Parameters::new() }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("refresh_token", self.refresh_token.expose())?;
        append_scope(&mut parameters, self.scope.as_ref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Device access token request (RFC 8628 §3.4).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeviceAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::device_code")]
    pub grant_type: GrantType,
    /// Device verification code.
    pub device_code: Secret,
    /// Client identifier. Left out of the form when the client authenticates with HTTP Basic.
    pub client_id: String,
    /// PKCE code verifier, for servers that take PKCE in the device flow.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub code_verifier: Option<Secret>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl DeviceAccessTokenRequest {
    /// A request that polls for `device_code`.
    pub fn new(device_code: Secret, client_id: impl Into<String>) -> Self {
        Self {
            grant_type: GrantType::DeviceCode,
            device_code,
            client_id: client_id.into(),
            code_verifier: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request, but for `client_id`, which belongs to client authentication.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("device_code", self.device_code.expose())?;
        append_option(&mut parameters, "code_verifier", self.code_verifier.as_ref().map(Secret::expose))?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

/// Access token request with a JWT as the authorization grant (RFC 7523 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JwtBearerAccessTokenRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::jwt_bearer")]
    pub grant_type: GrantType,
    /// A single JWT.
    pub assertion: Secret,
    /// Scope of the access request.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl JwtBearerAccessTokenRequest {
    /// A request with that assertion.
    pub fn new(assertion: Secret) -> Self {
        Self { grant_type: GrantType::JwtBearer, assertion, scope: None, extra: Parameters::new() }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("assertion", self.assertion.expose())?;
        append_scope(&mut parameters, self.scope.as_ref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

pub(crate) fn start(grant_type: &GrantType) -> Result<Parameters, ParameterError> {
    let mut parameters = Parameters::new();
    parameters.append_required("grant_type", grant_type.as_str())?;
    Ok(parameters)
}

pub(crate) fn append_option(
    parameters: &mut Parameters,
    name: &str,
    value: Option<&str>,
) -> Result<(), ParameterError> {
    value.map_or(Ok(()), |value| parameters.append(name, value))
}

pub(crate) fn append_scope(parameters: &mut Parameters, scope: Option<&Scope>) -> Result<(), ParameterError> {
    scope.map_or(Ok(()), |scope| parameters.append("scope", scope))
}

/// The PKCE parameters. The method always goes along, because a challenge without one counts as `plain`, which is never
/// meant (RFC 7636 §4.3); and a method without a challenge says nothing.
pub(crate) fn append_code_challenge(
    parameters: &mut Parameters,
    code_challenge: Option<&str>,
    method: Option<CodeChallengeMethod>,
) -> Result<(), ParameterError> {
    match code_challenge.filter(|challenge| !challenge.is_empty()) {
        Some(challenge) => {
            parameters.append("code_challenge", challenge)?;
            parameters.append("code_challenge_method", method.unwrap_or_default().as_str())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_parameters_go_along_and_may_not_overwrite() {
        let mut request = RefreshTokenAccessTokenRequest::new(Secret::from("r"));
        request.extra.append("audience", "api").unwrap();
        assert_eq!(
            request.to_parameters().unwrap().to_form(),
            "grant_type=refresh_token&refresh_token=r&audience=api"
        );
        request.extra.append("refresh_token", "other").unwrap();
        assert!(request.to_parameters().is_err());
    }

    #[test]
    fn requests_are_read_with_their_defaults() {
        let request: AuthorizationCodeAccessTokenRequest =
            serde_json::from_str(r#"{"code":"c","client_id":"id","x":"y"}"#).unwrap();
        assert_eq!(request.grant_type, GrantType::AuthorizationCode);
        assert_eq!(request.extra.get("x"), Some("y"));
        assert!(!format!("{request:?}").contains("\"c\""));
    }
}
