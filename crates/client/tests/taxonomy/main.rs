//! The error taxonomy: what a session makes of everything that a token endpoint, or the way to it, may do to a refresh.
//! The tables are the documentation; `row.rs` says what each column means and looks at it through a real session.

// A test that fails does so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accepted;
mod bodies;
mod ended;
mod network;
mod oauth_errors;
mod retry_after;
mod row;
mod statuses;
#[path = "../client/support/mod.rs"]
mod support;
mod without_a_person;
