//! Client-initiated backchannel authentication in poll mode (CIBA Core 1.0): who is asked, how often a client may ask back,
//! and how the person decides.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, Request};
use crate::client_authentication::authenticate;
use crate::clients::{CIBA, Client, Method, REFRESH_TOKEN};
use crate::form::Parameters;
use crate::jwt::{self, Jwt};
use crate::refusal::Refusal;
use crate::scope::{self, Scope};
use crate::state::State;
use crate::token_endpoint::{Issue, Issued};
use crate::token_exchange::trusted;

const INTERVAL: Duration = Duration::from_secs(5);
const LIFETIME: u64 = 120;
/// The longest that a signed request may live.
const REQUEST_LIFETIME: Duration = Duration::from_secs(300);
/// Two clocks of one machine may drift by a few milliseconds in five seconds.
const CLOCK_DRIFT: Duration = Duration::from_millis(50);
/// Parameters of the authentication request. In a signed one they stand in the JWT, and only there.
const NAMES: [&str; 9] = [
    "scope",
    "acr_values",
    "login_hint",
    "login_hint_token",
    "id_token_hint",
    "binding_message",
    "user_code",
    "requested_expiry",
    "resource",
];

struct Authentication {
    client_id: String,
    user: String,
    scope: Scope,
    resources: Vec<String>,
    binding_message: Option<String>,
    expires_at: SystemTime,
    interval: Duration,
    last_poll: Option<SystemTime>,
    answered_polls: u32,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Pending,
    Approved,
    Denied,
    Redeemed,
}

pub(crate) struct Authentications {
    by_id: HashMap<String, Authentication>,
    /// The secrets without which nobody may bother a person.
    user_codes: HashMap<String, String>,
}

impl Authentications {
    pub(crate) fn new(user_codes: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { by_id: HashMap::new(), user_codes: user_codes.into_iter().collect() }
    }
}

/// `POST /bc-authorize` (CIBA Core §7.1).
pub(crate) fn authorize(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let client = authenticate(state, now, request, &parameters)?;
    if client.method == Method::None {
        return Err(Refusal::invalid_client("CIBA is for clients that authenticate (CIBA Core section 7.1)"));
    }
    if !client.may_use(CIBA) {
        return Err(Refusal::new("unauthorized_client", "this client may not use this grant"));
    }
    let parameters = match parameters.get("request") {
        None => parameters,
        Some(signed) => unpacked(state, now, &client, &parameters, signed)?,
    };
    let scope = Scope::requested(&parameters, &state.settings)?;
    if !scope.contains("openid") {
        return Err(Refusal::new("invalid_scope", "CIBA: scope must contain openid (CIBA Core section 7.1)"));
    }
    let resources = scope::requested_resources(&parameters, &state.settings)?;
    let user = who(state, now, &client, &parameters)?;
    let binding_message = parameters.get("binding_message").map(str::to_owned);
    if binding_message.as_ref().is_some_and(|text| text.len() > 20 || text.contains(char::is_control)) {
        return Err(Refusal::new("invalid_binding_message", "CIBA: at most 20 visible characters"));
    }
    match (state.backchannel.user_codes.get(&user), parameters.get("user_code")) {
        (Some(_), None) => {
            return Err(Refusal::new("missing_user_code", "CIBA: this person has a user code"));
        }
        (Some(own), Some(given)) if own != given => {
            return Err(Refusal::new("invalid_user_code", "CIBA: that is not the person's user code"));
        }
        _ => {}
    }
    let lifetime = match parameters.get("requested_expiry") {
        None => LIFETIME,
        Some(text) => text.parse::<u64>().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
            Refusal::invalid_request("CIBA: requested_expiry must be a positive whole number of seconds")
        })?,
    };
    let auth_req_id = state.mint.secret();
    let authentication = Authentication {
        client_id: client.id,
        user,
        scope,
        resources,
        binding_message,
        expires_at: now + Duration::from_secs(lifetime),
        interval: INTERVAL,
        last_poll: None,
        answered_polls: 0,
        verdict: Verdict::Pending,
    };
    state.backchannel.by_id.insert(auth_req_id.clone(), authentication);
    let body = json!({ "auth_req_id": auth_req_id, "expires_in": lifetime, "interval": INTERVAL.as_secs() });
    Ok(Answer::json(StatusCode::OK, &body))
}

