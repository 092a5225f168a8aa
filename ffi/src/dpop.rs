//! Proofs of possession (DPoP, RFC 9449) for programs with an HTTP library of their own.

use std::ffi::{CString, c_char};

use crate::cancel::jeton_cancel;
use crate::error::{Failure, jeton_error};
use crate::session::jeton_session;
use crate::strings::{handle, pointer_to, text};
use crate::token::jeton_token;
use crate::{fallible, giving, guarded};

/// The header `DPoP` of one request: jeton_session_dpop_proof.
///
/// Ownership: free it with jeton_dpop_proof_free.
///
/// Threads: does not change; any thread.
pub struct jeton_dpop_proof {
    value: CString,
}

impl std::fmt::Debug for jeton_dpop_proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Good for one request of somebody.
        f.debug_struct("jeton_dpop_proof").finish_non_exhaustive()
    }
}

/// The proof for one request to a resource server with this token (RFC 9449 §7): send it as header `DPoP`, beside the value of
/// jeton_token_authorization. Each request needs a proof of its own, also the same one sent again. Requests of jeton
/// (jeton_session_request) bring theirs by themselves.
///
/// `method`: such as "GET". `url`: of the request. `cancel`: ends the call, or NULL. `proof`: set to it, or to NULL if the token is not
/// bound and needs none, which is no error; the caller's: free it with jeton_dpop_proof_free.
///
/// Threads: any thread; blocks only where a jeton_signer does. Not from a store's callback.
///
/// Errors: `JETON_ERROR_FOREIGN_ORIGIN` if the URL is at none of the client's resource servers, `JETON_ERROR_CALLBACK` if the signer
/// fails, `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose", `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for
/// NULL, and what is no method or URL.
///
/// # Safety
///
/// `session`, `token` and `cancel` each are NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `proof` and
/// `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_dpop_proof(
    session: *const jeton_session,
    method: *const c_char,
    url: *const c_char,
    token: *const jeton_token,
    cancel: *const jeton_cancel,
    proof: *mut *mut jeton_dpop_proof,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(proof, "proof", error, || {
            let (session, token) = (handle(session, "session")?, handle(token, "token")?);
            made(session, text(method, "method")?, text(url, "url")?, token, cancel)
        })
    }
}

fn parsed_url(url: &str) -> Result<jeton::Url, Failure> {
    jeton::Url::parse(url)
        .map_err(|error| jeton_error::argument(format!("the argument url is no absolute URL: {error}")))
}

/// # Safety
///
/// `cancel` is NULL or a live handle.
#[cfg(feature = "jose")]
unsafe fn made(
    session: &jeton_session,
    method: &str,
    url: &str,
    token: &jeton_token,
    cancel: *const jeton_cancel,
) -> Result<*mut jeton_dpop_proof, Failure> {
    let method = jeton::grants::http::Method::from_bytes(method.as_bytes()).map_err(|_| {
        jeton_error::argument(format!("{method:?} is no HTTP method; use a name such as \"GET\""))
    })?;
    let url = parsed_url(url)?;
    let (making, token) = (session.session.clone(), token.token.clone());
    // SAFETY: as the caller promises.
    let cancel = unsafe { crate::cancel::watch(cancel) };
    let proof =
        crate::wait::wait(
            &session.client,
            cancel,
            async move { making.dpop_proof(&method, &url, &token).await },
        )?;
    Ok(match proof.as_ref().and_then(|proof| proof.to_str().ok()) {
        Some(proof) => crate::boxed(jeton_dpop_proof { value: crate::strings::owned(proof) }),
        None => std::ptr::null_mut(),
    })
}

/// # Safety
///
/// None: the arguments are not looked at.
#[cfg(not(feature = "jose"))]
unsafe fn made(
    _: &jeton_session,
    _: &str,
    _: &str,
    _: &jeton_token,
    _: *const jeton_cancel,
) -> Result<*mut jeton_dpop_proof, Failure> {
    Err(jeton_error::unsupported("jeton_session_dpop_proof", "jose"))
}

/// The value of the header `DPoP`. NULL for NULL.
///
/// Ownership: borrowed from `proof`, until jeton_dpop_proof_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `proof` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_dpop_proof_value(proof: *const jeton_dpop_proof) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { proof.as_ref() }.map(|proof| &proof.value))
    })
}

/// Frees a proof. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `proof` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_dpop_proof_free(proof: *mut jeton_dpop_proof) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(proof) });
}

/// Tells the session which nonce a resource server wants to see in the next proof (RFC 9449 §9): the header `DPoP-Nonce`, which any
/// answer may have. For programs with an HTTP library of their own. Only what the server said that got the proof counts: after a
/// redirect to another origin, tell nothing.
///
/// `url`: of the request. `http_status`: 100 to 999. `www_authenticate`: the values of that header joined by ", ", or NULL. `nonce`: the
/// value of `DPoP-Nonce`, or NULL if there was none. `try_again`: set to 1 if the server refused the request for want of the nonce: send
/// it once more with the same token and a new proof; else to 0. It may be NULL.
///
/// Threads: any thread; does not block.
///
/// Errors: `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose", `JETON_ERROR_INVALID_ARGUMENT` for NULL, a status that is
/// none, what is no URL, or a header with control characters.
///
/// # Safety
///
/// `session` is NULL or a live handle; `url`, `www_authenticate` and `nonce` each are NULL or a NUL-terminated string; `try_again` and
/// `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_dpop_nonce(
    session: *const jeton_session,
    url: *const c_char,
    http_status: i32,
    www_authenticate: *const c_char,
    nonce: *const c_char,
    try_again: *mut i32,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        if !try_again.is_null() {
            try_again.write(0);
        }
        fallible(error, || {
            let session = handle(session, "session")?;
            let url = parsed_url(text(url, "url")?)?;
            let status = crate::session::http_status(http_status)?;
            let mut headers = jeton::grants::http::HeaderMap::new();
            for (name, value) in [("www-authenticate", www_authenticate), ("dpop-nonce", nonce)] {
                if !value.is_null() {
                    headers.insert(name, crate::session::header_value(value, name)?);
                }
            }
            let again = noted(session, &url, status, &headers)?;
            if !try_again.is_null() {
                try_again.write(i32::from(again));
            }
            Ok(())
        })
    }
}

#[cfg(feature = "jose")]
fn noted(
    session: &jeton_session,
    url: &jeton::Url,
    status: jeton::grants::http::StatusCode,
    headers: &jeton::grants::http::HeaderMap,
) -> Result<bool, Failure> {
    Ok(session.session.dpop_nonce(url, status, headers))
}

#[cfg(not(feature = "jose"))]
fn noted(
    _: &jeton_session,
    _: &jeton::Url,
    _: jeton::grants::http::StatusCode,
    _: &jeton::grants::http::HeaderMap,
) -> Result<bool, Failure> {
    Err(jeton_error::unsupported("jeton_session_dpop_nonce", "jose"))
}
