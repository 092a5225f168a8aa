//! The client credentials grant (RFC 6749 §4.4) as each client does it, all with the same identity, scope and endpoint, over a
//! connection of its own that is kept. Each is set up the way its documentation shows.

use std::sync::Arc;
use std::time::Duration;

use huskarl::grant::client_credentials::{ClientCredentialsGrant, ClientCredentialsGrantParameters};
use huskarl::prelude::*;
use jeton::grants::GrantContext;
use jeton::models::AuthorizationServerMetadata;
use jeton::{ClientCredentials, ClientSecretBasic, Grant, HttpOptions, ReqwestTransport, Scope, SystemClock};
use oauth2::TokenResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::server::{Server, access_token, answer};

const CLIENT_ID: &str = "bench-client";
const CLIENT_SECRET: &str = "bench-secret-of-a-usual-length-0123456789";

/// Whoever can get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The same bytes over a bare socket: what the server and the system allow.
    Socket,
    /// reqwest, the body read as bytes.
    ReqwestBytes,
    /// reqwest, the body read into a small struct with serde: what everything is compared with.
    Reqwest,
    /// jeton's grant through its transport.
    Jeton,
    /// `Session::refresh`: the grant, on jeton's own runtime, under a lease, kept in a store.
    JetonSession,
    /// The crate oauth2.
    OAuth2,
    /// The crate huskarl.
    Huskarl,
}

impl Name {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Socket,
        Self::ReqwestBytes,
        Self::Reqwest,
        Self::Jeton,
        Self::OAuth2,
        Self::Huskarl,
        Self::JetonSession,
    ];

    /// Those whose text contains the filter.
    pub fn matching(filter: &str) -> impl Iterator<Item = Self> {
        let filter = filter.to_lowercase();
        Self::ALL.into_iter().filter(move |name| {
            format!("client credentials: {}", name.text()).to_lowercase().contains(&filter)
        })
    }

    /// As the table has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Socket => "raw socket (what the server can do)",
            Self::ReqwestBytes => "bare reqwest, body as bytes",
            Self::Reqwest => "bare reqwest, body as JSON",
            Self::Jeton => "jeton",
            Self::JetonSession => "jeton, Session::refresh (lease, store, own runtime)",
            Self::OAuth2 => "oauth2 5.0",
            Self::Huskarl => "huskarl 0.11",
        }
    }
}

/// A contestant that is ready to go.
#[derive(Clone)]
pub struct Contestant {
    name: Name,
    client: Client,
}

#[derive(Clone)]
enum Client {
    Socket(Arc<Socket>),
    Reqwest(Arc<Reqwest>),
    Jeton(Arc<Jeton>),
    JetonSession(jeton::Session),
    OAuth2(Arc<OAuth2>),
    Huskarl(Arc<ClientCredentialsGrant>),
}

impl Contestant {
    /// Sets it up; nothing is sent yet.
    pub async fn new(name: Name, server: &Server) -> Self {
        let endpoint = server.token_endpoint();
        let client = match name {
            Name::Socket => Client::Socket(Arc::new(Socket::new(server))),
            Name::ReqwestBytes | Name::Reqwest => Client::Reqwest(Arc::new(Reqwest::new(endpoint))),
            Name::Jeton => Client::Jeton(Arc::new(Jeton::new(endpoint))),
            Name::JetonSession => Client::JetonSession(session(endpoint)),
            Name::OAuth2 => Client::OAuth2(Arc::new(OAuth2::new(endpoint))),
            Name::Huskarl => Client::Huskarl(Arc::new(huskarl(&endpoint).await)),
        };
        Self { name, client }
    }

    /// Which one it is.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Gets a token so many times, one after the other. Panics unless it is the server's.
    pub async fn get(&self, times: u64) {
        let expected = Expected::new();
        // Chosen once and not for each request.
        match (&self.client, self.name) {
            (Client::Socket(client), _) => {
                for _ in 0..times {
                    client.get(&expected).await;
                }
            }
            (Client::Reqwest(client), Name::ReqwestBytes) => {
                for _ in 0..times {
                    client.bytes(&expected).await;
                }
            }
            (Client::Reqwest(client), _) => {
                for _ in 0..times {
                    client.json(&expected).await;
                }
            }
            (Client::Jeton(client), _) => {
                for _ in 0..times {
                    client.get(&expected).await;
                }
            }
            (Client::JetonSession(session), _) => {
                for _ in 0..times {
                    let token = session.refresh().await.expect("a token");
                    expected.check(token.secret().expose());
                }
            }
            (Client::OAuth2(client), _) => {
                for _ in 0..times {
                    client.get(&expected).await;
                }
            }
            (Client::Huskarl(grant), _) => {
                for _ in 0..times {
                    let scope = vec!["read".to_owned(), "write".to_owned()];
                    let parameters = ClientCredentialsGrantParameters::builder().scope(scope).build();
                    let response = grant.exchange(parameters).await.expect("a token");
                    expected.check(response.access_token().token().expose_secret());
                }
            }
        }
    }
}

/// What the server answers.
struct Expected {
    access_token: String,
    body: String,
}

impl Expected {
    fn new() -> Self {
        Self { access_token: access_token(), body: answer() }
    }

    fn check(&self, access_token: &str) {
        assert!(access_token == self.access_token, "another token than the server's");
    }
}

// ----- Bare socket ---------------------------------------------------------------------------------------------------------

/// As many connections as are used at a time.
struct Socket {
    address: std::net::SocketAddr,
    request: Vec<u8>,
    idle: Mutex<Vec<TcpStream>>,
}

