//! `jeton_client`: made of a configuration; and where its logins are kept.

use std::ffi::{CString, c_char};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jeton::models::AuthorizationServerMetadata;
use jeton::storage::TokenStore;
use jeton::{
    AuthorizationCode, AuthorizationDetail, Client, ClientAuthentication, ClientCredentials,
    ClientSecretBasic, ClientSecretPost, DeviceCode, HttpOptions, Limits, MemoryStore, PushedRequests,
    ResourceOwnerPasswordCredentials,
};

use crate::accounts::jeton_accounts;
use crate::browser::{Browser, Shared};
use crate::cancel::{jeton_cancel, watch};
use crate::config::*;
use crate::error::{Failure, jeton_error};
use crate::session::jeton_session;
use crate::strings::{handle, optional_text, owned};
use crate::wait::wait;
use crate::words::in_c_words;
use crate::{giving, guarded};

/// One client at one authorization server, with any number of logins.
///
/// Ownership: jeton_client_new makes one, jeton_client_free frees it. Sessions that were made from it go on working.
///
/// Threads: any thread, several at once.
pub struct jeton_client {
    pub(crate) client: Client,
    description: CString,
    id: CString,
    persistent: bool,
    encrypted: bool,
}

impl jeton_client {
    fn new(client: Client) -> Self {
        let store = client.store();
        Self {
            description: owned(in_c_words(&store.to_string())),
            id: owned(client.session().key().client_id()),
            persistent: store.persistent,
            encrypted: store.encrypted,
            client,
        }
    }
}

impl fmt::Debug for jeton_client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("jeton_client").field(&self.client).finish()
    }
}

fn build(config: &jeton_config) -> Result<Client, Failure> {
    let client_id = config.string(JETON_OPTION_CLIENT_ID).filter(|id| !id.is_empty()).ok_or_else(|| {
        jeton_error::configuration(
            "JETON_OPTION_CLIENT_ID is not set; set it to the client identifier that the server gave this program",
        )
    })?;
    let mut builder = Client::builder(client_id);
    if let Some(issuer) = config.string(JETON_OPTION_ISSUER) {
        builder = builder.issuer(issuer);
    }
    if let Some(json) = config.string(JETON_OPTION_METADATA) {
        builder = builder.metadata(metadata(json)?);
    }
    builder = provider(config, builder)?;
    builder = match authentication(config)? {
        Some(Credentials::Secret(secret)) => builder.client_secret(secret),
        Some(Credentials::Method(method)) => builder.authentication(method),
        None => builder,
    };
    // The store last: opening one may ask the keychain.
    Ok(configured(config, builder)?.shared_store(store(config)?).build()?)
}

/// What does not depend on how the client is known.
fn configured(
    config: &jeton_config,
    mut builder: jeton::ClientBuilder,
) -> Result<jeton::ClientBuilder, Failure> {
    if let Some(url) = config.string(JETON_OPTION_TOKEN_ENDPOINT) {
        builder = builder.token_endpoint(url);
    }
    if let Some(url) = config.string(JETON_OPTION_AUTHORIZATION_ENDPOINT) {
        builder = builder.authorization_endpoint(url);
    }
    if let Some(url) = config.string(JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT) {
        builder = builder.device_authorization_endpoint(url);
    }
    if let Some(url) = config.string(JETON_OPTION_REVOCATION_ENDPOINT) {
        builder = builder.revocation_endpoint(url);
    }
    if let Some(url) = config.string(JETON_OPTION_INTROSPECTION_ENDPOINT) {
        builder = builder.introspection_endpoint(url);
    }
    if let Some(scope) = config.string(JETON_OPTION_SCOPE) {
        builder = builder.scope(scope);
    }
    for resource in config.strings(JETON_OPTION_RESOURCE) {
        builder = builder.resource(resource);
    }
    for origin in config.strings(JETON_OPTION_RESOURCE_SERVER) {
        builder = builder.resource_server(origin);
    }
    builder = builder.extra_parameters(config.extra.clone());

    builder = requests(config, builder)?;
    builder = signatures(config, builder)?;
    builder = grant(config, builder)?;
    builder = match &config.interaction {
        Some(interaction) => builder.interaction(Shared(interaction.clone())),
        None => builder.interaction(Browser),
    };
    for listener in &config.listeners {
        let listener = listener.clone();
        builder = builder.on_event(move |event| listener(event));
    }

    builder = builder.http(http_options(config)?).limits(limits(config));
    builder = builder.strict(config.switch(JETON_OPTION_STRICT));
    builder = builder.refresh_ahead(config.switch(JETON_OPTION_REFRESH_AHEAD));
    if let Some(early) = milliseconds(config, JETON_OPTION_EARLY_EXPIRY_MS) {
        builder = builder.early_expiry(early);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_LEASE_TIMEOUT_MS) {
        builder = builder.lease_timeout(timeout);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_CLOSE_TIMEOUT_MS) {
        builder = builder.close_timeout(timeout);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_LOGIN_TIMEOUT_MS) {
        builder = builder.login_timeout(timeout);
    }
    Ok(builder)
}

