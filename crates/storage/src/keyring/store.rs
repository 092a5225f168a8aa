//! The store: logins in the keychain, leases from a folder of locks.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use async_trait::async_trait;

use super::connection::Connection;
use super::login::{Held, LoginEntries, is_head, name_of};
use super::service::ServiceName;
use super::worker::{DEADLINE, Worker};
use crate::lock::LockFolder;
use crate::private_folder::PrivateFolder;
use crate::{
    LoginKey, LoginKeys, LoginRecord, Sharing, StoreDescription, StoreError, TokenLease, TokenStore, place,
};

/// The service under which logins are kept unless a program names its own.
const SERVICE: &str = "jeton";
/// How many logins a listing reads in one call.
const BATCH: usize = 16;

/// Keeps each login in an entry of the operating system's keychain, for all processes of the user.
///
/// | | keychain | largest secret | what the person is asked |
/// |---|---|---|---|
/// | Linux, BSD | Secret Service over D-Bus (gnome-keyring, KWallet, KeePassXC): its default collection | none | the collection's password, if it is locked and there is a screen |
/// | macOS | the user's login keychain | none | whether this program may use the entry, once for each program, and again after each rebuild of an unsigned one |
/// | Windows | Credential Manager, on this machine (not roaming) | 2,560 bytes | nothing |
///
/// Elsewhere every call is [`StoreError::NoKeychain`].
///
/// Records may have any size: one that is larger than the keychain takes is kept in several entries, of which one is
/// written last and names the others, so that a crash leaves the old record or the new one.
///
/// # Waiting
///
/// A keychain may take as long as a person takes to find a password, or hang. Calls are made on one thread for all
/// keyring stores of the process, so an async runtime is never blocked, and each has a deadline: [`StoreError::TimedOut`].
/// A write that was begun is not given up by that: it ends some time, and keeps the lease until it has. The thread
/// ends with the last store and never keeps the process alive. When the keychain's daemon was restarted, the call that
/// finds out makes a new connection. In a child that was forked without exec, every call times out.
///
/// # Absent, locked
///
/// Neither is ever taken for "there is no login": [`StoreError::NoKeychain`], [`StoreError::Locked`]. So is a keychain that
/// gives nothing for a secret that it has: [`StoreError::Damaged`]. [`check`](Self::check) asks beforehand, and asks nobody.
///
/// # Leases
///
/// Keychains have no locks. The lease is an OS lock in a folder that all programs of the user compute alike, the folder
/// `jeton/locks` where [`FileStore::at_default_place`](crate::FileStore::at_default_place) has `jeton/logins`. Programs with
/// another idea of it (a sandbox with a state folder of its own) do not exclude each other; give them the
/// [same folder](KeyringStoreBuilder::lock_folder), or another service.
///
/// # Room
///
/// [`reserve`](TokenLease::reserve) writes an entry of that size and so proves that the keychain is unlocked and can be
/// written, before a refresh token is used up. No keychain can keep room for certain.
///
/// # Entries
///
/// All are of the [service](KeyringStoreBuilder::service). `<login>` is `login-` followed by [`LoginKey::digest`]. Where the
/// keychain shows labels they name the account, the client and the issuer.
///
/// | entry | what |
/// |---|---|
/// | `<login>` | the record, or a JSON object of the format `jeton-login-parts` that names its parts |
/// | `<login>.a1`, `.a2`, ... or `.b1`, `.b2`, ... | the parts; two sets, of which the head names one |
/// | `<login>.room` | what `reserve` wrote; holds no secret |
/// | `<login>.damaged` | what could not be read and was replaced; kept as evidence, yours to delete |
///
/// # Cost
///
/// Keychain calls, where there is no limit: one for a load; for a refresh four (read, make room, write, remove the room), of
/// which three write. On the Secret Service each is two to five round trips over D-Bus, and gnome-keyring writes and syncs
/// its whole file at each that writes. With `n` parts, a load takes `1 + n` and a refresh `5 + 5 n`. The first call connects.
///
/// # Whom it protects against
///
/// The keychain is encrypted on the disk (a Secret Service whose collection has an empty password is not). While it is
/// unlocked, other programs of the same user may read it, on macOS after asking the person.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
/// use jeton_storage::{KeyringStore, LoginKey, LoginRecord, StoreError, TokenStore};
///
/// let store = KeyringStore::open("com.example.my-tool")?;
/// match store.check().await {
///     Ok(()) => {}
///     // No keychain in this session: the logins of this program are somewhere else.
///     Err(StoreError::NoKeychain { what }) => return Err(what.into()),
///     // The person will be asked for the password.
///     Err(StoreError::Locked { .. }) => {}
///     Err(error) => return Err(error.into()),
/// }
///
/// let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
/// let mut lease = store.lease(&key, Duration::from_secs(5)).await?;
/// lease.save(&LoginRecord::new(key.clone(), SystemTime::now())).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyringStore {
    inner: Arc<Inner>,
}

