//! What a command writes: the answer, and nothing else, to standard output; everything that is said beside it to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;
use crate::printable::json_text;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// Where a person looks: a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// What is good, what is not, and what is beside the point.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const CAREFUL: Style = AnsiColor::Yellow.on_default();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Settles for the whole process whether there is colour.
    pub(crate) fn new(json: bool, quiet: bool, colour: Colour) -> Self {
        match colour {
            Colour::Auto => {}
            Colour::Always => anstream::ColorChoice::Always.write_global(),
            Colour::Never => anstream::ColorChoice::Never.write_global(),
        }
        Self { json, quiet }
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether nothing is to be said but answers, and what went wrong.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// The answer: `text` for people (styled with `anstyle`, which a pipe takes out), `json` with `--json`. A newline is added.
    pub(crate) fn answer(self, text: impl Display, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        let written =
            if self.json { writeln!(stdout, "{}", json_text(&json())) } else { writeln!(stdout, "{text}") };
        written.and_then(|()| stdout.flush()).or_else(ignore_broken_pipe)
    }

    /// That it is done: an answer for programs, and nothing to somebody who wants no more than answers (`--quiet`).
    pub(crate) fn confirm(self, text: impl Display, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        match self.quiet && !self.json {
            true => Ok(()),
            false => self.answer(text, json),
        }
    }

    /// A part of an answer in bytes, as they are. Gives back whether anybody reads on.
    pub(crate) fn answer_bytes(self, bytes: &[u8]) -> Result<bool, Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) => ignore_broken_pipe(error).map(|()| false),
        }
    }

    /// Something beside the answer, on standard error; not with `--quiet`.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            // There is nobody to tell when standard error is closed.
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        }
    }

    /// Something to be careful about, on standard error; also with `--quiet`.
    pub(crate) fn warn(self, text: impl Display) {
        Self::warning(text);
    }

    /// The same from where no output is at hand.
    pub(crate) fn warning(text: impl Display) {
        let _ = writeln!(anstream::stderr().lock(), "{CAREFUL}warning:{CAREFUL:#} {text}");
    }

    /// Something that is to be told at once, from wherever, on standard error.
    pub(crate) fn notice(text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Why it did not work, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut stderr = anstream::stderr().lock();
        let _ = if self.json {
            writeln!(stderr, "{}", json_text(&failure.to_json()))
        } else {
            // Lines stay whole for whoever searches in them.
            let columns = if io::stderr().is_terminal() { self.columns() } else { usize::MAX };
            write!(stderr, "{}", failure.to_text(columns))
        };
    }

    /// Whether a person sees what goes to standard output.
    pub(crate) fn stdout_is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// How many columns there are: those of the terminal, at most 100, or 80.
    pub(crate) fn columns(self) -> usize {
        terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).clamp(20, 100))
    }
}

/// Who reads no further (`| head -1`) has what they wanted.
fn ignore_broken_pipe(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::io("the answer could not be written", &error)),
    }
}
