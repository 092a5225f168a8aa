//! `jeton_token`: an access token, with its strings ready for C.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

use jeton::AccessToken;
use serde::Serialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::JETON_NEVER;
use crate::guarded;
use crate::strings::{millis, optional_text, owned, pointer_to};

/// A valid access token, as it was when it was asked for. It knows no refresh token.
///
/// Ownership: each one that a call hands out is to be freed once with jeton_token_free, also where two calls hand out
/// the same pointer: the handle counts. What it lends (strings) lives until it is freed; then it is wiped.
///
/// Threads: does not change; any thread, several at once.
pub struct jeton_token {
    pub(crate) token: AccessToken,
    /// The value of the header, NUL-terminated. The token itself is its end, so that it stands in memory once more
    /// only.
    authorization: Zeroizing<Vec<u8>>,
    /// Where in it the token begins.
    token_at: usize,
    rare: OnceLock<Rare>,
}

/// What few programs ask for; made when one does.
struct Rare {
    token_type: CString,
    scope: Option<CString>,
    warnings: Vec<(CString, CString)>,
    /// Members that the model does not name, among them tokens of other kinds.
    extra: BTreeMap<String, Secret>,
    /// All of them in one object.
    extra_json: Secret,
}

/// A string for C that is wiped when it is dropped.
pub(crate) struct Secret(CString);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        // From a `&str` it is of the right size at once: nothing unwiped is left behind by growing.
        Self(CString::new(text).unwrap_or_else(|_| owned(text)))
    }

    /// A value as JSON.
    pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        /// Counts what is written.
        struct Length(usize);

        impl io::Write for Length {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        // Measured first, for a buffer that grows leaves unwiped pieces behind.
        let mut length = Length(0);
        serde_json::to_writer(&mut length, value)?;
        let mut json = Vec::with_capacity(length.0 + 1);
        serde_json::to_writer(&mut json, value)?;
        json.push(0);
        // JSON escapes a NUL: the only one is the last byte.
        Ok(Self(CString::from_vec_with_nul(json).unwrap_or_default()))
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        std::mem::take(&mut self.0).into_bytes().zeroize();
    }
}

impl jeton_token {
    pub(crate) fn new(token: AccessToken) -> Self {
        let value = token.authorization().as_bytes();
        // Of the right size at once: nothing unwiped is left behind by growing.
        let mut authorization = Zeroizing::new(Vec::with_capacity(value.len() + 1));
        authorization.extend_from_slice(value);
        authorization.push(0);
        let token_at = value.len() - token.secret().len().min(value.len());
        Self { token, authorization, token_at, rare: OnceLock::new() }
    }

    /// Hands it out: [`jeton_token_free`] takes it back.
    pub(crate) fn lend(self: Arc<Self>) -> *mut Self {
        Arc::into_raw(self).cast_mut()
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(|| Rare::new(&self.token))
    }
}

impl Rare {
    fn new(token: &AccessToken) -> Self {
        let warnings = token.warnings().iter();
        let extra = token.extra().iter().map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => Secret::new(text),
                // A value that was read can be written.
                value => Secret::json(value).unwrap_or_else(|_| Secret::new("null")),
            };
            (name.to_owned(), text)
        });
        Self {
            token_type: owned(token.token_type().as_str()),
            scope: token.scope().map(|scope| owned(scope.to_string())),
            warnings: warnings.map(|warning| (owned(warning.code()), owned(warning.message()))).collect(),
            extra: extra.collect(),
            extra_json: Secret::json(token.extra()).unwrap_or_else(|_| Secret::new("{}")),
        }
    }
}

impl fmt::Debug for jeton_token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("jeton_token").field(&self.token).finish()
    }
}

/// The token itself, for programs that put it elsewhere than into the header. Opaque: do not parse it, do not log it.
/// NULL for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_access_token(token: *const jeton_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        let token = unsafe { token.as_ref() };
        token
            .and_then(|token| token.authorization.get(token.token_at..))
            .map_or(std::ptr::null(), |text| text.as_ptr().cast())
    })
}

