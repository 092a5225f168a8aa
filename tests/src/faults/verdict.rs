//! The judgement on a run: was every promise kept, and what did it cost.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::event::{Event, Point, What};
use super::ledger::{Decision, Fate, Index, Ledger, Outcome, Stored};
use super::scenario::Scenario;

/// How much of the trail before and after a broken promise is shown, in microseconds.
const SHOWN_BEFORE_US: u64 = 1_500_000;
const SHOWN_AFTER_US: u64 = 300_000;

/// Errors that no caller may ever see: the store's files are torn, or a defect.
const NEVER: [&str; 6] = [
    "store/Damaged",
    "store/NewerFormat",
    "store/WrongKey",
    "store/lease-timeout-unnamed",
    "Panicked",
    "store/Other",
];

/// One row of the table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The store.
    pub store: String,
    /// Why it was not run.
    pub skipped: Option<String>,
    /// Processes and threads of each.
    pub shape: String,
    /// Refreshes that the server committed.
    pub rotations: usize,
    /// Those that it forgave.
    pub forgiven: usize,
    /// Processes that were killed.
    pub kills: usize,
    /// By where they had got to.
    pub kills_by_point: BTreeMap<String, usize>,
    /// Processes that were stopped for a while.
    pub stops: usize,
    /// How often the disk was full or read-only, the clock stepped.
    pub disturbances: usize,
    /// Kills between the server's commit and the end of the save.
    pub kills_in_window: usize,
    /// Of these, those that lost nothing: the save was done, or the server forgave.
    pub kills_in_window_kept: usize,
    /// Answers that never arrived after the server had committed.
    pub answers_lost: usize,
    /// Answers that arrived and that the store did not take.
    pub answers_not_saved: usize,
    /// Logins that were lost to a kill in the window.
    pub lost_in_window: usize,
    /// Logins that were lost with their answer.
    pub lost_with_answer: usize,
    /// Logins that were lost in any other way. None, if jeton keeps its promise.
    pub lost_otherwise: usize,
    /// Refreshes although the token of the one before was saved and still fresh. None, if jeton keeps its promise.
    pub duplicates: usize,
    /// How often the server saw a used refresh token.
    pub reuses: usize,
    /// How often a login that the server had ended was asked for again.
    pub asked_after_end: usize,
    /// Calls that had to wait and got a token.
    pub served: usize,
    /// Errors that callers saw, by kind.
    pub errors: BTreeMap<String, usize>,
    /// How long callers waited who found no valid token in memory, in milliseconds.
    pub wait_ms: Quantiles,
    /// From the server's commit to the end of the save, in milliseconds.
    pub window_ms: Quantiles,
    /// The save alone, in milliseconds.
    pub save_ms: Quantiles,
    /// How long it ran, in seconds.
    pub seconds: f64,
    /// Every broken promise, with its trail. Empty, if all is well.
    pub broken: Vec<String>,
}

