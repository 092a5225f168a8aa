//! Every branch of the choice, over a keychain that comes and goes.
#![cfg(all(feature = "keyring", feature = "sealed"))]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;
use crate::keyring::fake::FakeKeychain;
use crate::{LoginKey, LoginRecord};

const SOON: Duration = Duration::from_secs(30);

struct World {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
    keychain: FakeKeychain,
    sealing_key: SealingKey,
}

impl World {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("program");
        Self {
            _temporary: temporary,
            folder,
            keychain: FakeKeychain::default(),
            sealing_key: SealingKey::generate().unwrap(),
        }
    }

    fn without_keychain() -> Self {
        let world = Self::new();
        world.keychain.set(|state| state.absent = true);
        world
    }

    /// The keychain, or nothing.
    fn choice(&self) -> StoreChoice {
        let mut choice = StoreChoice::for_program("my-tool").folder(&self.folder);
        choice.keychain_of_tests = Some((self.keychain.clone(), Duration::from_secs(60)));
        choice
    }

    /// All three.
    fn any(&self) -> StoreChoice {
        self.choice().or_sealed_with_key(self.sealing_key.clone()).allow_unencrypted_file()
    }

    fn absent(&self, absent: bool) {
        self.keychain.set(|state| {
            state.absent = absent;
            // The connections of a daemon that is gone are of no use.
            state.session += 1;
        });
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("store.json")
    }
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

async fn log_in(store: &dyn TokenStore, account: &str) {
    let mut lease = store.lease(&key(account), SOON).await.unwrap();
    lease.save(&LoginRecord::new(key(account), SystemTime::now())).await.unwrap();
}

async fn is_there(store: &dyn TokenStore, account: &str) -> bool {
    store.load(&key(account)).await.unwrap().is_some()
}

async fn refusal(choice: &StoreChoice) -> String {
    match choice.choose().await {
        Err(error @ StoreError::Unavailable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_best_that_is_there_is_taken_and_says_why() {
    let world = World::new();
    let chosen = world.any().choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::Keychain);
    let text = chosen.describe().to_string();
    assert!(text.contains("because there is a keychain") && text.contains(", encrypted,"), "{text}");

    world.absent(true);
    let chosen = world.any().choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::Sealed);
    let text = chosen.describe().to_string();
    assert!(text.contains("there is no keychain (") && text.contains(", encrypted,"), "{text}");

    let chosen = world.choice().allow_unencrypted_file().choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::UnencryptedFile);
    let text = chosen.describe().to_string();
    assert!(text.contains("the program allows") && text.contains("not encrypted,"), "{text}");

    // Not allowed by name: never.
    let text = refusal(&world.choice()).await;
    assert!(text.contains("there is no keychain (") && text.contains("allow a file"), "{text}");
    let text = refusal(&world.choice().without_keychain()).await;
    assert!(text.contains("leaves the keychain out"), "{text}");

    // Nobody has logged in: nothing was written.
    assert!(!world.folder.exists());
    assert!(world.keychain.users().is_empty());
}

#[tokio::test]
async fn a_keychain_that_is_locked_or_hangs_is_no_reason_to_go_on() {
    let world = World::new();
    world.keychain.set(|state| (state.locked, state.hides_when_locked) = (true, true));
    assert!(matches!(world.any().choose().await, Err(StoreError::Locked { .. })));
    assert!(matches!(world.any().move_logins().await, Err(StoreError::Locked { .. })));
    // The person was asked, and unlocks it the next time.
    assert!(world.keychain.state().asked > 0);
    world.keychain.set(|state| state.person_unlocks = true);
    assert_eq!(world.any().choose().await.unwrap().kind(), StoreKind::Keychain);

    let world = World::new();
    world.keychain.set(|state| state.hangs = true);
    let mut hasty = world.any();
    hasty.keychain_of_tests = Some((world.keychain.clone(), Duration::from_millis(50)));
    let chosen = hasty.choose().await;
    world.keychain.set(|state| state.hangs = false);
    assert!(matches!(chosen, Err(StoreError::TimedOut { .. })), "{chosen:?}");
    assert!(!world.folder.exists());
}

