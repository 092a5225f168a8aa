//! Client-initiated backchannel authentication (OpenID Connect CIBA Core 1.0) in poll mode: the person approves on a device of
//! theirs, which the server asks; this program polls.

use std::fmt;
#[cfg(feature = "jose")]
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::{
    BackchannelAccessTokenRequest, BackchannelAuthenticationRequest, BackchannelAuthenticationResponse,
    GrantType, Parameters, Secret, TokenResponse,
};

use crate::polling::{self, Awaited, end_of_life, tell_the_end};
use crate::{
    BackchannelPrompt, EndpointRequest, Grant, GrantContext, GrantError, InteractionError, Operation,
};

/// The CIBA grant in poll mode.
///
/// Exactly one hint says who is meant: it is what the value is made of. The scope has to contain `openid`. What the person
/// sees on their device, the [binding message](Self::binding_message), is shown here too through
/// [`Interaction`](crate::Interaction); polling keeps to the server's interval, adds 5 s at each `slow_down`, and ends when the
/// request expires. A login that names somebody itself ([`LoginOptions::login_hint`](crate::LoginOptions::login_hint)) asks that
/// person, so that one client serves many.
///
/// ```
/// use jeton_grants::Ciba;
///
/// let grant = Ciba::login_hint("alice@example.com").binding_message("W4SCT");
/// ```
#[derive(Clone)]
pub struct Ciba {
    request: BackchannelAuthenticationRequest,
    #[cfg(feature = "jose")]
    signer: Option<Arc<dyn jeton_jose::Signer>>,
}

impl Ciba {
    /// Asks whoever the server knows by that name: an e-mail address, a telephone number, an account.
    pub fn login_hint(login_hint: impl Into<String>) -> Self {
        let mut request = BackchannelAuthenticationRequest::new();
        request.login_hint = Some(login_hint.into());
        Self::of(request)
    }

    /// Asks whoever an ID token is about that the server issued before.
    pub fn id_token_hint(id_token: impl Into<Secret>) -> Self {
        let mut request = BackchannelAuthenticationRequest::new();
        request.id_token_hint = Some(id_token.into());
        Self::of(request)
    }

    /// Asks whoever a token of another kind is about.
    pub fn login_hint_token(token: impl Into<Secret>) -> Self {
        let mut request = BackchannelAuthenticationRequest::new();
        request.login_hint_token = Some(token.into());
        Self::of(request)
    }

    fn of(request: BackchannelAuthenticationRequest) -> Self {
        Self {
            request,
            #[cfg(feature = "jose")]
            signer: None,
        }
    }

    /// What the person sees on both devices: short, and another one each time.
    #[must_use]
    pub fn binding_message(mut self, message: impl Into<String>) -> Self {
        self.request.binding_message = Some(message.into());
        self
    }

    /// The secret between person and server without which nobody can bother the person.
    #[must_use]
    pub fn user_code(mut self, user_code: impl Into<Secret>) -> Self {
        self.request.user_code = Some(user_code.into());
        self
    }

    /// For how long the request is wanted to be good, in whole seconds. The server decides.
    #[must_use]
    pub fn requested_expiry(mut self, expiry: Duration) -> Self {
        self.request.requested_expiry = Some(expiry.as_secs().max(1));
        self
    }

    /// How strongly the person is to be authenticated, best first: names separated by spaces. What a login's
    /// [options](crate::LoginOptions) say goes before.
    #[must_use]
    pub fn acr_values(mut self, acr_values: impl Into<String>) -> Self {
        self.request.acr_values = Some(acr_values.into());
        self
    }

    /// Signs the authentication request (CIBA Core §7.1.1), with the key that the server knows of the client.
    #[cfg(feature = "jose")]
    #[must_use]
    pub fn signed(mut self, signer: impl jeton_jose::Signer + 'static) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    async fn parameters(&self, cx: &GrantContext<'_>) -> Result<Parameters, GrantError> {
        if !cx.scope_to_ask_for().is_some_and(|scope| scope.contains("openid")) {
            return Err(GrantError::Unfit {
                what: "CIBA asks for the scope `openid` (CIBA Core §7.1): add it to the scope",
            });
        }
        let mut request = self.request.clone();
        request.scope = cx.scope_to_ask_for().cloned();
        if !cx.login.acr_values.is_empty() {
            request.acr_values = Some(cx.login.acr_values.join(" "));
        }
        if let Some(login_hint) = &cx.login.login_hint {
            // In the place of the grant's own hint, whichever that is: there must be exactly one.
            request.id_token_hint = None;
            request.login_hint_token = None;
            request.login_hint = Some(login_hint.clone());
        }
        cx.append_authorization_details(&mut request.extra)?;
        cx.append_resources(&mut request.extra)?;
        let parameters = request.to_parameters()?;
        #[cfg(feature = "jose")]
        if let Some(signer) = &self.signer {
            return signed(cx, &**signer, &parameters).await;
        }
        Ok(parameters)
    }
}

