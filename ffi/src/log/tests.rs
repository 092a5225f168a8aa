//! One test after another: the log is the process's. Other tests of this process log meanwhile.

use std::ptr::{null, null_mut};
use std::sync::Arc;

use jeton_devserver::DevServer;

use super::*;
use crate::callbacks::testing::{Config, Destroyed, Gate, eventually, gate, ok, string, told};
use crate::*;

/// The `userdata` of these tests.
#[derive(Default)]
struct Reader {
    lines: Mutex<Vec<(i32, String, String)>>,
    /// The first call waits for it.
    gate: Mutex<Option<Arc<Gate>>>,
    /// The first call ends the log.
    ends: bool,
    destroyed: Destroyed,
}

impl Reader {
    fn has(&self, what: impl Fn(i32, &str, &str) -> bool) -> bool {
        locked(&self.lines).iter().any(|(level, target, message)| what(*level, target, message))
    }
}

unsafe extern "C" fn read(userdata: *mut c_void, level: i32, target: *const c_char, message: *const c_char) {
    // SAFETY: called by jeton as the header says, with the `userdata` of these tests.
    let reader = unsafe { &*userdata.cast_const().cast::<Reader>() };
    assert_eq!(reader.destroyed.count(), 0);
    // SAFETY: called by jeton as the header says.
    let (target, message) = unsafe { (string(target), string(message)) };
    locked(&reader.lines).push((level, target, message));
    // What happens on this thread while it tells is not told.
    tracing::error!("from within the callback");
    if reader.ends {
        end();
    }
    let gate = locked(&reader.gate).take();
    if let Some(gate) = gate {
        gate.wait();
    }
}

unsafe extern "C" fn destroy(userdata: *mut c_void) {
    // SAFETY: the `userdata` of these tests, which came from `Arc::into_raw`; nobody uses it after this.
    let reader = unsafe { Arc::from_raw(userdata.cast_const().cast::<Reader>()) };
    reader.destroyed.add();
}

fn set(level: i32, reader: &Arc<Reader>) {
    let userdata = Arc::into_raw(Arc::clone(reader)).cast_mut().cast();
    // SAFETY: all of it lives as long as it has to.
    ok(|error| unsafe { jeton_set_log(level, Some(read), userdata, Some(destroy), error) });
}

fn end() {
    // SAFETY: NULL is allowed.
    ok(|error| unsafe { jeton_set_log(0, None, null_mut(), None, error) });
}

#[test]
fn the_log() {
    wrong_levels_are_refused();
    what_happens_is_told_without_secrets();
    levels_are_kept_and_a_callback_that_is_replaced_is_destroyed();
    a_slow_callback_is_told_how_much_it_missed();
    a_callback_may_end_the_log();
    a_thread_that_ends_may_log();
}

fn wrong_levels_are_refused() {
    let reader = Arc::new(Reader::default());
    let userdata = Arc::as_ptr(&reader).cast_mut().cast();
    for level in [-1, 0, 6] {
        // SAFETY: all of it lives as long as it has to.
        let error = told(|error| unsafe { jeton_set_log(level, Some(read), userdata, Some(destroy), error) });
        assert_eq!(error.unwrap_err().status, JETON_ERROR_INVALID_ARGUMENT);
    }
    assert_eq!(reader.destroyed.count(), 0);
    tracing::error!("nobody hears");
    assert!(locked(&reader.lines).is_empty());
}

