//! An answer of the token endpoint on its whole way to the caller: whatever the server repeats of what it was sent, and
//! wherever, no error shows it.

use std::time::{Duration, UNIX_EPOCH};

use jeton_grants::{ClientSecretBasic, ClientSecretPost, GrantError, Recovery};

use super::exchange::{Endpoint, refresh};
use super::property::is_fit_to_be_shown;

/// What is sent. Each is spelled in another way in a form, and has no part that could stand in an answer by accident.
const REFRESH_TOKEN: &str = "r3fr3sh/t0k3n";
const CLIENT_SECRET: &str = "cl13nt s3cr3t";
/// Every spelling of them that a server could repeat: as it is, form-encoded, percent-encoded.
const SENT: [&str; 5] = [REFRESH_TOKEN, "r3fr3sh%2Ft0k3n", CLIENT_SECRET, "cl13nt+s3cr3t", "cl13nt%20s3cr3t"];
/// What HTTP Basic makes of the secret; sent with that method only.
const CREDENTIALS: &str = "Y2xpZW50OmNsMTNudCtzM2NyM3Q=";
const STATUSES: [u16; 8] = [200, 400, 401, 302, 429, 500, 503, 502];

/// Checks one input: a byte for status, authentication and strictness, the line `Content-Type`, the line `Retry-After`, the
/// body.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n').map(<[u8]>::to_owned);
    let mut next = || lines.next().unwrap_or_default();
    let endpoint = Endpoint {
        status: STATUSES[usize::from(choice & 7)],
        content_type: next(),
        retry_after: next(),
        body: next(),
    };
    let (basic, post) = (ClientSecretBasic::new(CLIENT_SECRET), ClientSecretPost::new(CLIENT_SECRET));
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let result = match choice & 8 {
        0 => refresh(&endpoint, REFRESH_TOKEN, &basic, now, choice & 64 != 0),
        _ => refresh(&endpoint, REFRESH_TOKEN, &post, now, choice & 64 != 0),
    };
    let error = match result {
        Ok(_) => return assert_eq!(endpoint.status, 200),
        Err(error) => error,
    };
    is_fit_to_be_shown(&error);
    let shown = format!("{error} {error:?} {}", error.recovery());
    for sent in SENT.into_iter().chain((choice & 8 == 0).then_some(CREDENTIALS)) {
        assert!(!shown.contains(sent), "what was sent is shown: {shown}");
    }
    match &error {
        GrantError::Redirected { status, .. } => assert_eq!(*status, endpoint.status),
        GrantError::OAuth { error: answer, .. } => {
            assert_eq!(answer.status, endpoint.status);
            // A server that cannot work or has no time gives no verdict on the login.
            let verdict = !matches!(endpoint.status, 429 | 500..);
            assert!(error.is_invalid_grant() || answer.code() != "invalid_grant" || !verdict);
            assert!(!error.is_invalid_grant() || verdict && error.recovery() == Recovery::LogIn);
        }
        GrantError::Unusable { answer, .. } => {
            assert_eq!(answer.status, endpoint.status);
            assert_ne!(
                error.recovery(),
                Recovery::LogIn,
                "no login ends over an answer without an OAuth error"
            );
            assert!(!error.is_invalid_grant());
            // Nothing could be said about a refresh token that only this value holds, were it dropped here.
            assert!(answer.refresh_token.is_none() || endpoint.status == 200);
        }
        other => panic!("an answer makes no such error: {other:?}"),
    }
}
