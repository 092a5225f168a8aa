//! Members of an answer that its model has no name for: kept, but not shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::redact;

/// The members of a JSON object that the model does not name, as they came.
///
/// An `id_token` or a nested token may be among them, so `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transparent))]
pub struct ExtraMembers(Map<String, Value>);

impl ExtraMembers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The member of that name if it is a string.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Sets a member; gives back the one that had the name before.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(name.into(), value.into())
    }

    /// Takes the member of that name out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cuts a secret out of each name and each value, however deep: `Debug` shows names.
    pub(crate) fn redact(&mut self, secret: &str) {
        fn cut(value: &mut Value, secret: &str) {
            match value {
                Value::String(text) => redact(text, secret),
                Value::Array(values) => values.iter_mut().for_each(|value| cut(value, secret)),
                Value::Object(members) => cut_members(members, secret),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        fn cut_members(members: &mut Map<String, Value>, secret: &str) {
            for (mut name, mut value) in std::mem::take(members) {
                redact(&mut name, secret);
                cut(&mut value, secret);
                members.insert(name, value);
            }
        }
        cut_members(&mut self.0, secret);
    }
}

impl From<Map<String, Value>> for ExtraMembers {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl fmt::Debug for ExtraMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_members_without_their_values() {
        let mut extra = ExtraMembers::new();
        extra.insert("id_token", "eyJhbGciOi");
        assert_eq!(format!("{extra:?}"), r#"{"id_token"}"#);
        assert_eq!(extra.get_str("id_token"), Some("eyJhbGciOi"));
    }
}
