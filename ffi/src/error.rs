//! `jeton_error`: why a call failed, and the statuses that the calls return.

use std::error::Error as StdError;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::sync::Arc;

use jeton::grants::InteractionError;
use jeton::models::{AuthorizationResponseError, ErrorResponse, MetadataError};
use jeton::{Error, GrantError, Recovery, StoreError};

use crate::guarded;
use crate::strings::{millis, owned, pointer_to};
use crate::words::in_c_words;

/// The call did what it was asked for.
pub const JETON_OK: i32 = 0;
/// An argument is wrong: NULL where a value is needed, invalid UTF-8, a wrong `struct_size`, an option that is not
/// known or takes another type, a pending login that was used before, a call from where it is not allowed.
pub const JETON_ERROR_INVALID_ARGUMENT: i32 = 1;
/// The configuration cannot work; the message says what to set.
pub const JETON_ERROR_CONFIGURATION: i32 = 2;
/// There is no login to use, and a person has to log in: call jeton_session_log_in.
pub const JETON_ERROR_LOGIN_REQUIRED: i32 = 3;
/// Ended by jeton_cancel_cancel, or the person or the program gave up the login.
pub const JETON_ERROR_CANCELLED: i32 = 4;
/// No answer came from the authorization server.
pub const JETON_ERROR_NETWORK: i32 = 5;
/// The authorization server answered an OAuth error, in an answer or in a redirect: jeton_error_oauth_code.
pub const JETON_ERROR_OAUTH: i32 = 6;
/// The authorization server's answer cannot be used.
pub const JETON_ERROR_ANSWER: i32 = 7;
/// The store of logins failed: locked, full, damaged, not permitted, in use.
pub const JETON_ERROR_STORE: i32 = 8;
/// An earlier try failed and it is too early for the next one: jeton_error_retry_after_ms. Nothing was sent.
pub const JETON_ERROR_BACKING_OFF: i32 = 9;
/// The URL belongs to none of the client's resource servers: the token does not go there.
pub const JETON_ERROR_FOREIGN_ORIGIN: i32 = 10;
/// An authenticated request got no answer, or cannot be sent as it is.
pub const JETON_ERROR_REQUEST: i32 = 11;
/// The person could not be reached, or did not answer in time.
pub const JETON_ERROR_INTERACTION: i32 = 12;
/// A callback of the program returned an error: jeton_error_callback_result.
pub const JETON_ERROR_CALLBACK: i32 = 13;
/// This build of the library lacks the feature: jeton_has_feature.
pub const JETON_ERROR_UNSUPPORTED: i32 = 14;
/// jeton_session_cached only: there is no valid token in memory. jeton_session_token gets one.
pub const JETON_ERROR_NOT_CACHED: i32 = 15;
/// A defect of jeton: a panic was caught. Please report it.
pub const JETON_ERROR_INTERNAL: i32 = 16;

/// Try the same call again later, after jeton_error_retry_after_ms if that is known.
pub const JETON_RECOVERY_RETRY: i32 = 1;
/// Log in (again): jeton_session_log_in.
pub const JETON_RECOVERY_LOG_IN: i32 = 2;
/// The request itself is wrong: its scope, its resource, its parameters, the arguments of the call.
pub const JETON_RECOVERY_FIX_REQUEST: i32 = 3;
/// The configuration is wrong: client identifier, secret, endpoint, redirect URI, permissions of a folder.
pub const JETON_RECOVERY_FIX_CONFIGURATION: i32 = 4;
/// There is nothing that the program could do.
pub const JETON_RECOVERY_GIVE_UP: i32 = 5;

/// What the getters for points in time (`_at_ms`) and waits (`_after_ms`) answer for "not known" or "never".
pub const JETON_NEVER: i64 = -1;

