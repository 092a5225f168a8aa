//! `jeton_pending_login`: a login that was begun and waits for its redirect.

use std::ffi::c_char;
use std::fmt;
use std::time::UNIX_EPOCH;

use jeton::{PendingLogin, Url};

use crate::error::{Failure, JETON_NEVER, JETON_RECOVERY_GIVE_UP, jeton_error};
use crate::strings::{bytes, millis};
use crate::token::Secret;
use crate::{giving, guarded};

/// A login by authorization code that was begun with jeton_session_begin_log_in. It holds what only the one who began
/// it may know: keep its serialized form in the web session of that browser, never in a URL. It works once, and
/// expires.
///
/// Ownership: free it with jeton_pending_login_free; its strings are wiped then.
///
/// Threads: does not change; any thread.
pub struct jeton_pending_login {
    url: Option<Secret>,
    state: Secret,
    expires_at_ms: i64,
    serialized: Secret,
}

impl jeton_pending_login {
    pub(crate) fn new(pending: &PendingLogin, url: Option<&Url>) -> Result<Self, Failure> {
        let serialized = Secret::json(pending).map_err(|error| {
            jeton_error::new(
                crate::JETON_ERROR_INTERNAL,
                JETON_RECOVERY_GIVE_UP,
                format!("the pending login cannot be written as JSON: {error}; please report it"),
            )
        })?;
        Ok(Self {
            url: url.map(|url| Secret::new(url.as_str())),
            state: Secret::new(pending.state().expose()),
            expires_at_ms: millis(pending.expires_at().duration_since(UNIX_EPOCH).unwrap_or_default()),
            serialized,
        })
    }

    /// As the session takes it, which uses it up.
    pub(crate) fn to_rust(&self) -> Result<PendingLogin, Failure> {
        read(self.serialized.as_bytes(), "pending")
    }
}

fn read(serialized: &[u8], name: &str) -> Result<PendingLogin, Failure> {
    serde_json::from_slice(serialized).map_err(|error| {
        // Where it stopped, and nothing of what stands there.
        jeton_error::argument(format!(
            "the argument {name} is not what jeton_pending_login_serialized gave ({:?} error in line {}, column {}); \
             begin the login again",
            error.classify(),
            error.line(),
            error.column()
        ))
    })
}

impl fmt::Debug for jeton_pending_login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("jeton_pending_login")
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

/// The URL to which the person's browser is to be sent. It holds the state: do not log it. NULL for one that came from
/// jeton_pending_login_parse, and for NULL.
///
/// Ownership: borrowed from `pending`, until jeton_pending_login_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `pending` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_url(pending: *const jeton_pending_login) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        let url = unsafe { pending.as_ref() }.and_then(|pending| pending.url.as_ref());
        url.map_or(std::ptr::null(), Secret::as_ptr)
    })
}

/// The `state` of the login (RFC 6749 §4.1.1), by which a redirect finds it among others: its parameter of that name
/// has the same value. A secret. NULL for NULL.
///
/// Ownership: borrowed from `pending`, until jeton_pending_login_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `pending` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_state(pending: *const jeton_pending_login) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { pending.as_ref() }.map_or(std::ptr::null(), |pending| pending.state.as_ptr())
    })
}

/// When the login stops working, in milliseconds of Unix time. `JETON_NEVER` for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `pending` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_expires_at_ms(pending: *const jeton_pending_login) -> i64 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(JETON_NEVER, || unsafe { pending.as_ref() }.map_or(JETON_NEVER, |pending| pending.expires_at_ms))
}

/// The login as one JSON object, for jeton_pending_login_parse in another process or later. A secret: keep it where
/// only this browser's session reaches it. NULL for NULL.
///
/// Ownership: borrowed from `pending`, until jeton_pending_login_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `pending` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_serialized(
    pending: *const jeton_pending_login,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { pending.as_ref() }.map_or(std::ptr::null(), |pending| pending.serialized.as_ptr())
    })
}

/// Reads a pending login that jeton_pending_login_serialized wrote.
///
/// `serialized`: `length` bytes. `pending`: set to the login, which is the caller's: free it with
/// jeton_pending_login_free. NULL on failure.
///
/// Threads: any thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, or what is no pending login.
///
/// # Safety
///
/// `serialized` is NULL or points to `length` bytes; `pending` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_parse(
    serialized: *const u8,
    length: usize,
    pending: *mut *mut jeton_pending_login,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(pending, "pending", error, || {
            let parsed = read(bytes(serialized, length, "serialized")?, "serialized")?;
            Ok(crate::boxed(jeton_pending_login::new(&parsed, None)?))
        })
    }
}

/// Frees a pending login and wipes its strings. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `pending` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_pending_login_free(pending: *mut jeton_pending_login) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(pending) });
}
