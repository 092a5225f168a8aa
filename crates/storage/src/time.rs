//! Unix time in milliseconds: what a record counts in, because a token of a few seconds needs more than seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The largest time that a record holds: readers in C, Go and Java keep times in signed 64 bits.
const MAX_MS: u64 = i64::MAX as u64;

/// Milliseconds since 1970 (Unix time), rounded down; 0 for a time before 1970.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// assert_eq!(jeton_storage::unix_ms(UNIX_EPOCH + Duration::from_micros(1_999)), 1);
/// ```
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(MAX_MS).min(MAX_MS)
}

/// Seconds as milliseconds; saturates.
pub(crate) fn seconds_to_ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000).min(MAX_MS)
}

/// A sum of milliseconds; saturates.
pub(crate) fn add_ms(one: u64, other: u64) -> u64 {
    one.saturating_add(other).min(MAX_MS)
}

/// A Unix time in milliseconds for people: `2026-03-01 12:00:05 UTC`.
pub(crate) fn readable(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar counted from 1 March, so that the leap day comes last: 146,097 days in 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        assert_eq!(readable(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(readable(951_782_399_999), "2000-02-28 23:59:59 UTC");
        assert_eq!(readable(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(readable(1_700_000_000_000), "2023-11-14 22:13:20 UTC");
        assert_eq!(readable(1_735_689_599_000), "2024-12-31 23:59:59 UTC");
    }

    #[test]
    fn sums_stay_within_what_others_can_read() {
        assert_eq!(seconds_to_ms(u64::MAX), MAX_MS);
        assert_eq!(add_ms(MAX_MS, 1), MAX_MS);
        assert_eq!(unix_ms(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
