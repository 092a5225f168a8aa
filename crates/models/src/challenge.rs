//! Challenges of a resource server: the header `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).

use std::fmt;

/// One challenge: a scheme with its parameters.
///
/// ```
/// let challenges = jeton_models::parse_www_authenticate(
///     r#"Basic realm="x, y", Bearer error="invalid_token", error_description="gone \"for good\"""#,
/// );
/// let bearer = challenges.iter().find(|challenge| challenge.is("bearer")).unwrap();
/// assert_eq!(bearer.get("error"), Some("invalid_token"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The authentication scheme as the server spelled it.
    pub scheme: String,
    /// The parameters in their order, names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A challenge without parameters, for whoever writes one.
    pub fn new(scheme: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), parameters: Vec::new() }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Whether the challenge is of that scheme, in any case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first parameter of that name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Challenge {
    /// Writes the challenge as it goes into the header, each value as a quoted string (RFC 9110 §5.6.4). Control
    /// characters, which would end the header, become spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        for (at, (name, value)) in self.parameters.iter().enumerate() {
            write!(f, "{}{name}=\"", if at == 0 { " " } else { ", " })?;
            for c in value.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() => f.write_str(" ")?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// Reads the value of a `WWW-Authenticate` header: several challenges, quoted strings, any case (RFC 9110 §11.6.1).
///
/// A response may have the header several times: read each. What cannot be understood ends the reading; what was understood before it is given back.
pub fn parse_www_authenticate(value: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: value };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        reader.skip(|c| c == ',' || c.is_ascii_whitespace());
        let Some(token) = reader.token() else { return challenges };
        reader.skip(|c| c == ' ' || c == '\t');
        if reader.eat('=') {
            // `name = value`: a parameter of the challenge before it.
            reader.skip(|c| c == ' ' || c == '\t');
            let (Some(value), Some(challenge)) = (reader.value(), challenges.last_mut()) else {
                return challenges;
            };
            challenge.parameters.push((token.to_ascii_lowercase(), value));
        } else {
            challenges.push(Challenge { scheme: token.to_owned(), parameters: Vec::new() });
            // A token68 (such as `Negotiate abc==`) is no parameter; it is skipped.
            let mut ahead = reader;
            if ahead.token68() && ahead.at_end_of_element() {
                reader = ahead;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.rest.strip_prefix(wanted).map(|rest| self.rest = rest).is_some()
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }

    fn token(&mut self) -> Option<&'a str> {
        self.take(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    }

    /// A token68 with its padding (RFC 9110 §11.2). A parameter's name looks the same but is followed by more.
    fn token68(&mut self) -> bool {
        let any = self.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c)).is_some();
        self.skip(|c| c == '=');
        any
    }

    fn at_end_of_element(&self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with(',')
    }

    /// A token or a quoted string. Servers put odd characters into unquoted values; they end at a comma or a space.
    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            return Some(self.take(|c| c != ',' && !c.is_ascii_whitespace()).unwrap_or_default().to_owned());
        }
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, Vec<(String, String)>)> {
        parse_www_authenticate(value).into_iter().map(|c| (c.scheme, c.parameters)).collect()
    }

    fn of(scheme: &str, parameters: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        (scheme.to_owned(), parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a8_several_challenges_quoted_strings_and_any_case() {
        assert_eq!(read("Bearer"), [of("Bearer", &[])]);
        assert_eq!(
            read(r#"bEaReR REALM="a \"b\", c" , Error=invalid_token"#),
            [of("bEaReR", &[("realm", "a \"b\", c"), ("error", "invalid_token")])]
        );
        assert_eq!(
            read(r#"Negotiate abc==, Basic realm="x",Bearer error = "e", DPoP algs="ES256 PS256""#),
            [
                of("Negotiate", &[]),
                of("Basic", &[("realm", "x")]),
                of("Bearer", &[("error", "e")]),
                of("DPoP", &[("algs", "ES256 PS256")]),
            ]
        );
        assert_eq!(
            read("Negotiate, Bearer error=x"),
            [of("Negotiate", &[]), of("Bearer", &[("error", "x")])]
        );
    }

    #[test]
    fn broken_headers_give_what_was_understood() {
        assert_eq!(read(""), []);
        assert_eq!(read(",,"), []);
        assert_eq!(read("=x"), []);
        assert_eq!(
            read("Bearer error=e, scope=, x=y"),
            [of("Bearer", &[("error", "e"), ("scope", ""), ("x", "y")])]
        );
        assert_eq!(
            read(r#"Bearer error="e" DPoP algs="ES256""#),
            [of("Bearer", &[("error", "e")]), of("DPoP", &[("algs", "ES256")])]
        );
        assert_eq!(read(r#"Bearer error="unterminated"#), [of("Bearer", &[])]);
        assert_eq!(read("Bearer \u{e9}"), [of("Bearer", &[])]);
    }
}
