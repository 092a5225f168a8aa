//! The JWT bearer grant (RFC 7523 §2.1): an assertion about somebody, signed by whoever the server trusts, for a token.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jeton_models::{GrantType, JwtBearerAccessTokenRequest, Secret, TokenResponse};

use crate::{Grant, GrantContext, GrantError};

/// Where assertions come from. Asked for each request anew: an assertion lives shortly, and a server may take it only once.
///
/// A closure that returns a future is one; so is [`SignedAssertion`](crate::SignedAssertion) (feature `jose`).
#[async_trait]
pub trait AssertionSource: Send + Sync {
    /// A fresh assertion for the server of `cx`.
    ///
    /// # Errors
    /// [`GrantError::source`] with what to do.
    async fn assertion(&self, cx: &GrantContext<'_>) -> Result<Secret, GrantError>;
}

#[async_trait]
impl<S: AssertionSource + ?Sized> AssertionSource for Arc<S> {
    async fn assertion(&self, cx: &GrantContext<'_>) -> Result<Secret, GrantError> {
        (**self).assertion(cx).await
    }
}

#[async_trait]
impl<F, Fut> AssertionSource for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<Secret, GrantError>> + Send,
{
    async fn assertion(&self, _: &GrantContext<'_>) -> Result<Secret, GrantError> {
        self().await
    }
}

/// The JWT bearer grant. No person is needed: a session runs it by itself whenever it has nothing to refresh with, each time
/// with a fresh assertion.
///
/// ```
/// use jeton_grants::{GrantError, JwtBearer, Recovery};
/// use jeton_models::Secret;
///
/// // From wherever assertions come: here from a file that an agent renews.
/// let grant = JwtBearer::new(|| async {
///     let read = std::fs::read_to_string("/run/identity/assertion");
///     read.map(Secret::new).map_err(|error| {
///         GrantError::source("assertion", Recovery::Retry { after: None }, error)
///     })
/// });
/// ```
#[derive(Clone)]
pub struct JwtBearer {
    source: Arc<dyn AssertionSource>,
}

impl JwtBearer {
    /// With the assertions of that source.
    pub fn new(source: impl AssertionSource + 'static) -> Self {
        Self { source: Arc::new(source) }
    }
}

#[async_trait]
impl Grant for JwtBearer {
    fn grant_type(&self) -> GrantType {
        GrantType::JwtBearer
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut request = JwtBearerAccessTokenRequest::new(self.source.assertion(cx).await?);
        request.scope = cx.scope_to_ask_for().cloned();
        cx.token_request(&GrantType::JwtBearer, request.to_parameters()?).await
    }
}

impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBearer").finish_non_exhaustive()
    }
}
