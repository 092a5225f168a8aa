//! Form parameters of a request to the authorization server (RFC 6749 §3.1, §3.2, Appendix B).
//! No empty and no repeated parameters go out, and none shows its value in `Debug`.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::Secret;

/// Parameters that may stand in a request more than once (RFC 8707 §2, RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// Whether a request may have several parameters of that name.
fn is_repeatable(name: &str) -> bool {
    REPEATABLE.contains(&name)
}

/// An ordered list of parameters, each with a name, a value and at most one occurrence.
///
/// `resource` and `audience` may be repeated (RFC 8707 §2, RFC 8693 §2.1). Values may be secrets: `Debug` shows names
/// only, and they are wiped on drop.
///
/// ```
/// use jeton_models::Parameters;
///
/// let mut parameters = Parameters::new();
/// parameters.append("prompt", "consent")?;
/// parameters.append("login_hint", "")?; // an empty parameter is the same as none
/// assert_eq!(parameters.to_form(), "prompt=consent");
/// assert!(parameters.append("prompt", "login").is_err());
/// # Ok::<(), jeton_models::ParameterError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, Secret)>);

impl Parameters {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a parameter. One with an empty value is left out, as RFC 6749 §3.1 treats it as absent.
    ///
    /// # Errors
    /// [`ParameterError::Repeated`] if there is one of that name and the name may not be repeated.
    pub fn append(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), ParameterError> {
        let (name, value) = (name.into(), Secret::new(value));
        if value.is_empty() {
            return Ok(());
        }
        if self.contains(&name) && !is_repeatable(&name) {
            return Err(ParameterError::Repeated { name });
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Like [`append`](Self::append), for a parameter that must have a value.
    ///
    /// # Errors
    /// [`ParameterError::Empty`] for an empty value; [`ParameterError::Repeated`] as in `append`.
    pub fn append_required(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), ParameterError> {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            return Err(ParameterError::Empty { name });
        }
        self.append(name, value)
    }

    /// Adds all of another list.
    ///
    /// # Errors
    /// [`ParameterError::Repeated`] if a name would stand twice.
    pub fn append_all(&mut self, others: &Self) -> Result<(), ParameterError> {
        others.iter().try_for_each(|(name, value)| self.append(name, value))
    }

    /// Sets a parameter and removes whatever had the name. With an empty value it only removes (RFC 6749 §3.1).
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        let value = Secret::new(value);
        if !value.is_empty() {
            self.0.push((name, value));
        }
    }

    /// Removes each occurrence of a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }

    /// The (first) value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Whether there is a parameter of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL of an authorization request of these parameters. A query that the endpoint has already is kept; a fragment,
    /// which it must not have, is not (RFC 6749 §3.1).
    ///
    /// # Errors
    /// [`ParameterError::Repeated`] if the endpoint's query has one of the parameters already.
    pub fn to_url(&self, authorization_endpoint: &Url) -> Result<Url, ParameterError> {
        let in_query = |name: &str| {
            authorization_endpoint.query_pairs().any(|(own, _)| own == name) && !is_repeatable(name)
        };
        if let Some((name, _)) = self.iter().find(|(name, _)| in_query(name)) {
            return Err(ParameterError::Repeated { name: name.to_owned() });
        }
        let mut url = authorization_endpoint.clone();
        url.set_fragment(None);
        url.query_pairs_mut().extend_pairs(self.iter());
        Ok(url)
    }

    /// The list as a JSON object of strings, and of arrays where a name stands more than once: for the servers that take
    /// nothing else. It may hold secrets.
    pub fn to_json(&self) -> String {
        // A character takes at most six bytes. A buffer that grows leaves unwiped copies behind.
        let lengths = self.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 8);
        let mut json = Vec::with_capacity(lengths.sum::<usize>() + 2);
        let string = |json: &mut Vec<u8>, text: &str| {
            // Writing a string into a vector cannot fail.
            let _ = serde_json::to_writer(json, text);
        };
        json.push(b'{');
        for (place, (name, value)) in self.iter().enumerate() {
            if self.iter().take(place).any(|(before, _)| before == name) {
                continue;
            }
            if json.len() > 1 {
                json.push(b',');
            }
            string(&mut json, name);
            json.push(b':');
            let more: Vec<&str> =
                self.iter().skip(place + 1).filter(|(own, _)| *own == name).map(|(_, value)| value).collect();
            if more.is_empty() {
                string(&mut json, value);
                continue;
            }
            json.push(b'[');
            string(&mut json, value);
            for value in more {
                json.push(b',');
                string(&mut json, value);
            }
            json.push(b']');
        }
        json.push(b'}');
        String::from_utf8(json).unwrap_or_default()
    }

    /// The list in `application/x-www-form-urlencoded` (RFC 6749 Appendix B). It may hold secrets.
    pub fn to_form(&self) -> String {
        // In one buffer of the right size: one that grows leaves unwiped copies behind.
        let lengths = self.iter().map(|(name, value)| encoded_length(name) + encoded_length(value) + 2);
        let mut form = String::with_capacity(lengths.sum::<usize>().saturating_sub(1));
        for (name, value) in self.iter() {
            if !form.is_empty() {
                form.push('&');
            }
            form.extend(byte_serialize(name.as_bytes()));
            form.push('=');
            form.extend(byte_serialize(value.as_bytes()));
        }
        form
    }
}

