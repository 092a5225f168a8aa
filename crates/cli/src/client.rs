//! The client that a profile describes.

use std::path::Path;
use std::sync::Arc;

use jeton::grants::{ExtraParameters, PrivateKeyJwt};
use jeton::models::Issuer;
use jeton::profiles::ProfileError;
use jeton::storage::TokenStore;
use jeton::{
    Client, ClientBuilder, ClientCredentials, HttpOptions, JwsAlgorithm, Secret, SelfSignedTlsClientAuth,
    SigningKey, TlsClientAuth,
};

use crate::credentials::StoredSecret;
use crate::failure::{Failure, in_words_of_the_command};
use crate::printable::printable;
use crate::profile::{Authentication, LoginMethod, Profile};

/// The client of the profile of that name, with everything but a way to reach a person. Nothing is sent.
pub(crate) fn client_of(
    name: &str,
    profile: &Profile,
    store: &Arc<dyn TokenStore>,
) -> Result<ClientBuilder, Failure> {
    client_with_secret(name, profile, store, None)
}

/// The same with a client secret that is tried before it is stored.
pub(crate) fn client_with_secret(
    name: &str,
    profile: &Profile,
    store: &Arc<dyn TokenStore>,
    secret: Option<Secret>,
) -> Result<ClientBuilder, Failure> {
    let client_id = profile.client_id.as_deref().ok_or_else(|| {
        Failure::configuration(format!("the profile `{name}` has no `client_id`"))
            .help(format!("jeton login {name} --client-id ID"))
    })?;
    let mut builder = Client::builder(client_id).shared_store(store.clone());
    for (url, set) in [
        (&profile.issuer, ClientBuilder::issuer as fn(ClientBuilder, String) -> ClientBuilder),
        (&profile.token_endpoint, ClientBuilder::token_endpoint),
        (&profile.authorization_endpoint, ClientBuilder::authorization_endpoint),
        (&profile.device_authorization_endpoint, ClientBuilder::device_authorization_endpoint),
        (&profile.revocation_endpoint, ClientBuilder::revocation_endpoint),
        (&profile.introspection_endpoint, ClientBuilder::introspection_endpoint),
    ] {
        if let Some(url) = url {
            builder = set(builder, url.clone());
        }
    }
    if let Some(provider) = provider_of(name, profile)? {
        builder = builder.provider(provider);
    }
    if let Some(scope) = &profile.scope {
        builder = builder.scope(scope);
    }
    for resource in &profile.resource {
        builder = builder.resource(resource);
    }
    for api in &profile.apis {
        builder = builder.resource_server(api);
    }
    builder = authenticated(builder, name, profile, store, secret)?;
    builder = builder.extra_parameters(extra_parameters(name, profile)?);
    builder = builder.http(http_of(name, profile)?).dpop(profile.dpop).strict(profile.strict);
    if profile.login == Some(LoginMethod::ClientCredentials) {
        builder = builder.grant(ClientCredentials);
    }
    Ok(builder)
}

