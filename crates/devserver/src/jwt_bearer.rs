//! Assertions as authorization grants (RFC 7523 §2.1, §3), and identity assertions among them
//! (draft-ietf-oauth-identity-assertion-authz-grant).

use std::time::{Duration, SystemTime};

use crate::clients::{Client, Method};
use crate::form::Parameters;
use crate::refusal::Refusal;
use crate::scope::{self, Scope};
use crate::state::State;
use crate::token_endpoint::{Issue, Issued};
use crate::token_exchange::trusted;

/// The longest that an assertion may live.
const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) fn take(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let assertion = parameters.require("assertion")?;
    let invalid = |why: &str| Refusal::invalid_grant(format!("A10: the assertion is not valid: {why}"));
    let jwt = trusted(state, assertion).map_err(invalid)?;
    if jwt.text("aud") != Some(&state.settings.issuer) {
        return Err(invalid("aud must be this server's issuer identifier as its sole value, a string"));
    }
    jwt.check_times(now, LIFETIME).map_err(invalid)?;
    let subject =
        jwt.text("sub").filter(|sub| !sub.is_empty()).ok_or_else(|| invalid("it speaks of nobody"))?;
    let granted = match jwt.typ().as_deref() {
        Some("oauth-id-jag+jwt") => {
            if jwt.text("client_id") != Some(&client.id) {
                return Err(invalid("it was issued for another client"));
            }
            if client.method == Method::None {
                return Err(Refusal::invalid_client("identity assertions are for clients that authenticate"));
            }
            jwt.text("scope")
        }
        None | Some("jwt") => None,
        Some(_) => return Err(invalid("it is a JWT for another purpose")),
    };
    let scope = match granted {
        Some(granted) => Scope::granted(granted, &state.settings)?.narrowed(parameters)?,
        None => Scope::requested(parameters, &state.settings)?,
    };
    let audience = scope::requested_resources(parameters, &state.settings)?;
    let jti = jwt.text("jti").filter(|jti| jti.len() >= 22);
    let jti =
        jti.ok_or_else(|| invalid("jti must have at least 128 random bits, which are 22 characters"))?;
    let issuer = jwt.text("iss").unwrap_or_default();
    if !state.replays.is_first_use("assertion grant", issuer, jti, now + 2 * LIFETIME, now) {
        return Err(invalid("its jti was used before"));
    }
    Ok(Issue {
        subject: subject.to_owned(),
        scope,
        audience,
        login: None,
        refresh_token: None,
        forgiven: false,
        issued: Issued::AccessToken,
    })
}