/// How long a text is in `application/x-www-form-urlencoded`.
fn encoded_length(text: &str) -> usize {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'*' | b'-' | b'.' | b'_');
    text.len() + 2 * text.bytes().filter(|byte| !is_kept(*byte)).count()
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FromMap;

        impl<'de> Visitor<'de> for FromMap {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose members are strings or arrays of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum OneOrMany {
                    One(String),
                    Many(Vec<String>),
                }
                let mut parameters = Parameters::new();
                while let Some((name, value)) = map.next_entry::<String, OneOrMany>()? {
                    let values = match value {
                        OneOrMany::One(value) => vec![value],
                        OneOrMany::Many(values) => values,
                    };
                    for value in values {
                        parameters.append(name.clone(), value).map_err(serde::de::Error::custom)?;
                    }
                }
                Ok(parameters)
            }
        }

        deserializer.deserialize_map(FromMap)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Parameters {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }]
            }
        })
    }
}

/// A parameter that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The name stands twice; RFC 6749 §3.2 forbids it.
    #[error(
        "the parameter `{name}` is set twice; remove it from the extra parameters or from the endpoint's query, jeton sets \
         it itself (RFC 6749 §3.1, §3.2)"
    )]
    Repeated {
        /// The parameter's name.
        name: String,
    },
    /// A required parameter has no value.
    #[error("the parameter `{name}` is required and must not be empty")]
    Empty {
        /// The parameter's name.
        name: String,
    },
    /// Two parameters go together, and one of them is missing.
    #[error("the parameters `{one}` and `{other}` go together; give both or neither")]
    Incomplete {
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Of several parameters exactly one has to be there.
    #[error("exactly one of these parameters has to be given: {names}")]
    NotOneOf {
        /// Their names, separated by commas.
        names: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_nothing_empty_and_nothing_repeated_but_resource() {
        let mut parameters = Parameters::new();
        parameters.append("scope", "").unwrap();
        parameters.append("resource", "https://a.example").unwrap();
        parameters.append("resource", "https://b.example").unwrap();
        parameters.append("code", "x").unwrap();
        assert_eq!(parameters.append("code", "y"), Err(ParameterError::Repeated { name: "code".into() }));
        assert_eq!(
            parameters.append_required("client_id", ""),
            Err(ParameterError::Empty { name: "client_id".into() })
        );
        assert_eq!(
            parameters.to_form(),
            "resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example&code=x"
        );
    }

    #[test]
    fn form_encoding_is_that_of_rfc_6749_appendix_b() {
        let mut parameters = Parameters::new();
        parameters.append("v", " %&+£€").unwrap();
        assert_eq!(parameters.to_form(), "v=+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(Parameters::new().to_form(), "");
    }

    #[test]
    fn a_form_is_written_in_place() {
        let all: String = (0..=255).map(char::from).collect();
        let mut parameters = Parameters::new();
        parameters.append("client_secret", all.as_str()).unwrap();
        parameters.append("scope", "a b").unwrap();
        let form = parameters.to_form();
        assert_eq!(form.capacity(), form.len());
        let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).collect();
        assert_eq!(pairs, [("client_secret".into(), all.into()), ("scope".into(), "a b".into())]);
    }

    #[test]
    fn json_is_what_it_was_read_from_and_written_in_place() {
        for text in [
            r#"{}"#,
            r#"{"code":"a\"b\\\u0001é"}"#,
            r#"{"resource":["a","b"],"scope":"x","audience":["1","2","3"],"z":"\u001f\u001f\u001f"}"#,
        ] {
            let parameters: Parameters = serde_json::from_str(text).unwrap();
            assert_eq!(parameters.to_json(), text);
        }
    }

    #[test]
    fn debug_shows_no_values_and_json_is_read() {
        let mut parameters = Parameters::new();
        parameters.append("password", "hunter2").unwrap();
        parameters.append("resource", "a").unwrap();
        parameters.append("resource", "b").unwrap();
        assert_eq!(format!("{parameters:?}"), r#"{"password", "resource", "resource"}"#);
        let json = r#"{"password":"hunter2","resource":["a","b"]}"#;
        assert_eq!(serde_json::from_str::<Parameters>(json).unwrap(), parameters);
    }
}
