//! Token revocation (RFC 7009): 200 also for a token that nobody knows.

use std::time::SystemTime;

use hyper::StatusCode;

use crate::answer::{Answer, Request};
use crate::client_authentication::authenticate;
use crate::form::Parameters;
use crate::refusal::Refusal;
use crate::state::State;

pub(crate) fn revoke(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let client = authenticate(state, now, request, &parameters)?;
    let token = parameters.require("token")?;
    state.tokens.revoke(token, &client.id, &mut state.counters)?;
    Ok(Answer::empty(StatusCode::OK))
}
