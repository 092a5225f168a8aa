//! Token exchange, JWT bearer, CIBA and identity assertions against the strict devserver: what it takes, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use jeton_devserver::{Client, DevServer};
use jeton_grants::{
    BackchannelPrompt, Ciba, ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError,
    Interaction, InteractionError, ManualClock, PublicClient, RefreshToken, SecurityToken, TokenExchange,
    async_trait,
};
use jeton_models::{GrantType, Parameters, Scope, TokenType, TokenTypeIdentifier};

use crate::support::{PlainHttp, a_moment, clocked, metadata};

const EXCHANGER: (&str, &str) = ("exchanger", "exchange-s3cr3t");

fn builder() -> jeton_devserver::Builder {
    DevServer::builder().client(Client::basic(EXCHANGER.0, EXCHANGER.1))
}

/// An access token of another client.
async fn a_token(devserver: &DevServer, clock: &ManualClock, scope: &str) -> String {
    let server = metadata(devserver).await;
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let (authentication, scope): (_, Scope) = (ClientSecretBasic::new(secret), scope.parse().unwrap());
    let mut cx = GrantContext::new(&server, id, &authentication, &PlainHttp, clock);
    cx.scope = Some(&scope);
    ClientCredentials.obtain(&cx).await.unwrap().access_token.expose().to_owned()
}

#[tokio::test]
async fn a17_a_token_for_a_token() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(builder(), &clock);
    let server = metadata(&devserver).await;
    let authentication = ClientSecretBasic::new(EXCHANGER.1);
    let mut cx = GrantContext::new(&server, EXCHANGER.0, &authentication, &PlainHttp, &clock);
    let subject = a_token(&devserver, &clock, "read write offline_access").await;
    let second = devserver.second_resource_identifier();
    let scope: Scope = "read".parse().unwrap();
    cx.scope = Some(&scope);
    let grant = TokenExchange::new(SecurityToken::access_token(subject.as_str())).audience(second);
    let response = grant.clone().obtain(&cx).await.unwrap();
    assert_eq!(response.issued_token_type(), Some(TokenTypeIdentifier::ACCESS_TOKEN.as_str()));
    assert_eq!(response.token_type, TokenType::Bearer);
    assert_eq!(response.scope.unwrap(), scope);
    assert!(response.refresh_token.is_none());
    assert!(devserver.is_access_token_live(response.access_token.expose()));

    // With an actor, and with a refresh token, which is the login's from then on.
    let offline: Scope = "read offline_access".parse().unwrap();
    cx.scope = Some(&offline);
    let actor = SecurityToken::access_token(a_token(&devserver, &clock, "read").await);
    let response = grant.actor(actor).obtain(&cx).await.unwrap();
    RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
}

#[tokio::test]
async fn a17_what_the_server_refuses_is_told_and_ends_no_login() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(builder().access_token_lifetime(Duration::from_secs(60)), &clock);
    let server = metadata(&devserver).await;
    let authentication = ClientSecretBasic::new(EXCHANGER.1);
    let mut cx = GrantContext::new(&server, EXCHANGER.0, &authentication, &PlainHttp, &clock);
    let live = a_token(&devserver, &clock, "read").await;
    let exchange =
        |token: &str, kind: TokenTypeIdentifier| TokenExchange::new(SecurityToken::new(token, kind));
    let access = TokenTypeIdentifier::ACCESS_TOKEN;

    let unknown = exchange("unknown", access.clone());
    let wrong_type = exchange(&live, TokenTypeIdentifier::ID_TOKEN);
    let unknown_type = exchange(&live, TokenTypeIdentifier::SAML2);
    let bad_actor = exchange(&live, access.clone()).actor(SecurityToken::access_token("unknown"));
    let not_issued = exchange(&live, access.clone()).requested_token_type(TokenTypeIdentifier::SAML1);
    let elsewhere = exchange(&live, access.clone()).audience("https://elsewhere.example");
    for (grant, code) in [
        (unknown, "invalid_request"),
        (wrong_type, "invalid_request"),
        (unknown_type, "invalid_request"),
        (bad_actor, "invalid_request"),
        (not_issued, "invalid_request"),
        (elsewhere, "invalid_target"),
    ] {
        let error = grant.obtain(&cx).await.unwrap_err();
        assert_eq!(error.oauth_error().unwrap().code(), code, "{error}");
        assert!(error.to_string().contains("A17: "), "{error}");
        assert!(!error.to_string().contains(&live) && !error.is_invalid_grant(), "{error}");
    }
    let more: Scope = "read write".parse().unwrap();
    cx.scope = Some(&more);
    let error = exchange(&live, access.clone()).obtain(&cx).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_scope");
    cx.scope = None;

    // An actor without its type, and a type without an actor: this library cannot say that, so it is said by hand.
    for odd in ["actor_token", "actor_token_type"] {
        let mut parameters = Parameters::new();
        for (name, value) in
            [("subject_token", live.as_str()), ("subject_token_type", access.as_str()), (odd, "x")]
        {
            parameters.append(name, value).unwrap();
        }
        let error = cx.token_request(&GrantType::TokenExchange, parameters).await.unwrap_err();
        assert!(error.to_string().contains("A17: actor_token_type"), "{error}");
    }

    clock.advance(Duration::from_secs(60));
    let error = exchange(&live, access).obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");

    // Not everybody may.
    let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    let error = TokenExchange::new(SecurityToken::access_token("t")).obtain(&cx).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "unauthorized_client");
}

