//! Tests of the core through the exported functions, against a devserver in this process.
//!
//! The wrappers stand for a C program that keeps to the rules: handles are live, freed once, and strings are
//! NUL-terminated.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, Fault};

use crate::*;

const REDIRECT: &str = "http://127.0.0.1:7777/callback";

/// A test that waits so long has failed.
const MOST: Duration = Duration::from_secs(60);

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A borrowed string that is there.
fn seen(text: *const c_char) -> String {
    optional(text).expect("a string")
}

fn optional(text: *const c_char) -> Option<String> {
    // SAFETY: what jeton lends is NULL or NUL-terminated, and lives as long as the handle that the caller still has.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned())
}

/// Frees with the function of its type.
macro_rules! owned_handle {
    ($name:ident, $type:ty, $free:ident) => {
        #[derive(Debug)]
        struct $name(*mut $type);

        // SAFETY: handles of these types may be used from any thread.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: a live handle, or NULL, that nobody else frees.
                unsafe { $free(self.0) };
            }
        }
    };
}

owned_handle!(Config, jeton_config, jeton_config_free);
owned_handle!(CClient, jeton_client, jeton_client_free);
owned_handle!(CSession, jeton_session, jeton_session_free);
owned_handle!(CToken, jeton_token, jeton_token_free);
owned_handle!(CError, jeton_error, jeton_error_free);
owned_handle!(Cancel, jeton_cancel, jeton_cancel_free);
owned_handle!(Pending, jeton_pending_login, jeton_pending_login_free);

impl CError {
    fn status(&self) -> i32 {
        // SAFETY: a live handle, here and in all that follow.
        unsafe { jeton_error_status(self.0) }
    }

    fn message(&self) -> String {
        // SAFETY: as above.
        seen(unsafe { jeton_error_message(self.0) })
    }

    fn recovery(&self) -> i32 {
        // SAFETY: as above.
        unsafe { jeton_error_recovery(self.0) }
    }

    fn code(&self) -> Option<String> {
        // SAFETY: as above.
        optional(unsafe { jeton_error_oauth_code(self.0) })
    }
}

/// Runs a fallible call: what it returns and what stands in `*error` must agree.
fn called(call: impl FnOnce(*mut *mut jeton_error) -> i32) -> Result<(), CError> {
    let mut error = null_mut();
    let status = call(&raw mut error);
    let error = CError(error);
    assert_eq!(status, error.status(), "{}", error.message());
    if status == JETON_OK { Ok(()) } else { Err(error) }
}

/// The same for a call that hands out a handle: there is one exactly if it succeeds.
fn given<T>(call: impl FnOnce(*mut *mut T, *mut *mut jeton_error) -> i32) -> Result<*mut T, CError> {
    let mut out = std::ptr::dangling_mut();
    let result = called(|error| call(&raw mut out, error));
    assert_eq!(out.is_null(), result.is_err());
    result.map(|()| out)
}

impl Config {
    fn new() -> Self {
        Self(jeton_config_new())
    }

    fn for_server(server: &DevServer, client_id: &str) -> Self {
        Self::new()
            .text(JETON_OPTION_ISSUER, server.issuer())
            .text(JETON_OPTION_CLIENT_ID, client_id)
            .text(JETON_OPTION_RESOURCE_SERVER, &server.resource_url())
    }

    fn service(server: &DevServer) -> Self {
        let (id, secret) = DevServer::SERVICE_CLIENT;
        Self::for_server(server, id)
            .secret(JETON_OPTION_CLIENT_SECRET, secret.as_bytes())
            .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS))
    }

    fn try_text(&self, option: i32, value: &str) -> Result<(), CError> {
        let value = c(value);
        // SAFETY: live handles and strings.
        called(|error| unsafe { jeton_config_set_str(self.0, option, value.as_ptr(), error) })
    }

    fn try_secret(&self, option: i32, value: &[u8]) -> Result<(), CError> {
        // SAFETY: a live handle, and bytes with their length.
        called(|error| unsafe { jeton_config_set_secret(self.0, option, value.as_ptr(), value.len(), error) })
    }

    fn try_number(&self, option: i32, value: i64) -> Result<(), CError> {
        // SAFETY: a live handle.
        called(|error| unsafe { jeton_config_set_int(self.0, option, value, error) })
    }

    fn text(self, option: i32, value: &str) -> Self {
        self.try_text(option, value).unwrap();
        self
    }

    fn secret(self, option: i32, value: &[u8]) -> Self {
        self.try_secret(option, value).unwrap();
        self
    }

    fn number(self, option: i32, value: i64) -> Self {
        self.try_number(option, value).unwrap();
        self
    }

    fn client(&self) -> Result<CClient, CError> {
        // SAFETY: a live handle.
        given(|out, error| unsafe { jeton_client_new(self.0, out, error) }).map(CClient)
    }

    fn session(&self) -> CSession {
        self.client().unwrap_or_else(|error| panic!("{}", error.message())).session(None)
    }
}

impl CClient {
    fn session(&self, account: Option<&str>) -> CSession {
        let account = account.map(c);
        let account = account.as_ref().map_or(null(), |account| account.as_ptr());
        // SAFETY: a live handle, and a string or NULL.
        CSession(given(|out, error| unsafe { jeton_client_session(self.0, account, out, error) }).unwrap())
    }

    fn accounts(&self) -> Vec<String> {
        // SAFETY: live handles; the list is freed last.
        unsafe {
            let accounts = given(|out, error| jeton_client_accounts(self.0, null(), out, error)).unwrap();
            let found = (0..jeton_accounts_count(accounts)).map(|at| seen(jeton_accounts_get(accounts, at)));
            let found = found.collect();
            assert!(jeton_accounts_get(accounts, jeton_accounts_count(accounts)).is_null());
            jeton_accounts_free(accounts);
            found
        }
    }
}

