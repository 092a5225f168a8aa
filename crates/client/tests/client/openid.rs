//! OpenID Connect at a session: logins come with an ID token that was checked, refreshes keep it, and a wrong one loses no login.

use std::time::Duration;

use crate::support::{REDIRECT, World, soon, text};
use jeton_client::grants::{DeviceCodePrompt, Interaction, InteractionError, async_trait};
use jeton_client::grants::{JwtRejection, SignedAnswer};
use jeton_client::jose::JwsAlgorithm;
use jeton_client::{
    AccessToken, Client, ClientBuilder, ClientSecretPost, DeviceCode, Error, GrantError, IdTokenPolicy,
    JwtBearer, Recovery, Session,
};
use jeton_devserver::{DevServer, Endpoint, Fault, IdTokenFault};

impl World {
    fn openid(&self) -> ClientBuilder {
        self.builder().scope("openid profile email read")
    }

    async fn try_log_in(&self, session: &Session) -> Result<AccessToken, Error> {
        let (url, pending) = soon(session.begin_log_in(REDIRECT)).await?;
        let redirected = self.server.authorize(url.as_str()).unwrap().parse().unwrap();
        soon(session.finish_log_in(pending, &redirected)).await
    }

    fn key_requests(&self) -> u64 {
        self.server.stats().requests_to(Endpoint::Jwks)
    }
}

