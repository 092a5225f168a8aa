//! OpenID Connect at a session: its ID tokens are checked wherever one comes, and the newest is kept with the login.

use bytes::Bytes;
use jeton_grants::http::HeaderMap;
use jeton_grants::http::header::AUTHORIZATION;
use jeton_grants::{
    EndSession, Grant, GrantContext, GrantError, IdToken, IdTokenCheck, Operation, TransportError,
    TransportErrorKind, begin_end_session, http, read_user_info, user_info_request,
};
use jeton_models::{Scope, Secret, TokenResponse, UserInfo};
use jeton_storage::TokenTarget;
use url::Url;

use crate::client::ClientInner;
use crate::exchange::{Copies, send_with_token_to};
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

    /// What the server says about the person who logged in (OpenID Connect Core §5.3): asked with the access token, which goes to
    /// the server's userinfo endpoint and nowhere else. It is about the person whom the ID token names, or refused.
    ///
    /// What comes depends on the scope: `profile` for the name, `email` for the mail address.
    ///
    /// ```
    /// # use jeton_client::{Error, Session};
    /// async fn greet(session: &Session) -> Result<String, Error> {
    ///     let person = session.user_info().await?;
    ///     Ok(format!("Hello {}", person.name.as_deref().unwrap_or("you")))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`token`](Self::token) if there is no access token; [`Error::Grant`] with
    /// [`GrantError::UserInfoSubject`](crate::GrantError::UserInfoSubject) if the answer is about somebody else, with
    /// [`GrantError::Metadata`](crate::GrantError::Metadata) if the server names no userinfo endpoint, and with whatever else is
    /// wrong with the answer.
    pub async fn user_info(&self) -> Result<UserInfo, Error> {
        let id_token = self.id_token().await?;
        let session = self.clone();
        self.detached(async move {
            let target = TokenTarget::default();
            let cx = session.client().context(&target).await?;
            let (response, sent) = session.ask_user_info(&cx).await?;
            let must_be_signed = session.client().signed_user_info;
            Ok(read_user_info(&cx, &response, &sent, id_token.as_ref(), must_be_signed).await?)
        })
        .await
    }

    /// Sends the request with the access token, and once more with another one if that is rejected. Gives back what was sent
    /// that nobody may see, too.
    async fn ask_user_info(
        &self,
        cx: &GrantContext<'_>,
    ) -> Result<(http::Response<Bytes>, Vec<Secret>), Error> {
        let request = user_info_request(cx)?;
        let url = cx.endpoint("userinfo_endpoint").map_err(GrantError::from)?;
        let copies = Copies::of(self, || Some(request.clone()));
        let mut sent = Vec::new();
        let response = send_with_token_to(self, url.clone(), request, copies, |request| {
            sent.extend(secrets_of(request.headers()));
            let sending = cx.transport.send(request, &cx.limits);
            async {
                let response = sending.await.map_err(|error| no_answer(&url, error))?;
                match response.body().len() > cx.limits.max_body {
                    true => {
                        Err(no_answer(&url, TransportError::new(TransportErrorKind::BodyTooLarge)).into())
                    }
                    false => Ok::<_, Error>(response),
                }
            }
        })
        .await?;
        Ok((response, sent))
    }

    /// Where to send the person's browser so that the server, too, ends the person's session there (OpenID Connect RP-Initiated
    /// Logout 1.0), with the ID token as a hint about who logs out. `post_logout_redirect_uri` is where the browser comes back
    /// to, registered for the client; [`PendingLogout::finish`](crate::PendingLogout::finish) checks that it did.
    ///
    /// Call it before [`log_out`](Self::log_out), which forgets the ID token: `log_out` revokes the tokens of this program,
    /// while the browser's visit ends the session of the person, and often those of other programs.
    ///
    /// ```
    /// # use jeton_client::{Error, Session, Url};
    /// # fn open(_: &Url) {}
    /// async fn leave(session: &Session) -> Result<(), Error> {
    ///     let end_session = session.end_session_url(None).await?;
    ///     session.log_out().await?;
    ///     open(&end_session.url);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Grant`] with [`GrantError::Metadata`](crate::GrantError::Metadata) if the server names no end session endpoint,
    /// with [`GrantError::RedirectUri`](crate::GrantError::RedirectUri) if the redirect URI is none; [`Error::Store`] if the
    /// store cannot be read.
    pub async fn end_session_url(&self, post_logout_redirect_uri: Option<&str>) -> Result<EndSession, Error> {
        let id_token = self.id_token().await?;
        let login = self.login().clone();
        let redirect_uri = post_logout_redirect_uri.map(str::to_owned);
        self.detached(async move {
            let target = TokenTarget::default();
            let cx = login.client.context(&target).await?;
            Ok(begin_end_session(&cx, id_token.as_ref(), redirect_uri.as_deref())?)
        })
        .await
    }
}

/// The access token of a request, and the proof of its key.
fn secrets_of(headers: &HeaderMap) -> impl Iterator<Item = Secret> {
    let values = headers.get(AUTHORIZATION).into_iter().chain(headers.get("dpop"));
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.map(|text| Secret::from(text.split_once(' ').map_or(text, |(_, token)| token)))
}

fn no_answer(url: &Url, source: TransportError) -> GrantError {
    let mut url = url.clone();
    url.set_query(None);
    GrantError::Transport { operation: Operation::named("userinfo request"), url: url.into(), source }
}
