//! Pushed authorization requests (RFC 9126): the client hands in its request itself, and the browser brings a reference to it, which
//! works once.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::authorization;
use crate::client_authentication::authenticate;
use crate::dpop;
use crate::form::Parameters;
use crate::mint::Mint;
use crate::refusal::Refusal;
use crate::request_object;
use crate::state::State;

const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// Parameters that concern the client's authentication and not the authorization (RFC 9126 §2.1).
const OF_AUTHENTICATION: [&str; 3] = ["client_assertion", "client_assertion_type", "client_secret"];

/// Requests that were pushed and not yet opened.
#[derive(Default)]
pub(crate) struct PushedRequests(HashMap<String, Pushed>);

struct Pushed {
    client_id: String,
    parameters: Parameters,
    is_signed: bool,
    expires_at: SystemTime,
    /// Opened once: kept so that the refusal can say so.
    used: bool,
}

/// What a browser brought in the place of a request.
pub(crate) struct Opened {
    pub(crate) parameters: Parameters,
    pub(crate) is_signed: bool,
}

impl PushedRequests {
    fn keep(&mut self, mint: &mut Mint, now: SystemTime, pushed: Pushed) -> String {
        // Long gone ones are forgotten; those of the last minutes still tell why they are refused.
        self.0.retain(|_, known| known.expires_at + Duration::from_secs(600) > now);
        let request_uri = format!("{URN}{}", mint.secret());
        self.0.insert(request_uri.clone(), pushed);
        request_uri
    }

    /// The request behind a reference, which is used up by this.
    pub(crate) fn open(
        &mut self,
        now: SystemTime,
        client_id: &str,
        request_uri: &str,
    ) -> Result<Opened, Refusal> {
        let refuse = |description: &'static str| Refusal::new("invalid_request_uri", description);
        let pushed = self.0.get_mut(request_uri);
        let pushed = pushed.ok_or_else(|| refuse("A22: no such request_uri was given out here"))?;
        if pushed.client_id != client_id {
            return Err(refuse("A22: the request_uri was given to another client (RFC 9126 section 2.2)"));
        }
        if pushed.used {
            return Err(refuse(
                "A22: the request_uri was used before; push each request anew (RFC 9126 section 4)",
            ));
        }
        if pushed.expires_at <= now {
            return Err(refuse("A22: the request_uri expired; open it before expires_in is over"));
        }
        pushed.used = true;
        Ok(Opened { parameters: pushed.parameters.clone(), is_signed: pushed.is_signed })
    }
}

/// `POST /par`.
pub(crate) fn push(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Refusal> {
    let parameters = Parameters::of_post(request)?;
    let client = authenticate(state, now, request, &parameters)?;
    if parameters.get("request_uri").is_some() {
        return Err(Refusal::invalid_request(
            "A22: request_uri has no place in a pushed request (RFC 9126 section 2.1)",
        ));
    }
    let (parameters, is_signed) = match parameters.get("request") {
        Some(jwt) => {
            let besides =
                |name: &&str| !OF_AUTHENTICATION.contains(name) && !["client_id", "request"].contains(name);
            if parameters.names().any(|name| besides(&name)) {
                return Err(Refusal::invalid_request(
                    "A22: beside a request object a pushed request has what authentication needs and nothing else \
                     (RFC 9126 section 3)",
                ));
            }
            (request_object::open(state, now, &client, jwt)?, true)
        }
        None => {
            if parameters.get("client_id") != Some(&client.id) {
                return Err(Refusal::invalid_request(
                    "A22: a pushed request has the client_id of an authorization request (RFC 9126 section 2.1)",
                ));
            }
            (parameters.without(&OF_AUTHENTICATION), false)
        }
    };
    let parameters = dpop::at_pushed_request(state, now, request, parameters)?;
    // Whatever would be refused in the browser is refused here (RFC 9126 §2.3).
    authorization::check(state, &parameters, Some(is_signed))
        .map_err(authorization::Problem::into_refusal)?;
    let lifetime = state.settings.request_uri_lifetime;
    let pushed =
        Pushed { client_id: client.id, parameters, is_signed, expires_at: now + lifetime, used: false };
    let request_uri = state.pushed.keep(&mut state.mint, now, pushed);
    let body = json!({ "request_uri": request_uri, "expires_in": lifetime.as_secs() });
    Ok(Answer::json(StatusCode::CREATED, &body))
}
