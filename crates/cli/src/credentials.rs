//! The client secret of a profile: kept in the store beside the logins, as the registration of that client, and read when it is
//! needed and not before.

use std::sync::Arc;

use jeton::grants::{
    AuthenticationContext, ClientSecretBasic, ClientSecretJwt, ClientSecretPost, EndpointRequest, GrantError,
    async_trait,
};
use jeton::models::{ClientRegistration, Issuer};
use jeton::storage::TokenStore;
use jeton::{ClientAuthentication, Profile, Registrar, Secret};

use crate::failure::Failure;
use crate::profile::{self, Authentication};

/// Where none is stored: for CI jobs, which get their secrets so.
pub(crate) const SECRET_VARIABLE: &str = "JETON_CLIENT_SECRET";

/// Where the secret of a profile is kept.
pub(crate) struct SecretPlace {
    name: String,
    issuer: Issuer,
    registrar: Registrar,
}

impl SecretPlace {
    /// For the profile of that name, whose client is one at that server.
    pub(crate) fn new(name: &str, issuer: Issuer, store: Arc<dyn TokenStore>) -> Result<Self, jeton::Error> {
        Self::labelled(name, &own_label(name), issuer, store)
    }

    /// The same where the registration has that label.
    pub(crate) fn labelled(
        name: &str,
        label: &str,
        issuer: Issuer,
        store: Arc<dyn TokenStore>,
    ) -> Result<Self, jeton::Error> {
        let registrar = Registrar::builder().shared_store(store).label(label).build()?;
        Ok(Self { name: name.to_owned(), issuer, registrar })
    }

    /// The secret that is kept.
    pub(crate) async fn secret(&self) -> Result<Option<Secret>, jeton::Error> {
        Ok(self.registrar.stored(&self.issuer).await?.and_then(|client| client.client_secret))
    }

    /// Keeps a secret in the place of the one that is kept.
    pub(crate) async fn keep(
        &self,
        client_id: &str,
        authentication: Authentication,
        secret: Secret,
    ) -> Result<(), Failure> {
        let mut client = ClientRegistration::new(self.issuer.as_str(), client_id);
        client.client_secret = Some(secret);
        client.metadata.token_endpoint_auth_method = Some(authentication.name().to_owned());
        self.registrar.keep(&self.issuer, client).await.map_err(|error| {
            Failure::of(
                &error,
                format!("the client secret of `{}` could not be stored", self.name),
                &self.name,
            )
        })
    }

    /// Forgets it.
    pub(crate) async fn forget(&self) -> Result<(), Failure> {
        self.registrar.forget(&self.issuer).await.map_err(|error| {
            Failure::of(
                &error,
                format!("the client secret of `{}` could not be removed", self.name),
                &self.name,
            )
        })
    }
}

/// The label of the secret that somebody gave to the profile of that name.
fn own_label(name: &str) -> String {
    format!("profile {name}")
}

/// Authenticates with the secret in the store. A command that needs no request never reads it.
pub(crate) struct StoredSecret {
    name: String,
    label: String,
    /// A secret that is tried before it is stored.
    given: Option<Secret>,
    issuer: Issuer,
    authentication: Authentication,
    provider: Option<Profile>,
    store: Arc<dyn TokenStore>,
}

impl StoredSecret {
    pub(crate) fn new(
        name: &str,
        issuer: Issuer,
        authentication: Authentication,
        provider: Option<Profile>,
        store: Arc<dyn TokenStore>,
    ) -> Self {
        let (name, label) = (name.to_owned(), own_label(name));
        Self { name, label, given: None, issuer, authentication, provider, store }
    }

    /// The secret is that of the profile's registration, where the client registered itself.
    pub(crate) fn of(mut self, profile: &profile::Profile) -> Self {
        if let Some(label) = &profile.registration {
            self.label.clone_from(label);
        }
        self
    }

    /// That secret is used, whatever is stored.
    pub(crate) fn given(mut self, secret: Option<Secret>) -> Self {
        self.given = secret;
        self
    }

    async fn secret(&self) -> Result<Secret, GrantError> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let place = SecretPlace::labelled(&self.name, &self.label, self.issuer.clone(), self.store.clone());
        let stored = match place {
            Ok(place) => place.secret().await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(Some(secret)) => Ok(secret),
            // Only here: set for one profile, it must not go to the servers of the others.
            Ok(None) => match std::env::var(SECRET_VARIABLE) {
                Ok(secret) if !secret.is_empty() => Ok(Secret::new(secret)),
                _ => Err(GrantError::other(format!(
                    "the client secret of `{}` is not in the store: run `jeton login {} --client-secret-stdin`, or set {SECRET_VARIABLE}",
                    self.name, self.name
                ))),
            },
            Err(error) => Err(GrantError::other(format!("the client secret could not be read: {error}"))),
        }
    }
}

#[async_trait]
impl ClientAuthentication for StoredSecret {
    fn method(&self) -> &str {
        self.authentication.name()
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        let secret = self.secret().await?;
        if let Some(provider) = &self.provider {
            let provider = provider.provider().map_err(|error| GrantError::other(error.to_string()))?;
            let own = provider
                .authentication(Some(secret))
                .map_err(|error| GrantError::other(error.to_string()))?;
            return own.authenticate(request, cx).await;
        }
        match self.authentication {
            Authentication::ClientSecretPost => ClientSecretPost::new(secret).authenticate(request, cx).await,
            Authentication::ClientSecretJwt => {
                let signed =
                    ClientSecretJwt::new(secret).map_err(|error| GrantError::other(error.to_string()))?;
                signed.authenticate(request, cx).await
            }
            _ => ClientSecretBasic::new(secret).authenticate(request, cx).await,
        }
    }
}
