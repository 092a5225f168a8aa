//! `jeton refresh`: a new access token, although the present one may still be good.

use std::time::SystemTime;

use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token itself is not printed: that is what `jeton token` is for.

Examples:
  jeton refresh work
  jeton refresh work --json | jq .expires_at")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let name = &connection.name;
    let token =
        connection.session.refresh().await.map_err(|error| {
            connection.failure(&error, format!("`{name}` could not get a new access token"))
        })?;
    let until = match token.expires_at() {
        Some(at) => format!("it expires {} ({})", when::relative(at, SystemTime::now()), when::utc(at)),
        None => "the server did not say when it expires".to_owned(),
    };
    cx.output.confirm(format!("`{name}` has a new access token; {until}"), || {
        json!({
            "profile": name,
            "expires_at": token.expires_at().map(when::unix_seconds),
            "scope": token.scope().map(ToString::to_string),
            "token_type": token.token_type().to_string(),
        })
    })?;
    Ok(Exit::Success)
}
