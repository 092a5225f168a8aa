//! The device authorization grant as the server sees it (RFC 8628): device codes, user codes, the verification
//! page, and how often a client may ask.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::authorization::{self, Decision, Pending};
use crate::client_authentication::authenticate;
use crate::clients::DEVICE_CODE;
use crate::form::Parameters;
use crate::pages;
use crate::pkce;
use crate::refusal::Refusal;
use crate::scope::{self, Scope};
use crate::state::State;

/// RFC 8628 §3.2: the interval when the answer names none.
const DEFAULT_INTERVAL: u64 = 5;
/// RFC 8628 §3.5: what each slow_down adds, for good.
const SLOW_DOWN_ADDS: Duration = Duration::from_secs(5);
/// A client waits on its own clock. Two clocks of one machine may drift by a few milliseconds in five seconds, and
/// a well-behaved client must not be told to slow down for that.
const CLOCK_DRIFT: Duration = Duration::from_millis(50);

pub(crate) struct DeviceAuthorization {
    pub(crate) client_id: String,
    pub(crate) scope: Scope,
    pub(crate) resources: Vec<String>,
    user_code: String,
    challenge: Option<String>,
    expires_at: SystemTime,
    interval: Duration,
    last_poll: Option<SystemTime>,
    answered_polls: u32,
    verdict: Verdict,
}

#[derive(Clone, PartialEq)]
enum Verdict {
    Pending,
    Approved { user: String },
    Denied,
    Redeemed,
}

/// What an approved device code is good for.
pub(crate) struct Approved {
    pub(crate) subject: String,
    pub(crate) scope: Scope,
    /// What this access token is for.
    pub(crate) resources: Vec<String>,
    /// What the whole login is for.
    pub(crate) granted_resources: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Devices {
    by_device_code: HashMap<String, DeviceAuthorization>,
    by_user_code: HashMap<String, String>,
}

impl Devices {
    /// The authorization that a person means by a user code, if it still waits for a decision.
    pub(crate) fn waiting(&mut self, user_code: &str, now: SystemTime) -> Option<&mut DeviceAuthorization> {
        let device_code = self.by_user_code.get(&letters(user_code))?;
        let device = self.by_device_code.get_mut(device_code)?;
        (device.verdict == Verdict::Pending && device.expires_at > now).then_some(device)
    }

    /// The client that a user code was given to, whether or not it still waits.
    pub(crate) fn client_of(&self, user_code: &str) -> Option<&str> {
        let device = self.by_device_code.get(self.by_user_code.get(&letters(user_code))?)?;
        Some(&device.client_id)
    }

    /// Makes the client's polls come slower, as an answer of slow_down does.
    pub(crate) fn slow_down(&mut self, device_code: &str) {
        if let Some(device) = self.by_device_code.get_mut(device_code) {
            device.interval += SLOW_DOWN_ADDS;
        }
    }
}

/// User codes are compared without hyphens, spaces and case (RFC 8628 §6.1).
fn letters(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// `POST /device_authorization` (RFC 8628 §3.1).
pub(crate) fn authorize(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let client = authenticate(state, now, request, &parameters)?;
    if !client.may_use(DEVICE_CODE) {
        return Err(Refusal::new("unauthorized_client", "this client may not use this grant"));
    }
    let scope = Scope::requested(&parameters, &state.settings)?;
    let resources = scope::requested_resources(&parameters, &state.settings)?;
    let challenge = pkce::challenge(&parameters)?;

    let (device_code, user_code) = (state.mint.secret(), state.mint.user_code());
    let settings = &state.settings;
    let verification_uri = format!("{}/device", settings.base);
    let mut body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": verification_uri,
        "verification_uri_complete": format!("{verification_uri}?user_code={user_code}"),
        "expires_in": settings.device_code_lifetime.as_secs(),
    });
    if let Some(interval) = settings.device_interval {
        body["interval"] = interval.into();
    }
    let device = DeviceAuthorization {
        client_id: client.id,
        scope,
        resources,
        user_code: user_code.clone(),
        challenge,
        expires_at: now.checked_add(settings.device_code_lifetime).unwrap_or(now),
        interval: Duration::from_secs(settings.device_interval.unwrap_or(DEFAULT_INTERVAL)),
        last_poll: None,
        answered_polls: 0,
        verdict: Verdict::Pending,
    };
    state.devices.by_user_code.insert(letters(&user_code), device_code.clone());
    state.devices.by_device_code.insert(device_code, device);
    Ok(Answer::json(StatusCode::OK, &body))
}

