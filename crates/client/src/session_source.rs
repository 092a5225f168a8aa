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

/// The ID tokens of a session's login, for an identity provider that exchanges them
/// ([`IdentityAssertion`](crate::IdentityAssertion)). Made by [`Session::id_tokens`].
#[cfg(feature = "openid")]
#[derive(Clone, Debug)]
pub struct SessionIdTokens(Session);

/// So long must an ID token live to be presented.
#[cfg(feature = "openid")]
const LEAST: std::time::Duration = std::time::Duration::from_secs(30);

#[cfg(feature = "openid")]
impl Session {
    /// The ID tokens of this login as a source for grants that present them. One that has expired, or is about to, is replaced by a
    /// refresh; most servers issue a new one with it. Where they do not, somebody has to log in again.
    ///
    /// ```
    /// # use jeton_client::{Client, ClientSecretBasic, IdentityAssertion};
    /// // `at_work` is the client at the enterprise's identity provider, where the person has logged in.
    /// async fn wiki(at_work: Client) -> Result<Client, jeton_client::Error> {
    ///     let provider = at_work.metadata().await?;
    ///     let person = at_work.session().id_tokens();
    ///     let authentication = ClientSecretBasic::new("s3cr3t at the provider");
    ///     Client::builder("wiki-reader")
    ///         .issuer("https://wiki.example")
    ///         .client_secret("s3cr3t at the wiki")
    ///         .grant(IdentityAssertion::new(provider, "wiki-reader-at-work", authentication, person))
    ///         .build()
    /// }
    /// ```
    #[must_use]
    pub fn id_tokens(&self) -> SessionIdTokens {
        SessionIdTokens(self.clone())
    }

    async fn living_id_token(&self) -> Result<Option<SecurityToken>, crate::Error> {
        let until = self.client().clock.now() + LEAST;
        let lives = |token: &jeton_grants::IdToken| token.expires_at().is_some_and(|at| at > until);
        let found = self.id_token().await?.filter(lives);
        Ok(found.map(|id_token| SecurityToken::id_token(id_token.text().clone())))
    }
}

#[cfg(feature = "openid")]
#[async_trait]
impl SecurityTokenSource for SessionIdTokens {
    async fn security_token(&self, _: &GrantContext<'_>) -> Result<SecurityToken, GrantError> {
        let Self(session) = self;
        let found = async {
            if let Some(found) = session.living_id_token().await? {
                return Ok(Some(found));
            }
            session.refresh().await?;
            session.living_id_token().await
        };
        match found.await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(GrantError::source(
                "ID token",
                jeton_grants::Recovery::LogIn,
                "the login has none that is still good; log in with the scope `openid`",
            )),
            Err(error) => Err(GrantError::source("ID token", error.recovery(), error)),
        }
    }
}
