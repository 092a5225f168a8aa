//! `Provider`: a profile with its placeholders filled, ready for a client or a grant's context.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use jeton_grants::{
    ClientAuthentication, ClientSecretBasic, ClientSecretPost, ExtraParameters, GrantContext, PublicClient,
    RequestDialect,
};
use jeton_models::{AuthorizationServerMetadata, Dialect, Parameters, Secret};

use crate::placeholder::fill;
use crate::{AuthenticationMethod, Profile, ProfileError};

/// A provider as clients and grants use it: everything that a [`Profile`] says, with nothing left open.
///
/// ```
/// use std::time::SystemTime;
/// use jeton_grants::{ClientCredentials, Grant, GrantContext, GrantError, ManualClock, Transport};
/// use jeton_models::Token;
/// use jeton_profiles::Profile;
///
/// async fn token(http: &dyn Transport) -> Result<Token, Box<dyn std::error::Error>> {
///     let provider = Profile::named("paypal")?.provider()?;
///     let authentication = provider.authentication(Some("s3cr3t".into()))?;
///     let clock = ManualClock::at(SystemTime::now());
///     let mut cx = GrantContext::new(&provider.server, "my-service", &*authentication, http, &clock);
///     provider.apply(&mut cx);
///     Ok(ClientCredentials.obtain(&cx).await?.into_token(SystemTime::now()))
/// }
/// # let _ = token;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Provider {
    /// The endpoints, and the issuer if it is known.
    pub server: AuthorizationServerMetadata,
    /// Whether more than that is to be discovered from the issuer.
    pub discovers: bool,
    /// How answers are read.
    pub answers: Arc<Dialect>,
    /// What requests look like.
    pub requests: Arc<RequestDialect>,
    method: AuthenticationMethod,
}

impl Profile {
    /// The provider, with the values that were set in the place of placeholders.
    ///
    /// # Errors
    /// [`ProfileError::PlaceholderUnset`] if one has none.
    pub fn provider(&self) -> Result<Provider, ProfileError> {
        let value = |name: &str| self.value(name);
        let mut server = AuthorizationServerMetadata::default();
        if let Some(issuer) = &self.data.issuer {
            server.issuer = fill(issuer, &value)?.unwrap_or_default();
        }
        for (name, template) in &self.data.endpoints {
            let url = fill(template, &value)?;
            match *name {
                "authorization_endpoint" => server.authorization_endpoint = url,
                "token_endpoint" => server.token_endpoint = url,
                "device_authorization_endpoint" => server.device_authorization_endpoint = url,
                "revocation_endpoint" => server.revocation_endpoint = url,
                "introspection_endpoint" => server.introspection_endpoint = url,
                "userinfo_endpoint" => server.userinfo_endpoint = url,
                "end_session_endpoint" => server.end_session_endpoint = url,
                "jwks_uri" => server.jwks_uri = url,
                _ => {}
            }
        }
        Ok(Provider {
            discovers: !server.issuer.is_empty() && server.token_endpoint.is_none(),
            server,
            answers: Arc::new(self.data.answers.clone()),
            requests: Arc::new(self.filled_requests(&value)?),
            method: self.data.authentication,
        })
    }

    fn filled_requests(
        &self,
        value: &dyn Fn(&str) -> Result<Option<String>, ProfileError>,
    ) -> Result<RequestDialect, ProfileError> {
        let mut requests = self.data.requests.clone();
        let filled = |parameters: &Parameters| {
            let mut filled = Parameters::new();
            for (name, template) in parameters.iter() {
                if let Some(value) = fill(template, value)? {
                    filled.set(name, value);
                }
            }
            Ok::<_, ProfileError>(filled)
        };
        let mut extra = ExtraParameters::default();
        extra.authorization = filled(&requests.extra.authorization)?;
        extra.token = filled(&requests.extra.token)?;
        extra.refresh = filled(&requests.extra.refresh)?;
        extra.device_authorization = filled(&requests.extra.device_authorization)?;
        requests.extra = extra;
        let mut headers = HeaderMap::new();
        for (name, template) in &requests.headers {
            let text = fill(template.to_str().unwrap_or_default(), value)?;
            // Values of placeholders are printable ASCII.
            if let Some(text) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.append(name, text);
            }
        }
        requests.headers = headers;
        if let Some(template) = &requests.refresh_endpoint {
            requests.refresh_endpoint = fill(template, value)?;
        }
        Ok(requests)
    }
}

impl Provider {
    /// How a client with that secret, or without one, authenticates here.
    ///
    /// # Errors
    /// [`ProfileError::Authentication`] if the client signs its secret itself, which takes a key, or if it has none and the
    /// provider refuses PKCE: without either nobody can tell who redeems a code (RFC 9700 §2.1.1).
    pub fn authentication(
        &self,
        client_secret: Option<Secret>,
    ) -> Result<Arc<dyn ClientAuthentication>, ProfileError> {
        let wrong = |what| ProfileError::Authentication { profile: self.answers.name.clone(), what };
        match (self.method, client_secret) {
            (AuthenticationMethod::SignedClientSecret, _) => Err(wrong(
                "the client signs its secret itself: set `SignedClientSecret` as its authentication, with the key",
            )),
            (AuthenticationMethod::ClientSecretBasic, Some(secret))
            | (AuthenticationMethod::BasicForEverybody, Some(secret)) => {
                Ok(Arc::new(ClientSecretBasic::new(secret)))
            }
            (AuthenticationMethod::ClientSecretPost, Some(secret)) => {
                Ok(Arc::new(ClientSecretPost::new(secret)))
            }
            (_, None) if self.refuses_pkce() => Err(wrong(
                "the provider refuses PKCE, so that the client has to authenticate: set its secret (RFC 9700 §2.1.1)",
            )),
            (AuthenticationMethod::BasicForEverybody, None) => Ok(Arc::new(ClientSecretBasic::new(""))),
            (_, None) => Ok(Arc::new(PublicClient)),
        }
    }

    /// Whether logins go without PKCE here.
    pub fn refuses_pkce(&self) -> bool {
        self.requests.pkce == jeton_grants::PkceDialect::Omitted
    }

    /// Has a context speak the provider's way.
    pub fn apply<'a>(&'a self, cx: &mut GrantContext<'a>) {
        cx.parse.dialect = Some(self.answers.clone());
        cx.dialect = Some(&*self.requests);
        cx.issuer = Some(self.server.issuer.as_str()).filter(|issuer| !issuer.is_empty());
    }
}
