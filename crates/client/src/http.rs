//! `HttpOptions`: how this crate's HTTP clients reach the network: proxy, certificate authorities, connecting, TLS.
//!
//! Every reqwest client of the crate is made here, so that TLS is set up in one place and loopback is never proxied.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jeton_models::{Secret, is_loopback_host};
use url::Url;

/// How long connecting (DNS, TCP, TLS, and the proxy's answer) may take unless told otherwise: 10 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept for the next request.
///
/// Short on purpose. A request on a kept connection that the server is just closing breaks in a way that does not tell
/// whether the server has seen it, and for a refresh token that is to be used once that is the worst of answers. Servers
/// keep idle connections for a minute or so, some for less; a new connection costs a few milliseconds once per refresh.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How the network is reached: proxy, own certificate authorities, connect timeout, user agent.
///
/// Settings are checked when the client is made. Connections to this very machine (`localhost`, `127.0.0.0/8`, `[::1]`)
/// never go through a proxy: plain HTTP is taken for secure there because it does not leave the machine.
///
/// # Environment
/// Read by platform convention, when a client is made: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their lower-case
/// forms, unless [`proxy`](Self::proxy) or [`no_proxy`](Self::no_proxy) is set (with the feature `system-proxy` also the
/// proxy settings of macOS and Windows). With the feature `rustls` on Unix other than Apple's also
/// `SSL_CERT_FILE` and `SSL_CERT_DIR`: when the first certificate of a server is verified, for a program may well need none.
///
/// ```
/// use std::time::Duration;
/// use jeton_client::{HttpOptions, ReqwestTransport};
///
/// let options = HttpOptions::new()
///     .proxy("http://user:s3cr3t@proxy.example:8080")
///     .connect_timeout(Duration::from_secs(5))
///     .user_agent("my-program/1.0");
/// assert!(!format!("{options:?}").contains("s3cr3t"));
/// let transport = ReqwestTransport::new(&options)?;
/// # Ok::<(), jeton_client::HttpOptionsError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct HttpOptions {
    proxy: Proxy,
    root_certificates: Vec<Vec<u8>>,
    client_certificate: Option<Arc<ClientCertificate>>,
    connect_timeout: Duration,
    user_agent: String,
}

/// A certificate chain and its private key, both in PEM.
#[cfg_attr(not(feature = "mtls"), expect(dead_code, reason = "read where it can be presented"))]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Secret,
}

#[derive(Clone)]
enum Proxy {
    /// Whatever the environment or the system's settings say.
    System,
    None,
    Url(String),
}

