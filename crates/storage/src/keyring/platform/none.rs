//! Systems whose keychain jeton does not know.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Error};

use super::{Failure, FailureKind, Platform};

/// No keychain at all.
#[derive(Debug, Default)]
pub(crate) struct NoKeychain;

const WHAT: &str = "jeton knows no keychain of this operating system: keep logins in another store";

impl Platform for NoKeychain {
    fn name(&self) -> &'static str {
        "no keychain"
    }

    fn open(&self) -> Result<Arc<CredentialStore>, Error> {
        Err(Error::NotSupportedByStore(WHAT.to_owned()))
    }

    fn entries_of(&self, _service: &str) -> HashMap<&'static str, String> {
        HashMap::new()
    }

    fn failure(&self, _error: &Error) -> Failure {
        Failure::new(FailureKind::Absent, WHAT)
    }

    fn check(&self) -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Absent, WHAT))
    }
}
