//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): the browser goes to the server, which ends the person's session
//! there, and comes back.

use std::fmt;

use jeton_models::{AuthorizationResponse, Secret, random_token};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{GrantContext, GrantError, IdToken};

/// A log-out at the server that was begun.
#[non_exhaustive]
pub struct EndSession {
    /// Where the person's browser is to go. There is an ID token in it: it belongs into no log.
    pub url: Url,
    /// What is needed to know the browser again when it comes back, if it is to come back.
    pub pending: Option<PendingLogout>,
}

impl fmt::Debug for EndSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndSession").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// A log-out at the server whose redirect is awaited. Keep it, as a pending login, where only the one who began it reaches it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingLogout {
    post_logout_redirect_uri: String,
    #[serde(with = "jeton_models::exposed")]
    state: Secret,
}

impl PendingLogout {
    /// The `state` by which a redirect finds its pending log-out.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Checks that the browser came back from this log-out: to this place, with this `state`.
    ///
    /// # Errors
    /// [`GrantError::LogoutResponse`] if it did not; nobody knows then whether the server has ended anything.
    pub fn finish(self, redirected: &Url) -> Result<(), GrantError> {
        let place = |url: &Url| (url.origin(), url.path().to_owned());
        let expected = Url::parse(&self.post_logout_redirect_uri).map_err(|_| GrantError::LogoutResponse)?;
        let is_here = redirected.scheme() == expected.scheme()
            && redirected.host() == expected.host()
            && place(redirected) == place(&expected);
        match is_here && AuthorizationResponse::has_state(redirected, &self.state) {
            true => Ok(()),
            false => Err(GrantError::LogoutResponse),
        }
    }
}

/// Begins a log-out at the server: where the browser is to go, with the ID token as a hint about who logs out
/// (RP-Initiated Logout §2). `post_logout_redirect_uri` is where it comes back to, registered for the client; without one it stays
/// at the server.
///
/// # Errors
/// [`GrantError::Metadata`] if the server names no `end_session_endpoint`, or one that cannot be used;
/// [`GrantError::RedirectUri`] if the redirect URI is no absolute URI or has a fragment.
pub fn begin_end_session(
    cx: &GrantContext<'_>,
    id_token: Option<&IdToken>,
    post_logout_redirect_uri: Option<&str>,
) -> Result<EndSession, GrantError> {
    let mut url = cx.server.endpoint("end_session_endpoint")?;
    let pending = match post_logout_redirect_uri {
        Some(uri) if Url::parse(uri).map_or(true, |uri| uri.fragment().is_some()) => {
            return Err(GrantError::RedirectUri { redirect_uri: uri.to_owned() });
        }
        Some(uri) => {
            Some(PendingLogout { post_logout_redirect_uri: uri.to_owned(), state: random_token(32) })
        }
        None => None,
    };
    {
        let mut query = url.query_pairs_mut();
        if let Some(id_token) = id_token {
            query.append_pair("id_token_hint", id_token.text().expose());
        }
        query.append_pair("client_id", cx.client_id);
        if let Some(pending) = &pending {
            query.append_pair("post_logout_redirect_uri", &pending.post_logout_redirect_uri);
            query.append_pair("state", pending.state.expose());
        }
    }
    Ok(EndSession { url, pending })
}