impl HttpOptions {
    /// The system's proxy, the platform's certificate authorities, 10 s to connect, `jeton/` and the version as user
    /// agent.
    pub fn new() -> Self {
        Self {
            proxy: Proxy::System,
            root_certificates: Vec::new(),
            client_certificate: None,
            connect_timeout: CONNECT_TIMEOUT,
            user_agent: concat!("jeton/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Goes through this proxy, such as `http://proxy.example:8080` or `https://user:password@proxy.example`; user name
    /// and password are percent-encoded. The environment is not looked at any more.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Proxy::Url(url.into());
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::None;
        self
    }

    /// Trusts these certificate authorities as well, beside the platform's: one or more certificates in PEM. Call it
    /// again for more.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Presents this certificate to servers that ask for one (mutual TLS, RFC 8705): the certificate, with those of intermediate
    /// authorities after it, and its private key (PKCS#8, PKCS#1 or SEC1), both in PEM. Needs the feature `mtls`.
    ///
    /// The same certificate goes to the authorization server and to resource servers, so that tokens which are bound to it
    /// (RFC 8705 §3) work there. To authenticate with it, set
    /// [`TlsClientAuth`](crate::TlsClientAuth) or [`SelfSignedTlsClientAuth`](crate::SelfSignedTlsClientAuth).
    ///
    /// It is read once. When the certificate on disk is replaced, build the client anew over the same store: its sessions go on
    /// with the logins that are there. An access token that was bound to the old certificate is rejected then with a 401, and
    /// replaced like any other.
    ///
    /// ```no_run
    /// use jeton_client::HttpOptions;
    ///
    /// let options = HttpOptions::new().client_certificate(
    ///     std::fs::read("/etc/my-service/client.crt")?,
    ///     std::fs::read_to_string("/etc/my-service/client.key")?,
    /// );
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn client_certificate(mut self, chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Secret>) -> Self {
        self.client_certificate =
            Some(Arc::new(ClientCertificate { chain: chain_pem.into(), key: key_pem.into() }));
        self
    }

    /// Whether servers that ask for a client certificate get one.
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.client_certificate.is_some()
    }

    /// How long connecting may take: DNS, TCP, TLS and the proxy's answer together. 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The header `User-Agent`. Some servers want one that names the program and its version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// The builder of a reqwest client with all of this set, in the proxy's way or, if `direct`, without one.
    fn builder(&self, tls: &tls::Tls, direct: bool) -> Result<reqwest::ClientBuilder, HttpOptionsError> {
        let user_agent = ::http::HeaderValue::try_from(&self.user_agent)
            .map_err(|_| HttpOptionsError::UserAgent { user_agent: self.user_agent.clone() })?;
        let builder = reqwest::Client::builder()
            .user_agent(user_agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .referer(false);
        let builder = tls::set(builder, tls);
        match &self.proxy {
            _ if direct => Ok(builder.no_proxy()),
            Proxy::System => Ok(builder),
            Proxy::None => Ok(builder.no_proxy()),
            Proxy::Url(url) => Ok(builder.proxy(proxy(url)?)),
        }
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = match &self.proxy {
            Proxy::System => "system".to_owned(),
            Proxy::None => "none".to_owned(),
            Proxy::Url(url) => without_credentials(url),
        };
        f.debug_struct("HttpOptions")
            .field("proxy", &proxy)
            .field("root_certificates", &self.root_certificates.len())
            .field("client_certificate", &self.client_certificate.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("user_agent", &self.user_agent)
            .finish()
    }
}

/// The reqwest clients for a set of options: one for the world, and one for loopback that goes through no proxy.
#[derive(Clone, Debug)]
pub(crate) struct HttpClients {
    direct: reqwest::Client,
    outward: reqwest::Client,
}

impl HttpClients {
    /// `configure` sets what differs by use, such as the redirect policy.
    pub(crate) fn new(
        options: &HttpOptions,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, HttpOptionsError> {
        let tls = tls::new(&options.root_certificates, options.client_certificate.as_deref())?;
        let build = |direct| {
            let client = configure(options.builder(&tls, direct)?).build();
            client.map_err(|error| HttpOptionsError::Client { what: innermost(&error) })
        };
        let direct = build(true)?;
        let outward = if matches!(options.proxy, Proxy::None) { direct.clone() } else { build(false)? };
        Ok(Self { direct, outward })
    }

    /// The client for requests to this URL.
    pub(crate) fn for_url(&self, url: &Url) -> &reqwest::Client {
        if is_loopback_host(url) { &self.direct } else { &self.outward }
    }
}

/// Why no HTTP client could be made of [`HttpOptions`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpOptionsError {
    /// The proxy is not one that can be used.
    #[error("the proxy `{proxy}` cannot be used: {what}; set it like http://proxy.example:8080")]
    Proxy {
        /// The URL without user name and password.
        proxy: String,
        /// What is wrong with it.
        what: String,
    },
    /// An own certificate authority cannot be read.
    #[error(
        "root certificate {number} cannot be used: {what}; give certificate authorities in PEM \
         (`-----BEGIN CERTIFICATE-----`)"
    )]
    RootCertificate {
        /// Which one, in the order in which they were given, from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The client certificate cannot be presented.
    #[error("the client certificate cannot be used: {what}")]
    ClientCertificate {
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// The user agent is not a header value.
    #[error("the user agent {user_agent:?} has characters that cannot stand in a header; use visible ASCII")]
    UserAgent {
        /// The user agent.
        user_agent: String,
    },
    /// TLS could not be set up.
    #[error("TLS could not be set up: {what}")]
    Tls {
        /// What went wrong.
        what: String,
    },
    /// The HTTP client could not be made of these options.
    #[error("the HTTP client could not be made: {what}")]
    Client {
        /// What went wrong.
        what: String,
    },
}

/// What the innermost cause says, which never holds a URL.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(not(feature = "mtls"))]
fn cannot_present() -> HttpOptionsError {
    let what = "this build has no mutual TLS; build jeton-client with the feature `mtls`, which needs rustls";
    HttpOptionsError::ClientCertificate { what: what.to_owned() }
}

fn proxy(url: &str) -> Result<reqwest::Proxy, HttpOptionsError> {
    let error =
        |what: &str| HttpOptionsError::Proxy { proxy: without_credentials(url), what: what.to_owned() };
    let parsed = Url::parse(url).map_err(|cause| error(&cause.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(error("only http and https proxies are supported"));
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(error("it has more than scheme, user, host and port"));
    }
    reqwest::Proxy::all(parsed).map_err(|cause| error(&innermost(&cause)))
}

/// For errors and Debug. A text that is no URL may hold a password anywhere, so only what follows the last `@` is shown.
fn without_credentials(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        return url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned();
    };
    let redacted = parsed.set_username("").and_then(|()| parsed.set_password(None));
    parsed.set_query(None);
    match redacted {
        Ok(()) => parsed.to_string(),
        // It has no host, and no user then either as far as the URL standard goes; what it is, is unclear.
        Err(()) => format!("{}:...", parsed.scheme()),
    }
}

#[cfg(feature = "rustls")]
mod tls {
    //! rustls with ring and the platform's verifier, without a process-wide provider.

    use std::sync::Arc;

    use rustls::client::WantsClientCert;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::CertificateDer;
    #[cfg(feature = "mtls")]
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, ConfigBuilder};

    use super::{ClientCertificate, HttpOptionsError};

    pub(super) type Tls = ClientConfig;

    pub(super) fn new(
        root_certificates: &[Vec<u8>],
        client_certificate: Option<&ClientCertificate>,
    ) -> Result<Tls, HttpOptionsError> {
        let failed = |error: rustls::Error| HttpOptionsError::Tls { what: error.to_string() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = parse(root_certificates)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(roots, provider).map_err(failed)?);
        let mut config = match client_certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => present(builder, certificate)?,
        };
        config.alpn_protocols = vec![
            #[cfg(feature = "http2")]
            b"h2".to_vec(),
            b"http/1.1".to_vec(),
        ];
        Ok(config)
    }

    #[cfg(feature = "mtls")]
    fn present(
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
        certificate: &ClientCertificate,
    ) -> Result<ClientConfig, HttpOptionsError> {
        let error = |what: &str| HttpOptionsError::ClientCertificate { what: what.to_owned() };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate.chain).collect();
        let chain = chain.map_err(|cause| error(&format!("its PEM cannot be read: {cause}")))?;
        if chain.is_empty() {
            return Err(error("there is no certificate in it (`-----BEGIN CERTIFICATE-----`)"));
        }
        // What is wrong with the key is not said in the words of the parser, which may repeat a part of it.
        let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes()).map_err(|_| {
            error("its private key is not in PEM, unencrypted (`-----BEGIN PRIVATE KEY-----`)")
        })?;
        builder.with_client_auth_cert(chain, key).map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(_) => error("the private key is not the certificate's"),
            _ => error("its private key, or its kind, is not supported"),
        })
    }

    #[cfg(not(feature = "mtls"))]
    fn present(
        _: ConfigBuilder<ClientConfig, WantsClientCert>,
        _: &ClientCertificate,
    ) -> Result<ClientConfig, HttpOptionsError> {
        Err(super::cannot_present())
    }

    pub(super) fn set(builder: reqwest::ClientBuilder, tls: &Tls) -> reqwest::ClientBuilder {
        builder.tls_backend_preconfigured(tls.clone())
    }

    fn parse(root_certificates: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, HttpOptionsError> {
        let mut roots = Vec::new();
        for (index, pem) in root_certificates.iter().enumerate() {
            let error = |what: String| HttpOptionsError::RootCertificate { number: index + 1, what };
            let mut store = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|cause| error(cause.to_string()))?;
                // The verifier checks it too, but cannot say which one is wrong.
                store.add(certificate.clone()).map_err(|cause| error(cause.to_string()))?;
                roots.push(certificate);
            }
            if store.is_empty() {
                return Err(error("there is no certificate in it".to_owned()));
            }
        }
        Ok(roots)
    }

    /// Where the platform's authorities are files, they are read when the first certificate is to be verified.
    #[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
    fn verifier(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        Ok(Arc::new(crate::authorities::Authorities::new(roots, provider)))
    }

    #[cfg(not(all(unix, not(target_vendor = "apple"))))]
    fn verifier(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        Ok(Arc::new(rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider)?))
    }

    #[cfg(target_os = "android")]
    fn verifier(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        if !roots.is_empty() {
            let what = "Android takes no extra root certificates from a program; add them to its network security configuration";
            return Err(rustls::Error::General(what.to_owned()));
        }
        Ok(Arc::new(rustls_platform_verifier::Verifier::new(provider)?))
    }
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
mod tls {
    //! The platform's own TLS.

