//! Dynamic client registration (RFC 7591) and its management (RFC 7592): a client asks a server to know it, and reads, changes
//! and deletes later what the server knows. jeton-client keeps registrations and renews them.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use jeton_models::{
    Answer, AnswerError, AuthorizationServerMetadata, ClientMetadata, ClientRegistration, Parameters,
    ParseOptions, Secret, is_loopback_host,
};
use tracing::Instrument;
use url::Url;

use crate::endpoint::{Form, shown};
use crate::{
    Clock, EndpointAnswer, EndpointRequest, GrantError, Limits, Operation, Transport, TransportError,
    TransportErrorKind, transport,
};

/// What registering works with. There is no client yet, so that this is less than a grant has.
#[derive(Clone)]
#[non_exhaustive]
pub struct RegistrationContext<'a> {
    /// The server's metadata: `issuer` and `registration_endpoint`.
    pub server: &'a AuthorizationServerMetadata,
    /// How requests are sent.
    pub transport: &'a dyn Transport,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Limits of each request.
    pub limits: Limits,
    /// How tolerant the parser is.
    pub parse: ParseOptions,
    /// What a server demands that registers not just anybody (RFC 7591 §3). Used by [`register`] only.
    pub initial_access_token: Option<&'a Secret>,
    /// What somebody whom the server trusts says of the software: a signed JWT (RFC 7591 §2.3). Used by [`register`] only.
    pub software_statement: Option<&'a Secret>,
}

impl<'a> RegistrationContext<'a> {
    /// With default limits, for a server that registers anybody.
    pub fn new(
        server: &'a AuthorizationServerMetadata,
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            server,
            transport,
            clock,
            limits: Limits::default(),
            parse: ParseOptions::default(),
            initial_access_token: None,
            software_statement: None,
        }
    }
}

impl std::fmt::Debug for RegistrationContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrationContext").field("issuer", &self.server.issuer).finish_non_exhaustive()
    }
}

/// Registers a client (RFC 7591 §3.1). What counts is what comes back, not what was asked for. Each call makes another client:
/// keep the answer, and use it at this server only.
///
/// `application_type` is sent as the redirect URIs say if it is not set.
///
/// ```
/// use jeton_grants::{GrantError, RegistrationContext, register};
/// use jeton_models::{ClientMetadata, ClientRegistration};
///
/// async fn registered(cx: &RegistrationContext<'_>) -> Result<ClientRegistration, GrantError> {
///     let mut metadata = ClientMetadata::public(["http://127.0.0.1/callback"]);
///     metadata.client_name = Some("My App".into());
///     register(cx, &metadata).await
/// }
/// ```
///
/// # Errors
/// [`GrantError::Metadata`] if the server names no `registration_endpoint`, or one that cannot be used;
/// [`GrantError::ClientMetadata`] for what no server may take; otherwise those of a request to an endpoint: no answer, an OAuth
/// error (RFC 7591 §3.2.2), an answer that is no registration.
pub async fn register(
    cx: &RegistrationContext<'_>,
    metadata: &ClientMetadata,
) -> Result<ClientRegistration, GrantError> {
    metadata.check()?;
    let url = cx.server.endpoint("registration_endpoint")?;
    let mut asked = metadata.clone();
    if asked.application_type.is_none() {
        asked.application_type = asked.inferred_application_type().map(str::to_owned);
    }
    if let Some(statement) = cx.software_statement {
        asked.extra.insert("software_statement", statement.expose());
    }
    let mut request = Request::new("client registration", Method::POST, url).body(&asked);
    request.token = cx.initial_access_token;
    request.secrets.extend(cx.software_statement.cloned());
    let registration =
        request.send(cx).await?.read(|a| ClientRegistration::parse(a, &cx.server.issuer, &cx.parse))?;
    tell(&registration);
    Ok(registration)
}

/// Reads what the server knows of the client now (RFC 7592 §2.1). Secret and registration access token may be others than
/// before: keep what comes back.
///
/// # Errors
/// [`GrantError::RegistrationForeign`] at another server, [`GrantError::RegistrationUnmanaged`] if the server gave nothing to
/// ask with, [`GrantError::RegistrationGone`] if the server does not know the client any more; otherwise as [`register`].
pub async fn read_registration(
    cx: &RegistrationContext<'_>,
    registration: &ClientRegistration,
) -> Result<ClientRegistration, GrantError> {
    let request = managed(cx, registration, "client registration read", Method::GET)?;
    again(request.send(cx).await?, cx, registration)
}

/// Replaces what the server knows of the client by `metadata`: what is not in it is asked to be forgotten (RFC 7592 §2.2).
///
/// # Errors
/// As [`read_registration`], and [`GrantError::ClientMetadata`] for what no server may take.
pub async fn update_registration(
    cx: &RegistrationContext<'_>,
    registration: &ClientRegistration,
    metadata: &ClientMetadata,
) -> Result<ClientRegistration, GrantError> {
    metadata.check()?;
    let mut asked = metadata.clone();
    asked.extra.insert("client_id", registration.client_id.as_str());
    let request = managed(cx, registration, "client registration update", Method::PUT)?.body(&asked);
    again(request.send(cx).await?, cx, registration)
}

