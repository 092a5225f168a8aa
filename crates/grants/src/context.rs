//! `GrantContext`: everything that a grant needs to obtain a token, handed to it by the caller.

use std::cell::RefCell;

use jeton_models::{
    AuthorizationServerMetadata, GrantType, MetadataError, ParameterError, Parameters, ParseOptions, Scope,
    TokenResponse, Warning,
};
use url::Url;

use crate::{
    AuthenticationContext, AuthorizationPolicy, ClientAuthentication, Clock, EndpointRequest, GrantError,
    Interaction, Limits, LoginOptions, NoInteraction, Operation, RequestDialect, Transport,
};

static NO_INTERACTION: NoInteraction = NoInteraction;

/// Extra parameters by the kind of request. What is set for one kind never leaks into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtraParameters {
    /// For authorization requests (the browser's URL).
    pub authorization: Parameters,
    /// For token requests other than refreshes.
    pub token: Parameters,
    /// For refresh requests.
    pub refresh: Parameters,
    /// For device authorization requests.
    pub device_authorization: Parameters,
}

/// What a grant works with. Everything is borrowed, so it is cheap to make.
#[derive(Clone)]
#[non_exhaustive]
pub struct GrantContext<'a> {
    /// The server's metadata; only the endpoints that the grant uses need to be there.
    pub server: &'a AuthorizationServerMetadata,
    /// The issuer to compare `iss` with (RFC 9207); `None` when the endpoints were set by hand and it is not known.
    pub issuer: Option<&'a str>,
    /// The client identifier.
    pub client_id: &'a str,
    /// How the client authenticates.
    pub authentication: &'a dyn ClientAuthentication,
    /// How requests are sent.
    pub transport: &'a dyn Transport,
    /// How the person is reached.
    pub interaction: &'a dyn Interaction,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Limits of each request.
    pub limits: Limits,
    /// How tolerant the parsers are.
    pub parse: ParseOptions,
    /// The scope to ask for.
    pub scope: Option<&'a Scope>,
    /// The resources to ask for at authorization (RFC 8707): absolute URIs without a fragment.
    pub resources: &'a [String],
    /// The one of them for which the token is wanted; `None` asks for all.
    pub target: Option<&'a str>,
    /// Extra parameters.
    pub extra: &'a ExtraParameters,
    /// How the provider wants its requests, where that differs from the RFCs.
    pub dialect: Option<&'a RequestDialect>,
    /// What to say beside a warning about an answer of that endpoint, such as the name of a profile that expects it.
    pub advice: Option<Advice>,
    /// Whether the transport connects with a client certificate, be it to authenticate or to have tokens bound to it: requests
    /// then go to the endpoints that the server has for it (RFC 8705 §5).
    pub mutual_tls: bool,
    /// The server's signing keys, for what it signs: ID tokens, JWT answers. Without them they are fetched each time.
    #[cfg(feature = "jose")]
    pub server_keys: Option<&'a crate::JwksCache>,
    /// The key that token requests prove, to which the tokens are then bound (RFC 9449).
    #[cfg(feature = "jose")]
    pub dpop: Option<&'a crate::Dpop>,
    /// How the client makes its authorization requests.
    pub authorization: &'a AuthorizationPolicy,
    /// What this one authorization asks for beyond that.
    pub login: &'a LoginOptions,
    /// Whether introspection answers are asked for as JWTs (RFC 9701), and believed only so.
    #[cfg(feature = "jose")]
    pub signed_introspection: bool,
    /// How ID tokens are checked (OpenID Connect). Without it they are left alone, among the answer's further members.
    #[cfg(feature = "jose")]
    pub id_tokens: Option<&'a crate::IdTokenCheck<'a>>,
    #[cfg(feature = "jose")]
    pub(crate) expected_id_token: crate::id_token::Expected<'a>,
}

/// What a person can do about a warning, in words; `None` if there is nothing to say.
pub type Advice = fn(&Warning, &Url) -> Option<String>;

static PLAIN: AuthorizationPolicy = AuthorizationPolicy::new();
pub(crate) static NO_OPTIONS: LoginOptions = LoginOptions::new();
static NO_EXTRA: ExtraParameters = ExtraParameters {
    authorization: Parameters::new(),
    token: Parameters::new(),
    refresh: Parameters::new(),
    device_authorization: Parameters::new(),
};

