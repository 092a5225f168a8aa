//! DPoP as the server sees it (RFC 9449): proofs are checked to the letter of §4.3, nonces are demanded where a test wants
//! them, and tokens and codes are bound to the key that a client has proven.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::answer::{Answer, Request};
use crate::clients::{Client, Method};
use crate::clock::unix_seconds;
use crate::form::Parameters;
use crate::mint::Mint;
use crate::refusal::Refusal;
use crate::state::State;
use crate::stats::Counters;

/// What a proof may be signed with, as the metadata names it.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
    ("EdDSA", Algorithm::EdDSA),
    ("PS384", Algorithm::PS384),
];

/// How old a proof may be, and how far ahead of the server's clock (RFC 9449 §11.1).
const OLDEST: Duration = Duration::from_secs(60);
const AHEAD: Duration = Duration::from_secs(5);

/// The header with the proof, and the one with the next nonce.
const PROOF: &str = "dpop";
const NONCE: &str = "dpop-nonce";

/// Which half of the server asks: each has nonces of its own (RFC 9449 §8, §9), also where both are at one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Authorization,
    Resource,
}

/// The nonces of one side.
#[derive(Default)]
struct Nonces {
    current: Option<String>,
    used: u32,
}

/// What is remembered about proofs.
#[derive(Default)]
pub(crate) struct Dpop {
    /// How many requests a nonce is good for; `None` demands none.
    nonce_uses: Option<u32>,
    nonces: HashMap<Side, Nonces>,
    /// Each `jti` until its proof would be too old.
    seen: HashMap<String, SystemTime>,
}

/// A proof that holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proven {
    /// The SHA-256 thumbprint of the key (RFC 7638).
    pub(crate) jkt: String,
}

/// A client that proves a key, or none.
pub(crate) type Proof = Option<Proven>;

impl Dpop {
    pub(crate) fn new(nonce_uses: Option<u32>) -> Self {
        Self { nonce_uses, ..Self::default() }
    }

    /// Makes the nonces that clients have useless, without telling them.
    pub(crate) fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    /// The nonce to send next to that side.
    fn nonce(&mut self, side: Side, mint: &mut Mint) -> String {
        let uses = self.nonce_uses.unwrap_or(u32::MAX);
        let nonces = self.nonces.entry(side).or_default();
        if nonces.used >= uses {
            *nonces = Nonces::default();
        }
        nonces.current.get_or_insert_with(|| mint.secret()).clone()
    }

    /// Checks the proof of a request, if there is one (RFC 9449 §4.3). `url` is where the request came, without query;
    /// `token` the access token beside it.
    pub(crate) fn check(
        &mut self,
        side: Side,
        now: SystemTime,
        request: &Request,
        url: &str,
        token: Option<&str>,
        counters: &mut Counters,
    ) -> Result<Proof, Refusal> {
        let mut headers = request.headers.get_all(PROOF).iter();
        let Some(header) = headers.next() else { return Ok(None) };
        if headers.next().is_some() {
            return Err(invalid("A25: two DPoP headers (RFC 9449 section 4.3, item 1)"));
        }
        let proof = header.to_str().map_err(|_| invalid("A25: the proof is no JWT"))?;
        let (claims, jkt) = signed_by_its_key(proof)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("htm") != Some(request.method.as_str()) {
            return Err(invalid(
                "A25: `htm` is not the method of the request (RFC 9449 section 4.3, item 8)",
            ));
        }
        let htu = text("htu").and_then(|htu| Url::parse(htu).ok());
        let htu = htu.ok_or_else(|| invalid("A25: `htu` is missing or no URL"))?;
        if htu.query().is_some() || htu.fragment().is_some() {
            return Err(invalid("A25: `htu` has no query and no fragment (RFC 9449 section 4.2)"));
        }
        if Url::parse(url).ok().as_ref() != Some(&htu) {
            return Err(invalid("A25: `htu` is not the URL of the request (RFC 9449 section 4.3, item 9)"));
        }
        let expected = token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
        if text("ath") != expected.as_deref() {
            return Err(invalid(match expected {
                Some(_) => "A25: `ath` is not the hash of the access token (RFC 9449 section 4.3, item 12)",
                None => "A25: `ath` has no place in a proof to the token endpoint",
            }));
        }
        let iat =
            claims.get("iat").and_then(Value::as_u64).ok_or_else(|| invalid("A25: `iat` is missing"))?;
        let now_s = unix_seconds(now);
        if iat.saturating_add(OLDEST.as_secs()) < now_s || iat > now_s.saturating_add(AHEAD.as_secs()) {
            return Err(invalid("A25: `iat` is too old or in the future (RFC 9449 section 4.3, item 11)"));
        }
        let jti = text("jti").ok_or_else(|| invalid("A25: `jti` is missing"))?;
        if jti.len() < 16 {
            return Err(invalid("A25: `jti` must hold at least 96 bits (RFC 9449 section 4.2)"));
        }
        self.seen.retain(|_, until| *until > now);
        let until = now.checked_add(OLDEST + AHEAD).unwrap_or(now);
        if self.seen.insert(jti.to_owned(), until).is_some() {
            return Err(invalid("A25: this proof was used before (RFC 9449 section 11.1)"));
        }
        self.check_nonce(side, text("nonce"), counters)?;
        counters.dpop_proofs += 1;
        Ok(Some(Proven { jkt }))
    }

