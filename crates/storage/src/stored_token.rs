//! One access token of a login, and which of the login's tokens it is.

use std::hash::{Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use jeton_models::{ExtraMembers, Scope, Secret, Token, TokenType, Warning};

use crate::time::{add_ms, seconds_to_ms, unix_ms};

/// Which access token of a login is meant: the resource it is for (RFC 8707) and the scope asked for, each if any.
///
/// Two targets are equal if they name the same resource and the same set of scopes, in any order; the empty scope
/// is no scope. The default names neither: the token that the server gives when asked for nothing in particular.
///
/// ```
/// use jeton_storage::TokenTarget;
///
/// let one = TokenTarget { scope: Some("read write".parse()?), ..TokenTarget::default() };
/// let other = TokenTarget { scope: Some("write read".parse()?), ..TokenTarget::default() };
/// assert_eq!(one, other);
/// assert_ne!(one, TokenTarget::default());
/// # Ok::<(), jeton_models::ScopeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenTarget {
    /// The resource indicator, byte for byte as it is sent (RFC 8707 §2).
    pub resource: Option<String>,
    /// The scope asked for, which may differ from the one granted.
    pub scope: Option<Scope>,
}

impl TokenTarget {
    /// No resource and no scope in particular.
    pub fn new() -> Self {
        Self::default()
    }

    fn asked_scope(&self) -> Option<&Scope> {
        self.scope.as_ref().filter(|scope| !scope.is_empty())
    }
}

impl PartialEq for TokenTarget {
    fn eq(&self, other: &Self) -> bool {
        self.resource == other.resource && self.asked_scope() == other.asked_scope()
    }
}

impl Eq for TokenTarget {}

impl Hash for TokenTarget {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.resource.hash(state);
        self.asked_scope().map(Scope::canonical).hash(state);
    }
}

/// An access token as a record keeps it: without the refresh token, which belongs to the login and not to it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredToken {
    /// The access token.
    pub access_token: Secret,
    /// How it is presented.
    pub token_type: TokenType,
    /// What was asked for when it was obtained: its name within the record.
    pub target: TokenTarget,
    /// The scope that the server named in its answer. `None`: it named none, so it granted what was asked
    /// (RFC 6749 §5.1).
    pub granted_scope: Option<Scope>,
    /// When it was received, in milliseconds since 1970 (Unix time).
    pub received_at_ms: u64,
    /// When it expires, in milliseconds since 1970 (Unix time). `None`: not known.
    pub expires_at_ms: Option<u64>,
    /// What had to be forgiven when the answer was read.
    pub warnings: Vec<Warning>,
    /// Further members of the answer, such as `id_token`.
    pub extra: ExtraMembers,
    /// Members that a later version of jeton wrote.
    pub(crate) unknown: ExtraMembers,
}

impl StoredToken {
    /// Keeps a token that was received at that time; its refresh token is left out.
    ///
    /// The expiry is taken to the millisecond where it was computed from the token's lifetime
    /// (`received_at` + `expires_in`), and to the second where the server or the program supplied `expires_at`.
    pub fn new(token: &Token, target: TokenTarget, received_at: SystemTime) -> Self {
        let received_at_ms = unix_ms(received_at);
        let received_at_s = received_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let expires_at_ms = match (token.expires_in, token.expires_at) {
            (Some(expires_in), None) => Some(add_ms(received_at_ms, seconds_to_ms(expires_in))),
            (Some(expires_in), Some(expires_at))
                if received_at_s.checked_add(expires_in) == Some(expires_at) =>
            {
                Some(add_ms(received_at_ms, seconds_to_ms(expires_in)))
            }
            (_, expires_at) => expires_at.map(seconds_to_ms),
        };
        Self {
            access_token: token.access_token.clone(),
            token_type: token.token_type,
            target,
            granted_scope: token.scope.clone(),
            received_at_ms,
            expires_at_ms,
            warnings: token.warnings.clone(),
            extra: token.extra.clone(),
            unknown: ExtraMembers::new(),
        }
    }

