//! `Error`: the one root of all errors. It says what happened and what to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jeton_grants::{GrantError, InteractionError, Recovery};
use jeton_models::{ErrorResponse, IssuerError, OAuth2Error};
use jeton_storage::StoreError;

/// Anything that can go wrong. Cheap to clone; its texts show no secret.
///
/// [`Error::recovery`] says what to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no login to use, and the grant needs a person: call `log_in`.
    LoginRequired(LoginRequired),
    /// The authorization server or the way to it.
    Grant(Arc<GrantError>),
    /// The store.
    Store(Arc<StoreError>),
    /// An earlier try failed, and it is too early for the next one. Nothing was sent.
    BackingOff {
        /// How long to wait.
        after: Duration,
        /// Why the earlier try failed.
        last: Box<Error>,
    },
    /// How another process that shares the login, or an earlier run, failed to refresh it: in its words. Only ever the `last`
    /// of a [`BackingOff`](Self::BackingOff).
    FailedElsewhere(Arc<str>),
    /// A request to an origin that the client does not name as a resource server: the token is not sent there.
    ForeignOrigin {
        /// The origin of the request.
        origin: String,
    },
    /// An authenticated request could not be sent or answered.
    Request(Arc<reqwest::Error>),
    /// An authenticated request that cannot be sent as it is. Nothing was sent.
    InvalidRequest(Arc<str>),
    /// The configuration cannot work.
    Configuration(Arc<str>),
    /// The login was cancelled.
    Cancelled,
    /// A defect of jeton or of a component that the program brought: a task ended by a panic.
    Panicked,
}

/// Why a person has to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginRequired {
    /// Nobody has logged in yet.
    NeverLoggedIn,
    /// Somebody logged out, here or in another process.
    LoggedOut,
    /// The server refused the refresh token for good; why.
    Ended(String),
    /// The access token expired and the server gave no refresh token.
    NoRefreshToken,
}

impl Error {
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::Configuration(Arc::from(what.into()))
    }

    pub(crate) fn invalid_request(what: impl Into<String>) -> Self {
        Self::InvalidRequest(Arc::from(what.into()))
    }

    /// What the caller can do.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::LoginRequired(_) | Self::Cancelled => Recovery::LogIn,
            Self::Grant(error) => error.recovery(),
            Self::Store(error) => match &**error {
                StoreError::Damaged { .. } => Recovery::LogIn,
                error if error.is_transient() => Recovery::Retry { after: None },
                _ => Recovery::FixConfiguration,
            },
            Self::BackingOff { after, .. } => Recovery::Retry { after: Some(*after) },
            Self::ForeignOrigin { .. } | Self::Configuration(_) => Recovery::FixConfiguration,
            Self::Request(error) if error.is_builder() => Recovery::FixRequest,
            Self::InvalidRequest(_) => Recovery::FixRequest,
            Self::Request(_) | Self::FailedElsewhere(_) => Recovery::Retry { after: None },
            Self::Panicked => Recovery::GiveUp,
        }
    }

    /// The OAuth error that an endpoint answered, with its HTTP status, if one is behind this error (RFC 6749 §5.2).
    pub fn oauth_error(&self) -> Option<&OAuth2Error> {
        match self {
            Self::Grant(error) => error.oauth_error(),
            Self::BackingOff { last, .. } => last.oauth_error(),
            _ => None,
        }
    }

    /// What the server said is wrong, whether an endpoint answered it (RFC 6749 §5.2) or the browser brought it
    /// (`access_denied` in the redirected URL, RFC 6749 §4.1.2.1).
    pub fn error_response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Grant(error) => error.error_response(),
            Self::BackingOff { last, .. } => last.error_response(),
            _ => None,
        }
    }

    /// Whether somebody has to log in before anything else can work.
    pub fn is_login_required(&self) -> bool {
        matches!(self, Self::LoginRequired(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoginRequired(reason) => write!(f, "login required: {reason}"),
            Self::Grant(error) => match &**error {
                // What the server or the network said does not say what to do; the other texts do.
                GrantError::Transport { .. }
                | GrantError::OAuth { .. }
                | GrantError::Unusable { .. }
                | GrantError::Redirected { .. }
                | GrantError::AuthorizationResponse(_)
                | GrantError::Other(_) => write!(f, "{error}; {}", error.recovery()),
                #[cfg(feature = "jose")]
                GrantError::RejectedJwt(rejected) if tells_only_what_is_wrong(&rejected.reason) => {
                    write!(f, "{error}; {}", error.recovery())
                }
                _ => error.fmt(f),
            },
            Self::Store(error) => error.fmt(f),
            Self::BackingOff { after, last } => {
                write!(
                    f,
                    "the last try failed and the next one is due in {:.1} s: {last}",
                    after.as_secs_f64()
                )
            }
            Self::ForeignOrigin { origin } => write!(
                f,
                "the token is not sent to {origin}, which is none of the client's resource servers; name it with \
                 `resource_server` if it is to have the token"
            ),
            Self::Request(error) => {
                // reqwest keeps the URL, with its query, out of what `without_url` leaves; its causes say the rest.
                write!(f, "the request failed: {error}")?;
                let mut cause = std::error::Error::source(&**error);
                while let Some(inner) = cause {
                    write!(f, ": {inner}")?;
                    cause = inner.source();
                }
                Ok(())
            }
            Self::FailedElsewhere(reason) => write!(f, "another process, or an earlier run: {reason}"),
            Self::Configuration(what) | Self::InvalidRequest(what) => f.write_str(what),
            Self::Cancelled => f.write_str("the login was cancelled before it was finished; log in again"),
            Self::Panicked => {
                f.write_str("a task of jeton ended by a panic; please report it with its backtrace")
            }
        }
    }
}

