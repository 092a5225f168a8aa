//! OpenID Connect: ID tokens, userinfo and logout; and what the server says about tokens (RFC 7662, RFC 9701).

use jeton_client::models::{AuthorizationServerMetadata, Issuer};
use jeton_client::{
    ClientSecretBasic, HttpOptions, JwsAlgorithm, Limits, PublicClient, ReqwestTransport, Secret,
    SystemClock, Transport,
};
use jeton_grants::{
    ClientAuthentication, GrantContext, GrantError, IdTokenPolicy, begin_end_session, discover, introspect,
    read_user_info, user_info_request,
};
use jeton_tests::user_agent::UserAgent;

use crate::pages;
use crate::server::{Server, log_in};

/// jeton without a session, as a client that asks about tokens.
struct Asking {
    transport: ReqwestTransport,
    clock: SystemClock,
    metadata: AuthorizationServerMetadata,
}

impl Asking {
    async fn at(server: &Server) -> Self {
        let (transport, clock) = (ReqwestTransport::new(&HttpOptions::new()).unwrap(), SystemClock::new());
        let issuer: Issuer = server.issuer.parse().unwrap();
        let metadata = discover(&transport, &clock, &issuer, &Limits::default()).await.unwrap();
        Self { transport, clock, metadata }
    }

    fn cx<'a>(
        &'a self,
        client_id: &'a str,
        authentication: &'a dyn ClientAuthentication,
    ) -> GrantContext<'a> {
        GrantContext::new(&self.metadata, client_id, authentication, &self.transport, &self.clock)
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn openid_id_token_is_checked_and_kept_over_refreshes() {
    let server = Server::get();
    for (client, algorithm) in [("native", JwsAlgorithm::Rs256), ("signed_answers", JwsAlgorithm::Es256)] {
        let policy = IdTokenPolicy::new().algorithm(algorithm);
        let (session, wire) = server.signed_in(client, |builder| builder.openid(policy)).await;
        let id_token = session.id_token().await.unwrap().expect("`openid` was asked for");
        assert_eq!((id_token.subject(), id_token.issuer()), ("alice", server.issuer.as_str()));
        assert_eq!(id_token.audiences(), [server.client_id(client)]);
        session.refresh().await.unwrap();
        assert_eq!(session.id_token().await.unwrap().unwrap().subject(), "alice");
        let fetched = wire.exchanges().iter().filter(|exchange| exchange.path == "/jwks").count();
        assert_eq!(fetched, 1, "the keys are fetched once");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn openid_id_token_of_another_algorithm_is_refused() {
    let server = Server::get();
    let policy = IdTokenPolicy::new().algorithm(JwsAlgorithm::Ps256);
    let (builder, mut screen) = server.with_browser("native");
    let session = builder.openid(policy).build().unwrap().session();
    let in_the_browser = async {
        let browser = UserAgent::new();
        let page = browser.open(&screen.authorization_url().await).await.unwrap();
        let visit = pages::agree(&browser, page, "alice").await;
        browser.open(visit.page.leads_to().unwrap()).await.unwrap();
    };
    let (result, ()) = tokio::join!(session.log_in(), in_the_browser);
    let error = result.unwrap_err();
    assert!(error.to_string().contains("RS256"), "{error}");
    assert!(session.token().await.unwrap_err().is_login_required(), "nobody is signed in");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn openid_userinfo_is_about_the_same_person_and_signed_where_that_was_registered() {
    let server = Server::get();
    let asking = Asking::at(&server).await;
    for (client, is_signed) in [("native", false), ("signed_answers", true)] {
        let (session, _wire) = server.signed_in(client, |builder| builder).await;
        let (token, id_token) = (session.token().await.unwrap(), session.id_token().await.unwrap().unwrap());
        let cx = asking.cx(server.client_id(client), &PublicClient);
        let mut request = user_info_request(&cx).unwrap();
        request.headers_mut().insert("authorization", token.authorization().clone());
        let response = asking.transport.send(request, &Limits::default()).await.unwrap();
        let user_info = read_user_info(&cx, &response, &[], Some(&id_token), is_signed).await.unwrap();
        assert_eq!(user_info.sub, "alice");
        let insisting = read_user_info(&cx, &response, &[], Some(&id_token), true).await;
        assert_eq!(insisting.is_ok(), is_signed);

        // Bob's answer does not pass for Alice's.
        let (builder, mut screen) = server.with_browser(client);
        let other = builder.build().unwrap().session();
        log_in(&other, &mut screen, &UserAgent::new(), "bob").await;
        let of_bob = other.id_token().await.unwrap().unwrap();
        let error = read_user_info(&cx, &response, &[], Some(&of_bob), false).await.unwrap_err();
        assert!(matches!(error, GrantError::UserInfoSubject), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn logout_ends_the_persons_session_at_the_server() {
    const BACK: &str = "http://127.0.0.1/signed-out";
    let server = Server::get();
    let asking = Asking::at(&server).await;
    let browser = UserAgent::new();
    let sign_in = async || {
        let (builder, mut screen) = server.with_browser("logout");
        let session = builder.build().unwrap().session();
        let visit = log_in(&session, &mut screen, &browser, "alice").await;
        (session, visit.prompts)
    };
    let (session, prompts) = sign_in().await;
    assert_eq!(prompts, ["login", "consent"]);
    // The same browser is not asked who it is.
    assert_eq!(sign_in().await.1, ["consent"]);

    let id_token = session.id_token().await.unwrap();
    let cx = asking.cx(server.client_id("logout"), &PublicClient);
    let logout = begin_end_session(&cx, id_token.as_ref(), Some(BACK)).unwrap();
    let page = browser.open(&logout.url).await.unwrap();
    let form = page.form().unwrap().press("logout", "yes").unwrap();
    let page = browser.submit(&form).await.unwrap();
    let back = page.leads_to().expect("the way back").clone();
    assert!(back.as_str().starts_with(BACK), "{back}");
    logout.pending.unwrap().finish(&back).unwrap();
    assert_eq!(sign_in().await.1, ["login", "consent"]);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn introspection_in_json_and_signed() {
    let server = Server::get();
    let asking = Asking::at(&server).await;
    let client = "signed_answers";
    let (session, _wire) = server.signed_in(client, |builder| builder).await;
    let token = session.token().await.unwrap();
    let authentication = ClientSecretBasic::new(server.client_secret(client));
    let mut cx = asking.cx(server.client_id(client), &authentication);
    for signed in [false, true] {
        cx.signed_introspection = signed;
        let introspection = introspect(&cx, token.secret(), Some("access_token")).await.unwrap();
        assert!(introspection.active);
        assert_eq!(
            (introspection.sub.as_deref(), introspection.client_id.as_deref()),
            (Some("alice"), Some("jeton-signed-answers"))
        );
        let unknown = introspect(&cx, &Secret::from("n0t.a.token"), None).await.unwrap();
        assert!(!unknown.active);
    }

    // Another confidential client gets an answer of its own, for itself.
    let authentication = ClientSecretBasic::new(server.client_secret("service"));
    let mut cx = asking.cx(server.client_id("service"), &authentication);
    cx.signed_introspection = true;
    assert!(introspect(&cx, token.secret(), None).await.unwrap().active);
}
