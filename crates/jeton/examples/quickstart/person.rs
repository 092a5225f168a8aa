//! Who signs in when nobody is at the keyboard: a browser that follows redirects, and a person with another device.

use std::error::Error;

use jeton::grants::bytes::Bytes;
use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError, async_trait,
    http,
};
use jeton::{HttpOptions, Limits, ReqwestTransport, Transport, Url};

use crate::show::note;

/// Opens the authorization URL and follows the redirects, as a browser does, up to the listener on loopback.
pub(crate) struct BuiltInBrowser;

#[async_trait]
impl Interaction for BuiltInBrowser {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        note(&format!("the browser goes to {}", prompt.url.origin().ascii_serialization()));
        note(&format!("and is redirected to {}", prompt.redirect_uri));
        // Beside the login: the listener answers the browser only when the code has been redeemed.
        tokio::spawn(follow_redirects(prompt.url.clone()));
        Ok(AuthorizationReply::Opened)
    }
}

async fn follow_redirects(mut url: Url) -> Result<(), Box<dyn Error + Send + Sync>> {
    let browser = ReqwestTransport::new(&HttpOptions::new())?;
    loop {
        let request = http::Request::get(url.as_str()).body(Bytes::new())?;
        let answer = browser.send(request, &Limits::default()).await?;
        let Some(location) = answer.headers().get(http::header::LOCATION) else { return Ok(()) };
        url = url.join(location.to_str()?)?;
    }
}

/// Somebody who reads the code here and types it elsewhere; the embedded server approves by itself.
pub(crate) struct AtTheOtherDevice;

#[async_trait]
impl Interaction for AtTheOtherDevice {
    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        note(&format!("visit {} and enter code {}", prompt.verification_uri, prompt.user_code));
        Ok(())
    }
}
