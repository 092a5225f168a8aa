//! Which login is meant: issuer, client id and account.
//! One canonical spelling, so that two spellings of an issuer never make two logins.

use std::fmt;

use jeton_models::Issuer;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

/// The account of a program that has only one.
pub const DEFAULT_ACCOUNT: &str = "default";

/// In the place of a client identifier: the record is that of a client registration. No identifier has such characters
/// (RFC 6749 Appendix A.1).
const REGISTRATION: &str = "⟨registration⟩";

/// What a login is kept under: the authorization server, the client registered there, and the account, a label
/// that the program chooses.
///
/// The issuer is held in its [canonical spelling](Issuer::canonical). Client id and account are compared byte for
/// byte: no case folding, no Unicode normalisation, nothing trimmed. Any text is allowed, the empty one and one
/// with control characters too; an empty account is an account like any other and not the default one.
///
/// ```
/// use jeton_storage::LoginKey;
///
/// let issuer = "https://AS.example:443/".parse()?;
/// let key = LoginKey::new(&issuer, "my-client");
/// assert_eq!(key.issuer(), "https://as.example");
/// assert_eq!(key.account(), "default");
/// assert_ne!(key, key.clone().with_account("work"));
/// assert_eq!(key.to_string(), r#"account "default" of client "my-client" at https://as.example"#);
/// # Ok::<(), jeton_models::IssuerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LoginKey {
    issuer: String,
    client_id: String,
    account: String,
}

impl LoginKey {
    /// The login of the account [`DEFAULT_ACCOUNT`].
    pub fn new(issuer: &Issuer, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.canonical().to_owned(),
            client_id: client_id.into(),
            account: DEFAULT_ACCOUNT.to_owned(),
        }
    }

    /// The same client's login of another account.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// What the registration of a client at that server is kept under (RFC 7591): a record that is no login, beside the logins.
    /// `label` tells several clients of one program apart.
    pub fn registration(issuer: &Issuer, label: impl Into<String>) -> Self {
        Self::new(issuer, REGISTRATION).with_account(label)
    }

    /// Whether this is the key of a client registration and not of a login. A listing of a store has both.
    pub fn is_registration(&self) -> bool {
        self.client_id == REGISTRATION
    }

    /// The issuer in its canonical spelling.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The client identifier (RFC 6749 §2.2).
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The label that the program chose.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A name of fixed length for this key that fits where any text does not: in a file name, in an entry of a
    /// keychain. 64 hexadecimal digits in lower case: the SHA-256 of
    ///
    /// ```text
    /// jeton-login-key-1 LF <length> ":" issuer LF <length> ":" client id LF <length> ":" account LF
    /// ```
    ///
    /// where each length is that of the part in bytes, in decimal digits, so that no two keys spell the same.
    /// It stays the same in every later version.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"jeton-login-key-1\n");
        for part in [&self.issuer, &self.client_id, &self.account] {
            hash.update(format!("{}:", part.len()));
            hash.update(part);
            hash.update(b"\n");
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From the parts that a record holds.
    ///
    /// # Errors
    /// When the issuer is none.
    pub(crate) fn from_parts(
        issuer: &str,
        client_id: String,
        account: String,
    ) -> Result<Self, jeton_models::IssuerError> {
        Ok(Self::new(&issuer.parse()?, client_id).with_account(account))
    }
}

impl fmt::Display for LoginKey {
    /// For people. Client id and account are quoted and escaped, so that no text of theirs can garble a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_registration() {
            return write!(f, "client registration {:?} at {}", self.account, self.issuer);
        }
        write!(f, "account {:?} of client {:?} at {}", self.account, self.client_id, self.issuer)
    }
}

impl<'de> Deserialize<'de> for LoginKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            issuer: String,
            client_id: String,
            account: String,
        }
        let Parts { issuer, client_id, account } = Parts::deserialize(deserializer)?;
        Self::from_parts(&issuer, client_id, account).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(issuer: &str, client_id: &str, account: &str) -> LoginKey {
        LoginKey::new(&issuer.parse().unwrap(), client_id).with_account(account)
    }

    #[test]
    fn two_spellings_of_an_issuer_are_one_login() {
        assert_eq!(key("https://as.example", "c", "a"), key("HTTPS://AS.example:443/", "c", "a"));
        assert_ne!(key("https://as.example", "c", "a"), key("https://as.example/t", "c", "a"));
    }

    #[test]
    fn the_digest_never_changes_and_keeps_the_parts_apart() {
        assert_eq!(
            key("https://as.example", "my-client", "default").digest(),
            "0e67322ce9a0083843bbd257cfe5aefd618e64f17d0a90121fa9e3ca806a2733"
        );
        assert_ne!(
            key("https://as.example", "ab", "c").digest(),
            key("https://as.example", "a", "bc").digest()
        );
        assert_ne!(
            key("https://as.example", "a\n1:b", "c").digest(),
            key("https://as.example", "a", "b\n1:c").digest()
        );
        assert_ne!(key("https://as.example", "", "x").digest(), key("https://as.example", "x", "").digest());
    }

    #[test]
    fn serde_brings_the_issuer_to_its_canonical_spelling() {
        let json = r#"{"issuer":"https://AS.example/","client_id":"c","account":"a"}"#;
        let read: LoginKey = serde_json::from_str(json).unwrap();
        assert_eq!(read, key("https://as.example", "c", "a"));
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"issuer":"https://as.example","client_id":"c","account":"a"}"#
        );
        assert!(serde_json::from_str::<LoginKey>(r#"{"issuer":"x","client_id":"c","account":"a"}"#).is_err());
    }

    #[test]
    fn a_registration_is_no_clients_login() {
        let issuer = "https://as.example".parse().unwrap();
        let registration = LoginKey::registration(&issuer, "my-app");
        assert!(registration.is_registration());
        assert_eq!(registration.to_string(), r#"client registration "my-app" at https://as.example"#);
        // RFC 6749 Appendix A.1: a client identifier has none but visible ASCII characters and the space.
        assert!(!registration.client_id().chars().all(|c| matches!(c, ' '..='~')));
        assert!(!LoginKey::new(&issuer, "registration").is_registration());
    }

    #[test]
    fn display_escapes_what_could_garble_a_log() {
        let text = key("https://as.example", "c\n", "\u{1b}[2J").to_string();
        assert!(!text.contains(['\n', '\u{1b}']), "{text}");
    }
}
