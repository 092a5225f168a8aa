//! The table: a row for each scenario as it ends, the sum below, and what was broken, if anything was.

use super::verdict::Row;

/// The head of the table.
pub fn head() -> String {
    let mut lines = format!(
        "{:32} {:15} {:>6} {:>9} {:>6} {:>9} {:>9} {:>10} {:>10} {:>5} {:>7} {:>8} {:>23} {:>17}",
        "scenario",
        "store",
        "shape",
        "rotations",
        "kills",
        "in window",
        "ans. lost",
        "duplicates",
        "logins lost",
        "other",
        "reuses",
        "errors",
        "wait ms p50/p99/max",
        "window ms p50/p99",
    );
    lines.push('\n');
    lines + &"-".repeat(186)
}

/// One scenario.
pub fn line(row: &Row) -> String {
    if let Some(why) = &row.skipped {
        return format!("{:32} {:15} skipped: {why}", row.scenario, row.store);
    }
    let wait = format!("{:.1}/{:.0}/{:.0}", row.wait_ms.p50, row.wait_ms.p99, row.wait_ms.max);
    let window = format!("{:.1}/{:.1}", row.window_ms.p50, row.window_ms.p99);
    format!(
        "{:32} {:15} {:>6} {:>9} {:>6} {:>9} {:>9} {:>10} {:>11} {:>5} {:>6} {:>8} {:>23} {:>17}{}",
        row.scenario,
        row.store,
        row.shape,
        row.rotations,
        row.kills,
        row.kills_in_window,
        row.answers_lost,
        row.duplicates,
        row.lost_in_window + row.lost_with_answer,
        row.lost_otherwise,
        row.reuses,
        row.error_count(),
        if row.scenario == "total" { String::new() } else { wait },
        if row.scenario == "total" { String::new() } else { window },
        if row.broken.is_empty() { "" } else { "  BROKEN" },
    )
}

/// What the columns mean.
pub const LEGEND: &str = "\
in window    processes killed between the server's commit and the end of the save
ans. lost    answers that never arrived although the server had committed
duplicates   refreshes although a saved token was still fresh                                  (promised: 0)
logins lost  to a kill in the window or with a lost answer, which no client can prevent
other        logins lost in any other way                                                      (promised: 0)
reuses       how often the server saw a used refresh token
wait         of callers that found no valid token in memory
window       from the server's commit to the end of the save, for the answers that were saved";

/// How long the window is on each store, from the scenarios in which nothing goes wrong.
pub fn windows(rows: &[Row]) -> Vec<String> {
    let steady = rows.iter().filter(|row| row.scenario.ends_with("steady") && row.skipped.is_none());
    let line = |row: &Row| {
        let (window, save) = (&row.window_ms, &row.save_ms);
        format!(
            "window on {}: p50 {:.1} ms, p99 {:.1} ms, of which the save: p50 {:.1} ms, p99 {:.1} ms",
            row.store, window.p50, window.p99, save.p50, save.p99
        )
    };
    steady.map(line).collect()
}

/// Errors by kind, kills by point: one line each, if there are any.
pub fn details(row: &Row) -> Vec<String> {
    let list = |of: &std::collections::BTreeMap<String, usize>| {
        of.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if !row.kills_by_point.is_empty() {
        lines.push(format!("kills by point: {}", list(&row.kills_by_point)));
    }
    if row.kills_in_window > 0 {
        lines.push(format!(
            "kills in the window: {}, of which the store or the server's grace has made good: {}",
            row.kills_in_window, row.kills_in_window_kept
        ));
    }
    if row.forgiven > 0 {
        lines.push(format!("used refresh tokens forgiven by the server: {}", row.forgiven));
    }
    if row.stops > 0 {
        lines.push(format!("processes stopped for a while: {}", row.stops));
    }
    if row.disturbances > 0 {
        lines.push(format!(
            "times that the disk or the clock was changed, or the keychain restarted: {}",
            row.disturbances
        ));
    }
    if row.answers_not_saved > 0 {
        lines.push(format!("answers that the store did not take at first: {}", row.answers_not_saved));
    }
    if row.asked_after_end > 0 {
        lines.push(format!("requests for a login that the server had ended: {}", row.asked_after_end));
    }
    if !row.errors.is_empty() {
        lines.push(format!(
            "errors of callers: {} (calls that waited and were served: {})",
            list(&row.errors),
            row.served
        ));
    }
    lines
}