/// Of a set of durations.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them were no longer.
    pub p50: f64,
    /// All but a hundredth were no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    fn of_us(mut us: Vec<u64>) -> Self {
        us.sort_unstable();
        let at = |share: f64| {
            let index = ((us.len() as f64 * share).ceil() as usize).saturating_sub(1);
            us.get(index).map_or(0.0, |us| *us as f64 / 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl Row {
    /// A scenario that could not be run.
    pub(super) fn skipped(scenario: &Scenario, why: String) -> Self {
        Self {
            scenario: scenario.name.clone(),
            store: scenario.store.name().to_owned(),
            skipped: Some(why),
            ..Self::default()
        }
    }

    /// All errors that callers saw.
    pub fn error_count(&self) -> usize {
        self.errors.values().sum()
    }
}

/// Looks at everything that is known of the run.
pub(super) fn judge(scenario: &Scenario, ledger: &Ledger, seconds: f64) -> Row {
    let index = ledger.index();
    let row = Row {
        scenario: scenario.name.clone(),
        store: scenario.store.name().to_owned(),
        shape: format!("{}x{}", scenario.processes, scenario.threads),
        seconds,
        ..Row::default()
    };
    let mut judge = Judge { scenario, ledger, index, row, windows_us: Vec::new() };
    judge.processes();
    judge.callers();
    judge.leases();
    for (login, decisions) in ledger.logins() {
        judge.login(login, &decisions);
    }
    judge.what_is_stored();
    judge.whether_anything_happened();
    judge.row.window_ms = Quantiles::of_us(judge.windows_us);
    judge.row
}

struct Judge<'a> {
    scenario: &'a Scenario,
    ledger: &'a Ledger,
    index: Index<'a>,
    row: Row,
    windows_us: Vec<u64>,
}

impl Judge<'_> {
    fn broken(&mut self, what: &str, account: usize, at_us: u64) {
        let trail = self.ledger.lines(account, at_us.saturating_sub(SHOWN_BEFORE_US), at_us + SHOWN_AFTER_US);
        self.row.broken.push(format!("account a{account}: {what}\n    {}", trail.join("\n    ")));
    }

    fn processes(&mut self) {
        for (name, death) in &self.ledger.deaths {
            self.row.kills += usize::from(death.killed);
            if !death.well {
                self.row.broken.push(format!("process {name} ended badly: {}", death.how));
            }
        }
        for (process, event) in &self.ledger.trail {
            match &event.what {
                What::Dying { point } => {
                    *self.row.kills_by_point.entry(point.name().to_owned()).or_default() += 1;
                }
                What::Stopping { .. } => self.row.stops += 1,
                What::Panicked { what } => {
                    self.row.broken.push(format!("process {process} panicked: {what}"))
                }
                _ => {}
            }
        }
    }

    fn callers(&mut self) {
        let (mut waits_us, mut saves_us) = (Vec::new(), Vec::new());
        for (_, event) in &self.ledger.trail {
            match &event.what {
                What::Served { waited_us } => {
                    self.row.served += 1;
                    waits_us.push(*waited_us);
                }
                What::Failed { waited_us, kind, text } => {
                    let count = self.row.errors.entry(kind.clone()).or_default();
                    *count += 1;
                    waits_us.push(*waited_us);
                    if *count == 1 && NEVER.contains(&kind.as_str()) {
                        self.row.broken.push(format!("a caller got an error that nobody should get: {text}"));
                    }
                }
                What::Saved { took_us, .. } => saves_us.push(*took_us),
                _ => {}
            }
        }
        self.row.wait_ms = Quantiles::of_us(waits_us);
        self.row.save_ms = Quantiles::of_us(saves_us);
    }

    /// No two processes, nor two tasks of one, ever hold the lease on a login at the same time.
    fn leases(&mut self) {
        let ended = |process: &str, account: usize| {
            let events = self.ledger.trail.iter().rev();
            let mut own = events.filter(|(of, event)| of == process && event.account == Some(account));
            own.next().map_or(0, |(_, event)| event.at_us)
        };
        let mut holders: HashMap<usize, (&str, u64)> = HashMap::new();
        let mut found = Vec::new();
        for (process, event) in &self.ledger.trail {
            let Some(account) = event.account else { continue };
            match event.what {
                What::Leased => {
                    if let Some((holder, _)) = holders.insert(account, (process, event.at_us))
                        && (holder == process || ended(holder, account) > event.at_us)
                    {
                        found.push((
                            format!("{process} and {holder} hold the lease at once"),
                            account,
                            event.at_us,
                        ));
                    }
                }
                What::Released if holders.get(&account).is_some_and(|(holder, _)| holder == process) => {
                    holders.remove(&account);
                }
                _ => {}
            }
        }
        found.iter().for_each(|(what, account, at_us)| self.broken(what, *account, *at_us));
    }

    /// One login at the server, from its beginning to its end.
    fn login(&mut self, login: u64, decisions: &[&Decision]) {
        let mut fates: HashMap<&str, Fate> = HashMap::new();
        // The last refresh whose token was saved: when, by which request.
        let mut saved: Option<(u64, &Decision)> = None;
        let mut over = false;
        for decision in decisions {
            match &decision.outcome {
                Outcome::Granted { refresh, forgiven } => {
                    self.row.rotations += 1;
                    self.row.forgiven += usize::from(*forgiven);
                    if let Some((saved_us, before)) = saved {
                        self.check_need(before, saved_us, decision);
                    }
                    let fate = self.index.fate(self.ledger, decision, refresh);
                    self.count(fate, decision);
                    saved = match fate {
                        Fate::Saved { at_us } => Some((at_us, decision)),
                        _ => None,
                    };
                    fates.insert(&decision.presented, fate);
                }
                Outcome::Reused => {
                    self.row.reuses += 1;
                    self.row.asked_after_end += usize::from(over);
                    if !std::mem::replace(&mut over, true) {
                        let fate = fates.get(decision.presented.as_str()).copied();
                        self.lost(login, fate, decision.account, decision.at_us);
                    }
                }
                Outcome::Refused => {
                    self.row.asked_after_end += usize::from(over);
                    if !over {
                        let what = "the server refused a refresh token although its login goes on";
                        self.broken(what, decision.account, decision.at_us);
                    }
                }
            }
        }
    }

    fn count(&mut self, fate: Fate, decision: &Decision) {
        match fate {
            Fate::Saved { at_us } => self.windows_us.push(at_us.saturating_sub(decision.at_us)),
            Fate::Killed { kept } => {
                self.row.kills_in_window += 1;
                self.row.kills_in_window_kept += usize::from(kept);
            }
            Fate::AnswerLost => self.row.answers_lost += 1,
            Fate::NotSaved => self.row.answers_not_saved += 1,
            Fate::Vanished => {
                let what = "an answer with a new refresh token was neither saved nor refused by the store";
                self.broken(what, decision.account, decision.at_us);
            }
        }
    }

    /// Was there a need for this refresh, when the one before it had been saved at that time?
    fn check_need(&mut self, before: &Decision, saved_us: u64, next: &Decision) {
        let (Some(first), Some(second)) =
            (self.index.sending(&before.request), self.index.sending(&next.request))
        else {
            return;
        };
        let What::Sending { asked_ms, .. } = first.what else { return };
        let offset_ms = |event: &Event| event.clock_ms as i64 - (event.at_us / 1_000) as i64;
        let stepped = offset_ms(first).abs_diff(offset_ms(second)) > 100;
        // An answer may bring a refresh token and no access token.
        let Some(access) = self.index.access(&before.request) else { return };
        let was_rejected = self.index.rejected.get(access).is_some_and(|at_us| *at_us <= second.at_us);
        let fresh_until_ms = asked_ms + self.scenario.fresh_ms();
        let sent_later = second.at_us > saved_us;
        if sent_later && second.clock_ms < fresh_until_ms && !stepped && !was_rejected {
            self.row.duplicates += 1;
            let early = fresh_until_ms - second.clock_ms;
            let what = format!("{} refreshed {early} ms before there was a need", next.request);
            self.broken(&what, next.account, next.at_us);
        }
    }

    /// The login is lost: by what became of the refresh that used up the token that came again.
    fn lost(&mut self, login: u64, fate: Option<Fate>, account: usize, at_us: u64) {
        let forgives = self.scenario.grace.is_some();
        match fate {
            Some(Fate::Killed { .. }) if !forgives => self.row.lost_in_window += 1,
            Some(Fate::AnswerLost) if !forgives && self.scenario.loses_answers() => {
                self.row.lost_with_answer += 1;
            }
            _ => {
                self.row.lost_otherwise += 1;
                let what = format!("login {login} was lost, which nothing excuses ({fate:?})");
                self.broken(&what, account, at_us);
            }
        }
    }

    /// In the end the store has, of each login, the refresh token that the server would take.
    fn what_is_stored(&mut self) {
        let logins = self.ledger.logins();
        for (account, stored) in &self.ledger.stored {
            let last = logins.iter().rev().find(|(_, decisions)| decisions[0].account == *account);
            let at_us = last.and_then(|(_, decisions)| decisions.last()).map_or(0, |last| last.at_us);
            let over =
                last.is_some_and(|(_, decisions)| decisions.iter().any(|d| d.outcome == Outcome::Reused));
            match stored {
                Stored::Live { good: true, .. } => {}
                Stored::Ended { good: false } if over => {}
                Stored::Ended { good } => {
                    self.row.lost_otherwise += 1;
                    let what =
                        format!("the store calls a login ended; the server would take its token: {good}");
                    self.broken(&what, *account, at_us);
                }
                Stored::Live { good: false, .. } if over => {
                    // The server said so to a process that could not write it down any more.
                }
                Stored::Live { refresh, good: false } => {
                    // Used up, and nobody has found out yet.
                    let cause = last.and_then(|(_, decisions)| {
                        decisions.iter().rev().find(|decision| decision.presented == *refresh)
                    });
                    let fate = cause.and_then(|decision| match &decision.outcome {
                        Outcome::Granted { refresh, .. } => {
                            Some(self.index.fate(self.ledger, decision, refresh))
                        }
                        _ => None,
                    });
                    let login = last.map_or(0, |(login, _)| *login);
                    // With a grace period the next to come gets its successor.
                    if self.scenario.grace.is_none() || fate.is_none() {
                        self.lost(login, fate, *account, at_us);
                    }
                }
                Stored::Nothing(why) => {
                    self.row.lost_otherwise += 1;
                    self.broken(&format!("the store has no login: {why}"), *account, at_us);
                }
            }
        }
    }
}