fn limits(config: &jeton_config) -> Limits {
    let mut limits = Limits::default();
    if let Some(timeout) = milliseconds(config, JETON_OPTION_REQUEST_TIMEOUT_MS) {
        limits.timeout = timeout;
    }
    if let Some(bytes) = config.number(JETON_OPTION_MAX_BODY) {
        limits.max_body = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    limits
}

/// How a login is asked for, beyond grant and scope.
fn requests(
    config: &jeton_config,
    mut builder: jeton::ClientBuilder,
) -> Result<jeton::ClientBuilder, Failure> {
    if let Some(json) = config.string(JETON_OPTION_AUTHORIZATION_DETAILS) {
        let details =
            serde_json::from_str(json).ok().and_then(|value| AuthorizationDetail::from_value(&value).ok());
        builder = builder.authorization_details(details.ok_or_else(|| {
            jeton_error::configuration(
                "JETON_OPTION_AUTHORIZATION_DETAILS is no JSON array of objects, each with a \"type\" (RFC 9396 §2)",
            )
        })?);
    }
    if let Some(pushed) = config.number(JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS) {
        builder = builder.pushed_authorization_requests(match pushed {
            0 => PushedRequests::Never,
            _ => PushedRequests::Always,
        });
    }
    if config.switch(JETON_OPTION_FAPI2_SECURITY_PROFILE) {
        builder = builder.fapi2_security_profile();
    }
    Ok(builder)
}

#[cfg(feature = "jose")]
fn signatures(
    config: &jeton_config,
    mut builder: jeton::ClientBuilder,
) -> Result<jeton::ClientBuilder, Failure> {
    if config.switch(JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS) {
        let signer = crate::signer::client_signer(config)?.ok_or_else(|| {
            jeton_error::configuration(
                "JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS needs a key: set JETON_OPTION_PRIVATE_KEY, or call jeton_config_set_signer",
            )
        })?;
        builder = builder.request_object(jeton::RequestObject::new(signer));
    }
    if config.switch(JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES) {
        builder = builder.signed_authorization_responses(true);
    }
    Ok(match (crate::signer::dpop_signer(config), config.switch(JETON_OPTION_DPOP)) {
        (Some(signer), _) => builder.dpop_signer(signer),
        (None, dpop) => builder.dpop(dpop),
    })
}

#[cfg(not(feature = "jose"))]
fn signatures(config: &jeton_config, builder: jeton::ClientBuilder) -> Result<jeton::ClientBuilder, Failure> {
    for (option, name) in [
        (JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS, "JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS"),
        (JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES, "JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES"),
        (JETON_OPTION_DPOP, "JETON_OPTION_DPOP"),
    ] {
        if config.switch(option) {
            return Err(jeton_error::unsupported(name, "jose"));
        }
    }
    Ok(builder)
}

#[cfg(feature = "profiles")]
fn provider(config: &jeton_config, builder: jeton::ClientBuilder) -> Result<jeton::ClientBuilder, Failure> {
    let Some(name) = config.string(JETON_OPTION_PROVIDER) else { return Ok(builder) };
    let wrong = |error: jeton::profiles::ProfileError| {
        jeton_error::configuration(format!("JETON_OPTION_PROVIDER: {error}"))
    };
    let mut profile = jeton::Profile::named(name).map_err(wrong)?;
    for value in config.strings(JETON_OPTION_PROVIDER_VALUE) {
        let (name, value) = value.split_once('=').ok_or_else(|| {
            jeton_error::configuration(
                "JETON_OPTION_PROVIDER_VALUE takes \"name=value\"; there is no \"=\" in it",
            )
        })?;
        profile = profile.with(name, value).map_err(wrong)?;
    }
    Ok(builder.provider(profile))
}

#[cfg(not(feature = "profiles"))]
fn provider(config: &jeton_config, builder: jeton::ClientBuilder) -> Result<jeton::ClientBuilder, Failure> {
    match config.string(JETON_OPTION_PROVIDER) {
        Some(_) => Err(jeton_error::unsupported("JETON_OPTION_PROVIDER", "profiles")),
        None => Ok(builder),
    }
}

#[cfg(feature = "registration")]
fn client_metadata(config: &jeton_config) -> Result<Option<jeton::models::ClientMetadata>, Failure> {
    let Some(json) = config.string(JETON_OPTION_CLIENT_METADATA) else { return Ok(None) };
    serde_json::from_str(json).map(Some).map_err(|error| {
        jeton_error::configuration(format!(
            "JETON_OPTION_CLIENT_METADATA is not client metadata ({error}); it must be a JSON object (RFC 7591 §2)"
        ))
    })
}

/// A client that registers itself, or has done so before.
#[cfg(feature = "registration")]
fn registered(config: &jeton_config, cancel: crate::cancel::Watch) -> Result<Client, Failure> {
    let needed =
        |what: &str| jeton_error::configuration(format!("{what} is not set; jeton_client_register needs it"));
    for (is_set, name) in [
        (config.string(JETON_OPTION_CLIENT_ID).is_some(), "JETON_OPTION_CLIENT_ID"),
        (config.secret(JETON_OPTION_CLIENT_SECRET).is_some(), "JETON_OPTION_CLIENT_SECRET"),
        (config.string(JETON_OPTION_METADATA).is_some(), "JETON_OPTION_METADATA"),
        (config.string(JETON_OPTION_PROVIDER).is_some(), "JETON_OPTION_PROVIDER"),
    ] {
        if is_set {
            return Err(jeton_error::configuration(format!(
                "{name} is set, but jeton_client_register has the server say; remove it, or use jeton_client_new"
            )));
        }
    }
    let issuer = config.string(JETON_OPTION_ISSUER).ok_or_else(|| needed("JETON_OPTION_ISSUER"))?.to_owned();
    let metadata = client_metadata(config)?.ok_or_else(|| needed("JETON_OPTION_CLIENT_METADATA"))?;
    let own = match authentication(config)? {
        Some(Credentials::Method(method)) => Some(method),
        _ => None,
    };
    let mut registrar = jeton::Registrar::builder()
        .http(http_options(config)?)
        .limits(limits(config))
        .shared_store(store(config)?);
    if let Some(token) = config.secret_text(JETON_OPTION_INITIAL_ACCESS_TOKEN) {
        registrar = registrar.initial_access_token(token);
    }
    if let Some(label) = config.string(JETON_OPTION_REGISTRATION_LABEL) {
        registrar = registrar.label(label);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_LEASE_TIMEOUT_MS) {
        registrar = registrar.lease_timeout(timeout);
    }
    let registrar = registrar.build()?;
    let asking = registrar.clone();
    let builder = wait(&registrar, cancel, async move { asking.client(issuer, &metadata).await })?;
    let builder = match own {
        Some(method) => builder.authentication(method),
        None => builder,
    };
    Ok(configured(config, builder)?.build()?)
}

#[cfg(not(feature = "registration"))]
fn registered(_: &jeton_config, _: crate::cancel::Watch) -> Result<Client, Failure> {
    Err(jeton_error::unsupported("jeton_client_register", "registration"))
}

/// A client of APIs of which only the URL is known.
#[cfg(all(feature = "registration", feature = "loopback"))]
pub(crate) fn resource_client(config: &jeton_config) -> Result<jeton::ResourceClient, Failure> {
    let mut builder = jeton::ResourceClient::builder()
        .http(http_options(config)?)
        .limits(limits(config))
        .redirect(redirect(config));
    builder = match &config.interaction {
        Some(interaction) => builder.interaction(Shared(interaction.clone())),
        None => builder.interaction(Browser),
    };
    if let Some(account) = config.string(JETON_OPTION_ACCOUNT) {
        builder = builder.account(account);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_LOGIN_TIMEOUT_MS) {
        builder = builder.login_timeout(timeout);
    }
    for issuer in config.strings(JETON_OPTION_TRUSTED_SERVER) {
        builder = builder.trusted_server(issuer);
    }
    if let Some(metadata) = client_metadata(config)? {
        builder = builder.client_metadata(metadata);
    }
    if let Some(url) = config.string(JETON_OPTION_CLIENT_ID_DOCUMENT) {
        builder = builder.client_id_document(url);
    }
    match (config.string(JETON_OPTION_ISSUER), config.string(JETON_OPTION_CLIENT_ID)) {
        (Some(issuer), Some(client_id)) => {
            let method: Arc<dyn ClientAuthentication> = match authentication(config)? {
                Some(Credentials::Secret(secret)) => Arc::new(ClientSecretBasic::new(secret)),
                Some(Credentials::Method(method)) => method,
                None => Arc::new(jeton::PublicClient),
            };
            builder = builder.preregistered(issuer, client_id, method);
        }
        (None, None) => {}
        _ => {
            return Err(jeton_error::configuration(
                "one of JETON_OPTION_ISSUER and JETON_OPTION_CLIENT_ID is set; a client that is registered already needs both",
            ));
        }
    }
    let (dpop, strict) = (config.switch(JETON_OPTION_DPOP), config.switch(JETON_OPTION_STRICT));
    #[cfg(not(feature = "jose"))]
    if dpop {
        return Err(jeton_error::unsupported("JETON_OPTION_DPOP", "jose"));
    }
    let listeners = config.listeners.clone();
    builder = builder.configure(move |mut client| {
        for listener in &listeners {
            let listener = listener.clone();
            client = client.on_event(move |event| listener(event));
        }
        #[cfg(feature = "jose")]
        {
            client = client.dpop(dpop);
        }
        client.strict(strict)
    });
    #[cfg(not(feature = "jose"))]
    let _ = dpop;
    Ok(builder.shared_store(store(config)?).build()?)
}

#[cfg(all(feature = "registration", not(feature = "loopback")))]
pub(crate) fn resource_client(_: &jeton_config) -> Result<jeton::ResourceClient, Failure> {
    Err(jeton_error::unsupported("jeton_resource_client_new", "loopback"))
}

fn milliseconds(config: &jeton_config, option: i32) -> Option<Duration> {
    config.number(option).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

fn metadata(json: &str) -> Result<AuthorizationServerMetadata, Failure> {
    serde_json::from_str(json).map_err(|error| {
        jeton_error::configuration(format!(
            "JETON_OPTION_METADATA is not a metadata document ({error}); it must be a JSON object with an \"issuer\" \
             (RFC 8414 §2)"
        ))
    })
}

/// What the client proves itself with.
enum Credentials {
    /// By Basic, or as a provider's profile says.
    Secret(jeton::Secret),
    Method(Arc<dyn ClientAuthentication>),
}

fn authentication(config: &jeton_config) -> Result<Option<Credentials>, Failure> {
    let secret = config.secret_text(JETON_OPTION_CLIENT_SECRET);
    let by = config.small_number(JETON_OPTION_CLIENT_AUTHENTICATION);
    let method = |method: Arc<dyn ClientAuthentication>| Ok(Some(Credentials::Method(method)));
    let needs = |what: &str| {
        jeton_error::configuration(format!(
            "{what} is not set, which JETON_OPTION_CLIENT_AUTHENTICATION needs; set it, or another method"
        ))
    };
    match (by, secret) {
        (None | Some(JETON_AUTHENTICATION_NONE), None) => Ok(None),
        (None, Some(secret)) => Ok(Some(Credentials::Secret(jeton::Secret::from(secret)))),
        (Some(JETON_AUTHENTICATION_BASIC), Some(secret)) => method(Arc::new(ClientSecretBasic::new(secret))),
        (Some(JETON_AUTHENTICATION_POST), Some(secret)) => method(Arc::new(ClientSecretPost::new(secret))),
        (Some(JETON_AUTHENTICATION_CLIENT_SECRET_JWT), Some(secret)) => {
            method(signed_with_secret(config, secret)?)
        }
        (Some(JETON_AUTHENTICATION_PRIVATE_KEY_JWT), None) => method(signed_with_key(config)?),
        (Some(JETON_AUTHENTICATION_TLS | JETON_AUTHENTICATION_SELF_SIGNED_TLS), None)
            if config.string(JETON_OPTION_CLIENT_CERTIFICATE).is_none() =>
        {
            Err(needs("JETON_OPTION_CLIENT_CERTIFICATE"))
        }
        (Some(JETON_AUTHENTICATION_TLS), None) => method(Arc::new(jeton::TlsClientAuth)),
        (Some(JETON_AUTHENTICATION_SELF_SIGNED_TLS), None) => {
            method(Arc::new(jeton::SelfSignedTlsClientAuth))
        }
        (Some(_), None) => Err(jeton_error::configuration(
            "JETON_OPTION_CLIENT_AUTHENTICATION says that the client authenticates with a secret, but \
             JETON_OPTION_CLIENT_SECRET is not set; set it, or JETON_AUTHENTICATION_NONE for a public client",
        )),
        (Some(JETON_AUTHENTICATION_NONE), Some(_)) => Err(jeton_error::configuration(
            "JETON_OPTION_CLIENT_SECRET is set, but JETON_OPTION_CLIENT_AUTHENTICATION says that this is a public client; \
             remove one of the two",
        )),
        (Some(_), Some(_)) => Err(jeton_error::configuration(
            "JETON_OPTION_CLIENT_SECRET is set, but JETON_OPTION_CLIENT_AUTHENTICATION says that the client authenticates with a \
             key; remove one of the two",
        )),
    }
}

#[cfg(feature = "jose")]
fn signed_with_key(config: &jeton_config) -> Result<Arc<dyn ClientAuthentication>, Failure> {
    let signer = crate::signer::client_signer(config)?.ok_or_else(|| {
        jeton_error::configuration(
            "JETON_AUTHENTICATION_PRIVATE_KEY_JWT needs a key: set JETON_OPTION_PRIVATE_KEY, or call jeton_config_set_signer",
        )
    })?;
    Ok(Arc::new(jeton::PrivateKeyJwt::new(signer)))
}

#[cfg(feature = "jose")]
fn signed_with_secret(config: &jeton_config, secret: &str) -> Result<Arc<dyn ClientAuthentication>, Failure> {
    let algorithm = crate::signer::private_key_algorithm(config)?.unwrap_or(jeton::JwsAlgorithm::Hs256);
    let method = jeton::ClientSecretJwt::with_algorithm(secret, algorithm);
    Ok(Arc::new(method.map_err(|error| {
        jeton_error::configuration(format!("JETON_AUTHENTICATION_CLIENT_SECRET_JWT: {error}"))
    })?))
}

#[cfg(not(feature = "jose"))]
fn signed_with_key(_: &jeton_config) -> Result<Arc<dyn ClientAuthentication>, Failure> {
    Err(jeton_error::unsupported("JETON_AUTHENTICATION_PRIVATE_KEY_JWT", "jose"))
}

#[cfg(not(feature = "jose"))]
fn signed_with_secret(_: &jeton_config, _: &str) -> Result<Arc<dyn ClientAuthentication>, Failure> {
    Err(jeton_error::unsupported("JETON_AUTHENTICATION_CLIENT_SECRET_JWT", "jose"))
}

fn grant(config: &jeton_config, builder: jeton::ClientBuilder) -> Result<jeton::ClientBuilder, Failure> {
    Ok(match config.small_number(JETON_OPTION_GRANT) {
        Some(JETON_GRANT_AUTHORIZATION_CODE) => builder.grant(authorization_code(config)?),
        Some(JETON_GRANT_DEVICE_CODE) => {
            builder.grant(DeviceCode::new().pkce(config.switch(JETON_OPTION_DEVICE_PKCE)))
        }
        Some(JETON_GRANT_CLIENT_CREDENTIALS) => builder.grant(ClientCredentials),
        Some(JETON_GRANT_PASSWORD) => {
            let username = config.string(JETON_OPTION_USERNAME);
            let password = config.secret_text(JETON_OPTION_PASSWORD);
            let (Some(username), Some(password)) = (username, password) else {
                return Err(jeton_error::configuration(
                    "JETON_GRANT_PASSWORD needs JETON_OPTION_USERNAME and JETON_OPTION_PASSWORD; set both",
                ));
            };
            builder.grant(ResourceOwnerPasswordCredentials::new(username, password))
        }
        _ => builder,
    })
}

#[cfg(feature = "loopback")]
fn redirect(config: &jeton_config) -> jeton::LoopbackRedirect {
    let mut redirect = jeton::LoopbackRedirect::new();
    if let Some(host) = config.string(JETON_OPTION_REDIRECT_HOST) {
        redirect = redirect.host(host);
    }
    if let Some(port) = config.number(JETON_OPTION_REDIRECT_PORT).and_then(|port| u16::try_from(port).ok()) {
        redirect = redirect.port(port);
    }
    if let Some(path) = config.string(JETON_OPTION_REDIRECT_PATH) {
        redirect = redirect.path(path);
    }
    redirect
}

#[cfg(feature = "loopback")]
fn authorization_code(config: &jeton_config) -> Result<AuthorizationCode, Failure> {
    let mut grant = AuthorizationCode::new(redirect(config));
    if let Some(timeout) = milliseconds(config, JETON_OPTION_LOGIN_TIMEOUT_MS) {
        grant = grant.timeout(timeout);
    }
    Ok(grant)
}

#[cfg(not(feature = "loopback"))]
fn authorization_code(_: &jeton_config) -> Result<AuthorizationCode, Failure> {
    Err(jeton_error::unsupported("JETON_GRANT_AUTHORIZATION_CODE", "loopback"))
}

fn http_options(config: &jeton_config) -> Result<HttpOptions, Failure> {
    let mut options = HttpOptions::new();
    let proxy = config.string(JETON_OPTION_PROXY);
    if config.switch(JETON_OPTION_NO_PROXY) {
        if proxy.is_some() {
            return Err(jeton_error::configuration(
                "both JETON_OPTION_PROXY and JETON_OPTION_NO_PROXY are set; remove one of the two",
            ));
        }
        options = options.no_proxy();
    }
    if let Some(proxy) = proxy {
        options = options.proxy(proxy);
    }
    for pem in config.strings(JETON_OPTION_CA_CERTIFICATES) {
        options = options.root_certificates(pem.as_str());
    }
    match (
        config.string(JETON_OPTION_CLIENT_CERTIFICATE),
        config.secret_text(JETON_OPTION_CLIENT_CERTIFICATE_KEY),
    ) {
        (Some(chain), Some(key)) => options = options.client_certificate(chain, key),
        (None, None) => {}
        _ => {
            return Err(jeton_error::configuration(
                "one of JETON_OPTION_CLIENT_CERTIFICATE and JETON_OPTION_CLIENT_CERTIFICATE_KEY is set; they go together",
            ));
        }
    }
    if let Some(user_agent) = config.string(JETON_OPTION_USER_AGENT) {
        options = options.user_agent(user_agent);
    }
    if let Some(timeout) = milliseconds(config, JETON_OPTION_CONNECT_TIMEOUT_MS) {
        options = options.connect_timeout(timeout);
    }
    Ok(options)
}

fn store(config: &jeton_config) -> Result<Arc<dyn TokenStore>, Failure> {
    let kind = config.small_number(JETON_OPTION_STORE);
    if let Some(store) = &config.store {
        if kind.is_some() {
            return Err(jeton_error::configuration(
                "both JETON_OPTION_STORE and a store of the program's own (jeton_config_set_store) are set; remove one \
                 of the two",
            ));
        }
        return Ok(store.clone());
    }
    match kind {
        Some(JETON_STORE_FILE) => stores::file(config),
        Some(JETON_STORE_SEALED) => stores::sealed(config),
        Some(JETON_STORE_KEYRING) => stores::keyring(config),
        Some(JETON_STORE_AUTOMATIC) => stores::automatic(config),
        _ => Ok(Arc::new(MemoryStore::new())),
    }
}

/// The stores that a build may have or not.
mod stores {
    use super::*;

    type Store = Result<Arc<dyn TokenStore>, Failure>;

    /// The keychain's service, and the name of the folder in which jeton keeps things, unless the program says
    /// otherwise.
    #[cfg(feature = "keyring")]
    const SERVICE: &str = "jeton";

    #[cfg(feature = "file")]
    pub(super) fn file(config: &jeton_config) -> Store {
        Ok(Arc::new(match config.string(JETON_OPTION_STORE_FOLDER) {
            Some(folder) => jeton::FileStore::new(folder),
            None => jeton::FileStore::at_default_place()?,
        }))
    }

    #[cfg(not(feature = "file"))]
    pub(super) fn file(_: &jeton_config) -> Store {
        Err(jeton_error::unsupported("JETON_STORE_FILE", "file"))
    }

    #[cfg(feature = "sealed")]
    pub(super) fn sealed(config: &jeton_config) -> Store {
        use jeton::{SealedStore, SealingKey, Secret};

        let folder = match config.string(JETON_OPTION_STORE_FOLDER) {
            Some(folder) => folder.into(),
            None => SealedStore::default_folder()?,
        };
        Ok(Arc::new(match seal(config)? {
            Some(Seal::Key(key)) => SealedStore::with_key(folder, SealingKey::from_bytes(key)?),
            Some(Seal::Passphrase(passphrase)) => {
                SealedStore::with_passphrase(folder, Secret::from(passphrase))
            }
            None => sealed_with_keychain(config, folder)?,
        }))
    }

    #[cfg(all(feature = "sealed", feature = "keyring"))]
    fn sealed_with_keychain(
        config: &jeton_config,
        folder: std::path::PathBuf,
    ) -> Result<jeton::SealedStore, Failure> {
        let service = config.string(JETON_OPTION_STORE_SERVICE).unwrap_or(SERVICE);
        Ok(jeton::SealedStore::with_keychain(folder, service)?)
    }

    #[cfg(all(feature = "sealed", not(feature = "keyring")))]
    fn sealed_with_keychain(_: &jeton_config, _: std::path::PathBuf) -> Result<jeton::SealedStore, Failure> {
        Err(jeton_error::unsupported(
            "JETON_STORE_SEALED with neither JETON_OPTION_STORE_KEY nor JETON_OPTION_STORE_PASSPHRASE",
            "keyring",
        ))
    }

    #[cfg(not(feature = "sealed"))]
    pub(super) fn sealed(_: &jeton_config) -> Store {
        Err(jeton_error::unsupported("JETON_STORE_SEALED", "sealed"))
    }

    #[cfg(feature = "sealed")]
    enum Seal<'a> {
        Key(&'a [u8]),
        Passphrase(&'a str),
    }

    #[cfg(feature = "sealed")]
    fn seal(config: &jeton_config) -> Result<Option<Seal<'_>>, Failure> {
        match (config.secret(JETON_OPTION_STORE_KEY), config.secret_text(JETON_OPTION_STORE_PASSPHRASE)) {
            (Some(_), Some(_)) => Err(jeton_error::configuration(
                "both JETON_OPTION_STORE_KEY and JETON_OPTION_STORE_PASSPHRASE are set; remove one of the two",
            )),
            (Some(key), None) => Ok(Some(Seal::Key(key))),
            (None, Some(passphrase)) => Ok(Some(Seal::Passphrase(passphrase))),
            (None, None) => Ok(None),
        }
    }

    #[cfg(feature = "keyring")]
    pub(super) fn keyring(config: &jeton_config) -> Store {
        let service = config.string(JETON_OPTION_STORE_SERVICE).unwrap_or(SERVICE);
        let mut builder = jeton::KeyringStore::builder().service(service);
        if let Some(folder) = config.string(JETON_OPTION_STORE_FOLDER) {
            builder = builder.lock_folder(folder);
        }
        Ok(Arc::new(builder.open()?))
    }

    #[cfg(not(feature = "keyring"))]
    pub(super) fn keyring(_: &jeton_config) -> Store {
        Err(jeton_error::unsupported("JETON_STORE_KEYRING", "keyring"))
    }

    #[cfg(feature = "file")]
    pub(super) fn automatic(config: &jeton_config) -> Store {
        let Some(program) = config.string(JETON_OPTION_STORE_SERVICE) else {
            return Err(jeton_error::configuration(
                "JETON_STORE_AUTOMATIC needs the program's name: set JETON_OPTION_STORE_SERVICE, best to a name under a \
                 domain of yours, such as \"com.example.my-tool\"",
            ));
        };
        let mut choice = jeton::StoreChoice::for_program(program);
        if let Some(folder) = config.string(JETON_OPTION_STORE_FOLDER) {
            choice = choice.folder(folder);
        }
        #[cfg(feature = "sealed")]
        {
            choice = match seal(config)? {
                Some(Seal::Key(key)) => choice.or_sealed_with_key(jeton::SealingKey::from_bytes(key)?),
                Some(Seal::Passphrase(passphrase)) => {
                    choice.or_sealed_with_passphrase(jeton::Secret::from(passphrase))
                }
                None => choice,
            };
        }
        if config.switch(JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE) {
            choice = choice.allow_unencrypted_file();
        }
        crate::wait::check_thread()?;
        // There is no client yet whose threads could do it.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| {
                jeton_error::configuration(format!(
                    "no thread could be started to look for the store: {error}"
                ))
            })?;
        Ok(Arc::new(runtime.block_on(choice.choose())?))
    }

    #[cfg(not(feature = "file"))]
    pub(super) fn automatic(_: &jeton_config) -> Store {
        Err(jeton_error::unsupported("JETON_STORE_AUTOMATIC", "file"))
    }
}

