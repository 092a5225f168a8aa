//! What both sides saw: the server's decisions, and what the processes told up to their end. And what became of each refresh
//! token that the server gave away.

use std::collections::{BTreeMap, HashMap};

use jeton_devserver::{RefreshEvent, RefreshOutcome};
use jeton_models::Secret;

use super::event::{Event, What, now_us};

/// How long a line of the trail may be, in characters.
const WIDTH: usize = 160;

/// What the server decided on one refresh request. Tokens show as fingerprints.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) at_us: u64,
    /// The server's number of the login; an account that had to log in anew has several.
    pub(super) login: u64,
    pub(super) account: usize,
    pub(super) request: String,
    pub(super) presented: String,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Committed, with this new refresh token.
    Granted { refresh: String, forgiven: bool },
    /// A used refresh token came again: the login is over.
    Reused,
    /// Refused, because the login was over before.
    Refused,
}

impl Decision {
    /// As the server told it; `None` if it knows no such token.
    pub(super) fn of(event: &RefreshEvent) -> Option<Self> {
        let fingerprint = |token: &str| Secret::from(token).fingerprint();
        let presented = fingerprint(&event.presented);
        let outcome = match &event.outcome {
            RefreshOutcome::Granted { refresh_token, forgiven } => Outcome::Granted {
                refresh: refresh_token.as_deref().map_or_else(|| presented.clone(), fingerprint),
                forgiven: *forgiven,
            },
            RefreshOutcome::ReuseDetected => Outcome::Reused,
            _ => Outcome::Refused,
        };
        Some(Self {
            at_us: now_us(),
            login: event.login?,
            account: event.subject.as_deref()?.strip_prefix('a')?.parse().ok()?,
            request: event.request_id.clone().unwrap_or_default(),
            presented,
            outcome,
        })
    }

    /// The process that sent the request.
    pub(super) fn process(&self) -> &str {
        self.request.rsplit_once('-').map_or("", |(process, _)| process)
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(super) struct Death {
    /// When that was noticed.
    pub(super) at_us: u64,
    /// By a kill, its own or the lab's.
    pub(super) killed: bool,
    /// The exit status and what it wrote to its standard error.
    pub(super) how: String,
    /// Whether it ended well: by a kill, or when it was told to.
    pub(super) well: bool,
}

/// What the store has in the end.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// A login that goes on.
    Live { refresh: String, good: bool },
    /// A login that is over; whether the server would still take its refresh token.
    Ended { good: bool },
    /// Nothing, or nothing that can be read.
    Nothing(String),
}

/// What became of a refresh token that the server gave away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The process saved it, at that moment.
    Saved { at_us: u64 },
    /// The process was killed before it had told of a save. `kept` if the store has it all the same.
    Killed { kept: bool },
    /// No answer arrived, or none from which the token could be read.
    AnswerLost,
    /// It arrived, and the store did not take it.
    NotSaved,
    /// It arrived and was not saved, and nothing tells why.
    Vanished,
}

/// Everything that is known of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) decisions: Vec<Decision>,
    /// In the order in which it happened; with the process's name.
    pub(super) trail: Vec<(String, Event)>,
    pub(super) deaths: HashMap<String, Death>,
    pub(super) stored: BTreeMap<usize, Stored>,
}

impl Ledger {
    /// The decisions of each login, in their order.
    pub(super) fn logins(&self) -> BTreeMap<u64, Vec<&Decision>> {
        let mut logins: BTreeMap<u64, Vec<&Decision>> = BTreeMap::new();
        self.decisions.iter().for_each(|decision| logins.entry(decision.login).or_default().push(decision));
        logins
    }

