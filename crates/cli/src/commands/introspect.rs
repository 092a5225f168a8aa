//! `jeton introspect`: what the server says of the access token (RFC 7662).

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::members;
use crate::profile::{Authentication, Profile};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
That a token is not active is an answer too. Most servers answer confidential
clients only (RFC 7662 section 2.1).

Examples:
  jeton introspect work
  jeton introspect work --json | jq .introspection.active")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let connection = cx.connect(args.name.as_deref()).await?;
    let name = &connection.name;
    let introspection = connection.session.introspect().await.map_err(|error| {
        let what = format!("the server does not say what it knows of the token of `{name}`");
        let failure = connection.failure(&error, what);
        match failure.exit == Exit::Refused && is_public(&connection.profile) {
            // Nothing is wrong with the configuration.
            true => failure.help(format!(
                "this server answers clients with a secret only (RFC 7662 section 2.1); if the token is a JWT, `jeton claims {name} --access-token` shows what stands in it"
            )),
            false => failure,
        }
    })?;
    for warning in &introspection.warnings {
        cx.output.warn(format_args!("the server's answer is odd: {warning}"));
    }
    let members: Map<String, Value> = serde_json::from_str(&introspection.to_json()).unwrap_or_default();
    let text = members::lines(&members, cx.output.columns(), SystemTime::now());
    cx.output.answer(text, || json!({ "profile": name, "introspection": members }))?;
    Ok(Exit::Success)
}

/// Whether the server cannot know this client from any other one.
fn is_public(profile: &Profile) -> bool {
    matches!(profile.authentication, None | Some(Authentication::None))
}
