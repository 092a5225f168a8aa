//! `jeton_request`: a request that carries the session's access token.

use std::ffi::c_char;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jeton::grants::http::{HeaderName, HeaderValue, Method};
use jeton::{Client, Error, Session};

use crate::callbacks::handle_mut;
use crate::cancel::{Watch, jeton_cancel, watch};
use crate::error::{Failure, JETON_ERROR_REQUEST, JETON_RECOVERY_FIX_REQUEST, jeton_error};
use crate::response::jeton_response;
use crate::session::jeton_session;
use crate::store::in_store_callback;
use crate::strings::{bytes, duration, handle, text};
use crate::wait::wait;
use crate::{boxed, fallible, giving, guarded};

/// The largest body of an answer unless the program says otherwise, in bytes: 64 MiB.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// A request that will carry the session's access token: made by jeton_session_request, sent by jeton_request_send as often as
/// wanted, freed by jeton_request_free.
///
/// The token goes to the client's resource servers (`JETON_OPTION_RESOURCE_SERVER`) and nowhere else. If one of them rejects it
/// (401 `invalid_token`), jeton gets another one and sends the request once more. Redirects are followed; one to another origin goes on
/// without the token.
///
/// Threads: one at a time.
pub struct jeton_request {
    sender: Sender,
    method: Method,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    query: Vec<(String, String)>,
    body: Option<Bytes>,
    timeout: Option<Duration>,
    max_body: u64,
}

/// Whose request it is.
pub(crate) enum Sender {
    Session(Client, Session),
    /// Of a client that finds its way by itself.
    #[cfg(feature = "registration")]
    Bootstrap(jeton::ResourceClient),
}

impl jeton_request {
    pub(crate) fn new(sender: Sender, method: &str, url: &str) -> Result<Self, Failure> {
        Ok(Self {
            sender,
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_| unusable(format!("{method:?} is no HTTP method; use a name such as \"GET\"")))?,
            url: checked_url(url)?,
            headers: Vec::new(),
            query: Vec::new(),
            body: None,
            timeout: None,
            max_body: MAX_BODY,
        })
    }
}

/// A request that cannot be sent as it is.
fn unusable(what: String) -> Failure {
    jeton_error::new(JETON_ERROR_REQUEST, JETON_RECOVERY_FIX_REQUEST, what)
}

/// Begins a request to one of the client's resource servers. Nothing is sent yet.
///
/// `method`: such as "GET"; methods are case-sensitive. `url`: absolute, with its query, if any, in the right encoding. What is
/// wrong with either is told here; whether the token may go there, by jeton_request_send (jeton_session_check_url asks).
///
/// Ownership: free `*request` with jeton_request_free. It holds on to the session's login: `session` may be freed before.
///
/// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what is no method or no URL.
///
/// # Safety
///
/// `session` is NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `request` and `error` are NULL or
/// point to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_session_request(
    session: *const jeton_session,
    method: *const c_char,
    url: *const c_char,
    request: *mut *mut jeton_request,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(request, "request", error, || {
            let session = handle(session, "session")?;
            let (method, url) = (text(method, "method")?, text(url, "url")?);
            let sender = Sender::Session(session.client.clone(), session.session.clone());
            jeton_request::new(sender, method, url).map(boxed)
        })
    }
}

/// Refuses what is no URL of a web server. Neither its query nor a password before its host shows in the error.
fn checked_url(url: &str) -> Result<String, Failure> {
    let what = match jeton::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => return Ok(url.to_owned()),
        Ok(parsed) => format!("its scheme is {}, which is neither http nor https", parsed.scheme()),
        Err(error) => error.to_string(),
    };
    let (shown, hidden) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    // Where that stands in a password, which nobody has encoded, its beginning must not show either.
    let shown = if hidden.contains('@') { "\u{2026}" } else { shown.rsplit('@').next().unwrap_or_default() };
    Err(unusable(format!(
        "{shown:?} is no URL to send a request to: {what}; give the whole one, such as https://api.example/v1"
    )))
}

/// Adds a header; one that is there stays, so that a name may have several values.
///
/// `value`: any text without line breaks. An "Authorization" header is refused when the request is sent: the token goes there.
///
/// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what no header can hold.
///
/// # Safety
///
/// `request` is NULL or a live handle that no other thread uses; `name` and `value` are NULL or NUL-terminated strings; `error` is
/// NULL or points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_add_header(
    request: *mut jeton_request,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let request = handle_mut(request, "request")?;
            let (name, value) = (text(name, "name")?, text(value, "value")?);
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                unusable(format!("{name:?} is no name of a header; use letters, digits and hyphens"))
            })?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                unusable(format!("the value of the header {name:?} has a character that no header can hold, such as a line break"))
            })?;
            request.headers.push((header, value));
            Ok(())
        })
    }
}

/// Adds a parameter to the URL's query, encoded as it must be, behind what is there.
///
/// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`.
///
/// # Safety
///
/// As for jeton_request_add_header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_add_query(
    request: *mut jeton_request,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let request = handle_mut(request, "request")?;
            let (name, value) = (text(name, "name")?, text(value, "value")?);
            request.query.push((name.to_owned(), value.to_owned()));
            Ok(())
        })
    }
}