impl CSession {
    fn token_with(&self, cancel: Option<&Cancel>) -> Result<CToken, CError> {
        let cancel = cancel.map_or(null(), |cancel| cancel.0.cast_const());
        // SAFETY: live handles.
        given(|out, error| unsafe { jeton_session_token(self.0, 0, cancel, out, error) }).map(CToken)
    }

    fn token(&self) -> Result<CToken, CError> {
        self.token_with(None)
    }

    fn cached(&self) -> Option<CToken> {
        let mut token = std::ptr::dangling_mut();
        // SAFETY: a live handle.
        let status = unsafe { jeton_session_cached(self.0, 0, &raw mut token) };
        assert_eq!(status, if token.is_null() { JETON_ERROR_NOT_CACHED } else { JETON_OK });
        (!token.is_null()).then_some(CToken(token))
    }

    fn log_in(&self) -> Result<CToken, CError> {
        // SAFETY: a live handle.
        given(|out, error| unsafe { jeton_session_log_in(self.0, null(), out, error) }).map(CToken)
    }

    fn adopt(&self, json: &str) -> Result<CToken, CError> {
        // SAFETY: a live handle, and bytes with their length.
        given(|out, error| unsafe {
            jeton_session_adopt(self.0, json.as_ptr(), json.len(), null(), out, error)
        })
        .map(CToken)
    }

    fn begin(&self) -> Pending {
        let redirect = c(REDIRECT);
        // SAFETY: a live handle and a string.
        Pending(
            given(|out, error| unsafe {
                jeton_session_begin_log_in(self.0, redirect.as_ptr(), null(), out, error)
            })
            .unwrap(),
        )
    }

    fn finish(&self, pending: &Pending, redirected: &str) -> Result<CToken, CError> {
        let redirected = c(redirected);
        // SAFETY: live handles and a string.
        given(|out, error| unsafe {
            jeton_session_finish_log_in(self.0, pending.0, redirected.as_ptr(), null(), out, error)
        })
        .map(CToken)
    }

    fn judge(&self, token: &CToken, status: i32, www_authenticate: Option<&str>) -> bool {
        let header = www_authenticate.map(c);
        let header = header.as_ref().map_or(null(), |header| header.as_ptr());
        let mut again = 7;
        // SAFETY: live handles, and a string or NULL.
        called(|error| unsafe {
            jeton_session_judge(self.0, token.0, status, header, &raw mut again, error)
        })
        .unwrap();
        assert!(matches!(again, 0 | 1));
        again == 1
    }
}

impl CToken {
    fn text(&self) -> String {
        // SAFETY: a live handle.
        seen(unsafe { jeton_token_access_token(self.0) })
    }
}

impl Pending {
    fn url(&self) -> String {
        // SAFETY: a live handle.
        seen(unsafe { jeton_pending_login_url(self.0) })
    }

    fn serialized(&self) -> String {
        // SAFETY: a live handle.
        seen(unsafe { jeton_pending_login_serialized(self.0) })
    }

    fn parse(json: &str) -> Result<Self, CError> {
        // SAFETY: bytes with their length.
        given(|out, error| unsafe { jeton_pending_login_parse(json.as_ptr(), json.len(), out, error) })
            .map(Self)
    }
}

fn token_requests(server: &DevServer) -> u64 {
    server.stats().requests_to(Endpoint::Token)
}

/// The failure of what must not succeed.
fn refused<T>(result: Result<T, CError>) -> CError {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

// ----- Tokens
// ----------------------------------------------------------------------------------------------------------

#[test]
fn a_service_gets_a_token_and_the_cached_one_is_the_same_handle() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).text(JETON_OPTION_SCOPE, "read write").session();
    assert!(session.cached().is_none());
    let token = session.token().unwrap();
    // SAFETY: live handles, of which one is used after another session of the login was freed.
    unsafe {
        let authorization = seen(jeton_token_authorization(token.0));
        assert_eq!(authorization, format!("Bearer {}", token.text()));
        assert_eq!(jeton_token_authorization_length(token.0), authorization.len());
        assert_eq!(seen(jeton_token_type(token.0)), "Bearer");
        assert_eq!(seen(jeton_token_scope(token.0)), "read write");
        assert!(jeton_token_expires_at_ms(token.0) > 1_600_000_000_000);
        assert_eq!(jeton_token_warning_count(token.0), 0);
        assert!(
            jeton_token_warning_code(token.0, 0).is_null()
                && jeton_token_warning_message(token.0, 0).is_null()
        );
        assert!(jeton_token_extra(token.0, c"nothing".as_ptr()).is_null());
        assert_eq!(seen(jeton_token_extra_json(token.0)), "{}");
    }
    let (first, second) = (session.cached().unwrap(), session.cached().unwrap());
    assert_eq!((first.0, second.0), (token.0, token.0));
    drop((token, first));
    assert_eq!(session.token().unwrap().text(), second.text(), "each handle counts");
    assert_eq!(token_requests(&server), 1);
    drop(session);
    assert!(!second.text().is_empty(), "a token outlives its session");
}

#[test]
fn what_a_server_adds_and_what_was_forgiven_stand_on_the_token() {
    let server = DevServer::start().unwrap();
    server.fault(
        Endpoint::Token,
        Fault::answer(
            200,
            "application/json",
            r#"{"access_token":"t","token_type":"bearer","expires_in":"60","id_token":"e.y.J","n\u0000":{"a":[1,"x"]}}"#,
        ),
    );
    let session = Config::service(&server).session();
    let token = session.token().unwrap();
    // SAFETY: a live handle.
    unsafe {
        assert_eq!(jeton_token_warning_count(token.0), 1);
        assert_eq!(seen(jeton_token_warning_code(token.0, 0)), "expires_in_string");
        assert!(seen(jeton_token_warning_message(token.0, 0)).contains("expires_in"));
        assert_eq!(seen(jeton_token_extra(token.0, c"id_token".as_ptr())), "e.y.J");
        assert_eq!(seen(jeton_token_extra_json(token.0)), r#"{"id_token":"e.y.J","n\u0000":{"a":[1,"x"]}}"#);
        assert!(jeton_token_scope(token.0).is_null());
    }
    let strict = Config::service(&server).number(JETON_OPTION_STRICT, 1).session();
    server.fault(
        Endpoint::Token,
        Fault::answer(
            200,
            "application/json",
            r#"{"access_token":"t","token_type":"bearer","expires_in":"60"}"#,
        ),
    );
    let error = refused(strict.token());
    assert_eq!(error.status(), JETON_ERROR_ANSWER, "{}", error.message());
}

#[test]
fn a_password_logs_in_without_a_person() {
    let server = DevServer::start().unwrap();
    let (name, password) = DevServer::ALICE;
    let config = Config::for_server(&server, DevServer::PASSWORD_CLIENT)
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_PASSWORD))
        .text(JETON_OPTION_USERNAME, name);
    let error = refused(config.client());
    assert!(error.message().contains("JETON_OPTION_PASSWORD"), "{}", error.message());
    let session = config.secret(JETON_OPTION_PASSWORD, password.as_bytes()).session();
    assert!(!session.token().unwrap().text().is_empty());
}

