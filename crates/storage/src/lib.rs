//! Where OAuth 2.0 logins are kept.

#[cfg(feature = "file")]
mod blocking;
#[cfg(feature = "contract-tests")]
pub mod contract;
mod description;
mod error;
#[cfg(feature = "file")]
mod file;
mod format;
mod key;
#[cfg(feature = "file")]
mod lock;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "file")]
mod place;
#[cfg(feature = "file")]
mod platform;
#[cfg(feature = "file")]
mod private_folder;
mod record;
mod store;
mod stored_token;
mod time;
#[cfg(any(feature = "memory", feature = "file"))]
mod wait;

pub use description::{Sharing, StoreDescription};
pub use error::{Holder, StoreError};
#[cfg(feature = "file")]
pub use file::FileStore;
pub use key::{DEFAULT_ACCOUNT, LoginKey};
#[cfg(feature = "memory")]
pub use memory::MemoryStore;
pub use record::{LoginRecord, LoginStatus, RecordError};
pub use store::{LoginKeys, TokenLease, TokenStore};
pub use stored_token::{StoredToken, TokenTarget};
pub use time::unix_ms;
