//! The identity assertion authorization grant (draft-ietf-oauth-identity-assertion-authz-grant), by which an enterprise's
//! identity provider lets its people's programs into other services without asking each person: the provider exchanges what it
//! knows of the person for an ID-JAG, and the service's own authorization server takes that for an access token.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jeton_jose::UnverifiedJwt;
use jeton_models::{
    AuthorizationServerMetadata, GrantType, Secret, TokenExchangeRequest, TokenResponse, TokenTypeIdentifier,
};

use crate::clock::unix_seconds;
use crate::context::NO_OPTIONS;
use crate::{
    AssertionSource, ClientAuthentication, Grant, GrantContext, GrantError, JwtBearer, Recovery,
    SecurityTokenSource,
};

/// How many seconds the clocks of provider and program may differ.
const LEEWAY: u64 = 60;

/// The identity assertion grant: a token exchange at the identity provider for an ID-JAG, then the JWT bearer grant with it at
/// the server of the context.
///
/// No person is needed, as long as the source has something to present: a session runs the grant by itself whenever it has
/// nothing to refresh with, each time with a fresh ID-JAG. Scope and resources of the context are asked for at the identity
/// provider, which decides what goes into the ID-JAG.
///
/// The ID-JAG is handed on only if it says to be what was asked for: of type `oauth-id-jag+jwt`, issued by the provider, for the
/// server of the context and nobody else, for this very client, and not expired. Its signature is the server's to check.
///
/// ```
/// use jeton_grants::{ClientSecretBasic, IdentityAssertion, SecurityTokenSource};
/// use jeton_models::AuthorizationServerMetadata;
///
/// /// `provider` is the identity provider's metadata, `person` a source of the person's ID tokens there.
/// fn grant(provider: AuthorizationServerMetadata, person: impl SecurityTokenSource + 'static) -> IdentityAssertion {
///     IdentityAssertion::new(provider, "wiki-at-the-provider", ClientSecretBasic::new("s3cr3t"), person)
/// }
/// ```
#[derive(Clone)]
pub struct IdentityAssertion {
    provider: Arc<AuthorizationServerMetadata>,
    client_id: String,
    authentication: Arc<dyn ClientAuthentication>,
    subject: Arc<dyn SecurityTokenSource>,
}

impl IdentityAssertion {
    /// With the identity provider, the client's identifier and authentication there, and what is presented to it: an ID token
    /// or a SAML assertion of the person.
    pub fn new(
        provider: AuthorizationServerMetadata,
        client_id: impl Into<String>,
        authentication: impl ClientAuthentication + 'static,
        subject: impl SecurityTokenSource + 'static,
    ) -> Self {
        Self {
            provider: Arc::new(provider),
            client_id: client_id.into(),
            authentication: Arc::new(authentication),
            subject: Arc::new(subject),
        }
    }

    /// The token exchange at the identity provider.
    async fn exchange(&self, cx: &GrantContext<'_>, audience: &str) -> Result<TokenResponse, GrantError> {
        let mut provider =
            GrantContext::new(&self.provider, &self.client_id, &*self.authentication, cx.transport, cx.clock);
        provider.limits = cx.limits.clone();
        provider.parse.strict = cx.parse.strict;
        provider.scope = cx.scope_to_ask_for();
        provider.resources = cx.resources;
        provider.target = cx.target;
        let subject = self.subject.security_token(&provider).await?;
        let mut request = TokenExchangeRequest::new(subject.token, subject.token_type);
        request.requested_token_type = Some(TokenTypeIdentifier::ID_JAG);
        request.audience = vec![audience.to_owned()];
        request.scope = provider.scope.cloned();
        provider.token_request(&GrantType::TokenExchange, request.to_parameters()?).await
    }

    /// What is wrong with an ID-JAG, so that it is not handed on.
    fn check(
        &self,
        cx: &GrantContext<'_>,
        audience: &str,
        response: &TokenResponse,
    ) -> Result<(), &'static str> {
        if response.issued_token_type() != Some(TokenTypeIdentifier::ID_JAG.as_str()) {
            return Err("what was issued is no ID-JAG");
        }
        let jwt = UnverifiedJwt::parse(response.access_token.expose()).map_err(|_| "it is no signed JWT")?;
        if !jwt.header().has_type("oauth-id-jag+jwt") {
            return Err("its type is not oauth-id-jag+jwt");
        }
        let claims = jwt.unchecked_claims().map_err(|_| "its claims cannot be read")?;
        if claims.issuer() != Some(&self.provider.issuer) {
            return Err("it names another issuer");
        }
        if !claims.is_sole_audience(audience) {
            return Err("it is for another audience than the server's issuer, or for several");
        }
        if claims.text("client_id") != Some(cx.client_id) {
            return Err("it is for another client");
        }
        if claims.subject().is_none_or(str::is_empty) || claims.jwt_id().is_none_or(str::is_empty) {
            return Err("its `sub` or its `jti` is missing");
        }
        claims
            .check_times(unix_seconds(cx.clock.now()), LEEWAY)
            .map_err(|_| "it is expired, not yet valid, or says not until when it is")
    }
}

#[async_trait]
impl AssertionSource for IdentityAssertion {
    async fn assertion(&self, cx: &GrantContext<'_>) -> Result<Secret, GrantError> {
        let audience = cx.issuer.ok_or(GrantError::Unfit {
            what: "an ID-JAG is for one authorization server, whose issuer is not known: set the issuer",
        })?;
        let response = match self.exchange(cx, audience).await {
            Ok(response) => response,
            // The provider refuses what the source presented. That is no verdict on a login at the other server.
            Err(error) if error.is_invalid_grant() => {
                return Err(GrantError::source("identity assertion", Recovery::LogIn, error));
            }
            Err(error) => return Err(error),
        };
        self.check(cx, audience, &response).map_err(|what| GrantError::IdentityAssertion {
            issuer: self.provider.issuer.clone(),
            what: what.to_owned(),
        })?;
        Ok(response.access_token)
    }
}

#[async_trait]
impl Grant for IdentityAssertion {
    fn grant_type(&self) -> GrantType {
        GrantType::JwtBearer
    }

    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut cx_without_scope = cx.clone();
        cx_without_scope.login = &NO_OPTIONS;
        // What the token is good for stands in the ID-JAG.
        cx_without_scope.scope = None;
        let assertion = self.assertion(cx).await?;
        JwtBearer::new(Presented(assertion)).obtain(&cx_without_scope).await
    }
}

/// An assertion that was got a moment ago.
struct Presented(Secret);

#[async_trait]
impl AssertionSource for Presented {
    async fn assertion(&self, _: &GrantContext<'_>) -> Result<Secret, GrantError> {
        Ok(self.0.clone())
    }
}

impl fmt::Debug for IdentityAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityAssertion")
            .field("provider", &self.provider.issuer)
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication.method())
            .finish_non_exhaustive()
    }
}
