//! A D-Bus session with a real gnome-keyring daemon, for tests: started and ended by the test, in a folder of its own,
//! without a screen. Tests act in it through child processes, because a process has one session for all its life.
//!
//! Needs `dbus-daemon` and `gnome-keyring-daemon` (Debian: `dbus gnome-keyring`) and `kill`.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const AT_MOST: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a password of the tests";

/// No service may be started by the bus: a session without a Secret Service must be one.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A session: its folders, its bus, and the daemon, while one runs.
pub(crate) struct Session {
    folder: tempfile::TempDir,
    bus: Child,
    daemon: Option<Child>,
}

impl Session {
    /// A bus and nothing on it.
    pub(crate) fn without_service() -> Self {
        let folder = tempfile::Builder::new().prefix("jeton-keyring-").tempdir().unwrap();
        for name in ["data", "runtime", "cache", "config", "home", "state"] {
            std::fs::DirBuilder::new().mode(0o700).create(folder.path().join(name)).unwrap();
        }
        let socket = folder.path().join("bus");
        let configuration = folder.path().join("bus.conf");
        std::fs::write(&configuration, BUS.replace("SOCKET", socket.to_str().unwrap())).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg(format!("--config-file={}", configuration.display())).args(["--nofork", "--print-address"]);
        let mut bus = started(bus.stdout(Stdio::piped()), "dbus");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:path="), "the bus did not come up: {address:?}");
        Self { folder, bus, daemon: None }
    }

    /// A bus with an unlocked keyring.
    pub(crate) fn unlocked() -> Self {
        let mut session = Self::without_service();
        session.start_unlocked();
        session
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("bus").display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon over the folder of this session, and unlocks the keyring, which is made if there is none.
    pub(crate) fn start_unlocked(&mut self) {
        self.start(&["--unlock"]);
        // It has its name on the bus before it has unlocked.
        self.wait_for("the keyring is unlocked", || self.property_locked() == Some(false));
    }

    /// Starts the daemon as after a log-on without the password. The keyring must have been made before.
    pub(crate) fn start_locked(&mut self) {
        self.start(&[]);
        self.wait_for("the keyring is there", || self.property_locked().is_some());
        assert_eq!(self.property_locked(), Some(true));
    }

    /// Starts the daemon over a folder in which nobody ever made a keyring.
    pub(crate) fn start_without_keyring(&mut self) {
        self.start(&[]);
        self.wait_for("it has its name", || self.has_service());
    }

    fn start(&mut self, how: &[&str]) {
        assert!(self.daemon.is_none());
        let mut daemon = Command::new("gnome-keyring-daemon");
        daemon.args(["--foreground", "--components=secrets"]).args(how);
        self.set_environment(&mut daemon);
        let mut daemon = started(daemon.stdin(Stdio::piped()).stdout(Stdio::null()), "gnome-keyring");
        // Without a line's end, which would be part of the password.
        daemon.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        self.daemon = Some(daemon);
    }

    /// SIGKILL.
    pub(crate) fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        self.wait_for("its name is gone", || !self.has_service());
    }