/// One poll of the token endpoint (RFC 8628 §3.4 and §3.5).
pub(crate) fn poll(
    state: &mut State,
    now: SystemTime,
    client_id: &str,
    parameters: &Parameters,
) -> Result<Approved, Refusal> {
    let device_code = parameters.require("device_code")?;
    let (auto_approve, user) = (state.settings.device_auto_approve_after_polls, state.approve_as.clone());
    let auto_deny = state.settings.auto_deny;
    let device = state.devices.by_device_code.get_mut(device_code);
    let device = device.ok_or_else(|| Refusal::invalid_grant("no such device code"))?;
    if device.client_id != client_id {
        return Err(Refusal::invalid_grant("the device code was issued to another client"));
    }
    let too_soon = device.last_poll.is_some_and(|last| {
        now.duration_since(last).unwrap_or_default().saturating_add(CLOCK_DRIFT) < device.interval
    });
    device.last_poll = Some(now);
    if device.verdict == Verdict::Redeemed {
        return Err(Refusal::invalid_grant("A16: the device code was already used; stop polling"));
    }
    if device.expires_at <= now {
        return Err(Refusal::new(
            "expired_token",
            "A16: the device code expired; begin anew (RFC 8628 section 3.5)",
        ));
    }
    if too_soon {
        device.interval += SLOW_DOWN_ADDS;
        return Err(Refusal::new(
            "slow_down",
            "A16: polled before the interval was over; it is now 5 seconds longer, for good (RFC 8628 section 3.5)",
        ));
    }
    if device.verdict == Verdict::Pending && auto_deny {
        device.verdict = Verdict::Denied;
    }
    if device.verdict == Verdict::Pending && auto_approve.is_some_and(|after| device.answered_polls >= after)
    {
        device.verdict = Verdict::Approved { user };
    }
    device.answered_polls = device.answered_polls.saturating_add(1);
    let subject = match &device.verdict {
        Verdict::Approved { user } => user.clone(),
        Verdict::Denied => return Err(Refusal::new("access_denied", "the person said no")),
        Verdict::Pending | Verdict::Redeemed => {
            return Err(Refusal::new("authorization_pending", "the person has not decided yet"));
        }
    };
    if let Some(challenge) = &device.challenge
        && !pkce::matches(pkce::verifier(parameters)?, challenge)
    {
        return Err(Refusal::invalid_grant("A12: code_verifier does not match the code_challenge"));
    }
    let resources = scope::narrowed_resources(parameters, &device.resources)?;
    let granted_resources = device.resources.clone();
    let approved = Approved { subject, scope: device.scope.clone(), resources, granted_resources };
    device.verdict = Verdict::Redeemed;
    Ok(approved)
}

/// Decides in place of a person; whether there was such a user code still waiting.
pub(crate) fn decide(state: &mut State, now: SystemTime, user_code: &str, approve_as: Option<&str>) -> bool {
    let Some(device) = state.devices.waiting(user_code, now) else { return false };
    device.verdict = match approve_as {
        Some(user) => Verdict::Approved { user: user.to_owned() },
        None => Verdict::Denied,
    };
    true
}

/// `/device`: enter the code, then look at what is asked for. Also with the code already in the URL a person has
/// to look and press a button (RFC 8628 §5.4, remote phishing).
pub(crate) fn verification_page(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    let parameters = match request.method {
        Method::GET => Parameters::of_query(request),
        _ => Parameters::of_post(request),
    };
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            return pages::enter_user_code(StatusCode::BAD_REQUEST, Some("Please enter the code."));
        }
        Err(refusal) => return pages::problem(refusal.status, &refusal.description),
    };
    let Some(user_code) = parameters.get("user_code") else {
        return pages::enter_user_code(StatusCode::OK, None);
    };
    let Some(device) = state.devices.waiting(user_code, now) else {
        let again = "There is no such code, or it was already used or has expired.";
        return pages::enter_user_code(StatusCode::BAD_REQUEST, Some(again));
    };
    let user_code = device.user_code.clone();
    let (client_id, scope, resources) =
        (device.client_id.clone(), device.scope.clone(), device.resources.clone());
    let pending = Pending::Device { user_code: user_code.clone() };
    let transaction = authorization::open_transaction(state, now, pending);
    pages::confirm_device(state, &client_id, &scope, &resources, &user_code, &transaction)
}

/// `POST /device/decision`.
pub(crate) fn decide_on_page(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    match authorization::decision(state, now, request) {
        Ok(Decision { subject: Pending::Device { user_code }, approved, user }) => {
            match decide(state, now, &user_code, approved.then_some(user.as_str())) {
                true => pages::device_decided(approved),
                false => pages::problem(StatusCode::BAD_REQUEST, "The code was already used or has expired."),
            }
        }
        Ok(_) => pages::problem(StatusCode::BAD_REQUEST, "This page belongs to an app, not to a device."),
        Err(refusal) => pages::problem(refusal.status, &refusal.description),
    }
}
