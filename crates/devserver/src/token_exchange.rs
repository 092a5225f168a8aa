//! Token exchange (RFC 8693), also for identity assertions (draft-ietf-oauth-identity-assertion-authz-grant).

use std::time::{Duration, SystemTime};

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::clients::Client;
use crate::clock::unix_seconds;
use crate::form::Parameters;
use crate::jwt::{self, Jwt};
use crate::refusal::Refusal;
use crate::scope::{self, Scope};
use crate::state::State;
use crate::token_endpoint::{Issue, Issued};

pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// How long an ID-JAG lives.
const ID_JAG_LIFETIME: Duration = Duration::from_secs(300);

/// Whom a security token speaks of, and what it is good for.
struct Party {
    subject: String,
    scope: Option<Scope>,
}

pub(crate) fn exchange(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
) -> Result<Issue, Refusal> {
    let subject_token = parameters.require("subject_token")?;
    let subject_type = parameters.require("subject_token_type")?;
    let actor = match (parameters.get("actor_token"), parameters.get("actor_token_type")) {
        (None, None) => None,
        (Some(token), Some(kind)) => Some((token, kind)),
        _ => {
            return Err(Refusal::invalid_request(
                "A17: actor_token_type must be there if actor_token is, and must not be otherwise (RFC 8693 section 2.1)",
            ));
        }
    };
    let subject = party(state, now, client, "subject_token", subject_token, subject_type)?;
    if let Some((token, kind)) = actor {
        party(state, now, client, "actor_token", token, kind)?;
    }
    match parameters.get("requested_token_type") {
        None | Some(ACCESS_TOKEN) => access_token(state, client, parameters, subject),
        Some(ID_JAG) if subject_type == ID_TOKEN => id_jag(state, now, client, parameters, subject),
        Some(ID_JAG) => Err(Refusal::invalid_request(
            "an identity assertion is issued for an ID token only (draft-ietf-oauth-identity-assertion-authz-grant)",
        )),
        Some(_) => Err(Refusal::invalid_request("A17: this server issues no tokens of the requested type")),
    }
}

fn party(
    state: &State,
    now: SystemTime,
    client: &Client,
    role: &'static str,
    token: &str,
    kind: &str,
) -> Result<Party, Refusal> {
    // RFC 8693 §2.2.2: a token that is not valid is `invalid_request`.
    let invalid = |why: &str| Refusal::invalid_request(format!("A17: the {role} is not valid: {why}"));
    match kind {
        ACCESS_TOKEN => {
            let token = state.tokens.live_access_token(token, now).map_err(invalid)?;
            Ok(Party { subject: token.subject.clone(), scope: Some(token.scope.clone()) })
        }
        ID_TOKEN => {
            let jwt = Jwt::signed_by(token, &state.keys.jwks(), jwt::SIGNING).map_err(invalid)?;
            if jwt.text("iss") != Some(&state.settings.issuer) || jwt.text("aud") != Some(&client.id) {
                return Err(invalid("it is another server's, or was issued to another client"));
            }
            jwt.check_times(now, Duration::from_secs(3600)).map_err(invalid)?;
            subject_of(&jwt).map_err(invalid)
        }
        JWT => {
            let jwt = trusted(state, token).map_err(invalid)?;
            jwt.check_times(now, Duration::from_secs(3600)).map_err(invalid)?;
            subject_of(&jwt).map_err(invalid)
        }
        _ => Err(invalid("this server knows no tokens of that type")),
    }
}

fn subject_of(jwt: &Jwt) -> Result<Party, &'static str> {
    let subject = jwt.text("sub").filter(|sub| !sub.is_empty()).ok_or("it speaks of nobody")?;
    Ok(Party { subject: subject.to_owned(), scope: None })
}

/// A JWT that one of those signed who are trusted to speak for people.
pub(crate) fn trusted(state: &State, text: &str) -> Result<Jwt, &'static str> {
    let unverified = Jwt::unverified(text).ok_or("it is no JWT in compact form")?;
    let issuer = unverified.text("iss").ok_or("it names no issuer")?;
    let (_, keys) = state
        .settings
        .trusted_issuers
        .iter()
        .find(|(own, _)| own == issuer)
        .ok_or("its issuer is not trusted here")?;
    Jwt::signed_by(text, keys, jwt::ASYMMETRIC)
}

fn access_token(
    state: &mut State,
    client: &Client,
    parameters: &Parameters,
    subject: Party,
) -> Result<Issue, Refusal> {
    let mut audience = scope::requested_resources(parameters, &state.settings)?;
    let named: Vec<String> = parameters.all("audience").map(str::to_owned).collect();
    if !named.iter().all(|name| state.settings.resources.contains(name)) {
        return Err(Refusal::new(
            "invalid_target",
            "A17: an audience that this server does not know; its resources' identifiers are those it knows",
        ));
    }
    if !named.is_empty() {
        if parameters.get("resource").is_none() {
            audience.clear();
        }
        audience.extend(named);
    }
    let scope = match &subject.scope {
        Some(granted) => granted.narrowed(parameters)?,
        None => Scope::requested(parameters, &state.settings)?,
    };
    // A login of its own, which ends when it is revoked and not when the subject's does.
    let login = state.tokens.begin_login(&client.id, &subject.subject, &scope, &audience);
    let refresh_token =
        scope.contains("offline_access").then(|| state.tokens.issue_refresh_token(&mut state.mint, login));
    Ok(Issue {
        subject: subject.subject,
        scope,
        audience,
        login: Some(login),
        refresh_token,
        forgiven: false,
        issued: Issued::Exchanged,
    })
}

/// The identity assertion of a person for another authorization server that this one is connected with.
fn id_jag(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    parameters: &Parameters,
    subject: Party,
) -> Result<Issue, Refusal> {
    let audiences: Vec<&str> = parameters.all("audience").collect();
    let [audience] = audiences[..] else {
        return Err(Refusal::invalid_request(
            "an identity assertion is for exactly one audience: the issuer of the other authorization server",
        ));
    };
    let known = client.known_as.iter().find(|(issuer, _)| issuer == audience);
    let (_, client_id) = known.ok_or_else(|| {
        Refusal::new("invalid_target", "this client is not connected with that authorization server")
    })?;
    let scope = Scope::requested(parameters, &state.settings)?;
    let mut claims = json!({
        "iss": state.settings.issuer,
        "sub": subject.subject,
        "aud": audience,
        "client_id": client_id,
        "jti": state.mint.secret(),
        "iat": unix_seconds(now),
        "exp": unix_seconds(now + ID_JAG_LIFETIME),
        "scope": scope.text(),
    });
    let resources: Vec<&str> = parameters.all("resource").collect();
    if !resources.is_empty() {
        claims["resource"] = json!(resources);
    }
    let jwt = state.keys.sign(Algorithm::ES256, Some("oauth-id-jag+jwt"), &claims);
    let jwt = jwt.ok_or_else(|| Refusal::new("server_error", "the server cannot sign"))?;
    Ok(Issue {
        subject: subject.subject,
        scope,
        audience: vec![audience.to_owned()],
        login: None,
        refresh_token: None,
        forgiven: false,
        issued: Issued::IdJag { jwt, lifetime: ID_JAG_LIFETIME },
    })
}
