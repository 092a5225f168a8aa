//! Who is asking (RFC 6749 §2.3): exactly one method per request, and exactly the registered one.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Request;
use crate::clients::{Client, Method};
use crate::form::{self, Parameters};
use crate::jwt::Jwt;
use crate::record::RecordedRequest;
use crate::refusal::Refusal;
use crate::state::State;

/// What the request shows, before anybody believes it.
struct Shown {
    id: String,
    proof: Proof,
}

enum Proof {
    None,
    Secret(Method, String),
    Assertion(String),
}

impl Proof {
    /// Whether it is of that method.
    fn is_of(&self, method: Method) -> bool {
        match self {
            Self::None => matches!(method, Method::None | Method::Tls | Method::SelfSignedTls),
            Self::Secret(own, _) => method == *own,
            Self::Assertion(_) => matches!(method, Method::PrivateKeyJwt | Method::SecretJwt),
        }
    }
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest that a client assertion may live.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(300);

/// The authenticated client of a request to the token, device authorization, revocation or introspection endpoint.
pub(crate) fn authenticate(
    state: &mut State,
    now: SystemTime,
    request: &Request,
    parameters: &Parameters,
) -> Result<Client, Refusal> {
    let shown = shown(request, parameters)?;
    let no_such = |state: &State| {
        Refusal::invalid_client(state.documents.problem(&shown.id).unwrap_or("no such client"))
    };
    let client = state.clients.get(&shown.id).cloned().ok_or_else(|| no_such(state))?;
    if !shown.proof.is_of(client.method) {
        return Err(Refusal::invalid_client(match client.method {
            Method::None => "A2: a public client has no secret to show; send client_id alone",
            Method::Basic => "A2: this client is registered for client_secret_basic and must use that",
            Method::Post => "A2: this client is registered for client_secret_post and must use that",
            Method::PrivateKeyJwt => "A2: this client is registered for private_key_jwt and must use that",
            Method::SecretJwt => "A2: this client is registered for client_secret_jwt and must use that",
            Method::Tls => "A2: this client is registered for tls_client_auth and must use that",
            Method::SelfSignedTls => {
                "A2: this client is registered for self_signed_tls_client_auth and must use that"
            }
        }));
    }
    if client.secret.is_some() && state.registrations.has_expired_secret(&client.id, now) {
        return Err(Refusal::invalid_client("A11: this client secret has expired (RFC 7591 section 3.2.1)"));
    }
    match shown.proof {
        Proof::None if client.method == Method::None => {}
        Proof::None => crate::mutual_tls::authenticate(&client, request)?,
        Proof::Secret(_, secret) if client.secret.as_deref() == Some(secret.as_str()) => {}
        Proof::Secret(..) => return Err(Refusal::invalid_client("wrong client secret")),
        Proof::Assertion(assertion) => check_assertion(state, now, &client, &assertion)?,
    }
    Ok(client)
}

/// Who a request says it is, believed by nobody, for showing what came in.
pub(crate) fn claimed(request: &RecordedRequest) -> Option<String> {
    let named = request.form_value("client_id").or_else(|| request.query_value("client_id"));
    let by_basic = || Some(basic(request.header("authorization")?.as_bytes()).ok()?.0);
    let by_assertion =
        || Some(Jwt::unverified(request.form_value("client_assertion")?)?.text("sub")?.to_owned());
    named.map(str::to_owned).or_else(by_basic).or_else(by_assertion)
}

/// A client assertion (RFC 7521 §4.2, RFC 7523 §3 and its update): whose it is was read from it, and the rest is checked here.
fn check_assertion(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    assertion: &str,
) -> Result<(), Refusal> {
    let wrong = |what: &str| Refusal::invalid_client(format!("A10: the client assertion is refused: {what}"));
    let jwt = match (&client.keys, &client.secret) {
        (Some(keys), _) if client.method == Method::PrivateKeyJwt => {
            Jwt::signed_by(assertion, keys, state.settings.client_algorithms())
        }
        (_, Some(secret)) => Jwt::signed_with(assertion, secret),
        _ => Err("the client has no keys"),
    };
    let jwt = jwt.map_err(wrong)?;
    if !matches!(jwt.typ().as_deref(), None | Some("client-authentication+jwt" | "jwt")) {
        return Err(wrong("typ must be client-authentication+jwt"));
    }
    if jwt.text("iss") != Some(&client.id) || jwt.text("sub") != Some(&client.id) {
        return Err(wrong("iss and sub must both be the client_id (RFC 7523 section 3)"));
    }
    let audience = if client.old_assertion_audience {
        format!("{}/token", state.settings.base)
    } else {
        state.settings.issuer.clone()
    };
    if jwt.text("aud") != Some(&audience) {
        return Err(wrong("aud must be the issuer identifier as its sole value, a string"));
    }
    jwt.check_times(now, ASSERTION_LIFETIME).map_err(wrong)?;
    let jti = jwt.text("jti").filter(|jti| jti.len() >= 22);
    let jti = jti.ok_or_else(|| wrong("jti must have at least 128 random bits, which are 22 characters"))?;
    let until = now + 2 * ASSERTION_LIFETIME;
    if !state.replays.is_first_use("client assertion", &client.id, jti, until, now) {
        return Err(wrong("its jti was used before"));
    }
    Ok(())
}

fn shown(request: &Request, parameters: &Parameters) -> Result<Shown, Refusal> {
    let mut headers = request.headers.get_all("authorization").iter();
    let (header, second) = (headers.next(), headers.next());
    if second.is_some() {
        return Err(Refusal::invalid_request("A2: two Authorization headers (RFC 6749 section 2.3)"));
    }
    let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    if let Some(assertion) = parameters.get("client_assertion") {
        if header.is_some() || secret.is_some() {
            return Err(Refusal::invalid_request(
                "A2: a client assertion beside another client authentication; use one method (RFC 6749 section 2.3)",
            ));
        }
        if parameters.get("client_assertion_type") != Some(JWT_BEARER) {
            return Err(Refusal::invalid_request(
                "A10: client_assertion_type must be that of JWTs (RFC 7523 section 2.2)",
            ));
        }
        let subject = Jwt::unverified(assertion).and_then(|jwt| jwt.text("sub").map(str::to_owned));
        let subject =
            subject.ok_or_else(|| Refusal::invalid_client("A10: the client assertion names no client"))?;
        if id.is_some_and(|id| id != subject) {
            return Err(Refusal::invalid_request(
                "A10: client_id differs from the assertion's sub (RFC 7521 section 4.2)",
            ));
        }
        return Ok(Shown { id: subject, proof: Proof::Assertion(assertion.to_owned()) });
    }
    if let Some(header) = header {
        if secret.is_some() {
            return Err(Refusal::invalid_request(
                "A2: an Authorization header and client_secret at once; use one method (RFC 6749 section 2.3)",
            ));
        }
        let (basic_id, basic_secret) = basic(header.as_bytes())?;
        if id.is_some_and(|id| id != basic_id) {
            return Err(Refusal::invalid_request("A2: client_id differs from the Authorization header's"));
        }
        return Ok(Shown { id: basic_id, proof: Proof::Secret(Method::Basic, basic_secret) });
    }
    let Some(id) = id else {
        return Err(Refusal::invalid_client(
            "no client authentication, and no client_id (RFC 6749 section 3.2.1)",
        ));
    };
    let proof = secret.map_or(Proof::None, |secret| Proof::Secret(Method::Post, secret.to_owned()));
    Ok(Shown { id: id.to_owned(), proof })
}

/// Id and secret of an `Authorization: Basic` header, each form-encoded before they were joined (A1).
fn basic(header: &[u8]) -> Result<(String, String), Refusal> {
    let not_basic = || Refusal::invalid_client("the Authorization header is not HTTP Basic with base64");
    let text = std::str::from_utf8(header).map_err(|_| not_basic())?;
    let (scheme, credentials) = text.split_once(' ').ok_or_else(not_basic)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(not_basic());
    }
    let joined = STANDARD.decode(credentials).map_err(|_| not_basic())?;
    let colon = joined.iter().position(|byte| *byte == b':').ok_or_else(not_basic)?;
    let (id, secret) = (form_encoded(&joined[..colon]), form_encoded(&joined[colon + 1..]));
    id.zip(secret).ok_or_else(|| {
        Refusal::invalid_client(
            "A1: client id and secret must each be form-encoded before they are joined with a colon (RFC 6749 \
             section 2.3.1)",
        )
    })
}

