//! What the file store does with files: damaged, newer, foreign, linked, too open, in the way; rooms, folders, lists.
#![cfg(feature = "file")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{FileStore, LoginKey, LoginRecord, Sharing, StoreError, TokenLease, TokenStore};

const SOON: Duration = Duration::from_secs(30);

struct Place {
    _temporary: tempfile::TempDir,
    store: FileStore,
    key: LoginKey,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let store = FileStore::new(temporary.path().join("logins"));
        Self { _temporary: temporary, store, key: key("default") }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.store.path().join(format!("login-{}.{ending}", self.key.digest()))
    }

    async fn lease(&self) -> Box<dyn TokenLease> {
        self.store.lease(&self.key, SOON).await.unwrap()
    }

    async fn save(&self, generation: u64) -> LoginRecord {
        let record = record(&self.key, generation);
        self.lease().await.save(&record).await.unwrap();
        record
    }

    async fn load(&self) -> Result<Option<LoginRecord>, StoreError> {
        self.store.load(&self.key).await
    }

    /// The names in the folder, without locks and the notes beside them.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.store.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock") && !name.ends_with(".holder"));
        names.sort();
        names
    }

    /// The names after `login-<digest>.`.
    fn kinds(&self) -> Vec<String> {
        self.names().iter().map(|name| name.split_once('.').unwrap().1.to_owned()).collect()
    }

    async fn list(&self) -> Vec<Result<LoginKey, StoreError>> {
        let (mut listing, mut found) = (self.store.list(), Vec::new());
        while let Some(key) = listing.next().await {
            found.push(key);
        }
        found
    }
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(key: &LoginKey, generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.generation = generation;
    record.set_refresh_token(Secret::from("r3fr3sh"), SystemTime::now());
    record
}

