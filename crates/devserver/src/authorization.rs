//! The authorization endpoint (RFC 6749 §4.1.1) and the decision that a person takes on its page.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;

use crate::answer::{Answer, Request};
use crate::authorization_details::{self, Details};
use crate::clients::AUTHORIZATION_CODE;
use crate::dpop;
use crate::form::{self, Parameters};
use crate::jarm;
use crate::pages;
use crate::pkce;
use crate::refusal::Refusal;
use crate::request_object;
use crate::scope::{self, Scope};
use crate::state::State;

/// A checked authorization request.
#[derive(Clone)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: String,
    pub(crate) challenge: String,
    pub(crate) scope: Scope,
    pub(crate) resources: Vec<String>,
    /// How the person was asked to authenticate: the first of `acr_values`, which this server's people can always do.
    pub(crate) acr: Option<String>,
    pub(crate) max_age: Option<u64>,
    /// What the ID token is to name (OpenID Connect Core §3.1.2.1).
    pub(crate) nonce: Option<String>,
    /// When the person authenticated, as soon as they have.
    pub(crate) authenticated_at: Option<SystemTime>,
    /// How the answer is to come: as a JWT (JARM), or in the query.
    pub(crate) as_jwt: bool,
    pub(crate) details: Details,
    /// The key that the code is to be bound to (RFC 9449 §10).
    pub(crate) dpop_jkt: Option<String>,
}

/// What a consent page is about. It is named by a one-time id that only the page knows, so that no other page
/// can press its buttons.
pub(crate) struct Transaction {
    pub(crate) subject: Pending,
    pub(crate) expires_at: SystemTime,
}

pub(crate) enum Pending {
    Authorization(Box<AuthorizationRequest>),
    Device { user_code: String },
}

const TRANSACTION_LIFETIME: Duration = Duration::from_secs(600);

/// 128 bits in base64url: fewer characters than this cannot hold them (A5).
const SHORTEST_STATE: usize = 22;

/// Why an authorization request fails, and who is told: only a client whose redirect URI is known to be its own
/// hears of it by redirect (RFC 6749 §4.1.2.1).
pub(crate) enum Problem {
    Person(Refusal),
    Client { to: Box<AnswerTo>, refusal: Refusal },
}

impl Problem {
    /// The same for a client that asked by itself, without a browser.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Person(refusal) | Self::Client { refusal, .. } => refusal,
        }
    }
}

/// Where an answer goes, and how.
pub(crate) struct AnswerTo {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    as_jwt: bool,
}

impl AnswerTo {
    fn of(request: &AuthorizationRequest) -> Self {
        Self {
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            state: Some(request.state.clone()),
            as_jwt: request.as_jwt,
        }
    }
}

pub(crate) fn authorize(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    if request.method != hyper::Method::GET {
        return pages::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "The authorization endpoint is opened with GET.",
        )
        .with_header("allow", "GET");
    }
    let (authorization, login_hint) = match validate(state, now, request) {
        Ok(valid) => valid,
        Err(Problem::Person(refusal)) => {
            return pages::problem(StatusCode::BAD_REQUEST, &refusal.description);
        }
        Err(Problem::Client { to, refusal }) => return refuse(state, now, StatusCode::FOUND, &to, &refusal),
    };
    if state.deny_next_authorization || state.settings.auto_deny {
        state.deny_next_authorization = false;
        return denied(state, now, StatusCode::FOUND, &authorization);
    }
    if state.settings.auto_approve {
        let user = login_hint.filter(|hint| state.users.iter().any(|(name, _)| name == hint));
        let user = user.unwrap_or_else(|| state.approve_as.clone());
        return approved(state, now, StatusCode::FOUND, authorization, &user);
    }
    let page_of = authorization.clone();
    let transaction = open_transaction(state, now, Pending::Authorization(Box::new(authorization)));
    pages::consent(state, &page_of, &transaction)
}

