//! `CachedToken`: the cached token of a session, borrowed. The cheapest way to a token: it touches no counter that others do.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::AccessToken;
use crate::sync::TokenGuard;

/// The cached access token of a session, borrowed: everything that an [`AccessToken`] shows, without a lock, an allocation or a
/// shared counter.
///
/// For the moment in which a header is written. It stays the token that it was, also when the session gets a new one meanwhile,
/// and keeps it in memory; a thread that holds several at once pays more for the next one. So that it is not held across an
/// `await` by accident, it stays on its thread: it is not `Send`. To keep a token, `clone` it: that gives an [`AccessToken`].
///
/// ```
/// # use jeton_client::{Client, ClientCredentials};
/// # let server = jeton_devserver::DevServer::start()?;
/// # let (issuer, (id, secret)) = (server.issuer(), jeton_devserver::DevServer::SERVICE_CLIENT);
/// # let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials).build()?;
/// # let session = client.session();
/// # tokio::runtime::Runtime::new()?.block_on(async { session.token().await })?;
/// let mut headers = jeton_client::reqwest::header::HeaderMap::new();
/// if let Some(token) = session.cached_ref() {
///     headers.insert("authorization", token.authorization().clone());
/// }
/// assert!(headers["authorization"].is_sensitive());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "asking for the cached token and not using it is wasted"]
pub struct CachedToken<'session> {
    guard: TokenGuard,
    /// Borrowed from the session, and neither `Send` nor `Sync`.
    _borrowed: PhantomData<&'session Cell<()>>,
}

impl CachedToken<'_> {
    /// `None` if the guarded place is empty.
    #[inline(always)]
    pub(crate) fn new(guard: TokenGuard) -> Option<Self> {
        if guard.is_none() {
            return None;
        }
        Some(Self { guard, _borrowed: PhantomData })
    }
}

impl Deref for CachedToken<'_> {
    type Target = AccessToken;

    #[inline]
    fn deref(&self) -> &AccessToken {
        match &*self.guard {
            Some(token) => token,
            None => unreachable!("`new` has looked, and what a guard guards does not change"),
        }
    }
}

impl fmt::Debug for CachedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedToken").field(&**self).finish()
    }
}
