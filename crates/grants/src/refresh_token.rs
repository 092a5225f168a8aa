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
    #[cfg(feature = "jose")]
    id_token: Option<crate::IdToken>,
}

impl RefreshToken {
    /// With that refresh token.
    pub fn new(refresh_token: impl Into<Secret>) -> Self {
        Self {
            refresh_token: refresh_token.into(),
            scope: None,
            #[cfg(feature = "jose")]
            id_token: None,
        }
    }

    /// The ID token of the login that is refreshed: a new one must be of the same issuer, about the same person and for the same
    /// audience (OpenID Connect Core §12.2). Looked at where the context checks ID tokens.
    #[cfg(feature = "jose")]
    #[must_use]
    pub fn id_token(mut self, id_token: Option<crate::IdToken>) -> Self {
        self.id_token = id_token;
        self
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
        #[cfg(feature = "jose")]
        let expecting = cx
            .expecting(crate::id_token::Expected { previous: self.id_token.as_ref(), ..Default::default() });
        #[cfg(feature = "jose")]
        let cx = if self.id_token.is_some() { &expecting } else { cx };
        cx.token_request(&GrantType::RefreshToken, request.to_parameters()?).await
    }
}
