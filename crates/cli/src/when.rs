//! Times for people ("in 53 min", "3 days ago") and for programs (Unix seconds).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When that is, seen from `now`. Rounded down, so that no token seems to live longer than it does.
pub(crate) fn relative(at: SystemTime, now: SystemTime) -> String {
    match at.duration_since(now) {
        Ok(ahead) => format!("in {}", span(ahead)),
        Err(error) => format!("{} ago", span(error.duration())),
    }
}

/// How long that is, in its one or two largest units.
pub(crate) fn span(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match duration.as_secs() {
        seconds @ 0..MINUTE => format!("{seconds} s"),
        seconds @ MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ HOUR..DAY => match seconds % HOUR / MINUTE {
            0 => format!("{} h", seconds / HOUR),
            minutes => format!("{} h {minutes} min", seconds / HOUR),
        },
        DAY..172_800 => "1 day".to_owned(),
        seconds => format!("{} days", seconds / DAY),
    }
}

/// A time as people type it, for the parser of arguments.
pub(crate) fn typed(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "a time is written 90s, 5m or 2h")
}

/// The time of day, in UTC and to the second.
pub(crate) fn utc(at: SystemTime) -> String {
    match rfc3339(at) {
        Some(text) => format!("{} UTC", text.trim_end_matches('Z').replace('T', " ")),
        None => "after the year 9999".to_owned(),
    }
}

/// The same for programs: `2026-01-02T03:04:05Z` (RFC 3339). Beyond the year 9999 there is no such text, and no token.
pub(crate) fn rfc3339(at: SystemTime) -> Option<String> {
    let is_written = at < UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    is_written.then(|| humantime::format_rfc3339_seconds(at).to_string())
}

pub(crate) fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The time of that many milliseconds since 1970; the last one that there is if it is none.
pub(crate) fn from_unix_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_units_that_people_use() {
        let now = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        for (seconds, ahead, ago) in [
            (0, "in 0 s", "in 0 s"),
            (59, "in 59 s", "59 s ago"),
            (60, "in 1 min", "1 min ago"),
            (3_599, "in 59 min", "59 min ago"),
            (3_600, "in 1 h", "1 h ago"),
            (3_661, "in 1 h 1 min", "1 h 1 min ago"),
            (86_399, "in 23 h 59 min", "23 h 59 min ago"),
            (86_400, "in 1 day", "1 day ago"),
            (172_800, "in 2 days", "2 days ago"),
            (86_400 * 400, "in 400 days", "400 days ago"),
        ] {
            let by = Duration::from_secs(seconds);
            assert_eq!(relative(now + by, now), ahead);
            assert_eq!(relative(now - by, now), ago);
        }
    }

    #[test]
    fn a_time_is_typed_with_its_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7_200), ("1h 30m", 5_400)] {
            assert_eq!(typed(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "abc", "90", "5 monkeys", "-5m", "999999999999999999999h"] {
            assert!(typed(text).unwrap_err().contains("5m"), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_text_and_a_number() {
        let at = UNIX_EPOCH + Duration::from_millis(1_900_000_000_999);
        assert_eq!(utc(at), "2030-03-17 17:46:40 UTC");
        assert_eq!(unix_seconds(at), 1_900_000_000);
        assert_eq!(from_unix_ms(1_900_000_000_999), at);
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(253_402_300_800)), "after the year 9999");
        assert!(from_unix_ms(u64::MAX) >= UNIX_EPOCH);
    }
}
