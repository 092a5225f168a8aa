//! Strings and bytes that cross the border: read with checks on the way in, owned as C strings on the way out.

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use crate::error::{Failure, jeton_error};

/// An argument that must be there: UTF-8, NUL-terminated. `name` is the argument's, for the error.
///
/// # Safety
///
/// `text` is NULL or points to a NUL-terminated string that outlives what is given back.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: as the caller promises.
    match unsafe { optional_text(text, name) }? {
        Some(text) => Ok(text),
        None => Err(jeton_error::argument(format!("the argument {name} is NULL; it must be a string"))),
    }
}

/// An argument that may be NULL: UTF-8, NUL-terminated.
///
/// # Safety
///
/// `text` is NULL or points to a NUL-terminated string that outlives what is given back.
pub(crate) unsafe fn optional_text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the rest as the caller promises.
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(jeton_error::argument(format!("the argument {name} is not UTF-8; convert it"))),
    }
}

/// Bytes of that length. NULL is allowed for none, with the length 0.
///
/// # Safety
///
/// `bytes` is NULL or points to `length` bytes that outlive what is given back.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, length: usize, name: &str) -> Result<&'a [u8], Failure> {
    if length == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(jeton_error::argument(format!(
            "the argument {name} is NULL, but its length is {length}"
        )));
    }
    if isize::try_from(length).is_err() {
        return Err(jeton_error::argument(format!(
            "the length {length} of the argument {name} is too large"
        )));
    }
    // SAFETY: not NULL and no longer than a slice may be; the rest as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// A handle that must be there.
///
/// # Safety
///
/// `handle` is NULL or a live handle that outlives what is given back.
pub(crate) unsafe fn handle<'a, T>(handle: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: as the caller promises.
    unsafe { handle.as_ref() }.ok_or_else(|| jeton_error::argument(format!("the argument {name} is NULL")))
}

/// A text as C gets it. A NUL inside, which would cut it off unseen, is shown as U+FFFD: what comes from a server may
/// hold one.
pub(crate) fn owned(text: impl Into<String>) -> CString {
    let text = text.into();
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    // Without a NUL inside this cannot fail.
    CString::new(text).unwrap_or_default()
}

/// Where a text is, or NULL.
pub(crate) fn pointer_to(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// A duration in milliseconds; the largest number if it is longer than that.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A duration that C gives in milliseconds.
pub(crate) fn duration(milliseconds: i64, name: &str) -> Result<Duration, Failure> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => {
            Err(jeton_error::argument(format!("{name} is {milliseconds}; milliseconds cannot be negative")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked_and_named() {
        // SAFETY: NULL and C string literals.
        unsafe {
            assert_eq!(text(c"Zoë".as_ptr(), "account").unwrap(), "Zoë");
            let missing = text(std::ptr::null(), "account").unwrap_err();
            assert!(format!("{missing:?}").contains("account is NULL"), "{missing:?}");
            let broken = text(c"\xff".as_ptr(), "account").unwrap_err();
            assert!(format!("{broken:?}").contains("account is not UTF-8"), "{broken:?}");
            assert_eq!(optional_text(std::ptr::null(), "account").unwrap(), None);
            assert_eq!(bytes(std::ptr::null(), 0, "body").unwrap(), b"");
            assert_eq!(bytes(b"ab".as_ptr(), 1, "body").unwrap(), b"a");
            assert!(bytes(std::ptr::null(), 1, "body").is_err());
            assert!(bytes(b"ab".as_ptr(), usize::MAX, "body").is_err());
        }
    }

    #[test]
    fn a_nul_inside_does_not_cut_a_text_off() {
        assert_eq!(owned("a\0b"), c"a\u{fffd}b".to_owned());
        assert_eq!(owned(""), c"".to_owned());
    }
}
