//! An `Interaction` that writes down what the person is asked, and has somebody else ask it.

use std::time::Duration;

use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError, LoginOutcome,
    async_trait,
};

use super::timeline::{Kind, Timeline};

pub(super) struct WatchedPerson<I> {
    pub(super) inner: I,
    pub(super) timeline: Timeline,
}

#[async_trait]
impl<I: Interaction> Interaction for WatchedPerson<I> {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let redactor = self.timeline.redactor();
        let comes_back = if prompt.listening { "a listener waits at" } else { "what is pasted begins with" };
        let url = redactor.parameters(prompt.url);
        let path = redactor.url(&without_query(prompt.url));
        let mut details = url;
        details.push((comes_back.to_owned(), redactor.words(prompt.redirect_uri).into()));
        self.timeline.add(Kind::Event, format!("the person is sent to {path}"), details);
        let reply = self.inner.open_authorization_url(prompt).await;
        match &reply {
            Ok(AuthorizationReply::Redirected(url)) => {
                let path = redactor.url(&without_query(url));
                self.timeline.add(
                    Kind::Event,
                    format!("the person came back with {path}"),
                    redactor.parameters(url),
                );
            }
            Ok(_) => self.timeline.add(Kind::Event, "a browser was opened", Vec::new()),
            Err(error) => {
                let why = redactor.words(&error.to_string());
                self.timeline.add(
                    Kind::Event,
                    "the person could not be asked",
                    vec![("why".to_owned(), why.into())],
                );
            }
        }
        reply
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        self.timeline.add(Kind::Event, "a code was shown to the person", Vec::new());
        self.inner.show_device_code(prompt).await
    }

    async fn device_code_pending(
        &self,
        prompt: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        self.inner.device_code_pending(prompt, remaining).await
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        self.inner.login_ended(outcome).await;
    }
}

fn without_query(url: &jeton::Url) -> jeton::Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url
}
