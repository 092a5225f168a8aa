//! Signs in at a server of yours, keeps the login, and finds it again in the next run.
//!
//! `cargo run --example login -- --issuer URL --client-id ID [--scope "a b"] [--device] [--api URL]`; `--help` tells the rest.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::process::ExitCode;

use jeton::{
    AuthorizationCode, Client, DeviceCode, FileStore, LoopbackRedirect, TerminalInteraction, blocking,
};
use lexopt::ValueExt;

const HELP: &str = "\
Signs in at an authorization server and stays signed in.

  --issuer URL       the server's issuer identifier (required)
  --client-id ID     the client identifier (required)
  --scope SCOPE      what to ask for, separated by spaces
  --device           sign in on another device instead of this one's browser
  --port PORT        a fixed port for the redirect, if the server insists on one
  --redirect-path P  the path of the redirect URI; /callback unless set
  --account NAME     which of several accounts; default unless set
  --api URL          an API to call with the token
  --log-out          revoke and forget the login

A client secret is taken from the environment variable JETON_CLIENT_SECRET.";

#[derive(Default)]
struct Options {
    issuer: Option<String>,
    client_id: Option<String>,
    scope: String,
    device: bool,
    port: Option<u16>,
    redirect_path: Option<String>,
    account: Option<String>,
    api: Option<String>,
    log_out: bool,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("issuer") => options.issuer = Some(parser.value()?.string()?),
            lexopt::Arg::Long("client-id") => options.client_id = Some(parser.value()?.string()?),
            lexopt::Arg::Long("scope") => options.scope = parser.value()?.string()?,
            lexopt::Arg::Long("device") => options.device = true,
            lexopt::Arg::Long("port") => options.port = Some(parser.value()?.parse()?),
            lexopt::Arg::Long("redirect-path") => options.redirect_path = Some(parser.value()?.string()?),
            lexopt::Arg::Long("account") => options.account = Some(parser.value()?.string()?),
            lexopt::Arg::Long("api") => options.api = Some(parser.value()?.string()?),
            lexopt::Arg::Long("log-out") => options.log_out = true,
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

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
    let Some(options) = options()? else {
        println!("{HELP}");
        return Ok(());
    };
    let issuer = options.issuer.as_deref().ok_or("--issuer is missing; --help tells what it is")?;
    let client_id = options.client_id.as_deref().ok_or("--client-id is missing; --help tells what it is")?;

    let mut builder = Client::builder(client_id)
        .issuer(issuer)
        .scope(&options.scope)
        .interaction(TerminalInteraction::new())
        .store(FileStore::at_default_place()?);
    if let Ok(client_secret) = std::env::var("JETON_CLIENT_SECRET") {
        builder = builder.client_secret(client_secret);
    }
    if let Some(api) = &options.api {
        builder = builder.resource_server(api);
    }
    builder = if options.device {
        builder.grant(DeviceCode::new())
    } else {
        let mut redirect = LoopbackRedirect::new();
        if let Some(port) = options.port {
            redirect = redirect.port(port);
        }
        if let Some(path) = &options.redirect_path {
            redirect = redirect.path(path);
        }
        builder.grant(AuthorizationCode::new(redirect))
    };
    let client = blocking::Client::from(builder.build()?);
    let session = client.account(options.account.as_deref().unwrap_or("default"));

    if options.log_out {
        match session.log_out()?.revocation_error {
            None => println!("Logged out."),
            Some(error) => {
                println!("The login is forgotten here, but was not revoked at the server: {error}")
            }
        }
        return Ok(());
    }
    let token = match session.token() {
        Err(error) if error.is_login_required() => {
            println!("{error}");
            session.log_in()?
        }
        other => {
            let token = other?;
            println!("Signed in already.");
            token
        }
    };
    println!("The login is kept in a {}.", client.as_async().store());
    if let Some(scope) = token.scope() {
        println!("Scope: {scope}.");
    }
    match token.expires_at().and_then(|at| at.duration_since(std::time::SystemTime::now()).ok()) {
        Some(left) => {
            println!("The access token lives for {} s; it is refreshed when need be.", left.as_secs())
        }
        None => println!("The server does not say when the access token expires."),
    }
    for warning in token.warnings() {
        println!("The server's answer was odd: {warning}.");
    }
    if let Some(api) = &options.api {
        let answer = session.get(api).send()?;
        println!("GET {api}: {}", answer.status());
        println!("{}", answer.text()?);
    }
    Ok(())
}
