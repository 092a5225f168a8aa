//! `RejectedJwt`: a signed answer of the server that is not taken, and why.

use std::fmt;

use jeton_jose::{JwsAlgorithm, JwtError, VerifiedJwt};
use jeton_models::Secret;

use crate::{GrantContext, GrantError, JwksCache, Recovery, security_profile};

/// What a server signs for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignedAnswer {
    /// An ID token (OpenID Connect Core §2).
    IdToken,
    /// An authorization response (JARM).
    AuthorizationResponse,
    /// An introspection answer (RFC 9701).
    Introspection,
    /// A userinfo answer (OpenID Connect Core §5.3.2).
    UserInfo,
}

impl fmt::Display for SignedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdToken => "ID token",
            Self::AuthorizationResponse => "signed authorization response",
            Self::Introspection => "signed introspection answer",
            Self::UserInfo => "signed userinfo answer",
        })
    }
}

/// A signed answer of the server that is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the server's {what} is not taken: {reason}")]
#[non_exhaustive]
pub struct RejectedJwt {
    /// What it is.
    pub what: SignedAnswer,
    /// What is wrong with it.
    pub reason: JwtRejection,
    /// The refresh token that came with an ID token that is not taken. A server that rotates has used up the one before it: this
    /// one has to be kept, although nothing else of the answer is used.
    pub refresh_token: Option<Secret>,
}

impl RejectedJwt {
    /// A rejection without a refresh token beside it.
    pub fn new(what: SignedAnswer, reason: impl Into<JwtRejection>) -> Self {
        Self { what, reason: reason.into(), refresh_token: None }
    }

    pub(crate) fn recovery(&self) -> Recovery {
        match &self.reason {
            // What was asked for beside the ID token is used up: only a new login brings another one.
            JwtRejection::Keys(_) if self.what == SignedAnswer::IdToken => Recovery::LogIn,
            JwtRejection::Keys(error) => error.recovery(),
            JwtRejection::Absent
            | JwtRejection::NotSigned
            | JwtRejection::Jwt(
                JwtError::Algorithm { .. } | JwtError::Encrypted | JwtError::Unsigned | JwtError::Critical,
            ) => Recovery::FixConfiguration,
            JwtRejection::Jwt(_) => match self.what {
                SignedAnswer::IdToken | SignedAnswer::AuthorizationResponse => Recovery::LogIn,
                _ => Recovery::GiveUp,
            },
        }
    }
}

impl From<RejectedJwt> for GrantError {
    fn from(rejected: RejectedJwt) -> Self {
        Self::RejectedJwt(Box::new(rejected))
    }
}

/// What is wrong with a signed answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtRejection {
    /// Its form, its signature or a claim.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// There is none.
    #[error(
        "there is none, although `openid` was asked for; leave `openid` out of the scope if the server has no OpenID Connect"
    )]
    Absent,
    /// It is not signed, although a signed one was asked for.
    #[error(
        "it came without a signature, although a signed one was asked for; register the client for signed answers"
    )]
    NotSigned,
    /// The server's keys cannot be had, so that nobody can tell whether it is right.
    #[error("the server's keys cannot be had: {0}")]
    Keys(Box<GrantError>),
}

impl JwtRejection {
    pub(crate) fn keys(error: GrantError) -> Self {
        Self::Keys(Box::new(error))
    }

    /// A claim that is not what it must be.
    pub(crate) fn claim(name: &'static str, what: &'static str) -> Self {
        Self::Jwt(JwtError::Claim { name, what })
    }
}

impl PartialEq for JwtRejection {
    /// Two failures to get the keys are alike if their texts are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Jwt(one), Self::Jwt(other)) => one == other,
            (Self::Keys(one), Self::Keys(other)) => one.to_string() == other.to_string(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl GrantContext<'_> {
    /// Checks the signature of what the server has signed, with its keys. Without a cache they are fetched each time. A security
    /// profile takes the good ones of the allowed algorithms only.
    pub(crate) async fn verify_jwt(
        &self,
        what: SignedAnswer,
        jwt: &str,
        allowed: &[JwsAlgorithm],
    ) -> Result<VerifiedJwt, RejectedJwt> {
        let allowed = self.good_algorithms(allowed);
        let verified = match self.server_keys {
            Some(cache) => cache.verify(self, jwt, &allowed).await,
            None => JwksCache::new().verify(self, jwt, &allowed).await,
        };
        verified.map_err(|reason| RejectedJwt::new(what, reason))
    }

    /// Those of the algorithms that are good enough for the security profile, if there is one (FAPI 2.0 Security Profile §5.4).
    pub(crate) fn good_algorithms(&self, allowed: &[JwsAlgorithm]) -> Vec<JwsAlgorithm> {
        let is_free = self.authorization.security_profile.is_none();
        let good = |algorithm: &JwsAlgorithm| is_free || security_profile::allows(*algorithm);
        allowed.iter().copied().filter(good).collect()
    }

    /// The algorithms with keys of the server's that its metadata lists, or RS256, which is the standards' default, if it lists
    /// none at all.
    pub(crate) fn listed_algorithms(listed: Option<&Vec<String>>) -> Vec<JwsAlgorithm> {
        let Some(listed) = listed else { return vec![JwsAlgorithm::Rs256] };
        let known = listed.iter().filter_map(|name| name.parse::<JwsAlgorithm>().ok());
        known.filter(|algorithm| !algorithm.is_symmetric()).collect()
    }
}
