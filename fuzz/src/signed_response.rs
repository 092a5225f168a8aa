//! Signed authorization responses (JARM): the whole way from the redirected URL to the token request, or to an error.

use std::sync::LazyLock;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_grants::bytes::Bytes;
use jeton_grants::{
    AuthorizationPolicy, GrantContext, GrantError, JwksCache, Limits, ManualClock, PublicClient, Transport,
    TransportError, async_trait, begin_authorization, finish_authorization, http,
};
use jeton_jose::{JwkSet, Signer, SigningKey};
use jeton_models::{AuthorizationServerMetadata, Secret};
use serde_json::{Map, Value};
use url::Url;

use super::exchange::ready;
use super::property::is_fit_to_be_shown;

const ISSUER: &str = "https://as.example";
const CLIENT: &str = "client";
const NOW: u64 = 1_800_000_000;
/// How many seconds the server's clock may be off.
const LEEWAY: u64 = 60;

/// The key of RFC 8037, Appendix A.1. Its signatures are the same each time.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    SigningKey::from_jwk(&jwk.into()).expect("a key")
});

/// A token endpoint that keeps what it was sent.
#[derive(Default)]
struct TokenEndpoint(Mutex<Vec<Bytes>>);

#[async_trait]
impl Transport for TokenEndpoint {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.0.lock().expect("no panic before").push(request.into_body());
        let body = Bytes::from_static(br#"{"access_token":"t","token_type":"Bearer"}"#);
        Ok(http::Response::new(body))
    }
}

/// Checks one input: a byte, which says whether the server signs, then the claims in JSON, in which `$STATE` stands for the login's
/// `state`, or a whole JWT.
pub fn check(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let is_signed = choice & 1 == 0;
    let (endpoint, clock) =
        (TokenEndpoint::default(), ManualClock::at(UNIX_EPOCH + Duration::from_secs(NOW)));
    let mut server = AuthorizationServerMetadata::new(ISSUER);
    server.authorization_endpoint = Some("https://as.example/authorize".to_owned());
    server.token_endpoint = Some("https://as.example/token".to_owned());
    server.authorization_signing_alg_values_supported = Some(vec!["EdDSA".to_owned()]);
    let keys = JwksCache::pinned(KEY.public_jwk().cloned().into_iter().collect::<JwkSet>());
    let mut policy = AuthorizationPolicy::new();
    policy.signed_response = true;
    let mut cx = GrantContext::new(&server, CLIENT, &PublicClient, &endpoint, &clock);
    (cx.authorization, cx.server_keys) = (&policy, Some(&keys));
    let begun = begin_authorization(&cx, "https://app.example/callback", Duration::from_secs(60));
    let (_, pending) = ready(begun).expect("a login begins");
    let state = pending.state().expose().to_owned();

    let claims = String::from_utf8_lossy(text).replace("$STATE", &state);
    let jwt = if is_signed { signed(claims.as_bytes()) } else { claims.clone() };
    let mut url =
        Url::parse("https://app.example/callback?code=outside&iss=https://evil.example").expect("a URL");
    url.query_pairs_mut().append_pair("response", &jwt);

    // The listener sees whose it is, whoever made it.
    let claims = serde_json::from_str::<Map<String, Value>>(&claims).ok().filter(|_| is_signed);
    if let Some(claims) = &claims {
        let text = claims.get("state").and_then(Value::as_str);
        // Longer ones than any server sends are looked at by nobody.
        assert!(jwt.len() > 32_000 || pending.matches(&url) == (text == Some(&state)));
    }
    let finished = ready(finish_authorization(&cx, pending, &url));
    let sent = endpoint.0.into_inner().expect("no panic before");
    assert_eq!(finished.is_ok(), sent.len() == 1);
    match finished {
        Ok(_) => {
            let code = code_of(claims.as_ref(), &state).expect("a code is sent that no right answer has");
            let form: Vec<(String, String)> = url::form_urlencoded::parse(&sent[0]).into_owned().collect();
            assert!(form.contains(&("code".to_owned(), code)));
        }
        Err(error) => {
            is_fit_to_be_shown(&error);
            assert!(!format!("{error} {error:?}").contains(&state), "the state is shown: {error}");
            // What the server says is shown only if it is known to be the server, and about this login.
            if error.error_response().is_some() {
                assert!(claims.as_ref().is_some_and(|claims| is_ours(claims, &state)));
            }
            assert!(!matches!(error, GrantError::Transport { .. }));
        }
    }
}

fn signed(claims: &[u8]) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#), URL_SAFE_NO_PAD.encode(claims));
    let signature = ready(KEY.sign(message.as_bytes())).expect("a signature");
    format!("{message}.{}", Secret::new(URL_SAFE_NO_PAD.encode(signature)).expose())
}

/// Whether those are the claims of an answer of that server to that client about that login, in time.
fn is_ours(claims: &Map<String, Value>, state: &str) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let audience = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(|one| one == CLIENT),
        other => other.and_then(Value::as_str) == Some(CLIENT),
    };
    let expires_at = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    text("iss") == Some(ISSUER)
        && text("state") == Some(state)
        && audience
        && expires_at >= (NOW - LEEWAY) as f64
}

/// The code of an answer that is right in all.
fn code_of(claims: Option<&Map<String, Value>>, state: &str) -> Option<String> {
    let claims = claims.filter(|claims| is_ours(claims, state))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("code").filter(|_| text("error").is_none()).map(str::to_owned)
}
