//! The server's signing keys: fetched once, kept for a while, fetched again for an unknown key and not for each one.

use std::time::Duration;

use jeton_grants::{
    Clock, GrantContext, GrantError, JwksCache, JwtRejection, ManualClock, PublicClient, Transport,
    TransportErrorKind,
};
use jeton_jose::{Claims, JwkSet, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::AuthorizationServerMetadata;

use crate::support::{Answered, Scripted, a_moment, answer, as_example, broken, json, with_header};

const ES256: &[JwsAlgorithm] = &[JwsAlgorithm::Es256];

fn key(id: &str) -> SigningKey {
    SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id(id)
}

fn published(keys: &[&SigningKey]) -> Answered {
    let set: JwkSet = keys.iter().filter_map(|key| key.public_jwk()).cloned().collect();
    json(200, &serde_json::to_string(&set).unwrap())
}

async fn jwt(key: &SigningKey) -> String {
    let claims = Claims::new().with("sub", "alice");
    sign_jwt(key, JwtHeader::default(), &claims).await.unwrap().expose().to_owned()
}

struct World {
    clock: ManualClock,
    transport: Scripted,
    server: AuthorizationServerMetadata,
    cache: JwksCache,
}

impl World {
    fn new(answers: impl IntoIterator<Item = Answered>) -> Self {
        let clock = ManualClock::at(a_moment());
        let mut server = as_example();
        server.jwks_uri = Some("https://as.example/jwks?key=h1dd3n-key".into());
        Self { transport: Scripted::new(&clock, answers), clock, server, cache: JwksCache::new() }
    }

    async fn verify(&self, jwt: &str) -> Result<(), JwtRejection> {
        let transport: &dyn Transport = &self.transport;
        let cx = GrantContext::new(&self.server, "me", &PublicClient, transport, &self.clock);
        self.cache.verify(&cx, jwt, ES256).await.map(drop)
    }

    fn requests(&self) -> usize {
        self.transport.requests().len()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn is_unknown(result: Result<(), JwtRejection>) -> bool {
    matches!(result, Err(JwtRejection::Jwt(JwtError::UnknownKey { .. })))
}

#[tokio::test]
async fn a29_keys_are_fetched_once_and_kept_as_long_as_the_server_says() {
    let (one, two) = (key("1"), key("2"));
    let kept = with_header(published(&[&one]), "cache-control", "public, max-age=1000");
    let world = World::new([kept, published(&[&one]), published(&[&one, &two])]);
    let right = jwt(&one).await;
    for _ in 0..5 {
        world.verify(&right).await.unwrap();
    }
    assert_eq!(world.requests(), 1);
    let request = &world.transport.requests()[0];
    assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/jwks"));
    assert!(request.headers().get("authorization").is_none());
    world.pass(999);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 1);
    world.pass(1);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 2);
    // An hour where it says nothing.
    world.pass(3_599);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 2);
    world.pass(1);
    world.verify(&jwt(&two).await).await.unwrap();
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a29_an_unknown_kid_costs_one_refetch_and_a_flood_of_them_no_more() {
    let (old, new, later) = (key("old"), key("new"), key("later"));
    let world =
        World::new([published(&[&old]), published(&[&new]), published(&[&new, &later]), published(&[])]);
    world.verify(&jwt(&old).await).await.unwrap();
    world.verify(&jwt(&new).await).await.unwrap();
    assert_eq!(world.requests(), 2);
    // Nobody knows these.
    for n in 0..50 {
        assert!(is_unknown(world.verify(&jwt(&key(&n.to_string())).await).await));
    }
    assert!(is_unknown(world.verify(&jwt(&later).await).await));
    assert_eq!(world.requests(), 2);
    world.verify(&jwt(&new).await).await.unwrap();
    world.pass(60);
    world.verify(&jwt(&later).await).await.unwrap();
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a29_what_cannot_be_right_costs_no_request() {
    let world = World::new([]);
    let hmac =
        SigningKey::from_secret(&"0123456789abcdef0123456789abcdef".into(), JwsAlgorithm::Hs256).unwrap();
    let ed = SigningKey::generate(JwsAlgorithm::Ed25519).unwrap();
    for wrong in [
        "".to_owned(),
        "a.b.c".to_owned(),
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        jwt(&hmac).await,
        jwt(&ed).await,
    ] {
        assert!(matches!(world.verify(&wrong).await, Err(JwtRejection::Jwt(_))), "{wrong}");
    }
    // Nor does a wrong signature of a key that is known.
    let world = World::new([published(&[&key("1")])]);
    let forged = jwt(&key("1")).await;
    for _ in 0..3 {
        let error = world.verify(&forged).await.unwrap_err();
        assert!(matches!(error, JwtRejection::Jwt(JwtError::Signature { .. })), "{error}");
    }
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a29_old_keys_go_on_working_while_new_ones_cannot_be_had_but_not_forever() {
    let one = key("1");
    let right = jwt(&one).await;
    let unavailable = || json(503, r#"{"error":"temporarily_unavailable"}"#);
    let world = World::new([
        published(&[&one]),
        broken(TransportErrorKind::Connect),
        unavailable(),
        answer(200, "text/html", "<html>log in to the network</html>"),
        published(&[&one]),
    ]);
    world.verify(&right).await.unwrap();
    world.pass(3_600);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 2);
    // Nobody asks again at once.
    world.pass(59);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 2);
    world.pass(1);
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 3);
    // A day later it is over.
    world.pass(24 * 3_600);
    let error = world.verify(&right).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        matches!(error, JwtRejection::Keys(_)) && shown.contains("signing keys at https://as.example/jwks"),
        "{shown}"
    );
    assert!(!shown.contains("h1dd3n"), "{shown}");
    world.verify(&right).await.unwrap();
    assert_eq!(world.requests(), 5);
}