pub(crate) fn open_transaction(state: &mut State, now: SystemTime, subject: Pending) -> String {
    state.transactions.retain(|_, transaction| transaction.expires_at > now);
    let id = state.mint.secret();
    let expires_at = now.checked_add(TRANSACTION_LIFETIME).unwrap_or(now);
    state.transactions.insert(id.clone(), Transaction { subject, expires_at });
    id
}

/// A button of the consent page or of the device page was pressed.
pub(crate) struct Decision {
    pub(crate) subject: Pending,
    pub(crate) approved: bool,
    pub(crate) user: String,
}

/// Reads what was pressed; the transaction is used up, whatever comes of it.
pub(crate) fn decision(state: &mut State, now: SystemTime, request: &Request) -> Result<Decision, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let transaction = parameters.get("transaction").and_then(|id| state.transactions.remove(id));
    let transaction = transaction.filter(|transaction| transaction.expires_at > now).ok_or_else(|| {
        Refusal::invalid_request(
            "This page was already used, is too old, or is not ours. Go back to the app and begin again.",
        )
    })?;
    let approved = match parameters.get("decision") {
        Some("approve") => true,
        Some("deny") => false,
        _ => return Err(Refusal::invalid_request("Neither approve nor deny.")),
    };
    let user = parameters.get("user").unwrap_or(&state.approve_as).to_owned();
    if !state.users.iter().any(|(name, _)| *name == user) {
        return Err(Refusal::invalid_request("No such user."));
    }
    Ok(Decision { subject: transaction.subject, approved, user })
}

/// `POST /authorize/decision`.
pub(crate) fn decide(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    match decision(state, now, request) {
        Ok(Decision { subject: Pending::Authorization(authorization), approved: yes, user }) => match yes {
            true => approved(state, now, StatusCode::SEE_OTHER, *authorization, &user),
            false => denied(state, now, StatusCode::SEE_OTHER, &authorization),
        },
        Ok(_) => pages::problem(StatusCode::BAD_REQUEST, "This page belongs to a device, not to an app."),
        Err(refusal) => pages::problem(refusal.status, &refusal.description),
    }
}

fn validate(
    state: &mut State,
    now: SystemTime,
    request: &Request,
) -> Result<(AuthorizationRequest, Option<String>), Problem> {
    // A repeated parameter is refused before anything is read: which of two redirect URIs would be the right one?
    let parameters = match Parameters::of_query(request) {
        Ok(parameters) => parameters,
        Err(refusal) => return Err(misspelt(state, request, refusal)),
    };
    let reference = parameters.get("request_uri").or_else(|| parameters.get("request"));
    if reference.is_none() {
        if state.settings.require_par {
            return Err(Problem::Person(Refusal::invalid_request(
                "A22: this server takes pushed authorization requests only (RFC 9126 section 5)",
            )));
        }
        return check(state, &parameters, None);
    }
    let (parameters, is_signed) = dereference(state, now, &parameters).map_err(Problem::Person)?;
    check(state, &parameters, Some(is_signed))
}

/// The request that another one stands for: one that was pushed, or a request object (RFC 9101 §5).
fn dereference(
    state: &mut State,
    now: SystemTime,
    parameters: &Parameters,
) -> Result<(Parameters, bool), Refusal> {
    let client = parameters.get("client_id").and_then(|id| state.clients.get(id)).cloned();
    let client =
        client.ok_or_else(|| Refusal::invalid_request("client_id is missing or not registered here"))?;
    if parameters.names().any(|name| !["client_id", "request", "request_uri"].contains(&name)) {
        return Err(Refusal::invalid_request(
            "A22: beside a request_uri or a request object there is client_id and nothing else (RFC 9126 section 4)",
        ));
    }
    match (parameters.get("request_uri"), parameters.get("request")) {
        (Some(request_uri), None) => {
            let opened = state.pushed.open(now, &client.id, request_uri)?;
            Ok((opened.parameters, opened.is_signed))
        }
        (None, Some(_)) if state.settings.require_par => Err(Refusal::invalid_request(
            "A22: this server takes pushed authorization requests only (RFC 9126 section 5)",
        )),
        (None, Some(jwt)) => Ok((request_object::open(state, now, &client, jwt)?, true)),
        _ => Err(Refusal::invalid_request("A21: request and request_uri at once (RFC 9101 section 5)")),
    }
}

