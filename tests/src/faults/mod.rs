//! The fault lab: real processes share a store against a server that ends a login for good when a refresh token is used twice,
//! while they are killed and stopped, the server misbehaves, the disk fills up and the clock jumps.
//!
//! Nothing in the library knows of it. A [`worker`] process puts witnesses between jeton and the world (transport, store,
//! lease), which tell what happens and kill the process at the named points; the [`driver`] is server, person and evil spirit;
//! the [`verdict`] follows each refresh token from the server's commit to the disk.

mod clock;
pub mod command;
mod disk;
pub mod driver;
pub mod event;
mod keychain;
mod ledger;
mod process;
pub mod random;
pub mod report;
pub mod scenario;
#[cfg(target_os = "linux")]
#[path = "../../../crates/storage/tests/secret_service/mod.rs"]
pub(crate) mod secret_service;
pub mod store;
pub mod verdict;
mod witness;
pub mod worker;
