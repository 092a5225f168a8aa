//! Token introspection (RFC 7662), for confidential clients; signed where they ask for it (RFC 9701).

use std::time::SystemTime;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, Request};
use crate::client_authentication::authenticate;
use crate::clients::Method;
use crate::clock::unix_seconds;
use crate::form::Parameters;
use crate::id_token;
use crate::refusal::Refusal;
use crate::state::State;

pub(crate) fn introspect(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let client = authenticate(state, now, request, &parameters)?;
    if client.method == Method::None {
        return Err(Refusal::invalid_client(
            "introspection is for confidential clients only (RFC 7662 section 2.1)",
        ));
    }
    let body = describe(state, now, parameters.require("token")?);
    if !wants_jwt(request) {
        return Ok(Answer::json(StatusCode::OK, &body));
    }
    let claims = json!({
        "iss": state.settings.issuer,
        "aud": client.id,
        "iat": unix_seconds(now),
        "token_introspection": body,
    });
    let jwt = id_token::sign(state, &client, Some(JWT_TYPE), &claims)
        .ok_or_else(|| Refusal::invalid_request("this server signs nothing by the client's algorithm"))?;
    Ok(Answer::new(StatusCode::OK, &format!("application/{JWT_TYPE}"), jwt).no_store())
}

const JWT_TYPE: &str = "token-introspection+jwt";

/// Whether the answer is to be signed (RFC 9701 §4).
fn wants_jwt(request: &Request) -> bool {
    let accepted = request.headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(',')).filter_map(|value| value.split(';').next());
    types.any(|media| media.trim().eq_ignore_ascii_case("application/token-introspection+jwt"))
}

fn describe(state: &State, now: SystemTime, token: &str) -> Value {
    let issuer = &state.settings.issuer;
    if let Ok(token) = state.tokens.live_access_token(token, now) {
        let mut body = json!({
            "active": true,
            "iss": issuer,
            "sub": token.subject,
            "username": token.subject,
            "client_id": token.client_id,
            "scope": token.scope.text(),
            "aud": token.audience,
            "token_type": if token.jkt.is_some() { "DPoP" } else { "Bearer" },
            "iat": unix_seconds(token.issued_at),
        });
        if let Some(jkt) = &token.jkt {
            body["cnf"] = json!({ "jkt": jkt });
        }
        if let Some(x5t) = &token.x5t {
            body["cnf"]["x5t#S256"] = x5t.as_str().into();
        }
        if !token.details.is_empty() {
            body["authorization_details"] = token.details.clone().into();
        }
        if let Some(expires_at) = token.expires_at {
            body["exp"] = unix_seconds(expires_at).into();
        }
        return body;
    }
    match state.tokens.refresh_token_login(token).filter(|_| state.tokens.is_refresh_token_live(token)) {
        Some(login) => json!({
            "active": true,
            "iss": issuer,
            "sub": login.subject,
            "username": login.subject,
            "client_id": login.client_id,
            "scope": login.scope.text(),
            "aud": login.resources,
        }),
        None => json!({ "active": false }),
    }
}
