//! The file store among processes: nobody's update is lost, a killed holder frees the lease, a killed writer leaves
//! the old record or the new one, and readers never see half of one.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(feature = "file")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jeton_models::Secret;
use jeton_storage::{FileStore, LoginKey, LoginRecord, StoreError, TokenStore};

const ROLE: &str = "JETON_STORAGE_TEST_ROLE";
const FOLDER: &str = "JETON_STORAGE_TEST_FOLDER";
const SOON: Duration = Duration::from_secs(60);
const PROCESSES: u64 = 8;
const ROUNDS: u64 = 25;

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A record that tells when it is a mixture: its refresh token repeats the generation.
fn record(generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(), SystemTime::now());
    record.generation = generation;
    let length = if generation.is_multiple_of(2) { 5_000 } else { 50 };
    record.set_refresh_token(Secret::new(format!("{generation:08}").repeat(length)), SystemTime::now());
    record
}

fn assert_whole(record: &LoginRecord) {
    let part = format!("{:08}", record.generation);
    let token = record.refresh_token.as_ref().unwrap().expose();
    assert!(
        !token.is_empty() && token.as_bytes().chunks(8).all(|chunk| chunk == part.as_bytes()),
        "a mixture"
    );
}

/// What a process that was started anew does. Without a role it is no test at all.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if role == "place" {
        println!("place {}", FileStore::at_default_place().unwrap().path().display());
        return;
    }
    let store = FileStore::new(std::env::var(FOLDER).unwrap());
    block_on(async {
        match role.as_str() {
            "increment" => {
                for _ in 0..ROUNDS {
                    let mut lease = store.lease(&key(), SOON).await.unwrap();
                    let mut record = lease.load().await.unwrap().unwrap();
                    lease.reserve(1_000).await.unwrap();
                    record.generation += 1;
                    lease.save(&record).await.unwrap();
                }
                println!("done");
            }
            "hold" => {
                let _lease = store.lease(&key(), SOON).await.unwrap();
                println!("held");
                std::future::pending::<()>().await;
            }
            "write" => {
                let mut lease = store.lease(&key(), SOON).await.unwrap();
                let mut generation = lease.load().await.unwrap().map_or(0, |record| record.generation);
                loop {
                    generation += 1;
                    let record = record(generation);
                    lease.reserve(record.to_json().len()).await.unwrap();
                    lease.save(&record).await.unwrap();
                    println!("saved {generation}");
                }
            }
            role => panic!("no role {role}"),
        }
    });
}

/// A started process; killed at the latest when this is dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, folder: &Path) -> Self {
        Self::start_with(role, |command| command.env(FOLDER, folder))
    }

    fn start_with(role: &str, environment: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).stdout(Stdio::piped());
        let mut child = environment(&mut command).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that begins so, without its beginning; `None` at the end.
    fn next(&mut self, beginning: &str) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| {
            // The test harness may have written its own words before ours.
            line.find(beginning).map(|at| line[at + beginning.len()..].to_owned())
        })
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL, or what the system has instead; and what it had said until then.
    fn kill(mut self, beginning: &str) -> Option<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut last = None;
        while let Some(line) = self.next(beginning) {
            last = Some(line);
        }
        last
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_update_is_lost_among_eight_processes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let store = FileStore::new(&folder);
    block_on(async { store.lease(&key(), SOON).await.unwrap().save(&record(0)).await.unwrap() });
    let processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start("increment", &folder)).collect();
    for mut process in processes {
        process.next("done").unwrap();
        assert!(process.child.wait().unwrap().success());
    }
    let counted = block_on(store.load(&key())).unwrap().unwrap().generation;
    assert_eq!(counted, PROCESSES * ROUNDS);
}

#[test]
fn a_killed_holder_frees_the_lease_and_was_named_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let store = FileStore::new(&folder);
    let mut holder = Process::start("hold", &folder);
    holder.next("held").unwrap();
    match block_on(store.lease(&key(), Duration::from_millis(50))) {
        Err(StoreError::LeaseTimeout { holder: Some(named), .. }) => assert_eq!(named.pid, holder.child.id()),
        other => panic!("{other:?}"),
    }
    // Somebody who waits already gets it when the holder dies.
    let waiting = std::thread::spawn(move || {
        let got = block_on(async { store.lease(&key(), SOON).await.map(drop) });
        (got, Instant::now())
    });
    let killed = Instant::now();
    holder.kill("never said");
    let (got, when) = waiting.join().unwrap();
    got.unwrap();
    assert!(when.duration_since(killed) < Duration::from_secs(20));
}

