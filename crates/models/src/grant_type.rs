//! Grant types and their identifiers (RFC 6749 §1.3, RFC 8628 §3.4).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A grant type by its identifier, as it goes into the parameter `grant_type`.
///
/// ```
/// use jeton_models::GrantType;
///
/// assert_eq!(GrantType::DeviceCode.as_str(), "urn:ietf:params:oauth:grant-type:device_code");
/// assert_eq!(GrantType::from("password"), GrantType::ResourceOwnerPasswordCredentials);
/// assert_eq!(GrantType::from("urn:example:coupon").as_str(), "urn:example:coupon");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantType {
    /// `authorization_code` (RFC 6749 §4.1).
    AuthorizationCode,
    /// `client_credentials` (RFC 6749 §4.4).
    ClientCredentials,
    /// `urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 §3.4).
    DeviceCode,
    /// `refresh_token` (RFC 6749 §6).
    RefreshToken,
    /// `password` (RFC 6749 §4.3). RFC 9700 §2.4 says that it must not be used.
    ResourceOwnerPasswordCredentials,
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693 §2.1).
    TokenExchange,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1).
    JwtBearer,
    /// `urn:openid:params:grant-type:ciba` (OpenID Connect CIBA Core §4).
    Ciba,
    /// An extension grant by its absolute URI (RFC 6749 §4.5).
    Extension(Cow<'static, str>),
}

impl GrantType {
    /// The identifier as it goes over the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::RefreshToken => "refresh_token",
            Self::ResourceOwnerPasswordCredentials => "password",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::Ciba => "urn:openid:params:grant-type:ciba",
            Self::Extension(identifier) => identifier,
        }
    }

    /// An extension grant whose identifier is known at compile time; usable in a `const`.
    pub const fn extension(identifier: &'static str) -> Self {
        Self::Extension(Cow::Borrowed(identifier))
    }

    pub(crate) fn authorization_code() -> Self {
        Self::AuthorizationCode
    }

    pub(crate) fn client_credentials() -> Self {
        Self::ClientCredentials
    }

    pub(crate) fn device_code() -> Self {
        Self::DeviceCode
    }

    pub(crate) fn refresh_token() -> Self {
        Self::RefreshToken
    }

    pub(crate) fn password() -> Self {
        Self::ResourceOwnerPasswordCredentials
    }

    pub(crate) fn token_exchange() -> Self {
        Self::TokenExchange
    }

    pub(crate) fn jwt_bearer() -> Self {
        Self::JwtBearer
    }

    pub(crate) fn ciba() -> Self {
        Self::Ciba
    }
}

impl From<&str> for GrantType {
    fn from(identifier: &str) -> Self {
        match identifier {
            "authorization_code" => Self::AuthorizationCode,
            "client_credentials" => Self::ClientCredentials,
            "urn:ietf:params:oauth:grant-type:device_code" => Self::DeviceCode,
            "refresh_token" => Self::RefreshToken,
            "password" => Self::ResourceOwnerPasswordCredentials,
            "urn:ietf:params:oauth:grant-type:token-exchange" => Self::TokenExchange,
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => Self::JwtBearer,
            "urn:openid:params:grant-type:ciba" => Self::Ciba,
            other => Self::Extension(Cow::Owned(other.to_owned())),
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for GrantType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for GrantType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|identifier| Self::from(identifier.as_str()))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for GrantType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "GrantType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_round_trip() {
        for identifier in [
            "authorization_code",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "refresh_token",
            "password",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:openid:params:grant-type:ciba",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
        ] {
            assert_eq!(GrantType::from(identifier).as_str(), identifier);
        }
        assert!(!matches!(GrantType::from("password"), GrantType::Extension(_)));
        assert!(!matches!(GrantType::from("urn:openid:params:grant-type:ciba"), GrantType::Extension(_)));
    }
}
