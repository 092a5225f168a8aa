//! OpenID Connect at a session: its ID tokens are checked wherever one comes, and the newest is kept with the login.

use jeton_grants::{Grant, GrantContext, GrantError, IdToken, IdTokenCheck};
use jeton_models::{Scope, TokenResponse};

use crate::client::ClientInner;
use crate::{Error, Session};

impl ClientInner {
    /// The check of the ID tokens that a request for that scope brings, if the client does OpenID Connect. Where no person logs
    /// in, or none is asked for, there need be none.
    pub(crate) fn id_token_check(
        &self,
        scope: Option<&Scope>,
        needs_person: bool,
    ) -> Option<IdTokenCheck<'_>> {
        let check = IdTokenCheck::new(self.id_tokens.as_ref()?);
        let is_asked_for = scope.is_some_and(|scope| scope.contains("openid"));
        Some(if needs_person && is_asked_for { check } else { check.optional() })
    }

    /// Runs a grant. Its ID token is checked, also if the grant reads the token answer by itself.
    pub(crate) async fn run(
        &self,
        grant: &dyn Grant,
        cx: &GrantContext<'_>,
    ) -> Result<TokenResponse, GrantError> {
        let scope = cx.login.scope.as_ref().or(cx.scope);
        let Some(check) = self.id_token_check(scope, grant.needs_person()) else {
            return grant.obtain(cx).await;
        };
        let mut cx = cx.clone();
        cx.id_tokens = Some(&check);
        let mut response = grant.obtain(&cx).await?;
        check.settle(&cx, &grant.grant_type(), &mut response).await?;
        Ok(response)
    }
}

impl Session {
    /// Who logged in, as the server said it last (OpenID Connect Core §2): the newest ID token of the login, which was checked
    /// when it came. `None` if there is none: nobody is logged in, or not with the scope `openid`.
    ///
    /// It is read from the store; nothing is sent. It says who logged in, not that the login still works:
    /// [`token`](Self::token) finds that out.
    ///
    /// ```
    /// # use jeton_client::{AuthorizationCode, Client, PastedRedirect, PublicClient};
    /// # let server = jeton_devserver::DevServer::start()?;
    /// # let issuer = server.issuer();
    /// # let client_id = jeton_devserver::DevServer::PUBLIC_CLIENT;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::builder(client_id).issuer(issuer).scope("openid email").build()?;
    /// let session = client.session();
    /// let (url, pending) = session.begin_log_in("https://app.example/callback").await?;
    /// # let redirected = server.authorize(url.as_str())?.parse()?;
    /// session.finish_log_in(pending, &redirected).await?;
    ///
    /// let id_token = session.id_token().await?.expect("somebody has just logged in");
    /// println!("{} at {}", id_token.subject(), id_token.issuer());
    /// # assert_eq!(id_token.subject(), "alice");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub async fn id_token(&self) -> Result<Option<IdToken>, Error> {
        let login = self.login().clone();
        self.detached(async move {
            let stored = login.client.store.load(&login.key).await?;
            let record = login.unsaved_over(stored.as_ref()).or(stored);
            let text = record.filter(|record| record.is_live()).and_then(|record| record.id_token);
            Ok(text.as_ref().and_then(IdToken::from_kept))
        })
        .await
    }
}
