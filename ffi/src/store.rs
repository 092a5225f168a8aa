//! `jeton_store`: a store of the program's own, as a table of functions.
//!
//! One thread per store runs all of its callbacks, one at a time and in the order in which they were asked for. Whatever
//! gives up a lease goes through the same queue, behind the write that may still be running.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CString, c_char, c_void};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use jeton::StoreError;
use jeton::storage::{
    Holder, LoginKey, LoginKeys, LoginRecord, Sharing, StoreDescription, TokenLease, TokenStore,
};
use tokio::sync::{OwnedMutexGuard, oneshot};
use zeroize::Zeroizing;

pub(crate) use crate::callbacks::in_store_callback;

use crate::callbacks::{Userdata, Worker, handle_mut, read_struct};
use crate::config::jeton_config;
use crate::error::{
    CallbackError, Failure, JETON_ERROR_INTERNAL, JETON_ERROR_INVALID_ARGUMENT, JETON_OK, jeton_error,
};
use crate::strings::{bytes, optional_text, owned};
use crate::{fallible, guarded};

/// The answer of a store's `try_lock` when somebody else has the lock.
pub const JETON_STORE_BUSY: i32 = 1;

/// The largest record that is read, in bytes: many times what a login ever has.
const MAX_RECORD: usize = 16 * 1024 * 1024;

/// How much longer than the deadline one try to lock is waited for: the callbacks before it may be slow.
const GRACE: Duration = Duration::from_secs(1);

/// Pauses between tries to lock, before jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What is kept where the program gives its store no name.
const NO_NAME: &str = "custom";

/// A store of the program's own: for jeton_config_set_store.
///
/// Keys are names of at most 64 characters (letters and digits in ASCII), one for each login, that fit into file names. A
/// record is a text of some kilobytes that holds the login's tokens in the clear: keep it from others.
///
/// All callbacks of one store run on one thread of jeton's, one at a time. They must not make blocking calls of jeton, which
/// answer `JETON_ERROR_INVALID_ARGUMENT` there, and must return in the ordinary way: no exception, no longjmp. Each but
/// `unlock` and `destroy` returns 0 for success. Anything else (from `try_lock`: anything but `JETON_STORE_BUSY`) is an error: the
/// call of jeton that needed the store fails with `JETON_ERROR_CALLBACK`, and jeton_error_callback_result tells what was returned.
///
/// Within the process jeton sees to it that only one writes a login at a time, as long as all clients are made from one
/// configuration. If records are shared with other processes or other configurations, `try_lock` and `unlock` must exclude those.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_store {
    /// sizeof(jeton_store).
    pub struct_size: usize,
    /// Handed to each callback.
    pub userdata: *mut c_void,
    /// Shown in descriptions and errors; copied. NULL: "custom".
    pub name: *const c_char,
    /// 1 if logins are still there after the program was started anew, else 0.
    pub is_persistent: i32,
    /// 1 if the store encrypts what it keeps, else 0.
    pub is_encrypted: i32,
    /// Writes the record of `key` into `sink` with jeton_sink_write, in one or several parts, or writes nothing and returns 0 if
    /// there is none. A record is whole: what one `save` got, never half of one.
    pub load:
        Option<unsafe extern "C" fn(userdata: *mut c_void, key: *const c_char, sink: *mut jeton_sink) -> i32>,
    /// Replaces the record of `key`, or creates it: wholly or not at all. Durable when it returns. `record` is wiped afterwards.
    pub save: Option<
        unsafe extern "C" fn(
            userdata: *mut c_void,
            key: *const c_char,
            record: *const u8,
            length: usize,
        ) -> i32,
    >,
    /// Removes the record of `key`. Durable when it returns; no error if there was none.
    pub remove: Option<unsafe extern "C" fn(userdata: *mut c_void, key: *const c_char) -> i32>,
    /// Writes the key of each record into `sink`, each with one jeton_sink_write. May be NULL: then jeton_client_accounts fails.
    pub list: Option<unsafe extern "C" fn(userdata: *mut c_void, sink: *mut jeton_sink) -> i32>,
    /// Locks `key` among all who share the records: 0 if it has the lock now, `JETON_STORE_BUSY` if somebody else has it. Must
    /// not wait: jeton tries again until the lease timeout (`JETON_OPTION_LEASE_TIMEOUT_MS`). The lock must not outlive the
    /// process. May be NULL, with `unlock`, for a store that nobody else uses.
    pub try_lock: Option<unsafe extern "C" fn(userdata: *mut c_void, key: *const c_char) -> i32>,
    /// Gives back what `try_lock` took: called once for each 0 that it returned.
    pub unlock: Option<unsafe extern "C" fn(userdata: *mut c_void, key: *const c_char)>,
    /// Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. Whoever frees
    /// the last of those waits for it, at most two seconds, unless a callback frees it or a refresh under way still holds on to the
    /// client. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
}

