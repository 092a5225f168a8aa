//! The least that a token endpoint can be: HTTP/1.1 with kept connections and answers made beforehand. It runs in a process
//! of its own, on one thread, and does so little that it is never the bottleneck; the row "raw socket" shows how much faster
//! it is than any client.
//!
//! - `POST /token` answers at once.
//! - `POST /slow/token` answers after [`DELAY`], with another refresh token each time, and counts.
//! - `GET /count` tells how often the slow endpoint was asked.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long the slow endpoint takes.
pub const DELAY: Duration = Duration::from_millis(100);

/// As long as the signed access tokens of common servers are.
const ACCESS_TOKEN_LENGTH: usize = 900;

/// The access token in each answer of `/token`.
pub fn access_token() -> String {
    "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9."
        .chars()
        .chain("jeton-".chars().cycle())
        .take(ACCESS_TOKEN_LENGTH)
        .collect()
}

/// The body of each answer of `/token`.
pub fn answer() -> String {
    let token = access_token();
    format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"read write"}}"#)
}

/// The server as others have it: a child process, which ends when this is dropped or when its parent dies.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts `program serve` and waits for the line that tells where it listens.
    pub fn start(program: &Path) -> io::Result<Self> {
        let mut child =
            Command::new(program).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address =
            line.trim().parse().map_err(|_| io::Error::other(format!("the server said {line:?}")))?;
        Ok(Self { child, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint that answers at once.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The endpoint that answers after [`DELAY`].
    pub fn slow_token_endpoint(&self) -> String {
        format!("http://{}/slow/token", self.address)
    }

    /// How many requests the slow endpoint has had.
    pub async fn count(&self) -> io::Result<u64> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"GET /count HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
        body.parse().map_err(|_| io::Error::other(format!("the server counted {body:?}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its standard input closes and with that it ends; there is nobody to tell if this fails.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The server's `main`: tells where it listens and serves until its standard input closes.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (closed, parent) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            drop(closed);
        });
        let endpoints = Arc::new(Endpoints::new());
        let accept = async {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let endpoints = endpoints.clone();
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { drop(endpoints.converse(stream).await) });
            }
        };
        tokio::select! {
            result = accept => result,
            _ = parent => Ok(()),
        }
    })
}

struct Endpoints {
    token: Vec<u8>,
    slow_requests: AtomicU64,
}

impl Endpoints {
    fn new() -> Self {
        Self { token: json(&answer()), slow_requests: AtomicU64::new(0) }
    }

    /// One connection, request after request.
    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut received = Vec::with_capacity(4096);
        loop {
            let Some((head, length)) = request_in(&received) else {
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            if head.starts_with(b"POST /token ") {
                stream.write_all(&self.token).await?;
            } else if head.starts_with(b"POST /slow/token ") {
                let number = self.slow_requests.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(DELAY).await;
                let body = format!(
                    r#"{{"access_token":"access-{number}","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-{number}"}}"#
                );
                stream.write_all(&json(&body)).await?;
            } else if head.starts_with(b"GET /count ") {
                let body = self.slow_requests.load(Ordering::SeqCst).to_string();
                stream.write_all(&json(&body)).await?;
                return stream.shutdown().await;
            } else {
                return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            }
            received.drain(..length);
        }
    }
}

/// The head of the first request in what was received, and the length of the whole request; `None` if there is more to come.
fn request_in(received: &[u8]) -> Option<(&[u8], usize)> {
    let head_length = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = received.get(..head_length)?;
    let body_length = head
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let (name, value) = line.split_at_checked(b"content-length:".len())?;
            name.eq_ignore_ascii_case(b"content-length:")
                .then(|| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok())?
        })
        .unwrap_or(0);
    let length = head_length + body_length;
    (received.len() >= length).then_some((head, length))
}

fn json(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json;charset=UTF-8\r\ncache-control: no-store\r\npragma: no-cache\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::request_in;

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        let request = b"POST /token HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        assert!(request_in(&request[..20]).is_none());
        assert!(request_in(&request[..request.len() - 4]).is_none());
        let (head, length) = request_in(request).unwrap();
        assert!(head.ends_with(b"\r\n\r\n"));
        assert_eq!(length, request.len() - 3);
        assert_eq!(request_in(b"GET /count HTTP/1.1\r\n\r\n").unwrap().1, 23);
    }
}
