//! `jeton devserver`: an authorization server and an API on loopback, for trying things out and for scripts' tests.

mod announcement;
mod end;
mod settings;
mod watcher;

use std::io;

use jeton_devserver::DevServer;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use announcement::announcement;
use end::End;
use settings::Settings;
use watcher::Watcher;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It is for tests: it keeps everything in memory, speaks plain HTTP on 127.0.0.1
and lets everybody on this machine in. It runs until Ctrl-C.

Examples:
  jeton devserver
  jeton devserver --port 8080 --client my-app --redirect-uri http://127.0.0.1/cb
  jeton devserver --approve --access-token-life 60s --fault drop-after-commit
  jeton devserver --registration --resource-metadata

Faults: drop-before-commit, drop-after-commit, truncated, hang, gate,
unavailable, unavailable-retry-after-1, invalid-grant, invalid-client,
server-error, html, garbage, huge-body, redirect, form-encoded,
no-access-token, slow-down. Endpoints: token, metadata, openid, authorization,
consent, par, device-authorization, device, backchannel, revocation,
introspection, jwks, userinfo, end-session, registration, api, api-metadata,
other.")]
pub(crate) struct Args {
    /// The port; any free one unless set.
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// End when standard input is closed, for scripts.
    #[arg(long)]
    until_stdin_closes: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let (watcher, listener) = Watcher::start(cx.output);
    let builder =
        args.settings.builder()?.port(args.port).seen_page(true).keep_requests(0).on_exchange(listener);
    let (approver, faults) = (args.settings.approver()?, args.settings.faults()?);
    // Before anybody is told where the server is: who is told may end it at once.
    let end = End::prepare(args.until_stdin_closes)
        .map_err(|error| Failure::io("no signal can be waited for", &error))?;
    let server = builder.start().map_err(|error| not_started(args.port, &error))?;
    if let Some(user) = approver {
        server.approve_as(user);
    }
    for (endpoint, fault) in faults {
        server.fault(endpoint, fault);
    }
    cx.output
        .answer(announcement(&server, &args.settings), || announcement::to_json(&server, &args.settings))?;
    end.wait().await;
    // Ends the listener, too.
    drop(server);
    watcher.finish();
    Ok(Exit::Success)
}

fn not_started(port: u16, error: &io::Error) -> Failure {
    let another = "choose another one, or leave out --port for any free one";
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            Failure::new(Exit::Usage, "port_taken", format!("the port {port} is taken"))
                .because("another program listens there")
                .help(another)
        }
        io::ErrorKind::PermissionDenied => {
            Failure::io(format!("the port {port} may not be used"), error).help(another)
        }
        _ => Failure::io("the server could not be started", error),
    }
}

/// Who is known to every devserver: for what, and how it authenticates.
const CLIENTS: [(&str, &str, Option<&str>); 5] = [
    (DevServer::PUBLIC_CLIENT, "none", None),
    (DevServer::SERVICE_CLIENT.0, "client_secret_basic", Some(DevServer::SERVICE_CLIENT.1)),
    (DevServer::POST_CLIENT.0, "client_secret_post", Some(DevServer::POST_CLIENT.1)),
    (DevServer::CONFIDENTIAL_CLIENT.0, "client_secret_basic", Some(DevServer::CONFIDENTIAL_CLIENT.1)),
    (DevServer::PASSWORD_CLIENT, "none", None),
];
