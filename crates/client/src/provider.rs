//! What a provider's profile contributes to a client (feature `profiles`). Whatever the builder was told itself wins.

use jeton_models::Warning;
use jeton_profiles::{Catalog, Profile};
use url::Url;

use crate::client::Client;
use crate::{ClientBuilder, Error};

impl ClientBuilder {
    /// A provider's profile: its endpoints, how it wants its requests, what its answers look like. What this builder is told
    /// itself wins: an issuer or metadata over all of the profile's endpoints, an endpoint over the profile's, an authentication,
    /// an extra parameter. A [`client_secret`](Self::client_secret) goes the way that the provider wants.
    ///
    /// ```
    /// use jeton_client::{Client, Profile};
    ///
    /// let profile = Profile::named("shopify")?.with("shop", "my-shop")?;
    /// let client = Client::builder("my-app").provider(profile).client_secret("s3cr3t").build()?;
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn provider(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Puts the profile's data where the builder says nothing.
    pub(crate) fn take_provider(&mut self) -> Result<(), Error> {
        let Some(profile) = self.profile.take() else { return Ok(()) };
        let wrong = |error: jeton_profiles::ProfileError| Error::configuration(error.to_string());
        let provider = profile.provider().map_err(wrong)?;
        let mut requests = provider.requests.clone();

        let other_server = self.issuer.is_some() || self.metadata_given;
        if (other_server || self.given.token_endpoint.is_some()) && requests.refresh_endpoint.is_some() {
            // A refresh token never goes to another server than the one that the program named.
            std::sync::Arc::make_mut(&mut requests).refresh_endpoint = None;
        }
        if !other_server {
            let theirs = provider.server.clone();
            if provider.discovers {
                self.issuer = Some(theirs.issuer.clone());
            } else if !theirs.issuer.is_empty() {
                self.given.issuer.clone_from(&theirs.issuer);
                self.metadata_given = true;
            }
            let given = &mut self.given;
            for (own, theirs) in [
                (&mut given.authorization_endpoint, theirs.authorization_endpoint),
                (&mut given.token_endpoint, theirs.token_endpoint),
                (&mut given.device_authorization_endpoint, theirs.device_authorization_endpoint),
                (&mut given.revocation_endpoint, theirs.revocation_endpoint),
                (&mut given.introspection_endpoint, theirs.introspection_endpoint),
                (&mut given.userinfo_endpoint, theirs.userinfo_endpoint),
                (&mut given.end_session_endpoint, theirs.end_session_endpoint),
                (&mut given.jwks_uri, theirs.jwks_uri),
            ] {
                if own.is_none() {
                    *own = theirs;
                }
            }
        }
        match &self.authentication {
            None => {
                self.authentication = Some(provider.authentication(self.client_secret.take()).map_err(wrong)?)
            }
            // The check that a public client does not go without PKCE.
            Some(own) if own.method() == "none" => drop(provider.authentication(None).map_err(wrong)?),
            Some(_) => {}
        }
        if let Some(separator) = requests.scope_separator {
            // So that a scope copied from the provider's pages is the set that it means.
            self.scope = self.scope.replace(separator, " ");
        }
        self.parse.dialect = Some(provider.answers.clone());
        self.dialect = Some(requests);
        Ok(())
    }
}

impl Client {
    /// The names of the built-in profiles with which there would be no such warning: the one of this client's server alone, if
    /// it is known. The log says the same beside each warning.
    ///
    /// ```
    /// use jeton_client::{Client, Warning};
    ///
    /// let client = Client::builder("app").token_endpoint("https://api-m.paypal.com/v1/oauth2/token").build()?;
    /// assert_eq!(client.profiles_expecting(&Warning::ExpiresInString), ["paypal"]);
    /// # Ok::<(), jeton_client::Error>(())
    /// ```
    pub fn profiles_expecting(&self, warning: &Warning) -> Vec<&'static str> {
        let server = self.0.server.get().unwrap_or(&self.0.given);
        let endpoint = server.token_endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
        let profiles =
            Catalog::built_in().silencing(warning, endpoint.as_ref().or(Some(self.0.issuer.url())));
        profiles.into_iter().map(Profile::name).collect()
    }
}
