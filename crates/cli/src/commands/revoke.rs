//! `jeton revoke`: the access token is no longer taken; the login stays.

use jeton::grants::GrantError;
use serde_json::json;

use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For a token that was shown to somebody, or left in a log. The login stays, and
the next command gets another token; `jeton logout` is what ends a login. Some
servers end the login together with the token (RFC 7009 section 2.1), and an
API that does not ask the server takes the token until it expires.

Examples:
  jeton revoke work
  jeton revoke work && jeton token work")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let name = &connection.name;
    let kept = connection.record().await?;
    let had_token = kept.as_ref().is_some_and(|record| record.is_live() && !record.tokens.is_empty());
    let renewable = kept.as_ref().is_some_and(|record| record.refresh_token.is_some())
        || connection.profile.needs_no_person();
    connection.session.revoke().await.map_err(|error| failure(&connection, &error))?;
    let text = match (had_token, renewable) {
        (false, _) => format!("`{name}` has no access token that could be revoked"),
        (true, true) => {
            format!("the access token of `{name}` is revoked; the login stays, and the next use gets another")
        }
        (true, false) => {
            format!("the access token of `{name}` is revoked; to get another one: jeton login {name}")
        }
    };
    cx.output
        .confirm(text, || json!({ "profile": name, "revoked": had_token, "login_required": !renewable }))?;
    Ok(Exit::Success)
}

fn failure(connection: &Connection, error: &jeton::Error) -> Failure {
    let name = &connection.name;
    let failure = connection.failure(error, format!("the access token of `{name}` is not revoked"));
    match error {
        jeton::Error::Grant(grant) if matches!(**grant, GrantError::Metadata(_)) => failure
            .help(format!("the token lives until it expires; `jeton logout {name}` forgets the login here")),
        _ => failure,
    }
}
