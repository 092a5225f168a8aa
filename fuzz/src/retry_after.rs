//! The header `Retry-After` (RFC 9110 §10.2.3): seconds or a date.

use std::time::{Duration, UNIX_EPOCH};

use jeton_grants::{GrantError, PublicClient, Recovery, http};

use super::exchange::{Endpoint, refresh};

/// Checks one input: the value of the header.
pub fn check(data: &[u8]) {
    let endpoint = Endpoint {
        status: 503,
        content_type: b"text/plain".to_vec(),
        retry_after: data.to_owned(),
        body: b"busy".to_vec(),
    };
    let wait_at = |now: u64| {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        match refresh(&endpoint, "r", &PublicClient, now, false) {
            Err(error @ GrantError::Unusable { retry_after, .. }) => {
                assert_eq!(error.recovery(), Recovery::Retry { after: retry_after });
                assert!(!error.recovery().to_string().is_empty());
                retry_after
            }
            other => panic!("a busy server gave {other:?}"),
        }
    };
    let (now, later) = (1_700_000_000, 1_700_000_600);
    // What is no header never arrives.
    let header = http::HeaderValue::from_bytes(data).ok();
    let text = header.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let seconds: Option<f64> = match text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        true if !text.starts_with('.') => text.parse().ok(),
        _ => None,
    };
    match (wait_at(now), wait_at(later), seconds) {
        // "Any time" is no time to wait for.
        (None, None, seconds) => {
            assert!(seconds.is_none_or(|seconds| seconds == 0.0), "{text} s are ignored")
        }
        (Some(wait), wait_later, Some(seconds)) => {
            assert_eq!(Some(wait), wait_later, "a number of seconds counts from the answer");
            let least = seconds.min(u32::MAX.into());
            assert!((least..least + 1.0).contains(&wait.as_secs_f64()), "{text} became {wait:?}");
        }
        (Some(wait), wait_later, None) => {
            assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text} is taken for a time");
            let left = wait.checked_sub(Duration::from_secs(later - now)).filter(|left| !left.is_zero());
            assert_eq!(wait_later, left, "a date stays where it is");
        }
        (None, Some(wait), _) => panic!("{wait:?} came up as time went by"),
    }
}
