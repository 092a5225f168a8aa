//! Authorization responses that the server signs (JARM).

use std::time::{Duration, SystemTime};

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::clock::unix_seconds;
use crate::state::State;

/// The response modes that are JWTs, for a client that gets its code in the query.
pub(crate) const MODES: [&str; 2] = ["jwt", "query.jwt"];

/// How long an answer is good for (JARM §2.1 recommends no more than ten minutes).
const LIFETIME: Duration = Duration::from_secs(300);

/// The parameters of an answer as one that the server signed, for that client (JARM §2.1).
pub(crate) fn sign(
    state: &State,
    now: SystemTime,
    client_id: &str,
    parameters: &[(&str, &str)],
) -> Option<String> {
    let mut claims = json!({
        "iss": state.settings.issuer,
        "aud": client_id,
        "exp": unix_seconds(now + LIFETIME),
    });
    for (name, value) in parameters {
        claims[*name] = Value::from(*value);
    }
    state.keys.sign(state.settings.response_algorithm, None, &claims)
}

/// The algorithm of that name, if the server signs by it.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    crate::jwt::SIGNING.contains(&name).then(|| name.parse().ok()).flatten()
}