/// Has the server forget the client, and with it each login that it has (RFC 7592 §2.3).
///
/// # Errors
/// As [`read_registration`]; a server may also refuse to delete (403, 405).
pub async fn delete_registration(
    cx: &RegistrationContext<'_>,
    registration: &ClientRegistration,
) -> Result<(), GrantError> {
    let answer = managed(cx, registration, "client registration deletion", Method::DELETE)?.send(cx).await?;
    gone(&answer, registration)?;
    answer.read(|answer| match answer.status {
        200..=299 => Ok(()),
        _ => Err(answer.error(&cx.parse)),
    })
}

/// A request to the client configuration endpoint, with the registration access token.
fn managed<'a>(
    cx: &RegistrationContext<'_>,
    registration: &'a ClientRegistration,
    operation: &'static str,
    method: Method,
) -> Result<Request<'a>, GrantError> {
    if registration.issuer != cx.server.issuer {
        return Err(GrantError::RegistrationForeign {
            registered_at: registration.issuer.clone(),
            used_at: cx.server.issuer.clone(),
        });
    }
    let unmanaged = || GrantError::RegistrationUnmanaged { issuer: registration.issuer.clone() };
    let (url, token) = registration.management().ok_or_else(unmanaged)?;
    // A server elsewhere has no business with what listens on this machine.
    let is_elsewhere = Url::parse(&cx.server.issuer).is_ok_and(|issuer| !is_loopback_host(&issuer));
    if is_elsewhere && is_loopback_host(&url) {
        return Err(unmanaged());
    }
    let mut request = Request::new(operation, method, url);
    request.token = Some(token);
    // What it was registered with is known to the server, too.
    let known = [registration.client_secret.as_ref(), cx.initial_access_token, cx.software_statement];
    request.secrets.extend(known.into_iter().flatten().cloned());
    Ok(request)
}

/// 401 says that the client is not there, or the token is not the one for it (RFC 7592 §2.1): nothing of it can be used.
fn gone(answer: &EndpointAnswer, registration: &ClientRegistration) -> Result<(), GrantError> {
    match answer.status() {
        401 => Err(GrantError::RegistrationGone { issuer: registration.issuer.clone() }),
        _ => Ok(()),
    }
}

fn again(
    answer: EndpointAnswer,
    cx: &RegistrationContext<'_>,
    registration: &ClientRegistration,
) -> Result<ClientRegistration, GrantError> {
    gone(&answer, registration)?;
    let now = answer.read(|answer: &Answer<'_>| -> Result<_, AnswerError> {
        registration.parse_again(answer, &cx.parse)
    })?;
    tell(&now);
    Ok(now)
}

fn tell(registration: &ClientRegistration) {
    for warning in &registration.warnings {
        tracing::warn!(code = warning.code(), "the registration answer is not what the RFC says: {warning}");
    }
    tracing::debug!(
        issuer = registration.issuer,
        client_id = registration.client_id,
        method = registration.authentication_method(),
        "client registered"
    );
}

/// A request of JSON with a bearer token, or of nothing: registration endpoints know neither forms nor client authentication.
struct Request<'a> {
    operation: Operation,
    method: Method,
    url: Url,
    token: Option<&'a Secret>,
    body: Bytes,
    /// What stands in the body and must not be shown, if the server repeats it.
    secrets: Vec<Secret>,
}

impl Request<'_> {
    fn new(operation: &'static str, method: Method, url: Url) -> Self {
        let operation = Operation::named(operation);
        Self { operation, method, url, token: None, body: Bytes::new(), secrets: Vec::new() }
    }

    fn body(mut self, metadata: &ClientMetadata) -> Self {
        self.body = metadata.to_json().into();
        self
    }

    async fn send(self, cx: &RegistrationContext<'_>) -> Result<EndpointAnswer, GrantError> {
        let no_answer = |source| GrantError::Transport {
            operation: self.operation.clone(),
            url: shown(&self.url),
            source,
        };
        let impossible = |what: &'static str| {
            no_answer(TransportError::new(TransportErrorKind::Request).with_source(what))
        };
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() =
            self.url.as_str().parse().map_err(|_| impossible("the endpoint is no valid URI"))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = self.token {
            let header = Secret::new(["Bearer ", token.expose()].concat());
            let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(Form(header)))
                .map_err(|_| impossible("the token has characters that no header can carry"))?;
            header.set_sensitive(true);
            headers.insert(AUTHORIZATION, header);
        }
        if !request.body().is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let span =
            tracing::debug_span!("oauth_request", operation = %self.operation, url = %shown(&self.url));
        let sent = transport::send(cx.transport, request, &cx.limits).instrument(span).await;
        let response = sent.map_err(no_answer)?;
        if response.status().is_redirection() {
            let (url, status) = (shown(&self.url), response.status().as_u16());
            return Err(GrantError::Redirected { operation: self.operation, url, status });
        }
        let mut about = EndpointRequest::new(self.operation, self.url, Parameters::new());
        self.secrets.into_iter().chain(self.token.cloned()).for_each(|secret| about.add_secret(secret));
        Ok(EndpointAnswer::to(about, response, cx.clock))
    }
}