/// Sets the body, in the place of one that was set before. Its type goes into a header: jeton_request_add_header with
/// "Content-Type".
///
/// `body`: `length` bytes, copied; may be NULL if `length` is 0, for an empty body.
///
/// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`.
///
/// # Safety
///
/// `request` is NULL or a live handle that no other thread uses; `body` is NULL or points to `length` bytes; `error` is NULL or
/// points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_set_body(
    request: *mut jeton_request,
    body: *const u8,
    length: usize,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let request = handle_mut(request, "request")?;
            request.body = Some(Bytes::copy_from_slice(bytes(body, length, "body")?));
            Ok(())
        })
    }
}

/// Limits how long the resource server may take, in milliseconds, from connecting until the body is read. The second try after
/// a 401 has as long again. Unless set there is no limit: then jeton_cancel ends a call.
///
/// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, also for a time that is negative or 0.
///
/// # Safety
///
/// `request` is NULL or a live handle that no other thread uses; `error` is NULL or points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_set_timeout_ms(
    request: *mut jeton_request,
    timeout_ms: i64,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let request = handle_mut(request, "request")?;
            if timeout_ms == 0 {
                return Err(jeton_error::argument("timeout_ms is 0, in which nothing can be answered"));
            }
            request.timeout = Some(duration(timeout_ms, "timeout_ms")?);
            Ok(())
        })
    }
}

/// Limits the body of the answer, in bytes. A longer one makes jeton_request_send fail with `JETON_ERROR_REQUEST`; nothing of it is
/// given out. 64 MiB unless set.
///
/// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, also for a negative number.
///
/// # Safety
///
/// `request` is NULL or a live handle that no other thread uses; `error` is NULL or points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_set_max_body(
    request: *mut jeton_request,
    bytes: i64,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let request = handle_mut(request, "request")?;
            request.max_body = u64::try_from(bytes).map_err(|_| {
                jeton_error::argument(format!("bytes is {bytes}; a length cannot be negative"))
            })?;
            Ok(())
        })
    }
}

/// Sends the request with a valid access token, which is obtained or refreshed if need be, and waits for the whole answer. Any HTTP
/// status is an answer and no error. The request may be changed and sent again afterwards.
///
/// `cancel` (may be NULL): ends the call from another thread. What was sent by then may have its effect.
///
/// Ownership: free `*response` with jeton_response_free. It depends on nothing else.
///
/// Threads: the request's; it blocks. Errors: `JETON_ERROR_FOREIGN_ORIGIN` if the URL is at none of the client's resource servers,
/// `JETON_ERROR_REQUEST` if there is no answer, if the body is too long or the request has an "Authorization" header of its own,
/// `JETON_ERROR_CANCELLED`, and those of jeton_session_token.
///
/// # Safety
///
/// `request` is NULL or a live handle that no other thread changes or frees meanwhile; `cancel` is NULL or a live handle;
/// `response` and `error` are NULL or point to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_send(
    request: *const jeton_request,
    cancel: *const jeton_cancel,
    response: *mut *mut jeton_response,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(response, "response", error, || handle(request, "request")?.send(watch(cancel)).map(boxed))
    }
}

/// Frees a request. NULL is allowed. If it holds the last session of its login, this waits as jeton_session_free does.
///
/// Threads: the request's. Errors: none.
///
/// # Safety
///
/// `request` is NULL or a live handle that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_request_free(request: *mut jeton_request) {
    guarded((), || {
        if request.is_null() {
            return;
        }
        // SAFETY: not NULL, and the caller promises a live handle, made by `boxed`.
        let request = unsafe { Box::from_raw(request) };
        if in_store_callback() {
            // What its session may wait for needs this very thread.
            let freed =
                std::thread::Builder::new().name("jeton-free".to_owned()).spawn(move || drop(request));
            // Without a thread it was dropped here, and has waited its time.
            drop(freed);
        }
    });
}

impl fmt::Debug for jeton_request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL, headers and body may hold secrets.
        f.debug_struct("jeton_request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Fills in a request of either kind: their builders have the same methods.
macro_rules! filled {
    ($sending:expr, $request:expr) => {{
        let mut sending = $sending;
        for (name, value) in &$request.headers {
            sending = sending.header(name.clone(), value.clone());
        }
        sending = sending.query($request.query.iter().cloned());
        if let Some(body) = &$request.body {
            // Shared, not copied, and so there for a second try.
            sending = sending.body(body.clone());
        }
        if let Some(timeout) = $request.timeout {
            sending = sending.timeout(timeout);
        }
        sending
    }};
}

impl jeton_request {
    pub(crate) fn send(&self, cancel: Watch) -> Result<jeton_response, Failure> {
        let max_body = self.max_body;
        match &self.sender {
            Sender::Session(client, session) => {
                let sending = filled!(session.request(self.method.clone(), &self.url), self);
                wait(client, cancel, async move { Ok(whole(sending.send().await?, max_body).await) })?
            }
            #[cfg(feature = "registration")]
            Sender::Bootstrap(client) => {
                let sending = filled!(client.request(self.method.clone(), &self.url), self);
                wait(client, cancel, async move { Ok(whole(sending.send().await?, max_body).await) })?
            }
        }
    }
}

/// Reads the whole answer, but no body that is too long.
async fn whole(mut answer: jeton::reqwest::Response, max_body: u64) -> Result<jeton_response, Failure> {
    let too_long = || {
        unusable(format!(
            "the answer's body is longer than {max_body} bytes; allow more with jeton_request_set_max_body"
        ))
    };
    if answer.content_length().is_some_and(|length| length > max_body) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Error::from)? {
        if (body.len() + chunk.len()) as u64 > max_body {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(jeton_response::new(answer.status(), answer.headers(), body))
}

#[cfg(test)]
mod tests;
