//! The client's secret at a login: given on standard input or typed, tried, and stored only when it was good.

use std::io::{self, IsTerminal as _};

use jeton::Secret;
use jeton::profiles::AuthenticationMethod;

use crate::client::{issuer_of, provider_of};
use crate::context::Connection;
use crate::credentials::{SECRET_VARIABLE, SecretPlace};
use crate::failure::Failure;
use crate::hidden_input::ask_hidden;
use crate::profile::{Authentication, Profile};
use crate::store::OpenStore;

/// A secret that is not stored yet; `None` if there is none, or the stored one is good enough.
pub(super) async fn given(
    on_stdin: bool,
    name: &str,
    profile: &mut Profile,
    store: &OpenStore,
) -> Result<Option<Secret>, Failure> {
    let at_terminal = io::stdin().is_terminal();
    if on_stdin {
        match profile.authentication {
            None => profile.authentication = Some(usual_authentication(name, profile)?),
            Some(own) if !own.has_secret() => {
                return Err(Failure::usage(format!("the client of `{name}` has no secret"))
                    .because(format!("it authenticates by `{}`", own.name()))
                    .help("leave --client-secret-stdin out, or set --authentication too"));
            }
            Some(_) => {}
        }
        return if at_terminal { typed(name) } else { first_line() }.map(Some);
    }
    let is_needed = profile.authentication.is_some_and(Authentication::has_secret)
        && profile.registration.is_none()
        && std::env::var_os(SECRET_VARIABLE).is_none_or(|secret| secret.is_empty());
    if !is_needed || place(name, profile, store)?.secret().await.map_err(unreadable(name))?.is_some() {
        return Ok(None);
    }
    if !at_terminal {
        return Err(Failure::usage(format!(
            "the client secret of `{name}` is not known, and nobody is here to type it"
        ))
        .help(format!("give it on standard input with --client-secret-stdin, or set {SECRET_VARIABLE}")));
    }
    typed(name).map(Some)
}

/// Keeps a secret that was good.
pub(super) async fn keep(connection: &Connection, secret: Secret) -> Result<(), Failure> {
    let Connection { name, profile, store, .. } = connection;
    let (Some(client_id), Some(authentication)) = (&profile.client_id, profile.authentication) else {
        return Ok(());
    };
    place(name, profile, store)?.keep(client_id, authentication, secret).await
}

fn place(name: &str, profile: &Profile, store: &OpenStore) -> Result<SecretPlace, Failure> {
    SecretPlace::new(name, issuer_of(name, profile)?, store.shared()).map_err(unreadable(name))
}

fn unreadable(name: &str) -> impl Fn(jeton::Error) -> Failure {
    move |error| Failure::of(&error, format!("the client secret of `{name}` could not be read"), name)
}

/// How a client with a secret authenticates where nobody said it: as the provider wants it, else as every server has to take it
/// (RFC 6749 §2.3.1).
fn usual_authentication(name: &str, profile: &Profile) -> Result<Authentication, Failure> {
    let method = provider_of(name, profile)?.map(|provider| provider.authentication());
    match method {
        Some(AuthenticationMethod::ClientSecretPost) => Ok(Authentication::ClientSecretPost),
        Some(AuthenticationMethod::SignedClientSecret) => Err(Failure::usage(
            "this provider takes a secret that the client signs, which this command cannot do",
        )
        .help("use the library, with `SignedClientSecret`")),
        _ => Ok(Authentication::ClientSecretBasic),
    }
}

fn not_empty(secret: Secret) -> Result<Secret, Failure> {
    match secret.is_empty() {
        true => Err(Failure::usage("the client secret is empty")
            .help("give it on standard input, such as: jeton login .. --client-secret-stdin < FILE")),
        false => Ok(secret),
    }
}

fn typed(name: &str) -> Result<Secret, Failure> {
    ask_hidden(&format!("Client secret of {name} (it is not shown): "))
        .map_err(|error| Failure::io("the client secret could not be read", &error))
        .and_then(not_empty)
}

/// What comes behind it is left for whoever reads on.
fn first_line() -> Result<Secret, Failure> {
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::io("the client secret could not be read", &error))?;
    not_empty(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
