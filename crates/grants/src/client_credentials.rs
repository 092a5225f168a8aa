//! The client credentials grant (RFC 6749 §4.4): the client acts for itself.

use async_trait::async_trait;
use jeton_models::{AccessTokenRequest, GrantType, TokenResponse};

use crate::{Grant, GrantContext, GrantError};

/// The client credentials grant. A "refresh" is a new request; no person is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCredentials;

#[async_trait]
impl Grant for ClientCredentials {
    fn grant_type(&self) -> GrantType {
        GrantType::ClientCredentials
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut parameters = AccessTokenRequest::new(GrantType::ClientCredentials).to_parameters()?;
        cx.append_scope(&mut parameters)?;
        cx.token_request(&GrantType::ClientCredentials, parameters).await
    }
}