impl<'a> GrantContext<'a> {
    /// A context with default limits, without a person, scope, resources and extra parameters; set them afterwards.
    ///
    /// `server.issuer` is taken as the known issuer, and [`mutual_tls`](Self::mutual_tls) is as the client authenticates.
    pub fn new(
        server: &'a AuthorizationServerMetadata,
        client_id: &'a str,
        authentication: &'a dyn ClientAuthentication,
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            server,
            issuer: Some(&server.issuer),
            client_id,
            authentication,
            transport,
            interaction: &NO_INTERACTION,
            clock,
            limits: Limits::default(),
            parse: ParseOptions::default(),
            scope: None,
            resources: &[],
            target: None,
            extra: &NO_EXTRA,
            dialect: None,
            advice: None,
            mutual_tls: authentication.uses_mutual_tls(),
            #[cfg(feature = "jose")]
            server_keys: None,
            #[cfg(feature = "jose")]
            dpop: None,
            authorization: &PLAIN,
            login: &NO_OPTIONS,
            #[cfg(feature = "jose")]
            signed_introspection: false,
            #[cfg(feature = "jose")]
            id_tokens: None,
            #[cfg(feature = "jose")]
            expected_id_token: crate::id_token::Expected::default(),
        }
    }

    pub(crate) fn authentication_context(&self) -> AuthenticationContext<'a> {
        AuthenticationContext::new(self.client_id, self.issuer)
            .with_token_endpoint(self.server.token_endpoint.as_deref())
            .with_clock(self.clock)
    }

    /// The scope to ask for: this login's, or else the client's.
    pub(crate) fn scope_to_ask_for(&self) -> Option<&'a Scope> {
        self.login.scope.as_ref().or(self.scope)
    }

    /// Adds the scope to ask for.
    pub(crate) fn append_scope(&self, parameters: &mut Parameters) -> Result<(), ParameterError> {
        self.scope_to_ask_for().map_or(Ok(()), |scope| parameters.append("scope", scope))
    }

    /// Adds the resources of a token request (RFC 8707 §2.2).
    pub(crate) fn append_target(&self, parameters: &mut Parameters) -> Result<(), GrantError> {
        match self.target {
            Some(resource) => append_resource(parameters, resource),
            None => self.append_resources(parameters),
        }
    }

    /// Adds the resources of an authorization request (RFC 8707 §2.1).
    pub(crate) fn append_resources(&self, parameters: &mut Parameters) -> Result<(), GrantError> {
        self.resources.iter().try_for_each(|resource| append_resource(parameters, resource))
    }

    /// The endpoint of that member name (`token_endpoint`, ..) to which a request goes: the alias for mutual TLS, where that is
    /// used and the server has one (RFC 8705 §5). Not for what the browser opens, which has no client certificate.
    ///
    /// # Errors
    /// [`MetadataError`] if the server names none, or one that cannot be used.
    pub fn endpoint(&self, name: &'static str) -> Result<Url, MetadataError> {
        match name {
            "token_endpoint" => self.token_endpoint(),
            _ if self.mutual_tls => self.server.mtls_endpoint(name),
            _ => self.server.endpoint(name),
        }
    }

    /// The token endpoint, checked.
    ///
    /// To take a URL apart costs more than anything else on the way to a request, and nearly always it is the one of the last
    /// request. Not remembered with a query: there may be a key in it.
    fn token_endpoint(&self) -> Result<Url, MetadataError> {
        thread_local! {
            static LAST: RefCell<Option<Url>> = const { RefCell::new(None) };
        }
        let name = "token_endpoint";
        let alias = if self.mutual_tls { self.server.mtls_endpoint_alias(name) } else { None };
        let text = alias.or(self.server.token_endpoint.as_deref());
        // What may be an ordinary endpoint on loopback is no good as an alias.
        let fits = |url: &Url| Some(url.as_str()) == text && (alias.is_none() || url.scheme() == "https");
        let last = LAST.with_borrow(|last| last.as_ref().filter(|url| fits(url)).cloned());
        if let Some(url) = last {
            return Ok(url);
        }
        let url =
            if alias.is_some() { self.server.mtls_endpoint(name)? } else { self.server.endpoint(name)? };
        if url.query().is_none() {
            LAST.set(Some(url.clone()));
        }
        Ok(url)
    }

    /// Whether token requests prove a key, to which the token is then bound (RFC 9449 §5).
    fn proves_key(&self) -> bool {
        #[cfg(feature = "jose")]
        return self.dpop.is_some();
        #[cfg(not(feature = "jose"))]
        false
    }

    /// Logs what was forgiven in an answer of that endpoint.
    pub(crate) fn report(&self, warnings: &[Warning], endpoint: &'static str, what: &str) {
        for warning in warnings {
            let advice = self.advice.and_then(|advice| advice(warning, &self.endpoint(endpoint).ok()?));
            match advice {
                Some(advice) => tracing::warn!(code = warning.code(), "{what}: {warning}; {advice}"),
                None => tracing::warn!(code = warning.code(), "{what}: {warning}"),
            }
        }
    }

    /// Sends a token request of these parameters and reads the token. For grants of your own, too: the client's identity,
    /// `resource` and the extra parameters for token requests are added, and `grant_type` if it is not among them.
    ///
    /// # Errors
    /// [`GrantError`], all but its variants about people and pending logins.
    pub async fn token_request(
        &self,
        grant_type: &GrantType,
        mut parameters: Parameters,
    ) -> Result<TokenResponse, GrantError> {
        let extra = match grant_type {
            GrantType::RefreshToken => &self.extra.refresh,
            _ => &self.extra.token,
        };
        if let Some(profile) = self.authorization.security_profile {
            profile.check_grant(grant_type)?;
            profile.check(self)?;
        }
        if !parameters.contains("grant_type") {
            parameters.append_required("grant_type", grant_type.as_str())?;
        }
        if !parameters.contains("resource") {
            self.append_target(&mut parameters)?;
        }
        if asks_for_details(grant_type) && !parameters.contains("authorization_details") {
            self.append_authorization_details(&mut parameters)?;
        }
        parameters.append_all(extra)?;
        let url = self.token_endpoint()?;
        let request = EndpointRequest::new(Operation::token_request(grant_type), url, parameters);
        let answer = request.proving_key().send(self).await?;
        let response = answer.read(|answer| {
            let response =
                TokenResponse::parse(answer, &self.parse)?.check_binding(answer, self.proves_key())?;
            match grant_type {
                GrantType::TokenExchange => response.check_exchanged(answer),
                _ => Ok(response),
            }
        })?;
        self.report(&response.warnings, "token_endpoint", "the token answer is not what the RFC says");
        tracing::debug!(
            access_token = response.access_token.fingerprint(),
            expires_in = response.expires_in,
            refresh_token = response.refresh_token.is_some(),
            "token received"
        );
        #[cfg(feature = "jose")]
        let response = self.checked(grant_type, response).await?;
        Ok(response)
    }

    /// The same, where an ID token must say that.
    #[cfg(feature = "jose")]
    pub(crate) fn expecting<'b>(&'b self, expected: crate::id_token::Expected<'b>) -> GrantContext<'b> {
        GrantContext { expected_id_token: expected, ..self.clone() }
    }

    /// The answer, after its ID token was checked, where that is asked for.
    #[cfg(feature = "jose")]
    async fn checked(
        &self,
        grant_type: &GrantType,
        mut response: TokenResponse,
    ) -> Result<TokenResponse, GrantError> {
        if let Some(check) = self.id_tokens {
            // Apart, so that the future of those who need none stays small.
            Box::pin(check.settle(self, grant_type, &mut response)).await?;
        }
        Ok(response)
    }
}