/// Where a store's callback writes to: lent to it for the call.
///
/// Threads: the thread of the callback only.
pub struct jeton_sink {
    /// `None` for a record: what is written is one text. `Some`: each is a key of its own.
    keys: Option<Vec<Vec<u8>>>,
    record: Zeroizing<Vec<u8>>,
    written: bool,
    /// Why a part of it was refused: what is there is not whole.
    refused: Option<Failure>,
}

impl fmt::Debug for jeton_sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it is secret.
        f.debug_struct("jeton_sink").field("written", &self.written).finish_non_exhaustive()
    }
}

impl jeton_sink {
    fn for_record() -> Self {
        Self { keys: None, record: Zeroizing::default(), written: false, refused: None }
    }

    fn for_keys() -> Self {
        Self { keys: Some(Vec::new()), ..Self::for_record() }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.written = true;
        if let Some(keys) = &mut self.keys {
            keys.push(bytes.to_vec());
            return Ok(());
        }
        if bytes.len() > MAX_RECORD - self.record.len() {
            return Err(jeton_error::argument(format!("the record is longer than {MAX_RECORD} bytes")));
        }
        if self.record.capacity() - self.record.len() < bytes.len() {
            // Grown by hand: what a vector leaves behind when it grows would not be wiped.
            let mut larger =
                Vec::with_capacity((self.record.len() + bytes.len()).max(2 * self.record.capacity()));
            larger.extend_from_slice(&self.record);
            self.record = Zeroizing::new(larger);
        }
        self.record.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes what a store's callback has: for `load` a part of the record, which may come in several; for `list` one whole key,
/// without a NUL.
///
/// `bytes`: `length` bytes, copied; may be NULL if `length` is 0. A record of no bytes is a damaged one: write nothing at all if
/// there is none.
///
/// Threads: only within the callback that was given the sink, on its thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` if an argument is NULL or the record is longer than 16 MiB; the callback fails then,
/// whatever it returns.
///
/// # Safety
///
/// `sink` is NULL or the sink of the callback that runs; `bytes` is NULL or points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_sink_write(sink: *mut jeton_sink, bytes: *const u8, length: usize) -> i32 {
    guarded(JETON_ERROR_INTERNAL, || {
        // SAFETY: the caller promises NULL or the sink that it was lent, which only this thread uses.
        let sink = unsafe { sink.as_mut() };
        // SAFETY: as the caller promises.
        let bytes = unsafe { self::bytes(bytes, length, "bytes") };
        let Some(sink) = sink else { return JETON_ERROR_INVALID_ARGUMENT };
        match bytes.and_then(|bytes| sink.write(bytes)) {
            Ok(()) => JETON_OK,
            Err(failure) => {
                let status = failure.status();
                sink.refused = Some(failure);
                status
            }
        }
    })
}

/// Sets a store of the program's own, in the place of what was set before (whose `destroy` is called, if nothing else uses
/// it) and of `JETON_OPTION_STORE`.
///
/// `store`: the struct is copied; its `userdata` belongs to jeton from here on, until its `destroy` is called. If this function
/// fails, that is not called. A program that keeps the same records in two configurations must bring `try_lock` and `unlock`.
///
/// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `store` is NULL, if its `struct_size` is
/// wrong, if it lacks `load`, `save` or `remove`, or has only one of `try_lock` and `unlock`.
///
/// # Safety
///
/// `config` is NULL or a live handle that no other thread uses; `store` is NULL or points to a `jeton_store` of the size that it
/// says, whose functions may be called with its `userdata` on any thread; `error` is NULL or points to where a pointer can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_store(
    config: *mut jeton_config,
    store: *const jeton_store,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let config = handle_mut(config, "config")?;
            let store = CallbackStore::read(store)?;
            drop(config.store.replace(Arc::new(store)));
            Ok(())
        })
    }
}

