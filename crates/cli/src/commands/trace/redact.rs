//! What may be shown of an exchange: a fingerprint for each secret, the contents of a JWT without its signature, a mark for what is
//! about a person. What is not known to be harmless has to look so.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jeton::models::random_token;
use jeton::{Secret, Url};
use serde_json::{Map, Value, json};

use super::names::{Kind, kind_in_document, kind_of, kind_of_claim};
use crate::printable::printable_start;

/// So much is shown of a text at most.
const MOST: usize = 300;

/// Secrets that are shorter are not looked for in other texts, which would only be garbled.
const SHORTEST: usize = 5;

/// Knows each secret that it met, so that none can be seen wherever it turns up again.
pub(super) struct Redactor {
    /// Of this trace alone, and never shown: nobody can try out what a fingerprint may be of.
    salt: Secret,
    known: Mutex<Vec<Secret>>,
    /// What the profile says to everybody, however random it looks: the client's identifier.
    public: Mutex<Vec<String>>,
    shows_claims: bool,
}

impl Redactor {
    pub(super) fn new(shows_claims: bool) -> Self {
        Self { salt: random_token(16), known: Mutex::default(), public: Mutex::default(), shows_claims }
    }

    /// That text is no secret.
    pub(super) fn allow(&self, text: &str) {
        self.public.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    fn is_public(&self, text: &str) -> bool {
        self.public.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|public| public == text)
    }

    /// The name of a secret within this trace. From now on it is known.
    pub(super) fn secret(&self, text: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() >= SHORTEST && !known.iter().any(|secret| secret.expose() == text) {
            known.push(Secret::from(text));
        }
        drop(known);
        format!("<secret {}, {} long>", self.fingerprint(text), text.len())
    }

    fn fingerprint(&self, text: &str) -> String {
        Secret::new(format!("{}{text}", self.salt.expose())).fingerprint()
    }

    /// A text of which nothing is known. It is looked for elsewhere only if it is no word that may stand there anyhow.
    fn hidden(&self, text: &str) -> String {
        match text.len() >= 12 || looks_random(text) {
            true => self.secret(text),
            false => format!("<hidden {}, {} long>", self.fingerprint(text), text.len()),
        }
    }

    /// The name of a member or a parameter, which somebody may have made of a key.
    fn name(&self, name: &str) -> String {
        printable_start(&self.word(name), 100)
    }

    fn personal(&self, text: &str) -> String {
        format!("<personal {}>", self.fingerprint(text))
    }

    /// A member of a document or a parameter.
    pub(super) fn member(&self, name: &str, value: &Value) -> Value {
        self.of_kind(kind_of(name), value, kind_of)
    }

    /// A claim about a person or a token.
    fn claim(&self, name: &str, value: &Value) -> Value {
        self.of_kind(kind_of_claim(name), value, kind_of_claim)
    }

