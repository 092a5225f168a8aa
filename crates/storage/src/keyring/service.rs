//! The name under which a program's entries stand in a keychain.

use std::sync::Arc;

use crate::StoreError;

const LONGEST: usize = 100;

/// A name that every keychain takes, and that needs no escape in a file name or a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceName(Arc<str>);

impl ServiceName {
    /// # Errors
    /// [`StoreError::Unavailable`] unless it has 1 to 100 ASCII letters, digits, dots, hyphens and underscores.
    pub(crate) fn new(name: &str) -> Result<Self, StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(allowed) {
            return Err(StoreError::Unavailable {
                what: format!(
                    "{name:?} cannot be the name of a service in a keychain: take 1 to {LONGEST} ASCII letters, digits, \
                     dots, hyphens and underscores"
                ),
            });
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_every_keychain_takes() {
        for name in ["jeton", "com.example.my-tool_2", &"x".repeat(100)] {
            assert_eq!(ServiceName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "a@b", "a/b", "\u{e4}", "a\n", &"x".repeat(101)] {
            assert!(matches!(ServiceName::new(name), Err(StoreError::Unavailable { .. })), "{name:?}");
        }
    }
}
