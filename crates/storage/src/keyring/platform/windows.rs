//! The Windows Credential Manager: small secrets, always unlocked while the user is logged on.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Error};

use super::{Failure, FailureKind, Platform};

/// Between the entry's name and the service in the name that Windows knows; neither of the two has it.
const DIVIDER: &str = "@";

/// The generic credentials of the user who is logged on.
#[derive(Debug, Default)]
pub(crate) struct CredentialManager;

impl Platform for CredentialManager {
    fn name(&self) -> &'static str {
        "Windows Credential Manager"
    }

    fn limit(&self) -> Option<usize> {
        // CRED_MAX_CREDENTIAL_BLOB_SIZE
        Some(5 * 512)
    }

    fn open(&self) -> Result<Arc<CredentialStore>, Error> {
        let configuration = HashMap::from([("divider", DIVIDER)]);
        Ok(windows_native_keyring_store::Store::new_with_configuration(&configuration)?)
    }

    /// Kept on this machine: the usual persistence lets credentials roam to others, where no lease of ours reaches,
    /// and two machines that use one rotating refresh token lose the login.
    fn modifiers<'a>(&self, _label: &'a str) -> HashMap<&'static str, &'a str> {
        HashMap::from([("persistence", "Local")])
    }

    fn entries_of(&self, service: &str) -> HashMap<&'static str, String> {
        // The characters that a service's name may have need no escape, but for the dot.
        HashMap::from([("pattern", format!("{DIVIDER}{}$", service.replace('.', r"\.")))])
    }

    fn failure(&self, error: &Error) -> Failure {
        match error {
            // Only ERROR_NO_SUCH_LOGON_SESSION becomes this one.
            Error::NoStorageAccess(error) => Failure::new(
                FailureKind::Absent,
                format!(
                    "{error}: this kind of log-on (a service, a network log-on) has no credentials of its own"
                ),
            ),
            Error::PlatformFailure(error) => Failure::new(FailureKind::Refused, error.to_string()),
            other => Failure::common(other)
                .unwrap_or_else(|| Failure::new(FailureKind::Refused, "it failed for an unknown reason")),
        }
    }
}
