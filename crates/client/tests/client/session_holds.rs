//! What one process learns of the server by a failure, the others are told through the record: a `Retry-After`, and that a
//! refresh token may be spent. A second client over the same store stands for another process, or a later run: they share
//! nothing else.

use std::time::Duration;

use crate::support::{LIFETIME, World, soon, text};
use jeton_client::{Error, Recovery};
use jeton_devserver::{Endpoint, Fault};

/// Inside the margin: the token counts as expired and still lives.
const LEFT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_refresh_token_that_may_be_spent_is_not_sent_by_another_process_while_the_access_token_lives() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let old = text(&session.cached().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
    assert_eq!(text(&soon(session.token()).await.unwrap()), old);
    assert_eq!(world.refresh_requests(), 1);
    let hold = world.stored(&session).await.unwrap().refresh_hold.expect("a hold in the record");
    assert!(hold.spared_until_ms.is_some() && hold.asked_until_ms.is_none());
    assert!(!hold.reason.contains(&old) && !hold.reason.is_empty());

    for _ in 0..3 {
        let later = world.client();
        assert_eq!(text(&soon(later.session().token()).await.unwrap()), old, "it lives, and is served");
    }
    assert_eq!(world.refresh_requests(), 1);

    // It dies: whoever comes first sends the refresh token once more, and nobody else.
    world.clock.advance(LEFT);
    let later = world.client().session();
    let new = text(&soon(later.token()).await.unwrap());
    assert_ne!(new, old);
    assert_eq!(text(&soon(session.token()).await.unwrap()), new);
    assert_eq!(world.refresh_requests(), 2);
    assert_eq!(world.stored(&session).await.unwrap().refresh_hold, None, "the new one is not held back");
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn an_explicit_refresh_may_send_what_may_be_spent() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(LIFETIME - LEFT);
    world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
    soon(session.token()).await.unwrap();
    soon(world.client().session().refresh()).await.unwrap();
    assert_eq!(world.refresh_requests(), 2);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_token_that_a_resource_server_rejected_is_not_worth_sparing() {
    // In the process that saw the failure after the usual wait, in another one at once.
    for (same_process, wait) in [(true, Duration::from_secs(1)), (false, Duration::ZERO)] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.clock.advance(LIFETIME - LEFT);
        world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
        let old = text(&soon(session.token()).await.unwrap());
        let session = if same_process { session } else { world.client().session() };
        world.clock.advance(wait);
        let served = soon(session.token()).await.unwrap();
        assert_eq!(text(&served), old);
        assert_eq!(world.refresh_requests(), 1);
        assert!(session.reject(&served));
        assert_ne!(text(&soon(session.token()).await.unwrap()), old);
        assert_eq!(world.refresh_requests(), 2);
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn the_time_that_the_server_named_holds_for_everybody() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(LIFETIME * 2);
    world.server.fault_always(Endpoint::Token, Fault::unavailable(Some("30")));
    soon(session.token()).await.unwrap_err();

    let other = world.client().session();
    for explicit in [false, true] {
        let error = soon(async { if explicit { other.refresh().await } else { other.token().await } })
            .await
            .unwrap_err();
        let Error::BackingOff { after, last } = &error else { panic!("{error}") };
        assert_eq!(*after, Duration::from_secs(30));
        assert!(matches!(**last, Error::FailedElsewhere(_)), "{last:?}");
        assert_eq!(error.recovery(), Recovery::Retry { after: Some(*after) });
        assert!(error.to_string().contains("503"), "it says how: {error}");
    }
    assert_eq!(world.refresh_requests(), 1);

    // A clock that was set back does not make the wait longer.
    world.clock.set(world.now() - Duration::from_secs(5));
    soon(world.client().session().token()).await.unwrap_err();
    assert_eq!(world.refresh_requests(), 2, "asked again");
    world.clock.advance(Duration::from_secs(30));
    world.server.clear_faults();
    soon(world.client().session().token()).await.unwrap();
    assert_eq!(world.stored(&session).await.unwrap().refresh_hold, None);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn what_one_configuration_did_wrong_holds_nobody_else_up() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    // No `Retry-After`, and the server surely did nothing with it.
    for fault in
        [Fault::unavailable(None), Fault::oauth_error("invalid_client"), Fault::oauth_error("invalid_scope")]
    {
        world.server.fault(Endpoint::Token, fault);
        soon(world.client().session().token()).await.unwrap_err();
        assert_eq!(world.stored(&session).await.unwrap().refresh_hold, None);
    }
    soon(world.client().session().token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_hold_ends_with_a_new_login() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::unavailable(Some("3000")));
    soon(session.token()).await.unwrap_err();
    let other = world.client().session();
    let new = text(&world.log_in(&other).await);
    assert_eq!(text(&soon(session.token()).await.unwrap()), new);
    assert_eq!(world.stored(&session).await.unwrap().refresh_hold, None);
}

#[tokio::test]
async fn a_hold_that_cannot_be_written_is_no_error_of_its_own() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::unavailable(Some("30")));
    world.store.fail_saves(1);
    let error = soon(session.token()).await.unwrap_err();
    assert!(matches!(error, Error::Grant(_)), "{error}");
    assert!(session.persist_error().is_none());
    assert!(matches!(soon(session.token()).await, Err(Error::BackingOff { .. })), "this process knows");
}

