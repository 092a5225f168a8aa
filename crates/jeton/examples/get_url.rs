//! Gets a URL of which nothing is known: finds the server that the resource trusts, asks about it, becomes a client there, has you
//! sign in, and keeps the login for the next run.
//!
//! `cargo run --features registration --example get_url -- URL` for any such resource, such as a server of the Model Context
//! Protocol; without a URL at a server that runs inside of the example, where nobody has to click.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::sync::Arc;

use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, Interaction, InteractionError, ServerPrompt, async_trait,
};
use jeton::models::ClientMetadata;
use jeton::{
    FileStore, LoopbackRedirect, PastedRedirect, ResourceClient, ResourceClientBuilder, TerminalInteraction,
};
use jeton_devserver::{DevServer, ResourceMetadata};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(url) => show(&at_the_terminal()?.build()?, &url).await,
        None => demonstration().await,
    }
}

/// As a program for people has it.
fn at_the_terminal() -> Result<ResourceClientBuilder, Box<dyn Error>> {
    let mut metadata = ClientMetadata::public(["http://127.0.0.1/callback"]);
    metadata.client_name = Some("jeton's get_url".into());
    Ok(ResourceClient::builder()
        .store(FileStore::at_default_place()?)
        .redirect(LoopbackRedirect::new())
        .interaction(TerminalInteraction::new())
        .client_metadata(metadata))
}

async fn show(client: &ResourceClient, url: &str) -> Result<(), Box<dyn Error>> {
    let answer = client.get(url).send().await?;
    eprintln!("{}", answer.status());
    println!("{}", answer.text().await?);
    Ok(())
}

/// The same with a server of our own: first a login, then more scope, then an authentication of a certain kind.
async fn demonstration() -> Result<(), Box<dyn Error>> {
    let server = DevServer::builder()
        .resource_metadata(ResourceMetadata::InHeader)
        .challenge_scope("read")
        .registration(true)
        .start()?;
    let server = Arc::new(server);
    let redirect = "http://127.0.0.1:7777/callback";
    let client = ResourceClient::builder()
        .redirect(PastedRedirect::new(redirect))
        .interaction(Obliging(server.clone()))
        .client_metadata(ClientMetadata::public([redirect]))
        .build()?;
    for path in ["/api/me", "/api/admin", "/api/wants?acr_values=gold"] {
        eprintln!("GET {path}");
        show(&client, &server.url(path)).await?;
    }
    Ok(())
}

/// Somebody who trusts everybody and signs in wherever he is sent.
struct Obliging(Arc<DevServer>);

#[async_trait]
impl Interaction for Obliging {
    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        eprintln!("  {} wants a login at {}: yes", prompt.resource, prompt.issuer);
        Ok(true)
    }

    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let scope = prompt.url.query_pairs().find(|(name, _)| name == "scope").map(|(_, scope)| scope);
        eprintln!("  signing in, for {}", scope.as_deref().unwrap_or("whatever is usual"));
        let redirected = self.0.authorize(prompt.url.as_str()).map_err(InteractionError::other)?;
        Ok(AuthorizationReply::Redirected(redirected.parse().map_err(InteractionError::other)?))
    }
}
