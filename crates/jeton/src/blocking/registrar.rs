//! Clients that register themselves, for programs without an async runtime.

use jeton_models::{AuthorizationServerMetadata, ClientMetadata, ClientRegistration, Issuer};

use crate::{ClientBuilder, Error};

/// A [`jeton::Registrar`](crate::Registrar) whose calls block.
///
/// ```
/// use jeton::blocking::{Client, Registrar};
/// use jeton::{ClientCredentials, ClientMetadata};
///
/// # let server = jeton_devserver::DevServer::builder().registration(true).start()?;
/// # let issuer = server.issuer();
/// let mut metadata = ClientMetadata::new();
/// metadata.client_name = Some("Nightly Report".into());
/// metadata.grant_types = Some(vec!["client_credentials".into()]);
/// metadata.response_types = Some(vec![]);
///
/// let registrar = Registrar::from(jeton::Registrar::builder().build()?); // with a store that lasts, see `store`
/// let client = Client::from(registrar.client(issuer, &metadata)?.grant(ClientCredentials).build()?);
/// let token = client.session().token()?;
/// # let _ = token;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registrar(crate::Registrar);

impl From<crate::Registrar> for Registrar {
    fn from(registrar: crate::Registrar) -> Self {
        Self(registrar)
    }
}

impl Registrar {
    /// A client of this registration at that server, to go on configuring.
    ///
    /// # Errors
    /// As [`jeton::Registrar::client`](crate::Registrar::client).
    pub fn client(
        &self,
        issuer: impl Into<String>,
        metadata: &ClientMetadata,
    ) -> Result<ClientBuilder, Error> {
        let (issuer, metadata) = (issuer.into(), metadata.clone());
        self.run(|registrar| async move { registrar.client(issuer, &metadata).await })
    }

    /// The registration of this client at that server: the one that is kept, or else another one.
    ///
    /// # Errors
    /// As [`jeton::Registrar::registered`](crate::Registrar::registered).
    pub fn registered(
        &self,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
    ) -> Result<ClientRegistration, Error> {
        let (server, metadata) = (server.clone(), metadata.clone());
        self.run(|registrar| async move { registrar.registered(&server, &metadata).await })
    }

    /// The registration that is kept for that server, good or not. Nothing is sent.
    ///
    /// # Errors
    /// As [`jeton::Registrar::stored`](crate::Registrar::stored).
    pub fn stored(&self, issuer: &Issuer) -> Result<Option<ClientRegistration>, Error> {
        let issuer = issuer.clone();
        self.run(|registrar| async move { registrar.stored(&issuer).await })
    }

    /// Keeps a registration that was made elsewhere.
    ///
    /// # Errors
    /// As [`jeton::Registrar::keep`](crate::Registrar::keep).
    pub fn keep(&self, issuer: &Issuer, registration: ClientRegistration) -> Result<(), Error> {
        let issuer = issuer.clone();
        self.run(|registrar| async move { registrar.keep(&issuer, registration).await })
    }

    /// Forgets the registration that is kept for that server, which goes on knowing the client.
    ///
    /// # Errors
    /// As [`jeton::Registrar::forget`](crate::Registrar::forget).
    pub fn forget(&self, issuer: &Issuer) -> Result<(), Error> {
        let issuer = issuer.clone();
        self.run(|registrar| async move { registrar.forget(&issuer).await })
    }

    /// Has the server forget the client (RFC 7592 §2.3), and forgets it here.
    ///
    /// # Errors
    /// As [`jeton::Registrar::delete`](crate::Registrar::delete).
    pub fn delete(&self, server: &AuthorizationServerMetadata) -> Result<(), Error> {
        let server = server.clone();
        self.run(|registrar| async move { registrar.delete(&server).await })
    }

    /// A registration in the place of one that the server does not take any more.
    ///
    /// # Errors
    /// As [`jeton::Registrar::replace`](crate::Registrar::replace).
    pub fn replace(
        &self,
        server: &AuthorizationServerMetadata,
        metadata: &ClientMetadata,
        refused: &ClientRegistration,
    ) -> Result<ClientRegistration, Error> {
        let (server, metadata, refused) = (server.clone(), metadata.clone(), refused.clone());
        self.run(|registrar| async move { registrar.replace(&server, &metadata, &refused).await })
    }

    /// The registrar whose calls are async: the same registrations.
    pub fn as_async(&self) -> &crate::Registrar {
        &self.0
    }

    fn run<T, F>(&self, call: impl FnOnce(crate::Registrar) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.0.block_on(call(self.0.clone()))?
    }
}
