//! `jeton headers`: request headers as JSON, for programs that call a headers helper, and for Bazel's credential helpers.

use std::io::Read as _;

use jeton::reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::bearer::bearer_token;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::plain_url::plain_url;
use crate::when::rfc3339;

/// What Bazel may say at most.
const QUESTION_LIMIT: u64 = 64 * 1024;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton headers work
  jeton headers work https://api.example/v1/me
  jeton headers work https://api.example/v1/me --method POST
  echo '{\"uri\": \"https://api.example/x\"}' | jeton headers work --bazel get

With a URL, only the profile's own servers (`apis`, `resource`) are served, and
a token that is bound to a key comes with its proof.")]
pub(crate) struct Args {
    /// The profile.
    name: String,
    /// Where the headers will be sent; with --bazel, what Bazel says: get.
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// The method of the request, for which a proof is made.
    #[arg(long, default_value = "GET", hide_default_value = true, requires = "url")]
    method: Method,
    /// Speak Bazel's protocol: a question on standard input.
    #[arg(long, conflicts_with = "method")]
    bazel: bool,
}

/// Bazel's question.
#[derive(Debug, Deserialize)]
struct Question {
    uri: String,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let answer = match args.bazel {
        true => bazel(args, cx).await?,
        false => headers(args, cx).await?,
    };
    cx.output.answer(&answer, || answer.clone())?;
    Ok(Exit::Success)
}

async fn headers(args: &Args, cx: &Context) -> Result<Value, Failure> {
    let connection = cx.connect(Some(&args.name)).await?;
    let Some(url) = &args.url else {
        let token = bearer_token(&connection, "another program").await?;
        return Ok(json!({ "Authorization": token.authorization().to_str().unwrap_or_default() }));
    };
    let url = parsed(url)?;
    let failed = |error: jeton::Error| match &error {
        jeton::Error::ForeignOrigin { origin } => connection.foreign_origin(origin, &url),
        _ => connection.failure(
            &error,
            format!("there are no headers of `{}` for {}", args.name, url.origin().ascii_serialization()),
        ),
    };
    connection.session.check_url(&url).map_err(failed)?;
    let token = connection.session.token().await.map_err(failed)?;
    let mut headers = Map::new();
    headers.insert("Authorization".to_owned(), token.authorization().to_str().unwrap_or_default().into());
    let proof = connection.session.dpop_proof(&args.method, &url, &token).await.map_err(failed)?;
    if let Some(proof) = proof {
        headers.insert("DPoP".to_owned(), proof.to_str().unwrap_or_default().into());
    }
    Ok(Value::Object(headers))
}

/// Answers Bazel. Of a server that is none of the profile's there is nothing to say: Bazel asks for each that it goes to.
async fn bazel(args: &Args, cx: &Context) -> Result<Value, Failure> {
    if args.url.as_deref() != Some("get") {
        return Err(Failure::usage("Bazel asks its helpers to `get`")
            .help(format!("jeton headers {} --bazel get", args.name)));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(QUESTION_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io("Bazel's question could not be read", &error))?;
    let question: Question = serde_json::from_str(&text).map_err(|error| {
        Failure::usage("Bazel's question cannot be read")
            .because(error.to_string())
            .help("it looks like {\"uri\": \"https://...\"}")
    })?;
    let connection: Connection = cx.connect(Some(&args.name)).await?;
    let url = plain_url(&question.uri);
    if url.is_none_or(|url| connection.session.check_url(&url).is_err()) {
        return Ok(json!({ "headers": {} }));
    }
    let token = bearer_token(&connection, "Bazel").await?;
    let mut answer = Map::new();
    let authorization = token.authorization().to_str().unwrap_or_default();
    answer.insert("headers".to_owned(), json!({ "Authorization": [authorization] }));
    if let Some(until) = token.fresh_until().and_then(rfc3339) {
        answer.insert("expires".to_owned(), until.into());
    }
    Ok(Value::Object(answer))
}

fn parsed(text: &str) -> Result<Url, Failure> {
    plain_url(text).ok_or_else(|| {
        Failure::usage("the second argument is no absolute URL that every program reads alike")
            .because("whoever sends the token may see another host in it")
            .help("such as https://api.example/v1/me, in ASCII and percent-encoded")
    })
}
