//! Authenticated requests, through the C functions.

use std::ffi::CString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ptr::{null, null_mut};
use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, Fault};

use super::*;
use crate::callbacks::testing::{Client, Config, Session, Told, ok, string, told};
use crate::*;

/// A request, freed at the end.
struct Request(*mut jeton_request);

impl Request {
    fn new(session: &Session, method: &str, url: &str) -> Result<Self, Told> {
        let (method, url) = (CString::new(method).unwrap(), CString::new(url).unwrap());
        let mut request = null_mut();
        // SAFETY: all of it lives through the call.
        told(|error| unsafe {
            jeton_session_request(session.0, method.as_ptr(), url.as_ptr(), &raw mut request, error)
        })?;
        Ok(Self(request))
    }

    fn header(&self, name: &str, value: &str) -> Result<(), Told> {
        let (name, value) = (CString::new(name).unwrap(), CString::new(value).unwrap());
        // SAFETY: all of it lives through the call.
        told(|error| unsafe { jeton_request_add_header(self.0, name.as_ptr(), value.as_ptr(), error) })
    }

    fn body(&self, body: &[u8]) {
        // SAFETY: all of it lives through the call.
        ok(|error| unsafe { jeton_request_set_body(self.0, body.as_ptr(), body.len(), error) });
    }

    fn max_body(&self, bytes: i64) -> Result<(), Told> {
        // SAFETY: a live handle.
        told(|error| unsafe { jeton_request_set_max_body(self.0, bytes, error) })
    }

    fn timeout_ms(&self, timeout_ms: i64) -> Result<(), Told> {
        // SAFETY: a live handle.
        told(|error| unsafe { jeton_request_set_timeout_ms(self.0, timeout_ms, error) })
    }

    fn send(&self, cancel: *const jeton_cancel) -> Result<Response, Told> {
        let mut response = null_mut();
        // SAFETY: live handles, or NULL.
        let sent = told(|error| unsafe { jeton_request_send(self.0, cancel, &raw mut response, error) });
        assert_eq!(response.is_null(), sent.is_err());
        sent.map(|()| Response(response))
    }

    /// What the test server's resource answers: JSON.
    fn seen(&self) -> serde_json::Value {
        let response = self.send(null()).unwrap();
        assert_eq!(response.status(), 200);
        serde_json::from_slice(response.body()).unwrap()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: a live handle, used by nobody else.
        unsafe { jeton_request_free(self.0) }
    }
}

/// A response, freed at the end.
#[derive(Debug)]
struct Response(*mut jeton_response);

impl Response {
    fn status(&self) -> i32 {
        // SAFETY: a live handle.
        unsafe { jeton_response_status(self.0) }
    }

