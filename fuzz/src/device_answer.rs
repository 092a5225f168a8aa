//! The answer of the device authorization endpoint (RFC 8628 §3.2).

use jeton_models::DeviceAuthorizationResponse;

use super::answer;
use super::disguise::{self, STAND_INS};
use super::property::printed;

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read = answer::readings(&answer, DeviceAuthorizationResponse::parse, |response| &response.warnings);
    if let Ok(response) = read.tolerant {
        assert!(!response.device_code.is_empty());
        let texts = [Some(&response.user_code), Some(&response.verification_uri)];
        for text in texts.into_iter().chain([response.verification_uri_complete.as_ref()]).flatten() {
            // A person reads them on a terminal.
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        }
        // A client that waits no time at all between two polls is thrown out.
        assert!(response.interval > 0 && response.expires_in > 0);
        assert!(response.expires_in <= i64::MAX.unsigned_abs());
    }
    let [one, other] = STAND_INS.map(|stand_in| {
        let body = disguise::json(answer.body, stand_in);
        printed(&serde_json::from_slice::<DeviceAuthorizationResponse>(&body))
    });
    assert_eq!(one, other, "a secret can be read from what serde says");
}
