//! APIs of which nothing but the URL is known, for programs without an async runtime.

use std::time::Duration;

use jeton_client::reqwest;
use jeton_grants::http::{HeaderName, HeaderValue, Method};

use super::{Response, Runner, Session};
use crate::Error;

/// A [`jeton::ResourceClient`](crate::ResourceClient) whose calls block.
///
/// ```
/// use jeton::blocking::ResourceClient;
/// # use jeton::grants::{async_trait, AuthorizationPrompt, AuthorizationReply, Interaction, InteractionError};
/// # use jeton::PastedRedirect;
/// # use jeton_devserver::{DevServer, ResourceMetadata};
/// # let server = std::sync::Arc::new(DevServer::builder().resource_metadata(ResourceMetadata::InHeader).start()?);
/// # struct AtTheTerminal(std::sync::Arc<DevServer>);
/// # #[async_trait]
/// # impl Interaction for AtTheTerminal {
/// #     async fn open_authorization_url(&self, prompt: &AuthorizationPrompt<'_>) -> Result<AuthorizationReply, InteractionError> {
/// #         Ok(AuthorizationReply::Redirected(self.0.authorize(prompt.url.as_str()).unwrap().parse().unwrap()))
/// #     }
/// # }
/// # let (redirect, terminal) = (PastedRedirect::new("http://127.0.0.1:7777/callback"), AtTheTerminal(server.clone()));
/// # let (issuer, url) = (server.issuer(), server.resource_url());
///
/// let client = ResourceClient::from(
///     jeton::ResourceClient::builder()
///         .redirect(redirect)
///         .interaction(terminal)
///         .preregistered(issuer, "public-app", jeton::PublicClient)
///         .build()?,
/// );
/// println!("{}", client.get(&url).send()?.text()?);
/// let session = client.session(&url)?.expect("somebody has just logged in");
/// session.log_out()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResourceClient(crate::ResourceClient);

impl From<crate::ResourceClient> for ResourceClient {
    fn from(client: crate::ResourceClient) -> Self {
        Self(client)
    }
}

impl ResourceClient {
    /// A GET request.
    pub fn get(&self, url: &str) -> ResourceRequest {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: &str) -> ResourceRequest {
        self.request(Method::POST, url)
    }

    /// A request to any resource.
    pub fn request(&self, method: Method, url: &str) -> ResourceRequest {
        ResourceRequest { client: self.0.clone(), request: self.0.request(method, url) }
    }

    /// The login that is in use for that URL, found in the store if need be: to ask who is logged in, or to log out. `None` if
    /// there is none.
    ///
    /// # Errors
    /// As [`jeton::ResourceClient::session`](crate::ResourceClient::session).
    pub fn session(&self, url: &str) -> Result<Option<Session>, Error> {
        let (client, url) = (self.0.clone(), url.to_owned());
        let found = self.0.block_on(async move { client.session(&url).await })??;
        Ok(found.map(|session| Session { runner: Runner::Resources(self.0.clone()), session }))
    }

    /// The client whose calls are async: the same logins.
    pub fn as_async(&self) -> &crate::ResourceClient {
        &self.0
    }
}

/// A [`jeton::ResourceRequest`](crate::ResourceRequest) whose sending blocks.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct ResourceRequest {
    client: crate::ResourceClient,
    request: crate::ResourceRequest,
}

impl ResourceRequest {
    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.map(|request| request.header(name, value))
    }

    /// Adds parameters to the URL's query, encoded.
    pub fn query<N: Into<String>, V: Into<String>>(
        self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.map(|request| request.query(parameters))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// Sets a form as body: `application/x-www-form-urlencoded`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, parameters: impl IntoIterator<Item = (N, V)>) -> Self {
        self.map(|request| request.form(parameters))
    }

    /// Sets a JSON body.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.map(|request| request.json(json))
    }

    /// The longest that the resource may take for each answer. Unless set there is no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Anything else that reqwest's builder can do.
    pub fn with(self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        self.map(|request| request.with(change))
    }

    fn map(self, change: impl FnOnce(crate::ResourceRequest) -> crate::ResourceRequest) -> Self {
        Self { client: self.client, request: change(self.request) }
    }

    /// Sends the request, and does what the resource asks for. Any status is an answer, not an error.
    ///
    /// # Errors
    /// As [`jeton::ResourceRequest::send`](crate::ResourceRequest::send).
    pub fn send(self) -> Result<Response, Error> {
        let Self { client, request } = self;
        let response = client.block_on(request.send())??;
        Ok(Response { runner: Runner::Resources(client), response })
    }
}
