//! ID tokens (OpenID Connect Core §3.1.3.7): any claims under a good signature, and any text, on their way through a token answer.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_grants::bytes::Bytes;
use jeton_grants::{
    ClientCredentials, Grant, GrantContext, GrantError, IdToken, IdTokenCheck, IdTokenPolicy, JwksCache,
    Limits, ManualClock, PublicClient, RefreshToken, Transport, TransportError, async_trait, http,
};
use jeton_jose::{JwkSet, JwsAlgorithm, Signer, SigningKey, half_hash};
use jeton_models::{AuthorizationServerMetadata, Secret};
use serde_json::{Map, Value, json};

use super::exchange::ready;
use super::property::is_fit_to_be_shown;

const ISSUER: &str = "https://as.example";
const CLIENT: &str = "client";
const SUBJECT: &str = "alice";
const ACCESS_TOKEN: &str = "t0k3n";
const NOW: u64 = 1_800_000_000;
/// How many seconds the server's clock may be off.
const SKEW: f64 = 120.0;

/// The key of RFC 8037, Appendix A.1. Its signatures are the same each time.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    SigningKey::from_jwk(&jwk.into()).expect("a key")
});

/// A token endpoint whose answer has that ID token.
struct TokenEndpoint(String);

#[async_trait]
impl Transport for TokenEndpoint {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let answer = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "refresh_token": "r0tated", "id_token": self.0,
        });
        Ok(http::Response::new(Bytes::from(answer.to_string())))
    }
}

/// Checks one input: a byte, which says whether the server signs and whether it is a refresh, then the claims in JSON or a whole
/// JWT.
pub fn check(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let (is_signed, is_refresh) = (choice & 1 == 0, choice & 2 != 0);
    let jwt = if is_signed { signed(text) } else { String::from_utf8_lossy(text).into_owned() };
    let (endpoint, clock) =
        (TokenEndpoint(jwt.clone()), ManualClock::at(UNIX_EPOCH + Duration::from_secs(NOW)));
    let mut server = AuthorizationServerMetadata::new(ISSUER);
    server.token_endpoint = Some("https://as.example/token".to_owned());
    server.id_token_signing_alg_values_supported = Some(vec!["EdDSA".to_owned(), "none".to_owned()]);
    let keys = JwksCache::pinned(KEY.public_jwk().cloned().into_iter().collect::<JwkSet>());
    let policy = IdTokenPolicy::new();
    let id_tokens = IdTokenCheck::new(&policy);
    let mut cx = GrantContext::new(&server, CLIENT, &PublicClient, &endpoint, &clock);
    (cx.id_tokens, cx.server_keys) = (Some(&id_tokens), Some(&keys));
    let before = signed(format!(r#"{{"iss":"{ISSUER}","sub":"{SUBJECT}","aud":"{CLIENT}"}}"#).as_bytes());
    let before = IdToken::from_kept(&Secret::from(before.as_str()));
    assert!(before.is_some());
    let result = match is_refresh {
        true => ready(RefreshToken::new("r").id_token(before).obtain(&cx)),
        false => ready(ClientCredentials.obtain(&cx)),
    };
    match result {
        Ok(_) => {
            let id_token = id_tokens.id_token().expect("what is taken was checked");
            let claims = serde_json::from_slice::<Map<String, Value>>(text).ok().filter(|_| is_signed);
            let claims = claims.expect("nobody else's signature is taken");
            assert!(is_right(&claims, is_refresh), "{}", Value::Object(claims));
            assert_eq!(Some(id_token.subject()), claims.get("sub").and_then(Value::as_str));
            // As it is kept, it says the same, and nothing of it is shown.
            assert_eq!(IdToken::from_kept(id_token.text()).as_ref(), Some(&id_token));
            assert_eq!(format!("{id_token:?}"), format!(r#"IdToken {{ issuer: "{ISSUER}", .. }}"#));
        }
        Err(error) => {
            assert!(id_tokens.id_token().is_none());
            is_fit_to_be_shown(&error);
            let GrantError::RejectedJwt(rejected) = &error else { panic!("{error}") };
            // The server has rotated.
            assert_eq!(rejected.refresh_token, Some(Secret::from("r0tated")));
            assert!(!format!("{error} {error:?}").contains("r0tated"));
            if is_signed && let Some(claims) = claims_of(text) {
                assert!(!is_right(&claims, is_refresh), "{error}: {}", Value::Object(claims));
            }
        }
    }
}

fn signed(claims: &[u8]) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#), URL_SAFE_NO_PAD.encode(claims));
    let signature = ready(KEY.sign(message.as_bytes())).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims, if they are an object that surely has no name twice, and not larger than anybody takes.
fn claims_of(text: &[u8]) -> Option<Map<String, Value>> {
    let claims = serde_json::from_slice::<Map<String, Value>>(text).ok()?;
    let rewritten = serde_json::to_vec(&claims).expect("it is JSON");
    // What stood twice is gone, and a colon with it.
    let names = |json: &[u8]| json.iter().filter(|byte| **byte == b':').count();
    (names(&rewritten) == names(text) && text.len() < 100_000).then_some(claims)
}

/// What the standard asks of the claims, written down once more.
fn is_right(claims: &Map<String, Value>, is_refresh: bool) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| {
        let value = claims.get(name).and_then(Value::as_f64);
        value.filter(|time| (0.0..=253_402_300_799.0).contains(time)).map(f64::floor)
    };
    let audiences: Vec<&Value> = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let now = NOW as f64;
    text("iss") == Some(ISSUER)
        && text("sub").is_some_and(|sub| (1..=255).contains(&sub.len()))
        && !audiences.is_empty()
        && audiences.iter().all(|audience| *audience == CLIENT)
        && match claims.get("azp") {
            Some(azp) => azp == CLIENT,
            None => audiences.len() == 1,
        }
        && time("exp").is_some_and(|exp| now < exp + SKEW)
        && time("iat").is_some_and(|iat| iat <= now + SKEW)
        && (claims.get("nbf").is_none() || time("nbf").is_some_and(|nbf| nbf <= now + SKEW))
        && claims
            .get("at_hash")
            .is_none_or(|hash| *hash == half_hash(JwsAlgorithm::EdDsa, ACCESS_TOKEN).as_str())
        && (!is_refresh || text("sub") == Some(SUBJECT))
}
