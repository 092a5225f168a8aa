//! `jeton claims`: who is logged in, by the claims of the ID token.

use std::time::SystemTime;

use jeton::jose::{JwtError, UnverifiedJwt};
use serde_json::{Map, Value, json};

use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::members;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The ID token was checked when it came: signature, issuer, audience, times. It
says who logged in, not that the login still works.

Examples:
  jeton claims work
  jeton claims work --json | jq -r .claims.email
  jeton claims work --userinfo")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// Ask the server's userinfo endpoint instead (OpenID Connect Core 5.3).
    #[arg(long, conflicts_with = "access_token")]
    userinfo: bool,
    /// Show what is written in the access token. Nobody has checked that: it is for looking, not for decisions.
    #[arg(long)]
    access_token: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let (source, verified, claims) = match (args.userinfo, args.access_token) {
        (true, _) => ("userinfo", true, of_user_info(&connection, cx).await?),
        (_, true) => ("access_token", false, of_access_token(&connection).await?),
        _ => ("id_token", true, of_id_token(&connection).await?),
    };
    if !verified {
        cx.output.note(
            "These claims are not verified: they are what is written in the token, for its API to check.",
        );
    }
    let text = members::lines(&claims, cx.output.columns(), SystemTime::now());
    cx.output.answer(
        text,
        || json!({ "profile": connection.name, "source": source, "verified": verified, "claims": claims }),
    )?;
    Ok(Exit::Success)
}

async fn of_id_token(connection: &Connection) -> Result<Map<String, Value>, Failure> {
    let name = &connection.name;
    let id_token = connection
        .session
        .id_token()
        .await
        .map_err(|error| connection.failure(&error, format!("the login of `{name}` cannot be read")))?;
    if let Some(id_token) = id_token {
        return Ok(id_token.claims().clone().into_map());
    }
    if connection.profile.needs_no_person() {
        return Err(Failure::usage(format!("no person is logged in to `{name}`"))
            .because("it is a login of the client itself (client credentials)")
            .help(format!("jeton claims {name} --access-token, or jeton introspect {name}")));
    }
    Err(match connection.record().await? {
        Some(record) if record.is_live() => {
            Failure::new(Exit::LoginRequired, "no_id_token", format!("the login of `{name}` has no ID token"))
                .because("servers give one where the scope `openid` was asked for")
                .help(format!("log in with that scope: jeton login {name} --scope \"openid ...\""))
        }
        _ => Failure::new(Exit::LoginRequired, "login_required", format!("nobody is logged in to `{name}`"))
            .help(format!("jeton login {name}")),
    })
}

async fn of_user_info(connection: &Connection, cx: &Context) -> Result<Map<String, Value>, Failure> {
    let person = connection.session.user_info().await.map_err(|error| {
        connection
            .failure(&error, format!("the server does not say who is logged in to `{}`", connection.name))
    })?;
    for warning in &person.warnings {
        cx.output.warn(format_args!("the server's answer is odd: {warning}"));
    }
    Ok(serde_json::from_str(&person.to_json()).unwrap_or_default())
}

async fn of_access_token(connection: &Connection) -> Result<Map<String, Value>, Failure> {
    let name = &connection.name;
    let token = connection
        .session
        .token()
        .await
        .map_err(|error| connection.failure(&error, format!("there is no valid token of `{name}`")))?;
    let claims = UnverifiedJwt::parse(token.secret().expose()).and_then(|jwt| jwt.unchecked_claims());
    claims.map(jeton::jose::Claims::into_map).map_err(|error| {
        let failure = Failure::new(
            Exit::Failure,
            "opaque_token",
            format!("the access token of `{name}` cannot be looked into"),
        );
        match error {
            JwtError::Encrypted => failure.because("it is encrypted for its API"),
            JwtError::Malformed(_) => failure
                .because("it is no JWT, which it need not be: only the server knows what it stands for")
                .help(format!("jeton introspect {name}")),
            other => failure.because(other.to_string()),
        }
    })
}
