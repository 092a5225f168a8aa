//! The token exchange request (RFC 8693 §2.1), and the identifiers of token types that it speaks of (§3).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::request::{append_option, append_scope, start};
use crate::{GrantType, ParameterError, Parameters, Scope, Secret};

/// What kind of token a security token is, by its URI (RFC 8693 §3). Not to be mixed up with the
/// [`TokenType`](crate::TokenType), which says how an access token is presented.
///
/// ```
/// use jeton_models::TokenTypeIdentifier;
///
/// assert_eq!(TokenTypeIdentifier::ID_TOKEN.as_str(), "urn:ietf:params:oauth:token-type:id_token");
/// assert_eq!(TokenTypeIdentifier::from("urn:example:badge").as_str(), "urn:example:badge");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenTypeIdentifier(Cow<'static, str>);

impl TokenTypeIdentifier {
    /// An access token of this authorization server.
    pub const ACCESS_TOKEN: Self = Self::of("urn:ietf:params:oauth:token-type:access_token");
    /// A refresh token of this authorization server.
    pub const REFRESH_TOKEN: Self = Self::of("urn:ietf:params:oauth:token-type:refresh_token");
    /// An ID token (OpenID Connect Core §2).
    pub const ID_TOKEN: Self = Self::of("urn:ietf:params:oauth:token-type:id_token");
    /// A SAML 1.1 assertion, base64url-encoded.
    pub const SAML1: Self = Self::of("urn:ietf:params:oauth:token-type:saml1");
    /// A SAML 2.0 assertion, base64url-encoded.
    pub const SAML2: Self = Self::of("urn:ietf:params:oauth:token-type:saml2");
    /// A JWT (RFC 7519 §9).
    pub const JWT: Self = Self::of("urn:ietf:params:oauth:token-type:jwt");
    /// An identity assertion authorization grant (ID-JAG).
    pub const ID_JAG: Self = Self::of("urn:ietf:params:oauth:token-type:id-jag");

    /// Any other one, known at compile time; usable in a `const`.
    pub const fn of(uri: &'static str) -> Self {
        Self(Cow::Borrowed(uri))
    }

    /// The URI as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TokenTypeIdentifier {
    fn from(uri: &str) -> Self {
        Self(Cow::Owned(uri.to_owned()))
    }
}

impl fmt::Display for TokenTypeIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TokenTypeIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TokenTypeIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|uri| Self(Cow::Owned(uri)))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TokenTypeIdentifier {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TokenTypeIdentifier".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// Token exchange request (RFC 8693 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TokenExchangeRequest {
    /// OAuth 2.0 grant type.
    #[serde(default = "GrantType::token_exchange")]
    pub grant_type: GrantType,
    /// The party on whose behalf the request is made.
    pub subject_token: Secret,
    /// What kind of token the subject token is.
    pub subject_token_type: TokenTypeIdentifier,
    /// The party that acts, where that is another one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub actor_token: Option<Secret>,
    /// What kind of token the actor token is; there exactly if that is.
    #[serde(default)]
    pub actor_token_type: Option<TokenTypeIdentifier>,
    /// What kind of token is wanted; absent means that the server decides.
    #[serde(default)]
    pub requested_token_type: Option<TokenTypeIdentifier>,
    /// Where the token is to be used, by the names that the server knows.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Where the token is to be used, as absolute URIs (RFC 8707).
    #[serde(default)]
    pub resource: Vec<String>,
    /// Scope of the access request.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Further parameters.
    #[serde(flatten)]
    pub extra: Parameters,
}

impl TokenExchangeRequest {
    /// A request that exchanges that token for whatever the server gives for it.
    pub fn new(subject_token: Secret, subject_token_type: TokenTypeIdentifier) -> Self {
        Self {
            grant_type: GrantType::TokenExchange,
            subject_token,
            subject_token_type,
            actor_token: None,
            actor_token_type: None,
            requested_token_type: None,
            audience: Vec::new(),
            resource: Vec::new(),
            scope: None,
            extra: Parameters::new(),
        }
    }

    /// The form parameters of the request.
    ///
    /// # Errors
    /// [`ParameterError::Incomplete`] for an actor token without its type or a type without a token;
    /// [`ParameterError`] if a parameter would stand twice or a required one is empty.
    pub fn to_parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = start(&self.grant_type)?;
        parameters.append_required("subject_token", self.subject_token.expose())?;
        parameters.append_required("subject_token_type", self.subject_token_type.as_str())?;
        match (&self.actor_token, &self.actor_token_type) {
            (None, None) => {}
            (Some(token), Some(kind)) => {
                parameters.append_required("actor_token", token.expose())?;
                parameters.append_required("actor_token_type", kind.as_str())?;
            }
            _ => {
                return Err(ParameterError::Incomplete { one: "actor_token", other: "actor_token_type" });
            }
        }
        let requested = self.requested_token_type.as_ref().map(TokenTypeIdentifier::as_str);
        append_option(&mut parameters, "requested_token_type", requested)?;
        self.audience.iter().try_for_each(|audience| parameters.append("audience", audience.as_str()))?;
        self.resource.iter().try_for_each(|resource| parameters.append("resource", resource.as_str()))?;
        append_scope(&mut parameters, self.scope.as_ref())?;
        parameters.append_all(&self.extra)?;
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a17_an_actor_token_goes_with_its_type_and_not_without() {
        let mut request = TokenExchangeRequest::new(Secret::from("s"), TokenTypeIdentifier::ACCESS_TOKEN);
        request.audience = vec!["a".into(), "b".into()];
        assert_eq!(
            request.to_parameters().unwrap().to_form(),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s&\
             subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&audience=a&audience=b"
        );
        let incomplete = ParameterError::Incomplete { one: "actor_token", other: "actor_token_type" };
        request.actor_token = Some(Secret::from("a"));
        assert_eq!(request.to_parameters(), Err(incomplete.clone()));
        request.actor_token_type = Some(TokenTypeIdentifier::JWT);
        let parameters = request.to_parameters().unwrap();
        assert_eq!(parameters.get("actor_token"), Some("a"));
        assert_eq!(parameters.get("actor_token_type"), Some("urn:ietf:params:oauth:token-type:jwt"));
        request.actor_token = None;
        assert_eq!(request.to_parameters(), Err(incomplete));
        request.actor_token = Some(Secret::from(""));
        assert!(matches!(request.to_parameters(), Err(ParameterError::Empty { .. })));
    }
}
