//! `Profile`: one login's configuration, a table of the profiles file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which server, as which client, for what. No secret is in it: secrets are in the store.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profile {
    /// The authorization server's issuer identifier (RFC 8414 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// A built-in provider, such as `github`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The values of the provider's placeholders, such as `tenant`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) provider_values: BTreeMap<String, String>,
    /// The resource of which only the URL is known (RFC 9728).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// Resource indicators (RFC 8707).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource: Vec<String>,
    /// Origins to which `jeton request` and helpers may send the token, beside those of `resource`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) apis: Vec<String>,
    /// Git servers that take the token as a password: `https://github.com`, or with a path where several profiles serve one host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) git: Vec<String>,
    /// The user name for git, where the usual one of that host does not serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) git_username: Option<String>,
    /// The label of the login; the profile's name unless set. Programs that share the login name the same account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// How the first token is obtained; chosen anew at each login unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<LoginMethod>,
    /// The label of the client's registration in the store, where the client registered itself: its secret, if it has one, is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration: Option<String>,
    /// How the client authenticates; not at all unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authentication: Option<Authentication>,
    /// The file of the private key of `private_key_jwt`, in PEM or as a JWK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_key: Option<PathBuf>,
    /// The algorithm of that key, such as `ES256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_algorithm: Option<String>,
    /// The identifier of that key at the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_key_id: Option<String>,
    /// The files of a client certificate and its private key, in PEM (RFC 8705).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// A file of certificate authorities in PEM, beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_authorities: Option<PathBuf>,
    /// Whether tokens are bound to a key (RFC 9449).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dpop: bool,
    /// Whether odd answers are refused instead of understood.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strict: bool,
    /// The redirect URI's port and path, where the server does not take any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) introspection_endpoint: Option<String>,
    /// Further parameters of authorization and token requests, such as `audience`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parameters: BTreeMap<String, String>,
}

/// How the first token is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LoginMethod {
    /// The browser of this machine comes back to it.
    Browser,
    /// A browser elsewhere; the URL at which it ends up is pasted.
    Paste,
    /// A code is entered on another device (RFC 8628).
    Device,
    /// No person: the client's own credentials (RFC 6749 §4.4).
    ClientCredentials,
}

impl LoginMethod {
    /// As the option and the file have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Paste => "paste",
            Self::Device => "device",
            Self::ClientCredentials => "client-credentials",
        }
    }
}

/// How the client authenticates (RFC 7591 §2), by the registered names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Authentication {
    /// Not at all: a public client.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
}

impl Authentication {
    /// The registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// The one of that registered name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|own| own.name() == name)
    }

    /// Whether there is a secret, which stands in the store.
    pub(crate) fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt)
    }
}

impl Profile {
    /// The label of its login.
    pub(crate) fn account<'a>(&'a self, name: &'a str) -> &'a str {
        self.account.as_deref().unwrap_or(name)
    }

    /// Whether it gets its tokens by itself.
    pub(crate) fn needs_no_person(&self) -> bool {
        self.login == Some(LoginMethod::ClientCredentials)
    }
}
