//! A login as it is kept: one refresh token, its access tokens, whether it still lives.

use std::fmt;
use std::time::{Duration, SystemTime};

use jeton_models::{ExtraMembers, Scope, Secret};
use zeroize::Zeroizing;

use crate::format::{self, ForeignToken};
use crate::time::unix_ms;
use crate::{LoginKey, StoredToken, TokenTarget};

/// Everything that is kept of one login.
///
/// There is one refresh token and it is in one record only. Access tokens are kept by [`TokenTarget`]. What this
/// version does not understand (members of the record, its key, status and tokens; tokens of a type that it cannot
/// present) is kept and written back as it was.
///
/// ```
/// use std::time::SystemTime;
/// use jeton_models::{Secret, Token};
/// use jeton_storage::{LoginKey, LoginRecord, StoredToken, TokenTarget};
///
/// let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
/// let now = SystemTime::now();
/// let mut record = LoginRecord::new(key.clone(), now);
/// record.set_refresh_token(Secret::from("r"), now);
/// record.set_token(StoredToken::new(&Token::new(Secret::from("t")), TokenTarget::default(), now));
///
/// let json = record.to_json();
/// assert_eq!(LoginRecord::from_json(&json, &key)?, record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoginRecord {
    /// The login that this is; checked on load.
    pub key: LoginKey,
    /// The refresh token, if the server gave one (RFC 6749 §1.5).
    pub refresh_token: Option<Secret>,
    /// When the refresh token was received, in milliseconds since 1970 (Unix time).
    pub refresh_token_received_at_ms: Option<u64>,
    /// Until when nobody sends the refresh token, after a failure that all who share the login must know of. Goes with the
    /// refresh token: [`set_refresh_token`](Self::set_refresh_token) clears it.
    pub refresh_hold: Option<RefreshHold>,
    /// The key that the tokens are bound to (RFC 9449), as a JWK (RFC 7517) in JSON: the private key, or the public one with
    /// the member `"external": true` where the private one is kept elsewhere. A refresh token that is sent without it is
    /// refused for good, so that no jeton that does not know of it may use the record.
    pub dpop_key: Option<Secret>,
    /// The newest ID token that was checked (OpenID Connect Core §2), as it came. It says who logged in; nobody is let in by
    /// it, and refreshes may bring none.
    pub id_token: Option<Secret>,
    /// A client registration (RFC 7591), as a JSON object: this is then no login but what is kept under
    /// [`LoginKey::registration`], with the same lease, so that several processes register one client. No jeton that does not
    /// know of it may use or replace the record.
    pub registration: Option<Secret>,
    /// The access tokens, one for each target: see [`set_token`](Self::set_token).
    pub tokens: Vec<StoredToken>,
    /// The scope that was asked for when the person logged in: the widest that a refresh may ask for (RFC 6749 §6).
    pub scope: Option<Scope>,
    /// Whether the login can be used.
    pub status: LoginStatus,
    /// Counts the changes of this login. The writer sets it, under the lease; no store touches it. A
    /// [`refresh_hold`](Self::refresh_hold) is no change of the login.
    pub generation: u64,
    /// When the person logged in, in milliseconds since 1970 (Unix time).
    pub created_at_ms: u64,
    /// When the record was last changed, in milliseconds since 1970 (Unix time). The writer sets it.
    pub updated_at_ms: u64,
    /// What a later version of jeton wrote.
    pub(crate) unknown: ExtraMembers,
    pub(crate) unknown_in_key: ExtraMembers,
    /// With the state that they belong to: they go when the login passes into another.
    pub(crate) unknown_in_status: Option<(String, ExtraMembers)>,
    pub(crate) foreign_tokens: Vec<ForeignToken>,
}

impl LoginRecord {
    /// A new login that has no token yet: live, of generation 0, created and updated `now`.
    pub fn new(key: LoginKey, now: SystemTime) -> Self {
        let now_ms = unix_ms(now);
        Self {
            key,
            refresh_token: None,
            refresh_token_received_at_ms: None,
            refresh_hold: None,
            dpop_key: None,
            id_token: None,
            registration: None,
            tokens: Vec::new(),
            scope: None,
            status: LoginStatus::Live,
            generation: 0,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            unknown: ExtraMembers::new(),
            unknown_in_key: ExtraMembers::new(),
            unknown_in_status: None,
            foreign_tokens: Vec::new(),
        }
    }

    /// Replaces the refresh token, and with it whatever held the old one back.
    pub fn set_refresh_token(&mut self, refresh_token: Secret, received_at: SystemTime) {
        self.refresh_token = Some(refresh_token);
        self.refresh_token_received_at_ms = Some(unix_ms(received_at));
        self.refresh_hold = None;
    }

    /// The access token for that target.
    pub fn token(&self, target: &TokenTarget) -> Option<&StoredToken> {
        self.tokens.iter().find(|token| token.target == *target)
    }