fn what_happens_is_told_without_secrets() {
    let reader = Arc::new(Reader::default());
    set(JETON_LOG_TRACE, &reader);
    let server = DevServer::start().unwrap();
    let mut secrets: Vec<String> =
        [DevServer::SERVICE_CLIENT.1, DevServer::ALICE.1].map(str::to_owned).into();
    for config in [Config::service(&server), Config::password(&server)] {
        let client = config.client();
        let session = client.session();
        secrets.push(session.log_in(null()).unwrap());
        secrets.push(session.refresh().unwrap());
    }
    secrets.extend(server.requests().iter().flat_map(|request| {
        request.form.iter().filter(|(name, _)| name == "refresh_token").map(|(_, value)| value.clone())
    }));
    assert!(secrets.len() > 6);
    end();
    assert_eq!(reader.destroyed.count(), 1, "all is told when the call that ended it returns");
    assert!(reader.has(|level, target, message| {
        level == JETON_LOG_DEBUG
            && target == "jeton_grants"
            && message.starts_with("token received access_token=")
    }));
    assert!(reader.has(|_, _, message| {
        message.starts_with("oauth_request{operation=") && message.ends_with("}: answered status=200")
    }));
    assert!(!reader.has(|_, _, message| message == "from within the callback"));
    for (_, target, message) in &*locked(&reader.lines) {
        assert!(target.starts_with("jeton"), "{target}");
        for secret in &secrets {
            assert!(!message.contains(secret.as_str()), "{message}");
        }
    }
    // The span table is empty again, but for spans that other tests are in.
    let count = locked(&reader.lines).len();
    tracing::error!("nobody hears");
    assert_eq!(locked(&reader.lines).len(), count);
}

fn levels_are_kept_and_a_callback_that_is_replaced_is_destroyed() {
    let (one, other) = (Arc::new(Reader::default()), Arc::new(Reader::default()));
    let log = || {
        tracing::error!(number = 1, text = "two", "an error");
        tracing::warn!("a {}", "warning");
        tracing::info!("information");
        tracing::error!(target: "hyper", "of somebody else");
    };
    set(JETON_LOG_WARN, &one);
    log();
    set(JETON_LOG_ERROR, &other);
    assert_eq!((one.destroyed.count(), other.destroyed.count()), (1, 0));
    log();
    end();
    assert_eq!(other.destroyed.count(), 1);
    let error = |level, target: &str, message: &str| {
        (level, target, message) == (JETON_LOG_ERROR, "jeton", "an error number=1 text=\"two\"")
    };
    let warning = |level, target: &str, message: &str| {
        (level, target, message) == (JETON_LOG_WARN, "jeton", "a warning")
    };
    assert!(one.has(error) && one.has(warning));
    assert!(other.has(error) && !other.has(warning));
    for reader in [one, other] {
        assert!(!reader.has(|level, _, message| level > JETON_LOG_WARN || message.contains("somebody else")));
    }
}

fn a_slow_callback_is_told_how_much_it_missed() {
    let (open, hangs) = gate();
    let reader = Arc::new(Reader { gate: Mutex::new(Some(hangs)), ..Reader::default() });
    set(JETON_LOG_ERROR, &reader);
    tracing::error!("the first");
    eventually("the callback has begun", || !locked(&reader.lines).is_empty());
    for number in 0..MOST + 12 {
        tracing::error!(number, "one of many");
    }
    open.open();
    end();
    let lines = locked(&reader.lines);
    let note = lines.iter().position(|(level, target, message)| {
        *level == JETON_LOG_WARN
            && target == "jeton::log"
            && message.ends_with("messages were dropped: the log callback is too slow")
    });
    let note = note.expect("the note on what was dropped");
    let dropped: usize = lines[note].2.split(' ').next().unwrap().parse().unwrap();
    assert!(dropped >= 12, "{dropped}");
    assert_eq!(lines.last().unwrap().2, format!("one of many number={}", MOST + 11));
}

fn a_callback_may_end_the_log() {
    let reader = Arc::new(Reader { ends: true, ..Reader::default() });
    set(JETON_LOG_ERROR, &reader);
    tracing::error!("the last");
    eventually("the reader is destroyed", || reader.destroyed.count() == 1);
    assert!(reader.has(|_, _, message| message == "the last"));
}

fn a_thread_that_ends_may_log() {
    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            let span = tracing::error_span!("the_span").entered();
            tracing::error!("the last of its thread");
            drop(span);
        }
    }

    thread_local! {
        static LAST: Last = const { Last };
    }

    let reader = Arc::new(Reader::default());
    set(JETON_LOG_ERROR, &reader);
    std::thread::spawn(|| {
        // Thread-local variables end in the order opposite to that of their first uses.
        LAST.with(|_| ());
        let _span = tracing::error_span!("a_span").entered();
    })
    .join()
    .unwrap();
    end();
    assert!(reader.has(|_, _, message| message.ends_with("the last of its thread")));
}
