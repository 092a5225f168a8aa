//! Sign in once and stay signed in: the whole life of a login against an embedded authorization server.
//!
//! `cargo run --example quickstart` needs nothing but Rust. `-- --browser` lets you approve in your own browser.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling what happens is what this program is for"
)]

mod person;
mod show;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use jeton::{
    AuthorizationCode, Client, ClientCredentials, DeviceCode, FileStore, LoopbackRedirect,
    ResourceOwnerPasswordCredentials, Session, TerminalInteraction,
};
use jeton_devserver::DevServer;

use person::{AtTheOtherDevice, BuiltInBrowser};
use show::{done, note, step};

/// Access tokens are short-lived here, so that you see one expire.
const LIFETIME: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match words.as_slice() {
        [] => runtime.block_on(first_run(false)),
        ["--browser"] => runtime.block_on(first_run(true)),
        ["--second-run", issuer, api, folder] => runtime.block_on(second_run(issuer, api, Path::new(folder))),
        _ => Err("usage: quickstart [--browser]".into()),
    }
}

async fn first_run(browser: bool) -> Result<(), Box<dyn Error>> {
    println!("{}", show::title("jeton: sign in once and stay signed in"));

    step("Start an authorization server and an API on this machine");
    let server = DevServer::builder()
        .access_token_lifetime(LIFETIME)
        .auto_approve(!browser)
        .device_interval(Some(1))
        .device_auto_approve_after_polls(Some(2))
        .start()?;
    let folder = tempfile::tempdir()?;
    let logins = folder.path().join("logins");
    note(&format!("issuer {}; refresh tokens rotate, and one used twice ends the login", server.issuer()));

    step("Sign in: authorization code with PKCE, through a listener on loopback");
    let desktop = desktop_app(server.issuer(), &server.resource_url(), &logins, browser)?;
    let session = desktop.session();
    let token = session.log_in().await?;
    done(&format!("signed in; scope {}; {}", scope_of(&token), lives(&token)));
    note(&format!("kept in a {}", desktop.store()));

    step("Call the API");
    call(&session, &server.resource_url()).await?;

    step("Let the access token expire, and call again");
    show::wait(LIFETIME).await;
    call(&session, &server.resource_url()).await?;
    done(&format!("refreshed on the way: {} refresh request", server.stats().refreshes));

    step("1,000 tasks want the token just after it expired");
    show::wait(LIFETIME).await;
    let before = server.stats().refreshes;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let session = session.clone();
        tasks.spawn(async move { session.token().await });
    }
    while let Some(token) = tasks.join_next().await {
        token??;
    }
    done(&format!("all served by {} refresh request", server.stats().refreshes - before));

    step("A second process finds the login");
    show::wait(LIFETIME).await;
    let status = Command::new(std::env::current_exe()?)
        .args(["--second-run", server.issuer(), &server.resource_url()])
        .arg(&logins)
        .status()?;
    if !status.success() {
        return Err("the second process failed".into());
    }
    call(&session, &server.resource_url()).await?;
    done(&format!(
        "this process took over what that one got: {} refreshes in all, {} tokens used twice",
        server.stats().refreshes,
        server.stats().refresh_reuses_detected
    ));

    step("Device code: sign in on a device without a browser");
    let device = Client::builder(DevServer::PUBLIC_CLIENT)
        .issuer(server.issuer())
        .scope("read")
        .grant(DeviceCode::new())
        .interaction(AtTheOtherDevice)
        .resource_server(server.resource_url())
        .build()?;
    device.session().log_in().await?;
    call(&device.session(), &server.resource_url()).await?;

    step("Client credentials: a service that acts for itself");
    let (client_id, client_secret) = DevServer::SERVICE_CLIENT;
    let service = Client::builder(client_id)
        .issuer(server.issuer())
        .client_secret(client_secret)
        .grant(ClientCredentials)
        .resource_server(server.resource_url())
        .build()?;
    call(&service.session(), &server.resource_url()).await?;

    step("Password: for servers that offer nothing else (RFC 9700 advises against it)");
    let (name, password) = DevServer::ALICE;
    let legacy = Client::builder(DevServer::PASSWORD_CLIENT)
        .issuer(server.issuer())
        .grant(ResourceOwnerPasswordCredentials::new(name, password))
        .resource_server(server.resource_url())
        .build()?;
    call(&legacy.session(), &server.resource_url()).await?;

    step("Log out");
    match session.log_out().await?.revocation_error {
        None => done("revoked at the server, forgotten here"),
        Some(error) => note(&format!("forgotten here; not revoked: {error}")),
    }
    let error = session.token().await.err().ok_or("a token after logging out?")?;
    note(&format!("asking for a token now: {error}"));
    println!("\nThat was all of it. Next: cargo run --example login -- --issuer URL --client-id ID");
    Ok(())
}

/// What a later run of the program does: the same client, and no login.
async fn second_run(issuer: &str, api: &str, logins: &Path) -> Result<(), Box<dyn Error>> {
    let session = desktop_app(issuer, api, logins, false)?.session();
    let answer = session.get(api).send().await?;
    done(&format!("process {}: nobody signed in, the API answered {}", std::process::id(), answer.status()));
    Ok(())
}

fn desktop_app(issuer: &str, api: &str, logins: &Path, browser: bool) -> Result<Client, Box<dyn Error>> {
    let client = Client::builder(DevServer::PUBLIC_CLIENT)
        .issuer(issuer)
        .scope("read")
        .grant(AuthorizationCode::new(LoopbackRedirect::new()))
        .store(FileStore::new(PathBuf::from(logins)))
        .resource_server(api);
    let client = match browser {
        true => client.interaction(TerminalInteraction::new()),
        false => client.interaction(BuiltInBrowser),
    };
    Ok(client.build()?)
}

async fn call(session: &Session, api: &str) -> Result<(), Box<dyn Error>> {
    let answer = session.get(api).send().await?;
    let status = answer.status();
    let seen: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
    let text = |name: &str| seen[name].as_str().unwrap_or("nobody").to_owned();
    done(&format!(
        "GET {api}: {status}; it saw {}, through {}, scope {}",
        text("sub"),
        text("client_id"),
        text("scope")
    ));
    Ok(())
}

fn scope_of(token: &jeton::AccessToken) -> String {
    token.scope().map_or_else(|| "as the server likes".to_owned(), ToString::to_string)
}

fn lives(token: &jeton::AccessToken) -> String {
    match token.expires_at().and_then(|at| at.duration_since(SystemTime::now()).ok()) {
        Some(left) => format!("the access token lives for {:.0} s", left.as_secs_f64()),
        None => "the access token does not say when it expires".to_owned(),
    }
}