/// Checks the parameters of an authorization request. `is_signed`: whether it was a request object, if it came by reference.
pub(crate) fn check(
    state: &mut State,
    parameters: &Parameters,
    is_signed: Option<bool>,
) -> Result<(AuthorizationRequest, Option<String>), Problem> {
    let person = |description: &'static str| Problem::Person(Refusal::invalid_request(description));
    let client = parameters.get("client_id").and_then(|id| state.clients.get(id)).cloned();
    let client = client.ok_or_else(|| {
        let problem = parameters.get("client_id").and_then(|id| state.documents.problem(id));
        person(problem.unwrap_or("client_id is missing or not registered here"))
    })?;
    let redirect_uri =
        parameters.get("redirect_uri").ok_or_else(|| person("the parameter redirect_uri is missing"))?;
    if !client.has_redirect_uri(redirect_uri) {
        return Err(person(
            "A4: redirect_uri is not registered for this client; only the port of a loopback IP address may differ \
             (RFC 6749 section 3.1.2.3, RFC 8252 section 7.3)",
        ));
    }
    let sent_state = parameters.get("state");
    let mode = parameters.get("response_mode");
    let as_jwt = mode.is_some_and(|mode| jarm::MODES.contains(&mode));
    let to_client = |refusal: Refusal| {
        let to = AnswerTo {
            client_id: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: sent_state.map(str::to_owned),
            as_jwt,
        };
        Problem::Client { to: Box::new(to), refusal }
    };
    let invalid = |description: &'static str| to_client(Refusal::invalid_request(description));

    if parameters.get("client_secret").is_some() {
        return Err(invalid("a client secret has no place in a URL (RFC 6749 section 2.3.1)"));
    }
    if state.settings.require_signed_request_object && is_signed != Some(true) {
        return Err(invalid("A21: this server takes signed request objects only (RFC 9101 section 10.5)"));
    }
    match parameters.get("response_type") {
        Some("code") => {}
        None => return Err(invalid("the parameter response_type is missing")),
        Some(_) => {
            return Err(to_client(Refusal::new(
                "unsupported_response_type",
                "A27: only response_type code; no implicit grant (RFC 9700 section 2.1.2)",
            )));
        }
    }
    if mode.is_some_and(|mode| mode != "query" && !as_jwt) {
        return Err(invalid("only response_mode query, jwt and query.jwt are supported by this server"));
    }
    if !client.may_use(AUTHORIZATION_CODE) {
        return Err(to_client(Refusal::new("unauthorized_client", "this client may not use this grant")));
    }
    let Some(nonce) = sent_state else {
        return Err(invalid("A5: the parameter state is missing (RFC 6749 section 10.12)"));
    };
    if nonce.len() < SHORTEST_STATE {
        return Err(invalid("A5: state must hold at least 128 bits: 22 characters of base64url or more"));
    }
    if parameters.get("nonce").is_some_and(|own| own.len() < SHORTEST_STATE || own == nonce) {
        return Err(invalid(
            "A29: nonce must hold at least 128 bits of its own: 22 characters of base64url or more",
        ));
    }
    let challenge = pkce::challenge(parameters).map_err(to_client)?.ok_or_else(|| {
        invalid("A12: code_challenge is missing; every authorization needs PKCE (RFC 9700 section 2.1.1)")
    })?;
    let scope = Scope::requested(parameters, &state.settings).map_err(to_client)?;
    let resources = scope::requested_resources(parameters, &state.settings).map_err(to_client)?;
    let details = authorization_details::requested(parameters, &state.settings).map_err(to_client)?;

    // A person may reload the page, so the same request may come again; but what is meant for one login must
    // not serve for another.
    let paired = (nonce.to_owned(), challenge.clone());
    if state.seen_states.get(nonce).is_some_and(|seen| *seen != challenge) {
        return Err(invalid(
            "A5: this state was already used for another authorization; make a fresh one each time",
        ));
    }
    if state.seen_challenges.get(&challenge).is_some_and(|seen| seen != nonce) {
        return Err(invalid(
            "A12: this code_challenge was already used for another authorization; make a fresh one",
        ));
    }
    state.seen_states.insert(paired.0.clone(), paired.1.clone());
    state.seen_challenges.insert(paired.1, paired.0);

    let authorization = AuthorizationRequest {
        client_id: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: nonce.to_owned(),
        challenge,
        scope,
        resources,
        acr: parameters.get("acr_values").and_then(|values| values.split(' ').next()).map(str::to_owned),
        max_age: parameters.get("max_age").and_then(|text| text.parse().ok()),
        nonce: parameters.get("nonce").map(str::to_owned),
        authenticated_at: None,
        as_jwt,
        details,
        dpop_jkt: dpop::requested_key(parameters).map_err(to_client)?,
    };
    Ok((authorization, parameters.get("login_hint").map(str::to_owned)))
}