#[tokio::test]
async fn a_login_in_a_keychain_that_is_gone_is_missed_and_not_replaced() {
    let world = World::new();
    log_in(&world.any().choose().await.unwrap(), "a").await;
    world.absent(true);
    let text = refusal(&world.any()).await;
    for told in ["in the keychain since 20", "as last time", &world.marker().display().to_string()] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(world.any().move_logins().await.is_err());
    assert!(!world.folder.join("sealed").exists() && !world.folder.join("logins").exists());

    world.absent(false);
    let chosen = world.any().choose().await.unwrap();
    assert!(is_there(&chosen, "a").await);
    let text = chosen.describe().to_string();
    assert!(text.contains("are there since 20"), "{text}");

    // What it says helps.
    world.absent(true);
    fs::remove_file(world.marker()).unwrap();
    assert_eq!(world.any().choose().await.unwrap().kind(), StoreKind::Sealed);
}

#[tokio::test]
async fn logins_stay_where_they_are_when_a_keychain_appears_until_they_are_moved() {
    for sealed in [false, true] {
        let world = World::without_keychain();
        let choice = match sealed {
            true => world.any(),
            false => world.choice().allow_unencrypted_file(),
        };
        let first = choice.choose().await.unwrap();
        for account in ["a", "b"] {
            log_in(&first, account).await;
        }
        world.absent(false);
        let chosen = choice.choose().await.unwrap();
        assert_eq!(chosen.kind(), first.kind());
        assert!(is_there(&chosen, "a").await);
        let text = chosen.describe().to_string();
        assert!(text.contains("the keychain would be better") && text.contains("move_logins"), "{text}");

        let (moved, transferred) = choice.move_logins().await.unwrap();
        assert_eq!((moved.kind(), transferred.moved.len()), (StoreKind::Keychain, 2));
        assert!(transferred.is_complete() && is_there(&moved, "a").await && is_there(&moved, "b").await);
        assert!(!is_there(&first, "a").await, "in one store only");
        assert_eq!(choice.choose().await.unwrap().kind(), StoreKind::Keychain);
        // From now on the keychain is missed.
        world.absent(true);
        assert!(refusal(&choice).await.contains("in the keychain since"));
    }
}

