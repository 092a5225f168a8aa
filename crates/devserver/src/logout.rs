//! The end session endpoint (OpenID Connect RP-Initiated Logout 1.0 §2): a client sends the person's browser here to log out at
//! the server, too.

use hyper::{Method, StatusCode};

use crate::answer::{Answer, Request};
use crate::form::{self, Parameters};
use crate::id_token;
use crate::pages;
use crate::refusal::Refusal;
use crate::state::State;

pub(crate) fn end_session(state: &mut State, request: &Request) -> Answer {
    let parameters = match request.method {
        Method::GET => Parameters::of_query(request),
        Method::POST => Parameters::of_post(request),
        _ => return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET, POST"),
    };
    match parameters.and_then(|parameters| ended(state, &parameters)) {
        Ok(answer) => answer,
        Err(refusal) => pages::problem(refusal.status, &refusal.description),
    }
}

/// Nothing is ended unless everything is right: whoever made up the request must not log anybody out.
fn ended(state: &mut State, parameters: &Parameters) -> Result<Answer, Refusal> {
    let wrong =
        |what: &'static str| Refusal::invalid_request(format!("A29: {what} (RP-Initiated Logout 1.0)"));
    let hint = match parameters.get("id_token_hint") {
        Some(hint) => Some(
            id_token::hinted(state, hint)
                .ok_or_else(|| wrong("id_token_hint is no ID token of this server's"))?,
        ),
        None => None,
    };
    let hinted = hint.as_ref().and_then(|hint| hint.text("aud"));
    let named = parameters.get("client_id");
    if let (Some(named), Some(hinted)) = (named, hinted)
        && named != hinted
    {
        return Err(wrong("client_id is not whom id_token_hint was issued to, section 2"));
    }
    let client = named.or(hinted).and_then(|id| state.clients.get(id)).cloned();
    let target = parameters.get("post_logout_redirect_uri");
    if let Some(target) = target {
        let client = client.as_ref();
        let client =
            client.ok_or_else(|| wrong("post_logout_redirect_uri without client_id or id_token_hint"))?;
        if !client.has_post_logout_redirect_uri(target) {
            return Err(wrong("post_logout_redirect_uri is not registered for this client, section 3"));
        }
    } else if parameters.get("state").is_some() {
        return Err(wrong("state without post_logout_redirect_uri"));
    }
    if let (Some(client), Some(subject)) = (&client, hint.as_ref().and_then(|hint| hint.text("sub"))) {
        state.tokens.end_logins(&client.id, subject, &mut state.counters);
    }
    let Some(target) = target else { return Ok(pages::signed_out()) };
    let sent = parameters.get("state").map(|sent| form::encode([("state", sent.into())]));
    let separator = if target.contains('?') { '&' } else { '?' };
    Ok(Answer::redirect(
        StatusCode::FOUND,
        &sent.map_or(target.to_owned(), |sent| format!("{target}{separator}{sent}")),
    ))
}
