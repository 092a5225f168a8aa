//! What is kept of introspection answers (RFC 7662 §4): for a short time, never beyond the token's expiry, of so many tokens.

use std::time::Duration;

use jeton_grants::{ClientSecretBasic, GrantContext, GrantError, IntrospectionCache, ManualClock};
use jeton_models::{AuthorizationServerMetadata, Introspection, Secret};

use crate::support::{Answered, Scripted, a_moment, as_example, json, oauth_error};

const NOW: u64 = 1_700_000_000;

struct World {
    clock: ManualClock,
    transport: Scripted,
    server: AuthorizationServerMetadata,
    authentication: ClientSecretBasic,
}

impl World {
    fn new(answers: impl IntoIterator<Item = Answered>) -> Self {
        let clock = ManualClock::at(a_moment());
        let mut server = as_example();
        server.introspection_endpoint = Some("https://as.example/introspect".into());
        let authentication = ClientSecretBasic::new("s3cr3t");
        Self { transport: Scripted::new(&clock, answers), clock, server, authentication }
    }

    fn cx<'a>(&'a self, client_id: &'a str) -> GrantContext<'a> {
        GrantContext::new(&self.server, client_id, &self.authentication, &self.transport, &self.clock)
    }

    async fn ask(&self, cache: &IntrospectionCache, token: &str) -> Result<Introspection, GrantError> {
        cache.introspect(&self.cx("me"), &Secret::from(token), None).await
    }

    fn asked(&self) -> usize {
        self.transport.requests().len()
    }
}

fn active() -> Answered {
    json(200, r#"{"active":true,"sub":"alice"}"#)
}

#[tokio::test]
async fn a13_an_active_answer_is_kept_for_its_time_and_not_beyond_the_expiry() {
    let until = |exp: u64| json(200, &format!(r#"{{"active":true,"exp":{exp}}}"#));
    let world = World::new([active(), active(), until(NOW + 30 + 10), until(NOW + 30 + 10)]);
    let cache = IntrospectionCache::new();
    for seconds in [0, 10, 19] {
        world.clock.advance(Duration::from_secs(seconds));
        assert_eq!(world.ask(&cache, "a").await.unwrap().sub.as_deref(), Some("alice"));
    }
    assert_eq!(world.asked(), 1);
    world.clock.advance(Duration::from_secs(1));
    world.ask(&cache, "a").await.unwrap();
    assert_eq!(world.asked(), 2);
    // Ten seconds are left.
    world.ask(&cache, "b").await.unwrap();
    world.clock.advance(Duration::from_secs(9));
    world.ask(&cache, "b").await.unwrap();
    assert_eq!(world.asked(), 3);
    world.clock.advance(Duration::from_secs(1));
    world.ask(&cache, "b").await.unwrap();
    assert_eq!(world.asked(), 4);
}

#[tokio::test]
async fn a13_errors_are_not_kept_and_inactive_answers_only_where_asked() {
    let inactive = || json(200, r#"{"active":false}"#);
    let world = World::new([
        oauth_error(503, "temporarily_unavailable"),
        inactive(),
        inactive(),
        inactive(),
        inactive(),
        active(),
    ]);
    let cache = IntrospectionCache::new();
    world.ask(&cache, "a").await.unwrap_err();
    for _ in 0..2 {
        assert!(!world.ask(&cache, "a").await.unwrap().active);
    }
    assert_eq!(world.asked(), 3);
    let cache = IntrospectionCache::new().longest(Duration::from_secs(10)).inactive(Duration::from_secs(60));
    for _ in 0..3 {
        assert!(!world.ask(&cache, "a").await.unwrap().active);
    }
    assert_eq!(world.asked(), 4);
    // Not for longer than an active one.
    world.clock.advance(Duration::from_secs(10));
    world.ask(&cache, "a").await.unwrap();
    assert_eq!(world.asked(), 5);
    world.clock.advance(Duration::from_secs(10));
    assert!(world.ask(&cache, "a").await.unwrap().active);
}

#[tokio::test]
async fn a13_it_has_bounds_and_knows_tokens_clients_and_clones_apart() {
    let world = World::new((0..200).map(|_| active()));
    let cache = IntrospectionCache::new().most(8);
    for n in 0..100 {
        // Those that go at the same time go in any order.
        world.clock.advance(Duration::from_millis(10));
        world.ask(&cache, &n.to_string()).await.unwrap();
        assert!(format!("{cache:?}").contains("most: 8"));
    }
    assert_eq!(world.asked(), 100);
    // The newest is there, by way of a clone, too; the oldest is not.
    world.ask(&cache.clone(), "99").await.unwrap();
    assert_eq!(world.asked(), 100);
    world.ask(&cache, "0").await.unwrap();
    assert_eq!(world.asked(), 101);
    // Another client may be told something else.
    cache.introspect(&world.cx("you"), &Secret::from("99"), None).await.unwrap();
    assert_eq!(world.asked(), 102);
    let none = IntrospectionCache::new().most(0);
    for asked in [103, 104] {
        world.ask(&none, "a").await.unwrap();
        assert_eq!(world.asked(), asked);
    }
}

#[tokio::test]
async fn a13_what_is_forgotten_is_asked_again_and_a_clock_set_back_keeps_nothing() {
    let world = World::new([active(), active(), active()]);
    let cache = IntrospectionCache::new();
    world.ask(&cache, "a").await.unwrap();
    cache.forget(&world.cx("me"), &Secret::from("a"));
    world.ask(&cache, "a").await.unwrap();
    assert_eq!(world.asked(), 2);
    let earlier = ManualClock::at(a_moment() - Duration::from_secs(5));
    let mut cx = world.cx("me");
    cx.clock = &earlier;
    cache.introspect(&cx, &Secret::from("a"), None).await.unwrap();
    assert_eq!(world.asked(), 3);
}
