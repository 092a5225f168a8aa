//! `jeton_session`: one login, kept valid.

use std::ffi::{CString, c_char};
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jeton::{AccessToken, CachedToken, Client, Scope, Session};

use crate::cancel::jeton_cancel;
use crate::error::{
    Failure, JETON_ERROR_INTERNAL, JETON_ERROR_INVALID_ARGUMENT, JETON_ERROR_NOT_CACHED, JETON_OK, jeton_error,
};
use crate::strings::{duration, handle, owned, text};
use crate::token::jeton_token;
use crate::wait::wait;
use crate::{giving, guarded};

/// One login of a client, kept valid: shared by threads, by processes that use the same store, and by later runs.
///
/// Ownership: free it with jeton_session_free.
///
/// Threads: any thread, several at once.
pub struct jeton_session {
    pub(crate) client: Client,
    pub(crate) session: Session,
    account: CString,
    /// What was last handed out, so that the same token is not made ready for C again and again.
    token: ArcSwapOption<jeton_token>,
}

impl jeton_session {
    pub(crate) fn new(client: Client, session: Session) -> Self {
        let account = owned(session.key().account());
        Self { client, session, account, token: ArcSwapOption::empty() }
    }

    /// The cached token, if it is valid.
    fn cached(&self, valid_for_ms: i64) -> Result<Option<*mut jeton_token>, Failure> {
        if valid_for_ms == 0 {
            return Ok(self.session.cached_ref().map(|token| self.lend_cached(&token)));
        }
        let least = duration(valid_for_ms, "valid_for_ms")?;
        Ok(self.session.cached_valid_for(least).map(|token| self.lend(token)))
    }

    /// Hands out the session's cached token: the handle that was made for it, or a new one.
    #[inline]
    fn lend_cached(&self, token: &CachedToken<'_>) -> *mut jeton_token {
        match self.ready(token) {
            Some(ready) => ready.lend(),
            None => self.lend(AccessToken::clone(token)),
        }
    }

    /// The handle that was made for this very token. Its address says so: the handle holds on to it.
    #[inline]
    fn ready(&self, token: &AccessToken) -> Option<Arc<jeton_token>> {
        let ready = self.token.load();
        let ready = ready.as_ref().filter(|ready| std::ptr::eq(ready.token.secret(), token.secret()));
        ready.cloned()
    }

    /// Hands out a token.
    pub(crate) fn lend(&self, token: AccessToken) -> *mut jeton_token {
        if let Some(ready) = self.ready(&token) {
            return ready.lend();
        }
        let ready = Arc::new(jeton_token::new(token));
        self.token.store(Some(ready.clone()));
        ready.lend()
    }

    /// Lets go of the token that was last handed out, so that it is wiped when the program has freed it.
    fn forget(&self) {
        if self.token.load().is_some() {
            self.token.store(None);
        }
    }

    /// Runs a call of the session's that gives a token.
    fn wait_for_token<F>(
        &self,
        cancel: Option<&jeton_cancel>,
        call: impl FnOnce(Session) -> F,
    ) -> Result<*mut jeton_token, Failure>
    where
        F: Future<Output = Result<AccessToken, jeton::Error>> + Send + 'static,
    {
        wait(&self.client, cancel, call(self.session.clone())).map(|token| self.lend(token))
    }
}

impl fmt::Debug for jeton_session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("jeton_session").field(&self.session).finish()
    }
}

/// The same login, with its access token for one resource (RFC 8707). Its refresh token is shared.
///
/// `resource`: the identifier of the resource, an absolute URI; copied. `other`: set to the new session, which is the caller's:
/// free it with jeton_session_free. NULL on failure.
///
/// Threads: any thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is not UTF-8. Whether it is a resource is found out when a token is asked
/// for.
///
/// # Safety
///
/// `session` is NULL or a live handle, `resource` is NULL or a NUL-terminated string; `other` and `error` each are NULL or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_for_resource(
    session: *const jeton_session,
    resource: *const c_char,
    other: *mut *mut jeton_session,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(other, "other", error, || {
            let session = handle(session, "session")?;
            let made = session.session.for_resource(text(resource, "resource")?);
            Ok(crate::boxed(jeton_session::new(session.client.clone(), made)))
        })
    }
}

/// The same login, with an access token for a part of its scope. Its refresh token is shared.
///
/// `scope`: names separated by spaces; copied. `other`: set to the new session, which is the caller's: free it with
/// jeton_session_free. NULL on failure.
///
/// Threads: any thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, what is not UTF-8, or characters that no scope may have (RFC 6749 §3.3).
///
/// # Safety
///
/// `session` is NULL or a live handle, `scope` is NULL or a NUL-terminated string; `other` and `error` each are NULL or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_with_scope(
    session: *const jeton_session,
    scope: *const c_char,
    other: *mut *mut jeton_session,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(other, "other", error, || {
            let session = handle(session, "session")?;
            let scope: Scope = text(scope, "scope")?
                .parse()
                .map_err(|error| jeton_error::argument(format!("the argument scope: {error}")))?;
            Ok(crate::boxed(jeton_session::new(session.client.clone(), session.session.with_scope(scope))))
        })
    }
}