    /// SIGSTOP, and then it answers nothing.
    pub(crate) fn suspend_daemon(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume_daemon(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.daemon.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn kill_bus(&mut self) {
        self.bus.kill().unwrap();
        self.bus.wait().unwrap();
    }

    /// The environment of a program in this session. There is no screen.
    pub(crate) fn set_environment(&self, command: &mut Command) {
        command
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .env("HOME", self.path("home"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"));
    }

    pub(crate) fn has_service(&self) -> bool {
        let bus = zbus::blocking::fdo::DBusProxy::new(&self.connection()).unwrap();
        bus.name_has_owner("org.freedesktop.secrets".try_into().unwrap()).unwrap()
    }

    /// Whether the default collection is locked; `None` if there is none, or nobody to ask.
    fn property_locked(&self) -> Option<bool> {
        let connection = self.connection();
        zbus::blocking::Proxy::new(
            &connection,
            "org.freedesktop.secrets",
            "/org/freedesktop/secrets/aliases/default",
            "org.freedesktop.Secret.Collection",
        )
        .ok()?
        .get_property("Locked")
        .ok()
    }

    /// Locks the default collection, as a person or a screen saver may.
    pub(crate) fn lock(&self) {
        let service = zbus::blocking::Proxy::new(
            &self.connection(),
            "org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service",
        )
        .unwrap();
        let collection =
            zbus::zvariant::ObjectPath::try_from("/org/freedesktop/secrets/aliases/default").unwrap();
        // More than once: a daemon that has just begun may still put another collection, an unlocked one, in the default's place.
        self.wait_for("the keyring is locked", || {
            service.call_method("Lock", &(vec![collection.clone()],)).unwrap();
            self.property_locked() == Some(true)
        });
    }

    pub(crate) fn connection(&self) -> zbus::blocking::Connection {
        zbus::blocking::connection::Builder::address(self.address().as_str()).unwrap().build().unwrap()
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < AT_MOST, "in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for process in self.daemon.iter_mut().chain([&mut self.bus]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn started(command: &mut Command, package: &str) -> Child {
    // What they warn about (no screen, no capabilities) is what the tests are about.
    command.stderr(Stdio::null()).spawn().unwrap_or_else(|error| {
        panic!(
            "{:?} cannot be started ({error}); this test needs a real keychain: install Debian's `dbus gnome-keyring` \
             (missing: {package}) or what your system has instead",
            command.get_program()
        )
    })
}

/// Shows no window: the daemon's question is never answered, as if nobody sat there. Ends with this.
pub(crate) struct NobodyAnswers {
    _connection: zbus::blocking::Connection,
}

struct Prompter {
    asked: Arc<AtomicUsize>,
}

/// As gnome-keyring calls whoever shows its windows.
#[zbus::interface(name = "org.gnome.keyring.internal.Prompter")]
impl Prompter {
    fn begin_prompting(&self, _callback: zbus::zvariant::ObjectPath<'_>) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    fn stop_prompting(&self, _callback: zbus::zvariant::ObjectPath<'_>) {}
}

impl Session {
    /// Has a screen now, before which nobody sits. The number counts the questions.
    pub(crate) fn with_nobody_at_the_screen(&self) -> (NobodyAnswers, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let connection = zbus::blocking::connection::Builder::address(self.address().as_str())
            .unwrap()
            .serve_at("/org/gnome/keyring/Prompter", Prompter { asked: Arc::clone(&asked) })
            .unwrap()
            .name("org.gnome.keyring.SystemPrompter")
            .unwrap()
            .build()
            .unwrap();
        (NobodyAnswers { _connection: connection }, asked)
    }
}

/// A child process: this test program again, running the test `child` alone, which does what it is told line by line.
/// Killed at the latest when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// `None` once it was told to end.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Before each answer, so that what the test harness prints is not taken for one.
const ANSWER: &str = "answer: ";
/// Set in children.
const ROLE: &str = "JETON_KEYRING_TEST_CHILD";

impl Process {
    /// One in that session.
    pub(crate) fn new(session: &Session) -> Self {
        Self::with(|command| session.set_environment(command))
    }

    pub(crate) fn with(environment: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        environment(command.env(ROLE, "1"));
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to do something, without waiting for its answer.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.input.as_mut().unwrap(), "{order}").unwrap();
    }

    /// The next answer; `None` when it has ended.
    pub(crate) fn answer(&mut self) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| {
            // The test harness may have written its own words before ours.
            line.find(ANSWER).map(|at| line[at + ANSWER.len()..].to_owned())
        })
    }

    /// Tells it to do something and waits for the answer.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.answer().unwrap_or_else(|| panic!("it ended instead of answering {order:?}"))
    }

    /// SIGKILL, and the last answer that it gave.
    pub(crate) fn kill(mut self) -> Option<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut last = None;
        while let Some(answer) = self.answer() {
            last = Some(answer);
        }
        last
    }

    /// Lets it come to its end.
    pub(crate) fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a child does: answers each order until there are no more. In the test itself, nothing.
pub(crate) fn obey(mut order: impl FnMut(&str, &mut dyn FnMut(&str))) {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    for line in std::io::stdin().lines() {
        order(&line.unwrap(), &mut |answer| {
            let mut output = std::io::stdout().lock();
            writeln!(output, "{ANSWER}{answer}").unwrap();
            output.flush().unwrap();
        });
    }
}
