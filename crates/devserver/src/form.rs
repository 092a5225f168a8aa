//! `application/x-www-form-urlencoded`, read strictly (RFC 6749 Appendix B): what a tolerant parser would
//! wave through is a defect of the client, and this server is here to find it.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::answer::Request;
use crate::refusal::Refusal;

/// Parameters whose names may stand in an error description. All others are called "a parameter", because a
/// malformed body may well have a secret where a name is expected.
const KNOWN: &[&str] = &[
    "authorization_details",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "decision",
    "device_code",
    "grant_type",
    "login_hint",
    "password",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "token",
    "token_type_hint",
    "transaction",
    "user",
    "user_code",
    "username",
];

/// The parameters of one request; no name twice (but for `resource`, RFC 8707 §2), no value empty.
#[derive(Clone)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The form body of a POST to one of the server's endpoints, with everything that A3 asks of it.
    pub(crate) fn of_post(request: &Request) -> Result<Self, Refusal> {
        if request.method != hyper::Method::POST {
            return Err(Refusal::invalid_request("A3: this endpoint takes POST only (RFC 6749 section 3.2)")
                .with_status(hyper::StatusCode::METHOD_NOT_ALLOWED));
        }
        if !request.is_form() {
            return Err(Refusal::invalid_request(
                "A3: the content type must be application/x-www-form-urlencoded (RFC 6749 section 3.2)",
            ));
        }
        if !request.query.is_empty() {
            return Err(Refusal::invalid_request(
                "A3: parameters belong into the body, never into the query (RFC 6749 section 2.3.1)",
            ));
        }
        Self::parse(&request.body)
    }

    pub(crate) fn of_query(request: &Request) -> Result<Self, Refusal> {
        Self::parse(request.query.as_bytes())
    }

    pub(crate) fn parse(input: &[u8]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        if input.is_empty() {
            return Ok(Self(parameters));
        }
        for pair in input.split(|byte| *byte == b'&') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = halves.next().and_then(decode).ok_or_else(not_a_form)?;
            let value = decode(halves.next().unwrap_or_default()).ok_or_else(not_a_form)?;
            if name.is_empty() || value.is_empty() {
                return Err(about(&name, "is empty", "leave it out"));
            }
            if name != "resource" && parameters.iter().any(|(known, _)| *known == name) {
                return Err(about(&name, "is repeated", "send it once"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The parameters of a request that came another way than as a form, with the same rules.
    pub(crate) fn of_pairs(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        for (index, (name, value)) in pairs.iter().enumerate() {
            if name.is_empty() || value.is_empty() {
                return Err(about(name, "is empty", "leave it out"));
            }
            if name != "resource" && pairs[..index].iter().any(|(known, _)| known == name) {
                return Err(about(name, "is repeated", "send it once"));
            }
        }
        Ok(Self(pairs))
    }

    /// The same without those.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect())
    }

    /// The same with one more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may come several times.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::invalid_request(format!("the parameter {name} is missing")))
    }
}

fn not_a_form() -> Refusal {
    Refusal::invalid_request(
        "A3: not application/x-www-form-urlencoded in UTF-8; encode every reserved character (RFC 6749 \
         appendix B)",
    )
}

fn about(name: &str, what: &str, mend: &str) -> Refusal {
    let name: Cow<'_, str> = match KNOWN.iter().find(|known| **known == name) {
        Some(known) => format!("the parameter {known}").into(),
        None => "a parameter".into(),
    };
    Refusal::invalid_request(format!("A3: {name} {what}; {mend} (RFC 6749 sections 3.1 and 3.2)"))
}

/// Decodes one name or value; `None` for raw spaces, controls, non-ASCII, broken escapes and broken UTF-8.
pub(crate) fn decode(input: &[u8]) -> Option<String> {
    let mut output = Vec::with_capacity(input.len());
    let mut bytes = input.iter();
    while let Some(byte) = bytes.next() {
        output.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(*bytes.next()?)?, hex(*bytes.next()?)?);
                high << 4 | low
            }
            byte if byte.is_ascii_graphic() => *byte,
            _ => return None,
        });
    }
    String::from_utf8(output).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes pairs, for redirect URIs and form-encoded answers.
pub(crate) fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        form.append_pair(name, &value);
    }
    form.finish()
}

/// Whatever can be made of a body or query, for recording what came in; never for deciding anything.
pub(crate) fn parse_tolerantly(input: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(input).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_what_a_tolerant_parser_would_take_is_refused() {
        for bad in
            ["a=1&a=2", "a=", "a", "=1", "a=1&", "a=1&&b=2", "a=%zz", "a=%4", "a=%ff", "a=b c", "a=\u{e9}"]
        {
            let refusal = Parameters::parse(bad.as_bytes()).err().unwrap_or_else(|| panic!("took {bad}"));
            assert_eq!(refusal.error, "invalid_request", "{bad}");
            assert!(refusal.description.starts_with("A3: "), "{bad}");
        }
        let good = Parameters::parse(b"a=+%25%26%2B%C2%A3%E2%82%AC&resource=x&resource=y").unwrap();
        assert_eq!(good.get("a"), Some(" %&+\u{a3}\u{20ac}"));
        assert_eq!(good.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn a_secret_where_a_name_should_be_is_not_echoed() {
        let refusal = Parameters::parse(b"hunter2=").err().unwrap();
        assert!(!refusal.description.contains("hunter2"));
    }
}