/// Frees a session. NULL is allowed. The last one of a login waits, at most the close timeout (JETON_OPTION_CLOSE_TIMEOUT_MS), for
/// a refresh under way, so that its tokens are not lost when the process ends. Tokens that were handed out stay valid.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `session` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_free(session: *mut jeton_session) {
    guarded((), || {
        if session.is_null() {
            return;
        }
        // SAFETY: not NULL, and the caller promises a live handle, made by `boxed`.
        let session = unsafe { Box::from_raw(session) };
        if crate::store::in_store_callback() {
            // What it may wait for needs this very thread.
            let freed = std::thread::Builder::new().name("jeton-free".to_owned()).spawn(move || drop(session));
            // Without a thread it was dropped here, and has waited its time.
            drop(freed);
        }
    });
}

/// The account that the session is of, as it was named: "default" where none was. NULL for NULL.
///
/// Ownership: borrowed from `session`, until jeton_session_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `session` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_account(session: *const jeton_session) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { session.as_ref() }.map_or(std::ptr::null(), |session| session.account.as_ptr())
    })
}

/// A valid access token: the one in memory, one that another process has stored, or whatever it takes to get one without a person.
/// However many threads and processes wait, an expired token costs one request.
///
/// `valid_for_ms`: how long the token is wanted to be valid for, in milliseconds; 0 for just now. The wish counts up to four fifths of
/// the token's lifetime. `cancel`: ends the call, or NULL. `token`: set to the token, which is the caller's: free it with
/// jeton_token_free. NULL on failure.
///
/// Threads: any thread, several at once; blocks where a request is needed. Not from a store's callback.
///
/// Errors: `JETON_ERROR_LOGIN_REQUIRED` if a person has to log in: jeton_session_log_in. Anything else is transient or a matter of
/// configuration: jeton_error_recovery says which. `JETON_ERROR_CANCELLED`; `JETON_ERROR_INVALID_ARGUMENT` for NULL or a negative
/// time.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_token(
    session: *const jeton_session,
    valid_for_ms: i64,
    cancel: *const jeton_cancel,
    token: *mut *mut jeton_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(token, "token", error, || {
            let (session, cancel) = (handle(session, "session")?, cancel.as_ref());
            if cancel.is_some_and(jeton_cancel::is_cancelled) {
                return Err(jeton_error::cancelled());
            }
            if let Some(token) = session.cached(valid_for_ms)? {
                return Ok(token);
            }
            let least = duration(valid_for_ms, "valid_for_ms")?;
            session.wait_for_token(cancel, |session| async move { session.token_valid_for(least).await })
        })
    }
}

/// Gets a new access token although the present one may still be good. If somebody else, in this process or another, got a new one
/// meanwhile, that one is taken. After an answer that was lost it sends a refresh token that may be spent, which a strict server takes
/// for a theft: for programs that know why; jeton_session_token is for all others.
///
/// `cancel`: ends the call, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL on failure.
///
/// Threads: any thread, several at once; blocks. Not from a store's callback.
///
/// Errors: as jeton_session_token; a failure is told even if the present token still lives.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_refresh(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    token: *mut *mut jeton_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(token, "token", error, || {
            let session = handle(session, "session")?;
            session.wait_for_token(cancel.as_ref(), |session| async move { session.refresh().await })
        })
    }
}

/// The token in memory, if it is valid: no lock, no request, no waiting, no allocation. For the moment before each request; where it
/// answers `JETON_ERROR_NOT_CACHED`, jeton_session_token finds out more. That does not mean that nobody is logged in.
///
/// `valid_for_ms`: as for jeton_session_token. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL if
/// there is none.
///
/// Threads: any thread, several at once; never blocks.
///
/// Errors: `JETON_ERROR_NOT_CACHED`; `JETON_ERROR_INVALID_ARGUMENT` for NULL or a negative time.
///
/// # Safety
///
/// `session` is NULL or a live handle; `token` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_cached(
    session: *const jeton_session,
    valid_for_ms: i64,
    token: *mut *mut jeton_token,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { crate::set(token, std::ptr::null_mut()) };
    guarded(JETON_ERROR_INTERNAL, || {
        // SAFETY: the caller promises NULL or a live handle.
        let Some(session) = (unsafe { session.as_ref() }) else { return JETON_ERROR_INVALID_ARGUMENT };
        if token.is_null() {
            return JETON_ERROR_INVALID_ARGUMENT;
        }
        match session.cached(valid_for_ms) {
            Ok(Some(cached)) => {
                // SAFETY: as the caller promises.
                unsafe { crate::set(token, cached) };
                JETON_OK
            }
            Ok(None) => {
                if valid_for_ms == 0 {
                    session.forget();
                }
                JETON_ERROR_NOT_CACHED
            }
            Err(_) => JETON_ERROR_INVALID_ARGUMENT,
        }
    })
}

/// Logs in through the client's grant, with a person if it needs one, and replaces whatever login there was.
///
/// `cancel`: ends the login, or NULL. Unless the server has answered already; then the token is still stored. `token`: set to the
/// token, which is the caller's: free it with jeton_token_free. NULL on failure.
///
/// Threads: any thread; blocks, for as long as the person takes. Not from a store's callback.
///
/// Errors: `JETON_ERROR_OAUTH` with what the server or the person said, `JETON_ERROR_INTERACTION` if the person could not be reached or
/// did not answer in time, `JETON_ERROR_CALLBACK` if a callback ended the login, `JETON_ERROR_STORE` if the store cannot be written,
/// which is found out before anybody is asked, `JETON_ERROR_CONFIGURATION` if the client has no grant, `JETON_ERROR_NETWORK`,
/// `JETON_ERROR_ANSWER`, `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_log_in(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    token: *mut *mut jeton_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(token, "token", error, || {
            let session = handle(session, "session")?;
            session.wait_for_token(cancel.as_ref(), |session| async move { session.log_in().await })
        })
    }
}
