//! One JSON object, read member by member: what stands in one member cannot spoil the others, and a member that stands
//! twice is noticed.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

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

    /// Collects members, the last one of each name.
    pub(crate) fn from_pairs(pairs: impl Iterator<Item = (String, Value)>) -> Self {
        let mut read = Self { members: Map::new(), repeated: false };
        pairs.for_each(|(name, value)| read.insert(name, value));
        read
    }

    fn insert(&mut self, name: String, value: Value) {
        self.repeated |= self.members.insert(name, value).is_some();
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
        let mut read = Members { members: Map::new(), repeated: false };
        if !self.odd_values {
            while let Some((name, value)) = map.next_entry()? {
                read.insert(name, value);
            }
            return Ok(read);
        }
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
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

    #[test]
    fn in_another_charset_what_can_be_read_is_there() {
        let of = |text: &[u8]| {
            Members::from_json_of_another_charset(text).map(|read| Value::Object(read.members).to_string())
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
