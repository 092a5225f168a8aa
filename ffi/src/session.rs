//! `jeton_session`: one login, kept valid.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use jeton::grants::http::header::WWW_AUTHENTICATE;
use jeton::grants::http::{HeaderMap, HeaderValue, StatusCode};
use jeton::models::{Answer, AnswerError, ParseOptions, TokenResponse};
use jeton::{AccessToken, CachedToken, Client, Scope, Secret, Session, Token, Url};

use crate::cancel::{Watch, jeton_cancel, watch};
use crate::error::{
    Failure, JETON_ERROR_INTERNAL, JETON_ERROR_INVALID_ARGUMENT, JETON_ERROR_NOT_CACHED, JETON_OK,
    jeton_error,
};
use crate::introspection::jeton_introspection;
use crate::pending_login::jeton_pending_login;
use crate::strings::{bytes, duration, handle, owned, text};
use crate::token::jeton_token;
use crate::wait::wait;
use crate::{fallible, giving, guarded};

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
        cancel: Watch,
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
/// `resource`: the identifier of the resource, an absolute URI; copied. `other`: set to the new session, which is the
/// caller's: free it with jeton_session_free. NULL on failure.
///
/// Threads: any thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is not UTF-8. Whether it is a resource is found out when a
/// token is asked for.
///
/// # Safety
///
/// `session` is NULL or a live handle, `resource` is NULL or a NUL-terminated string; `other` and `error` each are
/// NULL or can be written to.
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
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, what is not UTF-8, or characters that no scope may have (RFC 6749
/// §3.3).
///
/// # Safety
///
/// `session` is NULL or a live handle, `scope` is NULL or a NUL-terminated string; `other` and `error` each are NULL
/// or can be written to.
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

/// Frees a session. NULL is allowed. The last one of a login waits, at most the close timeout
/// (JETON_OPTION_CLOSE_TIMEOUT_MS), for a refresh under way, so that its tokens are not lost when the process ends.
/// Tokens that were handed out stay valid.
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
            let freed =
                std::thread::Builder::new().name("jeton-free".to_owned()).spawn(move || drop(session));
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

/// A valid access token: the one in memory, one that another process has stored, or whatever it takes to get one
/// without a person. However many threads and processes wait, an expired token costs one request.
///
/// `valid_for_ms`: how long the token is wanted to be valid for, in milliseconds; 0 for just now. The wish counts up
/// to four fifths of the token's lifetime. `cancel`: ends the call, or NULL. `token`: set to the token, which is the
/// caller's: free it with jeton_token_free. NULL on failure.
///
/// Threads: any thread, several at once; blocks where a request is needed. Not from a store's callback.
///
/// Errors: `JETON_ERROR_LOGIN_REQUIRED` if a person has to log in: jeton_session_log_in. Anything else is transient
/// or a matter of configuration: jeton_error_recovery says which. `JETON_ERROR_CANCELLED`;
/// `JETON_ERROR_INVALID_ARGUMENT` for NULL or a negative time.
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
            let session = handle(session, "session")?;
            if cancel.as_ref().is_some_and(jeton_cancel::is_cancelled) {
                return Err(jeton_error::cancelled());
            }
            if let Some(token) = session.cached(valid_for_ms)? {
                return Ok(token);
            }
            let least = duration(valid_for_ms, "valid_for_ms")?;
            session
                .wait_for_token(watch(cancel), |session| async move { session.token_valid_for(least).await })
        })
    }
}

/// Gets a new access token although the present one may still be good. If somebody else, in this process or another,
/// got a new one meanwhile, that one is taken. After an answer that was lost it sends a refresh token that may be
/// spent, which a strict server takes for a theft: for programs that know why; jeton_session_token is for all others.
///
/// `cancel`: ends the call, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free.
/// NULL on failure.
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
            session.wait_for_token(watch(cancel), |session| async move { session.refresh().await })
        })
    }
}

/// The token in memory, if it is valid: no lock, no request, no waiting, and no allocation but for the first time that
/// the session hands out this token. For the moment before each request; where it answers `JETON_ERROR_NOT_CACHED`, jeton_session_token finds out more. That does not mean that
/// nobody is logged in.
///
/// `valid_for_ms`: as for jeton_session_token. `token`: set to the token, which is the caller's: free it with
/// jeton_token_free. NULL if there is none.
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
/// `cancel`: ends the login, or NULL. Unless the server has answered already; then the token is still stored.
/// `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL on failure.
///
/// Threads: any thread; blocks, for as long as the person takes. Not from a store's callback.
///
/// Errors: `JETON_ERROR_OAUTH` with what the server or the person said, `JETON_ERROR_INTERACTION` if the person could
/// not be reached or did not answer in time, `JETON_ERROR_CALLBACK` if a callback ended the login or one of a store of
/// the program's own failed, `JETON_ERROR_STORE` if the store cannot be written, which is found out before anybody is
/// asked, `JETON_ERROR_CONFIGURATION` if the client has no grant or the server lacks what it needs, `JETON_ERROR_NETWORK`, `JETON_ERROR_ANSWER`,
/// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
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
            session.wait_for_token(watch(cancel), |session| async move { session.log_in().await })
        })
    }
}

