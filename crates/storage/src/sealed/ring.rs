//! The keys that a store knows: one that it seals with, and older ones that it still opens with.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::encoding::{decode, encode};
use super::key::SealingKey;

const FORMAT: &str = "jeton-sealing-ring";
const VERSION: u64 = 1;

/// Keys by id. The empty one opens nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    /// The id of the key that seals.
    current: String,
    keys: Vec<(String, SealingKey)>,
}

impl Ring {
    /// Seals with the first key.
    pub(crate) fn new(current: &SealingKey, others: impl IntoIterator<Item = SealingKey>) -> Self {
        let mut ring = Self { current: current.id(), keys: Vec::new() };
        ring.add([current.clone()]);
        ring.add(others);
        ring
    }

    /// Keys to open with, besides those that are there.
    pub(crate) fn add(&mut self, keys: impl IntoIterator<Item = SealingKey>) {
        for key in keys {
            let id = key.id();
            if self.get(&id).is_none() {
                self.keys.push((id, key));
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&SealingKey> {
        self.keys.iter().find(|(own, _)| own == id).map(|(_, key)| key)
    }

    pub(crate) fn current_id(&self) -> &str {
        &self.current
    }

    pub(crate) fn current(&self) -> Option<&SealingKey> {
        self.get(&self.current)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// Seals with that key from now on, if it is there.
    pub(crate) fn with_current(mut self, id: &str) -> Option<Self> {
        self.get(id)?;
        self.current = id.to_owned();
        Some(self)
    }

    /// The keys as text, for a keychain or to be sealed themselves. The one that seals stands in the keys file.
    pub(crate) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        // Written by hand: into one buffer of the right size, so that no copy stays behind unwiped.
        let mut json = Zeroizing::new(Vec::with_capacity(80 + self.keys.len() * 48));
        json.extend_from_slice(format!(r#"{{"format":"{FORMAT}","version":{VERSION},"keys":["#).as_bytes());
        for (index, key) in self.keys().enumerate() {
            let encoded = Zeroizing::new(encode(key.expose()));
            json.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            json.extend_from_slice(encoded.as_bytes());
            json.push(b'"');
        }
        json.extend_from_slice(b"]}");
        json
    }

    /// What [`to_json`](Self::to_json) wrote, without a key to seal with.
    ///
    /// # Errors
    /// A few words on what is wrong. They show nothing of the text.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            format: String,
            version: u64,
            #[serde(borrow)]
            keys: Vec<&'a str>,
        }
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(|_| "it does not hold sealing keys")?;
        if wire.format != FORMAT {
            return Err("it does not hold sealing keys");
        }
        if wire.version != VERSION {
            return Err("a newer jeton wrote it: update this program");
        }
        let mut ring = Self::default();
        for encoded in &wire.keys {
            let bytes = decode(encoded).map(Zeroizing::new).ok_or("one of its keys is damaged")?;
            ring.add([SealingKey::from_bytes(&bytes).map_err(|_| "one of its keys is damaged")?]);
        }
        match ring.keys.is_empty() {
            true => Err("it holds no key"),
            false => Ok(ring),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_what_is_none_is_told() {
        let (one, two) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let ring = Ring::new(&one, [two.clone(), one.clone()]);
        let read = Ring::from_json(&ring.to_json()).unwrap();
        assert_eq!(read.keys().map(SealingKey::id).collect::<Vec<_>>(), [one.id(), two.id()]);
        assert!(read.current().is_none());
        assert_eq!(read.clone().with_current(&two.id()).unwrap().current().unwrap().id(), two.id());
        assert!(read.with_current("0").is_none());

        let json = String::from_utf8(ring.to_json().to_vec()).unwrap();
        for damaged in [
            String::new(),
            json[..json.len() - 5].to_owned(),
            json.replace("ring", "king"),
            json.replace("\"version\":1", "\"version\":2"),
            json.replace(&encode(one.expose()), "AAAA"),
            r#"{"format":"jeton-sealing-ring","version":1,"keys":[]}"#.to_owned(),
        ] {
            assert!(Ring::from_json(damaged.as_bytes()).is_err(), "{damaged}");
        }
        assert!(!format!("{ring:?}").contains(&encode(one.expose())));
    }
}
