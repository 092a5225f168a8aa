//! `jeton token`: prints a valid access token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_duration;
use jeton::AccessToken;
use jeton::models::TokenType;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One that is in the store and still valid is printed without a request; an
expired one is refreshed first, once for all who ask at the same time. Nobody
is asked anything: where a login is needed, the exit code is 3.

Examples:
  jeton token work
  jeton token work --header | curl -H @- https://api.example/me
  jeton token work --min-valid 5m --json | jq -r .expires_at")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// How long the token is to be valid at least, such as 90s or 5m. Where the server gives none that live so long, it is the one that it gives, with a note.
    #[arg(long, value_name = "TIME", value_parser = when::typed)]
    min_valid: Option<Duration>,
    /// Print a whole header: `Authorization: Bearer ...`.
    #[arg(long)]
    header: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let (session, name) = (&connection.session, &connection.name);
    let token = match args.min_valid {
        None => session.token().await,
        Some(least) => session.token_valid_for(least).await,
    };
    let token = token.map_err(|error| {
        let what = match args.min_valid {
            None => format!("there is no valid token of `{name}`"),
            Some(least) => {
                format!("there is no token of `{name}` that is valid for {}", format_duration(least))
            }
        };
        connection.failure(&error, what)
    })?;
    match (token.token_type(), args.header) {
        (TokenType::Bearer, _) => {}
        (_, true) => return Err(needs_proofs(name)),
        (_, false) => cx.output.warn(format_args!(
            "this token is bound to a key: each request needs a proof beside it, as `jeton request` sends it"
        )),
    }
    if let Some(least) = args.min_valid {
        tell_if_sooner(cx, name, &token, least);
    }
    let authorization = token.authorization().to_str().unwrap_or_default();
    let text = match args.header {
        true => format!("Authorization: {authorization}"),
        false => token.secret().expose().to_owned(),
    };
    let answered = cx.output.answer(text, || to_json(name, &token));
    answered.map(|()| Exit::Success)
}

/// One header is not enough for a token that is bound to a key (RFC 9449).
fn needs_proofs(name: &str) -> Failure {
    Failure::configuration(format!("the header of `{name}` is of no use by itself"))
        .because("its token is bound to a key (DPoP), and each request needs a proof of its own")
        .help(format!("jeton request {name} GET URL, which makes the proofs"))
}

/// A token that lives for a minute can never be valid for five, and is given all the same.
fn tell_if_sooner(cx: &Context, name: &str, token: &AccessToken, least: Duration) {
    let Some(expires_at) = token.expires_at() else { return };
    let left = expires_at.duration_since(SystemTime::now()).unwrap_or_default();
    if left < least {
        cx.output.note(format_args!(
            "the token of `{name}` is valid for {} and not for {}: the server gives none that live longer",
            format_duration(Duration::from_secs(left.as_secs())),
            format_duration(least)
        ));
    }
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