struct Inner {
    service: ServiceName,
    locks: LockFolder,
    lock_folder: PathBuf,
    deadline: Duration,
    worker: Arc<Worker>,
}

/// Settings of a [`KeyringStore`].
#[derive(Clone, Debug)]
pub struct KeyringStoreBuilder {
    service: String,
    lock_folder: Option<PathBuf>,
    deadline: Duration,
}

impl KeyringStore {
    /// The logins under that service, with everything else as [`builder`](Self::builder) has it. Neither the keychain nor
    /// a file is touched before the first operation.
    ///
    /// Programs that name the same service share their logins. `jeton` is the one that is used by programs that have
    /// no reason to keep apart.
    ///
    /// # Errors
    /// Those of [`KeyringStoreBuilder::open`].
    pub fn open(service: &str) -> Result<Self, StoreError> {
        Self::builder().service(service).open()
    }

    /// A store of the service `jeton`, in the user's usual keychain, that waits ten seconds for each call.
    pub fn builder() -> KeyringStoreBuilder {
        KeyringStoreBuilder { service: SERVICE.to_owned(), lock_folder: None, deadline: DEADLINE }
    }

    /// Whether the keychain could be used now. The person is asked for nothing, and nothing is written.
    ///
    /// macOS and Windows do not tell whether a keychain is locked without asking; there, it is taken to be unlocked.
    ///
    /// # Errors
    /// [`StoreError::NoKeychain`] if there is none; [`StoreError::Locked`] if it would have to ask for a password;
    /// [`StoreError::TimedOut`]; [`StoreError::Keychain`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.run("look at it", Connection::check).await
    }

    /// The service whose entries the logins are.
    pub fn service(&self) -> &str {
        self.inner.service.as_str()
    }

    /// The folder of the locks, as an absolute path.
    pub fn lock_folder(&self) -> &Path {
        &self.inner.lock_folder
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.worker.run(operation, self.inner.deadline, work).await
    }
}

impl KeyringStoreBuilder {
    /// The service: 1 to 100 ASCII letters, digits, dots, hyphens and underscores. Windows does not tell upper case
    /// from lower.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// The folder of the locks. Everybody who uses the same service must use the same one.
    #[must_use]
    pub fn lock_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.lock_folder = Some(folder.into());
        self
    }

    /// How long a call to the keychain is waited for. Not shorter than a person needs to type a password, if it is to
    /// be unlocked by the call.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Opens the store, which touches neither the keychain nor a file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the service's name is not one that every keychain takes, or if no lock folder was
    /// named and the user has no home folder.
    pub fn open(self) -> Result<KeyringStore, StoreError> {
        self.over(Worker::of_this_process())
    }

    pub(crate) fn over(self, worker: Arc<Worker>) -> Result<KeyringStore, StoreError> {
        let folder = match self.lock_folder {
            Some(folder) => folder,
            None => place::state_folder()?.join("locks"),
        };
        let folder = PrivateFolder::new(&folder);
        Ok(KeyringStore {
            inner: Arc::new(Inner {
                service: ServiceName::new(&self.service)?,
                lock_folder: folder.path().to_owned(),
                locks: LockFolder::new(folder),
                deadline: self.deadline,
                worker,
            }),
        })
    }
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringStore")
            .field("service", &self.service())
            .field("lock_folder", &self.lock_folder())
            .finish()
    }
}

#[async_trait]
impl TokenStore for KeyringStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        let (entries, key) = (LoginEntries::new(&self.inner.service, key), key.clone());
        self.run("read the login", move |connection| {
            let Some(json) = entries.read(connection)? else { return Ok(None) };
            LoginRecord::from_json(&json, &key)
                .map(Some)
                .map_err(|error| StoreError::from_record(error, entries.place()))
        })
        .await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let entries = LoginEntries::new(&self.inner.service, key);
        let lock = self.inner.locks.lock(&entries.lock_name(), deadline).await?;
        Ok(Box::new(KeyringLease {
            store: self.clone(),
            key: key.clone(),
            held: Arc::new(Mutex::new(Held::new(entries, key.clone(), lock))),
            may_have_room: false,
        }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        Box::new(KeyringKeys { store: self, listing: Arc::default() })
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription {
            location: format!("the service {:?}", self.service()),
            persistent: true,
            encrypted: true,
            shared_with: Sharing::User,
            ..StoreDescription::new(self.inner.worker.platform().name())
        }
    }
}

