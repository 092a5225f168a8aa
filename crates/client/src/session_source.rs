//! A session as the source of security tokens: its login is what another one is got for (RFC 8693).

use jeton_grants::{GrantContext, GrantError, SecurityToken, SecurityTokenSource, async_trait};

use crate::Session;

/// The session's access token, as [`Session::token`] gives it: refreshed if need be. Each exchange asks anew.
///
/// The session must not be one that exchanges its own token, nor may two present each other's: they would wait for each other.
///
/// ```
/// # use jeton_client::{Client, ClientCredentials, TokenExchange};
/// # fn example(person: jeton_client::Session) -> Result<(), jeton_client::Error> {
/// // `person` is the session of somebody who logged in; this client calls another API on behalf of them.
/// let inventory = Client::builder("inventory-caller")
///     .issuer("https://as.example")
///     .client_secret("s3cr3t")
///     .grant(TokenExchange::new(person).audience("inventory"))
///     .build()?;
/// let session = inventory.session();
/// # let _ = session; Ok(()) }
/// ```
#[async_trait]
impl SecurityTokenSource for Session {
    async fn security_token(&self, _: &GrantContext<'_>) -> Result<SecurityToken, GrantError> {
        match self.token().await {
            Ok(token) => Ok(SecurityToken::access_token(token.secret().clone())),
            Err(error) => Err(GrantError::source("subject token", error.recovery(), error)),
        }
    }
}
