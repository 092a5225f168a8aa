//! What a worker process tells: one line of JSON for each thing that happened, written before the next thing happens, so that a
//! killed process has told everything up to its death. Tokens show as fingerprints only.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Something that happened in a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When, by the machine's clock, in microseconds since 1970: comparable between processes.
    pub at_us: u64,
    /// When by the worker's own clock, which the lab may have stepped, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Whose login it is about.
    pub account: Option<usize>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The process is up.
    Started,
    /// It has got the lease.
    Leased,
    /// It is about to give the lease back.
    Released,
    /// A refresh request is about to go out.
    Sending {
        /// The request's `x-request-id`.
        request: String,
        /// The refresh token that it presents.
        refresh: String,
        /// What the worker's clock showed at the end of the last `reserve`: no later than when the token was asked for.
        asked_ms: u64,
    },
    /// The whole answer is there.
    Answered {
        /// To which request.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The refresh token in it, if there is a readable one.
        refresh: Option<String>,
        /// The access token in it, if there is a readable one.
        access: Option<String>,
    },
    /// There will be no answer.
    Unanswered {
        /// To which request.
        request: String,
        /// Why.
        why: String,
    },
    /// A save begins.
    Saving {
        /// The refresh token of the record.
        refresh: Option<String>,
    },
    /// It is done, and durable.
    Saved {
        /// The refresh token of the record.
        refresh: Option<String>,
        /// How long it took, in microseconds.
        took_us: u64,
    },
    /// It failed.
    NotSaved {
        /// The refresh token of the record.
        refresh: Option<String>,
        /// Why.
        why: String,
    },
    /// A caller who found no valid token in memory has got one.
    Served {
        /// After so many microseconds.
        waited_us: u64,
    },
    /// A caller has got an error.
    Failed {
        /// After so many microseconds.
        waited_us: u64,
        /// In a word.
        kind: String,
        /// In full.
        text: String,
    },
    /// The resource server did not take this access token.
    Rejected {
        /// The access token.
        access: String,
    },
    /// The process is about to kill itself.
    Dying {
        /// Where it has got to.
        point: Point,
    },
    /// The process is about to stop itself, until the lab lets it go on.
    Stopping {
        /// Where it has got to.
        point: Point,
    },
    /// A thread panicked.
    Panicked {
        /// What it said.
        what: String,
    },
    /// It ends in the ordinary way.
    Bye,
}

/// The named points of a refresh at which a process may be killed or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Under the lease, before anything was sent.
    BeforeRequest,
    /// The request is on its way, at the server, or the answer on its way back.
    RequestSent,
    /// The answer is there and nothing was done with it.
    AnswerReceived,
    /// While it is being saved.
    DuringSave,
    /// It is saved, and the lease is still held.
    AfterSave,
}

impl Point {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::BeforeRequest, Self::RequestSent, Self::AnswerReceived, Self::DuringSave, Self::AfterSave];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeRequest => "before-request",
            Self::RequestSent => "request-sent",
            Self::AnswerReceived => "answer-received",
            Self::DuringSave => "during-save",
            Self::AfterSave => "after-save",
        }
    }
}

/// Microseconds since 1970 by the machine's clock.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