/// Names of the statuses, by their numbers.
const STATUS_NAMES: [&CStr; 17] = [
    c"OK",
    c"INVALID_ARGUMENT",
    c"CONFIGURATION",
    c"LOGIN_REQUIRED",
    c"CANCELLED",
    c"NETWORK",
    c"OAUTH",
    c"ANSWER",
    c"STORE",
    c"BACKING_OFF",
    c"FOREIGN_ORIGIN",
    c"REQUEST",
    c"INTERACTION",
    c"CALLBACK",
    c"UNSUPPORTED",
    c"NOT_CACHED",
    c"INTERNAL",
];

/// Why a call failed: what a function hands out through its last argument, `jeton_error **error`.
///
/// That argument may be NULL for whoever does not want to know. Otherwise the call sets `*error` to NULL before
/// anything else, and to a handle if it fails; free that with jeton_error_free. A handle that `*error` held before is
/// not freed by the call.
///
/// Threads: does not change; any thread.
pub struct jeton_error {
    status: i32,
    recovery: i32,
    message: CString,
    oauth: Option<OAuth>,
    http_status: i32,
    retry_after_ms: i64,
    callback_result: i32,
}

/// What the server said is wrong (RFC 6749 §5.2).
struct OAuth {
    code: CString,
    description: Option<CString>,
    uri: Option<CString>,
}

/// What the body of an exported function fails with.
pub(crate) type Failure = Box<jeton_error>;

impl jeton_error {
    /// A failure with a text that says what was wrong and what to do, without secrets.
    pub(crate) fn new(status: i32, recovery: i32, message: impl Into<String>) -> Failure {
        Box::new(Self {
            status,
            recovery,
            message: owned(message.into()),
            oauth: None,
            http_status: 0,
            retry_after_ms: JETON_NEVER,
            callback_result: 0,
        })
    }

    /// A mistake in an argument.
    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Self::new(JETON_ERROR_INVALID_ARGUMENT, JETON_RECOVERY_FIX_REQUEST, message)
    }

    /// A configuration that cannot work.
    pub(crate) fn configuration(message: impl Into<String>) -> Failure {
        Self::new(JETON_ERROR_CONFIGURATION, JETON_RECOVERY_FIX_CONFIGURATION, message)
    }

    /// What this build cannot do; `feature` is the name of the missing cargo feature.
    #[cfg_attr(
        all(feature = "loopback", feature = "file", feature = "keyring", feature = "sealed"),
        expect(dead_code, reason = "everything is built in")
    )]
    pub(crate) fn unsupported(what: &str, feature: &str) -> Failure {
        Self::new(
            JETON_ERROR_UNSUPPORTED,
            JETON_RECOVERY_FIX_CONFIGURATION,
            format!(
                "{what} is not in this build of libjeton: use one that was built with the feature \"{feature}\""
            ),
        )
    }

    /// What jeton_cancel_cancel ended.
    pub(crate) fn cancelled() -> Failure {
        Self::new(JETON_ERROR_CANCELLED, JETON_RECOVERY_RETRY, "the call was ended by jeton_cancel_cancel")
    }

    /// A defect, found by a panic.
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Failure {
        // A text that was put together may show what it is about, such as the string that was cut at a wrong place.
        let what =
            payload.downcast_ref::<&'static str>().map(|what| format!(" ({what})")).unwrap_or_default();
        Self::new(
            JETON_ERROR_INTERNAL,
            JETON_RECOVERY_GIVE_UP,
            format!("a defect of jeton: the call panicked{what}; please report it"),
        )
    }

    pub(crate) fn status(&self) -> i32 {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        self.message.to_str().unwrap_or_default()
    }
}

/// What a callback of the program returned, as the source of the errors of the Rust crates: in
/// `InteractionError::Other`, in `StoreError::Other`. It is found again along their sources.
#[derive(Clone, Debug)]
pub(crate) struct CallbackError {
    /// Which callback: "the callback open_url of the interaction".
    pub(crate) what: String,
    /// What it returned: not 0.
    pub(crate) result: i32,
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned the error {}", self.what, self.result)
    }
}