/// The value of the header `Authorization` that presents the token: "Bearer " and the token (RFC 6750 §2.1). Do not
/// log it. NULL for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_authorization(token: *const jeton_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { token.as_ref() }.map_or(std::ptr::null(), |token| token.authorization.as_ptr().cast())
    })
}

/// The length of what jeton_token_authorization gives, in bytes, without the NUL. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_authorization_length(token: *const jeton_token) -> usize {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { token.as_ref() }.map_or(0, |token| token.authorization.len() - 1))
}

/// How the token is presented: "Bearer". NULL for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_type(token: *const jeton_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { token.as_ref() }.map(|token| &token.rare().token_type))
    })
}

/// What the token is good for: the granted scope, or the requested one where the server named none (RFC 6749 §5.1);
/// names separated by spaces. NULL if no scope was asked for or named, and for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_scope(token: *const jeton_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { token.as_ref() }.and_then(|token| token.rare().scope.as_ref()))
    })
}

/// When the token expires, in milliseconds of Unix time. `JETON_NEVER` if the server did not say, and for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_expires_at_ms(token: *const jeton_token) -> i64 {
    guarded(JETON_NEVER, || {
        // SAFETY: the caller promises NULL or a live handle.
        let expires_at = unsafe { token.as_ref() }.and_then(|token| token.token.expires_at());
        expires_at.map_or(JETON_NEVER, |at| millis(at.duration_since(UNIX_EPOCH).unwrap_or_default()))
    })
}

/// How many leniencies it took to read the server's answer. 0 for NULL, and for a server that keeps to the RFCs.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_warning_count(token: *const jeton_token) -> usize {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { token.as_ref() }.map_or(0, |token| token.token.warnings().len()))
}

/// The code of a leniency, such as "expires_in_string", counted from 0. NULL beyond the end, and for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_warning_code(token: *const jeton_token, index: usize) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        let warning = unsafe { token.as_ref() }.and_then(|token| token.rare().warnings.get(index));
        pointer_to(warning.map(|(code, _)| code))
    })
}

/// A leniency in a sentence for developers, counted from 0. NULL beyond the end, and for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_warning_message(
    token: *const jeton_token,
    index: usize,
) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        let warning = unsafe { token.as_ref() }.and_then(|token| token.rare().warnings.get(index));
        pointer_to(warning.map(|(_, message)| message))
    })
}

/// Another member of the server's answer, such as "id_token": a string as its text, anything else as JSON. It may be
/// a secret: do not log it. NULL if there is none of that name, and for NULL.
///
/// `name`: NUL-terminated UTF-8.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle, and `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_extra(token: *const jeton_token, name: *const c_char) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle, and NULL or a string.
        let (token, name) = unsafe { (token.as_ref(), optional_text(name, "name")) };
        let (Some(token), Ok(Some(name))) = (token, name) else { return std::ptr::null() };
        token.rare().extra.get(name).map_or(std::ptr::null(), Secret::as_ptr)
    })
}

/// All members of the server's answer that have no function of their own, as one JSON object: "{}" if there are none.
/// It may hold secrets: do not log it. NULL for NULL.
///
/// Ownership: borrowed from `token`, until jeton_token_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_extra_json(token: *const jeton_token) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { token.as_ref() }.map_or(std::ptr::null(), |token| token.rare().extra_json.as_ptr())
    })
}

/// Gives a token back; its strings are wiped when the last one is. NULL is allowed.
///
/// Threads: any thread; not while another one uses what was borrowed through this very handle. Errors: none.
///
/// # Safety
///
/// `token` is NULL or a live handle; this one is not used afterwards, nor is what was borrowed from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_token_free(token: *mut jeton_token) {
    guarded((), || {
        if !token.is_null() {
            // SAFETY: the caller promises a live handle; `lend` made it of an `Arc`, whose count it owns.
            drop(unsafe { Arc::from_raw(token.cast_const()) });
        }
    });
}
