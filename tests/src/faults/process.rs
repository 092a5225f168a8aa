//! A worker process as the lab has it: started, listened to, stopped, woken, killed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::event::{Event, now_us};
use super::ledger::Death;
use super::worker::Setup;

/// How much of what it complains about is kept, in characters.
const COMPLAINTS: usize = 1_000;

/// What is heard of a process.
pub(super) enum Heard {
    /// It tells something.
    Event(String, Event),
    /// It is gone.
    Ended(String, Death),
}

/// A running worker. Dropping it kills it.
pub(super) struct Process {
    pub(super) name: String,
    pid: Pid,
    stdin: Option<ChildStdin>,
    is_over: bool,
}

impl Process {
    /// Starts the program as a worker; what it tells goes to `heard`, its end last of all.
    pub(super) fn start(program: &Path, setup: &Setup, heard: &mpsc::Sender<Heard>) -> Self {
        let mut child = Command::new(program)
            .arg("--worker")
            .arg(serde_json::to_string(setup).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        let (name, heard) = (setup.name.clone(), heard.clone());
        std::thread::spawn(move || listen(&name, child, &heard));
        Self { name: setup.name.clone(), pid, stdin, is_over: false }
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Lets it go on after it was stopped.
    pub(super) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Tells it to end in the ordinary way.
    pub(super) fn tell_to_end(&mut self) {
        self.stdin = None;
    }

    /// It was waited for: its number may belong to another process by now.
    pub(super) fn is_gone(&mut self) {
        self.is_over = true;
    }

    fn signal(&self, signal: Signal) {
        if !self.is_over {
            // It may have ended a moment ago; its listener tells.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(name: &str, mut child: Child, heard: &mpsc::Sender<Heard>) {
    let mut stderr = child.stderr.take().expect("piped");
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    for line in stdout.lines().map_while(Result::ok) {
        let event = serde_json::from_str(&line).expect("an event");
        if heard.send(Heard::Event(name.to_owned(), event)).is_err() {
            break;
        }
    }
    let status = child.wait().expect("our own child");
    let complaints = complaints.join().unwrap_or_default();
    // Whoever has ended its run does not listen any more.
    let _ = heard.send(Heard::Ended(name.to_owned(), death(status, &complaints)));
}

fn death(status: ExitStatus, complaints: &str) -> Death {
    let killed = status.signal() == Some(Signal::KILL.as_raw());
    let well = (killed || status.success()) && !complaints.contains("panicked");
    let how = match complaints.trim() {
        "" => status.to_string(),
        text => format!("{status}; {}", text.chars().take(COMPLAINTS).collect::<String>()),
    };
    Death { at_us: now_us(), killed, how, well }
}