#[test]
fn sessions_of_one_login_share_it_and_those_for_a_resource_or_a_part_of_the_scope_have_tokens_of_their_own() {
    let server = DevServer::start().unwrap();
    let client = Config::service(&server)
        .text(JETON_OPTION_SCOPE, "read write")
        .text(JETON_OPTION_RESOURCE, &server.resource_identifier())
        .text(JETON_OPTION_RESOURCE, &server.second_resource_identifier())
        .client()
        .unwrap();
    let (one, other) = (client.session(None), client.session(Some("default")));
    assert_eq!(one.token().unwrap().text(), other.token().unwrap().text());
    // SAFETY: live handles and strings.
    unsafe {
        assert_eq!(seen(jeton_session_account(one.0)), "default");
        assert_eq!(seen(jeton_session_account(client.session(Some("Zoë")).0)), "Zoë");
        let resource = c(&server.second_resource_identifier());
        let second = given(|out, error| jeton_session_for_resource(one.0, resource.as_ptr(), out, error))
            .map(CSession);
        assert_ne!(second.unwrap().token().unwrap().text(), one.token().unwrap().text());
        let narrow =
            given(|out, error| jeton_session_with_scope(one.0, c"read".as_ptr(), out, error)).map(CSession);
        assert_eq!(seen(jeton_token_scope(narrow.unwrap().token().unwrap().0)), "read");
        let broken = given(|out, error| jeton_session_with_scope(one.0, c"a\\b".as_ptr(), out, error));
        assert_eq!(refused(broken).status(), JETON_ERROR_INVALID_ARGUMENT);
    }
}

#[test]
fn a_wish_for_longer_and_an_explicit_refresh_get_another_token() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    let token = session.token().unwrap();
    // SAFETY: live handles.
    unsafe {
        let fresh =
            given(|out, error| jeton_session_refresh(session.0, null(), out, error)).map(CToken).unwrap();
        assert_ne!(fresh.text(), token.text());
        assert_eq!(session.cached().unwrap().text(), fresh.text());
        let mut cached = null_mut();
        assert_eq!(jeton_session_cached(session.0, 1_000, &raw mut cached), JETON_OK);
        assert_eq!(CToken(cached).text(), fresh.text());
        assert_eq!(jeton_session_cached(session.0, -1, &raw mut cached), JETON_ERROR_INVALID_ARGUMENT);
        assert!(cached.is_null());
        let error = refused(given(|out, error| jeton_session_token(session.0, -1, null(), out, error)));
        assert!(error.message().contains("negative"), "{}", error.message());
    }
}

// ----- Logins
// ----------------------------------------------------------------------------------------------------------

#[test]
fn a_login_is_begun_kept_as_text_and_finished_once() {
    let server = DevServer::start().unwrap();
    let client = Config::for_server(&server, DevServer::PUBLIC_CLIENT).client().unwrap();
    let session = client.session(Some("alice"));
    let error = refused(session.token());
    assert_eq!((error.status(), error.recovery()), (JETON_ERROR_LOGIN_REQUIRED, JETON_RECOVERY_LOG_IN));
    assert!(error.message().contains("call jeton_session_log_in"), "{}", error.message());
    let error = refused(session.log_in());
    assert_eq!(error.status(), JETON_ERROR_CONFIGURATION);
    assert!(error.message().contains("JETON_OPTION_GRANT"), "{}", error.message());

    let begun = session.begin();
    let kept = begun.serialized();
    // SAFETY: live handles.
    unsafe {
        let state = seen(jeton_pending_login_state(begun.0));
        assert!(begun.url().contains(&format!("state={state}")), "{}", begun.url());
        assert!(jeton_pending_login_expires_at_ms(begun.0) > 1_600_000_000_000);
    }
    let redirected = server.authorize(&begun.url()).unwrap();
    drop(begun);
    let pending = Pending::parse(&kept).unwrap();
    // SAFETY: a live handle.
    assert!(unsafe { jeton_pending_login_url(pending.0) }.is_null());

    // What is none of this login's is refused, and uses up nothing.
    let error = refused(session.finish(&pending, &format!("{REDIRECT}?code=theirs&state=guessed")));
    assert_eq!((error.status(), error.recovery()), (JETON_ERROR_ANSWER, JETON_RECOVERY_LOG_IN));
    assert_eq!(refused(session.finish(&pending, "no url")).status(), JETON_ERROR_INVALID_ARGUMENT);
    let error = refused(client.session(Some("bob")).finish(&pending, &redirected));
    assert_eq!(error.status(), JETON_ERROR_INVALID_ARGUMENT);

    let token = session.finish(&pending, &redirected).unwrap();
    assert_eq!(session.token().unwrap().text(), token.text());
    assert_eq!(client.accounts(), ["alice"]);
    let error = refused(session.finish(&pending, &redirected));
    assert_eq!((error.status(), error.recovery()), (JETON_ERROR_INVALID_ARGUMENT, JETON_RECOVERY_LOG_IN));
    assert_eq!(token_requests(&server), 1);
}

