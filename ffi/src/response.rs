//! `jeton_response`: what a resource server answered, as a whole.

use std::ffi::{CString, c_char};
use std::fmt;

use jeton::grants::http::{HeaderMap, StatusCode};

use crate::strings::{optional_text, owned, pointer_to};
use crate::{free, guarded};

/// What a resource server answered: made by jeton_request_send, freed by jeton_response_free. What the getters give is borrowed
/// from it.
///
/// Threads: does not change; any thread.
pub struct jeton_response {
    status: i32,
    headers: Vec<(CString, CString)>,
    /// With a NUL behind its end.
    body: Vec<u8>,
}

impl fmt::Debug for jeton_response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("jeton_response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl jeton_response {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, mut body: Vec<u8>) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            // What is not UTF-8 is shown as U+FFFD.
            (owned(name.as_str()), owned(String::from_utf8_lossy(value.as_bytes())))
        });
        body.push(0);
        Self { status: i32::from(status.as_u16()), headers: headers.collect(), body }
    }
}

/// The HTTP status, such as 200. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_status(response: *const jeton_response) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { response.as_ref() }.map_or(0, |response| response.status))
}

/// The value of the first header of that name, in whatever case; NULL if there is none. The others of the name stand in the
/// list: jeton_response_header_name.
///
/// Ownership: borrowed from `response`, until jeton_response_free.
///
/// Threads: any thread. Errors: none; NULL for an argument that is NULL.
///
/// # Safety
///
/// `response` is NULL or a live handle; `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_header(
    response: *const jeton_response,
    name: *const c_char,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        let (response, name) = unsafe { (response.as_ref(), optional_text(name, "name")) };
        let (Some(response), Ok(Some(name))) = (response, name) else { return std::ptr::null() };
        let found =
            response.headers.iter().find(|(own, _)| own.as_bytes().eq_ignore_ascii_case(name.as_bytes()));
        pointer_to(found.map(|(_, value)| value))
    })
}

/// How many headers there are; one with several values counts as often as it came. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_header_count(response: *const jeton_response) -> usize {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { response.as_ref() }.map_or(0, |response| response.headers.len()))
}

/// The name of a header, in lower case, by its index from 0; NULL beyond the end. Values of one name stand together, in the order
/// in which they came.
///
/// Ownership: borrowed from `response`, until jeton_response_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_header_name(
    response: *const jeton_response,
    index: usize,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { header_at(response, index) }.map(|(name, _)| name))
    })
}

/// The value of a header by its index from 0; NULL beyond the end. What is not UTF-8 in it is shown as U+FFFD.
///
/// Ownership: borrowed from `response`, until jeton_response_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_header_value(
    response: *const jeton_response,
    index: usize,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { header_at(response, index) }.map(|(_, value)| value))
    })
}

/// # Safety
///
/// `response` is NULL or a live handle that outlives what is given back.
unsafe fn header_at<'a>(response: *const jeton_response, index: usize) -> Option<&'a (CString, CString)> {
    // SAFETY: as the caller promises.
    unsafe { response.as_ref() }.and_then(|response| response.headers.get(index))
}

/// The whole body. A NUL stands behind its end, so that a text can be read as a C string; there may be others inside. NULL for
/// NULL only: an empty body is an empty string.
///
/// `length` (may be NULL): gets its length in bytes, without that NUL.
///
/// Ownership: borrowed from `response`, until jeton_response_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle; `length` is NULL or points to where a `size_t` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_body(
    response: *const jeton_response,
    length: *mut usize,
) -> *const u8 {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        let response = unsafe { response.as_ref() };
        if !length.is_null() {
            // SAFETY: not NULL, and the caller promises that it can be written.
            unsafe { length.write(response.map_or(0, |response| response.body.len() - 1)) };
        }
        response.map_or(std::ptr::null(), |response| response.body.as_ptr())
    })
}

/// Frees a response and its strings and body. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `response` is NULL or a live handle that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_response_free(response: *mut jeton_response) {
    // SAFETY: as the caller promises.
    guarded((), || unsafe { free(response) });
}
