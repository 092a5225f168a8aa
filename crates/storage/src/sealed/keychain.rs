//! The operating system's keychain as the place of the keys.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::source::KeyPlace;
use crate::StoreError;
use crate::keyring::keychain::Keychain;

/// What people see in the keychain's own program.
const LABEL: &str = "The key to files with logins (jeton)";

#[async_trait]
impl KeyPlace for Keychain {
    async fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Keychain::get(self, entry).await.map_err(|error| match error {
            // A login that is damaged may be replaced by a new one; the key to all of them may not.
            StoreError::Damaged { what, .. } => StoreError::SealBroken {
                place: format!("the entry {entry:?} of {}", KeyPlace::name(self)),
                what,
            },
            error => error,
        })
    }

    async fn set(&self, entry: &str, secret: Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        Keychain::set(self, entry, LABEL, secret).await
    }

    async fn delete(&self, entry: &str) -> Result<(), StoreError> {
        Keychain::delete(self, entry).await.map(drop)
    }

    fn name(&self) -> String {
        Keychain::name(self).to_owned()
    }
}