/// Makes a client. The configuration is checked as a whole and only read: it may make several clients, and be freed
/// at once. Nothing is sent to the server yet. With JETON_STORE_AUTOMATIC it is looked where logins are kept, which
/// may ask the person for the password of the keychain, and blocks meanwhile.
///
/// `client`: set to the new client, which is the caller's: free it with jeton_client_free. NULL on failure.
///
/// Threads: any thread, while no other one changes the configuration.
///
/// Errors: `JETON_ERROR_CONFIGURATION`, with what is wrong and what to set; `JETON_ERROR_STORE` if the store that is
/// asked for is not to be had; `JETON_ERROR_UNSUPPORTED` if this build lacks it; `JETON_ERROR_INVALID_ARGUMENT` for
/// NULL.
///
/// # Safety
///
/// `config` is NULL or a live handle; `client` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_new(
    config: *const jeton_config,
    client: *mut *mut jeton_client,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(client, "client", error, || {
            Ok(crate::boxed(jeton_client::new(build(handle(config, "config")?)?)))
        })
    }
}

/// Makes a client that registers itself at the server (RFC 7591), or that has done so before: the registration is kept in the store
/// beside the logins, so that all programs that share it, and later runs, are one client. It belongs to this server and is never used
/// at another. A client secret that expires is renewed in time.
///
/// Needs JETON_OPTION_ISSUER and JETON_OPTION_CLIENT_METADATA, and a store that lasts; JETON_OPTION_INITIAL_ACCESS_TOKEN where the
/// server demands one. How the client authenticates is what the server registered; one with a key of its own sets it as for
/// jeton_client_new.
///
/// `cancel`: ends the call, or NULL; a registration that is under way is kept all the same. `client`: set to the new client, which is
/// the caller's: free it with jeton_client_free. NULL on failure.
///
/// Threads: any thread, while no other one changes the configuration; blocks. Not from a store's callback.
///
/// Errors: those of jeton_client_new; `JETON_ERROR_NETWORK`, `JETON_ERROR_OAUTH` and `JETON_ERROR_ANSWER` if the server does not register
/// the client; `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "registration"; `JETON_ERROR_CANCELLED`.
///
/// # Safety
///
/// `config` and `cancel` are NULL or live handles; `client` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_register(
    config: *const jeton_config,
    cancel: *const jeton_cancel,
    client: *mut *mut jeton_client,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(client, "client", error, || {
            let made = registered(handle(config, "config")?, watch(cancel))?;
            Ok(crate::boxed(jeton_client::new(made)))
        })
    }
}

