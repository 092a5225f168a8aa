//! The C ABI of jeton: `libjeton`, declared in `include/jeton.h`, which `cargo xtask header` generates from this
//! crate. The comments on the functions are written for C programmers; they go into the header as they stand.
//!
//! Conventions of every function, also of those to come:
//! - prefix `jeton_`; any pointer argument may be NULL without a crash; no panic crosses the border;
//! - strings in are NUL-terminated UTF-8 and are only read during the call;
//! - strings out are borrowed from what they belong to (here: the library itself) and never freed by the caller;
//! - answers of yes and no are `int32_t`, 1 and 0.
#![allow(
    unsafe_code,
    reason = "the C ABI: exported names and pointers from C; unsafe stays inside this crate"
)]
#![deny(unsafe_op_in_unsafe_fn)]

mod version;

pub use version::{jeton_has_feature, jeton_version, jeton_version_number};

/// Runs the body of an exported function; if it panics, the caller gets `fallback` instead of an unwinding
/// stack, which C cannot survive.
fn guarded<T>(fallback: T, body: impl FnOnce() -> T + std::panic::UnwindSafe) -> T {
    std::panic::catch_unwind(body).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_the_fallback() {
        assert_eq!(guarded(7, || 1), 1);
        assert_eq!(guarded(7, || panic!("on purpose")), 7);
    }
}
