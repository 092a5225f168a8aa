//! A GET over a bare socket: what a browser sends, without redirects, cookies or anything to be clever about.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use url::Url;

/// How long a test waits for anything that is to come at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The first header of that name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a GET to a plain HTTP URL and reads the answer to its end. Blocks.
///
/// # Errors
/// When nobody listens there, or the answer is none.
pub fn get(url: &Url) -> io::Result<Answer> {
    get_with_host(url, &authority(url))
}

/// As [`get`], with another `Host`.
///
/// # Errors
/// As [`get`].
pub fn get_with_host(url: &Url, host: &str) -> io::Result<Answer> {
    let port = url.port_or_known_default().unwrap_or(80);
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let address = (name, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    write!(stream, "GET {}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", url.path())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    parse(&String::from_utf8_lossy(&text)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
}