impl StdError for CallbackError {}

/// The callback's error behind an error, if there is one. A shared error may be a link of the chain as the `Arc` that
/// it is in, whose own source is the one after it.
fn callback_error(error: &Error) -> Option<&CallbackError> {
    let mut link: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(found) = error.downcast_ref::<CallbackError>() {
            return Some(found);
        }
        if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>()
            && let Some(found) = shared.downcast_ref::<CallbackError>()
        {
            return Some(found);
        }
        link = error.source();
    }
    None
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = jeton_error::new(status_of(&error), 0, in_c_words(&error.to_string()));
        (failure.recovery, failure.retry_after_ms) = match error.recovery() {
            Recovery::Retry { after } => (JETON_RECOVERY_RETRY, after.map_or(JETON_NEVER, millis)),
            Recovery::LogIn => (JETON_RECOVERY_LOG_IN, JETON_NEVER),
            Recovery::FixRequest => (JETON_RECOVERY_FIX_REQUEST, JETON_NEVER),
            Recovery::FixConfiguration => (JETON_RECOVERY_FIX_CONFIGURATION, JETON_NEVER),
            _ => (JETON_RECOVERY_GIVE_UP, JETON_NEVER),
        };
        failure.oauth = error.error_response().map(OAuth::new);
        failure.http_status = http_status_of(&error).map_or(0, i32::from);
        failure.callback_result = callback_error(&error).map_or(0, |error| error.result);
        failure
    }
}

impl From<GrantError> for Failure {
    fn from(error: GrantError) -> Self {
        Error::from(error).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl OAuth {
    fn new(response: &ErrorResponse) -> Self {
        Self {
            code: owned(response.error.clone()),
            description: response.error_description.clone().map(owned),
            uri: response.error_uri.clone().map(owned),
        }
    }
}

fn status_of(error: &Error) -> i32 {
    match error {
        Error::LoginRequired(_) => JETON_ERROR_LOGIN_REQUIRED,
        Error::BackingOff { .. } => JETON_ERROR_BACKING_OFF,
        _ if callback_error(error).is_some() => JETON_ERROR_CALLBACK,
        Error::Grant(error) => status_of_grant_error(error),
        Error::Store(_) => JETON_ERROR_STORE,
        Error::FailedElsewhere(_) => JETON_ERROR_BACKING_OFF,
        Error::ForeignOrigin { .. } => JETON_ERROR_FOREIGN_ORIGIN,
        Error::Request(_) | Error::InvalidRequest(_) => JETON_ERROR_REQUEST,
        Error::Configuration(_) => JETON_ERROR_CONFIGURATION,
        Error::Cancelled => JETON_ERROR_CANCELLED,
        _ => JETON_ERROR_INTERNAL,
    }
}

fn status_of_grant_error(error: &GrantError) -> i32 {
    match error {
        GrantError::Transport { .. } => JETON_ERROR_NETWORK,
        GrantError::OAuth { .. }
        | GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(_)) => JETON_ERROR_OAUTH,
        GrantError::Metadata(
            MetadataError::EndpointAbsent { .. } | MetadataError::EndpointInvalid { .. },
        )
        | GrantError::Parameter(_)
        | GrantError::Resource { .. }
        | GrantError::Unfit { .. }
        | GrantError::ClientMetadata(_)
        | GrantError::RegistrationForeign { .. }
        | GrantError::RegistrationUnmanaged { .. }
        | GrantError::TwoAuthentications => JETON_ERROR_CONFIGURATION,
        GrantError::RedirectUri { .. }
        | GrantError::PendingLoginForeign { .. }
        | GrantError::PendingLoginUsed => JETON_ERROR_INVALID_ARGUMENT,
        GrantError::Interaction(InteractionError::Cancelled) => JETON_ERROR_CANCELLED,
        GrantError::Interaction(_) | GrantError::PendingLoginExpired | GrantError::DeviceCodeExpired => {
            JETON_ERROR_INTERACTION
        }
        #[cfg(feature = "jose")]
        GrantError::RejectedJwt(_) => JETON_ERROR_ANSWER,
        GrantError::Unusable { .. }
        | GrantError::Redirected { .. }
        | GrantError::Metadata(_)
        | GrantError::AuthorizationResponse(_)
        | GrantError::NoS256 { .. }
        | GrantError::NotAnAccessToken { .. }
        | GrantError::UserInfoSubject
        | GrantError::LogoutResponse
        | GrantError::RegistrationGone { .. }
        | GrantError::ProtectedResource(_)
        | GrantError::VerificationUri { .. } => JETON_ERROR_ANSWER,
        _ => JETON_ERROR_INTERNAL,
    }
}

/// The HTTP status of the answer that the error is about.
fn http_status_of(error: &Error) -> Option<u16> {
    match error {
        Error::BackingOff { last, .. } => http_status_of(last),
        Error::Grant(error) => match &**error {
            GrantError::OAuth { error, .. } => Some(error.status),
            GrantError::Unusable { answer, .. } => Some(answer.status),
            GrantError::Redirected { status, .. } => Some(*status),
            _ => None,
        },
        Error::Request(error) => error.status().map(|status| status.as_u16()),
        _ => None,
    }
}

/// The name of a status without its prefix, such as "LOGIN_REQUIRED" or "OK", for logs. "UNKNOWN" for a number that
/// this version does not know.
///
/// Ownership: belongs to the library; do not free it. Never NULL.
///
/// Threads: any thread. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn jeton_status_name(status: i32) -> *const c_char {
    guarded(c"".as_ptr(), || {
        let name = usize::try_from(status).ok().and_then(|status| STATUS_NAMES.get(status));
        name.map_or(c"UNKNOWN".as_ptr(), |name| name.as_ptr())
    })
}

