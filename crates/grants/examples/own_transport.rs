//! jeton-grants over a transport of your own: client credentials against an embedded server, without an HTTP library.
//!
//! ```text
//! cargo run -p jeton-grants --example own_transport
//! ```
//!
//! The transport is `common/plain_http.rs`: HTTP/1.1 over a TCP connection, about 200 lines, loopback only.
// An example talks to whoever runs it.
#![allow(clippy::print_stdout)]

#[path = "common/plain_http.rs"]
mod plain_http;
#[path = "common/system_clock.rs"]
mod system_clock;

use std::error::Error;
use std::time::SystemTime;

use jeton_devserver::DevServer;
use jeton_grants::{
    ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError, Limits, Transport, bytes::Bytes,
    discover, http,
};
use plain_http::PlainHttp;
use system_clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let devserver = DevServer::start()?;
    println!("An authorization server runs at {}.", devserver.issuer());

    let (transport, clock, limits) = (PlainHttp, SystemClock, Limits::default());
    let server = discover(&transport, &clock, &devserver.issuer().parse()?, &limits).await?;
    println!("Discovery: its token endpoint is {}.", server.token_endpoint.as_deref().unwrap_or("missing"));

    let (client_id, client_secret) = DevServer::SERVICE_CLIENT;
    let authentication = ClientSecretBasic::new(client_secret);
    let cx = GrantContext::new(&server, client_id, &authentication, &transport, &clock);
    let token = ClientCredentials.obtain(&cx).await?.into_token(SystemTime::now());
    println!(
        "Client credentials: `{client_id}` has a {} token (fingerprint {}) for {} s.",
        token.token_type,
        token.access_token.fingerprint(),
        token.expires_in.unwrap_or_default(),
    );

    let request = http::Request::get(devserver.resource_url())
        .header("authorization", format!("Bearer {}", token.access_token.expose()))
        .body(Bytes::new())?;
    let answer = transport.send(request, &limits).await?;
    println!("The API answers {}: {}", answer.status(), String::from_utf8_lossy(answer.body()));

    // Errors say what to do.
    let wrong = ClientSecretBasic::new("not the secret");
    let cx = GrantContext::new(&server, client_id, &wrong, &transport, &clock);
    match ClientCredentials.obtain(&cx).await {
        Err(error) => println!("With a wrong secret: {error}.\nWhat to do: {}.", error.recovery()),
        Ok(_) => return Err("the server took a wrong secret".into()),
    }

    // What leaves this machine needs TLS, which this transport has not; it says so before anything is sent.
    let elsewhere: http::Request<Bytes> = http::Request::get("https://as.example/token").body(Bytes::new())?;
    match transport.send(elsewhere, &limits).await {
        Err(error) => println!("To another machine: {error}."),
        Ok(_) => return Err(GrantError::other("plain HTTP left this machine").into()),
    }
    Ok(())
}
