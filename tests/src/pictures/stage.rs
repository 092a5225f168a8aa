//! Where a scene is played: a home folder, a keychain, a devserver that does the same at each run, and a shell.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jeton_devserver::{Builder, Client, DevServer};
use tempfile::TempDir;

use super::normal::{Known, normal};
use crate::browser::PATIENCE;
use crate::faults::secret_service::Session;
use crate::picture::Picture;
use crate::terminal::Terminal;

/// Where the server is, in every picture. Two drawings at once wait for each other here.
pub(super) const PORT: u16 = 8750;

/// The client of the pictures.
pub(super) const CLIENT: &str = "my-tool";

/// What the shell says when it waits for the rest of a command.
const MORE: &str = "> ";

/// What the shell says when it waits for a command.
const PROMPT: &str = "\u{1b}[1;32m$\u{1b}[0m ";

/// The surroundings of a scene.
pub(super) struct Stage {
    pub(super) server: DevServer,
    home: TempDir,
    keychain: Session,
}

impl Stage {
    /// The curtain is up, and nobody has signed in yet.
    pub(super) fn new(command: &Path) -> Self {
        Self::with(command, |server| server)
    }

    /// With other settings of the server.
    pub(super) fn with(command: &Path, change: impl Fn(Builder) -> Builder) -> Self {
        let home = tempfile::Builder::new().prefix("home-").rand_bytes(6).tempdir().expect("a folder");
        let folder = home.path().join("bin");
        std::fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::symlink(command, folder.join("jeton")).expect("a link");
        Self { server: start(change), home, keychain: Session::unlocked() }
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where a browser opens whatever it is given, and says yes to everything.
    pub(super) fn browser(&self) -> (&'static str, String) {
        let this = std::env::current_exe().expect("this program has a name");
        ("BROWSER", format!("{} --visit", this.display()))
    }

    /// Runs a command behind the scene, where a browser says yes to everything.
    pub(super) fn prepare(&self, line: &str) {
        let ended = self.sh(&[self.browser()]).args(["-c", line]).output().expect("a shell");
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    fn sh(&self, variables: &[(&str, String)]) -> Command {
        let mut command = Command::new("/bin/sh");
        let path = format!("{}:/usr/bin:/bin", self.home().join("bin").display());
        command.current_dir(self.home()).env_clear().env("LANG", "C.UTF-8");
        command.env("HOME", self.home()).env("PATH", path);
        command.env("DBUS_SESSION_BUS_ADDRESS", self.keychain.address());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A shell of so many rows, 80 columns wide, with these variables beside the plainest ones.
    pub(super) fn shell(&self, rows: u16, variables: &[(&str, String)]) -> Shell<'_> {
        let mut command = self.sh(variables);
        command.arg("-i").env("PS1", PROMPT).env("PS2", MORE);
        let terminal = Terminal::start_in((rows, COLUMNS), command);
        let shell = Shell { stage: self, terminal, rows, typed: 0 };
        shell.wait_for_prompt();
        shell
    }
}

pub(super) const COLUMNS: u16 = 80;

fn start(change: impl Fn(Builder) -> Builder) -> DevServer {
    let begun = Instant::now();
    loop {
        let client = Client::public(CLIENT).name("My Tool").redirect_uri("http://127.0.0.1/callback");
        let server = DevServer::builder().port(PORT).seed(6749).client(client).device_interval(Some(1));
        match change(server).start() {
            Ok(server) => return server,
            Err(error) => {
                assert!(begun.elapsed() < PATIENCE, "port {PORT} of 127.0.0.1 does not become free: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// A shell in a terminal.
pub(super) struct Shell<'a> {
    stage: &'a Stage,
    pub(super) terminal: Terminal,
    rows: u16,
    typed: usize,
}

impl Shell<'_> {
    /// Types a command and waits until it has ended. One of several lines ends each but the last with a backslash.
    pub(super) fn run(&mut self, command: &str) -> &mut Self {
        self.begin(command);
        self.wait_for_prompt();
        self
    }

    /// Types a command and does not wait.
    pub(super) fn begin(&mut self, command: &str) -> &mut Self {
        for (index, line) in command.lines().enumerate() {
            // What is typed before it is asked for would stand in another place.
            if index > 0 {
                self.terminal.wait_until("it asked for the rest", |text| waits_behind(text, MORE));
            }
            self.terminal.type_line(line);
        }
        self.typed += 1;
        self
    }

    pub(super) fn wait_for_prompt(&self) {
        self.terminal.wait_for_bytes(PROMPT.as_bytes(), self.typed + 1);
    }

    /// Everything up to here as a picture.
    pub(super) fn picture(&self, title: &str, description: &str) -> Picture {
        let recorded = String::from_utf8(self.terminal.history()).expect("UTF-8");
        let home = self.stage.home().display().to_string();
        let shown =
            normal(&recorded, &Known { home: &home, bus: &self.stage.keychain.address(), port: PORT });
        let shown = shown.strip_suffix(PROMPT).unwrap_or(&shown);
        let size = |number| NonZeroU16::new(number).expect("a terminal has rows and columns");
        let mut parser = vt100::Parser::new(size(self.rows), size(COLUMNS), 0);
        parser.process(shown.as_bytes());
        Picture::new(title, description, parser.screen())
    }
}

fn waits_behind(text: &str, prompt: &str) -> bool {
    text.lines().last().is_some_and(|line| line.trim_end() == prompt.trim_end())
}
