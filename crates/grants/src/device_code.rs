//! The device authorization grant (RFC 8628): the person approves on another device, this one polls.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::{
    DeviceAccessTokenRequest, DeviceAuthorizationRequest, DeviceAuthorizationResponse, GrantType, Pkce,
    TokenResponse,
};

use crate::interaction::is_safe_to_open;
use crate::polling::{self, Awaited, end_of_life, tell_the_end};
use crate::{
    DeviceCodePrompt, EndpointRequest, Grant, GrantContext, GrantError, InteractionError, Operation,
};

/// The device authorization grant.
///
/// Where and which code to enter is shown through [`Interaction`](crate::Interaction); polling keeps to the server's
/// interval, adds 5 s at each `slow_down`, backs off exponentially when the connection fails, and ends when the code
/// expires. A person is sent to HTTPS or loopback only; a verification URI of another kind is
/// [`GrantError::VerificationUri`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceCode {
    pkce: bool,
}

impl DeviceCode {
    /// Without PKCE, which RFC 8628 does not know.
    pub fn new() -> Self {
        Self::default()
    }

    /// With PKCE, for servers that take it in the device flow too.
    #[must_use]
    pub fn pkce(mut self, pkce: bool) -> Self {
        self.pkce = pkce;
        self
    }
}

#[async_trait]
impl Awaited for DeviceCodePrompt<'_> {
    fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    fn expired(&self) -> GrantError {
        GrantError::DeviceCodeExpired
    }

    async fn pending(&self, cx: &GrantContext<'_>, remaining: Duration) -> Result<(), InteractionError> {
        cx.interaction.device_code_pending(self, remaining).await
    }
}

#[async_trait]
impl Grant for DeviceCode {
    fn grant_type(&self) -> GrantType {
        GrantType::DeviceCode
    }

    fn needs_person(&self) -> bool {
        true
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let pkce = self.pkce.then(Pkce::new);
        let mut request = DeviceAuthorizationRequest::new(cx.client_id);
        request.scope = cx.scope_to_ask_for().cloned();
        request.code_challenge = pkce.as_ref().map(|pkce| pkce.code_challenge().to_owned());
        request.code_challenge_method = pkce.as_ref().map(Pkce::code_challenge_method);
        cx.append_resources(&mut request.extra)?;
        cx.append_authorization_details(&mut request.extra)?;
        request.extra.append_all(&cx.extra.device_authorization)?;

        let url = cx.endpoint("device_authorization_endpoint")?;
        let asked_at = cx.clock.now();
        let answer = EndpointRequest::new(Operation::DEVICE_AUTHORIZATION, url, request.to_parameters()?)
            .send(cx)
            .await?;
        let device = answer.read(|answer| DeviceAuthorizationResponse::parse(answer, &cx.parse))?;
        let endpoint = "device_authorization_endpoint";
        cx.report(&device.warnings, endpoint, "the device answer is not what the RFC says");

        let expires_at = end_of_life(asked_at, device.expires_in);
        if !is_safe_to_open(&device.verification_uri) {
            let uri = device.verification_uri.chars().take(200).collect();
            return Err(GrantError::VerificationUri { uri });
        }
        let prompt = DeviceCodePrompt::new(&device, expires_at);
        cx.interaction.show_device_code(&prompt).await?;

        let mut poll = DeviceAccessTokenRequest::new(device.device_code.clone(), cx.client_id);
        poll.code_verifier = pkce.map(|pkce| pkce.code_verifier().clone());
        let interval = Duration::from_secs(device.interval);
        let result =
            polling::poll(cx, &prompt, &GrantType::DeviceCode, &poll.to_parameters()?, interval).await;
        tell_the_end(cx, &result).await;
        result
    }
}