#[tokio::test]
async fn a_move_that_leaves_something_behind_keeps_the_store_chosen() {
    let world = World::without_keychain();
    let choice = world.choice().allow_unencrypted_file();
    let plain = choice.choose().await.unwrap();
    for account in ["a", "b"] {
        log_in(&plain, account).await;
    }
    let file = world.folder.join("logins").join(format!("login-{}.json", key("a").digest()));
    let good = fs::read(&file).unwrap();
    fs::write(&file, r#"{"format":"jeton-login","version":9}"#).unwrap();
    world.absent(false);
    for noted in [true, false] {
        if !noted {
            fs::remove_file(world.marker()).unwrap();
        }
        let (chosen, transferred) = choice.move_logins().await.unwrap();
        // One that cannot be read would stay alone: none goes.
        assert_eq!((transferred.moved.len(), transferred.failed.len()), (0, 1));
        assert_eq!(chosen.kind(), StoreKind::UnencryptedFile);
        assert!(is_there(&chosen, "b").await && world.keychain.users().is_empty());
    }
    fs::write(&file, good).unwrap();
    let (chosen, transferred) = choice.move_logins().await.unwrap();
    assert!(transferred.is_complete());
    assert_eq!(chosen.kind(), StoreKind::Keychain);
    assert!(is_there(&chosen, "a").await && is_there(&chosen, "b").await);
}

#[tokio::test]
async fn what_was_moved_is_told_even_if_nothing_can_be_chosen_after_it() {
    let world = World::without_keychain();
    let plain = FileStore::new(world.folder.join("logins"));
    let sealed = SealedStore::with_key(world.folder.join("sealed"), world.sealing_key.clone());
    for account in ["a", "b"] {
        log_in(&plain, account).await;
    }
    log_in(&sealed, "b").await;
    let in_the_way = world.folder.join("sealed").join(format!("login-{}.json", key("b").digest()));
    fs::write(in_the_way, "{").unwrap();
    let error = world.any().move_logins().await.unwrap_err().to_string();
    for told in
        ["in sealed files and in a file", "1 moved, 1 left", "account \"a\"", ": moved", ": left, for"]
    {
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(is_there(&sealed, "a").await && is_there(&plain, "b").await);
}

#[tokio::test]
async fn a_login_begun_while_the_others_are_moved_is_not_left_behind_in_silence() {
    let world = World::without_keychain();
    let choice = world.choice().allow_unencrypted_file();
    let plain = choice.choose().await.unwrap();
    log_in(&plain, "a").await;
    world.absent(false);
    let (keychain, _) = world.choice().open_keychain().unwrap();
    let in_use = keychain.lease(&key("a"), SOON).await.unwrap();
    let moving = tokio::spawn({
        let choice = choice.clone();
        async move { choice.move_logins().await }
    });
    // The first lease of the transfer: everything has been listed.
    while plain.lease(&key("a"), Duration::ZERO).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    log_in(&plain, "b").await;
    drop(in_use);
    let (chosen, transferred) = moving.await.unwrap().unwrap();
    assert_eq!(chosen.kind(), StoreKind::UnencryptedFile);
    assert!(is_there(&chosen, "b").await);
    assert_eq!((transferred.moved.len(), transferred.failed.len()), (1, 1), "{transferred}");
    assert!(transferred.to_string().contains("call `StoreChoice::move_logins` again"), "{transferred}");
    let (chosen, transferred) = choice.move_logins().await.unwrap();
    assert!(transferred.is_complete() && chosen.kind() == StoreKind::Keychain);
    assert!(is_there(&chosen, "a").await && is_there(&chosen, "b").await);
}

#[tokio::test]
async fn logins_in_a_store_that_the_program_does_not_ask_for_any_more_are_missed() {
    for keychain_is_back in [false, true] {
        let world = World::without_keychain();
        log_in(&world.any().choose().await.unwrap(), "a").await;
        world.absent(!keychain_is_back);
        let text = refusal(&world.choice().allow_unencrypted_file()).await;
        assert!(text.contains("in sealed files since") && text.contains("give their key"), "{text}");

        let world = World::without_keychain();
        log_in(&world.choice().allow_unencrypted_file().choose().await.unwrap(), "a").await;
        world.absent(!keychain_is_back);
        for choice in [world.choice(), world.choice().or_sealed_with_key(world.sealing_key.clone())] {
            let text = refusal(&choice).await;
            assert!(
                text.contains("not encrypted since") && text.contains("allow_unencrypted_file"),
                "{text}"
            );
            assert!(choice.move_logins().await.is_err());
        }
    }
    let world = World::new();
    log_in(&world.choice().choose().await.unwrap(), "a").await;
    let text = refusal(&world.any().without_keychain()).await;
    assert!(
        text.contains("in the keychain since") && text.contains("do not leave the keychain out"),
        "{text}"
    );
}

#[tokio::test]
async fn a_store_that_was_emptied_holds_nobody_back() {
    let world = World::without_keychain();
    let plain = world.choice().allow_unencrypted_file().choose().await.unwrap();
    log_in(&plain, "a").await;
    plain.lease(&key("a"), SOON).await.unwrap().delete().await.unwrap();
    // Not even the permission is needed any more.
    world.absent(false);
    for choice in [world.any(), world.choice()] {
        let chosen = choice.choose().await.unwrap();
        assert_eq!(chosen.kind(), StoreKind::Keychain);
        log_in(&chosen, "b").await;
    }
    world.absent(true);
    assert!(refusal(&world.any()).await.contains("in the keychain since"));
}

#[tokio::test]
async fn without_a_marker_the_logins_are_looked_for() {
    let world = World::without_keychain();
    log_in(&world.any().choose().await.unwrap(), "a").await;
    fs::remove_file(world.marker()).unwrap();
    world.absent(false);
    let chosen = world.any().choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::Sealed);
    let text = chosen.describe().to_string();
    assert!(text.contains("were found there") && text.contains("would be better"), "{text}");
    assert!(refusal(&world.choice()).await.contains("in sealed files: give their key"));

    // In two places nobody can tell which counts.
    let (keychain, _) = world.choice().open_keychain().unwrap();
    log_in(&keychain, "a").await;
    log_in(&keychain, "b").await;
    let text = refusal(&world.any()).await;
    assert!(text.contains("in the keychain and in sealed files") && text.contains("move_logins"), "{text}");
    let (chosen, transferred) = world.any().move_logins().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::Keychain);
    assert!(transferred.is_complete() && transferred.moved.len() == 1, "{transferred}");
    assert!(is_there(&chosen, "a").await && is_there(&chosen, "b").await);
}

