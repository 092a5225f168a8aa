//! Where a request goes and what it carries besides its body: what stands on the command line, checked.

use jeton::Url;
use jeton::reqwest::Method;
use jeton::reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use super::Args;
use crate::failure::Failure;
use crate::printable::printable_start;
use crate::profiles_file::ProfilesFile;

/// `[NAME] [METHOD] URL`, told apart.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: Option<String>,
    pub(super) method: Method,
    pub(super) url: Url,
}

impl Target {
    pub(super) fn of(args: &Args, profiles: &ProfilesFile) -> Result<Self, Failure> {
        let (name, written, url) = match (&args.name, &args.method, &args.url) {
            (name, Some(method), Some(url)) => (Some(name), Some(method), url),
            (url, None, None) => (None, None, url),
            (first, Some(url), None) | (first, None, Some(url)) => {
                let is_method =
                    profiles.get(first).is_none() && first.bytes().all(|b| b.is_ascii_uppercase());
                if is_method { (None, Some(first), url) } else { (Some(first), None, url) }
            }
        };
        let method = match written {
            Some(text) => method(text)?,
            None if args.data.is_some() || !args.form.is_empty() => Method::POST,
            None => Method::GET,
        };
        Ok(Self { name: name.cloned(), method, url: parsed(url)? })
    }
}

fn method(text: &str) -> Result<Method, Failure> {
    let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes());
    method.ok().filter(|method| *method != Method::CONNECT).ok_or_else(|| {
        Failure::usage(format!("`{}` is no method that can be sent", printable_start(text, 40)))
            .help("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or another registered one")
    })
}

fn parsed(text: &str) -> Result<Url, Failure> {
    // Neither the query nor a password before the host is shown.
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let shown = printable_start(shown.rsplit('@').next().unwrap_or_default(), 200);
    let wrong = || Failure::usage(format!("`{shown}` is no URL that a request can go to"));
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) | Err(_) if !text.contains("://") => Err(wrong()
            .because("it does not begin with https://")
            .help(format!("jeton request NAME METHOD https://{shown}"))),
        Ok(url) => Err(wrong().because(format!("its scheme is `{}`, not https", url.scheme()))),
        Err(error) => Err(wrong().because(error.to_string())),
    }
}

/// `--allow-origin`: an origin and nothing more, so that it is what the eye sees.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match is_origin {
        true => Ok(url.origin().ascii_serialization()),
        false => Err("an origin is a scheme, a host and perhaps a port: https://api.example".to_owned()),
    }
}

/// `-H`.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `Name: value`")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "that is no name of a header")?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| "no header can have such a value")?;
    if name == AUTHORIZATION || name == "dpop" {
        return Err("the token is what goes there; to send another one, use curl".to_owned());
    }
    match [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&name) {
        true => Err(format!("jeton sets `{name}` itself")),
        false => Ok((name, value)),
    }
}

/// `--form`.
pub(super) fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a field is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
