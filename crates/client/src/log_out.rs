//! What a log-out revokes at the server, and what it could not (RFC 7009).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton_grants::{GrantContext, GrantError, Recovery, revoke};
use jeton_models::Secret;
use jeton_storage::{LoginRecord, TokenTarget};

use crate::client::ClientInner;
use crate::{Error, Session};

/// What came of a log-out. The login is forgotten in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedOut {
    /// Why the login could not be revoked at the server: its refresh token, or, where there is none, its access tokens. They may
    /// live on there until they expire. `None` if they were revoked, or if there was nothing to revoke.
    pub revocation_error: Option<Error>,
    /// Each token that may live on at the server, and why. After the refresh token was revoked there may still be access tokens
    /// here: RFC 7009 §2.1 leaves it to the server whether they go with it, and some revoke none (`unsupported_token_type`).
    pub not_revoked: Vec<NotRevoked>,
}

impl LoggedOut {
    /// When it makes sense to call [`Session::revoke_remaining`]: at once (zero), or after the time that the server named in a 503
    /// (RFC 7009 §2.2.1). `None` if there is nothing that another try could revoke.
    pub fn may_try_again_after(&self) -> Option<Duration> {
        self.not_revoked.iter().filter_map(NotRevoked::may_try_again_after).max()
    }

    /// Where there was nothing to revoke.
    pub(crate) fn nothing() -> Self {
        Self::of(Vec::new())
    }

    fn of(not_revoked: Vec<NotRevoked>) -> Self {
        // Where the refresh token is gone, the login is over; the access tokens that are left of it are short-lived.
        let why =
            not_revoked.iter().find(|own| own.kind == TokenKind::RefreshToken || !own.of_refreshable_login);
        Self { revocation_error: why.map(|own| own.error.clone()), not_revoked }
    }
}

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// A refresh token: with it goes the login.
    RefreshToken,
    /// An access token.
    AccessToken,
}

impl TokenKind {
    /// What `token_type_hint` calls it (RFC 7009 §2.1).
    fn hint(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
        }
    }
}

/// A token that a log-out could not revoke.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NotRevoked {
    /// What kind of token it is.
    pub kind: TokenKind,
    /// Until when it may live on, if that is known.
    pub expires_at: Option<SystemTime>,
    /// Why it could not be revoked.
    pub error: Error,
    token: Secret,
    of_refreshable_login: bool,
}

impl NotRevoked {
    /// After which time another try may revoke it; `None` if none will.
    pub fn may_try_again_after(&self) -> Option<Duration> {
        match self.error.recovery() {
            Recovery::Retry { after } => Some(after.unwrap_or_default()),
            _ => None,
        }
    }
}

/// A token that is to be revoked.
struct Doomed {
    kind: TokenKind,
    token: Secret,
    expires_at: Option<SystemTime>,
    of_refreshable_login: bool,
}

impl Doomed {
    fn not_revoked(self, error: Error) -> NotRevoked {
        let Self { kind, token, expires_at, of_refreshable_login } = self;
        NotRevoked { kind, expires_at, error, token, of_refreshable_login }
    }
}

impl ClientInner {
    /// Revokes what a login has: its refresh token first, with which the server should end the access tokens, too (RFC 7009 §2.1).
    /// No server says whether it did, so that those that still live are revoked one by one.
    pub(crate) async fn revoke_login(&self, record: &LoginRecord) -> LoggedOut {
        let now_ms = self.now_ms();
        let of_refreshable_login = record.refresh_token.is_some();
        let refresh_token = record.refresh_token.iter().map(|token| Doomed {
            kind: TokenKind::RefreshToken,
            token: token.clone(),
            expires_at: None,
            of_refreshable_login,
        });
        let alive = record.tokens.iter().filter(|own| {
            own.expires_at_ms.is_none_or(|expires_at_ms| expires_at_ms > now_ms)
                && !own.access_token.is_empty()
        });
        let access_tokens = alive.map(|own| Doomed {
            kind: TokenKind::AccessToken,
            token: own.access_token.clone(),
            expires_at: own.expires_at_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            of_refreshable_login,
        });
        self.revoke_all(refresh_token.chain(access_tokens).collect()).await
    }