/// Logs out: revokes the tokens at the server if it has a revocation endpoint (RFC 7009), then forgets the login,
/// here and in the store. Other processes see it at their next expiry, 401 or refresh.
///
/// `cancel`: ends the waiting, or NULL; the log-out itself goes on to its end. `revocation_error`: set to NULL, or to
/// why the tokens could not be revoked at the server, where they may live on until they expire; the login is
/// forgotten all the same. It may be NULL; else free it with jeton_error_free.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_STORE` or `JETON_ERROR_CALLBACK` if the login cannot be removed from the store,
/// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `revocation_error` and `error` each are NULL or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_log_out(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    revocation_error: *mut *mut jeton_error,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        crate::set(revocation_error, std::ptr::null_mut());
        fallible(error, || {
            let session = handle(session, "session")?;
            let logging_out = session.session.clone();
            let done = wait(&session.client, watch(cancel), async move { logging_out.log_out().await });
            // Also after a failure: nobody shall go on with what was to be forgotten.
            session.forget();
            if let Some(why) = done?.revocation_error
                && !revocation_error.is_null()
            {
                crate::set(revocation_error, Box::into_raw(Failure::from(why)));
            }
            Ok(())
        })
    }
}

/// Revokes the access token in use at the server (RFC 7009 §2.1) and forgets it; the login stays, and the next
/// jeton_session_token gets another one. Some servers end the whole login then: the next call says
/// `JETON_ERROR_LOGIN_REQUIRED`.
///
/// `cancel`: ends the waiting, or NULL.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_CONFIGURATION` if the server names no revocation endpoint, `JETON_ERROR_OAUTH`,
/// `JETON_ERROR_NETWORK` and `JETON_ERROR_ANSWER` if it refuses or does not answer: the token may live on, and stays
/// in use. `JETON_ERROR_STORE` or `JETON_ERROR_CALLBACK` if the store cannot be read; nothing was sent.
/// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_revoke(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let session = handle(session, "session")?;
            let revoking = session.session.clone();
            wait(&session.client, watch(cancel), async move { revoking.revoke().await })?;
            session.forget();
            Ok(())
        })
    }
}

/// Asks the server about the session's access token (RFC 7662), getting one first if there is none. Most servers
/// answer confidential clients only. That the token is not active is an answer, not an error.
///
/// `cancel`: ends the call, or NULL. `introspection`: set to the answer, which is the caller's: free it with
/// jeton_introspection_free. NULL on failure.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: as jeton_session_token if there is no token; `JETON_ERROR_CONFIGURATION` if the server names no
/// introspection endpoint (JETON_OPTION_INTROSPECTION_ENDPOINT), `JETON_ERROR_OAUTH`, `JETON_ERROR_NETWORK` and
/// `JETON_ERROR_ANSWER` if it refuses or does not answer.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `introspection` and `error` each are NULL or can be written
/// to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_introspect(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    introspection: *mut *mut jeton_introspection,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(introspection, "introspection", error, || {
            let session = handle(session, "session")?;
            let asking = session.session.clone();
            let answer = wait(&session.client, watch(cancel), async move { asking.introspect().await })?;
            Ok(crate::boxed(jeton_introspection::new(&answer)))
        })
    }
}

/// Starts from tokens that the program has already, as if it had logged in with them.
///
/// `token_answer`: `length` bytes of JSON, a token answer of RFC 6749 §5.1, read as tolerantly as a server's:
/// "access_token", and "token_type", "expires_in" or "expires_at" (seconds of Unix time), "refresh_token", "scope".
/// With a "refresh_token" and no "access_token" (or an empty one), the first call refreshes. `cancel`: ends the
/// waiting, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL on
/// failure.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is no token answer, `JETON_ERROR_CANCELLED`. What cannot be
/// stored now is used all the same: jeton_session_persist_error.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle, `token_answer` is NULL or points to `length` bytes; `token`
/// and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_adopt(
    session: *const jeton_session,
    token_answer: *const u8,
    length: usize,
    cancel: *const jeton_cancel,
    token: *mut *mut jeton_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(token, "token", error, || {
            let session = handle(session, "session")?;
            let adopted = read_token_answer(bytes(token_answer, length, "token_answer")?)?;
            session.wait_for_token(watch(cancel), |session| async move { session.adopt(adopted).await })
        })
    }
}

