//! One JSON object, read member by member: what stands in one member cannot spoil the others, and a member that stands
//! twice is noticed.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The members of an object, and whether one of them stood more than once (the last one counts).
pub(crate) struct Members {
    pub(crate) members: Map<String, Value>,
    pub(crate) repeated: bool,
}

/// Why a text is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMembers {
    /// It is not JSON, or only the beginning of it.
    Syntax,
    /// It is JSON of another type.
    OtherType,
}

impl Members {
    /// Reads a JSON text.
    ///
    /// JSON allows what a [`Value`] cannot hold: the number `1e400`, nesting deeper than 128, half a surrogate pair. An
    /// empty object stands in for such a value, which no member of ours takes, and the other members are still there:
    /// a rotated refresh token must not be lost over a number beside it.
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, NotMembers> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let members = deserializer
            .deserialize_map(MembersVisitor)
            .and_then(|members| deserializer.end().map(|()| members));
        members.map_err(|error| if error.is_data() { NotMembers::OtherType } else { NotMembers::Syntax })
    }

    /// Collects members, the last one of each name.
    pub(crate) fn from_pairs(pairs: impl Iterator<Item = (String, Value)>) -> Self {
        let (mut members, mut repeated) = (Map::new(), false);
        for (name, value) in pairs {
            repeated |= members.insert(name, value).is_some();
        }
        Self { members, repeated }
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
            let value = serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::Object(Map::new()));
            pairs.push((name, value));
        }
        Ok(Members::from_pairs(pairs.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_member_does_not_spoil_the_others() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let text = format!(r#"{{"a":1e400,"b":{deep},"c":"\ud800","d":"kept","d":"last"}}"#);
        let read = Members::from_json(text.as_bytes()).ok().unwrap();
        assert_eq!(Value::Object(read.members), serde_json::json!({"a":{}, "b":{}, "c":{}, "d":"last"}));
        assert!(read.repeated);
    }

    #[test]
    fn what_is_no_object_is_told_apart() {
        let of = |text: &str| Members::from_json(text.as_bytes()).map(|_| ()).unwrap_err();
        for text in ["[]", "1", "null", "true", r#""text""#] {
            assert_eq!(of(text), NotMembers::OtherType, "{text}");
        }
        for text in ["", "{", r#"{"a":"#, r#"{"a":1}}"#, "{a:1}", "<html>", r#"{"a":"\x"}"#] {
            assert_eq!(of(text), NotMembers::Syntax, "{text}");
        }
        assert_eq!(Members::from_json(b"{\"a\":\"\xff\"}").err(), Some(NotMembers::Syntax));
    }
}
