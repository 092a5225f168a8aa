//! Where OAuth 2.0 logins are kept: by many tasks, threads and processes at once, through kills and full disks.
//!
//! A refresh token that rotates works once. Two programs that read it from the same place and both send it lose the
//! login for good, and so does one that cannot write down the successor. Hence the shape of this crate: a
//! [`TokenStore`] may be read by everybody, and written only under a [`TokenLease`], which is exclusive, sees the newest
//! record, can reserve room before the old token is used up, and saves durably.
//!
//! - [`LoginKey`]: which login: issuer, client id, account.
//! - [`LoginRecord`]: what is kept of it: one refresh token, access tokens by [`TokenTarget`], whether it lives.
#![cfg_attr(feature = "memory", doc = "- [`MemoryStore`] (feature `memory`): for the life of the process.")]
#![cfg_attr(
    feature = "file",
    doc = "- [`FileStore`] (feature `file`): a file per login, shared by all programs of the user."
)]
#![cfg_attr(
    feature = "keyring",
    doc = "- [`KeyringStore`] (feature `keyring`): the operating system's keychain, shared by all programs of the user."
)]
#![cfg_attr(
    feature = "sealed",
    doc = "- [`SealedStore`] (feature `sealed`): an encrypted file per login, the key given, from a passphrase or in the keychain."
)]
#![cfg_attr(
    feature = "file",
    doc = "- [`StoreChoice`] (feature `file`): the best store that is there, and the same as last time. **Which store do I take?** stands there."
)]
//! - [`transfer()`]: moves logins from one store to another.
#![cfg_attr(
    feature = "contract-tests",
    doc = "- [`contract`] (feature `contract-tests`): what every store must pass, yours too."
)]
//!
//! This crate speaks no HTTP and knows no grant: it keeps what `jeton-models` names. The only thing that reads the
//! environment is the file store's default place.
//!
//! # How a login is changed
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, SystemTime};
//! use jeton_models::{Secret, Token};
//! use jeton_storage::{LoginKey, LoginRecord, MemoryStore, StoredToken, TokenStore, TokenTarget};
//!
//! # let store = MemoryStore::new();
//! # let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
//! # let mut first = LoginRecord::new(key.clone(), SystemTime::now());
//! # first.set_refresh_token(Secret::from("r1"), SystemTime::now());
//! # store.lease(&key, Duration::ZERO).await?.save(&first).await?;
//! # async fn send_refresh_request(_: &Secret) -> Token {
//! #     let mut token = Token::new(Secret::from("t2"));
//! #     token.refresh_token = Some(Secret::from("r2"));
//! #     token
//! # }
//! let mut lease = store.lease(&key, Duration::from_secs(30)).await?; // others wait here
//! let mut record = lease.load().await?.ok_or("log in first")?;       // did somebody refresh meanwhile?
//! let old = record.refresh_token.clone().ok_or("nothing to refresh with")?;
//! lease.reserve(record.to_json().len() + 16 * 1024).await?;          // no room, no request
//!
//! let token = send_refresh_request(&old).await;                      // uses the old one up
//! let now = SystemTime::now();
//! record.set_token(StoredToken::new(&token, TokenTarget::default(), now));
//! if let Some(refresh_token) = token.refresh_token {
//!     record.set_refresh_token(refresh_token, now);                  // none returned: the old one is kept
//! }
//! record.generation += 1;
//! record.updated_at_ms = jeton_storage::unix_ms(now);
//! lease.save(&record).await?;                                        // durable when it returns
//! # assert_eq!(store.load(&key).await?.unwrap().generation, 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "memory"))]
//! # fn main() {}
//! ```
//!
//! # FORMAT
//!
//! A record is one JSON object (RFC 8259, UTF-8, no byte-order mark), the same in every store. This is version 1.
//! Every later version of jeton reads it.
//!
//! | member | type | |
//! |---|---|---|
//! | `format` | string | `"jeton-login"` |
//! | `version` | number | `1` |
//! | `critical` | array of strings | optional: names of members without which the record must not be used; see below |
//! | `key` | object | `issuer` (canonical spelling), `client_id`, `account`: strings |
//! | `status` | object | `state`: `"live"`; or `"ended"` with `reason` (string) and `at_ms` |
//! | `generation` | number | counts changes |
//! | `created_at_ms`, `updated_at_ms` | number | |
//! | `scope` | string | optional: the scope first asked for, names separated by a space |
//! | `refresh_token` | string | optional |
//! | `refresh_token_received_at_ms` | number | optional |
//! | `refresh_hold` | object | optional: nobody sends the refresh token from `since_ms` until `asked_until_ms` (optional: the server asked for it) and `spared_until_ms` (optional: it may be spent, and so long the access token lives), because of `reason` (string) |
//! | `dpop_key` | string | optional, and then named in `critical`: the key that the tokens are bound to (RFC 9449), a JWK (RFC 7517) as JSON text: the private key, or the public one with `"external": true` |
//! | `id_token` | string | optional: the newest ID token that was checked (OpenID Connect), as it came |
//! | `registration` | string | optional, and then named in `critical`: a client registration (RFC 7591) as JSON text. Such a record is no login; its `key` has the `client_id` `"⟨registration⟩"`, which no client can have, and as `account` a label |
//! | `tokens` | array of objects | the access tokens, no two of the same target |
//! | `tokens[].access_token`, `.token_type` | string | |
//! | `tokens[].target` | object | `resource`, `scope`: strings, each optional: what was asked for |
//! | `tokens[].granted_scope` | string | optional: what the answer named |
//! | `tokens[].received_at_ms` | number | |
//! | `tokens[].expires_at_ms` | number | optional: unknown |
//! | `tokens[].warnings` | array of strings | optional: codes of what was forgiven in the answer |
//! | `tokens[].extra` | object | optional: further members of the answer, such as `id_token` |
//!
//! Times are milliseconds since 1970 (Unix time), at most 2^63 - 1; numbers are integers from 0 to 2^64 - 1. `null` is the
//! same as an absent optional member. A repeated member, one of another type, an absent one that is not optional, and
//! anything behind the object make the record damaged.
//!
//! ## What later versions may do
//!
//! - **Add members** anywhere. Version 1 ignores them and writes them back as they were: in the record, in `key`, in each
//!   token, and in `status` as long as the state stays. Not in `refresh_hold`, which is rewritten whole. (Numbers beyond 64 bits and the last bit of fractions excepted.)
//! - **Add a `state`.** Version 1 takes the login for unusable and writes the state back.
//! - **Add a token type, or members in `target`.** Version 1 keeps such a token and never uses it: another member of a
//!   target makes it another token than the one that resource and scope name.
//! - **Add a member without which the record must not be used**, and name it in `critical`: version 1 then neither uses
//!   nor overwrites *this* record. That is for what binds a login to something, as `dpop_key` does: an older jeton that
//!   sent the refresh token without it would be told that the login is over.
//! - **Raise `version`**, for what none of these can say. Nothing but `format` and `version` need then be as it is here.
//! - **Other kinds of record** have another `format` that begins with `jeton-`. Version 1 leaves them alone wherever it
//!   meets them.
//!
//! ## Sealed logins
//!
//! A sealed store keeps the same record, encrypted, in one JSON object of exactly these members. This is version 1.
//!
//! | member | type | |
//! |---|---|---|
//! | `format` | string | `"jeton-sealed-login"` |
//! | `version` | number | `1` |
//! | `algorithm` | string | `"XChaCha20-Poly1305"` |
//! | `key_id` | string | which key: the first 32 hexadecimal digits of the SHA-256 of `jeton-sealing-key-id-1` LF key |
//! | `nonce` | string | 24 random bytes, in base64url without padding, as everything here |
//! | `ciphertext` | string | the record, encrypted, and behind it the tag of 16 bytes |
//!
//! The associated data are `format` LF `version` LF `algorithm` LF `key_id` LF digest LF, where digest is
//! [`LoginKey::digest`] of the login whose file it is: nothing of this can be changed, and no file opens as another login's.
//! Without the key neither the tokens can be read nor whose they are, so that a listing opens each file.
//!
//! The folder's keys are named in `sealing.json`, an object of `format` `"jeton-sealing-keys"`, `version` `1`, `source` and
//! `current` (the id of the key to seal with). With the `source` `"keychain"`, `entry` is the name of the entry that holds the
//! keys. With `"passphrase"`, `argon2id` has `memory_kib`, `passes`, `lanes` (`1`) and `salt` (16 bytes), and `keys` is the
//! ciphertext of the keys by `algorithm` and `nonce`, with the associated data `jeton-sealing-keys` LF `1` LF `passphrase` LF
//! `current` LF `memory_kib` LF `passes` LF `1` LF `salt` LF `algorithm` LF. The keys themselves are an object of `format`
//! `"jeton-sealing-ring"`, `version` `1`, and `keys`: an array of keys of 32 bytes.
//!
//! Reserved names: in the record `binding` (what else the login is bound to, such as a certificate),
//! `metadata` (what the server said about itself), `note` (for people); as `format` `jeton-sealed-login` (an encrypted login) and `jeton-login-parts` (the entry of a keychain that names
//! the entries of a record too large for one).