/// Waits, at most the close timeout (JETON_OPTION_CLOSE_TIMEOUT_MS), for a refresh or login under way, and tries once
/// more to store what could not be stored so far. The session can be used afterwards. For the end of a program,
/// before it frees its sessions.
///
/// `cancel`: ends the waiting, or NULL.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL. Whether all is stored:
/// jeton_session_persist_error.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_close(
    session: *const jeton_session,
    cancel: *const jeton_cancel,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let session = handle(session, "session")?;
            let closing = session.session.clone();
            wait(&session.client, watch(cancel), async move {
                closing.close().await;
                Ok(())
            })
        })
    }
}

/// Why the newest token could not be stored, if that is so: it is used all the same, and the next refresh or
/// jeton_session_close tries again.
///
/// Returns `JETON_OK`, and `*error` is NULL, if all is stored; else the status of `*error`.
///
/// Threads: any thread; does not block.
///
/// Errors: `JETON_ERROR_STORE`, `JETON_ERROR_CALLBACK`; `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `session` is NULL or a live handle; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_persist_error(
    session: *const jeton_session,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || match handle(session, "session")?.session.persist_error() {
            Some(why) => Err(why.into()),
            None => Ok(()),
        })
    }
}

/// Begins a login by authorization code for a program that receives the redirect itself, such as a web application.
/// The client needs no grant for that.
///
/// `redirect_uri`: the one that is registered for the client, an absolute URI. `cancel`: ends the call, or NULL.
/// `pending`: set to the login that was begun, which is the caller's: free it with jeton_pending_login_free. NULL on
/// failure. Send the browser to jeton_pending_login_url, keep jeton_pending_login_serialized where only this
/// browser's session reaches it, and remove it before finishing.
///
/// Threads: any thread; blocks where the server's metadata has to be fetched. Not from a store's callback.
///
/// Errors: `JETON_ERROR_NETWORK` and `JETON_ERROR_ANSWER` if the server's metadata cannot be had,
/// `JETON_ERROR_CONFIGURATION` if it lacks what is needed, `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT`
/// for NULL or a URI that is none.
///
/// # Safety
///
/// `session` and `cancel` each are NULL or a live handle, `redirect_uri` is NULL or a NUL-terminated string;
/// `pending` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_begin_log_in(
    session: *const jeton_session,
    redirect_uri: *const c_char,
    cancel: *const jeton_cancel,
    pending: *mut *mut jeton_pending_login,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(pending, "pending", error, || {
            let session = handle(session, "session")?;
            let redirect_uri = text(redirect_uri, "redirect_uri")?.to_owned();
            let beginning = session.session.clone();
            let (url, begun) =
                wait(
                    &session.client,
                    watch(cancel),
                    async move { beginning.begin_log_in(redirect_uri).await },
                )?;
            Ok(crate::boxed(jeton_pending_login::new(&begun, Some(&url))?))
        })
    }
}

/// Finishes a login by authorization code with the URL to which the browser was redirected, and replaces whatever
/// login there was.
///
/// `pending`: from jeton_session_begin_log_in or jeton_pending_login_parse; it works once, and stays the caller's to
/// free. One that was begun for the account "default" may be finished for any account, as a web application does that
/// learns only then who came; any other for its own only. `redirected_url`: the whole URL with its query. `cancel`:
/// ends the waiting, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL
/// on failure.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_ANSWER` if the URL is not the answer to this login, `JETON_ERROR_OAUTH` if the person or the
/// server said no, `JETON_ERROR_INTERACTION` if the login was begun too long ago, `JETON_ERROR_INVALID_ARGUMENT` if
/// it was finished before, is another client's or account's, for NULL or what is no URL, `JETON_ERROR_NETWORK`,
/// `JETON_ERROR_CANCELLED`. After any of these, begin again.
///
/// # Safety
///
/// `session`, `pending` and `cancel` each are NULL or a live handle, `redirected_url` is NULL or a NUL-terminated
/// string; `token` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_finish_log_in(
    session: *const jeton_session,
    pending: *const jeton_pending_login,
    redirected_url: *const c_char,
    cancel: *const jeton_cancel,
    token: *mut *mut jeton_token,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(token, "token", error, || {
            let session = handle(session, "session")?;
            let pending = handle(pending, "pending")?.to_rust()?;
            // The URL holds the code: the error does not show it.
            let redirected = Url::parse(text(redirected_url, "redirected_url")?).map_err(|error| {
                jeton_error::argument(format!("the argument redirected_url is no absolute URL: {error}"))
            })?;
            session.wait_for_token(watch(cancel), |session| async move {
                session.finish_log_in(pending, &redirected).await
            })
        })
    }
}

