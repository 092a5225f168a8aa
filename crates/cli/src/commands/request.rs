//! `jeton request`: an HTTP request with the token, as curl would send it; the token goes to the profile's own APIs only.

mod answer;
mod answer_file;
mod target;
mod upload;

use std::path::PathBuf;
use std::time::Duration;

use jeton::reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use jeton::reqwest::{Method, Response, StatusCode};
use jeton::{AuthenticatedRequest, Error};

use crate::commands::request::answer_file::AnswerFile;
use crate::commands::request::target::Target;
use crate::commands::request::upload::Upload;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "jeton request [OPTIONS] [NAME] [METHOD] URL",
    after_help = "\
Examples:
  jeton request work https://api.example/me
  jeton request work POST https://api.example/notes -d '{\"text\": \"hello\"}'
  jeton request work https://api.example/upload -d @photo.jpg \\
    -H 'Content-Type: image/jpeg'
  jeton request work https://api.example/big --output big.bin
  jeton request work -X DELETE https://api.example/notes/7

The body goes to standard output as it comes, also that of a 4xx or 5xx, which
ends with exit code 7. A token that the API refuses is replaced, and the
request sent once more.

Redirects are followed; the token goes no further than the origin. To another
origin goes only a GET or HEAD without body and headers of your own, or whatever
you send with --location; any other redirect is the answer, with exit code 7.

A body that is JSON is sent as application/json, a form (--form) as a form, and
any other from a file or standard input as application/octet-stream, unless -H
says what it is. Text on the command line that is no JSON needs a -H or --form."
)]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: String,
    /// The method: GET, or POST where there is a body, unless given.
    method: Option<String>,
    /// Where to, at one of the origins that the profile names (`apis`, `resource`);
    /// a path such as /me, if it names one only.
    url: Option<String>,
    /// The same, as curl has it.
    #[arg(short = 'X', long = "request", value_name = "METHOD", conflicts_with = "head")]
    request: Option<String>,
    /// Ask for the headers only (HEAD), and print them.
    #[arg(short = 'I', long, conflicts_with_all = ["data", "form"])]
    head: bool,
    /// The body: the text itself, `@FILE`, or `@-` for standard input.
    #[arg(short, long, value_name = "DATA", conflicts_with = "form")]
    data: Option<String>,
    /// A field of a form, which is encoded. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = target::field)]
    form: Vec<(String, String)>,
    /// A header. May be given several times.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = target::header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Write the body to that file. That of a 4xx or 5xx is printed.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print status and headers before the body.
    #[arg(short, long)]
    include: bool,
    /// Let a redirect take body and headers to another origin, too.
    #[arg(short = 'L', long)]
    location: bool,
    /// The longest that the API may take, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = when::typed)]
    timeout: Option<Duration>,
    /// Let this origin have the token this once, such as https://api.example.
    #[arg(long, value_name = "ORIGIN", value_parser = target::origin)]
    allow_origin: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let profiles = cx.profiles()?;
    let target = Target::of(args, &profiles)?;
    let upload = Upload::of(args)?;
    // Before anything is sent: what cannot be kept need not be asked for.
    let file = args.output.as_deref().map(AnswerFile::open).transpose()?;
    let connection = cx
        .connect_with(target.name.as_deref(), |builder| match &args.allow_origin {
            Some(origin) => builder.resource_server(origin),
            None => builder,
        })
        .await?;
    let response = exchange(&connection, args, &target, &upload).await?;
    if response.url().origin() != target.url.origin() {
        let origin = response.url().origin().ascii_serialization();
        cx.output.warn(format_args!("the API sent the request on to {origin}; the token did not go there"));
    }
    let with_head = args.include || target.method == Method::HEAD;
    answer::write(response, with_head, file, &connection, cx).await
}

/// Sends the request. The library sends it once more where the token was refused, unless its body is a stream: then it is read
/// anew here, if that can be done.
async fn exchange(
    connection: &Connection,
    args: &Args,
    target: &Target,
    upload: &Upload,
) -> Result<Response, Failure> {
    let failure = |error: &Error| not_sent(connection, target, error);
    let response =
        request(connection, args, target, upload)?.send().await.map_err(|error| failure(&error))?;
    if !upload.is_stream() || !wants_another(connection, &response) {
        return Ok(response);
    }
    // Also where the body cannot be read anew: the next run has a token that works.
    connection.session.token().await.map_err(|error| failure(&error))?;
    match upload.can_be_read_anew() {
        true => request(connection, args, target, upload)?.send().await.map_err(|error| failure(&error)),
        false => Ok(response),
    }
}

/// Whether the API refused the token, or wants a nonce in the proof beside it.
fn wants_another(connection: &Connection, response: &Response) -> bool {
    let wants_nonce = || {
        let challenge = answer::challenge(response);
        challenge.is_some_and(|challenge| challenge.get("error") == Some("use_dpop_nonce"))
    };
    response.status() == StatusCode::UNAUTHORIZED && (connection.session.cached().is_none() || wants_nonce())
}

fn request(
    connection: &Connection,
    args: &Args,
    target: &Target,
    upload: &Upload,
) -> Result<AuthenticatedRequest, Failure> {
    let mut request = connection.session.request(target.method.clone(), target.url.as_str());
    for (name, value) in &args.header {
        request = request.header(name.clone(), value.clone());
    }
    if let Some(media_type) = upload.media_type().filter(|_| !has_content_type(args)) {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if let Some(length) = upload.stream_length() {
        request = request.header(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(timeout) = args.timeout {
        request = request.timeout(timeout);
    }
    if !args.location && !goes_anywhere(args, target, upload) {
        request = request.stay_at_origin();
    }
    Ok(match upload.body()? {
        Some(body) => request.body(body),
        None => request,
    })
}

/// Whether there is nothing in the request that is meant for the API only, once the token is taken off.
fn goes_anywhere(args: &Args, target: &Target, upload: &Upload) -> bool {
    let only_asks = target.method == Method::GET || target.method == Method::HEAD;
    only_asks && args.header.is_empty() && matches!(upload, Upload::Nothing)
}

fn has_content_type(args: &Args) -> bool {
    args.header.iter().any(|(name, _)| *name == CONTENT_TYPE)
}

fn not_sent(connection: &Connection, target: &Target, error: &Error) -> Failure {
    match error {
        Error::ForeignOrigin { origin } => {
            let failure = connection.foreign_origin(origin, &target.url);
            let help = failure.help.map(|help| format!("{help}, or --allow-origin {origin} for this once"));
            Failure { help, ..failure }
        }
        _ => {
            let host = target.url.host_str().unwrap_or_default();
            connection.failure(error, format!("the request to {host} was not answered"))
        }
    }
}
