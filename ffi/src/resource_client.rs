//! `jeton_resource_client`: an API of which nothing but the URL is known (RFC 9728).

use std::ffi::c_char;
use std::fmt;

use crate::cancel::jeton_cancel;
use crate::config::jeton_config;
use crate::error::{Failure, jeton_error};
use crate::request::jeton_request;
use crate::response::jeton_response;
use crate::strings::{handle, text};
use crate::{boxed, giving, guarded};

/// A client of whatever API it is given a URL of. If the resource answers 401, its metadata tells which authorization server it
/// trusts (RFC 9728); the person is asked whether to trust that one, too (`approve_authorization_server` of the interaction), unless
/// JETON_OPTION_TRUSTED_SERVER names it; a client is found there or registered (RFC 7591); the person logs in with a browser; and the
/// request is sent once more. All this is remembered in the store. Works with the Model Context Protocol's authorization.
///
/// Of the configuration are used: store, interaction, HTTP options, JETON_OPTION_REDIRECT_.., JETON_OPTION_LOGIN_TIMEOUT_MS,
/// JETON_OPTION_CLIENT_METADATA, JETON_OPTION_CLIENT_ID_DOCUMENT, JETON_OPTION_TRUSTED_SERVER, JETON_OPTION_ACCOUNT, JETON_OPTION_DPOP;
/// and, for a client that is registered already, JETON_OPTION_ISSUER, JETON_OPTION_CLIENT_ID and what it authenticates with.
///
/// Ownership: jeton_resource_client_new makes one, jeton_resource_client_free frees it.
///
/// Threads: any thread, several at once.
pub struct jeton_resource_client {
    #[cfg(feature = "registration")]
    pub(crate) client: jeton::ResourceClient,
}

impl fmt::Debug for jeton_resource_client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("jeton_resource_client").finish_non_exhaustive()
    }
}

/// Makes a client of APIs of which only the URL is known. The configuration is checked as a whole and only read. Nothing is sent yet.
///
/// `client`: set to the new client, which is the caller's: free it with jeton_resource_client_free. NULL on failure.
///
/// Threads: any thread, while no other one changes the configuration.
///
/// Errors: `JETON_ERROR_CONFIGURATION`, with what is wrong and what to set; `JETON_ERROR_STORE` if the store is not to be had;
/// `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "registration" or "loopback"; `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `config` is NULL or a live handle; `client` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_resource_client_new(
    config: *const jeton_config,
    client: *mut *mut jeton_resource_client,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { giving(client, "client", error, || Ok(boxed(made(handle(config, "config")?)?))) }
}

#[cfg(feature = "registration")]
fn made(config: &jeton_config) -> Result<jeton_resource_client, Failure> {
    Ok(jeton_resource_client { client: crate::client::resource_client(config)? })
}

#[cfg(not(feature = "registration"))]
fn made(_: &jeton_config) -> Result<jeton_resource_client, Failure> {
    Err(jeton_error::unsupported("jeton_resource_client_new", "registration"))
}

/// Begins a request. Nothing is sent yet: add headers and a body with the functions of jeton_request, and send it with
/// jeton_request_send as often as wanted.
///
/// `method`: such as "GET"; methods are case-sensitive. `url`: absolute, with its query, if any, in the right encoding.
///
/// Ownership: free `*request` with jeton_request_free. `client` may be freed before.
///
/// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what is no method or no URL.
///
/// # Safety
///
/// `client` is NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `request` and `error` are NULL or point to
/// where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_resource_client_request(
    client: *const jeton_resource_client,
    method: *const c_char,
    url: *const c_char,
    request: *mut *mut jeton_request,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(request, "request", error, || {
            let client = handle(client, "client")?;
            begun(client, text(method, "method")?, text(url, "url")?).map(boxed)
        })
    }
}

#[cfg(feature = "registration")]
fn begun(client: &jeton_resource_client, method: &str, url: &str) -> Result<jeton_request, Failure> {
    jeton_request::new(crate::request::Sender::Bootstrap(client.client.clone()), method, url)
}

#[cfg(not(feature = "registration"))]
fn begun(_: &jeton_resource_client, _: &str, _: &str) -> Result<jeton_request, Failure> {
    Err(jeton_error::unsupported("jeton_resource_client_request", "registration"))
}

/// Sends a GET request and waits for the whole answer, and for the person where one has to approve a server or log in. Any HTTP status
/// is an answer and no error.
///
/// `url`: absolute. `cancel` (may be NULL): ends the call from another thread. `response`: set to the answer, which is the caller's:
/// free it with jeton_response_free. NULL on failure.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_ANSWER` if there is no way from the resource to a login (nobody approved the server, its metadata is not its
/// own), `JETON_ERROR_INTERACTION` and those of jeton_session_log_in if the login failed, `JETON_ERROR_REQUEST` if there is no answer,
/// `JETON_ERROR_CALLBACK`, `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `client` and `cancel` are NULL or a live handle; `url` is NULL or a NUL-terminated string; `response` and `error` are NULL or point to
/// where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_resource_client_get(
    client: *const jeton_resource_client,
    url: *const c_char,
    cancel: *const jeton_cancel,
    response: *mut *mut jeton_response,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(response, "response", error, || {
            let request = begun(handle(client, "client")?, "GET", text(url, "url")?)?;
            request.send(crate::cancel::watch(cancel)).map(boxed)
        })
    }
}

/// Frees a client. NULL is allowed. Requests that were made from it go on working.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_resource_client_free(client: *mut jeton_resource_client) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(client) });
}
