//! `jeton token`: prints a valid access token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton::AccessToken;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton token work
  curl -H \"$(jeton token work --header)\" https://api.example/me
  jeton token work --min-valid 5m --json | jq -r .expires_at")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// How long the token is to be valid at least, such as 90s or 5m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    min_valid: Option<Duration>,
    /// Print a whole header: `Authorization: Bearer ...`.
    #[arg(long)]
    header: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let session = &connection.session;
    let token = match args.min_valid {
        None => session.token().await,
        Some(least) => session.token_valid_for(least).await,
    };
    let token = token.map_err(|error| {
        connection.failure(&error, format!("there is no valid token of `{}`", connection.name))
    })?;
    let authorization = token.authorization().to_str().unwrap_or_default();
    let text = match args.header {
        true => format!("Authorization: {authorization}"),
        false => token.secret().expose().to_owned(),
    };
    cx.output.answer(text, || to_json(&connection.name, &token))?;
    Ok(Exit::Success)
}

fn to_json(name: &str, token: &AccessToken) -> Value {
    json!({
        "profile": name,
        "access_token": token.secret().expose(),
        "token_type": token.token_type().to_string(),
        "authorization": token.authorization().to_str().unwrap_or_default(),
        "expires_at": token.expires_at().map(unix_seconds),
        "scope": token.scope().map(ToString::to_string),
    })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
