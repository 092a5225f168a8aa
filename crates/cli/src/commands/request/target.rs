//! Where a request goes and what it carries besides its body: what stands on the command line, checked.

use jeton::Url;
use jeton::models::is_loopback_host;
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
        let is_name = |text: &str| profiles.get(text).is_some();
        let is_method = |text: &str| !is_name(text) && text.bytes().all(|b| b.is_ascii_uppercase());
        let (name, written, url) = match (&args.name, &args.method, &args.url) {
            (name, Some(method), Some(url)) => (Some(name), Some(method), Some(url)),
            (first, None, None) if is_name(first) => (Some(first), None, None),
            (first, None, None) if is_method(first) => (None, Some(first), None),
            (url, None, None) => (None, None, Some(url)),
            (first, Some(second), None) | (first, None, Some(second)) => {
                if is_method(first) {
                    (None, Some(first), Some(second))
                } else if is_method(second) {
                    (Some(first), Some(second), None)
                } else {
                    (Some(first), None, Some(second))
                }
            }
        };
        let option = args.request.as_deref().or(args.head.then_some("HEAD"));
        if let (Some(option), Some(written)) = (option, written) {
            let (option, written) = (printable_start(option, 40), printable_start(written, 40));
            return Err(Failure::usage(format!("there are two methods: `{written}` and `{option}`"))
                .help("leave one of them out"));
        }
        let written = option.or(written.map(String::as_str));
        let method = match written {
            Some(text) => method(text)?,
            None if args.data.is_some() || !args.form.is_empty() => Method::POST,
            None => Method::GET,
        };
        let place = Place { profiles, name: name.map(String::as_str), method: &method };
        let url = match url {
            Some(path) if path.starts_with('/') => place.at_api(path)?,
            Some(url) => parsed(url, &place)?,
            None => {
                let api = place.only_api().map_or("https://api.example".to_owned(), |api| origin_of(&api));
                return Err(Failure::usage("a URL is missing").help(place.call(&format!("{api}/..."))));
            }
        };
        Ok(Self { name: name.cloned(), method, url })
    }
}

/// What the command line says beside the URL.
struct Place<'a> {
    profiles: &'a ProfilesFile,
    name: Option<&'a str>,
    method: &'a Method,
}

impl Place<'_> {
    /// The API of the profile, if it names just one.
    fn only_api(&self) -> Option<Url> {
        let (_, profile) = self.profiles.choose(self.name).ok()?;
        let mut urls = profile.apis.iter().chain(&profile.resource).filter_map(|api| Url::parse(api).ok());
        let first = urls.next()?;
        urls.all(|other| other.origin() == first.origin()).then_some(first)
    }

    /// A path at that API.
    fn at_api(&self, path: &str) -> Result<Url, Failure> {
        // Who names a profile that is not there hears that.
        self.profiles.choose(self.name)?;
        let shown = shown(path);
        let wrong = || Failure::usage(format!("`{shown}` is no URL that a request can go to"));
        let Some(api) = self.only_api() else {
            return Err(wrong()
                .because("the profile does not name one API whose path that could be")
                .help(self.call(&format!("https://api.example{shown}"))));
        };
        let joined = api.join(path).ok().filter(|url| url.origin() == api.origin());
        joined.ok_or_else(|| wrong().help(self.call(&format!("{}/...", origin_of(&api)))))
    }

    /// The command with that URL.
    fn call(&self, url: &str) -> String {
        let name = self.name.map(|name| format!("{} ", printable_start(name, 100))).unwrap_or_default();
        format!("jeton request {name}{} {url}", self.method)
    }
}

fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Neither the query nor a password before the host is shown.
fn shown(text: &str) -> String {
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    printable_start(shown.rsplit('@').next().unwrap_or_default(), 200)
}

fn method(text: &str) -> Result<Method, Failure> {
    let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes());
    method.ok().filter(|method| *method != Method::CONNECT).ok_or_else(|| {
        Failure::usage(format!("`{}` is no method that can be sent", printable_start(text, 40)))
            .help("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or another registered one")
    })
}

fn parsed(text: &str, place: &Place<'_>) -> Result<Url, Failure> {
    let shown = shown(text);
    let wrong = || Failure::usage(format!("`{shown}` is no URL that a request can go to"));
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) | Err(_) if !text.contains("://") => {
            // On this machine there is seldom anything but HTTP.
            let local = Url::parse(&format!("http://{shown}")).is_ok_and(|url| is_loopback_host(&url));
            let (scheme, why) = match local {
                true => ("http", "it begins with neither http:// nor https://"),
                false => ("https", "it does not begin with https://"),
            };
            Err(wrong().because(why).help(place.call(&format!("{scheme}://{shown}"))))
        }
        Ok(url) => Err(wrong()
            .because(format!("its scheme is `{}`, not https", url.scheme()))
            .help(place.call("https://..."))),
        Err(error) => Err(wrong().because(error.to_string()).help(place.call("https://api.example/..."))),
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