#[test]
fn a_person_who_says_no_is_told_apart() {
    let server = DevServer::start().unwrap();
    let session = Config::for_server(&server, DevServer::PUBLIC_CLIENT).session();
    let pending = session.begin();
    server.deny_next_authorization();
    let redirected = server.authorize(&pending.url()).unwrap();
    let error = refused(session.finish(&pending, &redirected));
    assert_eq!((error.status(), error.code().as_deref()), (JETON_ERROR_OAUTH, Some("access_denied")));
    assert_eq!(error.recovery(), JETON_RECOVERY_LOG_IN);
}

#[test]
fn what_is_no_pending_login_is_refused_without_showing_it() {
    for wrong in ["", "{}", "[]", r#"{"state":"s3cr3t","code_verifier":7}"#] {
        let error = refused(Pending::parse(wrong));
        assert_eq!(error.status(), JETON_ERROR_INVALID_ARGUMENT);
        assert!(!error.message().contains("s3cr3t"), "{}", error.message());
    }
}

#[test]
fn without_an_interaction_a_device_code_cannot_be_shown() {
    let server = DevServer::start().unwrap();
    let session = Config::for_server(&server, DevServer::PUBLIC_CLIENT)
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_DEVICE_CODE))
        .session();
    let error = refused(session.log_in());
    assert_eq!(error.status(), JETON_ERROR_INTERACTION, "{}", error.message());
    assert!(error.message().contains("jeton_config_set_interaction"), "{}", error.message());
}