    /// What happened to a request in its process.
    pub(super) fn index(&self) -> Index<'_> {
        let mut index = Index { requests: HashMap::new(), saves: HashMap::new(), rejected: HashMap::new() };
        for (process, event) in &self.trail {
            match &event.what {
                What::Sending { request, .. }
                | What::Answered { request, .. }
                | What::Unanswered { request, .. } => {
                    index.requests.entry(request).or_default().push(event);
                }
                What::Saved { refresh: Some(refresh), .. }
                | What::NotSaved { refresh: Some(refresh), .. } => {
                    index.saves.entry((process, refresh)).or_default().push(event);
                }
                What::Rejected { access } => {
                    index.rejected.entry(access).or_insert(event.at_us);
                }
                _ => {}
            }
        }
        index
    }

    /// The lines of the trail about an account, within a span of time, with the server's decisions among them.
    pub(super) fn lines(&self, account: usize, from_us: u64, to_us: u64) -> Vec<String> {
        let span = from_us..=to_us;
        let mut lines: Vec<(u64, String)> = Vec::new();
        for (process, event) in &self.trail {
            let concerns = event.account.is_none_or(|of| of == account);
            if concerns && span.contains(&event.at_us) {
                let text: String = format!("{:?}", event.what).chars().take(WIDTH).collect();
                lines.push((event.at_us, format!("{process:>5}  {text}")));
            }
        }
        for decision in self.decisions.iter().filter(|d| d.account == account && span.contains(&d.at_us)) {
            let Decision { login, request, presented, outcome, .. } = decision;
            let text = format!("server  login {login}: {presented} presented by {request}: {outcome:?}");
            lines.push((decision.at_us, text));
        }
        for (process, death) in self.deaths.iter().filter(|(_, death)| span.contains(&death.at_us)) {
            lines.push((death.at_us, format!("{process:>5}  ended: {}", death.how)));
        }
        lines.sort();
        let first = lines.first().map_or(0, |(at, _)| *at);
        lines
            .into_iter()
            .map(|(at, line)| format!("{:>10.3} ms  {line}", (at - first) as f64 / 1e3))
            .collect()
    }
}

/// The trail by request and by save.
pub(super) struct Index<'a> {
    requests: HashMap<&'a str, Vec<&'a Event>>,
    saves: HashMap<(&'a str, &'a str), Vec<&'a Event>>,
    /// When an access token was first rejected.
    pub(super) rejected: HashMap<&'a str, u64>,
}

impl Index<'_> {
    /// The request as its process sent it.
    pub(super) fn sending(&self, request: &str) -> Option<&Event> {
        self.requests.get(request)?.iter().copied().find(|event| matches!(event.what, What::Sending { .. }))
    }

    /// The access token that came back.
    pub(super) fn access(&self, request: &str) -> Option<&str> {
        self.requests.get(request)?.iter().find_map(|event| match &event.what {
            What::Answered { access, .. } => access.as_deref(),
            _ => None,
        })
    }

    /// What became of what was granted.
    pub(super) fn fate(&self, ledger: &Ledger, decision: &Decision, granted: &str) -> Fate {
        let process = decision.process();
        let sent_us = self.sending(&decision.request).map_or(0, |event| event.at_us);
        let saves = self.saves.get(&(process, granted)).map(Vec::as_slice).unwrap_or_default();
        let mut since = saves.iter().filter(|event| event.at_us >= sent_us);
        if let Some(saved) = since.clone().find(|event| matches!(event.what, What::Saved { .. })) {
            return Fate::Saved { at_us: saved.at_us };
        }
        let end = self.requests.get(decision.request.as_str()).and_then(|events| {
            events.iter().find_map(|event| match &event.what {
                What::Answered { refresh, .. } => Some(refresh.as_deref() == Some(granted)),
                What::Unanswered { .. } => Some(false),
                _ => None,
            })
        });
        if end == Some(false) {
            return Fate::AnswerLost;
        }
        if ledger.deaths.get(process).is_some_and(|death| death.killed) {
            let presented = ledger.decisions.iter().any(|later| later.presented == granted);
            let stored = ledger.stored.get(&decision.account);
            let kept =
                presented || matches!(stored, Some(Stored::Live { refresh, .. }) if refresh == granted);
            return Fate::Killed { kept };
        }
        match since.any(|event| matches!(event.what, What::NotSaved { .. })) {
            true => Fate::NotSaved,
            false => Fate::Vanished,
        }
    }
}
