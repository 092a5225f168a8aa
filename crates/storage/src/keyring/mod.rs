//! Logins in the operating system's keychain.

mod connection;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod keychain;
mod platform;
mod service;
mod worker;