/// Whether that names what is wrong with a signed answer, and not what to do.
#[cfg(feature = "jose")]
fn tells_only_what_is_wrong(reason: &jeton_grants::JwtRejection) -> bool {
    use jeton_grants::JwtRejection::{Jwt, Keys};
    use jeton_jose::JwtError::Encrypted;

    matches!(reason, Jwt(_) | Keys(_)) && !matches!(reason, Jwt(Encrypted))
}

impl fmt::Display for LoginRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverLoggedIn => f.write_str("nobody has logged in yet; call `log_in`"),
            Self::LoggedOut => f.write_str("somebody logged out, perhaps in another process; call `log_in`"),
            Self::Ended(reason) => write!(f, "the login ended ({reason}); call `log_in`"),
            Self::NoRefreshToken => {
                f.write_str("the access token expired and the server gave no refresh token; call `log_in`")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Grant(error) => Some(&**error),
            Self::Store(error) => Some(&**error),
            Self::BackingOff { last, .. } => Some(&**last),
            Self::Request(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<GrantError> for Error {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Interaction(InteractionError::Cancelled) => Self::Cancelled,
            error => Self::Grant(Arc::new(error)),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<IssuerError> for Error {
    fn from(error: IssuerError) -> Self {
        Self::configuration(error.to_string())
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // A URL may hold secrets in its query.
        Self::Request(Arc::new(error.without_url()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_once_what_to_do() {
        let unreachable = InteractionError::unavailable("this program has no terminal");
        let error = Error::from(GrantError::from(unreachable));
        assert_eq!(
            error.to_string(),
            "this program has no terminal; log in from a program that can, or choose another grant"
        );
        assert!(error.error_response().is_none());
        let error = Error::from(GrantError::other("the coupon is not known"));
        assert_eq!(error.to_string(), format!("the coupon is not known; {}", error.recovery()));
    }

    #[test]
    fn the_error_of_a_programs_own_interaction_is_found_among_the_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("the window is closed; open it again")]
        struct WindowClosed;

        let error = Error::from(GrantError::from(InteractionError::other(WindowClosed)));
        let sources = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        assert_eq!(sources.filter(|source| source.is::<WindowClosed>()).count(), 1);
        assert_eq!(error.to_string(), "the window is closed; open it again");
    }
}
