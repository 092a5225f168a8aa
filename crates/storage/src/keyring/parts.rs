//! A record in parts, for keychains whose entries are too small for it: what stands in the head entry, how a record is
//! split, and whether what was put together is the record again.
//!
//! The head entry is one JSON object:
//!
//! | member | type | |
//! |---|---|---|
//! | `format` | string | `"jeton-login-parts"` |
//! | `version` | number | `1` |
//! | `half` | string | `"a"` or `"b"`: which of the two sets of part entries; the next save writes into the other |
//! | `parts` | number | how many, numbered from 1 |
//! | `bytes` | number | of the record |
//! | `sha256` | string | of the record, in hexadecimal digits |
//! | `save` | string | another one for each save, so that a reader can tell whether the head has changed |

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::record::RecordError;

const FORMAT: &str = "jeton-login-parts";
const VERSION: u64 = 1;

/// A character of UTF-8 has at most so many bytes behind its first; parts are split between characters.
const LONGEST_REST: usize = 3;

/// One of the two sets of part entries of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Half {
    A,
    B,
}

impl Half {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(crate) fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

/// What the head entry of a record in parts says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartsHead {
    format: String,
    version: u64,
    pub(crate) half: Half,
    pub(crate) parts: u32,
    bytes: u64,
    sha256: String,
    save: String,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
}

impl PartsHead {
    /// The head for that record.
    pub(crate) fn new(record: &[u8], half: Half, parts: u32) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            half,
            parts,
            bytes: record.len() as u64,
            sha256: sha256(record),
            // The standard library's hash keys are random enough to be told apart.
            save: format!("{:016x}", RandomState::new().hash_one(SystemTime::now())),
        }
    }

    /// What the head entry says, if it is that of a record in parts; `None` if it is a record itself, or anything else.
    ///
    /// # Errors
    /// [`RecordError::NewerFormat`] and [`RecordError::Damaged`].
    pub(crate) fn read(head: &[u8]) -> Result<Option<Self>, RecordError> {
        let Ok(header) = serde_json::from_slice::<Header>(head) else { return Ok(None) };
        if header.format != FORMAT {
            return Ok(None);
        }
        if header.version > VERSION {
            let found = format!("version {} of {FORMAT}", header.version);
            return Err(RecordError::NewerFormat { found });
        }
        serde_json::from_slice(head).map(Some).map_err(|_| RecordError::Damaged {
            what: "the entry that names the parts of the record is not in its form".to_owned(),
        })
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether that is the record whose head this is.
    pub(crate) fn fits(&self, record: &[u8]) -> bool {
        record.len() as u64 == self.bytes && sha256(record) == self.sha256
    }

    /// An empty buffer with room for the whole record, so that none of it is left behind by growing. What the head says
    /// is believed up to a few megabytes, which no record exceeds.
    pub(crate) fn buffer(&self) -> Zeroizing<Vec<u8>> {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(16 << 20);
        Zeroizing::new(Vec::with_capacity(bytes))
    }
}

/// The record in pieces of at most `limit` bytes, none of which ends within a character: some keychains take text only.
pub(crate) fn split(record: &[u8], limit: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = record;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(limit);
        let within_character = |at: usize| rest.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
        let first = end.saturating_sub(LONGEST_REST).max(1);
        if let Some(start) = (first..=end).rev().find(|at| !within_character(*at)) {
            end = start;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// How many parts a record of that many bytes has at most.
pub(crate) fn parts_for(bytes: usize, limit: usize) -> usize {
    bytes.div_ceil(limit.saturating_sub(LONGEST_REST).max(1))
}

fn sha256(record: &[u8]) -> String {
    Sha256::digest(record).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_between_characters_and_are_as_many_as_was_said() {
        let texts = [
            "",
            "a",
            "abcdefgh",
            "\u{1F511}\u{1F511}\u{1F511}",
            "a\u{e4}b\u{20ac}c\u{1F511}d",
            "\u{7f}\u{80}",
        ];
        for text in texts {
            for limit in 4..12 {
                let pieces: Vec<&[u8]> = split(text.as_bytes(), limit).collect();
                assert_eq!(pieces.concat(), text.as_bytes());
                assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= limit));
                assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "{text:?} by {limit}");
                assert!(pieces.len() <= parts_for(text.len(), limit), "{text:?} by {limit}");
            }
        }
        // What is no text is split all the same.
        assert_eq!(split(&[0x80; 10], 4).map(<[u8]>::len).collect::<Vec<_>>(), [4, 4, 2]);
    }

    #[test]
    fn a_head_comes_back_and_knows_its_record() {
        let head = PartsHead::new(b"record", Half::B, 3);
        let json = head.to_json();
        assert_eq!(PartsHead::read(&json).unwrap(), Some(head.clone()));
        assert!(head.fits(b"record"));
        assert!(!head.fits(b"recorD") && !head.fits(b"recor"));
        // Two saves of the same are told apart.
        assert_ne!(PartsHead::new(b"record", Half::B, 3), head);
    }

    #[test]
    fn the_head_of_a_later_version_is_neither_damaged_nor_a_record() {
        assert_eq!(PartsHead::read(br#"{"format":"jeton-login","version":1}"#).unwrap(), None);
        assert_eq!(PartsHead::read(b"no JSON").unwrap(), None);
        let later = br#"{"format":"jeton-login-parts","version":2,"half":5}"#;
        assert!(matches!(PartsHead::read(later), Err(RecordError::NewerFormat { .. })));
        let damaged = br#"{"format":"jeton-login-parts","version":1,"half":"c"}"#;
        assert!(matches!(PartsHead::read(damaged), Err(RecordError::Damaged { .. })));
    }

    #[test]
    fn the_head_entry_is_as_it_is_documented() {
        let mut head = PartsHead::new(b"record", Half::A, 2);
        head.save = "0123456789abcdef".to_owned();
        assert_eq!(
            String::from_utf8(head.to_json()).unwrap(),
            r#"{"format":"jeton-login-parts","version":1,"half":"a","parts":2,"bytes":6,"sha256":"#
                .to_owned()
                + r#""70ce871f8a3d3fb449bc3c3ace6547cef02dfc74ffe48d912532a724bfdbe5b9","save":"0123456789abcdef"}"#
        );
    }
}
