//! Sessions on executors of all kinds: on a tokio runtime without timers, and on none of tokio's.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::Duration;

use crate::support::{LIFETIME, World, text};
use jeton_devserver::{Endpoint, Fault};

/// A token that lives for so long is not fresh any more, and is served where there is no better one.
const LEFT: Duration = Duration::from_secs(10);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A caller whose token still lives waits for a better one, with a bound: that takes a timer, and not the caller's.
#[test]
fn a_caller_with_a_living_token_needs_no_timer_of_its_own() {
    let world_runtime = tokio::runtime::Runtime::new().unwrap();
    let without_timers = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let world = World::new();
    let (_client, session) = world_runtime.block_on(world.signed_in());
    let mut last = text(&session.cached().unwrap());
    for on_tokio in [false, true] {
        let token = || match on_tokio {
            true => without_timers.block_on(session.token()),
            false => block_on(session.token()),
        };
        world.clock.advance(LIFETIME - LEFT);
        world.server.fault(Endpoint::Token, Fault::unavailable(None));
        assert_eq!(text(&token().unwrap()), last, "it still lives");

        world.clock.advance(LEFT);
        last = text(&token().unwrap());
    }
}
