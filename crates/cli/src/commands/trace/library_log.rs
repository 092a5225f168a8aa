//! The library's own log, for the decisions between the requests.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::timeline::{Kind, Timeline};

/// What is on the wire is shown there; fingerprints of the library are made without this trace's salt.
const SAID_ELSEWHERE: [&str; 3] = ["answered", "no answer", "event"];
const FINGERPRINTS: [&str; 4] = ["access_token", "refresh_token", "token", "id_token"];

pub(super) struct LibraryLog {
    timeline: Timeline,
    spans: AtomicU64,
}

/// Has the library's log go there from now on, in the whole process.
pub(super) fn listen(timeline: &Timeline) {
    let log = LibraryLog { timeline: timeline.clone(), spans: AtomicU64::new(1) };
    // Nobody else in this program listens.
    let _ = tracing::subscriber::set_global_default(log);
}

impl Subscriber for LibraryLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("jeton") && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if SAID_ELSEWHERE.contains(&line.message.as_str()) {
            return;
        }
        let text = format!("{}{}", line.message, line.fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        self.timeline.add(
            Kind::Log,
            format!("{level}: {}", self.timeline.redactor().words(&text)),
            Vec::new(),
        );
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        if name == "message" {
            self.message = format!("{value:?}");
        } else if !FINGERPRINTS.contains(&name) {
            let _ = write!(self.fields, " {name}={value:?}");
        }
    }
}
