//! TLS and proxies against real sockets: an own certificate authority, strangers' certificates, CONNECT.
#![cfg(any(feature = "rustls", feature = "native-tls"))]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use jeton_client::{HttpOptions, ReqwestTransport};
use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind as Kind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A certificate authority of one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "jeton test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server on loopback whose certificate is for `name`, and which offers these protocols. It answers each request
    /// with the protocol that was agreed on.
    async fn serve(&self, name: &str, alpn: &[&str]) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us hangs up.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let protocol = stream.get_ref().1.alpn_protocol().unwrap_or(b"none").to_vec();
                    read_head(&mut BufReader::new(&mut stream)).await;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", protocol.len());
                    let _ = stream.write_all(&[head.as_bytes(), &protocol].concat()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        address
    }
}

async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            return lines;
        }
        lines.push(line.trim_end().to_owned());
    }
}

/// A proxy on loopback that takes any name for `target` and writes down what it is asked for.
async fn proxy(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let writes = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&writes);
            tokio::spawn(async move { tunnel(stream, target, &seen).await });
        }
    });
    (address, seen)
}

async fn tunnel(client: TcpStream, target: SocketAddr, seen: &Mutex<Vec<String>>) {
    let mut client = BufReader::new(client);
    let head = read_head(&mut client).await;
    let refuses = head.iter().any(|line| line.contains("refuse.example"));
    seen.lock().unwrap().extend(head);
    if refuses {
        let _ = client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            .await;
        return;
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    copy(&mut client, &mut server).await;
}

async fn copy(client: &mut (impl AsyncRead + AsyncWrite + Unpin), server: &mut TcpStream) {
    // Either side may hang up.
    let _ = copy_bidirectional(client, server).await;
}

async fn get(options: &HttpOptions, url: &str) -> Result<Response<Bytes>, TransportError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    ReqwestTransport::new(options).unwrap().send(request, &Limits::default()).await
}

/// What a refused certificate is; the platform's TLS does not tell it from a connection that failed.
const REFUSED: Kind = if cfg!(feature = "rustls") { Kind::Tls } else { Kind::Connect };

