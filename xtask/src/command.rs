//! Running other programs: each command is shown as a line that can be pasted into a shell to repeat it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Stop;

/// One program call, built up and then run. The environment that `cargo run` adds for finding libraries is
/// taken away, so that what runs here behaves as it does for whoever pastes the line.
#[derive(Debug, Clone)]
pub(crate) struct Cmd {
    program: String,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    dir: PathBuf,
    limit: Option<Duration>,
}

impl Cmd {
    pub(crate) fn new(program: impl Into<String>, dir: &Path) -> Self {
        Self { program: program.into(), args: Vec::new(), envs: Vec::new(), dir: dir.to_owned(), limit: None }
    }

    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: Into<String>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.envs.push((name.to_owned(), value.into()));
        self
    }

    /// How long the program itself may take; without it, as long as it likes.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The command as a shell line.
    pub(crate) fn line(&self) -> String {
        let mut words: Vec<String> =
            self.envs.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        words.push(quoted(program_name(&self.program)));
        words.extend(self.args.iter().map(|arg| quoted(arg)));
        words.join(" ")
    }

    /// Shows the line, runs it with this terminal, and fails unless it ends well.
    pub(crate) fn run(&self) -> Result<(), Stop> {
        println!("$ {}", self.line());
        let mut child = self.command().spawn().map_err(|error| self.not_started(&error))?;
        let status = match self.limit {
            None => child.wait().map_err(|error| self.not_started(&error))?,
            Some(limit) => {
                let begun = Instant::now();
                loop {
                    if let Some(status) = child.try_wait().map_err(|error| self.not_started(&error))? {
                        break status;
                    }
                    if begun.elapsed() > limit {
                        // Already ended by itself: nothing to kill, and the answer is the same.
                        drop(child.kill());
                        drop(child.wait());
                        return Err(self.failed(&format!("took more than {} s", limit.as_secs())));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        };
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    /// Runs it silently and gives its standard output; its standard error shows up only in a failure.
    pub(crate) fn output(&self) -> Result<String, Stop> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .output()
            .map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(self.failed(&format!("{}\n{}", output.status, said.trim_end())));
        }
        String::from_utf8(output.stdout).map_err(|_| self.failed("it printed something that is not UTF-8"))
    }

    /// The command as the standard library has it, for whoever needs its pipes.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.dir);
        for name in ["LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn failed(&self, how: &str) -> Stop {
        Stop::Failed(format!("failed ({how})\nto repeat, in {}:\n  {}", self.dir.display(), self.line()))
    }

    fn not_started(&self, error: &std::io::Error) -> Stop {
        self.failed(&format!("could not start: {error}"))
    }
}

/// Whether a program can be started, asked by running it with `probe`.
pub(crate) fn is_installed(program: &str, probe: &str) -> bool {
    Command::new(program)
        .arg(probe)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Cargo tells its own path; a person types its name.
fn program_name(program: &str) -> &str {
    match Path::new(program).file_stem().and_then(|name| name.to_str()) {
        Some("cargo") => "cargo",
        _ => program,
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_pasted_into_a_shell() {
        let cmd = Cmd::new("/opt/rust/bin/cargo", Path::new("."))
            .args(["doc", "--workspace"])
            .arg("it's")
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(cmd.line(), r"RUSTDOCFLAGS='-D warnings' cargo doc --workspace 'it'\''s'");
    }

    #[test]
    fn a_failure_tells_how_to_repeat_it() {
        let Err(Stop::Failed(why)) = Cmd::new("no-such-program", Path::new(".")).arg("x").run() else {
            panic!("a program that does not exist ran");
        };
        assert!(why.contains("no-such-program x"), "{why}");
    }
}
