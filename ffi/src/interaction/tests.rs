//! Logins of a person, through the C functions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ptr::null;
use std::sync::Weak;
use std::sync::mpsc;

use jeton_devserver::{DevServer, Endpoint};

use super::*;
use crate::callbacks::testing::{Client, Config, Destroyed, Session, eventually, gate, ok, string, told};
use crate::*;

type OnUrl = Box<dyn Fn(&str) -> i32 + Send + Sync>;
type OnPrompt = Box<dyn Fn(&str) -> i32 + Send + Sync>;
type OnTick = Box<dyn Fn(i64) -> i32 + Send + Sync>;

/// The `userdata` of these tests.
struct Person {
    open_url: OnUrl,
    show: OnPrompt,
    tick: OnTick,
    ended: Mutex<Vec<(i32, String)>>,
    destroyed: Destroyed,
}

impl Person {
    fn new() -> Self {
        Self {
            open_url: Box::new(|_| 77),
            show: Box::new(|_| 78),
            tick: Box::new(|_| 0),
            ended: Mutex::default(),
            destroyed: Destroyed::default(),
        }
    }

    fn ended(&self) -> Vec<(i32, String)> {
        locked(&self.ended).clone()
    }
}

unsafe fn person<'a>(userdata: *mut c_void) -> &'a Person {
    // SAFETY: the `userdata` of these tests; it lives until `destroy`.
    unsafe { &*userdata.cast_const().cast() }
}

unsafe extern "C" fn open_url(userdata: *mut c_void, url: *const c_char) -> i32 {
    // SAFETY: called by jeton as the header says.
    unsafe { (person(userdata).open_url)(&string(url)) }
}

unsafe extern "C" fn show(userdata: *mut c_void, prompt: *const jeton_device_prompt) -> i32 {
    // SAFETY: called by jeton as the header says.
    unsafe {
        let prompt = &*prompt;
        assert_eq!(prompt.struct_size, size_of::<jeton_device_prompt>());
        let (code, uri) = (string(prompt.user_code), string(prompt.verification_uri));
        let complete = string(prompt.verification_uri_complete);
        assert!(complete.starts_with(&uri) && complete.contains(&code), "{complete}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(prompt.expires_at_ms > millis(now));
        (person(userdata).show)(&code)
    }
}

unsafe extern "C" fn tick(userdata: *mut c_void, remaining_ms: i64) -> i32 {
    // SAFETY: called by jeton as the header says.
    unsafe { (person(userdata).tick)(remaining_ms) }
}

unsafe extern "C" fn ended(userdata: *mut c_void, status: i32, message: *const c_char) {
    // SAFETY: called by jeton as the header says.
    unsafe { locked(&person(userdata).ended).push((status, string(message))) }
}

unsafe extern "C" fn destroy(userdata: *mut c_void) {
    // SAFETY: the `userdata` of these tests, which came from `Arc::into_raw`; nobody uses it after this.
    let person = unsafe { Arc::from_raw(userdata.cast_const().cast::<Person>()) };
    person.destroyed.add();
}

fn table(person: &Arc<Person>) -> jeton_interaction {
    jeton_interaction {
        struct_size: size_of::<jeton_interaction>(),
        userdata: Arc::into_raw(Arc::clone(person)).cast_mut().cast(),
        open_url: Some(open_url),
        show_device_code: Some(show),
        device_code_pending: Some(tick),
        login_ended: Some(ended),
        destroy: Some(destroy),
        approve_authorization_server: None,
    }
}

/// A program that logs in this person.
struct Program {
    session: Session,
    // Freed after it, as C programs do.
    _client: Client,
    person: Arc<Person>,
}

impl Program {
    fn new(server: &DevServer, grant: i32, person: Person) -> Self {
        let (config, person) = (Config::person(server, grant), Arc::new(person));
        let table = table(&person);
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const table, error) });
        let client = config.client();
        Self { session: client.session(), _client: client, person }
    }

    /// Frees everything; then nobody has the `userdata` any more.
    fn end(self) {
        let Self { session, _client, person } = self;
        drop((session, _client));
        eventually("the userdata is destroyed", || person.destroyed.count() == 1);
        assert_eq!(Arc::strong_count(&person), 1);
    }
}