/// What holds up a login is named as long as it does, and nobody else is: neither the one who was killed before, nor
/// whoever has its process id by now.
#[cfg(unix)]
#[test]
fn a_suspended_holder_is_named_and_a_killed_one_accuses_nobody() {
    use rustix::process::Signal;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let store = FileStore::new(&folder);
    let timed_out = || match block_on(store.lease(&key(), Duration::from_millis(50))) {
        Err(error @ StoreError::LeaseTimeout { .. }) => error,
        other => panic!("{other:?}"),
    };
    let note = folder.join(format!("login-{}.holder", key().digest()));

    let begun = jeton_storage::unix_ms(SystemTime::now());
    let mut suspended = Process::start("hold", &folder);
    suspended.next("held").unwrap();
    suspended.signal(Signal::STOP);
    let error = timed_out();
    let StoreError::LeaseTimeout { waited, holder: Some(holder) } = &error else { panic!("{error}") };
    assert!(*waited >= Duration::from_millis(50));
    assert_eq!(holder.pid, suspended.child.id());
    assert!(holder.since_ms >= begun && holder.since_ms <= jeton_storage::unix_ms(SystemTime::now()));
    assert!(holder.program.contains("file_store_processes"), "{holder}");
    let said = error.to_string();
    assert!(
        said.contains(&format!("(pid {}, since 2", holder.pid)) && said.contains("end that program"),
        "{said}"
    );
    // Reading needs no lease.
    assert_eq!(block_on(store.load(&key())).unwrap(), None);

    // It goes on: still the holder, and the only one.
    suspended.signal(Signal::CONT);
    assert!(matches!(timed_out(), StoreError::LeaseTimeout { holder: Some(_), .. }));

    // Suspended and then killed, it leaves its note; the next has the lease at once, with one try.
    suspended.signal(Signal::STOP);
    suspended.kill("never said");
    let left = std::fs::read(&note).unwrap();
    drop(block_on(store.lease(&key(), Duration::ZERO)).unwrap());
    assert!(!note.exists());

    // The note of a killed process beside a lock that somebody holds without a word: nobody is named, though the process
    // id that stands there is one of a living process.
    let mut next = Process::start("hold", &folder);
    next.next("held").unwrap();
    std::fs::remove_file(&note).unwrap();
    let own = String::from_utf8(left).unwrap().replacen(
        &format!("\"pid\":{}", holder.pid),
        &format!("\"pid\":{}", std::process::id()),
        1,
    );
    assert!(own.contains(&std::process::id().to_string()), "{own}");
    write_privately(&note, &own);
    let StoreError::LeaseTimeout { holder: None, .. } = timed_out() else { panic!("a false accusation") };

    // Killed, it is not in the next one's way either, and its own note names the next one.
    next.kill("never said");
    write_privately(&note, &own);
    let mut last = Process::start("hold", &folder);
    last.next("held").unwrap();
    let StoreError::LeaseTimeout { holder: Some(named), .. } = timed_out() else { panic!("nobody is named") };
    assert_eq!(named.pid, last.child.id());
}

#[cfg(unix)]
fn write_privately(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_killed_writer_leaves_the_old_or_the_new_and_what_it_saved_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let store = FileStore::new(&folder);
    let mut last = 0;
    for saves in [1, 2, 3, 5, 8, 13, 2, 1, 4, 6] {
        let mut writer = Process::start("write", &folder);
        for _ in 0..saves {
            last = writer.next("saved ").unwrap().parse().unwrap();
        }
        // In the middle of whatever it does now.
        if let Some(more) = writer.kill("saved ") {
            last = more.parse().unwrap();
        }
        let record = block_on(async {
            let seen = store.load(&key()).await.unwrap().unwrap();
            let mut lease = store.lease(&key(), SOON).await.unwrap();
            assert_eq!(lease.load().await.unwrap().unwrap(), seen);
            seen
        });
        assert_whole(&record);
        assert!(
            record.generation == last || record.generation == last + 1,
            "generation {} after {last} was saved",
            record.generation
        );
    }
}

#[test]
fn readers_see_whole_records_in_order_while_another_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let mut writer = Process::start("write", &folder);
    writer.next("saved ").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (store, mut newest, mut loads) = (FileStore::new(&folder), 0, 0_u64);
                    block_on(async {
                        while !done.load(Ordering::Relaxed) || loads == 0 {
                            let record = store.load(&key()).await.unwrap().unwrap();
                            assert_whole(&record);
                            assert!(record.generation >= newest, "{} after {newest}", record.generation);
                            newest = record.generation;
                            loads += 1;
                        }
                    });
                })
            })
            .collect();
        for _ in 0..100 {
            writer.next("saved ").unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    writer.kill("saved ");
}

#[test]
fn the_default_place_is_the_platforms() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let place = |variable: &str, value: &Path| {
        let mut process = Process::start_with("place", |command| {
            command.env("HOME", home).env_remove("XDG_STATE_HOME").env(variable, value)
        });
        std::path::PathBuf::from(process.next("place ").unwrap())
    };
    if cfg!(windows) {
        assert_eq!(place("LOCALAPPDATA", home), home.join("jeton").join("logins"));
    } else if cfg!(target_vendor = "apple") {
        assert_eq!(place("HOME", home), home.join("Library/Application Support/jeton/logins"));
    } else {
        let usual = home.join(".local/state/jeton/logins");
        assert_eq!(place("HOME", home), usual);
        assert_eq!(place("XDG_STATE_HOME", &home.join("state")), home.join("state/jeton/logins"));
        assert_eq!(place("XDG_STATE_HOME", Path::new("relative")), usual, "a relative one is to be ignored");
        assert_eq!(place("XDG_STATE_HOME", Path::new("")), usual);
    }
}
