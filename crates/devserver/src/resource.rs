//! The resource server: two protected resources with an audience each (RFC 6750, RFC 8707, RFC 9449 §7), and redirects to
//! anywhere, to see whether a client lets its token travel along.

use std::borrow::Cow;
use std::time::SystemTime;

use hyper::StatusCode;
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::dpop::{self, Proof};
use crate::form;
use crate::mutual_tls::Presented;
use crate::protected_resource;
use crate::state::State;
use crate::tokens::{AccessToken, Tokens};

/// Serves `/api/...` and `/api2/...`: `me` and any other path say who was seen; `admin` asks for the scope
/// `admin`; `redirect?to=URL&status=307` redirects; `wants?scope=..&acr_values=..&max_age=..` asks for all that.
pub(crate) fn serve(state: &mut State, now: SystemTime, request: &Request) -> Answer {
    let answer = protected(state, now, request).unwrap_or_else(Challenge::into_answer);
    let answer = protected_resource::announce(state, request, answer);
    if answer.status == StatusCode::UNAUTHORIZED {
        state.counters.api_unauthorized += 1;
    }
    answer
}

/// Why a request is turned away (RFC 6750 §3).
struct Challenge {
    status: StatusCode,
    /// Code and description; nothing for a request that showed no token at all (§3.1).
    error: Option<(&'static str, Cow<'static, str>)>,
    scope: Option<String>,
    /// Further parameters, as they go into the header.
    wanted: String,
    /// Whether the client spoke DPoP, and so is answered in that scheme.
    dpop: bool,
}