/// The request with all of its parameters in a JWT that the client signs (CIBA Core §7.1.1).
#[cfg(feature = "jose")]
async fn signed(
    cx: &GrantContext<'_>,
    signer: &dyn jeton_jose::Signer,
    parameters: &Parameters,
) -> Result<Parameters, GrantError> {
    use jeton_jose::{Claims, JwtHeader, sign_jwt};
    use serde_json::Value;

    use crate::signed_assertion::{insert_times, not_signed};

    let issuer = cx.issuer.ok_or(GrantError::Unfit {
        what: "a signed authentication request is for one server, whose issuer is not known: set the issuer",
    })?;
    let mut claims = Claims::new();
    for (name, value) in parameters.iter() {
        // Only a name that may stand several times has a value already.
        let value = match claims.get(name) {
            None => Value::from(value),
            Some(Value::Array(others)) => others.iter().cloned().chain([value.into()]).collect(),
            Some(other) => Value::Array(vec![other.clone(), value.into()]),
        };
        claims.insert(name, value);
    }
    claims.insert("iss", cx.client_id);
    claims.insert("aud", issuer);
    insert_times(&mut claims, cx, Duration::from_secs(60));
    if let Some(issued_at) = claims.get("iat").cloned() {
        claims.insert("nbf", issued_at);
    }
    let request = sign_jwt(signer, JwtHeader::default(), &claims).await;
    let request = request.map_err(|error| not_signed("authentication request", error))?;
    let mut parameters = Parameters::new();
    parameters.append_required("request", request.expose())?;
    Ok(parameters)
}

#[async_trait]
impl Awaited for BackchannelPrompt<'_> {
    fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    fn expired(&self) -> GrantError {
        GrantError::AuthenticationRequestExpired
    }

    async fn pending(&self, cx: &GrantContext<'_>, remaining: Duration) -> Result<(), InteractionError> {
        cx.interaction.backchannel_authentication_pending(self, remaining).await
    }
}

#[async_trait]
impl Grant for Ciba {
    fn grant_type(&self) -> GrantType {
        GrantType::Ciba
    }

    fn needs_person(&self) -> bool {
        true
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let modes = cx.server.backchannel_token_delivery_modes_supported.as_ref();
        if modes.is_some_and(|modes| !modes.iter().any(|mode| mode == "poll")) {
            return Err(GrantError::other(
                "the server delivers tokens of backchannel authentications by ping or push only; jeton polls",
            ));
        }
        let endpoint = "backchannel_authentication_endpoint";
        let url = cx.endpoint(endpoint)?;
        let operation = Operation::named("backchannel authentication request");
        let request = EndpointRequest::new(operation, url, self.parameters(cx).await?);
        let asked_at = cx.clock.now();
        let answer = request.send(cx).await?;
        let asked = answer.read(|answer| BackchannelAuthenticationResponse::parse(answer, &cx.parse))?;
        cx.report(&asked.warnings, endpoint, "the CIBA answer is not what the standard says");
        let message = self.request.binding_message.as_deref();
        let hint = cx.login.login_hint.as_deref().or(self.request.login_hint.as_deref());
        let prompt = BackchannelPrompt::new(message, hint, end_of_life(asked_at, asked.expires_in));
        cx.interaction.show_backchannel_authentication(&prompt).await?;

        let poll = BackchannelAccessTokenRequest::new(asked.auth_req_id).to_parameters()?;
        let interval = Duration::from_secs(asked.interval);
        let result = polling::poll(cx, &prompt, &GrantType::Ciba, &poll, interval).await;
        tell_the_end(cx, &result).await;
        result
    }
}

impl fmt::Debug for Ciba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ciba").field("request", &self.request).finish_non_exhaustive()
    }
}
