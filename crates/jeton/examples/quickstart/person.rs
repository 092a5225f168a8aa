//! Who signs in when nobody is at the keyboard: a browser that follows redirects, and a person with another device.

use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError, async_trait,
};
use jeton::reqwest;

use crate::show::note;

/// Opens the authorization URL and follows the redirects, as a browser does, up to the listener on loopback.
pub struct BuiltInBrowser;

#[async_trait]
impl Interaction for BuiltInBrowser {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        note(&format!("the browser goes to {}", prompt.url.origin().ascii_serialization()));
        note(&format!("and is redirected to {}", prompt.redirect_uri));
        let url = prompt.url.clone();
        // Beside the login: the listener answers the browser only when the code has been redeemed.
        tokio::spawn(async move {
            let browser = reqwest::Client::builder().no_proxy().build()?;
            browser.get(url).send().await?.error_for_status()
        });
        Ok(AuthorizationReply::Opened)
    }
}

/// Somebody who reads the code here and types it elsewhere; the embedded server approves by itself.
pub struct AtTheOtherDevice;

#[async_trait]
impl Interaction for AtTheOtherDevice {
    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        note(&format!("visit {} and enter code {}", prompt.verification_uri, prompt.user_code));
        Ok(())
    }
}
