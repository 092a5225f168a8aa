//! What the tests of the callbacks and requests share: a program that uses the C functions, as Rust can write one.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use jeton_devserver::DevServer;

use crate::*;

/// A configuration, freed at the end.
pub(crate) struct Config(pub(crate) *mut jeton_config);

impl Config {
    /// For a service that logs in by itself.
    pub(crate) fn service(server: &DevServer) -> Self {
        let (id, secret) = DevServer::SERVICE_CLIENT;
        let config = Self::at(server, id);
        config
            .secret(JETON_OPTION_CLIENT_SECRET, secret)
            .int(JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS);
        config
    }

    /// For a person by password, with a refresh token.
    pub(crate) fn password(server: &DevServer) -> Self {
        let (name, password) = DevServer::ALICE;
        let config = Self::at(server, DevServer::PASSWORD_CLIENT);
        config
            .text(JETON_OPTION_USERNAME, name)
            .secret(JETON_OPTION_PASSWORD, password)
            .int(JETON_OPTION_GRANT, JETON_GRANT_PASSWORD);
        config
    }

    /// For a person by that grant.
    pub(crate) fn person(server: &DevServer, grant: i32) -> Self {
        let config = Self::at(server, DevServer::PUBLIC_CLIENT);
        config.int(JETON_OPTION_GRANT, grant);
        config
    }

    fn at(server: &DevServer, client_id: &str) -> Self {
        let config = Self(jeton_config_new());
        config
            .text(JETON_OPTION_ISSUER, server.issuer())
            .text(JETON_OPTION_CLIENT_ID, client_id)
            .text(JETON_OPTION_RESOURCE_SERVER, &server.resource_url());
        config
    }

    pub(crate) fn text(&self, option: i32, value: &str) -> &Self {
        let value = CString::new(value).unwrap();
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_config_set_str(self.0, option, value.as_ptr(), error) });
        self
    }

    pub(crate) fn secret(&self, option: i32, value: &str) -> &Self {
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_config_set_secret(self.0, option, value.as_ptr(), value.len(), error) });
        self
    }

    pub(crate) fn int(&self, option: i32, value: i32) -> &Self {
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_config_set_int(self.0, option, i64::from(value), error) });
        self
    }

    pub(crate) fn client(&self) -> Client {
        let mut client = null_mut();
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_client_new(self.0, &raw mut client, error) });
        Client(client)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: a live handle, used by nobody else.
        unsafe { jeton_config_free(self.0) }
    }
}

/// A client, freed at the end.
pub(crate) struct Client(pub(crate) *mut jeton_client);

impl Client {
    pub(crate) fn session(&self) -> Session {
        let mut session = null_mut();
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_client_session(self.0, null(), &raw mut session, error) });
        Session(session)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: a live handle, used by nobody else.
        unsafe { jeton_client_free(self.0) }
    }
}

/// A session, freed at the end.
pub(crate) struct Session(pub(crate) *mut jeton_session);

// SAFETY: any thread may use a session.
unsafe impl Send for Session {}
// SAFETY: and several at once.
unsafe impl Sync for Session {}

impl Session {
    pub(crate) fn log_in(&self, cancel: *const jeton_cancel) -> Result<String, Told> {
        // SAFETY: live handles, or NULL.
        token(|token, error| unsafe { jeton_session_log_in(self.0, cancel, token, error) })
    }

    pub(crate) fn token(&self) -> Result<String, Told> {
        // SAFETY: live handles, or NULL.
        token(|token, error| unsafe { jeton_session_token(self.0, 0, null(), token, error) })
    }

    pub(crate) fn refresh(&self) -> Result<String, Told> {
        // SAFETY: live handles, or NULL.
        token(|token, error| unsafe { jeton_session_refresh(self.0, null(), token, error) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: a live handle, used by nobody else.
        unsafe { jeton_session_free(self.0) }
    }
}

fn token(call: impl FnOnce(*mut *mut jeton_token, *mut *mut jeton_error) -> i32) -> Result<String, Told> {
    let mut token = null_mut();
    told(|error| call(&raw mut token, error))?;
    // SAFETY: the token was just made.
    unsafe {
        let text = string(jeton_token_access_token(token));
        jeton_token_free(token);
        Ok(text)
    }
}

/// What an error told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: i32,
    pub(crate) message: String,
    pub(crate) callback_result: i32,
}

/// Makes a call; what its error told, if it fails.
pub(crate) fn told(call: impl FnOnce(*mut *mut jeton_error) -> i32) -> Result<(), Told> {
    let mut error = null_mut();
    let status = call(&raw mut error);
    if status == JETON_OK {
        assert!(error.is_null());
        return Ok(());
    }
    // SAFETY: the error was just made.
    unsafe {
        assert_eq!(jeton_error_status(error), status);
        let message = string(jeton_error_message(error));
        let told = Told { status, message, callback_result: jeton_error_callback_result(error) };
        jeton_error_free(error);
        Err(told)
    }
}

pub(crate) fn ok(call: impl FnOnce(*mut *mut jeton_error) -> i32) {
    assert_eq!(told(call), Ok(()));
}

/// # Safety
///
/// `text` is NUL-terminated, or NULL, which fails the test.
pub(crate) unsafe fn string(text: *const c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

/// Waits for what another thread does, and fails the test if it takes as long as no machine does.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not so within a minute: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often `destroy` was called.
#[derive(Clone, Default)]
pub(crate) struct Destroyed(Arc<AtomicUsize>);

impl Destroyed {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where a callback waits until the test lets it go on.
pub(crate) struct Gate(std::sync::Mutex<mpsc::Receiver<()>>);

/// Opens a [`Gate`], at the latest when it is dropped.
pub(crate) struct Opener(mpsc::Sender<()>);

pub(crate) fn gate() -> (Opener, Arc<Gate>) {
    let (sender, receiver) = mpsc::channel();
    (Opener(sender), Arc::new(Gate(std::sync::Mutex::new(receiver))))
}

impl Gate {
    pub(crate) fn wait(&self) {
        let _ = self.0.lock().unwrap().recv();
    }
}

impl Opener {
    pub(crate) fn open(&self) {
        self.0.send(()).unwrap();
    }
}