fn assert_damaged(result: Result<Option<LoginRecord>, StoreError>, set_aside: Option<&Path>) {
    match result {
        Err(StoreError::Damaged { what, set_aside: found }) => {
            assert_eq!(found.as_deref(), set_aside);
            assert!(!what.contains("r3fr3sh"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_login_is_reported_until_somebody_logs_in_and_never_lost() {
    let good = record(&key("default"), 1).to_json();
    let damages: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("half", good[..good.len() / 2].to_vec()),
        ("zeros", vec![0; good.len()]),
        ("garbage behind", [&good[..], b"x"].concat()),
    ];
    for (name, damage) in damages {
        let place = Place::new();
        place.save(1).await;
        fs::write(place.file("json"), &damage).unwrap();

        // Readers without the lease touch nothing.
        assert_damaged(place.load().await, None);
        assert_damaged(place.load().await, None);
        assert_eq!(place.kinds(), ["json"], "{name}");

        // The lease sets it aside, and it goes on being reported, not absent.
        let damaged = place.file("damaged");
        assert_damaged(place.lease().await.load().await, Some(&damaged));
        assert_eq!(place.kinds(), ["damaged"], "{name}");
        assert_damaged(place.load().await, Some(&damaged));
        assert_damaged(place.lease().await.load().await, Some(&damaged));
        assert!(matches!(&place.list().await[..], [Err(StoreError::Damaged { .. })]));

        // A new login settles it and keeps the evidence.
        let new = place.save(2).await;
        assert_eq!(place.load().await.unwrap().unwrap(), new);
        let kinds = place.kinds();
        assert!(kinds.len() == 2 && kinds[0].starts_with("damaged-") && kinds[1] == "json", "{kinds:?}");
        assert_eq!(fs::read(place.file(&kinds[0])).unwrap(), damage, "{name}");
        assert_eq!(place.list().await.len(), 1);
    }
}

#[tokio::test]
async fn a_save_that_did_not_look_does_not_overwrite_the_damaged() {
    let place = Place::new();
    place.save(1).await;
    fs::write(place.file("json"), "{").unwrap();
    place.save(2).await;
    let kinds = place.kinds();
    assert!(kinds.len() == 2 && kinds[0].starts_with("damaged-"), "{kinds:?}");
    assert_eq!(fs::read(place.file(&kinds[0])).unwrap(), b"{");
}

#[tokio::test]
async fn a_log_out_settles_the_damaged_too() {
    let place = Place::new();
    place.save(1).await;
    fs::write(place.file("json"), "{").unwrap();
    place.lease().await.delete().await.unwrap();
    assert_eq!(place.load().await.unwrap(), None);
    assert!(place.kinds()[0].starts_with("damaged-"));
}

#[tokio::test]
async fn a_second_damage_overwrites_neither_the_first_nor_its_evidence() {
    let place = Place::new();
    for (generation, damage) in (1..).zip(["{1", "{2", "{3", "{4"]) {
        place.save(generation).await;
        fs::write(place.file("json"), damage).unwrap();
        assert!(place.lease().await.load().await.is_err());
    }
    // And one more while the last is still set aside, as a backup put back in its place would make it.
    fs::write(place.file("json"), "{5").unwrap();
    restrict(&place.file("json"), 0o600);
    assert!(place.lease().await.load().await.is_err());
    assert!(place.load().await.is_err());
    place.save(9).await;

    let mut kept: Vec<String> = place
        .kinds()
        .iter()
        .filter(|kind| kind.starts_with("damaged-"))
        .map(|kind| fs::read_to_string(place.file(kind)).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["{1", "{2", "{3", "{4", "{5"]);
    assert_eq!(place.load().await.unwrap().unwrap().generation, 9);
}

#[tokio::test]
async fn a_newer_record_is_left_alone() {
    let place = Place::new();
    place.save(1).await;
    for newer in [r#"{"format":"jeton-login","version":2}"#, r#"{"format":"jeton-sealed-login","version":1}"#]
    {
        fs::write(place.file("json"), newer).unwrap();
        let mut lease = place.lease().await;
        let refusals = [
            place.load().await.map(drop),
            lease.load().await.map(drop),
            lease.reserve(10).await,
            lease.save(&record(&place.key, 2)).await,
            lease.delete().await,
        ];
        drop(lease);
        for refusal in refusals {
            let error = refusal.unwrap_err();
            assert!(matches!(error, StoreError::NewerFormat { .. }), "{error:?}");
            assert!(error.to_string().contains("update this program"), "{error}");
        }
        assert!(matches!(&place.list().await[..], [Err(StoreError::NewerFormat { .. })]));
        assert_eq!(place.kinds(), ["json"]);
        assert_eq!(fs::read_to_string(place.file("json")).unwrap(), newer);
    }
}

#[tokio::test]
async fn a_file_under_the_name_of_another_login_is_refused_and_stays() {
    let place = Place::new();
    place.save(1).await;
    let other =
        Place { key: key("other"), store: place.store.clone(), _temporary: tempfile::tempdir().unwrap() };
    fs::copy(place.file("json"), other.file("json")).unwrap();
    assert!(matches!(other.load().await, Err(StoreError::WrongKey { .. })));
    let mut lease = other.lease().await;
    assert!(matches!(lease.load().await, Err(StoreError::WrongKey { .. })));
    assert!(matches!(lease.save(&record(&other.key, 2)).await, Err(StoreError::WrongKey { .. })));
    assert!(matches!(lease.delete().await, Err(StoreError::WrongKey { .. })));
    assert_eq!(fs::read(place.file("json")).unwrap(), fs::read(other.file("json")).unwrap());
    let listed = other.list().await;
    assert_eq!(listed.iter().filter(|found| matches!(found, Err(StoreError::WrongKey { .. }))).count(), 1);
    assert_eq!(listed.iter().filter(|found| found.is_ok()).count(), 1);
}

#[tokio::test]
async fn nothing_is_touched_before_the_first_lease() {
    let place = Place::new();
    assert_eq!(place.load().await.unwrap(), None);
    assert!(place.list().await.is_empty());
    assert!(!place.store.path().exists());
    let description = place.store.describe();
    assert_eq!((description.backend.as_str(), description.shared_with), ("file", Sharing::User));
    assert!(description.persistent && !description.encrypted);
    assert_eq!(description.location, place.store.path().display().to_string());
    assert!(!place.store.path().exists());
}

#[tokio::test]
async fn a_rooms_bytes_are_on_the_disk_before_the_save_and_gone_without_one() {
    let place = Place::new();
    place.save(1).await;
    let mut lease = place.lease().await;
    lease.reserve(100_000).await.unwrap();
    assert_eq!(fs::metadata(place.file("tmp")).unwrap().len(), 100_000);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert!(fs::metadata(place.file("tmp")).unwrap().blocks() * 512 >= 100_000, "a hole is no room");
        let inode = fs::metadata(place.file("tmp")).unwrap().ino();
        let new = record(&place.key, 2);
        lease.save(&new).await.unwrap();
        assert_eq!(fs::metadata(place.file("json")).unwrap().ino(), inode, "the save took the reserved room");
        assert_eq!(fs::read(place.file("json")).unwrap(), *new.to_json());
    }
    assert!(!place.file("tmp").exists());
    lease.reserve(10).await.unwrap();
    drop(lease);
    assert_eq!(place.kinds(), ["json"]);
}

#[tokio::test]
async fn what_a_killed_writer_left_is_no_record_and_in_nobodys_way() {
    let place = Place::new();
    let old = place.save(1).await;
    fs::write(place.file("tmp"), "half a rec").unwrap();
    assert_eq!(place.load().await.unwrap().unwrap(), old);
    assert_eq!(place.lease().await.load().await.unwrap().unwrap(), old);
    let new = place.save(2).await;
    assert_eq!(place.load().await.unwrap().unwrap(), new);
    assert_eq!(place.kinds(), ["json"]);
    // A log-out leaves nothing of it either.
    fs::write(place.file("tmp"), "half a rec").unwrap();
    place.lease().await.delete().await.unwrap();
    assert!(place.kinds().is_empty());
}

#[tokio::test]
async fn a_save_succeeds_although_somebody_removed_the_whole_folder() {
    let place = Place::new();
    place.save(1).await;
    let mut lease = place.lease().await;
    let new = record(&place.key, 2);
    fs::remove_dir_all(place.store.path()).unwrap();
    lease.save(&new).await.unwrap();
    assert_eq!(place.load().await.unwrap().unwrap(), new);
}

#[tokio::test]
async fn lock_files_stay_and_the_holder_is_named() {
    let place = Place::new();
    let lease = place.lease().await;
    match place.store.lease(&place.key, Duration::from_millis(30)).await {
        Err(StoreError::LeaseTimeout { waited, holder: Some(holder) }) => {
            assert!(waited >= Duration::from_millis(30));
            assert_eq!(holder.pid, std::process::id());
            assert!(holder.program.contains("file_store"), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    drop(lease);
    assert!(place.file("lock").exists());
}

#[tokio::test]
async fn the_listing_ignores_foreign_files_and_goes_on_after_damaged_ones() {
    let place = Place::new();
    // More than one batch.
    for account in 0..150 {
        let key = key(&account.to_string());
        place.store.lease(&key, SOON).await.unwrap().save(&record(&key, 1)).await.unwrap();
    }
    let digest = key("nobody").digest();
    for foreign in [
        "README",
        "login-.json",
        "login-xyz.json",
        &format!("login-{digest}.json~"),
        &format!("x{digest}.json"),
        &format!("login-{}.json", digest.to_uppercase()),
        &format!("login-{digest}.damaged-1"),
    ] {
        fs::write(place.store.path().join(foreign), "foreign").unwrap();
    }
    for account in [3, 77] {
        let name = format!("login-{}.json", key(&account.to_string()).digest());
        fs::write(place.store.path().join(name), "{").unwrap();
    }
    let listed = place.list().await;
    let damaged = listed.iter().filter(|found| matches!(found, Err(StoreError::Damaged { .. }))).count();
    let mut keys: Vec<&LoginKey> = listed.iter().filter_map(|found| found.as_ref().ok()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!((damaged, keys.len(), listed.len()), (2, 148, 150));
}

#[tokio::test]
async fn a_dropped_next_loses_no_key() {
    let place = Place::new();
    for account in 0..100 {
        let key = key(&account.to_string());
        place.store.lease(&key, SOON).await.unwrap().save(&record(&key, 1)).await.unwrap();
    }
    let (mut listing, mut count) = (place.store.list(), 0);
    loop {
        // Polled once and dropped if it is not there yet.
        let polled = {
            let mut next = listing.next();
            std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await
        };
        match polled {
            std::task::Poll::Ready(Some(key)) => count += usize::from(key.is_ok()),
            std::task::Poll::Ready(None) => break,
            std::task::Poll::Pending => tokio::task::yield_now().await,
        }
    }
    assert_eq!(count, 100);
}

#[test]
fn it_works_on_an_executor_that_is_not_tokio() {
    // The smallest one there is: polls, and parks the thread until it is woken.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
        let mut cx = std::task::Context::from_waker(&waker);
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(output) => return output,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    }
    block_on(async {
        let place = Place::new();
        let saved = place.save(1).await;
        let lease = place.lease().await;
        let refused = place.store.lease(&place.key, Duration::from_millis(40)).await;
        assert!(matches!(refused, Err(StoreError::LeaseTimeout { .. })));
        let waiting = std::thread::spawn({
            let (store, key) = (place.store.clone(), place.key.clone());
            move || block_on(async { store.lease(&key, SOON).await.map(drop) })
        });
        drop(lease);
        waiting.join().unwrap().unwrap();
        assert_eq!(place.load().await.unwrap().unwrap(), saved);
        assert_eq!(place.list().await.len(), 1);
    });
}

#[test]
fn a_runtime_that_ends_during_a_save_leaves_the_old_or_the_new() {
    let place = Place::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(place.save(1));
    for generation in 2..30 {
        let ending = runtime();
        let (store, key) = (place.store.clone(), place.key.clone());
        ending.spawn(async move {
            let mut lease = store.lease(&key, SOON).await.unwrap();
            let _ = lease.save(&record(&key, generation)).await;
        });
        ending.block_on(async {
            for _ in 0..generation % 7 {
                tokio::task::yield_now().await;
            }
        });
        drop(ending);
        let found = runtime().block_on(place.load()).unwrap().unwrap();
        assert!(found.generation <= generation);
        // The lease is free again, and a save works.
        runtime().block_on(place.save(generation));
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) {}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn everything_is_the_owners_alone_from_the_start() {
        let temporary = tempfile::tempdir().unwrap();
        let store = FileStore::new(temporary.path().join("a/b/logins"));
        let place = Place { _temporary: temporary, store, key: key("default") };
        let mut lease = place.lease().await;
        lease.reserve(10).await.unwrap();
        assert_eq!(mode(&place.file("tmp")), 0o600);
        lease.save(&record(&place.key, 1)).await.unwrap();
        for folder in place.store.path().ancestors().take(3) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        for ending in ["json", "lock", "holder"] {
            assert_eq!(mode(&place.file(ending)), 0o600, "{ending}");
        }
    }

    #[tokio::test]
    async fn wider_permissions_are_an_error_that_says_how_to_mend_them() {
        let place = Place::new();
        place.save(1).await;
        let folder = place.store.path().to_owned();
        for (path, wide, right, command) in [
            (folder.clone(), 0o750, 0o700, "chmod 700"),
            (folder.clone(), 0o701, 0o700, "chmod 700"),
            (place.file("json"), 0o640, 0o600, "chmod 600"),
            (place.file("json"), 0o602, 0o600, "chmod 600"),
        ] {
            restrict(&path, wide);
            let mut refusals = vec![place.load().await.map(drop)];
            match place.store.lease(&place.key, SOON).await {
                Ok(mut lease) => {
                    refusals.push(lease.load().await.map(drop));
                    refusals.push(lease.save(&record(&place.key, 2)).await);
                    refusals.push(lease.reserve(1).await);
                }
                Err(error) => refusals.push(Err(error)),
            }
            let listed = place.list().await.remove(0);
            refusals.push(listed.map(drop));
            for refusal in refusals {
                match refusal {
                    Err(error @ StoreError::Permissions { mode, .. }) => {
                        assert_eq!(mode, wide);
                        let wanted = format!("{command} '{}'", path.display());
                        assert!(error.to_string().contains(&wanted), "{error}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            // What it says helps.
            restrict(&path, right);
            assert_eq!(place.load().await.unwrap().unwrap().generation, 1);
        }
        restrict(&place.file("lock"), 0o666);
        let refused = place.store.lease(&place.key, SOON).await;
        assert!(matches!(refused, Err(StoreError::Permissions { .. })));
    }

    #[tokio::test]
    async fn no_link_is_followed_in_the_final_component() {
        let place = Place::new();
        place.save(1).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");

        // Data: a link to a good record, in the reader's and in the writer's way.
        fs::rename(place.file("json"), &target).unwrap();
        symlink(&target, place.file("json")).unwrap();
        assert!(matches!(place.load().await, Err(StoreError::Symlink { .. })));
        let mut lease = place.lease().await;
        assert!(matches!(lease.load().await, Err(StoreError::Symlink { .. })));
        assert!(matches!(lease.save(&record(&place.key, 2)).await, Err(StoreError::Symlink { .. })));
        drop(lease);
        fs::remove_file(place.file("json")).unwrap();

        // The temporary file: a planted link is removed, not written through.
        fs::write(&target, "mine").unwrap();
        symlink(&target, place.file("tmp")).unwrap();
        place.save(3).await;
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        assert!(!fs::symlink_metadata(place.file("json")).unwrap().is_symlink());

        // The holder's note: not written through; the lease is given all the same.
        symlink(&target, place.file("holder")).unwrap();
        place.save(4).await;
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");

        // The lock, dangling or not.
        for target in [target.clone(), elsewhere.path().join("absent")] {
            fs::remove_file(place.file("lock")).unwrap();
            symlink(&target, place.file("lock")).unwrap();
            let refused = place.store.lease(&place.key, SOON).await;
            assert!(matches!(refused, Err(StoreError::Symlink { .. })), "{refused:?}");
        }
        assert!(!elsewhere.path().join("absent").exists());
    }

    #[tokio::test]
    async fn a_linked_folder_is_refused_with_and_without_a_slash() {
        let place = Place::new();
        place.save(1).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link");
        symlink(place.store.path(), &link).unwrap();
        for spelling in [link.clone(), link.join(""), link.join(".")] {
            let store = FileStore::new(&spelling);
            let refused = store.load(&place.key).await;
            assert!(
                matches!(refused, Err(StoreError::Symlink { .. })),
                "{}: {refused:?}",
                spelling.display()
            );
            assert!(matches!(store.lease(&place.key, SOON).await, Err(StoreError::Symlink { .. })));
        }
        // A link further up is the owner's business.
        symlink(place.store.path().parent().unwrap(), elsewhere.path().join("up")).unwrap();
        let store = FileStore::new(elsewhere.path().join("up").join("logins"));
        assert!(store.load(&place.key).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_an_error_and_no_hang() {
        let place = Place::new();
        place.save(1).await;
        fs::remove_file(place.file("json")).unwrap();
        let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(place.file("json")).status();
        if made.is_ok_and(|status| status.success()) {
            let error = place.load().await.unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
            fs::remove_file(place.file("json")).unwrap();
        }
        fs::create_dir(place.file("json")).unwrap();
        restrict(&place.file("json"), 0o700);
        let error = place.load().await.unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");

        let file = FileStore::new(place.file("lock"));
        let error = file.load(&place.key).await.unwrap_err();
        assert!(error.to_string().contains("no folder"), "{error}");
    }

    /// Only root can give files away; anybody else could not make the test's fixture.
    #[tokio::test]
    async fn another_users_files_are_refused() {
        let place = Place::new();
        place.save(1).await;
        let folder = place.store.path().to_owned();
        for path in [folder, place.file("json")] {
            if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
                return;
            }
            match place.load().await {
                Err(error @ StoreError::NotOwner { owner: 12_345, .. }) => {
                    assert!(error.to_string().contains("chown"), "{error}");
                }
                other => panic!("{other:?}"),
            }
            std::os::unix::fs::chown(&path, Some(own_uid(&place)), None).unwrap();
        }
        assert!(place.load().await.unwrap().is_some());
    }

    fn own_uid(place: &Place) -> u32 {
        fs::metadata(place.store.path().parent().unwrap()).unwrap().uid()
    }
}
