//! The smallest HTTP/1.1 client that tells a whole answer from a cut one.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use url::Url;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What Content-Length promised.
    pub(crate) promised: usize,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// The member `error`, which must come with a description in RFC 6749's characters.
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        let description = body["error_description"].as_str().unwrap();
        let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(description.bytes().all(allowed), "{description}");
        body["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn description(&self) -> String {
        self.json()["error_description"].as_str().unwrap().to_owned()
    }

    /// Asserts an OAuth error: status, code, and how the description begins.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, error: &str, rule: &str) {
        assert_eq!((self.status, self.error().as_str()), (status, error), "{}", self.text());
        assert!(self.description().starts_with(rule), "{}", self.description());
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }
}

/// Sends one request on a connection of its own. An answer without a byte is `UnexpectedEof`.
pub(crate) fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
    let url = Url::parse(url).unwrap();
    let authority = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut request =
        format!("{method} {} HTTP/1.1\r\nConnection: close\r\n", &url[url::Position::BeforePath..]);
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {authority}\r\n"));
    }
    if method != "GET" || !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str("\r\n");

    let mut stream = TcpStream::connect(&authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> io::Result<Reply> {
    let end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let promised = headers.iter().find(|(name, _)| name == "content-length");
    let promised = promised.map_or(0, |(_, value)| value.parse().unwrap());
    Ok(Reply { status, headers, body: bytes[end + 4..].to_vec(), promised })
}

pub(crate) fn get(url: &str) -> Reply {
    send("GET", url, &[], b"").unwrap()
}

pub(crate) fn get_with_token(url: &str, token: &str) -> Reply {
    send("GET", url, &[("Authorization", &format!("Bearer {token}"))], b"").unwrap()
}

pub(crate) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub(crate) fn try_post(url: &str, pairs: &[(&str, &str)]) -> io::Result<Reply> {
    send("POST", url, &[FORM], encode(pairs).as_bytes())
}

pub(crate) fn post(url: &str, pairs: &[(&str, &str)]) -> Reply {
    try_post(url, pairs).unwrap()
}

/// With `client_secret_basic`, form-encoded as RFC 6749 §2.3.1 wants it.
pub(crate) fn post_basic(url: &str, client: (&str, &str), pairs: &[(&str, &str)]) -> Reply {
    send("POST", url, &[FORM, ("Authorization", &basic(client))], encode(pairs).as_bytes()).unwrap()
}

pub(crate) fn basic((id, secret): (&str, &str)) -> String {
    use base64::Engine as _;
    let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = format!("{}:{}", part(id), part(secret));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(joined))
}