impl Challenge {
    fn no_token() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: None,
            scope: None,
            wanted: String::new(),
            dpop: false,
        }
    }

    fn invalid_request(why: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: Some(("invalid_request", why.into())),
            ..Self::no_token()
        }
    }

    fn invalid_token(why: &'static str) -> Self {
        Self { error: Some(("invalid_token", why.into())), ..Self::no_token() }
    }

    /// The proof beside the token is missing or wrong, or needs a nonce (RFC 9449 §7.1, §9).
    fn of_proof(error: &'static str, why: Cow<'static, str>) -> Self {
        Self { error: Some((error, why)), dpop: true, ..Self::no_token() }
    }

    fn insufficient_user_authentication(wanted: String) -> Self {
        let why = "The person has to authenticate in another way, or anew (RFC 9470 section 3)".into();
        Self { error: Some(("insufficient_user_authentication", why)), wanted, ..Self::no_token() }
    }

    fn insufficient_scope(scope: &str) -> Self {
        let error =
            Some(("insufficient_scope", "This resource asks for more scope than the token has".into()));
        Self { status: StatusCode::FORBIDDEN, error, scope: Some(scope.to_owned()), ..Self::no_token() }
    }

    fn into_answer(self) -> Answer {
        let mut header = match self.dpop {
            true => dpop::challenge(),
            false => r#"Bearer realm="jeton-devserver""#.to_owned(),
        };
        let mut body = json!({ "error": "unauthorized" });
        if let Some((error, description)) = self.error {
            header.push_str(&format!(r#", error="{error}", error_description="{description}""#));
            body = json!({ "error": error, "error_description": description });
        }
        if let Some(scope) = self.scope {
            header.push_str(&format!(r#", scope="{scope}""#));
        }
        header.push_str(&self.wanted);
        Answer::json(self.status, &body).with_header("www-authenticate", &header)
    }
}

/// What `read` makes of the access token of a request to an endpoint that is no resource of its own, such as userinfo: a token for
/// any audience, but with that scope. Otherwise the answer that turns the request away.
pub(crate) fn admitted<T>(
    state: &mut State,
    now: SystemTime,
    request: &Request,
    scope: &str,
    read: impl FnOnce(&AccessToken) -> T,
) -> Result<T, Box<Answer>> {
    let admitted = || {
        let (dpop, token, proof) = checked(state, now, request)?;
        let token = live(&state.tokens, now, request, &token, dpop, &proof)?;
        match token.scope.contains(scope) {
            true => Ok(read(token)),
            false => Err(Challenge { dpop, ..Challenge::insufficient_scope(scope) }),
        }
    };
    admitted().map_err(|challenge| Box::new(challenge.into_answer()))
}

/// The token that a request shows, whether it shows it by DPoP, and the proof beside it.
fn checked(
    state: &mut State,
    now: SystemTime,
    request: &Request,
) -> Result<(bool, String, Proof), Challenge> {
    let query = form::parse_tolerantly(request.query.as_bytes());
    let body = if request.is_form() { form::parse_tolerantly(&request.body) } else { Vec::new() };
    if query.iter().chain(&body).any(|(name, _)| name == "access_token") {
        return Err(Challenge::invalid_request(
            "A8: the token goes into the Authorization header only (RFC 9700)",
        ));
    }
    let (dpop, token) = presented(request)?;
    let proof = match dpop {
        true => dpop::at_resource(state, now, request, token)
            .map_err(|(error, why)| Challenge::of_proof(error, why))?,
        false => None,
    };
    Ok((dpop, token.to_owned(), proof))
}

/// The token, if it lives and is bound to what was proven.
fn live<'a>(
    tokens: &'a Tokens,
    now: SystemTime,
    request: &Request,
    token: &str,
    dpop: bool,
    proof: &Proof,
) -> Result<&'a AccessToken, Challenge> {
    let in_scheme = |challenge: Challenge| Challenge { dpop, ..challenge };
    let token =
        tokens.live_access_token(token, now).map_err(|why| in_scheme(Challenge::invalid_token(why)))?;
    let certificate = request.certificate.as_ref().map(Presented::thumbprint);
    if token.x5t.is_some() && token.x5t != certificate {
        return Err(in_scheme(Challenge::invalid_token(
            "A18: the access token is bound to a certificate that did not come with the connection (RFC 8705 section 3)",
        )));
    }
    if token.jkt.as_deref() != proof.as_ref().map(|proven| proven.jkt.as_str()) {
        return Err(in_scheme(Challenge::invalid_token(match dpop {
            true => "A25: the access token is not bound to the key of the proof (RFC 9449 section 7.1)",
            false => "A25: a bound access token was sent as Bearer (RFC 9449 section 7.2)",
        })));
    }
    Ok(token)
}

fn protected(state: &mut State, now: SystemTime, request: &Request) -> Result<Answer, Challenge> {
    let (root, path) = split(&request.path);
    let resource = state.settings.resources[usize::from(root == "/api2")].clone();
    let query = form::parse_tolerantly(request.query.as_bytes());
    let (dpop, token, proof) = checked(state, now, request)?;
    let in_scheme = |challenge: Challenge| Challenge { dpop, ..challenge };
    let audiences = protected_resource::audiences(state, &resource);
    // Resources that have moved take the tokens of their new server only.
    let entrusted_to = state.announcement.entrusted_to.clone();
    let other = entrusted_to.as_ref().map(|shared| shared.state());
    let tokens = other.as_ref().map_or(&state.tokens, |other| &other.tokens);
    let token = live(tokens, now, request, &token, dpop, &proof)?;
    if !token.audience.iter().any(|audience| audiences.contains(audience)) {
        let why = "A19: the access token is for another resource (RFC 8707)";
        return Err(in_scheme(Challenge::invalid_token(why)));
    }
    if path == "/admin" && !token.scope.contains("admin") {
        return Err(in_scheme(Challenge::insufficient_scope("admin")));
    }
    let needed = query.iter().filter(|(name, _)| name == "scope").map(|(_, scope)| scope.as_str());
    for needed in needed.filter(|_| path == "/wants") {
        if !needed.split(' ').all(|name| token.scope.contains(name)) {
            return Err(in_scheme(Challenge::insufficient_scope(needed)));
        }
    }
    if path == "/wants"
        && let Some(wanted) = protected_resource::wanted_authentication(tokens.login_of(token), now, &query)
    {
        return Err(in_scheme(Challenge::insufficient_user_authentication(wanted)));
    }
    if path == "/redirect" {
        return Ok(redirect(&query));
    }
    let body = json!({
        "sub": token.subject,
        "client_id": token.client_id,
        "scope": token.scope.text(),
        "resource": resource,
        "method": request.method.as_str(),
        "path": request.path,
        "content_type": request.media_type(),
        "body_length": request.body.len(),
    });
    Ok(Answer::json(StatusCode::OK, &body))
}

/// Which of the two resources a path belongs to, and what is left of it.
fn split(path: &str) -> (&str, &str) {
    match path.strip_prefix("/api2") {
        Some(rest) => ("/api2", rest),
        None => ("/api", path.strip_prefix("/api").unwrap_or_default()),
    }
}

/// Whether the token came with the scheme DPoP, and the token.
fn presented(request: &Request) -> Result<(bool, &str), Challenge> {
    let mut headers = request.headers.get_all("authorization").iter();
    let header = headers.next().ok_or_else(Challenge::no_token)?;
    if headers.next().is_some() {
        return Err(Challenge::invalid_request("A8: two Authorization headers"));
    }
    let malformed = || {
        Challenge::invalid_request(
            "A8: the Authorization header is not Bearer or DPoP and one token (RFC 6750 section 2.1)",
        )
    };
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    let b64token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let dpop = scheme.eq_ignore_ascii_case("dpop");
    match (dpop || scheme.eq_ignore_ascii_case("bearer")) && !token.is_empty() && token.bytes().all(b64token)
    {
        true => Ok((dpop, token)),
        false => Err(malformed()),
    }
}

fn redirect(query: &[(String, String)]) -> Answer {
    let value = |name| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let status = value("status").map_or(Ok(302), str::parse::<u16>);
    let status = status.ok().and_then(|code| StatusCode::from_u16(code).ok());
    match (value("to"), status.filter(StatusCode::is_redirection)) {
        (Some(to), Some(status)) => Answer::redirect(status, to),
        _ => Answer::json(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "say to=URL, and status=3xx if not 302" }),
        ),
    }
}