    use super::{ClientCertificate, HttpOptionsError, innermost};

    pub(super) type Tls = Vec<reqwest::Certificate>;

    pub(super) fn new(
        root_certificates: &[Vec<u8>],
        client_certificate: Option<&ClientCertificate>,
    ) -> Result<Tls, HttpOptionsError> {
        if client_certificate.is_some() {
            return Err(super::cannot_present());
        }
        let mut roots = Vec::new();
        for (index, pem) in root_certificates.iter().enumerate() {
            let error = |what: String| HttpOptionsError::RootCertificate { number: index + 1, what };
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|cause| error(innermost(&cause)))?;
            if certificates.is_empty() {
                return Err(error("there is no certificate in it".to_owned()));
            }
            roots.extend(certificates);
        }
        Ok(roots)
    }

    pub(super) fn set(builder: reqwest::ClientBuilder, tls: &Tls) -> reqwest::ClientBuilder {
        builder
            .tls_backend_native()
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .tls_certs_merge(tls.iter().cloned())
    }
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
mod tls {
    //! No TLS: only plain HTTP on loopback works.

    use super::{ClientCertificate, HttpOptionsError};

    pub(super) struct Tls;

    pub(super) fn new(
        root_certificates: &[Vec<u8>],
        client_certificate: Option<&ClientCertificate>,
    ) -> Result<Tls, HttpOptionsError> {
        if client_certificate.is_some() {
            return Err(super::cannot_present());
        }
        if root_certificates.is_empty() {
            return Ok(Tls);
        }
        let what =
            "this build has no TLS; build jeton-client with the feature `rustls` or `native-tls`".to_owned();
        Err(HttpOptionsError::RootCertificate { number: 1, what })
    }

