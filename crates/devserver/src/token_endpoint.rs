//! The token endpoint (RFC 6749 §3.2): its five grants in one file, because what differs between them is a page and
//! what they share is the order of the checks. Extension grants have files of their own.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::authorization_details::{self, Details};
use crate::client_authentication::authenticate;
use crate::clients::{
    AUTHORIZATION_CODE, CIBA, CLIENT_CREDENTIALS, Client, DEVICE_CODE, JWT_BEARER, Method, PASSWORD,
    REFRESH_TOKEN, TOKEN_EXCHANGE,
};
use crate::device;
use crate::dpop::{self, Proof};
use crate::fapi;
use crate::form::Parameters;
use crate::id_token;
use crate::pkce;
use crate::refresh::{RefreshEvent, RefreshOutcome};
use crate::refusal::Refusal;
use crate::scope::{self, Scope};
use crate::state::State;
use crate::tokens::{LoginId, Order, Rotation};
use crate::{ciba, jwt_bearer, mutual_tls, token_exchange};

/// What a grant has decided to hand out.
pub(crate) struct Issue {
    pub(crate) subject: String,
    pub(crate) scope: Scope,
    pub(crate) audience: Vec<String>,
    pub(crate) login: Option<LoginId>,
    pub(crate) refresh_token: Option<String>,
    /// The refresh token that was presented had been rotated before, within the grace period.
    pub(crate) forgiven: bool,
    pub(crate) issued: Issued,
}

/// What kind of token goes out.
pub(crate) enum Issued {
    AccessToken,
    /// An access token, and the answer says so (RFC 8693 §2.2.1).
    Exchanged,
    /// An identity assertion, which is no access token.
    IdJag {
        jwt: String,
        lifetime: Duration,
    },
}

pub(crate) fn token(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let grant_type = parameters.require("grant_type")?;
    let grant = match grant_type {
        AUTHORIZATION_CODE => authorization_code,
        CLIENT_CREDENTIALS => client_credentials,
        DEVICE_CODE => device_code,
        PASSWORD => password,
        REFRESH_TOKEN => refresh,
        TOKEN_EXCHANGE => token_exchange::exchange,
        JWT_BEARER => jwt_bearer::take,
        CIBA => ciba::poll,
        _ => return Err(Refusal::new("unsupported_grant_type", "this server does not know this grant type")),
    };
    let client = authenticate(state, now, request, &parameters)?;
    if !client.may_use(grant_type) {
        return Err(Refusal::new("unauthorized_client", "this client may not use this grant"));
    }
    // Before anything is used up: a client whose nonce is too old comes again with the same refresh token.
    let certificate = mutual_tls::binding(&client, request)?;
    if let Some(presented) = parameters.get("refresh_token")
        && let Some(bound_to) =
            state.tokens.refresh_token_login(presented).and_then(|login| login.x5t.clone())
        && certificate.as_ref() != Some(&bound_to)
    {
        return Err(Refusal::invalid_grant(
            "A18: the refresh token is bound to another certificate (RFC 8705 section 4)",
        ));
    }
    let proof = dpop::at_token_endpoint(state, now, request, &client, &parameters)?;
    fapi::check_token_request(state, grant_type, &client, proof.is_some() || certificate.is_some())?;
    let before = state.counters.refresh_reuses_detected;
    let issue = grant(state, now, &client, &parameters);
    if grant_type == REFRESH_TOKEN {
        tell_of_refresh(state, request, &parameters, before, issue.as_ref().ok());
    }
    let issue = issue?;
    state.counters.grant_succeeded(grant_type);
    if let (Some(proven), Some(login), Method::None) = (&proof, issue.login, client.method) {
        state.tokens.bind_login(login, &proven.jkt);
    }
    if let (Some(x5t), Some(login), Method::None) = (&certificate, issue.login, client.method) {
        state.tokens.bind_login_to_certificate(login, x5t);
    }
    let login = issue.login.and_then(|id| state.tokens.login(id));
    let details = match login {
        Some(login) => authorization_details::narrowed(&parameters, &state.settings, &login.details)?,
        None => authorization_details::requested(&parameters, &state.settings)?,
    };
    Ok(answer(state, now, client, issue, (proof, certificate), details))
}

