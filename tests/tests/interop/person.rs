//! A person before a screen: what jeton shows there reaches the test, which acts in the person's place.

use std::time::Duration;

use jeton_client::Interaction;
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, InteractionError, LoginOutcome, async_trait,
};
use tokio::sync::mpsc;
use url::Url;

/// The longest wait for something to appear on the screen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What jeton shows.
#[derive(Debug)]
enum Shown {
    AuthorizationUrl(Url),
    DeviceCode(DeviceCodeShown),
    /// The login is over; what was said of it.
    Ended(String),
}

/// A device login as the person sees it.
#[derive(Debug)]
pub(crate) struct DeviceCodeShown {
    pub(crate) user_code: String,
    pub(crate) verification_uri: Url,
    pub(crate) verification_uri_complete: Option<Url>,
}

/// An interaction for jeton, and the screen on which the test sees what it shows.
pub(crate) fn person() -> (Person, Screen) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Person(sender), Screen(receiver))
}

pub(crate) struct Person(mpsc::UnboundedSender<Shown>);

impl Person {
    fn show(&self, shown: Shown) -> Result<(), InteractionError> {
        self.0.send(shown).map_err(|_| InteractionError::cancelled())
    }
}

#[async_trait]
impl Interaction for Person {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        self.show(Shown::AuthorizationUrl(prompt.url.clone()))?;
        Ok(AuthorizationReply::Opened)
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        let url =
            |text| Url::parse(text).map_err(|_| InteractionError::failed("the server shows what is no URL"));
        self.show(Shown::DeviceCode(DeviceCodeShown {
            user_code: prompt.user_code.to_owned(),
            verification_uri: url(prompt.verification_uri)?,
            verification_uri_complete: prompt.verification_uri_complete.map(url).transpose()?,
        }))
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        // A test may have seen enough.
        let _ = self.show(Shown::Ended(format!("{outcome:?}")));
    }
}

/// Where the test sees what jeton shows.
pub(crate) struct Screen(mpsc::UnboundedReceiver<Shown>);

impl Screen {
    pub(crate) async fn authorization_url(&mut self) -> Url {
        match self.next().await {
            Shown::AuthorizationUrl(url) => url,
            other => panic!("not an authorization URL: {other:?}"),
        }
    }

    pub(crate) async fn device_code(&mut self) -> DeviceCodeShown {
        match self.next().await {
            Shown::DeviceCode(shown) => shown,
            other => panic!("not a device code: {other:?}"),
        }
    }

    /// What the person was told at the end.
    pub(crate) async fn ending(&mut self) -> String {
        match self.next().await {
            Shown::Ended(outcome) => outcome,
            other => panic!("not the end: {other:?}"),
        }
    }

    async fn next(&mut self) -> Shown {
        let shown = tokio::time::timeout(PATIENCE, self.0.recv()).await;
        shown.expect("something appears on the screen").expect("the login goes on")
    }
}
