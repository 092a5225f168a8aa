//! `Retry-After` (RFC 9110 §10.2.3): in seconds, as a date in each of its spellings, and as what nobody can read.

use std::time::{Duration, SystemTime};

use jeton_devserver::Fault;

use crate::row::{FIX_CONFIGURATION, RETRY, Row, check, lost, refused};

fn with(status: u16, retry_after: &str) -> Fault {
    Fault::Status { status, retry_after: Some(retry_after.to_owned()) }
}

fn unavailable(retry_after: &str) -> Row {
    refused(format!("503, Retry-After: {retry_after}"), with(503, retry_after), RETRY, "HTTP 503")
}

/// So many seconds from `now`, as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(now: SystemTime, seconds: u64) -> String {
    httpdate::fmt_http_date(now + Duration::from_secs(seconds))
}

/// The same as `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 850).
fn rfc850_date(now: SystemTime, seconds: u64) -> String {
    let date = date(now, seconds);
    let [weekday, day, month, year, time, zone] = date.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{date}")
    };
    let weekday = match weekday.trim_end_matches(',') {
        "Tue" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" => "Thursday",
        "Sat" => "Saturday",
        other => &format!("{other}day"),
    };
    format!("{weekday}, {day}-{month}-{} {time} {zone}", &year[2..])
}

/// The same as `Sun Nov  6 08:49:37 1994` (asctime).
fn asctime_date(now: SystemTime, seconds: u64) -> String {
    let date = date(now, seconds);
    let [weekday, day, month, year, time, _] = date.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{date}")
    };
    let day: u8 = day.parse().unwrap();
    format!("{} {month} {day:>2} {time} {year}", weekday.trim_end_matches(','))
}

#[tokio::test]
async fn in_seconds() {
    check(vec![
        unavailable("1").at(1),
        unavailable("7").at(7),
        unavailable("120").at(120),
        unavailable(" 7 ").at(7),
        // Nobody waits for longer than an hour: a slip of the server must not lock people out for weeks.
        unavailable("3600").at(3_600),
        unavailable("999999999").at(999_999_999),
        // A number all the same.
        unavailable("99999999999999999999999999").at(u32::MAX.into()),
        // Not what the RFC allows, but clear.
        unavailable("6.2").at(7),
    ])
    .await;
}

#[tokio::test]
async fn as_a_date() {
    check(vec![
        unavailable("an IMF-fixdate").at_time(|now| with(503, &date(now, 7))).at(7),
        unavailable("an IMF-fixdate far off").at_time(|now| with(503, &date(now, 90))).at(90),
        unavailable("an RFC 850 date").at_time(|now| with(503, &rfc850_date(now, 90))).at(90),
        unavailable("an asctime date").at_time(|now| with(503, &asctime_date(now, 90))).at(90),
        unavailable("a date next year").at_time(|now| with(503, &date(now, 31_536_000))).at(31_536_000),
        // "Any time": the usual back-off is all there is.
        unavailable("a date in the past").at_time(|now| with(503, &date(now - Duration::from_secs(90), 0))),
        unavailable("a date long past").at_time(|_| with(503, "Sun, 06 Nov 1994 08:49:37 GMT")),
        unavailable("just now").at_time(|now| with(503, &date(now, 0))),
    ])
    .await;
}

/// Then the back-off is what it is without the header.
#[tokio::test]
async fn as_nothing_that_can_be_read() {
    check(vec![
        unavailable("0"),
        unavailable("-5"),
        unavailable("soon"),
        unavailable("NaN"),
        unavailable("inf"),
        unavailable("-0.5"),
        unavailable("1e400"),
        unavailable(""),
        unavailable("120 seconds"),
        unavailable("2030-03-17T18:00:00Z"),
        unavailable("Sun, 99 Nov 1994 08:49:37 GMT"),
    ])
    .await;
}

/// A server that names a time has a reason, whatever its status.
#[tokio::test]
async fn under_other_statuses() {
    let oauth = |status, error: &str| Fault::Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into()), ("retry-after".into(), "7".into())],
        body: format!(r#"{{"error":"{error}"}}"#).into(),
    };
    check(vec![
        refused("429", with(429, "7"), RETRY, "HTTP 429").at(7),
        refused("408", with(408, "7"), RETRY, "HTTP 408").at(7),
        // Rate limits come under these, too.
        refused("403", with(403, "7"), RETRY, "HTTP 403").at(7),
        refused("400", with(400, "7"), RETRY, "HTTP 400").at(7),
        refused("404", with(404, "7"), RETRY, "HTTP 404").at(7),
        // What may have been acted on is not sent again while the token lives, whenever the server can be asked again.
        lost("500", with(500, "7"), RETRY, "HTTP 500").at(7),
        lost("502 for longer than the token lives", with(502, "120"), RETRY, "HTTP 502").at(120),
        lost("200 and a page", with(200, "7"), RETRY, "HTTP 200").at(7),
        refused("temporarily_unavailable", oauth(503, "temporarily_unavailable"), RETRY, "temporarily").at(7),
        refused("slow_down", oauth(400, "slow_down"), RETRY, "slow_down").at(7),
        refused("temporarily_unavailable under 200", oauth(200, "temporarily_unavailable"), RETRY, "200")
            .at(7),
        refused("an unknown code under 429", oauth(429, "rate_limited"), RETRY, "rate_limited").at(7),
        lost("server_error", oauth(500, "server_error"), RETRY, "server_error").at(7),
        // The way is wrong, and no wait mends that; the back-off is enough.
        refused("302", with(302, "7"), FIX_CONFIGURATION, "redirect [HTTP 302]"),
    ])
    .await;
}
