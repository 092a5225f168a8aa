//! `jeton_interaction`: how the program reaches the person who logs in.
//!
//! Each callback runs on a thread of its own: one that hangs (a window that nobody closes) holds up neither its login, where
//! that can go on, nor another one, and a login that is cancelled waits for none.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use jeton::Interaction;
use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, InteractionError, LoginOutcome, ServerPrompt,
    ServerReason,
};
use tokio::sync::oneshot;

use crate::browser::open_in_browser;
use crate::callbacks::{Userdata, handle_mut, on_own_thread, read_struct};
use crate::config::jeton_config;
use crate::error::{
    CallbackError, Failure, JETON_ERROR_INTERACTION, JETON_ERROR_OAUTH, JETON_OK, jeton_error,
};
use crate::fallible;
use crate::strings::{millis, owned, pointer_to};
use crate::words::in_c_words;

/// How long a callback is waited for where the login can go on without it: what most need, so that their failure ends the
/// login at once and not at the next tick.
const COURTESY: Duration = Duration::from_millis(250);

/// What to show for a login with a device code (RFC 8628 §3.3).
///
/// Ownership: lent to the callback for the call, with its strings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_device_prompt {
    /// The size of this struct in the library that calls: read no member beyond it.
    pub struct_size: usize,
    /// The code that the person types. Never NULL.
    pub user_code: *const c_char,
    /// Where the person types it: an HTTPS URL, or one on loopback. Never NULL.
    pub verification_uri: *const c_char,
    /// The same with the code in it, for a link or a QR code; NULL if the server gave none.
    pub verification_uri_complete: *const c_char,
    /// When the code stops working: Unix time in milliseconds.
    pub expires_at_ms: i64,
}

/// How the program reaches the person who logs in: for jeton_config_set_interaction. Members may be NULL.
///
/// The callbacks run on threads of jeton's. They may take long, block, and call any function of jeton, also ones that block.
/// Those of different logins may run at the same time, and so may `login_ended` while `show_device_code` has not returned.
/// They must return in the ordinary way: no exception, no longjmp.
///
/// Each but `login_ended` returns 0, or anything else to end the login with `JETON_ERROR_CALLBACK`; then
/// jeton_error_callback_result tells what was returned. A login that ended or was cancelled waits for no callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_interaction {
    /// sizeof(jeton_interaction).
    pub struct_size: usize,
    /// Handed to each callback.
    pub userdata: *mut c_void,
    /// Brings the person to the authorization URL: opens a browser, or shows the URL. It holds a secret of this login
    /// (`state`): do not log it. NULL: the system's browser is opened.
    pub open_url: Option<unsafe extern "C" fn(userdata: *mut c_void, url: *const c_char) -> i32>,
    /// Shows where to enter which code. jeton asks the server meanwhile whether that has happened, whether this has returned or
    /// not. NULL: the device grant fails with `JETON_ERROR_INTERACTION`.
    pub show_device_code:
        Option<unsafe extern "C" fn(userdata: *mut c_void, prompt: *const jeton_device_prompt) -> i32>,
    /// Called about once a second while the server waits for the person, for a countdown: `remaining_ms` milliseconds are
    /// left. Left out as long as an earlier call of it has not returned. NULL: nothing.
    pub device_code_pending: Option<unsafe extern "C" fn(userdata: *mut c_void, remaining_ms: i64) -> i32>,
    /// Called once when a login that was shown to the person is over, unless it was cancelled: `status` is `JETON_OK` if there is
    /// a token, `JETON_ERROR_OAUTH` if the person or the server said no, `JETON_ERROR_INTERACTION` for anything else (what
    /// exactly, the call that logged in tells). `message`: for people, "" for success; lent for the call. NULL: nothing.
    pub login_ended: Option<unsafe extern "C" fn(userdata: *mut c_void, status: i32, message: *const c_char)>,
    /// Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    /// Asks whether an authorization server may be trusted that the program never named, but a resource did
    /// (jeton_resource_client): the person will be sent there to sign in. Show both hosts. Sets `*approved` to 1 for yes; it is 0, for
    /// no, until then. NULL: no.
    pub approve_authorization_server: Option<
        unsafe extern "C" fn(
            userdata: *mut c_void,
            prompt: *const jeton_server_prompt,
            approved: *mut i32,
        ) -> i32,
    >,
}

/// Which authorization server is to be trusted, and why.
///
/// Ownership: lent to the callback for the call, with its strings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_server_prompt {
    /// The size of this struct in the library that calls: read no member beyond it.
    pub struct_size: usize,
    /// The identifier of the resource that named the server, a URL. Never NULL.
    pub resource: *const c_char,
    /// The server's issuer identifier: an HTTPS URL, or one on loopback. Never NULL.
    pub issuer: *const c_char,
    /// Where the login was so far, if the resource names another server now; else NULL.
    pub former_issuer: *const c_char,
}

struct Callbacks {
    functions: jeton_interaction,
    userdata: Userdata,
    /// What became of the callbacks of device logins, by user code, until the codes expire.
    devices: Mutex<HashMap<String, DeviceLogin>>,
}