    fn of_kind(&self, kind: Kind, value: &Value, inner: fn(&str) -> Kind) -> Value {
        match (kind, value) {
            (_, Value::Null | Value::Bool(_)) => value.clone(),
            (Kind::Secret, Value::String(text)) => self.secret_text(text),
            (Kind::Secret, other) => self.secret(&other.to_string()).into(),
            (Kind::Personal, value) if !self.shows_claims => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.personal(&text).into()
            }
            (_, Value::Array(values)) => {
                values.iter().map(|value| self.of_kind(kind, value, inner)).collect()
            }
            (_, Value::Object(members)) => members
                .iter()
                .map(|(name, value)| (self.name(name), self.of_kind(inner(name), value, inner)))
                .collect(),
            (Kind::Harmless, Value::String(text)) => self.harmless(text).into(),
            // Somebody has asked for it.
            (Kind::Personal, Value::String(text)) => printable_start(text, MOST).into(),
            (Kind::PublicKey, Value::String(text)) => printable_start(text, 12).into(),
            (Kind::Words, Value::String(text)) => self.words(text).into(),
            (_, Value::String(text)) => self.jwt(text).unwrap_or_else(|| self.hidden(text).into()),
            (Kind::Unknown, Value::Number(_)) => "<a number>".into(),
            (_, value) => value.clone(),
        }
    }

    fn secret_text(&self, text: &str) -> Value {
        match text.is_empty() {
            true => "".into(),
            false => self.jwt(text).unwrap_or_else(|| self.secret(text).into()),
        }
    }

    /// A value of the configuration: no secret, whatever it is called.
    pub(super) fn public(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.harmless(text).into(),
            Value::Array(values) => values.iter().map(|value| self.public(value)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), self.public(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// A value that is no secret; what stands in the path or behind the question mark of a URL may be one.
    fn harmless(&self, text: &str) -> String {
        match Url::parse(text) {
            // Spelled as it is where that is safe: a slash at its end may be what is wrong.
            Ok(url) if text.contains('@') => self.url(&url),
            Ok(url) if url.has_host() || text.contains(['?', '#']) => self.url_text(text),
            _ => printable_start(text, MOST),
        }
    }

    /// A URL whose path is shown name by name, and whose query and fragment are parameter by parameter.
    pub(super) fn url(&self, url: &Url) -> String {
        let mut shown = url.clone();
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        self.url_text(shown.as_str())
    }

    fn url_text(&self, text: &str) -> String {
        let (before_fragment, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (path, query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
        let (origin, path) = match path.find("://").map(|start| start + 3) {
            Some(start) => path.split_at(path[start..].find('/').map_or(path.len(), |slash| start + slash)),
            None => ("", path),
        };
        let names: Vec<String> = path.split('/').map(|name| self.path_name(name)).collect();
        let mut shown = printable_start(&format!("{origin}{}", names.join("/")), MOST);
        for (mark, part) in [('?', query), ('#', fragment)] {
            if !part.is_empty() {
                let pairs = self.form(part.as_bytes());
                let pairs: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("{name}={}", shown_value(value))).collect();
                shown.push(mark);
                shown.push_str(&pairs.join("&"));
            }
        }
        shown
    }

    /// What stands between two slashes. Tenants are named by UUIDs, which open nothing.
    fn path_name(&self, name: &str) -> String {
        let lengths: Vec<usize> = name.split('-').map(str::len).collect();
        let is_uuid =
            lengths == [8, 4, 4, 4, 12] && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_uuid { name.to_owned() } else { self.word(name) }
    }

    /// The parameters of a URL's query.
    pub(super) fn parameters(&self, url: &Url) -> Vec<(String, Value)> {
        self.form(url.query().unwrap_or_default().as_bytes())
    }

    /// A form, parameter by parameter.
    pub(super) fn form(&self, body: &[u8]) -> Vec<(String, Value)> {
        let pairs = url::form_urlencoded::parse(body);
        pairs
            .map(|(name, value)| (self.name(&name), self.member(&name, &Value::from(value.as_ref()))))
            .collect()
    }

    /// An answer that is a JSON object, member by member; `is_document` if everybody may read it.
    pub(super) fn json(&self, body: &[u8], is_document: bool) -> Option<Vec<(String, Value)>> {
        let kind: fn(&str) -> Kind = if is_document { kind_in_document } else { kind_of };
        let members: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let shown =
            members.iter().map(|(name, value)| (self.name(name), self.of_kind(kind(name), value, kind)));
        Some(shown.collect())
    }

    /// A text in which what looks like a secret is hidden, word by word.
    pub(super) fn words(&self, text: &str) -> String {
        let ends = |character: char| character.is_whitespace() || "\"'`<>(),;".contains(character);
        let mut shown = String::new();
        for piece in text.split_inclusive(ends) {
            let end = piece.chars().next_back().filter(|last| ends(*last));
            let piece = &piece[..piece.len() - end.map_or(0, char::len_utf8)];
            let start = piece.find("http://").or_else(|| piece.find("https://")).unwrap_or(piece.len());
            let (before, url) = piece.split_at(start);
            shown.push_str(&self.word(before));
            match Url::parse(url) {
                Ok(_) => shown.push_str(&self.harmless(url)),
                Err(_) => shown.push_str(&self.word(url)),
            }
            shown.extend(end);
        }
        printable_start(&shown, MOST)
    }

    /// What stands between two spaces, such as `name=value`.
    fn word(&self, piece: &str) -> String {
        let is_part = |character: char| character.is_ascii_alphanumeric() || "@-._~+/%".contains(character);
        let mut shown = String::new();
        for part in piece.split_inclusive(|character| !is_part(character)) {
            let end = part.chars().next_back().filter(|last| !is_part(*last));
            let part = &part[..part.len() - end.map_or(0, char::len_utf8)];
            match (part.contains('@') || looks_random(part)) && !self.is_public(part) {
                true => shown.push_str(&self.secret(part)),
                false => shown.push_str(part),
            }
            shown.extend(end);
        }
        shown
    }

    /// The header and the claims of a JWT; the signature stays away. `None` for what is none.
    fn jwt(&self, text: &str) -> Option<Value> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, _] = parts[..] else { return None };
        let part = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header_members, claim_members) = (part(header)?, part(claims)?);
        header_members.get("alg")?;
        let own = self.secret(text);
        for part in parts.iter().filter(|part| part.len() >= 16) {
            self.secret(part);
        }
        let shown = |members: Map<String, Value>| -> Map<String, Value> {
            members.iter().map(|(name, value)| (name.clone(), self.claim(name, value))).collect()
        };
        Some(json!({ "jwt": own, "header": shown(header_members), "claims": shown(claim_members) }))
    }

    /// The value of `Authorization`: its scheme, the client of Basic, and fingerprints.
    pub(super) fn authorization(&self, value: &str) -> Value {
        let Some((scheme, rest)) = value.split_once(' ') else { return self.secret(value).into() };
        let scheme = printable_start(scheme, 20);
        if scheme.eq_ignore_ascii_case("basic")
            && let Some(pair) = STANDARD.decode(rest).ok().and_then(|pair| String::from_utf8(pair).ok())
            && let Some((client, secret)) = pair.split_once(':')
        {
            self.secret(rest);
            let client = printable_start(client, 100);
            let decoded: String = url::form_urlencoded::parse(format!("x={secret}").as_bytes())
                .map(|(_, value)| value.into_owned())
                .collect();
            self.secret(secret);
            return format!("{scheme} {client}:{}", self.secret(&decoded)).into();
        }
        match self.secret_text(rest) {
            Value::String(shown) => format!("{scheme} {shown}").into(),
            mut jwt => {
                jwt["scheme"] = scheme.into();
                jwt
            }
        }
    }

    /// A proof or another JWT in a header.
    pub(super) fn signed_header(&self, value: &str) -> Value {
        self.secret_text(value)
    }

    /// Hides whatever secret is known by now in a text that was made before, in the spellings that it may have.
    pub(super) fn scrubbed(&self, text: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in &known {
            let plain = secret.expose();
            let form: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
            let percent = form.replace('+', "%20");
            let (form_lower, percent_lower) = (lower_escapes(&form), lower_escapes(&percent));
            let encoded =
                [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(plain));
            for spelling in
                [plain.to_owned(), form, percent, form_lower, percent_lower].iter().chain(&encoded)
            {
                if text.contains(spelling.as_str()) {
                    text = text.replace(spelling.as_str(), &format!("<secret {}>", self.fingerprint(plain)));
                }
            }
        }
        text
    }

    /// The same in every text of a value.
    pub(super) fn scrubbed_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.scrubbed(text).into(),
            Value::Array(values) => values.iter().map(|value| self.scrubbed_value(value)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (self.scrubbed(name), self.scrubbed_value(value)))
                .collect(),
            other => other.clone(),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("shows_claims", &self.shows_claims).finish_non_exhaustive()
    }
}

