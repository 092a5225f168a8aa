//! The device authorization grant (RFC 8628): the person approves on another device, this one polls.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::{
    DeviceAccessTokenRequest, DeviceAuthorizationRequest, DeviceAuthorizationResponse, GrantType, Pkce,
    TokenResponse,
};

use crate::interaction::is_safe_to_open;
use crate::{
    DeviceCodePrompt, EndpointRequest, Grant, GrantContext, GrantError, LoginOutcome, Operation, Recovery,
};

/// How often the countdown is shown.
const TICK: Duration = Duration::from_secs(1);

/// By how much `slow_down` lengthens the interval, for good (RFC 8628 §3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// The longest interval that backing off leads to.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

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

    async fn poll(
        &self,
        cx: &GrantContext<'_>,
        prompt: &DeviceCodePrompt<'_>,
        request: &DeviceAccessTokenRequest,
        mut interval: Duration,
    ) -> Result<TokenResponse, GrantError> {
        let mut wait = interval;
        loop {
            countdown(cx, prompt, wait).await?;
            wait = match cx.token_request(&GrantType::DeviceCode, request.to_parameters()?).await {
                Ok(response) => return Ok(response),
                Err(error) => match next_step(&error) {
                    Next::Pending => interval,
                    Next::SlowDown { at_least } => {
                        interval = interval.saturating_add(SLOW_DOWN);
                        interval.max(at_least)
                    }
                    Next::BackOff { at_least } => {
                        // For good, as RFC 8628 §3.5 asks; bounded, so that an approval is still noticed.
                        interval = interval.saturating_mul(2).min(LONGEST_INTERVAL.max(interval));
                        interval.max(at_least)
                    }
                    Next::End => return Err(error),
                },
            };
        }
    }
}

enum Next {
    Pending,
    SlowDown { at_least: Duration },
    BackOff { at_least: Duration },
    End,
}

/// What an unsuccessful poll means (RFC 8628 §3.5).
fn next_step(error: &GrantError) -> Next {
    let Recovery::Retry { after } = error.recovery() else { return Next::End };
    let at_least = after.unwrap_or_default();
    match error.oauth_error().map(|error| error.code()) {
        Some("authorization_pending") => Next::Pending,
        Some("slow_down") => Next::SlowDown { at_least },
        _ => Next::BackOff { at_least },
    }
}

/// Waits, showing the countdown about once a second, until it is time to poll or the code expired.
///
/// What has been slept is counted, not read off the clock: somebody may set that back, and polling would stop for as long.
async fn countdown(
    cx: &GrantContext<'_>,
    prompt: &DeviceCodePrompt<'_>,
    wait: Duration,
) -> Result<(), GrantError> {
    let mut rest = wait;
    loop {
        let Some(remaining) = left(cx.clock.now(), prompt.expires_at) else {
            return Err(GrantError::DeviceCodeExpired);
        };
        if rest.is_zero() {
            return Ok(());
        }
        cx.interaction.device_code_pending(prompt, remaining).await?;
        let pause = rest.min(TICK).min(remaining);
        cx.clock.sleep(pause).await;
        rest = rest.saturating_sub(pause);
    }
}

fn left(now: SystemTime, until: SystemTime) -> Option<Duration> {
    until.duration_since(now).ok().filter(|left| !left.is_zero())
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

        // A lifetime that the calendar cannot hold is as good as a year.
        let expires_at = asked_at
            .checked_add(Duration::from_secs(device.expires_in))
            .or_else(|| asked_at.checked_add(Duration::from_secs(365 * 24 * 3600)))
            .unwrap_or(asked_at);
        if !is_safe_to_open(&device.verification_uri) {
            let uri = device.verification_uri.chars().take(200).collect();
            return Err(GrantError::VerificationUri { uri });
        }
        let prompt = DeviceCodePrompt::new(&device, expires_at);
        cx.interaction.show_device_code(&prompt).await?;

        let mut poll = DeviceAccessTokenRequest::new(device.device_code.clone(), cx.client_id);
        poll.code_verifier = pkce.map(|pkce| pkce.code_verifier().clone());
        let result = self.poll(cx, &prompt, &poll, Duration::from_secs(device.interval)).await;
        let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let outcome = match &result {
            Ok(_) => LoginOutcome::Success,
            Err(error) => match error.oauth_error() {
                Some(error) if error.code() == "access_denied" => LoginOutcome::Denied {
                    error: error.code(),
                    description: error.response.error_description.as_deref(),
                },
                _ => LoginOutcome::Failed(&message),
            },
        };
        cx.interaction.login_ended(outcome).await;
        result
    }
}