/// The program's functions. Used on the store's thread only.
struct Table {
    functions: jeton_store,
    name: Arc<str>,
    userdata: Userdata,
}

// SAFETY: the pointers inside are the program's `userdata`, meant for any thread, and `name`, which is not used any more.
unsafe impl Send for Table {}
// SAFETY: as above; nothing changes behind a shared reference.
unsafe impl Sync for Table {}

impl Table {
    fn failed(&self, callback: &str, result: i32) -> StoreError {
        let what = format!("the callback {callback} of the store {:?}", &*self.name);
        StoreError::other(CallbackError { what, result })
    }

    fn checked(&self, callback: &str, result: i32) -> Result<(), StoreError> {
        if result == 0 { Ok(()) } else { Err(self.failed(callback, result)) }
    }

    /// A callback may pass over what jeton_sink_write said. That must not look as if there was less than there is.
    fn is_whole(&self, callback: &str, sink: &jeton_sink) -> Result<(), StoreError> {
        let Some(refused) = &sink.refused else { return Ok(()) };
        Err(StoreError::Unavailable {
            what: format!(
                "what the callback {callback} of the store {:?} wrote was refused: {}; have it return the status of \
                 jeton_sink_write",
                &*self.name,
                refused.message()
            ),
        })
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(load) = self.functions.load else { return Ok(None) };
        let mut sink = jeton_sink::for_record();
        // SAFETY: the program gave the function for this; key and sink outlive the call.
        let result = unsafe { load(self.userdata.pointer(), key.as_ptr(), &raw mut sink) };
        self.checked("load", result)?;
        self.is_whole("load", &sink)?;
        Ok(sink.written.then_some(sink.record))
    }

    fn save(&self, key: &Key, record: &[u8]) -> Result<(), StoreError> {
        let Some(save) = self.functions.save else { return Ok(()) };
        // SAFETY: the program gave the function for this; key and record outlive the call.
        let result = unsafe { save(self.userdata.pointer(), key.as_ptr(), record.as_ptr(), record.len()) };
        self.checked("save", result)
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let Some(remove) = self.functions.remove else { return Ok(()) };
        // SAFETY: the program gave the function for this; the key outlives the call.
        let result = unsafe { remove(self.userdata.pointer(), key.as_ptr()) };
        self.checked("remove", result)
    }

    fn list(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(list) = self.functions.list else {
            return Err(StoreError::Unavailable {
                what: format!(
                    "the store {:?} has no callback list, so nobody can tell which logins it has; give it one",
                    &*self.name
                ),
            });
        };
        let mut sink = jeton_sink::for_keys();
        // SAFETY: the program gave the function for this; the sink outlives the call.
        let result = unsafe { list(self.userdata.pointer(), &raw mut sink) };
        self.checked("list", result)?;
        self.is_whole("list", &sink)?;
        Ok(sink.keys.unwrap_or_default())
    }

    /// Whether it has the lock now.
    fn try_lock(&self, key: &Key) -> Result<bool, StoreError> {
        let Some(try_lock) = self.functions.try_lock else { return Ok(true) };
        // SAFETY: the program gave the function for this; the key outlives the call.
        match unsafe { try_lock(self.userdata.pointer(), key.as_ptr()) } {
            0 => Ok(true),
            JETON_STORE_BUSY => Ok(false),
            result => Err(self.failed("try_lock", result)),
        }
    }

