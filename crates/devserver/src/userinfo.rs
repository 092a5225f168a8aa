//! The userinfo endpoint (OpenID Connect Core §5.3): who logged in, for whoever holds an access token with the scope `openid`.

use std::time::SystemTime;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Request};
use crate::id_token;
use crate::resource;
use crate::state::State;

pub(crate) fn userinfo(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    if !matches!(request.method, Method::GET | Method::POST) {
        return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET, POST");
    }
    let (client_id, claims) = match resource::admitted(state, now, request, "openid", |token| {
        (token.client_id.clone(), about(&token.subject, |scope| token.scope.contains(scope)))
    }) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let client = state.clients.get(&client_id).filter(|client| client.signed_user_info);
    let Some(client) = client else { return Answer::json(StatusCode::OK, &claims) };
    let mut signed = claims;
    signed["iss"] = state.settings.issuer.as_str().into();
    signed["aud"] = client_id.into();
    match id_token::sign(state, client, None, &signed) {
        Some(jwt) => Answer::new(StatusCode::OK, "application/jwt", jwt).no_store(),
        None => Answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn about(subject: &str, has: impl Fn(&str) -> bool) -> Value {
    let mut claims = json!({ "sub": subject });
    if has("profile") {
        claims["name"] = format!("{subject} of the devserver").into();
        claims["preferred_username"] = subject.into();
    }
    if has("email") {
        claims["email"] = format!("{subject}@users.example").into();
        claims["email_verified"] = true.into();
    }
    claims
}