/// What a browser with a willing person does: gets the redirect and follows it. The page comes when the login has ended.
fn visit(server: &DevServer, url: &str) {
    let redirected = jeton::Url::parse(&server.authorize(url).unwrap()).unwrap();
    let authority = redirected.authority();
    let mut browser = TcpStream::connect(authority).unwrap();
    let target = &redirected.as_str()[redirected.origin().ascii_serialization().len()..];
    write!(browser, "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    std::thread::spawn(move || browser.read_to_end(&mut Vec::new()));
}

fn browser_person(open_url: impl Fn(&str) -> i32 + Send + Sync + 'static) -> Person {
    Person { open_url: Box::new(open_url), ..Person::new() }
}

fn device_person(show: impl Fn(&str) -> i32 + Send + Sync + 'static) -> Person {
    Person { show: Box::new(show), ..Person::new() }
}

fn server() -> Arc<DevServer> {
    let builder = DevServer::builder().device_interval(Some(1));
    Arc::new(builder.device_auto_approve_after_polls(None).start().unwrap())
}

#[test]
fn open_url_may_call_jeton_and_bring_the_person_to_the_server() {
    let server = server();
    let slot = Arc::new(Mutex::new(Weak::<Session>::new()));
    let person = browser_person({
        let (server, slot) = (Arc::clone(&server), Arc::clone(&slot));
        move |url| {
            // A call that blocks, while the login is under way.
            let session = locked(&slot).upgrade().unwrap();
            assert_eq!(session.token().unwrap_err().status, JETON_ERROR_LOGIN_REQUIRED);
            // Before the login can end.
            drop(session);
            visit(&server, url);
            0
        }
    });
    let Program { session, _client, person } = Program::new(&server, JETON_GRANT_AUTHORIZATION_CODE, person);
    let session = Arc::new(session);
    *locked(&slot) = Arc::downgrade(&session);
    let token = session.log_in(null()).unwrap();
    assert!(server.is_access_token_live(&token));
    assert_eq!(person.ended(), [(JETON_OK, String::new())]);
    let session = Arc::into_inner(session).expect("the callback has returned its own");
    Program { session, _client, person }.end();
}

#[test]
fn what_open_url_returns_ends_the_login() {
    let server = server();
    let program = Program::new(&server, JETON_GRANT_AUTHORIZATION_CODE, browser_person(|_| -5));
    let error = program.session.log_in(null()).unwrap_err();
    assert_eq!((error.status, error.callback_result), (JETON_ERROR_CALLBACK, -5));
    assert!(
        error.message.contains("the callback open_url of the interaction returned the error -5"),
        "{}",
        error.message
    );
    program.end();
}

#[test]
fn a_login_that_succeeds_does_not_wait_for_open_url() {
    let server = server();
    let (open, hangs) = gate();
    let person = browser_person({
        let server = Arc::clone(&server);
        move |url| {
            visit(&server, url);
            hangs.wait();
            0
        }
    });
    let program = Program::new(&server, JETON_GRANT_AUTHORIZATION_CODE, person);
    program.session.log_in(null()).unwrap();
    let person = Arc::clone(&program.person);
    drop(program);
    assert_eq!(person.destroyed.count(), 0, "destroyed while a callback runs");
    open.open();
    eventually("the userdata is destroyed", || person.destroyed.count() == 1);
}

#[test]
fn a_login_that_is_cancelled_does_not_wait_for_open_url_and_the_next_one_neither() {
    let server = server();
    let (begun, hear) = mpsc::channel();
    let (open, hangs) = gate();
    let person = browser_person({
        let (server, first) = (Arc::clone(&server), Mutex::new(true));
        move |url| {
            if std::mem::replace(&mut *locked(&first), false) {
                begun.send(()).unwrap();
                hangs.wait();
            } else {
                visit(&server, url);
            }
            0
        }
    });
    let program = Program::new(&server, JETON_GRANT_AUTHORIZATION_CODE, person);
    let cancel = jeton_cancel_new();
    let address = cancel as usize;
    let canceller = std::thread::spawn(move || {
        hear.recv().unwrap();
        // SAFETY: it is freed after this thread.
        unsafe { jeton_cancel_cancel(address as *const jeton_cancel) };
    });
    assert_eq!(program.session.log_in(cancel).unwrap_err().status, JETON_ERROR_CANCELLED);
    canceller.join().unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { jeton_cancel_free(cancel) };
    program.session.log_in(null()).unwrap();
    open.open();
    program.end();
}

#[test]
fn a_device_code_is_shown_counted_down_and_approved() {
    let server = server();
    let (ticked, ticks) = mpsc::channel();
    let shown = Arc::new(Mutex::new(String::new()));
    let mut person = device_person({
        let shown = Arc::clone(&shown);
        move |code| {
            code.clone_into(&mut locked(&shown));
            0
        }
    });
    person.tick = Box::new({
        let server = Arc::clone(&server);
        move |remaining_ms| {
            ticked.send(remaining_ms).unwrap();
            assert!(server.approve_device(&locked(&shown)));
            0
        }
    });
    let program = Program::new(&server, JETON_GRANT_DEVICE_CODE, person);
    assert!(server.is_access_token_live(&program.session.log_in(null()).unwrap()));
    assert!(ticks.try_iter().next().is_some_and(|remaining_ms| remaining_ms > 0));
    assert_eq!(program.person.ended(), [(JETON_OK, String::new())]);
    program.end();
}

#[test]
fn the_server_is_asked_while_show_device_code_runs() {
    let server = server();
    let (open, hangs) = gate();
    let person = device_person({
        let server = Arc::clone(&server);
        move |code| {
            // Asked at least once before the person does it: the login goes on although this has not returned.
            eventually("the server is asked", || server.stats().requests_to(Endpoint::Token) > 0);
            assert!(server.approve_device(code));
            hangs.wait();
            99
        }
    });
    let program = Program::new(&server, JETON_GRANT_DEVICE_CODE, person);
    program.session.log_in(null()).unwrap();
    assert_eq!(program.person.ended(), [(JETON_OK, String::new())]);
    open.open();
    program.end();
}

#[test]
fn a_late_failure_of_show_device_code_ends_the_login() {
    let server = server();
    let person = device_person({
        let server = Arc::clone(&server);
        move |_| {
            eventually("the server is asked", || server.stats().requests_to(Endpoint::Token) > 0);
            9
        }
    });
    let program = Program::new(&server, JETON_GRANT_DEVICE_CODE, person);
    let error = program.session.log_in(null()).unwrap_err();
    assert_eq!((error.status, error.callback_result), (JETON_ERROR_CALLBACK, 9));
    assert!(error.message.contains("show_device_code"), "{}", error.message);
    program.end();
}

#[test]
fn device_code_pending_ends_the_login_and_does_not_pile_up() {
    let server = server();
    let (calls, hear) = mpsc::channel();
    let mut person = device_person(|_| 0);
    person.tick = Box::new({
        let server = Arc::clone(&server);
        move |_| {
            calls.send(()).unwrap();
            eventually("the server is asked twice", || server.stats().requests_to(Endpoint::Token) > 1);
            3
        }
    });
    let program = Program::new(&server, JETON_GRANT_DEVICE_CODE, person);
    let error = program.session.log_in(null()).unwrap_err();
    assert_eq!((error.status, error.callback_result), (JETON_ERROR_CALLBACK, 3));
    assert_eq!(hear.try_iter().count(), 1, "it was called again before it had returned");
    let ended = program.person.ended();
    assert!(
        matches!(&*ended, [(JETON_ERROR_INTERACTION, message)] if message.contains("the error 3")),
        "{ended:?}"
    );
    program.end();
}

#[test]
fn a_refusal_is_told() {
    let server = server();
    let person = device_person({
        let server = Arc::clone(&server);
        move |code| i32::from(!server.deny_device(code))
    });
    let program = Program::new(&server, JETON_GRANT_DEVICE_CODE, person);
    assert_eq!(program.session.log_in(null()).unwrap_err().status, JETON_ERROR_OAUTH);
    let ended = program.person.ended();
    assert!(
        matches!(&*ended, [(JETON_ERROR_OAUTH, message)] if message.starts_with("access_denied")),
        "{ended:?}"
    );
    program.end();
}

#[test]
fn absent_callbacks_are_no_callbacks() {
    let server = server();
    let config = Config::person(&server, JETON_GRANT_DEVICE_CODE);
    let person = Arc::new(device_person(|_| 0));
    let mut table = table(&person);
    table.show_device_code = None;
    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const table, error) });
    let client = config.client();
    let error = client.session().log_in(null()).unwrap_err();
    assert_eq!(error.status, JETON_ERROR_INTERACTION, "{}", error.message);
    assert!(error.message.contains("show_device_code"), "{}", error.message);
    drop((client, config));
    eventually("the userdata is destroyed", || person.destroyed.count() == 1);

    let config = Config::person(&server, JETON_GRANT_DEVICE_CODE);
    let person = Arc::new(device_person({
        let server = Arc::clone(&server);
        move |code| i32::from(!server.approve_device(code))
    }));
    let mut table = self::table(&person);
    (table.device_code_pending, table.login_ended, table.destroy) = (None, None, None);
    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const table, error) });
    config.client().session().log_in(null()).unwrap();
}

