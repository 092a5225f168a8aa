//! Where the keys of a sealed store come from.

use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::key::SealingKey;
use super::passphrase::Passphrase;
use crate::StoreError;

/// A place for one small secret by name: the keychain, or what a test has instead.
#[async_trait]
pub(crate) trait KeyPlace: Send + Sync {
    /// `None` only if it is certain that there is none; not being able to look is an error.
    async fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// After an error it may have happened, or may happen later.
    async fn set(&self, entry: &str, secret: Zeroizing<Vec<u8>>) -> Result<(), StoreError>;

    async fn delete(&self, entry: &str) -> Result<(), StoreError>;

    /// For people: `the Secret Service, service "my-tool"`.
    fn name(&self) -> String;
}

/// Where the keys come from.
#[derive(Clone)]
pub(crate) enum Source {
    Given(SealingKey),
    Passphrase(Arc<Passphrase>),
    #[cfg_attr(not(any(test, feature = "keyring")), expect(dead_code, reason = "there is no keychain"))]
    Keychain(Arc<dyn KeyPlace>),
}

impl Source {
    /// For messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Given(_) => "a key that the program gives".to_owned(),
            Self::Passphrase(_) => "a passphrase".to_owned(),
            Self::Keychain(place) => format!("a key in {}", place.name()),
        }
    }
}