#[cfg(feature = "file")]
mod blocking;
#[cfg(feature = "file")]
mod choose;
#[cfg(feature = "contract-tests")]
pub mod contract;
mod description;
mod error;
#[cfg(feature = "file")]
mod file;
mod format;
mod key;
#[cfg(feature = "keyring")]
mod keyring;
#[cfg(feature = "file")]
mod lock;
#[cfg(feature = "file")]
mod login_folder;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "file")]
mod place;
#[cfg(feature = "file")]
mod platform;
#[cfg(feature = "file")]
mod private_folder;
mod record;
#[cfg(feature = "sealed")]
mod sealed;
mod store;
mod stored_token;
mod time;
mod transfer;
#[cfg(any(feature = "memory", feature = "file"))]
mod wait;

pub use async_trait::async_trait;
#[cfg(feature = "file")]
pub use choose::{ChosenStore, StoreChoice, StoreKind};
pub use description::{Sharing, StoreDescription};
pub use error::{Holder, StoreError};
#[cfg(feature = "file")]
pub use file::FileStore;
pub use key::{DEFAULT_ACCOUNT, LoginKey};
#[cfg(feature = "keyring")]
pub use keyring::{KeyringStore, KeyringStoreBuilder};
#[cfg(feature = "memory")]
pub use memory::MemoryStore;
pub use record::{LoginRecord, LoginStatus, RecordError, RefreshHold};
#[cfg(feature = "sealed")]
pub use sealed::{Argon2Cost, Resealed, SealedStore, SealingKey};
pub use store::{LoginKeys, TokenLease, TokenStore};
pub use stored_token::{StoredToken, TokenTarget};
pub use time::unix_ms;
pub use transfer::{Moved, Transfer, Transferred, transfer};

#[cfg(all(doctest, feature = "memory", feature = "file", feature = "contract-tests"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
