//! `jeton kubectl`: an exec credential plugin of kubectl and of whatever else uses client-go (KEP 541).

use std::time::SystemTime;

use jeton::IdToken;
use jeton::models::DEFAULT_EARLY_EXPIRY;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bearer::bearer_token;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when::rfc3339;

const GROUP: &str = "client.authentication.k8s.io";

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton kubectl work --kubeconfig
  kubectl config set-credentials work --exec-command=jeton \\
    --exec-api-version=client.authentication.k8s.io/v1 \\
    --exec-arg=kubectl --exec-arg=work --exec-interactive-mode=IfAvailable
  jeton kubectl work --id-token")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// Print the ID token, which is what clusters with OpenID Connect want.
    #[arg(long)]
    id_token: bool,
    /// Print what belongs into the kubeconfig file instead.
    #[arg(long)]
    kubeconfig: bool,
}

/// What kubectl says in the environment (`KUBERNETES_EXEC_INFO`).
#[derive(Debug, Deserialize)]
struct ExecInfo {
    #[serde(rename = "apiVersion")]
    api_version: String,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if args.kubeconfig {
        return kubeconfig(args, cx);
    }
    let api_version = api_version(std::env::var("KUBERNETES_EXEC_INFO").ok().as_deref())?;
    let connection = cx.connect(args.name.as_deref()).await?;
    let (token, until) = match args.id_token {
        true => {
            let token = id_token(&connection).await?;
            (token.text().clone(), fresh_until(&token))
        }
        false => {
            let token = bearer_token(&connection, "kubectl").await?;
            (token.secret().clone(), token.fresh_until())
        }
    };
    let mut status = json!({ "token": token.expose() });
    if let (Some(until), Value::Object(status)) = (until.and_then(rfc3339), &mut status) {
        status.insert("expirationTimestamp".to_owned(), until.into());
    }
    let answer = json!({ "apiVersion": api_version, "kind": "ExecCredential", "status": status });
    cx.output.answer(&answer, || answer.clone())?;
    Ok(Exit::Success)
}

/// The version in which to answer: the one that was asked in.
fn api_version(exec_info: Option<&str>) -> Result<String, Failure> {
    let Some(text) = exec_info.filter(|text| !text.is_empty()) else { return Ok(format!("{GROUP}/v1")) };
    let info: ExecInfo = serde_json::from_str(text).map_err(|error| {
        Failure::usage("what kubectl says in KUBERNETES_EXEC_INFO cannot be read").because(error.to_string())
    })?;
    match info.api_version.strip_prefix(GROUP) {
        Some("/v1" | "/v1beta1") => Ok(info.api_version),
        _ => Err(Failure::usage("kubectl asks in a version that jeton does not know")
            .because(format!("{:?} is neither {GROUP}/v1 nor {GROUP}/v1beta1", info.api_version))
            .help("set `apiVersion` of the user's `exec` in the kubeconfig file: `jeton kubectl NAME --kubeconfig` prints it")),
    }
}

/// A valid ID token. One that is about to expire is renewed by a refresh, with which most servers send another one.
async fn id_token(connection: &Connection) -> Result<IdToken, Failure> {
    let (name, session) = (&connection.name, &connection.session);
    let failed =
        |error: jeton::Error| connection.failure(&error, format!("there is no ID token of `{name}`"));
    let log_in = format!("jeton login {name}");
    match session.id_token().await.map_err(failed)? {
        Some(token) if is_fresh(&token) => return Ok(token),
        Some(_) => session.refresh().await.map_err(failed)?,
        // Whether anybody has logged in at all.
        None => session.token().await.map_err(failed)?,
    };
    match session.id_token().await.map_err(failed)? {
        Some(token) if is_fresh(&token) => Ok(token),
        Some(_) => Err(Failure::new(
            Exit::LoginRequired,
            "login_required",
            format!("the ID token of `{name}` has expired"),
        )
        .because("the server sent no new one with the refreshed access token")
        .help(log_in)),
        None => Err(Failure::configuration(format!("the login of `{name}` came without an ID token"))
            .because("servers send one for the scope `openid`")
            .help(format!("{log_in} --scope \"openid ...\""))),
    }
}

/// Until when to use it: its expiry less the margin that access tokens have, too.
fn fresh_until(token: &IdToken) -> Option<SystemTime> {
    let expires_at = token.expires_at()?;
    let lifetime = token.issued_at().and_then(|issued_at| expires_at.duration_since(issued_at).ok());
    let margin = lifetime.map_or(DEFAULT_EARLY_EXPIRY, |lifetime| DEFAULT_EARLY_EXPIRY.min(lifetime / 5));
    expires_at.checked_sub(margin)
}

fn is_fresh(token: &IdToken) -> bool {
    fresh_until(token).is_some_and(|until| SystemTime::now() < until)
}

/// The user of the kubeconfig file. Its strings are written as JSON has them, which is YAML too.
fn kubeconfig(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let profiles = cx.profiles()?;
    let (name, _) = profiles.choose(args.name.as_deref())?;
    let mut arguments: Vec<String> = Vec::new();
    if let Some(config) = cx.config_option() {
        let config = std::path::absolute(config)
            .map_err(|error| Failure::io(format!("{} is nowhere", config.display()), &error))?;
        arguments.extend(["--config".to_owned(), config.to_string_lossy().into_owned()]);
    }
    arguments.extend(["kubectl".to_owned(), name.to_owned()]);
    if args.id_token {
        arguments.push("--id-token".to_owned());
    }
    let quoted = |text: &str| Value::from(text).to_string();
    let list: String = arguments.iter().map(|argument| format!("      - {}\n", quoted(argument))).collect();
    let name_text = quoted(name);
    let text = format!(
        "\
users:
- name: {name_text}
  user:
    exec:
      apiVersion: {GROUP}/v1
      command: jeton
      args:
{list}      interactiveMode: IfAvailable
      provideClusterInfo: false
      installHint: jeton is the program that keeps this login"
    );
    cx.output.answer(text, || {
        json!({ "users": [{ "name": name, "user": { "exec": {
            "apiVersion": format!("{GROUP}/v1"),
            "command": "jeton",
            "args": arguments,
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": false,
            "installHint": "jeton is the program that keeps this login",
        }}}]})
    })?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_version_of_the_question() {
        let of = |version: &str| {
            let text = format!(
                r#"{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":false}}}}"#
            );
            api_version(Some(&text)).map_err(|failure| failure.exit)
        };
        assert_eq!(of("client.authentication.k8s.io/v1").as_deref(), Ok("client.authentication.k8s.io/v1"));
        assert_eq!(
            of("client.authentication.k8s.io/v1beta1").as_deref(),
            Ok("client.authentication.k8s.io/v1beta1")
        );
        assert_eq!(of("client.authentication.k8s.io/v1alpha1"), Err(Exit::Usage));
        assert_eq!(of("v1"), Err(Exit::Usage));
        assert_eq!(api_version(None).unwrap(), "client.authentication.k8s.io/v1");
        assert!(api_version(Some("{")).is_err() && api_version(Some("[]")).is_err());
    }
}