/// Each operation runs on the keychain's thread with a share of what is held: a dropped future, or lease, or a
/// deadline, does not release the lock before the operation has ended.
struct KeyringLease {
    store: KeyringStore,
    key: LoginKey,
    held: Arc<Mutex<Held>>,
    may_have_room: bool,
}

impl KeyringLease {
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Held, &mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = Arc::clone(&self.held);
        self.store
            .run(operation, move |connection| match held.try_lock() {
                Ok(mut held) => work(&mut held, connection),
                // What is held is looked at anew by the next operation.
                Err(TryLockError::Poisoned(held)) => work(&mut held.into_inner(), connection),
                // An earlier operation has not ended, on a thread that was given up: it might still write.
                Err(TryLockError::WouldBlock) => {
                    Err(StoreError::TimedOut { operation, waited: Duration::ZERO, pending: false })
                }
            })
            .await
    }
}

#[async_trait]
impl TokenLease for KeyringLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.run("read the login", Held::load).await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.may_have_room = true;
        self.run("make room for the login", move |held, connection| held.reserve(connection, bytes)).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        if record.key != self.key {
            return Err(StoreError::WrongKey {
                place: format!("the lease on {}", self.key),
                found: Box::new(record.key.clone()),
            });
        }
        let json = record.to_json();
        self.run("save the login", move |held, connection| held.save(connection, &json)).await?;
        self.may_have_room = false;
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.run("delete the login", Held::delete).await?;
        self.may_have_room = false;
        Ok(())
    }
}

impl Drop for KeyringLease {
    fn drop(&mut self) {
        if !self.may_have_room {
            return;
        }
        let held = Arc::clone(&self.held);
        let tidy_up = move |connection: &mut Connection| {
            if let Ok(mut held) = held.try_lock() {
                held.give_room_back(connection);
            }
        };
        self.store.inner.worker.run_if_idle(tidy_up);
    }
}

/// A listing under way. Shared with the thread that reads the next batch, so that a dropped `next` loses none.
struct KeyringKeys<'a> {
    store: &'a KeyringStore,
    listing: Arc<Mutex<Listing>>,
}

#[derive(Default)]
struct Listing {
    /// The head entries that are still to be read; `None` before they were asked for. The names are all that a keychain
    /// gives at once.
    names: Option<VecDeque<String>>,
    found: VecDeque<Result<LoginKey, StoreError>>,
    ended: bool,
}

#[async_trait]
impl LoginKeys for KeyringKeys<'_> {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        loop {
            // Not waited for: after a dropped `next` the last batch may still be under way.
            if let Ok(mut listing) = self.listing.try_lock() {
                match listing.found.pop_front() {
                    None if listing.ended => return None,
                    None => {}
                    found => return found,
                }
            }
            let (listing, service) = (Arc::clone(&self.listing), self.store.inner.service.clone());
            let more = move |connection: &mut Connection| locked(&listing).read_more(connection, &service);
            if let Err(error) = self.store.run("list the logins", more).await {
                // A batch that has not been answered may hold the lock; then there is nothing to wait for.
                self.listing = Arc::new(Mutex::new(Listing { ended: true, ..Listing::default() }));
                return Some(Err(error));
            }
        }
    }
}

impl Listing {
    /// Puts the next batch into `found`, unless there is one.
    fn read_more(&mut self, connection: &mut Connection, service: &ServiceName) -> Result<(), StoreError> {
        if !self.found.is_empty() || self.ended {
            return Ok(());
        }
        let names = match &mut self.names {
            Some(names) => names,
            None => {
                let users = connection.users(service.as_str())?;
                self.names.insert(users.into_iter().filter(|user| is_head(user)).collect())
            }
        };
        for name in names.drain(..names.len().min(BATCH)) {
            match key_in(connection, service, &name) {
                // Not of one login, but of all that are left.
                Err(error @ (StoreError::NoKeychain { .. } | StoreError::Locked { .. })) => {
                    return Err(error);
                }
                found => self.found.extend(found.transpose()),
            }
        }
        self.ended = names.is_empty();
        Ok(())
    }
}

/// The login that the head entry of that name holds; `None` if it was deleted since it was found.
fn key_in(
    connection: &mut Connection,
    service: &ServiceName,
    name: &str,
) -> Result<Option<LoginKey>, StoreError> {
    let entries = LoginEntries::found(service, name);
    let Some(json) = entries.read(connection)? else { return Ok(None) };
    let key =
        LoginRecord::key_in_json(&json).map_err(|error| StoreError::from_record(error, entries.place()))?;
    if name_of(&key) != name {
        return Err(StoreError::WrongKey { place: entries.place(), found: Box::new(key) });
    }
    Ok(Some(key))
}

/// A panic under this lock leaves nothing that the next operation does not look at anew.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