/// The client identifier: the one that was set, or that the server gave. "" for NULL.
///
/// Ownership: borrowed from `client`, until jeton_client_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_id(client: *const jeton_client) -> *const c_char {
    guarded(c"".as_ptr(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { client.as_ref() }.map_or(c"".as_ptr(), |client| client.id.as_ptr())
    })
}

/// Frees a client. NULL is allowed. Sessions that were made from it go on working.
///
/// Threads: any thread, while no other one uses the handle. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_free(client: *mut jeton_client) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(client) });
}

/// Where the client keeps its logins, in one line for people: kind, place, whether they are kept across restarts and
/// encrypted, and why this store was chosen. "" for NULL.
///
/// Ownership: borrowed from `client`, until jeton_client_free.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_store_description(client: *const jeton_client) -> *const c_char {
    guarded(c"".as_ptr(), || {
        // SAFETY: the caller promises NULL or a live handle.
        unsafe { client.as_ref() }.map_or(c"".as_ptr(), |client| client.description.as_ptr())
    })
}

/// Whether logins are still there after the program was started anew: 1, else 0. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_store_is_persistent(client: *const jeton_client) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || i32::from(unsafe { client.as_ref() }.is_some_and(|client| client.persistent)))
}

/// Whether the store encrypts what it keeps: 1, else 0. 0 for NULL. What the disk does beneath it is not counted.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `client` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_store_is_encrypted(client: *const jeton_client) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || i32::from(unsafe { client.as_ref() }.is_some_and(|client| client.encrypted)))
}

