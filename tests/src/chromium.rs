//! A real browser for tests: headless Chromium, driven by the small program in tests/browser.
//!
//! It does what a person would do with the pages that jeton and its servers show, and reaches nothing but loopback. All
//! tests of a program share one Chromium; each has a [`Browser`] of its own, with its own cookies.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use serde_json::{Value, json};

use crate::browser::PATIENCE;

/// The running driver, with its Chromium. It ends when its standard input closes, so with the test program.
struct Driver {
    stdin: Mutex<ChildStdin>,
    waiting: Arc<Mutex<HashMap<u64, mpsc::Sender<Value>>>>,
    last: AtomicU64,
    _child: Child,
}

impl Driver {
    fn get() -> &'static Self {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        DRIVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
        let mut child = Command::new("node")
            .arg("driver.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
        let stdin = Mutex::new(child.stdin.take().expect("piped"));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let waiting = Arc::new(Mutex::new(HashMap::<u64, mpsc::Sender<Value>>::new()));
        let (started, start) = mpsc::channel();
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(0, started);
        let replies = waiting.clone();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let reply: Value = serde_json::from_str(&line).expect("the driver speaks JSON");
                let id = reply["id"].as_u64().expect("a number");
                let asked = replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                // Whoever asked may have given up.
                let _ = asked.map(|asked| asked.send(reply));
            }
            // Whoever still waits is told by this that nothing will come.
            replies.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        start
            .recv_timeout(PATIENCE)
            .expect("Chromium starts (`cargo xtask test --only browser` installs its driver)");
        Self { stdin, waiting, last: AtomicU64::new(0), _child: child }
    }

    #[track_caller]
    fn ask(&self, command: &str, mut details: Value) -> Value {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        details["id"] = id.into();
        details["command"] = command.into();
        let (sender, receiver) = mpsc::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let line = format!("{details}\n");
        let written = self.stdin.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        written.expect("the driver listens");
        let reply = receiver.recv_timeout(2 * PATIENCE);
        let mut reply =
            reply.unwrap_or_else(|error| panic!("the driver gave no reply ({error}) to {details}"));
        if let Some(error) = reply["error"].as_str() {
            panic!("in the browser: {error}");
        }
        reply["ok"].take()
    }
}

/// How a browser is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The size of its window.
    pub size: (u32, u32),
    /// Whether its person prefers dark pages.
    pub dark: bool,
    /// Origins at which it meets nobody, as a browser on another machine.
    pub refused: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { size: (1000, 720), dark: false, refused: Vec::new() }
    }
}

/// A browser without cookies. When it is dropped, it is closed.
#[derive(Debug)]
pub struct Browser(u64);

impl Browser {
    /// The usual one.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(&Settings::default())
    }

    /// Of those settings.
    #[track_caller]
    pub fn with(settings: &Settings) -> Self {
        let Settings { size: (width, height), dark, refused } = settings;
        let scheme = if *dark { "dark" } else { "light" };
        let details = json!({ "width": width, "height": height, "scheme": scheme, "refused": refused });
        Self(number(&Driver::get().ask("browser", details)))
    }

    /// A new tab that opens that URL, and does not wait for an answer.
    #[track_caller]
    pub fn open(&self, url: &str) -> Tab {
        let tab = Tab(number(&Driver::get().ask("tab", json!({ "browser": self.0 }))));
        tab.open(url);
        tab
    }

    /// What happened in its tabs and should not have.
    #[track_caller]
    pub fn evidence(&self) -> Evidence {
        let evidence = Driver::get().ask("evidence", json!({ "browser": self.0 }));
        let texts = |name: &str| {
            let texts = evidence[name].as_array().expect("a list").iter();
            texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
        };
        Evidence {
            foreign: texts("foreign"),
            complaints: texts("complaints"),
            violations: texts("violations"),
        }
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            Driver::get().ask("close", json!({ "browser": self.0 }));
        }
    }
}

