//! Which libjeton is loaded, and what it can do: version string, version number, features by name.

use std::ffi::{CStr, c_char};

use crate::guarded;

/// With the terminating NUL; the check that it is the only one runs at compile time.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("the package version holds a NUL"),
};

const VERSION_NUMBER: u32 = (component(env!("CARGO_PKG_VERSION_MAJOR")) << 16)
    | (component(env!("CARGO_PKG_VERSION_MINOR")) << 8)
    | component(env!("CARGO_PKG_VERSION_PATCH"));

/// What this build can do, by the names that `jeton_has_feature` documents. A name is never removed or reused.
const FEATURES: &[&str] = &[
    "version",
    #[cfg(feature = "rustls")]
    "rustls",
    #[cfg(feature = "native-tls")]
    "native-tls",
    #[cfg(feature = "http2")]
    "http2",
    #[cfg(feature = "system-proxy")]
    "system-proxy",
    #[cfg(feature = "loopback")]
    "loopback",
    #[cfg(feature = "browser")]
    "browser",
    #[cfg(feature = "file")]
    "file",
    #[cfg(feature = "keyring")]
    "keyring",
    #[cfg(feature = "sealed")]
    "sealed",
    #[cfg(feature = "jose")]
    "jose",
    #[cfg(feature = "openid")]
    "openid",
    #[cfg(feature = "mtls")]
    "mtls",
    #[cfg(feature = "registration")]
    "registration",
    #[cfg(feature = "profiles")]
    "profiles",
];

/// One component of the version; beyond 255 it would run into its neighbour, which fails the build.
#[expect(clippy::panic, reason = "runs at compile time only: it fails the build, never the program")]
const fn component(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(number) if number <= 255 => number,
        _ => panic!("a version component does not fit into eight bits"),
    }
}

/// The version of the library that is loaded, such as "0.1.0" (Semantic Versioning). Compare it with
/// `JETON_VERSION`, the version of the header that the program was compiled with.
///
/// Ownership: a NUL-terminated UTF-8 string that belongs to the library and lives as long as it is loaded;
/// do not free or change it. Never NULL.
///
/// Threads: may be called from any thread at any time.
///
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn jeton_version() -> *const c_char {
    guarded(c"".as_ptr(), || VERSION.as_ptr())
}

/// The version of the library that is loaded as a number that can be compared:
/// `major << 16 | minor << 8 | patch`, without the pre-release part. The header's is `JETON_VERSION_NUMBER`.
///
/// Threads: may be called from any thread at any time.
///
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn jeton_version_number() -> u32 {
    guarded(0, || VERSION_NUMBER)
}

/// Whether this build of the library has a feature: 1 if so, else 0. A program that runs with several
/// versions of the library asks here before it uses what only newer ones can do.
///
/// Names known to this version: "version" (the functions of this group); "rustls" and "native-tls" (where TLS comes
/// from); "http2"; "system-proxy" (the proxy settings of macOS and Windows); "loopback"
/// (JETON_GRANT_AUTHORIZATION_CODE); "browser" (opening it where no open_url is set); "file" (JETON_STORE_FILE,
/// JETON_STORE_AUTOMATIC); "keyring" (JETON_STORE_KEYRING); "sealed" (JETON_STORE_SEALED);
/// "jose" (whatever is signed: private_key_jwt, client_secret_jwt, DPoP, request objects, signed answers); "openid" (ID tokens);
/// "mtls" (JETON_OPTION_CLIENT_CERTIFICATE); "registration" (jeton_client_register, jeton_resource_client_new); "profiles"
/// (JETON_OPTION_PROVIDER).
///
/// `name`: NUL-terminated UTF-8, compared byte for byte; read during the call only. NULL, invalid UTF-8 and
/// names that this version does not know answer 0.
///
/// Threads: may be called from any thread at any time.
///
/// Errors: none.
///
/// # Safety
///
/// `name` is NULL or points to a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_has_feature(name: *const c_char) -> i32 {
    guarded(0, || {
        if name.is_null() {
            return 0;
        }
        // SAFETY: not NULL, and the caller promises a NUL-terminated string that outlives the call.
        let name = unsafe { CStr::from_ptr(name) };
        let known = name.to_str().is_ok_and(|name| FEATURES.contains(&name));
        i32::from(known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_feature(name: &CStr) -> i32 {
        // SAFETY: a `CStr` is NUL-terminated.
        unsafe { jeton_has_feature(name.as_ptr()) }
    }

    #[test]
    fn string_and_number_tell_the_same_version() {
        // SAFETY: jeton_version returns a NUL-terminated string that lives as long as the library.
        let version = unsafe { CStr::from_ptr(jeton_version()) }.to_str().unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        let number = jeton_version_number();
        let numbers = format!("{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255);
        assert_eq!(version.split(['-', '+']).next(), Some(numbers.as_str()));
    }

    #[test]
    fn features_are_asked_for_by_name() {
        assert_eq!(has_feature(c"version"), 1);
        assert_eq!(has_feature(c"file"), i32::from(cfg!(feature = "file")));
        assert_eq!(has_feature(c"native-tls"), i32::from(cfg!(feature = "native-tls")));
        assert_eq!(has_feature(c"Version"), 0);
        assert_eq!(has_feature(c"versions"), 0);
        assert_eq!(has_feature(c""), 0);
    }

    #[test]
    fn null_and_invalid_utf8_are_no_feature() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { jeton_has_feature(std::ptr::null()) }, 0);
        assert_eq!(has_feature(c"\xff\xfe"), 0);
    }
}
