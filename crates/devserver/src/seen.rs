//! What the server saw: a bounded list of exchanges, kept for the page that shows it and told to who listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::answer::Answer;
use crate::authorization::Pending;
use crate::client_authentication;
use crate::exchange::{Exchange, Outcome};
use crate::faults::Fault;
use crate::record::RecordedRequest;
use crate::serve::{Cut, Reply};
use crate::server::Shared;
use crate::state::State;

/// How many exchanges are kept; older ones fall out.
const KEPT: usize = 500;

pub(crate) type ExchangeListener = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// The newest exchanges, oldest first.
pub(crate) struct Seen {
    exchanges: VecDeque<Exchange>,
    count: u64,
    listener: Option<ExchangeListener>,
    /// What the page's forms show, so that no other page can press its buttons; none where there is no page.
    pub(crate) form_token: Option<String>,
}

impl Seen {
    pub(crate) fn new(form_token: Option<String>, listener: Option<ExchangeListener>) -> Self {
        Self { exchanges: VecDeque::new(), count: 0, listener, form_token }
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().rev()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.number == number)
    }

    fn find(&mut self, number: u64) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().rev().find(|exchange| exchange.number == number)
    }

    pub(crate) fn clear(&mut self) {
        self.exchanges.clear();
    }

    fn push(&mut self, exchange: Exchange) {
        self.exchanges.push_back(exchange);
        if self.exchanges.len() > KEPT {
            self.exchanges.pop_front();
        }
    }

    fn is_asked_for(&self) -> bool {
        self.form_token.is_some() || self.listener.is_some()
    }
}

/// Notes a request that has just arrived, if anybody wants to see it; gives its number.
pub(crate) fn arrived(state: &mut State, now: SystemTime, record: &RecordedRequest) -> Option<u64> {
    if !state.seen.is_asked_for() {
        return None;
    }
    state.seen.count += 1;
    let number = state.seen.count;
    let mut exchange = Exchange::new(number, now, record);
    (exchange.client_id, exchange.user) = whose(state, record);
    state.seen.push(exchange);
    Some(number)
}

/// The client and the person of a request, as far as the server can tell before it has looked closely.
fn whose(state: &State, record: &RecordedRequest) -> (Option<String>, Option<String>) {
    let shown = record.bearer().or_else(|| record.dpop_token());
    if let Some(token) = shown.and_then(|token| state.tokens.access_token(token)) {
        return (Some(token.client_id.clone()), Some(token.subject.clone()));
    }
    let client = client_authentication::claimed(record);
    if let Some(login) =
        record.form_value("refresh_token").and_then(|token| state.tokens.refresh_token_login(token))
    {
        return (client, Some(login.subject.clone()));
    }
    let user = record.form_value("user").map(str::to_owned);
    let pressed = record.form_value("transaction").and_then(|id| state.transactions.get(id));
    let entered = record.form_value("user_code").or_else(|| record.query_value("user_code"));
    let known = match pressed.map(|transaction| &transaction.subject) {
        Some(Pending::Authorization(request)) => Some(&*request.client_id),
        Some(Pending::Device { user_code }) => state.devices.client_of(user_code),
        None => entered.and_then(|user_code| state.devices.client_of(user_code)),
    };
    (known.map(str::to_owned).or(client), user)
}

/// A request under way. If it is dropped before it has ended, the client has gone.
pub(crate) struct Watched<'a> {
    shared: &'a Shared,
    number: Option<u64>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(shared: &'a Shared, number: Option<u64>) -> Self {
        Self { shared, number }
    }

    pub(crate) fn spoilt_by(&self, state: &mut State, faults: &[Fault]) {
        if let Some(exchange) = self.number.and_then(|number| state.seen.find(number))
            && !faults.is_empty()
        {
            exchange.fault = Some(Fault::Sequence(faults.to_vec()).in_words());
        }
    }

    pub(crate) fn ended(mut self, reply: Result<&Reply, &Cut>) {
        self.settle(|| Outcome::of(reply.map(|reply| &reply.answer)));
    }

    pub(crate) fn answered(mut self, answer: &Answer) {
        self.settle(|| Outcome::of(Ok(answer)));
    }

    fn settle(&mut self, outcome: impl FnOnce() -> Outcome) {
        let Some(number) = self.number.take() else { return };
        let outcome = outcome();
        let (exchange, listener) = {
            let mut state = self.shared.state();
            let Some(exchange) = state.seen.find(number) else { return };
            exchange.outcome = outcome;
            (exchange.clone(), state.seen.listener.clone())
        };
        // Without the lock: whoever listens may ask the server.
        if let Some(listener) = listener {
            listener(&exchange);
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.settle(|| Outcome::Abandoned);
    }
}
