//! Token exchange (RFC 8693): a token for a token, to act on behalf of somebody at another service.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jeton_models::{GrantType, TokenExchangeRequest, TokenResponse, TokenTypeIdentifier};

use crate::{Grant, GrantContext, GrantError, SecurityTokenSource};

/// The token exchange grant. No person is needed: a session runs it by itself whenever it has nothing to refresh with, each
/// time with a fresh subject token.
///
/// What is asked for besides is the context's: scope and resources. The answer says what was issued
/// ([`TokenResponse::issued_token_type`]); an answer that does not is an error (RFC 8693 §2.2.1).
///
/// ```
/// use jeton_grants::{Grant, GrantContext, GrantError, SecurityToken, TokenExchange};
/// use jeton_models::{Secret, TokenResponse};
///
/// /// A service that was called with a token gets one of its own to call another service on behalf of its caller.
/// async fn on_behalf_of(cx: &GrantContext<'_>, caller: Secret) -> Result<TokenResponse, GrantError> {
///     TokenExchange::new(SecurityToken::access_token(caller)).audience("inventory").obtain(cx).await
/// }
/// ```
#[derive(Clone)]
pub struct TokenExchange {
    subject: Arc<dyn SecurityTokenSource>,
    actor: Option<Arc<dyn SecurityTokenSource>>,
    audience: Vec<String>,
    requested_token_type: Option<TokenTypeIdentifier>,
}

impl TokenExchange {
    /// With the token of the party on whose behalf the request is made.
    pub fn new(subject: impl SecurityTokenSource + 'static) -> Self {
        Self { subject: Arc::new(subject), actor: None, audience: Vec::new(), requested_token_type: None }
    }

    /// With the token of the party that acts, where that is another one than the client (RFC 8693 §1.1: delegation).
    #[must_use]
    pub fn actor(mut self, actor: impl SecurityTokenSource + 'static) -> Self {
        self.actor = Some(Arc::new(actor));
        self
    }

    /// Where the token is to be used, by a name that the server knows; an absolute URI is better a resource of the context. May
    /// be called several times.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// What kind of token is wanted; unless set, the server decides. For a session it has to be an access token.
    #[must_use]
    pub fn requested_token_type(mut self, token_type: TokenTypeIdentifier) -> Self {
        self.requested_token_type = Some(token_type);
        self
    }
}

#[async_trait]
impl Grant for TokenExchange {
    fn grant_type(&self) -> GrantType {
        GrantType::TokenExchange
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let subject = self.subject.security_token(cx).await?;
        let mut request = TokenExchangeRequest::new(subject.token, subject.token_type);
        if let Some(actor) = &self.actor {
            let actor = actor.security_token(cx).await?;
            request.actor_token = Some(actor.token);
            request.actor_token_type = Some(actor.token_type);
        }
        request.requested_token_type = self.requested_token_type.clone();
        request.audience = self.audience.clone();
        request.scope = cx.scope_to_ask_for().cloned();
        cx.token_request(&GrantType::TokenExchange, request.to_parameters()?).await
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("actor", &self.actor.is_some())
            .field("audience", &self.audience)
            .field("requested_token_type", &self.requested_token_type)
            .finish_non_exhaustive()
    }
}
