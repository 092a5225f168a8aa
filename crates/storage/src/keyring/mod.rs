//! Logins in the operating system's keychain.

mod connection;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod keychain;
mod login;
mod parts;
mod platform;
mod service;
mod store;
#[cfg(test)]
mod store_tests;
mod worker;

pub use store::{KeyringStore, KeyringStoreBuilder};
