//! What the tests that cross crates, processes or languages have in common.

mod html;
pub mod user_agent;