/// A query that cannot be read as a form: the client hears of it if it can be named without doubt.
fn misspelt(state: &State, request: &Request, refusal: Refusal) -> Problem {
    let pairs = form::parse_tolerantly(request.query.as_bytes());
    let only = |name: &str| {
        let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone());
        values.next().filter(|_| values.next().is_none())
    };
    let client = only("client_id").and_then(|id| state.clients.get(&id));
    match (client, only("redirect_uri")) {
        (Some(client), Some(redirect_uri)) if client.has_redirect_uri(&redirect_uri) => {
            let as_jwt = only("response_mode").is_some_and(|mode| jarm::MODES.contains(&&*mode));
            let state = only("state").filter(|state| !state.is_empty());
            let to = AnswerTo { client_id: client.id.clone(), redirect_uri, state, as_jwt };
            Problem::Client { to: Box::new(to), refusal }
        }
        _ => Problem::Person(refusal),
    }
}

fn approved(
    state: &mut State,
    now: SystemTime,
    status: StatusCode,
    mut request: AuthorizationRequest,
    user: &str,
) -> Answer {
    request.authenticated_at = Some(state.authenticate(user, now, request.max_age));
    request.details = authorization_details::granted(&request.details, user);
    let to = AnswerTo::of(&request);
    let lifetime = state.settings.code_lifetime;
    let code = state.codes.issue(&mut state.mint, now, lifetime, request, user);
    answer(state, now, status, &to, &[("code", &code)])
}

fn denied(state: &State, now: SystemTime, status: StatusCode, request: &AuthorizationRequest) -> Answer {
    let refusal = Refusal::new("access_denied", "the person said no");
    refuse(state, now, status, &AnswerTo::of(request), &refusal)
}

fn refuse(state: &State, now: SystemTime, status: StatusCode, to: &AnswerTo, refusal: &Refusal) -> Answer {
    tracing::debug!(error = refusal.error, description = %refusal.description, "authorization refused");
    let parameters = [("error", refusal.error), ("error_description", &*refusal.description)];
    answer(state, now, status, to, &parameters)
}

/// The redirect back to the client: with `iss` (RFC 9207) unless the server keeps it to itself, or with a JWT and nothing else (JARM).
fn answer(
    state: &State,
    now: SystemTime,
    status: StatusCode,
    to: &AnswerTo,
    parameters: &[(&str, &str)],
) -> Answer {
    let mut parameters = parameters.to_vec();
    parameters.extend(to.state.as_deref().map(|sent| ("state", sent)));
    let signed = to.as_jwt.then(|| jarm::sign(state, now, &to.client_id, &parameters)).flatten();
    match &signed {
        Some(jwt) => parameters = vec![("response", jwt)],
        None => parameters.extend(state.settings.advertise_iss.then_some(("iss", &*state.settings.issuer))),
    }
    let query = form::encode(parameters.into_iter().map(|(name, value)| (name, value.into())));
    let separator = if to.redirect_uri.contains('?') { '&' } else { '?' };
    Answer::redirect(status, &format!("{}{separator}{query}", to.redirect_uri))
}