fn rejection(error: &Error) -> &JwtRejection {
    match error {
        Error::Grant(error) => match &**error {
            GrantError::RejectedJwt(rejected) if rejected.what == SignedAnswer::IdToken => &rejected.reason,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a29_a_login_says_who_logged_in_and_later_runs_know_it() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    assert_eq!(session.id_token().await.unwrap(), None);
    let token = world.try_log_in(&session).await.unwrap();
    let id_token = session.id_token().await.unwrap().unwrap();
    assert_eq!((id_token.subject(), id_token.issuer()), ("alice", world.server.issuer()));
    assert_eq!(id_token.audiences(), [DevServer::PUBLIC_CLIENT]);
    assert_eq!(id_token.issued_at(), Some(world.now()));
    // As it was before: one of the answer's further members.
    assert_eq!(token.extra().get_str("id_token"), Some(id_token.text().expose()));
    assert_eq!(world.openid().build().unwrap().session().id_token().await.unwrap(), Some(id_token));
    // Somebody else's account has none, and after the log-out nobody has.
    assert_eq!(world.openid().build().unwrap().account("bob").id_token().await.unwrap(), None);
    session.log_out().await.unwrap();
    assert_eq!(session.id_token().await.unwrap(), None);
}

#[tokio::test]
async fn a29_every_wrong_id_token_fails_the_login_and_nothing_is_kept() {
    type Fault = fn() -> IdTokenFault;
    let rows: [(&str, Fault); 11] = [
        ("absent", || IdTokenFault::Absent),
        ("another issuer", || set("iss", "https://evil.example")),
        ("another audience", || set("aud", "you")),
        ("another nonce", || set("nonce", "0123456789012345678901")),
        ("expired", || set("exp", 1_000)),
        ("from the future", || set("iat", 3_000_000_000_u64)),
        ("another access token", || set("at_hash", "0123456789012345678901")),
        ("another kind", || IdTokenFault::Type("at+jwt".to_owned())),
        ("unsigned", || IdTokenFault::Unsigned),
        ("forged", || IdTokenFault::Forged),
        ("the public key as secret", || IdTokenFault::PublicKeyAsSecret),
    ];
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    for (row, fault) in rows {
        world.server.fault_id_token(fault());
        let error = world.try_log_in(&session).await.unwrap_err();
        rejection(&error);
        assert!(
            matches!(error.recovery(), Recovery::LogIn | Recovery::FixConfiguration),
            "{row}: {:?}",
            error.recovery()
        );
        assert!(world.stored(&session).await.is_none() && session.cached().is_none(), "{row}");
    }
    // The next one is right.
    world.try_log_in(&session).await.unwrap();
}

fn set(name: &'static str, value: impl Into<serde_json::Value>) -> IdTokenFault {
    let value = value.into();
    IdTokenFault::claims(move |mut claims| {
        claims[name] = value.clone();
        claims
    })
}

#[tokio::test]
async fn a29_a_new_signing_key_costs_one_refetch_and_a_flood_of_unknown_keys_one_too() {
    let world = World::new();
    let client = world.openid().build().unwrap();
    let session = client.session();
    world.try_log_in(&session).await.unwrap();
    world.try_log_in(&client.account("bob")).await.unwrap();
    assert_eq!(world.key_requests(), 1);
    world.server.rotate_signing_keys();
    world.try_log_in(&session).await.unwrap();
    assert_eq!(world.key_requests(), 2);
    for _ in 0..5 {
        world.server.fault_id_token(IdTokenFault::UnpublishedKey);
        rejection(&world.try_log_in(&session).await.unwrap_err());
    }
    assert_eq!(world.key_requests(), 2);
    world.clock.advance(Duration::from_secs(60));
    for _ in 0..5 {
        world.server.fault_id_token(IdTokenFault::UnpublishedKey);
        rejection(&world.try_log_in(&session).await.unwrap_err());
    }
    assert_eq!(world.key_requests(), 3);
}

#[tokio::test]
async fn a29_many_logins_at_once_fetch_the_keys_once() {
    let world = World::new();
    let client = world.openid().build().unwrap();
    world.server.fault(Endpoint::Jwks, Fault::Gate);
    let logins: Vec<_> = (0..8)
        .map(|n| {
            let session = client.account(n.to_string());
            tokio::spawn(async move {
                let (url, pending) = session.begin_log_in(REDIRECT).await?;
                Ok::<_, Error>((session, url, pending))
            })
        })
        .collect();
    let mut finishing = Vec::new();
    for login in logins {
        let (session, url, pending) = soon(login).await.unwrap().unwrap();
        let redirected = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
        finishing.push(tokio::spawn(async move { session.finish_log_in(pending, &redirected).await }));
    }
    soon(world.server.wait_until_held(1)).await;
    // All of them have their answers before anybody has a key.
    soon(async {
        while world.server.stats().grant("authorization_code").successes < 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    for login in finishing {
        soon(login).await.unwrap().unwrap();
    }
    assert_eq!(world.key_requests(), 1);
}

#[tokio::test]
async fn a29_a_refresh_keeps_the_id_token_or_brings_a_newer_one() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    world.try_log_in(&session).await.unwrap();
    let first = session.id_token().await.unwrap().unwrap();
    world.expire();
    soon(session.token()).await.unwrap();
    let second = session.id_token().await.unwrap().unwrap();
    assert_eq!((second.subject(), second.issued_at()), ("alice", Some(world.now())));
    assert_ne!(second, first);
    world.server.fault_id_token(IdTokenFault::Absent);
    world.expire();
    soon(session.token()).await.unwrap();
    assert_eq!(session.id_token().await.unwrap(), Some(second));
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a29_a_refresh_that_brings_somebody_elses_id_token_fails_and_the_login_is_not_lost() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    let before = world.try_log_in(&session).await.unwrap();
    let first = session.id_token().await.unwrap().unwrap();
    for wrong in [set("sub", "mallory"), set("iss", "https://evil.example"), IdTokenFault::Forged] {
        world.expire();
        world.server.fault_id_token(wrong);
        let error = soon(session.token()).await.unwrap_err();
        rejection(&error);
        assert!(!error.to_string().contains("mallory"), "{error}");
        // Nobody has the access token that came with it, and the rotated refresh token is there.
        assert!(session.cached().is_none());
        let record = world.stored(&session).await.unwrap();
        assert!(record.is_live() && record.tokens.iter().all(|own| own.access_token == *before.secret()));
        assert_eq!(session.id_token().await.unwrap(), Some(first.clone()));
        world.assert_sound(&session).await;
        // Not at once again.
        let waits = soon(session.token()).await.unwrap_err();
        assert!(matches!(waits, Error::BackingOff { .. }), "{waits}");
    }
    world.expire();
    let after = soon(session.token()).await.unwrap();
    assert_ne!(text(&after), text(&before));
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a29_a_refresh_goes_on_where_the_keys_cannot_be_had() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    world.try_log_in(&session).await.unwrap();
    let first = session.id_token().await.unwrap().unwrap();
    // Another run, whose cache has no keys.
    world.expire();
    let later = world.openid().build().unwrap().session();
    world.server.fault(Endpoint::Jwks, Fault::unavailable(None));
    let token = soon(later.token()).await.unwrap();
    assert!(token.extra().get("id_token").is_none());
    assert_eq!(later.id_token().await.unwrap(), Some(first));
    // At a login nobody would know who it was.
    let fresh = world.openid().build().unwrap().account("bob");
    world.server.fault(Endpoint::Jwks, Fault::unavailable(None));
    let error = world.try_log_in(&fresh).await.unwrap_err();
    assert!(matches!(rejection(&error), JwtRejection::Keys(_)), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
}

#[tokio::test]
async fn the_scope_switches_it_on_and_so_does_the_builder() {
    let world = World::new();
    // Without the scope: no nonce, no ID token, no keys.
    let (_client, session) = world.signed_in().await;
    assert_eq!(session.id_token().await.unwrap(), None);
    assert_eq!(world.key_requests(), 0);
    let asked = world.builder().scope("read").openid(IdTokenPolicy::new()).build().unwrap().account("asked");
    let (url, _) = asked.begin_log_in(REDIRECT).await.unwrap();
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    assert!(query.contains(&("scope".to_owned(), "openid read".to_owned())), "{query:?}");
    assert!(query.iter().any(|(name, _)| name == "nonce"));
    let only = world.builder().openid(IdTokenPolicy::new()).build().unwrap().account("only");
    world.try_log_in(&only).await.unwrap();
    assert_eq!(only.id_token().await.unwrap().unwrap().subject(), "alice");
    // Where the server has no name, nobody can check what it says of itself.
    let endpoint = world.server.token_url();
    let error =
        Client::builder("x").token_endpoint(&endpoint).openid(IdTokenPolicy::new()).build().unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("issuer")), "{error}");
    Client::builder("x").token_endpoint(endpoint).scope("openid").build().unwrap();
}

#[tokio::test]
async fn a29_each_algorithm_that_is_registered_works_and_no_other() {
    let secret = "a client secret of thirty-two bytes or more";
    let client = |id: &str, algorithm: &str| {
        jeton_devserver::Client::post(id, secret)
            .redirect_uri(REDIRECT)
            .id_token_signed_response_alg(algorithm)
    };
    let world = World::with(|builder| {
        builder
            .client(client("es", "ES256"))
            .client(client("rs", "RS256"))
            .client(client("ed", "EdDSA"))
            .client(client("hs", "HS256"))
    });
    let log_in = async |id: &str, policy: Option<IdTokenPolicy>| {
        let builder = world.builder_of(id).scope("openid").authentication(ClientSecretPost::new(secret));
        let builder = match policy {
            Some(policy) => builder.openid(policy),
            None => builder,
        };
        let session = builder.build().unwrap().session();
        world.try_log_in(&session).await
    };
    for listed in ["es", "rs", "ed"] {
        log_in(listed, None).await.unwrap();
    }
    let only = |algorithm| Some(IdTokenPolicy::new().algorithm(algorithm));
    log_in("rs", only(JwsAlgorithm::Rs256)).await.unwrap();
    log_in("ed", only(JwsAlgorithm::Ed25519)).await.unwrap();
    rejection(&log_in("rs", only(JwsAlgorithm::Es256)).await.unwrap_err());
    // The server lists HS256, too; nobody takes it who has not said so.
    rejection(&log_in("hs", None).await.unwrap_err());
    let hmac = |secret: &str| Some(IdTokenPolicy::new().signed_with_secret(JwsAlgorithm::Hs256, secret));
    log_in("hs", hmac(secret)).await.unwrap();
    rejection(&log_in("hs", hmac("another secret of thirty-two bytes or so")).await.unwrap_err());
    rejection(&log_in("es", hmac(secret)).await.unwrap_err());
}

/// Somebody who sees the code; the server approves by itself.
struct Seeing;

#[async_trait]
impl Interaction for Seeing {
    async fn show_device_code(&self, _: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_device_login_has_an_id_token_without_a_nonce() {
    let world = World::with(|builder| builder.device_auto_approve_after_polls(Some(0)));
    let session = world.openid().grant(DeviceCode::new()).interaction(Seeing).build().unwrap().session();
    soon(session.log_in()).await.unwrap();
    let id_token = session.id_token().await.unwrap().unwrap();
    assert_eq!((id_token.subject(), id_token.claims().get("nonce")), ("alice", None));
    world.server.fault_id_token(IdTokenFault::Absent);
    rejection(&soon(session.log_in()).await.unwrap_err());
}

fn registered(id: &str) -> jeton_devserver::Client {
    jeton_devserver::Client::public(id).redirect_uri(REDIRECT)
}

#[tokio::test]
async fn a29_the_server_says_more_about_the_person_and_only_about_that_one() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    let token = world.try_log_in(&session).await.unwrap();
    let person = soon(session.user_info()).await.unwrap();
    assert_eq!((&*person.sub, person.email.as_deref()), ("alice", Some("alice@users.example")));
    assert_eq!(person.email_verified, Some(true));
    let request = world.server.last_request(Endpoint::UserInfo).unwrap();
    assert_eq!((&*request.method, request.bearer()), ("GET", Some(token.secret().expose())));
    assert!(!format!("{person:?}").contains("alice"));

    world.server.fault(Endpoint::UserInfo, Fault::set("sub", "mallory"));
    let error = soon(session.user_info()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Grant(error) if matches!(**error, GrantError::UserInfoSubject)),
        "{error}"
    );
    assert!(!error.to_string().contains("mallory"), "{error}");
    for fault in [
        Fault::remove("sub"),
        Fault::set("sub", 7),
        Fault::answer(200, "text/html", "<html>sign in</html>"),
        Fault::answer(200, "application/jwt", "a.b.c"),
        Fault::Redirect("https://evil.example/".to_owned()),
        Fault::HugeBody(2 << 20),
        Fault::unavailable(None),
        Fault::DropBeforeCommit,
    ] {
        world.server.fault(Endpoint::UserInfo, fault.clone());
        let error = soon(session.user_info()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            matches!(error, Error::Grant(_)) && !shown.contains(token.secret().expose()),
            "{fault:?}: {shown}"
        );
    }
    assert_eq!(text(&session.cached().unwrap()), text(&token));
}

#[tokio::test]
async fn endpoints_that_the_server_does_not_name_are_set_by_hand() {
    let world = World::new();
    let server = &world.server;
    for name in ["userinfo_endpoint", "end_session_endpoint", "jwks_uri"] {
        // Each client asks for the metadata once.
        server.fault(Endpoint::Metadata, Fault::remove(name));
        let session = world.openid().build().unwrap().account(name);
        let without = match name {
            "userinfo_endpoint" => {
                world.try_log_in(&session).await.unwrap();
                soon(session.user_info()).await.map(|_| ())
            }
            "end_session_endpoint" => soon(session.end_session_url(None)).await.map(|_| ()),
            _ => world.try_log_in(&session).await.map(|_| ()),
        };
        assert!(without.unwrap_err().to_string().contains(name), "{name}");
    }

    let all = Fault::rewrite(|mut metadata| {
        for name in ["userinfo_endpoint", "end_session_endpoint", "jwks_uri"] {
            assert!(!metadata[name].take().is_null());
        }
        metadata
    });
    server.fault(Endpoint::Metadata, all);
    let builder = world.openid().jwks_uri(server.url("/jwks")).userinfo_endpoint(server.url("/userinfo"));
    let session = builder.end_session_endpoint(server.url("/logout")).build().unwrap().account("by hand");
    world.try_log_in(&session).await.unwrap();
    assert_eq!(soon(session.user_info()).await.unwrap().sub, "alice");
    assert!(soon(session.end_session_url(None)).await.unwrap().url.path().ends_with("/logout"));

    let plain = world.openid().jwks_uri("http://as.example/jwks").build().unwrap_err();
    assert!(plain.to_string().contains("use https://"), "{plain}");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_and_the_question_asked_again() {
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    let token = world.try_log_in(&session).await.unwrap();
    world.server.revoke_access_tokens();
    assert_eq!(soon(session.user_info()).await.unwrap().sub, "alice");
    assert_ne!(text(&session.cached().unwrap()), text(&token));
    assert_eq!(world.server.stats().requests_to(Endpoint::UserInfo), 2);
    // Without the scope there is nothing to be had.
    let plain = world.builder().build().unwrap().account("plain");
    world.log_in(&plain).await;
    let error = soon(plain.user_info()).await.unwrap_err();
    assert!(error.to_string().contains("insufficient_scope"), "{error}");
    // Nor for nobody.
    let nobody = world.openid().build().unwrap().account("nobody");
    assert!(soon(nobody.user_info()).await.unwrap_err().is_login_required());
}

#[tokio::test]
async fn a29_a_signed_userinfo_answer_is_verified_and_a_plain_one_refused_where_it_must_be_signed() {
    let world = World::with(|builder| builder.client(registered("signed").signed_user_info()));
    let of =
        |id: &str| world.builder_of(id).scope("openid email").signed_user_info().build().unwrap().session();
    let session = of("signed");
    world.try_log_in(&session).await.unwrap();
    assert_eq!(soon(session.user_info()).await.unwrap().email.as_deref(), Some("alice@users.example"));
    // After a change of keys, one refetch.
    world.server.rotate_signing_keys();
    assert_eq!(soon(session.user_info()).await.unwrap().sub, "alice");

    let plain = of(DevServer::PUBLIC_CLIENT);
    world.try_log_in(&plain).await.unwrap();
    let error = soon(plain.user_info()).await.unwrap_err();
    let Error::Grant(grant_error) = &error else { panic!("{error}") };
    let GrantError::RejectedJwt(rejected) = &**grant_error else { panic!("{error}") };
    assert_eq!((rejected.what, &rejected.reason), (SignedAnswer::UserInfo, &JwtRejection::NotSigned));
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn a29_the_browser_logs_out_at_the_server_and_comes_back_with_its_state() {
    const BACK: &str = "https://app.example/signed-out";
    let world = World::new();
    let session = world.openid().build().unwrap().session();
    world.try_log_in(&session).await.unwrap();
    let id_token = session.id_token().await.unwrap().unwrap();
    let begun = soon(session.end_session_url(Some(BACK))).await.unwrap();
    assert!(!format!("{begun:?}").contains("eyJ"));
    let query: std::collections::HashMap<_, _> = begun.url.query_pairs().into_owned().collect();
    assert_eq!(query["id_token_hint"], id_token.text().expose());
    assert_eq!((&*query["client_id"], &*query["post_logout_redirect_uri"]), (DevServer::PUBLIC_CLIENT, BACK));
    let pending = begun.pending.unwrap();
    assert!(query["state"].len() >= 43 && *pending.state().expose() == query["state"]);
    let back = world.server.end_session(begun.url.as_str()).unwrap();
    assert_eq!(world.server.live_logins(), 0);
    // Kept between the two halves.
    let kept = serde_json::to_string(&pending).unwrap();
    let again = || serde_json::from_str::<jeton_client::PendingLogout>(&kept).unwrap();
    for wrong in [
        BACK.to_owned(),
        format!("{BACK}?state=another"),
        format!("{BACK}?state={0}&state={0}", query["state"]),
        format!("https://evil.example/signed-out?state={}", query["state"]),
        format!("https://app.example/elsewhere?state={}", query["state"]),
        format!("http://app.example/signed-out?state={}", query["state"]),
    ] {
        let error = again().finish(&wrong.parse().unwrap()).unwrap_err();
        assert!(matches!(error, GrantError::LogoutResponse), "{wrong}");
    }
    again().finish(&back.parse().unwrap()).unwrap();
    // Afterwards the login is forgotten, too; without an ID token the server is told who asks only.
    session.log_out().await.unwrap();
    let bare = soon(session.end_session_url(None)).await.unwrap();
    assert!(bare.pending.is_none());
    assert_eq!(bare.url.query(), Some(&*format!("client_id={}", DevServer::PUBLIC_CLIENT)));
    for wrong in ["signed-out", "https://app.example/#x"] {
        let error = session.end_session_url(Some(wrong)).await.unwrap_err();
        assert!(error.to_string().contains("redirect URI"), "{error}");
    }
}

/// What begins anew without a person may be about somebody else: the ID token from before says nothing of it.
#[tokio::test]
async fn a29_a_grant_without_a_person_that_begins_anew_leaves_no_id_token_of_what_was_before() {
    let world = World::new();
    let person = world.openid().build().unwrap().session();
    world.try_log_in(&person).await.unwrap();
    assert!(person.id_token().await.unwrap().is_some());

    let grant = JwtBearer::new(|| async { Ok("an assertion about somebody else".into()) });
    let session = world.openid().grant(grant).build().unwrap().session();
    world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    let answer = r#"{"access_token":"an0ther","token_type":"Bearer"}"#;
    world.server.fault(Endpoint::Token, Fault::answer(200, "application/json", answer));
    assert_eq!(text(&session.token().await.unwrap()), "an0ther");
    assert_eq!(session.id_token().await.unwrap(), None);
}
