//! CIBA Core 1.0 in poll mode, against scripted answers: the request, the pace of the polls, and how it ends.

use std::sync::Mutex;
use std::time::Duration;

use jeton_grants::{
    BackchannelPrompt, Ciba, Grant, GrantContext, GrantError, Interaction, InteractionError, LoginOptions,
    LoginOutcome, ManualClock, PublicClient, Recovery, TransportErrorKind, async_trait,
};
use jeton_models::{AuthorizationServerMetadata, MetadataError, ParameterError, Scope};

use crate::support::{Answered, Scripted, a_moment, as_example, broken, json, oauth_error, token};

fn server() -> AuthorizationServerMetadata {
    let mut server = as_example();
    server.backchannel_authentication_endpoint = Some("https://as.example/bc".into());
    server
}

fn asked() -> Answered {
    json(200, r#"{"auth_req_id":"1c266114-a1be","expires_in":60}"#)
}

/// Somebody at the consumption device, who remembers what was shown.
#[derive(Default)]
struct Onlooker {
    seen: Mutex<Vec<String>>,
    patience: Option<usize>,
}

#[async_trait]
impl Interaction for Onlooker {
    async fn show_backchannel_authentication(
        &self,
        prompt: &BackchannelPrompt<'_>,
    ) -> Result<(), InteractionError> {
        self.seen.lock().unwrap().push(format!("{:?} {:?}", prompt.binding_message, prompt.login_hint));
        Ok(())
    }

    async fn backchannel_authentication_pending(
        &self,
        _: &BackchannelPrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(format!("{} s", remaining.as_secs()));
        match self.patience {
            Some(patience) if seen.len() > patience => Err(InteractionError::cancelled()),
            _ => Ok(()),
        }
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        let told = match outcome {
            LoginOutcome::Success => "success".to_owned(),
            LoginOutcome::Denied { error, .. } => format!("denied: {error}"),
            other => format!("{other:?}"),
        };
        self.seen.lock().unwrap().push(told);
    }
}

async fn run(
    grant: Ciba,
    scope: &str,
    answers: impl IntoIterator<Item = Answered>,
) -> (Result<String, GrantError>, Vec<u64>, Vec<String>, Vec<String>) {
    run_with(grant, scope, &LoginOptions::new(), answers).await
}

async fn run_with(
    grant: Ciba,
    scope: &str,
    options: &LoginOptions,
    answers: impl IntoIterator<Item = Answered>,
) -> (Result<String, GrantError>, Vec<u64>, Vec<String>, Vec<String>) {
    let clock = ManualClock::at(a_moment());
    let (server, transport, onlooker) = (server(), Scripted::new(&clock, answers), Onlooker::default());
    let scope: Scope = scope.parse().unwrap();
    let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    (cx.scope, cx.interaction, cx.login) = (Some(&scope), &onlooker, options);
    let result = grant.obtain(&cx).await.map(|response| response.access_token.expose().to_owned());
    let seen = onlooker.seen.lock().unwrap().clone();
    (result, transport.seconds_since(a_moment()), transport.bodies(), seen)
}

#[tokio::test]
async fn the_person_is_asked_elsewhere_and_the_program_polls_in_the_servers_pace() {
    let grant = Ciba::login_hint("alice").binding_message("W4SCT").user_code("1234").acr_values("urn:a");
    let grant = grant.requested_expiry(Duration::from_secs(60));
    let pending = || oauth_error(400, "authorization_pending");
    let slow_down = oauth_error(400, "slow_down");
    let (result, times, bodies, seen) =
        run(grant, "openid read", [asked(), pending(), slow_down, pending(), token()]).await;
    assert_eq!(result.unwrap(), "t0k3n");
    // 5 s unless told otherwise, and 5 s more for good after `slow_down`.
    assert_eq!(times, [0, 5, 10, 20, 30]);
    assert_eq!(
        bodies[0],
        "scope=openid+read&acr_values=urn%3Aa&login_hint=alice&binding_message=W4SCT&user_code=1234&\
         requested_expiry=60&client_id=my-service"
    );
    assert_eq!(
        bodies[1],
        "grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id=1c266114-a1be&client_id=my-service"
    );
    assert_eq!(seen.first().unwrap(), r#"Some("W4SCT") Some("alice")"#);
    assert_eq!(seen.last().unwrap(), "success");
    assert!(seen.len() > 30, "{seen:?}");
}

#[tokio::test]
async fn a_login_that_names_somebody_asks_that_person_and_no_other() {
    let bob = LoginOptions::new().login_hint("bob");
    for grant in [Ciba::login_hint("alice"), Ciba::id_token_hint("e30.e30.e30"), Ciba::login_hint_token("t")]
    {
        let (result, _, bodies, seen) = run_with(grant, "openid", &bob, [asked(), token()]).await;
        result.unwrap();
        assert_eq!(bodies[0], "scope=openid&login_hint=bob&client_id=my-service");
        assert_eq!(seen[0], r#"None Some("bob")"#);
    }
}

#[tokio::test]
async fn it_ends_when_the_person_says_no_or_the_time_is_over() {
    for (answer, recovery, told) in [
        (oauth_error(400, "access_denied"), Recovery::LogIn, "denied: access_denied"),
        (oauth_error(400, "expired_token"), Recovery::LogIn, "Failed"),
        (oauth_error(400, "unauthorized_client"), Recovery::FixConfiguration, "Failed"),
        (oauth_error(400, "invalid_grant"), Recovery::LogIn, "Failed"),
    ] {
        let (result, times, _, seen) = run(Ciba::login_hint("alice"), "openid", [asked(), answer]).await;
        let error = result.unwrap_err();
        assert_eq!((error.recovery(), times.len()), (recovery, 2), "{error}");
        assert!(seen.last().unwrap().starts_with(told), "{seen:?}");
    }
    // The server never says that it is over: 60 s are 60 s.
    let pending = std::iter::repeat_with(|| oauth_error(400, "authorization_pending")).take(20);
    let (result, times, ..) =
        run(Ciba::login_hint("alice"), "openid", [asked()].into_iter().chain(pending)).await;
    assert!(matches!(result.unwrap_err(), GrantError::AuthenticationRequestExpired));
    assert!(times.iter().all(|second| *second < 60), "{times:?}");
    // A connection that fails backs off, and is no end.
    let cut = broken(TransportErrorKind::Connect);
    let (result, times, ..) = run(Ciba::login_hint("alice"), "openid", [asked(), cut, token()]).await;
    assert!(result.is_ok());
    assert_eq!(times, [0, 5, 15]);
}

#[tokio::test]
async fn whoever_waits_may_give_up() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (server(), Scripted::new(&clock, [asked()]));
    let onlooker = Onlooker { patience: Some(2), ..Onlooker::default() };
    let scope: Scope = "openid".parse().unwrap();
    let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    (cx.scope, cx.interaction) = (Some(&scope), &onlooker);
    let error = Ciba::login_hint("alice").obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Interaction(InteractionError::Cancelled)), "{error}");
    assert_eq!(transport.requests().len(), 1);
    assert!(jeton_grants::Clock::now(&clock) < a_moment() + Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_that_the_standard_forbids_is_not_sent() {
    let (result, times, ..) = run(Ciba::login_hint("alice"), "read", []).await;
    let error = result.unwrap_err();
    assert!(matches!(error, GrantError::Unfit { .. }) && error.to_string().contains("openid"), "{error}");
    assert_eq!((error.recovery(), times.len()), (Recovery::FixRequest, 0));
    let (result, ..) = run(Ciba::login_hint(""), "openid", []).await;
    assert!(matches!(result, Err(GrantError::Parameter(ParameterError::Empty { .. }))));

    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let scope: Scope = "openid".parse().unwrap();
    let mut push_only = server();
    push_only.backchannel_token_delivery_modes_supported = Some(vec!["push".into(), "ping".into()]);
    let mut cx = GrantContext::new(&push_only, "my-service", &PublicClient, &transport, &clock);
    cx.scope = Some(&scope);
    let error = Ciba::login_hint("alice").obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("jeton polls"), "{error}");
    let without = as_example();
    cx.server = &without;
    let error = Ciba::login_hint("alice").obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_asks_nobody() {
    for (answer, recovery) in [
        (json(200, r#"{"expires_in":60}"#), Recovery::FixConfiguration),
        (json(200, r#"{"auth_req_id":"x"}"#), Recovery::FixConfiguration),
        (oauth_error(400, "unknown_user_id"), Recovery::FixRequest),
        (oauth_error(400, "expired_login_hint_token"), Recovery::FixRequest),
        (oauth_error(400, "missing_user_code"), Recovery::FixRequest),
        (oauth_error(400, "invalid_binding_message"), Recovery::FixRequest),
        (oauth_error(403, "access_denied"), Recovery::LogIn),
        (oauth_error(503, "temporarily_unavailable"), Recovery::Retry { after: None }),
    ] {
        let (result, times, _, seen) = run(Ciba::login_hint_token("t"), "openid", [answer]).await;
        let error = result.unwrap_err();
        assert_eq!((error.recovery(), times.len(), seen.len()), (recovery, 1, 0), "{error}");
    }
}

#[cfg(feature = "jose")]
#[tokio::test]
async fn a_signed_request_has_all_of_its_parameters_inside() {
    use jeton_jose::{JwkSet, JwsAlgorithm, Signer, SigningKey, UnverifiedJwt};

    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k1");
    let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
    let grant = Ciba::login_hint("alice").user_code("1234").signed(key);
    let (result, _, bodies, _) = run(grant.clone(), "openid", [asked(), token()]).await;
    result.unwrap();
    let (_, _, again, _) = run(grant, "openid", [asked(), token()]).await;
    let request = |body: &str| {
        let pairs: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(pairs.len(), 2, "{body}");
        assert_eq!(pairs[1], ("client_id".to_owned(), "my-service".to_owned()));
        assert_eq!(pairs[0].0, "request");
        UnverifiedJwt::parse(&pairs[0].1)
            .unwrap()
            .verify(&keys, &[JwsAlgorithm::Es256])
            .unwrap()
            .into_claims()
    };
    let claims = request(&bodies[0]);
    assert_eq!(claims.issuer(), Some("my-service"));
    assert!(claims.is_sole_audience("https://as.example"));
    assert_eq!((claims.text("login_hint"), claims.text("user_code")), (Some("alice"), Some("1234")));
    assert_eq!(claims.text("scope"), Some("openid"));
    let now = 1_700_000_000;
    assert_eq!(
        (claims.issued_at(), claims.not_before(), claims.expires_at()),
        (Some(now), Some(now), Some(now + 60))
    );
    assert_ne!(claims.jwt_id(), request(&again[0]).jwt_id());
    // The polls are as ever.
    assert!(bodies[1].starts_with("grant_type=urn%3Aopenid"));
}
