//! What a store says about itself, so that a program can tell its user where tokens are kept.

use std::fmt;

/// Where and how a store keeps logins. For people and for decisions ("may I keep tokens unencrypted here?").
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreDescription {
    /// The kind of store in a word: `memory`, `file`.
    pub backend: String,
    /// Where: a folder, the name of a keychain. Empty when there is no place to name.
    pub location: String,
    /// Whether a login is still there after the program, and the machine, were started anew.
    pub persistent: bool,
    /// Whether the store itself encrypts what it keeps. What the disk does beneath it is not counted.
    pub encrypted: bool,
    /// Who sees the same logins, and is kept out by a lease.
    pub shared_with: Sharing,
    /// Why this store and no other, where something chose between several. Empty otherwise.
    pub why: String,
}

impl StoreDescription {
    /// A store that keeps nothing beyond its process and encrypts nothing: set what is otherwise.
    pub fn new(backend: impl Into<String>) -> Self {
        Self {
            backend: backend.into(),
            location: String::new(),
            persistent: false,
            encrypted: false,
            shared_with: Sharing::Process,
            why: String::new(),
        }
    }
}

impl fmt::Display for StoreDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.backend)?;
        if !self.location.is_empty() {
            write!(f, " at {}", self.location)?;
        }
        let persistent =
            if self.persistent { "kept across restarts" } else { "forgotten when the process ends" };
        let encrypted = if self.encrypted { "encrypted" } else { "not encrypted" };
        write!(f, " ({persistent}, {encrypted}, shared with {})", self.shared_with)?;
        if !self.why.is_empty() {
            write!(f, ", because {}", self.why)?;
        }
        Ok(())
    }
}

/// Among whom the logins of a store are shared and its leases exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// The threads and tasks of this process.
    Process,
    /// Every process of this user on this machine.
    User,
    /// Processes on several machines.
    Machines,
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "this process",
            Self::User => "the programs of this user",
            Self::Machines => "other machines",
        })
    }
}