#[test]
fn tokens_that_the_program_has_are_adopted_also_a_refresh_token_alone() {
    let server = DevServer::start().unwrap();
    let refresh_token = {
        let session = Config::for_server(&server, DevServer::PUBLIC_CLIENT).session();
        let pending = session.begin();
        session.finish(&pending, &server.authorize(&pending.url()).unwrap()).unwrap();
        // A refresh, which shows what the refresh token was.
        // SAFETY: a live handle.
        let fresh = given(|out, error| unsafe { jeton_session_refresh(session.0, null(), out, error) });
        drop(CToken(fresh.unwrap()));
        let request = server.last_request(Endpoint::Token).unwrap();
        request.form_value("refresh_token").map(str::to_owned).unwrap()
    };
    // That one is spent by the refresh; what counts here is that it is what is sent.
    let session = Config::for_server(&server, DevServer::PUBLIC_CLIENT).session();
    let error = refused(session.adopt("{}"));
    assert_eq!(error.status(), JETON_ERROR_INVALID_ARGUMENT);
    let json = format!(
        r#"{{"access_token":"mine","token_type":"Bearer","expires_in":3600,"refresh_token":"{refresh_token}"}}"#
    );
    assert_eq!(session.adopt(&json).unwrap().text(), "mine");
    assert_eq!(session.token().unwrap().text(), "mine");
    let requests = token_requests(&server);
    assert_eq!(session.adopt(&format!(r#"{{"refresh_token":"{refresh_token}"}}"#)).unwrap().text(), "");
    assert_eq!(token_requests(&server), requests, "adopting sends nothing");
    let error = refused(session.token());
    assert_eq!(error.status(), JETON_ERROR_LOGIN_REQUIRED, "{}", error.message());
    let request = server.last_request(Endpoint::Token).unwrap();
    assert_eq!(request.form_value("refresh_token"), Some(refresh_token.as_str()));
    for (wrong, marker) in
        [(r#"{"access_token":"s3cr3t\u0007"}"#, "s3cr3t"), (r#"["s3cr3t"]"#, "s3cr3t"), ("s3cr3t", "s3cr3t")]
    {
        let error = refused(session.adopt(wrong));
        assert_eq!(error.status(), JETON_ERROR_INVALID_ARGUMENT);
        assert!(!error.message().contains(marker), "{}", error.message());
    }
}

#[test]
fn a_log_out_forgets_and_tells_what_could_not_be_revoked() {
    let server = DevServer::start().unwrap();
    let client = Config::for_server(&server, DevServer::PUBLIC_CLIENT).client().unwrap();
    let session = client.session(None);
    let log_in = || {
        let pending = session.begin();
        session.finish(&pending, &server.authorize(&pending.url()).unwrap()).unwrap()
    };
    let log_out = || {
        let mut why = std::ptr::dangling_mut();
        // SAFETY: a live handle.
        called(|error| unsafe { jeton_session_log_out(session.0, null(), &raw mut why, error) }).unwrap();
        CError(why)
    };
    drop(log_in());
    assert_eq!(log_out().status(), JETON_OK);
    assert_eq!(server.live_logins(), 0);
    assert!(session.cached().is_none() && client.accounts().is_empty());
    assert_eq!(refused(session.token()).status(), JETON_ERROR_LOGIN_REQUIRED);

    drop(log_in());
    server.fault(Endpoint::Revocation, Fault::unavailable(None));
    let why = log_out();
    assert_ne!(why.status(), JETON_OK, "{}", why.message());
    assert_eq!(server.live_logins(), 1);
    assert_eq!(refused(session.token()).status(), JETON_ERROR_LOGIN_REQUIRED);
}

#[test]
fn a_revoked_token_is_replaced_and_introspection_tells_what_the_server_knows() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    let token = session.token().unwrap();
    // SAFETY: live handles; the answer is freed last.
    unsafe {
        let answer = given(|out, error| jeton_session_introspect(session.0, null(), out, error)).unwrap();
        assert_eq!(jeton_introspection_is_active(answer), 1);
        assert_eq!(seen(jeton_introspection_client_id(answer)), DevServer::SERVICE_CLIENT.0);
        assert_eq!(jeton_introspection_expires_at_ms(answer) % 1_000, 0);
        assert!(jeton_introspection_expires_at_ms(answer) > 1_600_000_000_000);
        assert!(seen(jeton_introspection_json(answer)).contains(r#""active":true"#));
        assert_eq!(optional(jeton_introspection_scope(answer)), optional(jeton_token_scope(token.0)));
        let subject = seen(jeton_introspection_subject(answer));
        assert_eq!(optional(jeton_introspection_username(answer)), Some(subject));
        jeton_introspection_free(answer);
        called(|error| jeton_session_revoke(session.0, null(), error)).unwrap();
    }
    assert!(!server.is_access_token_live(&token.text()));
    assert!(session.cached().is_none());
    assert_ne!(session.token().unwrap().text(), token.text());
}

#[test]
fn programs_with_an_http_library_of_their_own_ask_where_a_token_may_go_and_what_an_answer_means() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    let check = |url: &str| {
        let url = c(url);
        // SAFETY: a live handle and a string.
        called(|error| unsafe { jeton_session_check_url(session.0, url.as_ptr(), error) })
    };
    check(&server.resource_url()).unwrap();
    let error = refused(check("https://evil.example/"));
    assert_eq!(
        (error.status(), error.recovery()),
        (JETON_ERROR_FOREIGN_ORIGIN, JETON_RECOVERY_FIX_CONFIGURATION)
    );
    assert!(error.message().contains("JETON_OPTION_RESOURCE_SERVER"), "{}", error.message());
    assert_eq!(refused(check("/v1")).status(), JETON_ERROR_INVALID_ARGUMENT);

    let token = session.token().unwrap();
    assert!(!session.judge(&token, 200, None));
    assert!(!session.judge(&token, 403, Some(r#"Bearer error="insufficient_scope""#)));
    let other = r#"Bearer error="insufficient_user_authentication""#;
    assert!(!session.judge(&token, 401, Some(other)), "nothing that another token would mend");
    assert!(session.cached().is_some());
    assert!(session.judge(&token, 401, Some(r#"Basic realm="x", Bearer error="invalid_token""#)));
    assert!(session.cached().is_none());
    let another = session.token().unwrap();
    assert_ne!(another.text(), token.text());
    assert!(
        !session.judge(&another, 401, Some(r#"Bearer error="invalid_token""#)),
        "another one would be no better"
    );
    for wrong in [-1, 0, 99, 1_000, i32::MAX] {
        // SAFETY: live handles.
        let status =
            unsafe { jeton_session_judge(session.0, token.0, wrong, null(), null_mut(), null_mut()) };
        assert_eq!(status, JETON_ERROR_INVALID_ARGUMENT, "{wrong}");
    }
}

// ----- Failures and cancelling
// -----------------------------------------------------------------------------------------

#[test]
fn errors_tell_what_the_server_said_and_what_to_do() {
    let server = DevServer::start().unwrap();
    let wrong = Config::service(&server).secret(JETON_OPTION_CLIENT_SECRET, b"wrong-s3cr3t");
    let error = refused(wrong.session().token());
    assert_eq!((error.status(), error.code().as_deref()), (JETON_ERROR_OAUTH, Some("invalid_client")));
    assert_eq!(error.recovery(), JETON_RECOVERY_FIX_CONFIGURATION);
    // SAFETY: a live handle.
    unsafe {
        assert_eq!(jeton_error_http_status(error.0), 401);
        assert!(!jeton_error_oauth_description(error.0).is_null());
        assert_eq!(jeton_error_callback_result(error.0), 0);
        assert_eq!(jeton_error_retry_after_ms(error.0), JETON_NEVER);
    }
    assert!(!error.message().contains("wrong-s3cr3t"), "{}", error.message());

    server.fault(Endpoint::Token, Fault::unavailable(Some("7")));
    let session = Config::service(&server).session();
    let error = refused(session.token());
    assert_eq!(
        (error.status(), error.recovery()),
        (JETON_ERROR_ANSWER, JETON_RECOVERY_RETRY),
        "{}",
        error.message()
    );
    // SAFETY: live handles.
    unsafe {
        assert_eq!((jeton_error_http_status(error.0), jeton_error_retry_after_ms(error.0)), (503, 7_000));
        let requests = token_requests(&server);
        let error = refused(session.token());
        assert_eq!((error.status(), error.recovery()), (JETON_ERROR_BACKING_OFF, JETON_RECOVERY_RETRY));
        assert_eq!(token_requests(&server), requests);
        assert_eq!(jeton_error_http_status(error.0), 503, "of the failure behind it");
        assert!((1..=7_000).contains(&jeton_error_retry_after_ms(error.0)), "{}", error.message());
    }
}

#[test]
fn nobody_who_answers_is_an_error_of_the_network() {
    let gone = DevServer::start().unwrap().token_url();
    let session = Config::new()
        .text(JETON_OPTION_TOKEN_ENDPOINT, &gone)
        .text(JETON_OPTION_CLIENT_ID, "service")
        .secret(JETON_OPTION_CLIENT_SECRET, b"s3cr3t")
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS))
        .session();
    let error = refused(session.token());
    assert_eq!(
        (error.status(), error.recovery()),
        (JETON_ERROR_NETWORK, JETON_RECOVERY_RETRY),
        "{}",
        error.message()
    );
}

#[test]
fn a_cancelled_call_comes_back_and_a_refresh_under_way_is_not_lost() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    let cancel = Cancel(jeton_cancel_new());
    server.fault(Endpoint::Token, Fault::Gate);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| refused(session.token_with(Some(&cancel))));
        let patient = scope.spawn(|| session.token().unwrap());
        assert!(server.wait_until_held_blocking(1, MOST));
        // SAFETY: a live handle, here and below.
        unsafe {
            assert_eq!(jeton_cancel_is_cancelled(cancel.0), 0);
            jeton_cancel_cancel(cancel.0);
            jeton_cancel_cancel(cancel.0);
            assert_eq!(jeton_cancel_is_cancelled(cancel.0), 1);
        }
        let error = waiting.join().unwrap();
        assert_eq!((error.status(), error.recovery()), (JETON_ERROR_CANCELLED, JETON_RECOVERY_RETRY));
        server.open_gate();
        assert!(!patient.join().unwrap().text().is_empty());
    });
    assert_eq!(token_requests(&server), 1);
    let error = refused(session.token_with(Some(&cancel)));
    assert_eq!(error.status(), JETON_ERROR_CANCELLED, "also where the token is cached");
    let other = Config::service(&server).session();
    assert_eq!(refused(other.token_with(Some(&cancel))).status(), JETON_ERROR_CANCELLED);
    // SAFETY: live handles.
    let late = given(|out, error| unsafe { jeton_session_refresh(session.0, cancel.0, out, error) });
    assert_eq!(refused(late).status(), JETON_ERROR_CANCELLED);
    assert_eq!(token_requests(&server), 1, "a call that comes too late sends nothing");
}

#[test]
fn a_cancel_handle_may_be_freed_while_calls_run() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    let cancel = Cancel(jeton_cancel_new());
    server.fault(Endpoint::Token, Fault::Gate);
    std::thread::scope(|scope| {
        let (session, pointer) = (&session, Cancel(cancel.0));
        let waiting = scope.spawn(move || {
            let pointer = std::mem::ManuallyDrop::new(pointer);
            session.token_with(Some(&pointer)).map(|token| token.text())
        });
        assert!(server.wait_until_held_blocking(1, MOST));
        drop(cancel);
        server.open_gate();
        assert!(!waiting.join().unwrap().unwrap().is_empty());
    });
}

#[test]
fn closing_waits_for_what_is_under_way_and_all_is_stored() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).session();
    session.token().unwrap();
    // SAFETY: a live handle.
    unsafe {
        called(|error| jeton_session_close(session.0, null(), error)).unwrap();
        called(|error| jeton_session_persist_error(session.0, error)).unwrap();
    }
}

// ----- Configuration
// ---------------------------------------------------------------------------------------------------

#[test]
fn a_wrong_option_is_told_in_words_that_help() {
    let config = Config::new();
    for (error, words) in [
        (config.try_text(999, "x"), "option 999 is not known to this version (0."),
        (config.try_number(0, 1), "option 0 is not known"),
        (
            config.try_number(JETON_OPTION_SCOPE, 1),
            "JETON_OPTION_SCOPE takes a string: use jeton_config_set_str",
        ),
        (
            config.try_text(JETON_OPTION_STRICT, "1"),
            "JETON_OPTION_STRICT takes a number: use jeton_config_set_int",
        ),
        (
            config.try_text(JETON_OPTION_CLIENT_SECRET, "s"),
            "JETON_OPTION_CLIENT_SECRET takes a secret: use jeton_config_set_secret",
        ),
        (config.try_secret(JETON_OPTION_ISSUER, b"s"), "JETON_OPTION_ISSUER takes a string"),
        (config.try_secret(JETON_OPTION_PASSWORD, b"\xff"), "JETON_OPTION_PASSWORD is not UTF-8"),
        (
            config.try_secret(JETON_OPTION_STORE_KEY, &[7; 31]),
            "JETON_OPTION_STORE_KEY takes 32 bytes, and these are 31",
        ),
        (config.try_number(JETON_OPTION_STRICT, 2), "JETON_OPTION_STRICT takes 0 to 1, and this is 2"),
        (config.try_number(JETON_OPTION_REDIRECT_PORT, 65_536), "0 to 65535"),
        (config.try_number(JETON_OPTION_GRANT, 0), "JETON_OPTION_GRANT takes 1 to 4"),
        (config.try_number(JETON_OPTION_REQUEST_TIMEOUT_MS, -1), "takes 0 or more, and this is -1"),
    ] {
        let error = refused(error);
        assert_eq!(
            (error.status(), error.recovery()),
            (JETON_ERROR_INVALID_ARGUMENT, JETON_RECOVERY_FIX_REQUEST)
        );
        assert!(error.message().contains(words), "{} lacks {words}", error.message());
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_in_the_words_of_c() {
    let with_id = || Config::new().text(JETON_OPTION_CLIENT_ID, "my-app");
    let minimal = || with_id().text(JETON_OPTION_ISSUER, "https://as.example");
    let automatic = i64::from(JETON_STORE_AUTOMATIC);
    let key = [1, 2, 3, 4].repeat(8);
    for (config, words) in [
        (Config::new().text(JETON_OPTION_ISSUER, "https://as.example"), "JETON_OPTION_CLIENT_ID is not set"),
        (with_id(), "set JETON_OPTION_ISSUER, or JETON_OPTION_TOKEN_ENDPOINT"),
        (with_id().text(JETON_OPTION_ISSUER, "http://as.example"), "https"),
        (minimal().text(JETON_OPTION_TOKEN_ENDPOINT, "http://as.example/t"), "token endpoint"),
        (minimal().text(JETON_OPTION_METADATA, "{"), "JETON_OPTION_METADATA is not a metadata document"),
        (
            minimal().text(JETON_OPTION_METADATA, r#"{"issuer":"https://other.example"}"#),
            "JETON_OPTION_ISSUER and the issuer in JETON_OPTION_METADATA differ",
        ),
        (minimal().number(JETON_OPTION_CLIENT_AUTHENTICATION, 2), "JETON_OPTION_CLIENT_SECRET is not set"),
        (
            minimal().number(JETON_OPTION_CLIENT_AUTHENTICATION, 3).secret(JETON_OPTION_CLIENT_SECRET, b"s"),
            "this is a public client",
        ),
        (minimal().text(JETON_OPTION_SCOPE, "a\\b"), "scope"),
        (minimal().text(JETON_OPTION_RESOURCE, "api"), "RFC 8707"),
        (minimal().text(JETON_OPTION_RESOURCE_SERVER, "http://api.example"), "http://api.example"),
        (minimal().text(JETON_OPTION_PROXY, "x y"), "proxy"),
        (
            minimal().text(JETON_OPTION_PROXY, "http://p.example").number(JETON_OPTION_NO_PROXY, 1),
            "JETON_OPTION_PROXY and JETON_OPTION_NO_PROXY",
        ),
        (minimal().text(JETON_OPTION_CA_CERTIFICATES, "no pem"), "certificate"),
        (minimal().number(JETON_OPTION_STORE, automatic), "JETON_OPTION_STORE_SERVICE"),
        (
            minimal()
                .number(JETON_OPTION_STORE, i64::from(JETON_STORE_SEALED))
                .secret(JETON_OPTION_STORE_KEY, &key)
                .secret(JETON_OPTION_STORE_PASSPHRASE, b"hunter2"),
            "JETON_OPTION_STORE_KEY and JETON_OPTION_STORE_PASSPHRASE",
        ),
    ] {
        let error = refused(config.client());
        assert_eq!(
            (error.status(), error.recovery()),
            (JETON_ERROR_CONFIGURATION, JETON_RECOVERY_FIX_CONFIGURATION)
        );
        let message = error.message();
        assert!(message.contains(words), "{message} lacks {words}");
        assert!(!message.contains("::") && !message.contains("hunter2"), "{message}");
    }
    let zeros = minimal()
        .number(JETON_OPTION_STORE, i64::from(JETON_STORE_SEALED))
        .text(JETON_OPTION_STORE_FOLDER, "/nowhere")
        .secret(JETON_OPTION_STORE_KEY, &[0; 32]);
    let error = refused(zeros.client());
    assert!(error.message().contains("make one from 32 random bytes"), "{}", error.message());
}

#[test]
fn options_that_may_be_set_several_times_add_up_and_others_replace() {
    let server = DevServer::start().unwrap();
    let session = Config::for_server(&server, "replaced")
        .text(JETON_OPTION_CLIENT_ID, DevServer::SERVICE_CLIENT.0)
        .secret(JETON_OPTION_CLIENT_SECRET, b"replaced")
        .secret(JETON_OPTION_CLIENT_SECRET, DevServer::SERVICE_CLIENT.1.as_bytes())
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_DEVICE_CODE))
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS))
        .text(JETON_OPTION_RESOURCE_SERVER, "https://two.example")
        .session();
    session.token().unwrap();
    for url in [c(&server.resource_url()), c("https://two.example/x")] {
        // SAFETY: a live handle and a string.
        called(|error| unsafe { jeton_session_check_url(session.0, url.as_ptr(), error) }).unwrap();
    }
}

#[test]
fn extra_parameters_go_into_the_kind_of_request_that_they_are_for() {
    let server = DevServer::start().unwrap();
    let config = Config::service(&server);
    let add = |request, name: &CStr, value: &CStr| {
        // SAFETY: a live handle and strings.
        called(|error| unsafe {
            jeton_config_add_parameter(config.0, request, name.as_ptr(), value.as_ptr(), error)
        })
    };
    add(JETON_REQUEST_TOKEN, c"tenant", c"for tokens").unwrap();
    add(JETON_REQUEST_REFRESH, c"tenant", c"for refreshes").unwrap();
    for wrong in
        [add(5, c"a", c"b"), add(JETON_REQUEST_TOKEN, c"", c"b"), add(JETON_REQUEST_TOKEN, c"tenant", c"b")]
    {
        assert_eq!(refused(wrong).status(), JETON_ERROR_INVALID_ARGUMENT);
    }
    config.session().token().unwrap();
    assert_eq!(server.last_request(Endpoint::Token).unwrap().form_value("tenant"), Some("for tokens"));
}

#[test]
fn logins_are_kept_in_files_plain_and_sealed_and_found_by_another_client() {
    let server = DevServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = [3, 1, 4, 1, 5, 9, 2, 6].repeat(4);
    type Sealing<'a> = Option<(i32, &'a [u8])>;
    let kinds: [(&str, i32, Sealing<'_>); 3] = [
        ("plain", JETON_STORE_FILE, None),
        ("sealed", JETON_STORE_SEALED, Some((JETON_OPTION_STORE_KEY, &key))),
        (
            "passphrase",
            JETON_STORE_SEALED,
            Some((JETON_OPTION_STORE_PASSPHRASE, b"correct horse battery staple")),
        ),
    ];
    for (name, kind, secret) in kinds {
        let place = folder.path().join(name);
        let config = Config::service(&server)
            .number(JETON_OPTION_STORE, i64::from(kind))
            .text(JETON_OPTION_STORE_FOLDER, place.to_str().unwrap());
        let config = match secret {
            Some((option, secret)) => config.secret(option, secret),
            None => config,
        };
        let first = config.client().unwrap();
        // SAFETY: a live handle.
        unsafe {
            let description = seen(jeton_client_store_description(first.0));
            assert!(description.contains(place.to_str().unwrap()), "{description}");
            assert_eq!(jeton_client_store_is_persistent(first.0), 1);
            assert_eq!(jeton_client_store_is_encrypted(first.0), i32::from(kind == JETON_STORE_SEALED));
        }
        let token = first.session(Some("nightly")).token().unwrap().text();
        let requests = token_requests(&server);
        let second = config.client().unwrap();
        drop(config);
        assert_eq!(second.session(Some("nightly")).token().unwrap().text(), token, "{name}");
        assert_eq!(token_requests(&server), requests, "{name}");
        assert_eq!(second.accounts(), ["nightly"], "{name}");
    }
}

#[cfg(target_os = "linux")]
const CHILD: &str = "JETON_FFI_TEST_CHILD";

/// In a process of its own, which finds no keychain: the one of this machine is not for tests.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_keychain_the_automatic_choice_takes_what_is_allowed_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "through_c::automatic_choice_without_a_keychain", "--nocapture"])
        .env(CHILD, folder.path().join("state"))
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("all was chosen"), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn automatic_choice_without_a_keychain() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let config = || {
        Config::new()
            .text(JETON_OPTION_ISSUER, "https://as.example")
            .text(JETON_OPTION_CLIENT_ID, "my-app")
            .number(JETON_OPTION_STORE, i64::from(JETON_STORE_AUTOMATIC))
            .text(JETON_OPTION_STORE_SERVICE, "com.example.jeton-test")
            .text(JETON_OPTION_STORE_FOLDER, folder.to_str().unwrap())
    };
    let error = refused(config().client());
    assert_eq!(error.status(), JETON_ERROR_STORE, "{}", error.message());
    assert!(error.message().contains("there is no keychain"), "{}", error.message());
    let sealed = config().secret(JETON_OPTION_STORE_PASSPHRASE, b"correct horse battery staple");
    let plain = config().number(JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE, 1);
    for (config, encrypted) in [(sealed, 1), (plain, 0)] {
        let client = config.client().unwrap_or_else(|error| panic!("{}", error.message()));
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(jeton_client_store_is_persistent(client.0), 1);
            assert_eq!(jeton_client_store_is_encrypted(client.0), encrypted);
            let description = seen(jeton_client_store_description(client.0));
            assert!(description.contains("because"), "{description}");
        }
    }
    println!("all was chosen");
}

#[test]
fn null_arguments_are_refused_or_answer_neutrally() {
    let config = Config::new();
    // SAFETY: NULL is allowed everywhere.
    unsafe {
        let (n, e) = (null(), null_mut());
        assert_eq!(jeton_config_set_str(null_mut(), JETON_OPTION_ISSUER, c"x".as_ptr(), e), 1);
        assert_eq!(jeton_config_set_str(config.0, JETON_OPTION_ISSUER, n, e), 1);
        assert_eq!(jeton_config_set_secret(null_mut(), JETON_OPTION_PASSWORD, n.cast(), 0, e), 1);
        assert_eq!(jeton_config_set_secret(config.0, JETON_OPTION_PASSWORD, n.cast(), 1, e), 1);
        assert_eq!(jeton_config_set_int(null_mut(), JETON_OPTION_STRICT, 1, e), 1);
        assert_eq!(jeton_config_add_parameter(config.0, 1, n, c"x".as_ptr(), e), 1);
        assert_eq!(jeton_config_add_parameter(config.0, 1, c"x".as_ptr(), n, e), 1);
        for null_call in [
            given(|out, error| jeton_client_new(null(), out, error)).map(drop),
            given(|out, error| jeton_client_accounts(null(), null(), out, error)).map(drop),
            given(|out, error| jeton_client_session(null(), null(), out, error)).map(drop),
            given(|out, error| jeton_session_for_resource(null(), c"x".as_ptr(), out, error)).map(drop),
            given(|out, error| jeton_session_with_scope(null(), c"x".as_ptr(), out, error)).map(drop),
            given(|out, error| jeton_session_token(null(), 0, null(), out, error)).map(drop),
            given(|out, error| jeton_session_refresh(null(), null(), out, error)).map(drop),
            given(|out, error| jeton_session_log_in(null(), null(), out, error)).map(drop),
            given(|out, error| jeton_session_introspect(null(), null(), out, error)).map(drop),
            given(|out, error| jeton_session_adopt(null(), null(), 0, null(), out, error)).map(drop),
            given(|out, error| jeton_session_begin_log_in(null(), null(), null(), out, error)).map(drop),
            given(|out, error| jeton_session_finish_log_in(null(), null(), null(), null(), out, error))
                .map(drop),
            given(|out, error| jeton_pending_login_parse(null(), 9, out, error)).map(drop),
            called(|error| jeton_session_log_out(null(), null(), null_mut(), error)),
            called(|error| jeton_session_revoke(null(), null(), error)),
            called(|error| jeton_session_close(null(), null(), error)),
            called(|error| jeton_session_persist_error(null(), error)),
            called(|error| jeton_session_check_url(null(), null(), error)),
            called(|error| jeton_session_judge(null(), null(), 200, null(), null_mut(), error)),
        ] {
            let error = refused(null_call);
            assert_eq!(error.status(), JETON_ERROR_INVALID_ARGUMENT);
            assert!(error.message().contains("NULL"), "{}", error.message());
        }
        assert_eq!(jeton_session_cached(null(), 0, null_mut()), JETON_ERROR_INVALID_ARGUMENT);
        assert!(jeton_session_account(null()).is_null());
        assert_eq!(seen(jeton_client_store_description(null())), "");
        assert_eq!(
            (jeton_client_store_is_persistent(null()), jeton_client_store_is_encrypted(null())),
            (0, 0)
        );
        assert_eq!(jeton_accounts_count(null()), 0);
        assert!(jeton_accounts_get(null(), 0).is_null());
        assert!(jeton_token_access_token(null()).is_null() && jeton_token_authorization(null()).is_null());
        assert_eq!((jeton_token_authorization_length(null()), jeton_token_warning_count(null())), (0, 0));
        assert!(jeton_token_type(null()).is_null() && jeton_token_scope(null()).is_null());
        assert_eq!(jeton_token_expires_at_ms(null()), JETON_NEVER);
        assert!(jeton_token_extra(null(), null()).is_null() && jeton_token_extra_json(null()).is_null());
        assert!(jeton_pending_login_url(null()).is_null() && jeton_pending_login_state(null()).is_null());
        assert!(jeton_pending_login_serialized(null()).is_null());
        assert_eq!(jeton_pending_login_expires_at_ms(null()), JETON_NEVER);
        assert_eq!(
            (jeton_introspection_is_active(null()), jeton_introspection_expires_at_ms(null())),
            (0, JETON_NEVER)
        );
        assert!(jeton_introspection_json(null()).is_null() && jeton_introspection_subject(null()).is_null());
        assert_eq!(jeton_cancel_is_cancelled(null()), 0);
        jeton_cancel_cancel(null());
        jeton_cancel_free(null_mut());
        jeton_config_free(null_mut());
        jeton_client_free(null_mut());
        jeton_accounts_free(null_mut());
        jeton_session_free(null_mut());
        jeton_token_free(null_mut());
        jeton_pending_login_free(null_mut());
        jeton_introspection_free(null_mut());
    }
}

#[cfg(all(
    feature = "jose",
    feature = "openid",
    feature = "registration",
    feature = "profiles",
    feature = "loopback"
))]
mod standards;