    fn check_nonce(
        &mut self,
        side: Side,
        nonce: Option<&str>,
        counters: &mut Counters,
    ) -> Result<(), Refusal> {
        if self.nonce_uses.is_none() {
            return Ok(());
        }
        let uses = self.nonce_uses.unwrap_or_default();
        let nonces = self.nonces.entry(side).or_default();
        if nonce.is_none() || nonce != nonces.current.as_deref() || nonces.used >= uses {
            counters.dpop_nonces_demanded += 1;
            return Err(Refusal::new(
                "use_dpop_nonce",
                "A25: the server's nonce is missing or too old; send the one of the header DPoP-Nonce (RFC 9449 section 8)",
            ));
        }
        nonces.used += 1;
        Ok(())
    }
}

fn invalid(description: &'static str) -> Refusal {
    Refusal::new("invalid_dpop_proof", description)
}

/// The claims of a proof and the thumbprint of the key in its header, with which it must be signed.
fn signed_by_its_key(proof: &str) -> Result<(Map<String, Value>, String), Refusal> {
    let header =
        decode_header(proof).map_err(|_| invalid("A25: the proof is no JWT with a known algorithm"))?;
    if header.typ.as_deref() != Some("dpop+jwt") {
        return Err(invalid("A25: `typ` of the proof is not dpop+jwt (RFC 9449 section 4.3, item 4)"));
    }
    if !ALGORITHMS.iter().any(|(_, algorithm)| *algorithm == header.alg) {
        return Err(invalid("A25: the proof is not signed with an asymmetric algorithm of the metadata"));
    }
    // The parser of keys passes over what it does not know, and the private half is just that.
    let raw = proof.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let raw: Option<Value> = raw.and_then(|header| serde_json::from_slice(&header).ok());
    let jwk = raw.as_ref().and_then(|header| header.get("jwk")).and_then(Value::as_object);
    let jwk = jwk.ok_or_else(|| invalid("A25: the proof names no key (`jwk`)"))?;
    if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|private| jwk.contains_key(*private)) {
        return Err(invalid("A25: the proof shows a private key (RFC 9449 section 4.3, item 7)"));
    }
    let key: Jwk = serde_json::from_value(Value::Object(jwk.clone()))
        .map_err(|_| invalid("A25: the key of the proof cannot be read"))?;
    let decoding = DecodingKey::from_jwk(&key).map_err(|_| invalid("A25: the key of the proof is none"))?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = decode::<Map<String, Value>>(proof, &decoding, &validation)
        .map_err(|_| {
            invalid("A25: the proof is not signed with the key that it names (RFC 9449 section 4.3, item 6)")
        })?
        .claims;
    let jkt = key
        .thumbprint(ThumbprintHash::SHA256)
        .map_err(|_| invalid("A25: the key of the proof has no thumbprint"))?;
    Ok((claims, jkt))
}

