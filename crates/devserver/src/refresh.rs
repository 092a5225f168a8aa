//! What became of a refresh token that was presented, told to whoever follows the fate of logins.

use std::fmt;
use std::sync::Arc;

/// Told of each refresh at the moment of its decision; see [`Builder::on_refresh`](crate::Builder::on_refresh).
pub(crate) type RefreshListener = Arc<dyn Fn(&RefreshEvent) + Send + Sync>;

/// A refresh request that reached its decision, whether or not the answer arrives. `Debug` shows no token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshEvent {
    /// Which login the presented refresh token belongs to, numbered from 0 in the order in which they began; `None` if the
    /// token is unknown.
    pub login: Option<u64>,
    /// Whose login it is.
    pub subject: Option<String>,
    /// The request's header `x-request-id`, by which a test tells who sent it.
    pub request_id: Option<String>,
    /// The refresh token that was presented.
    pub presented: String,
    /// The decision.
    pub outcome: RefreshOutcome,
}

/// The decision on a refresh request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshOutcome {
    /// Granted and committed.
    Granted {
        /// The refresh token of the answer; `None` if the old one stays.
        refresh_token: Option<String>,
        /// Whether the presented one had been rotated before and was forgiven by the grace period.
        forgiven: bool,
    },
    /// A rotated refresh token was used again, and the login is revoked.
    ReuseDetected,
    /// Refused for any other reason.
    Refused,
}

impl fmt::Debug for RefreshEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshEvent")
            .field("login", &self.login)
            .field("subject", &self.subject)
            .field("request_id", &self.request_id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted { refresh_token, forgiven } => f
                .debug_struct("Granted")
                .field("rotated", &refresh_token.is_some())
                .field("forgiven", forgiven)
                .finish_non_exhaustive(),
            Self::ReuseDetected => f.write_str("ReuseDetected"),
            Self::Refused => f.write_str("Refused"),
        }
    }
}