/// What kind of failure it is: one of the `JETON_ERROR_` constants, the same that the call returned. `JETON_OK` for
/// NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_status(error: *const jeton_error) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(JETON_ERROR_INTERNAL, || unsafe { error.as_ref() }.map_or(JETON_OK, |error| error.status))
}

/// What was wrong and what to do, in English, for logs and developers. It shows no secrets; it may show text of the
/// server's. "" for NULL; never NULL.
///
/// Ownership: borrowed from `error`, until jeton_error_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_message(error: *const jeton_error) -> *const c_char {
    guarded(c"".as_ptr(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// What to do about it: one of the `JETON_RECOVERY_` constants. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_recovery(error: *const jeton_error) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(JETON_RECOVERY_GIVE_UP, || unsafe { error.as_ref() }.map_or(0, |error| error.recovery))
}

/// The error code that the authorization server answered, such as "invalid_grant" or "access_denied" (RFC 6749 §5.2 and
/// §4.1.2.1), also for the failure that is behind `JETON_ERROR_BACKING_OFF`. NULL if the server answered none.
///
/// Ownership: borrowed from `error`, until jeton_error_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_oauth_code(error: *const jeton_error) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { oauth_of(error) }.map(|oauth| &oauth.code))
    })
}

/// The server's `error_description`: text for the developer. It comes from the server as it is: do not show it as
/// markup. NULL if there is none.
///
/// Ownership: borrowed from `error`, until jeton_error_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_oauth_description(error: *const jeton_error) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { oauth_of(error) }.and_then(|oauth| oauth.description.as_ref()))
    })
}

/// The server's `error_uri`: a page about the error. It comes from the server as it is. NULL if there is none.
///
/// Ownership: borrowed from `error`, until jeton_error_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_oauth_uri(error: *const jeton_error) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { oauth_of(error) }.and_then(|oauth| oauth.uri.as_ref()))
    })
}