/// Checks the proof of a token request, and that what is presented is bound to its key.
pub(crate) fn at_token_endpoint(
    state: &mut State,
    now: SystemTime,
    request: &Request,
    client: &Client,
    parameters: &Parameters,
) -> Result<Proof, Refusal> {
    let url = url_of(state, request);
    let proof = state.dpop.check(Side::Authorization, now, request, &url, None, &mut state.counters)?;
    if proof.is_none() && state.settings.require_dpop {
        return Err(invalid("A25: this server gives tokens to requests with a DPoP proof only"));
    }
    let proven = proof.as_ref().map(|proven| proven.jkt.as_str());
    if let Some(code) = parameters.get("code")
        && let Some(jkt) = state.codes.dpop_jkt(code)
        && proven != Some(jkt)
    {
        return Err(Refusal::invalid_grant(
            "A25: the authorization code is bound to another key (`dpop_jkt`, RFC 9449 section 10)",
        ));
    }
    if let Some(refresh_token) = parameters.get("refresh_token").filter(|_| client.method == Method::None)
        && let Some(jkt) =
            state.tokens.refresh_token_login(refresh_token).and_then(|login| login.jkt.as_deref())
        && proven != Some(jkt)
    {
        return Err(Refusal::invalid_grant(
            "A25: the refresh token is bound to another key than the proven one (RFC 9449 section 5)",
        ));
    }
    Ok(proof)
}

/// Checks the proof of a pushed authorization request, if there is one: the code is bound to its key, which is that of `dpop_jkt`
/// if that is there, too (RFC 9449 §10.1).
pub(crate) fn at_pushed_request(
    state: &mut State,
    now: SystemTime,
    request: &Request,
    parameters: Parameters,
) -> Result<Parameters, Refusal> {
    let url = url_of(state, request);
    let proof = state.dpop.check(Side::Authorization, now, request, &url, None, &mut state.counters)?;
    match (proof, parameters.get("dpop_jkt")) {
        (Some(proven), Some(jkt)) if proven.jkt != jkt => {
            Err(invalid("A25: `dpop_jkt` is not the key of the proof (RFC 9449 section 10.1)"))
        }
        (Some(proven), None) => Ok(parameters.with("dpop_jkt", &proven.jkt)),
        _ => Ok(parameters),
    }
}

/// Checks the proof beside an access token; why not: error and description.
pub(crate) fn at_resource(
    state: &mut State,
    now: SystemTime,
    request: &Request,
    token: &str,
) -> Result<Proof, (&'static str, Cow<'static, str>)> {
    let url = url_of(state, request);
    let proof = state.dpop.check(Side::Resource, now, request, &url, Some(token), &mut state.counters);
    match proof {
        Ok(None) => Err(("invalid_dpop_proof", "A25: the token came without a proof".into())),
        Ok(proof) => Ok(proof),
        Err(refusal) => Err((refusal.error, refusal.description)),
    }
}

/// Names the next nonce of that side to a client that speaks DPoP.
pub(crate) fn announce(state: &mut State, side: Side, request: &Request, answer: Answer) -> Answer {
    if state.dpop.nonce_uses.is_none() || !request.headers.contains_key(PROOF) {
        return answer;
    }
    answer.with_header(NONCE, &state.dpop.nonce(side, &mut state.mint))
}

/// The URL to which the request came, without its query.
fn url_of(state: &State, request: &Request) -> String {
    let scheme = state.settings.origin.split_once("://").map_or("http", |(scheme, _)| scheme);
    let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("{scheme}://{host}{}", request.path)
}

/// The thumbprint in an authorization request, to which the code is to be bound (RFC 9449 §10).
pub(crate) fn requested_key(parameters: &Parameters) -> Result<Option<String>, Refusal> {
    let Some(jkt) = parameters.get("dpop_jkt") else { return Ok(None) };
    if !URL_SAFE_NO_PAD.decode(jkt).is_ok_and(|digest| digest.len() == 32) {
        return Err(Refusal::invalid_request(
            "A25: `dpop_jkt` is no SHA-256 thumbprint (RFC 9449 section 10)",
        ));
    }
    Ok(Some(jkt.to_owned()))
}

/// The challenge of a resource server that takes proofs (RFC 9449 §7.1).
pub(crate) fn challenge() -> String {
    format!(r#"DPoP algs="{}""#, ALGORITHMS.map(|(name, _)| name).join(" "))
}

/// A claim of a proof, unverified.
pub(crate) fn claim(proof: &str, name: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    match claims.get(name)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