#[tokio::test]
async fn a_process_that_begins_while_the_server_fails_serves_the_stored_token_that_still_lives() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let old = text(&session.cached().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
    let begun = world.client().session();
    assert_eq!(text(&soon(begun.token()).await.unwrap()), old);
    assert!(begun.cached().is_none(), "it is served for want of a better one, and not taken for fresh");
    soon(begun.refresh()).await.unwrap_err();

    // One that this process knows to be rejected is not served, though it is what the store has.
    let rejecting = world.client().session();
    let token = soon(rejecting.token()).await.unwrap();
    assert!(rejecting.reject(&token));
    soon(rejecting.token()).await.unwrap_err();
    world.clock.advance(LEFT);
    soon(begun.token()).await.unwrap_err();
}

#[tokio::test]
async fn what_must_not_be_forgotten_outlives_many_other_logins_and_no_more() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    world.expire();
    // No `Retry-After`: only this process knows.
    world.server.fault(Endpoint::Token, Fault::unavailable(None));
    soon(session.token()).await.unwrap_err();
    drop(session);
    for account in 0..1_000 {
        drop(client.account(format!("someone-{account}")));
    }
    assert!(matches!(soon(client.session().token()).await, Err(Error::BackingOff { .. })));
    assert_eq!(world.refresh_requests(), 1);
    world.clock.advance(Duration::from_secs(1));
    soon(client.session().token()).await.unwrap();
}

#[tokio::test]
async fn an_explicit_refresh_of_a_process_that_has_just_begun_leaves_a_hold_too() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let old = text(&session.cached().unwrap());
    world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
    let begun = world.client().session();
    soon(begun.refresh()).await.unwrap_err();
    assert!(world.stored(&session).await.unwrap().refresh_hold.is_some());
    world.clock.advance(LIFETIME - LEFT);
    for session in [begun, world.client().session()] {
        assert_eq!(text(&soon(session.token()).await.unwrap()), old);
    }
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn the_late_rejection_of_an_older_token_does_not_put_the_present_one_at_risk() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let first = session.cached().unwrap();
    soon(session.refresh()).await.unwrap();
    let second = session.cached().unwrap();
    world.clock.advance(LIFETIME - LEFT);
    world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&second));
    assert_eq!(world.refresh_requests(), 2);
    // A request that was sent with the first one is answered now.
    world.clock.advance(Duration::from_secs(2));
    assert!(session.reject(&first));
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&second));
    assert_eq!(world.refresh_requests(), 2);
}

#[tokio::test]
async fn a_hint_does_not_undo_what_somebody_did_without_the_lease() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Gate, Fault::unavailable(Some("30"))]));
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    // A restored backup, a foreign program: the next load under the lease finds another refresh token.
    let mut other = world.stored(&session).await.unwrap();
    other.set_refresh_token("restored".into(), world.now());
    world.store.intrude(0, other);
    world.server.open_gate();
    soon(waiting).await.unwrap().unwrap_err();
    assert!(world.stored(&session).await.unwrap().refresh_hold.is_none());
}