    fn unlock(&self, key: &Key) {
        let Some(unlock) = self.functions.unlock else { return };
        // SAFETY: the program gave the function for this; the key outlives the call.
        unsafe { unlock(self.userdata.pointer(), key.as_ptr()) }
    }

    /// Where a record is, for errors.
    fn place(&self, key: &str) -> String {
        place(&self.name, key)
    }
}

fn place(name: &str, key: &str) -> String {
    format!("the store {name:?} under the key {key}")
}

/// What the program knows a login by.
#[derive(Clone)]
struct Key(Arc<CString>);

impl Key {
    fn new(digest: &str) -> Self {
        Self(Arc::new(owned(digest)))
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr()
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

type Job = Box<dyn FnOnce(&Table) + Send>;

/// A store of the program's own. Clones are the same store.
#[derive(Clone)]
pub(crate) struct CallbackStore(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    description: StoreDescription,
    locks: bool,
    worker: Worker<Job>,
    /// The logins whose lease somebody has or waits for.
    places: Mutex<HashMap<LoginKey, Arc<Place>>>,
}

/// Excludes the tasks of this process from a login that one of them writes.
#[derive(Default)]
struct Place {
    lease: Arc<tokio::sync::Mutex<()>>,
    since: Mutex<Option<SystemTime>>,
}

/// No code that can panic runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallbackStore {
    /// # Errors
    /// When the table cannot work; its `userdata` then stays the caller's.
    ///
    /// # Safety
    ///
    /// `table` is NULL or points to a `jeton_store` whose size and name are as the header says.
    pub(crate) unsafe fn read(table: *const jeton_store) -> Result<Self, Failure> {
        // SAFETY: as the caller promises.
        let functions = unsafe { read_struct(table, "jeton_store") }?;
        // SAFETY: as the caller promises.
        let name = unsafe { optional_text(functions.name, "name of the jeton_store") }?;
        let name: Arc<str> = Arc::from(name.filter(|name| !name.is_empty()).unwrap_or(NO_NAME));
        let missing = [
            ("load", functions.load.is_none()),
            ("save", functions.save.is_none()),
            ("remove", functions.remove.is_none()),
        ];
        if let Some((missing, _)) = missing.into_iter().find(|(_, missing)| *missing) {
            return Err(jeton_error::argument(format!(
                "the store {name:?} has no callback {missing}; load, save and remove must be there"
            )));
        }
        if functions.try_lock.is_some() != functions.unlock.is_some() {
            return Err(jeton_error::argument(format!(
                "the store {name:?} has only one of try_lock and unlock; set both, or neither"
            )));
        }
        let locks = functions.try_lock.is_some();
        let mut description = StoreDescription::new(&*name);
        description.persistent = functions.is_persistent != 0;
        description.encrypted = functions.is_encrypted != 0;
        description.shared_with = if locks { Sharing::User } else { Sharing::Process };

        let userdata = Userdata::new(functions.userdata, functions.destroy);
        let table = Table { functions, name: Arc::clone(&name), userdata };
        let worker = Worker::for_store("jeton-store", move |job: Job, _| job(&table));
        Ok(Self(Arc::new(Inner { name, description, locks, worker, places: Mutex::default() })))
    }

    /// Runs callbacks on the store's thread. They run to their end even if nobody waits any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Table) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        // What nobody waits for any more is dropped on the store's thread.
        let job: Job = Box::new(move |table| drop(answer.send(work(table))));
        self.0.worker.push(job).map_err(|error| StoreError::Unavailable {
            what: format!("no thread could be started for the store {:?}: {error}", &*self.0.name),
        })?;
        answered.await.map_err(|_| StoreError::Unavailable {
            what: format!(
                "a call of the store {:?} ended by a panic of jeton's; please report it",
                &*self.0.name
            ),
        })
    }

    fn place(&self, key: &LoginKey) -> PlaceInUse {
        let place = Arc::clone(locked(&self.0.places).entry(key.clone()).or_default());
        PlaceInUse { store: self.clone(), login: key.clone(), place }
    }

