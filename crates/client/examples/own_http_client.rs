//! A program that owns its HTTP client (here hyper-util's) and puts jeton's tower layer over it: requests to the resource
//! server carry the token, others are refused or go out without it, and a rejected token is replaced.
//!
//! ```text
//! cargo run -p jeton-client --example own_http_client --features tower
//! ```
// An example talks to whoever runs it.
#![allow(clippy::print_stdout)]

use std::error::Error;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use jeton_client::{AuthenticationLayer, Client, ClientCredentials};
use jeton_devserver::DevServer;
use tower::{Service, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = DevServer::start()?;
    let elsewhere = DevServer::recorder()?;
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let session = Client::builder(id)
        .issuer(server.issuer())
        .client_secret(secret)
        .grant(ClientCredentials)
        .resource_server(server.url(""))
        .build()?
        .session();

    // The program's own client, as it likes it.
    let hyper = HttpClient::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let layer = AuthenticationLayer::new(session);
    let mut http = ServiceBuilder::new().layer(layer.clone()).service(hyper.clone());
    let get = |url: &str| Request::get(url).body(Full::<Bytes>::default());

    let response = http.ready().await?.call(get(&server.resource_url())?).await?;
    println!("With the token:          {}", response.status());

    // Somebody revokes the token. The server says so once, and the layer gets another one.
    server.revoke_access_tokens();
    let before = server.stats();
    let response = http.ready().await?.call(get(&server.resource_url())?).await?;
    let after = server.stats();
    println!(
        "With a revoked token:    {}, after {} x 401 and {} new token",
        response.status(),
        after.api_unauthorized - before.api_unauthorized,
        after.tokens_issued - before.tokens_issued,
    );
    assert_eq!(response.status(), StatusCode::OK);

    // The token is for one origin.
    let refused = http.ready().await?.call(get(elsewhere.url())?).await;
    println!("To another origin:       {}", refused.err().ok_or("the request should have been refused")?);
    let mut for_all = ServiceBuilder::new().layer(layer.pass_foreign_origins()).service(hyper);
    let response = for_all.ready().await?.call(get(elsewhere.url())?).await?;
    let with_token = elsewhere.requests().iter().any(|request| request.header("authorization").is_some());
    println!("There, if told to pass:  {}, token seen: {with_token}", response.status());
    assert!(!with_token);
    Ok(())
}
