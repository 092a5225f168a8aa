//! What the benchmarks are made of: the cases, the server that they talk to, and what they report.
//!
//! The programs: `jeton-bench` runs everything and prints it; `micro` times the small cases with criterion, and `allocations`
//! counts, with an allocator of its own, what each case allocates. Both are run by the first. `token` times whole commands.

pub mod cases;
pub mod commands;
pub mod contestants;
pub mod keychain;
pub mod paired;
pub mod plot;
pub mod report;
pub mod server;
pub mod timing;
pub mod waiters;

/// reqwest without a TLS of its own wants to be told which cryptography to use, also where none is used.
pub fn install_cryptography() {
    // It fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
