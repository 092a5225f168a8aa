//! What a tolerant parser forgave: strict out, tolerant in, silent never.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! warnings {
    ($($variant:ident $code:literal $message:literal;)*) => {
        /// A leniency that was needed to read a server's answer. With [`ParseOptions::strict`](crate::ParseOptions)
        /// each is an error instead.
        ///
        /// Kept with the token; the code is stable and fit for a program, the `Display` text is for people.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Warning {
            $(#[doc = concat!("`", $code, "`: ", $message, ".")] $variant,)*
            /// A code that a later version of jeton recorded.
            Other(Cow<'static, str>),
        }

        impl Warning {
            /// The stable code.
            pub fn code(&self) -> &str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// What the server did, in words.
            pub fn message(&self) -> &str {
                match self {
                    $(Self::$variant => $message,)*
                    Self::Other(_) => "a leniency that this version of jeton has no words for",
                }
            }

            /// The warning of that code.
            pub fn from_code(code: &str) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(Cow::Owned(other.to_owned())),
                }
            }

            /// Each warning that this version has words for.
            pub fn known() -> impl Iterator<Item = Self> {
                Self::ALL.iter().cloned()
            }

            const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

warnings! {
    ExpiresInString "expires_in_string" "`expires_in` was a string instead of a number (RFC 6749 §5.1)";
    ExpiresInFraction "expires_in_fraction" "`expires_in` had a fraction, which was cut off (RFC 6749 §5.1)";
    ExpiresInInvalid "expires_in_invalid" "`expires_in` was not a number; the token's expiry is unknown (RFC 6749 §5.1)";
    ExpiresInNotPositive "expires_in_not_positive" "`expires_in` was zero or negative; the token's expiry is unknown (RFC 6749 §5.1)";
    ExpiresInAlias "expires_in_alias" "the lifetime came as `expires` instead of `expires_in` (RFC 6749 §5.1)";
    ExpiresAtInvalid "expires_at_invalid" "`expires_at` was not a Unix time and was ignored";
    TokenTypeAbsent "token_type_absent" "`token_type` was absent; Bearer was assumed (RFC 6749 §5.1)";
    ScopeArray "scope_array" "`scope` was an array instead of a string (RFC 6749 §3.3)";
    ScopeEmpty "scope_empty" "`scope` was empty: no scope was granted (RFC 6749 §3.3)";
    ScopeInvalid "scope_invalid" "`scope` was neither a string nor an array and was ignored (RFC 6749 §3.3)";
    ScopeCharacters "scope_characters" "`scope` had characters that no scope may have; do not show it on a terminal as it is (RFC 6749 §3.3)";
    RefreshTokenEmpty "refresh_token_empty" "`refresh_token` was empty; the old one was kept (RFC 6749 §6)";
    RefreshTokenInvalid "refresh_token_invalid" "`refresh_token` was not a string; the old one was kept (RFC 6749 §6)";
    FormEncoded "form_encoded" "the body was form-encoded instead of JSON (RFC 6749 §5.1)";
    ByteOrderMark "byte_order_mark" "the body began with a byte-order mark (RFC 8259 §8.1)";
    NotUtf8 "not_utf8" "the body was not UTF-8; members that cannot be read for that were ignored (RFC 8259 §8.1)";
    MemberRepeated "member_repeated" "a member of the body stood more than once; the last one was taken (RFC 6749 §3.2)";
    ContentType "content_type" "the body was JSON under another content type (RFC 6749 §5.1)";
    VerificationUrl "verification_url" "`verification_url` came instead of `verification_uri` (RFC 8628 §3.2)";
    IntervalString "interval_string" "`interval` was a string instead of a number (RFC 8628 §3.2)";
    IntervalFraction "interval_fraction" "`interval` had a fraction and was rounded up (RFC 8628 §3.2)";
    IntervalInvalid "interval_invalid" "`interval` was not a positive number; 5 seconds were taken (RFC 8628 §3.2)";
    DeviceExpiresInAbsent "device_expires_in_absent" "the device answer had no usable `expires_in`; 600 seconds were taken (RFC 8628 §3.2)";
    PushedStatus "pushed_status" "the pushed authorization request was answered with another status than 201 (RFC 9126 §2.2)";
    PushedExpiresInAbsent "pushed_expires_in_absent" "the answer to the pushed authorization request had no usable `expires_in`; 60 seconds were taken (RFC 9126 §2.2)";
    AuthorizationDetailsString "authorization_details_string" "`authorization_details` was JSON in a string instead of an array (RFC 9396 §7)";
    AuthorizationDetailsInvalid "authorization_details_invalid" "`authorization_details` was no array of objects with a `type` in each and was ignored (RFC 9396 §7)";
    ActiveString "active_string" "`active` was a string instead of a boolean (RFC 7662 §2.2)";
    TimeString "time_string" "`exp`, `iat` or `nbf` was a string instead of a number (RFC 7662 §2.2)";
    TimeFraction "time_fraction" "`exp`, `iat` or `nbf` had a fraction, which was cut off (RFC 7662 §2.2)";
    TimeInvalid "time_invalid" "`exp`, `iat` or `nbf` was not a Unix time and was ignored (RFC 7662 §2.2)";
    TextNumber "text_number" "a member was a number instead of a string (RFC 7662 §2.2)";
    ClientSecretExpiryAbsent "client_secret_expiry_absent" "a client secret came without `client_secret_expires_at`; it was taken to live for ever (RFC 7591 §3.2.1)";
    ClientSecretExpiryString "client_secret_expiry_string" "`client_secret_expires_at` was a string instead of a number (RFC 7591 §3.2.1)";
    ClientSecretExpiryInvalid "client_secret_expiry_invalid" "`client_secret_expires_at` was not a Unix time; the secret was taken to live for ever (RFC 7591 §3.2.1)";
    TextInvalid "text_invalid" "a member was not a string and was ignored (RFC 7662 §2.2)";
    FlagString "flag_string" "a member was a string instead of a boolean (OpenID Connect Core §5.1)";
    FlagInvalid "flag_invalid" "a member was not a boolean and was ignored (OpenID Connect Core §5.1)";
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "{} ({code})", self.message()),
            _ => f.write_str(self.message()),
        }
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Warning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|code| Self::from_code(&code))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Warning {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Warning".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_are_distinct() {
        let mut codes: Vec<&str> = Warning::ALL.iter().map(Warning::code).collect();
        for warning in Warning::ALL {
            assert_eq!(&Warning::from_code(warning.code()), warning);
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Warning::ALL.len());
        assert_eq!(Warning::from_code("from_the_future").code(), "from_the_future");
    }
}
