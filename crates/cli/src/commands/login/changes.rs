//! What the options of `jeton login` make of a profile.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::profile::{Authentication, Profile};

/// Options that make a profile, or change it. They are written to the profiles file when the login has worked.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[command(
    next_help_heading = "The profile (saved when the login has worked; an empty value removes a setting)"
)]
pub(super) struct Changes {
    /// The authorization server.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// A provider that jeton knows, such as github or entra (see --list-providers).
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// A value that the provider needs, such as tenant=example.com.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    provider_value: Vec<(String, String)>,
    /// The client identifier that the server gave.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The scope to ask for.
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// What the token is for (RFC 8707); also where it may be sent.
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
    /// An API to which the token may be sent.
    #[arg(long, value_name = "URL")]
    api: Vec<String>,
    /// A git server that takes the token as a password.
    #[arg(long, value_name = "URL")]
    git: Vec<String>,
    /// The label of the login, if programs share it by another one than the profile's name.
    #[arg(long, value_name = "LABEL")]
    account: Option<String>,
    /// How the client authenticates, by its registered name, such as client_secret_basic.
    #[arg(long, value_name = "METHOD", value_enum, hide_possible_values = true)]
    authentication: Option<Authentication>,
    /// The private key of private_key_jwt, in PEM or as a JWK.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Its algorithm, such as ES256.
    #[arg(long, value_name = "ALG")]
    signing_algorithm: Option<String>,
    /// Its identifier at the server.
    #[arg(long, value_name = "ID")]
    signing_key_id: Option<String>,
    /// A client certificate, in PEM (RFC 8705).
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE")]
    certificate_key: Option<PathBuf>,
    /// Certificate authorities beside the system's.
    #[arg(long, value_name = "FILE")]
    certificate_authorities: Option<PathBuf>,
    /// Bind the tokens to a key (RFC 9449).
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    dpop: Option<bool>,
    /// Refuse odd answers instead of understanding them.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    strict: Option<bool>,
    /// The port of the redirect URI, where the server does not take any; 0 for any.
    #[arg(long, value_name = "PORT")]
    pub(super) redirect_port: Option<u16>,
    /// The path of the redirect URI instead of /callback.
    #[arg(long, value_name = "PATH")]
    pub(super) redirect_path: Option<String>,
    /// A parameter of authorization requests, such as audience=api.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    parameter: Vec<(String, String)>,
    /// The token endpoint, as the other endpoints below where a server does not announce it.
    #[arg(long, value_name = "URL")]
    token_endpoint: Option<String>,
    /// Where the browser is sent.
    #[arg(long, value_name = "URL")]
    authorization_endpoint: Option<String>,
    /// Where codes for other devices come from.
    #[arg(long, value_name = "URL")]
    device_authorization_endpoint: Option<String>,
    /// Where tokens are revoked.
    #[arg(long, value_name = "URL")]
    revocation_endpoint: Option<String>,
    /// Where tokens are looked into.
    #[arg(long, value_name = "URL")]
    introspection_endpoint: Option<String>,
}

impl Changes {
    /// Whether they say enough for a profile that is not there yet.
    pub(super) fn name_a_server(&self) -> bool {
        self.issuer.is_some() || self.provider.is_some() || self.token_endpoint.is_some()
    }

    /// Whether they say nothing but where the token may go, which the server is not asked for.
    pub(super) fn are_about_targets_alone(&self) -> bool {
        let others = Self { api: Vec::new(), git: Vec::new(), ..self.clone() };
        *self != others && others == Self::default()
    }

    pub(super) fn apply(&self, profile: &mut Profile) -> Result<(), Failure> {
        if self.provider.is_some() && self.provider != profile.provider {
            profile.provider_values.clear();
        }
        for (option, setting) in [
            (&self.issuer, &mut profile.issuer),
            (&self.provider, &mut profile.provider),
            (&self.client_id, &mut profile.client_id),
            (&self.scope, &mut profile.scope),
            (&self.account, &mut profile.account),
            (&self.signing_algorithm, &mut profile.signing_algorithm),
            (&self.signing_key_id, &mut profile.signing_key_id),
            (&self.redirect_path, &mut profile.redirect_path),
            (&self.token_endpoint, &mut profile.token_endpoint),
            (&self.authorization_endpoint, &mut profile.authorization_endpoint),
            (&self.device_authorization_endpoint, &mut profile.device_authorization_endpoint),
            (&self.revocation_endpoint, &mut profile.revocation_endpoint),
            (&self.introspection_endpoint, &mut profile.introspection_endpoint),
        ] {
            if let Some(value) = option {
                *setting = Some(value.clone()).filter(|value| !value.is_empty());
            }
        }
        for (option, setting) in [
            (&self.signing_key, &mut profile.signing_key),
            (&self.certificate, &mut profile.certificate),
            (&self.certificate_key, &mut profile.certificate_key),
            (&self.certificate_authorities, &mut profile.certificate_authorities),
        ] {
            if let Some(path) = option {
                *setting = if path.as_os_str().is_empty() { None } else { Some(absolute(path)?) };
            }
        }
        for (option, setting) in [
            (&self.resource, &mut profile.resource),
            (&self.api, &mut profile.apis),
            (&self.git, &mut profile.git),
        ] {
            if !option.is_empty() {
                *setting = option.iter().filter(|value| !value.is_empty()).cloned().collect();
            }
        }
        for (option, setting) in
            [(&self.provider_value, &mut profile.provider_values), (&self.parameter, &mut profile.parameters)]
        {
            for (name, value) in option {
                match value.is_empty() {
                    true => setting.remove(name),
                    false => setting.insert(name.clone(), value.clone()),
                };
            }
        }
        for (option, setting) in [(self.dpop, &mut profile.dpop), (self.strict, &mut profile.strict)] {
            *setting = option.unwrap_or(*setting);
        }
        profile.authentication = self.authentication.or(profile.authentication);
        if let Some(port) = self.redirect_port {
            profile.redirect_port = Some(port).filter(|port| *port != 0);
        }
        Ok(())
    }
}

/// The profile is used from other folders too.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io(format!("{} is no path", path.display()), &error))
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
