//! The file stores with 100,000 logins: each operation makes the very system calls that it makes with 10, as strace
//! counts them, and a listing streams.
//!
//! Whoever is counted is this program itself, started again to run the test `child` alone.
#![cfg(target_os = "linux")]
// A test says what it expects, and what it counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{FileStore, LoginKey, LoginRecord, SealedStore, SealingKey, TokenStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FEW: usize = 10;
const MANY: usize = 100_000;

const ROLE: &str = "JETON_SCALE_TEST_ROLE";
const PLACE: &str = "JETON_SCALE_TEST_PLACE";

/// What each operation on a login asks of the system. `.json` and so on are the files of the login, `/` is the folder.
/// Nothing here reads the folder, nothing has to do with other logins' files, and there are as many calls for
/// 100,000 logins as for 10.
const OPERATIONS: &[(&str, &str)] = &[
    ("load", "stat /, open .json, stat .json, stat .json, read .json, close .json"),
    ("load of none", "stat /, open .json, stat .damaged, open .json, stat .damaged"),
    ("lease", LEASE),
    ("lease of a new login", LEASE),
    (
        "lease that is refused",
        "stat /, open .lock, stat .lock, flock .lock, \
         open .holder, stat .holder, flock .holder, stat .holder, read .holder, close .holder, close .lock",
    ),
    ("load under the lease", "stat /, open .json, stat .json, stat .json, read .json, close .json"),
    ("load under the lease of a new login", "stat /, open .json, stat .damaged, open .json, stat .damaged"),
    ("reserve", RESERVE),
    ("reserve of a new login", RESERVE),
    ("save into the reserved room", SAVE_INTO_ROOM),
    ("save into the reserved room of a new login", SAVE_INTO_ROOM),
    ("save", SAVE),
    ("save of a new login", SAVE),
    ("delete", DELETE),
    ("delete of a new login", DELETE),
    ("release", RELEASE),
    ("release of a new login", RELEASE),
];
const LEASE: &str = "stat /, open .lock, stat .lock, flock .lock, stat .lock, stat .lock, \
                     unlink .holder, open .holder, stat .holder, flock .holder, readlink /proc/self/exe, write .holder";
const RESERVE: &str = "unlink .tmp, open .tmp, stat .tmp, write .tmp, fsync .tmp";
const SAVE_INTO_ROOM: &str = "lseek .tmp, write .tmp, ftruncate .tmp, fsync .tmp, close .tmp, rename .tmp .json, \
                              open /, fsync /, close /, stat .damaged";
const SAVE: &str = "stat /, unlink .tmp, open .tmp, stat .tmp, \
                    lseek .tmp, write .tmp, ftruncate .tmp, fsync .tmp, close .tmp, rename .tmp .json, \
                    open /, fsync /, close /, stat .damaged";
const DELETE: &str = "stat /, unlink .json, unlink .tmp, stat .damaged, open /, fsync /, close /";
const RELEASE: &str = "close .holder, unlink .holder, flock .lock, close .lock";

/// A listing reads some logins ahead, and that is all it reads before it gives the first and holds at any time.
const READ_AHEAD: usize = 64;

#[test]
fn with_100_000_logins_operations_cost_what_they_cost_with_10_and_listings_stream() {
    let few = Logins::new(FEW);
    let many = Logins::new(MANY);
    if strace_is_there() {
        for logins in [&few, &many] {
            assert_operations_make_the_expected_system_calls(logins);
        }
        assert_the_first_is_listed_without_reading_the_others(&many);
    }
    assert_a_listing_holds_a_bounded_number(&many);
    if strace_is_there() {
        assert_the_sealed_store_makes_the_same_system_calls(&few, &many);
    }
}

/// Where everything is supposed to be installed, a test that is left out is a failure.
fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "strace is needed (Debian: strace)");
    if !there {
        eprintln!("system calls are NOT COUNTED: that needs strace (Debian: strace)");
    }
    there
}

