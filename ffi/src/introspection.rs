//! `jeton_introspection`: what a server says about a token.

use std::ffi::{CString, c_char};

use jeton::models::Introspection;

use crate::error::JETON_NEVER;
use crate::guarded;
use crate::strings::{owned, pointer_to};

/// What the server says about an access token (RFC 7662 §2.2): jeton_session_introspect.
///
/// Ownership: free it with jeton_introspection_free.
///
/// Threads: does not change; any thread.
pub struct jeton_introspection {
    active: bool,
    scope: Option<CString>,
    subject: Option<CString>,
    username: Option<CString>,
    client_id: Option<CString>,
    expires_at_ms: i64,
    json: CString,
}

impl jeton_introspection {
    pub(crate) fn new(answer: &Introspection) -> Self {
        let text = |text: &Option<String>| text.clone().map(owned);
        let expires_at =
            answer.exp.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
        Self {
            active: answer.active,
            scope: answer.scope.as_ref().map(|scope| owned(scope.to_string())),
            subject: text(&answer.sub),
            username: text(&answer.username),
            client_id: text(&answer.client_id),
            expires_at_ms: expires_at.unwrap_or(JETON_NEVER),
            json: owned(answer.to_json()),
        }
    }
}

impl std::fmt::Debug for jeton_introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest names persons.
        f.debug_struct("jeton_introspection").field("active", &self.active).finish_non_exhaustive()
    }
}

/// # Safety
///
/// `introspection` is NULL or a live handle.
unsafe fn text_of(
    introspection: *const jeton_introspection,
    choose: impl FnOnce(&jeton_introspection) -> Option<&CString>,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        pointer_to(unsafe { introspection.as_ref() }.and_then(choose))
    })
}

/// Whether the token is one of the server's and valid now: 1, else 0. If it is not, the rest says nothing. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_is_active(introspection: *const jeton_introspection) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || i32::from(unsafe { introspection.as_ref() }.is_some_and(|answer| answer.active)))
}

/// What the token is good for: names separated by spaces. NULL if the server does not say, and for NULL.
///
/// Ownership: borrowed from `introspection`, until jeton_introspection_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_scope(
    introspection: *const jeton_introspection,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(introspection, |answer| answer.scope.as_ref()) }
}

/// Who authorized the token, for machines: the member "sub". NULL if the server does not say, and for NULL.
///
/// Ownership: borrowed from `introspection`, until jeton_introspection_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_subject(
    introspection: *const jeton_introspection,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(introspection, |answer| answer.subject.as_ref()) }
}

/// Who authorized the token, for people. NULL if the server does not say, and for NULL.
///
/// Ownership: borrowed from `introspection`, until jeton_introspection_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_username(
    introspection: *const jeton_introspection,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(introspection, |answer| answer.username.as_ref()) }
}

/// The client that the token was issued to. NULL if the server does not say, and for NULL.
///
/// Ownership: borrowed from `introspection`, until jeton_introspection_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_client_id(
    introspection: *const jeton_introspection,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(introspection, |answer| answer.client_id.as_ref()) }
}

/// When the token expires, in milliseconds of Unix time. `JETON_NEVER` if the server does not say, and for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_expires_at_ms(introspection: *const jeton_introspection) -> i64 {
    guarded(JETON_NEVER, || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { introspection.as_ref() }.map_or(JETON_NEVER, |answer| answer.expires_at_ms)
    })
}

/// The whole answer as one JSON object, with the members that have no function here. NULL for NULL.
///
/// Ownership: borrowed from `introspection`, until jeton_introspection_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_json(
    introspection: *const jeton_introspection,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text_of(introspection, |answer| Some(&answer.json)) }
}

/// Frees an introspection answer. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `introspection` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_introspection_free(introspection: *mut jeton_introspection) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(introspection) });
}