    async fn revoke_all(&self, doomed: Vec<Doomed>) -> LoggedOut {
        let target = TokenTarget::default();
        let cx = match self.context(&target).await {
            Ok(cx) => cx,
            Err(error) if doomed.is_empty() => {
                tracing::debug!(%error, "there is nothing to revoke");
                return LoggedOut::nothing();
            }
            Err(error) => {
                let error = Error::from(error);
                return LoggedOut::of(doomed.into_iter().map(|own| own.not_revoked(error.clone())).collect());
            }
        };
        let mut not_revoked = Vec::new();
        let mut out_of_reach: Option<Error> = None;
        for own in doomed {
            // Each of them would wait for the same timeout.
            if let Some(error) = &out_of_reach {
                not_revoked.push(own.not_revoked(error.clone()));
                continue;
            }
            if let Err(error) = self.revoke_one(&cx, &own.token, own.kind).await {
                let is_about_the_server = error.oauth_error().is_none_or(|error| error.status >= 500);
                let error = Error::from(error);
                tracing::warn!(token = own.kind.hint(), %error, "a token could not be revoked");
                out_of_reach = is_about_the_server.then(|| error.clone());
                not_revoked.push(own.not_revoked(error));
            }
        }
        LoggedOut::of(not_revoked)
    }

    async fn revoke_one(
        &self,
        cx: &GrantContext<'_>,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<(), GrantError> {
        // Before the server hears of it: from then on nobody may believe that it is active.
        if let Some(cache) = &self.introspections {
            cache.forget(cx, token);
        }
        let revoked = revoke(cx, token, Some(kind.hint())).await;
        if let Some(cache) = &self.introspections {
            cache.forget(cx, token);
        }
        revoked
    }

    /// Revokes one access token (RFC 7009).
    pub(crate) async fn revoke_access_token(&self, token: &Secret) -> Result<(), GrantError> {
        let target = TokenTarget::default();
        self.revoke_one(&self.context(&target).await?, token, TokenKind::AccessToken).await
    }
}

impl Session {
    /// Tries once more to revoke what a log-out could not: after a 503 the tokens live on at the server (RFC 7009 §2.2.1). The
    /// session needs no login for that; [`LoggedOut::may_try_again_after`] says when it makes sense.
    ///
    /// ```
    /// # use jeton_client::{Error, Session};
    /// async fn leave(session: &Session) -> Result<(), Error> {
    ///     let mut logged_out = session.log_out().await?;
    ///     if let Some(after) = logged_out.may_try_again_after() {
    ///         tokio::time::sleep(after).await;
    ///         logged_out = session.revoke_remaining(logged_out).await?;
    ///     }
    ///     if let Some(error) = logged_out.revocation_error {
    ///         eprintln!("logged out here, but not at the server: {error}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Panicked`] only. What still could not be revoked stands in the answer.
    pub async fn revoke_remaining(&self, logged_out: LoggedOut) -> Result<LoggedOut, Error> {
        let login = self.login().clone();
        self.detached(async move {
            let (again, hopeless): (Vec<_>, Vec<_>) =
                logged_out.not_revoked.into_iter().partition(|own| own.may_try_again_after().is_some());
            let doomed = again.into_iter().map(|own| Doomed {
                kind: own.kind,
                token: own.token,
                expires_at: own.expires_at,
                of_refreshable_login: own.of_refreshable_login,
            });
            let tried = login.client.revoke_all(doomed.collect()).await;
            Ok(LoggedOut::of(tried.not_revoked.into_iter().chain(hopeless).collect()))
        })
        .await
    }
}