// SAFETY: the pointers inside are functions and the program's `userdata`, meant for any thread.
unsafe impl Send for Callbacks {}
// SAFETY: as above; what changes is behind a mutex.
unsafe impl Sync for Callbacks {}

struct DeviceLogin {
    expires_at: SystemTime,
    device: Arc<Mutex<Device>>,
}

#[derive(Default)]
struct Device {
    /// Whether `device_code_pending` has been called and has not returned.
    is_told: bool,
    failed: Option<CallbackError>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program's way to reach a person. Clones are the same one.
#[derive(Clone)]
pub(crate) struct CallbackInteraction(Arc<Callbacks>);

impl CallbackInteraction {
    /// # Errors
    /// When the table cannot be read; its `userdata` then stays the caller's.
    ///
    /// # Safety
    ///
    /// `table` is NULL or points to a `jeton_interaction` whose size is as the header says.
    pub(crate) unsafe fn read(table: *const jeton_interaction) -> Result<Self, Failure> {
        // SAFETY: as the caller promises.
        Ok(Self::new(unsafe { read_struct(table, "jeton_interaction") }?))
    }

    fn new(functions: jeton_interaction) -> Self {
        let userdata = Userdata::new(functions.userdata, functions.destroy);
        Self(Arc::new(Callbacks { functions, userdata, devices: Mutex::default() }))
    }

