//! The answer of the backchannel authentication endpoint (CIBA Core §7.3).

use jeton_models::BackchannelAuthenticationResponse;

use super::answer;
use super::disguise::{self, STAND_INS};
use super::property::printed;

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read =
        answer::readings(&answer, BackchannelAuthenticationResponse::parse, |response| &response.warnings);
    if let Ok(response) = read.tolerant {
        assert!(!response.auth_req_id.is_empty());
        // A client that waits no time at all between two polls is thrown out.
        assert!(response.interval > 0 && response.expires_in > 0);
        assert!(response.expires_in <= i64::MAX.unsigned_abs());
    }
    let [one, other] = STAND_INS.map(|stand_in| {
        let body = disguise::json(answer.body, stand_in);
        printed(&serde_json::from_slice::<BackchannelAuthenticationResponse>(&body))
    });
    assert_eq!(one, other, "a secret can be read from what serde says");
}
