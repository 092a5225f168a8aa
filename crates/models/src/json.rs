//! One JSON object, read member by member: what stands in one member cannot spoil the others, and a member that stands
//! twice is noticed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What most token answers have. These members need neither copies of their names nor a tree to be found in.
const USUAL: [&str; 5] = ["access_token", "token_type", "expires_in", "refresh_token", "scope"];

/// The members of an object, and whether one of them stood more than once (the last one counts).
pub(crate) struct Members {
    /// Those of [`USUAL`], each at most once.
    usual: Vec<(&'static str, Value)>,
    others: Map<String, Value>,
    pub(crate) repeated: bool,
    /// Whether they came form-encoded, so that a string is the only type there is.
    pub(crate) form: bool,
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
        let read = |odd_values| {
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            let members = deserializer.deserialize_map(MembersVisitor { odd_values })?;
            deserializer.end().map(|()| members)
        };
        // Nearly every answer is read at the first go. What a value looks like before it is read takes a second look at it.
        let members = read(false).or_else(|_| read(true));
        members.map_err(|error| if error.is_data() { NotMembers::OtherType } else { NotMembers::Syntax })
    }

    /// Reads a JSON text that is not UTF-8: a member whose value is not is like one that a [`Value`] cannot hold, and the
    /// others are still there. `None` if it is UTF-8, or no object even so.
    pub(crate) fn from_json_of_another_charset(text: &[u8]) -> Option<Self> {
        Self::from_json(&with_unreadable_halves(text)?).ok()
    }

    /// Collects the members of a form, the last one of each name.
    pub(crate) fn from_pairs(pairs: impl Iterator<Item = (String, Value)>) -> Self {
        let mut read = Self::new();
        read.form = true;
        pairs.for_each(|(name, value)| read.insert(Name::new(&name), value));
        read
    }

    fn new() -> Self {
        Self { usual: Vec::with_capacity(USUAL.len()), others: Map::new(), repeated: false, form: false }
    }

    fn insert(&mut self, name: Name, value: Value) {
        let before = match name {
            Name::Usual(name) => {
                let before = self.remove_usual(name);
                self.usual.push((name, value));
                before
            }
            Name::Other(name) => self.others.insert(name, value),
        };
        self.repeated |= before.is_some();
    }

    /// Puts a value in the place of whatever had the name.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        let repeated = self.repeated;
        self.insert(Name::new(name), value);
        self.repeated = repeated;
    }

    /// The member of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let usual = self.usual.iter().find(|(own, _)| *own == name);
        usual.map(|(_, value)| value).or_else(|| self.others.get(name))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value));
        self.usual.iter().map(|(name, value)| (*name, value)).chain(others)
    }

    /// Takes the member of that name out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        self.remove_usual(name).or_else(|| self.others.remove(name))
    }

    fn remove_usual(&mut self, name: &str) -> Option<Value> {
        let place = self.usual.iter().position(|(own, _)| *own == name)?;
        Some(self.usual.swap_remove(place).1)
    }

    /// All that are left.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        let mut map = self.others;
        map.extend(self.usual.into_iter().map(|(name, value)| (name.to_owned(), value)));
        map
    }
}

/// The name of a member.
enum Name {
    Usual(&'static str),
    Other(String),
}

impl Name {
    fn new(name: &str) -> Self {
        match USUAL.iter().find(|usual| **usual == name) {
            Some(usual) => Self::Usual(usual),
            None => Self::Other(name.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name::new(name))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// The text with two first halves of surrogate pairs in the place of whatever is not UTF-8. No string that has these can be
/// read, whatever stands around them, so that no token ever comes out of here that is not the one that was sent. `None` if the
/// text is UTF-8.
fn with_unreadable_halves(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const HALVES: &[u8] = br"\ud800\ud800";

    // There may be secrets in it: it is wiped, and never moved.
    let broken = text.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let mut readable = Zeroizing::new(Vec::with_capacity(text.len() + broken * HALVES.len()));
    for chunk in text.utf8_chunks() {
        readable.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            // After a backslash it would be no escape sequence but five letters.
            if readable.last() == Some(&b'\\') {
                return None;
            }
            readable.extend_from_slice(HALVES);
        }
    }
    (broken > 0).then_some(readable)
}

struct MembersVisitor {
    /// Whether there may be values that a [`Value`] cannot hold.
    odd_values: bool,
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut read = Members::new();
        if !self.odd_values {
            while let Some((name, value)) = map.next_entry()? {
                read.insert(name, value);
            }
            return Ok(read);
        }
        while let Some((name, raw)) = map.next_entry::<Name, &RawValue>()? {
            read.insert(name, serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::Object(Map::new())));
        }
        Ok(read)
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
        assert!(read.repeated);
        assert_eq!(Value::Object(read.into_map()), serde_json::json!({"a":{}, "b":{}, "c":{}, "d":"last"}));
    }

    #[test]
    fn usual_members_are_members_like_all_others() {
        let read = |text: &str| Members::from_json(text.as_bytes()).ok().unwrap();
        let text = r#"{"scope":"a","x":1,"\u0073cope":"b","token_type":null,"expires_in":1e400}"#;
        let mut members = read(text);
        assert!(members.repeated);
        assert_eq!(members.get("scope"), Some(&Value::from("b")));
        assert_eq!(members.get("token_type"), Some(&Value::Null));
        assert_eq!(members.get("access_token"), None);
        assert_eq!(members.iter().count(), 4);
        assert_eq!(members.remove("scope"), Some(Value::from("b")));
        assert_eq!(members.remove("scope"), None);
        assert_eq!(
            Value::Object(members.into_map()),
            serde_json::json!({"x":1, "token_type":null, "expires_in":{}})
        );
        assert!(!read(r#"{"scope":"a","x":1}"#).repeated);
        assert!(read(r#"{"x":1,"scope":"a","x":1}"#).repeated);
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

    #[test]
    fn in_another_charset_what_can_be_read_is_there() {
        let of = |text: &[u8]| {
            Members::from_json_of_another_charset(text).map(|read| Value::Object(read.into_map()).to_string())
        };
        // Latin-1, and GBK, whose second bytes may be ASCII.
        assert_eq!(of(b"{\"a\":\"caf\xe9\",\"b\":\"kept\"}").unwrap(), r#"{"a":{},"b":"kept"}"#);
        assert_eq!(of(b"{\"a\":[\"\xb8\x5d\"],\"b\":\"\xff\xfe\xff\"}").unwrap(), r#"{"a":{},"b":{}}"#);
        // Nor does the other half beside it make it readable.
        assert_eq!(of(b"{\"a\":\"\xff\\udc00\",\"b\":\"\\ud800\xff\"}").unwrap(), r#"{"a":{},"b":{}}"#);
        // UTF-8 needs none of this.
        assert_eq!(of("{\"a\":\"é\"}".as_bytes()), None);
        // In a name, outside of strings, after a backslash.
        for text in
            [&b"{\"\xe9\":1}"[..], b"{\"a\":1}\xe9", b"\xff{\"a\":1}", b"{\"a\":\"x\\\xe9\"}", b"\xe9"]
        {
            assert_eq!(of(text), None, "{text:?}");
        }
    }
}
