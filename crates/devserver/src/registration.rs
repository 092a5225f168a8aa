//! Dynamic client registration (RFC 7591) and its management (RFC 7592): strict about what is asked, and free to register
//! something else, as servers are.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hyper::{Method as Http, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use crate::answer::{Answer, Request};
use crate::clients::{AUTHORIZATION_CODE, Client, Method};
use crate::clock::unix_seconds;
use crate::refusal::Refusal;
use crate::state::{Settings, State};

/// How the registration endpoint is to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistrationSettings {
    pub(crate) on: bool,
    pub(crate) initial_access_token: Option<String>,
    pub(crate) software_statement: Option<String>,
    pub(crate) secret_lifetime: Option<Duration>,
    /// The method that every client gets, whatever it asks for.
    pub(crate) registers_as: Option<String>,
    pub(crate) unmanaged: bool,
    pub(crate) keeps_secrets: bool,
}

/// What the server knows of clients that registered themselves, besides the clients.
#[derive(Default)]
pub(crate) struct Registrations {
    known: HashMap<String, Registration>,
}

struct Registration {
    access_token: String,
    metadata: Map<String, Value>,
    issued_at: SystemTime,
    secret_expires_at: Option<SystemTime>,
}

impl Registrations {
    pub(crate) fn has_expired_secret(&self, client_id: &str, now: SystemTime) -> bool {
        let expires_at = self.known.get(client_id).and_then(|known| known.secret_expires_at);
        expires_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn forget(&mut self, client_id: &str) {
        self.known.remove(client_id);
    }
}

/// `/register` and `/register/CLIENT_ID`.
pub(crate) fn answer(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let path = request.path.strip_prefix(&state.settings.base_path).unwrap_or_default();
    match path.strip_prefix("/register/") {
        Some(client_id) => manage(state, now, request, client_id),
        None => register(state, now, request),
    }
}

fn register(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    if request.method != Http::POST {
        return Err(Refusal::invalid_request("A11: registering is a POST (RFC 7591 section 3.1)")
            .with_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    let settings = state.settings.registration.clone();
    if settings.initial_access_token.is_some() && bearer(request) != settings.initial_access_token.as_deref()
    {
        return Ok(unauthorized("A11: an initial access token is needed here (RFC 7591 section 3)"));
    }
    let mut asked = body(request)?;
    match (asked.remove("software_statement"), &settings.software_statement) {
        (None, None) => {}
        (Some(Value::String(statement)), Some(approved)) if statement == *approved => {}
        (None, Some(_)) => {
            return Err(Refusal::new(
                "invalid_software_statement",
                "A11: a software statement is needed here (RFC 7591 section 2.3)",
            ));
        }
        (Some(_), _) => {
            return Err(Refusal::new(
                "unapproved_software_statement",
                "A11: nobody here trusts this statement",
            ));
        }
    }
    let metadata = checked(&state.settings, asked)?;
    let client_id = state.mint.secret();
    let registration =
        Registration { access_token: state.mint.secret(), metadata, issued_at: now, secret_expires_at: None };
    state.registrations.known.insert(client_id.clone(), registration);
    state.counters.clients_registered += 1;
    issue_secret(state, now, &client_id);
    Ok(describe(state, &client_id, StatusCode::CREATED))
}

fn manage(state: &mut State, now: SystemTime, request: &Request, client_id: &str) -> Result<Answer, Refusal> {
    let known = state.registrations.known.get_mut(client_id);
    let shown = bearer(request);
    // The same for a client that is not there (RFC 7592 section 2.1): nobody learns which ones are.
    let Some(known) = known.filter(|known| shown == Some(known.access_token.as_str())) else {
        return Ok(unauthorized("A11: not the registration access token of this client, or no such client"));
    };
    match request.method {
        Http::GET => {
            if !request.body.is_empty() {
                return Err(Refusal::invalid_request("A11: a read has no body (RFC 7592 section 2.1)"));
            }
        }
        Http::PUT => {
            let mut asked = body(request)?;
            if asked.remove("client_id").as_ref().and_then(Value::as_str) != Some(client_id) {
                return Err(Refusal::invalid_request(
                    "A11: an update names the client_id, and no other one than the URI's (RFC 7592 section 2.2)",
                ));
            }
            if let Some(secret) = asked.remove("client_secret") {
                let own = state.clients.get(client_id).and_then(|client| client.secret.clone());
                if secret.as_str().map(str::to_owned) != own {
                    return Err(Refusal::invalid_request(
                        "A11: a client does not choose its secret (RFC 7592 section 2.2)",
                    ));
                }
            }
            known.metadata = checked(&state.settings, asked)?;
            if !state.settings.registration.keeps_secrets {
                issue_secret(state, now, client_id);
            } else {
                rebuild(state, client_id);
            }
        }
        Http::DELETE => {
            state.registrations.forget(client_id);
            state.clients.remove(client_id);
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        _ => {
            return Err(Refusal::invalid_request("A11: GET, PUT or DELETE (RFC 7592 section 2)")
                .with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
    }
    // Rotated at each use, as RFC 7592 section 5 has it: the old one is good for nothing.
    let fresh = state.mint.secret();
    if let Some(known) = state.registrations.known.get_mut(client_id) {
        known.access_token = fresh;
    }
    Ok(describe(state, client_id, StatusCode::OK))
}

/// A new secret for a client whose method needs one.
fn issue_secret(state: &mut State, now: SystemTime, client_id: &str) {
    let secret = state.mint.secret();
    if let Some(known) = state.registrations.known.get_mut(client_id) {
        known.secret_expires_at =
            state.settings.registration.secret_lifetime.and_then(|lifetime| now.checked_add(lifetime));
    }
    rebuild(state, client_id);
    if let Some(client) = state.clients.get_mut(client_id)
        && client.method.needs_secret()
    {
        client.secret = Some(secret);
    }
}

/// The client as the other endpoints know it, from its metadata; its secret stays.
fn rebuild(state: &mut State, client_id: &str) {
    let Some(known) = state.registrations.known.get(client_id) else { return };
    let secret = state.clients.get(client_id).and_then(|client| client.secret.clone());
    let text = |name: &str| known.metadata.get(name).and_then(Value::as_str);
    let mut client = match text("token_endpoint_auth_method") {
        Some("client_secret_post") => Client::post(client_id, secret.unwrap_or_default()),
        Some("client_secret_jwt") => Client::client_secret_jwt(client_id, secret.unwrap_or_default()),
        Some("private_key_jwt") => {
            Client::private_key_jwt(client_id, known.metadata.get("jwks").unwrap_or(&Value::Null).to_string())
        }
        Some("none") => Client::public(client_id),
        _ => Client::basic(client_id, secret.unwrap_or_default()),
    };
    client = client.grant_types(texts(&known.metadata, "grant_types"));
    for uri in texts(&known.metadata, "redirect_uris") {
        client = client.redirect_uri(uri);
    }
    if let Some(name) = text("client_name") {
        client = client.name(name);
    }
    state.clients.insert(client_id.to_owned(), client);
}

/// All that is registered (RFC 7591 section 3.2.1, RFC 7592 section 3).
fn describe(state: &State, client_id: &str, status: StatusCode) -> Answer {
    let Some(known) = state.registrations.known.get(client_id) else {
        return Answer::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut body = known.metadata.clone();
    body.insert("client_id".to_owned(), client_id.into());
    body.insert("client_id_issued_at".to_owned(), unix_seconds(known.issued_at).into());
    if let Some(secret) = state.clients.get(client_id).and_then(|client| client.secret.as_deref()) {
        body.insert("client_secret".to_owned(), secret.into());
        let expires_at = known.secret_expires_at.map(unix_seconds).unwrap_or_default();
        body.insert("client_secret_expires_at".to_owned(), expires_at.into());
    }
    if !state.settings.registration.unmanaged {
        let uri = format!("{}/register/{client_id}", state.settings.base);
        body.insert("registration_client_uri".to_owned(), uri.into());
        body.insert("registration_access_token".to_owned(), known.access_token.as_str().into());
    }
    Answer::json(status, &Value::Object(body))
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn unauthorized(description: &str) -> Answer {
    let body = json!({ "error": "invalid_token", "error_description": description });
    Answer::json(StatusCode::UNAUTHORIZED, &body)
        .with_header("www-authenticate", r#"Bearer error="invalid_token""#)
}

fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    if request.media_type().as_deref() != Some("application/json") {
        return Err(invalid("A11: client metadata is application/json (RFC 7591 section 3.1)"));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(invalid("A11: client metadata is a JSON object (RFC 7591 section 3.1)")),
    }
}

fn invalid(description: &'static str) -> Refusal {
    Refusal::new("invalid_client_metadata", description)
}

fn texts(metadata: &Map<String, Value>, name: &str) -> Vec<String> {
    let values = metadata.get(name).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is asked, with the defaults of RFC 7591 section 2 filled in, or why it is not taken.
fn checked(settings: &Settings, mut asked: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    const ISSUED: [&str; 6] = [
        "client_id",
        "client_secret",
        "client_id_issued_at",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
    ];
    if ISSUED.iter().any(|name| asked.contains_key(*name)) {
        return Err(invalid(
            "A11: identifiers, secrets and tokens are the server's to give (RFC 7591 section 3.2.1)",
        ));
    }
    if let Some(method) = &settings.registration.registers_as {
        asked.insert("token_endpoint_auth_method".to_owned(), method.as_str().into());
    }
    for (name, default) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!([AUTHORIZATION_CODE])),
        ("response_types", json!(["code"])),
        ("application_type", json!("web")),
    ] {
        asked.entry(name).or_insert(default);
    }
    for name in ["grant_types", "response_types", "redirect_uris", "contacts"] {
        let is_list =
            |value: &Value| value.as_array().is_some_and(|values| values.iter().all(Value::is_string));
        if asked.get(name).is_some_and(|value| !is_list(value)) {
            return Err(invalid("A11: lists are arrays of strings (RFC 7591 section 2)"));
        }
    }
    match asked.get("token_endpoint_auth_method").and_then(Value::as_str) {
        Some(method) if Method::of_registration(method).is_some() => {}
        _ => return Err(invalid("A11: this token_endpoint_auth_method is not known here")),
    }
    if asked.get("token_endpoint_auth_method") == Some(&json!("private_key_jwt"))
        && !asked.contains_key("jwks")
    {
        return Err(invalid("A11: private_key_jwt needs the client's public keys, here by value as jwks"));
    }
    if asked.contains_key("jwks") && asked.contains_key("jwks_uri") {
        return Err(invalid("A11: jwks and jwks_uri at once (RFC 7591 section 2)"));
    }
    if let Some(scope) = asked.get("scope") {
        let known = |name: &str| settings.scopes.iter().any(|known| known == name);
        if !scope.as_str().is_some_and(|scope| scope.split(' ').all(known)) {
            return Err(invalid("A11: a scope that is not known here"));
        }
    }
    let grants = texts(&asked, "grant_types");
    let uses_code = grants.iter().any(|grant| grant == AUTHORIZATION_CODE);
    if uses_code != texts(&asked, "response_types").iter().any(|response| response == "code") {
        return Err(invalid(
            "A11: grant_types and response_types disagree: authorization_code goes with code (RFC 7591 section 2.1)",
        ));
    }
    check_redirect_uris(&asked, uses_code)?;
    Ok(asked)
}

/// OpenID Connect Registration section 2: a web application's redirect URIs are HTTPS and elsewhere; a native one's are on the
/// person's machine.
fn check_redirect_uris(asked: &Map<String, Value>, uses_code: bool) -> Result<(), Refusal> {
    let wrong = |description: &'static str| Refusal::new("invalid_redirect_uri", description);
    let uris = texts(asked, "redirect_uris");
    if uses_code && uris.is_empty() {
        return Err(wrong("A11: the authorization code grant needs redirect_uris (RFC 7591 section 2)"));
    }
    let is_web = match asked.get("application_type").and_then(Value::as_str) {
        Some("web") => true,
        Some("native") => false,
        _ => return Err(invalid("A11: application_type is native or web")),
    };
    for uri in &uris {
        let url =
            Url::parse(uri).map_err(|_| wrong("A11: a redirect URI is absolute (RFC 6749 section 3.1.2)"))?;
        if url.fragment().is_some() {
            return Err(wrong("A11: a redirect URI has no fragment (RFC 6749 section 3.1.2)"));
        }
        let host = url.host_str().unwrap_or_default();
        let is_loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
        let fits = match (is_web, url.scheme()) {
            (true, "https") => !is_loopback,
            (true, _) => false,
            (false, "http") => is_loopback,
            // Claimed by the app (RFC 8252 section 7.2), or a scheme of its own (7.1).
            (false, "https") => true,
            (false, scheme) => scheme.contains('.'),
        };
        if !fits {
            return Err(wrong(
                "A11: a redirect URI that does not fit the application_type, which is web if it is not sent: web needs \
                 https, native needs loopback or a private scheme (OpenID Connect Registration section 2, RFC 8252 section 7)",
            ));
        }
    }
    Ok(())
}
