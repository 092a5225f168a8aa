//! The file store on a disk that is full, and on one that is read-only: a small tmpfs in a mount namespace of its own,
//! so that no root and no cleaning up is needed.
#![cfg(all(feature = "file", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{FileStore, LoginKey, LoginRecord, StoreError, TokenStore};

const FOLDER: &str = "JETON_STORAGE_TEST_SMALL_DISK";
const SOON: Duration = Duration::from_secs(30);

fn record(account: &str, bytes: usize) -> LoginRecord {
    let key = LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account);
    let mut record = LoginRecord::new(key, SystemTime::now());
    record.set_refresh_token(Secret::new("r".repeat(bytes)), SystemTime::now());
    record
}

/// Runs the test of that name again with a tmpfs of 256 KiB, unless this system lets nobody make one.
fn run_on_small_disk(test: &str) {
    let in_namespace = |command: &str, folder: &Path| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("mount -t tmpfs -o size=256k,mode=700 none \"$0\" && {command}"))
            .arg(folder)
            .arg(std::env::current_exe().unwrap())
            .env(FOLDER, folder)
            .output()
    };
    let folder = tempfile::tempdir().unwrap();
    if !in_namespace("true", folder.path()).is_ok_and(|output| output.status.success()) {
        println!("not tested: no user namespaces with mounts on this system");
        return;
    }
    let output = in_namespace(&format!("exec \"$1\" --exact {test} --nocapture"), folder.path()).unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("ran on the small disk"), "{text}");
}

#[tokio::test]
async fn a_full_disk_is_found_before_the_request_and_reserved_room_can_be_saved_into() {
    let Ok(disk) = std::env::var(FOLDER) else {
        run_on_small_disk("a_full_disk_is_found_before_the_request_and_reserved_room_can_be_saved_into");
        return;
    };
    let store = FileStore::new(Path::new(&disk).join("logins"));
    let (old, new) = (record("a", 100), record("a", 30_000));
    let mut lease = store.lease(&old.key, SOON).await.unwrap();
    lease.save(&old).await.unwrap();
    lease.reserve(new.to_json().len()).await.unwrap();

    // Somebody fills the disk.
    let mut filler = File::create(Path::new(&disk).join("filler")).unwrap();
    while filler.write_all(&[1; 512]).is_ok() {}

    // The lease on another login is to be had, though not even its holder can be noted; but there is no room.
    let other = record("b", 30_000);
    let mut other_lease = store.lease(&other.key, SOON).await.unwrap();
    for refused in [other_lease.reserve(30_000).await, other_lease.save(&other).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    drop(other_lease);
    assert_eq!(store.load(&other.key).await.unwrap(), None);

    // More than was reserved fails too, and leaves the old record and the room.
    assert!(matches!(lease.save(&record("a", 90_000)).await, Err(StoreError::NoSpace { .. })));
    assert_eq!(store.load(&old.key).await.unwrap().unwrap(), old);

    // What was reserved is there.
    lease.save(&new).await.unwrap();
    drop(lease);
    assert_eq!(store.load(&old.key).await.unwrap().unwrap(), new);

    // And when there is room again, all is well.
    filler.set_len(0).unwrap();
    store.lease(&other.key, SOON).await.unwrap().save(&other).await.unwrap();
    assert_eq!(store.load(&other.key).await.unwrap().unwrap(), other);
    println!("ran on the small disk");
}

#[tokio::test]
async fn a_read_only_disk_can_be_read_and_says_why_not_written() {
    let Ok(disk) = std::env::var(FOLDER) else {
        run_on_small_disk("a_read_only_disk_can_be_read_and_says_why_not_written");
        return;
    };
    let store = FileStore::new(Path::new(&disk).join("logins"));
    let old = record("a", 100);
    let mut lease = store.lease(&old.key, SOON).await.unwrap();
    lease.save(&old).await.unwrap();
    drop(lease);
    let remounted = Command::new("mount").args(["-o", "remount,ro", &disk]).status().unwrap();
    assert!(remounted.success());
    assert_eq!(store.load(&old.key).await.unwrap().unwrap(), old);
    let error = store.lease(&old.key, SOON).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("Read-only"), "{error}");
    println!("ran on the small disk");
}
