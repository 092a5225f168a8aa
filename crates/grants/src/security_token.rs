//! Security tokens that a grant presents to get another token for them (RFC 8693 §1), and where they come from.

use std::sync::Arc;

use async_trait::async_trait;
use jeton_models::{Secret, TokenTypeIdentifier};

use crate::{GrantContext, GrantError};

/// A token and what kind of token it is (RFC 8693 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityToken {
    /// The token itself.
    pub token: Secret,
    /// What kind of token it is.
    pub token_type: TokenTypeIdentifier,
}

impl SecurityToken {
    /// That token of that kind.
    pub fn new(token: impl Into<Secret>, token_type: TokenTypeIdentifier) -> Self {
        Self { token: token.into(), token_type }
    }

    /// An access token.
    pub fn access_token(token: impl Into<Secret>) -> Self {
        Self::new(token, TokenTypeIdentifier::ACCESS_TOKEN)
    }

    /// An ID token.
    pub fn id_token(token: impl Into<Secret>) -> Self {
        Self::new(token, TokenTypeIdentifier::ID_TOKEN)
    }
}

/// Where a security token comes from. Asked for each request anew, so that what is presented is never older than need be.
///
/// A [`SecurityToken`] is a source of itself: for a service that exchanges the token of the request that it serves. A session of
/// jeton-client is a source of its access tokens. So is a closure that returns a future.
#[async_trait]
pub trait SecurityTokenSource: Send + Sync {
    /// A token that is valid now. `cx` is that of the request in which it will be presented.
    ///
    /// # Errors
    /// [`GrantError::source`] with what to do.
    async fn security_token(&self, cx: &GrantContext<'_>) -> Result<SecurityToken, GrantError>;
}

#[async_trait]
impl SecurityTokenSource for SecurityToken {
    async fn security_token(&self, _: &GrantContext<'_>) -> Result<SecurityToken, GrantError> {
        Ok(self.clone())
    }
}

#[async_trait]
impl<S: SecurityTokenSource + ?Sized> SecurityTokenSource for Arc<S> {
    async fn security_token(&self, cx: &GrantContext<'_>) -> Result<SecurityToken, GrantError> {
        (**self).security_token(cx).await
    }
}

#[async_trait]
impl<F, Fut> SecurityTokenSource for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<SecurityToken, GrantError>> + Send,
{
    async fn security_token(&self, _: &GrantContext<'_>) -> Result<SecurityToken, GrantError> {
        self().await
    }
}