/// Lists the accounts of this client that the store has a login of.
///
/// `cancel`: ends the call, or NULL. `accounts`: set to the list, which is the caller's: free it with
/// jeton_accounts_free. NULL on failure.
///
/// Threads: any thread; blocks. Not from a store's callback.
///
/// Errors: `JETON_ERROR_STORE` if the store cannot be listed, `JETON_ERROR_CALLBACK` if it is the program's own,
/// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
///
/// # Safety
///
/// `client` and `cancel` each are NULL or a live handle; `accounts` and `error` each are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_accounts(
    client: *const jeton_client,
    cancel: *const jeton_cancel,
    accounts: *mut *mut jeton_accounts,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(accounts, "accounts", error, || {
            let client = &handle(client, "client")?.client;
            let listed = client.clone();
            let found = wait(client, watch(cancel), async move { listed.accounts().await })?;
            Ok(crate::boxed(jeton_accounts::new(found)))
        })
    }
}

/// A login of this client. All sessions of one account share one login within the process, and, through the store,
/// with other processes and later runs. Making one is cheap; nothing is read or sent yet.
///
/// `account`: a label that the program chooses, such as a user's name; copied. NULL: "default". `session`: set to the
/// new session, which is the caller's: free it with jeton_session_free. NULL on failure.
///
/// Threads: any thread.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` for a NULL client or an account that is not UTF-8.
///
/// # Safety
///
/// `client` is NULL or a live handle, `account` is NULL or a NUL-terminated string; `session` and `error` each are
/// NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_client_session(
    client: *const jeton_client,
    account: *const c_char,
    session: *mut *mut jeton_session,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        giving(session, "session", error, || {
            let client = &handle(client, "client")?.client;
            let made = match optional_text(account, "account")? {
                Some(account) => client.account(account),
                None => client.session(),
            };
            Ok(crate::boxed(jeton_session::new(client.clone(), made)))
        })
    }
}