#[tokio::test]
async fn of_two_processes_that_chose_differently_the_first_to_write_decides() {
    let world = World::new();
    let on_the_desktop = world.any().choose().await.unwrap();
    world.absent(true);
    let in_cron = world.any().choose().await.unwrap();
    world.absent(false);
    assert_ne!(on_the_desktop.kind(), in_cron.kind());
    log_in(&on_the_desktop, "a").await;
    let mut lease = in_cron.lease(&key("a"), SOON).await.unwrap();
    for refused in [lease.reserve(1).await, lease.save(&LoginRecord::new(key("a"), SystemTime::now())).await]
    {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("start this one again"), "{error}");
    }
    drop(lease);
    assert!(!is_there(&in_cron, "a").await);
    // What was chosen first goes on.
    log_in(&on_the_desktop, "b").await;
    assert!(is_there(&world.any().choose().await.unwrap(), "b").await);
}

async fn try_to_save(store: &dyn TokenStore, account: &str) -> String {
    let mut lease = store.lease(&key(account), SOON).await.unwrap();
    let reserved = lease.reserve(1).await.unwrap_err().to_string();
    let saved = lease.save(&LoginRecord::new(key(account), SystemTime::now())).await.unwrap_err().to_string();
    assert_eq!(reserved, saved);
    saved
}

#[tokio::test]
async fn a_login_that_is_called_off_pins_nobody_to_a_store() {
    let world = World::without_keychain();
    let chosen = world.any().choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::Sealed);
    // Room for it is made before the person is asked, who thinks better of it.
    chosen.lease(&key("a"), SOON).await.unwrap().reserve(1).await.unwrap();
    assert!(!world.marker().exists());
    world.absent(false);
    let other = world.choice().choose().await.unwrap();
    assert_eq!(other.kind(), StoreKind::Keychain);
    log_in(&other, "a").await;
}

#[tokio::test]
async fn that_the_marker_cannot_be_written_is_found_before_anybody_logs_in() {
    let world = World::new();
    let chosen = world.any().choose().await.unwrap();
    let mut lease = chosen.lease(&key("a"), SOON).await.unwrap();
    fs::create_dir_all(world.folder.join("store.json.room")).unwrap();
    let error = lease.reserve(1).await.unwrap_err();
    assert!(error.to_string().contains("store.json.room"), "{error}");
    fs::remove_dir(world.folder.join("store.json.room")).unwrap();
    lease.reserve(1).await.unwrap();
    let left: Vec<_> = fs::read_dir(&world.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("store.json")), "{left:?}");
}

#[tokio::test]
async fn a_process_that_lives_on_sees_that_the_logins_were_moved() {
    let world = World::without_keychain();
    let choice = world.choice().allow_unencrypted_file();
    let old = choice.choose().await.unwrap();
    log_in(&old, "a").await;
    world.absent(false);
    let (new, transferred) = choice.move_logins().await.unwrap();
    assert!(transferred.is_complete() && new.kind() == StoreKind::Keychain);
    assert!(try_to_save(&old, "b").await.contains("start this one again"));
    assert!(!is_there(&old, "b").await);
    log_in(&new, "b").await;
    // Whoever removes the marker decides anew; the first to write does.
    fs::remove_file(world.marker()).unwrap();
    log_in(&new, "c").await;
    assert!(world.marker().exists());
}

#[tokio::test]
async fn a_store_that_was_empty_when_another_was_chosen_is_looked_at_again() {
    let world = World::without_keychain();
    let choice = world.choice().allow_unencrypted_file();
    let old = choice.choose().await.unwrap();
    log_in(&old, "a").await;
    old.lease(&key("a"), SOON).await.unwrap().delete().await.unwrap();
    world.absent(false);
    let new = choice.choose().await.unwrap();
    assert_eq!(new.kind(), StoreKind::Keychain);
    log_in(&old, "b").await;
    assert!(try_to_save(&new, "c").await.contains("start this one again"));
    let chosen = choice.choose().await.unwrap();
    assert_eq!(chosen.kind(), StoreKind::UnencryptedFile);
    assert!(is_there(&chosen, "b").await);
}

