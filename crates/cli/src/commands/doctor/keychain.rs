//! The keychain: whether it is there and unlocked, which one it is, and whether an entry that is put in comes out again.

use std::time::{Duration, Instant, SystemTime};

use jeton::Secret;
use jeton::models::random_token;
use jeton::storage::{KeyringStore, LoginKey, LoginRecord, StoreError, TokenStore};

use super::folder::Scratch;
use super::report::{Group, Report};

/// Nobody is asked for anything, so that an answer takes no longer.
const MOMENT: Duration = Duration::from_secs(5);

/// Says what is wrong: as something to mend, or to know.
type Wrong = fn(&mut Group, &str, String, String);

/// No program keeps anything under it.
const SERVICE: &str = "jeton-doctor";

/// Whether to open it would ask the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Locked,
    Open,
}

/// `matters`: logins are or would be kept there. What is wrong with one that nobody uses is no finding.
pub(super) async fn look(report: &mut Report, matters: bool) -> Lock {
    let group = report.group("keychain");
    let wrong: Wrong = match matters {
        true => |group, name, found, help| group.mend(name, found, help),
        false => |group, name, found, help| group.note_with(name, found, help),
    };
    let scratch = match Scratch::make() {
        Ok(scratch) => scratch,
        Err(error) => {
            group.note("there", format!("not looked at, for there is no folder for its locks: {error}"));
            return Lock::Open;
        }
    };
    let store = KeyringStore::builder().service(SERVICE).lock_folder(scratch.path()).deadline(MOMENT).open();
    let store = match store {
        Ok(store) => store,
        Err(error) => {
            group.note("there", error.to_string());
            return Lock::Open;
        }
    };
    let begun = Instant::now();
    let checked = store.check().await;
    let took = begun.elapsed();
    owner::look(group).await;
    match checked {
        Ok(()) => {
            let backend = store.describe().backend;
            group.ok("there", format!("{backend}, unlocked; answered in {} ms", took.as_millis()));
            try_entry(group, &store, wrong).await;
        }
        Err(StoreError::NoKeychain { what }) => {
            // What is missing; what to do.
            let (missing, help) = what.split_once("; ").unwrap_or((&what, "keep logins elsewhere"));
            let help = format!("{help} (`--store sealed` encrypts files, `--store file` does not)");
            group.note_with("there", format!("none: {missing}"), help);
        }
        Err(StoreError::Locked { what }) => {
            let help = "unlock it, or log in to the desktop; this command asks nobody for the password";
            wrong(group, "locked", what, help.to_owned());
            return Lock::Locked;
        }
        Err(error @ StoreError::TimedOut { .. }) => {
            let help = "restart it, or keep logins in a file (`--store file`)";
            wrong(group, "answer", error.to_string(), help.to_owned());
        }
        Err(error) => {
            wrong(group, "there", error.to_string(), "restart it, or see its own program".to_owned());
        }
    }
    Lock::Open
}

/// Puts an entry in, reads it, and removes it.
async fn try_entry(group: &mut Group, store: &KeyringStore, wrong: Wrong) {
    let begun = Instant::now();
    match entry_comes_back(store).await {
        Ok(true) => {
            let took = begun.elapsed().as_millis();
            group.ok("entry", format!("one was written, read and removed again in {took} ms"));
        }
        Ok(false) => wrong(
            group,
            "entry",
            "what was read is not what was written".to_owned(),
            "restart the keychain, and look at its own program; until then take `--store file`".to_owned(),
        ),
        Err(error) => wrong(
            group,
            "entry",
            format!("none can be kept: {error}"),
            format!(
                "look at the keychain's own program; an entry of {SERVICE} that stayed may be removed there"
            ),
        ),
    }
}

async fn entry_comes_back(store: &KeyringStore) -> Result<bool, StoreError> {
    let issuer = "https://doctor.invalid".parse();
    let issuer = issuer.map_err(|error: jeton::models::IssuerError| StoreError::other(error.to_string()))?;
    let key = LoginKey::new(&issuer, "jeton-doctor").with_account(random_token(8).expose());
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.set_refresh_token(Secret::from("a test of jeton doctor, no secret"), SystemTime::now());
    let mut lease = store.lease(&key, MOMENT).await?;
    let saved = lease.save(&record).await;
    let found = match saved {
        Ok(()) => lease.load().await,
        Err(error) => Err(error),
    };
    // Also after a failure: something may have been written.
    lease.delete().await?;
    Ok(found?.is_some_and(|found| found == record))
}

/// Which program the Secret Service is.
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
mod owner {
    use super::{Group, MOMENT};

    pub(super) async fn look(group: &mut Group) {
        let (done, asked) = tokio::sync::oneshot::channel();
        // On a thread that is left alone if nobody answers.
        let started = std::thread::Builder::new().spawn(move || {
            let _ = done.send(ask());
        });
        if started.is_err() {
            return;
        }
        match tokio::time::timeout(MOMENT, asked).await {
            Ok(Ok(Some(program))) => group.ok("program", program),
            // That there is none, or no bus, is said by what comes next.
            Ok(_) => {}
            Err(_) => group.note("program", "the bus of this session does not answer"),
        }
    }

    fn ask() -> Option<String> {
        let bus = zbus::blocking::Connection::session().ok()?;
        let bus = zbus::blocking::fdo::DBusProxy::new(&bus).ok()?;
        let owner = bus.get_name_owner("org.freedesktop.secrets".try_into().ok()?).ok()?;
        let pid = bus.get_connection_unix_process_id(owner.into_inner().into()).ok();
        Some(match pid.and_then(|pid| Some((pid, name_of(pid)?))) {
            Some((pid, name)) => match known(&name) {
                Some(known) => format!("{known} ({name}, process {pid})"),
                None => format!("{name} (process {pid})"),
            },
            None => "one that does not say its name".to_owned(),
        })
    }

    /// Where there is a /proc.
    fn name_of(pid: u32) -> Option<String> {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// The kernel cuts names off after 15 letters.
    fn known(name: &str) -> Option<&'static str> {
        const KNOWN: [(&str, &str); 5] = [
            ("gnome-keyring", "gnome-keyring"),
            ("kwallet", "KWallet"),
            ("ksecret", "KWallet"),
            ("keepassxc", "KeePassXC"),
            ("oo7", "oo7"),
        ];
        KNOWN.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, known)| known)
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
mod owner {
    use super::Group;

    pub(super) async fn look(_group: &mut Group) {}
}