    pub(super) fn set(builder: reqwest::ClientBuilder, _: &Tls) -> reqwest::ClientBuilder {
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: HttpOptions) -> HttpOptionsError {
        HttpClients::new(&options, |builder| builder).unwrap_err()
    }

    #[test]
    fn a33_no_credentials_of_the_proxy_in_debug_and_errors() {
        let proxies = [
            "http://user:s3cr3t@proxy.example:8080",
            "socks5://user:s3cr3t@proxy.example",
            "http://user:s3cr3t@proxy.example/path?s3cr3t",
            "user:s3cr3t@proxy.example:8080",
            "http://user:s3cr3t@",
            "http://user:s3cr3t@proxy.example:port",
            "://user:s3cr3t@proxy",
        ];
        for proxy in proxies {
            let options = HttpOptions::new().proxy(proxy);
            let debug = format!("{options:?}");
            assert!(!debug.contains("s3cr3t"), "{debug}");
            if let Err(error) = HttpClients::new(&options, |builder| builder) {
                assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
            }
        }
    }

    #[test]
    fn an_error_says_which_option_is_wrong_and_what_to_set() {
        let proxy = error(HttpOptions::new().proxy("socks5://user:pw@proxy.example:1080"));
        assert_eq!(
            proxy.to_string(),
            "the proxy `socks5://proxy.example:1080` cannot be used: only http and https proxies are supported; set it \
             like http://proxy.example:8080"
        );
        for proxy in ["proxy.example:8080", "http://", "http://proxy.example/path", "", "http://p.example#f"]
        {
            assert!(
                matches!(error(HttpOptions::new().proxy(proxy)), HttpOptionsError::Proxy { .. }),
                "{proxy}"
            );
        }
        let agent = error(HttpOptions::new().user_agent("two\nlines"));
        assert!(agent.to_string().starts_with("the user agent \"two\\nlines\" has characters"), "{agent}");
    }

    #[cfg(not(feature = "mtls"))]
    #[test]
    fn a18_a_build_without_mutual_tls_says_so() {
        let error = error(HttpOptions::new().client_certificate("chain", "s3cr3t"));
        assert!(error.to_string().contains("feature `mtls`"), "{error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }

    #[cfg(feature = "mtls")]
    #[test]
    fn a18_a_client_certificate_that_is_none_is_told_without_its_key() {
        let of = |key: &rcgen::KeyPair| {
            rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(key).unwrap().pem()
        };
        let (key, other) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        let good = HttpOptions::new().client_certificate(of(&key), key.serialize_pem());
        assert!(HttpClients::new(&good, |builder| builder).is_ok());
        assert!(!format!("{good:?}").contains("PRIVATE"));
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAAs3cr3t\n-----END PRIVATE KEY-----\n";
        for (chain, key, expected) in [
            (of(&key), other.serialize_pem(), "not the certificate's"),
            (String::new(), key.serialize_pem(), "no certificate"),
            (key.serialize_pem(), key.serialize_pem(), "no certificate"),
            (of(&key), of(&key), "not in PEM"),
            (of(&key), String::new(), "not in PEM"),
            (of(&key), broken.to_owned(), "private key"),
        ] {
            let error = error(HttpOptions::new().client_certificate(chain, key.as_str()));
            assert!(matches!(error, HttpOptionsError::ClientCertificate { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_root_certificate_that_is_none_is_named_by_its_number() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "not pem", broken] {
            let error = error(HttpOptions::new().root_certificates(pem));
            assert!(matches!(error, HttpOptionsError::RootCertificate { number: 1, .. }), "{error:?}");
        }
    }
}
