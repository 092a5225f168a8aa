//! One line for each request as it comes, on standard error: what was asked, by whom, and which rule it broke.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use jeton_devserver::{Exchange, Outcome};
use serde_json::{Value, json};

use crate::output::{BAD, FAINT, GOOD, Output};
use crate::printable::printable;
use crate::wrap::wrapped;

/// So many lines may wait to be written. The server does not wait for whoever reads them.
const WAITING: usize = 1024;

/// How long the last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Writes on a thread of its own, so that a reader who has stopped reading stops nobody.
pub(super) struct Watcher(mpsc::Receiver<()>);

impl Watcher {
    /// The watcher, and what the server tells of each exchange.
    pub(super) fn start(output: Output) -> (Self, impl Fn(&Exchange) + Send + Sync + 'static) {
        let (lines, to_write) = mpsc::sync_channel::<String>(WAITING);
        let (finished, finish) = mpsc::channel();
        let left_out = Arc::new(AtomicU64::new(0));
        let missing = Arc::clone(&left_out);
        thread::spawn(move || {
            for line in to_write {
                output.note(line);
                let missing = missing.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    output.note(format_args!("({missing} lines were left out, as nobody read them in time)"));
                }
            }
            // Whoever waited may have gone.
            let _ = finished.send(());
        });
        let listener = move |exchange: &Exchange| tell(&lines, &left_out, output, exchange);
        (Self(finish), listener)
    }

    /// Waits for the last lines, when the server and its listener are gone.
    pub(super) fn finish(self) {
        // A reader who has stopped reading is not waited for.
        let _ = self.0.recv_timeout(LAST_LINES);
    }
}

fn tell(lines: &SyncSender<String>, left_out: &AtomicU64, output: Output, exchange: &Exchange) {
    let line =
        if output.is_json() { to_json(exchange).to_string() } else { to_text(exchange, output.columns()) };
    if lines.try_send(line).is_err() {
        left_out.fetch_add(1, Ordering::Relaxed);
    }
}

fn to_text(exchange: &Exchange, columns: usize) -> String {
    let style = if exchange.outcome.is_good() { GOOD } else { BAD };
    let (what, reason) = match &exchange.outcome {
        Outcome::Answered { status, error, reason } => {
            let error = error.as_deref().map(|error| format!(" {}", printable(error)));
            (format!("{status}{}", error.unwrap_or_default()), reason.as_deref())
        }
        Outcome::Cut => ("closed without an answer".to_owned(), None),
        Outcome::Abandoned => ("the client went away".to_owned(), None),
        _ => ("under way".to_owned(), None),
    };
    let mut line =
        format!("{} {} {style}{what}{style:#}", printable(&exchange.method), printable(&exchange.path));
    let beside = [&exchange.grant_type, &exchange.client_id];
    let beside: Vec<String> = beside.into_iter().flatten().map(|text| printable(short(text))).collect();
    if !beside.is_empty() {
        let _ = write!(line, " {FAINT}({}){FAINT:#}", beside.join(", "));
    }
    if let Some(reason) = reason {
        let _ = write!(line, "\n  {}", wrapped(&printable(reason), 2, columns));
    }
    if let Some(fault) = &exchange.fault {
        let _ = write!(line, "\n  fault: {}", printable(fault));
    }
    line
}

/// Of the grant types that are URNs the last part says it all.
fn short(text: &str) -> &str {
    text.strip_prefix("urn:").and_then(|urn| urn.rsplit(':').next()).unwrap_or(text)
}

fn to_json(exchange: &Exchange) -> Value {
    let (status, error, reason) = match &exchange.outcome {
        Outcome::Answered { status, error, reason } => (Some(*status), error.clone(), reason.clone()),
        _ => (None, None, None),
    };
    json!({
        "number": exchange.number,
        "at": exchange.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        "method": exchange.method,
        "path": exchange.path,
        "endpoint": exchange.endpoint.name(),
        "client_id": exchange.client_id,
        "user": exchange.user,
        "grant_type": exchange.grant_type,
        "status": status,
        "error": error,
        "reason": reason,
        "fault": exchange.fault,
    })
}