/// The person at the other device, who decides as soon as the program says that they are asked.
struct OtherDevice {
    devserver: Arc<DevServer>,
    approves: Option<bool>,
}

#[async_trait]
impl Interaction for OtherDevice {
    async fn show_backchannel_authentication(
        &self,
        prompt: &BackchannelPrompt<'_>,
    ) -> Result<(), InteractionError> {
        match self.approves {
            Some(true) => {
                let seen = self.devserver.approve_backchannel("alice").expect("somebody is asked");
                assert_eq!(seen.as_deref(), prompt.binding_message);
            }
            Some(false) => assert!(self.devserver.deny_backchannel("alice")),
            None => {}
        }
        Ok(())
    }
}

async fn by_ciba(
    builder: jeton_devserver::Builder,
    grant: Ciba,
    approves: Option<bool>,
) -> (Result<jeton_models::TokenResponse, GrantError>, Arc<DevServer>) {
    let clock = ManualClock::at(a_moment());
    let devserver = Arc::new(clocked(builder, &clock));
    let server = metadata(&devserver).await;
    let authentication = ClientSecretBasic::new(EXCHANGER.1);
    let scope: Scope = "openid read".parse().unwrap();
    let person = OtherDevice { devserver: devserver.clone(), approves };
    let mut cx = GrantContext::new(&server, EXCHANGER.0, &authentication, &PlainHttp, &clock);
    (cx.scope, cx.interaction) = (Some(&scope), &person);
    (grant.obtain(&cx).await, devserver)
}

#[tokio::test]
async fn ciba_asks_the_person_and_polls_until_they_have_decided() {
    let grant = Ciba::login_hint("alice").binding_message("W4SCT");
    let (response, _) = by_ciba(builder(), grant, Some(true)).await;
    let response = response.unwrap();
    assert!(response.refresh_token.is_some());
    assert!(response.extra.get_str("id_token").is_some());

    let (refused, _) = by_ciba(builder(), Ciba::login_hint("alice"), Some(false)).await;
    assert_eq!(refused.unwrap_err().oauth_error().unwrap().code(), "access_denied");
    let (expired, devserver) = by_ciba(builder(), Ciba::login_hint("alice"), None).await;
    assert!(matches!(expired.unwrap_err(), GrantError::AuthenticationRequestExpired));
    // It keeps to the pace: not once was it told to slow down.
    let polls = devserver.stats().grant("urn:openid:params:grant-type:ciba").requests;
    assert_eq!(polls, 23, "one each 5 s of 120 s, but for the last");

    let patient = builder().backchannel_auto_approve_after_polls(Some(3));
    let (approved, _) = by_ciba(patient, Ciba::login_hint("alice"), None).await;
    approved.unwrap();
}