    /// One try of the program's own lock. The permit goes along: if nobody waits for the outcome any more, no other task of this
    /// process may try before it is unlocked again.
    async fn try_lock(&self, key: &Key, permit: &Arc<Permit>) -> Result<Option<Locked>, StoreError> {
        let (store, key, permit) = (self.clone(), key.clone(), Arc::clone(permit));
        self.run(move |table| {
            table.try_lock(&key).map(|got| got.then(|| Locked { store, key, permit: Some(permit) }))
        })
        .await?
    }
}

#[async_trait]
impl TokenStore for CallbackStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        let name = Key::new(&key.digest());
        let stored = self.run({
            let name = name.clone();
            move |table| table.load(&name)
        });
        let Some(record) = stored.await?? else { return Ok(None) };
        read(&record, key, &self.0.name, name.as_str()).map(Some)
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let started = Instant::now();
        let in_use = self.place(key);
        let lease = &in_use.place.lease;
        let exclusive = match Arc::clone(lease).try_lock_owned() {
            // Tried first and not only waited for: tokio lets a wait be pending, free or not, when the task has done a lot
            // without a pause.
            Ok(exclusive) => exclusive,
            Err(_) => match tokio::time::timeout(deadline, Arc::clone(lease).lock_owned()).await {
                Ok(exclusive) => exclusive,
                Err(_) => {
                    let since = *locked(&in_use.place.since);
                    let holder = since.map(Holder::this_process);
                    return Err(StoreError::LeaseTimeout { waited: started.elapsed(), holder });
                }
            },
        };
        *locked(&in_use.place.since) = Some(SystemTime::now());
        let permit = Arc::new(Permit { _exclusive: exclusive, _in_use: in_use });
        let name = Key::new(&key.digest());
        let lease = |lock| {
            let (store, key, name) = (self.clone(), key.clone(), name.clone());
            let permit = Arc::clone(&permit);
            Box::new(CallbackLease { store, key, name, may_be_replaced: false, _lock: lock, permit })
        };
        if !self.0.locks {
            return Ok(lease(None));
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            match tokio::time::timeout(left.saturating_add(GRACE), self.try_lock(&name, &permit)).await {
                Ok(Ok(Some(lock))) => return Ok(lease(Some(lock))),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) | Err(_) => {}
            }
            let waited = started.elapsed();
            if waited >= deadline {
                return Err(StoreError::LeaseTimeout { waited, holder: None });
            }
            tokio::time::sleep(jittered(pause).min(deadline - waited)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        Box::new(CallbackKeys { store: self, keys: None })
    }

    fn describe(&self) -> StoreDescription {
        self.0.description.clone()
    }
}

/// Between half of it and all of it.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1_000;
    pause / 2 + pause * u32::try_from(random).unwrap_or_default() / 2_000
}

fn read(record: &[u8], key: &LoginKey, store: &str, name: &str) -> Result<LoginRecord, StoreError> {
    LoginRecord::from_json(record, key).map_err(|error| StoreError::from_record(error, place(store, name)))
}

/// Held by whoever has the lease within this process or waits for it; the last to go takes the place out of the map.
struct PlaceInUse {
    store: CallbackStore,
    login: LoginKey,
    place: Arc<Place>,
}

impl Drop for PlaceInUse {
    fn drop(&mut self) {
        let mut places = locked(&self.store.0.places);
        // Two: the map's and this one. Others can only be made under the lock that is held here.
        if Arc::strong_count(&self.place) == 2 {
            places.remove(&self.login);
        }
    }
}

/// The lease within this process. Jobs that write have a share of it, so that it lasts until they have ended.
struct Permit {
    // Dropped first: whoever comes after finds the lease free and the place still there.
    _exclusive: OwnedMutexGuard<()>,
    _in_use: PlaceInUse,
}

/// The program's own lock. Given back through the store's queue, and with it the lease within this process.
struct Locked {
    store: CallbackStore,
    key: Key,
    permit: Option<Arc<Permit>>,
}

impl Drop for Locked {
    fn drop(&mut self) {
        let (key, permit) = (self.key.clone(), self.permit.take());
        let unlocking = self.store.0.worker.push(Box::new(move |table| {
            table.unlock(&key);
            drop(permit);
        }));
        // The thread runs already: it took the lock.
        if let Err(error) = unlocking {
            tracing::error!(%error, "a lock of the program's store could not be given back");
        }
    }
}