/// The HTTP status of the answer that the failure is about; 0 if there was no answer, or for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_http_status(error: *const jeton_error) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { error.as_ref() }.map_or(0, |error| error.http_status))
}

/// How long to wait before the next try, in milliseconds: what the server asked for (`Retry-After`), or what is left of
/// jeton's own waiting. `JETON_NEVER` if neither is known, or for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_retry_after_ms(error: *const jeton_error) -> i64 {
    guarded(JETON_NEVER, || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { error.as_ref() }.map_or(JETON_NEVER, |error| error.retry_after_ms)
    })
}

/// What the callback of the program returned that made the call fail; 0 if none did, or for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_callback_result(error: *const jeton_error) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { error.as_ref() }.map_or(0, |error| error.callback_result))
}

/// Frees an error and the strings that were borrowed from it. NULL is allowed.
///
/// Threads: any thread, while no other one uses it. Errors: none.
///
/// # Safety
///
/// `error` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_error_free(error: *mut jeton_error) {
    // SAFETY: the caller promises NULL or a live handle, made by `Box::into_raw`.
    guarded((), || unsafe { crate::free(error) });
}

/// # Safety
///
/// `error` is NULL or a live handle.
unsafe fn oauth_of<'a>(error: *const jeton_error) -> Option<&'a OAuth> {
    // SAFETY: as the caller promises.
    unsafe { error.as_ref() }?.oauth.as_ref()
}

impl fmt::Debug for jeton_error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("jeton_error")
            .field("status", &self.status)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn handed_out(error: impl Into<Failure>) -> Failure {
        error.into()
    }

    #[test]
    fn a_callback_is_found_behind_whatever_wraps_it() {
        let of_store = || CallbackError { what: "the callback save of the store".into(), result: 42 };
        let error = handed_out(StoreError::other(of_store()));
        assert_eq!((error.status, error.callback_result), (JETON_ERROR_CALLBACK, 42));
        assert!(
            error.message.to_str().unwrap().contains("save of the store returned the error 42"),
            "{error:?}"
        );

        let last = Box::new(Error::from(StoreError::other(of_store())));
        let error = handed_out(Error::BackingOff { after: Duration::from_millis(1_500), last });
        assert_eq!((error.status, error.callback_result), (JETON_ERROR_BACKING_OFF, 42));
        assert_eq!((error.recovery, error.retry_after_ms), (JETON_RECOVERY_RETRY, 1_500));
    }

    #[test]
    fn names_of_statuses_are_told_for_any_number() {
        let name = |status| {
            // SAFETY: the function returns a NUL-terminated string of the library's.
            unsafe { CStr::from_ptr(jeton_status_name(status)) }.to_str().unwrap()
        };
        assert_eq!(name(JETON_OK), "OK");
        assert_eq!(name(JETON_ERROR_LOGIN_REQUIRED), "LOGIN_REQUIRED");
        assert_eq!(name(JETON_ERROR_INTERNAL), "INTERNAL");
        for unknown in [-1, 17, i32::MAX, i32::MIN] {
            assert_eq!(name(unknown), "UNKNOWN");
        }
    }

    #[test]
    fn a_missing_error_answers_neutrally() {
        let none = std::ptr::null();
        // SAFETY: NULL is allowed everywhere.
        unsafe {
            assert_eq!(jeton_error_status(none), JETON_OK);
            assert_eq!(CStr::from_ptr(jeton_error_message(none)), c"");
            assert_eq!(jeton_error_recovery(none), 0);
            assert!(jeton_error_oauth_code(none).is_null());
            assert!(jeton_error_oauth_description(none).is_null());
            assert!(jeton_error_oauth_uri(none).is_null());
            assert_eq!(jeton_error_http_status(none), 0);
            assert_eq!(jeton_error_retry_after_ms(none), JETON_NEVER);
            assert_eq!(jeton_error_callback_result(none), 0);
            jeton_error_free(std::ptr::null_mut());
        }
    }
}
