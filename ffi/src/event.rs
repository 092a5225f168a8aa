//! `jeton_event`: what happens to logins, told to the program's callback on a thread of its own.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use jeton::{Event, EventKind};

use crate::callbacks::{Destroy, Userdata, Worker, handle_mut};
use crate::config::jeton_config;
use crate::error::{Failure, jeton_error};
use crate::fallible;
use crate::strings::owned;
use crate::words::in_c_words;

/// Somebody logged in through this client.
pub const JETON_EVENT_LOGGED_IN: i32 = 1;
/// This process obtained a new access token.
pub const JETON_EVENT_REFRESHED: i32 = 2;
/// The server refused the refresh token for good; `message` says why. Somebody has to log in again.
pub const JETON_EVENT_LOGIN_ENDED: i32 = 3;
/// A new token could not be stored; `message` says why. It is used all the same, and stored as soon as that works; if
/// the process ends before, the login may be lost.
pub const JETON_EVENT_PERSIST_FAILED: i32 = 4;
/// Somebody logged out through this client.
pub const JETON_EVENT_LOGGED_OUT: i32 = 5;
/// The login is gone from the store: another process logged out.
pub const JETON_EVENT_LOGGED_OUT_ELSEWHERE: i32 = 6;

/// So many events wait for a slow callback; it misses the oldest ones beyond that.
const MOST: usize = 64;

/// Something that happened to a login.
///
/// Ownership: lent to the callback for the call, with its strings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_event {
    /// The size of this struct in the library that calls: read no member beyond it.
    pub struct_size: usize,
    /// What happened: one of the `JETON_EVENT_` constants. Pass over those that are not known; later versions have more.
    pub kind: i32,
    /// The account of the login. Never NULL.
    pub account: *const c_char,
    /// Why the login ended, or why it could not be stored; "" otherwise. For people; shows no secret. Never NULL.
    pub message: *const c_char,
}

/// Is told each event of a client's logins, in order, one at a time, on a thread of jeton's.
///
/// It may take long, block, call any function of jeton and free handles, those of this client too; nobody waits for it. If 64
/// events wait for it, it misses the oldest. It must return in the ordinary way: no exception, no longjmp.
pub type jeton_event_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, event: *const jeton_event)>;

/// Is told the events of any number of clients.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// A callback as the listener of any number of clients. Its thread is made at the first event and ends with the listener.
///
/// # Errors
/// Without a callback; `userdata` then stays the caller's.
fn listener(
    callback: jeton_event_callback,
    userdata: *mut c_void,
    destroy: Destroy,
) -> Result<Listener, Failure> {
    let Some(callback) = callback else {
        return Err(jeton_error::argument("the argument callback is NULL; it must be a function"));
    };
    let userdata = Userdata::new(userdata, destroy);
    let worker = Worker::new("jeton-events", MOST, move |event: Event, missed| {
        if missed > 0 {
            tracing::warn!(missed, "a slow event callback missed events");
        }
        let (kind, message) = told(&event.kind);
        let (account, message) = (owned(event.key.account()), owned(message));
        let event = jeton_event {
            struct_size: size_of::<jeton_event>(),
            kind,
            account: account.as_ptr(),
            message: message.as_ptr(),
        };
        // SAFETY: the program gave both for this; the event and its strings outlive the call.
        unsafe { callback(userdata.pointer(), &raw const event) }
    });
    Ok(Arc::new(move |event: &Event| {
        if !is_known(&event.kind) {
            return;
        }
        if let Err(error) = worker.push(event.clone()) {
            tracing::warn!(%error, "no thread could be started for the event callback");
        }
    }))
}

/// Has a callback told what happens to the logins of all clients that are made from the configuration afterwards. May be
/// called several times: each callback is told, each on a thread of its own.
///
/// `userdata` is handed to the callback. `destroy` (may be NULL) is called once with it, on any thread, when the last call of the
/// callback has ended and configuration, clients and sessions are gone. If this function fails it is not called. Whoever frees the
/// last of those waits until what has happened is told and `destroy` has returned, at most two seconds, unless a callback frees it
/// or a refresh under way still holds on to the client.
///
/// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `callback` is NULL.
///
/// # Safety
///
/// `config` is NULL or a live handle that no other thread uses; `callback` and `destroy` may be called with `userdata` on any
/// thread; `error` is NULL or points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_on_event(
    config: *mut jeton_config,
    callback: jeton_event_callback,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let config = handle_mut(config, "config")?;
            config.listeners.push(listener(callback, userdata, destroy)?);
            Ok(())
        })
    }
}

/// The Rust API may have kinds that the C ABI has no number for yet.
fn is_known(kind: &EventKind) -> bool {
    told(kind).0 != 0
}

fn told(kind: &EventKind) -> (i32, String) {
    match kind {
        EventKind::LoggedIn => (JETON_EVENT_LOGGED_IN, String::new()),
        EventKind::Refreshed => (JETON_EVENT_REFRESHED, String::new()),
        EventKind::LoginEnded(reason) => (JETON_EVENT_LOGIN_ENDED, reason.clone()),
        EventKind::PersistFailed(error) => (JETON_EVENT_PERSIST_FAILED, in_c_words(&error.to_string())),
        EventKind::LoggedOut => (JETON_EVENT_LOGGED_OUT, String::new()),
        EventKind::LoggedOutElsewhere => (JETON_EVENT_LOGGED_OUT_ELSEWHERE, String::new()),
        _ => (0, String::new()),
    }
}

#[cfg(test)]
mod tests;
