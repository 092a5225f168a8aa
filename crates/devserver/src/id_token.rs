//! ID tokens (OpenID Connect Core §2) for logins with the scope `openid`, and what can be wrong with one, on request.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::clients::Client;
use crate::clock::unix_seconds;
use crate::faults::RewriteFn;
use crate::jwt::Jwt;
use crate::state::State;
use crate::tokens::LoginId;

const LIFETIME: Duration = Duration::from_secs(600);

/// What is to be wrong with an ID token.
#[derive(Clone)]
#[non_exhaustive]
pub enum IdTokenFault {
    /// There is none in the answer.
    Absent,
    /// Its claims are changed before it is signed.
    Claims(RewriteFn),
    /// Its `typ` is another one.
    Type(String),
    /// It is not signed (`alg` is `none`).
    Unsigned,
    /// Its claims are changed after it was signed.
    Forged,
    /// It is signed by a key of the server's that `/jwks` does not have.
    UnpublishedKey,
    /// It is signed by HS256 with the text of the public keys.
    PublicKeyAsSecret,
}

impl IdTokenFault {
    /// Its claims are changed before it is signed.
    ///
    /// ```
    /// # use jeton_devserver::{DevServer, IdTokenFault};
    /// # let server = DevServer::start()?;
    /// server.fault_id_token(IdTokenFault::claims(|mut claims| {
    ///     claims["aud"] = "somebody else".into();
    ///     claims
    /// }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn claims(change: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        Self::Claims(std::sync::Arc::new(change))
    }
}

impl fmt::Debug for IdTokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Claims(_) => "Claims",
            Self::Type(_) => "Type",
            Self::Unsigned => "Unsigned",
            Self::Forged => "Forged",
            Self::UnpublishedKey => "UnpublishedKey",
            Self::PublicKeyAsSecret => "PublicKeyAsSecret",
        })
    }
}

/// The faults that wait for ID tokens, one for each.
pub(crate) type IdTokenFaults = VecDeque<IdTokenFault>;

/// The ID token of a token answer, if there is to be one.
pub(crate) fn issue(
    state: &mut State,
    now: SystemTime,
    client: &Client,
    login: LoginId,
    access_token: &str,
) -> Option<String> {
    let own = state.tokens.login(login)?;
    let mut claims = json!({
        "iss": state.settings.issuer,
        "sub": own.subject,
        "aud": client.id,
        "iat": unix_seconds(now),
        "exp": unix_seconds(now + LIFETIME),
        "at_hash": half_hash(&client.id_token_algorithm, access_token),
    });
    if let Some(at) = own.authenticated_at {
        claims["auth_time"] = unix_seconds(at).into();
    }
    if let Some(acr) = own.acr.clone() {
        claims["acr"] = acr.into();
    }
    // A refreshed one has none (OpenID Connect Core §12.2).
    if let Some(nonce) = state.tokens.take_nonce(login) {
        claims["nonce"] = nonce.into();
    }
    match state.id_token_faults.pop_front() {
        None => sign(state, client, Some("JWT"), &claims),
        Some(IdTokenFault::Absent) => None,
        Some(IdTokenFault::Claims(change)) => sign(state, client, Some("JWT"), &change(claims)),
        Some(IdTokenFault::Type(typ)) => sign(state, client, Some(&typ), &claims),
        Some(IdTokenFault::Unsigned) => {
            Some(format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims)))
        }
        Some(IdTokenFault::Forged) => {
            let jwt = sign(state, client, Some("JWT"), &claims)?;
            claims["sub"] = "mallory".into();
            let (header, rest) = jwt.split_once('.')?;
            Some(format!("{header}.{}.{}", part(&claims), rest.split_once('.')?.1))
        }
        Some(IdTokenFault::UnpublishedKey) => {
            state.keys.changed().sign(Algorithm::ES256, Some("JWT"), &claims)
        }
        Some(IdTokenFault::PublicKeyAsSecret) => hmac(&state.keys.jwks().to_string(), &claims),
    }
}

/// A JWT for that client, by the algorithm that it is registered with.
pub(crate) fn sign(state: &State, client: &Client, typ: Option<&str>, claims: &Value) -> Option<String> {
    match client.id_token_algorithm.as_str() {
        "HS256" => hmac(client.secret.as_deref()?, claims),
        name => state.keys.sign(name.parse().ok()?, typ, claims),
    }
}

fn hmac(secret: &str, claims: &Value) -> Option<String> {
    let message = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(claims));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).ok()?;
    Some(format!("{message}.{signature}"))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The left half of the hash that goes with the algorithm (OpenID Connect Core §3.1.3.6).
fn half_hash(algorithm: &str, value: &str) -> String {
    match algorithm {
        "EdDSA" => URL_SAFE_NO_PAD.encode(&Sha512::digest(value)[..32]),
        _ => URL_SAFE_NO_PAD.encode(&Sha256::digest(value)[..16]),
    }
}

/// The claims of an ID token that this server has signed for that client, expired or not: a hint about who logs out.
pub(crate) fn hinted(state: &State, text: &str) -> Option<Jwt> {
    let jwt = Jwt::unverified(text)?;
    let client = state.clients.get(jwt.text("aud")?)?;
    let signed = match client.id_token_algorithm.as_str() {
        "HS256" => Jwt::signed_with(text, client.secret.as_deref()?),
        name => Jwt::signed_by(text, &state.keys.jwks(), &[name]),
    };
    signed.ok().filter(|jwt| jwt.text("iss") == Some(&state.settings.issuer))
}