    /// Keeps an access token in the place of the one for the same target; gives that one back.
    ///
    /// Members that a later version wrote into the replaced one go with it.
    pub fn set_token(&mut self, token: StoredToken) -> Option<StoredToken> {
        match self.tokens.iter_mut().find(|own| own.target == token.target) {
            Some(own) => Some(std::mem::replace(own, token)),
            None => {
                self.tokens.push(token);
                None
            }
        }
    }

    /// Takes the access token for that target out.
    pub fn remove_token(&mut self, target: &TokenTarget) -> Option<StoredToken> {
        let index = self.tokens.iter().position(|token| token.target == *target)?;
        Some(self.tokens.remove(index))
    }

    /// Takes every access token out, also those that this version cannot use.
    pub fn clear_tokens(&mut self) {
        self.tokens.clear();
        self.foreign_tokens.clear();
    }

    /// Whether the status allows to use the login's tokens.
    pub fn is_live(&self) -> bool {
        self.status == LoginStatus::Live
    }

    /// The record as JSON: what a store keeps. The crate's docs describe the [format](crate#format).
    ///
    /// Plain text, tokens included; the buffer is wiped when dropped.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        format::write(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote, in this version or another.
    ///
    /// # Errors
    /// [`RecordError`]: damaged, from a newer version, or of another login than `expected_key`.
    pub fn from_json(json: &[u8], expected_key: &LoginKey) -> Result<Self, RecordError> {
        let record = format::read(json)?;
        if record.key == *expected_key {
            Ok(record)
        } else {
            Err(RecordError::WrongKey {
                expected: Box::new(expected_key.clone()),
                found: Box::new(record.key),
            })
        }
    }

    /// The key of the login in that JSON, all of which is checked: for listing a store.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), but any key is right.
    pub fn key_in_json(json: &[u8]) -> Result<LoginKey, RecordError> {
        format::read(json).map(|record| record.key)
    }
}

/// Whether a login can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginStatus {
    /// It can.
    Live,
    /// It cannot any more: the refresh token was refused for good. A person has to log in again.
    Ended {
        /// Why, for people; the OAuth error code, if there is one, stands in it. No secret.
        reason: String,
        /// When that was found, in milliseconds since 1970 (Unix time).
        at_ms: u64,
    },
    /// A state that a later version of jeton wrote. Not usable here; it survives a rewrite.
    Unknown {
        /// Its name.
        state: String,
    },
}

impl fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Ended { reason, at_ms } => {
                write!(f, "ended at {}: {reason}", crate::time::readable(*at_ms))
            }
            Self::Unknown { state } => {
                write!(f, "{state:?}, a state that this version of jeton does not know")
            }
        }
    }
}

/// Until when nobody sends the refresh token, and why: written after a failed refresh, so that other processes and later
/// runs do not do what the process that saw the failure knows better than to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshHold {
    /// When the refresh failed, in milliseconds since 1970 (Unix time). A clock that shows an earlier time was set back, and
    /// the hold does not count.
    pub since_ms: u64,
    /// Until when the server itself asked to be left alone (`Retry-After`, RFC 9110 §10.2.3), in milliseconds since 1970 (Unix
    /// time).
    pub asked_until_ms: Option<u64>,
    /// The answer was lost, so that the refresh token may be spent, and a second use could end the login for good: until when
    /// the access token lives that this would put at risk, in milliseconds since 1970 (Unix time).
    pub spared_until_ms: Option<u64>,
    /// How the refresh failed, for people. No secret.
    pub reason: String,
}

impl RefreshHold {
    /// A hold since `since_ms` (Unix time) that has no end yet, and so does not hold.
    pub fn new(since_ms: u64, reason: impl Into<String>) -> Self {
        Self { since_ms, asked_until_ms: None, spared_until_ms: None, reason: reason.into() }
    }

    /// For how much longer it holds, for whatever reason; `None` if it does not.
    pub fn remaining(&self, now_ms: u64) -> Option<Duration> {
        self.remaining_until(self.asked_until_ms.max(self.spared_until_ms)?, now_ms)
    }

    /// For how much longer the server wants to be left alone; `None` if it does not.
    pub fn remaining_as_asked(&self, now_ms: u64) -> Option<Duration> {
        self.remaining_until(self.asked_until_ms?, now_ms)
    }

    fn remaining_until(&self, until_ms: u64, now_ms: u64) -> Option<Duration> {
        (self.since_ms..until_ms).contains(&now_ms).then(|| Duration::from_millis(until_ms - now_ms))
    }
}

/// Why a record cannot be read. No message shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not a login record, or not any more.
    #[error("the record is damaged: {what}")]
    Damaged {
        /// What is wrong, and where.
        what: String,
    },
    /// A later version of jeton wrote it, or another kind of store. It must be left alone: it is neither damaged nor
    /// absent, and must not be overwritten.
    #[error("the record was written by a newer jeton ({found}): update this program")]
    NewerFormat {
        /// What this version does not understand.
        found: String,
    },
    /// It is the record of another login.
    #[error("the record is of {found}, not of {expected}")]
    WrongKey {
        /// The login that was asked for.
        expected: Box<LoginKey>,
        /// The login whose record it is.
        found: Box<LoginKey>,
    },
}