#[tokio::test]
async fn ciba_what_the_server_refuses_is_told() {
    let code = |result: Result<jeton_models::TokenResponse, GrantError>| {
        result.unwrap_err().oauth_error().unwrap().code().to_owned()
    };
    let with_code = || builder().backchannel_user_code("alice", "1234");
    let (nobody, _) = by_ciba(builder(), Ciba::login_hint("nobody"), None).await;
    assert_eq!(code(nobody), "unknown_user_id");
    let (missing, _) = by_ciba(with_code(), Ciba::login_hint("alice"), None).await;
    assert_eq!(code(missing), "missing_user_code");
    let (wrong, _) = by_ciba(with_code(), Ciba::login_hint("alice").user_code("4321"), None).await;
    assert_eq!(code(wrong), "invalid_user_code");
    let (right, _) = by_ciba(with_code(), Ciba::login_hint("alice").user_code("1234"), Some(true)).await;
    right.unwrap();
    let long = Ciba::login_hint("alice").binding_message("more than anybody reads on a telephone");
    let (long, _) = by_ciba(builder(), long, None).await;
    assert_eq!(code(long), "invalid_binding_message");
    let (forged, _) = by_ciba(builder(), Ciba::id_token_hint("e30.e30.e30"), None).await;
    assert_eq!(code(forged), "invalid_request");
}

#[cfg(feature = "jose")]
mod signed {
    use jeton_grants::{AssertionSource, IdentityAssertion, JwtBearer, SignedAssertion};
    use jeton_jose::{JwkSet, JwsAlgorithm, Signer, SigningKey};
    use jeton_models::Secret;

    use super::*;

    fn key() -> (SigningKey, String) {
        let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k1");
        let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
        let jwks = serde_json::to_string(&keys).unwrap();
        (key, jwks)
    }

    const STS: &str = "https://sts.example";

