//! How a step or command ends when it does not pass.

/// Why something stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It went wrong; the text says what, and where possible the command to repeat.
    Failed(String),
    /// A tool is missing; the text says which and what to install.
    Skipped(String),
}

impl Stop {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// A skip because `tool` is not installed; `install` says what to install.
    pub(crate) fn without(tool: &str, install: &str) -> Self {
        Self::Skipped(format!("no {tool}: install {install}"))
    }
}
