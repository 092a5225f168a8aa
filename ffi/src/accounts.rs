//! `jeton_accounts`: the accounts that a store has a login of.

use std::ffi::{CString, c_char};

use crate::guarded;
use crate::strings::{owned, pointer_to};

/// The accounts that jeton_client_accounts found, in alphabetical order.
///
/// Ownership: free it with jeton_accounts_free.
///
/// Threads: does not change; any thread.
#[derive(Debug)]
pub struct jeton_accounts(Vec<CString>);

impl jeton_accounts {
    pub(crate) fn new(accounts: Vec<String>) -> Self {
        Self(accounts.into_iter().map(owned).collect())
    }
}

/// How many accounts there are. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `accounts` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_accounts_count(accounts: *const jeton_accounts) -> usize {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || unsafe { accounts.as_ref() }.map_or(0, |accounts| accounts.0.len()))
}

/// The account at that place, counted from 0, as jeton_client_session takes it. NULL beyond the end, and for NULL.
///
/// Ownership: borrowed from `accounts`, until jeton_accounts_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `accounts` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_accounts_get(accounts: *const jeton_accounts, index: usize) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: the caller promises NULL or a live handle.
        pointer_to(unsafe { accounts.as_ref() }.and_then(|accounts| accounts.0.get(index)))
    })
}

/// Frees a list of accounts. NULL is allowed.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `accounts` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_accounts_free(accounts: *mut jeton_accounts) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(accounts) });
}
