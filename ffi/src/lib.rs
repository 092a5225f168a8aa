//! The C ABI of jeton: `libjeton`, declared in `include/jeton.h`, which `cargo xtask header` generates from this
//! crate. The comments on the functions are written for C programmers; they go into the header as they stand.
//!
//! Conventions of every function, also of those to come:
//! - prefix `jeton_`; any pointer argument may be NULL without a crash; no panic crosses the border: each body runs in
//!   [`guarded`], [`fallible`] or [`giving`];
//! - strings in are NUL-terminated UTF-8 and are only read during the call;
//! - strings out are borrowed from what they belong to (a handle, or the library itself) and never freed by the caller;
//! - fallible functions return a status and take a `jeton_error **`; on failure out-pointers are NULL;
//! - answers of yes and no are `int32_t`, 1 and 0.
#![allow(
    unsafe_code,
    reason = "the C ABI: exported names and pointers from C; unsafe stays inside this crate"
)]
#![allow(non_camel_case_types, reason = "types are named as C programs know them")]
#![deny(unsafe_op_in_unsafe_fn)]

// In the order in which the header shows them; the empty lines keep rustfmt from sorting them.
mod version;

mod log;

mod error;

mod cancel;

mod interaction;

mod event;

mod store;

mod config;

mod signer;

mod client;

mod accounts;

mod session;

mod pending_login;

mod token;

mod introspection;

mod id_token;

mod dpop;

mod request;

mod response;

mod resource_client;

mod browser;
mod callbacks;
mod strings;
mod wait;
mod words;

pub use accounts::*;
pub use cancel::*;
pub use client::*;
pub use config::*;
pub use dpop::*;
pub use error::*;
pub use event::*;
pub use id_token::*;
pub use interaction::*;
pub use introspection::*;
pub use log::*;
pub use pending_login::*;
pub use request::*;
pub use resource_client::*;
pub use response::*;
pub use session::*;
pub use signer::*;
pub use store::*;
pub use token::*;
pub use version::*;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of an exported function; if it panics, the caller gets `fallback` instead of an unwinding
/// stack, which C cannot survive.
///
/// What a panic leaves half done is behind handles whose state is whole at any time (locks that survive poisoning,
/// atomics); hence no body has to promise `UnwindSafe`.
fn guarded<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        panic_if_told();
        body()
    }))
    .unwrap_or(fallback)
}

/// Runs the body of a fallible exported function: `*error` is NULL unless it fails, then it is what the body failed
/// with. A panic becomes `JETON_ERROR_INTERNAL`.
///
/// # Safety
///
/// `error` is NULL or points to where a pointer can be written.
unsafe fn fallible(error: *mut *mut jeton_error, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { set(error, std::ptr::null_mut()) };
    let result = catch_unwind(AssertUnwindSafe(|| {
        panic_if_told();
        body()
    }));
    let failure = match result {
        Ok(Ok(())) => return JETON_OK,
        Ok(Err(failure)) => failure,
        Err(payload) => match catch_unwind(AssertUnwindSafe(|| jeton_error::panicked(&*payload))) {
            Ok(failure) => failure,
            Err(_) => return JETON_ERROR_INTERNAL,
        },
    };
    let status = failure.status();
    if !error.is_null() {
        // SAFETY: as the caller promises.
        unsafe { set(error, Box::into_raw(failure)) };
    }
    status
}

/// Like [`fallible`], for a function that hands out a handle through `out`: NULL unless the body gives one. `name` is
/// the argument's, which must not be NULL.
///
/// # Safety
///
/// `out` and `error` each are NULL or point to where a pointer can be written.
unsafe fn giving<T>(
    out: *mut *mut T,
    name: &str,
    error: *mut *mut jeton_error,
    body: impl FnOnce() -> Result<*mut T, Failure>,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        set(out, std::ptr::null_mut());
        fallible(error, || {
            if out.is_null() {
                return Err(jeton_error::argument(format!(
                    "the argument {name} is NULL; it must point to where the result goes"
                )));
            }
            set(out, body()?);
            Ok(())
        })
    }
}

/// # Safety
///
/// `out` is NULL or points to where a pointer can be written.
unsafe fn set<T>(out: *mut *mut T, value: *mut T) {
    if !out.is_null() {
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { out.write(value) };
    }
}

/// A handle as C gets it; [`free`] takes it back.
fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Frees what [`boxed`] gave out.
///
/// # Safety
///
/// `handle` is NULL or came from `Box::into_raw`, and is not used afterwards.
unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: as the caller promises.
        drop(unsafe { Box::from_raw(handle) });
    }
}

#[cfg(feature = "panic-tests")]
thread_local! {
    static PANIC_NEXT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(feature = "panic-tests")]
#[expect(clippy::panic, reason = "that is what it is for")]
fn panic_if_told() {
    if PANIC_NEXT.take() {
        panic!("told to by jeton_test_panic_next");
    }
}

#[cfg(not(feature = "panic-tests"))]
#[inline(always)]
fn panic_if_told() {}

/// The next call of a function of jeton's on this thread panics inside. For tests only, and not in the header.
#[cfg(feature = "panic-tests")]
#[unsafe(no_mangle)]
pub extern "C" fn jeton_test_panic_next() {
    PANIC_NEXT.set(true);
}

#[cfg(test)]
mod through_c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback() {
        assert_eq!(guarded(7, || 1), 1);
        assert_eq!(guarded(7, || panic!("on purpose")), 7);
    }

    #[test]
    fn a_panic_becomes_an_error_that_says_so_and_no_pointer_is_left_from_before() {
        let mut error = std::ptr::dangling_mut::<jeton_error>();
        let mut out = std::ptr::dangling_mut::<u8>();
        // SAFETY: both point to local variables; the error is one that was just made.
        unsafe {
            let status = giving(&raw mut out, "out", &raw mut error, || panic!("on purpose"));
            assert_eq!(status, JETON_ERROR_INTERNAL);
            assert!(out.is_null());
            let message = std::ffi::CStr::from_ptr(jeton_error_message(error)).to_str().unwrap();
            assert!(message.contains("on purpose"), "{message}");
            jeton_error_free(error);

            let token = String::from("dG9rZW4é");
            let status =
                giving(&raw mut out, "out", &raw mut error, || Ok(boxed(u8::from(token[..8].contains('x')))));
            assert_eq!(status, JETON_ERROR_INTERNAL);
            let message = std::ffi::CStr::from_ptr(jeton_error_message(error)).to_str().unwrap();
            assert!(message.contains("panicked") && !message.contains("dG9r"), "{message}");
            jeton_error_free(error);

            error = std::ptr::dangling_mut();
            assert_eq!(giving(&raw mut out, "out", &raw mut error, || Ok(boxed(3))), JETON_OK);
            assert!(error.is_null() && !out.is_null());
            free(out);
            assert_eq!(fallible(std::ptr::null_mut(), || Err(jeton_error::argument("x"))), 1);
            let nowhere = std::ptr::null_mut::<*mut u8>();
            assert_eq!(giving(nowhere, "out", std::ptr::null_mut(), || unreachable!()), 1);
        }
    }
}