    /// The token for an application, with the login's refresh token if it is to have it.
    ///
    /// `expires_at` is the second in which it expires, rounded down; `expires_in` the whole seconds from receipt to
    /// expiry.
    pub fn to_token(&self, refresh_token: Option<&Secret>) -> Token {
        let mut token = Token::new(self.access_token.clone());
        token.token_type = self.token_type;
        token.expires_at = self.expires_at_ms.map(|ms| ms / 1_000);
        token.expires_in = self.lifetime_ms().map(|ms| ms / 1_000);
        token.refresh_token = refresh_token.cloned();
        token.scope = self.granted_scope.clone();
        token.warnings = self.warnings.clone();
        token.extra = self.extra.clone();
        token
    }

    /// The time from receipt to expiry in milliseconds. `None`: not known, or it was expired when received.
    pub fn lifetime_ms(&self) -> Option<u64> {
        self.expires_at_ms?.checked_sub(self.received_at_ms).filter(|ms| *ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn lived(expires_in: Option<u64>, expires_at: Option<u64>) -> Token {
        let mut token = Token::new(Secret::from("t"));
        token.expires_in = expires_in;
        token.expires_at = expires_at;
        token
    }

    #[test]
    fn a_computed_expiry_is_kept_to_the_millisecond_and_a_supplied_one_as_it_is() {
        let expiry = |token: &Token| StoredToken::new(token, TokenTarget::new(), at(10_700)).expires_at_ms;

        let mut computed = lived(Some(20), None);
        assert_eq!(expiry(&computed), Some(30_700), "not yet computed");
        computed.set_received_at(at(10_700));
        assert_eq!(computed.expires_at, Some(30));
        assert_eq!(expiry(&computed), Some(30_700));

        assert_eq!(expiry(&lived(Some(20), Some(40))), Some(40_000));
        assert_eq!(expiry(&lived(None, Some(40))), Some(40_000));
        assert_eq!(expiry(&lived(None, None)), None);
        assert_eq!(expiry(&lived(Some(u64::MAX), None)), Some(i64::MAX as u64));
    }

    #[test]
    fn a_token_comes_back_as_it_was() {
        let mut token = lived(Some(20), None);
        token.set_received_at(at(10_700));
        token.refresh_token = Some(Secret::from("r"));
        token.scope = Some("b a".parse().unwrap());
        token.warnings = vec![Warning::ExpiresInString];
        token.extra.insert("id_token", "i");
        let stored = StoredToken::new(&token, TokenTarget::new(), at(10_700));
        assert_eq!(stored.to_token(token.refresh_token.as_ref()), token);
        assert_eq!(stored.to_token(None).refresh_token, None);

        for (expires_in, expires_at) in
            [(Some(20), Some(40)), (None, Some(40)), (None, Some(3)), (None, None)]
        {
            let stored = StoredToken::new(&lived(expires_in, expires_at), TokenTarget::new(), at(10_700));
            let again = StoredToken::new(&stored.to_token(None), TokenTarget::new(), at(10_700));
            assert_eq!(again, stored, "{expires_in:?} {expires_at:?}");
        }
    }

    #[test]
    fn targets_are_equal_by_set() {
        let target = |resource: Option<&str>, scope: Option<&str>| TokenTarget {
            resource: resource.map(str::to_owned),
            scope: scope.map(|scope| scope.parse().unwrap()),
        };
        let mut seen = HashSet::new();
        assert!(seen.insert(target(None, Some("a b"))));
        assert!(!seen.insert(target(None, Some("b a"))));
        assert!(seen.insert(target(None, None)));
        assert!(!seen.insert(target(None, Some(""))));
        assert!(seen.insert(target(Some("https://api.example"), None)));
        assert!(seen.insert(target(Some("https://api.example/"), None)));
    }
}
