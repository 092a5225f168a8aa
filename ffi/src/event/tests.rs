//! Events of real logins, through the C functions.

use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

use jeton_devserver::DevServer;

use super::*;
use crate::callbacks::testing::{Client, Config, Destroyed, Session, eventually, gate, ok, string, told};
use crate::*;

type Heard = (i32, String, String);

/// The `userdata` of these tests.
struct Listener {
    heard: Mutex<Vec<Heard>>,
    on_event: Box<dyn Fn(i32) + Send + Sync>,
    destroyed: Destroyed,
}

impl Listener {
    fn new(on_event: impl Fn(i32) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            on_event: Box::new(on_event),
            destroyed: Destroyed::default(),
        })
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn kinds(&self) -> Vec<i32> {
        self.heard().iter().map(|(kind, ..)| *kind).collect()
    }

    fn register(self: &Arc<Self>, config: &Config) {
        let userdata = Arc::into_raw(Arc::clone(self)).cast_mut().cast();
        // SAFETY: all of it lives as long as it has to.
        ok(|error| unsafe { jeton_config_on_event(config.0, Some(hear), userdata, Some(destroy), error) });
    }
}

unsafe extern "C" fn hear(userdata: *mut c_void, event: *const jeton_event) {
    // SAFETY: called by jeton as the header says, with the `userdata` of these tests.
    unsafe {
        let (listener, event) = (&*userdata.cast_const().cast::<Listener>(), &*event);
        assert_eq!(event.struct_size, size_of::<jeton_event>());
        let heard = (event.kind, string(event.account), string(event.message));
        listener.heard.lock().unwrap().push(heard);
        (listener.on_event)(event.kind);
    }
}

unsafe extern "C" fn destroy(userdata: *mut c_void) {
    // SAFETY: the `userdata` of these tests, which came from `Arc::into_raw`; nobody uses it after this.
    let listener = unsafe { Arc::from_raw(userdata.cast_const().cast::<Listener>()) };
    listener.destroyed.add();
}

unsafe extern "C" fn show(_: *mut c_void, _: *const jeton_device_prompt) -> i32 {
    0
}

/// A login that only a person can renew, and a server where that person approves at once.
fn device_login() -> (DevServer, Config) {
    let builder = DevServer::builder().device_interval(Some(1)).device_auto_approve_after_polls(Some(1));
    let server = builder.start().unwrap();
    let config = Config::person(&server, JETON_GRANT_DEVICE_CODE);
    let interaction = jeton_interaction {
        struct_size: size_of::<jeton_interaction>(),
        userdata: null_mut(),
        open_url: None,
        show_device_code: Some(show),
        device_code_pending: None,
        login_ended: None,
        destroy: None,
        approve_authorization_server: None,
    };
    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const interaction, error) });
    (server, config)
}

#[test]
fn events_come_in_order_to_each_listener() {
    let (server, config) = device_login();
    let (one, other) = (Listener::new(|_| ()), Listener::new(|_| ()));
    one.register(&config);
    other.register(&config);
    let client = config.client();
    let session = client.session();
    session.log_in(std::ptr::null()).unwrap();
    session.refresh().unwrap();
    server.revoke_all_logins();
    session.refresh().unwrap_err();
    drop((session, client, config));
    let wanted = [JETON_EVENT_LOGGED_IN, JETON_EVENT_REFRESHED, JETON_EVENT_LOGIN_ENDED];
    for listener in [one, other] {
        eventually("the listener is destroyed", || listener.destroyed.count() == 1);
        assert_eq!(listener.kinds(), wanted);
        let heard = listener.heard();
        assert!(heard.iter().all(|(_, account, _)| account == "default"));
        assert!(heard[0].2.is_empty() && heard[1].2.is_empty());
        assert!(heard[2].2.contains("invalid_grant"), "{heard:?}");
    }
}

#[test]
fn a_callback_may_call_jeton_and_free_the_last_handles() {
    /// What the callback frees, while nobody else uses it.
    struct Handles(Option<(Session, Client)>);
    // SAFETY: handed from one thread to another.
    unsafe impl Send for Handles {}

    let server = DevServer::start().unwrap();
    let config = Config::password(&server);
    let handles = Arc::new(Mutex::new(Handles(None)));
    let listener = Listener::new({
        let handles = Arc::clone(&handles);
        move |kind| {
            let mut handles = handles.lock().unwrap();
            let (session, client) = handles.0.take().unwrap();
            session.token().unwrap();
            if kind == JETON_EVENT_REFRESHED {
                drop((session, client));
            } else {
                handles.0 = Some((session, client));
            }
        }
    });
    listener.register(&config);
    let client = config.client();
    drop(config);
    let session = client.session();
    {
        // Nobody is told before the handles are where the callback finds them.
        let mut handles = handles.lock().unwrap();
        session.log_in(std::ptr::null()).unwrap();
        session.refresh().unwrap();
        handles.0 = Some((session, client));
    }
    eventually("the listener is destroyed", || listener.destroyed.count() == 1);
    assert_eq!(listener.kinds(), [JETON_EVENT_LOGGED_IN, JETON_EVENT_REFRESHED]);
    assert!(handles.lock().unwrap().0.is_none());
}

#[test]
fn a_slow_callback_holds_nobody_up_and_misses_the_oldest() {
    let (server, config) = device_login();
    let (open, hangs) = gate();
    let hangs = Mutex::new(Some(hangs));
    let listener = Listener::new(move |_| {
        let first = hangs.lock().unwrap().take();
        if let Some(hangs) = first {
            hangs.wait();
        }
    });
    listener.register(&config);
    let client = config.client();
    let session = client.session();
    session.log_in(std::ptr::null()).unwrap();
    eventually("the callback has begun", || listener.heard().len() == 1);
    for _ in 0..MOST + 5 {
        session.refresh().unwrap();
    }
    server.revoke_all_logins();
    session.refresh().unwrap_err();
    open.open();
    drop((session, client, config));
    eventually("the listener is destroyed", || listener.destroyed.count() == 1);
    let kinds = listener.kinds();
    assert_eq!(kinds.len(), 1 + MOST);
    assert_eq!((kinds[0], kinds[MOST]), (JETON_EVENT_LOGGED_IN, JETON_EVENT_LOGIN_ENDED));
}

#[test]
fn what_is_refused_stays_the_callers() {
    let server = DevServer::start().unwrap();
    let config = Config::password(&server);
    let listener = Listener::new(|_| ());
    let userdata = Arc::as_ptr(&listener).cast_mut().cast();
    // SAFETY: NULL is allowed.
    let errors = unsafe {
        [
            told(|error| jeton_config_on_event(config.0, None, userdata, Some(destroy), error)),
            told(|error| jeton_config_on_event(null_mut(), Some(hear), userdata, Some(destroy), error)),
        ]
    };
    assert!(errors.into_iter().all(|error| error.unwrap_err().status == JETON_ERROR_INVALID_ARGUMENT));
    drop(config);
    assert_eq!(listener.destroyed.count(), 0);
}