#[tokio::test]
async fn a_failed_refetch_for_an_unknown_key_is_told_and_counts() {
    let (one, two) = (key("1"), key("2"));
    let world = World::new([published(&[&one]), broken(TransportErrorKind::Timeout)]);
    world.verify(&jwt(&one).await).await.unwrap();
    let error = world.verify(&jwt(&two).await).await.unwrap_err();
    assert!(
        matches!(&error, JwtRejection::Keys(error) if matches!(**error, GrantError::Transport { .. })),
        "{error}"
    );
    assert!(is_unknown(world.verify(&jwt(&two).await).await));
    world.verify(&jwt(&one).await).await.unwrap();
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn what_is_no_set_of_keys_is_told() {
    let right = jwt(&key("1")).await;
    let huge = format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(200));
    let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(512 * 1024));
    let rows: Vec<(Answered, &str)> = vec![
        (json(200, "{}"), "keys"),
        (json(200, r#"{"keys":{}}"#), "keys"),
        (json(200, &huge), "200 keys"),
        (json(200, &large), "larger than the limit"),
        (answer(200, "text/html", "<html>"), "markup"),
        (answer(200, "application/json", ""), "without a body"),
        (with_header(json(302, ""), "location", "https://evil.example"), "redirect"),
        (json(404, "{}"), "404"),
    ];
    for (answered, says) in rows {
        let world = World::new([answered]);
        let error = world.verify(&right).await.unwrap_err();
        assert!(
            matches!(error, JwtRejection::Keys(_)) && error.to_string().contains(says),
            "{says}: {error}"
        );
    }
    // Over a wire that everybody reads, nobody's keys are fetched.
    let mut world = World::new([]);
    for uri in [Some("http://as.example/jwks".to_owned()), None] {
        world.server.jwks_uri = uri;
        let error = world.verify(&right).await.unwrap_err();
        assert!(matches!(&error, JwtRejection::Keys(_)), "{error}");
    }
}

#[tokio::test]
async fn pinned_keys_are_the_only_ones() {
    let (one, two) = (key("1"), key("2"));
    let mut world = World::new([]);
    world.cache = JwksCache::pinned(one.public_jwk().cloned().into_iter().collect());
    world.verify(&jwt(&one).await).await.unwrap();
    assert!(is_unknown(world.verify(&jwt(&two).await).await));
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn keys_of_one_server_are_not_those_of_another() {
    let (one, two) = (key("1"), key("1"));
    let mut world = World::new([published(&[&one]), published(&[&two])]);
    world.verify(&jwt(&one).await).await.unwrap();
    world.server.jwks_uri = Some("https://other.example/jwks".into());
    assert!(world.verify(&jwt(&one).await).await.is_err());
    world.verify(&jwt(&two).await).await.unwrap();
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_no_key_for_longer() {
    let one = key("1");
    let world = World::new([published(&[&one]), published(&[&one])]);
    let right = jwt(&one).await;
    world.verify(&right).await.unwrap();
    let earlier = ManualClock::at(a_moment() - Duration::from_secs(86_400 * 365));
    let cx = GrantContext::new(&world.server, "me", &PublicClient, &world.transport, &earlier);
    assert!(earlier.now() < a_moment());
    world.cache.verify(&cx, &right, ES256).await.unwrap();
    assert_eq!(world.requests(), 2);
}