fn authorization_code(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let code = parameters.require("code")?;
    let redirect_uri = parameters.get("redirect_uri").ok_or_else(|| {
        Refusal::invalid_request("A4: redirect_uri is missing; repeat the authorization request's")
    })?;
    let verifier = pkce::verifier(parameters)?;
    let redeemed = state.codes.present(code, &client.id, now).map_err(|(refusal, login)| {
        if let Some(login) = login {
            state.tokens.revoke_login(login, &mut state.counters);
        }
        refusal
    })?;
    let request = redeemed.request;
    let audience = scope::narrowed_resources(parameters, &request.resources)?;
    authorization_details::narrowed(parameters, &state.settings, &request.details)?;
    if request.redirect_uri != redirect_uri {
        state.codes.burn(code);
        return Err(Refusal::invalid_grant(
            "A4: redirect_uri must be byte-identical to the authorization request's (RFC 6749 section 4.1.3)",
        ));
    }
    if !pkce::matches(verifier, &request.challenge) {
        state.codes.burn(code);
        return Err(Refusal::invalid_grant(
            "A12: code_verifier does not match the code_challenge (RFC 7636 section 4.6)",
        ));
    }
    let login = state.tokens.begin_login(&client.id, &redeemed.subject, &request.scope, &request.resources);
    state.tokens.authenticated(login, request.acr, request.authenticated_at);
    state.tokens.set_nonce(login, request.nonce);
    state.tokens.detailed(login, request.details);
    state.codes.redeem(code, login);
    Ok(Issue {
        subject: redeemed.subject,
        scope: request.scope,
        audience,
        login: Some(login),
        refresh_token: first_refresh_token(state, client, login),
        forgiven: false,
        issued: Issued::AccessToken,
    })
}

fn client_credentials(
    state: &mut State,
    _now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    if client.method == Method::None {
        return Err(Refusal::new(
            "unauthorized_client",
            "client credentials are for confidential clients only (RFC 6749 section 4.4)",
        ));
    }
    Ok(Issue {
        subject: client.id.clone(),
        scope: Scope::requested(parameters, &state.settings)?,
        audience: scope::requested_resources(parameters, &state.settings)?,
        login: None,
        refresh_token: None,
        forgiven: false,
        issued: Issued::AccessToken,
    })
}

fn device_code(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let approved = device::poll(state, now, &client.id, parameters)?;
    let login =
        state.tokens.begin_login(&client.id, &approved.subject, &approved.scope, &approved.granted_resources);
    Ok(Issue {
        subject: approved.subject,
        scope: approved.scope,
        audience: approved.resources,
        login: Some(login),
        refresh_token: first_refresh_token(state, client, login),
        forgiven: false,
        issued: Issued::AccessToken,
    })
}

fn password(
    state: &mut State,
    _now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let (username, password) = (parameters.require("username")?, parameters.require("password")?);
    let known = state.users.iter().any(|(name, secret)| name == username && secret == password);
    if !known {
        return Err(Refusal::invalid_grant("wrong username or password (RFC 6749 section 5.2)"));
    }
    let scope = Scope::requested(parameters, &state.settings)?;
    let audience = scope::requested_resources(parameters, &state.settings)?;
    let login = state.tokens.begin_login(&client.id, username, &scope, &audience);
    Ok(Issue {
        subject: username.to_owned(),
        scope,
        audience,
        login: Some(login),
        refresh_token: first_refresh_token(state, client, login),
        forgiven: false,
        issued: Issued::AccessToken,
    })
}

