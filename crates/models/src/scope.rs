//! Scopes (RFC 6749 §3.3): a set of space-separated, case-sensitive names.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many names are compared one with another.
const FEW: usize = 16;

/// A set of scope names. The order in which they were given is kept for the wire; equality ignores it.
///
/// ```
/// use jeton_models::Scope;
///
/// let scope: Scope = "openid profile openid".parse()?;
/// assert_eq!(scope.to_string(), "openid profile");
/// assert!(scope.contains("profile"));
/// assert_eq!(scope, "profile openid".parse()?);
/// # Ok::<(), jeton_models::ScopeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of single names.
    ///
    /// # Errors
    /// [`ScopeError`] for an empty name or one with characters that RFC 6749 §3.3 forbids, a space among them.
    pub fn from_names<I>(names: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        match names.iter().find(|name| name.is_empty() || !name.bytes().all(is_scope_byte)) {
            Some(name) => Err(ScopeError { name: name.clone() }),
            None => Ok(Self::distinct(names.iter().map(String::as_str))),
        }
    }

    /// What a server sent: split at white space, nothing refused. Servers do send odd characters.
    pub(crate) fn from_server(text: &str) -> Self {
        Self::distinct(text.split_ascii_whitespace())
    }

    /// The first of each name.
    pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        // Among a few it is quicker to look at each; but a server may send very many.
        if names.len() <= FEW {
            let first = names.iter().enumerate().filter(|(place, name)| !names[..*place].contains(name));
            return Self(first.map(|(_, name)| (*name).to_owned()).collect());
        }
        let mut seen = HashSet::with_capacity(names.len());
        Self(names.into_iter().filter(|name| seen.insert(*name)).map(str::to_owned).collect())
    }

    /// Whether each name has only characters that RFC 6749 §3.3 allows: not so for what a server may send, and then there may
    /// be characters among them that a terminal obeys.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.iter().all(|name| name.bytes().all(is_scope_byte))
    }

    /// Whether the set has that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }

    /// Whether each name of this set is in the other one too.
    pub fn is_subset(&self, other: &Self) -> bool {
        let other: HashSet<&str> = other.iter().collect();
        self.iter().all(|name| other.contains(name))
    }

    /// The names of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::distinct(self.iter().chain(other.iter()))
    }

    /// Whether the set is empty. An empty scope is never sent (RFC 6749 §3.3).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many names the set has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The names in alphabetical order, joined by a space: one spelling for each set.
    pub fn canonical(&self) -> String {
        let mut names: Vec<&str> = self.iter().collect();
        names.sort_unstable();
        names.join(" ")
    }
}

/// scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749 §3.3).
fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.is_subset(other)
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(self))
    }
}

impl From<&Scope> for String {
    /// The names joined by a space, as they go over the wire.
    fn from(scope: &Scope) -> Self {
        scope.0.join(" ")
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Reads names separated by white space.
    ///
    /// # Errors
    /// [`ScopeError`] for a name with characters that RFC 6749 §3.3 forbids.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_names(text.split_ascii_whitespace())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from_server(&text))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Scope {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// A scope name that may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a scope name: it is empty or has a character that RFC 6749 §3.3 forbids (space, quote, backslash, \
     anything outside of ASCII); separate several names by a space, or give them one by one"
)]
pub struct ScopeError {
    /// The refused name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_makes_one_odd_scope_and_quotes_are_refused() {
        let scope: Scope = "a,b".parse().unwrap();
        assert_eq!(scope.len(), 1);
        assert!("a\"b".parse::<Scope>().is_err());
        assert!(Scope::from_names(["a b"]).is_err());
        assert!(Scope::from_names([""]).is_err());
    }

    #[test]
    fn very_many_names_are_no_burden() {
        let text: String = (0..150_000).map(|n| format!("{n:x} ")).collect();
        let scope = Scope::from_server(&text);
        assert_eq!(scope.len(), 150_000);
        for many in [FEW, FEW + 1] {
            let names = (0..many).chain(0..many).map(|n| format!("n{n}"));
            let distinct: Vec<String> = names.clone().take(many).collect();
            let names: Vec<String> = names.collect();
            assert_eq!(Scope::from_server(&names.join(" ")).0, distinct);
            assert_eq!(Scope::from_server(&names[many - 1..].join(" ")).len(), many);
        }
        assert_eq!(scope, scope.union(&scope));
    }

    #[test]
    fn sets_compare_without_order() {
        let one: Scope = "b a".parse().unwrap();
        assert_eq!(one, "a b a".parse().unwrap());
        assert_ne!(one, "a".parse().unwrap());
        assert_eq!(one.canonical(), "a b");
        assert!("a".parse::<Scope>().unwrap().is_subset(&one));
    }
}