/// What should not happen in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Requests that would have left loopback: `ORIGIN for ORIGIN OF THE PAGE`. They were cut off.
    pub foreign: Vec<String>,
    /// Errors and warnings of the console, errors of scripts.
    pub complaints: Vec<String>,
    /// What the pages' content security policies forbade them.
    pub violations: Vec<String>,
}

impl Evidence {
    /// Fails unless nothing of that kind happened.
    #[track_caller]
    pub fn is_clean(&self) {
        let Self { foreign, complaints, violations } = self;
        assert!(foreign.is_empty() && complaints.is_empty() && violations.is_empty(), "{self:?}");
    }
}

/// What a page shows.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its address.
    pub url: String,
    /// Its title.
    pub title: String,
    /// What can be read on it.
    pub text: String,
    /// Its source, after its scripts have run.
    pub source: String,
    /// The addresses behind the back button, its own one last.
    pub history: Vec<String>,
}

/// A tab.
#[derive(Debug)]
pub struct Tab(u64);

impl Tab {
    /// Opens a URL, and does not wait for an answer.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("open", json!({ "url": url }));
    }

    /// Waits for a page with that heading.
    #[track_caller]
    pub fn heading(&self, text: &str) -> &Self {
        self.ask("heading", json!({ "text": text }));
        self
    }

    /// Waits until it goes to an address that begins like that, whether or not anybody answers there, and gives all of it.
    #[track_caller]
    pub fn address(&self, start: &str) -> String {
        self.ask("address", json!({ "start": start })).as_str().expect("an address").to_owned()
    }

    /// Types into the field of that name.
    #[track_caller]
    pub fn fill(&self, field: &str, text: &str) -> &Self {
        self.ask("fill", json!({ "field": field, "text": text }));
        self
    }

    /// Chooses an option of the field of that name.
    #[track_caller]
    pub fn choose(&self, field: &str, option: &str) -> &Self {
        self.ask("choose", json!({ "field": field, "option": option }));
        self
    }

    /// Presses the button, or follows the link, of that name.
    #[track_caller]
    pub fn press(&self, name: &str) -> &Self {
        self.ask("press", json!({ "name": name }));
        self
    }

    /// Presses a key, such as `Enter`.
    #[track_caller]
    pub fn key(&self, key: &str) -> &Self {
        self.ask("key", json!({ "key": key }));
        self
    }

    /// Makes the window another size.
    #[track_caller]
    pub fn size(&self, width: u32, height: u32) -> &Self {
        self.ask("size", json!({ "width": width, "height": height }));
        self
    }

    /// What the page shows.
    #[track_caller]
    pub fn look(&self) -> Look {
        let seen = self.ask("look", json!({}));
        let text = |name: &str| seen[name].as_str().expect("a text").to_owned();
        let history = seen["history"].as_array().expect("a list").iter();
        Look {
            url: text("url"),
            title: text("title"),
            text: text("text"),
            source: text("source"),
            history: history.map(|url| url.as_str().expect("a text").to_owned()).collect(),
        }
    }

    /// Fails if the page keeps people out who do not see well or have no mouse, on a wide window and on a telephone.
    #[track_caller]
    pub fn is_accessible(&self) -> &Self {
        for (width, height) in [(360, 740), Settings::default().size] {
            self.size(width, height);
            let faults = self.faults();
            assert!(faults.is_empty(), "{width} columns of pixels, {}: {faults:#?}", self.look().url);
        }
        self
    }

    /// What is wrong with the page for people who do not see well or have no mouse, as sentences.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let faults = self.ask("judge", json!({}));
        let faults = faults.as_array().expect("a list").iter();
        faults.map(|fault| fault.as_str().expect("a text").to_owned()).collect()
    }

    /// Makes a picture of the page (PNG), all of it unless it is higher than that.
    #[track_caller]
    pub fn screenshot(&self, file: &Path, highest: u32) {
        let file = file.to_str().expect("a plain path");
        self.ask("screenshot", json!({ "file": file, "highest": highest }));
    }

    #[track_caller]
    fn ask(&self, command: &str, mut details: Value) -> Value {
        details["tab"] = self.0.into();
        Driver::get().ask(command, details)
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}
