//! What the tests that cross crates, processes or languages have in common: a server with a clock, a person to sign in
//! with, worker processes, and a user agent for real servers' pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests: where one fails, the test fails.

pub mod browser;
pub mod chromium;
#[cfg(unix)]
pub mod faults;
#[cfg(unix)]
pub mod four_languages;
pub mod house;
mod html;
pub mod log;
pub mod person;
#[cfg(unix)]
pub mod picture;
#[cfg(unix)]
pub mod pictures;
#[cfg(unix)]
pub mod terminal;
pub mod test_server;
pub mod user_agent;
pub mod worker;
pub mod world;

/// Waits until that is so: for what happens on another thread without telling. Fails when it takes far too long.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + browser::PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it never came about that {what}");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}
