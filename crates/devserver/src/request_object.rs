//! Request objects (RFC 9101): an authorization request as a JWT that the client signed.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::clients::Client;
use crate::form::Parameters;
use crate::jwt::Jwt;
use crate::refusal::Refusal;
use crate::state::State;

/// The longest that a request object may live: it is opened at once.
const LIFETIME: Duration = Duration::from_secs(600);

/// Claims of the JWT itself.
const OF_THE_JWT: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// The parameters in a request object of that client. Nothing outside of it counts.
pub(crate) fn open(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    text: &str,
) -> Result<Parameters, Refusal> {
    let wrong = |what: &str| {
        Refusal::new("invalid_request_object", format!("A21: the request object is refused: {what}"))
    };
    let keys = client.keys.as_ref().ok_or_else(|| wrong("the client has no keys registered"))?;
    let jwt = Jwt::signed_by(text, keys, state.settings.client_algorithms()).map_err(wrong)?;
    if jwt.typ().as_deref() != Some("oauth-authz-req+jwt") {
        return Err(wrong("typ must be oauth-authz-req+jwt (RFC 9101 section 10.8)"));
    }
    if jwt.text("iss") != Some(&client.id) {
        return Err(wrong("iss must be the client_id (RFC 9101 section 4)"));
    }
    if jwt.text("aud") != Some(&state.settings.issuer) {
        return Err(wrong("aud must be the issuer identifier (RFC 9101 section 4)"));
    }
    if jwt.claims.contains_key("sub") {
        return Err(wrong(
            "sub must not be there: it could pass for a client assertion (RFC 9101 section 10.8)",
        ));
    }
    if jwt.claims.contains_key("request") || jwt.claims.contains_key("request_uri") {
        return Err(wrong("request and request_uri must not stand in it (RFC 9101 section 4)"));
    }
    if jwt.text("client_id") != Some(&client.id) {
        return Err(wrong("client_id in it must be the one beside it (RFC 9101 section 5)"));
    }
    jwt.check_times(now, LIFETIME).map_err(wrong)?;
    if jwt.seconds("nbf").is_none() {
        return Err(wrong("nbf is absent"));
    }
    let jti = jwt.text("jti").filter(|jti| jti.len() >= 22);
    let jti = jti.ok_or_else(|| wrong("jti must have at least 128 random bits, which are 22 characters"))?;
    let mut pairs = Vec::new();
    for (name, value) in jwt.claims.iter().filter(|(name, _)| !OF_THE_JWT.contains(&name.as_str())) {
        match (name.as_str(), value) {
            ("resource", Value::Array(several)) => {
                let several = several.iter().filter_map(Value::as_str);
                pairs.extend(several.map(|one| (name.clone(), one.to_owned())));
            }
            ("authorization_details", Value::Array(_))
            | ("claims", Value::Object(_))
            | ("max_age", Value::Number(_)) => {
                pairs.push((name.clone(), value.to_string()));
            }
            (_, Value::String(text)) => pairs.push((name.clone(), text.clone())),
            _ => return Err(wrong("a parameter is of a type that it cannot have (RFC 9101 section 4)")),
        }
    }
    let parameters = Parameters::of_pairs(pairs)?;
    if !state.replays.is_first_use("request object", &client.id, jti, now + 2 * LIFETIME, now) {
        return Err(wrong("its jti was used before"));
    }
    Ok(parameters)
}
