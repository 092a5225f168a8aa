//! The clock of this machine beside the server's, by the `Date` of an answer.

use std::time::{Duration, SystemTime};

use super::report::Group;

/// So much is no finding.
const TOLERATED: Duration = Duration::from_secs(30);

/// When a request went out, and when its answer was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) sent: SystemTime,
    pub(super) answered: SystemTime,
}

/// How far this machine's clock is from the server's, and by how much that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Skew {
    /// Positive if this machine is ahead.
    seconds: f64,
    uncertain: f64,
}

impl Skew {
    /// `date` was cut to whole seconds, at some moment while the request was under way.
    fn of(exchange: Exchange, date: SystemTime) -> Self {
        let round_trip = exchange.answered.duration_since(exchange.sent).unwrap_or_default().as_secs_f64();
        Self {
            seconds: difference(exchange.sent, date) + round_trip / 2.0 - 0.5,
            uncertain: round_trip / 2.0 + 0.5,
        }
    }
}

fn difference(one: SystemTime, other: SystemTime) -> f64 {
    match one.duration_since(other) {
        Ok(later) => later.as_secs_f64(),
        Err(earlier) => -earlier.duration().as_secs_f64(),
    }
}

pub(super) fn look(group: &mut Group, exchange: Exchange, date: Option<&str>) {
    let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        group.note("clock", "the server does not say what time it is (no `Date`)");
        return;
    };
    let skew = Skew::of(exchange, date);
    let size = skew.seconds.abs();
    if size <= TOLERATED.as_secs_f64() + skew.uncertain {
        group.ok("clock", format!("agrees with the server's, to {:.0} s", size.max(skew.uncertain).ceil()));
        return;
    }
    let (direction, consequence) = match skew.seconds > 0.0 {
        true => (
            "ahead of",
            "signatures made here (DPoP, private_key_jwt) come from the future for the server and are refused, and ID \
             tokens may seem to have expired",
        ),
        false => (
            "behind",
            "ID tokens seem to come from the future and are refused, and the server may take signatures made here for \
             expired",
        ),
    };
    group.mend(
        "clock",
        format!("this machine is {} {direction} the server: {consequence}", span(size)),
        "set this machine's clock (`timedatectl set-ntp true` where there is systemd)",
    );
}

fn span(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs_f64(seconds.round())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_round_trip_is_taken_into_account() {
        let at = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let exchange = Exchange { sent: at(1_000.0), answered: at(1_010.0) };
        // The server's clock showed 1005 to 1006 when half of the time was over.
        assert_eq!(Skew::of(exchange, at(1_005.0)), Skew { seconds: -0.5, uncertain: 5.5 });
        assert_eq!(Skew::of(exchange, at(945.0)).seconds, 59.5);
        assert_eq!(Skew::of(exchange, at(1_065.0)).seconds, -60.5);
    }
}