/// Decodes what form-encoding can have produced, and nothing else: a reserved character left as it is means
/// that the client did not encode.
fn form_encoded(input: &[u8]) -> Option<String> {
    let possible = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._~+%".contains(byte);
    if !input.iter().all(possible) { None } else { form::decode(input) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(joined: &str) -> String {
        format!("Basic {}", STANDARD.encode(joined))
    }

    #[test]
    fn a1_vectors() {
        // The example of RFC 6749 §2.3.1.
        let read = basic(b"Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3").unwrap();
        assert_eq!(read, ("s6BhdRkqt3".to_owned(), "7Fjfp0ZBr1KtDRbnfVdmIw".to_owned()));
        let read =
            basic(header("confidential+app%3A1%25:p%40ss%3Aw%2Frd+%2B%25%26%C3%A9").as_bytes()).unwrap();
        assert_eq!(read, ("confidential app:1%".to_owned(), "p@ss:w/rd +%&\u{e9}".to_owned()));
    }

    #[test]
    fn a1_what_was_not_form_encoded_is_refused() {
        for joined in ["app:p@ss", "app:a:b", "app:a b", "app:100%", "app:a/b", "app:\u{e9}", "app:a&b"] {
            let refusal = basic(header(joined).as_bytes()).unwrap_err();
            assert!(refusal.description.starts_with("A1: "), "{joined}");
            assert_eq!((refusal.error, refusal.status.as_u16()), ("invalid_client", 401));
        }
        for other in ["Bearer abc", "Basic", "Basic ???", &header("no-colon")] {
            assert_eq!(basic(other.as_bytes()).unwrap_err().error, "invalid_client", "{other}");
        }
    }
}
