//! The resource owner password credentials grant (RFC 6749 §4.3).
//! RFC 9700 §2.4 says that it must not be used; it is here for servers that offer nothing else.

use async_trait::async_trait;
use jeton_models::{GrantType, ResourceOwnerPasswordCredentialsAccessTokenRequest, Secret, TokenResponse};

use crate::{Grant, GrantContext, GrantError};

/// The resource owner password credentials grant: the program knows the person's password.
///
/// **Discouraged**: RFC 9700 §2.4 says that this grant must not be used, because it exposes the password to the client
/// and leaves no room for a second factor. Prefer [`AuthorizationCode`](crate::AuthorizationCode) or
/// [`DeviceCode`](crate::DeviceCode).
#[derive(Clone, Debug)]
pub struct ResourceOwnerPasswordCredentials {
    username: String,
    password: Secret,
}

impl ResourceOwnerPasswordCredentials {
    /// With the person's name and password.
    pub fn new(username: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self { username: username.into(), password: password.into() }
    }
}

#[async_trait]
impl Grant for ResourceOwnerPasswordCredentials {
    fn grant_type(&self) -> GrantType {
        GrantType::ResourceOwnerPasswordCredentials
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut request = ResourceOwnerPasswordCredentialsAccessTokenRequest::new(
            self.username.as_str(),
            self.password.clone(),
        );
        request.scope = cx.scope.cloned();
        cx.token_request(&GrantType::ResourceOwnerPasswordCredentials, request.to_parameters()?).await
    }
}
