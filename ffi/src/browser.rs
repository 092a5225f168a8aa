//! How a person is reached unless the program says otherwise: through the system's browser.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jeton::Url;
use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError, LoginOutcome,
    ServerPrompt,
};

/// Opens a URL in the system's browser.
#[cfg(feature = "browser")]
pub(crate) async fn open_in_browser(url: &Url) -> Result<(), InteractionError> {
    if !jeton::browser_available() {
        return Err(InteractionError::unavailable(
            "there is no browser here that this program could open (set an interaction with open_url, which shows the \
             URL to the person)",
        ));
    }
    jeton::open_browser(url).await.map_err(|error| InteractionError::failed(error.to_string()))
}

/// Opens nothing: this build cannot.
#[cfg(not(feature = "browser"))]
pub(crate) async fn open_in_browser(_: &Url) -> Result<(), InteractionError> {
    Err(InteractionError::unavailable(
        "this build of libjeton opens no browser (set an interaction with open_url, which shows the URL to the person)",
    ))
}

/// What a client has whose configuration names no interaction.
#[derive(Debug)]
pub(crate) struct Browser;

#[async_trait]
impl Interaction for Browser {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        open_in_browser(prompt.url).await?;
        Ok(AuthorizationReply::Opened)
    }

    async fn show_device_code(&self, _: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        Err(InteractionError::unavailable(
            "no interaction with show_device_code is set (jeton_config_set_interaction)",
        ))
    }
}

/// An interaction that several clients share.
pub(crate) struct Shared(pub(crate) Arc<dyn Interaction>);

#[async_trait]
impl Interaction for Shared {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        self.0.open_authorization_url(prompt).await
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        self.0.show_device_code(prompt).await
    }

    async fn device_code_pending(
        &self,
        prompt: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        self.0.device_code_pending(prompt, remaining).await
    }

    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        self.0.approve_authorization_server(prompt).await
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        self.0.login_ended(outcome).await;
    }
}
