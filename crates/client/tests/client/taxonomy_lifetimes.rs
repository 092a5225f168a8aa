//! `token_valid_for`: for how long a token of what lifetime is handed out to callers with what wishes, and what they get when
//! there is no new one to be had.

use std::time::Duration;

use crate::support::{LIFETIME, World, soon, text};
use jeton_client::Error;
use jeton_devserver::{Endpoint, Fault};

const MILLISECOND: Duration = Duration::from_millis(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A wish that nobody can fulfil.
const FOR_EVER: f64 = 1e12;

#[tokio::test]
async fn until_which_age_a_token_fulfils_a_wish() {
    // Lifetime, wish, and the age at which the token does not do any more, all in seconds.
    for (lifetime, wish, age) in [
        // The margin is 30 s; a wish within it changes nothing.
        (3_600.0, 0.0, 3_570.0),
        (3_600.0, 10.0, 3_570.0),
        (3_600.0, 30.0, 3_570.0),
        // More than that counts.
        (3_600.0, 31.0, 3_569.0),
        (3_600.0, 60.0, 3_540.0),
        (3_600.0, 600.0, 3_000.0),
        (86_400.0, 7_200.0, 79_200.0),
        // Up to four fifths of the lifetime: asking the server at each call would not make its tokens live any longer.
        (3_600.0, 2_880.0, 720.0),
        (3_600.0, 2_881.0, 720.0),
        (3_600.0, 3_600.0, 720.0),
        (3_600.0, FOR_EVER, 720.0),
        // The margin is a fifth of the lifetime where that is less than 30 s.
        (150.0, 0.0, 120.0),
        (60.0, 0.0, 48.0),
        (60.0, 12.0, 48.0),
        (60.0, 13.0, 47.0),
        (60.0, 48.0, 12.0),
        (60.0, 300.0, 12.0),
        (5.0, 0.0, 4.0),
        (5.0, 3.0, 2.0),
        (5.0, 60.0, 1.0),
        (1.0, 0.0, 0.8),
        (1.0, 0.5, 0.5),
        (1.0, 60.0, 0.2),
    ] {
        let shown = format!("{wish} s of {lifetime} s");
        let world = World::with(|builder| builder.access_token_lifetime(seconds(lifetime)));
        let (_client, session) = world.signed_in().await;
        let first = text(&session.cached().unwrap());
        let wish = seconds(wish);

        world.clock.advance(seconds(age) - MILLISECOND);
        assert_eq!(text(&soon(session.token_valid_for(wish)).await.unwrap()), first, "{shown}");
        // Nor does a process that finds it in the store ask for another one.
        let other = world.client().session();
        assert_eq!(text(&soon(other.token_valid_for(wish)).await.unwrap()), first, "{shown}");
        assert_eq!(world.refresh_requests(), 0, "{shown}");

        world.clock.advance(MILLISECOND);
        let second = text(&soon(session.token_valid_for(wish)).await.unwrap());
        assert_ne!(second, first, "{shown}");
        // A new token is the best there is, whatever was wished for: the next call does not ask again.
        assert_eq!(text(&soon(session.token_valid_for(wish)).await.unwrap()), second, "{shown}");
        assert_eq!(text(&soon(other.token_valid_for(wish)).await.unwrap()), second, "{shown}");
        assert_eq!(world.refresh_requests(), 1, "{shown}");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn a_token_that_never_expires_fulfils_every_wish() {
    let world = World::with(|builder| builder.access_tokens_never_expire());
    let (_client, session) = world.signed_in().await;
    let token = text(&session.cached().unwrap());
    for wish in [0.0, 3_600.0, FOR_EVER] {
        assert_eq!(text(&soon(session.token_valid_for(seconds(wish))).await.unwrap()), token);
        world.clock.advance(LIFETIME * 24 * 365);
    }
    assert_eq!(text(&soon(session.token_valid_for(Duration::MAX)).await.unwrap()), token);
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn when_there_is_no_new_token_one_that_lives_for_longer_than_the_wish_is_served() {
    // What is left of the hour, the wish, whether the server is asked, whether the old token is served.
    for (left, wish, asked, served) in [
        // Good enough.
        (31.0, 0.0, false, true),
        (601.0, 600.0, false, true),
        // In the margin: a new one would be better.
        (30.0, 0.0, true, true),
        (20.0, 0.0, true, true),
        (20.0, 19.0, true, true),
        (0.001, 0.0, true, true),
        // Not what was wished for, and no new one to be had.
        (20.0, 20.0, true, false),
        (20.0, 30.0, true, false),
        (600.0, 600.0, true, false),
        (2_000.0, FOR_EVER, true, false),
        // Dead.
        (0.0, 0.0, true, false),
        (0.0, 10.0, true, false),
    ] {
        let shown = format!("{wish} s, with {left} s left");
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let token = text(&session.cached().unwrap());
        world.clock.advance(LIFETIME - seconds(left));
        world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
        for call in 0..3 {
            match soon(session.token_valid_for(seconds(wish))).await {
                Ok(again) => assert!(served && text(&again) == token, "{shown}"),
                Err(Error::Grant(_)) => assert!(!served && call == 0, "{shown}"),
                Err(Error::BackingOff { .. }) => assert!(!served && call > 0, "{shown}"),
                Err(other) => panic!("{shown}: {other}"),
            }
        }
        assert_eq!(world.refresh_requests(), u64::from(asked), "{shown}");
        // One caller's wish is not another's: whoever wishes for nothing is served as long as the token lives.
        assert_eq!(soon(session.token()).await.is_ok(), left > 0.0, "{shown}");
        assert_eq!(world.refresh_requests(), u64::from(asked), "{shown}");
    }
}
