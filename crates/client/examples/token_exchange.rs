//! A service that acts for the people who use it: somebody is logged in, and the service gets a token of its own to call another
//! API on behalf of them (token exchange, RFC 8693). Both are sessions: when the person's token expires it is refreshed, and when
//! the service's does, the person's newest one is exchanged again.
//!
//! ```text
//! cargo run -p jeton-client --example token_exchange
//! ```
// An example talks to whoever runs it.
#![allow(clippy::print_stdout)]

use std::error::Error;

use jeton_client::{Client, TokenExchange};
use jeton_devserver::{Client as Registered, DevServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (id, secret) = ("orders", "s3cr3t-of-the-orders");
    let server = DevServer::builder().client(Registered::basic(id, secret)).start()?;

    // The person, who logged in through a web application.
    let web =
        Client::builder(DevServer::PUBLIC_CLIENT).issuer(server.issuer()).scope("read write").build()?;
    let person = web.account("alice");
    let (url, pending) = person.begin_log_in("https://app.example/callback").await?;
    let redirected = server.authorize(url.as_str())?;
    person.finish_log_in(pending, &redirected.parse()?).await?;
    println!("Logged in:          {}", person.key());

    // The service: its session is another client's, and its token another one, for another API and for less.
    let api = server.second_resource_url();
    let orders = Client::builder(id)
        .issuer(server.issuer())
        .client_secret(secret)
        .scope("read")
        .grant(TokenExchange::new(person.clone()).audience(server.second_resource_identifier()))
        .resource_server(&api)
        .build()?;
    let on_behalf = orders.account("alice");
    let answer = on_behalf.get(&api).send().await?;
    println!("On behalf of them:  {} {}", answer.status(), answer.text().await?);

    // The token that was exchanged is not good for the other API, nor the person's for this one.
    let (own, exchanged) = (person.token().await?, on_behalf.token().await?);
    assert_ne!(own.secret(), exchanged.secret());
    println!("What it is:         {:?}", exchanged.extra().get_str("issued_token_type"));

    // When the person logs out, there is nothing to exchange any more.
    person.log_out().await?;
    let error = on_behalf.refresh().await.err().ok_or("there should be nothing to exchange")?;
    println!("After the log-out:  {error}");
    Ok(())
}