/// Whether a token request of that grant is where authorization details are asked for (RFC 9396 §6). For the others a person has
/// been asked before, and an absent parameter means what was granted.
fn asks_for_details(grant_type: &GrantType) -> bool {
    !matches!(
        grant_type,
        GrantType::AuthorizationCode | GrantType::RefreshToken | GrantType::DeviceCode | GrantType::Ciba
    )
}

/// A resource indicator is an absolute URI without a fragment (RFC 8707 §2); it goes out as it was given.
fn append_resource(parameters: &mut Parameters, resource: &str) -> Result<(), GrantError> {
    match Url::parse(resource) {
        Ok(url) if url.fragment().is_none() => Ok(parameters.append("resource", resource)?),
        _ => Err(GrantError::Resource { resource: resource.to_owned() }),
    }
}

impl std::fmt::Debug for GrantContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantContext")
            .field("issuer", &self.server.issuer)
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication.method())
            .field("scope", &self.scope)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{Limits, ManualClock, PublicClient, TransportError, TransportErrorKind, async_trait};

    struct NoTransport;

    #[async_trait]
    impl Transport for NoTransport {
        async fn send(
            &self,
            _: http::Request<bytes::Bytes>,
            _: &Limits,
        ) -> Result<http::Response<bytes::Bytes>, TransportError> {
            Err(TransportError::new(TransportErrorKind::Connect))
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_warning_is_logged_with_what_can_be_done_about_it_at_that_endpoint() {
        let mut server = AuthorizationServerMetadata::new("https://as.example");
        server.token_endpoint = Some("https://as.example/token".into());
        let clock = ManualClock::at(UNIX_EPOCH);
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &NoTransport, &clock);
        let logged = |cx: &GrantContext<'_>| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber =
                tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                cx.report(
                    &[Warning::FormEncoded, Warning::ScopeEmpty],
                    "token_endpoint",
                    "the answer is odd",
                );
            });
            let text = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            String::from_utf8(text).unwrap()
        };
        let plain = logged(&cx);
        assert!(
            plain.contains("the answer is odd: the body was form-encoded") && !plain.contains("profile"),
            "{plain}"
        );

        cx.advice = Some(|warning, url| {
            (*warning == Warning::FormEncoded)
                .then(|| format!("a profile of {} helps", url.host_str().unwrap_or("?")))
        });
        let advised = logged(&cx);
        let of = |code: &str| advised.lines().find(|line| line.contains(code)).unwrap();
        assert!(of("form_encoded").contains("; a profile of as.example helps"), "{advised}");
        assert!(
            of("scope_empty").contains("the answer is odd") && !of("scope_empty").contains("helps"),
            "{advised}"
        );
    }
}