/// The parameters of a signed request (CIBA Core §7.1.1).
fn unpacked(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    outside: &Parameters,
    signed: &str,
) -> Result<Parameters, Refusal> {
    let wrong = |why: &str| Refusal::invalid_request(format!("CIBA: the signed request is refused: {why}"));
    if NAMES.iter().any(|name| outside.get(name).is_some()) {
        return Err(wrong("all of its parameters must be inside, and none beside it"));
    }
    let keys = client.keys.as_ref().ok_or_else(|| wrong("the client has no registered keys"))?;
    let jwt = Jwt::signed_by(signed, keys, jwt::ASYMMETRIC).map_err(wrong)?;
    if jwt.text("iss") != Some(&client.id) || jwt.text("aud") != Some(&state.settings.issuer) {
        return Err(wrong("iss must be the client_id and aud the issuer"));
    }
    jwt.check_times(now, REQUEST_LIFETIME).map_err(wrong)?;
    if ["iat", "nbf"].iter().any(|name| jwt.seconds(name).is_none()) {
        return Err(wrong("iat and nbf must be there"));
    }
    let jti = jwt.text("jti").ok_or_else(|| wrong("jti must be there"))?;
    if !state.replays.is_first_use("ciba", &client.id, jti, now + 2 * REQUEST_LIFETIME, now) {
        return Err(wrong("its jti was used before"));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for name in NAMES {
        match jwt.claims.get(name) {
            None => {}
            Some(Value::Array(values)) => values.iter().for_each(|value| {
                form.append_pair(name, &text(value));
            }),
            Some(value) => {
                form.append_pair(name, &text(value));
            }
        }
    }
    Parameters::parse(form.finish().as_bytes())
}

/// Whom exactly one hint names.
fn who(state: &State, now: SystemTime, client: &Client, parameters: &Parameters) -> Result<String, Refusal> {
    let hints = ["login_hint", "login_hint_token", "id_token_hint"];
    let given: Vec<_> = hints.iter().filter_map(|name| Some((*name, parameters.get(name)?))).collect();
    let [(name, hint)] = given[..] else {
        return Err(Refusal::invalid_request(
            "CIBA: exactly one of login_hint, login_hint_token and id_token_hint (CIBA Core section 7.1)",
        ));
    };
    let unknown = || Refusal::new("unknown_user_id", "CIBA: the hint names nobody whom this server knows");
    let user = match name {
        "login_hint" => hint.to_owned(),
        "login_hint_token" => {
            let jwt = trusted(state, hint).map_err(Refusal::invalid_request)?;
            jwt.check_times(now, REQUEST_LIFETIME).map_err(|_| {
                Refusal::new("expired_login_hint_token", "CIBA: the login_hint_token has expired")
            })?;
            jwt.text("sub").ok_or_else(unknown)?.to_owned()
        }
        _ => {
            let jwt =
                Jwt::signed_by(hint, &state.keys.jwks(), jwt::SIGNING).map_err(Refusal::invalid_request)?;
            if jwt.text("aud") != Some(&client.id) {
                return Err(Refusal::invalid_request("CIBA: the ID token was issued to another client"));
            }
            jwt.text("sub").ok_or_else(unknown)?.to_owned()
        }
    };
    if state.users.iter().any(|(name, _)| *name == user) { Ok(user) } else { Err(unknown()) }
}

/// One poll of the token endpoint (CIBA Core §10.1, §11).
pub(crate) fn poll(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let id = parameters.require("auth_req_id")?;
    let (auto_approve, auto_deny) =
        (state.settings.backchannel_auto_approve_after_polls, state.settings.auto_deny);
    let own = state.backchannel.by_id.get_mut(id);
    let own = own.ok_or_else(|| Refusal::invalid_grant("CIBA: no such auth_req_id"))?;
    if own.client_id != client.id {
        return Err(Refusal::invalid_grant("CIBA: the auth_req_id was issued to another client"));
    }
    let too_soon = own.last_poll.is_some_and(|last| {
        now.duration_since(last).unwrap_or_default().saturating_add(CLOCK_DRIFT) < own.interval
    });
    own.last_poll = Some(now);
    if own.verdict == Verdict::Redeemed {
        return Err(Refusal::invalid_grant("CIBA: the auth_req_id was already used; stop polling"));
    }
    if own.expires_at <= now {
        return Err(Refusal::new("expired_token", "CIBA: the auth_req_id has expired; begin anew"));
    }
    if too_soon {
        own.interval += INTERVAL;
        return Err(Refusal::new("slow_down", "CIBA: polled too soon; the interval is now 5 seconds longer"));
    }
    if own.verdict == Verdict::Pending {
        if auto_deny {
            own.verdict = Verdict::Denied;
        } else if auto_approve.is_some_and(|after| own.answered_polls >= after) {
            own.verdict = Verdict::Approved;
        }
    }
    own.answered_polls += 1;
    match own.verdict {
        Verdict::Approved => {}
        Verdict::Denied => return Err(Refusal::new("access_denied", "the person said no")),
        _ => return Err(Refusal::new("authorization_pending", "the person has not decided yet")),
    }
    own.verdict = Verdict::Redeemed;
    let (subject, scope, resources) = (own.user.clone(), own.scope.clone(), own.resources.clone());
    let audience = scope::narrowed_resources(parameters, &resources)?;
    let login = state.tokens.begin_login(&client.id, &subject, &scope, &resources);
    let wanted = state.settings.issue_refresh_tokens && client.may_use(REFRESH_TOKEN);
    let refresh_token = wanted.then(|| state.tokens.issue_refresh_token(&mut state.mint, login));
    Ok(Issue {
        subject,
        scope,
        audience,
        login: Some(login),
        refresh_token,
        forgiven: false,
        issued: Issued::AccessToken,
    })
}

/// Decides in place of a person. What the person saw; `None` if nobody asks this person now.
pub(crate) fn decide(
    state: &mut State,
    now: SystemTime,
    user: &str,
    approve: bool,
) -> Option<Option<String>> {
    let waiting = state.backchannel.by_id.values_mut();
    let own = waiting
        .filter(|own| own.user == user && own.verdict == Verdict::Pending && own.expires_at > now)
        .max_by_key(|own| own.expires_at)?;
    own.verdict = if approve { Verdict::Approved } else { Verdict::Denied };
    Some(own.binding_message.clone())
}