struct CallbackLease {
    store: CallbackStore,
    key: LoginKey,
    name: Key,
    /// What is stored was looked at under this lease, and is neither from a newer version nor another login's.
    may_be_replaced: bool,
    _lock: Option<Locked>,
    permit: Arc<Permit>,
}

impl CallbackLease {
    /// Runs what writes, after a look at what would be replaced.
    async fn write(
        &mut self,
        work: impl FnOnce(&Table, &Key) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (login, key, looked) = (self.key.clone(), self.name.clone(), self.may_be_replaced);
        let permit = Arc::clone(&self.permit);
        let written = self.store.run(move |table| {
            let _until_written = permit;
            if !looked {
                look(table, &login, &key)?;
            }
            work(table, &key)
        });
        written.await??;
        self.may_be_replaced = true;
        Ok(())
    }
}

/// Refuses what must not be overwritten. What is damaged may be.
fn look(table: &Table, login: &LoginKey, key: &Key) -> Result<(), StoreError> {
    let Some(record) = table.load(key)? else { return Ok(()) };
    match read(&record, login, &table.name, key.as_str()) {
        Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl TokenLease for CallbackLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.store.load(&self.key).await;
        self.may_be_replaced = matches!(found, Ok(_) | Err(StoreError::Damaged { .. }));
        found
    }

    async fn reserve(&mut self, _bytes: usize) -> Result<(), StoreError> {
        // There is no callback to make room with; but what the save would refuse is refused before it is too late.
        if self.may_be_replaced { Ok(()) } else { self.write(|_, _| Ok(())).await }
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        if record.key != self.key {
            return Err(StoreError::WrongKey {
                place: format!("the lease on {}", self.key),
                found: Box::new(record.key.clone()),
            });
        }
        let record = record.to_json();
        self.write(move |table, key| table.save(key, &record)).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.write(Table::remove).await
    }
}

/// The keys that `list` told, each looked up when its turn comes.
struct CallbackKeys<'a> {
    store: &'a CallbackStore,
    keys: Option<VecDeque<Vec<u8>>>,
}

#[async_trait]
impl LoginKeys for CallbackKeys<'_> {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        if self.keys.is_none() {
            let listed = self.store.run(Table::list).await.and_then(std::convert::identity);
            let (keys, error) = match listed {
                Ok(keys) => (keys, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            let mut seen = HashSet::new();
            self.keys = Some(keys.into_iter().filter(|key| seen.insert(key.clone())).collect());
            if let Some(error) = error {
                return Some(Err(error));
            }
        }
        loop {
            let keys = self.keys.as_mut()?;
            let key = keys.front()?.clone();
            let found =
                self.store.run(move |table| look_up(table, &key)).await.and_then(std::convert::identity);
            // Only now: this future may be dropped while it waits, and the key must not be lost.
            keys.pop_front();
            if let Some(found) = found.transpose() {
                return Some(found);
            }
        }
    }
}

/// Whose record a listed key is of; `None` if it has gone meanwhile.
fn look_up(table: &Table, key: &[u8]) -> Result<Option<LoginKey>, StoreError> {
    let is_key = key.len() == 64 && key.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Some(name) = std::str::from_utf8(key).ok().filter(|_| is_key) else {
        return Err(StoreError::Unavailable {
            what: format!(
                "the callback list of the store {:?} wrote {:?}, which is no key that save was given; it must write those \
                 as they are, each with one jeton_sink_write",
                &*table.name,
                String::from_utf8_lossy(&key[..key.len().min(100)])
            ),
        });
    };
    let Some(record) = table.load(&Key::new(name))? else { return Ok(None) };
    let found = LoginRecord::key_in_json(&record)
        .map_err(|error| StoreError::from_record(error, table.place(name)))?;
    if found.digest() != name {
        return Err(StoreError::WrongKey { place: table.place(name), found: Box::new(found) });
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests;