/// `%2B` as `%2b`, which some write.
fn lower_escapes(encoded: &str) -> String {
    let mut left = 0;
    encoded
        .chars()
        .map(|character| {
            left = if character == '%' { 3_usize } else { left }.saturating_sub(1);
            if left > 0 || character == '%' { character.to_ascii_lowercase() } else { character }
        })
        .collect()
}

/// A value in a line of text.
pub(super) fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a word may be a key, a token, a code: long, of more than one sort of letters, and hardly any of them often.
fn looks_random(word: &str) -> bool {
    const LONG: usize = 16;
    if word.len() < LONG {
        return false;
    }
    let has = |sort: fn(&char) -> bool| word.chars().any(|character| sort(&character));
    let sorts = [has(char::is_ascii_lowercase), has(char::is_ascii_uppercase), has(char::is_ascii_digit)];
    if sorts.iter().filter(|sort| **sort).count() < 2 {
        return false;
    }
    // A name of words has its digits and capitals at few places.
    let changes = word.as_bytes().windows(2).filter(|pair| sort_of(pair[0]) != sort_of(pair[1])).count();
    changes * 6 >= word.len() || word.len() >= 40
}

fn sort_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_and_what_like_words() {
        for secret in [
            "dGhpcyBpcyBhIHNlY3JldA",
            "3f2a91bc-77aa-4c0d-9e2f-aaaabbbbcccc",
            "sk_live_51H8xQ2eZvKYlo2C",
            "A1b2C3d4E5f6G7h8",
        ] {
            assert!(looks_random(secret), "{secret}");
        }
        for words in [
            "authorization_code",
            "client_secret_basic",
            "tls_client_certificate_bound",
            "application/json",
            "short1A",
            "2026-11-23",
        ] {
            assert!(!looks_random(words), "{words}");
        }
    }

    #[test]
    fn a_secret_has_one_name_wherever_it_is_and_in_whatever_spelling() {
        let redactor = Redactor::new(false);
        let secret = "s+cr/t value";
        let name = redactor.fingerprint(secret);
        assert!(redactor.secret(secret).contains(&name));
        let text = format!(
            "{secret} s%2Bcr%2Ft+value s%2Bcr%2Ft%20value {} {}",
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret)
        );
        let scrubbed = redactor.scrubbed(&text);
        assert_eq!(scrubbed.matches(&name).count(), 5, "{scrubbed}");
        assert_ne!(name, Redactor::new(false).fingerprint(secret), "another trace, another name");
    }

    #[test]
    fn a_client_is_named_even_if_its_identifier_looks_like_a_secret() {
        let redactor = Redactor::new(false);
        let (client_id, other) =
            ("3f2a91bc-77aa-4c0d-9e2f-aaaabbbbcccc", "3f2a91bc-77aa-4c0d-9e2f-aaaabbbbcccd");
        redactor.allow(client_id);
        let shown = redactor.words(&format!("of client \"{client_id}\" and {other}"));
        assert!(shown.starts_with(&format!("of client \"{client_id}\" and <secret ")), "{shown}");
    }

    #[test]
    fn a_jwt_shows_who_made_it_for_whom_and_not_about_whom() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let jwt = format!(
            "{}.{}.c2lnbmF0dXJlLW1hcmtlcg",
            part(json!({"alg": "ES256", "jwk": {"kty": "EC", "d": "private-marker"}})),
            part(
                json!({"iss": "https://as.example", "sub": "sub-marker", "own": "own-marker", "exp": 5, "nonce": "nonce-marker"})
            ),
        );
        for shows_claims in [false, true] {
            let redactor = Redactor::new(shows_claims);
            let shown = redactor.member("id_token", &Value::from(jwt.as_str()));
            assert_eq!(shown["claims"]["iss"], "https://as.example");
            assert_eq!(shown["claims"]["exp"], 5);
            let text = shown.to_string();
            for secret in ["c2lnbmF0dXJlLW1hcmtlcg", "private-marker", "nonce-marker"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
            assert_eq!(text.contains("sub-marker"), shows_claims, "{text}");
            assert_eq!(text.contains("own-marker"), shows_claims, "{text}");
        }
    }
}