#[tokio::test]
async fn an_own_authority_is_trusted_beside_the_platforms() {
    let authority = Authority::new();
    let address = authority.serve("localhost", &[]).await;
    let url = format!("https://localhost:{}/", address.port());
    // Beside another one in the same file, and with text around, as such files are.
    let bundle = format!("# Ours\n{}\n# Another\n{}", authority.pem(), Authority::new().pem());
    let answer = get(&HttpOptions::new().root_certificates(bundle), &url).await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// The name of the file of certificate authorities for the process that the next test starts.
#[cfg(all(feature = "rustls", unix, not(target_vendor = "apple")))]
const FILE: &str = "SSL_CERT_FILE";
#[cfg(all(feature = "rustls", unix, not(target_vendor = "apple")))]
const CHILD: &str = "JETON_AUTHORITIES_TEST_CHILD";

/// In a process of its own, which has its own environment.
#[cfg(all(feature = "rustls", unix, not(target_vendor = "apple")))]
#[test]
fn the_platforms_authorities_are_read_when_a_certificate_is_verified_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transport_tls::authorities_child", "--nocapture"])
        .env(CHILD, "1")
        .env(FILE, folder.path().join("authorities.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("the file was read in time"), "{output:?}");
}

#[cfg(all(feature = "rustls", unix, not(target_vendor = "apple")))]
#[tokio::test]
async fn authorities_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let authority = Authority::new();
    let address = authority.serve("localhost", &[]).await;
    let early = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let late = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let request =
        || Request::get(format!("https://localhost:{}/", address.port())).body(Bytes::new()).unwrap();
    // There is no file yet: the machine has no authorities, which is told to whoever needs them.
    let error = early.send(request(), &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Tls);
    assert!(format!("{error:?}").contains("ca-certificates"), "{error:?}");
    std::fs::write(std::env::var_os(FILE).unwrap(), authority.pem()).unwrap();
    let answer = late.send(request(), &Limits::default()).await.unwrap();
    assert_eq!(answer.status(), 200);
    println!("the file was read in time");
}

#[tokio::test]
async fn a33_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent() {
    let address = Authority::new().serve("localhost", &[]).await;
    let url = format!("https://localhost:{}/", address.port());
    for options in [HttpOptions::new(), HttpOptions::new().root_certificates(Authority::new().pem())] {
        let error = get(&options, &url).await.unwrap_err();
        assert_eq!(error.kind(), REFUSED, "{error}");
        assert!(!error.may_have_reached_server());
        assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a33_a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let address = authority.serve("as.example", &[]).await;
    let options = HttpOptions::new().root_certificates(authority.pem());
    let error = get(&options, &format!("https://localhost:{}/", address.port())).await.unwrap_err();
    assert_eq!(error.kind(), REFUSED, "{error}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn the_features_say_which_http_versions_are_offered() {
    let authority = Authority::new();
    // The server would take HTTP/2; this one speaks HTTP/1.1 only, so that it says what it prefers of what is offered.
    let address = authority.serve("localhost", &["http/1.1"]).await;
    let options = HttpOptions::new().root_certificates(authority.pem());
    let answer = get(&options, &format!("https://localhost:{}/", address.port())).await.unwrap();
    assert_eq!(answer.body(), "http/1.1");

    let only_http2 = authority.serve("localhost", &["h2"]).await;
    let result = get(&options, &format!("https://localhost:{}/", only_http2.port())).await;
    // The handshake fails if HTTP/2 is not offered, and if it is, this server does not speak it after all.
    let expected = if cfg!(feature = "http2") { Kind::Interrupted } else { REFUSED };
    let error = result.unwrap_err();
    assert_eq!(error.kind(), expected, "{error}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn no_process_wide_provider_is_installed() {
    let authority = Authority::new();
    let address = authority.serve("localhost", &[]).await;
    let options = HttpOptions::new().root_certificates(authority.pem());
    get(&options, &format!("https://localhost:{}/", address.port())).await.unwrap();
    assert!(tokio_rustls::rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn the_proxy_is_asked_for_a_tunnel_and_gets_its_credentials() {
    let authority = Authority::new();
    let server = authority.serve("as.example", &[]).await;
    let (proxy, seen) = proxy(server).await;
    let options =
        HttpOptions::new().root_certificates(authority.pem()).proxy(format!("http://us%40er:p%3Aw@{proxy}"));
    // The name leads nowhere but through the proxy.
    let answer = get(&options, "https://as.example/token?code=s3cr3t").await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.starts_with("CONNECT as.example:443 HTTP/1.1"), "{seen}");
    let credentials = seen.lines().filter_map(|line| line.split_once(": "));
    let credentials: Vec<&str> = credentials
        .filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
        .map(|(_, value)| value)
        .collect();
    // us@er:p:w
    assert_eq!(credentials, ["Basic dXNAZXI6cDp3"]);
    assert!(!seen.contains("s3cr3t"), "{seen}");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_means_that_the_server_saw_nothing() {
    let authority = Authority::new();
    let server = authority.serve("as.example", &[]).await;
    let (proxy, _) = proxy(server).await;
    let absent = tokio::net::TcpSocket::new_v4().unwrap();
    absent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    for (proxy, host) in [(proxy, "refuse.example"), (absent.local_addr().unwrap(), "as.example")] {
        let options = HttpOptions::new().proxy(format!("http://user:s3cr3t@{proxy}"));
        let error = get(&options, &format!("https://{host}/")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect, "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
}

#[tokio::test]
async fn a33_loopback_goes_through_no_proxy() {
    let authority = Authority::new();
    let server = authority.serve("localhost", &[]).await;
    let (proxy, seen) = proxy(server).await;
    let options = HttpOptions::new().root_certificates(authority.pem()).proxy(format!("http://{proxy}"));
    get(&options, &format!("https://localhost:{}/", server.port())).await.unwrap();
    let plain = jeton_devserver::DevServer::start().unwrap();
    get(&options, &plain.metadata_url()).await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
}
