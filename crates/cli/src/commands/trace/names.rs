//! Names of parameters, members and claims: whose values are secrets, whose are about a person, and whose are neither.

/// What the value under a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    /// About a person.
    Personal,
    Harmless,
    /// Part of a public key: long, and no secret.
    PublicKey,
    /// Words for people, in which anything may stand.
    Words,
    /// It may be anything.
    Unknown,
}

/// Harmless although their names have a part of a secret's.
const HARMLESS: &[&str] = &[
    "access_type",
    "acr_values",
    "active",
    "approval_prompt",
    "alg",
    "audience",
    "aud",
    "binding_message",
    "client_id",
    "client_assertion_type",
    "client_secret_expires_at",
    "code_challenge",
    "code_challenge_method",
    "crv",
    "display",
    "duration",
    "enc",
    "error",
    "error_uri",
    "expires",
    "expires_at",
    "expires_in",
    "ext_expires_in",
    "grant_type",
    "htm",
    "htu",
    "include_granted_scopes",
    "interval",
    "iss",
    "issued_token_type",
    "issuer",
    "jwks_uri",
    "key_ops",
    "keys",
    "kid",
    "kty",
    "max_age",
    "prompt",
    "redirect_uri",
    "refresh_expires_in",
    "refresh_token_expires_in",
    "requested_token_type",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "subject_token_type",
    "actor_token_type",
    "token_type",
    "token_type_hint",
    "typ",
    "ui_locales",
    "use",
    "verification_uri",
    "verification_url",
];

/// The whole name.
const SECRET: &[&str] = &[
    "code",
    "state",
    "nonce",
    "request",
    "request_uri",
    "ticket",
    "user_code",
    "sid",
    "jti",
    "ath",
    "c_hash",
    "at_hash",
    "s_hash",
    "auth_req_id",
    "d",
    "p",
    "q",
    "dp",
    "dq",
    "qi",
    "k",
    "pin",
    "otp",
    "verifier",
    "session_state",
    "verification_uri_complete",
];

/// A part of the name.
const SECRET_PARTS: &[&str] = &[
    "token",
    "secret",
    "pass",
    "pwd",
    "assertion",
    "verifier",
    "device_code",
    "credential",
    "key",
    "private",
    "signature",
    "cookie",
    "bearer",
    "jwt",
    "session",
    "hook",
];

/// Parts of public keys (RFC 7517, RFC 7518 §6); the private parts are among the secrets.
const PUBLIC_KEY: &[&str] = &["n", "e", "x", "y", "x5c", "x5t", "x5t#s256"];

/// What goes wrong, in words.
const WORDS: &[&str] = &["error_description", "detail", "title", "message", "reason", "hint"];

const PERSONAL: &[&str] = &[
    "sub",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "address",
    "username",
    "user",
    "upn",
    "unique_name",
    "oid",
    "login",
    "user_id",
    "login_hint",
    "account",
    "groups",
    "roles",
];

/// Claims whose values say nothing of anybody (RFC 7519 §4.1, RFC 9068, RFC 9449, OpenID Connect Core §2).
const CLAIMS: &[&str] = &[
    "iss",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "auth_time",
    "acr",
    "amr",
    "alg",
    "typ",
    "kid",
    "kty",
    "crv",
    "use",
    "enc",
    "crit",
    "htm",
    "htu",
    "scope",
    "client_id",
    "response_type",
    "redirect_uri",
    "response_mode",
    "code_challenge",
    "code_challenge_method",
    "x5t#S256",
    "jkt",
];

/// Objects whose members are looked at one by one.
const CLAIMS_OF_CLAIMS: &[&str] = &["cnf", "jwk"];

/// Of a parameter or a member of a document.
pub(super) fn kind_of(name: &str) -> Kind {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let is = |list: &[&str]| list.contains(&name.as_str());
    if is(HARMLESS) || is_of_metadata(&name) {
        return Kind::Harmless;
    }
    if is(SECRET) || SECRET_PARTS.iter().any(|part| name.contains(part)) {
        return Kind::Secret;
    }
    if is(PERSONAL) {
        return Kind::Personal;
    }
    if is(PUBLIC_KEY) {
        return Kind::PublicKey;
    }
    if is(WORDS) {
        return Kind::Words;
    }
    Kind::Unknown
}

/// Of a member of a document that everybody may read.
pub(super) fn kind_in_document(name: &str) -> Kind {
    match kind_of(name) {
        Kind::Unknown => Kind::Words,
        kind => kind,
    }
}

/// What a server says of itself to everybody (RFC 8414 §2).
fn is_of_metadata(name: &str) -> bool {
    let is_url_or_list = name.ends_with("_endpoint") || name.ends_with("_supported");
    is_url_or_list || name.starts_with("require_") || name == "tls_client_certificate_bound_access_tokens"
}

/// Of a claim, or a member of a JOSE header. What is not known is taken to be about a person.
pub(super) fn kind_of_claim(name: &str) -> Kind {
    if CLAIMS.contains(&name) {
        return Kind::Harmless;
    }
    if CLAIMS_OF_CLAIMS.contains(&name) {
        return Kind::Unknown;
    }
    match kind_of(name) {
        kind @ (Kind::Secret | Kind::PublicKey) => kind,
        _ => Kind::Personal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_told_apart() {
        for name in [
            "access_token",
            "refresh_token",
            "client_secret",
            "code",
            "code_verifier",
            "state",
            "x_api_key",
            "Password",
            "device_code",
        ] {
            assert_eq!(kind_of(name), Kind::Secret, "{name}");
        }
        for name in [
            "token_type",
            "code_challenge",
            "token_endpoint",
            "client_assertion_type",
            "token_endpoint_auth_methods_supported",
            "scope",
        ] {
            assert_eq!(kind_of(name), Kind::Harmless, "{name}");
        }
        assert_eq!(kind_of("email"), Kind::Personal);
        assert_eq!(kind_of("team"), Kind::Unknown);
        assert_eq!(kind_of_claim("team"), Kind::Personal);
        assert_eq!(kind_of_claim("aud"), Kind::Harmless);
        assert_eq!(kind_of_claim("jti"), Kind::Secret);
    }
}
