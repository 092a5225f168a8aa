//! `Report`: what was looked at, in groups, each check a line with a word of its own for how it came out.

use std::fmt::Write as _;

use anstyle::Style;
use serde_json::{Value, json};

use super::Subject;
use crate::output::{BAD, CAREFUL, FAINT, GOOD, STRONG};
use crate::printable::printable;
use crate::wrap::{labelled, wrapped};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Ok,
    /// Nothing is wrong, but good to know.
    Note,
    /// Something is to be mended.
    Mend,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Mend => "mend",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => GOOD,
            Self::Note => CAREFUL,
            Self::Mend => BAD,
        }
    }
}

#[derive(Debug)]
struct Check {
    name: String,
    mark: Mark,
    found: String,
    help: Option<String>,
}

/// What is said of one thing.
#[derive(Debug)]
pub(super) struct Group {
    name: &'static str,
    checks: Vec<Check>,
}

impl Group {
    pub(super) fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Mark::Ok, found.into(), None);
    }

    pub(super) fn note(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Mark::Note, found.into(), None);
    }

    pub(super) fn note_with(&mut self, name: &str, found: impl Into<String>, help: impl Into<String>) {
        self.add(name, Mark::Note, found.into(), Some(help.into()));
    }

    pub(super) fn mend(&mut self, name: &str, found: impl Into<String>, help: impl Into<String>) {
        self.add(name, Mark::Mend, found.into(), Some(help.into()));
    }

    fn add(&mut self, name: &str, mark: Mark, found: String, help: Option<String>) {
        self.checks.push(Check { name: name.to_owned(), mark, found, help });
    }
}

/// All that was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    groups: Vec<Group>,
}

/// How wide the names of checks are.
const NAMES: usize = 15;

impl Report {
    /// The group of that name, made if need be.
    pub(super) fn group(&mut self, name: &'static str) -> &mut Group {
        let at = self.groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            self.groups.push(Group { name, checks: Vec::new() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// How many things are to be mended.
    pub(super) fn findings(&self) -> usize {
        self.checks().filter(|(_, check)| check.mark == Mark::Mend).count()
    }

    fn checks(&self) -> impl Iterator<Item = (&'static str, &Check)> {
        self.groups.iter().flat_map(|group| group.checks.iter().map(|check| (group.name, check)))
    }

    /// For a person.
    pub(super) fn to_text(&self, columns: usize) -> String {
        let mut text = String::new();
        for group in self.groups.iter().filter(|group| !group.checks.is_empty()) {
            let _ = writeln!(text, "{STRONG}{}{STRONG:#}", group.name);
            for check in &group.checks {
                let (style, word) = (check.mark.style(), check.mark.word());
                // A mark, a name and what was found, each in its column.
                let indent = 2 + 5 + NAMES + 1;
                let found = wrapped(&printable(&check.found), indent, columns);
                // A longer name has a line for itself.
                let behind = match check.name.chars().count() > NAMES {
                    true => format!("\n{:indent$}", ""),
                    false => " ".to_owned(),
                };
                let _ = writeln!(text, "  {style}{word:<4}{style:#} {:<NAMES$}{behind}{found}", check.name);
                if let Some(help) = &check.help {
                    let help = wrapped(&printable(help), indent + 4, columns);
                    let _ = writeln!(text, "{:indent$}{STRONG}do:{STRONG:#} {help}", "");
                }
            }
            text.push('\n');
        }
        let _ = match self.findings() {
            0 => write!(text, "{GOOD}Nothing to mend.{GOOD:#}"),
            1 => write!(text, "{}", labelled("1 thing to mend:", BAD, &self.names(), columns)),
            many => {
                let label = format!("{many} things to mend:");
                write!(text, "{}", labelled(&label, BAD, &self.names(), columns))
            }
        };
        if self.findings() == 0 && self.checks().any(|(_, check)| check.mark == Mark::Note) {
            let _ = write!(text, " {FAINT}(A note is something to know, not to mend.){FAINT:#}");
        }
        text
    }

    /// The names of what is to be mended.
    fn names(&self) -> String {
        let names = self.checks().filter(|(_, check)| check.mark == Mark::Mend);
        let names: Vec<String> = names.map(|(group, check)| format!("{group} {}", check.name)).collect();
        names.join(", ")
    }

    /// For a program.
    pub(super) fn to_json(&self, subject: &Subject) -> Value {
        let checks = self.checks().map(|(group, check)| {
            json!({
                "group": group.replace(' ', "_"),
                "check": check.name.replace(' ', "_"),
                "mark": check.mark.word(),
                "found": check.found,
                "do": check.help,
            })
        });
        json!({
            "profile": subject.name,
            "issuer": subject.issuer.as_ref().map(|issuer| issuer.as_str()),
            "findings": self.findings(),
            "checks": checks.collect::<Vec<_>>(),
        })
    }
}
