//! The access token that an application holds, with its expiry and scope (RFC 6749 §5.1, §7.1).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::printable;
use crate::{AuthorizationDetail, ExtraMembers, Scope, Secret, Warning};

/// How long before its expiry a token counts as expired unless told otherwise: 30 seconds.
pub const DEFAULT_EARLY_EXPIRY: Duration = Duration::from_secs(30);

/// How a token is presented to the resource server (RFC 6749 §7.1).
///
/// A client must not use a token whose type it does not understand, so an unknown type is an error, never a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// `Bearer` (RFC 6750).
    #[default]
    Bearer,
    /// `DPoP` (RFC 9449): each request needs a proof, signed with the key that the token is bound to.
    DPoP,
    /// `N_A` (RFC 8693 §2.2.1): what was issued is no access token, and no request to a resource server can carry it.
    NotApplicable,
}

impl TokenType {
    /// The authentication scheme that goes into the `Authorization` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::DPoP => "DPoP",
            Self::NotApplicable => "N_A",
        }
    }
}

impl std::str::FromStr for TokenType {
    type Err = UnsupportedTokenType;

    /// Reads a token type, in any case (RFC 6749 §5.1).
    ///
    /// # Errors
    /// [`UnsupportedTokenType`] for any other than `Bearer`, `DPoP` and `N_A` (RFC 6749 §7.1).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Bearer, Self::DPoP, Self::NotApplicable];
        let known = known.into_iter().find(|known| text.eq_ignore_ascii_case(known.as_str()));
        known.ok_or_else(|| UnsupportedTokenType { token_type: text.to_owned() })
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TokenType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TokenType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TokenType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// A token type that this library cannot present (RFC 6749 §7.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens of type {:?} cannot be used; only Bearer and DPoP can (RFC 6749 §7.1)", printable(.token_type, 40))]
pub struct UnsupportedTokenType {
    /// The type as the server named it, in full; `Display` shortens it.
    pub token_type: String,
}

/// An access token with what is known about it.
///
/// Made from a [`TokenResponse`](crate::TokenResponse) when it was received, or by hand from a token that the
/// program has already. Serde reads it, from what the token endpoint answered; to keep one, use a store (`jeton-storage`), or
/// write the members of your own choice with [`exposed`](crate::exposed).
///
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use jeton_models::{Secret, Token};
///
/// let mut token = Token::new(Secret::from("t0k3n"));
/// assert!(!token.is_expired(None), "without any expiry it never expires by time");
///
/// token.expires_at = Some(1_700_003_600);
/// let received = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// assert!(!token.is_expired_at(received, Duration::from_secs(30)));
/// assert!(token.is_expired_at(received + Duration::from_secs(3_571), Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(description = "An access token with what is known about it."))]
#[non_exhaustive]
pub struct Token {
    /// Access token issued by the authorization server. Opaque: never parsed (RFC 9068 §6).
    pub access_token: Secret,
    /// Type of the token issued.
    #[serde(default)]
    pub token_type: TokenType,
    /// Lifetime in seconds of the access token, counted from when it was received.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// Refresh token, which can be used to obtain new access tokens.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = null)))]
    pub refresh_token: Option<Secret>,
    /// Scope of the access token. Absent means: as requested.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Expiration time of the access token in seconds since 1970 (Unix time). Absent means: unknown.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// What had to be forgiven when the server's answer was read; empty for a token that the program made.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Further members, such as `id_token`.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

impl Token {
    /// A Bearer token of which nothing else is known.
    pub fn new(access_token: Secret) -> Self {
        Self {
            access_token,
            token_type: TokenType::Bearer,
            expires_in: None,
            refresh_token: None,
            scope: None,
            expires_at: None,
            warnings: Vec::new(),
            extra: ExtraMembers::new(),
        }
    }

    /// Sets `expires_at` from `expires_in` and the time of receipt, unless the server supplied it (RFC 6749 §5.1).
    /// Saturates at `i64::MAX`, which readers in C, Go and JSON can all hold.
    pub fn set_received_at(&mut self, received_at: SystemTime) {
        if let (None, Some(expires_in)) = (self.expires_at, self.expires_in) {
            let received_at = received_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            self.expires_at = Some(received_at.saturating_add(expires_in).min(i64::MAX.unsigned_abs()));
        }
    }

    /// Whether the token is expired by the system's clock, or will be within `early_expiry`.
    ///
    /// `None` stands for [`DEFAULT_EARLY_EXPIRY`], 30 seconds. A token without any expiry never is.
    pub fn is_expired(&self, early_expiry: impl Into<Option<Duration>>) -> bool {
        self.is_expired_at(SystemTime::now(), early_expiry.into().unwrap_or(DEFAULT_EARLY_EXPIRY))
    }

    /// Whether the token is expired at `now`, or will be within `early_expiry` of it.
    pub fn is_expired_at(&self, now: SystemTime, early_expiry: Duration) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.expires_at
            .is_some_and(|expires_at| now.saturating_add(early_expiry) >= Duration::from_secs(expires_at))
    }

    /// The authorization details that were granted (RFC 9396 §7); `None` if the server says nothing of them.
    pub fn authorization_details(&self) -> Option<Vec<AuthorizationDetail>> {
        AuthorizationDetail::granted_in(&self.extra)
    }

    /// The value of the `Authorization` header that presents this token (RFC 6750 §2.1, RFC 9449 §7.1). It is a secret.
    pub fn authorization(&self) -> Secret {
        // One allocation of the right size: a buffer that grows leaves unwiped copies behind.
        let (scheme, token) = (self.token_type.as_str(), self.access_token.expose());
        let mut value = String::with_capacity(scheme.len() + 1 + token.len());
        value.extend([scheme, " ", token]);
        Secret::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_computed_when_received_and_kept_when_supplied() {
        let received = UNIX_EPOCH + Duration::from_secs(1_000);
        let mut token = Token::new(Secret::from("t"));
        token.expires_in = Some(60);
        token.set_received_at(received);
        assert_eq!(token.expires_at, Some(1_060));

        token.expires_at = Some(2_000);
        token.set_received_at(received);
        assert_eq!(token.expires_at, Some(2_000));

        token.expires_at = None;
        token.expires_in = Some(u64::MAX);
        token.set_received_at(received);
        assert_eq!(token.expires_at, Some(i64::MAX.unsigned_abs()));
        assert!(!token.is_expired(None));
    }

    #[test]
    fn expired_means_true_at_the_very_second() {
        let mut token = Token::new(Secret::from("t"));
        token.expires_at = Some(1_000);
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!token.is_expired_at(at(969), DEFAULT_EARLY_EXPIRY));
        assert!(token.is_expired_at(at(970), DEFAULT_EARLY_EXPIRY));
        assert!(token.is_expired_at(at(1_000), Duration::ZERO));
        assert!(!token.is_expired_at(at(999), Duration::ZERO));
        assert!(token.is_expired(None), "1970 is over");
    }
}
