//! A store as a C program writes one, under the contract of jeton's own stores.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::future::Future;
use std::sync::mpsc;
use std::thread::ThreadId;

use jeton::Error;
use jeton::storage::contract;

use super::*;
use crate::callbacks::testing::eventually;
use crate::error::{
    JETON_ERROR_CALLBACK, JETON_ERROR_INVALID_ARGUMENT, JETON_ERROR_STORE, jeton_error_callback_result,
    jeton_error_message,
};

/// What all opened stores share: records, and who has locked which.
#[derive(Default)]
struct Backing {
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    locks: Mutex<HashMap<String, usize>>,
    broken: Mutex<Vec<String>>,
    counts: Mutex<HashMap<&'static str, usize>>,
}

impl Backing {
    fn count(&self, what: &'static str) -> usize {
        locked(&self.counts).get(what).copied().unwrap_or_default()
    }

    fn is_sound(&self) {
        assert!(locked(&self.broken).is_empty(), "{:?}", locked(&self.broken));
        assert!(locked(&self.locks).is_empty(), "{:?}", locked(&self.locks));
        assert_eq!(self.count("locked"), self.count("unlock"));
        assert_eq!(self.count("open"), self.count("destroy"));
    }
}

/// The `userdata` of one opened store.
struct Opened {
    backing: Arc<Backing>,
    number: usize,
    thread: Mutex<Option<ThreadId>>,
    busy: Mutex<()>,
    /// What a callback returns instead of doing its work.
    fails: Mutex<Option<(&'static str, i32)>>,
    /// A callback that tells when it has begun and waits until it may go on.
    gate: Mutex<Option<Gate>>,
}

struct Gate {
    callback: &'static str,
    begun: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Opened {
    /// What each callback begins with. `Some` if it is told to fail.
    fn enter(&self, callback: &'static str) -> Option<i32> {
        *locked(&self.backing.counts).entry(callback).or_default() += 1;
        let thread = *locked(&self.thread).get_or_insert_with(|| std::thread::current().id());
        if thread != std::thread::current().id() || self.busy.try_lock().is_err() {
            locked(&self.backing.broken)
                .push(format!("{callback} ran on another thread or beside another one"));
        }
        if !in_store_callback() {
            locked(&self.backing.broken).push(format!("{callback} does not know where it runs"));
        }
        let gate = locked(&self.gate).take_if(|gate| gate.callback == callback);
        let _busy = locked(&self.busy);
        if let Some(gate) = gate {
            gate.begun.send(()).unwrap();
            let _ = gate.go_on.recv();
        }
        locked(&self.fails).filter(|(name, _)| *name == callback).map(|(_, result)| result)
    }
}

unsafe fn opened<'a>(userdata: *mut c_void) -> &'a Opened {
    // SAFETY: the `userdata` of these tests; it lives until `destroy`.
    unsafe { &*userdata.cast_const().cast() }
}

unsafe fn text<'a>(key: *const c_char) -> &'a str {
    // SAFETY: a key that jeton lends.
    let key = unsafe { CStr::from_ptr(key) }.to_str().unwrap();
    assert!(key.len() <= 64 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
    key
}

unsafe extern "C" fn load(userdata: *mut c_void, key: *const c_char, sink: *mut jeton_sink) -> i32 {
    // SAFETY: called by jeton as the header says.
    let (opened, key) = unsafe { (opened(userdata), text(key)) };
    if let Some(result) = opened.enter("load") {
        return result;
    }
    let record = locked(&opened.backing.records).get(key).cloned();
    let Some(record) = record else { return 0 };
    // In two parts, of which one may be empty.
    let (one, other) = record.split_at(record.len() / 3);
    // SAFETY: the sink of this call.
    unsafe {
        assert_eq!(jeton_sink_write(sink, one.as_ptr(), one.len()), JETON_OK);
        assert_eq!(jeton_sink_write(sink, other.as_ptr(), other.len()), JETON_OK);
    }
    0
}

unsafe extern "C" fn save(
    userdata: *mut c_void,
    key: *const c_char,
    record: *const u8,
    length: usize,
) -> i32 {
    // SAFETY: called by jeton as the header says.
    let (opened, key, record) =
        unsafe { (opened(userdata), text(key), std::slice::from_raw_parts(record, length)) };
    if let Some(result) = opened.enter("save") {
        return result;
    }
    locked(&opened.backing.records).insert(key.to_owned(), record.to_vec());
    0
}

unsafe extern "C" fn remove(userdata: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: called by jeton as the header says.
    let (opened, key) = unsafe { (opened(userdata), text(key)) };
    if let Some(result) = opened.enter("remove") {
        return result;
    }
    locked(&opened.backing.records).remove(key);
    0
}

unsafe extern "C" fn list(userdata: *mut c_void, sink: *mut jeton_sink) -> i32 {
    // SAFETY: called by jeton as the header says.
    let opened = unsafe { opened(userdata) };
    if let Some(result) = opened.enter("list") {
        return result;
    }
    for key in locked(&opened.backing.records).keys() {
        // SAFETY: the sink of this call.
        assert_eq!(unsafe { jeton_sink_write(sink, key.as_ptr(), key.len()) }, JETON_OK);
    }
    0
}

unsafe extern "C" fn try_lock(userdata: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: called by jeton as the header says.
    let (opened, key) = unsafe { (opened(userdata), text(key)) };
    if let Some(result) = opened.enter("try_lock") {
        return result;
    }
    let mut locks = locked(&opened.backing.locks);
    match locks.get(key) {
        Some(number) => {
            if *number == opened.number {
                locked(&opened.backing.broken).push(format!("store {number} has locked {key} already"));
            }
            JETON_STORE_BUSY
        }
        None => {
            locks.insert(key.to_owned(), opened.number);
            *locked(&opened.backing.counts).entry("locked").or_default() += 1;
            0
        }
    }
}

unsafe extern "C" fn unlock(userdata: *mut c_void, key: *const c_char) {
    // SAFETY: called by jeton as the header says.
    let (opened, key) = unsafe { (opened(userdata), text(key)) };
    opened.enter("unlock");
    if locked(&opened.backing.locks).remove(key) != Some(opened.number) {
        locked(&opened.backing.broken).push(format!("{key} was unlocked by one who had not locked it"));
    }
}

unsafe extern "C" fn destroy(userdata: *mut c_void) {
    // SAFETY: the `userdata` of these tests, which came from `Arc::into_raw`; nobody uses it after this.
    let opened = unsafe { Arc::from_raw(userdata.cast_const().cast::<Opened>()) };
    assert!(!in_store_callback(), "destroy may call anything");
    *locked(&opened.backing.counts).entry("destroy").or_default() += 1;
}

/// A table as a C program fills it, and what stands behind it.
fn table(backing: &Arc<Backing>, locks: bool) -> (jeton_store, Arc<Opened>) {
    let number = {
        let mut counts = locked(&backing.counts);
        let number = counts.entry("open").or_default();
        *number += 1;
        *number
    };
    let opened = Arc::new(Opened {
        backing: Arc::clone(backing),
        number,
        thread: Mutex::default(),
        busy: Mutex::default(),
        fails: Mutex::default(),
        gate: Mutex::default(),
    });
    let table = jeton_store {
        struct_size: size_of::<jeton_store>(),
        userdata: Arc::into_raw(Arc::clone(&opened)).cast_mut().cast(),
        name: c"a map".as_ptr(),
        is_persistent: 1,
        is_encrypted: 0,
        load: Some(load),
        save: Some(save),
        remove: Some(remove),
        list: Some(list),
        try_lock: if locks { Some(try_lock) } else { None },
        unlock: if locks { Some(unlock) } else { None },
        destroy: Some(destroy),
    };
    (table, opened)
}

fn open(backing: &Arc<Backing>, locks: bool) -> (CallbackStore, Arc<Opened>) {
    let (table, opened) = table(backing, locks);
    // SAFETY: a table as the header says.
    (unsafe { CallbackStore::read(&raw const table) }.unwrap(), opened)
}

fn login(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "c").with_account(account)
}

fn record(account: &str) -> LoginRecord {
    LoginRecord::new(login(account), SystemTime::now())
}

/// The last handles may have gone on a thread of the runtime, which waits for nobody.
fn until_destroyed(backing: &Backing) {
    eventually("every store is destroyed", || backing.count("destroy") == backing.count("open"));
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_store_without_locks_passes_the_contract() {
    let backing = Arc::new(Backing::default());
    let (store, opened) = open(&backing, false);
    on_a_runtime(contract::run(move || {
        let store = store.clone();
        async move { Box::new(store) as Box<dyn TokenStore> }
    }));
    until_destroyed(&backing);
    backing.is_sound();
    assert_eq!(Arc::strong_count(&opened), 1);
    assert!(locked(&backing.records).is_empty());
}

#[test]
fn stores_that_share_records_and_locks_pass_the_contract() {
    let backing = Arc::new(Backing::default());
    let shared = Arc::clone(&backing);
    on_a_runtime(contract::run(move || {
        let (store, _) = open(&shared, true);
        async move { Box::new(store) as Box<dyn TokenStore> }
    }));
    until_destroyed(&backing);
    backing.is_sound();
    assert!(backing.count("locked") > 100);
}

#[test]
fn a_store_says_what_it_is() {
    let backing = Arc::new(Backing::default());
    let told = |locks| open(&backing, locks).0.describe().to_string();
    assert_eq!(told(false), "a map (kept across restarts, not encrypted, shared with this process)");
    assert_eq!(
        told(true),
        "a map (kept across restarts, not encrypted, shared with the programs of this user)"
    );
    let (mut table, _) = table(&backing, false);
    table.name = std::ptr::null();
    // SAFETY: a table as the header says.
    let nameless = unsafe { CallbackStore::read(&raw const table) }.unwrap();
    assert_eq!(nameless.describe().backend, "custom");
    drop(nameless);
    backing.is_sound();
}

#[test]
fn a_table_that_cannot_work_is_refused_and_stays_the_callers() {
    let backing = Arc::new(Backing::default());
    let (whole, opened) = table(&backing, true);
    let refused = |change: fn(&mut jeton_store), what: &str| {
        let mut table = whole;
        change(&mut table);
        // SAFETY: a table as the header says, but for what is to be refused.
        let failure = unsafe { CallbackStore::read(&raw const table) }.err().expect(what);
        // SAFETY: the failure is alive.
        let message = unsafe { CStr::from_ptr(jeton_error_message(&raw const *failure)) }.to_str().unwrap();
        assert!(message.contains(what), "{message}");
        assert_eq!(failure.status(), JETON_ERROR_INVALID_ARGUMENT);
    };
    refused(|table| table.struct_size = 0, "struct_size is 0");
    refused(|table| table.struct_size -= 1, "set it to sizeof(jeton_store)");
    refused(|table| table.struct_size += 8, "newer libjeton");
    refused(|table| table.load = None, "no callback load");
    refused(|table| table.save = None, "no callback save");
    refused(|table| table.remove = None, "no callback remove");
    refused(|table| table.try_lock = None, "only one of try_lock and unlock");
    refused(|table| table.unlock = None, "only one of try_lock and unlock");
    refused(|table| table.name = c"\xff".as_ptr(), "not UTF-8");
    // SAFETY: NULL is allowed.
    assert!(unsafe { CallbackStore::read(std::ptr::null()) }.is_err());
    assert_eq!(backing.count("destroy"), 0);
    assert_eq!(Arc::strong_count(&opened), 2);
    // SAFETY: still the caller's.
    unsafe { destroy(whole.userdata) };
}

#[tokio::test]
async fn what_a_callback_returns_comes_through_with_its_name() {
    let backing = Arc::new(Backing::default());
    let (store, opened) = open(&backing, true);
    let fails = |callback, error: StoreError| {
        let error = Failure::from(Error::from(error));
        assert_eq!(error.status(), JETON_ERROR_CALLBACK, "{callback}");
        // SAFETY: the error is alive.
        let (result, message) = unsafe {
            let error = &raw const *error;
            (jeton_error_callback_result(error), CStr::from_ptr(jeton_error_message(error)))
        };
        assert_eq!(result, -7);
        let wanted = format!("the callback {callback} of the store \"a map\" returned the error -7");
        assert!(message.to_str().unwrap().contains(&wanted), "{message:?}");
    };
    let set = |callback| *locked(&opened.fails) = Some((callback, -7));
    set("load");
    fails("load", store.load(&login("a")).await.unwrap_err());
    set("list");
    let mut keys = store.list();
    fails("list", keys.next().await.unwrap().unwrap_err());
    assert!(keys.next().await.is_none());
    set("try_lock");
    fails("try_lock", store.lease(&login("a"), Duration::ZERO).await.unwrap_err());
    *locked(&opened.fails) = None;
    let mut lease = store.lease(&login("a"), Duration::ZERO).await.unwrap();
    set("load");
    fails("load", lease.reserve(10).await.unwrap_err());
    fails("load", lease.save(&record("a")).await.unwrap_err());
    assert_eq!(backing.count("save"), 0, "nothing is overwritten unseen");
    set("save");
    fails("save", lease.save(&record("a")).await.unwrap_err());
    set("remove");
    fails("remove", lease.delete().await.unwrap_err());
}

#[tokio::test]
async fn what_cannot_be_read_is_never_taken_for_absent() {
    let backing = Arc::new(Backing::default());
    let (store, _) = open(&backing, false);
    let put = |account: &str, json: &[u8]| {
        locked(&backing.records).insert(login(account).digest(), json.to_vec());
    };
    put("empty", b"");
    put("half", &record("half").to_json()[..20]);
    put("other", &record("another").to_json());
    let newer = String::from_utf8(record("newer").to_json().to_vec()).unwrap();
    put("newer", newer.replace("\"version\":1", "\"version\":99").as_bytes());
    let place = format!("the store \"a map\" under the key {}", login("half").digest());
    match store.load(&login("half")).await {
        Err(StoreError::Damaged { what, set_aside: None }) => assert!(what.contains(&place), "{what}"),
        found => panic!("{found:?}"),
    }
    assert!(matches!(store.load(&login("empty")).await, Err(StoreError::Damaged { .. })));
    // The damaged ones may be replaced, and the others may not: neither after a look nor without.
    for (account, replaced) in [("empty", true), ("half", true), ("other", false), ("newer", false)] {
        for looks in [false, true] {
            let mut lease = store.lease(&login(account), Duration::ZERO).await.unwrap();
            if looks && !replaced {
                lease.load().await.unwrap_err();
            }
            assert_eq!(lease.reserve(100).await.is_ok(), replaced, "{account}");
            assert_eq!(lease.save(&record(account)).await.is_ok(), replaced, "{account}");
        }
        let mut lease = store.lease(&login(account), Duration::ZERO).await.unwrap();
        assert_eq!(lease.delete().await.is_ok(), replaced, "{account}");
    }
}

#[tokio::test]
async fn a_listing_tells_what_is_wrong_and_goes_on() {
    let backing = Arc::new(Backing::default());
    let (store, _) = open(&backing, false);
    {
        let mut records = locked(&backing.records);
        records.insert("0-README.txt".to_owned(), b"x".to_vec());
        records.insert(login("wrong").digest(), record("place").to_json().to_vec());
        records.insert(login("half").digest(), b"{".to_vec());
        records.insert(login("right").digest(), record("right").to_json().to_vec());
    }
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    let mut keys = store.list();
    while let Some(key) = keys.next().await {
        match key {
            Ok(key) => right.push(key),
            Err(error) => wrong.push(error),
        }
    }
    assert_eq!(right, [login("right")]);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong.iter().any(|error| matches!(error, StoreError::WrongKey { .. })));
    assert!(wrong.iter().any(|error| matches!(error, StoreError::Damaged { .. })));
    assert!(wrong.iter().any(|error| error.to_string().contains("\"0-README.txt\"")), "{wrong:?}");

    let (mut table, _opened) = table(&backing, false);
    table.list = None;
    // SAFETY: a table as the header says.
    let store = unsafe { CallbackStore::read(&raw const table) }.unwrap();
    let mut keys = store.list();
    let error = keys.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("has no callback list"), "{error}");
    assert_eq!(Failure::from(error).status(), JETON_ERROR_STORE);
    assert!(keys.next().await.is_none());
}

#[test]
fn a_sink_takes_parts_and_refuses_what_is_too_much() {
    let mut sink = jeton_sink::for_record();
    // SAFETY: the sink is alive, and NULL is allowed.
    unsafe {
        let at = &raw mut sink;
        assert_eq!(jeton_sink_write(std::ptr::null_mut(), b"a".as_ptr(), 1), JETON_ERROR_INVALID_ARGUMENT);
        assert_eq!(jeton_sink_write(at, std::ptr::null(), 1), JETON_ERROR_INVALID_ARGUMENT);
        assert!(!(*at).written && (*at).refused.take().is_some());
        assert_eq!(jeton_sink_write(at, std::ptr::null(), 0), JETON_OK);
        assert!((*at).written, "an empty record is one");
        for part in [b"ab".as_slice(), b"", b"cde"] {
            assert_eq!(jeton_sink_write(at, part.as_ptr(), part.len()), JETON_OK);
        }
        assert_eq!(**(*at).record, *b"abcde");
        let much = vec![0; MAX_RECORD - 4];
        assert_eq!(jeton_sink_write(at, much.as_ptr(), much.len()), JETON_ERROR_INVALID_ARGUMENT);
        assert!((*at).refused.is_some());
    }
}

#[test]
fn what_a_sink_refused_is_not_taken_for_nothing() {
    unsafe extern "C" fn load(_: *mut c_void, _: *const c_char, sink: *mut jeton_sink) -> i32 {
        // Memory that could not be had, by a program that looks at no status.
        // SAFETY: the sink of this call, and NULL is allowed.
        unsafe { jeton_sink_write(sink, std::ptr::null(), 5) };
        0
    }
    unsafe extern "C" fn list(_: *mut c_void, sink: *mut jeton_sink) -> i32 {
        // SAFETY: as above.
        unsafe { jeton_sink_write(sink, std::ptr::null(), 64) };
        0
    }
    let table = jeton_store {
        struct_size: size_of::<jeton_store>(),
        userdata: std::ptr::null_mut(),
        name: std::ptr::null(),
        is_persistent: 0,
        is_encrypted: 0,
        load: Some(load),
        save: Some(save),
        remove: Some(remove),
        list: Some(list),
        try_lock: None,
        unlock: None,
        destroy: None,
    };
    // SAFETY: a whole table, of which only what needs no `userdata` is called.
    let store = unsafe { CallbackStore::read(&raw const table) }.unwrap();
    on_a_runtime(async {
        let key = login("a");
        let error = store.load(&key).await.unwrap_err();
        assert!(error.to_string().contains("callback load") && error.to_string().contains("NULL"), "{error}");
        let mut lease = store.lease(&key, Duration::ZERO).await.unwrap();
        lease.save(&record("a")).await.unwrap_err();
        drop(lease);
        let error = store.list().next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("callback list"), "{error}");
    });
}