#[test]
fn a_table_that_is_refused_stays_the_callers_and_one_that_is_replaced_is_destroyed() {
    let server = server();
    let config = Config::person(&server, JETON_GRANT_DEVICE_CODE);
    let person = Arc::new(Person::new());
    let table = table(&person);
    for size in [0, size_of::<jeton_interaction>() - 8, size_of::<jeton_interaction>() + 8] {
        let wrong = jeton_interaction { struct_size: size, ..table };
        // SAFETY: a whole table, but for what is to be refused.
        let error = told(|error| unsafe { jeton_config_set_interaction(config.0, &raw const wrong, error) });
        assert_eq!(error.unwrap_err().status, JETON_ERROR_INVALID_ARGUMENT);
    }
    // SAFETY: NULL is allowed.
    let error = told(|error| unsafe { jeton_config_set_interaction(config.0, null(), error) }).unwrap_err();
    assert_eq!(error.status, JETON_ERROR_INVALID_ARGUMENT);
    // SAFETY: NULL is allowed.
    let error =
        told(|error| unsafe { jeton_config_set_interaction(std::ptr::null_mut(), &raw const table, error) });
    assert_eq!(error.unwrap_err().status, JETON_ERROR_INVALID_ARGUMENT);
    assert_eq!(person.destroyed.count(), 0);

    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const table, error) });
    let other = Arc::new(Person::new());
    let replacing = self::table(&other);
    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_config_set_interaction(config.0, &raw const replacing, error) });
    assert_eq!((person.destroyed.count(), other.destroyed.count()), (1, 0));
    drop(config);
    assert_eq!((person.destroyed.count(), other.destroyed.count()), (1, 1));
}
