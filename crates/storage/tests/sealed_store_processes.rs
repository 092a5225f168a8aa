//! The sealed store among processes: one key among those that begin together, nobody's update lost, killed writers and killed
//! rotations leave everything readable, and whoever goes on meanwhile takes the new keys up.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(feature = "sealed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{Argon2Cost, LoginKey, LoginRecord, SealedStore, TokenStore};

const ROLE: &str = "JETON_STORAGE_TEST_ROLE";
const FOLDER: &str = "JETON_STORAGE_TEST_FOLDER";
const ACCOUNT: &str = "JETON_STORAGE_TEST_ACCOUNT";
const SOON: Duration = Duration::from_secs(60);
const PROCESSES: u64 = 8;
const ROUNDS: u64 = 25;

fn open(folder: impl AsRef<Path>) -> SealedStore {
    let cost = Argon2Cost::new(19, 2).unwrap();
    SealedStore::with_passphrase_of_cost(folder, Secret::from("correct horse"), cost)
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A record that tells when it is a mixture: its refresh token repeats the generation.
fn record(account: &str, generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(account), SystemTime::now());
    record.generation = generation;
    let length = if generation.is_multiple_of(2) { 5_000 } else { 50 };
    record.set_refresh_token(Secret::new(format!("{generation:08}").repeat(length)), SystemTime::now());
    record
}

fn assert_whole(record: &LoginRecord) {
    let part = format!("{:08}", record.generation);
    let token = record.refresh_token.as_ref().unwrap().expose();
    assert!(token.as_bytes().chunks(8).all(|chunk| chunk == part.as_bytes()), "a mixture");
}

/// What a process that was started anew does. Without a role it is no test at all.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = open(std::env::var(FOLDER).unwrap());
    let account = std::env::var(ACCOUNT).unwrap();
    block_on(async {
        match role.as_str() {
            "begin" => {
                store.lease(&key(&account), SOON).await.unwrap().save(&record(&account, 1)).await.unwrap();
                println!("done");
            }
            "increment" => {
                for _ in 0..ROUNDS {
                    let mut lease = store.lease(&key(&account), SOON).await.unwrap();
                    let mut record = lease.load().await.unwrap().unwrap();
                    lease.reserve(1_000).await.unwrap();
                    record.generation += 1;
                    lease.save(&record).await.unwrap();
                }
                println!("done");
            }
            "write" => {
                let mut generation =
                    store.load(&key(&account)).await.unwrap().map_or(0, |record| record.generation);
                loop {
                    generation += 1;
                    let mut lease = store.lease(&key(&account), SOON).await.unwrap();
                    let record = record(&account, generation);
                    lease.reserve(record.to_json().len()).await.unwrap();
                    lease.save(&record).await.unwrap();
                    // Not while it waits for somebody to read what it says.
                    drop(lease);
                    println!("saved {generation}");
                }
            }
            "rotate" => loop {
                println!("rotating");
                let outcome = store.rotate_key(SOON).await.unwrap();
                assert!(outcome.is_complete, "{outcome:?}");
                println!("rotated");
            },
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
    fn start(role: &str, folder: &Path, account: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).stdout(Stdio::piped());
        command.env(ROLE, role).env(FOLDER, folder).env(ACCOUNT, account);
        let mut child = command.spawn().unwrap();
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

    fn is_done(&mut self) {
        self.next("done").unwrap();
        assert!(self.child.wait().unwrap().success());
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

fn folder() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("sealed");
    (place, folder)
}

fn load(folder: &Path, account: &str) -> LoginRecord {
    let record = block_on(open(folder).load(&key(account))).unwrap().unwrap();
    assert_whole(&record);
    record
}

/// Anywhere in the next few milliseconds, so that over the rounds a kill meets each step. No outcome depends on it.
fn somewhere_in_the_next_milliseconds() {
    let micros = RandomState::new().hash_one(0_u8) % 12_000;
    std::thread::sleep(Duration::from_micros(micros));
}

#[test]
fn processes_that_begin_together_agree_on_one_key() {
    for _ in 0..3 {
        let (_place, folder) = folder();
        let accounts: Vec<String> = (0..PROCESSES).map(|number| number.to_string()).collect();
        let processes: Vec<Process> =
            accounts.iter().map(|account| Process::start("begin", &folder, account)).collect();
        for mut process in processes {
            process.is_done();
        }
        for account in &accounts {
            assert_eq!(load(&folder, account).generation, 1);
        }
    }
}

#[test]
fn no_update_is_lost_among_eight_processes() {
    let (_place, folder) = folder();
    block_on(async {
        let mut lease = open(&folder).lease(&key("a"), SOON).await.unwrap();
        lease.save(&record("a", 0)).await.unwrap();
    });
    let processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start("increment", &folder, "a")).collect();
    for mut process in processes {
        process.is_done();
    }
    let counted = block_on(open(&folder).load(&key("a"))).unwrap().unwrap().generation;
    assert_eq!(counted, PROCESSES * ROUNDS);
}

#[test]
fn a_killed_writer_leaves_the_old_record_or_the_new_one() {
    let (_place, folder) = folder();
    for _ in 0..25 {
        let mut writer = Process::start("write", &folder, "a");
        let first: u64 = writer.next("saved ").unwrap().parse().unwrap();
        somewhere_in_the_next_milliseconds();
        let last = writer.kill("saved ").map_or(first, |last| last.parse().unwrap());
        let found = load(&folder, "a").generation;
        assert!(found == last || found == last + 1, "{last} was saved, {found} is there");
    }
}

#[test]
fn a_killed_rotation_loses_nothing_while_others_go_on_writing() {
    let (_place, folder) = folder();
    for account in ["b", "c", "d"] {
        Process::start("begin", &folder, account).is_done();
    }
    let mut writer = Process::start("write", &folder, "a");
    writer.next("saved ").unwrap();
    for _ in 0..25 {
        let mut rotator = Process::start("rotate", &folder, "");
        rotator.next("rotating").unwrap();
        somewhere_in_the_next_milliseconds();
        rotator.kill("rotated");
        for account in ["a", "b", "c", "d"] {
            load(&folder, account);
        }
        writer.next("saved ").expect("the writer goes on");
    }
    let last: u64 = writer.kill("saved ").unwrap().parse().unwrap();
    assert!(load(&folder, "a").generation >= last);
    // The next one that lives finishes, and no key but one is kept.
    let outcome = block_on(open(&folder).rotate_key(SOON)).unwrap();
    assert!(outcome.is_complete, "{outcome:?}");
    for account in ["a", "b", "c", "d"] {
        load(&folder, account);
    }
}