fn refresh(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let presented = parameters.require("refresh_token")?;
    let rotation: Rotation = state.settings.rotation;
    let id = state.tokens.present_refresh_token(presented, &client.id, now, rotation, &mut state.counters)?;
    let login = state.tokens.login(id).ok_or_else(|| Refusal::invalid_grant("no such login"))?;
    let subject = login.subject.clone();
    let scope = login.scope.narrowed(parameters)?;
    let audience = scope::narrowed_resources(parameters, &login.resources)?;
    authorization_details::narrowed(parameters, &state.settings, &login.details)?;
    state.counters.refreshes += 1;
    let forgiven = !state.tokens.is_refresh_token_live(presented);
    let refresh_token = state.tokens.rotate_refresh_token(&mut state.mint, presented, now, rotation);
    Ok(Issue {
        subject,
        scope,
        audience,
        login: Some(id),
        refresh_token,
        forgiven,
        issued: Issued::AccessToken,
    })
}

/// Tells the listener what became of a refresh request. `reuses_before` is the count from before it.
fn tell_of_refresh(
    state: &State,
    request: &Request,
    parameters: &Parameters,
    reuses_before: u64,
    issue: Option<&Issue>,
) {
    let (Some(listener), Some(presented)) = (&state.refresh_listener, parameters.get("refresh_token")) else {
        return;
    };
    let login = state.tokens.refresh_token_login_id(presented);
    let outcome = match issue {
        Some(issue) => {
            RefreshOutcome::Granted { refresh_token: issue.refresh_token.clone(), forgiven: issue.forgiven }
        }
        None if state.counters.refresh_reuses_detected > reuses_before => RefreshOutcome::ReuseDetected,
        None => RefreshOutcome::Refused,
    };
    listener(&RefreshEvent {
        login,
        subject: login.and_then(|id| state.tokens.login(id)).map(|login| login.subject.clone()),
        request_id: request.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned),
        presented: presented.to_owned(),
        outcome,
    });
}

fn first_refresh_token(state: &mut State, client: &Client, login: LoginId) -> Option<String> {
    let wanted = state.settings.issue_refresh_tokens && client.may_use(REFRESH_TOKEN);
    wanted.then(|| state.tokens.issue_refresh_token(&mut state.mint, login))
}

/// The token answer of RFC 6749 §5.1.
fn answer(
    state: &mut State,
    now: SystemTime,
    client: Client,
    issue: Issue,
    (proof, certificate): (Proof, Option<String>),
    details: Details,
) -> Answer {
    if let Issued::IdJag { jwt, lifetime } = issue.issued {
        let body = json!({
            "access_token": jwt,
            "issued_token_type": token_exchange::ID_JAG,
            "token_type": "N_A",
            "scope": issue.scope.text(),
            "expires_in": lifetime.as_secs(),
        });
        return Answer::json(StatusCode::OK, &body);
    }
    let openid = issue.login.filter(|_| issue.scope.contains("openid"));
    let lifetime = state.settings.access_token_lifetime;
    let token_type = if proof.is_some() { "DPoP" } else { "Bearer" };
    let mut body = json!({ "token_type": token_type, "scope": issue.scope.text() });
    if let Some(lifetime) = lifetime {
        body["expires_in"] = lifetime.as_secs().into();
    }
    if matches!(issue.issued, Issued::Exchanged) {
        body["issued_token_type"] = token_exchange::ACCESS_TOKEN.into();
    }
    if let Some(refresh_token) = issue.refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    if !details.is_empty() {
        body["authorization_details"] = details.clone().into();
    }
    let order = Order {
        client_id: client.id.clone(),
        subject: issue.subject,
        scope: issue.scope,
        audience: issue.audience,
        login: issue.login,
        lifetime,
        size: state.settings.access_token_size,
        jkt: proof.map(|proven| proven.jkt),
        x5t: certificate,
        details,
    };
    state.counters.tokens_issued += 1;
    let access_token = state.tokens.issue_access_token(&mut state.mint, now, order);
    if let Some(id_token) =
        openid.and_then(|login| id_token::issue(state, now, &client, login, &access_token))
    {
        body["id_token"] = id_token.into();
    }
    body["access_token"] = access_token.into();
    Answer::json(StatusCode::OK, &body)
}