/// How the network is reached for that profile.
pub(crate) fn http_of(name: &str, profile: &Profile) -> Result<HttpOptions, Failure> {
    let mut http = HttpOptions::new().user_agent(concat!("jeton-cli/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &profile.certificate_authorities {
        http = http.root_certificates(read(name, "certificate_authorities", path)?);
    }
    match (&profile.certificate, &profile.certificate_key) {
        (Some(chain), Some(key)) => {
            let key = text(name, "certificate_key", key)?;
            http = http.client_certificate(read(name, "certificate", chain)?, key);
        }
        (None, None) => {}
        _ => {
            return Err(Failure::configuration(format!(
                "the profile `{name}` has one of `certificate` and `certificate_key`"
            ))
            .help("set both: the certificate chain, and its private key"));
        }
    }
    Ok(http)
}

/// The provider's profile with its values filled in.
pub(crate) fn provider_of(name: &str, profile: &Profile) -> Result<Option<jeton::Profile>, Failure> {
    let Some(provider) = &profile.provider else { return Ok(None) };
    let wrong = |error: ProfileError| provider_unusable(name, &error);
    let mut provider = jeton::Profile::named(provider).map_err(wrong)?;
    for (placeholder, value) in &profile.provider_values {
        provider = provider.with(placeholder, value).map_err(wrong)?;
    }
    Ok(Some(provider))
}

/// What the server is known by in the store: its issuer, or its token endpoint where it has no name.
pub(crate) fn issuer_of(name: &str, profile: &Profile) -> Result<Issuer, Failure> {
    let unknown = || {
        Failure::configuration(format!("the profile `{name}` does not say which server to ask"))
            .help("set `issuer`, `provider` or `token_endpoint`")
    };
    let text = match (&profile.issuer, provider_of(name, profile)?, &profile.token_endpoint) {
        (Some(issuer), _, _) => issuer.clone(),
        (None, Some(provider), _) => {
            let provider = provider.provider().map_err(|error| provider_unusable(name, &error))?;
            match (provider.server.issuer.is_empty(), provider.server.token_endpoint) {
                (false, _) => provider.server.issuer,
                (true, Some(endpoint)) => profile.token_endpoint.clone().unwrap_or(endpoint),
                (true, None) => return Err(unknown()),
            }
        }
        (None, None, Some(endpoint)) => endpoint.split('?').next().unwrap_or_default().to_owned(),
        (None, None, None) => return Err(unknown()),
    };
    text.parse().map_err(|error: jeton::models::IssuerError| {
        Failure::configuration(format!("the issuer of the profile `{name}` cannot be used"))
            .because(error.to_string())
            .help(match text.split_once("://") {
                Some(_) => {
                    "take an https URL, such as https://as.example; plain http is for this machine only"
                        .to_owned()
                }
                None => format!(
                    "write it with its scheme: jeton login {name} --issuer https://{}",
                    printable(&text)
                ),
            })
    })
}

/// Why a built-in provider is of no use. The library calls them profiles.
fn provider_unusable(name: &str, error: &ProfileError) -> Failure {
    match error {
        ProfileError::UnknownProfile { name: provider, nearest } => {
            let failure = Failure::configuration(format!("there is no provider `{}`", printable(provider)));
            match nearest {
                Some(nearest) => failure.because(format!("did you mean `{nearest}`?")).help(format!(
                    "jeton login {name} --provider {nearest} ..; all of them: jeton login --list-providers"
                )),
                None => failure.help("jeton login --list-providers; else name the server with --issuer"),
            }
        }
        ProfileError::PlaceholderUnset { profile, placeholder, about, example } => Failure::configuration(
            format!("the provider `{profile}` needs a value for `{placeholder}` ({about})"),
        )
        .help(format!("jeton login {name} --provider-value {placeholder}={example} ..")),
        ProfileError::PlaceholderValue { profile, placeholder, what, example } => Failure::configuration(
            format!("the value for `{placeholder}` of the provider `{profile}` {what}"),
        )
        .help(format!("jeton login {name} --provider-value {placeholder}={example} ..")),
        error => Failure::configuration(format!("the provider of the profile `{name}` cannot be used"))
            .because(in_words_of_the_command(&error.to_string())),
    }
}

fn authenticated(
    builder: ClientBuilder,
    name: &str,
    profile: &Profile,
    store: &Arc<dyn TokenStore>,
    secret: Option<Secret>,
) -> Result<ClientBuilder, Failure> {
    let Some(authentication) = profile.authentication else { return Ok(builder) };
    Ok(match authentication {
        Authentication::None => builder,
        Authentication::ClientSecretBasic
        | Authentication::ClientSecretPost
        | Authentication::ClientSecretJwt => {
            let provider = provider_of(name, profile)?;
            let issuer = issuer_of(name, profile)?;
            let stored = StoredSecret::new(name, issuer, authentication, provider, store.clone());
            builder.authentication(stored.of(profile).given(secret))
        }
        Authentication::PrivateKeyJwt => {
            builder.authentication(PrivateKeyJwt::new(signing_key(name, profile)?))
        }
        Authentication::TlsClientAuth => builder.authentication(TlsClientAuth),
        Authentication::SelfSignedTlsClientAuth => builder.authentication(SelfSignedTlsClientAuth),
    })
}

fn signing_key(name: &str, profile: &Profile) -> Result<SigningKey, Failure> {
    let Some(path) = &profile.signing_key else {
        return Err(Failure::configuration(format!(
            "the profile `{name}` signs (`private_key_jwt`) and has no key"
        ))
        .help("set `signing_key` to the file of the private key, in PEM or as a JWK"));
    };
    let unusable = |why: String| {
        Failure::configuration(format!("the `signing_key` of the profile `{name}` cannot be used"))
            .because(why)
    };
    let content = text(name, "signing_key", path)?;
    let algorithm = profile.signing_algorithm.as_deref().map(str::parse::<JwsAlgorithm>).transpose();
    let algorithm = algorithm.map_err(|error| unusable(error.to_string()))?;
    let key = match (content.expose().trim_start().starts_with('{'), algorithm) {
        (true, Some(algorithm)) => SigningKey::from_jwk_for(&content, algorithm),
        (true, None) => SigningKey::from_jwk(&content),
        (false, Some(algorithm)) => SigningKey::from_pem(content.expose(), algorithm),
        (false, None) => {
            return Err(unusable("a key in PEM does not say for which algorithm it is".to_owned())
                .help("set `signing_algorithm`, such as \"ES256\" or \"PS256\""));
        }
    };
    let key = key.map_err(|error| unusable(error.to_string()))?;
    Ok(match &profile.signing_key_id {
        Some(id) => key.with_key_id(id),
        None => key,
    })
}

fn extra_parameters(name: &str, profile: &Profile) -> Result<ExtraParameters, Failure> {
    let mut extra = ExtraParameters::default();
    for (parameter, value) in &profile.parameters {
        let targets = [&mut extra.authorization, &mut extra.device_authorization, &mut extra.token];
        let applies = match profile.login {
            Some(LoginMethod::ClientCredentials) => &[2][..],
            _ => &[0, 1],
        };
        for (index, target) in targets.into_iter().enumerate() {
            if applies.contains(&index) {
                target.append(parameter, value.as_str()).map_err(|error| {
                    Failure::configuration(format!(
                        "the profile `{name}` has a parameter that cannot be sent"
                    ))
                    .because(error.to_string())
                })?;
            }
        }
    }
    Ok(extra)
}

fn read(name: &str, key: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::configuration(format!(
            "the file that `{key}` of the profile `{name}` names cannot be read: {}",
            path.display()
        ))
        .because(error.to_string())
    })
}

fn text(name: &str, key: &str, path: &Path) -> Result<Secret, Failure> {
    String::from_utf8(read(name, key, path)?).map(Secret::new).map_err(|_| {
        Failure::configuration(format!("the file {} (`{key}` of `{name}`) is not text", path.display()))
    })
}
