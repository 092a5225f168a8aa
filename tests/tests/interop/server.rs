//! The server that `cargo xtask interop` has started, and jeton set up for each of its clients.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jeton_client::{
    AuthorizationCode, Client, ClientBuilder, ClientSecretJwt, ClientSecretPost, ExtraParameters,
    HttpOptions, Limits, LoopbackRedirect, PrivateKeyJwt, ReqwestTransport, Secret, Session, SigningKey,
    Token, Transport,
};
use jeton_tests::user_agent::UserAgent;
use serde_json::Value;

use crate::pages::{self, Visit};
use crate::person::{Screen, person};
use crate::wire::Wire;

/// Access tokens of the client `short_lived` live for so long, the server says.
pub(crate) const SHORT_LIFE: Duration = Duration::from_secs(3);

/// For so long they live at least: the server counts in whole seconds, and cuts off the part of one in which they begin.
/// jeton's own margin, a fifth of the life, is less than that second.
pub(crate) const LEAST_LIFE: Duration = Duration::from_secs(2);

/// What brings a refresh token at this server (OpenID Connect Core section 11), and what the resource is called with.
pub(crate) const SCOPE: &str = "openid offline_access profile api:read api:write";

/// What the server says of itself in its first line.
pub(crate) struct Server {
    pub(crate) issuer: String,
    /// A protected resource that takes the tokens of every grant.
    pub(crate) resource: String,
    said: Value,
}

impl Server {
    pub(crate) fn get() -> Self {
        let variable = |name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: these tests need a server; run them with `cargo xtask interop`")
            })
        };
        let line = std::fs::read_to_string(variable("JETON_INTEROP_CONFIG")).expect("the server's line");
        let said: Value = serde_json::from_str(&line).expect("the server's line is JSON");
        let text = |name: &str| said[name].as_str().expect(name).to_owned();
        let (issuer, resource) = (text("issuer"), text("resource"));
        assert_eq!(issuer, variable("JETON_INTEROP_ISSUER"));
        Self { issuer, resource, said }
    }

    pub(crate) fn client_id(&self, client: &str) -> &str {
        self.said["clients"][client]["client_id"].as_str().unwrap_or_else(|| panic!("no client {client}"))
    }

    pub(crate) fn client_secret(&self, client: &str) -> &str {
        self.said["clients"][client]["client_secret"]
            .as_str()
            .unwrap_or_else(|| panic!("{client} has no secret"))
    }

    /// The private key of a client that signs.
    pub(crate) fn key(&self, client: &str) -> SigningKey {
        let jwk = &self.said["keys"][client];
        assert!(jwk.is_object(), "no key of {client}");
        SigningKey::from_jwk(&jwk.to_string().into()).unwrap()
    }

    /// What a client has to show to register.
    pub(crate) fn initial_access_token(&self) -> &str {
        self.said["initial_access_token"].as_str().unwrap()
    }

    /// The same server on TLS, which asks for client certificates.
    pub(crate) fn tls(&self) -> Self {
        let said = self.said["tls"].clone();
        let text = |name: &str| said[name].as_str().expect(name).to_owned();
        Self { issuer: text("issuer"), resource: text("resource"), said }
    }

    pub(crate) fn password(&self, person: &str) -> &str {
        self.said["accounts"][person]["password"].as_str().unwrap_or_else(|| panic!("no account {person}"))
    }

    /// jeton as that client: its identifier, its way of authentication, the resource server.
    pub(crate) fn builder(&self, client: &str) -> ClientBuilder {
        let builder =
            Client::builder(self.client_id(client)).issuer(&self.issuer).resource_server(&self.resource);
        match self.said["clients"][client]["token_endpoint_auth_method"].as_str() {
            Some("none") => builder,
            Some("client_secret_basic") => builder.client_secret(self.client_secret(client)),
            Some("client_secret_post") => {
                builder.authentication(ClientSecretPost::new(self.client_secret(client)))
            }
            Some("client_secret_jwt") => {
                builder.authentication(ClientSecretJwt::new(self.client_secret(client)).unwrap())
            }
            Some("private_key_jwt") => builder.authentication(PrivateKeyJwt::new(self.key(client))),
            method => panic!("{client} authenticates by {method:?}"),
        }
    }

    /// jeton as that client, logging in by authorization code through a loopback listener; and the screen on which the
    /// authorization URL appears.
    pub(crate) fn with_browser(&self, client: &str) -> (ClientBuilder, Screen) {
        let (person, screen) = person();
        let builder = self
            .builder(client)
            .grant(AuthorizationCode::new(LoopbackRedirect::new()))
            .interaction(person)
            .scope(SCOPE)
            .extra_parameters(asking_for_consent());
        (builder, screen)
    }

    /// A session of that client in which alice has signed in, and what went over the wire.
    pub(crate) async fn signed_in(
        &self,
        client: &str,
        set: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> (Session, Wire) {
        let wire = Wire::new();
        let (builder, mut screen) = self.with_browser(client);
        let client = set(builder.transport(wire.clone())).build().unwrap();
        let session = client.session();
        log_in(&session, &mut screen, &UserAgent::new(), "alice").await;
        (session, wire)
    }

    /// A session of that client somewhere else, with a token of its own: what a thief, or a restored backup, would have.
    pub(crate) async fn elsewhere(&self, client: &str, token: Token) -> Session {
        let session = self.builder(client).build().unwrap().session();
        session.adopt(token).await.unwrap();
        session
    }

    /// The status with which the resource answers a bare token, without a session that would get another.
    pub(crate) async fn status_of(&self, access_token: &Secret) -> u16 {
        let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
        let request = Request::get(&self.resource)
            .header("authorization", format!("Bearer {}", access_token.expose()))
            .body(Bytes::new())
            .unwrap();
        transport.send(request, &Limits::default()).await.unwrap().status().as_u16()
    }

    /// Calls the resource with the session's token; what it says about the caller.
    pub(crate) async fn who_am_i(&self, session: &Session) -> Value {
        let response = session.get(&self.resource).send().await.unwrap();
        assert_eq!(response.status(), 200);
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }
}

/// `prompt=consent` in the authorization request, without which this server drops `offline_access` silently.
pub(crate) fn asking_for_consent() -> ExtraParameters {
    let mut extra = ExtraParameters::default();
    extra.authorization.append("prompt", "consent").unwrap();
    extra
}

/// Logs in while a person goes through the server's pages in the browser, to the page that jeton shows at the end.
pub(crate) async fn log_in(
    session: &Session,
    screen: &mut Screen,
    browser: &UserAgent,
    person: &str,
) -> Visit {
    let in_the_browser = async {
        let url = screen.authorization_url().await;
        let visit = pages::agree(browser, browser.open(&url).await.unwrap(), person).await;
        let redirect = visit.page.leads_to().expect("the redirect back to jeton").clone();
        Visit { page: browser.open(&redirect).await.unwrap(), ..visit }
    };
    let (token, visit) = tokio::join!(session.log_in(), in_the_browser);
    token.unwrap();
    visit
}

/// A token of which nothing but the refresh token is of use.
pub(crate) fn expired_with(refresh_token: Secret) -> Token {
    let mut token = Token::new(Secret::from("long.gone"));
    token.expires_at = Some(1);
    token.refresh_token = Some(refresh_token);
    token
}

/// What the store has of the session's login.
pub(crate) async fn stored(
    store: &Arc<dyn jeton_client::TokenStore>,
    session: &Session,
) -> Option<jeton_storage::LoginRecord> {
    store.load(session.key()).await.unwrap()
}
