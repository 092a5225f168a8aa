//! The macOS Keychain: the user's login keychain, which asks the person itself, by program and entry.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Error};

use super::{Failure, FailureKind, Platform};

/// The user's login keychain.
#[derive(Debug, Default)]
pub(crate) struct MacosKeychain;

impl Platform for MacosKeychain {
    fn name(&self) -> &'static str {
        "macOS Keychain"
    }

    fn open(&self) -> Result<Arc<CredentialStore>, Error> {
        Ok(apple_native_keyring_store::keychain::Store::new()?)
    }

    fn entries_of(&self, service: &str) -> HashMap<&'static str, String> {
        HashMap::from([("service", service.to_owned())])
    }

    fn failure(&self, error: &Error) -> Failure {
        let (Error::PlatformFailure(cause) | Error::NoStorageAccess(cause)) = error else {
            return Failure::common(error)
                .unwrap_or_else(|| Failure::new(FailureKind::Refused, "it failed for an unknown reason"));
        };
        let code = cause.downcast_ref::<security_framework::base::Error>().map(|error| error.code());
        let (kind, what) = match code {
            // errSecInteractionNotAllowed
            Some(-25308) => (
                FailureKind::Locked,
                "it may not ask for the password here (a session over ssh, a service): run `security \
                 unlock-keychain` there first"
                    .to_owned(),
            ),
            // errSecAuthFailed, errSecUserCanceled
            Some(-25293 | -128) => (
                FailureKind::Locked,
                "the password was wrong, or the question was dismissed: try again and allow it".to_owned(),
            ),
            // errSecNotAvailable, errSecNoSuchKeychain, errSecInvalidKeychain, errSecNoDefaultKeychain
            Some(-25291 | -25294 | -25295 | -25307) => (
                FailureKind::Absent,
                format!(
                    "{cause}; this user has no login keychain: make one in Keychain Access, or keep logins elsewhere"
                ),
            ),
            _ => (FailureKind::Refused, cause.to_string()),
        };
        Failure::new(kind, what)
    }
}
