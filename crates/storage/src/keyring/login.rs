//! The entries of one login, and the order in which they are written and removed, so that a crash at any point leaves
//! the old record or the new one. Blocks; runs on the keychain's thread.
//!
//! - The part entries of a half are written from the first to the last and removed from the last to the first, so
//!   those that are there are always 1 to n: leftovers are found by counting up.
//! - The head entry is written when all parts are, and removed before any is.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::connection::{Connection, EntryName};
use super::parts::{Half, PartsHead, parts_for, split};
use super::service::ServiceName;
use crate::lock::Lock;
use crate::{LoginKey, LoginRecord, StoreError};

/// How often a reader looks at a head that is another one each time. Each time somebody has saved meanwhile.
const CHANGES_AT_MOST: usize = 100;
/// How much of a key's text is shown to people.
const LABEL_CHARACTERS: usize = 160;
/// What stands in an entry that only keeps room.
const FILLER: &[u8] = b"room for the next record of this login; no secret. ";

/// What every login's entry name begins with.
const PREFIX: &str = "login-";

/// The name of the login's head entry; the others begin with it.
pub(crate) fn name_of(key: &LoginKey) -> String {
    format!("{PREFIX}{}", key.digest())
}

/// Whether that is the name of a head entry.
pub(crate) fn is_head(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|digest| {
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The entries of one login.
#[derive(Clone, Debug)]
pub(crate) struct LoginEntries {
    service: ServiceName,
    /// The head entry's.
    name: String,
    label: String,
}

/// How a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Absent,
    Whole,
    Parts(Half, u32),
    /// There is something, and it is no record.
    Damaged,
}

/// A record's JSON and how it is kept.
type Found = (Zeroizing<Vec<u8>>, Shape);

impl LoginEntries {
    pub(crate) fn new(service: &ServiceName, key: &LoginKey) -> Self {
        let text = key.to_string();
        let label = match text.char_indices().nth(LABEL_CHARACTERS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        Self { service: service.clone(), name: name_of(key), label }
    }

    /// Those of a head entry that was found; not for writing.
    pub(crate) fn found(service: &ServiceName, name: &str) -> Self {
        Self { service: service.clone(), name: name.to_owned(), label: name.to_owned() }
    }

    /// The name of the lock that stands for the lease.
    pub(crate) fn lock_name(&self) -> String {
        format!("keyring-{}-{}", self.service.as_str(), self.name)
    }

    /// Where the record is, for people.
    pub(crate) fn place(&self) -> String {
        format!("the entry {:?} of {:?} in the keychain", self.name, self.service.as_str())
    }

    /// The record's JSON as it is now; `None` if there is none. Changes nothing, whatever it finds.
    pub(crate) fn read(&self, connection: &mut Connection) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.find(connection)?.map(|(json, _)| json))
    }

    fn find(&self, connection: &mut Connection) -> Result<Option<Found>, StoreError> {
        let mut head = self.get(connection, "")?;
        for _ in 0..CHANGES_AT_MOST {
            let Some(json) = head else { return Ok(None) };
            let parts =
                PartsHead::read(&json).map_err(|error| StoreError::from_record(error, self.place()))?;
            let Some(parts) = parts else { return Ok(Some((json, Shape::Whole))) };
            if let Some(record) = self.put_together(connection, &parts)? {
                return Ok(Some((record, Shape::Parts(parts.half, parts.parts))));
            }
            // Whoever saves next writes another head before the parts of this one change.
            head = self.get(connection, "")?;
            if head.as_ref().is_some_and(|again| **again == *json) {
                return Err(StoreError::Damaged {
                    what: format!("{}: a part of the record is missing, or another one", self.place()),
                    set_aside: None,
                });
            }
        }
        Err(StoreError::Keychain {
            operation: "read the login",
            what: "it was replaced each time that it was read; try again".to_owned(),
        })
    }

    /// The record of those parts; `None` if they are not all there, or not of one record.
    fn put_together(
        &self,
        connection: &mut Connection,
        head: &PartsHead,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let mut record = head.buffer();
        for number in 1..=head.parts {
            let part = match self.get(connection, &part_name(head.half, number)) {
                Err(StoreError::Damaged { .. }) | Ok(None) => return Ok(None),
                Ok(Some(part)) => part,
                Err(error) => return Err(error),
            };
            record.extend_from_slice(&part);
        }
        Ok(head.fits(&record).then_some(record))
    }

    fn get(
        &self,
        connection: &mut Connection,
        which: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.with_name(which, |name| connection.get(name))
    }

    fn set(&self, connection: &mut Connection, which: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.with_name(which, |name| connection.set(name, secret))
    }

    fn remove(&self, connection: &mut Connection, which: &str) -> Result<bool, StoreError> {
        self.with_name(which, |name| connection.remove(name))
    }

    /// The entry whose name ends in that: nothing for the head.
    fn with_name<T>(&self, which: &str, call: impl FnOnce(EntryName<'_>) -> T) -> T {
        let mut label = format!("jeton: {}", self.label);
        if !which.is_empty() {
            let _ = write!(label, " ({which})");
        }
        call(EntryName {
            service: self.service.as_str(),
            user: &format!("{}{which}", self.name),
            label: &label,
        })
    }
}

/// Beside the head: what could not be read, kept as evidence when it was replaced.
const DAMAGED: &str = ".damaged";
/// Beside the head: what is reserved for the next save where that needs no parts.
const ROOM: &str = ".room";

fn part_name(half: Half, number: u32) -> String {
    format!(".{}{number}", half.letter())
}

/// What the holder of a lease has. It lives until the last operation has ended, so that the lock does too.
pub(crate) struct Held {
    entries: LoginEntries,
    key: LoginKey,
    /// What is stored, if it was looked at under this lease and may be replaced.
    shape: Option<Shape>,
    reserved: Option<usize>,
    // The last member, dropped last.
    _lock: Lock,
}

impl Held {
    pub(crate) fn new(entries: LoginEntries, key: LoginKey, lock: Lock) -> Self {
        Self { entries, key, shape: None, reserved: None, _lock: lock }
    }

    pub(crate) fn load(&mut self, connection: &mut Connection) -> Result<Option<LoginRecord>, StoreError> {
        self.shape = None;
        let (record, shape) = match self.entries.find(connection) {
            Ok(None) => (Ok(None), Shape::Absent),
            Ok(Some((json, shape))) => match LoginRecord::from_json(&json, &self.key) {
                Ok(record) => (Ok(Some(record)), shape),
                Err(error) => (Err(StoreError::from_record(error, self.entries.place())), Shape::Damaged),
            },
            Err(error) => (Err(error), Shape::Damaged),
        };
        // Only what is damaged may be replaced unread.
        if matches!(record, Ok(_) | Err(StoreError::Damaged { .. })) {
            self.shape = Some(shape);
        }
        record
    }

    /// Refuses what must not be overwritten.
    fn look_before_writing(&mut self, connection: &mut Connection) -> Result<Shape, StoreError> {
        if let Some(shape) = self.shape {
            return Ok(shape);
        }
        match self.load(connection) {
            Ok(_) | Err(StoreError::Damaged { .. }) => Ok(self.shape.unwrap_or(Shape::Damaged)),
            Err(error) => Err(error),
        }
    }

    /// Writes entries of the size that the next save needs, which a locked or read-only keychain refuses. No keychain
    /// has a way to keep room for certain; what this proves is that it could be written a moment ago.
    pub(crate) fn reserve(&mut self, connection: &mut Connection, bytes: usize) -> Result<(), StoreError> {
        let shape = self.look_before_writing(connection)?;
        if self.reserved.is_some_and(|reserved| reserved >= bytes) {
            return Ok(());
        }
        let filler: Vec<u8> = FILLER.iter().copied().cycle().take(bytes.max(1)).collect();
        // Whatever is written of it is to be removed.
        self.reserved = Some(0);
        match connection.limit() {
            Some(limit) if bytes > limit => {
                let half = spare_half(shape);
                let filler = &filler[..limit];
                for number in (1..).take(parts_for(bytes, limit)) {
                    self.entries.set(connection, &part_name(half, number), filler)?;
                }
            }
            _ => self.entries.set(connection, ROOM, &filler)?,
        }
        self.reserved = Some(bytes);
        Ok(())
    }

    pub(crate) fn save(&mut self, connection: &mut Connection, json: &[u8]) -> Result<(), StoreError> {
        let before = self.look_before_writing(connection)?;
        if before == Shape::Damaged {
            self.keep_evidence(connection)?;
        }
        // Not known again before the head is written for sure.
        self.shape = None;
        let after = match connection.limit() {
            Some(limit) if json.len() > limit => {
                self.save_parts(connection, json, limit, spare_half(before))?
            }
            _ => {
                self.entries.set(connection, "", json)?;
                Shape::Whole
            }
        };
        self.shape = Some(after);
        // The login is kept, and the next save sweeps again: no reason to fail.
        if let Err(error) = self.sweep(connection, before) {
            tracing::warn!(login = %self.key, %error, "entries that are of no use any more are left in the keychain");
        }
        Ok(())
    }

    fn save_parts(
        &self,
        connection: &mut Connection,
        json: &[u8],
        limit: usize,
        half: Half,
    ) -> Result<Shape, StoreError> {
        let mut parts = 0;
        for part in split(json, limit) {
            parts += 1;
            self.entries.set(connection, &part_name(half, parts), part)?;
        }
        self.entries.set(connection, "", &PartsHead::new(json, half, parts).to_json())?;
        Ok(Shape::Parts(half, parts))
    }

    pub(crate) fn delete(&mut self, connection: &mut Connection) -> Result<(), StoreError> {
        let before = self.look_before_writing(connection)?;
        if before == Shape::Damaged {
            self.keep_evidence(connection)?;
        }
        self.shape = None;
        self.entries.remove(connection, "")?;
        self.shape = Some(Shape::Absent);
        self.sweep(connection, before)
    }

    /// Removes what was reserved and not used.
    pub(crate) fn give_room_back(&mut self, connection: &mut Connection) {
        if self.reserved.is_none() {
            return;
        }
        let swept = self.look_before_writing(connection).and_then(|shape| self.sweep(connection, shape));
        if let Err(error) = swept {
            tracing::debug!(login = %self.key, %error, "the room reserved for a login is left in the keychain");
        }
    }

    /// Removes what is neither the record as it is now nor evidence: the room, the parts of the record before, and what
    /// a writer left behind who was killed.
    fn sweep(&mut self, connection: &mut Connection, before: Shape) -> Result<(), StoreError> {
        self.entries.remove(connection, ROOM)?;
        // Where there is no limit there are no parts, unless this keychain had one in an earlier version.
        let had_parts = matches!(before, Shape::Parts(..) | Shape::Damaged);
        if connection.limit().is_some() || had_parts {
            for half in Half::BOTH {
                let keep = match self.shape {
                    Some(Shape::Parts(own, parts)) if own == half => parts,
                    _ => 0,
                };
                self.sweep_parts(connection, half, keep)?;
            }
        }
        self.reserved = None;
        Ok(())
    }

    fn sweep_parts(&self, connection: &mut Connection, half: Half, keep: u32) -> Result<(), StoreError> {
        let mut last = keep;
        loop {
            match self.entries.get(connection, &part_name(half, last + 1)) {
                Ok(None) => break,
                Ok(Some(_)) | Err(StoreError::Damaged { .. }) => last += 1,
                Err(error) => return Err(error),
            }
        }
        for number in (keep + 1..=last).rev() {
            self.entries.remove(connection, &part_name(half, number))?;
        }
        Ok(())
    }

    /// Keeps what the head entry says under another name; the person may delete it.
    fn keep_evidence(&self, connection: &mut Connection) -> Result<(), StoreError> {
        match self.entries.get(connection, "") {
            Ok(Some(head)) => {
                self.entries.set(connection, DAMAGED, &head)?;
                tracing::warn!(login = %self.key, "a damaged login was set aside in the keychain");
                Ok(())
            }
            // Nothing to keep.
            Ok(None) | Err(StoreError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The half that the next save writes into.
fn spare_half(shape: Shape) -> Half {
    match shape {
        Shape::Parts(half, _) => half.other(),
        Shape::Absent | Shape::Whole | Shape::Damaged => Half::A,
    }
}