impl Socket {
    fn new(server: &Server) -> Self {
        let body = "grant_type=client_credentials&scope=read+write";
        let request = format!(
            "POST /token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\nauthorization: Basic {}\r\n\
             accept: application/json\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}",
            "YmVuY2gtY2xpZW50OmJlbmNoLXNlY3JldC1vZi1hLXVzdWFsLWxlbmd0aC0wMTIzNDU2Nzg5",
            server.address(),
            body.len()
        );
        Self { address: server.address(), request: request.into_bytes(), idle: Mutex::default() }
    }

    async fn get(&self, expected: &Expected) {
        let idle = self.idle.lock().await.pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket of our own");
                stream
            }
        };
        stream.write_all(&self.request).await.expect("the server reads");
        let mut answer = Vec::with_capacity(2048);
        while !answer.ends_with(expected.body.as_bytes()) {
            assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "half an answer");
        }
        self.idle.lock().await.push(stream);
    }
}

// ----- Bare reqwest --------------------------------------------------------------------------------------------------------

struct Reqwest {
    client: reqwest::Client,
    endpoint: reqwest::Url,
}

/// What is read of an answer.
#[derive(serde::Deserialize)]
struct Answer {
    access_token: String,
    #[expect(dead_code, reason = "read like everything that a caller may want")]
    token_type: String,
    #[expect(dead_code, reason = "read like everything that a caller may want")]
    expires_in: Option<u64>,
    #[expect(dead_code, reason = "read like everything that a caller may want")]
    scope: Option<String>,
}

impl Reqwest {
    fn new(endpoint: String) -> Self {
        // No redirects and a time limit, as the grant wants them (RFC 9700 §4.12).
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("a client");
        Self { client, endpoint: endpoint.parse().expect("a URL") }
    }

    async fn bytes(&self, expected: &Expected) {
        let body = self.send().await;
        assert!(*body == *expected.body.as_bytes(), "another body than the server's");
    }

    async fn json(&self, expected: &Expected) {
        let answer: Answer = serde_json::from_slice(&self.send().await).expect("JSON");
        expected.check(&answer.access_token);
    }

    async fn send(&self) -> impl std::ops::Deref<Target = [u8]> {
        let request = self
            .client
            .post(self.endpoint.clone())
            .basic_auth(CLIENT_ID, Some(CLIENT_SECRET))
            .header(http::header::ACCEPT, "application/json")
            .form(&[("grant_type", "client_credentials"), ("scope", "read write")]);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), http::StatusCode::OK);
        response.bytes().await.expect("a body")
    }
}

// ----- jeton ---------------------------------------------------------------------------------------------------------------

struct Jeton {
    server: AuthorizationServerMetadata,
    authentication: ClientSecretBasic,
    transport: ReqwestTransport,
    scope: Scope,
}

impl Jeton {
    fn new(endpoint: String) -> Self {
        let mut server = AuthorizationServerMetadata::default();
        server.token_endpoint = Some(endpoint);
        Self {
            server,
            authentication: ClientSecretBasic::new(CLIENT_SECRET),
            transport: ReqwestTransport::new(&HttpOptions::new().no_proxy()).expect("a transport"),
            scope: "read write".parse().expect("a scope"),
        }
    }

    async fn get(&self, expected: &Expected) {
        let mut cx =
            GrantContext::new(&self.server, CLIENT_ID, &self.authentication, &self.transport, &SystemClock);
        cx.scope = Some(&self.scope);
        let response = ClientCredentials.obtain(&cx).await.expect("a token");
        expected.check(response.access_token.expose());
    }
}

/// A session whose every refresh is a new grant.
fn session(endpoint: String) -> jeton::Session {
    let client = jeton::Client::builder(CLIENT_ID)
        .token_endpoint(endpoint)
        .client_secret(CLIENT_SECRET)
        .grant(ClientCredentials)
        .scope("read write")
        .http(HttpOptions::new().no_proxy())
        .build()
        .expect("a client");
    client.session()
}

// ----- oauth2 --------------------------------------------------------------------------------------------------------------

struct OAuth2 {
    client: oauth2::basic::BasicClient<
        oauth2::EndpointNotSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointSet,
    >,
    http: oauth2::reqwest::Client,
}

impl OAuth2 {
    fn new(endpoint: String) -> Self {
        let client = oauth2::basic::BasicClient::new(oauth2::ClientId::new(CLIENT_ID.to_owned()))
            .set_client_secret(oauth2::ClientSecret::new(CLIENT_SECRET.to_owned()))
            .set_token_uri(oauth2::TokenUrl::new(endpoint).expect("a URL"));
        let http = oauth2::reqwest::ClientBuilder::new()
            .redirect(oauth2::reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("a client");
        Self { client, http }
    }

    async fn get(&self, expected: &Expected) {
        let response = self
            .client
            .exchange_client_credentials()
            .add_scope(oauth2::Scope::new("read".to_owned()))
            .add_scope(oauth2::Scope::new("write".to_owned()))
            .request_async(&self.http)
            .await
            .expect("a token");
        expected.check(response.access_token().secret());
    }
}

// ----- huskarl -------------------------------------------------------------------------------------------------------------

async fn huskarl(endpoint: &str) -> ClientCredentialsGrant {
    let http = huskarl_reqwest::ReqwestClient::builder()
        .configure_builder(Box::new(|builder| builder.no_proxy()))
        .build()
        .await
        .expect("a client");
    let secret =
        huskarl::core::secrets::ProvidedSecret::new(huskarl::core::secrets::SecretString::new(CLIENT_SECRET));
    ClientCredentialsGrant::builder()
        .token_endpoint(endpoint.parse().expect("a URL"))
        .client_id(CLIENT_ID)
        .http_client(http)
        .client_auth(
            huskarl::core::client_auth::ClientSecret::builder()
                .client_secret(secret)
                .prefer_basic_auth(true)
                .build(),
        )
        .build()
}