/// After so many rotations, what a scenario is about has happened; else it proves nothing.
const ENOUGH: usize = 150;

impl Judge<'_> {
    fn whether_anything_happened(&mut self) {
        let row = &mut self.row;
        let kills = self.scenario.kill_every.is_some() || !self.scenario.kills.is_empty();
        for (wanted, happened, what) in [
            (kills, row.kills, "nobody was killed"),
            (!self.scenario.stops.is_empty(), row.stops, "nobody was stopped"),
            (self.scenario.loses_answers(), row.answers_lost, "no answer got lost"),
        ] {
            if wanted && happened == 0 && row.rotations >= ENOUGH {
                row.broken.push(format!("{what}: this run proves nothing"));
            }
        }
    }
}

/// All rows in one.
pub fn total(rows: &[Row]) -> Row {
    let mut total = Row { scenario: "total".to_owned(), ..Row::default() };
    for row in rows {
        total.rotations += row.rotations;
        total.forgiven += row.forgiven;
        total.kills += row.kills;
        total.stops += row.stops;
        total.disturbances += row.disturbances;
        total.kills_in_window += row.kills_in_window;
        total.kills_in_window_kept += row.kills_in_window_kept;
        total.answers_lost += row.answers_lost;
        total.answers_not_saved += row.answers_not_saved;
        total.lost_in_window += row.lost_in_window;
        total.lost_with_answer += row.lost_with_answer;
        total.lost_otherwise += row.lost_otherwise;
        total.duplicates += row.duplicates;
        total.reuses += row.reuses;
        total.asked_after_end += row.asked_after_end;
        total.served += row.served;
        total.seconds += row.seconds;
        row.errors.iter().for_each(|(kind, count)| *total.errors.entry(kind.clone()).or_default() += count);
        for point in Point::ALL {
            if let Some(count) = row.kills_by_point.get(point.name()) {
                *total.kills_by_point.entry(point.name().to_owned()).or_default() += count;
            }
        }
        total.broken.extend(row.broken.iter().cloned());
    }
    total
}
