//! What happens to logins, for whoever listens.

use std::sync::Arc;

use jeton_storage::{LoginKey, StoreError};

/// Something that happened to a login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Which login.
    pub key: LoginKey,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody logged in through this client.
    LoggedIn,
    /// This process obtained a new access token.
    Refreshed,
    /// The server refused the refresh token for good; why.
    LoginEnded(String),
    /// A new token could not be stored. It is used all the same, and stored as soon as that works; if the process ends
    /// before, the login may be lost.
    PersistFailed(Arc<StoreError>),
    /// Somebody logged out through this client.
    LoggedOut,
    /// The login is gone from the store: another process logged out.
    LoggedOutElsewhere,
}

/// The events of a client from now on.
///
/// A listener that is slow misses the oldest ones rather than holding anybody up.
#[derive(Debug)]
pub struct Events(pub(crate) tokio::sync::broadcast::Receiver<Event>);

impl Events {
    /// The next event, or `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