    fn header(&self, name: &str) -> Option<String> {
        let name = CString::new(name).unwrap();
        // SAFETY: a live handle.
        unsafe {
            let value = jeton_response_header(self.0, name.as_ptr());
            (!value.is_null()).then(|| string(value))
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        // SAFETY: a live handle.
        unsafe {
            let count = jeton_response_header_count(self.0);
            assert!(jeton_response_header_name(self.0, count).is_null());
            assert!(jeton_response_header_value(self.0, count).is_null());
            let header = |index| {
                (
                    string(jeton_response_header_name(self.0, index)),
                    string(jeton_response_header_value(self.0, index)),
                )
            };
            (0..count).map(header).collect()
        }
    }

    fn body(&self) -> &[u8] {
        let mut length = usize::MAX;
        // SAFETY: a live handle; the body lives as long.
        unsafe {
            let body = jeton_response_body(self.0, &raw mut length);
            assert_eq!(jeton_response_body(self.0, null_mut()), body);
            assert_eq!(*body.add(length), 0, "a NUL stands behind its end");
            std::slice::from_raw_parts(body, length)
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        // SAFETY: a live handle, used by nobody else.
        unsafe { jeton_response_free(self.0) }
    }
}

fn service() -> (DevServer, Client, Session) {
    let server = DevServer::start().unwrap();
    let client = Config::service(&server).client();
    let session = client.session();
    (server, client, session)
}

#[test]
fn a_request_brings_its_parts_and_the_token() {
    let (server, _client, session) = service();
    let url = format!("{}?a=1", server.resource_url());
    let request = Request::new(&session, "PATCH", &url).unwrap();
    // The request holds on to what it needs.
    drop(session);
    request.header("Content-Type", "text/plain").unwrap();
    for value in ["one", "two"] {
        request.header("X-Several", value).unwrap();
    }
    // SAFETY: all of it lives through the call.
    ok(|error| unsafe { jeton_request_add_query(request.0, c"b &".as_ptr(), c"2=\xc3\xbc".as_ptr(), error) });
    request.body(b"not this");
    request.body(b"this\0one");
    let seen = request.seen();
    assert_eq!((&seen["method"], &seen["content_type"]), (&"PATCH".into(), &"text/plain".into()));
    assert_eq!(seen["body_length"], 8);
    let recorded = server.last_request(Endpoint::Resource).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(recorded.query, [pair("a", "1"), pair("b &", "2=\u{fc}")]);
    let several: Vec<_> = recorded.headers.iter().filter(|(name, _)| name == "x-several").collect();
    assert_eq!(several, [&pair("x-several", "one"), &pair("x-several", "two")]);

    // And again, with another body.
    request.body(b"");
    assert_eq!(request.seen()["body_length"], 0);
    assert_eq!(server.stats().grant("client_credentials").requests, 1);
}

#[test]
fn a_rejected_token_is_replaced_once_and_the_body_sent_again() {
    let (server, _client, session) = service();
    let request = Request::new(&session, "POST", &server.resource_url()).unwrap();
    request.body(&[b'x'; 70_000]);
    assert_eq!(request.seen()["body_length"], 70_000);
    server.revoke_access_tokens();
    assert_eq!(request.seen()["body_length"], 70_000);
    let stats = server.stats();
    assert_eq!((stats.api_requests, stats.api_unauthorized), (3, 1));
    assert_eq!(stats.grant("client_credentials").requests, 2);
}

#[test]
fn any_status_is_an_answer() {
    let (server, _client, session) = service();
    let answer = Request::new(&session, "GET", &server.url("/api/admin")).unwrap().send(null()).unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.header("WWW-Authenticate").unwrap().contains("insufficient_scope"));
    assert_eq!(answer.header("X-None"), None);
}

#[test]
fn what_cannot_be_sent_is_told() {
    let (server, _client, session) = service();
    let failed = |result: Result<Request, Told>| result.err().unwrap();
    for method in ["", "GE T", "GÉT"] {
        let error = failed(Request::new(&session, method, &server.resource_url()));
        assert_eq!(error.status, JETON_ERROR_REQUEST, "{}", error.message);
        assert!(error.message.contains("is no HTTP method"), "{}", error.message);
    }
    for url in ["", "/api/me", "ftp://api.example/", "data:text/plain,x"] {
        let error = failed(Request::new(&session, "GET", url));
        assert_eq!(error.status, JETON_ERROR_REQUEST, "{}", error.message);
    }
    for url in [
        "ht!tp://user:hush@api.example/?hush",
        "https://user:hush?hush@api.example/",
        "https://user:hush#hush@api.example/",
        "https://user:hush?hush@hush?x@api.example/",
    ] {
        let error = failed(Request::new(&session, "GET", url));
        assert!(!error.message.contains("hush"), "{}", error.message);
    }

    let request = Request::new(&session, "GET", &server.resource_url()).unwrap();
    for (name, value) in [("", "x"), ("X Y", "x"), ("X", "a\nb")] {
        assert_eq!(request.header(name, value).unwrap_err().status, JETON_ERROR_REQUEST);
    }
    for error in [request.max_body(-1), request.timeout_ms(-1), request.timeout_ms(0)] {
        assert_eq!(error.unwrap_err().status, JETON_ERROR_INVALID_ARGUMENT);
    }
    request.header("Authorization", "Bearer mine").unwrap();
    assert_eq!(request.send(null()).unwrap_err().status, JETON_ERROR_REQUEST);
    let foreign = Request::new(&session, "GET", "https://elsewhere.example/").unwrap();
    assert_eq!(foreign.send(null()).unwrap_err().status, JETON_ERROR_FOREIGN_ORIGIN);
    assert_eq!(server.stats().api_requests, 0);
}

#[test]
fn null_is_no_crash() {
    let (server, _client, session) = service();
    let url = CString::new(server.resource_url()).unwrap();
    let request = Request::new(&session, "GET", &server.resource_url()).unwrap();
    let (get, url, mut out) = (c"GET".as_ptr(), url.as_ptr(), null_mut());
    let (text, mut answer) = (c"x".as_ptr(), null_mut());
    // SAFETY: NULL is allowed, everything else lives through the calls.
    unsafe {
        let errors = [
            told(|error| jeton_session_request(null(), get, url, &raw mut out, error)),
            told(|error| jeton_session_request(session.0, null(), url, &raw mut out, error)),
            told(|error| jeton_session_request(session.0, get, null(), &raw mut out, error)),
            told(|error| jeton_session_request(session.0, get, url, null_mut(), error)),
            told(|error| jeton_session_request(session.0, get, c"\xff".as_ptr(), &raw mut out, error)),
            told(|error| jeton_request_add_header(null_mut(), text, text, error)),
            told(|error| jeton_request_add_header(request.0, null(), text, error)),
            told(|error| jeton_request_add_header(request.0, text, null(), error)),
            told(|error| jeton_request_add_query(null_mut(), text, text, error)),
            told(|error| jeton_request_add_query(request.0, null(), text, error)),
            told(|error| jeton_request_add_query(request.0, text, null(), error)),
            told(|error| jeton_request_set_body(null_mut(), null(), 0, error)),
            told(|error| jeton_request_set_body(request.0, null(), 1, error)),
            told(|error| jeton_request_set_timeout_ms(null_mut(), 1, error)),
            told(|error| jeton_request_set_max_body(null_mut(), 1, error)),
            told(|error| jeton_request_send(null(), null(), &raw mut answer, error)),
            told(|error| jeton_request_send(request.0, null(), null_mut(), error)),
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().status, JETON_ERROR_INVALID_ARGUMENT);
        }
        assert!(out.is_null() && answer.is_null());
        jeton_request_free(null_mut());
        jeton_response_free(null_mut());
        assert_eq!(jeton_response_status(null()), 0);
        assert_eq!(jeton_response_header_count(null()), 0);
        assert!(jeton_response_header(null(), text).is_null());
        assert!(jeton_response_header_name(null(), 0).is_null());
        assert!(jeton_response_header_value(null(), 0).is_null());
        let mut length = 1;
        assert!(jeton_response_body(null(), &raw mut length).is_null());
        assert_eq!(length, 0);
    }
    let response = request.send(null()).unwrap();
    // SAFETY: NULL is allowed.
    unsafe { assert!(jeton_response_header(response.0, null()).is_null()) };
    assert_eq!(server.stats().api_requests, 1);
}

