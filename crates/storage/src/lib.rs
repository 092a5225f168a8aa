//! Where OAuth 2.0 logins are kept.

mod description;
mod error;
mod format;
mod key;
mod record;
mod store;
mod stored_token;
mod time;

pub use description::{Sharing, StoreDescription};
pub use error::{Holder, StoreError};
pub use key::{DEFAULT_ACCOUNT, LoginKey};
pub use record::{LoginRecord, LoginStatus, RecordError};
pub use store::{LoginKeys, TokenLease, TokenStore};
pub use stored_token::{StoredToken, TokenTarget};
pub use time::unix_ms;
