//! The refresh token grant (RFC 6749 §6).

use async_trait::async_trait;
use jeton_models::{GrantType, RefreshTokenAccessTokenRequest, Scope, Secret, TokenResponse};

use crate::{Grant, GrantContext, GrantError};

/// A refresh with one refresh token.
///
/// The context's scope is not sent: an absent scope means what was granted before (RFC 6749 §6). To ask for less, use
/// [`RefreshToken::scope`].
///
/// This sends one request and knows nothing of other threads and processes that may refresh the same login; a session
/// (jeton-client) does. Nor does it survive its caller: whoever drops the future in the middle may lose a rotated token.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    refresh_token: Secret,
    scope: Option<Scope>,
}

impl RefreshToken {
    /// With that refresh token.
    pub fn new(refresh_token: impl Into<Secret>) -> Self {
        Self { refresh_token: refresh_token.into(), scope: None }
    }

    /// Asks for a subset of the scope that was granted.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }
}

#[async_trait]
impl Grant for RefreshToken {
    fn grant_type(&self) -> GrantType {
        GrantType::RefreshToken
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut request = RefreshTokenAccessTokenRequest::new(self.refresh_token.clone());
        request.scope = self.scope.clone();
        cx.token_request(&GrantType::RefreshToken, request.to_parameters()?).await
    }
}
