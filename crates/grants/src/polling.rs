//! Polling the token endpoint until a person has decided elsewhere: the device grant (RFC 8628 §3.5) and CIBA (CIBA Core §11).

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::{GrantType, Parameters, TokenResponse};

use crate::{GrantContext, GrantError, InteractionError, LoginOutcome, Recovery};

/// How often the countdown is shown.
const TICK: Duration = Duration::from_secs(1);

/// By how much `slow_down` lengthens the interval, for good (RFC 8628 §3.5, CIBA Core §11).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// The longest interval that backing off leads to.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// What is waited for.
#[async_trait]
pub(crate) trait Awaited: Send + Sync {
    /// When there is no use in waiting any longer.
    fn expires_at(&self) -> SystemTime;

    /// The error of that moment.
    fn expired(&self) -> GrantError;

    /// Called about once a second.
    async fn pending(&self, cx: &GrantContext<'_>, remaining: Duration) -> Result<(), InteractionError>;
}

/// Sends the token request again and again, in the server's pace, until it is answered or the time is over.
pub(crate) async fn poll(
    cx: &GrantContext<'_>,
    awaited: &dyn Awaited,
    grant_type: &GrantType,
    parameters: &Parameters,
    mut interval: Duration,
) -> Result<TokenResponse, GrantError> {
    let mut wait = interval;
    loop {
        countdown(cx, awaited, wait).await?;
        wait = match cx.token_request(grant_type, parameters.clone()).await {
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

/// Waits, showing the countdown about once a second, until it is time to poll or the time is over.
///
/// What has been slept is counted, not read off the clock: somebody may set that back, and polling would stop for as long.
async fn countdown(cx: &GrantContext<'_>, awaited: &dyn Awaited, wait: Duration) -> Result<(), GrantError> {
    let mut rest = wait;
    loop {
        let Some(remaining) = left(cx.clock.now(), awaited.expires_at()) else {
            return Err(awaited.expired());
        };
        if rest.is_zero() {
            return Ok(());
        }
        awaited.pending(cx, remaining).await?;
        let pause = rest.min(TICK).min(remaining);
        cx.clock.sleep(pause).await;
        rest = rest.saturating_sub(pause);
    }
}

fn left(now: SystemTime, until: SystemTime) -> Option<Duration> {
    until.duration_since(now).ok().filter(|left| !left.is_zero())
}

/// When something expires that lives for so long. A lifetime that the calendar cannot hold is as good as a year.
pub(crate) fn end_of_life(asked_at: SystemTime, expires_in: u64) -> SystemTime {
    asked_at
        .checked_add(Duration::from_secs(expires_in))
        .or_else(|| asked_at.checked_add(Duration::from_secs(365 * 24 * 3600)))
        .unwrap_or(asked_at)
}

/// Tells the person how it ended.
pub(crate) async fn tell_the_end(cx: &GrantContext<'_>, result: &Result<TokenResponse, GrantError>) {
    let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let outcome = match result {
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
}
