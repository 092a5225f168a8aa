//! The trace as a person reads it, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::redact::{Redactor, shown_value};
use super::timeline::{Entry, Kind, milliseconds};
use crate::context::Connection;
use crate::failure::Failure;
use crate::output::{BAD, FAINT, GOOD, STRONG};
use crate::printable::printable;
use crate::profile::Profile;
use crate::wrap::{labelled, wrapped};

/// What is known at the end.
pub(super) struct Trace<'a> {
    pub(super) connection: &'a Connection,
    pub(super) command: String,
    pub(super) entries: Vec<Entry>,
    pub(super) outcome: Result<String, &'a Failure>,
    pub(super) redactor: &'a Redactor,
}

const PLATFORM: (&str, &str) = (std::env::consts::OS, std::env::consts::ARCH);

const ABOUT_SECRETS: &str = "Secrets are shown by fingerprints. Within this trace, the same secret has the same one; nothing can be had \
                             back from it, and it means nothing in another trace.";

impl Trace<'_> {
    pub(super) fn to_text(&self, columns: usize) -> String {
        let (os, architecture) = PLATFORM;
        let store = self.connection.store.kind();
        let mut text = format!(
            "{STRONG}{}{STRONG:#}\njeton {} on {os} ({architecture}); logins in {store}\n",
            printable(&self.command),
            env!("CARGO_PKG_VERSION"),
        );
        for (name, value) in profile_details(self.redactor, &self.connection.profile) {
            detail(&mut text, 2, &name, &value, columns);
        }
        text.push('\n');
        for entry in &self.entries {
            let mark = match entry.kind {
                Kind::Request => ">",
                Kind::Answer => "<",
                _ => entry.kind.word(),
            };
            let style = if matches!(entry.kind, Kind::Request | Kind::Answer) { STRONG } else { FAINT };
            let what = wrapped(&printable(&entry.what), 18, columns);
            let _ = writeln!(text, "{:>8.1} ms {style}{mark:<5}{style:#} {what}", milliseconds(entry.at));
            for (name, value) in &entry.details {
                detail(&mut text, 20, name, value, columns);
            }
        }
        text.push('\n');
        let outcome = match &self.outcome {
            Ok(outcome) => labelled("It worked:", GOOD, &printable(outcome), columns),
            Err(failure) => {
                let why = failure.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                labelled("It did not work:", BAD, &printable(&format!("{}{why}", failure.what)), columns)
            }
        };
        let _ = writeln!(text, "{outcome}");
        let _ = write!(text, "{}", wrapped(ABOUT_SECRETS, 0, columns));
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let (os, architecture) = PLATFORM;
        let requests = self.entries.iter().filter(|entry| entry.kind == Kind::Request).count();
        let profile = profile_details(self.redactor, &self.connection.profile);
        json!({
            "profile": self.connection.name,
            "command": self.command,
            "version": env!("CARGO_PKG_VERSION"),
            "platform": format!("{os} {architecture}"),
            "store": self.connection.store.to_json(),
            "configuration": profile.into_iter().collect::<serde_json::Map<_, _>>(),
            "requests": requests,
            "entries": self.entries.iter().map(Entry::to_json).collect::<Vec<_>>(),
            "outcome": match &self.outcome {
                Ok(outcome) => json!({ "ok": true, "what": outcome }),
                Err(failure) => json!({
                    "ok": false,
                    "code": failure.code,
                    "what": failure.what,
                    "why": failure.why,
                }),
            },
        })
    }
}

fn detail(text: &mut String, indent: usize, name: &str, value: &Value, columns: usize) {
    let shown = match value {
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().map(shown_value).collect::<Vec<_>>().join(", ")
        }
        value => shown_value(value),
    };
    let shown = format!("{name}: {shown}");
    let _ = writeln!(text, "{:indent$}{}", "", wrapped(&printable(&shown), indent + 2, columns));
}

/// What the profile says, without paths and whatever may be somebody's.
fn profile_details(redactor: &Redactor, profile: &Profile) -> Vec<(String, Value)> {
    let Ok(Value::Object(members)) = serde_json::to_value(profile) else { return Vec::new() };
    let shown = members.into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "signing_key" | "certificate" | "certificate_key" | "certificate_authorities" => {
                "<a file>".into()
            }
            "account" | "git_username" => "<set>".into(),
            "parameters" => match value {
                Value::Object(parameters) => parameters
                    .iter()
                    .map(|(name, value)| (name.clone(), redactor.member(name, value)))
                    .collect(),
                _ => Value::Null,
            },
            // Whatever is named after a secret here is a word, a URL or a way of authentication.
            _ => redactor.public(&value),
        };
        (name, value)
    });
    shown.collect()
}