/// Whether the token may be sent to that URL: it is of one of the client's resource servers
/// (JETON_OPTION_RESOURCE_SERVER), and HTTPS or on loopback. For programs with an HTTP library of their own, which
/// ask before they attach the token, and again for the target of each redirect that they follow.
///
/// `url`: an absolute URL.
///
/// Threads: any thread; does not block.
///
/// Errors: `JETON_ERROR_FOREIGN_ORIGIN` if it may not; `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is no URL.
///
/// # Safety
///
/// `session` is NULL or a live handle, `url` is NULL or a NUL-terminated string; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_check_url(
    session: *const jeton_session,
    url: *const c_char,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let session = handle(session, "session")?;
            let url = Url::parse(text(url, "url")?).map_err(|error| {
                jeton_error::argument(format!("the argument url is no absolute URL: {error}"))
            })?;
            Ok(session.session.check_url(&url)?)
        })
    }
}

/// Tells the session what a resource server answered to a request with this token, for programs with an HTTP library of
/// their own. Tell it each answer: a 401 that says that the token is not valid, or does not say what is wrong (RFC 6750
/// §3), makes it stale, so that the next jeton_session_token gets another one; a success shows that it is good. Only what
/// the server said that got the token counts: after a redirect to another origin, tell nothing.
///
/// `http_status`: 100 to 999. `www_authenticate`: the values of that header joined by ", ", or NULL if there is none.
/// `try_again`: set to 1 if the token was rejected and another one may help: get one with jeton_session_token and
/// send the request once more; else to 0. It may be NULL.
///
/// Threads: any thread; does not block.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, a status that is none, or a header with control characters.
///
/// # Safety
///
/// `session` and `token` each are NULL or a live handle, `www_authenticate` is NULL or a NUL-terminated string;
/// `try_again` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_judge(
    session: *const jeton_session,
    token: *const jeton_token,
    http_status: i32,
    www_authenticate: *const c_char,
    try_again: *mut i32,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        if !try_again.is_null() {
            try_again.write(0);
        }
        fallible(error, || {
            let (session, token) = (handle(session, "session")?, handle(token, "token")?);
            let status = self::http_status(http_status)?;
            let mut headers = HeaderMap::new();
            if !www_authenticate.is_null() {
                headers.insert(WWW_AUTHENTICATE, header_value(www_authenticate, "www_authenticate")?);
            }
            let rejected = session.session.judge(&token.token, status, &headers);
            if !try_again.is_null() {
                try_again.write(i32::from(rejected));
            }
            Ok(())
        })
    }
}

/// An HTTP status that the program tells.
pub(crate) fn http_status(http_status: i32) -> Result<StatusCode, Failure> {
    let status = u16::try_from(http_status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    status.ok_or_else(|| {
        jeton_error::argument(format!("the argument http_status is {http_status}, which is no HTTP status"))
    })
}

/// A header as a server sent it: not always UTF-8. `name` is the argument's, for the error.
///
/// # Safety
///
/// `value` points to a NUL-terminated string.
pub(crate) unsafe fn header_value(value: *const c_char, name: &str) -> Result<HeaderValue, Failure> {
    // SAFETY: as the caller promises.
    HeaderValue::from_bytes(unsafe { CStr::from_ptr(value) }.to_bytes()).map_err(|_| {
        jeton_error::argument(format!(
            "the argument {name} has characters that no header has; join its values by a comma"
        ))
    })
}

/// A token answer that the program brings (RFC 6749 §5.1), or a refresh token alone.
fn read_token_answer(json: &[u8]) -> Result<Token, Failure> {
    /// What is left of an answer without an access token.
    #[derive(serde::Deserialize)]
    struct RefreshOnly {
        #[serde(default)]
        access_token: Option<Secret>,
        refresh_token: Secret,
        #[serde(default)]
        scope: Option<Scope>,
    }

    let answer = Answer::new(200, Some("application/json"), json);
    match TokenResponse::parse(&answer, &ParseOptions::default()) {
        Ok(response) => Ok(response.into_token(SystemTime::now())),
        Err(error) => match serde_json::from_slice::<RefreshOnly>(json) {
            Ok(only)
                if only.access_token.as_ref().is_none_or(Secret::is_empty)
                    && !only.refresh_token.is_empty() =>
            {
                // An access token that has expired: the first call refreshes it.
                let mut token = Token::new(Secret::from(""));
                token.expires_at = Some(0);
                token.refresh_token = Some(only.refresh_token);
                token.scope = only.scope;
                Ok(token)
            }
            _ => Err(jeton_error::argument(format!(
                "the argument token_answer is no token answer (RFC 6749 §5.1): {}",
                match &error {
                    AnswerError::Unusable(unusable) => unusable.reason.to_string(),
                    other => other.to_string(),
                }
            ))),
        },
    }
}