/// A gate for the next call of that callback: `begun` hears of it, `open` lets it go on.
fn gate(opened: &Opened, callback: &'static str) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((begun, hear), (open, go_on)) = (mpsc::channel(), mpsc::channel());
    *locked(&opened.gate) = Some(Gate { callback, begun, go_on });
    (hear, open)
}

#[test]
fn a_save_that_nobody_waits_for_keeps_the_lease_until_it_has_ended() {
    for locks in [false, true] {
        let backing = Arc::new(Backing::default());
        let (store, opened) = open(&backing, locks);
        on_a_runtime(async {
            let mut lease = store.lease(&login("a"), Duration::ZERO).await.unwrap();
            assert!(lease.load().await.unwrap().is_none());
            let (begun, open) = gate(&opened, "save");
            let record = record("a");
            {
                let mut save = lease.save(&record);
                // Begun, and dropped.
                std::future::poll_fn(|cx| {
                    assert!(save.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                begun.recv().unwrap();
            }
            drop(lease);
            match store.lease(&login("a"), Duration::ZERO).await {
                Err(StoreError::LeaseTimeout { holder: Some(holder), .. }) => {
                    assert_eq!(holder.pid, std::process::id());
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(backing.count("unlock"), 0);
            open.send(()).unwrap();
            let mut lease = store.lease(&login("a"), Duration::from_secs(60)).await.unwrap();
            assert_eq!(lease.load().await.unwrap(), Some(record));
        });
        // With locks it goes behind the unlocking, on the store's thread.
        eventually("no place is left", || locked(&store.0.places).is_empty());
        drop(store);
        until_destroyed(&backing);
        backing.is_sound();
    }
}

#[test]
fn a_lock_that_nobody_waits_for_any_more_is_given_back_once() {
    let backing = Arc::new(Backing::default());
    let (store, opened) = open(&backing, true);
    on_a_runtime(async {
        let (begun, open) = gate(&opened, "try_lock");
        let taking = tokio::spawn({
            let store = store.clone();
            async move { store.lease(&login("a"), Duration::from_secs(60)).await.map(drop) }
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        taking.abort();
        assert!(taking.await.unwrap_err().is_cancelled());
        // Until it is given back nobody else of this process tries: the program's lock need not know who asks.
        assert!(matches!(
            store.lease(&login("a"), Duration::ZERO).await,
            Err(StoreError::LeaseTimeout { .. })
        ));
        assert_eq!(backing.count("try_lock"), 1);
        open.send(()).unwrap();
        drop(store.lease(&login("a"), Duration::from_secs(60)).await.unwrap());
    });
    drop(store);
    until_destroyed(&backing);
    backing.is_sound();
    assert_eq!(backing.count("unlock"), 2);
}

#[test]
fn a_lock_of_another_process_is_tried_again_until_the_deadline() {
    let backing = Arc::new(Backing::default());
    let ((store, _one), (other, _two)) = (open(&backing, true), open(&backing, true));
    on_a_runtime(async {
        let lease = store.lease(&login("a"), Duration::ZERO).await.unwrap();
        match other.lease(&login("a"), Duration::ZERO).await {
            Err(StoreError::LeaseTimeout { holder: None, .. }) => assert_eq!(backing.count("try_lock"), 2),
            found => panic!("{found:?}"),
        }
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.lease(&login("a"), Duration::from_secs(60)).await.map(drop) }
        });
        let again = Arc::clone(&backing);
        let tried = move || eventually("it tries again", || again.count("try_lock") >= 5);
        tokio::task::spawn_blocking(tried).await.unwrap();
        drop(lease);
        waiting.await.unwrap().unwrap();
    });
    drop((store, other));
    until_destroyed(&backing);
    backing.is_sound();
}

mod programs {
    //! Programs whose logins are in such a store, through the C functions.

    use std::ptr::{null, null_mut};

    use jeton_devserver::DevServer;

    use super::*;
    use crate::callbacks::testing::{Config, Session, ok, string, told};
    use crate::*;

    fn set(config: &Config, table: &jeton_store) {
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_config_set_store(config.0, table, error) });
    }

    #[test]
    fn a_login_is_kept_listed_refreshed_and_shared() {
        let server = DevServer::start().unwrap();
        let backing = Arc::new(Backing::default());
        let config = Config::password(&server);
        let (table, _) = super::table(&backing, true);
        set(&config, &table);
        let client = config.client();
        // SAFETY: live handles.
        unsafe {
            let description = string(jeton_client_store_description(client.0));
            assert!(description.starts_with("a map (kept across restarts"), "{description}");
            assert_eq!(jeton_client_store_is_persistent(client.0), 1);
            assert_eq!(jeton_client_store_is_encrypted(client.0), 0);
        }
        let session = client.session();
        let token = session.log_in(null()).unwrap();
        let mut accounts = null_mut();
        // SAFETY: live handles.
        unsafe {
            ok(|error| jeton_client_accounts(client.0, null(), &raw mut accounts, error));
            assert_eq!(jeton_accounts_count(accounts), 1);
            assert_eq!(string(jeton_accounts_get(accounts, 0)), "default");
            jeton_accounts_free(accounts);
        }
        // Another program over the same records.
        let other_config = Config::password(&server);
        let (table, _) = super::table(&backing, true);
        set(&other_config, &table);
        let other = other_config.client().session();
        assert_eq!(other.token().unwrap(), token);
        let refreshed = other.refresh().unwrap();
        assert_ne!(refreshed, token);
        server.revoke_access_tokens();
        assert_eq!(session.refresh().unwrap(), refreshed, "somebody else's new token is taken");
        assert_eq!(server.stats().refreshes, 1);
        drop((session, other, client, config, other_config));
        until_destroyed(&backing);
        backing.is_sound();
    }

    #[test]
    fn a_save_that_fails_is_told_and_made_good() {
        let server = DevServer::start().unwrap();
        let backing = Arc::new(Backing::default());
        let config = Config::password(&server);
        let (table, opened) = super::table(&backing, false);
        set(&config, &table);
        let client = config.client();
        let session = client.session();
        session.log_in(null()).unwrap();
        *locked(&opened.fails) = Some(("load", 21));
        let error = session.refresh().unwrap_err();
        assert_eq!((error.status, error.callback_result), (JETON_ERROR_CALLBACK, 21), "{}", error.message);
        *locked(&opened.fails) = Some(("save", 22));
        let unsaved = session.refresh().unwrap();
        assert!(!locked(&backing.records).values().any(|record| holds(record, &unsaved)));
        *locked(&opened.fails) = None;
        // What could not be stored is stored when the session is used again.
        let newest = session.refresh().unwrap();
        assert!(locked(&backing.records).values().any(|record| holds(record, &newest)));
        assert_eq!(server.stats().refresh_reuses_detected, 0);
    }

    fn holds(record: &[u8], token: &str) -> bool {
        record.windows(token.len()).any(|part| part == token.as_bytes())
    }

    /// The `userdata` of a store whose `load` calls jeton.
    struct Caller {
        session: Mutex<Option<Session>>,
        refused: Mutex<Vec<(i32, String)>>,
    }

    unsafe extern "C" fn load(userdata: *mut c_void, _: *const c_char, _: *mut jeton_sink) -> i32 {
        // SAFETY: the `userdata` of this test, which outlives the store.
        let caller = unsafe { &*userdata.cast_const().cast::<Caller>() };
        let Some(session) = locked(&caller.session).take() else { return 0 };
        for call in [Session::token, Session::refresh] {
            let error = call(&session).unwrap_err();
            locked(&caller.refused).push((error.status, error.message));
        }
        // The last but one of its login: freeing waits for nothing here.
        drop(session);
        0
    }

    unsafe extern "C" fn save(_: *mut c_void, _: *const c_char, _: *const u8, _: usize) -> i32 {
        0
    }

    unsafe extern "C" fn remove(_: *mut c_void, _: *const c_char) -> i32 {
        0
    }

    #[test]
    fn a_blocking_call_from_a_callback_is_refused() {
        let server = DevServer::start().unwrap();
        let config = Config::service(&server);
        let caller = Box::new(Caller { session: Mutex::default(), refused: Mutex::default() });
        let table = jeton_store {
            struct_size: size_of::<jeton_store>(),
            userdata: std::ptr::from_ref(&*caller).cast_mut().cast(),
            name: null(),
            is_persistent: 0,
            is_encrypted: 0,
            load: Some(load),
            save: Some(save),
            remove: Some(remove),
            list: None,
            try_lock: None,
            unlock: None,
            destroy: None,
        };
        set(&config, &table);
        let client = config.client();
        let session = client.session();
        *locked(&caller.session) = Some(client.session());
        session.token().unwrap();
        let refused = locked(&caller.refused).clone();
        assert_eq!(refused.len(), 2);
        for (status, message) in refused {
            assert_eq!(status, JETON_ERROR_INVALID_ARGUMENT);
            assert!(message.contains("from a callback of a store"), "{message}");
        }
        let mut accounts = null_mut();
        // SAFETY: live handles.
        let error =
            told(|error| unsafe { jeton_client_accounts(client.0, null(), &raw mut accounts, error) });
        assert!(error.unwrap_err().message.contains("no callback list"));
        // The store's thread must be gone before what its callbacks read.
        let weak = Arc::downgrade(&inner_of(&config));
        drop((session, client, config));
        eventually("the store is gone", || weak.strong_count() == 0);
    }

    fn inner_of(config: &Config) -> Arc<dyn TokenStore> {
        // SAFETY: a live handle.
        Arc::clone(unsafe { &*config.0 }.store.as_ref().unwrap())
    }
}
