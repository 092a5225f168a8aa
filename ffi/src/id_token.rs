//! `jeton_id_token`: who logged in, as the server says it (OpenID Connect).

use std::ffi::{CString, c_char};

use crate::cancel::jeton_cancel;
use crate::error::{Failure, jeton_error};
use crate::session::jeton_session;
use crate::strings::{handle, pointer_to};
use crate::{giving, guarded};

/// Who logged in, as the server said it last (OpenID Connect Core §2): jeton_session_id_token.
///
/// Ownership: free it with jeton_id_token_free.
///
/// Threads: does not change; any thread.
pub struct jeton_id_token {
    subject: CString,
    claims: CString,
}

impl std::fmt::Debug for jeton_id_token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It names a person.
        f.debug_struct("jeton_id_token").finish_non_exhaustive()
    }
}

/// The newest ID token of the login: its signature, issuer, audience, nonce and times were checked when it came. The client asks for
/// one with the scope "openid". It is read from the store; nothing is sent. It says who logged in, not that the login still works.
///
/// `cancel`: ends the call, or NULL. `id_token`: set to it, or to NULL if there is none, which is no error; the caller's: free it with
/// jeton_id_token_free.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_STORE` if the store cannot be read, `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "openid",
/// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `id_token` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_id_token(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    id_token: *mut *mut jeton_id_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { giving(id_token, "id_token", error, || read(handle(session, "session")?, cancel)) }
}

/// # Safety
///
/// `cancel` is NULL or a live handle.
#[cfg(feature = "openid")]
unsafe fn read(session: &jeton_session, cancel: *const jeton_cancel) -> Result<*mut jeton_id_token, Failure> {
    use crate::strings::owned;

    let reading = session.session.clone();
    // SAFETY: as the caller promises.
    let cancel = unsafe { crate::cancel::watch(cancel) };
    let found = crate::wait::wait(&session.client, cancel, async move { reading.id_token().await })?;
    let Some(id_token) = found else { return Ok(std::ptr::null_mut()) };
    Ok(crate::boxed(jeton_id_token {
        subject: owned(id_token.subject()),
        claims: owned(serde_json::to_string(id_token.claims()).unwrap_or_default()),
    }))
}

/// # Safety
///
/// None: the argument is not looked at.
#[cfg(not(feature = "openid"))]
unsafe fn read(_: &jeton_session, _: *const jeton_cancel) -> Result<*mut jeton_id_token, Failure> {
    Err(jeton_error::unsupported("jeton_session_id_token", "openid"))
}

/// Who logged in: the claim "sub", which is the person's name at this server for good. Compare it together with the issuer. NULL for
/// NULL.
///
/// Ownership: borrowed from `id_token`, until jeton_id_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `id_token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_id_token_subject(id_token: *const jeton_id_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { id_token.as_ref() }.map(|id_token| &id_token.subject))
    })
}

/// All claims as one JSON object. NULL for NULL.
///
/// Ownership: borrowed from `id_token`, until jeton_id_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `id_token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_id_token_claims_json(id_token: *const jeton_id_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { id_token.as_ref() }.map(|id_token| &id_token.claims))
    })
}

/// Frees an ID token. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `id_token` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_id_token_free(id_token: *mut jeton_id_token) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(id_token) });
}
