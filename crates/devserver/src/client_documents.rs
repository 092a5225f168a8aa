//! Clients whose identifier is the URL of their own metadata (OAuth Client ID Metadata Document): the document is fetched from
//! loopback when the client is first met. And the documents of such clients, hosted for tests.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hyper::{Method as Http, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use crate::answer::{Answer, Request};
use crate::clients::{AUTHORIZATION_CODE, Client};
use crate::form;
use crate::state::State;

/// The draft's section on attacks by size: five kilobytes are enough for anybody.
const LARGEST: u64 = 5 * 1024;
const WITHIN: Duration = Duration::from_secs(5);

/// Documents that this server hosts, and what was wrong with those that it fetched.
#[derive(Default)]
pub(crate) struct ClientDocuments {
    hosted: HashMap<String, (String, String)>,
    problems: HashMap<String, &'static str>,
}

impl ClientDocuments {
    pub(crate) fn host(&mut self, path: &str, content_type: &str, body: &str) {
        self.hosted.insert(path.to_owned(), (content_type.to_owned(), body.to_owned()));
    }

    pub(crate) fn serve(&self, request: &Request) -> Option<Answer> {
        let (content_type, body) = self.hosted.get(&request.path)?;
        Some(match request.method {
            Http::GET => Answer::new(StatusCode::OK, content_type, body.clone()),
            _ => Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET"),
        })
    }

    /// Why that client is not known, if it is one that describes itself.
    pub(crate) fn problem(&self, client_id: &str) -> Option<&'static str> {
        self.problems.get(client_id).copied()
    }
}

/// The client of a request whose document has to be fetched before the request can be answered.
pub(crate) fn wanted(state: &State, request: &Request) -> Option<String> {
    if !state.settings.client_documents {
        return None;
    }
    let pairs = match request.method {
        Http::POST if request.is_form() => form::parse_tolerantly(&request.body),
        _ => form::parse_tolerantly(request.query.as_bytes()),
    };
    let (_, client_id) = pairs.into_iter().find(|(name, _)| name == "client_id")?;
    let is_url = client_id.starts_with("https:") || client_id.starts_with("http:");
    (is_url && !state.clients.contains_key(&client_id)).then_some(client_id)
}

/// Takes the client in, or remembers what is wrong with its document.
pub(crate) fn learn(state: &mut State, client_id: &str, fetched: Result<Client, &'static str>) {
    match fetched {
        Ok(client) => {
            state.documents.problems.remove(client_id);
            state.counters.client_documents_fetched += 1;
            state.clients.insert(client_id.to_owned(), client);
        }
        Err(problem) => {
            tracing::debug!(problem, "a client's metadata document is refused");
            state.documents.problems.insert(client_id.to_owned(), problem);
        }
    }
}

/// Fetches and checks the document. Blocks this thread.
pub(crate) fn fetch(client_id: &str) -> Result<Client, &'static str> {
    let url = checked_url(client_id)?;
    let answer = get(&url).map_err(|_| "A32: the client's metadata document could not be fetched")?;
    let answer = String::from_utf8(answer).map_err(|_| "A32: the client's metadata document is not UTF-8")?;
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or("A32: the client's metadata document could not be fetched")?;
    if head.split(' ').nth(1) != Some("200") {
        return Err("A32: the client's metadata document answers with another status than 200; no redirects");
    }
    let media_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.split(';').next().unwrap_or_default().trim())
    });
    if !media_type.is_some_and(|media| media == "application/json" || media.ends_with("+json")) {
        return Err("A32: the client's metadata document is not served as JSON");
    }
    client(client_id, body)
}

fn checked_url(client_id: &str) -> Result<Url, &'static str> {
    let url = Url::parse(client_id).map_err(|_| "A32: the client_id is no URL")?;
    let path = client_id.split(['?', '#']).next().unwrap_or_default();
    let authority = path.split('/').nth(2).unwrap_or_default();
    let dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    match () {
        () if client_id.contains('#') => Err("A32: the client_id has a fragment"),
        () if authority.contains('@') => Err("A32: the client_id has a user name or a password in it"),
        () if url.path() == "/" => Err("A32: the client_id has no path"),
        () if path.split(['/', '\\']).any(dots) => Err("A32: the client_id has dot segments"),
        () if url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]")) => Ok(url),
        () if url.scheme() != "https" => Err("A32: the client_id is not https, nor on loopback for a test"),
        () => Err("A32: this server never leaves the machine; host the document on loopback"),
    }
}

fn get(url: &Url) -> std::io::Result<Vec<u8>> {
    let addresses = url.socket_addrs(|| None)?;
    let mut stream = TcpStream::connect(&*addresses)?;
    stream.set_read_timeout(Some(WITHIN))?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(LARGEST + 1).read_to_end(&mut answer)?;
    if answer.len() as u64 > LARGEST {
        return Err(std::io::Error::other("too large"));
    }
    Ok(answer)
}

fn client(client_id: &str, body: &str) -> Result<Client, &'static str> {
    let members: Map<String, Value> =
        serde_json::from_str(body).map_err(|_| "A32: the client's metadata document is not a JSON object")?;
    if members.get("client_id").and_then(Value::as_str) != Some(client_id) {
        return Err("A32: the document's client_id is not the URL that it stands at");
    }
    if members.contains_key("client_secret") || members.contains_key("client_secret_expires_at") {
        return Err("A32: a client secret stands in the document");
    }
    let texts = |name: &str| -> Option<Vec<String>> {
        members.get(name)?.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    };
    match members.get("token_endpoint_auth_method").map(Value::as_str) {
        None | Some(Some("none")) => {}
        Some(Some("private_key_jwt")) if members.contains_key("jwks") => {}
        Some(Some(method)) if method.starts_with("client_secret_") => {
            return Err("A32: a client that rests on a shared secret cannot describe itself");
        }
        Some(_) => return Err("A32: this token_endpoint_auth_method is not known here"),
    }
    let redirect_uris = texts("redirect_uris").unwrap_or_default();
    if redirect_uris.is_empty() {
        return Err("A32: the document names no redirect_uris");
    }
    let grant_types = match members.contains_key("grant_types") {
        true => texts("grant_types").ok_or("A32: grant_types is no list of names")?,
        false => vec![AUTHORIZATION_CODE.to_owned()],
    };
    let name = members.get("client_name").and_then(Value::as_str).unwrap_or(client_id);
    let client = match members.get("jwks") {
        Some(keys) => Client::private_key_jwt(client_id, keys.to_string()),
        None => Client::public(client_id),
    };
    let client = client.name(name).grant_types(grant_types);
    Ok(redirect_uris.into_iter().fold(client, Client::redirect_uri))
}