    /// Starts a callback on a thread of its own; what is received is what it returned.
    fn start(
        &self,
        callback: &'static str,
        call: impl FnOnce(&Callbacks) -> i32 + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<(), CallbackError>>, InteractionError> {
        let callbacks = Arc::clone(&self.0);
        let (answer, answered) = oneshot::channel();
        let started = on_own_thread(move || {
            let outcome = match call(&callbacks) {
                0 => Ok(()),
                result => {
                    Err(CallbackError { what: format!("the callback {callback} of the interaction"), result })
                }
            };
            // Nobody may wait any more.
            let _ = answer.send(outcome);
        });
        started.map_err(|error| {
            InteractionError::failed(format!(
                "no thread could be started for the callback {callback}: {error}"
            ))
        })?;
        Ok(answered)
    }

    /// The state of the device login with that prompt.
    fn device(&self, prompt: &DeviceCodePrompt<'_>) -> Arc<Mutex<Device>> {
        let now = SystemTime::now();
        let mut devices = locked(&self.0.devices);
        devices.retain(|user_code, login| login.expires_at > now || user_code == prompt.user_code);
        let login = devices
            .entry(prompt.user_code.to_owned())
            .or_insert_with(|| DeviceLogin { expires_at: prompt.expires_at, device: Arc::default() });
        Arc::clone(&login.device)
    }

    /// Starts a callback of a device login and waits for it a little. If it fails later, the next tick ends the login.
    async fn start_for_device(
        &self,
        device: &Arc<Mutex<Device>>,
        callback: &'static str,
        call: impl FnOnce(&Callbacks) -> i32 + Send + 'static,
        ended: impl FnOnce(&mut Device) + Send + 'static,
    ) -> Result<(), InteractionError> {
        let answered = self.start(callback, call)?;
        let noting = tokio::spawn({
            let device = Arc::clone(device);
            async move {
                let outcome = answered.await;
                let mut device = locked(&device);
                ended(&mut device);
                if let Ok(Err(error)) = outcome {
                    device.failed = Some(error);
                }
            }
        });
        // Dropped, not ended: it goes on noting.
        let _ = tokio::time::timeout(COURTESY, noting).await;
        failed(device)
    }
}

fn failed(device: &Mutex<Device>) -> Result<(), InteractionError> {
    locked(device).failed.clone().map_or(Ok(()), |error| Err(InteractionError::other(error)))
}

/// A prompt as C gets it.
struct OwnedPrompt {
    user_code: CString,
    verification_uri: CString,
    verification_uri_complete: Option<CString>,
    expires_at_ms: i64,
}

impl OwnedPrompt {
    fn new(prompt: &DeviceCodePrompt<'_>) -> Self {
        Self {
            user_code: owned(prompt.user_code),
            verification_uri: owned(prompt.verification_uri),
            verification_uri_complete: prompt.verification_uri_complete.map(owned),
            expires_at_ms: millis(prompt.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    fn lent(&self) -> jeton_device_prompt {
        jeton_device_prompt {
            struct_size: size_of::<jeton_device_prompt>(),
            user_code: self.user_code.as_ptr(),
            verification_uri: self.verification_uri.as_ptr(),
            verification_uri_complete: pointer_to(self.verification_uri_complete.as_ref()),
            expires_at_ms: self.expires_at_ms,
        }
    }
}

#[async_trait]
impl Interaction for CallbackInteraction {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let Some(open_url) = self.0.functions.open_url else {
            open_in_browser(prompt.url).await?;
            return Ok(AuthorizationReply::Opened);
        };
        let url = owned(prompt.url.as_str());
        let answered = self.start("open_url", move |callbacks| {
            // SAFETY: the program gave the function for this; the URL outlives the call.
            unsafe { open_url(callbacks.userdata.pointer(), url.as_ptr()) }
        })?;
        match answered.await {
            Ok(Ok(())) => Ok(AuthorizationReply::Opened),
            Ok(Err(error)) => Err(InteractionError::other(error)),
            Err(_) => Err(InteractionError::failed(
                "the thread of the callback open_url ended by a panic of jeton's",
            )),
        }
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        let Some(show) = self.0.functions.show_device_code else {
            return Err(InteractionError::unavailable(
                "no interaction with show_device_code is set (jeton_config_set_interaction)",
            ));
        };
        // A server may give the same code again, to another login.
        locked(&self.0.devices).remove(prompt.user_code);
        let device = self.device(prompt);
        let prompt = OwnedPrompt::new(prompt);
        let call = move |callbacks: &Callbacks| {
            let lent = prompt.lent();
            // SAFETY: the program gave the function for this; the prompt and its strings outlive the call.
            unsafe { show(callbacks.userdata.pointer(), &raw const lent) }
        };
        self.start_for_device(&device, "show_device_code", call, |_| ()).await
    }

    async fn device_code_pending(
        &self,
        prompt: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        let device = self.device(prompt);
        let Some(pending) = self.0.functions.device_code_pending else { return failed(&device) };
        {
            let mut device = locked(&device);
            if let Some(error) = &device.failed {
                return Err(InteractionError::other(error.clone()));
            }
            if std::mem::replace(&mut device.is_told, true) {
                return Ok(());
            }
        }
        let remaining_ms = millis(remaining);
        let call = move |callbacks: &Callbacks| {
            // SAFETY: the program gave the function for this.
            unsafe { pending(callbacks.userdata.pointer(), remaining_ms) }
        };
        self.start_for_device(&device, "device_code_pending", call, |device| device.is_told = false).await
    }

    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        let Some(approve) = self.0.functions.approve_authorization_server else { return Ok(false) };
        let (resource, issuer) = (owned(prompt.resource), owned(prompt.issuer));
        let former = match prompt.reason {
            ServerReason::Moved { from } => Some(owned(from)),
            _ => None,
        };
        let approved = Arc::new(AtomicBool::new(false));
        let answer = Arc::clone(&approved);
        let answered = self.start("approve_authorization_server", move |callbacks| {
            let lent = jeton_server_prompt {
                struct_size: size_of::<jeton_server_prompt>(),
                resource: resource.as_ptr(),
                issuer: issuer.as_ptr(),
                former_issuer: pointer_to(former.as_ref()),
            };
            let mut yes = 0;
            // SAFETY: the program gave the function for this; the prompt and its strings outlive the call.
            let result = unsafe { approve(callbacks.userdata.pointer(), &raw const lent, &raw mut yes) };
            answer.store(yes == 1, Ordering::SeqCst);
            result
        })?;
        match answered.await {
            Ok(Ok(())) => Ok(approved.load(Ordering::SeqCst)),
            Ok(Err(error)) => Err(InteractionError::other(error)),
            Err(_) => Err(InteractionError::failed(
                "the thread of the callback approve_authorization_server ended by a panic of jeton's",
            )),
        }
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        let Some(ended) = self.0.functions.login_ended else { return };
        let (status, message) = match outcome {
            LoginOutcome::Success => (JETON_OK, String::new()),
            LoginOutcome::Denied { error, description: Some(description) } => {
                (JETON_ERROR_OAUTH, format!("{error}: {description}"))
            }
            LoginOutcome::Denied { error, description: None } => (JETON_ERROR_OAUTH, error.to_owned()),
            LoginOutcome::Failed(what) => (JETON_ERROR_INTERACTION, in_c_words(what)),
            _ => (JETON_ERROR_INTERACTION, String::new()),
        };
        let message = owned(message);
        let answered = self.start("login_ended", move |callbacks| {
            // SAFETY: the program gave the function for this; the message outlives the call.
            unsafe { ended(callbacks.userdata.pointer(), status, message.as_ptr()) };
            0
        });
        match answered {
            // The login is over, and its caller waits.
            Ok(answered) => drop(tokio::time::timeout(COURTESY, answered).await),
            Err(error) => tracing::warn!(%error, "the program was not told that a login ended"),
        }
    }
}

/// Sets how the program reaches the person who logs in, in the place of what was set before (whose `destroy` is called, if
/// nothing else uses it). A configuration without has the system's browser opened, and shows no device codes.
///
/// `interaction`: the struct is copied; its `userdata` belongs to jeton from here on, until its `destroy` is called. If this
/// function fails, that is not called.
///
/// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `interaction` is NULL, or if its
/// `struct_size` is wrong.
///
/// # Safety
///
/// `config` is NULL or a live handle that no other thread uses; `interaction` is NULL or points to a `jeton_interaction` of the
/// size that it says, whose functions may be called with its `userdata` on any thread; `error` is NULL or points to where a
/// pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_interaction(
    config: *mut jeton_config,
    interaction: *const jeton_interaction,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let config = handle_mut(config, "config")?;
            let interaction = CallbackInteraction::read(interaction)?;
            drop(config.interaction.replace(Arc::new(interaction)));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
