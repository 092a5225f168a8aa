//! `Timeline`: what happened, in order, with the time since the beginning; filled from several threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::redact::Redactor;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sent to a server.
    Request,
    /// What came back, or that nothing did.
    Answer,
    /// The store of logins was read or written.
    Store,
    /// Something happened to the login.
    Event,
    /// The library said so in its log.
    Log,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Store => "store",
            Self::Event => "event",
            Self::Log => "log",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) details: Vec<(String, Value)>,
}

impl Entry {
    pub(super) fn to_json(&self) -> Value {
        let details: Vec<Value> =
            self.details.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({
            "at_ms": milliseconds(self.at),
            "kind": self.kind.word(),
            "what": self.what,
            "details": details,
        })
    }
}

/// With three digits behind the point.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Shared by whoever has something to say.
#[derive(Clone, Debug)]
pub(super) struct Timeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    redactor: Redactor,
    entries: Mutex<Vec<Entry>>,
}

impl Timeline {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self(Arc::new(Inner { begun: Instant::now(), redactor, entries: Mutex::default() }))
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    pub(super) fn add(&self, kind: Kind, what: impl Into<String>, details: Vec<(String, Value)>) {
        let entry = Entry { at: self.0.begun.elapsed(), kind, what: what.into(), details };
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// All entries so far, in which every secret that is known by now is hidden.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let redactor = self.redactor();
        let scrubbed = entries.into_iter().map(|entry| Entry {
            what: redactor.scrubbed(&entry.what),
            details: entry
                .details
                .iter()
                .map(|(name, value)| (redactor.scrubbed(name), redactor.scrubbed_value(value)))
                .collect(),
            ..entry
        });
        scrubbed.collect()
    }
}