fn assert_operations_make_the_expected_system_calls(logins: &Logins) {
    let found = logins.system_calls("operations");
    let mut wrong = String::new();
    for (operation, expected) in OPERATIONS {
        let calls = found.get(*operation).map_or_else(String::new, |calls| calls.join(", "));
        if calls != *expected {
            writeln!(wrong, "{operation}\n  expected: {expected}\n     found: {calls}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "with {} logins\n{wrong}", logins.count);
    assert_eq!(found.len(), OPERATIONS.len(), "{:?}", found.keys());
}

/// In the same folders, beside the plain logins.
fn assert_the_sealed_store_makes_the_same_system_calls(few: &Logins, many: &Logins) {
    let [with_few, with_many] = [few, many].map(|logins| {
        save_those_looked_at(&sealed_store(logins.place.path()));
        logins.system_calls("sealed operations")
    });
    assert_eq!(with_few.len(), OPERATIONS.len());
    for (operation, calls) in &with_few {
        let reads_the_folder = calls.iter().any(|call| call.starts_with("getdents"));
        assert!(!reads_the_folder, "{operation}: {calls:?}");
        assert_eq!(Some(calls), with_many.get(operation), "{operation}: on the right with {MANY} logins");
    }
}

fn assert_the_first_is_listed_without_reading_the_others(logins: &Logins) {
    let calls = &logins.system_calls("first")["first"];
    let count = |wanted: &str| calls.iter().filter(|call| *call == wanted).count();
    assert!((1..=READ_AHEAD).contains(&count("open .json")), "{calls:?}");
    // Each gives some hundred names.
    assert!((1..=READ_AHEAD / 4).contains(&count("getdents /")), "{calls:?}");
    assert!(calls.len() <= 10 * READ_AHEAD, "{calls:?}");
}

fn assert_a_listing_holds_a_bounded_number(logins: &Logins) {
    let said = logins.child(&mut Command::new(std::env::current_exe().unwrap()), "list");
    assert!(said.contains(&format!("listed {} logins", logins.count)), "{said}");
    print!("{said}");
}

struct Logins {
    place: tempfile::TempDir,
    count: usize,
}

impl Logins {
    /// So many logins, with the files that their last save leaves, written without the store's care.
    fn new(count: usize) -> Self {
        let place = quick_place();
        // The folder is the store's own work, and so are the files of the logins that are looked at.
        let store = FileStore::new(folder(place.path()));
        save_those_looked_at(&store);
        let others = (2..count).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            for part in others.chunks(others.len().div_ceil(2)) {
                let folder = store.path();
                scope.spawn(move || part.iter().for_each(|number| write_login(folder, &account(*number))));
            }
        });
        Self { place, count }
    }

    fn child(&self, command: &mut Command, role: &str) -> String {
        command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(PLACE, self.place.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// What each operation of that role asked of the system.
    fn system_calls(&self, role: &str) -> BTreeMap<String, Vec<String>> {
        let trace = self.place.path().join("trace");
        let mut strace = Command::new("strace");
        // Strings cut to nothing, but file names are never cut.
        strace.args(["-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-e", "signal=none", "-o"]);
        self.child(strace.arg(&trace).arg(std::env::current_exe().unwrap()), role);
        let trace = fs::read_to_string(trace).unwrap();
        let (mut operations, mut operation) = (BTreeMap::new(), None);
        for line in trace.lines() {
            if let Some(mark) = line.split_once("/mark-").map(|(_, rest)| rest.split('"').next().unwrap()) {
                operation = Some(mark.to_owned()).filter(|mark| mark != "end");
            } else if let (Some(operation), Some(call)) = (&operation, self.call(line)) {
                operations.entry(operation.clone()).or_insert_with(Vec::new).push(call);
            }
        }
        operations
    }

    /// A call that has to do with files, by its name and theirs. The system's several calls for one thing are one.
    fn call(&self, line: &str) -> Option<String> {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, rest) = line.split_once('(')?;
        if name == "mmap" || name == "fcntl" || !rest.contains('/') {
            return None;
        }
        let name = match name {
            "newfstatat" | "fstat" | "statx" | "lstat" | "stat" => "stat",
            "open" | "openat" => "open",
            "rename" | "renameat" | "renameat2" => "rename",
            "unlink" | "unlinkat" => "unlink",
            "readlink" | "readlinkat" => "readlink",
            "getdents" | "getdents64" => "getdents",
            "pread64" => "read",
            "pwrite64" => "write",
            other => other,
        };
        let folder = folder(self.place.path()).display().to_string();
        let mut call = name.to_owned();
        let mut last = "";
        for path in rest.split(['"', '<', '>']).filter(|part| part.starts_with('/')) {
            if path == last || path == std::env::current_dir().unwrap().to_str().unwrap() {
                continue;
            }
            last = path;
            let name = path.strip_prefix(&folder).map_or(path, |in_folder| match in_folder.split_once('.') {
                Some((_, _)) => &in_folder[in_folder.find('.').unwrap()..],
                None => "/",
            });
            write!(call, " {name}").unwrap();
        }
        Some(call)
    }
}

/// A folder in memory where that is large enough: this is no test of the disk, and 100,000 files take their time.
fn quick_place() -> tempfile::TempDir {
    const IN_MEMORY: &str = "/dev/shm";
    const NEEDED: u64 = 2 << 30;
    let large =
        rustix::fs::statvfs(IN_MEMORY).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) > NEEDED);
    let in_memory = if large { tempfile::tempdir_in(IN_MEMORY).ok() } else { None };
    in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

fn folder(place: &Path) -> PathBuf {
    place.join("logins")
}

fn sealed_store(place: &Path) -> SealedStore {
    // The same in each process.
    let key: [u8; SealingKey::LENGTH] = std::array::from_fn(|index| (index * 37 % 256) as u8);
    SealedStore::with_key(folder(place), SealingKey::from_bytes(&key).unwrap())
}

/// The names of two logins of each store; the stores leave each other's alone.
fn accounts_looked_at(store: &dyn TokenStore) -> [String; 2] {
    ["warm-up", "known"].map(|account| format!("{account} in {}", store.describe().backend))
}

fn save_those_looked_at(store: &dyn TokenStore) {
    for account in accounts_looked_at(store) {
        let key = key(&account);
        now(now(store.lease(&key, Duration::ZERO)).unwrap().save(&record(&key))).unwrap();
    }
}

fn account(number: usize) -> String {
    format!("account-{number:06}")
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(key: &LoginKey) -> LoginRecord {
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.set_refresh_token(Secret::new("r".repeat(200)), SystemTime::now());
    record
}

/// The files that a login's last save left.
fn write_login(folder: &Path, account: &str) {
    let key = key(account);
    let create = |kind: &str| {
        let path = folder.join(format!("login-{}.{kind}", key.digest()));
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap()
    };
    create("json").write_all(&record(&key).to_json()).unwrap();
    create("lock");
}

/// Outside of any runtime the store works in place: what it does is done when it is first polled, on this very thread.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// What a process that was started anew does. Without a role it is no test at all.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let place = PathBuf::from(std::env::var(PLACE).unwrap());
    let store = FileStore::new(folder(&place));
    match role.as_str() {
        "operations" => counted_operations(&store, &place),
        "sealed operations" => counted_operations(&sealed_store(&place), &place),
        "first" => {
            let _ = fs::metadata(place.join("mark-first"));
            now(store.list().next()).unwrap().unwrap();
            let _ = fs::metadata(place.join("mark-end"));
        }
        "list" => list(&store),
        role => panic!("no role {role}"),
    }
}

fn counted_operations(store: &dyn TokenStore, place: &Path) {
    let [warm_up, known] = accounts_looked_at(store);
    // What is done once in a process is none of the measured operations' business.
    operations(store, &warm_up, |_| {});
    operations(store, &known, |operation| {
        let _ = fs::metadata(place.join(format!("mark-{operation}")));
    });
}

/// Each operation on an existing login, and on one that is new; `mark` is called before each, and after the last.
fn operations(store: &dyn TokenStore, account: &str, mark: impl Fn(&str)) {
    let (known, new) = (key(account), key(&format!("{account}, new")));
    mark("load");
    assert!(now(store.load(&known)).unwrap().is_some());
    mark("load of none");
    assert!(now(store.load(&new)).unwrap().is_none());
    for (which, key) in [("", &known), (" of a new login", &new)] {
        mark(&format!("lease{which}"));
        let mut lease = now(store.lease(key, Duration::ZERO)).unwrap();
        mark(&format!("load under the lease{which}"));
        let _ = now(lease.load()).unwrap();
        mark(&format!("reserve{which}"));
        now(lease.reserve(1_000)).unwrap();
        mark(&format!("save into the reserved room{which}"));
        now(lease.save(&record(key))).unwrap();
        mark(&format!("save{which}"));
        now(lease.save(&record(key))).unwrap();
        mark(&format!("delete{which}"));
        now(lease.delete()).unwrap();
        mark(&format!("release{which}"));
        drop(lease);
        mark("end");
    }
    let mut held = now(store.lease(&known, Duration::ZERO)).unwrap();
    now(held.save(&record(&known))).unwrap();
    mark("lease that is refused");
    assert!(now(store.lease(&known, Duration::ZERO)).is_err());
    mark("end");
    drop(held);
}

/// Goes through the whole listing, and counts what is allocated meanwhile.
fn list(store: &FileStore) {
    let mut seen = vec![false; MANY];
    let mut listing = store.list();
    let before = MEMORY.stats();
    let held_by = |stats: stats_alloc::Stats| stats.bytes_allocated.saturating_sub(stats.bytes_deallocated);
    let (mut count, mut most_held, mut most_at_once) = (0, 0, 0);
    loop {
        let before_this = MEMORY.stats();
        let Some(key) = now(listing.next()) else { break };
        let stats = MEMORY.stats();
        most_held = most_held.max(held_by(stats - before));
        most_at_once = most_at_once.max((stats - before_this).bytes_allocated);
        let key = key.unwrap();
        count += 1;
        if let Some(number) = key.account().strip_prefix("account-") {
            let seen = &mut seen[number.parse::<usize>().unwrap()];
            assert!(!*seen, "{key} was listed twice");
            *seen = true;
        }
    }
    println!(
        "listed {count} logins, holding {most_held} bytes at most, and allocating {most_at_once} at a time"
    );
    let most = READ_AHEAD * 4_096;
    assert!(most_held <= most / 4, "{most_held} bytes are held at one time");
    assert!(most_at_once <= most, "{most_at_once} bytes are allocated for one batch");
}