#[test]
fn a_call_is_ended_by_its_time_limit_or_from_another_thread() {
    let (server, _client, session) = service();
    session.token().unwrap();
    let request = Request::new(&session, "GET", &server.resource_url()).unwrap();
    server.fault_always(Endpoint::Resource, Fault::Hang);
    request.timeout_ms(50).unwrap();
    assert_eq!(request.send(null()).unwrap_err().status, JETON_ERROR_REQUEST);
    request.timeout_ms(600_000).unwrap();
    server.clear_faults();
    server.fault(Endpoint::Resource, Fault::Gate);
    let cancel = jeton_cancel_new();
    std::thread::scope(|scope| {
        let address = cancel as usize;
        let server = &server;
        scope.spawn(move || {
            assert!(server.wait_until_held_blocking(1, Duration::from_secs(60)));
            // SAFETY: it is freed after this thread.
            unsafe { jeton_cancel_cancel(address as *const jeton_cancel) };
        });
        assert_eq!(request.send(cancel).unwrap_err().status, JETON_ERROR_CANCELLED);
    });
    let before = server.stats().api_requests;
    assert_eq!(request.send(cancel).unwrap_err().status, JETON_ERROR_CANCELLED);
    assert_eq!(server.stats().api_requests, before, "a call that was cancelled before sends nothing");
    // SAFETY: nobody uses it any more.
    unsafe { jeton_cancel_free(cancel) };
    server.open_gate();
    assert_eq!(request.send(null()).unwrap().status(), 200);
}

/// A server that gives each connection the same answer.
fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            // Until the end of the head: no request here has a body.
            let _ = lines.map_while(Result::ok).find(String::is_empty);
            let _ = connection.write_all(answer);
        }
    });
    format!("http://{address}/")
}

/// A session of a client that trusts that server as well.
fn session_for(server: &DevServer, url: &str) -> (Client, Session) {
    let config = Config::service(server);
    config.text(JETON_OPTION_RESOURCE_SERVER, url);
    let client = config.client();
    let session = client.session();
    (client, session)
}

#[test]
fn an_answer_has_all_its_headers_and_bytes() {
    let server = DevServer::start().unwrap();
    let url = raw_server(
        b"HTTP/1.1 207 Several\r\nSet-Cookie: a=1\r\nX-Raw: \xff!\r\nset-cookie: b=2\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n3\r\na\0b\r\n2\r\ncd\r\n0\r\n\r\n",
    );
    let (_client, session) = session_for(&server, &url);
    let request = Request::new(&session, "GET", &url).unwrap();
    let answer = request.send(null()).unwrap();
    assert_eq!((answer.status(), answer.body()), (207, b"a\0bcd".as_slice()));
    assert_eq!(answer.header("SET-COOKIE").unwrap(), "a=1");
    assert_eq!(answer.header("x-raw").unwrap(), "\u{fffd}!");
    let cookies: Vec<_> = answer
        .headers()
        .into_iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);

    // Of unknown length, and too long.
    request.max_body(4).unwrap();
    let error = request.send(null()).unwrap_err();
    assert_eq!(error.status, JETON_ERROR_REQUEST);
    assert!(error.message.contains("longer than 4 bytes"), "{}", error.message);
    request.max_body(5).unwrap();
    assert_eq!(request.send(null()).unwrap().body().len(), 5);
}

#[test]
fn a_body_that_is_announced_as_too_long_is_not_read() {
    let server = DevServer::start().unwrap();
    // It would be waited for without end.
    let url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nx");
    let (_client, session) = session_for(&server, &url);
    let error = Request::new(&session, "GET", &url).unwrap().send(null()).unwrap_err();
    assert_eq!(error.status, JETON_ERROR_REQUEST);
    assert!(error.message.contains("jeton_request_set_max_body"), "{}", error.message);
}

#[test]
fn a_broken_answer_is_an_error() {
    let server = DevServer::start().unwrap();
    let url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    let (_client, session) = session_for(&server, &url);
    let error = Request::new(&session, "GET", &url).unwrap().send(null()).unwrap_err();
    assert_eq!(error.status, JETON_ERROR_REQUEST, "{}", error.message);
}
