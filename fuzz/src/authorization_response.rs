//! The redirected URL (RFC 6749 §4.1.2): nothing is accepted but one answer with the right state from the right issuer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_models::{AuthorizationResponse, AuthorizationResponseError, ErrorResponse, Secret};
use serde_json::Value;
use url::Url;

use super::disguise::STAND_INS;
use super::property::{in_proportion, is_fit_to_be_shown, printed};

const STATE: &str = "r1ght-st4te";
const ISSUER: &str = "https://as.example";
/// What the RFCs name; none of these may stand twice.
const PARAMETERS: [&str; 6] = ["code", "state", "iss", "error", "error_description", "error_uri"];

/// Checks one input: a byte for what is known and expected, then the query, or the whole URL.
pub fn check(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let text =
        if choice & 1 == 0 { format!("http://127.0.0.1:1/callback?{text}") } else { text.into_owned() };
    let Ok(url) = Url::parse(&text) else { return };
    let (issuer, required) = ((choice & 2 == 0).then_some(ISSUER), choice & 4 != 0);
    let state = Secret::from(STATE);
    let read = |url: &Url, state: &Secret| AuthorizationResponse::from_url(url, state, issuer, required);

    let answer = in_proportion(text.as_bytes(), || read(&url, &state));
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    is_as_expected(&answer, &pairs, issuer, required);
    if let Err(error) = &answer {
        is_fit_to_be_shown(error);
    }
    let is_ours = !matches!(
        answer,
        Err(AuthorizationResponseError::Repeated
            | AuthorizationResponseError::StateAbsent
            | AuthorizationResponseError::StateMismatch)
    );
    // A listener also looks into a signed answer (JARM), which nobody takes for a plain one.
    let in_jwt = matches!(answer, Err(AuthorizationResponseError::StateAbsent)) && jwt_has_state(&pairs);
    assert_eq!(AuthorizationResponse::has_state(&url, &state), is_ours || in_jwt);

    // A state that is only nearly right is wrong. So is none, whatever the URL says.
    for other in ["r1ght-st4t", "r1ght-st4te ", "R1GHT-ST4TE", "r1ght-st4te\0", ""] {
        let accepts = match read(&url, &Secret::from(other)) {
            Ok(_) | Err(AuthorizationResponseError::Denied(_)) => true,
            Err(_) => false,
        };
        assert!(
            !accepts || (!other.is_empty() && value(&pairs, "state") == Some(other)),
            "{other:?} is taken"
        );
    }

    let [one, other] = STAND_INS.map(|stand_in| printed(&read(&disguised(&url, &pairs, stand_in), &state)));
    assert_eq!(one, other, "a code or a state can be read from what is printed");
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Whether the claims of a JWT in `response` have the right `state`.
fn jwt_has_state(pairs: &[(String, String)]) -> bool {
    // The last one counts where there are several; who reads the answer refuses it.
    let response = pairs.iter().rev().find(|(name, _)| name == "response").map(|(_, jwt)| jwt.as_str());
    let claims = response.and_then(|jwt| URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
    claims.is_some_and(|claims| claims["state"] == STATE)
}

/// What the RFCs say about a redirected URL with these parameters.
fn is_as_expected(
    answer: &Result<AuthorizationResponse, AuthorizationResponseError>,
    pairs: &[(String, String)],
    issuer: Option<&str>,
    required: bool,
) {
    let value = |name| value(pairs, name);
    let filled = |name| value(name).filter(|text| !text.is_empty());
    let twice = PARAMETERS.iter().any(|name| pairs.iter().filter(|(own, _)| own == name).count() > 1);
    let expected = issuer.unwrap_or("the authorization server").to_owned();
    let wrong = if twice {
        AuthorizationResponseError::Repeated
    } else if filled("state").is_none() {
        AuthorizationResponseError::StateAbsent
    } else if value("state") != Some(STATE) {
        AuthorizationResponseError::StateMismatch
    } else if required && value("iss").is_none() {
        AuthorizationResponseError::IssuerAbsent { expected }
    } else if issuer.is_some() && value("iss").is_some_and(|iss| iss != ISSUER) {
        AuthorizationResponseError::IssuerMismatch { expected }
    } else if let Some(code) = filled("error") {
        let mut response = ErrorResponse::new(code);
        response.error_description = value("error_description").map(str::to_owned);
        response.error_uri = value("error_uri").map(str::to_owned);
        AuthorizationResponseError::Denied(response)
    } else if filled("code").is_none() {
        AuthorizationResponseError::CodeAbsent
    } else {
        let response = answer.as_ref().expect("an answer with all that it needs");
        assert_eq!(Some(response.code.expose()), value("code"));
        assert_eq!(response.state.as_ref().map(Secret::expose), Some(STATE));
        assert_eq!(response.iss.as_deref(), value("iss"));
        let others = pairs.iter().filter(|(name, _)| !PARAMETERS.contains(&name.as_str()));
        for (name, _) in others {
            assert!(response.extra.get_str(name).is_some(), "`{name}` is lost");
        }
        return;
    };
    assert_eq!(answer.as_ref().err(), Some(&wrong));
}

/// The URL with each code and token, and each state that is not ours, replaced.
fn disguised(url: &Url, pairs: &[(String, String)], stand_in: &str) -> Url {
    let mut disguised = url.clone();
    let is_secret = |name: &str, value: &str| match name {
        "code" | "id_token" | "access_token" => !value.is_empty(),
        "state" => !value.is_empty() && value != STATE,
        _ => false,
    };
    let replaced =
        pairs.iter().map(|(name, value)| (name, if is_secret(name, value) { stand_in } else { value }));
    disguised.query_pairs_mut().clear().extend_pairs(replaced);
    disguised
}
