//! `jeton login --url`: an API of which nothing but the URL is known says which server it trusts; the command registers itself there
//! and somebody signs in. What was found out is kept as a profile, with which all commands work as with any other.

use std::io::{self, IsTerminal as _};

use jeton::models::ClientMetadata;
use jeton::{Registrar, ResourceClient, ResourceLogin, Url};

use super::person::Person;
use super::summary::Summary;
use super::way::{Wish, redirect_of};
use super::{Args, failed};
use crate::client::http_of;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profile::{Authentication, LoginMethod, Profile};
use crate::profiles_file::{ProfilesFile, check_name};
use crate::store::OpenStore;

/// Under which the library keeps what it registers.
const REGISTRATION: &str = jeton::storage::DEFAULT_ACCOUNT;

pub(super) async fn run(
    url: &str,
    args: &Args,
    cx: &Context,
    mut profiles: ProfilesFile,
) -> Result<Exit, Failure> {
    let parsed = Url::parse(url).map_err(|error| {
        Failure::usage("that is no URL of an API").because(error.to_string()).help("write https://host/path")
    })?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&parsed),
    };
    check_name(&name).map_err(|why| Failure::usage(why).help("jeton login --url URL NAME"))?;
    let before = profiles.get(&name);
    if before.is_some_and(|before| before.url.as_deref() != Some(url)) {
        return Err(Failure::usage(format!(
            "there is a profile `{name}` already, which is not for that URL"
        ))
        .help(format!("take another name: jeton login --url {url} NAME")));
    }
    let (mut profile, is_new) = (before.cloned().unwrap_or_default(), before.is_none());
    args.changes.apply(&mut profile)?;
    let way = way(args, &profile)?;
    profiles.check_writable()?;
    let store = cx.store(&profiles).await?;

    let client = client(args, &name, &profile, &store, way)?;
    let login = client.log_in(url).await;
    let asked = io::stdin().is_terminal();
    let login = login.map_err(|error| failed::log_in_for(&error, url, &name, asked))?;
    profile.url = Some(url.to_owned());
    keep_what_was_found(&mut profile, &name, &login, &store).await?;

    let saved = before != Some(&profile);
    if saved {
        profiles.save(&name, &profile)?;
    }
    let token = login.session.token().await.map_err(|error| failed::log_in_for(&error, url, &name, asked))?;
    let connection = Connection::new(name, profile, store, |builder| builder)?;
    let written = saved.then(|| profiles.path());
    Summary::of(&connection, &token, Some(way), written, is_new).await.tell(cx)?;
    Ok(Exit::Success)
}

/// In a browser, here or elsewhere: a resource says nothing of codes for other devices.
fn way(args: &Args, profile: &Profile) -> Result<LoginMethod, Failure> {
    let only = || {
        Failure::usage("an API of which only the URL is known is signed in to with a browser")
            .help("take --login-method browser or paste, or leave it out")
    };
    if args.needs_browser() {
        return Err(Failure::usage("--prompt and the like are not for the first login with --url")
            .help("sign in without them first; later `jeton login NAME` takes them"));
    }
    match Wish::of(args.way(), profile, false)? {
        Wish::This(way @ (LoginMethod::Browser | LoginMethod::Paste)) => Ok(way),
        Wish::This(_) => Err(only()),
        Wish::Best { browser: true, .. } => Ok(LoginMethod::Browser),
        Wish::Best { .. } => Ok(LoginMethod::Paste),
    }
}

fn client(
    args: &Args,
    name: &str,
    profile: &Profile,
    store: &OpenStore,
    way: LoginMethod,
) -> Result<ResourceClient, Failure> {
    let port = profile.redirect_port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = profile.redirect_path.as_deref().unwrap_or("/callback");
    let mut metadata = ClientMetadata::public([
        format!("http://127.0.0.1{port}{path}"),
        format!("http://[::1]{port}{path}"),
    ]);
    metadata.client_name = Some("jeton".to_owned());
    let (dpop, strict) = (profile.dpop, profile.strict);
    let person = Person::new(way == LoginMethod::Browser);
    let mut builder = ResourceClient::builder()
        .account(name)
        .shared_store(store.shared())
        .redirect(person.told_by(redirect_of(profile)))
        .interaction(person)
        .client_metadata(metadata)
        .http(http_of(name, profile)?)
        .configure(move |builder| builder.dpop(dpop).strict(strict));
    for issuer in &args.trust {
        builder = builder.trusted_server(issuer);
    }
    builder.build().map_err(|error| Failure::of(&error, "the login cannot begin", name))
}

/// With this the profile works like any other, without another look at the resource.
async fn keep_what_was_found(
    profile: &mut Profile,
    name: &str,
    login: &ResourceLogin,
    store: &OpenStore,
) -> Result<(), Failure> {
    let key = login.session.key();
    let unreadable =
        |error: jeton::Error| Failure::of(&error, "the client's registration could not be read", name);
    let registrar = Registrar::builder().shared_store(store.shared()).build().map_err(unreadable)?;
    let issuer = key.issuer().parse().map_err(|error: jeton::models::IssuerError| {
        Failure::configuration("the server's name cannot be used").because(error.to_string())
    })?;
    let registered = registrar.stored(&issuer).await.map_err(unreadable)?;
    profile.authentication = registered
        .as_ref()
        .filter(|client| client.client_secret.is_some())
        .and_then(|client| Authentication::named(client.authentication_method()));
    profile.registration = registered.map(|_| REGISTRATION.to_owned());
    profile.issuer = Some(key.issuer().to_owned());
    profile.client_id = Some(key.client_id().to_owned());
    profile.account = Some(key.account().to_owned());
    profile.resource = vec![login.resource.clone()];
    profile.scope = login.scope.as_ref().map(ToString::to_string);
    Ok(())
}

/// The host, made fit to be a name.
fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let name: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    name.trim_matches(['-', '.']).chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_becomes_a_name() {
        for (url, name) in [
            ("https://api.example.com/v1", "api.example.com"),
            ("http://127.0.0.1:8080/api", "127.0.0.1"),
            ("http://[::1]:8080/", "1"),
            ("https://bücher.example", "xn--bcher-kva.example"),
        ] {
            let named = name_of(&url.parse().unwrap());
            assert_eq!(named, name);
            check_name(&named).unwrap();
        }
    }
}