    #[tokio::test]
    async fn a10_an_assertion_is_taken_once_and_only_if_it_is_for_the_server() {
        let clock = ManualClock::at(a_moment());
        let (key, jwks) = key();
        let devserver = clocked(builder().trust(STS, jwks), &clock);
        let server = metadata(&devserver).await;
        let authentication = ClientSecretBasic::new(EXCHANGER.1);
        let mut cx = GrantContext::new(&server, EXCHANGER.0, &authentication, &PlainHttp, &clock);
        let scope: Scope = "read".parse().unwrap();
        cx.scope = Some(&scope);
        let source = SignedAssertion::new(key.clone(), STS).subject("alice");
        let grant = JwtBearer::new(source.clone());
        let first = grant.obtain(&cx).await.unwrap();
        let second = grant.obtain(&cx).await.unwrap();
        assert_ne!(first.access_token, second.access_token);

        // Replayed, by a source that is none.
        let kept = source.assertion(&cx).await.unwrap();
        let replaying = move || {
            let kept = kept.clone();
            async move { Ok::<Secret, GrantError>(kept) }
        };
        let replaying = JwtBearer::new(replaying);
        replaying.obtain(&cx).await.unwrap();
        let refused = |source: SignedAssertion| {
            let cx = cx.clone();
            async move { JwtBearer::new(source).obtain(&cx).await.unwrap_err() }
        };
        let (other_key, _) = super::signed::key();
        let errors = [
            (replaying.obtain(&cx).await.unwrap_err(), "used before"),
            (refused(source.clone().audience("https://other.example")).await, "aud must be"),
            (refused(source.clone().lifetime(Duration::from_secs(3600))).await, "too long"),
            (refused(source.clone().subject("")).await, "nobody"),
            (refused(source.clone().typ(Some("client-authentication+jwt"))).await, "another purpose"),
            (refused(SignedAssertion::new(other_key, STS)).await, "signature"),
            (refused(SignedAssertion::new(key, "https://nobody.example")).await, "not trusted"),
        ];
        for (error, expected) in errors {
            assert_eq!(error.oauth_error().unwrap().code(), "invalid_grant", "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Expired before it arrived.
        let late = source.assertion(&cx).await.unwrap();
        clock.advance(Duration::from_secs(61));
        let error = JwtBearer::new(move || {
            let late = late.clone();
            async move { Ok::<Secret, GrantError>(late) }
        });
        let error = error.obtain(&cx).await.unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
    }

    #[tokio::test]
    async fn a_signed_authentication_request_is_taken_once_and_from_the_registered_key_only() {
        let (key, jwks) = key();
        let client = Client::basic(EXCHANGER.0, EXCHANGER.1).keys(jwks);
        let builder = DevServer::builder().client(client);
        let grant = Ciba::login_hint("alice").binding_message("W4SCT").signed(key);
        let (response, _) = by_ciba(builder.clone(), grant, Some(true)).await;
        response.unwrap();
        let (other, _) = super::signed::key();
        let (refused, _) = by_ciba(builder, Ciba::login_hint("alice").signed(other), None).await;
        assert!(refused.unwrap_err().to_string().contains("signed request is refused"));
    }

    /// An identity provider and an authorization server that trusts it, and a person who is signed in at the provider.
    #[tokio::test]
    async fn an_identity_assertion_lets_a_program_in_without_asking_the_person() {
        let clock = ManualClock::at(a_moment());
        // The server has to know the provider's keys, the provider the server's name: fixed keys make that possible.
        let somewhere = clocked(DevServer::builder(), &clock);
        let jwks = somewhere.jwks();
        let server = |issuer: &str| clocked(builder().trust(issuer, &jwks), &clock);
        // Which port the provider gets is not known beforehand, so that the server comes second and the client third.
        let provider = clocked(
            DevServer::builder()
                .client(Client::basic("wiki-at-idp", "idp-s3cr3t").known_as("https://nowhere.example", "x")),
            &clock,
        );
        let at_server = server(provider.issuer());
        let known = Client::basic("wiki-at-idp", "idp-s3cr3t").known_as(at_server.issuer(), EXCHANGER.0);
        provider.register(known.redirect_uri("https://app.example/callback"));

        let id_token = id_token_at(&provider, &clock).await;
        let (idp_metadata, metadata) = (metadata(&provider).await, metadata(&at_server).await);
        let subject = SecurityToken::id_token(id_token);
        let authentication = ClientSecretBasic::new("idp-s3cr3t");
        let grant = IdentityAssertion::new(idp_metadata.clone(), "wiki-at-idp", authentication, subject);
        let authentication = ClientSecretBasic::new(EXCHANGER.1);
        let scope: Scope = "read".parse().unwrap();
        let mut cx = GrantContext::new(&metadata, EXCHANGER.0, &authentication, &PlainHttp, &clock);
        cx.scope = Some(&scope);
        let first = grant.obtain(&cx).await.unwrap();
        let second = grant.obtain(&cx).await.unwrap();
        assert_eq!(first.scope, Some(scope.clone()));
        assert_ne!(first.access_token, second.access_token);
        assert!(at_server.is_access_token_live(second.access_token.expose()));

        // The assertion is good once, and for the client that it was issued for.
        let jag = grant.assertion(&cx).await.unwrap();
        let presenting = JwtBearer::new(move || {
            let jag = jag.clone();
            async move { Ok::<Secret, GrantError>(jag) }
        });
        let mut unscoped = cx.clone();
        unscoped.scope = None;
        let (other_id, other_secret) = DevServer::CONFIDENTIAL_CLIENT;
        let other = ClientSecretBasic::new(other_secret);
        let foreign = GrantContext::new(&metadata, other_id, &other, &PlainHttp, &clock);
        let error = presenting.obtain(&foreign).await.unwrap_err();
        assert!(error.to_string().contains("another client"), "{error}");
        presenting.obtain(&unscoped).await.unwrap();
        assert!(presenting.obtain(&unscoped).await.unwrap_err().to_string().contains("used before"));

        // A server with which the provider is not connected.
        let stranger = server("https://stranger.example");
        let metadata = crate::support::metadata(&stranger).await;
        let cx = GrantContext::new(&metadata, EXCHANGER.0, &authentication, &PlainHttp, &clock);
        let error = grant.obtain(&cx).await.unwrap_err();
        assert_eq!(error.oauth_error().unwrap().code(), "invalid_target");

        // An access token is no identity.
        let access = SecurityToken::access_token(a_token(&provider, &clock, "read").await);
        let authentication = ClientSecretBasic::new("idp-s3cr3t");
        let grant = IdentityAssertion::new(idp_metadata, "wiki-at-idp", authentication, access);
        let error = grant.obtain(&cx).await.unwrap_err();
        assert!(error.to_string().contains("ID token only"), "{error}");
    }

    async fn id_token_at(provider: &DevServer, clock: &ManualClock) -> String {
        let server = metadata(provider).await;
        let authentication = ClientSecretBasic::new("idp-s3cr3t");
        let scope: Scope = "openid".parse().unwrap();
        let mut cx = GrantContext::new(&server, "wiki-at-idp", &authentication, &PlainHttp, clock);
        cx.scope = Some(&scope);
        let redirect_uri = "https://app.example/callback";
        let (url, pending) =
            jeton_grants::begin_authorization(&cx, redirect_uri, Duration::from_secs(60)).await.unwrap();
        let redirected = provider.authorize(url.as_str()).unwrap().parse().unwrap();
        let response = jeton_grants::finish_authorization(&cx, pending, &redirected).await.unwrap();
        response.extra.get_str("id_token").unwrap().to_owned()
    }
}