#[tokio::test]
async fn a_wrong_key_or_passphrase_is_found_when_choosing() {
    let world = World::without_keychain();
    log_in(&world.any().choose().await.unwrap(), "a").await;
    let wrong = world.choice().or_sealed_with_key(SealingKey::generate().unwrap());
    assert!(matches!(wrong.choose().await, Err(StoreError::WrongSealingKey { .. })));
    let wrong = world.choice().or_sealed_with_passphrase(Secret::from("p"));
    assert!(matches!(wrong.choose().await, Err(StoreError::SealingKeyLost { .. })));

    let world = World::without_keychain();
    let right = world.choice().or_sealed_with_passphrase(Secret::from("p"));
    log_in(&right.choose().await.unwrap(), "a").await;
    assert!(is_there(&right.choose().await.unwrap(), "a").await);
    let wrong = world.choice().or_sealed_with_passphrase(Secret::from("q"));
    assert!(matches!(wrong.choose().await, Err(StoreError::WrongSealingKey { .. })));
    assert!(!format!("{right:?}").contains("\"p\""));
}

#[tokio::test]
async fn a_marker_that_cannot_be_read_stops_the_choice() {
    let world = World::new();
    log_in(&world.any().choose().await.unwrap(), "a").await;
    let good = fs::read_to_string(world.marker()).unwrap();
    for bad in [String::new(), good[..9].to_owned(), good.replace("jeton-store-choice", "other")] {
        fs::write(world.marker(), bad).unwrap();
        assert!(refusal(&world.any()).await.contains("remove it"));
    }
    for newer in [good.replace("\"version\":1", "\"version\":2"), good.replace("keychain", "vault")] {
        fs::write(world.marker(), newer).unwrap();
        assert!(matches!(world.any().choose().await, Err(StoreError::NewerFormat { .. })));
    }
}

#[tokio::test]
async fn names_that_could_lead_elsewhere_are_refused() {
    for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "\u{e4}", &"x".repeat(101)] {
        let choice = StoreChoice::for_program(name).without_keychain().allow_unencrypted_file();
        assert!(refusal(&choice).await.contains("cannot name a program"), "{name:?}");
    }
}

/// Tells whenever the task is to be polled again.
struct Woken(std::sync::mpsc::Sender<()>);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[test]
fn the_lock_on_the_marker_lasts_as_long_as_the_write_when_nobody_waits_for_it() {
    use crate::lock::LockFolder;
    use std::sync::mpsc;

    let world = World::new();
    let folder = PrivateFolder::new(&world.folder);
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let _inside = runtime.enter();
    let (wake, woken) = mpsc::channel();
    let waker = std::task::Waker::from(Arc::new(Woken(wake)));
    let mut context = std::task::Context::from_waker(&waker);
    let mut write = Box::pin(Marker::write(&folder, StoreKind::Sealed, None));
    let is_free = || {
        let locks = LockFolder::new(folder.clone());
        // A thread without a runtime, where the lock is tried in place.
        let tried = std::thread::spawn(move || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(locks.lock("choice", Duration::ZERO)).poll(&mut context).map(|lock| lock.is_ok())
        });
        match tried.join().unwrap() {
            std::task::Poll::Ready(is_free) => is_free,
            // Busy: it looks for the holder.
            std::task::Poll::Pending => false,
        }
    };
    assert!(write.as_mut().poll(&mut context).is_pending());
    woken.recv_timeout(SOON).unwrap();
    // It has the lock. The only thread for files is kept busy before the write itself.
    let (go, wait) = mpsc::channel::<()>();
    let busy = runtime.spawn_blocking(move || wait.recv());
    assert!(write.as_mut().poll(&mut context).is_pending());
    drop(write);
    assert!(!world.marker().exists() && !is_free(), "the write is still to come");
    go.send(()).unwrap();
    runtime.block_on(busy).unwrap().unwrap();
    // After everything that was to be done.
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
    assert!(world.marker().exists() && is_free());
}

#[cfg(feature = "contract-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_store_keeps_the_contract() {
    let world = World::without_keychain();
    let choice = world.any();
    crate::contract::run(move || {
        let choice = choice.clone();
        async move { Box::new(choice.choose().await.unwrap()) as Box<dyn TokenStore> }
    })
    .await;
}
